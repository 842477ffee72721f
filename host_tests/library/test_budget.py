"""Budgets: the node's rate, the pause of a source, and time that wraps."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ikev2.budget import Budget
from portable import elapsed

PERIOD = 1 << 30


def source(number, port=500):
    return bytes((10, 0, number >> 8, number & 255)) + port.to_bytes(2, "big")


class Clock:
    """A driver's clock: serves the timers on the way."""

    def __init__(self, budget, now=0):
        self.budget = budget
        self.now = now

    def advance(self, to):
        wait = self.budget.next_timer(self.now % PERIOD)
        while 0 <= wait <= to - self.now:
            self.now += max(1, wait)
            self.budget.tick(self.now % PERIOD)
            wait = self.budget.next_timer(self.now % PERIOD)
        self.now = max(self.now, to)
        return self.now % PERIOD


@settings(max_examples=200, deadline=None)
@given(
    start=st.sampled_from((0, PERIOD // 2 - 5000, PERIOD - 5000, PERIOD - 1)),
    asks=st.lists(
        st.tuples(
            st.integers(0, 30),
            st.integers(0, 1),
            st.sampled_from((0, 1, 7, 400, 2999, 3000, 9000, PERIOD // 2, PERIOD)),
        )
    ),
)
def test_never_more_than_rate_and_burst_l1_l5(start, asks):
    """No window of time holds more answers than burst + rate * time, no source two of a kind within its pause."""
    budget = Budget()
    clock = Clock(budget, start)
    granted = []
    for number, kind, later in asks:
        now = clock.advance(clock.now + later)
        if budget.allow(source(number), kind, now):
            granted.append((clock.now, (number, kind)))
    for i, (first, _) in enumerate(granted):
        for j in range(i, len(granted)):
            assert j - i + 1 <= 5 + (granted[j][0] - first) / 1000
    last = {}
    for at, number in granted:
        # Eight addresses are remembered: nobody among them is answered early.
        others = {n for t, (n, _) in granted if last.get(number, at) < t < at}
        if number in last and len(others) < 8:
            assert at - last[number] >= 3000
        last[number] = at


def test_full_again_after_any_rest_l5():
    for rest in (9000, PERIOD // 2 - 1, PERIOD // 2, PERIOD - 1, PERIOD, PERIOD + 1, 3 * PERIOD):
        budget = Budget()
        clock = Clock(budget, 77)
        assert [budget.allow(source(i), 0, clock.advance(clock.now)) for i in range(6)] == [True] * 5 + [False]
        clock.advance(clock.now + rest)
        assert [budget.allow(source(i), 0, clock.advance(clock.now)) for i in range(6)] == [True] * 5 + [False]
        assert budget.next_timer(clock.now % PERIOD) >= 0
        clock.advance(clock.now + 20000)
        assert budget.next_timer(clock.now % PERIOD) == -1


def test_memory_is_bounded_and_forged_sources_buy_the_rate_only_l1():
    budget = Budget()
    before = len(budget.sources)
    granted = sum(budget.allow(source(i % 60000), 0, i) for i in range(10000))
    assert granted == 5 + 9
    assert len(budget.sources) == before


def test_the_flooder_stays_remembered_l1():
    budget = Budget(burst=100)
    assert budget.allow(source(1), 0, 0)
    for i in range(50):
        assert not budget.allow(source(1), 0, i)
        assert budget.allow(source(100 + i), 0, i)


def test_the_clock_going_backwards_gives_nothing():
    budget = Budget(burst=1)
    assert budget.allow(source(1), 0, 5000)
    assert not budget.allow(source(2), 0, 4000)
    assert not budget.allow(source(2), 0, 4999)


@pytest.mark.parametrize("rate", [0.5, 2.5])
def test_fractions(rate):
    budget = Budget(answers_per_s=rate, burst=1, per_source_ms=0)
    granted = [now for now in range(0, 10000) if budget.allow(source(1), 0, now)]
    assert len(granted) == int(rate * 10) and granted[1] == 1000 / rate


def test_rate_zero_and_errors():
    budget = Budget(answers_per_s=0, burst=2, per_source_ms=0)
    assert [budget.allow(source(1), 0, now) for now in (0, 1, 100000)] == [True, True, False]
    for wrong in (
        {"answers_per_s": -1},
        {"burst": -1},
        {"per_source_ms": -1},
        {"per_source_ms": PERIOD // 4},
        {"sources": 0},
    ):
        with pytest.raises(ValueError):
            Budget(**wrong)


def test_no_burst_is_no_answer():
    budget = Budget(burst=0)
    assert not any(budget.allow(source(i), 0, 1000 * i) for i in range(50))


def test_no_source_twice_in_its_pause_with_the_default_limits_l1():
    """Whoever asks in whatever order: with a burst of five and one a second, eight places are enough."""
    dice = random.Random(3)
    budget = Budget()
    now, last, granted = 0, {}, 0
    for _ in range(60000):
        now += dice.choice((0, 1, 3, 250, 1000, 1001))
        who = dice.randrange(12)
        if budget.next_timer(now % PERIOD) == 0:
            budget.tick(now % PERIOD)
        if budget.allow(source(who), 0, now % PERIOD):
            assert now - last.get(who, -PERIOD) >= 3000
            last[who] = now
            granted += 1
    assert granted > 5000


def test_fractions_are_rounded():
    for rate, expected in ((1.005, 1005), (0.251, 251), (0.0005, 1), (0.0004, 0)):
        assert Budget(answers_per_s=rate).words[6] == expected


def test_a_place_is_free_again_however_long_nothing_is_refilled_l5():
    budget = Budget(answers_per_s=0, burst=2, per_source_ms=PERIOD // 4 - 1)
    clock = Clock(budget, 0)
    assert budget.allow(source(1), 0, clock.advance(clock.now))
    for days in range(1, 30):
        clock.advance(days * 86400000)
    assert budget.allow(source(1), 0, clock.advance(clock.now))


def test_the_defaults_are_those_of_the_rules_l1():
    """One a second, five in a burst, one in three seconds for an address, eight addresses."""
    budget = Budget()
    sources = [bytes((10, 0, 0, i, 0, 1)) for i in range(9)]
    assert [budget.allow(source, 0, 0) for source in sources[:6]] == [True] * 5 + [False]
    assert [budget.allow(sources[5], 0, now) for now in (999, 1000)] == [False, True]
    assert not budget.allow(sources[0], 0, 2999) and budget.allow(sources[0], 0, 3000)
    unlimited = Budget(answers_per_s=1000, burst=1000)
    assert all(unlimited.allow(source, 0, 0) for source in sources)
    remembered = [source for source in sources if not unlimited.allow(source, 0, 1)]
    assert len(remembered) == 8


def test_one_source_is_remembered_if_that_is_all_the_room_l1():
    budget = Budget(1000, 1000, 3000, sources=1)
    assert budget.allow(b"\1\2\3\4\0\1", 0, 0) and not budget.allow(b"\1\2\3\4\0\2", 0, 1)


def test_every_octet_of_an_address_counts_and_none_of_its_port_l1():
    for size in (4, 16):
        budget = Budget(1000, 1000)
        address = bytes(range(1, size + 1))
        assert budget.allow(address + b"\0\1", 0, 0) and not budget.allow(address + b"\2\3", 0, 0)
        for i in range(size):
            other = bytearray(address)
            other[i] ^= 0x80
            assert budget.allow(bytes(other) + b"\0\1", 0, 0)
            budget = Budget(1000, 1000)
            assert budget.allow(address + b"\0\1", 0, 0)


def test_there_is_something_to_forget_until_the_bucket_is_full_and_no_pause_is_left_l5():
    for limits in ((1, 5, 3000), (1, 5, 60000), (0.5, 2, 0), (3, 1, 100)):
        budget = Budget(*limits)
        assert budget.next_timer(0) == -1
        assert budget.allow(b"\1\2\3\4\0\1", 0, 7)
        full_ms = int(1000 * limits[1] / limits[0]) + 1
        assert budget.next_timer(7) == full_ms + limits[2]
        assert budget.next_timer(8) == full_ms + limits[2] - 1
        budget.tick(7 + full_ms + limits[2])
        assert budget.next_timer(7 + full_ms + limits[2]) == -1


def test_an_answer_to_an_ike_message_does_not_wait_for_an_invalid_spi_l1():
    """Nor the other way round; each waits for its own kind, and a third source cannot make either forgotten early."""
    budget = Budget(1000, 1000, 3000, 1)
    assert [budget.allow(source(1), kind, now) for now, kind in ((0, 0), (1, 1), (2, 0), (3, 1))] == [
        True,
        True,
        False,
        False,
    ]
    assert (
        budget.allow(source(1), 0, 3000) and not budget.allow(source(1), 1, 3000) and budget.allow(source(1), 1, 3001)
    )
    assert not budget.allow(source(1), 0, 5999) and budget.allow(source(1), 0, 6000)


@pytest.mark.parametrize("kind", [0, 1])
def test_both_pauses_hold_across_the_wrap_and_end_l5(kind):
    budget = Budget(1000, 1000)
    clock = Clock(budget, PERIOD - 100)
    assert budget.allow(source(1), kind, clock.advance(clock.now))
    assert not budget.allow(source(1), kind, clock.advance(PERIOD + 2800))
    assert budget.allow(source(1), kind, clock.advance(PERIOD + 2900))
    assert budget.allow(source(1), 1 - kind, clock.advance(2 * PERIOD - 100 + PERIOD // 2))
    assert budget.allow(source(1), kind, clock.advance(clock.now))


def test_what_is_left_is_looked_at_again_l5():
    """A tick that comes while the bucket is not full, whatever the rate, leaves something to do."""
    budget = Budget(answers_per_s=1, burst=5, per_source_ms=0)
    for i in range(5):
        assert budget.allow(bytes((10, 0, 0, i, 0, 1)), 0, 0)
    wait = budget.next_timer(0)
    assert budget.allow(b"\1\2\3\4\0\1", 0, wait)
    budget.tick(wait)
    assert budget.next_timer(wait) > 0


def test_time_that_goes_backwards_is_no_time():
    assert elapsed(5, 6) == 0 and elapsed(5, 5) == 0 and elapsed(6, 5) == 1
    assert elapsed(0, 2**30 - 1) == 1 and elapsed(2**29 - 1, 0) == 2**29 - 1 and elapsed(2**29, 0) == 0
