"""The SPI table: what is entered is found, what is not is not, removal loses nobody, errors change nothing."""

import gc
import os
import random
import sys

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from ikev2.slots import USED, VARIANT, find
from ikev2.spi_table import SpiTable

A, B = b"\xc0\0\2\1\1\xf4", b"\xc6\x33\x64\7\x11\x94"
A6 = bytes.fromhex("20010db8000000000000000000000007") + b"\1\xf4"


def spi(number, size=8):
    return number.to_bytes(size, "big")


def find_ike(table, octets, at, initiator):
    return find(table.ike, USED | VARIANT if initiator else USED, octets, at)


def find_child(table, protocol, octets, at):
    return find(table.child, USED if protocol == 50 else USED | VARIANT, octets, at)


def test_own_spi_leads_to_its_slot():
    table = SpiTable(16, 32)
    for i in range(16):
        slot = table.add_ike(os.urandom, i % 2 == 0, A)
        own = table.ike_sa(slot)[0 if i % 2 == 0 else 1]
        assert own[7] % 16 == slot and find_ike(table, own, 0, i % 2 == 0) == slot
        assert find_ike(table, own, 0, i % 2 == 1) < 0
    with pytest.raises(ValueError, match="full"):
        table.add_ike(os.urandom, True, A)


def test_own_child_spis_are_not_reserved():
    table = SpiTable(1, 256)
    ike = table.add_ike(os.urandom, True, A, spi(1), True)
    for _ in range(256):
        slot = table.add_child(ike, 50, lambda n: random.choice((bytes(n), os.urandom(n))), b"abcd")
        assert table.child_sa(slot)[2][:3] != bytes(3)
    assert len(table.children(ike)) == 256


def test_a_foreign_child_spi_is_one_from_256_on_s1_9():
    table = SpiTable(1, 2)
    ike = table.add_ike(os.urandom, True, A)
    with pytest.raises(ValueError):
        table.adopt_child(ike, 50, spi(255, 4), spi(256, 4))
    child = table.adopt_child(ike, 50, spi(256, 4), spi(256, 4))
    assert find_child(table, 50, spi(256, 4), 0) == child


def test_esp_and_ah_are_apart():
    table = SpiTable()
    ike = table.adopt_ike(spi(1), spi(2), True, A, True)
    esp = table.adopt_child(ike, 50, b"abcd", b"efgh")
    ah = table.adopt_child(ike, 51, b"abcd", b"efgi")
    assert (find_child(table, 50, b"abcd", 0), find_child(table, 51, b"abcd", 0)) == (esp, ah)
    assert find_child(table, 50, b"xabcd", 1) == esp


def test_ike_sa_by_the_spi_on_our_side_s2_9():
    table = SpiTable()
    initiated = table.adopt_ike(spi(0x11), spi(0x22), True, A)
    answered = table.adopt_ike(spi(0x33), spi(0x44), False, A)
    assert find_ike(table, spi(0x11), 0, True) == initiated and find_ike(table, spi(0x22), 0, False) < 0
    assert find_ike(table, spi(0x44), 0, False) == answered and find_ike(table, spi(0x33), 0, True) < 0


@pytest.mark.parametrize("initiator", [True, False])
def test_spis_as_messages_begin(initiator):
    """RFC 7296 3.1: the initiator's first, whoever that is."""
    table = SpiTable(4, 4)
    for spi_i, spi_r in ((b"initiate", b"response"), (b"INITIATE", b"RESPONSE")):
        slot = table.adopt_ike(spi_i, spi_r, initiator, bytes((192, 0, 2, 1, 1, 244)), True)
        out = bytearray(b"?" * 24)
        assert table.write_spis(slot, out, 4) is initiator
        assert out == b"????" + spi_i + spi_r + b"????"


