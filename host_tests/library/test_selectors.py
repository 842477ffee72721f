"""Traffic selectors as boxes of ports and addresses, point by point (E4, N16); networks, TS and CP bodies by octets."""

import random
import struct

import pytest
from ikev2.sa import selectors

PORTS = (0, 1, 255, 256, 257, 4660, 65535)
ADDRESSES = (0, 1, 255, 256, 0x0A000000, 0x0A0000FF, 0x0A000100, 0xFFFFFFFF)


def packed(protocol, ports, addresses):
    return struct.pack(">BHHII", protocol, *ports, *addresses)


def boxes(dice, count):
    """[(protocol, (first, last) port, (first, last) address)]"""
    return [
        (dice.choice((0, 0, 6, 17)), *(tuple(sorted(dice.choices(edges, k=2))) for edges in (PORTS, ADDRESSES)))
        for _ in range(count)
    ]


def holds(box, point):
    protocol, ports, addresses = box
    return protocol in (0, point[0]) and ports[0] <= point[1] <= ports[1] and addresses[0] <= point[2] <= addresses[1]


def points(several):
    """A point of each piece into which the boxes cut each other."""
    ports = {edge for _, (first, last), _ in several for edge in (first, last + 1)}
    addresses = {edge for _, _, (first, last) in several for edge in (first, last + 1)}
    return [(protocol, port, address) for protocol in (0, 6, 17, 47) for port in ports for address in addresses]


def test_what_is_common_covered_and_within_n16():
    dice = random.Random(1)
    seen = set()
    for _ in range(400):
        asked, held = boxes(dice, dice.randint(1, 4)), boxes(dice, dice.randint(1, 2))
        if dice.random() < 0.5:  # in pieces
            protocol, (first, last), addresses = held[0]
            middle = dice.randint(first, last)
            asked += [(protocol, (first, middle), addresses), (protocol, (min(middle + 1, last), last), addresses)]
        octets = [b"".join(packed(*box) for box in several) for several in (asked, held)]
        all_points = points(asked + held)
        covered = all(any(holds(a, p) for a in asked) for p in all_points if any(holds(h, p) for h in held))
        assert selectors.covers(*octets) == covered
        contained = all(any(_in(a, h) for h in held) for a in asked)
        assert selectors.within(*octets) == contained
        common = [struct.unpack(">BHHII", one) for one in selectors.each(selectors.cut(*octets))]
        common = [(protocol, (p, q), (a, b)) for protocol, p, q, a, b in common]
        if len(common) < selectors.SELECTORS_MAX:
            for point in all_points:
                both = any(holds(a, point) for a in asked) and any(holds(h, point) for h in held)
                assert both == any(holds(one, point) for one in common)
        seen |= {("covered", covered), ("within", contained), ("common", bool(common))}
    assert len(seen) == 6


def _in(a, b):
    return b[0] in (0, a[0]) and b[1][0] <= a[1][0] and a[1][1] <= b[1][1] and b[2][0] <= a[2][0] and a[2][1] <= b[2][1]


def test_pieces_beyond_the_sixteenth_do_not_count_n16():
    whole = packed(0, (0, 65535), (0, 255))
    pieces = [packed(0, (0, 65535), (16 * n, 16 * n + 15)) for n in range(16)]
    assert selectors.covers(b"".join(pieces), whole)
    assert not selectors.covers(whole[:-1] + b"\xfe" + b"".join(pieces), whole)  # the last is the seventeenth
    assert len(selectors.cut(b"".join(pieces), whole)) == 13 * selectors.SELECTORS_MAX
    assert not selectors.within(b"", whole)


def test_networks():
    everything = bytes.fromhex("00 0000 ffff")
    assert selectors.network("10.9.0.0/24") == everything + bytes((10, 9, 0, 0, 10, 9, 0, 255))
    assert selectors.network("10.9.0.7") == everything + bytes((10, 9, 0, 7)) * 2 == selectors.host(b"\x0a\x09\0\7")
    assert selectors.network("0.0.0.0/0") == selectors.ALL == everything + bytes(4) + b"\xff" * 4
    assert selectors.network("128.0.0.0/1") == everything + b"\x80\0\0\0" + b"\xff" * 4
    for text in ("10.9.0.1/24", "10.9.0.0/33", "10.9.0.0/x", "10.9/16", "", "::/0", "10.9.0.0/-1"):
        with pytest.raises(ValueError):
            selectors.network(text)


