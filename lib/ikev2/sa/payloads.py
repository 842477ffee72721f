"""The payloads of an IKE message, read and composed: octets only (RFC 7296 sections 3.2, 3.10, 3.11).

A payload that is composed is (type, body). Before anything in a message counts, its whole chain is read: one with an
unknown critical payload is rejected as a whole (2.5), one that is malformed is an error of its sender (2.21.3).
"""

import struct

from portable import const, micropython, ptr8

from ..wire import NOTIFY

# Payload types, section 3.2.
SA = const(33)
KE = const(34)
ID_I = const(35)
ID_R = const(36)
AUTH = const(39)
NONCE = const(40)
DELETE = const(42)
TS_I = const(44)
TS_R = const(45)
CP = const(47)

MALFORMED = const(-1)  # in place of a payload type
UNKNOWN_CRITICAL = const(-2)  # less the type

# Error types of Notify, section 3.10.1.
UNSUPPORTED_CRITICAL_PAYLOAD = const(1)
INVALID_SYNTAX = const(7)
NO_PROPOSAL_CHOSEN = const(14)
INVALID_KE_PAYLOAD = const(17)
AUTHENTICATION_FAILED = const(24)
NO_ADDITIONAL_SAS = const(35)
TS_UNACCEPTABLE = const(38)
TEMPORARY_FAILURE = const(43)
CHILD_SA_NOT_FOUND = const(44)

# Protocol IDs, section 3.3.1.
PROTOCOL_IKE = const(1)
PROTOCOL_AH = const(2)
PROTOCOL_ESP = const(3)

# All types of RFC 7296 are known, and of those the critical bit is ignored (2.5).
_KNOWN_FIRST = const(33)
_KNOWN_LAST = const(48)
_CRITICAL = const(0x80)
_ERRORS = const(16384)  # all notify types below are errors


@micropython.viper
def uint16(octets: ptr8, at: int) -> int:
    """The number in octets[at:at+2]."""
    return octets[at] << 8 | octets[at + 1]


def is_error(notify):
    """True if a notify type is an error's."""
    return 0 < notify < _ERRORS


def bodies(first, octets, at, end):
    """Each payload of a chain in octets[at:end]: (type, start, end of its body).

    MALFORMED in place of a type ends it. A type that is neither known nor to be skipped is UNKNOWN_CRITICAL less that
    type (N17).
    """
    while first:
        start = at + 4
        stop = at + uint16(octets, at + 2) if start <= end else at
        if not start <= stop <= end or not _well_formed(first, octets, start, stop):
            yield MALFORMED, at, at
            return
        known = _KNOWN_FIRST <= first <= _KNOWN_LAST
        yield first if known or not octets[at + 1] & _CRITICAL else UNKNOWN_CRITICAL - first, start, stop
        first = octets[at]
        at = stop
    if at != end:
        yield MALFORMED, at, at


def chain(first, octets):
    """[(type, start, end of its body)] of all payloads in octets, as `bodies` has them; None if malformed."""
    found = list(bodies(first, octets, 0, len(octets)))
    return None if found and found[-1][0] == MALFORMED else found


def notify_type(octets, start):
    """Type of the Notify payload whose body begins there."""
    return uint16(octets, start + 2)


def notify_data(octets, start, end):
    """Notification Data of a Notify payload, by the start and end of its body."""
    return bytes(octets[start + 4 + octets[start + 1] : end])


def has_notify(found, octets, kind):
    """True if a Notify of that type is in a chain."""
    i = len(found)
    while i:
        i -= 1
        if found[i][0] == NOTIFY and notify_type(octets, found[i][1]) == kind:
            return True
    return False


def unknown_critical(found):
    """Type of the first critical payload in a chain that is none of RFC 7296; 0."""
    for kind, _, _ in found:
        if kind <= UNKNOWN_CRITICAL:
            return UNKNOWN_CRITICAL - kind
    return 0


def chained(parts):
    """(type of the first, octets) of payloads, given as [(type, body)]."""
    i = len(parts)
    pieces = [b""] * (2 * i)
    following = 0
    while i:
        i -= 1
        body = parts[i][1]
        pieces[2 * i] = struct.pack(">BBH", following, 0, 4 + len(body))
        pieces[2 * i + 1] = body
        following = parts[i][0]
    return following, b"".join(pieces)


def notify(kind, data=b"", protocol=0, spi=b""):
    """A Notify payload (section 3.10); without an SPI about no SA in particular."""
    return NOTIFY, struct.pack(">BBH", protocol, len(spi), kind) + spi + data


def delete(spis=b"", protocol=PROTOCOL_ESP):
    """A Delete payload (section 3.11): of Child SAs by inbound SPIs, four octets each; without any, of the IKE SA."""
    if not spis:
        return DELETE, struct.pack(">BBH", PROTOCOL_IKE, 0, 0)
    return DELETE, struct.pack(">BBH", protocol, 4, len(spis) // 4) + spis


def _well_formed(kind, octets, start, end):
    """Notify and Delete are as long as their fields say."""
    if kind != NOTIFY and kind != DELETE:
        return True
    size = end - start - 4
    if size < 0:
        return False
    if kind == NOTIFY:
        return octets[start + 1] <= size
    of_child_sas = octets[start] == PROTOCOL_ESP or octets[start] == PROTOCOL_AH
    return octets[start + 1] * uint16(octets, start + 2) == size and (not of_child_sas or octets[start + 1] == 4)
