"""What a tunnel costs on the emulated board: to make, to keep, to use.

The device's half runs on the board, its clock counting instructions; the gateway is the scripted one, here.
"""

import contextlib

from boards.emulator import CLOCK_NS, Board
from library.scripted_gateway import Gateway

_PSK = b"of no value, but long enough"
_PPK = """
from ikev2.initial.ppk import Ppk
from ikev2.sa.payloads import chained
ppk = Ppk(b"", "sensor-7.ppk", bytes(range(32)))
class Proof:
    sk_d, ours, theirs = bytes(32), (b"", b"", bytes(32)), (b"", b"", bytes(32))
parts = [(33, bytes(40)), (40, bytes(32)), (41, ppk.asked[1])]
first, octets = chained([(36, bytes(15)), (39, bytes(36)), (33, bytes(44)), (44, bytes(40)), ppk.named])
gc.collect()
start = _ticks()
parts.append(ppk.asked)
asked = ppk.is_asked([(16388, 0, 0), (16389, 0, 0), (16435, 0, 0)])
ppk.mix(Proof)
parts.append(ppk.named)
used = ppk.is_used(first, octets)
spent_on_it = time.ticks_diff(_ticks(), start)
assert asked and used and Proof.sk_d != bytes(32)
print(spent_on_it)
"""
_SENT = 32
_SMALL = 1000  # objects of one block that fill the heap's holes
_HOST = ("198.51.100.1", 500)
_DEVICE = ("192.0.2.1", 20001)

# Adds the ticks of a call to `spent`.
TIMED = """
spent = 0
def timed(call, *arguments):
    global spent
    start = _ticks()
    value = call(*arguments)
    spent += time.ticks_diff(_ticks(), start)
    return value
"""
# What the board is told once. `now` moves only where it is said: nothing here waits.
_DEVICE_CODE = """
import gc, os, time
from binascii import hexlify, unhexlify
_ticks = time.ticks_cpu
from ikev2.budget import Budget
from ikev2.node import Node
from ikev2.sa.policy import Policy
from ikev2.spi_table import SpiTable
from inside.stack import Stack
from ipsec.life import Life
from ipsec import esp, sleep
now = 1000
def build(keep=True):
    global node, life
    policy = Policy("sensor-7", b"of no value, but long enough", groups=GROUPS, ciphers=CIPHERS)
    policy.keep_keys = keep
    node = Node(SpiTable(4, 8), os.urandom)
    life = Life(node, policy, Stack(bytes(4), Budget(10, 20, 0, 1)))
def said():
    found = []
    length = timed(node.outgoing, now)
    while length:
        found.append((node.out_via, hexlify(memoryview(node.out)[:length]).decode()))
        length = timed(node.outgoing, now)
    return found
def go_on():
    found = said()
    while node.next_timer(now) == 0:
        timed(node.tick, now)
        found += said()
    print(found)
def hear(via, octets):
    octets = unhexlify(octets)
    timed(node.receive, via, bytes((198, 51, 100, 1, via >> 8, via & 255)), octets, len(octets), now)
    go_on()
def begin():
    timed(life.begin, bytes((198, 51, 100, 1, 1, 244)), now)
    go_on()
buffer = bytearray(1520)
to = bytes((10, 0, 0, 5))
def send(data):
    size = life.stack.send(buffer, esp.ROOM, 5683, to, 5683, data)
    return life.seal(buffer, size, now)
def sent(data, spent, filled):
    gc.collect()
    small = [i / 2 for i in range(filled)]
    for i in range(len(spent)):
        start = _ticks()
        send(data)
        spent[i] = time.ticks_diff(_ticks(), start)
    print(min(spent), sum(spent) // len(spent))
"""


