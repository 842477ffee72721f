"""One receiving node: table, budget, decisions, the owners of its SAs, events, counters, timers. No I/O.

A driver (udp.py, or a test) does, for each datagram and whenever `next_timer` has run out:

    verdict = node.receive(via, source, datagram, length, now)      or node.tick(now)
    while length := node.outgoing(now):             (needless after verdicts beyond DELIVER_ESP)
        ... send node.out[:length] from our port node.out_via to node.out_to

`receive` allocates nothing up to the verdict and the unprotected answer. `now` is in milliseconds and wraps at 2**30,
as time.ticks_ms does. A hint (RFC 7296 section 2.21.4) is passed to the owner of the IKE SA, which makes a liveness
check of it, no more often than each `hint_ms` and not while the peer has just proved to be alive (section 2.4).

What an owner raises reaches the driver, once the others have had their turn; nothing is left half done.

A Node is an `Owners` (owners.py), which is whole by itself: an SA's life and the events need nothing of what is
received and sent, and whoever has the node attaches, removes and follows without a second object to pass around.
"""

from array import array

from portable import const, elapsed, micropython, ptr32, sooner

from . import notifier
from .budget import Budget
from .owners import HINT, Owners

_SATURATED = const(0x3FFFFFFF)
_INVALID_SPI_PROTECTED = const(3)
_HINT_INVALID_IKE_SPI = const(5)
_DELIVER_IKE = const(7)
_DELIVER_INIT = const(8)
_DELIVER_ESP = const(9)
_DELIVER_AH = const(10)
_PATIENT_MS = const(20)  # so long the others may have to wait for who works long
_FRESH = const(1)  # as sa/window.py has it

# As wire.py has them, whose they are: MicroPython folds only the constants of the same file.
_AH = const(51)
_AH_SPI = const(4)
_EXCHANGE = const(18)
_FLAGS = const(19)
_MESSAGE_ID = const(20)
_LENGTH = const(24)
_RESPONSE = const(0x20)
_INVALID_SPI_MESSAGE = const(40)
_PORT_NAT = const(4500)
_MARKER = const(4)

_NO_MARKER = bytes(_MARKER)
_IKE = b"\x01\xf4"  # ports 500 and 4500
_NAT = b"\x11\x94"


