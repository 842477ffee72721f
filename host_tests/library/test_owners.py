"""Life and death of an SA, its owner, what waits for a response, and who is told (P6, P7, S1.1)."""

import pytest
from ikev2 import owners
from ikev2.node import Node
from ikev2.owners import CHILD_GONE, GONE, HINT
from ikev2.sa import reasons
from ikev2.sa.informational import IkeSa, answer_informational
from ikev2.sa.policy import Child
from ikev2.spi_table import SpiTable

from library.test_informational import End, Random, ask, sent, spi
from library.test_node import HINT as HINT_MESSAGE
from library.test_node import OUTBOUND, PEER, SPI_I, SPI_R, STRANGER, Owner, message
from library.test_sk import make

PERIOD = 1 << 30


def attached(end, **limits):
    """A node over the table of an End, its IkeSa as owner."""
    node = end.node
    node.attach(end.slot, end.sa)
    return node


def events(node):
    found = []
    while event := node.event():
        found.append(event)
    return found


@pytest.fixture
def node():
    node = Node(SpiTable(3, 3), Random())
    slot = node.table.adopt_ike(SPI_I, SPI_R, False, PEER, True)
    node.table.adopt_child(slot, 50, bytes.fromhex("c0ffee01"), OUTBOUND)
    node.attach(slot, Owner())
    return node


@pytest.mark.parametrize("how", ["table", "node"])
def test_an_ike_sa_goes_with_all_that_hangs_on_it_p7(node, how):
    (slot,) = node.table.ike_sas()
    owner = node.owners[slot]
    (child,) = node.table.children(slot)
    node.expect(slot, 37, b"\0\0\0\2")
    if how == "table":
        node.table.remove_ike(slot)
    else:
        node.remove(slot, reasons.CLOSED)
    assert node.owners[slot] is None and not node.hints.outstanding and node.lengths[slot] == 0
    assert node.table.ike_sas() == [] and node.table.find_outbound(PEER, OUTBOUND, 0) == -1
    assert events(node) == [
        (CHILD_GONE, child, slot), (GONE, slot, reasons.REMOVED if how == "table" else reasons.CLOSED),
    ]  # fmt: skip
    # Whoever has the slot next has nothing of it.
    other = node.table.adopt_ike(bytes(range(8)), bytes(range(8, 16)), True, PEER, True)
    owner.to_send.append(message())
    assert other == slot and sent(node) == [] and node.next_timer(0) == -1
    response = bytes.fromhex("00000008 00000004")
    assert ask(node, message(0x20, 41, spis=SPI_I + SPI_R, body=response, message_id=b"\0\0\0\2")) == "drop-response"


def test_an_owner_that_fails_takes_its_sa_along_p7(node):
    (slot,) = node.table.ike_sas()
    node.owners[slot].failed = True
    assert sent(node) == [] and events(node)[-1] == (GONE, slot, Owner.code)


def test_without_an_owner_nobody_can_speak_over_it_s1_1_s1_4(node):
    unknown = b"\xc0\xff\xee\x99" + bytes(90)
    assert ask(node, unknown, via=4500) == "invalid-spi-protected"
    node.detach(node.table.ike_sas()[0])
    assert ask(node, unknown, 60000, via=4500) == "invalid-spi"


def test_after_restore_nobody_can_until_an_owner_is_there_s1_1(node):
    again = SpiTable(3, 3)
    assert again.restore(node.table.snapshot())
    woken = Node(again, Random())
    unknown = b"\xc0\xff\xee\x99" + bytes(90)
    assert ask(woken, unknown, via=4500) == "invalid-spi"
    slot = again.ike_sas()[0]
    again.update_ike(slot, established=True)
    woken.attach(slot, Owner())
    assert ask(woken, unknown, 60000, via=4500) == "invalid-spi-protected"


