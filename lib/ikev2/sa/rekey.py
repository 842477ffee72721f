"""CREATE_CHILD_SA, answered: the gateway replaces a Child SA or the IKE SA; nothing else is agreed to.

RFC 7296 sections 1.3.2, 1.3.3, 2.8, 2.17, 2.18; rules K1 to K3, K9. Old and new live beside each other until the
gateway deletes the old. A shared secret is made in slices before the response leaves. What becomes of a refused
request is nothing: the window retransmits the refusal as it does any response.
"""

import struct

from portable import const

from ..crypto import group
from ..owners import CHILD_NEW, REPLACED
from ..wire import ESP
from . import keys, sk
from .informational import IkeSa, refuse
from .payloads import (
    CHILD_SA_NOT_FOUND,
    INVALID_KE_PAYLOAD,
    INVALID_SYNTAX,
    KE,
    NO_ADDITIONAL_SAS,
    NONCE,
    NOTIFY,
    PROTOCOL_ESP,
    PROTOCOL_IKE,
    SA,
    TEMPORARY_FAILURE,
    TS_I,
    TS_R,
    TS_UNACCEPTABLE,
    chained,
    notify_type,
    uint16,
)
from .policy import Child
from .proposals import choose, offer
from .rekeys import Rekeys
from .selectors import covers, cut, read_ts, ts_body

_ONCE = (SA, KE, NONCE, TS_I, TS_R)
_REKEY_SA = const(16393)
_REMOVED = const(-20)  # as reasons.py has it
_NONCE = const(32)
_NONCE_MIN = const(16)
_NONCE_MAX = const(256)


class PendingRekey:
    """A request that we agree to, until its shared secret is made; `chosen` is what proposals.choose gives."""

    replaces = -1  # slot of the Child SA; -1: it is the first, or the IKE SA
    inside = remote = b""  # selectors of the Child SA that is made; none: it is an IKE SA
    dh = None  # the key exchange, if there is one, until it has come to its end
    our_value = b""
    _peer_value = b""

    def __init__(self, nonce, chosen):
        self.nonce = nonce
        _, self.number, self.cipher, self.group, self.spi = chosen

    def begin(self, dh, peer_value):
        """Start the key exchange."""
        self.dh = dh
        self._peer_value = peer_value
        dh.begin()

    def step(self):
        """A slice of the key exchange; True with the last one."""
        if not self.dh.step():
            return False
        if self.our_value:
            return True
        self.our_value = self.dh.value
        self.dh.begin(self._peer_value)
        return False

    def answer(self, protocol, spi, nonce, more=()):
        """(type of the first payload, payloads, False) of the response: our SPI, our nonce, our public value."""
        sa = offer(protocol, spi, (self.cipher,), (self.group,) if self.group else (), self.number)
        parts = [(SA, sa), (NONCE, nonce)]
        if self.our_value:
            parts.append((KE, struct.pack(">HH", self.group, 0) + self.our_value))
        parts.extend(more)
        return chained(parts) + (False,)


