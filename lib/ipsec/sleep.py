"""A tunnel as octets, so that it outlives deep sleep: keys, numbers, selectors and times (RULES.md Z1 to Z6).

    octets = keep(life, now)                 b"" if it cannot be kept whole; from then on the tunnel is mute
    wake(life, octets, slept_ms, now)        True, and the tunnel goes on; False: it begins anew

The table of SAs is kept beside it (SpiTable.snapshot) and must be restored first. Octets are good for one waking:
whoever stores them clears them before anything is sent, so that no number and no IV is ever used twice under one key
(E5). The SAs, the configuration and every octet are checked; what does not fit is no tunnel, never a guess (Z2).
"""

import hashlib
import struct

from ikev2.crypto import key_size, trust
from ikev2.sa import sk
from ikev2.sa.informational import IkeSa
from ikev2.sa.policy import CIPHERS, Child
from portable import const

from .traffic import Traffic

_VERSION = const(1)
_CHECK = const(8)
_LIFE_MAX_MS = const(0x1FFFFFFF)
_WRAP = const(0x3FFFFFFF)
_NOT_FRESH_MS = const(1500)  # R5: what a hint says after waking is looked at at once
# Version, slots of IKE SA and Child SA, ciphers of both, Message IDs, numbers of both directions, address inside,
# milliseconds that are left of the SA's life, and that it has lived, selectors of both ends, digest of the policy.
_FORM = ">BBBBBIIII4sIIBB8s"
_NAMES = tuple(sorted(CIPHERS))
_SELECTOR = const(13)
_SK_D = const(32)
_NOT_KEPT = const(-30)  # as ikev2.sa.reasons has it


class _Rekeys:
    """Becomes a rekey.Rekeys when it is first needed, which a short wake does not come to."""

    longest = 0

    def __init__(self, policy, sk_d, selectors):
        self.policy = policy
        self.sk_d = sk_d
        self.selectors = selectors

    def begin(self, ike, found, octets):
        from ikev2.sa.rekey import Rekeys

        ike.rekeys = Rekeys(self.policy, self.sk_d, self.selectors)
        return ike.rekeys.begin(ike, found, octets)


_restored = []  # checks of what has been read since the board began