def test_a_hint_is_an_event_r3(node):
    assert ask(node, HINT_MESSAGE) == "hint-invalid-spi"
    assert sent(node) == [] and events(node) == [(HINT, node.table.ike_sas()[0], "hint-invalid-spi")]


@pytest.mark.parametrize("asked, gone", [(0, [0, 1]), (2, [2]), (3, [3])])
def test_a_peer_disowns_child_sas_of_its_tunnel_and_of_no_other_k10(asked, gone):
    node = Node(SpiTable(4, 8), Random())
    one, other = object(), object()
    children = []
    for number, policy in enumerate((one, one, other, None)):
        slot = node.table.adopt_ike(bytes((9,) * 7 + (number,)), bytes((8,) * 8), True, PEER, True)
        owner = Owner()
        owner.policy = policy
        node.attach(slot, owner)
        for spi_out in (b"same", b"else"):
            children.append(Child("", b"", spi_out, b"", b"", b"", b""))
            spi_in = bytes((7, 7, len(spi_out), len(children)))
            node.attach_child(node.table.adopt_child(slot, 50, spi_in, spi_out), children[-1])
    answer_informational(node, asked, [(41, 0, 8)], b"\0\0\0\x0b" + b"same")
    assert [i // 2 for i, child in enumerate(children) if child.disowned] == gone
    assert not any(child.disowned for child in children if child.spi_out == b"else")


@pytest.mark.parametrize("count, all_are", [(8, True), (9, False)])
def test_a_node_remembers_eight_sources_by_default_l1(count, all_are):
    node = Node(SpiTable(3, 3), Random(), 1000, 1000)
    places = [bytes((192, 0, 2, number)) + b"\1\xf4" for number in range(1, count + 1)]
    assert {ask(node, message(), 0, source=place) for place in places} == {"invalid-ike-spi"}
    assert ({ask(node, message(), 1, source=place) for place in places} == {"drop-limited"}) == all_are


def test_an_owner_of_an_ah_sa_is_told_of_its_packets(node):
    (slot,) = node.table.ike_sas()
    heard = []
    child = Child("", b"", b"", b"", b"", b"", b"")
    child.receive = lambda packet, at, length, now: heard.append(bytes(packet)) or True
    node.attach_child(node.table.adopt_child(slot, 51, b"abcd", OUTBOUND), child)
    packet = bytes(4) + b"abcd" + bytes(20)
    assert ask(node, packet, via=51, source=PEER[:4] + bytes(2)) == "deliver-ah" and heard == [packet]
    assert node.slot in node.child_owners and node.via == 51


def test_two_owners_take_turns(node):
    other = node.table.adopt_ike(bytes(range(8)), bytes(range(8, 16)), True, STRANGER, True)
    node.attach(other, Owner())
    for slot in node.owned:
        node.owners[slot].to_send.append(message())
    assert {bytes(to) for _, to, _ in sent(node)} == {PEER, STRANGER}


def test_nobody_reads_and_nothing_grows(node):
    for number in range(100):
        node.emit(HINT, 0, number)
    found = events(node)
    assert [detail for _, _, detail in found] == list(range(84, 100)) and node.missed == 84


def test_an_event_for_which_there_is_no_room_is_missed_k12(node):
    class Full(list):
        def append(self, event):
            raise MemoryError

    node._events = Full()
    node.emit(HINT, 0)
    node.emit(HINT, 0)
    assert node.missed == 2 and node.event() is None


def test_a_message_id_has_four_octets(node):
    (slot,) = node.table.ike_sas()
    for bad in (b"\0\0\2", b"", bytes(5)):
        with pytest.raises(ValueError, match="Message ID"):
            node.expect(slot, 37, bad)
    with pytest.raises(ValueError, match="slot 2"):
        node.expect(2, 37, bytes(4))


def test_a_second_node_is_refused_a_table(node):
    with pytest.raises(ValueError, match="a node has this table"):
        Node(node.table, Random())


def test_an_owner_with_long_messages_has_room(node):
    (slot,) = node.table.ike_sas()
    owner = Owner()
    owner.longest = 1200
    node.attach(slot, owner)
    owner.to_send.append(message(body=bytes(1100)))
    assert [len(octets) for _, _, octets in sent(node)] == [1128]


def test_what_an_owner_raises_stops_no_other(node):
    """It reaches the driver, and the next question is the others'."""

    class Wrong(Owner):
        def outgoing(self, out, at, now):
            raise MemoryError

        work = next_timer = lambda self, now: 1 / 0

    slot = node.table.adopt_ike(bytes(range(8)), bytes(range(8, 16)), True, STRANGER, True)
    good = node.owners[node.table.ike_sas()[0]]
    node.attach(slot, Wrong())
    good.to_send.append(message())
    found = []
    for _ in range(3):
        try:
            while node.outgoing(0):
                found.append(node.out_to)
        except MemoryError:
            pass
    assert found == [PEER]
    worked = []
    good.work = worked.append
    with pytest.raises(ZeroDivisionError):
        node.tick(7)
    assert worked == [7]


# A peer that moves.

MOVED = b"\xc0\0\2\1\xf2\x32"


def moved_end(**more):
    end = End("aes-gcm-16-128", False, quiet_ms=30000, **more)
    return end, attached(end)


def test_requests_follow_the_newest_verified_message_p6():
    end, node = moved_end()
    assert ask(node, bytes(4) + end.of_peer(5), 1000, 4500, MOVED) == "deliver-ike"
    assert [(via, to) for via, to, _ in sent(node, 1000)] == [(4500, MOVED)]
    node.tick(31000)
    assert [(via, to) for via, to, _ in sent(node, 31000)] == [(4500, MOVED)]
    # A repetition of what waits, and INVALID_SPI over the SA.
    node.tick(33000)
    assert [(via, to) for via, to, _ in sent(node, 33000)] == [(4500, MOVED)]
    assert ask(node, b"\xc0\xff\xee\x99" + bytes(90), 33001, 4500, MOVED) == "invalid-spi-protected"


def test_the_port_of_ours_follows_too_p6():
    """A peer behind a NAT that speaks to our 500."""
    end, node = moved_end()
    ask(node, end.of_peer(5), 1000, 500, MOVED)
    sent(node, 1000)
    node.tick(31000)
    assert [(via, to) for via, to, _ in sent(node, 31000)] == [(500, MOVED)]


@pytest.mark.parametrize("what", ["repeated", "forged", "off"])
def test_nothing_else_moves_anything_p6(what):
    end, node = moved_end(follows=what != "off")
    request = bytes(4) + end.of_peer(5)
    if what == "repeated":
        ask(node, request, 0, 4500, PEER)
        sent(node, 0)
    if what == "forged":
        request = request[:-1] + bytes((request[-1] ^ 1,))
    ask(node, request, 1000, 4500, MOVED)
    sent(node, 1000)
    node.tick(40000)
    assert [to for _, to, _ in sent(node, 40000)] == [PEER]


def test_one_call_says_that_a_peer_lives():
    """R5, P3: ESP reported twice a second, and no liveness check goes out."""
    end, node = moved_end()
    for now in range(0, 100000, 500):
        node.tick(now)
        node.alive(end.slot, now)
        assert sent(node, now) == []
    node.tick(99500 + 30000)
    assert len(sent(node, 99500 + 30000)) == 1


def test_silence_begins_when_the_clock_is_first_seen_p3():
    """Past half the clock's period, too."""
    for start in (0, PERIOD // 2 + 12345, PERIOD - 5):
        _, node = moved_end()
        assert node.next_timer(start) == 30000
        node.tick((start + 30000) % PERIOD)
        assert len(sent(node, (start + 30000) % PERIOD)) == 1


# Wrong calls change nothing.


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("adopt_ike", (8, bytes(8), True, PEER)), ("adopt_ike", ("x" * 8, bytes(8), True, PEER)),
        ("adopt_ike", (b"x" * 8, None, True, PEER)), ("adopt_ike", (b"x" * 8, bytes(8), True, None)),
        ("adopt_ike", (b"x" * 8, bytes(8), True, PEER[:4] + b"\0\0")), ("adopt_ike", (b"x" * 8, bytes(8), True, 6)),
        ("update_ike", (0, 8)), ("update_ike", (0, None, "192.02")), ("update_ike", (0, None, PEER[:4] + b"\0\0")),
        ("update_ike", (0, None, None, None, 4501)), ("adopt_child", (0, 50, 4, b"abcd")),
        ("adopt_child", (0, 50, b"abce", "abcd")), ("adopt_child", (0, 50, b"abce", None)),
    ],
)  # fmt: skip
def test_a_wrong_call_is_a_value_error_and_changes_nothing(node, call, arguments):
    before = node.table.snapshot()
    with pytest.raises(ValueError):
        getattr(node.table, call)(*arguments)
    assert node.table.snapshot() == before
    node.table.remove_ike(node.table.ike_sas()[0])


