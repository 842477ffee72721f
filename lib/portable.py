"""What every room shares, the same on MicroPython and CPython: machine code, octets, a clock that wraps, addresses.

A function under `micropython.viper` is machine code on a board and runs as it stands on CPython; its pointers are then
the objects themselves. Time is a count of milliseconds that wraps at 2**30, as time.ticks_ms does (RULES.md L5).
"""

ptr8 = ptr16 = ptr32 = lambda octets: octets  # to viper functions these are pointers

try:
    import micropython
    from micropython import const

except ImportError:
    machine_code = False

    class micropython:
        """CPython runs what is compiled to machine code on a board as it stands."""

        viper = staticmethod(lambda function: function)

    def const(value):
        return value

    def equal(a, i, b, j, n):
        """True if a[i:i+n] and b[j:j+n] are the same octets."""
        return a[i : i + n] == b[j : j + n]

    def copy(out, i, octets, j, n):
        """Make out[i:i+n] the same as octets[j:j+n]."""
        out[i : i + n] = octets[j : j + n]

else:
    machine_code = True  # what is compiled so reads octets by two

    @micropython.viper
    def equal(a: ptr8, i: int, b: ptr8, j: int, n: int) -> bool:
        """True if a[i:i+n] and b[j:j+n] are the same octets."""
        while n:
            n -= 1
            if a[i + n] != b[j + n]:
                return False
        return True

    @micropython.viper
    def copy(out: ptr8, i: int, octets: ptr8, j: int, n: int):
        """Make out[i:i+n] the same as octets[j:j+n]."""
        while n:
            n -= 1
            out[i + n] = octets[j + n]


_WRAP = const(0x3FFFFFFF)
_HALF = const(0x20000000)


def elapsed(now, then):
    """Milliseconds from `then` to `now`; 0 if the clock went backwards."""
    past = (now - then) & _WRAP  # L5
    return past if past < _HALF else 0


def sooner(a, b):
    """The earlier of two waits in milliseconds, of which -1 is none."""
    return b if a < 0 or 0 <= b < a else a


def ipv4(text):
    """The four octets of a dotted IPv4 address; None if the text is none: no other form of it is taken."""
    try:
        text = text.encode()  # a part of a text is looked up among all names, octets are not
        octets = bytes([int(part) for part in text.split(b".")])
    except (ValueError, OverflowError):
        return None
    return octets if len(octets) == 4 and b"%d.%d.%d.%d" % tuple(octets) == text else None


def milliseconds(ms):
    """Those, if they can be a time asleep (Z8): whole ones below 2**40; TypeError, ValueError."""
    if not isinstance(ms, int):
        raise TypeError("%r: not whole milliseconds" % (ms,))
    if not 0 <= ms < 1 << 40:
        raise ValueError("%r: not milliseconds below 2**40" % (ms,))
    return ms
