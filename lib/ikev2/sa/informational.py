"""INFORMATIONAL exchanges over one established IKE SA, in both roles.

RFC 7296 sections 1.4, 2.4, 2.21.3, 2.21.4. An `IkeSa` is the owner of an IKE SA that owners.py speaks of. While one
request waits for its response, what else must be sent is pending as one bit each, the INVALID_SPI with the newest SPI,
because a hundred packets with unknown SPIs are not worth a hundred exchanges. CREATE_CHILD_SA is answered by `rekeys`
(rekey.py), which may take its time.
"""

from portable import const, elapsed, sooner

from ..owners import LIFETIME, UNKNOWN_SPI
from ..wire import AH, CREATE_CHILD_SA, ESP, INFORMATIONAL, INVALID_SPI, NOTIFY
from .payloads import (
    DELETE,
    INVALID_SYNTAX,
    NO_ADDITIONAL_SAS,
    PROTOCOL_AH,
    PROTOCOL_ESP,
    PROTOCOL_IKE,
    TEMPORARY_FAILURE,
    UNSUPPORTED_CRITICAL_PAYLOAD,
    chained,
    delete,
    has_notify,
    notify,
    notify_data,
    notify_type,
    unknown_critical,
)
from .window import Window

_LONGEST = const(160)  # octets of a message without rekeys
_ROOM = const(44)  # octets of Delete payloads in a response: nine SPIs
_CHILD_SAS = ((PROTOCOL_ESP, ESP), (PROTOCOL_AH, AH))  # Protocol ID of a Delete, and that of the packets
_AUTH_LIFETIME = const(16403)  # RFC 4478

# Where our part of the state lies in _state.
_WANTED = const(56)  # what must be said
_SAYS = const(57)  # what our request says
_SPI = const(58)  # the SPI in it
_NEXT_SPI = const(62)  # that of the next INVALID_SPI
_CHECKED_AT = const(66)  # when a hint last made us check

# As window.py has them, and bits of _STATUS that are ours; the last two go with a proof of life.
_VERIFIED_AT = const(12)
_STATUS = const(52)
_TIMED = const(0x10)
_CHECKED = const(0x20)  # within `hint_ms`
_HINTED = const(0x40)
_DENIED = const(0x80)

_FRESH_MS = const(1500)

_DELETED = const(-21)  # as reasons.py has them
_SYNTAX_RECEIVED = const(-26)

# What a request says; the lowest bit first.
_DELETE_IKE = const(0x01)
_DELETE_CHILD = const(0x02)
_UNKNOWN_SPI = const(0x04)
_CHECK = const(0x08)


def refuse(kind, data=b"", protocol=0, spi=b""):
    """(type of the first payload, payloads of the response, True if the IKE SA is over) that refuse a request (K3).

    INVALID_SYNTAX is fatal for both ends (2.21.3).
    """
    return chained((notify(kind, data, protocol, spi),)) + (kind == INVALID_SYNTAX,)


def answer_informational(node, slot, found, octets, deleting=()):
    """As `refuse`, for a request with these payloads: Deletes and notifies, done and answered (section 1.4).

    Delete of an IKE SA has an empty answer. Of more Child SAs at once than _ROOM is for, all go and not all are named:
    the peer knows what it asked for. `deleting` are the inbound SPIs in our own Delete that waits (K11).
    """
    deletes = []
    for kind, start, end in found:
        if kind == DELETE:
            if octets[start] == PROTOCOL_IKE:
                return chained(()) + (True,)
            deletes.append((octets[start], start + 4, end))
        elif kind == NOTIFY:  # P2, K10: no state changes here
            about, data = notify_type(octets, start), notify_data(octets, start, end)
            if len(data) == 4 and about in (INVALID_SPI, _AUTH_LIFETIME):
                node.emit(UNKNOWN_SPI if about == INVALID_SPI else LIFETIME, slot, data)
    answers = []
    room = _ROOM
    for protocol, of_packets in _CHILD_SAS:
        spis = b""
        for its_protocol, start, end in deletes:
            for at in range(start, end if its_protocol == protocol else start, 4):
                spi = _remove_child(node.table, slot, of_packets, bytes(octets[at : at + 4]))
                spis += b"" if spi in deleting else spi
        spis = spis[: max(0, room - 8)]
        if spis:
            answers.insert(0, delete(spis, protocol))
            room -= 8 + len(spis)
    return chained(answers) + (False,)


