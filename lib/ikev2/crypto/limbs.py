"""The field of X25519, integers modulo p = 2**255 - 19, in machine code of 32 bits: nothing is allocated on the way.

An element is 20 limbs of 13 bits, limb k worth 2**(13 k), each from -2**12 to 2**12 and a little more. So a sum or
difference of two needs no carry before it is multiplied: twenty products of 2**13 by 2**13 stay below 2**31. What goes
beyond 2**260 comes back times 608, for 2**260 = 32 * 19 modulo p.

Viper keeps the first two arguments in registers, so those that are used most come first. No store is at a constant
index but 0: MicroPython 1.25.0 compiles others wrong for Xtensa.
"""

from array import array

from portable import const, micropython, ptr32

_LIMBS = const(20)
_BITS = const(13)


@micropython.viper
def usable() -> bool:
    """True where this module is machine code of 32 bits; elsewhere it must not be called."""
    bits = 1 << 29
    return bits << 3 == 0


def element(value):
    """The element of an integer from 0 to 2**255 - 1."""
    limbs = array("i", bytes(4 * _LIMBS))
    for k in range(_LIMBS):
        limb = value & 0x1FFF
        value >>= _BITS
        if limb > 0x1000:
            limb -= 0x2000
            value += 1
        limbs[k] = limb
    return limbs


def integer(limbs):
    """The integer that is the element modulo p, not reduced."""
    value = 0
    for k in range(_LIMBS - 1, -1, -1):
        value = (value << _BITS) + limbs[k]
    return value


@micropython.viper
def multiply(x: int, b: ptr32, out: ptr32, a: ptr32):
    """out = a times b; x is 1 if a is b, which saves some work, else 0. `out` is neither a nor b.

    Reduced elements come out, and no more than sums of two of them may go in.
    By blocks of five limbs by five, along the diagonals of the product: nine columns at work, five of them done after
    each diagonal.
    """
    square = x
    of_a = int(a)
    of_b = int(b)
    of_out = int(out)
    carry = diagonal = 0
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = s8 = 0
    while diagonal < 160:
        at = diagonal - 60
        end = 60
        if at < 0:
            at = 0
            end = diagonal
        if square:
            end = diagonal >> 1
        while at <= end:
            twice = 0
            if at + at != diagonal:
                twice = square
            b = ptr32(of_b + diagonal - at)
            a = ptr32(of_a + at)
            x = a[0] << twice
            s0 = b[0] * x + s0
            s1 = b[1] * x + s1
            s2 = b[2] * x + s2
            s3 = b[3] * x + s3
            s4 = b[4] * x + s4
            x = a[1] << twice
            s1 = b[0] * x + s1
            s2 = b[1] * x + s2
            s3 = b[2] * x + s3
            s4 = b[3] * x + s4
            s5 = b[4] * x + s5
            x = a[2] << twice
            s2 = b[0] * x + s2
            s3 = b[1] * x + s3
            s4 = b[2] * x + s4
            s5 = b[3] * x + s5
            s6 = b[4] * x + s6
            x = a[3] << twice
            s3 = b[0] * x + s3
            s4 = b[1] * x + s4
            s5 = b[2] * x + s5
            s6 = b[3] * x + s6
            s7 = b[4] * x + s7
            x = a[4] << twice
            s4 = b[0] * x + s4
            s5 = b[1] * x + s5
            s6 = b[2] * x + s6
            s7 = b[3] * x + s7
            s8 = b[4] * x + s8
            at += 20
        if diagonal < 80:
            out[0] = s0
            out = ptr32(int(out) + 4)
            out[0] = s1
            out = ptr32(int(out) + 4)
            out[0] = s2
            out = ptr32(int(out) + 4)
            out[0] = s3
            out = ptr32(int(out) + 4)
            out[0] = s4
            out = ptr32(int(out) + 4)
        else:
            if diagonal == 80:
                out = ptr32(of_out)
            x = s0 + carry
            carry = x + 0x1000 >> _BITS
            out[0] = (x - (carry << _BITS)) * 608 + out[0]
            out = ptr32(int(out) + 4)
            x = s1 + carry
            carry = x + 0x1000 >> _BITS
            out[0] = (x - (carry << _BITS)) * 608 + out[0]
            out = ptr32(int(out) + 4)
            x = s2 + carry
            carry = x + 0x1000 >> _BITS
            out[0] = (x - (carry << _BITS)) * 608 + out[0]
            out = ptr32(int(out) + 4)
            x = s3 + carry
            carry = x + 0x1000 >> _BITS
            out[0] = (x - (carry << _BITS)) * 608 + out[0]
            out = ptr32(int(out) + 4)
            x = s4 + carry
            carry = x + 0x1000 >> _BITS
            out[0] = (x - (carry << _BITS)) * 608 + out[0]
            out = ptr32(int(out) + 4)
        s0 = s5
        s1 = s6
        s2 = s7
        s3 = s8
        s4 = 0
        s5 = 0
        s6 = 0
        s7 = 0
        s8 = 0
        diagonal += 20
    top = 608 * carry
    carry = 0
    out = ptr32(of_out)
    k = _LIMBS
    while k:
        k -= 1
        x = out[0] + carry
        carry = x + 0x1000 >> _BITS
        out[0] = x - (carry << _BITS)
        out = ptr32(int(out) + 4)
    carry = (carry + top) * 608
    out = ptr32(of_out)
    x = out[0] + carry
    carry = x + 0x1000 >> _BITS
    out[0] = x - (carry << _BITS)
    out = ptr32(of_out + 4)
    x = out[0] + carry
    carry = x + 0x1000 >> _BITS
    out[0] = x - (carry << _BITS)
    out = ptr32(of_out + 8)
    out[0] = out[0] + carry


@micropython.viper
def scaled(a: ptr32, out: ptr32, x: int):
    """out = a times x, a reduced element or the sum of two by 0 to 2**17."""
    carry = k = 0
    while k < _LIMBS:
        product = a[k] * x + carry
        carry = product + 0x1000 >> _BITS
        out[k] = product - (carry << _BITS)
        k += 1
    carry *= 608
    k = 0
    while k < 2:
        product = out[k] + carry
        carry = product + 0x1000 >> _BITS
        out[k] = product - (carry << _BITS)
        k += 1
    out[k] = out[k] + carry


@micropython.viper
def sums(a: ptr32, b: ptr32, total: ptr32, difference: ptr32):
    """total = a + b and difference = a - b, without carry."""
    k = _LIMBS
    while k:
        k -= 1
        x = a[k]
        y = b[k]
        total[k] = x + y
        difference[k] = x - y
