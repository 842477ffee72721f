"""Records found by an SPI: slot 0 as well as the last, marks, chains, what is out of range."""

import itertools

import pytest
from ikev2.slots import BUCKET, USED, VARIANT, Slots, find

START, WIDTH, COUNT = 5, 9, 4
FIRST, FOLLOWING = 6, 7  # offsets of a chain's links
CHAIN = 0x20


def slots(count=COUNT, kept=0):
    """Slots with something else in front of and behind them, which stays as it is."""
    return Slots(bytearray(b"\xee" * START + bytes(WIDTH * count) + b"\xee" * 3), START, WIDTH, count, 4, kept)


def untouched(records):
    octets = records.octets
    return octets[:START] == b"\xee" * START and octets[-3:] == b"\xee" * 3


def spi(home, number=1):
    return bytes((number, 2, 3, home))


def test_an_empty_table_knows_nobody():
    records = slots()
    assert all(find(records, key, spi(home), 0) == -1 for key in (USED, USED | VARIANT) for home in range(256))


@pytest.mark.parametrize("home", [0, 1, COUNT - 1])
@pytest.mark.parametrize("key", [USED, USED | VARIANT])
def test_every_slot_is_used_and_found(home, key):
    records = slots()
    assert records.claim(key, spi(home)) == home
    assert find(records, key, spi(home), 0) == home
    assert find(records, key ^ VARIANT, spi(home), 0) == -1
    assert find(records, key, b"xy" + spi(home) + b"z", 2) == home
    for i in range(4):
        other = bytearray(spi(home))
        other[i] ^= 0x10
        assert find(records, key, other, 0) == -1
    assert records.at(home) == START + home * WIDTH and untouched(records)


def test_foreign_spis_with_one_home_fill_the_table_in_a_ring():
    for home in range(COUNT):
        records = slots()
        found = [records.claim(USED, spi(home, number)) for number in range(1, COUNT + 1)]
        assert found == [(home + i) % COUNT for i in range(COUNT)]
        assert [find(records, USED, spi(home, number), 0) for number in range(1, COUNT + 1)] == found
        assert find(records, USED, spi(home, 99), 0) == -1
        with pytest.raises(ValueError, match="table full: 4 entries"):
            records.claim(USED, spi(home, 99))
        assert untouched(records)


@pytest.mark.parametrize("home", [0, 2])
def test_same_spi_of_both_kinds_but_not_twice_of_one(home):
    records = slots()
    for slot, key in enumerate((USED, USED | VARIANT), home):
        assert records.claim(key, spi(home)) == slot
        with pytest.raises(ValueError, match="is known"):
            records.claim(key, spi(home))


def test_whoever_is_released_leaves_the_others_where_they_are():
    for order in itertools.permutations(range(COUNT)):
        records = slots()
        names = {records.claim(USED, spi(1, number)): spi(1, number) for number in range(1, COUNT + 1)}
        for slot in order:
            records.release(slot)
            gone = names.pop(slot)
            assert find(records, USED, gone, 0) == -1
            assert all(find(records, USED, name, 0) == other for other, name in names.items())
        assert not any(records.octets[START:-3])  # marks included


def test_a_look_up_ends_where_every_slot_is_passed():
    """Nobody is at home: each slot is on somebody's way, and what is not there is looked for in all of them."""
    records = slots()
    for home in (3, 3, 0, 1):
        records.claim(USED, spi(home, 100 + records.octets[START:].count(1)))
    records.release(3)
    records.claim(USED, spi(2, 99))
    assert all(records.octets[START + slot * WIDTH] & 0x80 for slot in range(COUNT))
    assert [find(records, USED, spi(home, 1), 0) for home in range(COUNT)] == [-1] * COUNT
    assert find(records, USED, spi(2, 99), 0) == 3


