"""One attempt to make an IKE SA with its Child SA: IKE_SA_INIT, IKE_AUTH with a pre-shared key, as initiator.

RFC 7296 sections 1.2, 2.1, 2.21 as RFC 7815 narrows them; rules N2, N5, N6, N9, N10, N13 to N15. An `Initiator` is the
owner of an IKE SA that is not established yet, in owners.py's words: it sends and retransmits, and turns into the
IkeSa that is, or fails with a reason. Messages are made and judged elsewhere: unprotected ones by sa_init.py, then by
auth.py.
"""

import struct

from portable import const, elapsed

from .. import wire
from ..net.memory import in_words
from ..owners import ESTABLISHED, FAILED
from ..sa import reasons
from ..sa.informational import IkeSa
from ..sa.payloads import PROTOCOL_IKE, chained, delete, notify
from ..sa.proposals import offer
from ..sa.rekeys import Rekeys
from ..sa.selectors import SELECTOR
from ..sa.window import FRESH, IGNORED
from ..wire import (
    EXCHANGE,
    FLAGS,
    HEADER,
    IKE_AUTH,
    IKE_SA_INIT,
    INFORMATIONAL,
    INITIATOR,
    MESSAGE_ID,
    RESPONSE,
)
from .auth import Authentication
from .sa_init import InitialExchange

_DATAGRAM = const(1480)  # what a Child SA will need to send (E7)
_FIRST_MS = const(500)
_TRIES = const(5)  # N2: sent so often, each pause twice as long as the one before
_FAREWELLS = const(3)

# Message IDs, by which what goes on is known.
_INIT = const(0)
_AUTH = const(1)
_FAREWELL = const(2)  # the attempt has failed, and the gateway is told
_OVER = const(3)
_EXCHANGES = (IKE_SA_INIT, IKE_AUTH, INFORMATIONAL, 0)


class _Agreed:
    """What an InitialExchange has come to, without what has made it, which takes room."""

    busy = False

    def __init__(self, init):
        self.nonce, self.nonce_of_peer, self.cipher = init.nonce, init.nonce_of_peer, init.cipher
        self.message, self.accepted, self.secret = init.message, init.accepted, init.secret
        self.doubtful = init.doubtful

    def hint(self, kind):
        self.doubtful = True


