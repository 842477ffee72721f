"""A device whose heap is filled for single calls, at random: MicroPython's half of far_device.py.

A line on stdin is (what to do, what to say of it, None or how the heap is filled meanwhile), one on stdout the answer:
(name of the error or "", what was to be said). What is said is made once the heap is free again.
"""

import gc
import os
import sys

from ikev2.budget import Budget
from ikev2.node import Node
from ikev2.sa.policy import Policy
from ikev2.spi_table import SpiTable
from inside.stack import Stack
from ipsec import sleep
from ipsec.esp import ROOM
from ipsec.life import Life

HOST = bytes((198, 51, 100, 1, 1, 244))
THERE = bytes((10, 0, 0, 5))
PSK = b"of no value, but long enough"
SIZES = (2048, 512, 256, 64, 16)
ballast = [None] * 24000
buffer = bytearray(1520)
octets = table = b""
result = met = 0


def build(ike=4, child=8, **settings):
    global node, life
    policy = Policy("sensor-7", PSK)
    policy.keep_keys = True
    node = Node(SpiTable(ike, child), os.urandom)
    life = Life(node, policy, stack(), **settings)


def stack():
    return Stack(bytes(4), Budget(10, 20, 0, 1))


def fill(seed, left):
    """Take the heap in pieces, then give back pieces at random until about `left` octets are free."""
    count = 0
    for size in SIZES:
        try:
            while count < len(ballast):
                seed = seed * 1103515245 + 12345 & 0x3FFFFFFF
                ballast[count] = bytearray(1 + size // 2 + (seed >> 8) % (size // 2))
                count += 1
        except MemoryError:
            pass
    while left > 0 and count:
        seed = seed * 1103515245 + 12345 & 0x3FFFFFFF
        at = (seed >> 8) % count
        left -= len(ballast[at]) + 16
        count -= 1
        ballast[at], ballast[count] = ballast[count], None
    gc.collect()


def free():
    for at in range(len(ballast)):
        ballast[at] = None
    gc.collect()


def begin(now):
    """As Tunnel does."""
    try:
        life.begin(HOST, now)
    except Exception as error:
        life.unresolved(str(error), now)


def echo(number, now):
    return life.seal(buffer, life.stack.ping(buffer, ROOM, THERE, number), now) if life.up else 0


def fall_asleep(now):
    """As Tunnel.sleep does; what fails keeps nothing."""
    global octets, table
    octets = table = b""
    octets = sleep.keep(life, now)
    if not octets:
        sleep.forget(life)
    table = node.table.snapshot()


def wake(slept_ms, now):
    """As the firmware and Tunnel.wake do."""
    global octets, table, met
    kept, octets = octets, b""
    woken = False
    try:
        if table and node.table.restore(table):
            woken = sleep.wake(life, kept, slept_ms, now)
    except MemoryError:
        met += 1
    sleep.clear(node)
    return woken


def main():
    global result
    build()
    while True:
        line = sys.stdin.readline()
        if not line:
            return
        do, said, filled = eval(line)
        do = eval("lambda: " + do)
        error = None
        if filled:
            fill(*filled)
        try:
            result = do()
        except Exception as raised:
            error = raised
        if filled:
            free()
        print(repr((repr(error) if error else "", None if error else eval(said))))


main()