class Node(Owners):
    """A node over an SpiTable; random(n) gives n random octets; the limits are Budget's, or `budget` is one, and L4's.

    acceptor -- its receive(reply, via, source, datagram, length, now) answers IKE_SA_INIT requests, as Acceptor has it
    """

    acceptor = None

    def __init__(self, table, random, answers_per_s=1, burst=5, per_source_ms=3000, sources=8, hint_ms=10000,
                 budget=None):  # fmt: skip
        if not 0 <= hint_ms <= _SATURATED >> 2:
            raise ValueError("hint_ms %r" % hint_ms)
        lengths = array("H", [0] * table.size[0])
        self._budget = budget or Budget(answers_per_s, burst, per_source_ms, sources)
        self._notifier = notifier.Notifier(table, self._budget, lengths)
        self._decide = self._notifier.decide
        Owners.__init__(self, table, lengths, self._notifier.hints)
        self.random = random
        self.counters = array("I", [0] * len(notifier.VERDICTS))
        self.out = None
        self.out_via = 0
        self.out_to = None
        for template in self._notifier.invalid_spi_templates.values():
            self._renew(template)
        self.hint_ms = hint_ms
        self._hint = 0  # slot and verdict, an octet, of a hint that is not among the events yet
        self._moved = -1  # slot whose peer has moved, to where its reply goes
        self._reply_slot = -1  # whose peer waits for a response
        self._turn = 0  # place in `owned` of the last one that was asked
        self._busy = None  # `work` of whoever works long, while nobody has anything new to send
        self._asked_at = 0  # when all have last been asked what they have to send
        # Of the last verdict from invalid-spi-protected to deliver-ah: our port, the endpoint, and the slot of the IKE
        # SA that it is about, for deliver-esp and deliver-ah the Child SA's; -1: none.
        self.via = 0
        self.source = None
        self.slot = -1

    @micropython.viper
    def receive(self, via, source, datagram, length, now) -> int:
        """Verdict, an index into VERDICTS, over datagram[:length] from endpoint `source`; see Notifier.decide."""
        verdict = int(self._decide(via, source, datagram, length, now))
        counters = ptr32(self.counters)
        if counters[verdict] < _SATURATED:
            counters[verdict] += 1  # L6
        if _INVALID_SPI_PROTECTED <= verdict <= _DELIVER_AH:
            self._dispatch(verdict, via, source, datagram, length, now)
        return verdict

    def _dispatch(self, verdict, via, source, datagram, length, now):
        """Tell whoever is concerned what came: the owner of an SA, or who accepts."""
        self.via = via
        self.source = source
        self._busy = None
        self.slot = slot = self._notifier.slot
        if verdict >= _DELIVER_ESP:
            owner = self.child_owners.get(slot)
            if owner and owner.receive(datagram, 0, length, now):
                self._unattended = True
                self.alive(self.table.owner_of(slot), now)
            return
        if slot < 0:
            if self.acceptor:  # N19
                self.acceptor.receive(self._notifier, via, source, datagram, length, now)
            return
        owner = self.owners[slot]
        if not owner:
            return
        if verdict == _DELIVER_IKE or verdict == _DELIVER_INIT:
            received = owner.receive(datagram, _MARKER if via == _PORT_NAT else 0, length, now)
            if received:
                self._reply_slot = slot
                self._unattended = True
                if received == _FRESH:
                    self.alive(slot, now)
                    if verdict == _DELIVER_IKE and owner.follows and not self.table.is_at(slot, source, via):
                        self._moved = slot  # P6
        elif verdict == _INVALID_SPI_PROTECTED:
            owner.report_unknown_spi(datagram, _AH_SPI if via == _AH else 0)
        else:
            if owner.hint(now, verdict == _HINT_INVALID_IKE_SPI):  # R3
                self._hint = slot << 8 | verdict  # R2
            self._unattended = True

    def alive(self, slot, now):
        """Protected traffic of IKE SA `slot` was verified, an ESP packet perhaps: checks and hints can wait (2.4)."""
        if self.owners[slot]:
            self.owners[slot].alive(now)

    def outgoing(self, now):
        """Length of the next datagram to send, in `out`, from our port `out_via` to endpoint `out_to`; 0 if none."""
        decided = self._notifier
        if decided.out:
            self._address(decided.out, decided.to, decided.via)
            decided.out = None  # S1.8
            return len(self.out)
        while not self._busy or self._unattended:
            self._catch_up()
            length = self._of_ike_sas(now) or self._of_child_sas(now)
            if length:
                return length
            self._reply_slot = -1
            if not (self._unattended and self._followers):
                self._asked_at = now
                break
            self._busy = None
            self.attend(now)
        return 0

    def _catch_up(self):
        """Do what `receive` has put off, because it allocates."""
        decided = self._notifier
        if self._hint:
            self.emit(HINT, self._hint >> 8, notifier.VERDICTS[self._hint & 0xFF])
            self._hint = 0
        if self._moved >= 0:
            slot, self._moved = self._moved, -1
            self.table.update_ike(slot, peer=self.source, via=self.via)
        if decided.template_to_renew:
            self._renew(decided.template_to_renew)
            decided.template_to_renew = None

    def _of_ike_sas(self, now):
        """Length of the next message of an IKE SA's owner; they take turns."""
        left = len(self.owned)
        while left and self.owned:
            left -= 1
            self._turn = (self._turn + 1) % len(self.owned)
            slot = self.owned[self._turn]
            length = self._outgoing(slot, self.owners[slot], now)
            if length:
                return length
        return 0

    def _of_child_sas(self, now):
        """Length of the next packet of a Child SA's owner."""
        for slot in self.child_owners if self.child_owners else ():
            length = self.child_owners[slot].outgoing(self.buffer, 0, now)
            if length:
                to = self.table.ike_sa(self.table.owner_of(slot))[3]
                self._address(self.buffer, to[:-2] + _NAT if to[-2:] == _IKE else to, _PORT_NAT)  # N10
                return length
        return 0

    def _renew(self, template):
        """Fresh random SPIs in what will be an INVALID_SPI; the first octet is not zero, lest it pass for a marker."""
        at = len(template) - _INVALID_SPI_MESSAGE
        template[at : at + 16] = self.random(16)  # S1.6
        template[at] |= 1

    def _address(self, out, to, via):
        self.out = out
        self.out_to = to
        self.out_via = via

    def _outgoing(self, slot, owner, now):
        """What the owner of an IKE SA has to send: responses go where the request came from, requests to the peer."""
        out = self.buffer
        length = owner.outgoing(out, _MARKER, now)
        if length:
            response = out[_MARKER + _FLAGS] & _RESPONSE
            if response and slot == self._reply_slot:
                self._address(out, self.source, self.via)
            else:
                self._address(out, self.table.ike_sa(slot)[3], self.table.via(slot))
            if not response:
                self.hints.answered(slot)
                message_id = out[_MARKER + _MESSAGE_ID : _MARKER + _LENGTH]
                self.hints.expect(slot, out[_MARKER + _EXCHANGE], message_id)
                self._unattended = True  # K6: it waits
            if self.out_via == _PORT_NAT:  # F2
                out[:_MARKER] = _NO_MARKER
                length += _MARKER
            else:
                out[:length] = out[_MARKER : _MARKER + length]
        if owner.failed:
            self.remove(slot, owner.code)
        elif not owner.waiting and self.hints.outstanding:
            self.hints.answered(slot)
        return length

    def next_timer(self, now):
        """Milliseconds until `tick` is due; -1 if there is no hurry."""
        if self._busy or (self._unattended and self._followers):
            return 0
        wait = self._budget.next_timer(now)
        for slot in self.owned:
            wait = sooner(wait, self.owners[slot].next_timer(now))
        for follower in self._followers:
            wait = sooner(wait, follower.next_timer(now))
        return wait

    def tick(self, now):
        """Let time pass; then ask `outgoing`. Who works long is alone at it for so long as the others may wait."""
        work, self._busy = self._busy, None
        if self._unattended or not work or not work(now):
            work = self._work(now)
        if work and elapsed(now, self._asked_at) < _PATIENT_MS:
            self._busy = work

    def _work(self, now):
        """Let time pass for everybody; who has more to do."""
        self._budget.tick(now)
        error = working = None
        for work in [self.owners[slot].work for slot in self.owned] + [follower.tick for follower in self._followers]:
            try:
                if work(now):
                    working = work
            except Exception as raised:
                error = raised
        if error:
            raise error
        return working