def _digest(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()[:_CHECK]


def _policy(policy):
    """Eight octets that another configuration does not have."""
    said = policy.id, policy.gateway_id, policy.inside, policy.groups, policy.ciphers
    return _digest(policy.psk, policy.remote, repr(said).encode())


def _table(life):
    """What the table says of the tunnel's SAs."""
    table = life.node.table
    return repr((table.ike_sa(life.ike)[:4], table.child_sa(life.current.child.slot))).encode()


def keep(life, now):
    """The tunnel as octets, and nothing leaves through it any more; b"" if it is not whole or its keys are not kept.

    Z6: whole is one IKE SA with one Child SA, nothing on its way and nothing half made.
    """
    node = life.node
    owner = node.owners[life.ike] if life.ike >= 0 else None
    if not life.policy.keep_keys or not owner or not _settled(life) or owner.next_timer(now) == 0 or owner.waiting:
        return b""
    esp, child, policy = life.current.esp, life.current.child, life.policy
    lived = min(life.lived(now), _LIFE_MAX_MS)
    cipher, keys = owner.sa.cipher_name, owner.sa.key_out + owner.sa.key_in
    octets = struct.pack(
        _FORM, _VERSION, life.ike, child.slot, _NAMES.index(cipher), _NAMES.index(child.cipher), *owner.message_ids,
        esp.next & 0xFFFFFFFF, esp.seen, life.stack.address, life.left(now), lived, len(child.inside) // _SELECTOR,
        len(child.remote) // _SELECTOR, _policy(policy),
    )  # fmt: skip
    octets += owner.rekeys.sk_d + keys + child.key_in + child.key_out + child.inside + child.remote
    octets = _digest(octets, _table(life)) + octets
    _mute(life)
    return octets


def forget(life):
    """What could not be kept is gone from the table, too: nobody will ever speak for it."""
    for slot in list(life.ours):
        life.node.remove(slot, _NOT_KEPT)


def wake(life, octets, slept_ms, now):
    """Let the tunnel go on that `keep` has made octets of, in a node whose table has been restored; True if it does.

    If it does not, the table has no SAs left for which nobody speaks.
    """
    if _wake(life, octets, slept_ms, now):
        return True
    node = life.node
    for slot in node.table.ike_sas() if octets else ():
        if not node.owners[slot]:
            node.remove(slot, _NOT_KEPT)
    return False


def _wake(life, octets, slept_ms, now):
    size = struct.calcsize(_FORM)
    if len(octets) < _CHECK + size or octets[_CHECK] != _VERSION or octets[:_CHECK] in _restored:
        return False
    fields = struct.unpack_from(_FORM, octets, _CHECK)
    _, slot, child_slot, ike_cipher, child_cipher, send_id, receive_id, number, seen = fields[:9]
    address, left, lived, inside, remote, policy = fields[9:]
    if policy != _policy(life.policy) or not number or max(ike_cipher, child_cipher) >= len(_NAMES):
        return False
    ike_cipher, child_cipher = _NAMES[ike_cipher], _NAMES[child_cipher]
    ike_key, child_key = key_size(ike_cipher), key_size(child_cipher)
    parts = []
    at = _CHECK + size
    for n in (_SK_D, 2 * ike_key, child_key, child_key, inside * _SELECTOR, remote * _SELECTOR):
        parts.append(bytes(octets[at : at + n]))
        at += n
    table = life.node.table
    if at != len(octets) or slot not in table.ike_sas() or child_slot not in table.children(slot):
        return False
    sk_d, keys, key_in, key_out, inside, remote = parts
    _, _, spi_in, spi_out = table.child_sa(child_slot)
    child = Child(child_cipher, spi_in, spi_out, key_in, key_out, inside, remote, child_slot)
    spi_i, spi_r, initiator, peer, _ = table.ike_sa(slot)
    said = repr(((spi_i, spi_r, initiator, peer), table.child_sa(child_slot))).encode()
    if _digest(octets[_CHECK:], said) != octets[:_CHECK]:
        return False
    _restored.append(bytes(octets[:_CHECK]))
    trust(ike_cipher)
    trust(child_cipher)
    sa = sk.Protection(ike_cipher, keys[:ike_key], keys[ike_key:])
    table.update_ike(slot, established=True)
    rekeys = _Rekeys(life.policy, sk_d, {spi_in: (inside, remote)})
    life.node.attach(slot, IkeSa(life.node, slot, sa, send_id, receive_id, follows=False, rekeys=rekeys))
    _resume(life, slot, Traffic(life, child, now, number, seen), now)  # Z3
    life.stack.address = address
    life.emit("up", "%d.%d.%d.%d" % tuple(address))
    life.born_at = (now - lived - slept_ms) & _WRAP
    life.life_ms = lived + max(slept_ms, left)
    return True


def _settled(life):
    """True with one IKE SA, one Child SA and nothing half made (Z6)."""
    return life.up and len(life.traffics) == len(life.ours) == 1 and not life.attempt


def _mute(life):
    """Nobody speaks for the SAs any longer, and nothing leaves through the tunnel."""
    life.closed = True
    life.current = None
    for traffic in life.traffics:
        life.node.child_owners.pop(traffic.child.slot, None)
    for slot in life.ours:
        life.node.detach(slot)


def _resume(life, slot, traffic, now):
    """Go on with SAs that have outlived sleep."""
    life.wanted = False
    life.after_sleep = True
    life.ike = slot
    life.ours = {slot: -1}
    life.contact = False
    life.current = traffic
    life.traffics = [traffic]
    life.node.attach_child(traffic.child.slot, traffic)
    life.node.owners[slot].alive((now - _NOT_FRESH_MS) & _WRAP)
