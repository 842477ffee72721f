"""Octets of TCP: segments read and written in place (RFC 9293 section 3.1), their options (RFC 2018, 6691).

Sequence numbers are four octets and stay that (V13): as ints, half of them would be heap objects on a board. What a
connection is known by, and its two numbers, lie in one bytearray of 16 octets, as a segment of ours begins with them:

    host 4 | our port 2 | its port 2 | una 4: the first number that is not acknowledged | nxt 4: the next expected

All else is a distance from una or nxt, a small int. Data waits in rings, which `put` and `get` go around.
"""

from portable import const, copy, equal, micropython, ptr8

from .ipv4 import head, summed

_SIZE = const(16)
_OURS = const(4)
_THEIRS = const(6)
_UNA = const(8)
_NXT = const(12)
_MALFORMED = const(1)  # as ipv4.fault has them
_CHECKSUM = const(2)
_TCP = const(6)
_SOURCE = const(12)
_HEADER = const(20)
_FAR = const(0x1FFFFFFF)


@micropython.viper
def distance(a: ptr8, i: int, b: ptr8, j: int) -> int:
    """The number in a[i:i+4] minus that in b[j:j+4]; of far ones only which is ahead."""
    high = (a[i] << 8 | a[i + 1]) - (b[j] << 8 | b[j + 1]) & 0xFFFF
    if high > 0x7FFF:
        high -= 0x10000
    if high > 0x1FFE:
        return _FAR
    if high < -0x1FFE:
        return -_FAR
    return (high << 16) + (a[i + 2] << 8 | a[i + 3]) - (b[j + 2] << 8 | b[j + 3])


@micropython.viper
def add(out: ptr8, at: int, n: int, width: int):
    """Add n to the number in out[at:at+width]."""
    while width:
        width -= 1
        n += out[at + width]
        out[at + width] = n & 0xFF
        n >>= 8


def new_numbers(packet, header):
    """The numbers of a connection to whom a segment is from, both still 0."""
    numbers = bytearray(_SIZE)
    copy(numbers, 0, packet, _SOURCE, 4)
    copy(numbers, _OURS, packet, header + 2, 2)
    copy(numbers, _THEIRS, packet, header, 2)
    return numbers


def belongs(packet, header, numbers):
    """True if the segment behind an IPv4 header of that length is one of the connection."""
    return (
        equal(packet, header + 2, numbers, _OURS, 2)
        and equal(packet, header, numbers, _THEIRS, 2)
        and equal(packet, _SOURCE, numbers, 0, 4)
    )


def quoted(packet, at, numbers):
    """How far from una the segment of ours is that ICMP quotes from `at` on; -1 if it is none of the connection."""
    header = at + ((packet[at] & 15) << 2)
    if header + 8 > (packet[2] << 8 | packet[3]) or packet[at + 9] != _TCP or not equal(packet, at + 16, numbers, 0, 4):
        return -1
    return distance(packet, header + 4, numbers, _UNA) if equal(packet, header, numbers, _OURS, 4) else -1


def fault(packet, header):
    """0 if the segment is whole and right; else why not (V11)."""
    n = (packet[2] << 8 | packet[3]) - header
    if n < _HEADER or not _HEADER <= packet[header + 12] >> 2 & 60 <= n:
        return _MALFORMED
    return 0 if summed(packet, header, summed(packet, _SOURCE, _TCP + n, 8), n) == 0xFFFF else _CHECKSUM


def options(packet, header, numbers, found):
    """Put the MSS, what permits SACK, and the first SACK block, from una, into found[0:4]; False: they do not end."""
    at = header + _HEADER
    end = header + (packet[header + 12] >> 2 & 60)
    while at < end and packet[at]:
        n = 1
        kind = packet[at]
        if kind != 1:
            if at + 1 == end:
                return False
            n = packet[at + 1]
            if n < 2 or at + n > end:
                return False
            if kind == 2 and n == 4:
                found[0] = packet[at + 2] << 8 | packet[at + 3]
            elif kind == 4:
                found[1] = 1
            elif kind == 5 and n >= 10:
                found[2] = distance(packet, at + 2, numbers, _UNA)
                found[3] = distance(packet, at + 6, numbers, _UNA)
        at += n
    return True


def sack(out, at, numbers, first, last):
    """The 12 octets of a SACK option to out[at:]: what we have from nxt + first up to nxt + last."""
    out[at : at + 4] = b"\x01\x01\x05\x0a"
    for end in (first, last):
        at += 4
        copy(out, at, numbers, _NXT, 4)
        add(out, at, end, 4)


@micropython.viper
def write(out, at: int, number: int, address, numbers, place: int, flags: int, window: int, optional: int, n: int):
    """The headers of a segment to out[at:]; behind them `optional` octets of options, and n of data, stand already.

    It is number una + place, and acknowledges nxt.
    """
    n += _HEADER + optional
    head(out, at, n + _HEADER, number, _TCP, address, numbers)
    octets = ptr8(out)
    have = ptr8(numbers)
    at += _HEADER
    i = 12
    while i:
        i -= 1
        octets[at + i] = have[_OURS + i]
    i = 8
    while i > 4:
        i -= 1
        place += octets[at + i]
        octets[at + i] = place & 0xFF
        octets[at + 12 + i] = 0
        place >>= 8
    octets[at + 12] = _HEADER + optional << 2
    octets[at + 13] = flags
    octets[at + 14] = window >> 8
    octets[at + 15] = window & 0xFF
    n = int(summed(out, at - 8, _TCP + n, n + 8)) ^ 0xFFFF  # the addresses stand in front
    octets[at + 16] = n >> 8
    octets[at + 17] = n & 0xFF


def put(ring, at, data, n):
    """ring[at:at+n] is data[:n], around its end."""
    part = len(ring) - at
    if part < n:
        ring[at:] = data[:part]
        ring[: n - part] = data[part:n]
    else:
        ring[at : at + n] = data[:n]


def get(out, start, ring, at, n):
    """out[start:start+n] is ring[at:at+n], around its end."""
    part = min(n, len(ring) - at)
    ring = memoryview(ring)
    out[start : start + part] = ring[at : at + part]
    if part < n:
        out[start + part : start + n] = ring[: n - part]
