"""What is done octet by octet, in machine code where there is some. How long it takes tells lengths only."""

from portable import micropython, ptr8


@micropython.viper
def same(a: ptr8, at: int, b: ptr8, start: int, n: int) -> bool:
    """True if a[at:at+n] and b[start:start+n] are the same octets."""
    difference = 0
    while n:
        n -= 1
        difference |= a[at + n] ^ b[start + n]
    return difference == 0


@micropython.viper
def pad_with_zeros(out: ptr8, at: int, end: int):
    """Fill out[at:end] with zeros and, in the last octet, their number (RFC 7296 section 3.14)."""
    i = end - 1
    out[i] = i - at
    while i > at:
        i -= 1
        out[i] = 0
