"""Hints and what they cause, owners, counters, timers: what vectors cannot show."""

import ikev2.node as node_module
import pytest
from ikev2 import hints, notifier
from ikev2.node import Node
from ikev2.spi_table import SpiTable

PEER = b"\xc0\0\2\1\1\xf4"
STRANGER = b"\xc6\x33\x64\7\1\xf4"
SPI_I, SPI_R = bytes.fromhex("1111222233334444"), bytes.fromhex("5555666677778888")
OUTBOUND = bytes.fromhex("0badcafe")
PERIOD = 1 << 30


def counting(n):
    return bytes(range(1, n + 1))


class Owner:
    """Remembers what it was told, and speaks when told to."""

    invalid_spi_length = 80
    longest = 160
    failed = False
    code = -32  # reasons.CLOSED
    successor = None
    follows = False
    waiting = True

    def __init__(self):
        self.told = []
        self.to_send = []
        self.proves = True

    def report_unknown_spi(self, datagram, at):
        self.told.append(("unknown SPI", bytes(datagram[at : at + 4])))

    def hint(self, now, denied):
        self.told.append(("hint", now, denied))
        return True

    def receive(self, datagram, at, length, now):
        self.told.append(("receive", bytes(datagram[at:length])))
        return self.proves

    def outgoing(self, out, at, now):
        if not self.to_send:
            return 0
        message = self.to_send.pop(0)
        out[at : at + len(message)] = message
        return len(message)

    def next_timer(self, now):
        return -1

    def alive(self, now):
        pass

    def work(self, now):
        pass


def message(flags=0x08, first=46, exchange=37, body=bytes(52), spis=SPI_I + SPI_R, message_id=b"\0\0\0\7"):
    header = spis + bytes((first, 0x20, exchange, flags)) + message_id
    return header + (28 + len(body)).to_bytes(4, "big") + body


HINT = message(first=41, spis=bytes(range(16)), body=bytes((0, 0, 0, 12, 0, 0, 0, 11)) + OUTBOUND)


@pytest.fixture
def node():
    node = Node(SpiTable(), counting)
    slot = node.table.adopt_ike(SPI_I, SPI_R, False, PEER, True)
    node.table.adopt_child(slot, 50, bytes.fromhex("c0ffee01"), OUTBOUND)
    node.attach(slot, Owner())
    return node


def owner_of(node):
    return node.owners[node.table.ike_sas()[0]]


def ask(node, octets, now=0, via=500, source=PEER):
    return notifier.VERDICTS[node.receive(via, source, octets, len(octets), now)]


def sent(node, now=0):
    found = []
    while length := node.outgoing(now):
        found.append((node.out_via, bytes(node.out_to), bytes(node.out[:length])))
    return found


def test_a_hint_reaches_the_owner_of_its_sa_r3(node):
    """What makes it a check, and how often, is the owner's: test_informational."""
    owner = owner_of(node)
    slot = node.table.adopt_ike(bytes(range(8)), bytes(range(8, 16)), True, STRANGER, True)
    node.table.adopt_child(slot, 51, b"abcd", OUTBOUND)
    node.attach(slot, Owner())
    assert ask(node, HINT, 5) == ask(node, HINT, 6, source=STRANGER) == "hint-invalid-spi"
    assert sent(node) == []
    assert owner.told == [("hint", 5, False)] and node.owners[slot].told == [("hint", 6, False)]


def test_a_hint_about_an_sa_without_an_owner_is_counted_and_nothing_else_r3(node):
    node.detach(node.table.ike_sas()[0])
    assert ask(node, HINT) == "hint-invalid-spi" and sent(node) == [] and node.event() is None


def test_outstanding_request_of_the_owner_r7(node):
    owner_of(node).to_send.append(message(flags=0x00, message_id=b"\0\0\0\2"))
    assert [send[:2] for send in sent(node)] == [(500, PEER)]
    told = message(flags=0x28, first=41, body=bytes((0, 0, 0, 8, 0, 0, 0, 4)), message_id=b"\0\0\0\2")
    assert ask(node, told) == "hint-invalid-ike-spi"
    assert owner_of(node).told == [("hint", 0, True)]
    node.answered(node.table.ike_sas()[0])
    assert ask(node, told) == "drop-unencrypted"


def test_no_unprotected_message_changes_the_table_r2(node):
    before = node.table.snapshot()
    node.expect(node.table.ike_sas()[0], 37, b"\0\0\0\2")
    for flags in range(256):
        for first in (0, 41, 42, 46):
            for notify in (4, 5, 11, 16384, 16388):
                body = bytes((0, 0, 0, 12, 0, 0, notify >> 8, notify & 255)) + OUTBOUND
                ask(node, message(flags, first, 37, body, message_id=b"\0\0\0\2"))
                sent(node)
    assert node.table.snapshot() == before


def test_packet_without_an_sa_goes_to_the_owner_s1_1(node):
    packet = bytes.fromhex("c0ffee9900000001") + bytes(84)
    assert ask(node, packet, via=50, source=PEER[:4] + b"\0\0") == "invalid-spi-protected"
    assert owner_of(node).told == [("unknown SPI", bytes.fromhex("c0ffee99"))] and sent(node) == []


def test_protected_answer_is_no_amplification_l2(node):
    packet = bytes.fromhex("c0ffee9900000001") + bytes(83)
    assert ask(node, packet, via=50, source=PEER[:4] + b"\0\0") == "drop-amplification"
    assert ask(node, packet + b"\0", via=50, source=PEER[:4] + b"\0\0") == "invalid-spi-protected"