class Rekeying:
    """The answer to one request; `rekeys` is the Rekeys of the IKE SA."""

    def __init__(self, rekeys):
        self._rekeys = rekeys
        self._pending = None

    def begin(self, ike, found, octets):
        """See Rekeys.begin."""
        bodies = {}
        rekeyed = None
        for kind, start, stop in found:
            if kind in bodies:
                return refuse(INVALID_SYNTAX)
            if kind in _ONCE:
                bodies[kind] = start, stop
            elif kind == NOTIFY and notify_type(octets, start) == _REKEY_SA:
                if octets[start + 1] != 4:
                    return refuse(INVALID_SYNTAX)
                rekeyed = octets[start], bytes(octets[start + 4 : start + 8])
        start, stop = bodies.get(NONCE, (0, 0))
        if SA not in bodies or not _NONCE_MIN <= stop - start <= _NONCE_MAX:
            return refuse(INVALID_SYNTAX)
        nonce = bytes(octets[start:stop])
        start, stop = bodies[SA]
        if stop - start > 5 and octets[start + 5] == PROTOCOL_IKE:
            return self._replace_ike(ike, bodies, octets, nonce)
        if rekeyed is None:
            policy = self._rekeys.policy
            offers = policy.patient and policy.offers
            if not offers or ike.node.table.children(ike.slot):
                return refuse(NO_ADDITIONAL_SAS)
            return self._agree(ike, bodies, octets, nonce, offers, -1)  # A11
        return self._replace_child(ike, bodies, octets, nonce, *rekeyed)

    def step(self, ike):
        """See Rekeys.step."""
        pending = self._pending
        try:
            if not pending.step():
                return None
            made = self._finish(ike, pending)
        except Exception:  # K14; a wrong known answer is one
            made = refuse(TEMPORARY_FAILURE)
        self._pending = None
        return made

    # The rest is private.

    def _exchange(self, ike, pending, bodies, octets):
        """Start the key exchange, if there is one, else conclude."""
        number = pending.group
        if not number:
            return self._finish(ike, pending)
        start, stop = bodies.get(KE, (0, 0))
        if stop - start < 4 or uint16(octets, start) != number:
            return refuse(INVALID_KE_PAYLOAD, struct.pack(">H", number))
        dh = group(number, ike.node.random)
        if stop - start != 4 + dh.size:
            return refuse(INVALID_SYNTAX)
        pending.begin(dh, bytes(octets[start + 4 : stop]))
        self._pending = pending
        return None

    def _finish(self, ike, pending):
        """The answer, once there is the shared secret."""
        secret = pending.dh.value if pending.dh else b""
        pending.dh = None  # what has made it takes room
        if secret is None:
            return refuse(INVALID_SYNTAX)
        return (self._make_child if pending.inside else self._make_ike)(ike, pending, secret)

    def _replace_child(self, ike, bodies, octets, nonce, protocol, spi_old):
        """K1: a successor of the Child SA whose outbound SPI that is."""
        table = ike.node.table
        for slot in table.children(ike.slot):
            _, its_protocol, spi_in, spi_out = table.child_sa(slot)
            owner = ike.node.child_owners.get(slot)
            if owner and protocol == PROTOCOL_ESP and its_protocol == ESP and spi_out == spi_old:
                if ike.is_deleting(spi_in):
                    return refuse(TEMPORARY_FAILURE)
                child = owner if isinstance(owner, Child) else owner.child
                return self._agree(ike, bodies, octets, nonce, (child.inside, child.remote), slot)
        return refuse(CHILD_SA_NOT_FOUND, b"", protocol, spi_old)

    def _agree(self, ike, bodies, octets, nonce, held, replaces):
        """A Child SA with selectors of those, ours and the peer's, in place of the one in that slot, -1: of none."""
        if TS_I not in bodies or TS_R not in bodies:
            return refuse(INVALID_SYNTAX)
        ke = uint16(octets, bodies[KE][0]) if KE in bodies and bodies[KE][1] - bodies[KE][0] >= 4 else 0
        policy = self._rekeys.policy
        chosen = choose(octets, *bodies[SA], PROTOCOL_ESP, 4, policy.ciphers, policy.groups, ke)
        if chosen[0]:
            return refuse(chosen[0])
        inside, remote = held
        remote, inside = _narrowed(octets, bodies[TS_I], remote), _narrowed(octets, bodies[TS_R], inside)
        if inside is None or remote is None:
            return refuse(INVALID_SYNTAX)
        if not inside or not remote:
            return refuse(TS_UNACCEPTABLE)
        pending = PendingRekey(nonce, chosen)
        pending.replaces = replaces
        pending.inside = inside
        pending.remote = remote
        return self._exchange(ike, pending, bodies, octets)

    def _make_child(self, ike, pending, secret):
        """The Child SA, which receives from now on."""
        table = ike.node.table
        inside, remote = pending.inside, pending.remote
        our_nonce = ike.node.random(_NONCE)
        # We answer: what the exchange's initiator sends is what we receive (2.17).
        key_in, key_out = keys.child_keys(pending.cipher, self._rekeys.sk_d, pending.nonce, our_nonce, secret)
        slot = -1
        try:
            spi = table.child.choose(ike.node.random)
            more = (TS_I, ts_body(remote)), (TS_R, ts_body(inside))
            made = pending.answer(PROTOCOL_ESP, spi, our_nonce, more)
            child = Child(pending.cipher, spi, pending.spi, key_in, key_out, inside, remote)
            child.replaces = pending.replaces
            child.slot = slot = table.adopt_child(ike.slot, ESP, spi, pending.spi)
            ike.node.attach_child(slot, child)
        except ValueError:
            return refuse(TEMPORARY_FAILURE)
        except Exception:  # K14: the request is as good as not here
            if slot >= 0:
                table.remove_child(slot)
            raise
        ike.node.emit(CHILD_NEW, slot, ike.slot)
        return made

    def _replace_ike(self, ike, bodies, octets, nonce):
        """K2: a successor of the IKE SA."""
        policy = self._rekeys.policy
        if KE not in bodies or bodies[KE][1] - bodies[KE][0] < 4:
            return refuse(INVALID_SYNTAX)
        ke = uint16(octets, bodies[KE][0])
        chosen = choose(octets, *bodies[SA], PROTOCOL_IKE, 8, policy.ciphers, policy.groups, ke)
        if chosen[0]:
            return refuse(chosen[0])
        return self._exchange(ike, PendingRekey(nonce, chosen), bodies, octets)

    def _make_ike(self, ike, pending, secret):
        """The IKE SA, which has the Child SAs from now on."""
        node = ike.node
        table = node.table
        policy = self._rekeys.policy
        cipher, nonce, spi_i = pending.cipher, pending.nonce, pending.spi
        _, _, _, peer, _ = table.ike_sa(ike.slot)
        try:
            spi_r = table.ike.choose(node.random)
            our_nonce = node.random(_NONCE)
            seed = keys.skeyseed_of_rekey(self._rekeys.sk_d, secret, nonce, our_nonce)
            sk_d, sk_ai, sk_ar, sk_ei, sk_er, _, _ = keys.ike_keys(cipher, seed, nonce, our_nonce, spi_i, spi_r)
            protection = sk.protection(cipher, False, sk_ei, sk_er, sk_ai, sk_ar)
            rekeys = Rekeys(policy, sk_d)
            children = table.children(ike.slot)
            made = pending.answer(PROTOCOL_IKE, spi_r, our_nonce)
            slot = table.adopt_ike(spi_i, spi_r, False, peer, True, table.via(ike.slot))
        except ValueError:
            return refuse(TEMPORARY_FAILURE)
        try:
            successor = IkeSa(node, slot, protection, 0, 0, follows=ike.follows, rekeys=rekeys)
            successor.rank = ike.rank + 1
            node.attach(slot, successor)
        except Exception:  # K14: the request is as good as not here
            node.remove(slot, _REMOVED)
            raise
        for child in children:
            table.move_child(child, slot)
        node.emit(REPLACED, ike.slot, slot)
        return made


def _narrowed(octets, body, held):
    """What a TS payload asks for of the selectors that there are, and no more of them; None if it is malformed."""
    asked = read_ts(octets, *body)
    if asked is None:
        return None
    return held if covers(asked[0], held) else cut(asked[0], held)[: len(held)]  # K3
