"""What an Encrypted payload has inside, and what is answered to it (RFC 7296 sections 3.2, 3.10, 3.11, 1.4.1).

Only what has been verified comes here. The chain is read whole before anything in it counts, because a message with an
unknown critical payload is rejected as a whole (2.5), and one that is malformed ends the IKE SA (2.21.3).
"""

import struct

from portable import const

from ..owners import LIFETIME, UNKNOWN_SPI
from ..wire import AH, ESP, INFORMATIONAL, INVALID_SPI, NOTIFY

DELETE = const(42)
_IKE = const(1)  # Protocol ID in a Delete payload
_CHILD_SAS = ((3, ESP), (2, AH))  # Protocol ID, and that of the packets
_ROOM = const(44)  # octets of Delete payloads in a response: nine SPIs
# Notify types, section 3.10.1; RFC 4478.
INVALID_SYNTAX = const(7)
NO_ADDITIONAL_SAS = const(35)
TEMPORARY_FAILURE = const(43)
_UNSUPPORTED_CRITICAL_PAYLOAD = const(1)
_AUTH_LIFETIME = const(16403)

# Section 3.2: all types of RFC 7296 are known, and of those the critical bit is ignored (2.5).
_KNOWN_FIRST = const(33)
_KNOWN_LAST = const(48)
_CRITICAL = const(0x80)


def notify(kind, data=b""):
    """A Notify payload about no SA in particular, as the last of its message."""
    return struct.pack(">BBHBBH", 0, 0, 8 + len(data), 0, 0, kind) + data


def delete(spis=b"", protocol=3, following=0):
    """A Delete payload: of Child SAs by their inbound SPIs, four octets each; without any, of the IKE SA."""
    if not spis:
        return struct.pack(">BBHBBH", following, 0, 8, _IKE, 0, 0)
    return struct.pack(">BBHBBH", following, 0, 8 + len(spis), protocol, 4, len(spis) // 4) + spis


def chain(first, octets):
    """[(type, start, end of its body)] of all payloads in octets, whose first has that type; None if malformed."""
    found = []
    at = 0
    while first:
        if at + 4 > len(octets):
            return None
        start = at + 4
        end = at + (octets[at + 2] << 8 | octets[at + 3])
        if not start <= end <= len(octets) or not _well_formed(first, octets, start, end):
            return None
        found.append((first, start, end))
        first = octets[at]
        at = end
    return found if at == len(octets) else None


def notify_type(octets, start):
    """Type of the Notify payload whose body begins there."""
    return octets[start + 2] << 8 | octets[start + 3]


def notify_data(octets, start, end):
    """Notification Data of a Notify payload, by the start and end of its body."""
    return bytes(octets[start + 4 + octets[start + 1] : end])


def has_notify(found, octets, kind):
    """True if a Notify of that type is in a chain."""
    for payload, start, _ in found:
        if payload == NOTIFY and notify_type(octets, start) == kind:
            return True
    return False


def unknown_critical(found, octets):
    """Type of the first critical payload that is none of RFC 7296; 0."""
    for kind, start, _ in found:
        if octets[start - 3] & _CRITICAL and not _KNOWN_FIRST <= kind <= _KNOWN_LAST:
            return kind
    return 0


def refusal(found, octets):
    """(type of the first payload, payloads of the response, True if the IKE SA is over) to what is not read; else None.

    INVALID_SYNTAX is fatal for both ends (2.21.3).
    """
    if found is None:
        return NOTIFY, notify(INVALID_SYNTAX), True
    kind = unknown_critical(found, octets)
    if kind:  # N17
        return NOTIFY, notify(_UNSUPPORTED_CRITICAL_PAYLOAD, bytes((kind,))), False
    return None


def answer_to(node, slot, exchange, found, octets, deleting=()):
    """As `refusal`, for an INFORMATIONAL request with these payloads, once it has done its work in the table.

    Delete of an IKE SA has an empty answer. Of more Child SAs at once than _ROOM is for, all go and not all are named:
    the peer knows what it asked for. `deleting` are the inbound SPIs in our own Delete that is on its way (K11).
    """
    if exchange != INFORMATIONAL:
        return NOTIFY, notify(INVALID_SYNTAX), True
    deletes = []
    for kind, start, end in found:
        if kind == DELETE:
            if octets[start] == _IKE:
                return 0, b"", True
            deletes.append((octets[start], start + 4, end))
        elif kind == NOTIFY:  # P2, K10: no state changes here
            about, data = notify_type(octets, start), notify_data(octets, start, end)
            if len(data) == 4 and about in (INVALID_SPI, _AUTH_LIFETIME):
                node.emit(UNKNOWN_SPI if about == INVALID_SPI else LIFETIME, slot, data)
    answer = b""
    for protocol, of_packets in _CHILD_SAS:
        spis = b""
        for its_protocol, start, end in deletes:
            for at in range(start, end if its_protocol == protocol else start, 4):
                spi = _remove_child(node.table, slot, of_packets, bytes(octets[at : at + 4]))
                spis += b"" if spi in deleting else spi
        spis = spis[: max(0, _ROOM - 8 - len(answer))]
        if spis:
            answer = delete(spis, protocol, DELETE if answer else 0) + answer
    return DELETE if answer else 0, answer, False


def _remove_child(table, slot, protocol, spi_out):
    """Forget the Child SA with that outbound SPI; its inbound SPI, or nothing if there is no such."""
    for child in table.children(slot):
        _, its_protocol, spi_in, its_spi_out = table.child_sa(child)
        if its_protocol == protocol and its_spi_out == spi_out:
            table.remove_child(child)
            return spi_in
    return b""


def _well_formed(kind, octets, start, end):
    """Notify and Delete are as long as their fields say."""
    if kind != NOTIFY and kind != DELETE:
        return True
    size = end - start - 4
    if size < 0:
        return False
    if kind == NOTIFY:
        return octets[start + 1] <= size
    count = octets[start + 2] << 8 | octets[start + 3]
    of_child_sas = octets[start] == 3 or octets[start] == 2
    return octets[start + 1] * count == size and (not of_child_sas or octets[start + 1] == 4)
