"""What TCP inside a tunnel costs on the emulated Cortex-M3: instructions a segment, RAM a connection."""

from boards.emulator import CLOCK_NS, Board
from tools import ROOT

SIZES = (64, 1360)  # octets of data
_BEGIN = """
import gc, time
wire = Wire()
here, there = wire.connected()
wire.pass_time(100)
ours, theirs = wire.ends
out = bytearray(1500)
def clock(function, *arguments):
    "ticks of a call without a collection, beside those of a call, and what it gives"
    gc.collect()
    gc.disable()
    start = time.ticks_cpu()
    got = function(*arguments)
    ticks = time.ticks_diff(time.ticks_cpu(), start)
    gc.enable()
    return ticks, got
def nothing(a, b, c, d):
    pass
def cost(size):
    least = None
    for _ in range(4):
        data = bytes(size)
        buf = bytearray(size)
        call = clock(nothing, 0, 0, 0, 0)[0]
        wrote, _ = clock(here.write, data)
        ours.stack.next_timer(wire.now)
        wire.now += 10
        made, n = clock(ours.stack.tcp.outgoing, out, 0, 1400, wire.now)
        assert n == 40 + size
        taken, _ = clock(theirs.stack.receive, bytearray(out), n, wire.now)
        read, got = clock(there.readinto, buf)
        assert got == size
        wire.now += 50
        acked, n = clock(theirs.stack.tcp.outgoing, out, 0, 1400, wire.now)
        assert n == 40
        acknowledged, _ = clock(ours.stack.receive, bytearray(out[:100]), n, wire.now)
        found = [ticks - call for ticks in (wrote, made, taken, read, acked, acknowledged)]
        least = found if least is None else [min(pair) for pair in zip(least, found)]
        wire.pass_time(50)
    print(*least)
"""
_RAM = """
def used():
    gc.collect()
    return gc.mem_alloc()
wire = Wire(buffer=128)
pairs = [wire.connected()]
before = used()
for _ in range(3):
    pairs.append(wire.connected())
    here, there = pairs[-1]
    for one, other in ((here, there), (there, here)):
        one.write(bytes(100))
        wire.run(lambda: other.readable == 100)
        other.readinto(bytearray(100))
wire.pass_time(100)
print((used() - before) // 6 - 2 * 128)
"""
_ON_BOARD = (ROOT / "host_tests/library/tcp_wire.py").read_text()


def measured():
    """{size: {what: instructions}}, and octets of heap of a connection that has been used, beside its buffers."""
    names = ("written", "made", "taken", "read", "ACK made", "ACK taken")
    with Board(icount=True) as board:
        board.exec(_ON_BOARD + _BEGIN)
        found = {}
        for size in SIZES:
            ticks = map(int, board.exec(f"cost({size})").split())
            found[size] = {name: number * CLOCK_NS for name, number in zip(names, ticks, strict=True)}
        ram = board.exec(_RAM)
    return found, int(ram)


def figures():
    """(what, number, unit), as size.py prints them."""
    found, ram = measured()
    for what in ("ACK made", "ACK taken"):
        yield f"TCP inside, {what}", found[SIZES[0]][what], "instructions"
    for size in SIZES:
        for what in ("written", "made", "taken", "read"):
            yield f"TCP inside, {size:,} octets {what}", found[size][what], "instructions"
    yield "RAM, a TCP connection beside its buffers", ram, "octets"


if __name__ == "__main__":
    for what, number, unit in figures():
        print(f"{what:70} {number:>9,} {unit}", flush=True)
