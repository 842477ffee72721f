"""TCP inside a tunnel, with scapy as the peer: connections, data, what ends them, what is dropped (V)."""

import errno
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ikev2.budget import Budget
from inside.sockets import StreamSocket
from inside.tcp import Tcp
from scapy.layers.inet import ICMP, IP, TCP
from tools import ROOT

from library.tcp_peer import BUFFER, HOST, MSS, OURS, THEIRS, Peer, Said

SACK = (*MSS, ("SAckOK", b""))


def number(error):
    return error and error.args[0]


# V1, V2: connections, their numbers and options


def test_syn():
    """V1, V2: its options, a port above 49151; nothing is acknowledged."""
    peer = Peer()
    segment = peer.connects(1883)[TCP]
    assert (str(segment.flags), segment.dport, segment.ack, segment.window) == ("S", 1883, 0, BUFFER)
    assert segment.sport >= 49152 and segment.options == [("MSS", 1360), ("NOP", None), ("NOP", None), ("SAckOK", b"")]
    assert peer.connection.state == "SYN-SENT" and not peer.connection.established and peer.tcp.asks
    assert (peer.connection.host, peer.connection.port, peer.connection.local_port) == (HOST, 1883, segment.sport)


def initial(now, port=80, local_port=50000, secret=7):
    peer = Peer(now=now, random=lambda n: bytes([secret] * n))
    return peer.connects(port, local_port=local_port)[TCP].seq


def test_initial_numbers():
    """V1: of one four-tuple they follow the clock, also across its wrap; of another they say nothing of it."""
    assert (initial(1000) - initial(0)) % 2**32 == 256000
    assert (initial(0) - initial(2**30 - 1)) % 2**32 == 256
    others = {initial(0), initial(0, port=81), initial(0, local_port=50001), initial(0, secret=8)}
    assert len(others) == 4 and all((one - initial(0)) % 2**24 for one in others - {initial(0)})


def test_ports():
    """V1: ours are random and not in use; one that is asked for and in use is EADDRINUSE."""
    octets = iter([b"\xff\xff", b"\xff\xff", b"\xff\xff", b"\0\5"])
    tcp = Peer(random=lambda n: next(octets) if n == 2 else bytes(n)).tcp
    tcp.listen(49152)
    ports = [tcp.connect(HOST, 80, 0).local_port for _ in range(4)]
    assert ports == [65535, 49153, 49154, 49157]
    assert tcp.connect(HOST, 81, 0, local_port=65535).local_port == 65535
    for wanted in (65535, 49152):
        with pytest.raises(OSError) as error:
            tcp.connect(HOST, 80, 0, local_port=wanted)
        assert number(error.value) == errno.EADDRINUSE
    with pytest.raises(OSError) as error:
        tcp.listen(49152)
    assert number(error.value) == errno.EADDRINUSE


@pytest.mark.parametrize(
    "call",
    [
        lambda tcp: tcp.connect(b"123", 80, 0), lambda tcp: tcp.connect(HOST, 0, 0), lambda tcp: tcp.listen(0),
        lambda tcp: tcp.connect(HOST, 80, 0, 65536), lambda tcp: tcp.listen(80, 0), lambda tcp: Tcp(tcp, bytes, 0),
        lambda tcp: Tcp(tcp, bytes, buffer=127), lambda tcp: Tcp(tcp, bytes, buffer=65536),
    ],
)  # fmt: skip
def test_bad_local_calls(call):
    with pytest.raises(ValueError):
        call(Peer().tcp)


def test_handshake():
    """V2: the SYN-ACK is acknowledged at once, whoever waits hears of it."""
    peer = Peer()
    peer.connects()
    assert peer.says(flags="SA", ack=1, options=SACK) == [Said("A", 1, 1)] and peer.ready == 1
    assert peer.connection.state == "ESTABLISHED" and peer.connection.established and not peer.tcp.asks
    assert peer.tcp.next_timer(0) == -1


def test_syn_repeated():
    """V2: after 1, 2, 4 and 8 s, the same; ETIMEDOUT after the fifth."""
    peer = Peer()
    first = peer.connects()
    repeated = []
    while peer.connection.error is None:
        repeated += [(at, said.flags, said.seq) for at, said in peer.later(1000)]
    assert repeated == [(1000, "S", 0), (3000, "S", 0), (7000, "S", 0), (15000, "S", 0)] and peer.now == 31000
    assert number(peer.connection.error) == errno.ETIMEDOUT and peer.tcp.connections == [] and peer.ready == 1
    assert first[TCP].options


@pytest.mark.parametrize(
    ("flags", "ack", "error"),
    [("RA", 1, errno.ECONNREFUSED), ("RA", 2, None), ("R", 1, None), ("RA", 0, None), ("R", 0, None)],
)
def test_refused(flags, ack, error):
    """V2, V7: by an RST that acknowledges our SYN, by no other."""
    peer = Peer()
    peer.connects()
    assert peer.says(flags=flags, ack=ack) == []
    assert number(peer.connection.error) == error and bool(peer.tcp.connections) is not error


@pytest.mark.parametrize(("flags", "ack"), [("SA", 2), ("A", 0), ("A", 9), ("SA", 0)])
def test_an_answer_to_another_syn(flags, ack):
    """V7: is answered by an RST with the number that it acknowledges, and the attempt goes on."""
    peer = Peer()
    peer.connects()
    assert peer.says(flags=flags, ack=ack) == [Said("R", ack, 0, window=0)]
    assert peer.connection.state == "SYN-SENT"
    assert peer.says(flags="SA", ack=1) == [Said("A", 1, 1)]


def test_no_simultaneous_open():
    """V2: a SYN is no answer to one."""
    peer = Peer()
    peer.connects()
    assert peer.says(flags="S") == [] and peer.connection.state == "SYN-SENT"


@pytest.mark.parametrize(
    ("options", "mss"),
    [((), 536), ((("MSS", 1360),), 1360), ((("MSS", 9000),), 1360), ((("MSS", 1),), 64), ((("MSS", 0),), 536),
     ((("NOP", None), ("MSS", 600)), 600)],
)  # fmt: skip
@pytest.mark.parametrize("active", [True, False])
def test_mss(options, mss, active):
    """V2: the peer's is kept within its bounds; no packet is longer."""
    peer = Peer()
    connection = peer.opens(options) if active else peer.is_accepted(options=options)
    connection.write(bytes(BUFFER))
    sent = peer.outgoing()
    assert len(sent[0].data) == mss and connection.words[0] == mss


