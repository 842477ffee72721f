"""AES-CBC with HMAC-SHA-256-128 over the message (RFC 3602, RFC 4868): one direction of an SA.

One AES object serves all messages of a key: it is 300 octets, and its key schedule takes as long as four blocks. From
message to message it goes on with the last block of ciphertext where there should be an IV of its own, so the
difference of the two is added to the first block of plaintext. What is left to allocate are views and SHA-256, and none
of that between the AES object's work and the note of where it stands: a message may fail, the next one is right.
"""

from hashlib import sha256

from portable import copy, micropython, ptr8

from .aes import BLOCK, cbc
from .hmac import pads
from .octets import same


class CbcHmac:
    iv_size = BLOCK
    block = BLOCK

    def __init__(self, key, integrity):
        self._last = bytearray(BLOCK)
        self._aes = cbc(key, self._last)
        self._inner, self._outer = pads(integrity)

    def seal(self, out, at, head, end):
        start = at + head + BLOCK
        view = memoryview(out)
        text = view[start:end]
        _before(out, start, self._last)
        self._aes.encrypt(text, text)
        _stands(self._last, out, end)
        inner = sha256(self._inner)
        inner.update(view[at:end])
        outer = sha256(self._outer)
        outer.update(inner.digest())
        copy(out, end, outer.digest(), 0, BLOCK)

    def open(self, octets, at, head, end, into):
        start = at + head + BLOCK
        if end <= start or end - start & 15:
            return False
        view = memoryview(octets)
        inner = sha256(self._inner)
        inner.update(view[at:end])
        outer = sha256(self._outer)
        outer.update(inner.digest())
        if not same(outer.digest(), 0, octets, end, BLOCK):
            return False
        self._aes.decrypt(view[start:end], into)
        _opened(into, octets, start, self._last, end)
        return True


@micropython.viper
def _before(out: ptr8, start: int, last: ptr8):
    """Add the IV, which stands before `start`, and the last block of ciphertext to the first block of plaintext."""
    i = 16
    while i:
        i -= 1
        out[start + i] ^= out[start - 16 + i] ^ last[i]


@micropython.viper
def _stands(last: ptr8, octets: ptr8, end: int):
    """Remember the last block of ciphertext."""
    i = 16
    while i:
        i -= 1
        last[i] = octets[end - 16 + i]


@micropython.viper
def _opened(into: ptr8, octets: ptr8, start: int, last: ptr8, end: int):
    """Make up for the IV in the first block of plaintext, and remember the last block of ciphertext."""
    i = 16
    while i:
        i -= 1
        into[i] ^= octets[start - 16 + i] ^ last[i]
        last[i] = octets[end - 16 + i]
