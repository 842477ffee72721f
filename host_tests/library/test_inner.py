"""What is inside a tunnel, against scapy's IPv4 (T1 to T6): what comes for a socket, is answered, is dropped."""

import errno
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ikev2.budget import Budget
from inside import ipv4
from inside.stack import DROPPED, OVERHEAD, Stack
from scapy.layers.inet import ICMP, IP, UDP, ICMPerror, IPerror, IPOption_NOP, IPOption_RR, UDPerror
from scapy.packet import Raw

from library.machines import allocates_nothing, on_board, on_unix

OURS, THEIRS = "10.77.0.2", "10.77.0.9"
HOST = bytes((10, 77, 0, 9))


def inside(**limits):
    limits = {"answers_per_s": 1000, "burst": 1000, "per_source_ms": 0, **limits}
    return Stack(bytes((10, 77, 0, 2)), Budget(**limits))


def udp(data=b"21.5", sport=5683, dport=40000, source=THEIRS, to=OURS, sum=None, **fields):
    return IP(src=source, dst=to, id=7, **fields) / UDP(sport=sport, dport=dport, chksum=sum) / Raw(data)


def echo(data=b"ping", kind=8, source=THEIRS, to=OURS, **fields):
    return IP(src=source, dst=to, id=7, **fields) / ICMP(type=kind, id=5, seq=6) / Raw(data)


def receive(inner, packet, now=0):
    """scapy's reading of the answer; None if there is none."""
    octets = bytes(packet)
    buffer = bytearray(octets + bytes(max(0, 96 - len(octets))))
    size = inner.receive(buffer, len(octets), now)
    return IP(bytes(buffer[:size])) if size else None


def dropped(inner):
    """{reason: how often}"""
    return {DROPPED[why]: count for why, count in enumerate(inner.counters) if count}


def sums(packet):
    """scapy computes all checksums anew, and finds those that are there."""
    octets = bytes(packet)
    packet = packet.copy()
    for layer in (IP, UDP, ICMP):
        if layer in packet:
            del packet[layer].chksum
    return bytes(packet) == octets


@pytest.mark.parametrize("size", [0, 1, 2, 7, 8, 100])
def test_a_datagram_ends_where_it_ends_t1(size):
    is_what_scapy_reads(bytes(range(1, 1 + size)), 5683, 40000)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=1400), sport=st.integers(1, 65535), dport=st.integers(1, 65535))
def test_scapy_reads_what_we_send(data, sport, dport):
    """T1."""
    is_what_scapy_reads(data, sport, dport)


def is_what_scapy_reads(data, sport, dport):
    out = bytearray(b"\xee" * (len(data) + OVERHEAD + 7))
    size = inside().send(out, 5, sport, HOST, dport, data)
    assert out[:5] == b"\xee" * 5 and out[5 + size :] == b"\xee" * 2
    packet = IP(bytes(out[5 : 5 + size]))
    assert sums(packet) and (packet.src, packet.dst, packet.ttl) == (OURS, THEIRS, 64)
    assert (packet[UDP].sport, packet[UDP].dport, bytes(packet[UDP].payload)) == (sport, dport, data)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=1400), options=st.integers(0, 10), no_sum=st.booleans(), behind=st.binary(max_size=9))
def test_we_read_what_scapy_sends(data, options, no_sum, behind):
    """T1, T2: with options or without, a checksum of zero is none, what stands behind the datagram is not of it."""
    inner = inside()
    sock = inner.bind(40000)
    packet = udp(data, options=[IPOption_NOP()] * 4 * options, sum=0 if no_sum else None)
    assert receive(inner, bytes(packet) + behind) is None
    assert sock.take() == (data, HOST, 5683) and sock.take() is None and dropped(inner) == {}


@pytest.mark.parametrize("source", [THEIRS, "10.1.2.3"])
def test_a_checksum_is_none_when_both_of_its_octets_are_zero_t1(source):
    for total, taken in ((0, True), (0x1200, False), (0x0012, False), (None, True)):
        inner = inside()
        sock = inner.bind(40000)
        receive(inner, udp(source=source, sum=total))
        assert (sock.take() is not None) == taken, total


