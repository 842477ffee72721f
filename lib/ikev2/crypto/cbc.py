"""AES-CBC with HMAC-SHA-256-128 over the message (RFC 3602, RFC 4868): one direction of an SA.

Each message has an AES object of its own, 300 octets of the heap: to hold it would save its key schedule, the time of
three blocks, and cost as much, because CBC would go on with the last block of ciphertext in place of the IV.
"""

from .aes import BLOCK, cbc
from .hmac import digest, pads
from .octets import copy, same


class CbcHmac:
    iv_size = BLOCK
    block = BLOCK

    def __init__(self, key, integrity):
        cbc(key, bytes(BLOCK))
        self._key = key
        self._pads = pads(integrity)

    def seal(self, out, at, head, end):
        view = memoryview(out)
        start = at + head + BLOCK
        text = view[start:end]
        cbc(self._key, view[start - BLOCK : start]).encrypt(text, text)
        copy(out, end, digest(self._pads, view[at:end]), 0, BLOCK)

    def open(self, octets, at, head, end, into):
        view = memoryview(octets)
        if not same(digest(self._pads, view[at:end]), 0, octets, end, BLOCK):
            return False
        start = at + head + BLOCK
        cbc(self._key, view[start - BLOCK : start]).decrypt(view[start:end], into)
        return True