def icmp(peer, code=3, seq=0, kind=3, **wrong):
    """ICMP that quotes 8 octets of a segment of ours."""
    quoted = IP(src=OURS, dst=wrong.get("dst", THEIRS), id=1) / TCP(
        sport=peer.ports[0], dport=wrong.get("port", peer.ports[1]), seq=(peer.start + seq) % 2**32
    )
    return IP(src="10.77.0.1", dst=OURS) / ICMP(type=kind, code=code) / bytes(quoted)[: wrong.get("octets", 28)]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [({}, errno.ECONNREFUSED), ({"port": 9}, None), ({"dst": "10.77.0.8"}, None), ({"seq": -1}, None),
     ({"seq": 1}, None), ({"octets": 27}, None), ({"code": 1}, None), ({"kind": 11}, None)],
)  # fmt: skip
def test_port_unreachable(wrong, error):
    """V2: about our SYN, and nothing else."""
    peer = Peer()
    peer.connects()
    peer.receive(icmp(peer, **wrong))
    assert number(peer.connection.error) == error


def test_icmp_does_not_end_a_connection():
    """V2: an open one."""
    peer = Peer()
    peer.opens().write(b"1")
    peer.later(5)
    peer.receive(icmp(peer, seq=1))
    assert peer.connection.error is None and peer.outgoing() == []


@pytest.mark.parametrize(("seq", "mss"), [(1, 536), (1361, 536), (2720, 536), (2721, 1360), (0, 1360)])
def test_fragmentation_needed(seq, mss):
    """V2: ICMP 3/4 about what is under way makes 536 of the MSS, and it is sent again so."""
    peer = Peer()
    peer.opens().write(bytes(BUFFER))
    peer.outgoing()
    peer.receive(icmp(peer, code=4, seq=seq))
    assert [len(said.data) for said in peer.outgoing()] == ([536] * 5 + [40] if mss == 536 else [])
    assert peer.connection.words[0] == mss


def test_a_path_that_loses_full_segments():
    """V2: from the third repetition on they have 536 octets."""
    peer = Peer()
    peer.opens().write(bytes(BUFFER))
    peer.outgoing()
    assert [len(said.data) for _, said in peer.later(10000)] == [1360, 1360, 536, 536, 536]


def test_the_least():
    """V9: one connection of 128 octets each way."""
    connection = Peer(connections=1, buffer=128).opens()
    assert connection.write(bytes(200)) == 128


# V3: sending, and sending again


def test_data_is_kept_until_it_is_acknowledged():
    """V3: the ring has room as it is acknowledged; numbers wrap, so does the ring."""
    peer = Peer()
    connection = peer.opens()
    sent, at = b"", 0
    for round in range(9):
        data = bytes((round * 31 + i) & 0xFF for i in range(BUFFER))
        assert connection.write(data) == BUFFER and connection.write(b"x") == 0 and connection.writable == 0
        for said in peer.outgoing():
            assert said.seq == 1 + at
            sent, at = sent + said.data, at + len(said.data)
        assert sent[-BUFFER:] == data and not connection.sent
        assert peer.says(ack=1 + at - 700) == [] and connection.writable == BUFFER - 700
        assert peer.says(ack=1 + at) == [] and connection.sent
        assert connection.write(b"1") == 1
        peer.later(5)
        at += 1
        sent += b"1"
        peer.says(ack=1 + at)
    assert peer.tcp.next_timer(peer.now) == -1


def test_rto():
    """V3: 300 ms at least, then doubled; ETIMEDOUT after eight tries. Whoever waits hears of it, and can write."""
    peer = Peer()
    peer.opens().write(b"1")
    times = [at for at, _ in peer.later(5)]
    while peer.connection.error is None:
        times += [at for at, said in peer.later(1000) if said == Said("PA", 1, 1, b"1")]
    apart = [b - a for a, b in pairwise(times)]
    assert apart == [300, 600, 1200, 2400, 4800, 9600, 19200, 38400]
    assert number(peer.connection.error) == errno.ETIMEDOUT and peer.tcp.connections == []
    assert peer.connection.writable and peer.connection.readable  # a blocking reader or writer does not hang
    for call in (lambda: peer.connection.write(b"1"), lambda: peer.read()):
        with pytest.raises(OSError) as error:
            call()
        assert number(error.value) == errno.ETIMEDOUT


def test_rto_follows_the_round_trip():
    """V3: RFC 6298; what was sent again is not measured."""
    peer = Peer()
    peer.connects()
    peer.now += 1000
    assert peer.later(0) == [(1000, Said("S", 0, 0))]
    peer.now += 10
    peer.says(flags="SA", ack=1)
    peer.seq = peer.ack = 1
    peer.connection.write(b"1")
    assert [at for at, _ in peer.later(2000)] == [1015, 2015]  # nothing has been measured
    peer.now = 2515
    peer.says(ack=2)
    at = 2515
    for trip in (400, 400, 400, 400, 400, 400, 400, 400):
        peer.connection.write(b"1")
        assert [when - at for when, _ in peer.later(6)] == [5]
        peer.now = at + 5 + trip
        peer.ack += 1
        peer.says(ack=peer.ack + 1)
        at = peer.now
    peer.connection.write(b"1")
    (first, _), (again, _) = peer.later(700)
    assert 400 < again - first < 650


def test_fast_retransmit():
    """V3: at the third duplicate ACK, once, and not again of those that it causes; what is acknowledged goes on."""
    peer = Peer(buffer=16000)
    peer.opens(window=60000).write(bytes(16000))
    flight = peer.outgoing()
    assert len(flight) == 3  # the initial window
    peer.says(ack=1361, window=60000)
    peer.says(ack=2721, window=60000)
    peer.says(ack=2721, window=60000)
    assert peer.says(ack=2721, window=60000) == []
    assert [said.seq for said in peer.says(ack=2721, window=60000)] == [2721]
    again = [said for _ in range(20) for said in peer.says(ack=2721, window=60000)]
    assert all(said.seq > 2721 for said in again)  # new data, as the window is inflated
    (partial,) = peer.says(ack=4081, window=60000)[:1]
    assert partial.seq == 4081
    assert all(said.seq != 4081 for said in peer.says(ack=4081, window=60000))


