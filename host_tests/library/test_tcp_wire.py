"""Two TCPs of ours with each other (V3, V4, V6): every octet arrives, whatever the wire does; no timer spins."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inside.tcp import Tcp

from library import hostile, tcp_wire
from library.machines import MACHINES, on_unix
from library.tcp_wire import Random, Transfer, Wire

DELAYS, LOSSES = (0, 10, 100), (0, 2, 10)  # one way


@pytest.mark.parametrize("delay", DELAYS)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_stream_each_way(delay, loss):
    """V3, V4, V8: at 0, 20 and 200 ms of round trip, with 0, 2 and 10 % loss, until both tables are empty."""
    right, _, _ = tcp_wire.transfer(100000, delay_ms=delay, loss=loss)
    assert right


@settings(max_examples=60, deadline=None)
@given(
    delay=st.integers(0, 300), loss=st.integers(0, 15), jitter=st.integers(0, 100), doubled=st.integers(0, 30),
    seed=st.integers(0, 2**20), now=st.sampled_from([0, 2**30 - 3000]), buffer=st.sampled_from([128, 1000, 2720, 9000]),
)  # fmt: skip
def test_any_wire(delay, loss, jitter, doubled, seed, now, buffer):
    """V3, V4, V11: reordering, doubling, any size of the rings, a clock that wraps."""
    right, _, _ = tcp_wire.transfer(
        8000, delay_ms=delay, loss=loss, jitter_ms=jitter, doubled=doubled, seed=seed, now=now, buffer=buffer
    )
    assert right


def throughput(delay, loss, size=200000, seed=1):
    """kB/s of a stream one way."""
    wire = Wire(delay_ms=delay, loss=loss, seed=seed)
    here, there = wire.connected()
    stream = Transfer(here, there, size)
    stream.move()
    wire.run(lambda: stream.done, each=stream.move)
    assert stream.right
    return size / wire.now


def test_two_segments_each_round_trip():
    """V5, V6: without loss, all that a ring of two segments gives at 20 ms of round trip; with 2 % most of it."""
    assert throughput(10, 0) > 110
    assert throughput(10, 2, 1000000) > 100


def test_without_delay_nothing_waits():
    """V5, V6: neither for a delayed ACK nor for more data."""
    assert throughput(0, 0) > 10000


def test_two_hundred_connections_in_a_row():
    """V1, V8, V9: each with a question and an answer, closed by the side that asked, or by the other."""
    wire = Wire(delay_ms=1)
    for number in range(200):
        here, there = wire.connected()
        here.write(b"question")
        wire.run(lambda there=there: there.readable == 8)
        assert there.readinto(bytearray(99)) == 8
        there.write(b"answer")
        first, last = (here, there) if number & 1 else (there, here)
        first.close(wire.now) if first is there else wire.run(lambda here=here: here.readable == 6)
        buf = bytearray(99)
        wire.run(lambda here=here: here.readable)
        assert here.readinto(buf) == 6
        here.close(wire.now)
        last.close(wire.now)
        wire.run(lambda: all(one.state == "TIME-WAIT" for end in wire.ends for one in end.tcp.connections))
    assert all(len(end.tcp.connections) <= 3 for end in wire.ends)


def test_both_sleep_with_an_idle_connection():
    """V14: kept by both ends, and each wakes with another clock."""
    wire = Wire(delay_ms=10)
    here, there = wire.connected()
    wire.pass_time(100)
    for end in wire.ends:
        kept = end.tcp.keep(wire.now)
        assert len(kept) == 24
        end.tcp = Tcp(end.stack, Random(5))
        end.tcp.restore(kept, wire.now)
    (here,), (there,) = wire.ends[0].tcp.connections, wire.ends[1].tcp.connections
    both = Transfer(here, there, 9000), Transfer(there, here, 9000)
    for one in both:
        one.move()
    wire.run(lambda: both[0].done and both[1].done, each=lambda: [one.move() for one in both])
    assert both[0].right and both[1].right


def test_a_connection_that_only_one_side_has():
    """V14, V7: the other's RST says so at once."""
    wire = Wire()
    here, _ = wire.connected()
    wire.ends[1].tcp = Tcp(wire.ends[1].stack, Random(5))
    here.write(b"anybody there?")
    wire.run(lambda: here.error)
    assert not wire.ends[0].tcp.connections


def test_a_wire_that_is_cut():
    """V3: everything is given up in the end, and both tables are empty."""
    wire = Wire(delay_ms=10)
    here, there = wire.connected()
    here.write(b"lost")
    there.keepalive(60000)
    wire.drop = lambda *_: True
    wire.run(lambda: here.error and there.error)
    assert not wire.ends[0].tcp.connections and not wire.ends[1].tcp.connections


def test_hostile_segments():
    """V4, V9, V11: a hundred thousand, random and nearly right; `make fuzz` has more patience."""
    for seed in range(2000):
        hostile.one(random.Random(seed).randbytes(400))


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.__name__)
def test_on_every_machine(machine):
    """V3, V4, V13: the same packets at the same times as on CPython, on the boards too."""
    wire = {"delay_ms": 10, "loss": 5, "jitter_ms": 20, "doubled": 5, "seed": 3}
    expected = tcp_wire.transfer(12000, **wire)
    code = "from library.tcp_wire import *\n" if machine is on_unix else tcp_wire_source()
    assert machine(code + f"print(transfer(12000, **{wire}))").strip() == str(expected) and expected[0]


def tcp_wire_source():
    with open(tcp_wire.__file__) as file:
        return file.read()
