"""Identities, traffic selectors and the address inside: bodies of ID, TS and CP payloads, composed and read in place.

RFC 7296 sections 3.5, 3.13 and 3.15; IPv4 only. A traffic selector is kept as 13 octets: protocol (0: any), first and
last port, first and last address; several are one string of octets.
"""

import struct

from portable import const, equal, ipv4

SELECTOR = const(13)
ALL = b"\0\0\0\xff\xff\0\0\0\0\xff\xff\xff\xff"
SELECTORS_MAX = const(8)  # of one side, that we keep
_PIECES = const(16)  # of a request that names in pieces what is held
SERVERS_MAX = const(3)  # name servers

_TS_IPV4 = const(7)  # TS_IPV4_ADDR_RANGE
_TS_SIZE = const(16)
_CFG_REQUEST = const(1)
_CFG_REPLY = const(2)
_INTERNAL_IP4_ADDRESS = const(1)
_INTERNAL_IP4_DNS = const(3)


def identity(text):
    """(ID type, octets) of an identity as people write it (N18): an address, user@host, keyid:anything, or a name."""
    if not isinstance(text, str) or not text:
        raise ValueError("id %r" % (text,))
    if text.startswith("keyid:"):
        return 11, text[6:].encode()
    address = ipv4(text)
    if address:
        return 1, address
    return 3 if "@" in text else 2, text.encode()


def id_body(text):
    """Body of an IDi or IDr payload (section 3.5)."""
    kind, octets = identity(text)
    return bytes((kind, 0, 0, 0)) + octets


def same_id(octets, at, end, text):
    """True if the body octets[at:end] is that identity, whatever its reserved octets are."""
    kind, name = identity(text)
    return end - at == 4 + len(name) and octets[at] == kind and equal(octets, at + 4, name, 0, len(name))


def host(address):
    """The selectors that are one address with everything on it."""
    return ALL[:5] + address + address


def network(text):
    """The selectors of "10.0.0.0/8" or "10.0.0.1"; ValueError."""
    address, _, bits = text.partition("/")
    octets = ipv4(address)
    try:
        free = (1 << 32 - int(bits or 32)) - 1
    except ValueError:
        octets = None
    if octets is None or int.from_bytes(octets, "big") & free:
        raise ValueError("%r is no IPv4 network, as 10.0.0.0/8 is" % text)
    return ALL[:5] + octets + (int.from_bytes(octets, "big") | free).to_bytes(4, "big")


def ts_body(selectors):
    """Body of a TSi or TSr payload (section 3.13)."""
    body = struct.pack(">BBH", len(selectors) // SELECTOR, 0, 0)
    i = 0
    while i < len(selectors):
        body += struct.pack(">BBH", _TS_IPV4, selectors[i], _TS_SIZE)
        body += selectors[i + 1 : i + SELECTOR]
        i += SELECTOR
    return body


def read_ts(octets, at, end):
    """(selectors of IPv4, how many there are of other kinds) in the body octets[at:end]; None if malformed."""
    selectors = b""
    others = 0
    if end - at < 4:
        return None
    count = octets[at]
    at += 4
    while at < end:
        size = octets[at + 2] << 8 | octets[at + 3] if end - at >= 4 else 0
        if size < 4 or at + size > end:
            return None
        if octets[at] != _TS_IPV4:
            others += 1
        elif size != _TS_SIZE:
            return None
        else:
            selectors += octets[at + 1 : at + 2] + octets[at + 4 : at + size]
        at += size
        count -= 1
    return None if count else (selectors, others)


def within(selectors, bounds):
    """True if each of the selectors lies in one of the bounds, and there are any."""
    for one in each(selectors):
        if not any(_common(one, bound) == one for bound in each(bounds)):
            return False
    return len(selectors) > 0


def covers(selectors, held):
    """True if everything in `held` is in one or another of the selectors, in pieces perhaps, sixteen at most."""
    if selectors == held:  # as rekeys have it, and 90,000 instructions less
        return True
    wanted = list(each(held))
    pieces = list(each(selectors[: _PIECES * SELECTOR]))
    while wanted:
        one = wanted.pop()
        for piece in pieces:
            common = _common(one, piece)
            if common and common[0] == one[0]:
                wanted += _around(one, common)
                break
        else:
            return False
    return True


def _around(one, inner):
    """What of a selector is left around another that lies in it."""
    for first, last in ((5, 9), (1, 3)):
        size = 4 if first == 5 else 2
        low, high = int.from_bytes(inner[first : first + size], "big"), int.from_bytes(inner[last : last + size], "big")
        if one[first : first + size] != inner[first : first + size]:
            yield one[:last] + (low - 1).to_bytes(size, "big") + one[last + size :]
        if one[last : last + size] != inner[last : last + size]:
            yield one[:first] + (high + 1).to_bytes(size, "big") + one[first + size :]
        one = one[:first] + inner[first : last + size] + one[last + size :]


def each(selectors):
    """One selector after the other."""
    for i in range(0, len(selectors), SELECTOR):
        yield selectors[i : i + SELECTOR]


def cut(selectors, bounds):
    """What the selectors have in common with the bounds, SELECTORS_MAX at most; nothing if there is nothing."""
    found = b""
    for one in each(selectors):
        for bound in each(bounds):
            common = _common(one, bound)
            if common and len(found) < SELECTORS_MAX * SELECTOR:
                found += common
    return found


def _common(a, b):
    if a[0] and b[0] and a[0] != b[0]:
        return b""
    ports = max(a[1:3], b[1:3]), min(a[3:5], b[3:5])
    addresses = max(a[5:9], b[5:9]), min(a[9:], b[9:])
    if ports[0] > ports[1] or addresses[0] > addresses[1]:
        return b""
    return bytes((a[0] or b[0],)) + b"".join(ports + addresses)


def cp_request(address=None):
    """Body of a CP payload that asks for an address inside, for this one if there is one, and for name servers."""
    octets = address or b""
    asked = struct.pack(">BBHHH", _CFG_REQUEST, 0, 0, _INTERNAL_IP4_ADDRESS, len(octets)) + octets
    return asked + struct.pack(">HH", _INTERNAL_IP4_DNS, 0)


def read_cp(octets, at, end):
    """(the one address, the name servers inside, four octets each) that a CFG_REPLY in octets[at:end] assigns (N20).

    None without an address. Servers beyond SERVERS_MAX, and what can be none, are ignored.
    """
    address = None
    servers = b""
    if end - at < 4 or octets[at] != _CFG_REPLY:
        return None
    at += 4
    while at < end:
        size = octets[at + 2] << 8 | octets[at + 3] if end - at >= 4 else end
        if at + 4 + size > end:
            return None
        kind = (octets[at] & 0x7F) << 8 | octets[at + 1]
        value = bytes(octets[at + 4 : at + 4 + size])
        if kind == _INTERNAL_IP4_ADDRESS:
            if address is not None or size != 4:
                return None
            address = value
        elif kind == _INTERNAL_IP4_DNS and size == 4 and _unicast(value) and len(servers) < 4 * SERVERS_MAX:
            servers += value
        at += 4 + size
    return (address, servers) if address and _unicast(address) else None


def _unicast(address):
    return 0 < address[0] < 224 and address[0] != 127