@pytest.mark.parametrize(("mss", "segments"), [(536, 4), (1095, 4), (1096, 3), (1360, 3)])
def test_the_initial_window_v3(mss, segments):
    """RFC 5681 section 3.1."""
    peer = Peer(buffer=16000)
    peer.opens((("MSS", mss),), window=60000).write(bytes(16000))
    assert [len(said.data) for said in peer.outgoing()] == [mss] * segments


def test_fast_retransmit_of_few():
    """V3: with fewer than four segments on the way, all others in a SACK are enough; an ACK of a double has none."""
    peer = Peer()
    peer.opens(SACK).write(bytes(BUFFER))
    assert len(peer.outgoing()) == 2
    block = (("SAck", ((peer.start + 1361) % 2**32, (peer.start + 2721) % 2**32)),)
    assert peer.says(ack=1) == []
    peer.receive(peer.packet(ack=1, options=block))
    assert peer.tcp.next_timer(0) == 0 and [said.seq for said in peer.outgoing()] == [1]
    assert [peer.says(ack=1, options=block) for _ in range(5)] == [[]] * 5


def test_duplicates_that_retransmissions_cause():
    """V3: after a time-out too, three duplicate ACKs of what was sent again start nothing."""
    peer = Peer(buffer=16000)
    peer.opens(window=60000).write(bytes(16000))
    peer.outgoing()
    assert [said.seq for _, said in peer.later(310)] == [1]
    assert [peer.says(ack=1, window=60000) for _ in range(6)] == [[]] * 6


@pytest.mark.parametrize("change", [{"window": 7999}, {"data": b"1"}, {"window": 8001}])
def test_no_duplicate_ack(change):
    """V3: one with another window or with data."""
    peer = Peer()
    peer.opens().write(bytes(BUFFER))
    peer.outgoing()
    for i in range(6):
        fields = {key: value if key == "data" else value + i * (value - 8000) for key, value in change.items()}
        assert all(not said.data for said in peer.says(**fields))


def test_sack_that_the_peer_sends():
    """V3: what it has is not sent again, by a fast retransmission or after a time-out."""
    for timeout in (False, True):
        peer = Peer(buffer=8160)
        peer.opens(SACK, window=60000).write(bytes(8160))
        assert len(peer.outgoing()) == 3
        block = (("SAck", ((peer.start + 1361) % 2**32, (peer.start + 2721) % 2**32)),)
        if timeout:
            assert [said.seq for _, said in peer.later(310)] == [1]
            peer.says(ack=1, options=block, window=60000)
            assert [said.seq for said in peer.says(ack=2721, window=60000)] == [2721, 4081]
        else:
            sent = [said for _ in range(3) for said in peer.says(ack=1, options=block, window=60000)]
            assert [(said.seq, len(said.data)) for said in sent[:1]] == [(1, 1360)]


@pytest.mark.parametrize(("left", "again"), [(1, []), (2, [(1, 1)])])
def test_sack_begins_behind_what_is_missing(left, again):
    """V3: one that begins with it says nothing; of what it leaves out, one octet even, one duplicate is enough."""
    peer = Peer(buffer=2720)
    peer.opens(SACK, window=60000).write(bytes(2720))
    assert len(peer.outgoing()) == 2
    block = (("SAck", ((peer.start + left) % 2**32, (peer.start + 2721) % 2**32)),)
    assert [(said.seq, len(said.data)) for said in peer.says(ack=1, options=block, window=60000)] == again


# V4, V5: receiving


def test_received_in_order():
    """V4, V5: an ACK after 40 ms, at once for every second segment."""
    peer = Peer()
    peer.opens()
    assert peer.says(b"ab") == [] and peer.ready == 2
    assert peer.later(100) == [(40, Said("A", 1, 3, window=BUFFER - 2))]
    assert peer.says(b"cd") == [] and peer.says(b"ef") == [Said("A", 1, 7, window=BUFFER - 6)]
    assert peer.connection.readable == 6 and peer.read(1) == b"a" and peer.read() == b"bcdef" and peer.read() is None


def test_ack_goes_with_data():
    """V5: and is not repeated."""
    peer = Peer()
    peer.opens()
    peer.says(b"ab")
    peer.connection.write(b"answer")
    assert peer.later(100) == [(5, Said("PA", 1, 3, b"answer", BUFFER - 2))]


def test_out_of_order():
    """V4, V5: one range waits, is told by SACK, and is in order when the hole is closed; another one is dropped."""
    peer = Peer()
    peer.opens(SACK)
    assert peer.says(b"ef", seq=5) == [Said("A", 1, 1)]
    sack = peer.packets[0][TCP].options[-1]
    assert sack == ("SAck", ((peer.packets[0][TCP].ack + 4) % 2**32, (peer.packets[0][TCP].ack + 6) % 2**32))
    assert peer.says(b"gh", seq=7) == [Said("A", 1, 1)]
    assert peer.says(b"zz", seq=20) == [Said("A", 1, 1)] and peer.read() is None
    assert peer.says(b"d", seq=4) == [Said("A", 1, 1)]
    assert peer.says(b"abc", seq=1) == [Said("A", 1, 9, window=BUFFER - 8)]
    assert peer.packets[0][TCP].options == [] and peer.read() == b"abcdefgh"
    assert peer.says(b"i", seq=9) == [] and peer.read() == b"i"


def test_no_sack_for_who_does_not_permit_it():
    """V3."""
    peer = Peer()
    peer.opens()
    peer.says(b"ef", seq=5)
    assert peer.packets[0][TCP].options == []


def test_what_is_in_order_is_never_rewritten():
    """V4."""
    peer = Peer()
    peer.opens()
    peer.says(b"abcd")
    assert peer.says(b"XXXX", seq=1) == [Said("A", 1, 5, window=BUFFER - 4)]
    peer.says(b"XXXXef", seq=1)
    assert peer.read() == b"abcdef"


