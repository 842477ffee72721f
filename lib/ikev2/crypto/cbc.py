"""AES-CBC with HMAC-SHA-256-128 over the message (RFC 3602, RFC 4868): one direction of an SA.

One AES object serves all messages of a key: it is 300 octets, and its key schedule takes as long as four blocks. From
message to message it goes on with the last block of ciphertext where there should be an IV of its own, so the
difference of the two is added to the first block of plaintext. What is left to allocate are views and SHA-256, and none
of that between the AES object's work and the note of where it stands: a message may fail, the next one is right.

MicroPython makes an object of the frame of a function with more than eleven words, names and what is at work, and an
object of several blocks takes as long as SHA-256 of a block: hence few names.
"""

from hashlib import sha256

from portable import micropython, ptr8

from .aes import BLOCK, cbc
from .hmac import pads
from .octets import same, view


class CbcHmac:
    iv_size = BLOCK
    block = BLOCK

    def __init__(self, key, size):
        """`key` has `size` octets for encryption in front of those for integrity."""
        self._last = bytearray(BLOCK)
        self._aes = cbc(view(key)[:size], self._last)
        self._inner, self._outer = pads(key, size)

    def seal(self, out, at, head, end):
        head += at + BLOCK
        part = view(out)[head:end]
        _add(part, out, head, self._last)
        self._aes.encrypt(part, part)
        _copy(out, end - BLOCK, self._last, 0)
        part = self._icv(out, at, end)
        _copy(part, 0, out, end)

    def open(self, octets, at, head, end, into):
        head += at + BLOCK
        if end <= head or end - head & 15:
            return False
        at = self._icv(octets, at, end)
        if not same(at, octets, end, BLOCK):
            return False
        self._aes.decrypt(view(octets)[head:end], into)
        _add(into, octets, head, self._last)
        _copy(octets, end - BLOCK, self._last, 0)
        return True

    def _icv(self, octets, at, end):
        """HMAC-SHA-256 of octets[at:end]."""
        made = sha256(self._inner)
        made.update(view(octets)[at:end])
        octets = made.digest()
        made = sha256(self._outer)
        made.update(octets)
        return made.digest()


@micropython.viper
def _add(text: ptr8, octets: ptr8, start: int, last: ptr8):
    """Add the IV, which stands before `start`, and the last block of ciphertext to the first block of plaintext."""
    i = 16
    while i:
        i -= 1
        text[i] ^= octets[start - 16 + i] ^ last[i]


@micropython.viper
def _copy(octets: ptr8, at: int, out: ptr8, i: int):
    """Copy a block."""
    n = 16
    while n:
        n -= 1
        out[i + n] = octets[at + n]
