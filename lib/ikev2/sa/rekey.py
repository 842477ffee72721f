"""CREATE_CHILD_SA, answered: the gateway replaces a Child SA or the IKE SA; nothing else is agreed to.

RFC 7296 sections 1.3.2, 1.3.3, 2.8, 2.17, 2.18; rules K1 to K3, K9. Old and new live beside each other until the
gateway deletes the old. A shared secret is made in slices before the response leaves. What becomes of a refused
request is nothing: the window repeats the refusal as it repeats any answer.
"""

import struct

from portable import const

from ..crypto import group
from ..owners import CHILD_NEW, REPLACED
from ..wire import ESP
from . import keys, sk
from .informational import IkeSa
from .payloads import INVALID_SYNTAX, NO_ADDITIONAL_SAS, TEMPORARY_FAILURE, notify_type
from .policy import Child
from .proposals import PROTOCOL_ESP, PROTOCOL_IKE, choose, offer, two
from .reasons import CHILD_SA_NOT_FOUND, INVALID_KE_PAYLOAD, TS_UNACCEPTABLE
from .selectors import KE, NONCE, NOTIFY, SA, SELECTOR, TS_I, TS_R, chained, cut, notify_body, read_ts, ts_body

_ONCE = (SA, KE, NONCE, TS_I, TS_R)
_REKEY_SA = const(16393)
_NONCE = const(32)
_NONCE_MIN = const(16)
_NONCE_MAX = const(256)
_LONGEST = const(216)  # octets of a response without KE data and selectors
_MODP = const(14)


