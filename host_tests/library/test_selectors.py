"""Identities, traffic selectors, addresses: point by point, and against the octets of another implementation."""

import random
import struct

import pytest
from ikev2.sa import selectors

from library import scripted_gateway

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


def test_networks():
    everything = bytes.fromhex("00 0000 ffff")
    assert selectors.network("10.9.0.0/24") == everything + bytes((10, 9, 0, 0, 10, 9, 0, 255))
    assert selectors.network("10.9.0.7") == everything + bytes((10, 9, 0, 7)) * 2 == selectors.host(b"\x0a\x09\0\7")
    assert selectors.network("0.0.0.0/0") == selectors.ALL == everything + bytes(4) + b"\xff" * 4
    assert selectors.network("128.0.0.0/1") == everything + b"\x80\0\0\0" + b"\xff" * 4
    for text in ("10.9.0.1/24", "10.9.0.0/33", "10.9.0.0/x", "10.9/16", "", "::/0", "10.9.0.0/-1"):
        with pytest.raises(ValueError):
            selectors.network(text)


@pytest.mark.parametrize(
    ("text", "kind", "octets"),
    [
        ("sensor-7", 2, b"sensor-7"), ("vpn.example.org", 2, b"vpn.example.org"), ("a@example", 3, b"a@example"),
        ("192.0.2.1", 1, b"\xc0\0\2\1"), ("192.0.2.256", 2, b"192.0.2.256"), ("1.2.3", 2, b"1.2.3"),
        ("keyid:192.0.2.1", 11, b"192.0.2.1"), ("ä", 2, "ä".encode()),
    ],
)  # fmt: skip
def test_the_type_of_an_identity_n18(text, kind, octets):
    assert selectors.identity(text) == (kind, octets)
    body = selectors.id_body(text)
    assert body == bytes((kind, 0, 0, 0)) + octets
    assert selectors.same_id(b"x" + body, 1, 1 + len(body), text)
    assert selectors.same_id(body[:1] + b"\1\2\3" + body[4:], 0, len(body), text)
    for other in (bytes((kind + 1,)) + body[1:], body[:-1] + b"?", body + b"?", body[:-1], b""):
        assert not selectors.same_id(other, 0, len(other), text)


def ts(*networks):
    """Selectors as we keep them, by the other implementation."""
    body = scripted_gateway.selectors(*networks)
    found, others = selectors.read_ts(body, 0, len(body))
    assert not others and selectors.ts_body(found) == body
    return found


def test_selectors_within_others_n16():
    assert ts("0.0.0.0/0") == selectors.ALL
    assert ts("10.77.0.2/32") == selectors.host(b"\x0a\x4d\0\2")
    bounds = ts("10.0.0.0/8", ("192.0.2.0/24", 17, 5683))
    for inner in ("10.0.0.0/8", "10.1.0.0/16", ("10.1.0.0/16", 6, 80), ("192.0.2.7/32", 17, 5683)):
        assert selectors.within(ts(inner), bounds)
    for outer in ("0.0.0.0/0", "10.0.0.0/7", "192.0.2.0/24", ("192.0.2.7/32", 6, 5683), ("192.0.2.7/32", 17, 5684)):
        assert not selectors.within(ts(outer), bounds)
        assert not selectors.within(ts("10.1.0.0/16", outer), bounds)
    assert not selectors.within(b"", bounds)


def test_a_selector_is_looked_for_where_selectors_begin_n16():
    """A piece of one and a piece of the next are none."""
    between = selectors.ALL[6:] + selectors.ALL[:6]
    assert not selectors.within(between[:13], selectors.ALL[:5] + bytes(8) + selectors.ALL[:5] + bytes(8))


def test_covered_in_pieces_k3():
    for asked in (["0.0.0.0/0"], ["10.0.0.5/32", "0.0.0.0/0"], ["0.0.0.0/1", "128.0.0.0/1"]):
        assert selectors.covers(ts(*asked), ts("0.0.0.0/0"))
    assert not selectors.covers(ts("0.0.0.0/1", "128.0.0.0/2"), ts("0.0.0.0/0"))
    assert selectors.covers(ts("10.0.0.5/32", "10.0.0.0/8", "192.168.0.0/16"), ts("10.0.0.0/8", "192.168.0.0/16"))
    assert selectors.covers(ts(*["10.0.0.0/32"] * 15, "0.0.0.0/0"), ts("10.0.0.0/8"))
    assert not selectors.covers(ts(*["10.0.0.0/32"] * 16, "0.0.0.0/0"), ts("10.0.0.0/8"))


