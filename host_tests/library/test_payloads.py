"""Chains of payloads whatever their length, what is refused, and what a request does to the Child SAs."""

import pytest
from ikev2.owners import LIFETIME, UNKNOWN_SPI
from ikev2.sa import payloads
from ikev2.sa.informational import answer_informational, refuse
from ikev2.spi_table import SpiTable

NOTIFY, DELETE, VENDOR = 41, 42, 43
PEER = bytes((192, 0, 2, 1, 1, 0xF4))


def payload(body=b"", following=0, critical=0, size=None):
    """A payload that says it has `size` octets, generic header included."""
    return bytes((following, critical)) + (4 + len(body) if size is None else size).to_bytes(2, "big") + body


def spi(number):
    return bytes((0xC0, 0xFF, number >> 8, number & 0xFF))


class Node:
    """What an answer needs of a node, with an IKE SA in slot 0 that has Child SAs for ESP and AH."""

    owners = (None, None)
    child_owners = ()

    def __init__(self, esp=2, ah=0):
        self.table = SpiTable(2, 64)
        assert self.table.adopt_ike(b"\1" * 7 + b"\0", b"\2" * 8, True, PEER, True) == 0
        for number in range(esp):
            self.table.adopt_child(0, 50, bytes((9, 9, 9, number)), spi(number))
        for number in range(ah):
            self.table.adopt_child(0, 51, bytes((8, 8, 8, number)), spi(number))
        self.told = []

    def emit(self, *event):
        self.told.append(event)

    def answer(self, first, octets, deleting=()):
        return answer_informational(self, 0, payloads.chain(first, octets), octets, deleting)


def delete(spis=b"", protocol=3, following=0):
    """A Delete payload in octets."""
    return payload(payloads.delete(spis, protocol)[1], following)


def notify(kind, data=b"", following=0):
    """A Notify payload in octets."""
    return payload(payloads.notify(kind, data)[1], following)


@pytest.mark.parametrize("size", [0, 1, 251, 252, 253, 508, 1000, 0xFFFB])
def test_a_chain_of_any_length(size):
    octets = payload(bytes(size), VENDOR) + payload(b"last")
    assert payloads.chain(40, octets) == [(40, 4, 4 + size), (VENDOR, 8 + size, 12 + size)]
    assert payloads.chain(40, octets[:-1]) is None and payloads.chain(40, octets + b"\0") is None
    assert payloads.chain(40, payload(bytes(size), size=(4 + size) ^ 0x100)) is None


def test_chains_that_are_malformed():
    assert payloads.chain(0, b"") == [] and payloads.chain(0, b"x") is None and payloads.chain(40, b"") is None
    for size in range(4):
        assert payloads.chain(40, payload(size=size)) is None
    for short in range(1, 4):
        assert payloads.chain(40, payload(following=40) + bytes(short)) is None


def test_a_notify_is_as_long_as_its_fields_say():
    for body, good in (
        (b"", False), (bytes(3), False), (bytes(4), True), (b"\0\1\0\0", False), (b"\0\1\0\0x", True),
        (b"\0\4\0\0abc", False), (b"\0\4\0\0abcd", True), (b"\0\4\0\0abcdef", True),
        (b"\0\xff\0\0" + bytes(254), False), (b"\0\xff\0\0" + bytes(255), True),
    ):  # fmt: skip
        assert (payloads.chain(NOTIFY, payload(body)) is not None) == good, body


def test_a_delete_is_as_long_as_its_fields_say():
    for body, good in (
        (b"", False), (b"\1\0\0", False), (b"\1\0\0\0", True), (b"\1\0\0\0x", False),
        (b"\3\4\0\0", True), (b"\3\4\0\1", False), (b"\3\4\0\1abcd", True), (b"\3\4\0\1abcde", False),
        (b"\3\4\0\2abcdefgh", True), (b"\2\4\0\1abcd", True), (b"\3\0\0\1", False), (b"\2\0\0\1", False),
        (b"\3\1\0\4abcd", False), (b"\2\x08\0\1abcdefgh", False), (b"\1\x08\0\1abcdefgh", True),
        (b"\4\2\0\2abcd", True),
        (b"\3\4\1\0" + bytes(1024), True), (b"\3\4\1\0", False), (b"\3\4\1\0" + bytes(4), False),
    ):  # fmt: skip
        assert (payloads.chain(DELETE, payload(body)) is not None) == good, body


def test_the_parts_of_a_notify():
    for kind, about, data in ((11, b"", b"abcd"), (0x4003, b"abcd", b""), (0x0B0B, b"x" * 200, b"y" * 400)):
        body = bytes((3, len(about))) + kind.to_bytes(2, "big") + about + data
        octets = payload(b"front", NOTIFY) + payload(body, VENDOR) + payload(b"behind")
        found = payloads.chain(40, octets)
        _, start, end = found[1]
        assert payloads.notify_type(octets, start) == kind
        assert payloads.notify_data(octets, start, end) == data
        assert payloads.has_notify(found, octets, kind)
        assert not payloads.has_notify(found, octets, kind ^ 1) and not payloads.has_notify(found, octets, kind ^ 0x100)
    octets = payload(b"\0\0\0\x0b")
    assert not payloads.has_notify(payloads.chain(VENDOR, octets), octets, 11)