def test_beyond_the_window():
    """V4: what does not fit is cut off; the window is never shrunk, and opens by a segment (V5, V6)."""
    peer = Peer()
    peer.opens()
    assert [said.window for said in peer.says(bytes(1360)) + peer.says(bytes(1000))] == [360]
    assert peer.says(b"x" * 1000) == [Said("A", 1, 2721, window=0)]
    assert peer.says(b"y", seq=2721) == [Said("A", 1, 2721, window=0)]
    peer.read(1000)
    assert peer.outgoing() == [] and peer.says(b"y", seq=2721) == [Said("A", 1, 2721, window=0)]
    peer.read(360)
    assert peer.outgoing() == [Said("A", 1, 2721, window=1360)]
    assert peer.later(100) == [(40, Said("A", 1, 2721, window=1360))]
    assert peer.read() == bytes(1000) + b"x" * 360


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(1, 90)), max_size=40), st.integers(0, 60), st.integers(128, 300)
)
def test_any_order(pieces, read, buffer):
    """V4: whatever comes in whatever pieces, what is read is the stream."""
    peer = Peer(buffer=buffer)
    peer.opens(SACK)
    stream = bytes((i * 7 + (i >> 8)) & 0xFF for i in range(400))
    got = b""
    for start, n in pieces:
        said = peer.says(stream[start : start + n], seq=1 + start)
        assert all(one.ack >= len(got) + 1 for one in said)
        got += peer.read(read) or b""
        assert stream.startswith(got)
    while len(got) < 400:  # a sender that begins where it was acknowledged
        got += peer.read() or b""
        peer.says(stream[len(got) : len(got) + 50], seq=1 + len(got))
        assert stream.startswith(got)
    assert got == stream


def test_pure_ack_after_a_timeout():
    """V5: it carries the highest number that was sent, though that is being sent again."""
    peer = Peer()
    peer.opens().write(bytes(BUFFER))
    peer.outgoing()
    assert [said.seq for _, said in peer.later(300)] == [1]
    assert peer.says(b"x", seq=3) == [Said("A", 1 + BUFFER, 1)]


# V6: small segments, closed windows


def test_a_header_and_a_body_are_one_segment():
    """V6: a partial segment waits 5 ms, a full one does not; without Nagle's wait for the ACK."""
    peer = Peer()
    connection = peer.opens()
    connection.write(b"GET ")
    assert peer.outgoing() == [] and peer.later(4) == []
    connection.write(b"/")
    assert peer.later(5) == [(5, Said("PA", 1, 1, b"GET /"))]
    connection.write(b"2")
    assert peer.later(5) == [(14, Said("PA", 6, 1, b"2"))]
    connection.write(bytes(1400))
    assert [len(said.data) for said in peer.outgoing()] == [1360]


def test_silly_windows():
    """V6: what the window would cut is held until there is room for half of its widest; a probe does not wait."""
    peer = Peer()
    peer.opens(window=1000).write(bytes(BUFFER))
    (said,) = peer.outgoing()
    assert len(said.data) == 1000
    assert peer.says(ack=1001, window=499) == []
    ((at, said),) = peer.later(400)
    assert at == 300 and len(said.data) == 499
    assert [len(said.data) for said in peer.says(ack=1500, window=500)] == [500]


def test_silly_windows_do_not_hold_back_a_retransmission():
    """V6."""
    peer = Peer()
    peer.opens(window=8000).write(bytes(100))
    peer.later(5)
    peer.says(window=10)
    ((_, said),) = peer.later(305)
    assert (said.seq, len(said.data)) == (1, 100)


def test_zero_window():
    """V6: probes, further and further apart, for ever while the peer answers; then data again at once."""
    peer = Peer()
    peer.opens(window=0).write(bytes(100))
    times = []
    for _ in range(3000):
        said = peer.later(1000)
        times += [at for at, _ in said]
        for _, one in said:
            assert one.seq == 1 and len(one.data) >= 1
            assert peer.says(ack=1, window=0) == []
    apart = [b - a for a, b in pairwise(times)]
    assert apart[:4] == [600, 1200, 2400, 4800] and set(apart[8:]) == {60000} and peer.connection.error is None
    assert [(said.seq, len(said.data)) for said in peer.says(ack=1, window=8000)] == [(1, 100)]


def test_what_is_lost_when_a_window_opens_is_sent_again_soon():
    """V6, V3: the timer is that of a retransmission again, and not that of the next probe."""
    peer = Peer()
    peer.opens(window=0).write(bytes(100))
    for _ in range(200):
        for _ in peer.later(1000):
            peer.says(ack=1, window=0)
    peer.says(ack=1, window=8000)
    assert [at - peer.now for at, _ in peer.later(2000)][:2] == [300 - 2000, 900 - 2000]


def test_zero_window_of_a_peer_that_is_gone():
    """V6, V3: ETIMEDOUT when eight probes in a row were not answered."""
    peer = Peer()
    peer.opens(window=0).write(b"1")
    peer.later(1000000)
    assert number(peer.connection.error) == errno.ETIMEDOUT


def test_window_that_shuts_behind_data():
    """V6: what is under way goes on being asked for; a peer that answers is not given up."""
    peer = Peer()
    peer.opens().write(bytes(100))
    peer.later(5)
    for _ in range(300):
        for _, said in peer.later(1000):
            assert said.seq == 1
            peer.says(ack=1, window=0)
    assert peer.connection.error is None
    assert [said.seq for said in peer.says(ack=1, window=100)] == [1]


# V7: who would break in


