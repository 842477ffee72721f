"""Runs golden vectors where they are to run: CPython, the MicroPython unix port, a board. No checks in here.

A case is what vector_files.compile_case makes of one: octets as hex, endpoints as address and port octets.
From "datagram in a buffer" to "reply in a buffer" the heap is locked, where there is a heap lock. Between
the steps time passes as in a driver: the node's timers are served when they are due.
"""

import json
import os
import sys
from binascii import hexlify, unhexlify

from ikev2.node import Node
from ikev2.notifier import VERDICTS
from ikev2.spi_table import SpiTable

try:
    from micropython import heap_lock, heap_unlock
except ImportError:

    def heap_lock():
        pass

    heap_unlock = heap_lock

_PERIOD = 1 << 30


def build(case):
    """The node that the case starts with."""
    table = SpiTable(max(16, len(case["ike_sas"])), max(32, len(case["child_sas"])), case["address"])
    slots = []
    for spi_i, spi_r, initiator, peer, established in case["ike_sas"]:
        slots.append(table.adopt_ike(unhexlify(spi_i), unhexlify(spi_r), initiator, unhexlify(peer), established))
    for ike, protocol, spi_in, spi_out in case["child_sas"]:
        table.adopt_child(slots[ike], protocol, unhexlify(spi_in), unhexlify(spi_out))
    node = Node(table, os.urandom, **case["config"])
    for ike, exchange, message_id in case["outstanding"]:
        node.expect(slots[ike], exchange, unhexlify(message_id))
    return node


def sent(node, now):
    """Everything that leaves the node now: [our port, endpoint, octets]."""
    out = []
    length = node.outgoing(now)
    while length:
        out.append([node.out_via, hexlify(node.out_to).decode(), hexlify(node.out[:length]).decode()])
        length = node.outgoing(now)
    return out


def run(case):
    """[verdict or None, what was sent, whether the SA table is unchanged] for each step."""
    node = build(case)
    before = node.table.snapshot()
    results = []
    clock = 0
    for at_ms, via, source, octets in case["steps"]:
        out = []
        wait = node.next_timer(clock % _PERIOD)
        while 0 <= wait <= at_ms - clock:
            clock += max(1, wait)
            node.tick(clock % _PERIOD)
            out += sent(node, clock % _PERIOD)
            wait = node.next_timer(clock % _PERIOD)
        clock = max(clock, at_ms)
        now = clock % _PERIOD
        verdict = None
        if via:
            source = unhexlify(source)
            octets = bytearray(unhexlify(octets))
            length = len(octets)
            heap_lock()
            try:
                verdict = node.receive(via, source, octets, length, now)
            finally:
                heap_unlock()
            verdict = VERDICTS[verdict]
        else:
            node.tick(now)
        out += sent(node, now)
        results.append([verdict, out])
    received = sum(1 for step in case["steps"] if step[1])
    return {"steps": results, "unchanged": node.table.snapshot() == before, "counted": sum(node.counters) == received}


def run_json(line):
    """Results of `run` as JSON, or {"error": …} for whatever it raised."""
    try:
        return json.dumps(run(json.loads(line)))
    except Exception as error:
        return json.dumps({"error": "%s: %s" % (type(error).__name__, error)})


def main():
    """One case a line on standard input, one result a line on standard output."""
    line = sys.stdin.readline()
    while line.strip():
        print(run_json(line))
        line = sys.stdin.readline()


if __name__ == "__main__":
    main()