def test_peer_s1_1():
    table = SpiTable(16, 32, 16)
    behind_nat = table.adopt_ike(spi(1), spi(2), True, b"\xc0\0\2\1\xee\x32", True)
    assert table.find_peer(b"\xc0\0\2\1\xee\x32") == behind_nat
    assert table.find_peer(b"\xc0\0\2\1\xee\x33") < 0
    assert table.find_peer(b"\xc0\0\2\1\0\0") == behind_nat
    direct = table.adopt_ike(spi(3), spi(4), True, A, True)
    assert table.find_peer(b"\xc0\0\2\1\x11\x94") == direct
    assert table.find_peer(b"\xc0\0\2\2\x11\x94") < 0
    assert table.find_peer(A6) < 0
    six = table.adopt_ike(spi(5), spi(6), True, A6)
    assert table.find_peer(A6) < 0
    table.update_ike(six, established=True)
    assert table.find_peer(A6) == six
    table.update_ike(six, peer=A, spi_peer=spi(9))
    assert table.find_peer(A6) < 0 and table.find_peer(A) == six
    assert table.ike_sa(six) == (spi(5), spi(9), True, A, True)


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.adopt_ike(spi(1), spi(7), True, B),
        lambda t: t.adopt_ike(bytes(8), spi(7), True, B),
        lambda t: t.adopt_ike(spi(8), bytes(8), False, B),
        lambda t: t.adopt_ike(b"1234567", spi(7), True, B),
        lambda t: t.adopt_ike(spi(9), spi(7), True, A6),
        lambda t: t.adopt_ike(spi(9), spi(7), True, b"1234"),
        lambda t: t.adopt_child(0, 50, b"abcd", b"efgh"),
        lambda t: t.adopt_child(1, 52, b"abce", b"efgh"),
        lambda t: t.adopt_child(1, 50, b"\0\0\0\xff", b"efgh"),
        lambda t: t.adopt_child(1, 50, b"abcd", b"efgh"),
        lambda t: t.adopt_child(1, 50, b"abc", b"efgh"),
        lambda t: t.remove_ike(0),
        lambda t: t.remove_ike(-1),
        lambda t: t.remove_ike(99),
        lambda t: t.remove_child(0),
        lambda t: t.update_ike(0, established=True),
        lambda t: t.update_ike(1, spi_peer=b"x"),
        lambda t: t.update_ike(1, peer=A6),
    ],
)
def test_what_cannot_be_done_is_a_value_error_and_changes_nothing(call):
    table = SpiTable()
    assert table.adopt_ike(spi(1), spi(2), True, A, True) == 1
    table.adopt_child(1, 50, b"abcd", b"efgh")
    before = table.snapshot()
    with pytest.raises(ValueError):
        call(table)
    assert table.snapshot() == before


def test_full_with_foreign_spis():
    table = SpiTable(4, 4)
    for i in range(4):
        table.adopt_ike(spi(0x100 * i + 7), spi(1), True, A)
    before = table.snapshot()
    with pytest.raises(ValueError, match="full"):
        table.adopt_ike(spi(0x507), spi(1), True, A)
    assert table.snapshot() == before
    assert [find_ike(table, spi(0x100 * i + 7), 0, True) for i in range(4)] == [3, 0, 1, 2]


def test_sizes():
    """At most 32 octets an IKE SA with an IPv4 peer and 12 a Child SA, all included."""
    size = len(SpiTable(16, 32).snapshot())
    assert len(SpiTable(17, 32).snapshot()) - size <= 32 and len(SpiTable(16, 33).snapshot()) - size <= 12
    assert size <= 16 * 32 + 32 * 12
    assert len(SpiTable(32, 64).snapshot()) <= 2048