@pytest.mark.parametrize(
    ("fields", "answer", "over"),
    [
        ({"flags": "R"}, False, True), ({"flags": "RA"}, False, True), ({"flags": "R", "seq": 2}, True, False),
        ({"flags": "R", "seq": BUFFER}, True, False), ({"flags": "R", "seq": BUFFER + 1}, False, False),
        ({"flags": "R", "seq": 0}, False, False), ({"flags": "R", "seq": 2**31}, False, False),
        ({"flags": "S"}, True, False), ({"flags": "S", "seq": 99999}, True, False), ({"flags": "SA"}, True, False),
        ({"ack": 2}, True, False), ({"ack": 1 - 2**16}, True, False), ({"ack": 2 - 2**16}, False, False),
        ({"seq": BUFFER + 1}, True, False), ({"data": b"evil", "ack": 2}, True, False),
        ({"data": b"evil", "ack": -(2**20)}, True, False), ({"flags": "", "data": b"evil"}, False, False),
        ({"flags": "F"}, False, False), ({"data": b"evil", "seq": BUFFER + 1}, True, False),
    ],
)  # fmt: skip
def test_segments_that_nobody_of_the_connection_sends(fields, answer, over):
    """V7: RFC 5961: one challenge ACK each 200 ms, or nothing; only the exact RST is one."""
    peer = Peer()
    peer.opens()
    challenge = [Said("A", 1, 1)] if answer else []
    assert peer.says(**fields) == challenge and peer.read_or_error() == ("error" if over else None)
    if not over:
        peer.now += 199
        assert peer.says(**fields) == []
        peer.now += 1
        assert peer.says(**fields) == challenge
    else:
        assert number(peer.connection.error) == errno.ECONNRESET and peer.tcp.connections == []


def test_unread_data_before_an_rst():
    """V7: is still to be read."""
    peer = Peer()
    peer.opens()
    peer.says(b"bye")
    peer.says(flags="R")
    assert peer.read(2) == b"by" and peer.connection.readable == 1 and peer.read() == b"e"
    with pytest.raises(OSError):
        peer.read()


@pytest.mark.parametrize(
    ("flags", "data", "answer"),
    [("S", b"", ("RA", 0, 1)), ("A", b"", ("R", 9, 0)), ("SA", b"", ("R", 9, 0)), ("FA", b"xyz", ("R", 9, 0)),
     ("F", b"xyz", ("RA", 0, 4)), ("R", b"", None), ("RA", b"", None)],
)  # fmt: skip
def test_ports_without_a_socket(flags, data, answer):
    """V7: an RST, never to one."""
    peer = Peer()
    peer.ports, peer.seq, peer.ack = (81, 4000), 0, 9
    said = peer.says(data, flags=flags)
    if answer and answer[0] == "RA":
        assert peer.packets[0][TCP].seq == 0
        said = [Said("RA", 0, *said[0][2:])]
    assert said == ([Said(*answer, window=0)] if answer else []) and peer.dropped == {"unused-port": 1}


def test_rst_is_paid_for():
    """V7: out of the budget of T2."""
    peer = Peer(budget=Budget(1, 2, 0))
    peer.ports, peer.seq, peer.ack = (81, 4000), 0, 9
    assert [len(peer.says(flags="S")) for _ in range(4)] == [1, 1, 0, 0]
    assert peer.dropped == {"unused-port": 4, "limited": 2}


# V8: ends


def test_close():
    """V8: FIN goes with the last data; FIN-WAIT-2, in which data still comes; TIME-WAIT for 60 s without buffers."""
    peer = Peer()
    connection = peer.opens()
    connection.write(b"bye")
    connection.shutdown(0)
    assert peer.outgoing() == [Said("FPA", 1, 1, b"bye")] and connection.state == "FIN-WAIT-1" and peer.tcp.asks
    assert peer.says(ack=5) == [] and connection.state == "FIN-WAIT-2" and connection.sent
    peer.ack = 5
    assert peer.says(b"more") == [] and peer.read() == b"more"
    assert peer.says(flags="FA") == [Said("A", 5, 6, window=BUFFER - 4)]
    assert connection.state == "TIME-WAIT" and peer.read() == b"" and connection.ring_in is connection.ring_out is None
    peer.now += 30000
    assert [said.flags for said in peer.says(flags="FA", seq=5)] == ["A"]
    assert peer.later(59999) == [] and len(peer.tcp.connections) == 1
    assert peer.later(1) == [] and peer.tcp.connections == [] and connection.error is None


def test_peer_closes_first():
    """V8: half-close: we go on sending; LAST-ACK, then nothing is left."""
    peer = Peer()
    connection = peer.opens()
    assert peer.says(b"last", flags="FA") == [Said("A", 1, 6, window=BUFFER - 4)]
    assert (
        connection.state == "CLOSE-WAIT" and peer.read() == b"last" and peer.read() == b"" and connection.readable == 1
    )
    assert peer.outgoing() == []
    connection.write(b"answer")
    connection.close(peer.now)
    assert [said[:4] for said in peer.outgoing()] == [("FPA", 1, 6, b"answer")] and connection.state == "LAST-ACK"
    assert peer.says(ack=8) == [] and connection.state == "CLOSED" and peer.tcp.connections == []


def test_simultaneous_close():
    """V8: CLOSING."""
    peer = Peer()
    peer.opens().close(0)
    assert peer.outgoing() == [Said("FA", 1, 1)]
    assert peer.says(flags="FA") == [Said("A", 2, 2)] and peer.connection.state == "CLOSING"
    assert peer.says(ack=2) == [] and peer.connection.state == "TIME-WAIT"


def test_fin_repeated():
    """V8, V3: as data is."""
    peer = Peer()
    peer.opens().close(0)
    assert peer.outgoing() == [Said("FA", 1, 1)] and peer.later(300) == [(300, Said("FA", 1, 1))]


def test_fin_behind_a_shut_window():
    """V8: after all data, none of which is lost."""
    peer = Peer()
    peer.opens(window=100).write(bytes(300))
    peer.connection.close(0)
    assert [(said.flags, len(said.data)) for said in peer.outgoing()] == [("A", 100)]
    assert [(said.flags, len(said.data)) for said in peer.says(ack=101, window=100)] == [("A", 100)]
    assert [(said.flags, len(said.data)) for said in peer.says(ack=201, window=100)] == [("FPA", 100)]


@pytest.mark.parametrize("unread", [True, False])
def test_rst_when_the_reader_goes_while_data_is_unread(unread):
    """V8: or when data comes afterwards."""
    peer = Peer()
    connection = peer.opens()
    if unread:
        peer.says(b"data")
        connection.close(peer.now)
        assert peer.outgoing() == [Said("RA", 1, 5, window=BUFFER - 4)]
    else:
        connection.close(peer.now)
        peer.outgoing()
        assert [said.flags for said in peer.says(b"data")] == ["RA"]
    assert peer.tcp.connections == [] and not peer.tcp.asks


