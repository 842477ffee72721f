"""HMAC-SHA-256 (RFC 2104) on the platform's SHA-256.

MicroPython's hashlib gives one digest and has no copy, so each message starts anew from the two pads of its key.
"""

import hashlib

from ..wire import const

_BLOCK = const(64)


def pads(key):
    """What `digest` wants of a key: (inner, outer), 64 octets each."""
    if len(key) > _BLOCK:
        key = hashlib.sha256(key).digest()
    key = key + bytes(_BLOCK - len(key))
    return bytes([octet ^ 0x36 for octet in key]), bytes([octet ^ 0x5C for octet in key])


def digest(pads, *parts):
    """HMAC-SHA-256 of the parts, one after the other, under the key with those pads: 32 octets."""
    inner = hashlib.sha256(pads[0])
    for part in parts:
        inner.update(part)
    outer = hashlib.sha256(pads[1])
    outer.update(inner.digest())
    return outer.digest()


def hmac_sha256(key, *parts):
    """HMAC-SHA-256 of the parts, one after the other (RFC 2104): 32 octets."""
    return digest(pads(key), *parts)
