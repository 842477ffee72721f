"""AES-GCM (NIST SP 800-38D) from AES blocks and a GHASH in machine code.

It goes by four bits at a time through a table of sixteen multiples of H, 256 octets in 16-bit words: wider ones would
be heap objects on a 32-bit board. Nothing that depends on a key outlives a message.
"""

import struct
from array import array

from ..wire import const, micropython, ptr8
from .aes import BLOCK, ecb

ptr16 = ptr8  # as ptr8, of words of 16 bits

NONCE = const(12)
# What the four bits that drop out at x**128 come back as (SP 800-38D section 6.3).
_REDUCED = array("H", (
    0x0000, 0x1C20, 0x3840, 0x2460, 0x7080, 0x6CA0, 0x48C0, 0x54E0,
    0xE100, 0xFD20, 0xD940, 0xC560, 0x9180, 0x8DA0, 0xA9C0, 0xB5E0,
))  # fmt: skip


class Gcm:
    """AES-GCM for one message: a key and a 12-octet nonce that it has never had before."""

    def __init__(self, key, nonce):
        self._cipher = ecb(key)
        self._nonce = nonce
        self._h = self._blocks(0, 1)
        self._mask = self._blocks(1, 1, nonce)

    def _blocks(self, first, count, nonce=bytes(NONCE)):
        """Encrypted counter blocks from number `first` on."""
        octets = bytearray(BLOCK * count)
        for i in range(count):
            struct.pack_into(">12sI", octets, BLOCK * i, nonce, first + i)
        self._cipher.encrypt(octets, octets)
        return octets

    def crypt(self, octets, start, end):
        """Encrypt or decrypt octets[start:end] in place."""
        size = end - start
        _add(octets, start, self._blocks(2, (size + BLOCK - 1) // BLOCK, self._nonce), 0, size)

    def tag(self, data, ciphertext):
        """The 16-octet tag over the additional authenticated data and the ciphertext."""
        lengths = struct.pack(">IIII", 0, len(data) * 8, 0, len(ciphertext) * 8)
        tag = ghash(self._h, data, ciphertext, lengths)
        _add(tag, 0, self._mask, 0, BLOCK)
        return tag


def ghash(h, *parts):
    """GHASH under H over the parts, each filled up with zeros to whole blocks (SP 800-38D section 6.4)."""
    table = _multiples(h)
    y = bytearray(BLOCK)
    for part in parts:
        for at in range(0, len(part), BLOCK):
            _add(y, 0, part, at, min(BLOCK, len(part) - at))
            _multiply(y, table)
    return y


@micropython.viper
def _add(into: ptr8, at: int, octets: ptr8, start: int, n: int):
    """Add octets[start:start+n] to as many from into[at] on: exclusive or."""
    while n:
        n -= 1
        into[at + n] ^= octets[start + n]


@micropython.viper
def _multiples(octets):
    """H times every polynomial of four bits, of which 8 is 1, 4 is x, 2 is x**2 and 1 is x**3."""
    words = array("H", bytes(256))
    h = ptr8(octets)
    table = ptr16(words)
    i = 8
    while i:
        i -= 1
        table[64 + i] = h[2 * i] << 8 | h[2 * i + 1]
    here = 64
    while here > 8:
        there = here >> 1
        table[there] = table[here] >> 1 ^ 0xE100 * (table[here + 7] & 1)
        i = 8
        while i > 1:
            i -= 1
            table[there + i] = table[here + i] >> 1 ^ (table[here + i - 1] & 1) << 15
        here = there
    row = 3
    while row < 16:
        power = row & -row
        i = 8
        while i and row != power:
            i -= 1
            table[row * 8 + i] = table[power * 8 + i] ^ table[(row ^ power) * 8 + i]
        row += 1
    return words


@micropython.viper
def _multiply(product: ptr8, table: ptr16):
    """16 octets times H, in place: from the last four bits to the first, times x**4 and one row of the table added."""
    reduced = ptr16(_REDUCED)
    a = b = c = d = e = f = g = h = 0
    i = 32
    while i:
        i -= 1
        row = (product[i >> 1] & 15 if i & 1 else product[i >> 1] >> 4) << 3
        dropped = reduced[h & 15]
        h = table[row + 7] ^ h >> 4 ^ (g & 15) << 12
        g = table[row + 6] ^ g >> 4 ^ (f & 15) << 12
        f = table[row + 5] ^ f >> 4 ^ (e & 15) << 12
        e = table[row + 4] ^ e >> 4 ^ (d & 15) << 12
        d = table[row + 3] ^ d >> 4 ^ (c & 15) << 12
        c = table[row + 2] ^ c >> 4 ^ (b & 15) << 12
        b = table[row + 1] ^ b >> 4 ^ (a & 15) << 12
        a = table[row] ^ a >> 4 ^ dropped
    product[0] = a >> 8
    product[1] = a & 0xFF
    product[2] = b >> 8
    product[3] = b & 0xFF
    product[4] = c >> 8
    product[5] = c & 0xFF
    product[6] = d >> 8
    product[7] = d & 0xFF
    product[8] = e >> 8
    product[9] = e & 0xFF
    product[10] = f >> 8
    product[11] = f & 0xFF
    product[12] = g >> 8
    product[13] = g & 0xFF
    product[14] = h >> 8
    product[15] = h & 0xFF
