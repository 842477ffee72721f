"""Octets of what is inside a tunnel: IPv4, UDP and ICMP, checked and written in place (RFC 791, 768, 792, 1071)."""

from portable import const, copy, machine_code, micropython, ptr8, ptr16

# What `fault` finds.
_MALFORMED = const(1)
_CHECKSUM = const(2)
_FRAGMENT = const(3)
_FROM = const(4)
_TO = const(5)
_OTHER_PROTOCOL = const(6)

_HEADER = const(20)
_LENGTH = const(2)
_FLAGS = const(6)
_TTL = const(8)
_PROTOCOL = const(9)
_SUM = const(10)
_SOURCE = const(12)
_DESTINATION = const(16)
_ICMP = const(1)
_UDP = const(17)
_HEADERS = const(28)  # of IPv4 without options, and of UDP or ICMP
_HOPS = const(64)
_ECHO_REPLY = const(0)
_ECHO = const(8)
_UNREACHABLE = const(3)
_PORT = const(3)
_NO_OPERATION = const(1)


@micropython.viper
def summed(octets: ptr8, at: int, total: int, n: int) -> int:
    """`total` and the 16-bit words of octets[at:at+n], added with their carries (RFC 1071)."""
    n += at
    if machine_code and not at & 1:
        halves = ptr16(octets)
        swapped = 0  # boards are little-endian
        at >>= 1
        while at + 8 <= n >> 1:
            swapped += halves[at] + halves[at + 1] + halves[at + 2] + halves[at + 3]
            swapped += halves[at + 4] + halves[at + 5] + halves[at + 6] + halves[at + 7]
            at += 8
        at <<= 1
        swapped = (swapped & 0xFFFF) + (swapped >> 16)
        swapped = (swapped & 0xFFFF) + (swapped >> 16)
        total += swapped >> 8 | (swapped & 0xFF) << 8
    while at < n:
        total += octets[at] << 8
        at += 1
        if at < n:
            total += octets[at]
            at += 1
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@micropython.viper
def put16(out: ptr8, at: int, value: int):
    """Write 16 bits to out[at:at+2]."""
    out[at] = value >> 8
    out[at + 1] = value & 0xFF


@micropython.viper
def head(out, at: int, size: int, number: int, protocol: int, source, to):
    """An IPv4 header of a packet of `size` octets from one address to another, to out[at:at+20]."""
    octets = ptr8(out)
    source_octets = ptr8(source)
    to_octets = ptr8(to)
    octets[at] = 0x45
    octets[at + 1] = 0
    octets[at + 2] = size >> 8
    octets[at + 3] = size & 0xFF
    octets[at + 4] = number >> 8
    octets[at + 5] = number & 0xFF
    octets[at + 6] = 0
    octets[at + 7] = 0
    octets[at + 8] = _HOPS
    octets[at + 9] = protocol
    octets[at + 10] = 0
    octets[at + 11] = 0
    i = 4
    while i:
        i -= 1
        octets[at + 12 + i] = source_octets[i]
        octets[at + 16 + i] = to_octets[i]
    total = int(summed(out, at, 0, _HEADER)) ^ 0xFFFF
    octets[at + 10] = total >> 8
    octets[at + 11] = total & 0xFF


@micropython.viper
def datagram(out, at: int, source: int, port: int, n: int):
    """The UDP header of out[at+28:at+28+n] behind the IPv4 header in out[at:], from port `source` to `port`."""
    n += 8
    at += _HEADER
    put16(out, at, source)
    put16(out, at + 2, port)
    put16(out, at + 4, n)
    put16(out, at + 6, 0)
    total = int(summed(out, at - 8, _UDP + n, n + 8)) ^ 0xFFFF  # the addresses stand in front
    put16(out, at + 6, total if total else 0xFFFF)


@micropython.viper
def fault(packet, size: int, address) -> int:
    """0 if packet[:size] begins with UDP or ICMP for our address, whole and right; else why not, a number above."""
    octets = ptr8(packet)
    ours = ptr8(address)
    if size < _HEADER:
        return _MALFORMED
    header = (octets[0] & 15) << 2
    rest = (octets[_LENGTH] << 8 | octets[_LENGTH + 1]) - header
    if octets[0] >> 4 != 4 or header < _HEADER or rest < 0 or header + rest > size:
        return _MALFORMED
    if int(summed(packet, 0, 0, header)) != 0xFFFF:
        return _CHECKSUM
    if octets[_FLAGS] & 0x3F or octets[_FLAGS + 1]:
        return _FRAGMENT
    first = octets[_SOURCE]
    i = 0
    while i < 4 and octets[_SOURCE + i] == ours[i]:
        i += 1
    if i == 4 or first == 0 or first == 127 or first >= 224:  # T5
        return _FROM
    i = 0
    while i < 4 and octets[_DESTINATION + i] == ours[i]:
        i += 1
    if i < 4:
        return _TO
    total = 0
    if octets[_PROTOCOL] == _UDP:
        if rest < 8:
            return _MALFORMED
        i = octets[header + 4] << 8 | octets[header + 5]
        if i < 8 or i > rest:
            return _MALFORMED
        if not (octets[header + 6] or octets[header + 7]):  # T1
            return 0
        rest = i
        total = int(summed(packet, _SOURCE, _UDP + rest, 8))
    elif octets[_PROTOCOL] != _ICMP:
        return _OTHER_PROTOCOL
    elif rest < 8:
        return _MALFORMED
    if int(summed(packet, header, total, rest)) != 0xFFFF:
        return _CHECKSUM
    return 0


@micropython.viper
def echo_reply(packet, header: int):
    """Make a reply of the echo request in place; its options become no-operations (T3)."""
    octets = ptr8(packet)
    i = 4
    while i:
        i -= 1
        ours = octets[_DESTINATION + i]
        octets[_DESTINATION + i] = octets[_SOURCE + i]
        octets[_SOURCE + i] = ours
    i = header
    while i > _HEADER:
        i -= 1
        octets[i] = _NO_OPERATION
    octets[i - _HEADER + _TTL] = _HOPS
    put16(packet, _SUM, 0)
    put16(packet, _SUM, int(summed(packet, 0, 0, header)) ^ 0xFFFF)
    octets[header] = _ECHO_REPLY
    put16(packet, header + 2, 0)
    i = (octets[_LENGTH] << 8 | octets[_LENGTH + 1]) - header
    put16(packet, header + 2, int(summed(packet, header, 0, i)) ^ 0xFFFF)


def echo_request(out, at, size, identifier, number):
    """The ICMP header of an echo request behind the IPv4 header in out[at:], in a packet of `size` octets."""
    at += _HEADER
    put16(out, at, _ECHO << 8)
    put16(out, at + 2, 0)
    put16(out, at + 4, identifier)
    put16(out, at + 6, number)
    put16(out, at + 2, summed(out, at, 0, size - _HEADER) ^ 0xFFFF)


def unreachable(packet, header):
    """Put in the packet's place the ICMP message that nobody listens on its port, which quotes its beginning (T2).

    Length of the packet, whose IPv4 header is still to be written.
    """
    quoted = header + 8
    copy(packet, _HEADERS, packet, 0, quoted)
    put16(packet, _HEADER, _UNREACHABLE << 8 | _PORT)
    for at in range(_HEADER + 2, _HEADERS, 2):
        put16(packet, at, 0)
    put16(packet, _HEADER + 2, summed(packet, _HEADER, 0, 8 + quoted) ^ 0xFFFF)
    return _HEADERS + quoted
