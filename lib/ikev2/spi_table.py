"""IKE SAs and Child SAs by SPI, packed into one bytearray that is also its own snapshot.

RFC 7296 section 2.6 and RFC 4301 section 4.1 let the receiver choose its SPIs: `add_…` hands out SPIs that are their
own index, `adopt_…` takes SPIs from elsewhere; slots.py explains how both are found. IKE SAs with one peer address hang
on a chain from a bucket, the Child SAs of one IKE SA on a chain from its record: no look-up on receipt walks the table.
By SPI they are found with slots.find in `table.ike` (USED, with VARIANT where we are the original initiator) and in
`table.child` (USED for ESP, with VARIANT for AH). Slots number IKE SAs and Child SAs separately and stay the same for
the life of an entry. Endpoints are 4 or 16 address octets and 2 port octets; here they are only compared. Whatever
cannot be done is a ValueError that names the value and changes nothing.
"""

from binascii import crc32

from portable import const, copy, equal

from .slots import Slots
from .wire import AH, ESP, IKE_SA_INIT, PORT, PORT_NAT

# IKE record: flags, our SPI, the peer's SPI, three links, the peer's endpoint. VARIANT: we are the original initiator.
_ESTABLISHED = const(0x04)
_IPV6 = const(0x08)
_FROM_500 = const(0x10)
_CHILDREN = const(0x20)
_SPI_PEER = const(9)
_BUCKET_FIRST = const(17)
_BUCKET_NEXT = const(18)
_CHILD_FIRST = const(19)
_ENDPOINT = const(20)

# Child record: flags, inbound SPI, outbound SPI, IKE SA, link. VARIANT: AH.
_SPI_OUT = const(5)
_IKE_SA = const(9)
_CHILD_NEXT = const(10)
_CHILD_WIDTH = const(11)

# As wire.py has them: MicroPython folds only the constants of the same file.
_EXCHANGE = const(18)
_MESSAGE_ID = const(20)
_ZERO = bytes(4)

_LAYOUT = const(2)  # raised whenever a record means something else
_SHAPE = const(4)
_PORT_500 = b"\x01\xf4"
# As slots.py has them.
_USED = const(0x01)
_VARIANT = const(0x02)
_BUCKET = const(0x40)

_PREFIX = const(8)  # layout and sizes, then a CRC-32 of what follows


def _octets(octets, size, what):
    """Octets as bytes; ValueError if they are none, or of another size."""
    if not isinstance(octets, (bytes, bytearray, memoryview)) or len(octets) != size:
        raise ValueError("%s %r" % (what, octets))
    return bytes(octets)


def _host_port(octets, at):
    port = (octets[at] << 8) | octets[at + 1]
    return port == PORT or port == PORT_NAT or not port


def _check(octets):
    return crc32(octets[_PREFIX:]).to_bytes(_PREFIX - _SHAPE, "big")


