"""Octets of TCP: segments read and written in place (RFC 9293 section 3.1), their options (RFC 2018, 6691).

Sequence numbers are four octets and stay that (V13): as ints, half of them would be heap objects on a board. What a
connection is known by, and its two numbers, lie in one bytearray of SIZE octets:

    host 4 | its port 2 | our port 2 | una 4: the first number that is not acknowledged | nxt 4: the next expected

All else is a distance from una or nxt, a small int: `read` gives those of a segment that has come, `write` takes them.
"""

from portable import const, micropython, ptr8, ptr32

from .ipv4 import head, summed

SIZE = const(16)
PORT = const(4)
LOCAL = const(6)
UNA = const(8)
NXT = const(12)
FIN = const(1)
SYN = const(2)
RST = const(4)
PSH = const(8)
ACK = const(16)
FOUND = const(10)  # words that `read` finds
SYN_OPTIONS = b"\x02\x04\x05\x50\x01\x01\x04\x02"  # V2: 1,360 octets, and SACK is understood

_PORT = const(4)
_LOCAL = const(6)
_UNA = const(8)
_NXT = const(12)
_MALFORMED = const(1)  # as ipv4.fault has them
_CHECKSUM = const(2)
_TCP = const(6)
_SOURCE = const(12)
_HEADER = const(20)
_FAR = const(0x1FFFFFFF)


@micropython.viper
def distance(a, i: int, b, j: int) -> int:
    """The number in a[i:i+4] minus that in b[j:j+4]; of far ones only which is ahead."""
    left = ptr8(a)
    right = ptr8(b)
    high = (left[i] << 8 | left[i + 1]) - (right[j] << 8 | right[j + 1]) & 0xFFFF
    if high > 0x7FFF:
        high -= 0x10000
    if high > 0x1FFE:
        return _FAR
    if high < -0x1FFE:
        return -_FAR
    return (high << 16) + (left[i + 2] << 8 | left[i + 3]) - (right[j + 2] << 8 | right[j + 3])


@micropython.viper
def add(out: ptr8, at: int, n: int, width: int):
    """Add n to the number in out[at:at+width]."""
    while width:
        width -= 1
        n += out[at + width]
        out[at + width] = n & 0xFF
        n >>= 8


@micropython.viper
def belongs(packet: ptr8, header: int, numbers: ptr8) -> bool:
    """True if the segment behind an IPv4 header of that length is one of the connection."""
    i = 4
    while i:
        i -= 1
        if packet[header + i] != numbers[_PORT + i] or packet[_SOURCE + i] != numbers[i]:
            return False
    return True


@micropython.viper
def read(packet, numbers, found) -> int:
    """0 if the segment is whole and right, and what it says in `found`; else why not (V11).

    Sequence number, from nxt; acknowledged number, from una; flags; window; where its data begins; how much it is;
    MSS or 0; 1 if SACK is permitted; the first SACK block, from una, or 0 and 0. Urgent data is data.
    """
    octets = ptr8(packet)
    words = ptr32(found)
    at = (octets[0] & 15) << 2
    end = octets[2] << 8 | octets[3]
    if end - at < _HEADER:
        return _MALFORMED
    option = at + _HEADER
    data = at + (octets[at + 12] >> 4 << 2)
    if data < option or data > end:
        return _MALFORMED
    if int(summed(packet, at, int(summed(packet, _SOURCE, _TCP + end - at, 8)), end - at)) != 0xFFFF:
        return _CHECKSUM
    i = 0
    words[i] = int(distance(packet, at + 4, numbers, _NXT))
    i += 1
    words[i] = int(distance(packet, at + 8, numbers, _UNA))
    i += 1
    words[i] = octets[at + 13] & 0x1F
    i += 1
    words[i] = octets[at + 14] << 8 | octets[at + 15]
    i += 1
    words[i] = data
    i += 1
    words[i] = end - data
    i += 1
    mss = i
    words[i] = 0
    words[i + 1] = 0
    words[i + 2] = 0
    words[i + 3] = 0
    while option < data and octets[option]:
        n = 1
        if octets[option] > 1:
            if option + 1 == data:
                return _MALFORMED
            n = octets[option + 1]
            if n < 2 or option + n > data:
                return _MALFORMED
            if octets[option] == 2 and n == 4:
                words[mss] = octets[option + 2] << 8 | octets[option + 3]
            elif octets[option] == 4:
                words[mss + 1] = 1
            elif octets[option] == 5 and n >= 10:
                words[mss + 2] = int(distance(packet, option + 2, numbers, _UNA))
                words[mss + 3] = int(distance(packet, option + 6, numbers, _UNA))
        option += n
    return 0


@micropython.viper
def sack(out, at: int, numbers, first: int, last: int):
    """The 12 octets of a SACK option to out[at:]: what we have from nxt + first up to nxt + last."""
    octets = ptr8(out)
    have = ptr8(numbers)
    octets[at] = 1
    octets[at + 1] = 1
    octets[at + 2] = 5
    octets[at + 3] = 10
    i = 4
    while i:
        i -= 1
        first += have[_NXT + i]
        last += have[_NXT + i]
        octets[at + 4 + i] = first & 0xFF
        octets[at + 8 + i] = last & 0xFF
        first >>= 8
        last >>= 8


@micropython.viper
def write(out, at: int, number: int, address, numbers, sequence: int, flags: int, window: int, options: int, n: int):
    """The headers of a segment to out[at:]; behind them its options and n octets of data stand already.

    It is number una + sequence, and acknowledges nxt; an IPv4 packet of 40 + options + n octets.
    """
    n += _HEADER + options
    head(out, at, n + _HEADER, number, _TCP, address, numbers)
    octets = ptr8(out)
    have = ptr8(numbers)
    at += _HEADER
    octets[at] = have[_LOCAL]
    octets[at + 1] = have[_LOCAL + 1]
    octets[at + 2] = have[_PORT]
    octets[at + 3] = have[_PORT + 1]
    i = 4
    while i:
        i -= 1
        sequence += have[_UNA + i]
        octets[at + 4 + i] = sequence & 0xFF
        sequence >>= 8
        octets[at + 8 + i] = have[_NXT + i]
        octets[at + 16 + i] = 0
    octets[at + 12] = _HEADER + options << 2
    octets[at + 13] = flags
    octets[at + 14] = window >> 8
    octets[at + 15] = window & 0xFF
    total = int(summed(out, at - 8, _TCP + n, n + 8)) ^ 0xFFFF  # the addresses stand in front
    octets[at + 16] = total >> 8
    octets[at + 17] = total & 0xFF
