"""One Child SA's packets, both ways: ESP in tunnel mode (RFC 4303), as it goes in UDP (RFC 3948).

    SPI | number | IV | IPv4 packet, what hides its length, 1 2 3 …, pad length, next header | ICV

`seal` makes one in place around the IPv4 packet that stands in the outgoing buffer. `open` asks in the order of rule
E2 (length, window, integrity), and only then does the window move and anything leave the datagram, decrypted, for the
one buffer that all Child SAs share. Nothing here answers: what fails is counted by its reason. The same traffic
selectors bind both directions (RFC 4301 section 5.2). The sequence numbers of both directions, and the window, lie as
octets in one bytearray, because half of them would be heap objects on a 32-bit board.
"""

import struct
from array import array

from ikev2.crypto import cipher
from portable import const, copy, micropython, ptr8, ptr32

from .spd import within

ROOM = const(24)  # octets in front of the inner packet: SPI, number, the longest IV
REASONS = ("", "replay", "integrity", "malformed", "padding", "next-header", "dummy", "selector")

_REPLAY = const(1)
_INTEGRITY = const(2)
_MALFORMED = const(3)
_PADDING = const(4)
_NEXT_HEADER = const(5)
_DUMMY = const(6)
_SELECTOR = const(7)
_ROOM = const(24)  # MicroPython folds only private constants
_WIDTH = const(13)  # octets of a traffic selector

_HEAD = const(8)  # SPI and number
_NUMBER = const(4)
_ICV = const(16)
_ALIGNED = const(4)  # RFC 4303 section 2.4
_LONGEST = const(1472)  # octets of UDP payload
_PLAIN = const(1504)  # an inner packet of 1,500 octets, pad length and next header, in whole blocks
_SATURATED = const(0x3FFFFFFF)
_NUMBERS = 1 << 32
_IPV4 = const(4)
_NOTHING = const(59)

# Where things lie in _state. The first two are the header of the next packet that is sent; number 0: none is left.
_NEXT = const(4)
_SEEN = const(8)  # the highest number received
_WINDOW = const(12)  # number n has bit n % 64
_IV_SIZE = const(20)
_BLOCK = const(21)  # what the length of the plaintext is a multiple of
_AHEAD = const(22)  # how far the number that has arrived is ahead of the highest, 64 at most
_STATE = const(23)
_WINDOW_SIZE = const(64)

REFUSED = ("", "too long", "no number left", "malformed", "", "", "", "selector")
_TOO_LONG = const(1)
_NO_NUMBER = const(2)
_NO_BUFFER = const(4)


@micropython.viper
def _arrived(state: ptr8, octets: ptr8, at: int, length: int) -> int:
    """0 if octets[at:length] can be a packet of ours that did not come before (E2); else why not."""
    size = length - at - _HEAD - state[_IV_SIZE] - _ICV
    if size <= 0 or size % state[_BLOCK] or size > _PLAIN:
        return _MALFORMED
    if not (octets[at + 7] or octets[at + 6] or octets[at + 5] or octets[at + 4]):
        return _REPLAY
    seen = int(_SEEN)
    ahead = (octets[at + 4] << 8 | octets[at + 5]) - (state[seen] << 8 | state[seen + 1])
    if ahead > 2:
        ahead = 2
    if ahead < -1:
        return _REPLAY
    ahead = (ahead << 16) + (octets[at + 6] << 8 | octets[at + 7]) - (state[seen + 2] << 8 | state[seen + 3])
    if ahead > _WINDOW_SIZE:
        ahead = int(_WINDOW_SIZE)
    if ahead <= 0:
        bit = octets[at + 7] & _WINDOW_SIZE - 1
        if ahead <= -_WINDOW_SIZE or state[_WINDOW + (bit >> 3)] >> (bit & 7) & 1:
            return _REPLAY
        ahead = 0
    state[seen + (_AHEAD - _SEEN)] = ahead
    return 0


@micropython.viper
def _verified(sa, octets: ptr8, at: int, length: int) -> int:
    """Move the window, then look at what was decrypted: length of the inner packet, or minus why it is dropped (E3)."""
    state = ptr8(sa._state)
    packet = sa.packet
    i = int(_AHEAD)
    ahead = state[i]
    bit = state[_SEEN + 3]
    while ahead:
        ahead -= 1
        bit += 1
        state[_WINDOW + ((bit & _WINDOW_SIZE - 1) >> 3)] &= ~(1 << (bit & 7))
    bit = octets[at + 7] & _WINDOW_SIZE - 1
    state[_WINDOW + (bit >> 3)] |= 1 << (bit & 7)
    if state[i]:
        i = 4
        while i:
            i -= 1
            state[_SEEN + i] = octets[at + _NUMBER + i]

    plain = ptr8(packet)
    at = length - at - _HEAD - state[_IV_SIZE] - _ICV - 2  # where the trailer is
    i = plain[at]
    size = at - i
    if size < 0:
        return -_PADDING
    while i:
        if plain[size + i - 1] != i:
            return -_PADDING
        i -= 1
    if plain[at + 1] != _IPV4:
        return -_DUMMY if plain[at + 1] == _NOTHING else -_NEXT_HEADER
    return int(within(packet, 0, size, sa._remote, sa._inside))