def test_a_peer_that_never_closes():
    """V8: FIN-WAIT-2 without a reader lasts 60 s, whatever the peer says; with one, for ever."""
    for orphan in (True, False):
        peer = Peer()
        connection = peer.opens()
        connection.close(0) if orphan else connection.shutdown(0)
        peer.outgoing()
        peer.says(ack=2)
        for _ in range(4):
            assert peer.later(15000) == []
            peer.says(ack=2)
        assert bool(peer.tcp.connections) is not orphan


def test_close_when_the_peer_has_acknowledged_already():
    """V8."""
    peer = Peer()
    connection = peer.opens()
    connection.shutdown(0)
    peer.outgoing()
    peer.says(ack=2)
    connection.close(peer.now)
    assert peer.later(60000) == [] and peer.tcp.connections == []


def test_abort():
    """V8: an RST with the number that the peer expects; who waits hears of it."""
    peer = Peer()
    connection = peer.opens()
    connection.write(b"123")
    peer.later(5)
    connection.abort(peer.now)
    assert peer.outgoing() == [Said("RA", 4, 1)] and peer.ready == 2
    with pytest.raises(OSError) as error:
        peer.read()
    assert number(error.value) == errno.ECONNABORTED
    connection.abort(peer.now)
    connection.close(peer.now)
    assert peer.outgoing() == []


def test_close_while_connecting():
    """V8: nothing is left of it; an answer that still comes is reset."""
    peer = Peer()
    peer.connects()
    peer.connection.close(0)
    assert peer.tcp.connections == [] and [said.flags for said in peer.says(flags="SA", ack=1)] == ["R"]


def test_write_after_shutdown():
    """V8: EPIPE."""
    connection = Peer().opens()
    connection.shutdown(0)
    with pytest.raises(OSError) as error:
        connection.write(b"1")
    assert number(error.value) == errno.EPIPE and connection.writable


def test_three_time_waits():
    """V8: the oldest goes first; ports of theirs are free at once for who connects."""
    peer = Peer()
    ends = []
    for port in (80, 81, 82, 83):
        connection = peer.opens(port=port)
        connection.close(0)
        peer.outgoing()
        peer.says(flags="FA", ack=2)
        ends.append(connection)
    assert [one.state for one in ends] == ["CLOSED", *["TIME-WAIT"] * 3] and peer.tcp.connections == ends[1:]


def test_a_new_syn_in_time_wait():
    """V8: with a higher number it takes the old one's place; with a lower one it is answered as any old segment."""
    peer = Peer()
    connection = peer.is_accepted()
    connection.close(0)
    peer.outgoing()
    peer.says(flags="FA", ack=2)
    assert connection.state == "TIME-WAIT"
    assert [said.flags for said in peer.says(flags="S", seq=1)] == ["A"] and connection.state == "TIME-WAIT"
    assert [said.flags for said in peer.says(flags="S", seq=70000)] == ["SA"] and connection.state == "CLOSED"


def test_rst_in_time_wait():
    """V8: does not end it (RFC 1337)."""
    peer = Peer()
    peer.opens().close(0)
    peer.outgoing()
    peer.says(flags="FA", ack=2)
    peer.says(flags="R")
    assert peer.connection.state == "TIME-WAIT"


def test_keepalive():
    """V8: off by default; asks a silent peer, gives up when eight are not answered; V12: wants no answer."""
    peer = Peer()
    connection = peer.opens()
    assert peer.later(10**7) == []
    connection.keepalive(60000)
    start = peer.now
    assert peer.later(60000) == [(start + 60000, Said("A", 0, 1))] and not peer.tcp.asks
    assert peer.says() == [] and peer.later(59999) == []
    assert [said for _, said in peer.later(1)] == [Said("A", 0, 1)]
    assert [said for _, said in peer.later(70000)] == [Said("A", 0, 1)] * 7
    assert peer.later(10000) == [] and number(connection.error) == errno.ETIMEDOUT
    with pytest.raises(ValueError):
        connection.keepalive(-1)


def test_a_keepalive_of_the_peer_is_answered():
    """V8: it stands before what we have."""
    peer = Peer()
    peer.opens()
    assert peer.says(seq=0) == [Said("A", 1, 1)]
    assert peer.says(b"x", seq=0) == [Said("A", 1, 1)]


# V9: how many


def test_connections_at_most():
    """V9: ENOBUFS; those of a listening port do not count, nor does TIME-WAIT."""
    peer = Peer(connections=2)
    peer.is_accepted()
    peer.opens()
    peer.connection.close(0)
    peer.outgoing()
    peer.says(flags="FA", ack=2)
    for _ in range(2):
        peer.tcp.connect(HOST, 81, 0)
    with pytest.raises(OSError) as error:
        peer.tcp.connect(HOST, 81, 0)
    assert number(error.value) == errno.ENOBUFS


def test_accepted_at_most():
    """V9: a SYN beyond them is ignored, whatever the backlog; there is room again when one has gone."""
    peer = Peer(connections=2)
    peer.is_accepted(own=4000)
    peer.is_accepted(own=4001)
    other = peer.packet(flags="S", ports=(80, 4002))
    assert peer.receive(other) == [] and peer.outgoing() == []
    peer.connection.abort(0)
    peer.outgoing()
    assert peer.receive(other) == [] and [said.flags for said in peer.outgoing()] == ["SA"]


def test_accepted():
    """V9: SYN-ACK with our options; accepted when it is acknowledged, data and all."""
    peer = Peer()
    listener = peer.tcp.listen(80)
    heard = []
    listener.ready = lambda: heard.append(1)
    peer.ports, peer.seq, peer.ack = (80, 4000), 0, 0
    assert peer.receive(peer.packet(flags="S", options=SACK)) == []
    segment = peer.first()[TCP]
    assert segment.options == [("MSS", 1360), ("NOP", None), ("NOP", None), ("SAckOK", b"")] and not heard
    assert listener.accept() is None and peer.tcp.connections[0].state == "SYN-RECEIVED"
    assert peer.tcp.connections[0].ring_in is None
    peer.seq = peer.ack = 1
    assert peer.says(b"GET /") == [] and heard == [1]
    peer.connection = listener.accept()
    assert peer.read() == b"GET /" and listener.accept() is None