class Initiator:
    """The attempt to make what `policy` says of the IKE SA in `slot`, which is ours. A peer that is not at port 500 has
    one port for all; it is asked from 4500 with the marker.

    initial_contact -- we have lost all that we had with this gateway (N11); address -- the one inside that we have
    Afterwards: failed, code of reasons.py, reason in words, and doubtful,
    True if an attacker may have interfered (N14); or successor and child.
    """

    invalid_spi_length = 0
    follows = False  # N10
    established = False
    failed = False
    reason = ""
    code = 0
    successor = None
    child = None

    def __init__(self, node, slot, policy, now, initial_contact=False, address=None):
        spi_i, spi_r, initiator, peer, established = node.table.ike_sa(slot)
        if not initiator or established or any(spi_r):
            raise ValueError("IKE SA in slot %r: not one to begin" % slot)
        offered = len(offer(PROTOCOL_IKE, b"", policy.ciphers, policy.groups))
        asked = len(policy.id.encode()) + len(policy.gateway_id.encode()) + len(policy.remote) // SELECTOR * 16
        message = HEADER + offered + max(asked + 437, 184 + (256 if 14 in policy.groups else 32))
        self.longest = max(message, _DATAGRAM)  # the node makes room while the heap is in one piece
        self._node = node
        self.slot = slot
        self.policy = policy
        self._contact = initial_contact
        self._address = address
        self._init = InitialExchange(policy, node.random, spi_i, peer)
        self._auth = None
        self._state = _INIT
        self._request(b"")
        self._sent_at = now

    @property
    def doubtful(self):
        """True if a COOKIE, an INVALID_KE_PAYLOAD or a hint came, which anyone can have sent."""
        return self._init.doubtful

    @property
    def waiting(self):
        """True while a request of ours waits for its response."""
        return self._tries > 0 and self._state != _OVER

    @property
    def authenticating(self):
        """True from when IKE_AUTH is sent: the gateway may have an IKE SA now."""
        return self._auth is not None

    @property
    def authenticated(self):
        """True if the gateway has proved who it is."""
        return self.authenticating and self._auth.authenticated

    def report_unknown_spi(self, packet, at):
        """There is no IKE SA yet to tell it over."""

    def alive(self, now):
        """The gateway was verified, which changes nothing here."""

    def hint(self, now, denied=False):
        """An unauthenticated refusal (N5)."""
        self._init.hint(reasons.HINT)

    def next_timer(self, now):
        """Milliseconds until `work` or `outgoing` has something to do."""
        return self._left(now) if self.waiting and not self._init.busy else 0

    def work(self, now):
        """A slice of the key exchange; true if there is more of it to do."""
        try:
            if self._init.busy and self._init.step():
                if self._init.secret:
                    self._init = _Agreed(self._init)
                    self._authenticate()
                elif not self._init.accepted and self._init.message is not self._message:
                    self._request(self._init.message)
        except Exception as error:  # K14; a wrong known answer is one
            self.code = reasons.NO_KEYS
            self._fail(because=": " + in_words(error))
        return self._init.busy

    def outgoing(self, out, at, now):
        """Length of the message to send now, written to out[at:]; 0 if there is none. `out` needs `longest` octets."""
        if self._state == _OVER or self._init.busy or self._left(now):
            return 0
        if self._tries == (_FAREWELLS if self._state == _FAREWELL else _TRIES):
            self._time_is_over()
            return 0
        self._tries += 1
        self._sent_at = now
        out[at : at + len(self._message)] = self._message
        return len(self._message)

    def receive(self, message, at, length, now):
        """FRESH if the IKE message message[at:length] is the gateway's beyond doubt, else IGNORED."""
        if (
            message[at + FLAGS] & (RESPONSE | INITIATOR) != RESPONSE
            or message[at + EXCHANGE] != _EXCHANGES[self._state]
            or struct.unpack_from(">I", message, at + MESSAGE_ID)[0] != self._state
            or not self._tries
            or self._init.busy
        ):
            return IGNORED
        if self._state == _INIT:
            init = self._init
            if not init.secret and init.receive(message, at, length, self._tries) and not init.busy:
                self._request(init.message)
            return IGNORED
        octets = self._auth.proof.sa.open(message, at, length)
        if octets is None:
            return IGNORED
        if self._state == _AUTH:
            self._conclude(message[at + HEADER], octets, now)
        else:
            self._fail()
        return FRESH

    # The rest is private.

    def _left(self, now):
        return max(0, (_FIRST_MS << self._tries - 1) - elapsed(now, self._sent_at)) if self._tries else 0

    def _request(self, message):
        """A new request."""
        self._message = message
        self._tries = 0

    def _request_protected(self, state, first, octets):
        spi_i, spi_r = self._node.table.ike_sa(self.slot)[:2]
        sealed = self._auth.proof.sealed
        message = sealed(self._node.random, spi_i, spi_r, _EXCHANGES[state], INITIATOR, state, first, octets)
        self._state = state
        self._request(message)

    def _time_is_over(self):
        hinted = self._state == _INIT and self._init.hinted
        if self._state != _FAREWELL:
            self.code = hinted or (reasons.NO_RESPONSE_AUTH if self._state == _AUTH else reasons.NO_RESPONSE)
        self._fail(hinted)

    def _fail(self, said_in_clear=False, because=""):
        from ..sa.reasons import reason  # words take room

        self._state = _OVER
        self._message = b""
        self.failed = True
        self.reason = reason(self.code, said_in_clear) + because
        self._node.emit(FAILED, self.slot, self.reason)

    def _authenticate(self):
        """The shared secret is there. From here on everything goes from 4500 to 4500, or its one port (N10)."""
        init = self._init
        node = self._node
        spi_i, _, _, peer, _ = node.table.ike_sa(self.slot)
        spi_r = init.accepted[wire.SPI_R : wire.NEXT_PAYLOAD]
        try:
            spi_in = node.table.child.choose(node.random)
        except ValueError:
            self.code = reasons.NO_ROOM
            return self._fail()
        if node.table.via(self.slot) == wire.PORT:
            peer = peer[:-2] + bytes((wire.PORT_NAT >> 8, wire.PORT_NAT & 0xFF))
        node.table.update_ike(self.slot, spi_peer=spi_r, peer=peer, via=wire.PORT_NAT)
        self._auth = Authentication(self.policy, init, spi_i, spi_r, spi_in)
        self._request_protected(_AUTH, *self._auth.request(self._contact, self._address))
        init.message = init.accepted = init.secret = b""

    def _hand_over(self, child):
        """The IKE SA has another owner, and the Child SA its first one; all of it, or MemoryError."""
        node, auth = self._node, self._auth
        rekeys = Rekeys(self.policy, auth.proof.sk_d)
        successor = IkeSa(node, self.slot, auth.proof.sa, 2, 0, follows=False, rekeys=rekeys)
        if auth.lifetime:
            successor.lifetime = auth.lifetime
        self.child = child
        node.attach_child(child.slot, child)
        node.table.update_ike(self.slot, established=True)
        self.successor = successor
        node.attach(self.slot, successor)

    def _conclude(self, first, octets, now):
        """The gateway's verified answer to IKE_AUTH: an IKE SA with its Child SA, or none (N13 to N16)."""
        auth = self._auth
        table = self._node.table
        self.code = auth.judge(first, octets)
        child = auth.child
        if not self.code:
            try:
                child.slot = table.adopt_child(self.slot, wire.ESP, child.spi_in, child.spi_out)
            except ValueError:
                self.code = reasons.NO_ROOM
        if not self.code:
            try:
                self._hand_over(child)
            except Exception:  # K14: as if the response had not come
                self.successor = None
                table.remove_child(child.slot)
                raise
            self._state = _OVER
            self._node.emit(ESTABLISHED, self.slot, child.slot)
        elif auth.farewell < 0:
            self._fail()
        else:  # N13, N15
            farewell = notify(auth.farewell) if auth.farewell else delete()
            self._request_protected(_FAREWELL, *chained((farewell,)))
