"""One half-open IKE SA: IKE_SA_INIT answered, IKE_AUTH awaited (RFC 7296 sections 1.2, 2.1; rules A2, A7, A8, A13).

A `Responder` is the owner of an IKE SA that is not established yet, in owners.py's words, until IKE_AUTH has proved who
asks (accept.py); then an IkeSa takes its place. Its Acceptor (acceptor.py) makes the keys.
"""

import struct

from portable import const, elapsed, equal

from ..owners import ESTABLISHED
from ..sa.informational import IkeSa
from ..sa.payloads import (
    KE,
    NONCE,
    PROTOCOL_IKE,
    SA,
)
from ..sa.proposals import offer
from ..sa.reasons import NO_ROOM
from ..sa.rekeys import Rekeys
from ..sa.window import FRESH, IGNORED, RETRANSMITTED
from ..wire import EXCHANGE, FLAGS, HEADER, IKE_AUTH, INITIATOR, MESSAGE_ID, RESPONSE
from .accept import Acceptance
from .auth import Proof
from .sa_init import NONCE_SIZE, composed, nat_detection

_LONGEST = const(1480)  # octets of a message, and what a Child SA will need
_HALF_OPEN_MS = const(30000)
_REFUSED_MS = const(10000)  # how long a refusal is retransmitted


class Responder:
    """A half-open IKE SA, owner of `slot`, as owners.py describes one, for the peer at `source` with that request."""

    invalid_spi_length = 0
    longest = _LONGEST
    follows = True
    waiting = failed = False
    reason = ""
    policy = None
    established = False
    message = b""  # our response to IKE_SA_INIT
    kept = None  # an IKE_AUTH request that came before the secret was made: octets, source, our port (A7)
    proof = None  # the keys, once there are any
    secret = b""

    def __init__(self, acceptor, slot, source, request, chosen, theirs, value, now):
        self.slot = slot
        self.source = source
        self.accepted = request
        self.number, self.cipher, self.uses_ppk = chosen  # of the proposal, and in it; whether both ends say USE_PPK
        self.value_of_peer, self.nonce_of_peer = theirs
        self.value = value
        self.since = now
        self.refused = False
        self._acceptor = acceptor
        self._out = b""  # our last response
        self._due = False
        self._answered = b""  # the request that was refused

    def alive(self, now):
        """The peer was verified, which changes nothing here."""

    def hint(self, now, denied=False):
        """We have asked nothing that could be refused."""

    def report_unknown_spi(self, packet, at):
        """There is no IKE SA yet to tell it over."""

    def work(self, now):
        """The Acceptor does it."""

    def next_timer(self, now):
        """Milliseconds until `outgoing` has something to do; -1 if that depends on others."""
        return 0 if self._due else -1

    def outgoing(self, out, at, now):
        """Length of the message to send now, written to out[at:]; 0."""
        if not self._due:
            return 0
        self._due = False
        out[at : at + len(self._out)] = self._out
        return len(self._out)

    def retransmit(self):
        """The request of our last response was retransmitted (A2)."""
        self._due = bool(self._out)

    def left(self, now):
        """Milliseconds until its time is over."""
        return max(0, (_REFUSED_MS if self.refused else _HALF_OPEN_MS) - elapsed(now, self.since))

    def receive(self, message, at, length, now):
        """FRESH if message[at:length] is an IKE_AUTH request by who has the keys, RETRANSMITTED if it came before."""
        if (
            message[at + EXCHANGE] != IKE_AUTH
            or message[at + FLAGS] & (RESPONSE | INITIATOR) != INITIATOR
            or struct.unpack_from(">I", message, at + MESSAGE_ID)[0] != 1
            or not self.message
        ):
            return IGNORED
        if self.refused:
            if length - at != len(self._answered) or not equal(self._answered, 0, message, at, length - at):
                return IGNORED
            self.retransmit()
            return RETRANSMITTED
        node = self._acceptor.node
        if not self.proof:
            if not self.kept:
                self.kept = bytes(message[at:length]), bytes(node.source), node.via
            return IGNORED
        try:
            return FRESH if self._judge(message, at, length, node.source, node.via, now) else IGNORED
        except MemoryError:
            self._acceptor.drop(self, NO_ROOM)
            raise

    def respond(self):
        """Answer IKE_SA_INIT: our public value is there."""
        node = self._acceptor.node
        self.nonce = node.random(NONCE_SIZE)
        spi_i, spi_r = node.table.ike_sa(self.slot)[:2]
        number = self.value.number
        parts = [
            (SA, offer(PROTOCOL_IKE, b"", (self.cipher,), (number,), self.number)),
            (KE, struct.pack(">HH", number, 0) + self.value.octets),
            (NONCE, self.nonce),
        ]
        if self.uses_ppk:
            parts.append(self._acceptor.peers.ppk.asked)
        self.message = composed(spi_i, spi_r, RESPONSE, parts + nat_detection(node.random, spi_i, spi_r, self.source))
        self._say(self.message)

    def authenticate(self, secret, now):
        """The shared secret is there, and the IKE_AUTH request that it was made for can be opened."""
        self.secret = secret
        self.proof = Proof(self, *self._acceptor.node.table.ike_sa(self.slot)[:2], False)
        self.secret = b""
        kept, self.kept = self.kept, None
        message, source, via = kept
        self._judge(message, 0, len(message), source, via, now)

    # The rest is private.

    def _say(self, message):
        self._out = message
        self._due = True

    def _judge(self, message, at, length, source, via, now):
        """True if the IKE_AUTH request is verified; then it is answered, by us or by the IkeSa in our place."""
        octets = self.proof.sa.open(message, at, length)
        if octets is None:
            return False
        acceptor = self._acceptor
        node, peers, proof, slot = acceptor.node, acceptor.peers, self.proof, self.slot
        accepted = Acceptance(node, slot, peers, proof, message[at + HEADER], octets, self.uses_ppk)
        first, payloads = accepted.answer
        node.table.update_ike(slot, peer=source, via=via, established=accepted.peer is not None)  # A13
        if not accepted.peer:  # A8
            spi_i, spi_r = node.table.ike_sa(slot)[:2]
            self._say(proof.sealed(node.random, spi_i, spi_r, IKE_AUTH, RESPONSE, 1, first, payloads))
            self._answered = bytes(message[at:length])
            self.refused = True
            self.since = now
            acceptor.refused(source, accepted.claimed)
            return True
        child = accepted.child
        ike = IkeSa(node, slot, proof.sa, 0, 2, rekeys=Rekeys(accepted.peer, proof.sk_d))
        ike.window.respond(IKE_AUTH, 1, proof.sa.iv(node.random, True, 1), (first, payloads, False))
        node.attach(slot, ike)
        ike.alive(now)
        node.emit(ESTABLISHED, slot, child.slot if child else None)
        acceptor.done(self, accepted, now)
        return True