def test_without_an_owner_no_packet_is_too_short_for_the_answer_that_nobody_gives_l2():
    node = Node(SpiTable(), counting)
    node.table.adopt_ike(SPI_I, SPI_R, False, PEER, True)
    packet = bytes.fromhex("c0ffee9900000001")
    assert ask(node, packet, via=50, source=PEER[:4] + b"\0\0") == "invalid-spi-protected" and sent(node) == []


def test_a_peer_that_moves_to_4500_gets_no_more_than_it_sent_l2(node):
    packet = bytes.fromhex("c0ffee9900000001")
    node.table.update_ike(node.table.ike_sas()[0], peer=PEER[:4] + b"\x11\x94")
    for size, verdict in ((83, "drop-amplification"), (84, "invalid-spi-protected")):
        assert ask(node, packet + bytes(size - 8), via=4500, source=PEER[:4] + b"\x11\x94") == verdict


def test_response_of_the_owner_goes_where_the_request_came_from_s2_4(node):
    from_nat = b"\xc0\0\2\1\xee\x32"
    ask(node, bytes(4) + message(), via=4500, source=from_nat)
    owner_of(node).to_send += [message(flags=0x28)]
    assert sent(node) == [(4500, from_nat, bytes(4) + message(flags=0x28))]
    owner_of(node).to_send += [message(flags=0x00)]
    assert sent(node) == [(500, PEER, message(flags=0x00))]


def test_a_failed_ike_sa_goes_with_its_child_sas_p3(node):
    owner_of(node).failed = True
    assert sent(node) == []
    assert node.table.ike_sas() == [] and node.table.find_outbound(PEER, OUTBOUND, 0) < 0
    assert ask(node, message()) == "invalid-ike-spi"


def test_counters_saturate_l6(node):
    drop = notifier.VERDICTS.index("drop-empty")
    node.counters[drop] = 0x3FFFFFFE
    for _ in range(3):
        ask(node, b"")
    assert node.counters[drop] == 0x3FFFFFFF


def test_every_invalid_spi_has_fresh_ike_spis_s1_6():
    node = Node(SpiTable(), Random(), per_source_ms=0)
    packet = bytes.fromhex("c0ffee9900000001") + bytes(80)
    seen = set()
    for _ in range(4):
        ask(node, packet, via=50, source=STRANGER[:4] + b"\0\0")
        [(_, to, octets)] = sent(node)
        assert to == STRANGER and octets[0]
        seen.add(octets[:16])
    assert len(seen) == 4


class Random:
    """Differs at every call; begins with zero, as random octets may."""

    def __init__(self):
        self.calls = 0

    def __call__(self, n):
        self.calls += 1
        return bytes(n - 1) + bytes([self.calls])


def test_verdicts_have_the_numbers_of_their_names():
    for number, verdict in enumerate(notifier.VERDICTS):
        name = verdict.replace("-", "_").upper()
        modules = (hints, notifier, node_module) if name.startswith("HINT") else (notifier, node_module)
        found = [vars(module).get(name, vars(module).get("_" + name)) for module in modules]
        assert set(found) - {None} == {number}, verdict


def test_answers_of_an_original_responder_loop_nowhere_l3():
    """Two nodes wired together exchange at most one message for one packet without an SA."""
    nodes = [Node(SpiTable(), counting, answers_per_s=1000, burst=1000, per_source_ms=0) for _ in range(2)]
    addresses = [PEER, STRANGER]
    for via, packet in ((500, message()), (500, message(flags=0)), (4500, bytes(4) + message()),
                        (4500, bytes.fromhex("c0ffee9900000001") + bytes(80))):  # fmt: skip
        nodes[0].receive(via, addresses[1], packet, len(packet), 0)
        passed = 0
        here, queue = 0, sent(nodes[0])
        while queue:
            passed += len(queue)
            here ^= 1
            for out_via, _, octets in queue:
                nodes[here].receive(out_via, addresses[1 - here], octets, len(octets), 0)
            queue = sent(nodes[here])
        assert passed == 1


def test_bad_limits():
    with pytest.raises(ValueError):
        Node(SpiTable(), counting, hint_ms=-1)
    with pytest.raises(ValueError):
        Node(SpiTable(), counting).expect(3, 37, b"\0\0\0\1")


def test_who_works_long_is_alone_at_it_for_20_ms_and_others_meanwhile_only_if_something_happens(node):
    slices = []
    mine = node.table.ike_sas()[0]
    node.owners[mine].work = lambda now: slices.append("worker") or True
    other = node.table.adopt_ike(bytes(range(8)), bytes(range(8, 16)), True, STRANGER, True)
    node.attach(other, Owner())
    node.owners[other].work = lambda now: slices.append("other")

    def ticks(*times):
        del slices[:]
        for now in times:
            node.tick(now)
            sent(node, now)
        return slices

    assert ticks(0, 5, 15, 25, 26) == ["worker", "other", "worker", "worker", "worker", "worker", "other"]
    assert ticks(27, 28) == ["worker"] * 2
    node.emit(0, other)
    assert ticks(29) == ["worker", "other"]
    node.attend(29)
    assert ticks(30, 31) == ["worker", "worker"]
    node.detach(mine)
    assert ticks(32) == ["other"]
