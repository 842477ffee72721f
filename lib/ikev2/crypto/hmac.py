"""HMAC-SHA-256 (RFC 2104) on the platform's SHA-256.

MicroPython's hashlib gives one digest and has no copy, so each message starts anew from the two pads of its key.
"""

from hashlib import sha256

from portable import const, micropython, ptr8

_BLOCK = const(64)
# RFC 4231 section 4.3: what comes of b"Jefe" and that.
_QUESTION = b"what do ya want for nothing?"
_ANSWER = (
    b"\x5b\xdc\xc1\x46\xbf\x60\x75\x4e\x6a\x04\x24\x26\x08\x95\x75\xc7"
    b"\x5a\x00\x3f\x08\x9d\x27\x39\x83\x9d\xec\x58\xb9\x64\xec\x38\x43"
)
_known = False


def pads(key, at=0):
    """What `digest` wants of the key that begins there: (inner, outer), 64 octets each.

    NotImplementedError unless HMAC gives the known answer on this machine.
    """
    global _known
    if not _known:
        if digest(_pads(b"Jefe", 0), _QUESTION) != _ANSWER:
            raise NotImplementedError("HMAC-SHA-256: wrong answer on this machine")
        _known = True
    return _pads(key, at)


def trust():
    """HMAC has given the known answer on this machine before it slept."""
    global _known
    _known = True


def _pads(key, at):
    if len(key) - at > _BLOCK:
        key = sha256(key[at:]).digest()
        at = 0
    inner, outer = bytearray(_BLOCK), bytearray(_BLOCK)
    _pad(inner, outer, key, at, len(key) - at)
    return inner, outer


@micropython.viper
def _pad(inner: ptr8, outer: ptr8, key: ptr8, at: int, size: int):
    k = int(_BLOCK)
    while k > size:
        k -= 1
        inner[k] = 0x36
        outer[k] = 0x5C
    while k:
        k -= 1
        inner[k] = key[at + k] ^ 0x36
        outer[k] = key[at + k] ^ 0x5C


def digest(pads, *parts):
    """HMAC-SHA-256 of the parts, one after the other, under the key with those pads: 32 octets."""
    made = sha256(pads[0])
    for part in parts:
        made.update(part)
    part = made.digest()
    made = sha256(pads[1])
    made.update(part)
    return made.digest()


def hmac_sha256(key, *parts):
    """HMAC-SHA-256 of the parts, one after the other (RFC 2104): 32 octets."""
    return digest(pads(key), *parts)
