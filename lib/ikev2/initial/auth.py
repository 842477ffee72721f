"""IKE_AUTH with a pre-shared key: what both ends sign; as initiator what we ask for, and whether the gateway is right.

RFC 7296 sections 2.9, 2.15, 2.19, 2.21.2, 3.5, 3.8, 3.13, 3.15; rules N11 to N18, N20, N22. A `Proof` has the keys of
one IKE SA in the making, and of both IKE_SA_INIT messages what must be signed; accept.py is the responder's part.
"""

import struct

from portable import const

from .. import wire
from ..crypto.octets import same
from ..sa import keys, reasons, sk
from ..sa.payloads import (
    AUTH,
    CP,
    ID_I,
    ID_R,
    NOTIFY,
    PROTOCOL_ESP,
    SA,
    TS_I,
    TS_R,
    UNKNOWN_CRITICAL,
    bodies,
    chained,
    is_error,
    notify,
    uint16,
)
from ..sa.policy import Child
from ..sa.proposals import choose, offer
from ..sa.selectors import (
    ALL,
    SELECTOR,
    SELECTORS_MAX,
    cp_request,
    cut,
    host,
    id_body,
    read_cp,
    read_ts,
    same_id,
    ts_body,
    within,
)

_SHARED_KEY = const(2)  # Auth Method, section 3.8
_AUTH = const(36)  # octets of its body
_WANTED = (ID_R, AUTH, CP, SA, TS_I, TS_R)
_INITIAL_CONTACT = const(16384)
_AUTH_LIFETIME = const(16403)  # RFC 4478
_NO_FAREWELL = const(-1)
_DELETE = const(0)


class Proof:
    """The keys of an IKE SA in the making and what each end signs with them (section 2.15), for either role.

    `init` has secret, cipher, both nonces (nonce, nonce_of_peer) and both IKE_SA_INIT messages (message, accepted).
    ours, theirs -- what each end signs: its IKE_SA_INIT, the other's nonce, its SK_p
    """

    def __init__(self, init, spi_i, spi_r, initiator):
        ours, theirs = init.nonce, init.nonce_of_peer
        self.ni, self.nr = (ours, theirs) if initiator else (theirs, ours)
        seed = keys.skeyseed(init.secret, self.ni, self.nr)
        made = keys.ike_keys(init.cipher, seed, self.ni, self.nr, spi_i, spi_r)
        self.sk_d, sk_ai, sk_ar, sk_ei, sk_er, sk_pi, sk_pr = made
        self.sa = sk.protection(init.cipher, initiator, sk_ei, sk_er, sk_ai, sk_ar)
        sk_p, sk_p_of_peer = (sk_pi, sk_pr) if initiator else (sk_pr, sk_pi)
        self.ours = init.message, theirs, sk_p
        self.theirs = init.accepted, ours, sk_p_of_peer

    def sign(self, psk, id):
        """Body of our AUTH payload, with that body of our ID payload; once (N12)."""
        ours, self.ours = self.ours, None
        return bytes((_SHARED_KEY, 0, 0, 0)) + keys.auth(psk, *ours, id)

    def is_signed(self, psk, octets, id, auth):
        """True if the peer knows the psk, too (N13): where in the octets the bodies of its ID and AUTH payloads are."""
        signed = keys.auth(psk, *self.theirs, bytes(octets[id[0] : id[1]]))
        at, stop = auth
        return stop - at == _AUTH and octets[at] == _SHARED_KEY and same(signed, octets, at + 4, len(signed))

    def sealed(self, random, spi_i, spi_r, exchange, flags, message_id, first, octets):
        """A message of the IKE SA with these payloads."""
        sa = self.sa
        message = bytearray(sa.length(len(octets)))
        struct.pack_into(">8s8sBBBBI", message, 0, spi_i, spi_r, wire.SK, wire.VERSION_2, exchange, flags, message_id)
        sa.seal(message, 0, first, octets, sa.iv(random, flags & wire.RESPONSE != 0, message_id))
        return message


