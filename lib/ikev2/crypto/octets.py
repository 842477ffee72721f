"""What is done octet by octet, in machine code where there is some. How long it takes tells lengths only."""

from portable import micropython, ptr8

view = memoryview  # a builtin is looked for among all names of a file before it is found


@micropython.viper
def same(a: ptr8, octets: ptr8, at: int, n: int) -> bool:
    """True if octets[at:at+n] are the first n octets of `a`."""
    difference = 0
    while n:
        n -= 1
        difference |= a[n] ^ octets[at + n]
    return difference == 0


@micropython.viper
def pad_with_zeros(out: ptr8, at: int, end: int):
    """Fill out[at:end] with zeros and, in the last octet, their number (RFC 7296 section 3.14)."""
    i = end - 1
    out[i] = i - at
    while i > at:
        i -= 1
        out[i] = 0
