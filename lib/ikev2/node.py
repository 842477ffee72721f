"""One receiving node: table, budget, decisions, the owners of its IKE SAs, counters, timers. No I/O.

A driver (udp.py, or a test) does, for each datagram and whenever `next_timer` has run out:

    verdict = node.receive(via, source, datagram, length, now)      or node.tick(now)
    while length := node.outgoing(now):
        ... send node.out[:length] from our port node.out_via to node.out_to

`receive` allocates nothing up to the verdict and the unprotected answer. `now` is in milliseconds and wraps
at 2**30, as time.ticks_ms does. A hint (RFC 7296 section 2.21.4) is passed to the owner of the IKE SA as a
request for a liveness check, no more often than each `hint_ms` and not if the peer has proved to be alive
within that time (section 2.4).

An owner is any object with the methods that informational.IkeSa has: wayward(datagram, at), hint(now),
receive(datagram, at, length, now) -> True if the message proved to be the peer's, outgoing(out, at, now) ->
length, next_timer(now), and the attributes invalid_spi_length and failed.
"""

from array import array

from . import notifier, wire
from .budget import Budget, elapsed
from .wire import MARKER, PORT, PORT_NAT, const

_SATURATED = const(0x3FFFFFFF)
_OUT = const(256)
_NOT_ABOUT_IKE_SAS = const(8)  # verdicts from notifier.DELIVER_INIT on
_ANSWERS = (notifier.INVALID_SPI, notifier.INVALID_IKE_SPI, notifier.INVALID_MAJOR_VERSION)
_PORT_500 = b"\x01\xf4"
_NO_MARKER = bytes(MARKER)


def sooner(a, b):
    """The earlier of two waits in milliseconds, of which -1 is none."""
    return b if a < 0 or 0 <= b < a else a


