"""Who answers IKE_SA_INIT: half-open IKE SAs, bounded, and what is answered without any (rules A1 to A7, A12).

RFC 7296 sections 1.2, 2.6, 2.7, 2.12, 2.23. An `Acceptor` is told of each IKE_SA_INIT request that a node gets, and
makes a `Responder` for one that it takes. All long work is the Acceptor's, one key exchange at a time, in slices: a
public value serves for a minute, and no secret is made before IKE_AUTH has come.
"""

from portable import const, elapsed, equal, sooner

from .. import wire
from ..budget import Budget
from ..crypto import group
from ..sa import reasons
from ..sa.payloads import (
    KE,
    NONCE,
    PROTOCOL_IKE,
    SA,
    notify,
    uint16,
)
from ..sa.proposals import choose
from ..wire import EXCHANGE, FLAGS, IKE_SA_INIT, INITIATOR, MARKER, MESSAGE_ID, PORT_NAT, RESPONSE
from .cookie import Cookies
from .responder import Responder
from .sa_init import (
    COOKIE,
    NAT_DETECTION_DESTINATION_IP,
    NAT_DETECTION_SOURCE_IP,
    composed,
    contents,
    value_and_nonce,
)

_SIZES = {31: 32, 14: 256}  # octets of a public value
_SETTLED_MS = const(5000)  # from when on another may take a half-open IKE SA's place
_VALUE_MS = const(60000)
# A12: with 20 answers a second, repetitions at multiples of 500 ms (N2) would always find the same others before them.
_OUT_OF_STEP = 0.965
_LOOK_MS = const(200)  # so often, while there is work


class _Value:
    """Our public value in a group: b"" until it is made."""

    def __init__(self, number, random, now):
        self.number = number
        self.dh = group(number, random)
        self.dh.begin()
        self.octets = b""
        self.made_at = now


