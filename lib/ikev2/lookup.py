"""The look-ups that the receive path needs of an SPI table: octets compared in place, nothing allocated.

spi_table.py has the rest of the table and explains it. IKE SAs with one peer address hang on a chain from a bucket, the
Child SAs of one IKE SA on a chain from its record: no look-up walks the table.
"""

from portable import const, equal

from .slots import BUCKET, VARIANT
from .wire import IKE_SA_INIT, PORT, PORT_NAT

# IKE record: flags, our SPI, the peer's SPI, three links, the peer's endpoint. VARIANT: we are the original initiator.
ESTABLISHED = const(0x04)
IPV6 = const(0x08)
FROM_500 = const(0x10)
CHILDREN = const(0x20)
SPI_PEER = const(9)
BUCKET_FIRST = const(17)
BUCKET_NEXT = const(18)
CHILD_FIRST = const(19)
ENDPOINT = const(20)

# Child record: flags, inbound SPI, outbound SPI, IKE SA, link. VARIANT: AH.
SPI_OUT = const(5)
IKE_SA = const(9)
CHILD_NEXT = const(10)
CHILD_WIDTH = const(11)

# As wire.py has them: MicroPython folds only the constants of the same file.
_EXCHANGE = const(18)
_MESSAGE_ID = const(20)
_ZERO = bytes(4)


def _host_port(octets, at):
    port = (octets[at] << 8) | octets[at + 1]
    return port == PORT or port == PORT_NAT or not port


class LookUps:
    """What SpiTable inherits: `ike` and `child` are its Slots, `_octets` what they lie in."""

    def find_peer(self, endpoint):
        """Slot of the newest established IKE SA with that peer; -1.

        The address decides (section 1.5). Ports count where one of them betrays a NAT (2.23): 500, 4500 and
        the 0 of bare ESP and AH are the host itself.
        """
        slots = self.ike
        octets = self._octets
        here = slots.start + endpoint[-3] % slots.count * slots.width  # as _bucket has it, without the call
        if not octets[here] & BUCKET:
            return -1
        slot = octets[here + BUCKET_FIRST]
        port = len(endpoint) - 2
        found = -1
        while slot >= 0:
            here = slots.start + slot * slots.width
            if octets[here] & ESTABLISHED and self._is_at(here, endpoint):
                at = here + ENDPOINT + port
                if equal(octets, at, endpoint, port, 2):
                    return slot
                if found < 0 and (
                    not (endpoint[port] or endpoint[port + 1])
                    or (_host_port(endpoint, port) and _host_port(octets, at))
                ):
                    found = slot
            slot = slots.following(slot, BUCKET_NEXT)
        return found

    def find_outbound(self, endpoint, octets, at):
        """Slot of the IKE SA with that peer address under which we send to the SPI octets[at:at+4]; -1."""
        slot = self.ike.first(self._bucket(endpoint), BUCKET, BUCKET_FIRST)
        while slot >= 0:
            here = self.ike.start + slot * self.ike.width
            if self._is_at(here, endpoint):
                child = self.child.first(here, CHILDREN, CHILD_FIRST)
                while child >= 0:
                    if equal(self._octets, self.child.start + child * CHILD_WIDTH + SPI_OUT, octets, at, 4):
                        return slot
                    child = self.child.following(child, CHILD_NEXT)
            slot = self.ike.following(slot, BUCKET_NEXT)
        return -1

    def matches(self, slot, octets, at, endpoint):
        """True if the IKE header at octets[at:] has both SPIs of that IKE SA and the endpoint its peer's address."""
        here = self.ike.at(slot)
        own = 0 if self._octets[here] & VARIANT else 8
        return (
            equal(self._octets, here + 1, octets, at + own, 8)
            and equal(self._octets, here + SPI_PEER, octets, at + 8 - own, 8)
            and self._is_at(here, endpoint)
        )

    def is_at(self, slot, endpoint, via):
        """True if the peer of that IKE SA is at that endpoint, speaking to our port `via`, or cannot move there."""
        here = self.ike.at(slot)
        size = 18 if self._octets[here] & IPV6 else 6
        from_500 = self._octets[here] & FROM_500 != 0
        return len(endpoint) != size or (
            equal(self._octets, here + ENDPOINT, endpoint, 0, size) and from_500 == (via == PORT)
        )

    def awaits_init(self, slot, octets, at, endpoint):
        """True if the IKE header at octets[at:] is of an IKE_SA_INIT with Message ID 0, from the address of the peer of

        that IKE SA, which is not established.
        """
        here = self.ike.at(slot)
        return (
            octets[at + _EXCHANGE] == IKE_SA_INIT
            and equal(octets, at + _MESSAGE_ID, _ZERO, 0, 4)
            and not self._octets[here] & ESTABLISHED
            and self._is_at(here, endpoint)
        )

    def _is_at(self, here, endpoint):
        octets = self._octets
        size = 16 if octets[here] & IPV6 else 4
        return len(endpoint) == size + 2 and equal(octets, here + ENDPOINT, endpoint, 0, size)

    def _bucket(self, endpoint):
        slots = self.ike
        return slots.start + endpoint[-3] % slots.count * slots.width