def test_released_leaves_no_octet_but_what_belongs_to_the_slot():
    records = slots(kept=6)
    for slot in range(COUNT):
        assert records.claim(USED | VARIANT, spi(slot)) == slot
        here = records.at(slot)
        records.octets[here + 5 : here + WIDTH] = b"abcd"
        records.octets[here] |= BUCKET | 0x1C
        records.release(slot)
        assert records.octets[here : here + WIDTH] == bytes((BUCKET, 0, 0, 0, 0, 0, ord("b"), 0, 0))
        assert records.claim(USED, spi(slot)) == slot
        assert records.octets[here] == BUCKET | USED and untouched(records)


@pytest.mark.parametrize("slot", [-1, 0, COUNT - 1, COUNT, 10**6])
def test_a_slot_without_an_entry_is_a_value_error(slot):
    records = slots()
    with pytest.raises(ValueError, match=f"no entry in slot {slot}"):
        records.at(slot)
    with pytest.raises(ValueError, match=f"no entry in slot {slot}"):
        records.release(slot)


class Random:
    """Gives these octets, one SPI after the other."""

    def __init__(self, *spis):
        self.spis = list(spis)

    def __call__(self, n):
        return bytearray(self.spis.pop(0)[:n])


def test_chosen_spis_lead_to_their_slot_from_0_on():
    records = slots()
    for slot in range(COUNT):
        chosen = records.choose(Random(b"\x09\x08\x07\xff"))
        assert chosen[:3] == b"\x09\x08\x07" and chosen[-1] % COUNT == slot and chosen[-1] >= 256 - COUNT
        assert records.claim(USED, chosen) == slot
    with pytest.raises(ValueError, match="table full: 4 entries"):
        records.choose(Random(bytes(4)))


@pytest.mark.parametrize("count", [1, 3, 200, 256])
def test_chosen_last_octets_use_all_that_leads_there(count):
    records = slots(count)
    chosen = {records.choose(Random(bytes((1, 1, 1, last))))[-1] for last in range(256)}
    assert chosen == {count * i for i in range(256 // count)}


def test_reserved_and_known_spis_are_not_chosen():
    records = slots()
    records.claim(USED | VARIANT, b"\5\5\5\0")
    records.claim(USED, b"\6\6\6\0")
    records.release(0)
    records.claim(USED, b"\7\7\7\3")
    # Slot 0 is free again; \6\6\6\0 stands in slot 1, in the way of its home 0.
    random = Random(b"\0\0\0\0", b"\6\6\6\0", b"\0\0\1\0")
    assert records.choose(random) == b"\0\0\1\0" and not random.spis
    records.claim(USED | VARIANT, b"\5\5\5\0")
    records.release(0)
    records.claim(USED, b"\1\1\1\0")
    records.claim(USED | VARIANT, b"\2\2\2\0")
    records.release(0)
    random = Random(b"\2\2\2\0", b"\3\3\3\0")
    assert records.choose(random) == b"\3\3\3\0" and not random.spis


@pytest.mark.parametrize("key", [USED, USED | VARIANT])
def test_an_spi_that_is_known_in_slot_0_is_not_chosen(key):
    records = slots()
    records.claim(USED, b"\5\5\5\3")
    assert records.claim(key, b"\6\6\6\3") == 0
    records.release(3)
    for home in (1, 2):
        records.claim(USED, spi(home))
    random = Random(b"\6\6\6\0", b"\7\7\7\0")
    assert records.choose(random) == b"\7\7\7\3" and not random.spis


def members(records, owner):
    found, slot = [], records.first(owner, CHAIN, FIRST)
    while slot >= 0:
        found.append(slot)
        slot = records.following(slot, FOLLOWING)
    return found


def test_chains_with_every_slot_in_every_place():
    for order in itertools.permutations(range(COUNT)):
        records = slots()
        owner = START + 2 * WIDTH
        assert records.first(owner, CHAIN, FIRST) == -1
        expected = []
        for slot in order:
            records.push(owner, CHAIN, FIRST, slot, FOLLOWING)
            expected.insert(0, slot)
            assert members(records, owner) == expected and records.octets[owner] == CHAIN
        for slot in range(COUNT):
            records.unlink(owner, CHAIN, FIRST, slot, FOLLOWING)
            expected.remove(slot)
            assert members(records, owner) == expected
        assert records.octets[owner] == 0 and untouched(records)