def test_what_is_gone_leaves_no_octet():
    table = SpiTable(2, 2)
    empty = table.snapshot()
    slot = table.adopt_ike(SPI_I, SPI_R, True, PEER, True)
    table.adopt_child(slot, 50, b"abcd", b"efgh")
    table.remove_ike(slot)
    left = bytes(octet for octet in table.snapshot()[12:])
    assert not any(value in left for value in (SPI_I, SPI_R, b"abcd", b"efgh"))
    again = table.adopt_ike(SPI_R, bytes(8), True, PEER)
    assert table.ike_sa(again) == (SPI_R, bytes(8), True, PEER, False) and table.children(again) == []
    assert len(empty) == len(table.snapshot())


def test_a_child_sa_moves_to_the_sa_that_replaces_its_own_k2(node):
    (old,) = node.table.ike_sas()
    new = node.table.adopt_ike(bytes(range(8)), bytes(range(8, 16)), True, PEER, True)
    (child,) = node.table.children(old)
    node.table.move_child(child, new)
    assert node.table.children(old) == [] and node.table.children(new) == [child]
    node.table.remove_ike(old)
    assert node.table.child_sa(child)[0] == new and node.table.find_outbound(PEER, OUTBOUND, 0) == new


# What an IkeSa says of its own.


def test_delete_of_the_ike_sa_k11():
    end, node = moved_end()
    end.sa.delete()
    ((_, _, request),) = sent(node, 0)
    assert end.opened(request)[2:] == (2, 42, bytes.fromhex("0000000801000000"))
    ask(node, end.of_peer(2, response=True), 10)
    assert sent(node, 10) == [] and events(node)[-1] == (GONE, end.slot, reasons.DELETED)


