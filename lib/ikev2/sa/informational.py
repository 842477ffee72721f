"""INFORMATIONAL exchanges over one established IKE SA, in both roles.

RFC 7296 sections 1.4, 2.4, 2.21.3, 2.21.4. An `IkeSa` is the owner of an established IKE SA, as owners.py describes
one, and its `Window` keeps the order of messages. While one request waits for its response, what else must be sent is
pending as one bit each, the INVALID_SPI with the newest SPI, because a hundred packets with unknown SPIs are not worth
a hundred exchanges. CREATE_CHILD_SA is answered by `rekeys` (rekey.py), which may take its time.
"""

import struct

from portable import const, copy, sooner

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
from .window import Window, left

_LONGEST = const(160)  # octets of a message without rekeys
_ROOM = const(44)  # octets of Delete payloads in a response: nine SPIs
_CHILD_SAS = ((PROTOCOL_ESP, ESP), (PROTOCOL_AH, AH))  # Protocol ID of a Delete, and that of the packets
_AUTH_LIFETIME = const(16403)  # RFC 4478

# Where the parts of the state lie in _state.
_PENDING = const(0)  # what must be sent
_KIND = const(1)  # what our request is
_FLAGS = const(2)
_SPI = const(3)  # the SPI in our request
_NEXT_SPI = const(7)  # that of the next INVALID_SPI
_CHECKED_AT = const(11)  # when a hint last made us check
_STATE = const(15)

# Bits of _FLAGS; the last two go with a proof of life.
_CHECKED = const(0x20)  # within `hint_ms`
_HINTED = const(0x40)
_DENIED = const(0x80)

_FRESH_MS = const(1500)

_DELETED = const(-21)  # as reasons.py has them
_SYNTAX_RECEIVED = const(-26)

# What a request is; the lowest bit first.
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
            if len(data) == 4 and about == INVALID_SPI:
                _disown(node, slot, data)
            elif len(data) == 4 and about == _AUTH_LIFETIME:
                if node.owners[slot]:
                    node.owners[slot].lifetime = data
                node.emit(LIFETIME, slot, data)
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


def _disown(node, slot, spi):
    """The peer of IKE SA `slot` has said over it that it has no Child SA with that SPI, to which we send (K10)."""
    policy = node.owners[slot] and node.owners[slot].policy
    for child in node.child_owners:
        ike, _, _, spi_out = node.table.child_sa(child)
        if spi_out == spi and (ike == slot or (policy and node.owners[ike] and node.owners[ike].policy is policy)):
            node.child_owners[child].disowned = True
    node.emit(UNKNOWN_SPI, slot, spi)