def test_a_checksum_that_comes_out_as_zero_is_sent_as_ones():
    """T1."""
    inner = inside()
    out = bytearray(64)
    inner.send(out, 0, 1, HOST, 2, b"\0\0")
    total = int.from_bytes(out[26:28], "big")
    inner.send(out, 0, 1, HOST, 2, total.to_bytes(2, "big"))
    assert out[26:28] == b"\xff\xff" and sums(IP(bytes(out[:30]))) is not None
    other = Stack(HOST)
    sock = other.bind(2)
    assert not other.receive(bytearray(out), 30, 0) and sock.take()


@settings(max_examples=300, deadline=None)
@given(bit=st.integers(0, 8 * 42 - 1))
def test_every_changed_bit_is_dropped_or_tells_nothing(bit):
    """T1: a flip is found by a checksum, or is the checksum of UDP no longer being one."""
    inner = inside(burst=0)
    sock = inner.bind(40000)
    octets = bytearray(bytes(udp(b"0123456789abcd")))
    octets[bit >> 3] ^= 1 << (bit & 7)
    assert receive(inner, octets) is None
    assert sock.take() is None and sum(inner.counters)


def test_every_truncation_is_malformed():
    inner = inside()
    sock = inner.bind(40000)
    for packet in (udp(), udp(options=[IPOption_NOP()] * 8), echo()):
        octets = bytes(packet)
        for length in range(len(octets)):
            assert receive(inner, octets[:length]) is None
    assert set(dropped(inner)) == {"malformed"} and sock.take() is None


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        (udp(len=27), "malformed"), (udp(ihl=4), "malformed"), (udp(ihl=15), "malformed"),
        (udp(version=6), "malformed"),
        (IP(src=THEIRS, dst=OURS) / UDP(sport=1, dport=40000, len=7) / b"abcd", "malformed"),
        (IP(src=THEIRS, dst=OURS) / UDP(sport=1, dport=40000, len=13) / b"abcd", "malformed"),
        (IP(src=THEIRS, dst=OURS) / UDP(sport=1, dport=40000, len=0) / b"abcd", "malformed"),
        (IP(src=THEIRS, dst=OURS, proto=1) / b"\x08\0\xf7\xff", "malformed"),
        (udp(chksum=1), "checksum"), (udp(sum=1), "checksum"), (echo(chksum=1), "checksum"),
        (IP(src=THEIRS, dst=OURS) / ICMP(chksum=1) / b"ping", "checksum"),
        (udp(flags="MF"), "fragment"), (udp(frag=1), "fragment"), (udp(frag=8191), "fragment"),
        (echo(flags="MF"), "fragment"),
        (udp(source="0.0.0.0"), "source"), (udp(source="0.255.255.255"), "source"),
        (udp(source="127.0.0.1"), "source"),
        (udp(source="127.255.255.255"), "source"), (udp(source="224.0.0.1"), "source"), (udp(source=OURS), "source"),
        (udp(source="255.255.255.255"), "source"), (udp(source="240.0.0.1"), "source"), (echo(source=OURS), "source"),
        (udp(to="10.77.0.3"), "destination"), (udp(to="255.255.255.255"), "destination"),
        (udp(to="10.77.0.255", dport=9), "destination"), (echo(to="224.0.0.1"), "destination"),
        (udp(proto=6), "protocol"), (udp(proto=50), "protocol"), (udp(proto=2), "protocol"),
        (IP(src=THEIRS, dst=OURS, proto=47), "protocol"), (IP(src=THEIRS, dst=OURS, proto=17), "malformed"),
        (echo(kind=0), "icmp"), (echo(kind=13), "icmp"), (echo(kind=3), "icmp"), (echo(kind=5), "icmp"),
        (IP(src=THEIRS, dst=OURS) / ICMP(type=8, code=1) / b"ping", "icmp"),
    ],
)  # fmt: skip
def test_what_is_dropped_is_counted_and_never_answered(packet, why):
    """T5, T1, E7."""
    inner = inside()
    sock = inner.bind(40000)
    assert receive(inner, packet) is None and dropped(inner) == {why: 1}
    assert sock.take() is None and receive(inner, udp()) is None and sock.take()


