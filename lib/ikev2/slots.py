"""Fixed-width records in a bytearray that are found by an SPI without searching; what spi_table is made of.

An SPI that we choose has its slot in its last octet (RFC 7296 section 2.6 leaves the choice to the receiver):
one comparison finds it, whatever the number of slots. A record with a foreign SPI starts looking for a free
slot there and moves on; each slot that it passes is marked, and a look-up stops at the first slot without
the mark. Records never move, so a slot number is a handle.

A record begins with an octet of flags and its SPI. Records that belong together hang on a chain: the owner
of a chain has a flag that says "not empty" and the first slot, each member the next, the last one itself.
"""

from array import array

from portable import const, micropython, ptr8, ptr32

USED = const(0x01)
VARIANT = const(0x02)
BUCKET = const(0x40)
_PASSED = const(0x80)
_KEY = const(0x03)  # USED and VARIANT: what must agree besides the SPI
_INDEX = const(0xC0)  # BUCKET and _PASSED belong to the slot, not to who is in it


@micropython.viper
def find(slots, key: int, spi: ptr8, at: int) -> int:
    """Slot of the record with these flags (USED, perhaps VARIANT) and the SPI spi[at:at+size]; -1."""
    octets = ptr8(slots.octets)
    shape = ptr32(slots.shape)
    start = shape[0]
    width = shape[1]
    count = shape[2]
    size = shape[3]
    slot = spi[at + size - 1] % count
    at -= 1
    left = count
    while left:
        left -= 1
        here = start + slot * width
        if octets[here] & _KEY == key:
            i = size
            while i and octets[here + i] == spi[at + i]:
                i -= 1
            if not i:
                return slot
        if octets[here] < _PASSED:
            return -1
        slot = (slot + 1) % count
    return -1


class Slots:
    """`count` records of `width` octets in `octets` from `start` on, each with an SPI of `size` octets.

    The octet `kept` of a record belongs to the slot and outlives who is in it; 0: there is none.
    """

    def __init__(self, octets, start, width, count, size, kept=0):
        self.octets = octets
        self.start = start
        self.width = width
        self.count = count
        self.size = size
        self._kept = kept
        self.shape = array("I", (start, width, count, size))

    def at(self, slot):
        """Offset of the record in a used slot; ValueError if there is none."""
        if not 0 <= slot < self.count or not self.octets[self.start + slot * self.width] & USED:
            raise ValueError("no entry in slot %r" % slot)
        return self.start + slot * self.width

    def choose(self, random):
        """A fresh SPI that leads to a free slot, its other octets from random(n)."""
        for slot in range(self.count):
            if not self.octets[self.start + slot * self.width] & USED:
                break
        else:
            raise ValueError("table full: %d entries" % self.count)
        while True:
            spi = bytearray(random(self.size))
            slots_with_last_octet = 256 // self.count
            spi[-1] = slot + self.count * (spi[-1] % slots_with_last_octet)
            # Not 0 to 255 and not a non-ESP marker; not somebody's already.
            if any(spi[:3]) and find(self, USED, spi, 0) < 0 and find(self, USED | VARIANT, spi, 0) < 0:
                return bytes(spi)

    def claim(self, key, spi):
        """Put a record with these flags and SPI into a free slot, the rest of it zero; returns the slot."""
        if find(self, key, spi, 0) >= 0:
            raise ValueError("SPI %r is known" % bytes(spi))
        home = slot = spi[-1] % self.count
        while self.octets[self.start + slot * self.width] & USED:
            slot = (slot + 1) % self.count
            if slot == home:
                raise ValueError("table full: %d entries" % self.count)
        here = self.start + slot * self.width
        self.octets[here] = self.octets[here] & _INDEX | key
        for i in range(self.size):
            self.octets[here + 1 + i] = spi[i]
        self._mark(home, slot)
        return slot

    def release(self, slot):
        """Free a slot, all of it zero, and mark anew what the others pass on their way."""
        octets = self.octets
        start = self.at(slot)
        octets[start] &= _INDEX
        for i in range(1, self.width):
            if i != self._kept:
                octets[start + i] = 0
        for here in range(self.start, self.start + self.count * self.width, self.width):
            octets[here] &= ~_PASSED & 0xFF
        for other in range(self.count):
            here = self.start + other * self.width
            if octets[here] & USED:
                self._mark(octets[here + self.size] % self.count, other)

    def _mark(self, slot, end):
        while slot != end:
            self.octets[self.start + slot * self.width] |= _PASSED
            slot = (slot + 1) % self.count

    def push(self, owner, flag, first, slot, following):
        """Hang a slot on the chain of the record at `owner`; `first` and `following` are offsets in the records."""
        octets = self.octets
        octets[self.start + slot * self.width + following] = octets[owner + first] if octets[owner] & flag else slot
        octets[owner + first] = slot
        octets[owner] |= flag

    def first(self, owner, flag, first):
        """First slot on the chain of the record at `owner`; -1 if it is empty."""
        return self.octets[owner + first] if self.octets[owner] & flag else -1

    def following(self, slot, following):
        """Slot behind that one on its chain; -1 at the end."""
        behind = self.octets[self.start + slot * self.width + following]
        return -1 if behind == slot else behind

    def unlink(self, owner, flag, first, slot, following):
        """Take a slot off the chain of the record at `owner`."""
        octets = self.octets
        behind = self.following(slot, following)
        before = self.first(owner, flag, first)
        if before != slot:
            while self.following(before, following) != slot:
                before = self.following(before, following)
            octets[self.start + before * self.width + following] = before if behind < 0 else behind
        elif behind < 0:
            octets[owner] &= ~flag & 0xFF
        else:
            octets[owner + first] = behind