def test_while_we_delete_it_a_rekey_is_a_temporary_failure_k3():
    end, node = moved_end(rekeys=None)
    end.sa.delete()
    sent(node, 0)
    ask(node, end.of_peer(5, exchange=36), 10)
    ((_, _, response),) = sent(node, 10)
    assert end.opened(response)[3:] == (41, bytes.fromhex("000000080000002b"))


def test_delete_of_a_child_sa_names_our_inbound_spi_k11():
    end, node = moved_end()
    end.sa.delete_child(spi(2, 1))
    end.sa.delete_child(spi(2, 2))
    for number, gone in ((2, spi(2, 1)), (3, spi(2, 2))):
        ((_, _, request),) = sent(node, number)
        assert end.opened(request)[2:] == (number, 42, bytes.fromhex("0000000c03040001") + gone)
        assert gone in end.children()
        ask(node, end.of_peer(number, response=True), number)
        assert gone not in end.children()
    assert sent(node, 9) == []


def test_those_whose_delete_is_on_its_way_are_left_out_k11():
    end, node = moved_end()
    end.sa.delete_child(spi(2, 1))
    sent(node, 0)
    ask(node, end.of_peer(5, 42, bytes.fromhex("0000001003040002") + spi(1, 1) + spi(1, 0)), 1)
    ((_, _, response),) = sent(node, 1)
    assert end.opened(response)[3:] == (42, bytes.fromhex("0000000c03040001") + spi(2, 0))
    assert end.children() == [spi(2, 2), spi(2, 3)]


