"""What may pass through a Child SA: packets against its traffic selectors (RFC 4301 sections 4.4.1 and 5.2).

Selectors are packed as ikev2.sa.selectors has them: protocol (0: any), first and last port, first and last address.
With all ports a selector takes packets that have none, too.
"""

from portable import const, micropython, ptr8

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
_SCTP = const(132)


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
    ports = here
    if octets[at + 6] & 0x1F or octets[at + 7] or at + length < ports + 4:
        ports = -1
    at += _SOURCE
    selectors = sources
    ends = 2
    while ends:
        table = ptr8(selectors)
        here = int(len(selectors))
        high = octets[at] << 8 | octets[at + 1]
        low = octets[at + 2] << 8 | octets[at + 3]
        found = 0
        while here and not found:
            here -= _WIDTH
            above = high - (table[here + 5] << 8 | table[here + 6])
            below = (table[here + 9] << 8 | table[here + 10]) - high
            if (
                (table[here] == 0 or table[here] == protocol)
                and (above > 0 or (above == 0 and low >= (table[here + 7] << 8 | table[here + 8])))
                and (below > 0 or (below == 0 and low <= (table[here + 11] << 8 | table[here + 12])))
            ):
                first = table[here + 1] << 8 | table[here + 2]
                last = table[here + 3] << 8 | table[here + 4]
                port = -1
                if last - first == 0xFFFF:
                    port = 0
                elif ports >= 0:
                    if protocol == _ICMP:
                        port = octets[ports] << 8 | octets[ports + 1]
                    elif protocol == _UDP or protocol == _TCP or protocol == _SCTP:
                        port = octets[ports + 4 - ends - ends] << 8 | octets[ports + 5 - ends - ends]
                if first <= port <= last:
                    found = 1
        if not found:
            return -_OUTSIDE
        selectors = destinations
        at += 4
        ends -= 1
    return length