def test_selectors_are_cut_k3():
    assert selectors.cut(ts("0.0.0.0/0"), ts("10.1.0.0/16")) == ts("10.1.0.0/16")
    assert selectors.cut(ts("10.1.0.0/16"), ts("0.0.0.0/0")) == ts("10.1.0.0/16")
    assert selectors.cut(ts("10.0.0.0/8", "192.0.2.0/24"), ts(("10.1.0.0/16", 17, 53), "192.0.2.7/32")) == ts(
        ("10.1.0.0/16", 17, 53), "192.0.2.7/32"
    )
    assert selectors.cut(ts(("10.0.0.0/8", 17, 53)), ts(("10.0.0.0/8", 6, 53))) == b""
    assert selectors.cut(ts(("10.0.0.0/8", 17, 53)), ts(("10.0.0.0/8", 17, 54))) == b""
    assert selectors.cut(ts("10.0.0.0/8"), ts("11.0.0.0/8")) == b""
    assert len(selectors.cut(ts("0.0.0.0/0") * 5, ts("10.0.0.0/8") * 5)) == 8 * 13


@pytest.mark.parametrize(
    "body", [b"", b"\0\0\0", b"\1\0\0\0", b"\0\0\0\0" + bytes(16), scripted_gateway.selectors("10.0.0.0/8")[:-1],
             b"\2" + scripted_gateway.selectors("10.0.0.0/8")[1:],
             b"\1\0\0\0\7\0\0\x08" + bytes(4), b"\1\0\0\0\7\0\0\3"],
)  # fmt: skip
def test_malformed_selectors(body):
    assert selectors.read_ts(body, 0, len(body)) is None


def test_truncated_selectors_and_attributes():
    body = scripted_gateway.selectors("10.0.0.0/8", "11.0.0.0/8")
    for cut in range(len(body)):
        assert selectors.read_ts(body[:cut], 0, cut) is None
    body = struct.pack(">IHHIHH", 2 << 24, 1, 4, 0x0A4D0002, 7, 0)
    assert [selectors.read_cp(body[:cut], 0, cut) is not None for cut in range(17)] == [
        cut in (12, 16) for cut in range(17)
    ]


def test_selectors_of_other_kinds_are_counted():
    body = (
        b"\2\0\0\0"
        + struct.pack(">BBHHH", 8, 0, 0x128, 0, 65535)
        + bytes(0x120)
        + scripted_gateway.selectors("10.0.0.0/8")[4:]
    )
    assert selectors.read_ts(body, 0, len(body)) == (ts("10.0.0.0/8"), 1)


def cp(kind, *attributes):
    body = struct.pack(">BBH", kind, 0, 0)
    for number, octets in attributes:
        body += struct.pack(">HH", number, len(octets)) + octets
    return selectors.read_cp(body, 0, len(body))


def test_the_address_that_is_assigned_n20():
    address = b"\x0a\x4d\0\2"
    asked = bytes.fromhex("00030000")  # INTERNAL_IP4_DNS, W5
    assert selectors.cp_request() == bytes.fromhex("01000000 00010000") + asked
    assert selectors.cp_request(address) == bytes.fromhex("01000000 00010004") + address + asked
    assert cp(2, (1, address)) == cp(2, (0x8001, address)) == (address, b"")
    assert cp(2, (2, b"\xff" * 4), (1, address), (7, b""), (28673, b"x" * 9)) == (address, b"")
    assert cp(2, (0x0101, b"\x0a\x4d\0\3"), (28673, b"x" * 0x104), (1, address)) == (address, b"")
    for wrong in ((), ((1, b""),), ((1, address + b"\0"),), ((1, address), (1, address)), ((3, address),)):
        assert cp(2, *wrong) is None
    for kind in (0, 1, 3, 4):
        assert cp(kind, (1, address)) is None
    for octets in (b"\0\0\0\0", b"\x7f\0\0\1", b"\xe0\0\0\1", b"\xff\xff\xff\xff"):
        assert cp(2, (1, octets)) is None
    for body in (b"", b"\2\0\0", b"\2\0\0\0\0\1", b"\2\0\0\0\0\1\0\5" + address):
        assert selectors.read_cp(body, 0, len(body)) is None
        assert selectors.read_cp(b"1234" + body, 4, 4 + len(body)) is None
    for first, good in ((1, True), (126, True), (128, True), (223, True), (0, False), (127, False), (224, False)):
        assert bool(cp(2, (1, bytes((first, 0, 0, 1))))) == good


def test_the_name_servers_that_are_given_w5():
    """One attribute each, as charon sends them; what can be no server is ignored, and the address stands."""
    address = b"\x0a\x4d\0\2"
    servers = [bytes((10, 77, 0, 50 + number)) for number in range(4)]
    assert cp(2, (3, servers[0]), (1, address), (0x8003, servers[1])) == (address, servers[0] + servers[1])
    assert cp(2, (1, address), *[(3, octets) for octets in servers]) == (address, b"".join(servers[:3]))
    for octets in (b"", b"\x0a\0\0", b"\x0a\0\0\1\0", bytes(4), b"\x7f\0\0\1", b"\xe0\0\0\xfb"):
        assert cp(2, (1, address), (3, octets), (3, servers[0])) == (address, servers[0])