@pytest.mark.parametrize("source", ["1.0.0.1", "126.255.255.255", "128.0.0.1", "223.255.255.255", "10.77.0.1"])
def test_every_unicast_source_is_one(source):
    """T5."""
    inner = inside()
    sock = inner.bind(40000)
    receive(inner, udp(source=source))
    assert sock.take() and dropped(inner) == {}


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=1400), options=st.integers(0, 10), behind=st.binary(max_size=9))
def test_an_echo_is_answered_and_no_longer_than_it_came(data, options, behind):
    """T3."""
    packet = echo(data, options=[IPOption_NOP()] * 4 * options, ttl=3, tos=8)
    got = receive(inside(), bytes(packet) + behind)
    assert sums(got) and len(got) == len(packet)
    assert (got.src, got.dst, got.ttl, got[ICMP].type, got[ICMP].code) == (OURS, THEIRS, 64, 0, 0)
    assert (got[ICMP].id, got[ICMP].seq, bytes(got[ICMP].payload)) == (5, 6, data)


def test_an_echo_goes_back_to_where_it_came_from_t3():
    got = receive(inside(), echo(source="198.51.103.4"))
    assert sums(got) and (got.src, got.dst, got[ICMP].type) == (OURS, "198.51.103.4", 0)
    assert (got[ICMP].id, got[ICMP].seq, bytes(got[ICMP].payload)) == (5, 6, b"ping")


def test_words_are_added_alike_by_one_octet_and_by_two_t1(monkeypatch):
    """As machine code adds them, on a board."""
    octets = bytes(range(1, 201)) + b"\xff" * 200
    cases = [(at, total, n) for at in (0, 1, 2, 190) for total in (0, 0xFFFF) for n in range(200)]
    by_one = [ipv4.summed(octets, *case) for case in cases]
    monkeypatch.setattr(ipv4, "machine_code", True)
    monkeypatch.setattr(ipv4, "ptr16", lambda octets: struct.unpack(f"<{len(octets) // 2}H", octets))
    assert [ipv4.summed(octets, *case) for case in cases] == by_one


def test_options_do_not_go_back():
    """T3."""
    got = receive(inside(), echo(options=[IPOption_RR(length=39, routers=["0.0.0.0"] * 9)]))
    assert sums(got) and bytes(got)[20:60] == b"\1" * 40


@pytest.mark.parametrize("ones", [b"\xf7\xff", b"\xf7\xfe", b"\0\0"])
def test_the_checksum_of_an_echo_carries_over(ones):
    """T3: the words of this one add up so that its checksum is next to where a carry is needed."""
    for filler in range(0, 0x10000, 0x101):
        packet = IP(src=THEIRS, dst=OURS) / ICMP(type=8, id=filler, seq=int.from_bytes(ones, "big"))
        assert sums(receive(inside(), packet)), filler


@pytest.mark.parametrize("options", [0, 10])
@pytest.mark.parametrize("data", [b"", b"x", bytes(1400)])
def test_an_unused_port_is_unreachable(options, data):
    """T2, T6: 28 octets and the beginning of the datagram."""
    inner = inside()
    packet = udp(data, options=[IPOption_NOP()] * 4 * options)
    got = receive(inner, packet)
    assert sums(got) and (got.src, got.dst, got[ICMP].type, got[ICMP].code) == (OURS, THEIRS, 3, 3)
    assert bytes(got)[28:] == bytes(packet)[: 28 + 4 * options] and isinstance(got[ICMP].payload, IPerror)
    assert isinstance(got[UDPerror], UDPerror) and not isinstance(got[UDPerror], ICMPerror)
    assert dropped(inner) == {"unused-port": 1}


def test_answers_have_a_budget():
    """T2, T3: a flood to an unused port and of echoes gets so many, and each is counted."""
    inner = inside(answers_per_s=1, burst=5)
    answers = [receive(inner, udp() if i % 2 else echo(), now=0) for i in range(1000)]
    assert sum(answer is not None for answer in answers) == 5
    assert dropped(inner) == {"unused-port": 500, "limited": 995}
    assert inner.next_timer(0) > 0
    inner.tick(1000)
    assert receive(inner, echo(), now=1000) and not receive(inner, echo(), now=1000)


def test_without_a_budget_nothing_is_answered():
    """T2, T3: and it has no timer."""
    inner = Stack(bytes((10, 77, 0, 2)))
    assert receive(inner, echo()) is None and inner.next_timer(0) == -1


