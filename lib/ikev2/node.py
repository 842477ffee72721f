"""One receiving node: table, budget, decisions, the owners of its IKE SAs, counters, timers. No I/O.

A driver (udp.py, or a test) does, for each datagram and whenever `next_timer` has run out:

    verdict = node.receive(via, source, datagram, length, now)      or node.tick(now)
    while length := node.outgoing(now):             (needless after verdicts beyond DELIVER_IKE)
        ... send node.out[:length] from our port node.out_via to node.out_to

`receive` allocates nothing up to the verdict and the unprotected answer. `now` is in milliseconds and wraps
at 2**30, as time.ticks_ms does. A hint (RFC 7296 section 2.21.4) is passed to the owner of the IKE SA as a
request for a liveness check, no more often than each `hint_ms` and not if the peer has proved to be alive
within that time (section 2.4).

An owner is any object with the methods that informational.IkeSa has: wayward(datagram, at), hint(now),
receive(datagram, at, length, now) -> 1 if the message is the peer's and new, 2 if it is a request repeated, else 0;
outgoing(out, at, now) -> length; next_timer(now); and the attributes invalid_spi_length, waiting (a request of its
own has no response yet) and failed: the IKE SA is over, and goes from the table with its Child SAs.
"""

from array import array

from . import notifier, wire
from .budget import Budget, elapsed
from .wire import MARKER, PORT, PORT_NAT, const, micropython, ptr32

_SATURATED = const(0x3FFFFFFF)
_OUT = const(256)
_INVALID_SPI_PROTECTED = const(3)
_DELIVER_IKE = const(7)
_PORT_500 = b"\x01\xf4"
_NO_MARKER = bytes(MARKER)


def sooner(a, b):
    """The earlier of two waits in milliseconds, of which -1 is none."""
    return b if a < 0 or 0 <= b < a else a


class Node:
    """A node over an SpiTable; random(n) gives n random octets; the limits are those of Budget, and L4's."""

    def __init__(self, table, random, answers_per_s=1, burst=5, per_source_ms=3000, sources=8, hint_ms=10000):
        if not 0 <= hint_ms <= _SATURATED >> 2:
            raise ValueError("hint_ms %r" % hint_ms)
        slots = table.size[0]
        self.table = table
        self.counters = array("I", [0] * len(notifier.VERDICTS))
        self.owners = [None] * slots
        self._owned = []  # slots that have an owner
        self.out = None
        self._out = bytearray(_OUT)  # for what the owners say
        self.out_via = 0
        self.out_to = None
        self._random = random
        self._lengths = array("H", [0] * slots)
        self._budget = Budget(answers_per_s, burst, per_source_ms, sources)
        self._notifier = notifier.Notifier(table, self._budget, self._lengths)
        for blank in self._notifier.hints.values():
            self._renew(blank)
        self._hint_ms = hint_ms
        self._seen = array("i", [-1] * slots)  # when a peer was last heard for certain, or asked
        self._swept = -1  # when _seen was last cleared of what is too old to matter; -1: nothing in it
        self._asked = -1  # slot whose peer waits for a response, at _asked_from by _asked_via
        self._asked_via = 0
        self._asked_from = None

    @micropython.viper
    def receive(self, via, source, datagram, length, now) -> int:
        """Verdict, an index into VERDICTS, over datagram[:length] from endpoint `source`; see Notifier.decide."""
        verdict = int(self._notifier.decide(via, source, datagram, length, now))
        counters = ptr32(self.counters)
        if counters[verdict] < _SATURATED:
            counters[verdict] += 1
        if verdict >= _INVALID_SPI_PROTECTED:
            if verdict <= _DELIVER_IKE:
                self._concern(verdict, via, source, datagram, length, now)
        return verdict

    def _concern(self, verdict, via, source, datagram, length, now):
        """Tell the owner of an IKE SA what came for it."""
        slot = self._notifier.slot
        owner = self.owners[slot]
        if verdict == notifier.DELIVER_IKE:
            heard = owner.receive(datagram, MARKER if via == PORT_NAT else 0, length, now) if owner else 0
            if heard:
                self._asked = slot
                self._asked_via = via
                self._asked_from = source
                if heard == 1:
                    self.alive(slot, now)
        elif verdict == notifier.INVALID_SPI_PROTECTED:
            if owner:
                owner.wayward(datagram, wire.AH_SPI if via == wire.AH else 0)
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
        if decided.out:
            self.out = decided.out
            self.out_via = decided.via
            self.out_to = decided.to
            decided.out = None
            return len(self.out)
        if decided.spent:
            self._renew(decided.spent)
            decided.spent = None
        for slot in self._owned:
            length = self._outgoing(slot, self.owners[slot], now)
            if length:
                return length
        self._asked = -1
        return 0

    def _renew(self, blank):
        """Fresh random SPIs in what will be an INVALID_SPI; the first octet is not zero, lest it pass for a marker."""
        at = len(blank) - wire.INVALID_SPI_MESSAGE
        blank[at : at + 16] = self._random(16)
        blank[at] |= 1

    def _outgoing(self, slot, owner, now):
        """What the owner of an IKE SA has to say: responses go where the request came from, requests to the peer."""
        out = self._out
        length = owner.outgoing(out, MARKER, now)
        if length:
            response = out[MARKER + wire.FLAGS] & wire.RESPONSE
            if response and slot == self._asked:
                self.out_via = self._asked_via
                self.out_to = self._asked_from
            else:
                self.out_to = self.table.ike_sa(slot)[3]
                self.out_via = PORT if self.out_to[-2:] == _PORT_500 else PORT_NAT
            if not response:
                self._notifier.answered(slot)
                self.expect(slot, out[MARKER + wire.EXCHANGE], out[MARKER + wire.MESSAGE_ID : MARKER + wire.LENGTH])
            if self.out_via == PORT_NAT:
                out[:MARKER] = _NO_MARKER
                length += MARKER
            else:
                out[:length] = out[MARKER : MARKER + length]
            self.out = out
        if owner.failed:
            self.detach(slot)
            self.table.remove_ike(slot)
        elif not owner.waiting and self._notifier.requests:
            self._notifier.answered(slot)
        return length

    def next_timer(self, now):
        """Milliseconds until `tick` is due; -1 if there is no hurry."""
        wait = self._budget.next_timer(now)
        if self._swept >= 0:
            wait = sooner(wait, max(0, self._hint_ms - elapsed(now, self._swept)))
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
        self._lengths[slot] = owner.invalid_spi_length + MARKER  # the peer may move to 4500

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