class SpiTable:
    """Room for `ike` IKE SAs and `child` Child SAs (1 to 256 each) with peers of up to `address` octets (4 or 16)."""

    def __init__(self, ike=16, child=32, address=4):
        if not (1 <= ike <= 256 and 1 <= child <= 256 and address in (4, 16)):
            raise ValueError("SpiTable(%r, %r, %r)" % (ike, child, address))
        self._width = width = _ENDPOINT + address + 2
        self._span = ike * width
        self._octets = bytearray(_PREFIX + ike * width + child * _CHILD_WIDTH)
        self._octets[:_SHAPE] = bytes((_LAYOUT, ike - 1, child - 1, address))
        self.ike = Slots(self._octets, _PREFIX, width, ike, 8, _BUCKET_FIRST)
        self.child = Slots(self._octets, _PREFIX + ike * width, _CHILD_WIDTH, child, 4)
        self.size = ike, child
        self.watcher = None  # its ike_gone(slot) and child_gone(slot, ike) are called when an entry has been removed

    # Look-ups on receipt: octets compared in place, nothing allocated.

    def find_peer(self, endpoint):
        """Slot of the newest established IKE SA with that peer; -1.

        The address decides (section 1.5). Ports count where one of them betrays a NAT (2.23): 500, 4500 and
        the 0 of bare ESP and AH are the host itself.
        """
        here = _PREFIX + endpoint[-3] * self._width % self._span  # as _bucket has it, without the call
        octets = self._octets
        return self._newest(endpoint, octets[here + _BUCKET_FIRST]) if octets[here] & _BUCKET else -1

    def _newest(self, endpoint, slot):
        octets = self._octets
        port = len(endpoint) - 2
        found = -1
        while slot >= 0:
            at = self.ike.start + slot * self.ike.width
            if octets[at] & _ESTABLISHED and self._is_at(at, endpoint):
                at += _ENDPOINT + port
                if equal(octets, at, endpoint, port, 2):
                    return slot
                if found < 0 and (
                    not (endpoint[port] or endpoint[port + 1])
                    or (_host_port(endpoint, port) and _host_port(octets, at))
                ):
                    found = slot
            slot = self.ike.following(slot, _BUCKET_NEXT)
        return found

    def find_outbound(self, endpoint, octets, at):
        """Slot of the IKE SA with that peer address under which we send to the SPI octets[at:at+4]; -1."""
        slot = self.ike.first(self._bucket(endpoint), _BUCKET, _BUCKET_FIRST)
        while slot >= 0:
            here = self.ike.start + slot * self.ike.width
            if self._is_at(here, endpoint):
                child = self.child.first(here, _CHILDREN, _CHILD_FIRST)
                while child >= 0:
                    if equal(self._octets, self.child.start + child * _CHILD_WIDTH + _SPI_OUT, octets, at, 4):
                        return slot
                    child = self.child.following(child, _CHILD_NEXT)
            slot = self.ike.following(slot, _BUCKET_NEXT)
        return -1

    def matches(self, slot, octets, at, endpoint):
        """True if the IKE header at octets[at:] has both SPIs of that IKE SA and the endpoint its peer's address."""
        here = self.ike.at(slot)
        own = 0 if self._octets[here] & _VARIANT else 8
        return (
            equal(self._octets, here + 1, octets, at + own, 8)
            and equal(self._octets, here + _SPI_PEER, octets, at + 8 - own, 8)
            and self._is_at(here, endpoint)
        )

    def is_at(self, slot, endpoint, via):
        """True if the peer of that IKE SA is at that endpoint, sending to our port `via`, or cannot move there."""
        here = self.ike.at(slot)
        size = 18 if self._octets[here] & _IPV6 else 6
        from_500 = self._octets[here] & _FROM_500 != 0
        return len(endpoint) != size or (
            equal(self._octets, here + _ENDPOINT, endpoint, 0, size) and from_500 == (via == PORT)
        )

    def awaits_init(self, slot, octets, at, endpoint):
        """True if the IKE header at octets[at:] is of an IKE_SA_INIT with Message ID 0, from the address of the peer of

        that IKE SA, which is not established.
        """
        here = self.ike.at(slot)
        return (
            octets[at + _EXCHANGE] == IKE_SA_INIT
            and equal(octets, at + _MESSAGE_ID, _ZERO, 0, 4)
            and not self._octets[here] & _ESTABLISHED
            and self._is_at(here, endpoint)
        )

    # Changes.

    def add_ike(self, random, initiator, peer, spi_peer=bytes(8), established=False, via=None):
        """Enter an IKE SA under an SPI of our choice, made from random(n) -> n octets; returns its slot."""
        own = self.ike.choose(random)
        spi_i, spi_r = (own, spi_peer) if initiator else (spi_peer, own)
        return self.adopt_ike(spi_i, spi_r, initiator, peer, established, via)

    def adopt_ike(self, spi_i, spi_r, initiator, peer, established=False, via=None):
        """Enter an IKE SA with given SPIs; returns its slot. The peer's SPI may be zero; `via` as below."""
        spi_i, spi_r = _octets(spi_i, 8, "initiator SPI"), _octets(spi_r, 8, "responder SPI")
        own, spi_peer = (spi_i, spi_r) if initiator else (spi_r, spi_i)
        if not any(own):
            raise ValueError("IKE SPIs %r, %r" % (spi_i, spi_r))
        peer = self._endpoint(peer)
        from_500 = via == PORT if via else peer[-2:] == _PORT_500
        slot = self.ike.claim(_USED | _VARIANT if initiator else _USED, own)
        here = self.ike.at(slot)  # K14: nothing here and below takes any heap
        self._octets[here] |= established * _ESTABLISHED | from_500 * _FROM_500
        copy(self._octets, here + _SPI_PEER, spi_peer, 0, 8)
        self._hang(slot, peer)
        return slot

    def update_ike(self, slot, spi_peer=None, peer=None, established=None, via=None):
        """Enter what has become known of an IKE SA: the peer's SPI, its new endpoint, that it is established, and

        the port of ours, 500 or 4500, that the peer sends to; with a new endpoint alone it is that of the endpoint.
        """
        here = self.ike.at(slot)
        octets = self._octets
        if spi_peer is not None:
            spi_peer = _octets(spi_peer, 8, "IKE SPI")
        if via not in (None, PORT, PORT_NAT):
            raise ValueError("via %r" % via)
        if peer is not None:
            peer = self._endpoint(peer)
            via = via or (PORT if peer[-2:] == _PORT_500 else PORT_NAT)
        if via:
            octets[here] = octets[here] & ~_FROM_500 & 0xFF | (via == PORT) * _FROM_500
        if established is not None:
            octets[here] = octets[here] & ~_ESTABLISHED & 0xFF | bool(established) * _ESTABLISHED
        if spi_peer:
            copy(octets, here + _SPI_PEER, spi_peer, 0, 8)
        if peer:
            self._unhang(slot)
            self._hang(slot, peer)

    def remove_ike(self, slot):
        """Forget an IKE SA and its Child SAs. Takes no heap (K14), and neither does remove_child."""
        here = self.ike.at(slot)
        child = self.child.first(here, _CHILDREN, _CHILD_FIRST)
        while child >= 0:
            self.remove_child(child)
            child = self.child.first(here, _CHILDREN, _CHILD_FIRST)
        self._unhang(slot)
        self.ike.release(slot)
        if self.watcher:
            self.watcher.ike_gone(slot)

    def add_child(self, ike, protocol, random, spi_out):
        """Enter a Child SA of IKE SA `ike` under an inbound SPI of our choice; returns its slot."""
        return self.adopt_child(ike, protocol, self.child.choose(random), spi_out)

    def adopt_child(self, ike, protocol, spi_in, spi_out):
        """Enter a Child SA of IKE SA `ike` for ESP (50) or AH (51) with given SPIs; returns its slot."""
        owner = self.ike.at(ike)
        if protocol not in (ESP, AH):
            raise ValueError("protocol %r" % protocol)
        spi_in, spi_out = _octets(spi_in, 4, "inbound SPI"), _octets(spi_out, 4, "outbound SPI")
        if not any(spi_in[:3]):
            raise ValueError("Child SA SPIs %r, %r" % (spi_in, spi_out))
        slot = self.child.claim(_USED if protocol == ESP else _USED | _VARIANT, spi_in)
        here = self.child.at(slot)
        copy(self._octets, here + _SPI_OUT, spi_out, 0, 4)
        self._octets[here + _IKE_SA] = ike
        self.child.push(owner, _CHILDREN, _CHILD_FIRST, slot, _CHILD_NEXT)
        return slot

    def move_child(self, slot, ike):
        """Let a Child SA belong to another IKE SA, which replaces its own (RFC 7296 section 2.8)."""
        to = self.ike.at(ike)
        here = self.child.at(slot)
        owner = self.ike.at(self._octets[here + _IKE_SA])
        self.child.unlink(owner, _CHILDREN, _CHILD_FIRST, slot, _CHILD_NEXT)
        self._octets[here + _IKE_SA] = ike
        self.child.push(to, _CHILDREN, _CHILD_FIRST, slot, _CHILD_NEXT)

    def remove_child(self, slot):
        """Forget a Child SA."""
        ike = self._octets[self.child.at(slot) + _IKE_SA]
        self.child.unlink(self.ike.at(ike), _CHILDREN, _CHILD_FIRST, slot, _CHILD_NEXT)
        self.child.release(slot)
        if self.watcher:
            self.watcher.child_gone(slot, ike)

    # Reading back.

    def ike_sas(self):
        """Slots of all IKE SAs."""
        octets, here, found = self._octets, self.ike.start, []
        for slot in range(self.ike.count):
            if octets[here] & _USED:
                found.append(slot)
            here += self.ike.width
        return found

    def ike_sa(self, slot):
        """(spi_i, spi_r, initiator, peer, established) of an IKE SA."""
        here = self.ike.at(slot)
        flags = self._octets[here]
        own = bytes(self._octets[here + 1 : here + _SPI_PEER])
        other = bytes(self._octets[here + _SPI_PEER : here + _BUCKET_FIRST])
        peer = bytes(self._octets[here + _ENDPOINT : here + _ENDPOINT + (18 if flags & _IPV6 else 6)])
        spi_i, spi_r = (own, other) if flags & _VARIANT else (other, own)
        return spi_i, spi_r, bool(flags & _VARIANT), peer, bool(flags & _ESTABLISHED)

    def write_spis(self, slot, out, at):
        """Write both SPIs of an IKE SA to out[at:at+16], as its messages begin; True if we are its initiator."""
        here = self.ike.at(slot)
        own = 0 if self._octets[here] & _VARIANT else 8
        copy(out, at + own, self._octets, here + 1, 8)
        copy(out, at + 8 - own, self._octets, here + _SPI_PEER, 8)
        return not own

    def via(self, slot):
        """The port of ours, 500 or 4500, from which we send to the peer of an IKE SA."""
        return PORT if self._octets[self.ike.at(slot)] & _FROM_500 else PORT_NAT

    def children(self, slot):
        """Slots of the Child SAs of an IKE SA."""
        found = []
        child = self.child.first(self.ike.at(slot), _CHILDREN, _CHILD_FIRST)
        while child >= 0:
            found.append(child)
            child = self.child.following(child, _CHILD_NEXT)
        return found

    def child_sa(self, slot):
        """(ike, protocol, spi_in, spi_out) of a Child SA."""
        here = self.child.at(slot)
        spis = bytes(self._octets[here + 1 : here + _IKE_SA])
        return self._octets[here + _IKE_SA], AH if self._octets[here] & _VARIANT else ESP, spis[:4], spis[4:]

    def owner_of(self, slot):
        """Slot of the IKE SA that a Child SA belongs to."""
        return self._octets[self.child.at(slot) + _IKE_SA]

    def snapshot(self):
        """The table as bytes with a check in front: 8 octets, 22 + `address` an IKE SA slot, 11 a Child SA slot."""
        self._octets[_SHAPE:_PREFIX] = _check(self._octets)
        return bytes(self._octets)

    def restore(self, octets):
        """Become what `snapshot` gave and return True; False, and empty, if that is damaged or of another size.

        S1.1: without its owner nothing can be sent over an IKE SA, so none is established.
        """
        mine = self._octets
        good = (
            len(octets) == len(mine) and octets[:_SHAPE] == mine[:_SHAPE] and octets[_SHAPE:_PREFIX] == _check(octets)
        )
        mine[_SHAPE:] = octets[_SHAPE:] if good else bytes(len(mine) - _SHAPE)
        for here in range(self.ike.start, self.child.start, self.ike.width):
            mine[here] &= ~_ESTABLISHED & 0xFF
        return good

    # The rest is private.

    def _endpoint(self, peer):
        """The endpoint of a peer as bytes; ValueError if it is none that can be spoken to."""
        ipv4 = isinstance(peer, (bytes, bytearray, memoryview)) and len(peer) == 6
        peer = _octets(peer, 6 if ipv4 else self._octets[3] + 2, "peer")
        if not any(peer[-2:]):
            raise ValueError("peer %r has port 0" % peer)
        return peer

    def _hang(self, slot, peer):
        octets = self._octets
        here = self.ike.at(slot)
        octets[here] = octets[here] & ~_IPV6 & 0xFF | (len(peer) == 18) * _IPV6
        copy(octets, here + _ENDPOINT, peer, 0, len(peer))
        self.ike.push(self._bucket(peer), _BUCKET, _BUCKET_FIRST, slot, _BUCKET_NEXT)

    def _unhang(self, slot):
        here = self.ike.at(slot)
        last = self._octets[here + _ENDPOINT + (15 if self._octets[here] & _IPV6 else 3)]  # of the address
        bucket = self.ike.start + last % self.ike.count * self.ike.width
        self.ike.unlink(bucket, _BUCKET, _BUCKET_FIRST, slot, _BUCKET_NEXT)

    def _is_at(self, here, endpoint):
        octets = self._octets
        size = 16 if octets[here] & _IPV6 else 4
        return len(endpoint) == size + 2 and equal(octets, here + _ENDPOINT, endpoint, 0, size)

    def _bucket(self, endpoint):
        return _PREFIX + endpoint[-3] * self._width % self._span