@micropython.viper
def _wrap(sa, out, at: int, size: int) -> int:
    """Put all around the inner packet but a random IV and the ICV, and spend a number; the length, or minus why not."""
    words = ptr8(sa._state)
    iv_size = words[_IV_SIZE]
    block = words[_BLOCK]
    n = block - 1 - (size + 1) % block
    length = _HEAD + iv_size + size + n + 2 + _ICV
    if length > _LONGEST:
        return -_TOO_LONG
    if at + length > int(len(out)) or size < 0:
        return -_NO_BUFFER
    found = int(within(out, at + _ROOM, size, sa._inside, sa._remote))
    if found != size:
        return found if found < 0 else -_MALFORMED
    if not (words[_NEXT + 3] or words[_NEXT + 2] or words[_NEXT + 1] or words[_NEXT]):
        return -_NO_NUMBER
    octets = ptr8(out)
    i = 0
    while i < _HEAD:
        octets[at + i] = words[i]
        i += 1
    inner = at + _HEAD + iv_size
    if inner < at + _ROOM:  # E5
        while i < _HEAD + iv_size:
            octets[at + i] = words[i - _HEAD] if i >= _HEAD + _NUMBER else 0
            i += 1
        i = 0
        while i < size:
            octets[inner + i] = octets[at + _ROOM + i]
            i += 1
    i = int(_SEEN)
    while i > _NEXT:
        i -= 1
        words[i] = (words[i] + 1) & 0xFF
        if words[i]:
            i = 0
    inner += size
    i = 0
    while i < n:
        i += 1
        octets[inner] = i
        inner += 1
    octets[inner] = n
    octets[inner + 1] = _IPV4
    return length


@micropython.viper
def _counted(counters: ptr32, size: int) -> int:
    """Count a packet of that size, or minus why it is dropped; why."""
    reason = 0
    if size < 0:
        reason = 0 - size
    if counters[reason] < _SATURATED:
        counters[reason] += 1
    return reason


_plain = bytearray(_PLAIN)


class ChildSa:
    """Keys of both directions as crypto.cipher takes them, our outbound SPI, traffic selectors of both ends, random(n).

    `inside` are our selectors, `remote` the peer's, packed as spd.py has them. `next` is the number of the next
    packet sent, 2**32 if none is left; `seen` the highest received: all up to it count as received.
    """

    packet = _plain  # what `open` found, until any Child SA opens the next packet
    size = 0  # of that; or minus why there is none
    refused = ""  # why `seal` did not

    def __init__(self, cipher_name, key_in, key_out, spi_out, inside, remote, random, next=1, seen=0):
        if not (len(spi_out) == 4 and 0 < next <= _NUMBERS and 0 <= seen < _NUMBERS):
            raise ValueError("ChildSa: SPI of %d octets, next %r, seen %r" % (len(spi_out), next, seen))
        for selectors in (inside, remote):
            if not selectors or len(selectors) % _WIDTH:
                raise ValueError("ChildSa: %d octets of traffic selectors" % len(selectors))
        self._in = cipher(cipher_name, key_in)
        self._out = cipher(cipher_name, key_out)
        self._inside = bytes(inside)
        self._remote = bytes(remote)
        self._random = random if self._in.iv_size == 16 else None
        block = max(self._in.block, _ALIGNED)
        state = struct.pack(">4sIIqBBB", spi_out, next % _NUMBERS, seen, -1, self._in.iv_size, block, 0)
        self._state = bytearray(state)  # all up to `seen` has come
        self.counters = array("I", bytes(4 * len(REASONS)))  # of packets received, by reason; first the good ones

    @property
    def next(self):
        """Number of the next packet sent; 2**32 if there is none, and the Child SA has to be replaced (E1)."""
        return int.from_bytes(self._state[_NEXT:_SEEN], "big") or _NUMBERS

    @property
    def seen(self):
        """Highest number received."""
        return int.from_bytes(self._state[_SEEN:_WINDOW], "big")

    def end(self):
        """Send nothing any more: there is no number left, and no key."""
        self._state[_NEXT:_SEEN] = bytes(_SEEN - _NEXT)
        self._out = None

    def room(self):
        """Octets of the longest inner packet that `seal` takes (E7)."""
        block = self._state[_BLOCK]
        return (_LONGEST - _HEAD - self._in.iv_size - _ICV) // block * block - 2

    def open(self, packet, at, length):
        """0 if packet[at:length] is good: the inner packet is self.packet[:self.size]. Else an index into REASONS."""
        self.size = -_arrived(self._state, packet, at, length)
        if not self.size:
            if self._in.open(packet, at, _HEAD, length - _ICV, self.packet):
                self.size = _verified(self, packet, at, length)
            else:
                self.size = -_INTEGRITY
        return _counted(self.counters, self.size)

    def seal(self, out, at, size):
        """Length of the ESP packet out[at:] around the inner packet in out[at+ROOM:at+ROOM+size].

        0 if it must not leave; then `refused` is "malformed", "selector", "too long" or "no number left". ValueError
        if `out` is too short for it.
        """
        length = _wrap(self, out, at, size)
        if length < 0:
            if length == -_NO_BUFFER:
                raise ValueError("%d octets from %d on in a buffer of %d" % (size, at + ROOM, len(out)))
            self.refused = REFUSED[-length]
            return 0
        if self._random:
            copy(out, at + _HEAD, self._random(16), 0, 16)
        size = at + length - _ICV
        self._out.seal(out, at, _HEAD, size)
        return length
