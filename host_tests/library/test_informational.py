"""INFORMATIONAL exchanges over an IKE SA: two ends wired together, and whoever stands between them."""

import struct
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ikev2 import notifier, owners
from ikev2.node import Node
from ikev2.sa import informational, payloads, reasons, window
from ikev2.sa.informational import IkeSa
from ikev2.sa.window import FRESH, IGNORED, RETRANSMITTED
from ikev2.spi_table import SpiTable

from library.test_sk import CIPHERS, SPI_I, SPI_R, header, iv_of, keys_of, make, octets, sealed

PEER = b"\xc0\0\2\1\1\xf4"
STRANGER = b"\xc6\x33\x64\7\1\xf4"
WAYWARD = bytes.fromhex("c0ffee99")
INVALID_SPI = bytes.fromhex("0000000c0000000b") + WAYWARD
PERIOD = 1 << 30
LAST = 2**32 - 1
TRIES = [0, 2000, 6000, 14000, 30000, 62000, 122000, 182000, 242000, 302000, 362000, 422000]


class Random:
    """Never the same twice."""

    def __init__(self):
        self.calls = 0

    def __call__(self, n):
        self.calls += 1
        return octets(n, 3 * self.calls) if n > 4 else self.calls.to_bytes(4, "big")


def spi(kind, i):
    return bytes((kind, 0x11, 0x22, i))


class End:
    """One end: a table with its IKE SA and Child SAs, three of ESP and one of AH unless said otherwise."""

    def __init__(self, cipher, initiator, send_id=2, receive_id=5, children=(50, 50, 50, 51), **more):
        self.table = SpiTable(2, 32)
        self.slot = self.table.adopt_ike(SPI_I, SPI_R, initiator, PEER, True)
        for i, protocol in enumerate(children):
            inbound, outbound = (spi(1, i), spi(2, i)) if initiator else (spi(2, i), spi(1, i))
            self.table.adopt_child(self.slot, protocol, inbound, outbound)
        self.node = Node(self.table, Random())
        self.sa = IkeSa(self.node, self.slot, make(cipher, initiator), send_id, receive_id, **more)
        self.initiator = initiator
        self.cipher = cipher

    def says(self, now=0, at=0):
        out = bytearray(b"\xee" * 256)
        length = self.sa.outgoing(out, at, now)
        return bytes(out[at : at + length]) if length else None

    def hears(self, message, now=0):
        return self.sa.receive(message, 0, len(message), now)

    def state(self):
        window = self.sa.window
        return bytes(self.sa._state + window._state), window._answer, self.sa._unwanted, self.table.snapshot()

    def of_peer(self, message_id=5, first=0, inner=b"", exchange=37, response=False):
        """A message of the other end by the second implementation."""
        flags = (0 if self.initiator else 0x08) | (0x20 if response else 0)
        return sealed(self.cipher, header(flags, exchange, message_id), first, inner, iv_of(self.cipher))

    def opened(self, message):
        """(exchange, flags, Message ID, first payload, payloads) of what this end has said."""
        inner = make(self.cipher, not self.initiator).open(message, 0, len(message))
        assert inner is not None
        _, version, exchange, flags, message_id, length, first = struct.unpack_from(">BBBBIIB", message, 16)
        assert version == 0x20 and length == len(message)
        return exchange, flags, message_id, first, bytes(inner)

    def children(self):
        return sorted(self.table.child_sa(child)[2] for child in self.table.children(self.slot))


def with_owner(end, **limits):
    end.table.watcher = None
    node = Node(end.table, lambda n: octets(n, 1), **limits)
    end.sa.node = node
    node.attach(end.slot, end.sa)
    return node


def ask(node, datagram, now=0, via=500, source=PEER):
    return notifier.VERDICTS[node.receive(via, source, datagram, len(datagram), now)]


def sent(node, now=0):
    found = []
    while length := node.outgoing(now):
        found.append((node.out_via, bytes(node.out_to), bytes(node.out[:length])))
    return found


@pytest.fixture(params=CIPHERS)
def cipher(request):
    return request.param


@pytest.fixture
def end():
    return End("aes-cbc-128", False)


def two(cipher):
    return End(cipher, True, 2, 5), End(cipher, False, 5, 2)


@pytest.mark.parametrize("at", [0, 4])
def test_invalid_spi_from_end_to_end_p1_p2(cipher, at):
    here, there = two(cipher)
    here.sa.report_unknown_spi(b"\0" * at + WAYWARD, at)
    request = here.says(at=at)
    assert here.opened(request) == (37, 0x08, 2, 41, INVALID_SPI)
    assert len(request) == here.sa.invalid_spi_length
    assert here.sa.waiting and here.says() is None
    before = there.table.snapshot()
    assert there.hears(request) == FRESH and there.table.snapshot() == before
    response = there.says()
    assert there.opened(response) == (37, 0x20, 2, 0, b"") and there.says() is None
    assert here.hears(response) == FRESH and not here.sa.waiting and here.says() is None
    assert here.sa.window.dropped == there.sa.window.dropped == 0
    for now in TRIES:
        assert here.says(now) is None