class Rekeys:
    """Answers for one IKE SA with the suites of `policy`, whose SK_d that is.

    `selectors` are those of its Child SAs: {inbound SPI: (inside, remote)}.
    """

    def __init__(self, policy, sk_d, selectors):
        self._policy = policy
        self.sk_d = sk_d
        self._selectors = selectors
        self._dh = None  # a key exchange on its way, then what goes on once it is done
        self._peer_value = b""
        self._ours = b""
        self._then = None
        count = max([len(inside) + len(remote) for inside, remote in selectors.values()] or (0,)) // SELECTOR
        self.longest = _LONGEST + (256 if _MODP in policy.groups else 32) + 16 * count

    def begin(self, ike, found, octets):
        """(type of the first payload, payloads, True if the IKE SA is over) in answer to a CREATE_CHILD_SA request.

        `ike` is the IkeSa, `found` the payloads' chain in `octets`. None if it takes longer: then ask `step`.
        """
        bodies = {}
        rekeyed = None
        for kind, start, stop in found:
            if kind in bodies:
                return _refusal(INVALID_SYNTAX)
            if kind in _ONCE:
                bodies[kind] = start, stop
            elif kind == NOTIFY and notify_type(octets, start) == _REKEY_SA:
                if octets[start + 1] != 4:
                    return _refusal(INVALID_SYNTAX)
                rekeyed = octets[start], bytes(octets[start + 4 : start + 8])
        start, stop = bodies.get(NONCE, (0, 0))
        if SA not in bodies or not _NONCE_MIN <= stop - start <= _NONCE_MAX:
            return _refusal(INVALID_SYNTAX)
        nonce = bytes(octets[start:stop])
        start, stop = bodies[SA]
        if stop - start > 5 and octets[start + 5] == PROTOCOL_IKE:
            return self._replace_ike(ike, bodies, octets, nonce)
        if rekeyed is None:
            return _refusal(NO_ADDITIONAL_SAS)
        return self._replace_child(ike, bodies, octets, nonce, *rekeyed)

    def step(self, ike):
        """A slice of what takes long; then the same as `begin`."""
        try:
            if not self._dh.step():
                return None
            if not self._ours:
                self._ours = self._dh.value
                self._dh.begin(self._peer_value)
                return None
            secret = self._dh.value
            ke = struct.pack(">HH", self._dh.number, 0) + self._ours
            made = _refusal(INVALID_SYNTAX) if secret is None else self._then(secret, ke)
        except (MemoryError, NotImplementedError):  # a wrong known answer is one
            made = _refusal(TEMPORARY_FAILURE)
        self._dh = self._then = None
        self._ours = b""
        return made

    # The rest is private.

    def _exchange(self, ike, bodies, octets, number, then):
        """then(secret, our KE body) once the key exchange in the group of that number is done."""
        start, stop = bodies.get(KE, (0, 0))
        if stop - start < 4 or two(octets, start) != number:
            return _refusal(INVALID_KE_PAYLOAD, struct.pack(">H", number))
        dh = group(number, ike.node.random)
        if stop - start != 4 + dh.size:
            return _refusal(INVALID_SYNTAX)
        self._peer_value = bytes(octets[start + 4 : stop])
        self._then = then
        self._dh = dh
        dh.begin()
        return None

    def _replace_child(self, ike, bodies, octets, nonce, protocol, spi_old):
        """K1: a successor of the Child SA whose outbound SPI that is."""
        table = ike.node.table
        old = -1
        known = {}
        for slot in table.children(ike.slot):
            _, its_protocol, spi_in, spi_out = table.child_sa(slot)
            if spi_in in self._selectors:
                known[spi_in] = self._selectors[spi_in]
                if protocol == PROTOCOL_ESP and its_protocol == ESP and spi_out == spi_old:
                    old = slot
                    old_spi = spi_in
        self._selectors = known
        if old < 0:
            return _refusal(CHILD_SA_NOT_FOUND, b"", protocol, spi_old)
        if ike.is_deleting(old_spi):
            return _refusal(TEMPORARY_FAILURE)
        if TS_I not in bodies or TS_R not in bodies:
            return _refusal(INVALID_SYNTAX)
        ke = two(octets, bodies[KE][0]) if KE in bodies and bodies[KE][1] - bodies[KE][0] >= 4 else 0
        policy = self._policy
        refusal, number, cipher, its_group, spi_out = choose(
            octets, *bodies[SA], PROTOCOL_ESP, 4, policy.ciphers, policy.groups, ke
        )
        if refusal:
            return _refusal(refusal)
        inside, remote = known[old_spi]
        remote, inside = _narrowed(octets, bodies[TS_I], remote), _narrowed(octets, bodies[TS_R], inside)
        if inside is None or remote is None:
            return _refusal(INVALID_SYNTAX)
        if not inside or not remote:
            return _refusal(TS_UNACCEPTABLE)

        def make(secret, ke):
            our_nonce = ike.node.random(_NONCE)
            # We answer: what the exchange's initiator sends is what we receive (2.17).
            key_in, key_out = keys.child_keys(cipher, self.sk_d, nonce, our_nonce, secret)
            try:
                spi = table.child.choose(ike.node.random)
                slot = table.adopt_child(ike.slot, ESP, spi, spi_out)
            except ValueError:
                return _refusal(TEMPORARY_FAILURE)
            self._selectors[spi] = inside, remote
            child = Child(cipher, spi, spi_out, key_in, key_out, inside, remote, slot)
            child.replaces = old
            ike.node.emit(CHILD_NEW, slot, child)
            sa = offer(PROTOCOL_ESP, spi, (cipher,), (its_group,) if its_group else (), number)
            parts = [(SA, sa), (NONCE, our_nonce)] + ([(KE, ke)] if ke else [])
            return _answer(parts + [(TS_I, ts_body(remote)), (TS_R, ts_body(inside))])

        return self._exchange(ike, bodies, octets, its_group, make) if its_group else make(b"", b"")

    def _replace_ike(self, ike, bodies, octets, nonce):
        """K2: a successor of the IKE SA."""
        policy = self._policy
        if KE not in bodies or bodies[KE][1] - bodies[KE][0] < 4:
            return _refusal(INVALID_SYNTAX)
        refusal, number, cipher, its_group, spi_i = choose(
            octets, *bodies[SA], PROTOCOL_IKE, 8, policy.ciphers, policy.groups, two(octets, bodies[KE][0])
        )
        if refusal:
            return _refusal(refusal)

        def make(secret, ke):
            node = ike.node
            table = node.table
            _, _, _, peer, _ = table.ike_sa(ike.slot)
            try:
                spi_r = table.ike.choose(node.random)
                our_nonce = node.random(_NONCE)
                seed = keys.skeyseed_of_rekey(self.sk_d, secret, nonce, our_nonce)
                sk_d, sk_ai, sk_ar, sk_ei, sk_er, _, _ = keys.ike_keys(cipher, seed, nonce, our_nonce, spi_i, spi_r)
                protection = sk.protection(cipher, False, sk_ei, sk_er, sk_ai, sk_ar)
                slot = table.adopt_ike(spi_i, spi_r, False, peer, True)
            except ValueError:
                return _refusal(TEMPORARY_FAILURE)
            table.update_ike(slot, via=table.via(ike.slot))
            rekeys = Rekeys(policy, sk_d, self._selectors)
            node.attach(slot, IkeSa(node, slot, protection, 0, 0, follows=ike.follows, rekeys=rekeys))
            for child in table.children(ike.slot):
                table.move_child(child, slot)
            self._selectors = {}
            node.emit(REPLACED, ike.slot, slot)
            sa = offer(PROTOCOL_IKE, spi_r, (cipher,), (its_group,), number)
            return _answer([(SA, sa), (NONCE, our_nonce), (KE, ke)])

        return self._exchange(ike, bodies, octets, its_group, make)


def _narrowed(octets, body, held):
    """What a TS payload asks for of the selectors that there are, and no more of them; None if it is malformed."""
    asked = read_ts(octets, *body)
    if asked is None:
        return None
    return held if asked[0] == held else cut(asked[0], held)[: len(held)]


def _answer(parts, over=False):
    first, octets = chained(parts)
    return first, octets, over


def _refusal(kind, data=b"", protocol=0, spi=b""):
    """K3. INVALID_SYNTAX is the end of the IKE SA for both (2.21.3)."""
    return _answer([(NOTIFY, notify_body(kind, data, protocol, spi))], kind == INVALID_SYNTAX)