class Device:
    """A board with the device's half; `free` octets of heap are left to it, all of them if None."""

    def __init__(self, board, groups=(31,), ciphers=("aes-cbc-256",), free=None):
        self.board = board
        self.gateway = Gateway(_PSK, ciphers=ciphers, groups=groups)
        code = TIMED + _DEVICE_CODE.replace("GROUPS", repr(groups)).replace("CIPHERS", repr(ciphers))
        if free:  # at the heap's beginning, where the library of an application would lie
            self.board.exec(f"ballast = bytearray({self._free_after(board, code) - free})")
        self.board.exec(code + "build()\n")

    @staticmethod
    def _free_after(board, code):
        """Octets of heap that the imports leave."""
        free = int(board.exec(code + "build()\ngc.collect()\nprint(gc.mem_free())\n"))
        board.repl.exit_raw_repl()
        board.repl.enter_raw_repl(soft_reset=True)
        return free

    def tell(self, code):
        """Have the board do something, and let both speak until neither has anything to say."""
        pending = eval(self.board.exec(code))
        while pending:
            via, octets = pending.pop(0)
            for back_via, _, answer in self.gateway.receive(via, _DEVICE, bytes.fromhex(octets)):
                pending += eval(self.board.exec(f"hear({back_via}, {answer.hex()!r})"))

    def says(self, datagrams):
        """The gateway begins."""
        for via, _, octets in datagrams:
            pending = eval(self.board.exec(f"hear({via}, {octets.hex()!r})"))
            for back_via, answer in pending:
                self.gateway.receive(back_via, _DEVICE, bytes.fromhex(answer))

    def spent(self):
        """Instructions since the last call."""
        ticks = int(self.board.exec("print(spent); spent = 0"))
        return ticks * CLOCK_NS

    def sent(self, size, filled=0):
        """Instructions of a datagram of so many octets: the cheapest and the average.

        MicroPython looks for each object's room from the heap's first hole of one block on, and further with each
        datagram until it collects. Without holes the cheapest finds room at once.
        """
        ticks = self.board.exec(f"sent(bytes({size}), [0] * {_SENT}, {filled})")
        return [int(number) * CLOCK_NS for number in ticks.split()]

    def heap(self):
        """Octets in use after collection."""
        return int(self.board.exec("gc.collect(); print(gc.mem_alloc())"))

    def up(self):
        """Make the tunnel; RuntimeError if it does not come up."""
        self.tell("begin()")
        if self.board.exec("print(life.up)").strip() != "True":
            raise RuntimeError(self.board.exec("print(life.reason)"))


@contextlib.contextmanager
def _device(**options):
    with Board(icount=True) as board:
        yield Device(board, **options)


def made():
    """(what, number, unit) of an attempt, and of the tunnel that it makes."""
    with _device() as device:
        device.up()
        yield "a tunnel made, X25519, 96 KB of heap free", device.spent(), "instructions"
        up = device.heap()
        device.board.exec("node.remove(life.has.asked.slot, 0); said()")
        yield "RAM, a tunnel that is up", up - device.heap(), "octets"
        device.board.exec("build()")
        device.spent()
        device.up()
        yield "a tunnel made again, known answers given", device.spent(), "instructions"
        yield "a PPK asked for, mixed in and confirmed", int(device.board.exec(_PPK)) * CLOCK_NS, "instructions"
        sa = device.gateway.sas[-1]
        live = device.heap()
        for group, name in ((0, "without PFS"), (31, "with PFS")):
            device.spent()
            device.says(device.gateway.rekey_child(sa, group=group))
            yield f"rekey of the Child SA answered, {name}", device.spent(), "instructions"
            if not group:
                yield "RAM, both pairs of a rekey", device.heap() - live, "octets"
            device.says(device.gateway.delete_child(sa, sa.children[0]))
            device.board.exec("now += 2500\nnode.tick(now)")  # K11: packets on their way are waited for
        yield "RAM, once the old pair is deleted", device.heap() - live, "octets"
        for size in (64, 1024):
            what = f"a datagram of {size} octets into the tunnel"
            yield what + ", room found at once", device.sent(size, _SMALL)[0], "instructions"
            yield what + ", on average", device.sent(size)[1], "instructions"
    with _device(free=24576) as device:
        device.up()
        yield "a tunnel made, X25519, 24 KB of heap free", device.spent(), "instructions"
    with _device(groups=(14,)) as device:
        device.up()
        yield "a tunnel made, MODP-2048", device.spent(), "instructions"


_SLEEP = """
length = send(bytes(64))
octets = sleep.keep(life, now)
table = node.table.snapshot()
print(hexlify(table).decode(), hexlify(octets).decode(), length)
"""


def kept():
    """Octets that deep sleep keeps."""
    with Board(icount=True) as board:
        device = Device(board)
        device.up()
        table, octets, length = board.exec(_SLEEP).split()
    yield "RTC memory, a tunnel", len(octets) // 2, "octets"
    yield "RTC memory, a table of 4 IKE SAs and 8 Child SAs", len(table) // 2, "octets"
    yield "ESP in UDP, a reading of 64 octets", int(length), "octets"


def figures():
    """Everything."""
    yield from made()
    yield from kept()


if __name__ == "__main__":
    for what, number, unit in figures():
        print(f"{what:62} {number:>13,} {unit}", flush=True)
