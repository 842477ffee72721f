"""IKE_AUTH as responder: who asks, whether the psk is right, and the Child SA that comes of it (rules A8 to A11).

RFC 7296 sections 2.9, 2.15, 2.19, 2.21.2. An id that nobody has costs the same work as a wrong psk, and is answered in
the same words.
"""

import struct

from portable import const

from .. import wire
from ..sa import keys, reasons
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
    notify,
    uint16,
)
from ..sa.policy import Child
from ..sa.proposals import choose, offer
from ..sa.selectors import (
    cut,
    host,
    read_ts,
    same_id,
    ts_body,
)

_WANTED = (ID_I, ID_R, AUTH, CP, SA, TS_I, TS_R)
_INITIAL_CONTACT = const(16384)
_NOBODYS_PSK = b"a psk that nobody has"
_CFG_REQUEST = const(1)
_CFG_REPLY = const(2)
_INTERNAL_IP4_ADDRESS = const(1)
_INTERNAL_IP4_DNS = const(3)


class Acceptance:
    """What a verified IKE_AUTH request with these payloads comes to, for the half-open IKE SA in `slot`.

    uses_ppk -- both ends have said USE_PPK in IKE_SA_INIT
    answer -- (type of the first, octets) of the payloads of the response
    peer -- the Peer that it is, None if that was not proved; child -- the Child SA, None if it was refused
    claimed -- body of its ID payload; contact -- the peer has lost all that it had with us (A9)
    """

    peer = None
    child = None
    contact = False

    def __init__(self, node, slot, peers, proof, first, octets, uses_ppk=False):
        self._node = node
        self._slot = slot
        self._peers = peers
        self._proof = proof
        self._octets = octets
        found = {}
        contact = critical = malformed = False
        for kind, start, stop in bodies(first, octets, 0, len(octets)):
            if kind <= UNKNOWN_CRITICAL:
                critical = True
            elif kind == NOTIFY:
                contact = contact or uint16(octets, start + 2) == _INITIAL_CONTACT
            elif kind < 0 or kind in found:
                malformed = True
            elif kind in _WANTED:
                found[kind] = start, stop
        self.claimed = bytes(octets[found[ID_I][0] : found[ID_I][1]]) if ID_I in found else b""
        peer = self._who(found, uses_ppk, first)
        if peer is None or malformed:
            self.answer = chained([notify(reasons.AUTHENTICATION_FAILED)])
            return
        if critical:  # N17
            self.answer = chained([notify(reasons.UNSUPPORTED_CRITICAL_PAYLOAD)])
            return
        self.peer = peer
        self.contact = contact
        parts = [(ID_R, peers.id_body), (AUTH, proof.sign(peer.psk, peers.id_body))]
        refusal = self._make(found, parts)
        if refusal:  # A11
            parts.append(notify(refusal))
        if peer.ppk:
            parts.append(peers.accept.used())
        self.answer = chained(parts)

    # The rest is private.

    def _who(self, found, uses_ppk, first):
        """A8: the Peer whose psk has signed; None, after the same work."""
        octets = self._octets
        start, stop = found.get(AUTH, (0, 0))
        auth = bytes(octets[start:stop])
        id = self.claimed
        peer = self._peers.find(id)
        ppk = peer.ppk if peer else None
        if uses_ppk:
            auth = self._peers.accept.settle(self._proof, ppk, first, octets, auth)
        elif ppk:  # Q4
            auth = b""
        both = (0, len(id)), (len(id), len(id) + len(auth))
        signed = self._proof.is_signed(peer.psk if peer else _NOBODYS_PSK, id + auth, *both)
        meant = ID_R not in found or same_id(octets, *found[ID_R], self._peers.id)
        return peer if signed and meant else None

    def _make(self, found, parts):
        """0, the Child SA made and its payloads among the parts; else the notify type that refuses it."""
        node, peers, octets = self._node, self._peers, self._octets
        if SA not in found or TS_I not in found or TS_R not in found:
            return reasons.INVALID_SYNTAX
        refusal, number, cipher, _, spi_out = choose(octets, *found[SA], PROTOCOL_ESP, 4, peers.ciphers, ())
        if refusal:
            return refusal
        remote, reply, refusal = self._address(found)
        if refusal:
            return refusal
        asked_remote, asked_inside = read_ts(octets, *found[TS_I]), read_ts(octets, *found[TS_R])
        remote = cut(asked_remote[0], remote) if asked_remote else b""
        inside = cut(asked_inside[0], peers.ours) if asked_inside else b""
        if not remote or not inside:
            return reasons.TS_UNACCEPTABLE
        if inside == peers.ours:
            inside = peers.ours  # kept once for all peers
        try:
            spi_in = node.table.child.choose(node.random)
            slot = node.table.adopt_child(self._slot, wire.ESP, spi_in, spi_out)
        except ValueError:
            return reasons.NO_ADDITIONAL_SAS
        key_in, key_out = keys.child_keys(cipher, self._proof.sk_d, self._proof.ni, self._proof.nr)
        self.child = Child(cipher, spi_in, spi_out, key_in, key_out, inside, remote, slot)
        node.attach_child(slot, self.child)
        parts.extend(reply)
        parts.append((SA, offer(PROTOCOL_ESP, spi_in, (cipher,), (), number)))
        parts.append((TS_I, ts_body(remote)))
        parts.append((TS_R, ts_body(inside)))
        return 0

    def _address(self, found):
        """(selectors that the peer may have, payloads in answer to CP, refusal): A10."""
        peer = self.peer
        wanted, asked = _asked(self._octets, *found[CP]) if CP in found else ((), None)
        if _INTERNAL_IP4_ADDRESS not in wanted:
            return peer.networks, (), 0 if peer.networks else reasons.FAILED_CP_REQUIRED
        address = self._peers.give(peer, asked)
        if address is None:
            return b"", (), reasons.INTERNAL_ADDRESS_FAILURE
        reply = struct.pack(">BBHHH", _CFG_REPLY, 0, 0, _INTERNAL_IP4_ADDRESS, 4) + address
        if self._peers.dns and _INTERNAL_IP4_DNS in wanted:
            reply += struct.pack(">HH", _INTERNAL_IP4_DNS, 4) + self._peers.dns
        return host(address), [(CP, reply)], 0


def _asked(octets, at, end):
    """(types of the attributes that a CFG_REQUEST asks for, the address inside that it names, or None)."""
    wanted = []
    address = None
    at += 4
    if at > end or octets[at - 4] != _CFG_REQUEST:
        return (), None
    while at + 4 <= end:
        kind = (octets[at] & 0x7F) << 8 | octets[at + 1]
        size = uint16(octets, at + 2)
        at += 4 + size
        if at > end:
            break
        if kind not in wanted and len(wanted) < 16:
            wanted.append(kind)
        if kind == _INTERNAL_IP4_ADDRESS and size == 4 and any(octets[at - 4 : at]):
            address = bytes(octets[at - 4 : at])
    return wanted, address
