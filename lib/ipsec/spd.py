"""What may pass through a Child SA: packets against its traffic selectors (RFC 4301 sections 4.4.1 and 5.2).

Selectors are packed as ikev2.selectors has them: protocol (0: any), first and last port, first and last address. With
all ports a selector takes packets that have none, too.
"""

from ikev2.wire import const, micropython, ptr8

_WIDTH = const(13)
# Of esp.REASONS.
_MALFORMED = const(3)
_OUTSIDE = const(7)

# IPv4 (RFC 791 section 3.1).
_HEADER = const(20)
_PROTOCOL = const(9)
_SOURCE = const(12)
_ICMP = const(1)
# Protocols that begin with two ports.
_TCP = const(6)
_UDP = const(17)
_DCCP = const(33)
_SCTP = const(132)
_UDP_LITE = const(136)


@micropython.viper
def within(octets: ptr8, at: int, size: int, sources, destinations) -> int:
    """Length of the IPv4 packet in octets[at:at+size], without what stands behind it, if both ends are selected (E4).

    Else minus an index into esp.REASONS: "malformed" if it is not a whole one, "selector". Of ICMP the type and code
    stand for both ports; a later fragment has none.
    """
    if size < _HEADER:
        return -_MALFORMED
    here = at + ((octets[at] & 15) << 2)
    length = octets[at + 2] << 8 | octets[at + 3]
    if octets[at] >> 4 != 4 or here < at + _HEADER or at + length < here or length > size:
        return -_MALFORMED
    protocol = octets[at + _PROTOCOL]
    port = -1
    other = -1
    if not (octets[at + 6] & 0x1F or octets[at + 7]) and at + length >= here + 4:
        if protocol == _UDP or protocol == _TCP or protocol == _SCTP or protocol == _UDP_LITE or protocol == _DCCP:
            port = octets[here] << 8 | octets[here + 1]
            other = octets[here + 2] << 8 | octets[here + 3]
        elif protocol == _ICMP:
            port = octets[here] << 8 | octets[here + 1]
            other = port
    at += _SOURCE
    selectors = sources
    ends = 2
    while ends:
        table = ptr8(selectors)
        here = int(len(selectors))
        found = 0
        while here and not found:
            here -= _WIDTH
            first = table[here + 1] << 8 | table[here + 2]
            last = table[here + 3] << 8 | table[here + 4]
            if (table[here] == 0 or table[here] == protocol) and (first <= port <= last or last - first == 0xFFFF):
                i = 0
                while i < 4 and octets[at + i] == table[here + 5 + i]:
                    i += 1
                if i == 4 or octets[at + i] > table[here + 5 + i]:
                    i = 0
                    while i < 4 and octets[at + i] == table[here + 9 + i]:
                        i += 1
                    if i == 4 or octets[at + i] < table[here + 9 + i]:
                        found = 1
        if not found:
            return -_OUTSIDE
        selectors = destinations
        port = other
        at += 4
        ends -= 1
    return length