class IkeSa:
    """The IKE SA in `slot` of a node's table, its keys in `sa` (sk.protection).

    `send_id` and `receive_id` are the Message IDs of the next request of ours and of the peer's. If nothing verified
    has come for `quiet_ms` milliseconds, the peer is asked whether it lives; 0: never. `follows`: P6, off if we are
    behind a NAT. `rekeys` answers CREATE_CHILD_SA; None: NO_ADDITIONAL_SAS. random(n) is the node's, if not given.
    """

    established = True
    follows = True
    rekeys = None
    lifetime = b""  # seconds within which the peer wants a new IKE SA, four octets, until somebody has read them
    rank = 0  # one more than that of the IKE SA that it replaces
    attended_at = -1  # when its user has first seen it
    _unwanted = ()  # inbound SPIs of the Child SAs to delete

    def __init__(self, node, slot, sa, send_id, receive_id, quiet_ms=0, follows=True, rekeys=None, random=None):
        self.node = node
        self.slot = slot
        self.sa = sa
        self._state = bytearray(_STATE)
        self.window = Window(self, send_id, receive_id, quiet_ms, random)
        if not follows:
            self.follows = False
        if rekeys:
            self.rekeys = rekeys

    # What the window knows and does.

    @property
    def failed(self):
        """True once the IKE SA is over: deleted, its peer dead, out of Message IDs, or at odds with it."""
        return self.window.failed

    @property
    def code(self):
        """Why it is over: a number of reasons.py."""
        return self.window.code

    @property
    def waiting(self):
        """True while a request of ours waits for its response."""
        return self.window.waiting

    @property
    def message_ids(self):
        """Message IDs of the next request of ours and of the peer's."""
        return self.window.message_ids

    @property
    def verified_at(self):
        """When the peer last proved its life."""
        return self.window.verified_at

    def receive(self, message, at, length, now):
        """IGNORED, FRESH or RETRANSMITTED: the IKE message message[at:length], whole (wire.header_fits)."""
        return self.window.receive(message, at, length)

    def outgoing(self, out, at, now):
        """Length of the IKE message to send now, written to out[at:], with room for `longest`; 0 if there is none."""
        return self.window.outgoing(out, at, now)

    def work(self, now):
        """A slice of an answer that takes long; true if there is more of it to do."""
        return self.window.work(now)

    def alive(self, now):
        """The peer has proved its life: silence begins anew."""
        self._state[_FLAGS] &= _CHECKED
        self.window.alive(now)

    # What else an owner of an IKE SA is asked.

    @property
    def policy(self):
        """What it was made by; None: whoever adopted it."""
        return self.rekeys and self.rekeys.policy

    @property
    def deleting(self):
        """True from when we want the IKE SA deleted."""
        state = self._state
        return state[_PENDING] & _DELETE_IKE != 0 or (state[_KIND] == _DELETE_IKE and self.waiting)

    @property
    def invalid_spi_length(self):
        """Octets of an INVALID_SPI request."""
        return self.sa.length(12)

    @property
    def longest(self):
        """Octets of the longest message."""
        return max(_LONGEST, self.rekeys.longest if self.rekeys else 0)

    @property
    def denied(self):
        """True if a request of ours was answered INVALID_IKE_SPI, unproven, and nothing verified has come since."""
        return self._state[_FLAGS] & _DENIED != 0

    def report_unknown_spi(self, packet, at):
        """Tell the peer that packet[at:at+4] is no SPI of ours (section 1.5). Allocates nothing."""
        copy(self._state, _NEXT_SPI, packet, at, 4)
        self._want(_UNKNOWN_SPI)

    def hint(self, now, denied=False):
        """The peer may be gone, `denied`: it has denied the IKE SA. True if that makes a liveness check (R3).

        A request that waits already is such a check (section 2.4). Allocates nothing.
        """
        state = self._state
        if denied and not self.deleting:
            state[_FLAGS] |= _DENIED  # R10
        if self.waiting or self._checked(now):  # R4, L4
            return False
        if self.window.fresh(_FRESH_MS, now):
            state[_FLAGS] |= _HINTED  # R5
        else:
            self._believe(now)
        return True

    def next_timer(self, now):
        """Milliseconds until `outgoing` or `work` has something to do; -1 if that depends on others."""
        flags = self._state[_FLAGS]
        wait = -1
        if flags & _HINTED and not self.waiting:
            wait = self.window.fresh(_FRESH_MS, now)
            if not wait:
                self._believe(now)
        if flags & _CHECKED:
            checked = self._checked(now)
            if checked:
                wait = sooner(wait, checked)
            else:
                self._state[_FLAGS] &= ~_CHECKED  # L5
        return sooner(wait, self.window.next_timer(now))

    def check(self, now):
        """Ask at once whether the peer lives, from a new address perhaps (K7); what waits for a response asks, too."""
        if self.waiting:
            self.window.retransmit(now)
        else:
            self._want(_CHECK)

    def delete(self):
        """Delete the IKE SA (section 1.4.1): it is over once that is answered, or the peer dead."""
        self._want(_DELETE_IKE)

    def delete_child(self, spi_in):
        """Delete the Child SA with that inbound SPI."""
        self._unwanted = tuple(self._unwanted) + (spi_in,)
        self._want(_DELETE_CHILD)

    def is_deleting(self, spi_in):
        """True if `delete_child` was asked to, and its response has not come."""
        return spi_in in self._unwanted

    # What the window asks of its handler.

    def request(self, again):
        """(type of the first payload, payloads) of our next request, or `again` of the one that waits."""
        state = self._state
        if not again:
            kind = state[_PENDING] or _CHECK
            state[_KIND] = kind = kind & -kind
            if kind == _DELETE_CHILD:
                copy(state, _SPI, self._unwanted[0], 0, 4)
            else:
                copy(state, _SPI, state, _NEXT_SPI, 4)
            state[_PENDING] &= ~(kind | _CHECK) & 0xFF  # whatever is sent is a liveness check
            self.window.due(state[_PENDING])
        kind = state[_KIND]
        if kind == _CHECK:
            return chained(())
        if kind == _DELETE_IKE:
            return chained((delete(),))
        spi = bytes(state[_SPI:_NEXT_SPI])
        return chained((notify(INVALID_SPI, spi) if kind == _UNKNOWN_SPI else delete(spi),))

    def response(self, found, octets):
        """The response to it has come."""
        kind = self._state[_KIND]
        if kind == _DELETE_IKE:
            self.window.end(_DELETED)
        elif has_notify(found or (), octets, INVALID_SYNTAX):
            self.window.end(_SYNTAX_RECEIVED)
        elif kind == _DELETE_CHILD:
            spi, self._unwanted = self._unwanted[0], self._unwanted[1:]
            if self._unwanted:
                self._want(_DELETE_CHILD)
            self._child_deleted(spi)

    def answer(self, exchange=None, found=None, octets=b""):
        """(type of the first payload, payloads, True if the IKE SA is over) in answer to a request; None: not yet."""
        if exchange is None:
            return self.rekeys.step(self)
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

    # The rest is private.

    def _child_deleted(self, spi):
        table = self.node.table
        for child in table.children(self.slot):
            if table.child_sa(child)[2] == spi:
                table.remove_child(child)

    def _want(self, kind):
        """A request of that kind goes out as soon as none waits."""
        self._state[_PENDING] |= kind
        self.window.due(True)

    def _checked(self, now):
        """Milliseconds until a hint may make us check once more; 0: it may."""
        state = self._state
        return left(state, _CHECKED_AT, self.node.hint_ms, now) if state[_FLAGS] & _CHECKED else 0

    def _believe(self, now):
        state = self._state
        state[_FLAGS] = state[_FLAGS] & ~_HINTED | _CHECKED
        struct.pack_into(">I", state, _CHECKED_AT, now)
        self._want(_CHECK)
