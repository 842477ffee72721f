"""X25519 (RFC 7748 section 5): Diffie-Hellman group 31 (RFC 8031), in slices.

The ladder goes in limbs where there is machine code of 32 bits, elsewhere in Python's integers: on a board those take
twice as long while there is heap, and five times when it is short.
"""

from binascii import unhexlify

from portable import const

from . import limbs
from .slices import Slices

_P = 2**255 - 19
_A24 = const(121665)
_RUNGS = const(24)  # in a slice
# The exponent p - 2 from its upper bits on: so many squarings, then times this one of the powers made before.
_POWER = b"\x01\0\x02\x01\x01\0\x05\x03\x0a\x04\x14\x05\x0a\x04\x32\x07\x64\x08\x32\x07\x02\0\x03\x01"
# Of RFC 7748 section 6.1 the first octets of Alice's secret, with which all is done a tenth as often, and Bob's value:
# u = 9 and u of full length. All of that section, and of 5.2, is in the tests of every machine.
_ALICE = unhexlify("77076d")
_BOB = unhexlify("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
_ANSWERS = (
    (_ALICE, None, unhexlify("ec3bbdb2a69a3ae6c0f3ccef71b64950681a9e4a1821a83ea75f14a92bf9b07c")),
    (_ALICE, _BOB, unhexlify("d4ee7f110ef29d6883ee3633468d87d9b58ee21c99f1353a129abb4a15e0f416")),
)


class X25519(Slices):
    number = 31
    size = 32
    base = 9
    name = "X25519"

    def _answers(self):
        return _ANSWERS

    def _number(self, peer):
        return int.from_bytes(peer, "little") & 2**255 - 1

    def _slices(self, secret, base):
        secret = bytearray(secret)
        last = len(secret) - 1
        secret[0] &= 0xF8
        secret[last] = secret[last] & 0x7F | 0x40
        ladder = (_Limbs if limbs.usable() else _Integers)(base)
        for bit in range(8 * last + 6, -1, -1):
            ladder.rung(secret[bit >> 3] >> (bit & 7) & 1)
            if not bit % _RUNGS:
                yield
        for _ in ladder.divide():
            yield
        if ladder.u:
            self.value = ladder.u.to_bytes(self.size, "little")


class _Integers:
    """(x2 : z2) and (x3 : z3), whose difference is u."""

    def __init__(self, u):
        self._points = 1, 0, u, 1
        self._difference = u

    def rung(self, bit):
        """Double the first point, or with `bit` the second, and let the other be the sum of both."""
        x2, z2, x3, z3 = self._points
        if bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb = d * a % _P, c * b % _P
        aa, bb = a * a % _P, b * b % _P
        e = aa - bb
        x2, z2 = aa * bb % _P, e * (aa + _A24 * e) % _P
        x3, z3 = (da + cb) ** 2 % _P, (da - cb) ** 2 * self._difference % _P
        self._points = (x3, z3, x2, z2) if bit else (x2, z2, x3, z3)

    def divide(self):
        """Let u be that of the first point."""
        x, z, _, _ = self._points
        self.u = x * pow(z, _P - 2, _P) % _P
        yield


class _Limbs:
    """As _Integers."""

    def __init__(self, u):
        self._points = [limbs.element(x) for x in (1, 0, u, 1)]
        self._difference = limbs.element(u)
        self._base = u if u < _A24 else 0
        self._spare = [limbs.element(0) for _ in range(4)]

    def rung(self, bit):
        x2, z2, x3, z3 = self._points
        if bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
        a, b, c, d = self._spare
        multiply = limbs.multiply
        limbs.sums(x2, z2, a, b)
        limbs.sums(x3, z3, c, d)
        multiply(0, d, x3, a)
        multiply(0, c, z3, b)
        multiply(1, a, c, a)
        multiply(1, b, d, b)
        multiply(0, c, x2, d)
        limbs.sums(c, d, a, b)
        limbs.scaled(b, a, _A24)
        limbs.sums(a, c, a, d)
        multiply(0, a, z2, b)
        limbs.sums(x3, z3, a, b)
        multiply(1, a, x3, a)
        multiply(1, b, c, b)
        if self._base:
            limbs.scaled(c, z3, self._base)
        else:
            multiply(0, c, z3, self._difference)

    def divide(self):
        x, z, b, c = self._points
        multiply = limbs.multiply
        powers = [z]
        for at in range(0, len(_POWER), 2):
            multiply(1, powers[-1], b, powers[-1])
            for _ in range(_POWER[at] - 1):
                multiply(1, b, c, b)
                b, c = c, b
            made = limbs.element(0)
            multiply(0, b, made, powers[_POWER[at + 1]])
            powers.append(made)
            if _POWER[at] > 10:  # as long as half a slice of the ladder, together with those before
                yield
        multiply(0, made, b, x)
        self.u = limbs.integer(b) % _P
