"""What is done octet by octet, in machine code where there is some. How long it takes tells lengths only."""

from ..wire import micropython, ptr8


@micropython.viper
def same(a: ptr8, at: int, b: ptr8, start: int, n: int) -> bool:
    """True if a[at:at+n] and b[start:start+n] are the same octets."""
    difference = 0
    while n:
        n -= 1
        difference |= a[at + n] ^ b[start + n]
    return difference == 0


@micropython.viper
def add(into: ptr8, at: int, octets: ptr8, start: int, n: int):
    """Add octets[start:start+n] to as many from into[at] on: exclusive or."""
    while n:
        n -= 1
        into[at + n] ^= octets[start + n]


@micropython.viper
def copy(into: ptr8, at: int, octets: ptr8, start: int, n: int):
    """Copy octets[start:start+n] to into[at:at+n]; where they overlap, `at` must be behind `start`."""
    while n:
        n -= 1
        into[at + n] = octets[start + n]


@micropython.viper
def pad(out: ptr8, at: int, n: int):
    """Write `n` octets of padding, 1, 2, 3 ..., and their number behind them (RFC 4303 section 2.4)."""
    i = 0
    while i < n:
        out[at + i] = i + 1
        i += 1
    out[at + n] = n


@micropython.viper
def pad_with_zeros(out: ptr8, at: int, end: int):
    """Fill out[at:end] with zeros and, in the last octet, their number (RFC 7296 section 3.14)."""
    i = end - 1
    out[i] = i - at
    while i > at:
        i -= 1
        out[i] = 0


@micropython.viper
def padded(octets: ptr8, end: int) -> bool:
    """True if octets[:end] ends as `pad` makes it; the number in the last octet must be less than `end`."""
    i = octets[end - 1]
    at = end - 1 - i
    wrong = 0
    while i:
        wrong |= octets[at + i - 1] ^ i
        i -= 1
    return wrong == 0