def failing_once(monkeypatch, end, what):
    """Let the heap be full once: for the random octets of an IV, or for the answer."""
    left = [True]

    def failing(function):
        def call(*arguments):
            if left and left.pop():
                raise MemoryError
            return function(*arguments)

        return call

    if what == "random":
        end.sa.window._random = failing(end.node.random)
    else:
        monkeypatch.setattr(informational, "answer_informational", failing(informational.answer_informational))


@pytest.mark.parametrize("what", ["random", "answer"])
def test_a_full_heap_never_repeats_an_iv_p4(cipher, what, monkeypatch):
    """What could not be answered is answered anew; no old answer goes out under a new Message ID."""
    end = End(cipher, False)
    assert end.hears(end.of_peer(5)) == FRESH
    first = end.says()
    failing_once(monkeypatch, end, what)
    state = end.state()
    with pytest.raises(MemoryError):
        end.hears(end.of_peer(6, payloads.DELETE, bytes((0, 0, 0, 12, 3, 4, 0, 1)) + spi(1, 0)))
    assert end.state() == state and end.says() is None
    assert end.hears(end.of_peer(6)) == FRESH
    answer = end.says()
    assert end.opened(answer)[2] == 6
    assert answer[32 : 32 + len(iv_of(cipher))] != first[32 : 32 + len(iv_of(cipher))]


def test_a_full_heap_skips_no_message_id_p1(cipher, monkeypatch):
    end = End(cipher, True)
    failing_once(monkeypatch, end, "random")
    end.sa.report_unknown_spi(WAYWARD, 0)
    with pytest.raises(MemoryError):
        end.says()
    assert end.opened(end.says()) == (37, 0x08, 2, 41, INVALID_SPI)


def test_liveness_check_both_ways_at_once_p3(cipher):
    ends = two(cipher)
    for end in ends:
        end.sa.hint(0)
    requests = [end.says() for end in ends]
    assert [ends[0].hears(requests[1]), ends[1].hears(requests[0])] == [FRESH, FRESH]
    responses = [end.says() for end in ends]
    assert ends[0].opened(responses[0]) == (37, 0x28, 5, 0, b"") and ends[1].opened(responses[1]) == (
        37,
        0x20,
        2,
        0,
        b"",
    )
    assert [ends[0].hears(responses[1]), ends[1].hears(responses[0])] == [FRESH, FRESH]
    assert not any(end.sa.waiting or end.sa.failed for end in ends)


def flips(message):
    for bit in range(8 * len(message)):
        bad = bytearray(message)
        bad[bit >> 3] ^= 1 << (bit & 7)
        yield bad


def truncations(message):
    """Every one with lengths that fit."""
    for length in range(28, len(message)):
        bad = bytearray(message[:length])
        bad[24:28] = struct.pack(">I", length)
        if length >= 32:
            bad[30:32] = struct.pack(">H", length - 28)
        yield bad


@pytest.mark.parametrize("kind", ["request", "response", "repeated"])
def test_every_flip_and_truncation_is_dropped_and_counted_p5(cipher, kind):
    end = End(cipher, False)
    delete = end.of_peer(5, 42, bytes.fromhex("0000000c03040001") + spi(1, 0))
    if kind == "response":
        end.sa.report_unknown_spi(WAYWARD, 0)
        end.says()
    elif kind == "repeated":
        assert end.hears(delete) == FRESH and end.says()
    message = end.of_peer(2, response=True) if kind == "response" else delete
    before, count = end.state(), 0
    for bad in [*flips(message), *truncations(message)]:
        assert end.hears(bad) == IGNORED
        assert end.says() is None and end.state() == before
        count += 1
        assert end.sa.window.dropped == count
    assert end.hears(message) == (RETRANSMITTED if kind == "repeated" else FRESH)


def test_every_flip_and_truncation_through_a_node_p5_r2(cipher):
    """What is still for our SPIs is silence; what is not any longer is the business of section 1.5."""
    end = End(cipher, False)
    node = with_owner(end, answers_per_s=1000000, burst=100000, per_source_ms=0)
    message = end.of_peer(5, 42, bytes.fromhex("0000000c03040001") + spi(1, 0))
    before = end.state()
    for bad in [*flips(message), *truncations(message), *(message[:n] for n in range(len(message)))]:
        verdict = ask(node, bytes(bad))
        for _, _, answer in sent(node):
            assert verdict in ("invalid-ike-spi", "invalid-major-version") and answer[16] == 41
        assert end.state() == before
    assert ask(node, message) == "deliver-ike"
    [(_, _, answer)] = sent(node)
    assert end.opened(answer)[3:] == (42, bytes.fromhex("0000000c03040001") + spi(2, 0))


def test_replays_get_the_same_answer_or_none_p4(cipher):
    end = End(cipher, False)
    old = []
    for message_id in range(5, 9):
        request = end.of_peer(message_id)
        assert end.hears(request) == FRESH
        response = end.says()
        for _ in range(3):
            assert end.hears(request) == RETRANSMITTED
            assert end.says() == response and end.says() is None
            for replayed in old:
                assert end.hears(replayed) == IGNORED and end.says() is None
        old += [request]


def test_a_response_counts_once_p4(end):
    end.sa.hint(0)
    end.says()
    response = end.of_peer(2, response=True)
    assert [end.hears(response) for _ in range(3)] == [FRESH, IGNORED, IGNORED]
    assert end.sa.window.dropped == 2


