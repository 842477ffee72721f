"""Who may come, with which psk, and which address inside the tunnel each is given (rules A8, A10). No I/O.

    peers = Peers("hub.example", b"\\x0a\\x09\\0\\xfe", network("10.9.0.0/24"))
    peers.add("sensor-7", b"its psk", address=b"\\x0a\\x09\\0\\7")

`Peers` also says which suites are taken, as a Policy does. Selectors are packed as sa/selectors.py has them.
"""

import hashlib

from portable import const, elapsed

from ..sa.policy import GROUPS, OFFERED, suites
from ..sa.selectors import SELECTOR, host, id_body, identity

_KEPT_MS = const(86400000)  # how long an address stays an id's after its last IKE SA
_PRESENT = const(-1)


class Peer:
    """An id that may come: its psk, the address that it always has, or None, the networks behind it, its ppk, or None.

    To its SAs it is their policy: suites as those of `peers`.
    """

    keep_keys = False
    patient = True

    def __init__(self, peers, id, psk, address=None, networks=b"", ppk=None):
        self._peers = peers
        self.id = id
        self.psk = psk
        self.ppk = ppk
        self.address = address
        self.networks = networks or (host(address) if address else b"")
        self.given = address  # its address inside; None while it has none
        self.left_at = _PRESENT  # when its last IKE SA went

    @property
    def offers(self):
        """Selectors, ours and its own, of the Child SA that it may begin (A11); None: it has no address."""
        own = host(self.given) if self.given else self.networks
        return (self._peers.ours, own) if own else None

    @property
    def groups(self):
        return self._peers.groups

    @property
    def ciphers(self):
        return self._peers.ciphers


class Peers:
    """The ids that may come to us, who are `id`, as Peer objects in `peers`; {text of the id: Peer}.

    inside -- our own address inside, four octets; pool -- selectors of one network that addresses are taken from, b"":
    there are none; ours -- the selectors that a peer may reach, `inside` alone by default; dns -- four octets, None
    ppk, accept -- the PPK of one of them, the module ppk_accept; None if none has one
    groups, ciphers -- what is taken of a peer's offer, the best first
    as_sent -- a key exchange in any of `groups` is taken as the peer has begun it
    """

    keep_keys = False
    ppk = accept = None

    def __init__(self, id, inside, pool=b"", ours=b"", dns=None, groups=GROUPS, ciphers=OFFERED, as_sent=False):
        if len(inside) != 4 or len(pool) not in (0, SELECTOR) or len(ours) % SELECTOR:
            raise ValueError("Peers(inside=%r, pool=%r, ours=%r)" % (inside, pool, ours))
        self.id = id
        self.id_body = id_body(id)
        self.inside = inside
        self.ours = ours or host(inside)
        self.dns = dns
        self.groups, self.ciphers = suites(groups, ciphers)
        self.as_sent = as_sent
        self.peers = {}
        self._by_identity = {}
        self._first = int.from_bytes(pool[5:9], "big")
        self._size = int.from_bytes(pool[9:], "big") - self._first + 1 if pool else 0

    def add(self, id, psk, address=None, networks=b"", ppk=None):
        """A Peer for that id, which may come from now on; ValueError. `ppk`: (PPK_ID as text, octets) or None (Q4)."""
        if not isinstance(psk, (bytes, bytearray)) or not psk:
            raise ValueError("psk of %s: not octets" % id)
        if identity(id) in self._by_identity:
            raise ValueError("two peers %r" % id)
        if address is not None and (
            len(address) != 4 or address == self.inside or [p for p in self.peers.values() if p.address == address]
        ):
            raise ValueError("address %r of %s: in use" % (address, id))
        if ppk:
            from . import ppk_accept

            try:
                self.ppk = ppk = ppk_accept.Ppk(psk, *ppk)
            except ValueError as error:
                raise ValueError("peer %s: %s" % (id, error)) from None
            self.accept = ppk_accept
        self.peers[id] = self._by_identity[identity(id)] = peer = Peer(self, id, bytes(psk), address, networks, ppk)
        return peer

    def find(self, body):
        """The Peer with that body of an ID payload, by type and octets (A8); None."""
        return self._by_identity.get((body[0], bytes(body[4:]))) if len(body) > 4 else None

    def give(self, peer, wanted=None):
        """The address inside of a Peer, which may have asked for a certain one (A10); None if there is none left."""
        peer.left_at = _PRESENT
        if peer.given is None:
            if wanted is not None and self._is_free(wanted):
                peer.given = wanted
            elif self._size:
                start = int.from_bytes(hashlib.sha256(peer.id.encode()).digest()[:6], "big")
                for i in range(self._size):
                    address = (self._first + (start + i) % self._size).to_bytes(4, "big")
                    if self._is_free(address):
                        peer.given = address
                        break
        return peer.given

    def left(self, peer, now):
        """The last IKE SA of a Peer is gone."""
        peer.left_at = now

    def tick(self, now):
        """Let time pass: an address that its id has not used for a day is free again. Call it each hour."""
        for peer in self.peers.values():
            if peer.left_at != _PRESENT and elapsed(now, peer.left_at) >= _KEPT_MS:
                peer.given = peer.address
                peer.left_at = _PRESENT

    def _is_free(self, address):
        number = int.from_bytes(address, "big") - self._first
        if not 0 <= number < self._size or address == self.inside:
            return False
        if self._size > 2 and number in (0, self._size - 1):
            return False  # the network's own address, and its broadcast
        for peer in self.peers.values():
            if peer.given == address:
                return False
        return True