def test_snapshot_and_restore():
    table = SpiTable()
    ike = table.adopt_ike(spi(1), spi(2), True, A, True)
    table.adopt_child(ike, 50, b"abcd", b"efgh")
    kept = table.snapshot()
    again = SpiTable()
    assert again.restore(kept) and again.ike_sa(ike)[:4] == table.ike_sa(ike)[:4]
    assert find_child(again, 50, b"abcd", 0) >= 0 and again.find_peer(A) == -1  # S1.1: nobody can speak over it
    again.update_ike(ike, established=True)
    assert again.snapshot() == kept and again.find_peer(A) == ike
    empty = SpiTable().snapshot()
    for damaged in (b"", kept[:-1], kept + b"\0", bytes(len(kept)), b"\xff" * len(kept), SpiTable(8, 32).snapshot()):
        assert not again.restore(damaged) and again.snapshot() == empty
    for bit in range(len(kept) * 8):
        damaged = bytearray(kept)
        damaged[bit // 8] ^= 1 << bit % 8
        assert not again.restore(damaged)
    assert again.snapshot() == empty


def lines(call):
    """Lines of the library that a call executes."""
    count = 0

    def trace(frame, event, _):
        nonlocal count
        count += event == "line"
        return trace

    gc.disable()  # finalizers of other tests are none of the call's lines
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(None)
        gc.enable()
    return count


def filled(size):
    table = SpiTable(size, size)
    for i in range(size):
        slot = table.add_ike(os.urandom, True, bytes((10, 0, 0, i)) + b"\1\xf4", spi(1), True)
        table.add_child(slot, 50, os.urandom, spi(i + 256, 4))
    return table


def test_look_ups_cost_the_same_for_8_and_256_entries():
    counts = []
    for size in (8, 256):
        table = filled(size)
        own = table.ike_sa(table.ike_sas()[3])[0]
        child = table.child_sa(table.children(table.ike_sas()[3])[0])
        peer = table.ike_sa(child[0])[3]
        unknown = bytes([own[0] ^ 1]) + own[1:]
        counts.append([
            lines(lambda: find_ike(table, own, 0, True)),  # noqa: B023
            lines(lambda: find_ike(table, unknown, 0, True)),  # noqa: B023
            lines(lambda: find_child(table, 50, child[2], 0)),  # noqa: B023
            lines(lambda: table.find_peer(peer)),  # noqa: B023
            lines(lambda: table.find_outbound(peer, child[3], 0)),  # noqa: B023
        ])  # fmt: skip
    assert counts[0] == counts[1]


class Model(RuleBasedStateMachine):
    """The table against dictionaries, with SPIs that collide."""

    def __init__(self):
        super().__init__()
        self.table = SpiTable(5, 6)
        self.ikes = {}
        self.children = {}

    @rule(number=st.integers(1, 30), initiator=st.booleans(), peer=st.sampled_from((A, B)), established=st.booleans())
    def adopt_ike(self, number, initiator, peer, established):
        key = (number, initiator)
        spis = (spi(number), spi(99)) if initiator else (spi(99), spi(number))
        if key in self.ikes or len(self.ikes) == 5:
            with pytest.raises(ValueError):
                self.table.adopt_ike(*spis, initiator, peer, established)
        else:
            self.ikes[key] = (self.table.adopt_ike(*spis, initiator, peer, established), peer, established)

    @rule(data=st.data(), number=st.integers(1, 30), protocol=st.sampled_from((50, 51)))
    def adopt_child(self, data, number, protocol):
        if self.ikes:
            key = data.draw(st.sampled_from(sorted(self.ikes)))
            octets = spi(0x01000000 + number, 4)
            if (protocol, octets) in self.children or len(self.children) == 6:
                with pytest.raises(ValueError):
                    self.table.adopt_child(self.ikes[key][0], protocol, octets, octets)
            else:
                slot = self.table.adopt_child(self.ikes[key][0], protocol, octets, octets)
                self.children[protocol, octets] = (slot, key)

    @rule(data=st.data())
    def remove_ike(self, data):
        if self.ikes:
            key = data.draw(st.sampled_from(sorted(self.ikes)))
            self.table.remove_ike(self.ikes.pop(key)[0])
            self.children = {child: at for child, at in self.children.items() if at[1] != key}

    @rule(data=st.data())
    def remove_child(self, data):
        if self.children:
            self.table.remove_child(self.children.pop(data.draw(st.sampled_from(sorted(self.children))))[0])

    @rule()
    def sleep(self):
        kept = self.table.snapshot()
        self.table = SpiTable(5, 6)
        assert self.table.restore(kept)
        self.ikes = {key: (slot, peer, False) for key, (slot, peer, _) in self.ikes.items()}

    @invariant()
    def everybody_is_found(self):
        for number in range(1, 31):
            for initiator in (True, False):
                expected = self.ikes.get((number, initiator), (-1,))[0]
                assert find_ike(self.table, spi(number), 0, initiator) == expected
            for protocol in (50, 51):
                octets = spi(0x01000000 + number, 4)
                assert find_child(self.table, protocol, octets, 0) == self.children.get((protocol, octets), (-1,))[0]
                outbound = {self.ikes[key][1] for (_, spi_out), (_, key) in self.children.items() if spi_out == octets}
                for peer in (A, B):
                    assert (self.table.find_outbound(peer, octets, 0) >= 0) == (peer in outbound)
        for peer in (A, B):
            established = [slot for slot, at, is_established in self.ikes.values() if at == peer and is_established]
            assert (self.table.find_peer(peer) in established) if established else self.table.find_peer(peer) < 0
        assert sorted(self.table.ike_sas()) == sorted(slot for slot, _, _ in self.ikes.values())


Model.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestModel = Model.TestCase


def test_how_many_sas_there_is_room_for():
    assert SpiTable().size == (16, 32) and len(SpiTable().snapshot()) == 8 + 16 * 26 + 32 * 11
    for sizes in ((0, 1, 4), (257, 1, 4), (1, 0, 4), (1, 257, 4), (1, 1, 6)):
        with pytest.raises(ValueError, match=r"SpiTable\(%d, %d, %d\)" % sizes):
            SpiTable(*sizes)