def test_syn_ack_without_sack():
    """V2: SACK is offered to who offers it."""
    peer = Peer()
    peer.tcp.listen(80)
    peer.ports, peer.seq, peer.ack = (80, 4000), 0, 0
    peer.receive(peer.packet(flags="S"))
    assert peer.first()[TCP].options == [("MSS", 1360)]


def test_a_repeated_syn():
    """V9, V11: is answered by the same SYN-ACK, leaves no ACK due and puts off no end; two tries, then it is over."""
    peer = Peer()
    peer.tcp.listen(80)
    peer.ports, peer.seq, peer.ack = (80, 4000), 0, 0
    syn = peer.packet(flags="S", options=MSS)
    peer.receive(syn)
    peer.first()
    sent = []
    for _ in range(40):
        peer.now += 100
        peer.stack.tick(peer.now)
        if peer.now < 2900:
            assert peer.receive(syn) == []
        sent += peer.outgoing()
    assert (
        {said[:3] for said in sent} == {("SA", 0, 1)} and peer.tcp.connections == [] and peer.tcp.next_timer(4000) == -1
    )


@pytest.mark.parametrize(("ack", "answer"), [(0, "R"), (2, "R"), (1, None)])
def test_a_handshake_that_is_guessed(ack, answer):
    """V9: only the exact number opens it."""
    peer = Peer()
    listener = peer.tcp.listen(80)
    peer.ports, peer.seq, peer.ack = (80, 4000), 0, 0
    peer.receive(peer.packet(flags="S"))
    peer.first()
    said = peer.says(seq=1, ack=ack)
    assert [one.flags for one in said] == ([answer] if answer else []) and bool(listener.accept()) is not bool(answer)


def test_backlog():
    """V9: a SYN that finds it full is ignored; half-open ones have no buffers and make room after two tries."""
    peer = Peer()
    peer.tcp.listen(80)
    for own in range(4000, 4100):
        peer.ports, peer.seq, peer.ack = (80, own), 0, 0
        peer.receive(peer.packet(flags="S"))
    assert len(peer.tcp.connections) == 3 and all(one.ring_in is one.ring_out is None for one in peer.tcp.connections)
    peer.start = 0
    assert [(at, said.flags) for at, said in peer.later(5000)] == [(0, "SA")] * 3 + [(1000, "SA")] * 3
    assert peer.tcp.connections == []


def test_who_is_reset_before_it_is_accepted():
    """V9."""
    peer = Peer()
    listener = peer.tcp.listen(80)
    peer.ports, peer.seq, peer.ack = (80, 4000), 0, 0
    peer.receive(peer.packet(flags="S"))
    peer.first()
    peer.says(seq=1, ack=1)
    assert peer.says(flags="R", seq=1) == [] and listener.accept() is None


def test_listener_closed():
    """V9: who waits there is reset, who was accepted goes on, and the port is free."""
    peer = Peer()
    accepted = peer.is_accepted(own=4000)
    listener = peer.tcp.listeners[80]
    for own in (4001, 4002):
        peer.ports, peer.seq, peer.ack = (80, own), 0, 0
        peer.receive(peer.packet(flags="S"))
        peer.first()
    peer.says(seq=1, ack=1)
    listener.close()
    listener.close()
    peer.outgoing()
    assert [str(packet[TCP].flags) for packet in peer.packets] == ["RA", "RA"] and peer.tcp.connections == [accepted]
    peer.tcp.listen(80)


def test_no_memory_for_buffers(monkeypatch):
    """V9: the segment is dropped, and its repetition opens the connection."""
    peer = Peer()
    listener = peer.tcp.listen(80)
    peer.ports, peer.seq, peer.ack = (80, 4000), 0, 0
    peer.receive(peer.packet(flags="S"))
    peer.first()
    with monkeypatch.context() as patch:
        patch.setattr("inside.tcp_connection.Connection.take_buffers", no_memory)
        peer.says(seq=1, ack=1)
        assert peer.dropped == {"no-memory": 1} and listener.accept() is None
    peer.says(seq=1, ack=1)
    assert listener.accept()


def no_memory(*_):
    raise MemoryError


# V10 to V14


def test_ends_with_the_tunnel():
    """V10: a new address or the end is an OSError for all; nothing is sent."""
    peer = Peer()
    connection = peer.opens()
    connection.write(b"1")
    half = peer.tcp.connect(HOST, 81, 0)
    peer.tcp.address_changed()
    assert peer.tcp.connections == [] and peer.outgoing() == [] and peer.ready == 2
    assert number(connection.error) == number(half.error) == errno.ECONNABORTED
    with pytest.raises(OSError):
        connection.readinto(bytearray(1))


def broken(change):
    peer = Peer()
    peer.opens()
    octets = bytearray(bytes(peer.packet(b"data", options=SACK)))
    change(octets)
    peer.receive(octets)
    return peer


def resummed(octets):
    packet = IP(bytes(octets))
    del packet[TCP].chksum
    octets[:] = bytes(packet)


def option(*values):
    def change(octets):
        octets[40:48] = bytes(values) + bytes((1,) * (8 - len(values)))
        total = sum(octets[i] << 8 | octets[i + 1] for i in range(12, len(octets), 2)) + 6 + len(octets) - 20
        total -= octets[36] << 8 | octets[37]
        total = (total & 0xFFFF) + (total >> 16)
        total = ((total & 0xFFFF) + (total >> 16)) ^ 0xFFFF
        octets[36:38] = total.to_bytes(2, "big")

    return change


def offset(words):
    def change(octets):
        octets[32] = words << 4
        option()(octets)

    return change


@pytest.mark.parametrize(
    ("change", "dropped"),
    [
        (lambda octets: octets.__setitem__(44, 0xEE), "checksum"),
        (lambda octets: octets.__setitem__(36, 0xEE), "checksum"),
        (option(2, 0), "malformed"), (option(2, 1), "malformed"), (option(5, 9), "malformed"),
        (option(1, 1, 1, 1, 1, 1, 1, 8), "malformed"), (offset(4), "malformed"), (offset(9), "malformed"),
        (option(0, 2, 0), None), (option(2, 2), None), (option(254, 8, 9, 9), None), (option(5, 4), None),
    ],
)  # fmt: skip
def test_malformed(change, dropped):
    """V11: dropped and counted; nothing else happens."""
    peer = broken(change)
    assert peer.dropped == ({dropped: 1} if dropped else {})
    assert peer.read() == (None if dropped else b"data")