class Authentication:
    """As initiator, from an InitialExchange with its secret, and both SPIs; `spi_in` is to be our SPI of the Child SA.

    After `judge`: child, lifetime (the data of AUTH_LIFETIME: seconds, four octets), authenticated, True if the
    gateway's AUTH was right, and what is to be sent over the IKE SA if it must end: farewell, a notify type, 0 for
    Delete, -1 for nothing.
    """

    child = None
    authenticated = False
    lifetime = b""
    farewell = _NO_FAREWELL

    def __init__(self, policy, init, spi_i, spi_r, spi_in):
        self.proof = Proof(init, spi_i, spi_r, True)
        if policy.ppk:
            policy.ppk.mix(self.proof)
        self._policy = policy
        self._spi_in = spi_in

    def request(self, initial_contact, address):
        """(type of the first, octets) of the payloads of our request (N11); `address`: the one inside that we have."""
        policy = self._policy
        id = id_body(policy.id)
        parts = [(ID_I, id)]
        if initial_contact:
            parts.append(notify(_INITIAL_CONTACT))
        if policy.gateway_id:
            parts.append((ID_R, id_body(policy.gateway_id)))
        parts.append((AUTH, self.proof.sign(policy.psk, id)))
        if policy.inside is None:
            parts.append((CP, cp_request(address)))
        parts.append((SA, offer(PROTOCOL_ESP, self._spi_in, policy.ciphers)))
        parts.append((TS_I, ts_body(self._proposed())))
        parts.append((TS_R, ts_body(policy.remote)))
        if policy.ppk:
            parts.append(policy.ppk.named)
        return chained(parts)

    def _proposed(self):
        return ALL if self._policy.inside is None else host(self._policy.inside)  # N20

    def judge(self, first, octets):
        """0 and `child`, or why the gateway's response is none that we take, as reasons.py has it."""
        found = {}
        error = 0
        malformed = False
        for kind, start, stop in bodies(first, octets, 0, len(octets)):
            if kind <= UNKNOWN_CRITICAL:  # N17
                self.farewell = _DELETE
                return reasons.UNSUPPORTED_CRITICAL_PAYLOAD
            if kind == NOTIFY:
                notify = uint16(octets, start + 2)
                if is_error(notify):
                    error = error or notify
                elif notify == _AUTH_LIFETIME and stop - start == 8:
                    self.lifetime = bytes(octets[stop - 4 : stop])
            elif kind < 0 or kind in found:
                malformed = True
            elif kind in _WANTED:
                found[kind] = start, stop
        if malformed:
            self.farewell = _DELETE
            return reasons.MALFORMED
        if AUTH not in found:
            return error or reasons.MALFORMED
        self.farewell = reasons.AUTHENTICATION_FAILED
        if self._policy.ppk and not self._policy.ppk.is_used(first, octets):  # Q1
            return reasons.NO_PPK
        if ID_R not in found or (
            self._policy.gateway_id and not same_id(octets, *found[ID_R], self._policy.gateway_id)
        ):
            return reasons.WRONG_ID
        if not self.proof.is_signed(self._policy.psk, octets, found[ID_R], found[AUTH]):
            return reasons.WRONG_AUTH
        self.farewell = _DELETE
        self.authenticated = True
        return error or self._make(octets, found)

    def _make(self, octets, found):
        """N16, N20: the Child SA, or what is wrong with it."""
        policy = self._policy
        if SA not in found or TS_I not in found or TS_R not in found:
            return reasons.MALFORMED
        refusal, _, cipher, _, spi_out = choose(octets, *found[SA], PROTOCOL_ESP, 4, policy.ciphers, (), exact=True)
        if refusal:
            return reasons.WRONG_SUITE
        inside, others_inside = read_ts(octets, *found[TS_I]) or (b"", 0)
        remote, others = read_ts(octets, *found[TS_R]) or (b"", 0)
        if (
            others_inside + others
            or max(len(inside), len(remote)) > SELECTORS_MAX * SELECTOR
            or not within(inside, self._proposed())
            or not within(remote, policy.remote)
        ):
            return reasons.WRONG_SELECTORS
        if policy.inside is None:
            address, servers = (read_cp(octets, *found[CP]) if CP in found else None) or (None, b"")
            inside = cut(host(address), inside) if address else b""
            if not inside:
                return reasons.NO_ADDRESS
        key_out, key_in = keys.child_keys(cipher, self.proof.sk_d, self.proof.ni, self.proof.nr)
        self.child = Child(cipher, self._spi_in, spi_out, key_in, key_out, inside, remote)
        if policy.inside is None:
            self.child.servers = servers
        return 0