def test_outside_of_the_window_p4(end):
    before = end.state()
    for message_id in (0, 1, 3, 4, 6, 7, 2**30, 2**31, LAST - 1, LAST):
        assert end.hears(end.of_peer(message_id)) == IGNORED
        assert end.hears(end.of_peer(message_id, response=True)) == IGNORED
    assert end.says() is None and end.state() == before and end.sa.window.dropped == 20


def test_first_message_ids_of_a_new_sa_p4():
    """Nothing was answered yet: there is nothing to repeat for the Message ID before 0."""
    end = End("aes-cbc-128", False, 0, 0)
    assert end.hears(end.of_peer(LAST)) == IGNORED and end.says() is None
    end.sa.hint(0)
    assert end.opened(end.says())[2] == 0
    assert end.hears(end.of_peer(0)) == FRESH and end.opened(end.says())[2] == 0


def test_our_own_messages_are_not_the_peers_p5(cipher):
    end = End(cipher, False, 5, 5)
    end.sa.hint(0)
    request = end.says()
    assert end.hears(request) == IGNORED
    assert end.hears(end.of_peer()) == FRESH
    assert end.hears(end.says()) == IGNORED and end.sa.waiting


@pytest.mark.parametrize("start", [0, 12345, PERIOD - 1, PERIOD - 5000, PERIOD - 100000, PERIOD - 450000, PERIOD // 2])
def test_retransmission_at_two_seconds_doubling_to_sixty_p1_p3_l5(cipher, start):
    end = End(cipher, False)
    node = with_owner(end)
    node.receive(50, PEER[:4] + b"\0\0", WAYWARD + bytes(100), 104, start % PERIOD)
    now, found = 0, []
    while True:
        found += [(now, message) for message in sent(node, (start + now) % PERIOD)]
        if end.sa.failed:
            break
        wait = node.next_timer((start + now) % PERIOD)
        assert 0 < wait <= 60000
        if wait > 1:
            node.tick((start + now + wait - 1) % PERIOD)
            assert sent(node, (start + now + wait - 1) % PERIOD) == []
        now += wait
        node.tick((start + now) % PERIOD)
    assert [at for at, _ in found] == TRIES and now == 482000
    assert len({message for _, message in found}) == 1
    assert node.table.ike_sas() == [] and node.owners == [None] * 2
    late = (start + now) % PERIOD
    assert ask(node, spi(2, 0) + bytes(100), late, 50, STRANGER[:4] + b"\0\0") == "invalid-spi"


def test_a_late_driver_sends_once_p1(end):
    end.sa.hint(0)
    first = end.says()
    assert end.says(1000000) == first and end.says(1000000) is None
    assert end.says(1003999) is None and end.says(1004000) == first


def test_a_quiet_sa_stays_quiet_however_long_l5(end):
    for now in range(0, 3 * PERIOD, PERIOD // 16):
        assert end.sa.next_timer(now % PERIOD) == -1 and end.says(now % PERIOD) is None
    assert end.hears(end.of_peer(), 7) == FRESH and end.says(7)
    assert end.sa.next_timer(PERIOD - 1) == -1


def test_one_request_at_a_time_p1(end):
    end.sa.hint(0)
    assert end.opened(end.says())[2:] == (2, 0, b"")
    for i in range(9):
        end.sa.report_unknown_spi(spi(9, i), 0)
        end.sa.hint(0)
        assert end.says() is None
    assert end.hears(end.of_peer(2, response=True)) == FRESH
    assert end.sa.next_timer(0) == 0
    assert end.opened(end.says())[2:] == (3, 41, INVALID_SPI[:8] + spi(9, 8))
    end.sa.report_unknown_spi(spi(9, 9), 0)
    assert end.opened(end.says(2000))[4] == INVALID_SPI[:8] + spi(9, 8)
    assert end.hears(end.of_peer(3, response=True)) == FRESH
    assert end.opened(end.says(2001))[2:] == (4, 41, INVALID_SPI[:8] + spi(9, 9))
    assert end.hears(end.of_peer(4, response=True)) == FRESH
    end.sa.hint(10000)
    assert end.opened(end.says(10000))[2:] == (5, 0, b"")


def test_a_request_that_waits_is_a_liveness_check_r3_l4(end):
    end.sa.report_unknown_spi(WAYWARD, 0)
    assert end.says()
    end.sa.hint(5)
    assert end.hears(end.of_peer(2, response=True)) == FRESH
    assert end.says(10) is None and end.sa.next_timer(10) == -1


def due(sa, now):
    """When the timers want something said, from `now` on; None: never."""
    for _ in range(10):
        wait = sa.next_timer(now % PERIOD)
        if wait <= 0:
            return None if wait else now
        now += wait
    raise AssertionError("it spins")


def answered(end, message_id, now):
    """The peer answers our request, and the node says that it lives."""
    assert end.hears(end.of_peer(message_id, response=True), now % PERIOD) == FRESH
    end.sa.alive(now % PERIOD)


@pytest.mark.parametrize("start", [0, PERIOD - 6000])
def test_one_liveness_check_in_ten_seconds_l4_r4_l5(end, start):
    """And none in the second half of the clock's period either, if its timers are served."""
    number = 2
    for later in (0, 1, 9999, 10000, 10001, 19999, 20000):
        now = (start + later) % PERIOD
        makes = end.sa.hint(now)
        assert makes == (later in (0, 10000, 20000)), later
        if makes:
            assert end.opened(end.says(now))[3:] == (0, b"") and end.hears(end.of_peer(number, response=True)) == FRESH
            number += 1
        assert end.says(now) is None
    assert due(end.sa, start + 20000) is None
    assert end.sa.hint((start + 20000 + PERIOD // 2 + 5) % PERIOD)


@pytest.mark.parametrize("start", [0, PERIOD - 1000])
def test_a_hint_beside_fresh_traffic_waits_and_is_void_if_more_comes_r5(end, start):
    end.sa.alive(start)
    for later in (0, 1, 1499):
        now = (start + later) % PERIOD
        assert end.sa.hint(now) and end.says(now) is None
    assert end.sa.next_timer((start + 1499) % PERIOD) == 1
    end.sa.alive((start + 1499) % PERIOD)
    assert due(end.sa, start + 1499) is None and end.says((start + 9000) % PERIOD) is None
    assert end.sa.hint((start + 2998) % PERIOD)
    assert due(end.sa, start + 2998) == start + 2999
    assert end.opened(end.says((start + 2999) % PERIOD))[3:] == (0, b"")
    answered(end, 2, start + 3010)
    assert not end.sa.hint((start + 12998) % PERIOD) and end.sa.hint((start + 12999) % PERIOD)  # from the check on: L4


def test_denied_until_the_peer_is_heard_r10(end):
    """INVALID_IKE_SPI for a request of ours; one for our Delete says nothing new."""
    assert not end.sa.denied
    end.sa.report_unknown_spi(WAYWARD, 0)
    assert end.says() and not end.sa.hint(1) and not end.sa.denied
    assert not end.sa.hint(1, True) and end.sa.denied
    answered(end, 2, 5)
    assert not end.sa.denied
    end.sa.delete()
    assert end.says(6) and not end.sa.hint(7, True) and not end.sa.denied


def test_a_hint_before_an_unknown_spi_is_one_request_r3(end):
    end.sa.hint(0)
    end.sa.report_unknown_spi(WAYWARD, 0)
    assert end.opened(end.says())[4] == INVALID_SPI
    assert end.hears(end.of_peer(2, response=True)) == FRESH and end.says() is None


def delete(protocol, *spis, size=4, following=0):
    return struct.pack(">BBHBBH", following, 0, 8 + 4 * len(spis), protocol, size, len(spis)) + b"".join(spis)


def test_delete_of_child_sas_p2(end):
    before = end.children()
    assert end.hears(end.of_peer(5, 42, delete(3, spi(1, 1), spi(1, 3), spi(2, 0), spi(7, 7)))) == FRESH
    assert end.opened(end.says()) == (37, 0x20, 5, 42, delete(3, spi(2, 1)))  # spi(1, 3) is AH, spi(2, 0) our own
    assert end.children() == [before[0], before[2], before[3]]
    inner = delete(2, spi(1, 3), following=42) + delete(3, spi(1, 2), following=42) + delete(3, spi(1, 0))
    assert end.hears(end.of_peer(6, 42, inner)) == FRESH
    answer = end.opened(end.says())
    assert answer[3:] == (42, delete(2, spi(2, 3), following=42) + delete(3, spi(2, 2), spi(2, 0)))
    assert end.children() == [] and not end.sa.failed


def test_a_child_sa_that_we_delete_goes_with_the_response_k11(end):
    end.sa.delete_child(spi(2, 1))
    assert end.opened(end.says()) == (37, 0, 2, 42, delete(3, spi(2, 1)))
    assert spi(2, 1) in end.children() and end.sa.is_deleting(spi(2, 1))
    assert end.hears(end.of_peer(2, response=True)) == FRESH
    assert end.children() == [spi(2, 0), spi(2, 2), spi(2, 3)] and not end.sa.is_deleting(spi(2, 1))


@pytest.mark.parametrize(("kind", "data", "told"), [
    (11, spi(1, 1), True), (11, spi(1, 1)[:3], False), (11, spi(1, 1) + b"\0", False), (11, b"", False),
    (12, spi(1, 1), False), (16384, spi(1, 1), False),
])  # fmt: skip
def test_four_octets_of_invalid_spi_are_an_spi_k10(end, kind, data, told):
    node = with_owner(end)
    message = end.of_peer(5, 41, struct.pack(">BBHBBH", 0, 0, 8 + len(data), 0, 0, kind) + data)
    assert ask(node, message) == "deliver-ike" and end.opened(sent(node)[0][2])[3:] == (0, b"")
    assert node.event() == ((owners.UNKNOWN_SPI, end.slot, data) if told else None)


def test_who_was_silent_for_30_seconds_is_told_nothing_h2(end):
    end.sa.rekeys = SimpleNamespace(policy=SimpleNamespace(patient=True))
    end.sa.alive(1000)
    end.sa.report_unknown_spi(WAYWARD, 0)
    assert end.sa.next_timer(30999) == 0
    assert end.sa.next_timer(31000) == -1 and end.says(31000) is None
    end.sa.alive(40000)
    assert end.opened(end.says(69999)) == (37, 0, 2, 41, INVALID_SPI)


def test_delete_that_names_none_of_ours_p2(end):
    before = end.children()
    for i, inner in enumerate((delete(3), delete(3, spi(1, 3)), delete(2, spi(1, 0)), delete(4, spi(1, 0)))):
        assert end.hears(end.of_peer(5 + i, 42, inner)) == FRESH
        assert end.opened(end.says())[3:] == (0, b"")
    assert end.children() == before


def test_delete_leaves_other_ike_sas_alone_p2(end):
    other = end.table.adopt_ike(bytes(range(8)), bytes(range(8, 16)), True, PEER, True)
    end.table.adopt_child(other, 50, b"abcd", spi(1, 0))
    end.hears(end.of_peer(5, 42, delete(3, spi(1, 0))))
    assert end.opened(end.says())[4] == delete(3, spi(2, 0))
    assert len(end.table.children(other)) == 1


@pytest.mark.parametrize("ah", [0, 1, 4, 31])
def test_delete_of_more_than_an_answer_names_p2(cipher, ah):
    protocols = [51] * ah + [50] * (32 - ah)
    end = End(cipher, False, children=protocols)
    esp = delete(3, *(spi(1, i) for i in range(ah, 32)), following=42)
    end.hears(end.of_peer(5, 42, esp + delete(2, *(spi(1, i) for i in range(ah)), size=4)))
    response = end.says()
    answer = end.opened(response)[4]
    assert end.children() == [] and len(answer) <= 44 and len(response) <= 160
    chain = payloads.chain(42, answer)
    assert chain and {answer[start] for _, start, _ in chain} <= {2, 3}


def test_delete_of_the_ike_sa_p2(cipher):
    end = End(cipher, False)
    node = with_owner(end, per_source_ms=0)
    message = end.of_peer(5, 42, delete(3, spi(1, 0), following=42) + delete(1, size=0))
    assert ask(node, message) == "deliver-ike"
    assert end.sa.next_timer(0) == 0 and not end.sa.failed
    assert end.hears(end.of_peer(6)) == IGNORED
    [(via, to, response)] = sent(node)
    assert (via, to) == (500, PEER) and end.opened(response) == (37, 0x20, 5, 0, b"")
    assert end.sa.failed and node.table.ike_sas() == [] and node.owners == [None] * 2
    assert end.sa.code == reasons.DELETED_BY_PEER
    assert end.says() is None and end.hears(message) == IGNORED
    assert ask(node, message) == "invalid-ike-spi"


@pytest.mark.parametrize("inner", [b"", octets(90, 5)])
def test_create_child_sa_is_refused_p2(cipher, inner):
    end = End(cipher, True)
    inner = inner and bytes((0, 0, 0, len(inner))) + inner[4:]
    before = end.table.snapshot()
    assert end.hears(end.of_peer(5, 33 if inner else 0, inner, 36)) == FRESH
    assert end.opened(end.says()) == (36, 0x28, 5, 41, bytes.fromhex("0000000800000023"))
    assert end.table.snapshot() == before and not end.sa.failed
    assert end.hears(end.of_peer(6)) == FRESH


@pytest.mark.parametrize("exchange", [36, 37])
@pytest.mark.parametrize("kind", [1, 32, 49, 250, 255])
def test_unknown_critical_payload_p2(end, kind, exchange):
    """RFC 7296 2.5: the type is the data, and nothing of the message counts."""
    inner = bytes((kind, 0, 0, 5, 9)) + bytes((42, 0x80, 0, 6, 1, 2)) + delete(3, spi(1, 0))
    before = end.table.snapshot()
    assert end.hears(end.of_peer(5, 43, inner, exchange)) == FRESH
    answer = end.opened(end.says())
    assert answer == (exchange, 0x20, 5, 41, bytes.fromhex("0000000900000001") + bytes((kind,)))
    assert end.table.snapshot() == before and not end.sa.failed


@pytest.mark.parametrize("kind", [1, 250])
def test_unknown_payload_that_is_not_critical_p2(end, kind):
    inner = bytes((42, 0x7F, 0, 6, 1, 2)) + delete(3, spi(1, 0))
    end.hears(end.of_peer(5, kind, inner))
    assert end.opened(end.says())[3] == 42


@pytest.mark.parametrize("kind", range(33, 49))
def test_critical_bit_of_what_we_have_to_know_p2(end, kind):
    body = {41: bytes((0, 0, 0x40, 0)), 42: bytes((3, 4, 0, 0))}.get(kind, b"abcd")
    assert end.hears(end.of_peer(5, kind, bytes((0, 0x80, 0, 8)) + body)) == FRESH
    assert end.opened(end.says())[3:] == (0, b"") and not end.sa.failed


MALFORMED = [
    (41, b""), (41, b"\0\0\0"), (41, bytes((0, 0, 0, 0))), (41, bytes((0, 0, 0, 3))), (43, bytes((0, 0, 0, 5))),
    (43, bytes((0, 0, 1, 4))), (43, bytes((43, 0, 0, 4))), (0, b"\0"), (43, bytes((0, 0, 0, 4, 0))),
    (41, bytes((0, 0, 0, 4))), (41, bytes((0, 0, 0, 8))), (42, bytes((0, 0, 0, 12, 3))),
    (41, bytes((0, 0, 0, 8, 0, 1, 0, 11))), (42, bytes((0, 0, 0, 7, 3, 4, 0))),
    (42, bytes((0, 0, 0, 8, 3, 4, 0, 1))), (42, delete(3, spi(1, 0)) + b"\0"), (42, delete(3, spi(1, 0), size=8)),
    (42, bytes((0, 0, 0, 10, 3, 2, 0, 1, 0, 0))), (42, bytes((0, 0, 0, 12, 3, 4, 0, 2, 1, 0x11, 0x22, 0))),
    (42, bytes((0, 0, 0, 8, 3, 0, 0, 1))),
]  # fmt: skip


@pytest.mark.parametrize(("first", "inner"), MALFORMED)
@pytest.mark.parametrize("exchange", [36, 37])
def test_malformed_payloads_end_the_ike_sa_p2(end, first, inner, exchange):
    """RFC 7296 2.21.3: INVALID_SYNTAX under the keys, fatal for both ends."""
    before = end.table.snapshot()
    assert end.hears(end.of_peer(5, first, inner, exchange)) == FRESH
    assert end.table.snapshot() == before
    assert end.opened(end.says()) == (exchange, 0x20, 5, 41, bytes.fromhex("0000000800000007"))
    assert end.sa.failed and end.sa.code == reasons.SYNTAX_SENT


@pytest.mark.parametrize("exchange", [0, 34, 35, 38, 43, 44, 255])
def test_other_exchanges_are_at_odds_with_us_p2(end, exchange):
    assert end.hears(end.of_peer(5, exchange=exchange)) == FRESH
    assert end.opened(end.says()) == (exchange, 0x20, 5, 41, bytes.fromhex("0000000800000007"))
    assert end.sa.failed and end.sa.code == reasons.SYNTAX_SENT


@pytest.mark.parametrize(("notify", "fatal"), [(7, True), (11, False), (1, False), (16384, False)])
def test_what_a_response_says_p1(end, notify, fatal):
    end.sa.hint(0)
    end.says()
    inner = struct.pack(">BBHBBH", 0, 0, 8, 0, 0, notify)
    assert end.hears(end.of_peer(2, 41, inner, response=True)) == FRESH
    assert end.sa.failed == fatal and not end.sa.waiting


def test_a_response_of_another_exchange_p4(end):
    end.sa.hint(0)
    end.says()
    assert end.hears(end.of_peer(2, exchange=36, response=True)) == IGNORED and end.sa.waiting


def test_liveness_check_from_silence_p3():
    end = End("aes-cbc-128", False, quiet_ms=10000)
    node = with_owner(end)
    assert end.sa.next_timer(100) == 10000 and end.says(10099) is None
    assert end.opened(end.says(10100))[2:] == (2, 0, b"")
    assert ask(node, end.of_peer(2, response=True), 10200) == "deliver-ike" and end.sa.next_timer(10200) == 10000
    ask(node, end.of_peer(5), 12000)
    assert end.says(12000) and end.sa.next_timer(12000) == 10000
    ask(node, end.of_peer(5), 13000)
    assert end.says(13000) and end.sa.next_timer(13000) == 9000
    ask(node, end.of_peer(9), 14000)
    assert end.sa.window.dropped == 1 and end.sa.next_timer(14000) == 8000
    node.alive(end.slot, 15000)
    assert end.sa.next_timer(15000) == 10000


def test_what_waits_is_what_a_check_asks_k7_p2(end):
    """The very same request, at once, and then again after as long as the first time."""
    end.sa.report_unknown_spi(WAYWARD, 0)
    request = end.says(0)
    assert request and end.says(2000) == request and end.says(2001) is None
    end.sa.check(2001)
    assert [end.says(now) for now in (2001, 2002, 6000, 6001)] == [request, None, None, request]


def test_a_repeated_request_proves_no_life_r5(end):
    """RFC 7296 2.4: only a fresh message does."""
    node = with_owner(end)
    hint = bytes(range(16)) + bytes.fromhex("2920250800000000000000280000000c0000000b") + spi(1, 0)
    request = end.of_peer()
    ask(node, request, 0)
    sent(node)
    assert ask(node, request, 9999) == "deliver-ike" and len(sent(node, 9999)) == 1
    node.tick(10000)
    assert ask(node, hint, 10001) == "hint-invalid-spi"
    assert len(sent(node, 10001)) == 1 and end.sa.waiting


def test_only_responses_go_where_a_request_came_from_s2_4(end):
    """Whoever replays a request from elsewhere draws no request of ours to himself."""
    node = with_owner(end)
    request = end.of_peer()
    end.sa.report_unknown_spi(WAYWARD, 0)
    end.hears(request)
    elsewhere = STRANGER[:4] + b"\xee\x31"
    ask(node, bytes(4) + request, via=4500, source=elsewhere)
    found = sent(node)
    assert [(via, to) for via, to, _ in found] == [(4500, elsewhere), (500, PEER)]
    assert found[0][2][:4] == bytes(4) and end.opened(found[0][2][4:])[1] == 0x20
    assert end.opened(found[1][2])[1] == 0


def test_what_is_outstanding_is_what_the_owner_waits_for_r7(end):
    node = with_owner(end)
    end.sa.hint(0)
    assert len(sent(node)) == 1
    told = header(0x28, 37, 2)[:16] + bytes.fromhex("29202528 00000002 00000024 00000008 00000004")
    assert ask(node, told) == "hint-invalid-ike-spi"
    assert ask(node, end.of_peer(2, response=True)) == "deliver-ike"
    assert sent(node) == []
    assert ask(node, told) == "drop-unencrypted"


@pytest.mark.parametrize("last", [LAST, LAST - 1])
def test_message_ids_of_ours_never_wrap_p1(end, last):
    end = End("aes-gcm-16-128", False, send_id=last)
    for message_id in range(last, LAST + 1):
        assert not end.sa.failed
        end.sa.report_unknown_spi(WAYWARD, 0)
        end.sa.hint(0)
        assert end.opened(end.says())[2] == message_id
        assert end.hears(end.of_peer(message_id, response=True)) == FRESH
    end.sa.report_unknown_spi(WAYWARD, 0)
    assert end.sa.failed and end.says() is None and not end.sa.waiting and end.sa.code == reasons.NO_MESSAGE_ID


@pytest.mark.parametrize("last", [LAST, LAST - 1])
def test_message_ids_of_the_peer_never_wrap_p4(last):
    end = End("aes-gcm-16-128", False, receive_id=last)
    for message_id in range(last, LAST + 1):
        assert not end.sa.failed
        assert end.hears(end.of_peer(message_id)) == FRESH
        assert end.opened(end.says())[2] == message_id
    assert end.sa.failed and end.hears(end.of_peer(0)) == IGNORED and end.says() is None
    assert end.sa.code == reasons.NO_MESSAGE_ID


def test_bad_arguments():
    node = Node(SpiTable(2, 2), Random())
    slot = node.table.adopt_ike(SPI_I, SPI_R, True, PEER, True)
    for bad in ((-1, 0), (0, -1), (LAST + 1, 0), (0, LAST + 1), (0, 0, -1), (0, 0, 2**29)):
        with pytest.raises(ValueError, match=str(max(bad, key=abs))):
            IkeSa(node, slot, make("aes-cbc-128", True), *bad)
    with pytest.raises(ValueError):
        IkeSa(node, slot + 1, make("aes-cbc-128", True), 0, 0)


def test_counter_saturates_p5(end):
    end.sa.window.dropped = 0x3FFFFFFE
    for _ in range(3):
        end.hears(bytes(60))
    assert end.sa.window.dropped == 0x3FFFFFFF


def test_protocol_numbers():
    assert payloads.DELETE == 42 and payloads.INVALID_SYNTAX == 7
    assert window._FIRST_MS << 11 > window._LONGEST_MS


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(CIPHERS), st.integers(0, 255), st.binary(max_size=80), st.sampled_from((36, 37, 37, 37, 35)))
def test_any_payloads_under_the_keys_p2(cipher, first, inner, exchange):
    """Each request has one answer that is well formed, and only Delete takes Child SAs."""
    end = End(cipher, False)
    before = end.children()
    assert end.hears(end.of_peer(5, first, inner, exchange)) == FRESH
    got_exchange, flags, message_id, kind, answer = end.opened(end.says())
    assert (got_exchange, flags, message_id) == (exchange, 0x20, 5) and end.says() is None
    assert payloads.chain(kind, answer) is not None
    assert set(end.children()) <= set(before)
    assert len(before) - len(end.children()) == sum(
        (end_ - start - 4) // 4 for found, start, end_ in payloads.chain(kind, answer) if found == 42
    )


PAYLOAD = st.tuples(
    st.sampled_from((0, 0, 0x80)),
    st.one_of(
        st.tuples(st.just(41), st.sampled_from((b"\0\0\0\x0b" + WAYWARD, b"\0\0@\0", b"\3\4@\0abcd"))),
        st.tuples(st.just(42), st.lists(st.integers(0, 4), max_size=5).map(
            lambda which: struct.pack(">BBH", 3, 4, len(which)) + b"".join(spi(1, i) for i in which))),
        st.tuples(st.integers(1, 255).filter(lambda kind: kind not in (41, 42)), st.binary(max_size=20)),
    ),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(PAYLOAD, max_size=6), st.sampled_from((36, 37)))
def test_any_chain_of_payloads_p2(found, exchange):
    end = End("aes-gcm-16-128", False)
    inner = b""
    following = 0
    for critical, (kind, body) in reversed(found):
        inner = struct.pack(">BBH", following, critical, 4 + len(body)) + body + inner
        following = kind
    assert end.hears(end.of_peer(5, following, inner, exchange)) == FRESH
    answer = end.opened(end.says())
    unknown = [kind for critical, (kind, _) in found if critical and not 33 <= kind <= 48]
    asked = {octet for _, (kind, body) in found if kind == 42 for octet in body[7::4]} & {0, 1, 2}
    if unknown:
        assert answer[3:] == (41, bytes.fromhex("0000000900000001") + bytes((unknown[0],)))
    elif exchange == 36:
        assert answer[3:] == (41, bytes.fromhex("0000000800000023"))
    else:
        assert answer[3] == (42 if asked else 0)
        assert set(answer[4][11::4]) == asked
    gone = asked if exchange == 37 and not unknown else set()
    assert end.children() == [spi(2, i) for i in range(4) if i not in gone] and not end.sa.failed


EVENTS = ("spi", "hint", "wait", "lose", "deliver", "deliver", "replay", "forge")


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(("aes-cbc-128", "aes-gcm-16-128")),
    st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 1), st.integers(0, 40)), max_size=60),
)
def test_a_bad_network_p1_p2_p4_p5(cipher, events):
    """Whatever is lost, repeated, late or forged: no IV serves two messages, and the ends agree once it is over."""
    ends = two(cipher)
    now, flying, ever = 0, [[], []], []
    said = [{}, {}]  # by each end: IV -> message

    def speak():
        for i in (0, 1):
            while message := ends[i].says(now % PERIOD):
                iv = message[32 : 32 + (8 if "gcm" in cipher else 16)]
                assert said[i].setdefault(iv, message) == message
                flying[1 - i].append(message)
                ever.append((1 - i, message))

    for event, i, number in events:
        if event == "spi":
            ends[i].sa.report_unknown_spi(spi(8, number), 0)
        elif event == "hint":
            ends[i].sa.hint(now % PERIOD)
        elif event == "wait":
            now += 100 * number
        elif event == "lose" and flying[i]:
            flying[i].pop(number % len(flying[i]))
        elif event == "deliver" and flying[i]:
            ends[i].hears(flying[i].pop(number % len(flying[i])), now % PERIOD)
        elif event == "replay" and ever:
            to, message = ever[number % len(ever)]
            ends[to].hears(message, now % PERIOD)
        elif event == "forge" and ever:
            to, message = ever[number % len(ever)]
            forged = bytearray(message)
            forged[20 + 7 * number % (len(message) - 20)] ^= 1 + number
            before = ends[to].state()
            assert ends[to].hears(forged, now % PERIOD) == IGNORED and ends[to].state() == before
        speak()
    for _ in range(200):
        for i in (0, 1):
            while flying[i]:
                ends[i].hears(flying[i].pop(0), now % PERIOD)
        speak()
        if not any(flying):
            waits = [end.sa.next_timer(now % PERIOD) for end in ends]
            if max(waits) < 0:
                break
            now += max(1, min(wait for wait in waits if wait >= 0))
            speak()
    for i in (0, 1):
        assert not ends[i].sa.failed and not ends[i].sa.waiting
        assert ends[i].sa.message_ids[0] == ends[1 - i].sa.message_ids[1]