class Acceptor:
    """Who answers IKE_SA_INIT in a node, for the Peers that may come; a follower of the node.

    admit(slot, accepted, now) is called for each IKE SA that is established, with its Acceptance; refuse(source, id)
    for each IKE_AUTH that is refused, with the body of the ID payload that it claims.
    half_open, of_address -- IKE SAs in the making at most, and of one address (A6)
    cookies_from -- so many of them, and the next one needs a cookie (A5)
    answers_per_s -- answers without state (A12)
    """

    def __init__(self, node, peers, admit, refuse=None, half_open=4, of_address=2, cookies_from=2, answers_per_s=20):
        self.node = node
        self.peers = peers
        self.half_open = []  # the oldest first
        self._admit = admit
        self.refused = refuse or (lambda source, id: None)
        self._room = half_open
        self._of_address = of_address
        self._cookies_from = cookies_from
        self._cookies = Cookies(node.random)
        self._budget = Budget(answers_per_s * _OUT_OF_STEP, answers_per_s, 0, 1)
        self._values = {}  # by group
        self._looked_at = -1
        self._work = None  # (a _Value, the Responder whose secret is made, None for the value itself)

    # What the node asks.

    def receive(self, reply, via, source, datagram, length, now):
        """Answer an IKE_SA_INIT request outside of any IKE SA: without state by `out`, `via` and `to` of `reply`."""
        reply.out = self._answer(via, source, datagram, length, now)
        reply.via = via
        reply.to = source

    def take(self, kind, slot, detail, now):
        """Events are nothing that `tick` does not see."""

    def attend(self, now):
        """Nor does this."""

    def next_timer(self, now):
        """Milliseconds until `tick` has something to do; -1."""
        if self._work or self._next():
            return 0
        wait = sooner(self._cookies.next_timer(now), self._budget.next_timer(now))
        for responder in self.half_open:
            wait = sooner(wait, responder.left(now))
        for value in self._values.values():
            wait = sooner(wait, max(0, _VALUE_MS - elapsed(now, value.made_at)))
        return wait

    def tick(self, now):
        """Let time pass, and do a slice of the work; true if there is more of it to do."""
        if not self._work or not 0 <= now - self._looked_at < _LOOK_MS:
            self._look(now)
        self._step(now)
        return self._work is not None

    # What a Responder asks.

    def done(self, responder, accepted, now):
        """Its IKE SA is established."""
        self.half_open.remove(responder)
        self._admit(responder.slot, accepted, now)

    def drop(self, responder, reason):
        """Nothing comes of it."""
        if self._work and self._work[1] is responder:
            self._work = None
        if responder in self.half_open:
            self.half_open.remove(responder)
        self.node.remove(responder.slot, reason)

    # The rest is private.

    def _answer(self, via, source, datagram, length, now):
        """The answer without state, as a datagram; None."""
        at = MARKER if via == PORT_NAT else 0
        spi_i = bytes(datagram[at : at + 8])
        if (
            datagram[at + EXCHANGE] != IKE_SA_INIT  # A1
            or datagram[at + FLAGS] & (RESPONSE | INITIATOR) != INITIATOR
            or any(datagram[at + MESSAGE_ID : at + wire.LENGTH])
            or any(datagram[at + wire.SPI_R : at + wire.NEXT_PAYLOAD])
            or not any(spi_i)
        ):
            return None
        for responder in self.half_open:  # A2
            request = responder.accepted
            if (
                responder.source == source
                and len(request) == length - at
                and equal(request, 0, datagram, at, length - at)
            ):
                if not responder.refused:
                    responder.retransmit()
                return None
        if self._lives(spi_i, source):
            return None
        answer = self._consider(via, source, datagram, at, length, spi_i, now)
        if not answer:
            return None
        message = bytes(at) + composed(spi_i, b"", RESPONSE, [answer])
        return message if len(message) <= length and self._budget.allow(source, 1, now) else None  # A12

    def _look(self, now):
        """Whose time is over."""
        self._looked_at = now
        self._cookies.tick(now)
        self._budget.tick(now)
        for responder in list(self.half_open):
            if self.node.owners[responder.slot] is not responder:
                self.half_open.remove(responder)
            elif not responder.left(now):
                self.drop(responder, reasons.AUTHENTICATION_FAILED if responder.refused else reasons.NO_RESPONSE_AUTH)
        for number in list(self._values):
            if elapsed(now, self._values[number].made_at) >= _VALUE_MS:
                del self._values[number]

    def _lives(self, spi_i, source):
        """True if an IKE SA is alive that has begun, or whose rekey was begun, with that SPI from there."""
        table = self.node.table
        for slot in table.ike_sas():
            its, _, initiator, peer, established = table.ike_sa(slot)
            if its == spi_i and established and not initiator and peer[:-2] == source[:-2]:
                return True
        return False

    def _consider(self, via, source, datagram, at, length, spi_i, now):
        """Begin an IKE SA, or return the Notify payload with the reason; None: silence."""
        fault, found, notifies = contents(datagram, at, length)
        if fault or SA not in found or KE not in found or NONCE not in found:
            return None
        nonce = bytes(datagram[found[NONCE][0] : found[NONCE][1]])
        proved = False
        kinds = [kind for kind, _, _ in notifies]
        if COOKIE in kinds:
            _, start, stop = notifies[kinds.index(COOKIE)]
            proved = self._cookies.accepts(bytes(datagram[start:stop]), nonce, source, spi_i)
        if not proved and len(self.half_open) >= self._cookies_from:  # A5
            return notify(COOKIE, self._cookies.make(nonce, source, spi_i, now))
        if NAT_DETECTION_SOURCE_IP not in kinds or NAT_DETECTION_DESTINATION_IP not in kinds:  # A4
            return notify(reasons.NO_PROPOSAL_CHOSEN)
        ke = uint16(datagram, found[KE][0]) if found[KE][1] - found[KE][0] >= 4 else 0
        peers = self.peers
        refusal, number, cipher, its_group, _ = choose(
            datagram, *found[SA], PROTOCOL_IKE, 0, peers.ciphers, peers.groups, ke if peers.as_sent else 0
        )
        if refusal:
            return notify(refusal) if refusal == reasons.NO_PROPOSAL_CHOSEN else None
        if its_group != ke:  # A3
            return notify(reasons.INVALID_KE_PAYLOAD, bytes((0, its_group)))
        uses_ppk = bool(peers.ppk) and peers.ppk.is_asked(notifies)  # Q4
        theirs = value_and_nonce(datagram, found, ke, _SIZES[ke])
        value = self._value(ke, now) if theirs else None
        if value is not None and self._has_room(source, proved, now):
            request = bytes(datagram[at:length])
            self._begin(via, bytes(source), request, spi_i, (number, cipher, uses_ppk), theirs, value, now)
        return None

    def _has_room(self, source, proved, now):
        """A6: True if there is room for one more half-open IKE SA, made if need be and if it may."""
        address = source[:-2]
        among = [responder for responder in self.half_open if responder.source[:-2] == address]
        if len(among) < self._of_address:
            if len(self.half_open) < self._room:
                return True
            among = self.half_open
        for responder in among if proved else ():
            if not responder.kept and elapsed(now, responder.since) >= _SETTLED_MS:
                self.drop(responder, reasons.NO_ROOM)
                return True
        return False

    def _value(self, number, now):
        """Our public value in that group; None if this machine has it not, which is not asked again."""
        if number not in self._values:
            try:
                self._values[number] = _Value(number, self.node.random, now)
            except NotImplementedError:
                self._withdraw(number)
        return self._values.get(number)

    def _withdraw(self, number):
        self.peers.groups = tuple([group for group in self.peers.groups if group != number])

    def _begin(self, via, source, request, spi_i, chosen, theirs, value, now):
        node = self.node
        try:
            slot = node.table.add_ike(node.random, False, source, spi_i, False, via)
        except ValueError:  # no room in the table
            return
        try:
            responder = Responder(self, slot, source, request, chosen, theirs, value, now)
            node.attach(slot, responder)
            self.half_open.append(responder)
        except MemoryError:
            node.remove(slot, reasons.NO_ROOM)
            raise
        if value.octets:
            responder.respond()

    def _next(self):
        """What is to be done next: (a _Value, the Responder whose secret it is, or None for the value itself)."""
        for responder in self.half_open:
            if responder.kept and not responder.proof:
                return responder.value, responder
        for responder in self.half_open:
            if not responder.message:
                return responder.value, None
        return None

    def _step(self, now):
        """A slice of one key exchange (A6)."""
        if not self._work:
            self._work = self._next()
            if not self._work:
                return
            if self._work[1]:
                self._work[0].dh.begin(self._work[1].value_of_peer)
        value, responder = self._work
        try:
            if not value.dh.step():
                return
        except NotImplementedError:  # a wrong known answer, or this machine has it not
            self._work = None
            self._withdraw(value.number)
            self._without(value)
            return
        except MemoryError:
            self._work = None
            self._without(value)
            raise
        self._work = None
        if responder and self.node.owners[responder.slot] is not responder:  # it has gone meanwhile
            return
        if not responder:
            value.octets = value.dh.value
            for waiting in self.half_open:
                if waiting.value is value and not waiting.message:
                    waiting.respond()
        elif value.dh.value is None:  # N8
            self.drop(responder, reasons.MALFORMED)
        else:
            try:
                responder.authenticate(value.dh.value, now)
            except MemoryError:
                self.drop(responder, reasons.NO_ROOM)
                raise

    def _without(self, value):
        """No key exchange comes of that value."""
        self._values.pop(value.number, None)
        for responder in [responder for responder in self.half_open if responder.value is value]:
            self.drop(responder, reasons.NO_KEYS)
