"""X25519 (RFC 7748 section 5): Diffie-Hellman group 31 (RFC 8031), in slices."""

from ..wire import const

_P = 2**255 - 19
_A24 = const(121665)
_SLICE = const(12)  # bits of the scalar a step


class X25519:
    number = 31
    size = 32
    value = None

    def __init__(self, random):
        secret = bytearray(random(self.size))
        secret[0] &= 0xF8
        secret[31] = secret[31] & 0x7F | 0x40
        self._secret = secret
        self._left = 0

    def begin(self, peer=None):
        self.value = None
        self._left = 0
        if peer is None:
            u = 9
        elif len(peer) == self.size:
            u = int.from_bytes(peer, "little") & 2**255 - 1
        else:
            return
        self._state = u, 1, 0, u, 1
        self._left = 510

    def step(self):
        for _ in range(_SLICE):
            if not self._left:
                break
            self._left -= 1
            u, a, b, c, d = self._state
            if self._left >= 255:  # the ladder, bit by bit
                bit = self._left - 255
                if self._secret[bit >> 3] >> (bit & 7) & 1:
                    c, d, a, b = _rung(u, c, d, a, b)
                else:
                    a, b, c, d = _rung(u, a, b, c, d)
                if bit == 0:
                    c, d = b, 1
            else:  # d = b to the power of p - 2
                d = d * d % _P
                if (_P - 2) >> self._left & 1:
                    d = d * c % _P
            self._state = u, a, b, c, d
            if self._left == 0:
                made = a * d % _P
                if made:
                    made = made.to_bytes(self.size, "little")
                    self.value = made
        return not self._left


def _rung(u, x2, z2, x3, z3):
    """The double of the first point and the sum of both, whose difference is u."""
    a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
    da, cb = d * a % _P, c * b % _P
    aa, bb = a * a % _P, b * b % _P
    e = aa - bb
    return aa * bb % _P, e * (aa + _A24 * e) % _P, (da + cb) ** 2 % _P, u * (da - cb) ** 2 % _P
