"""What is said over one established IKE SA after both ends have their keys: INFORMATIONAL exchanges, in both roles.

RFC 7296 sections 1.4, 2.4, 2.21.3, 2.21.4. An `IkeSa` is the owner of an IKE SA that owners.py speaks of. While one
request is on its way, what else must be said waits as one bit each, the INVALID_SPI with the newest SPI, for a hundred
wayward packets are not worth a hundred exchanges. CREATE_CHILD_SA is answered by `rekeys` (rekey.py), which may take
its time.
"""

from . import wire
from .payloads import (
    DELETE,
    INVALID_SYNTAX,
    NO_ADDITIONAL_SAS,
    TEMPORARY_FAILURE,
    answer_to,
    delete,
    notify,
    refusal,
    says,
)  # fmt: skip
from .window import Window
from .wire import CREATE_CHILD_SA, NOTIFY, const

_LONGEST = const(160)  # octets of a message without rekeys

# What a request says, and what must be said; the lowest bit first.
_DELETE_IKE = const(0x01)
_DELETE_CHILD = const(0x02)
_UNKNOWN_SPI = const(0x04)
_CHECK = const(0x08)


class IkeSa(Window):
    """The IKE SA in `slot` of a node's table, its keys in `sa` (sk.protection).

    `send_id` and `receive_id` are the Message IDs of the next request of ours and of the peer's. If nothing was heard
    for `quiet_ms` milliseconds, the peer is asked whether it lives; 0: never. `follows`: P6, off if we are behind a
    NAT. `rekeys` answers CREATE_CHILD_SA; None: NO_ADDITIONAL_SAS. random(n) is the node's, if not given.
    """

    successor = None

    def __init__(self, node, slot, sa, send_id, receive_id, quiet_ms=0, follows=True, rekeys=None, random=None):
        super().__init__(node, slot, sa, send_id, receive_id, quiet_ms, random)
        self.follows = follows
        self.rekeys = rekeys
        self._wanted = 0
        self._says = 0
        self._spis = bytearray(8)  # what our request says is invalid, or deletes; what the next INVALID_SPI will say
        self._unwanted = []  # inbound SPIs of the Child SAs to delete

    @property
    def deleting(self):
        """True from when we want the IKE SA deleted."""
        return self._wanted & _DELETE_IKE or (self.waiting and self._says == _DELETE_IKE)

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
            self._spis[4 + i] = packet[at + i]
        self._wanted |= _UNKNOWN_SPI

    def hint(self, now):
        """Check whether the peer lives; a request that waits already is such a check (section 2.4)."""
        if not self.waiting:
            self._wanted |= _CHECK

    def delete(self):
        """Delete the IKE SA (section 1.4.1): it is over once that is answered, or the peer dead."""
        self._wanted |= _DELETE_IKE

    def delete_child(self, spi_in):
        """Delete the Child SA with that inbound SPI."""
        self._unwanted.append(spi_in)
        self._wanted |= _DELETE_CHILD

    # What Window asks.

    def _something_to_say(self):
        return self._wanted != 0

    def _say(self):
        wanted = self._wanted or _CHECK
        self._says = wanted & -wanted
        self._wanted &= ~(self._says | _CHECK)  # whatever is said is a liveness check
        spi = self._unwanted[0] if self._says == _DELETE_CHILD else self._spis[4:]
        for i in range(4):
            self._spis[i] = spi[i]

    def _request(self):
        if self._says == _CHECK:
            return 0, b""
        if self._says == _UNKNOWN_SPI:
            return NOTIFY, notify(wire.INVALID_SPI, bytes(self._spis[:4]))
        return DELETE, delete() if self._says == _DELETE_IKE else delete(bytes(self._spis[:4]))

    def _answered(self, found, octets):
        if self._says == _DELETE_IKE:
            self._end("deleted")
        elif says(found or (), octets, INVALID_SYNTAX):
            self._end("INVALID_SYNTAX: the peer could not read our message")
        elif self._says == _DELETE_CHILD:
            spi = self._unwanted.pop(0)
            self._wanted |= _DELETE_CHILD if self._unwanted else 0
            table = self.node.table
            for child in table.children(self.slot):
                if table.child_sa(child)[2] == spi:
                    table.remove_child(child)

    def _answer_to(self, exchange, found, octets):
        refused = refusal(found, octets)
        if refused:
            return refused
        if exchange != CREATE_CHILD_SA:
            return answer_to(self.node, self.slot, exchange, found, octets, self._unwanted)
        if self.deleting:  # K3
            return NOTIFY, notify(TEMPORARY_FAILURE), False
        if not self.rekeys:
            return NOTIFY, notify(NO_ADDITIONAL_SAS), False
        return self.rekeys.begin(self, found, octets)

    def _go_on(self):
        return self.rekeys.step(self)