class Node:
    """A node over an SpiTable; random(n) gives n random octets; the limits are those of Budget, and L4's."""

    def __init__(self, table, random, answers_per_s=1, burst=5, per_source_ms=3000, sources=8, hint_ms=10000):
        if not 0 <= hint_ms <= _SATURATED >> 1:
            raise ValueError("hint_ms %r" % hint_ms)
        slots = table.size[0]
        self.table = table
        self.counters = array("I", [0] * len(notifier.VERDICTS))
        self.owners = [None] * slots
        self._owned = []  # slots that have an owner
        self.out = bytearray(_OUT)
        self.out_via = 0
        self.out_to = None
        self._random = random
        self._lengths = array("H", [0] * slots)
        self._budget = Budget(answers_per_s, burst, per_source_ms, sources)
        self._notifier = notifier.Notifier(table, self._budget, self.out, self._lengths)
        self._renew()
        self._hint_ms = hint_ms
        self._seen = array("i", [-1] * slots)  # when a peer was last heard for certain, or asked
        self._swept = -1  # when _seen was last cleared of what is too old to matter; -1: nothing in it
        self._asked = -1  # slot whose peer waits for a response, at _asked_from by _asked_via
        self._asked_via = 0
        self._asked_from = None

    def receive(self, via, source, datagram, length, now):
        """Verdict, an index into VERDICTS, over datagram[:length] from endpoint `source`; see Notifier.decide."""
        verdict = self._notifier.decide(via, source, datagram, length, now)
        count = self.counters[verdict]
        if count < _SATURATED:
            self.counters[verdict] = count + 1
        if verdict < _NOT_ABOUT_IKE_SAS:
            self._concern(verdict, via, source, datagram, length, now)
        return verdict

    def _concern(self, verdict, via, source, datagram, length, now):
        """Tell the owner of an IKE SA what came for it."""
        slot = self._notifier.slot
        if verdict in _ANSWERS:
            return
        owner = self.owners[slot]
        if verdict == notifier.DELIVER_IKE:
            if owner and owner.receive(datagram, self._notifier.at, length, now):
                self.alive(slot, now)
                self._asked = slot
                self._asked_via = via
                self._asked_from = source
        elif verdict == notifier.INVALID_SPI_PROTECTED:
            if owner:
                owner.wayward(datagram, self._notifier.at)
        elif self._seen[slot] < 0 or elapsed(now, self._seen[slot]) >= self._hint_ms:
            self.alive(slot, now)
            if owner:
                owner.hint(now)

    @property
    def slot(self):
        """The IKE SA that the last verdict is about; for deliver-esp and deliver-ah the Child SA."""
        return self._notifier.slot

    def alive(self, slot, now):
        """Protected traffic of IKE SA `slot` was verified, an ESP packet perhaps: hints can wait (section 2.4)."""
        self._seen[slot] = now
        if self._swept < 0:
            self._swept = now

    def outgoing(self, now):
        """Length of the next datagram to send, in `out`, from our port `out_via` to endpoint `out_to`; 0 if none."""
        decided = self._notifier
        length = decided.length
        if length:
            decided.length = 0
            if decided.spent:
                self._renew()
            self.out_via = decided.via
            self.out_to = decided.to
            return length
        for slot in self._owned:
            length = self._outgoing(slot, self.owners[slot], now)
            if length:
                return length
        self._asked = -1
        return 0

    def _renew(self):
        """Fresh random SPIs for the next INVALID_SPI; the first octet is not zero, lest it pass for a marker."""
        spis = self._random(16)
        self._notifier.spis[:] = spis
        self._notifier.spis[0] |= 1
        self._notifier.spent = False

    def _outgoing(self, slot, owner, now):
        if slot == self._asked:
            self.out_via = self._asked_via
            self.out_to = self._asked_from
        else:
            self.out_to = self.table.ike_sa(slot)[3]
            self.out_via = PORT if self.out_to[-2:] == _PORT_500 else PORT_NAT
        marker = MARKER if self.out_via == PORT_NAT else 0
        self.out[:MARKER] = _NO_MARKER
        length = owner.outgoing(self.out, marker, now)
        if owner.failed:
            self.detach(slot)
            self.table.remove_ike(slot)
        elif length and not self.out[marker + wire.FLAGS] & wire.RESPONSE:
            self._notifier.answered(slot)
            self.expect(
                slot, self.out[marker + wire.EXCHANGE], self.out[marker + wire.MESSAGE_ID : marker + wire.LENGTH]
            )
        return length + marker if length else 0

    def next_timer(self, now):
        """Milliseconds until `tick` is due; -1 if there is no hurry."""
        wait = self._budget.next_timer(now)
        if self._swept >= 0:
            wait = sooner(wait, self._hint_ms - elapsed(now, self._swept))
        for slot in self._owned:
            wait = sooner(wait, self.owners[slot].next_timer(now))
        return wait

    def tick(self, now):
        """Let time pass; then ask `outgoing`."""
        self._budget.tick(now)
        if self._swept >= 0 and elapsed(now, self._swept) >= self._hint_ms:
            self._swept = -1
            for slot in range(len(self._seen)):
                if self._seen[slot] >= 0:
                    if elapsed(now, self._seen[slot]) >= self._hint_ms:
                        self._seen[slot] = -1
                    else:
                        self._swept = now

    def attach(self, slot, owner):
        """Make `owner` speak for IKE SA `slot`."""
        self.table.ike_sa(slot)
        self.owners[slot] = owner
        if slot not in self._owned:
            self._owned.append(slot)
        peer = self.table.ike_sa(slot)[3]
        self._lengths[slot] = owner.invalid_spi_length + (0 if peer[-2:] == _PORT_500 else MARKER)

    def detach(self, slot):
        """Nobody speaks for IKE SA `slot` any longer."""
        self.owners[slot] = None
        self._owned = [other for other in self._owned if other != slot]
        self._lengths[slot] = 0
        self._seen[slot] = -1
        self._notifier.answered(slot)

    def expect(self, slot, exchange, message_id):
        """A request of ours over IKE SA `slot` is on its way: exchange type, Message ID in four octets."""
        self._notifier.expect(slot, exchange, message_id)

    def answered(self, slot):
        """No request over IKE SA `slot` waits any longer."""
        self._notifier.answered(slot)