def test_an_ike_sa_of_no_table_is_refused():
    node = Node(SpiTable(1, 1), Random())
    with pytest.raises(ValueError, match="slot 0"):
        IkeSa(node, 0, make("aes-cbc-128", True), 0, 0)


def test_events_are_told_apart():
    kinds = (
        owners.ESTABLISHED, owners.FAILED, owners.HINT, owners.GONE, owners.CHILD_NEW, owners.CHILD_GONE,
        owners.UNKNOWN_SPI, owners.REPLACED, owners.LIFETIME,
    )  # fmt: skip
    assert len(set(kinds)) == len(kinds)


def test_there_is_room_for_the_owner_of_every_ike_sa():
    table = SpiTable(8, 2)
    node = Node(table, bytes)
    slot = table.adopt_ike(bytes(7) + b"\7", b"\2" * 8, True, PEER, True)
    assert slot == 7
    node.attach(slot, Owner())
    assert node.owners[slot]


def test_every_code_has_words():
    """N5, P7: whoever reads why something ended reads a sentence, not a number."""
    codes = {name: code for name, code in vars(reasons).items() if name.isupper() and name[0] != "_"}
    assert len(codes) > 30 and not [name for name, code in codes.items() if reasons.reason(code).startswith("error ")]


class Follower:
    """Writes down what it is told."""

    def __init__(self, wait):
        self.heard = []
        self.wait = wait

    def take(self, kind, slot, detail, now):
        self.heard.append((kind, slot, now))

    def attend(self, now):
        self.heard.append("attend")

    def tick(self, now):
        self.heard.append("tick")

    def next_timer(self, now):
        return self.wait


def test_every_follower_hears_of_every_event_and_time_goes_on_for_all():
    node = Node(SpiTable(4, 8), Random())
    followers = Follower(70), Follower(50)
    for follower in followers:
        node.follow(follower)
    slot = node.table.adopt_ike(SPI_I, SPI_R, False, PEER, True)
    assert node.next_timer(3) == 50
    node.remove(slot, -1)
    assert node.next_timer(3) == 0
    assert not node.outgoing(4) and node.event() is None
    assert [follower.heard for follower in followers] == [[(3, slot, 4), "attend"]] * 2
    node.unfollow(followers[1])
    assert node.next_timer(5) == 70
    node.tick(75)
    assert [follower.heard[2:] for follower in followers] == [["tick"], []]


def test_who_accepts_is_asked_for_an_answer_to_ike_sa_init_of_nobodys_n19():
    node = Node(SpiTable(4, 8), Random())
    request = bytes(range(1, 9)) + bytes(8) + bytes((33, 0x20, 34, 8, 0, 0, 0, 0, 0, 0, 0, 28))
    node.receive(500, PEER, request, len(request), 7)
    assert not node.outgoing(7)

    class Acceptor:
        def receive(self, reply, via, source, datagram, length, now):
            reply.out = bytes((via & 255, now)) + source + datagram[:length]
            reply.via, reply.to = via, source

    node.acceptor = Acceptor()
    node.receive(500, PEER, request, len(request), 7)
    length = node.outgoing(7)
    assert bytes(node.out[:length]) == bytes((500 & 255, 7)) + PEER + request
    assert (node.out_via, node.out_to) == (500, PEER) and not node.outgoing(7)