def _remove_child(table, slot, protocol, spi_out):
    """Forget the Child SA with that outbound SPI; its inbound SPI, or nothing if there is no such."""
    for child in table.children(slot):
        _, its_protocol, spi_in, its_spi_out = table.child_sa(child)
        if its_protocol == protocol and its_spi_out == spi_out:
            table.remove_child(child)
            return spi_in
    return b""


class IkeSa(Window):
    """The IKE SA in `slot` of a node's table, its keys in `sa` (sk.protection).

    `send_id` and `receive_id` are the Message IDs of the next request of ours and of the peer's. If nothing was heard
    for `quiet_ms` milliseconds, the peer is asked whether it lives; 0: never. `follows`: P6, off if we are behind a
    NAT. `rekeys` answers CREATE_CHILD_SA; None: NO_ADDITIONAL_SAS. random(n) is the node's, if not given.
    """

    successor = None
    follows = True
    rekeys = None
    _unwanted = ()  # inbound SPIs of the Child SAs to delete

    def __init__(self, node, slot, sa, send_id, receive_id, quiet_ms=0, follows=True, rekeys=None, random=None):
        super().__init__(node, slot, sa, send_id, receive_id, quiet_ms, random)
        if not follows:
            self.follows = False
        if rekeys:
            self.rekeys = rekeys

    @property
    def deleting(self):
        """True from when we want the IKE SA deleted."""
        return bool(self._state[_WANTED] & _DELETE_IKE or (self.waiting and self._state[_SAYS] == _DELETE_IKE))

    @property
    def invalid_spi_length(self):
        """Octets of an INVALID_SPI request."""
        return self.sa.length(12)

    @property
    def longest(self):
        """Octets of the longest message."""
        return max(_LONGEST, self.rekeys.longest if self.rekeys else 0)

    def report_unknown_spi(self, packet, at):
        """Tell the peer that packet[at:at+4] is no SPI of ours (section 1.5). Allocates nothing."""
        for i in range(4):
            self._state[_NEXT_SPI + i] = packet[at + i]
        self._state[_WANTED] |= _UNKNOWN_SPI

    @property
    def denied(self):
        """True if a request of ours was answered INVALID_IKE_SPI, unproven, and nothing verified has come since."""
        return self._state[_STATUS] & _DENIED != 0

    def hint(self, now, denied=False):
        """The peer may be gone, `denied`: it says that it has no such IKE SA. True if that makes a liveness check (R3).

        A request that waits already is such a check (section 2.4). Allocates nothing.
        """
        state = self._state
        if denied and not self.deleting:
            state[_STATUS] |= _DENIED  # R10
        if self.waiting or self._left_of(_CHECKED, _CHECKED_AT, self.node.hint_ms, now):  # R4, L4
            return False
        if self._left_of(_TIMED, _VERIFIED_AT, _FRESH_MS, now):
            state[_STATUS] |= _HINTED  # R5
        else:
            self._believe(now)
        return True

    def next_timer(self, now):
        """Milliseconds until `outgoing` or `work` has something to do; -1 if that depends on others."""
        status = self._state[_STATUS]
        wait = -1
        if status & _HINTED and not self.waiting:
            wait = self._left_of(_TIMED, _VERIFIED_AT, _FRESH_MS, now)
            if not wait:
                self._believe(now)
        if status & _CHECKED:
            left = self._left_of(_CHECKED, _CHECKED_AT, self.node.hint_ms, now)
            if left:
                wait = sooner(wait, left)
            else:
                self._state[_STATUS] &= ~_CHECKED  # L5
        return sooner(wait, super().next_timer(now))

    def check(self, now):
        """Ask at once whether the peer lives, from a new address perhaps (K7); what waits for a response asks, too."""
        if self.waiting:
            self.retransmit(now)
        else:
            self._state[_WANTED] |= _CHECK

    def delete(self):
        """Delete the IKE SA (section 1.4.1): it is over once that is answered, or the peer dead."""
        self._state[_WANTED] |= _DELETE_IKE

    def delete_child(self, spi_in):
        """Delete the Child SA with that inbound SPI."""
        self._unwanted = tuple(self._unwanted) + (spi_in,)
        self._state[_WANTED] |= _DELETE_CHILD

    def is_deleting(self, spi_in):
        """True if `delete_child` was asked to, and its response has not come."""
        return spi_in in self._unwanted

    def _left_of(self, bit, at, ms, now):
        """Milliseconds until so many have passed since the time at `at`; 0 if they have, or the bit is not set."""
        state = self._state
        if not state[_STATUS] & bit:
            return 0
        then = state[at] << 24 | state[at + 1] << 16 | state[at + 2] << 8 | state[at + 3]  # as _get, without its heap
        return max(0, ms - elapsed(now, then))

    def _believe(self, now):
        state = self._state
        state[_STATUS] = state[_STATUS] & ~_HINTED | _CHECKED
        self._put(_CHECKED_AT, now)
        state[_WANTED] |= _CHECK

    # What Window asks.

    def _something_to_say(self):
        return self._state[_WANTED] != 0

    def _say(self):
        state = self._state
        wanted = state[_WANTED] or _CHECK
        says = wanted & -wanted
        spi = self._unwanted[0] if says == _DELETE_CHILD else state[_NEXT_SPI:]
        for i in range(4):
            state[_SPI + i] = spi[i]
        state[_SAYS] = says
        state[_WANTED] &= ~(says | _CHECK) & 0xFF  # whatever is said is a liveness check

    def _request(self):
        says, spi = self._state[_SAYS], bytes(self._state[_SPI:_NEXT_SPI])
        if says == _CHECK:
            return chained(())
        if says == _UNKNOWN_SPI:
            return chained((notify(INVALID_SPI, spi),))
        return chained((delete() if says == _DELETE_IKE else delete(spi),))

    def _answered(self, found, octets):
        if self._state[_SAYS] == _DELETE_IKE:
            self._end(_DELETED)
        elif has_notify(found or (), octets, INVALID_SYNTAX):
            self._end(_SYNTAX_RECEIVED)
        elif self._state[_SAYS] == _DELETE_CHILD:
            spi, self._unwanted = self._unwanted[0], self._unwanted[1:]
            self._state[_WANTED] |= _DELETE_CHILD if self._unwanted else 0
            table = self.node.table
            for child in table.children(self.slot):
                if table.child_sa(child)[2] == spi:
                    table.remove_child(child)

    def _answer_to(self, exchange, found, octets):
        if found is None:
            return refuse(INVALID_SYNTAX)
        kind = unknown_critical(found)
        if kind:  # N17
            return refuse(UNSUPPORTED_CRITICAL_PAYLOAD, bytes((kind,)))
        if exchange == INFORMATIONAL:
            return answer_informational(self.node, self.slot, found, octets, self._unwanted)
        if exchange != CREATE_CHILD_SA:
            return refuse(INVALID_SYNTAX)
        if self.deleting:  # K3
            return refuse(TEMPORARY_FAILURE)
        if not self.rekeys:
            return refuse(NO_ADDITIONAL_SAS)
        return self.rekeys.begin(self, found, octets)

    def _go_on(self):
        return self.rekeys.step(self)
