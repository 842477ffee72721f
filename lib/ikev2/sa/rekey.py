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


class Rekeying:
    """The answer to one request; `rekeys` is the Rekeys of the IKE SA.

    What is agreed to: (the peer's nonce, what proposals.choose gives, the slot of the Child SA that is replaced, -1:
    none is, the selectors of ours and of the peer that a Child SA will have; b"" for an IKE SA).
    """

    def __init__(self, rekeys):
        self._rekeys = rekeys

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

    def finish(self, ike, agreed, secret=b"", our_value=b""):
        """The answer, once there is the shared secret; None: the peer's public value is none."""
        if secret is None:
            return refuse(INVALID_SYNTAX)
        make = self._make_child if agreed[3] else self._make_ike
        return make(ike, agreed, secret, our_value)

    # The rest is private.

    def _exchange(self, ike, agreed, bodies, octets):
        """Start the key exchange, if there is one, else conclude."""
        number = agreed[1][3]
        if not number:
            return self.finish(ike, agreed)
        start, stop = bodies.get(KE, (0, 0))
        if stop - start < 4 or uint16(octets, start) != number:
            return refuse(INVALID_KE_PAYLOAD, struct.pack(">H", number))
        dh = group(number, ike.node.random)
        if stop - start != 4 + dh.size:
            return refuse(INVALID_SYNTAX)
        self._rekeys.start(dh, bytes(octets[start + 4 : stop]), agreed)
        return None

    def _replace_child(self, ike, bodies, octets, nonce, protocol, spi_old):
        """K1: a successor of the Child SA whose outbound SPI that is."""
        table = ike.node.table
        for slot in table.children(ike.slot):
            _, its_protocol, spi_in, spi_out = table.child_sa(slot)
            owner = ike.node.child_owners.get(slot)
            if owner and protocol == PROTOCOL_ESP and its_protocol == ESP and spi_out == spi_old:
                if ike.is_deleting(spi_in):
                    return refuse(TEMPORARY_FAILURE)
                child = owner if type(owner) is Child else owner.child
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
        return self._exchange(ike, (nonce, chosen, replaces, inside, remote), bodies, octets)

    def _make_child(self, ike, agreed, secret, our_value):
        """The Child SA, which receives from now on."""
        table = ike.node.table
        nonce, chosen, replaces, inside, remote = agreed
        cipher, spi_out = chosen[2], chosen[4]
        our_nonce = ike.node.random(_NONCE)
        # We answer: what the exchange's initiator sends is what we receive (2.17).
        key_in, key_out = keys.child_keys(cipher, self._rekeys.sk_d, nonce, our_nonce, secret)
        slot = -1
        try:
            spi = table.child.choose(ike.node.random)
            more = (TS_I, ts_body(remote)), (TS_R, ts_body(inside))
            made = _answer(chosen, PROTOCOL_ESP, spi, our_nonce, our_value, more)
            child = Child(cipher, spi, spi_out, key_in, key_out, inside, remote)
            child.replaces = replaces
            child.slot = slot = table.adopt_child(ike.slot, ESP, spi, spi_out)
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
        return self._exchange(ike, (nonce, chosen, -1, b"", b""), bodies, octets)

    def _make_ike(self, ike, agreed, secret, our_value):
        """The IKE SA, which has the Child SAs from now on."""
        node = ike.node
        table = node.table
        policy = self._rekeys.policy
        nonce, chosen = agreed[:2]
        cipher, spi_i = chosen[2], chosen[4]
        _, _, _, peer, _ = table.ike_sa(ike.slot)
        try:
            spi_r = table.ike.choose(node.random)
            our_nonce = node.random(_NONCE)
            seed = keys.skeyseed_of_rekey(self._rekeys.sk_d, secret, nonce, our_nonce)
            sk_d, sk_ai, sk_ar, sk_ei, sk_er, _, _ = keys.ike_keys(cipher, seed, nonce, our_nonce, spi_i, spi_r)
            protection = sk.protection(cipher, False, sk_ei, sk_er, sk_ai, sk_ar)
            rekeys = Rekeys(policy, sk_d)
            children = table.children(ike.slot)
            made = _answer(chosen, PROTOCOL_IKE, spi_r, our_nonce, our_value)
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


def _answer(chosen, protocol, spi, nonce, our_value, more=()):
    """(type of the first payload, payloads, False) of the response: our SPI, our nonce, our public value."""
    _, number, cipher, dh, _ = chosen
    parts = [(SA, offer(protocol, spi, (cipher,), (dh,) if dh else (), number)), (NONCE, nonce)]
    if our_value:
        parts.append((KE, struct.pack(">HH", dh, 0) + our_value))
    parts.extend(more)
    return chained(parts) + (False,)


def _narrowed(octets, body, held):
    """What a TS payload asks for of the selectors that there are, and no more of them; None if it is malformed."""
    start, stop = body
    if octets[start:stop] == ts_body(held):  # as rekeys have it
        return held
    asked = read_ts(octets, start, stop)
    if asked is None:
        return None
    return held if covers(asked[0], held) else cut(asked[0], held)[: len(held)]  # K3