def test_too_short():
    """V11."""
    peer = Peer()
    peer.opens()
    peer.receive(IP(src=THEIRS, dst=OURS, proto=6) / bytes(19))
    peer.receive(IP(src=THEIRS, dst=OURS, proto=132) / bytes(30))
    assert peer.dropped == {"malformed": 1, "protocol": 1}


def test_urgent_data_is_data():
    """V11."""
    peer = Peer()
    peer.opens()
    peer.says(b"ab", flags="AU", urgptr=1)
    assert peer.read() == b"ab"


def test_ip_options_are_skipped():
    """V11."""
    peer = Peer()
    peer.opens()
    packet = peer.packet(b"data")
    packet.options = [b"\x01\x01\x01\x00"]
    peer.receive(packet)
    assert peer.read() == b"data"


def test_without_tcp():
    """V11: a stack for which nobody has made a Tcp drops what comes for it."""
    peer = Peer()
    peer.stack.tcp = None
    peer.ports, peer.seq, peer.ack = (80, 4000), 0, 0
    assert peer.receive(peer.packet(flags="S")) == [] and peer.dropped == {"protocol": 1}


def test_the_driver_is_told():
    """V11: whatever makes something due before a timer that is known tells the driver."""
    peer = Peer()
    told = []
    peer.tcp.changed = lambda: told.append(1)
    for do in (
        peer.opens, lambda: peer.connection.write(b"1"), lambda: peer.says(b"x" * 1360), lambda: peer.read(),
        lambda: peer.connection.keepalive(9), lambda: peer.connection.shutdown(0), lambda: peer.connection.abort(0),
    ):  # fmt: skip
        told.clear()
        do()
        assert told
    told.clear()
    peer.outgoing()
    peer.tcp.next_timer(0)
    assert not told


def test_what_wants_an_answer():
    """V12: SYN, data, FIN; ACK and RST do not."""
    peer = Peer()
    asks = []
    peer.connects()
    asks.append(peer.tcp.asks)
    peer.says(flags="SA", ack=1)
    asks.append(peer.tcp.asks)
    peer.seq = peer.ack = 1
    peer.connection.write(b"1")
    peer.later(5)
    asks.append(peer.tcp.asks)
    peer.says(b"x", seq=9)
    asks.append(peer.tcp.asks)
    peer.connection.abort(0)
    peer.outgoing()
    assert [*asks, peer.tcp.asks] == [True, False, True, False, False]


def test_kept_over_a_sleep():
    """V14: an idle connection is 24 octets, and goes on with data as the first packet; the others are reset."""
    peer = Peer()
    connection = peer.opens()
    connection.write(b"before")
    peer.later(5)
    peer.says(b"ack", ack=7)
    assert peer.read() == b"ack" and not connection.idle
    peer.later(40)
    assert connection.idle
    busy = peer.tcp.connect(HOST, 81, peer.now)
    kept = peer.tcp.keep(peer.now)
    assert len(kept) == 24 and number(busy.error) == errno.ECONNABORTED
    awake = Peer()
    awake.start, awake.ports, awake.seq, awake.ack = peer.start, peer.ports, 4, 7
    awake.tcp.restore(kept, 0)
    (awake.connection,) = awake.tcp.connections
    assert awake.connection.local_port == connection.local_port and awake.tcp.next_timer(0) == -1
    assert awake.connection.words[0] == 1360 and awake.connection.words[3:6] == connection.words[3:6]
    awake.connection.write(b"after")
    assert awake.later(5) == [(5, Said("PA", 7, 4, b"after"))]
    awake.says(b"puback", ack=12)
    assert awake.read() == b"puback"


def test_what_poll_says_of_a_socket():
    """Readable, writable, error: 1, 4, 8, as MicroPython has them."""
    peer = Peer()

    class Carrier:
        serve = staticmethod(lambda ms: None)

    sock = StreamSocket(Carrier())
    assert sock.ioctl(3, 13) == 0
    sock._connection = connection = peer.opens()
    assert sock.ioctl(3, 13) == 4 and sock.ioctl(3, 1) == 0
    while connection.writable:
        connection.write(bytes(connection.writable))
    assert sock.ioctl(3, 13) == 0
    peer.says(b"data")
    assert sock.ioctl(3, 13) == 1
    peer.says(flags="R", seq=5)
    assert sock.ioctl(3, 13) == 13 and sock.ioctl(1, 0) == -1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda peer: peer.says(b"x"), lambda peer: peer.says(b"x", seq=5), lambda peer: peer.says(flags="FA"),
        lambda peer: peer.connection.write(b"x"), lambda peer: peer.connection.shutdown(0),
    ],
)  # fmt: skip
def test_not_idle(spoil):
    """V14: unread, out of order, ended, unacknowledged, or with a FIN to send."""
    peer = Peer()
    peer.opens()
    spoil(peer)
    assert not peer.connection.idle and peer.tcp.keep(0) == b""
    assert "R" in peer.outgoing()[-1].flags and peer.tcp.connections == []


def test_room():
    """V13: a packet never exceeds that of the driver, with a SACK option or without."""
    peer = Peer()
    peer.opens(SACK).write(bytes(BUFFER))
    assert [len(said.data) for said in peer.outgoing(room=600)][:2] == [560, 560]
    peer.says(b"x", seq=9)
    peer.says(ack=1 + 3 * 560)
    peer.connection.write(bytes(BUFFER))
    assert [len(said.data) for said in peer.outgoing(room=600)][:2] == [548, 548]


def test_a_name_has_one_meaning_in_all_parts():
    """V13: each module has the constants that it needs, as MicroPython wants it."""
    found = {}
    for path in (ROOT / "lib/inside").glob("tcp*.py"):
        for name, value in re.findall(r"^(_[A-Z_]+) = const\((.+?)\)", path.read_text(), re.MULTILINE):
            found.setdefault(name, set()).add(value)
    # Numbers of a segment, and the words of a connection with the same names.
    del found["_ACK"], found["_SIZE"], found["_MSS"], found["_TCP"]
    assert {name: values for name, values in found.items() if len(values) > 1} == {}
