"""What accepting costs on the emulated board: instructions and octets a peer, and beside the key operations.

The hub's half runs on the board, its clock counting instructions; the callers are the scripted ones, here.
"""

import os

from boards.emulator import CLOCK_NS, Board
from library.scripted_caller import Caller

from measure.size_tunnel import TIMED

_PSK = b"of no value, but long enough"
_PEERS = 8

# What the board is told once. `now` never moves: nothing here waits.
_HUB_CODE = """
import gc, os, time
from binascii import hexlify, unhexlify
_ticks = time.ticks_cpu
from ikev2.budget import Budget
from ikev2.crypto.slices import Slices
from ikev2.initial.peers import Peers
from ikev2.node import Node
from ikev2.sa.selectors import network
from ikev2.spi_table import SpiTable
from inside.stack import Stack
from ipsec.members import Members
keys = 0
_step = Slices.step
def step(self):
    global keys
    start = _ticks()
    over = _step(self)
    keys += time.ticks_diff(_ticks(), start)
    return over
Slices.step = step
peers = Peers("hub.example", bytes((10, 9, 0, 254)), network("10.9.0.0/24"))
for i in range(PEERS):
    peers.add("sensor-%d" % i, b"of no value, but long enough")
node = Node(SpiTable(24, 24), os.urandom)
members = Members(node, peers, Stack(peers.inside, Budget(10, 20, 0, 1)), PEERS, cookies_from=COOKIES)
def said():
    found = []
    length = timed(node.outgoing, 1000)
    while length:
        found.append(hexlify(memoryview(node.out)[:length]).decode())
        length = timed(node.outgoing, 1000)
    while members.event():
        pass
    return found
def hear(i, via, octets):
    octets = unhexlify(octets)
    timed(node.receive, via, bytes((198, 51, 100, i, via >> 8, via & 255)), octets, len(octets), 1000)
    found = said()
    while node.next_timer(1000) == 0:
        timed(node.tick, 1000)
        found += said()
    print(found)
"""


class Hub:
    """A board that accepts."""

    def __init__(self, board, cookies_from=99):
        self.board = board
        board.exec(TIMED + _HUB_CODE.replace("PEERS", str(_PEERS)).replace("COOKIES", str(cookies_from)))

    def ask(self, number, octets, via):
        """What it says to a datagram of caller `number`."""
        octets = bytes(4 * (via == 4500)) + octets
        said = eval(self.board.exec(f"hear({number + 1}, {via}, {octets.hex()!r})"))
        return [bytes.fromhex(one)[4 * (via == 4500) :] for one in said]

    def spent(self):
        """(instructions, those of key operations) since the last call."""
        ticks = self.board.exec("print(spent, keys); spent = keys = 0").split()
        return tuple(int(tick) * CLOCK_NS for tick in ticks)

    def heap(self):
        """Octets in use after collection."""
        return int(self.board.exec("gc.collect(); print(gc.mem_alloc())"))


def figures():
    """(what, number, unit) of peers that are accepted, one after the other."""
    with Board(icount=True) as board:
        hub = Hub(board)
        callers = [Caller(_PSK, f"sensor-{number}", random=os.urandom) for number in range(_PEERS)]
        empty = hub.heap()
        for number, caller in enumerate(callers):
            if number < 2:
                hub.spent()
            (answer,) = hub.ask(number, caller.first(), 500)
            if number == 1:
                yield "accepting: IKE_SA_INIT answered, public value there", hub.spent()[0], "instructions"
                half_open = hub.heap()
            request = caller.hear(answer)
            (answer,) = hub.ask(number, request, 4500)
            caller.hear(answer)
            if not caller.child:
                raise RuntimeError("not accepted")
            if number == 0:
                one = hub.heap()
            if number == 1:
                yield "RAM, a half-open IKE SA", half_open - one, "octets"
                whole, keys = hub.spent()
                yield "accepting: IKE_AUTH answered, shared secret aside", whole - keys, "instructions"
                yield "accepting: IKE_AUTH answered, X25519", whole, "instructions"
        yield "RAM, a peer accepted", (hub.heap() - one) // (_PEERS - 1), "octets"
        yield "RAM, the first of them, and what all share", one - empty, "octets"
    with Board(icount=True) as board:
        hub = Hub(board, cookies_from=0)
        caller = Caller(_PSK, "sensor-0", random=os.urandom)
        hub.ask(0, caller.first(), 500)
        hub.spent()
        hub.ask(0, caller.first(), 500)
        yield "accepting: a COOKIE", hub.spent()[0], "instructions"


if __name__ == "__main__":
    for what, number, unit in figures():
        print(f"{what:62} {number:>13,} {unit}", flush=True)
