"""AES-GCM (NIST SP 800-38D) as RFC 4106 and RFC 5282 use it: one direction of an SA, an ICV of 16 octets.

AES makes the key stream, several blocks a call. GHASH goes by four bits at a time through a table of sixteen multiples
of H, 256 octets a key, in words of 32 bits: they never leave machine code, where a number of that size is no object.
A table of eight bits would take 4 KB a key.
"""

from array import array

from portable import const, copy, micropython, ptr8, ptr32

from .aes import BLOCK, ecb
from .octets import same, view

ptr16 = ptr8  # as ptr8, of words of 16 bits
uint = int  # to viper functions it is one whose >> brings in zeros

_SALT = const(4)
_IV = const(8)
_STREAM = const(128)
# What the four bits that drop out at x**128 come back as (SP 800-38D section 6.3).
_REDUCED = array("H", (
    0x0000, 0x1C20, 0x3840, 0x2460, 0x7080, 0x6CA0, 0x48C0, 0x54E0,
    0xE100, 0xFD20, 0xD940, 0xC560, 0x9180, 0x8DA0, 0xA9C0, 0xB5E0,
))  # fmt: skip

# Of the message at work: its counter blocks, and behind them its key stream; its GHASH; its ICV.
_work = bytearray(2 * _STREAM)
_counters = memoryview(_work)[:_STREAM]
_two_counters = memoryview(_work)[: 2 * BLOCK]
_stream = memoryview(_work)[_STREAM:]
_y = array("I", bytes(BLOCK))
_tag = bytearray(BLOCK)


class Gcm:
    iv_size = _IV
    block = 1

    def __init__(self, key, size):
        """`key` has `size` octets in front of the salt."""
        self._aes = ecb(view(key)[:size])
        self._salt = key[size:]
        h = bytearray(BLOCK)
        self._aes.encrypt(h, h)
        self._table = array("I", _work)  # as long as it is to be
        _multiples(self._table, h)

    def seal(self, out, at, head, end):
        self._begin(out, at + head, end)
        start = at + head + _IV
        self._crypt(out, start, out, start, end)
        ghash(self._table, 0, out, at, head, end)
        copy(out, end, _tag, 0, BLOCK)

    def open(self, octets, at, head, end, into):
        if end < at + head + _IV:
            return False
        self._begin(octets, at + head, end)
        ghash(self._table, 0, octets, at, head, end)
        if not same(_tag, octets, end, BLOCK):
            return False
        self._crypt(into, 0, octets, at + head + _IV, end)
        return True

    def _begin(self, octets, iv, end):
        """Make the key stream from the block that hides the tag on."""
        _start(_counters, self._salt, octets, iv)
        self._blocks(1, end - iv)
        copy(_tag, 0, _stream, 0, BLOCK)

    def _blocks(self, number, size):
        """Make the next part of the key stream; of an IKE message it is short."""
        _count(_counters, number)
        self._aes.encrypt(_counters if size > _IV + BLOCK else _two_counters, _stream)

    def _crypt(self, into, to, octets, start, end):
        number = 1
        used = BLOCK
        while start < end:
            if used == _STREAM:
                number += _STREAM // BLOCK
                used = 0
                self._blocks(number, _STREAM)
            n = min(_STREAM - used, end - start)
            _xor(into, to, octets, start, _stream, used, n)
            start += n
            to += n
            used += n


@micropython.viper
def _start(blocks: ptr8, salt: ptr8, octets: ptr8, iv: int):
    """Write the nonce, salt and IV, into all counter blocks (RFC 4106 section 4)."""
    at = 0
    while at < _STREAM:
        i = 0
        while i < _SALT:
            blocks[at + i] = salt[i]
            i += 1
        while i < 12:
            blocks[at + i] = octets[iv - _SALT + i]
            i += 1
        at += 16


@micropython.viper
def _count(blocks: ptr8, number: int):
    """Number the counter blocks from there on, up to 65,535."""
    at = 14
    while at < _STREAM:
        blocks[at] = number >> 8
        blocks[at + 1] = number & 0xFF
        number += 1
        at += 16


@micropython.viper
def _xor(into: ptr8, to: int, octets: ptr8, start: int, stream: ptr8, used: int, n: int):
    while n:
        n -= 1
        into[to + n] = octets[start + n] ^ stream[used + n]


@micropython.viper
def _multiples(table: ptr32, octets: ptr8):
    """H times every polynomial of four bits, of which 8 is 1, 4 is x, 2 is x**2 and 1 is x**3: four words each."""
    mask = 0x3FFFFFFF  # the most that a constant may be
    mask = mask << 1 | 1
    i = 0
    while i < 16:
        word = i >> 2
        table[word] = 0
        word += 32
        table[word] = (table[word] & 0xFFFFFF) << 8 | octets[i]
        i += 1
    row = 4
    while row:
        at = row << 2
        i = 3
        while i:
            table[at + i] = (table[2 * at + i] >> 1 & mask) ^ (table[2 * at + i - 1] & 1) << 31
            i -= 1
        table[at] = (table[2 * at] >> 1 & mask) ^ (table[2 * at + 3] & 1) * 0xE1 << 24
        row >>= 1
    row = 3
    while row < 16:
        power = 8
        while row & power == 0:
            power >>= 1
        i = 0
        while i < 4 and row != power:
            table[row * 4 + i] = table[power * 4 + i] ^ table[(row ^ power) * 4 + i]
            i += 1
        row += 1


@micropython.viper
def ghash(table: ptr32, row: int, octets: ptr8, at: int, head: int, end: int):
    """Add to _tag the GHASH of octets[at:at+head], of what is behind the IV up to `end`, and of both lengths.

    Each is filled up with zeros to whole blocks (SP 800-38D section 6.4). The first two arguments are in registers:
    `row` is only there to be a place in the table.
    """
    reduced = ptr16(_REDUCED)
    y = ptr32(_y)
    k = 4
    while k:
        k -= 1
        y[k] = 0
    stop = at + head
    start = stop + _IV
    parts = 3
    while parts:
        if at >= stop:
            parts -= 1
            if parts == 2:
                at = start
                stop = end
            elif parts:  # a block of which nothing is octets
                k = 1
                y[k] ^= head << 3
                k = 3
                y[k] ^= end - start << 3
        if at < stop or parts == 1:
            a = b = c = d = uint(0)
            k = 4
            while k:
                k -= 1
                word = y[k]
                i = at + (k << 2)
                if i + 4 <= stop:
                    word ^= octets[i] << 24 | octets[i + 1] << 16 | octets[i + 2] << 8 | octets[i + 3]
                else:
                    shift = 24
                    while i < stop:
                        word ^= octets[i] << shift
                        shift -= 8
                        i += 1
                nibbles = 8
                while nibbles:
                    nibbles -= 1
                    row = (word & 15) << 2
                    word >>= 4
                    dropped = reduced[d & 15]
                    d = (d >> 4) ^ (c & 15) << 28 ^ table[row + 3]
                    c = (c >> 4) ^ (b & 15) << 28 ^ table[row + 2]
                    b = (b >> 4) ^ (a & 15) << 28 ^ table[row + 1]
                    a = (a >> 4) ^ dropped << 16 ^ table[row]
            k = 0
            y[k] = a
            k += 1
            y[k] = b
            k += 1
            y[k] = c
            k += 1
            y[k] = d
            at += 16
    tag = ptr8(_tag)
    k = 16
    while k:
        k -= 1
        tag[k] ^= y[k >> 2] >> (24 - ((k & 3) << 3)) & 0xFF