def test_traffic_selectors_on_the_wire_n16():
    one, two = packed(17, (7, 9), (0x0A000001, 0x0A0000FE)), selectors.ALL
    body = selectors.ts_body(one + two)
    first = bytes.fromhex("07 11 0010 0007 0009 0a000001 0a0000fe")
    second = bytes.fromhex("07 00 0010 0000 ffff 00000000 ffffffff")
    assert body == b"\2\0\0\0" + first + second
    ipv6 = bytes.fromhex("08 00 0028 0000 ffff") + bytes(32)
    strange = bytes.fromhex("09 00 0004")
    for octets, found in (
        (body, (one + two, 0)),
        (b"\3\0\0\0" + first + ipv6 + strange, (one, 2)),
        (b"\0\0\0\0", (b"", 0)),
        (b"\1\0\0\0" + first + second, None),
        (b"\3\0\0\0" + first + second, None),
        (body[:-1], None),
        (body + b"\0", None),
        (body[:3], None),
        (b"\1\0\0\0\x07\0\0\x0f" + bytes(11), None),
        (b"\1\0\0\0\x07\0\0\x11" + bytes(13), None),
        (b"\1\0\0\0\x09\0\0\x03", None),
        (b"\1\0\0\0\x09\0\0\x05", None),
        (b"\1\0\0\0\x09\0\x01\x04", None),
    ):
        assert selectors.read_ts(b"xx" + octets + b"yy", 2, 2 + len(octets)) == found


def test_the_address_and_the_servers_inside_n20():
    address = bytes.fromhex("0001 0004 0a090007")
    server = bytes.fromhex("0003 0004 0a090001")
    unknown = bytes.fromhex("7fff 0002 abcd")
    none = bytes.fromhex("0003 0000")
    reply = b"\2\0\0\0"
    found = bytes((10, 9, 0, 7))
    assert selectors.cp_request() == bytes.fromhex("01000000 0001 0000 0003 0000")
    assert selectors.cp_request(found) == bytes.fromhex("01000000 0001 0004 0a090007 0003 0000")
    for octets, read in (
        (reply + address, (found, b"")),
        (reply + b"\x80" + address[1:], (found, b"")),  # the reserved bit
        (reply + unknown + server + address + none, (found, server[4:])),
        (reply + address + server * 4, (found, server[4:] * 3)),
        (reply + address + bytes.fromhex("0003 0004 e0000001 0003 0004 7f000001 0003 0003 0a0900"), (found, b"")),
        (reply, None),
        (reply + server, None),
        (reply[:3], None),
        (b"\1\0\0\0" + address, None),
        (reply + address + address, None),
        (reply + address[:-1], None),
        (reply + address + b"\0\3\0", None),
        (reply + address + b"\0\3\0\1", None),
        (reply + bytes.fromhex("0001 0005 0a09000700"), None),
        (reply + bytes.fromhex("0001 0004 e0000001"), None),
        (reply + bytes.fromhex("0001 0004 00000001"), None),
        (reply + bytes.fromhex("0001 0004 7f000001"), None),
    ):
        assert selectors.read_cp(b"x" + octets + address, 1, 1 + len(octets)) == read, octets.hex()
    assert selectors.read_cp(reply, 4, 4) is None
    for first, good in ((1, True), (126, True), (128, True), (223, True), (0, False), (127, False), (224, False)):
        read = selectors.read_cp(reply + address[:4] + bytes((first, 0, 0, 1)), 0, 12)
        assert bool(read) == good


def test_identities_n18():
    for text, kind, octets in (
        ("10.9.0.7", 1, b"\x0a\x09\0\7"), ("hub.example", 2, b"hub.example"), ("a@b", 3, b"a@b"),
        ("keyid:a@b", 11, b"a@b"), ("10.9.0.256", 2, b"10.9.0.256"),
    ):  # fmt: skip
        body = selectors.id_body(text)
        assert selectors.identity(text) == (kind, octets) and body == bytes((kind, 0, 0, 0)) + octets
        assert selectors.same_id(b"x" + body[:1] + b"\7\7\7" + body[4:] + b"y", 1, 1 + len(body), text)
        assert not selectors.same_id(body + b"y", 0, len(body) + 1, text)
        assert not selectors.same_id(bytes((kind + 1,)) + body[1:], 0, len(body), text)
        assert not selectors.same_id(body[:-1] + b"\xee", 0, len(body), text)
    for text in ("", None, b"hub"):
        with pytest.raises(ValueError):
            selectors.identity(text)
