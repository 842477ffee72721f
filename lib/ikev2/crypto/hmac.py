"""HMAC-SHA-256 (RFC 2104) on the platform's SHA-256, and a comparison in constant time.

HMAC starts anew with each message, because MicroPython's hashlib gives one digest and has no copy.
"""

import hashlib

from ..wire import const

_HASH_BLOCK = const(64)


def same(a, b):
    """True if a and b are the same octets; how long that takes depends on their lengths only."""
    difference = len(a) ^ len(b)
    for i in range(min(len(a), len(b))):
        difference |= a[i] ^ b[i]
    return not difference


def hmac_sha256(key, octets):
    """HMAC-SHA-256 of octets (RFC 2104): 32 octets."""
    if len(key) > _HASH_BLOCK:
        key = hashlib.sha256(key).digest()
    rest = _HASH_BLOCK - len(key)
    inner = hashlib.sha256(bytes([octet ^ 0x36 for octet in key]) + b"\x36" * rest)
    inner.update(octets)
    outer = hashlib.sha256(bytes([octet ^ 0x5C for octet in key]) + b"\x5c" * rest)
    outer.update(inner.digest())
    return outer.digest()