def test_what_we_compose_is_read_back():
    for following, spis in ((0, b""), (0, spi(1)), (41, spi(1) + spi(2)), (0, b"".join(map(spi, range(300))))):
        for protocol in (3, 2):
            octets = delete(spis, protocol, following)
            rest = payload(b"\0\0\0\x0b") if following else b""
            found = payloads.chain(DELETE, octets + rest)
            assert found[0] == (DELETE, 4, len(octets)) and octets[0] == following and octets[1] == 0
            want = bytes((protocol, 4)) + (len(spis) // 4).to_bytes(2, "big") + spis if spis else b"\1\0\0\0"
            assert octets[4:] == want
    for data in (b"", b"abcd", bytes(600)):
        octets = notify(14, data)
        found = payloads.chain(NOTIFY, octets)
        assert found == [(NOTIFY, 4, len(octets))] and octets[4:] == b"\0\0\0\x0e" + data
        assert payloads.has_notify(found, octets, 14) and payloads.notify_data(octets, 4, len(octets)) == data


def test_unknown_critical_payloads_and_no_others_n17():
    for kind in range(1, 256):
        for critical in (0, 0x7F, 0x80, 0xFF):
            octets = payload(b"\0\0\0\x0b", kind) + payload(b"\1\0\0\0", critical=critical)
            found = payloads.chain(NOTIFY, octets)
            if found is None:  # a Notify or a Delete of another form
                continue
            unknown = critical >= 0x80 and not 33 <= kind <= 48
            assert payloads.unknown_critical(found) == (kind if unknown else 0)
    first, second = payload(b"", 200, 0x80), payload(b"", 0, 0x80)
    assert payloads.unknown_critical(payloads.chain(100, first + second)) == 100
    assert refuse(1, b"\x64") == (NOTIFY, notify(1, b"\x64"), False) and refuse(7) == (NOTIFY, notify(7), True)


def test_an_empty_request_and_delete_of_the_ike_sa_p2_k11():
    node = Node()
    assert node.answer(0, b"") == (0, b"", False)
    assert node.answer(DELETE, delete()) == (0, b"", True)
    both = delete(spi(0), 3, DELETE) + delete()
    assert node.answer(DELETE, both) == (0, b"", True)


def test_delete_names_our_outbound_spis_and_is_answered_with_the_inbound_ones_k11():
    node = Node(esp=3, ah=2)
    assert node.answer(DELETE, delete(spi(0) + spi(7) + spi(2))) == (
        DELETE, delete(bytes((9, 9, 9, 0)) + bytes((9, 9, 9, 2))), False,
    )  # fmt: skip
    assert [node.table.child_sa(child)[1:] for child in node.table.children(0)] == [
        (51, bytes((8, 8, 8, 1)), spi(1)), (51, bytes((8, 8, 8, 0)), spi(0)), (50, bytes((9, 9, 9, 1)), spi(1)),
    ]  # fmt: skip
    assert node.answer(DELETE, delete(spi(0))) == (0, b"", False)
    both = delete(spi(1), 2, DELETE) + delete(spi(1), 3)
    first, octets, over = node.answer(DELETE, both)
    assert (first, over) == (DELETE, False)
    assert octets == delete(bytes((8, 8, 8, 1)), 2, DELETE) + delete(bytes((9, 9, 9, 1)), 3)
    assert [node.table.child_sa(child)[1] for child in node.table.children(0)] == [51]


def test_what_stands_in_front_of_the_spis_of_a_delete_is_none_k11():
    node = Node(esp=1)
    request = delete(spi(0))
    for front in (request[:4], request[4:8]):
        node.table.adopt_child(0, 50, bytes((9, 9, 9, 8 + front[0])), front)
    assert node.answer(DELETE, request) == (DELETE, delete(bytes((9, 9, 9, 0))), False)
    assert len(node.table.children(0)) == 2


def test_those_that_we_delete_ourselves_are_left_out_of_the_answer_k11():
    node = Node(esp=2)
    deleting = (bytes((9, 9, 9, 1)),)
    answer = node.answer(DELETE, delete(spi(0) + spi(1)), deleting=deleting)
    assert answer == (DELETE, delete(bytes((9, 9, 9, 0))), False) and not node.table.children(0)


def test_an_answer_names_nine_spis_of_one_kind_and_what_room_is_left_of_the_other():
    for esp, ah, named_esp, named_ah in (
        (9, 0, 9, 0),
        (10, 0, 9, 0),
        (5, 5, 5, 2),
        (7, 2, 7, 0),
        (0, 30, 0, 9),
        (1, 9, 1, 6),
    ):
        node = Node(esp, ah)
        every = b"".join(map(spi, range(max(esp, ah))))
        request = delete(every, 3, DELETE) + delete(every, 2)
        _, octets, _ = node.answer(DELETE, request)
        counts = {octets[start]: (end - start - 4) // 4 for _, start, end in payloads.chain(DELETE, octets)}
        assert (counts.get(3, 0), counts.get(2, 0)) == (named_esp, named_ah) and len(octets) <= 44
        assert not node.table.children(0)


def test_what_the_peer_says_over_the_sa_is_an_event_p2_k10():
    node = Node()
    before = node.table.snapshot()
    octets = notify(11, b"abcd", NOTIFY) + notify(16403, bytes((0, 1, 0, 0)), NOTIFY) + notify(16384, b"abcd")
    assert node.answer(NOTIFY, octets) == (0, b"", False)
    assert node.told == [(UNKNOWN_SPI, 0, b"abcd"), (LIFETIME, 0, bytes((0, 1, 0, 0)))]
    for data in (b"", b"abc", b"abcde"):
        assert node.answer(NOTIFY, notify(11, data)) == (0, b"", False)
    assert len(node.told) == 2 and node.table.snapshot() == before