def test_a_queue_keeps_the_newest_and_counts_the_rest():
    """T4."""
    inner = Stack(bytes((10, 77, 0, 2)), queue=4)
    sock, other = inner.bind(40000), inner.bind(40001)
    assert inner.room() == 4
    for i in range(1000):
        receive(inner, udp(b"%d" % i))
    receive(inner, udp(b"other", dport=40001))
    assert [sock.take()[0] for _ in range(4)] == [b"996", b"997", b"998", b"999"]
    assert sock.take() is None and sock.dropped == 996 and inner.room() == 3
    assert other.take()[0] == b"other" and other.dropped == 0


def test_who_waits_is_called():
    inner = inside()
    sock = inner.bind(40000)
    called = []
    sock.ready = lambda: called.append(sock.take()[0])
    receive(inner, udp(b"1"))
    receive(inner, udp(b"2", dport=40001))
    assert called == [b"1"]


def test_ports():
    """T2: each has one socket, a closed one none."""
    inner = inside()
    sock = inner.bind(40000)
    with pytest.raises(OSError, check=lambda error: error.args[0] == errno.EADDRINUSE):
        inner.bind(40000)
    free = [inner.bind() for _ in range(3)]
    assert len({s.port for s in free}) == 3 and all(s.port >= 49152 for s in free)
    inner.close(sock)
    assert receive(inner, udp()) is not None and sock.take() is None
    again = inner.bind(40000)
    inner.close(sock)
    receive(inner, udp())
    assert again.take()


def test_another_address():
    """K5: sockets take it."""
    inner = inside()
    sock = inner.bind(40000)
    inner.address = bytes((10, 77, 0, 3))
    receive(inner, udp())
    receive(inner, udp(to="10.77.0.3"))
    assert sock.take() and not sock.take() and dropped(inner) == {"destination": 1}


def test_no_memory_is_counted(monkeypatch):
    inner = inside()
    sock = inner.bind(40000)

    def put(*_):
        raise MemoryError

    sock._put = put
    assert receive(inner, udp()) is None and dropped(inner) == {"no-memory": 1}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((5683, HOST, 5683, bytes(73)), "73 octets of data, room for 72"), ((0, HOST, 1, b""), "port 0"),
        ((1, HOST, 0, b""), "port 0"), ((1, HOST, 65536, b""), "port 65536"), ((65536, HOST, 1, b""), "port 65536"),
        ((1, b"abc", 1, b""), "abc"),
    ],
)  # fmt: skip
def test_bad_local_values_are_named(arguments, named):
    out = bytearray(103)
    with pytest.raises(ValueError, match=named):
        inside().send(out, 3, *arguments)
    assert out == bytes(103)
    with pytest.raises(ValueError, match="port 65536"):
        inside().bind(65536)
    with pytest.raises(ValueError, match="Stack"):
        Stack(b"abc")


HEAP = """
from ikev2.budget import Budget
from inside.stack import Stack
inner = Stack(b"\\x0a\\x4d\\0\\2", Budget(1000, 1000, 0, 1))
inner.bind(40000)
host = b"\\x0a\\x4d\\0\\x09"
there = Stack(host)
head = b"\\x45\\0\\0\\x1c\\0\\0\\0\\0\\x40\\1\\x66\\x3d"
echo = bytearray(head + host + inner.address + b"\\x08\\0\\xf7\\xff" + bytes(84))
mine = bytearray(200)
theirs = bytearray(200)
def prepare():
    assert inner.send(mine, 0, 40000, host, 5683, b"21.5") == 32
    assert there.send(theirs, 0, 5683, inner.address, 9, b"21.5") == 32
def go():
    assert inner.receive(mine, 32, 0) == 0
    assert inner.receive(theirs, 32, 0) == 56
    assert inner.receive(theirs, 31, 0) == 0
    assert inner.receive(echo, 28, 0) == 28
    echo[20] = 8
    echo[22] = 0xf7
    echo[23] = 0xff
    echo[10] = 0x66
    echo[11] = 0x3d
    echo[15] = 9
    echo[19] = 2
prepare()
go()
prepare()
"""


@pytest.mark.parametrize("machine", [on_unix, on_board])
def test_nothing_is_allocated_for_what_no_socket_is_given(machine):
    assert allocates_nothing(machine, HEAP)
