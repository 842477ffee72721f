"""Mixed datagrams by the million, through one node: questions of the vectors, mutated, cut, glued, and noise.

Runs under CPython and MicroPython: mixed_traffic.py COUNT SEED, seeds on standard input: a line of
`via hex` for each. Whatever comes, there is a verdict and no exception; no answer is longer than its
question; an answer fed back is silence, from this node and from another; the SA table stays as it was;
the counters add up. Prints the heap in use after the first thousand and at the end.
"""

import gc
import os
import sys
from binascii import unhexlify

from ikev2.node import Node
from ikev2.notifier import DELIVER_IKE, DELIVER_INIT, INVALID_MAJOR_VERSION
from ikev2.spi_table import SpiTable

_UDP_HEADER = 8


class Dice:
    """xorshift in 30 bits: the same datagrams on every machine, and no heap."""

    def __init__(self, seed):
        self.state = seed or 1

    def roll(self, sides):
        x = self.state
        x ^= (x << 7) & 0x3FFFFFFF
        x ^= x >> 9
        x ^= (x << 8) & 0x3FFFFFFF
        self.state = x
        return x % sides


def mutate(dice, octets, length, buffer):
    """Copy octets into buffer with a few changes; returns the new length."""
    for i in range(length):
        buffer[i] = octets[i]
    kind = dice.roll(8)
    if kind == 0:
        return dice.roll(length + 1)
    if kind == 1:
        grown = min(len(buffer), length + dice.roll(40))
        for i in range(length, grown):
            buffer[i] = dice.roll(256)
        return grown
    if kind == 2:
        length = dice.roll(100)
        for i in range(length):
            buffer[i] = dice.roll(256)
        return length
    for _ in range(kind - 3):
        if length:
            at = dice.roll(min(length, 44))
            buffer[at] ^= 1 << dice.roll(8)
    return length


def table():
    """A few SAs, those of the vectors among them, and the slot of one that we initiated."""
    made = SpiTable(4, 4)
    slot = made.adopt_ike(
        unhexlify("1111222233334444"), unhexlify("5555666677778888"), False, b"\xc0\0\2\1\1\xf4", True
    )
    made.adopt_child(slot, 50, unhexlify("c0ffee01"), unhexlify("0badcafe"))
    made.adopt_child(slot, 51, unhexlify("c0ffee02"), unhexlify("0badcaff"))
    ours = made.adopt_ike(
        unhexlify("1212121212121212"), unhexlify("3434343434343434"), True, b"\xc6\x33\x64\7\x11\x94", True
    )
    return made, ours


def run(count, seed, seeds, report):
    """Feed `count` datagrams; returns the node. AssertionError names the datagram that broke a promise."""
    dice = Dice(seed)
    sas, ours = table()
    node = Node(sas, os.urandom, answers_per_s=1000000, burst=1000000, per_source_ms=0)
    node.expect(ours, 37, b"\0\0\0\7")
    other = Node(SpiTable(1, 1), os.urandom, answers_per_s=1000000, burst=1000000, per_source_ms=0)
    before = node.table.snapshot()
    buffer = bytearray(256)
    echo = bytearray(256)
    sources = (b"\xc0\0\2\1\1\xf4", b"\xc6\x33\x64\7\x11\x94", b"\x7f\0\0\1\xee\x32", b"\0\0\0\0\1\xf4")
    bare = (b"\xc0\0\2\1\0\0", b"\xc6\x33\x64\7\0\0")
    fed_back = 0
    for i in range(count):
        via, octets = seeds[dice.roll(len(seeds))]
        source = sources[dice.roll(4)] if via > 99 else bare[dice.roll(2)]
        length = mutate(dice, octets, min(len(octets), 200), buffer)
        now = i & 0x3FFFFFFF
        verdict = node.receive(via, source, buffer, length, now)
        answer = node.outgoing(now)
        while node.event():
            pass
        assert bool(answer) <= (verdict <= INVALID_MAJOR_VERSION), bytes(buffer[:length])
        if answer:
            assert answer <= (length if via > 99 else length - _UDP_HEADER), bytes(buffer[:length])
            echo[:answer] = node.out[:answer]
            back_by = node.out_via
            for fed in (node, other):
                silent = fed.receive(back_by, sources[1], echo, answer, now)
                assert silent > INVALID_MAJOR_VERSION and not fed.outgoing(now), bytes(buffer[:length])
                assert silent != DELIVER_IKE and silent != DELIVER_INIT, bytes(buffer[:length])
            fed_back += 1
        if i == 999:
            gc.collect()
            report("heap after the first thousand", gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0)
        elif i % 100000 == 99999:
            report("datagrams", i + 1)
    assert sum(node.counters) == count + fed_back
    assert node.table.snapshot() == before
    gc.collect()
    report("heap at the end", gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0)
    return node


def read(stream):
    """[(via, octets)] of seed lines, up to an empty one."""
    seeds = []
    line = stream.readline().split()
    while line:
        seeds.append((int(line[0]), unhexlify(line[1] if len(line) > 1 else "")))
        line = stream.readline().split()
    return seeds


if __name__ == "__main__":
    run(int(sys.argv[1]), int(sys.argv[2]), read(sys.stdin), lambda name, number: print(name, number))
    print("done")
