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
from ikev2.sa.rekeys import Rekeys
from portable import const, milliseconds

from .traffic import Traffic

_VERSION = const(2)
_CHECK = const(8)
_AGE_MAX_MS = const(0x1FFFFFFF)
_WRAP = const(0x3FFFFFFF)
_NOT_FRESH_MS = const(1500)  # R5: what a hint says after waking is looked at at once
# Version, slots of IKE SA and Child SA, ciphers of both, Message IDs, numbers of both directions, address inside,
# milliseconds that the SA has lived, after which it is to be replaced and has to go, selectors of both ends, digest of
# all that the tunnel depends on. Behind it: keys, selectors, octets of name servers, these, connections of TCP.
_FORM = ">BBBBBIIII4sIIIBB8s"
_NAMES = tuple(sorted(CIPHERS))
_SELECTOR = const(13)
_SK_D = const(32)
_RENEWAL_MS = const(20000)
_CONNECTION = const(24)
_REMOVED = const(-20)  # as ikev2.sa.reasons has them
_NOT_KEPT = const(-30)


_restored = []  # checks of what has been read since the board began


def _digest(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()[:_CHECK]


def _configuration(life):
    """Eight octets that another configuration does not have."""
    policy = life.policy
    ppk = policy.ppk and (policy.ppk.id, policy.ppk.octets)
    said = policy.id, policy.gateway_id, policy.inside, policy.groups, policy.ciphers, life.settings, ppk
    return _digest(policy.psk, policy.remote, repr(said).encode())


def _table(life, slot, child_slot):
    """What the table says of the tunnel's SAs."""
    spi_i, spi_r, initiator, peer, _ = life.node.table.ike_sa(slot)
    ike, protocol, spi_in, spi_out = life.node.table.child_sa(child_slot)
    return b"".join((spi_i, spi_r, peer, spi_in, spi_out, bytes((initiator, ike, protocol))))


def patience(life, settle_ms):
    """Milliseconds that sleep waits until `keep` can be whole (Z6): for what is on its way, or for new keys (K5)."""
    return _RENEWAL_MS if life.renewing else settle_ms if life.up else 0


def keep(life, now):
    """The tunnel as octets, from when on nothing leaves through it; b"" if it cannot be kept as it is, and goes on.

    Z6, Z7: one IKE SA with one Child SA and nothing half made; an attempt beside them is given up.
    """
    octets = b""
    life.attend(now)
    life.has.drop_stale()  # K11
    if life.policy.keep_keys and _is_settled(life, now):
        octets = _pack(life, now)
        kept = life.has.asked
        _end(life)
        for child in life.node.table.children(kept.slot):
            life.node.child_owners.pop(child, None)
        life.node.detach(kept.slot)
        forget(life)
    return octets


def forget(life):
    """What is not kept goes from the table, too, an attempt included: nobody will ever speak for it (Z7)."""
    _end(life)
    for slot in life.has.ours:
        life.node.remove(slot, _NOT_KEPT)


def _end(life):
    life.closed = True
    life.wanted = False
    life.node.unfollow(life)


def _is_settled(life, now):
    """True with one IKE SA and one Child SA, nothing in the making, and keys that are not too old (K5)."""
    owner = life.has.asked
    return (
        life.up
        and owner
        and len(life.has.sas) == 1
        and len(life.node.table.children(owner.slot)) == 1
        and not owner.waiting
        and owner.next_timer(now) != 0
        and not life.overdue(now)
    )


def _pack(life, now):
    owner, esp, child = life.has.asked, life.current.esp, life.current.child
    cipher, keys = owner.sa.cipher_name, owner.sa.key_out + owner.sa.key_in
    octets = struct.pack(
        _FORM, _VERSION, owner.slot, child.slot, _NAMES.index(cipher), _NAMES.index(child.cipher), *owner.message_ids,
        esp.next & 0xFFFFFFFF, esp.seen, life.stack.address, life.lived(now), life.life_ms, life.limit_ms,
        len(child.inside) // _SELECTOR, len(child.remote) // _SELECTOR, _configuration(life),
    )  # fmt: skip
    octets += owner.rekeys.sk_d + keys + child.key_in + child.key_out + child.inside + child.remote
    stack = life.stack
    octets += bytes((len(stack.servers),)) + stack.servers
    if stack.tcp:
        octets += stack.tcp.keep(now)  # V14
    return _digest(octets, _table(life, owner.slot, child.slot)) + octets


def wake(life, octets, slept_ms, now):
    """Let the tunnel go on that `keep` has made octets of, in a node whose table has been restored; True if it does.

    slept_ms -- below 2**40; whatever it is, the SAs are as much older (Z4). `clear` is to be called afterwards.
    """
    milliseconds(slept_ms)
    size = struct.calcsize(_FORM)
    if len(octets) < _CHECK + size or octets[_CHECK] != _VERSION or octets[:_CHECK] in _restored:
        return False
    fields = struct.unpack_from(_FORM, octets, _CHECK)
    _, slot, child_slot, ike_cipher, child_cipher, send_id, receive_id, number, seen = fields[:9]
    address, lived, due, limit, inside, remote, configuration = fields[9:]
    lived = min(lived + slept_ms, _AGE_MAX_MS)
    if configuration != _configuration(life) or not number or max(ike_cipher, child_cipher) >= len(_NAMES):
        return False
    ike_cipher, child_cipher = _NAMES[ike_cipher], _NAMES[child_cipher]
    ike_key, child_key = key_size(ike_cipher), key_size(child_cipher)
    parts = []
    at = _CHECK + size
    for n in (_SK_D, 2 * ike_key, child_key, child_key, inside * _SELECTOR, remote * _SELECTOR):
        parts.append(bytes(octets[at : at + n]))
        at += n
    table = life.node.table
    end = at + 1 + octets[at] if at < len(octets) else 0
    if not at < end <= len(octets) or (len(octets) - end) % _CONNECTION or not _has(table, slot, child_slot):
        return False
    sk_d, keys, key_in, key_out, inside, remote = parts
    _, _, spi_in, spi_out = table.child_sa(child_slot)
    if _digest(octets[_CHECK:], _table(life, slot, child_slot)) != octets[:_CHECK]:
        return False
    _restored.append(bytes(octets[:_CHECK]))
    trust(ike_cipher)
    trust(child_cipher)
    sa = sk.Protection(ike_cipher, keys[:ike_key], keys[ike_key:])
    child = Child(child_cipher, spi_in, spi_out, key_in, key_out, inside, remote, child_slot)
    traffic = Traffic(life, child, now, number, seen)
    traffic.verified = True
    rekeys = Rekeys(life.policy, sk_d)
    owner = IkeSa(life.node, slot, sa, send_id, receive_id, follows=False, rekeys=rekeys)
    life.stack.address = address
    life.stack.servers = bytes(octets[at + 1 : end])
    life.connections = bytes(octets[end:])
    table.update_ike(slot, established=True)
    life.node.attach(slot, owner)
    life.node.attach_child(child_slot, traffic)
    owner.alive((now - _NOT_FRESH_MS) & _WRAP)
    owner.attended_at = now
    life.resume(owner, lived, due, limit, now)  # Z3
    return True


def _has(table, slot, child_slot):
    try:
        return child_slot in table.children(slot)
    except ValueError:  # no IKE SA there
        return False


def clear(node):
    """Z7: what is in the table and has no owner after waking, nobody will ever speak for: it goes."""
    for slot in node.table.ike_sas():
        if not node.owners[slot]:
            node.remove(slot, _REMOVED)