STATE = """
import gc, os
from ikev2.sa import sk
from ikev2.sa.informational import IkeSa
from ikev2.node import Node
from ikev2.spi_table import SpiTable
def sealed(length):
    return memoryview(out)[:length]
table, other = SpiTable(2, 32), SpiTable(2, 32)
peer = b"\\xc0\\0\\2\\1\\x01\\xf4"
for t, initiator in ((table, False), (other, True)):
    slot = t.adopt_ike(b"initiate", b"response", initiator, peer, True)
    for i in range(12):
        t.adopt_child(slot, 50, bytes((9, 9, 9, i)), bytes((8, 8, 8, i)))
out = bytearray(256)
def keys(initiator):
    return sk.protection(%r, initiator, *[bytes(n) for n in %r])
node = Node(table, os.urandom)
there = IkeSa(Node(other, os.urandom), slot, keys(True), 0xFFFFFF00, 0xFFFFFF80)
spis = b"".join(bytes((8, 8, 8, i)) for i in range(12))
def request():
    "A Delete of twelve Child SAs"
    import struct
    struct.pack_into(">8s8sBBBBI", out, 0, b"initiate", b"response", 46, 32, 37, 8, 0xFFFFFF00)
    return there.sa.seal(out, 0, 42, bytes((0, 0, 0, 8 + len(spis), 3, 4, 0, 12)) + spis, bytes(there.sa.iv_size))
def warm(sa):
    sa.report_unknown_spi(b"abcd", 0)
    sa.outgoing(out, 0, 0)
    sa.report_unknown_spi(b"efgh", 0)
    sa.hint(0)
    length = request()
    heard = sa.receive(out, 0, length, 0x3FFFFFFE)
    sa.receive(out, 0, length - 1, 0)
    length = sa.outgoing(out, 0, 0x3FFFFFFF)
    print(heard, sa.window.dropped, len(sa.window._answer), len(table.children(slot)))
def new():
    return IkeSa(node, slot, keys(False), 0xFFFFFF80, 0xFFFFFF00, 0x1FFFFFFF)
sas = [None] * 8
i = idle = busy = 0
snapshot = table.snapshot()
def used():
    gc.collect()
    return gc.mem_alloc()
warm(new())
table.restore(snapshot)
while node.event():
    pass
before = used()
for i in range(8):
    sas[i] = new()
idle = used() - before
for i in range(8):
    warm(sas[i])
    table.restore(snapshot)
    while node.event():
        pass
busy = used() - before
print(idle // 8, busy // 8)
"""


@pytest.mark.parametrize("cipher", CIPHERS)
def test_state_of_an_ike_sa(cipher):
    """Keys, ready to use, Message IDs, what waits, what was answered with nine SPIs: octets of a 32-bit heap."""
    from boards.emulator import Board

    with Board() as board:
        said = board.exec(STATE % (cipher, [len(key) for key in keys_of(cipher)]))
    *warmed, measured = said.splitlines()
    assert set(warmed) == {"1 1 44 0"}
    idle, busy = measured.split()
    assert int(idle) <= int(busy) <= 550, (idle, busy)
