"""What a wake costs, from reset to the first ESP packet: the firmware and its deep sleep on the emulated board.

Its clock counts instructions, from the first line of main.py on; the gateway is the scripted one, here, and far_host.py
is what a kept connection leads to. `steps` says where they go: to each module that is imported, and to what is done
then, in a run of its own whose clock costs some, too.
"""

import json

from boards.emulator import ADDRESS, CLOCK_NS, PEER, Board
from library.far_host import FarHost
from library.scripted_gateway import Gateway

_TCP_PROTOCOL = 6
_PSK = "of no value, but long enough"
_CONFIG = {"gateway": PEER, "id": "sensor-7", "psk": _PSK, "keep_keys": True}
_MAIN = """
import time
begun = time.ticks_cpu()
import ikev2_main
async def measure():
    tunnel = await ikev2_main.up()
    %s
    import sys
    print("sent", spent, len(sys.modules))
    await tunnel.sleep(600000)
ikev2_main.run(measure())
"""
# Modules as they come to their end, in a waking: what one imports itself is there before it.
_ORDER = """
import builtins, sys
order = []
real = builtins.__import__
def spy(name, *rest):
    if len(rest) == 4 and rest[3]:
        name, rest = "asyncio" + ("." + name if name else ""), rest[:3]
    there = name in sys.modules
    made = real(name, *rest)
    if not there and name in sys.modules and name not in order:
        order.append(name)
    return made
builtins.__import__ = spy
import ikev2_main
async def measure():
    tunnel = await ikev2_main.up()
    await tunnel.socket().sendto(bytes(64), ("10.0.0.5", 5683))
    builtins.__import__ = real
    print("sent", ",".join(order), len(sys.modules))
    await tunnel.sleep(600000)
ikev2_main.run(measure())
"""
# The same modules one after the other, then the steps of their work.
_STEPS = """
import time
ticks, diff = time.ticks_cpu, time.ticks_diff
spent = []
inner = [0]
def timed(holder, name):
    call = getattr(holder, name)
    def run(*arguments):
        inner.append(0)
        begun = ticks()
        found = call(*arguments)
        took = diff(ticks(), begun)
        spent.append((name.split("_ikev2")[0], took - inner.pop()))
        inner[-1] += took
        return found
    setattr(holder, name, run)
for name in ORDER:
    begun = ticks()
    __import__(name)
    spent.append((name, diff(ticks(), begun)))
import sys, ikev2_main
there = sys.modules
timed(there["ikev2_json"], "read")
timed(ikev2_main, "_prepare")
timed(there["ikev2_tunnel"], "made_ikev2_tunnel")
timed(there["ikev2_tunnel"].Tunnel, "wake")
begun = ticks()
async def measure():
    tunnel = await ikev2_main.up()
    up = ticks()
    await tunnel.socket().sendto(bytes(64), ("10.0.0.5", 5683))
    spent.append(("send", diff(ticks(), up)))
    spent.append(("serve", diff(up, begun) - inner[0]))
    print("sent", ",".join(["%s:%d" % one for one in spent]), len(there))
    await tunnel.sleep(600000)
ikev2_main.run(measure())
"""
# What is imported in a waking and why; what is done then.
WHY = {
    "ikev2_memory": "what is built in, looked up once",
    "asyncio": "the loop, with its core",
    "ikev2_core": "table, node: section 1.5",
    "ikev2_udp": "sockets and addresses",
    "ikev2_sleep": "what RTC memory kept",
    "ikev2_main": "a board's life, its network",
    "ikev2_json": "reads ikev2.json",
    "ipsec_core": "IKE SA, ESP, ciphers, inside",
    "ikev2_tunnel": "the tunnel of ikev2.json, its API",
    "read": "ikev2.json, read and checked",
    "_prepare": "the table restored, the node",
    "made": "the tunnel made",
    "wake": "its SAs restored",
    "serve": "loop, link and sockets",
    "send": "the first reading sealed and sent",
}
_UDP = """
    await tunnel.socket().sendto(bytes(64), ("10.0.0.5", 5683))
    spent = time.ticks_diff(time.ticks_cpu(), begun)
"""
# What was written waits 5 ms for more (V6), which are none of its instructions.
_TCP = """
    kept = tunnel.connections
    stream = kept[0] if kept else (await tunnel.open_connection("10.0.0.5", 7))[0]
    stream.write(bytes(64))
    spent = time.ticks_diff(time.ticks_cpu(), begun)
    time.sleep_ms(6)
    begun_again = time.ticks_cpu()
    tunnel.udp.look()
    spent += time.ticks_diff(time.ticks_cpu(), begun_again)
    await stream.readexactly(64)
"""


class World:
    """The gateway, and a host behind it, at the other end of a board's link."""

    def __init__(self, board):
        self.gateway = Gateway(_PSK.encode())
        self.syns = 0
        self._board = board
        self._far = FarHost(bytes((10, 0, 0, 5)))
        self._peer = None

    def sent(self):
        """Carry datagrams until the board has slept; (ticks, modules) that it says, or what stands for ticks."""
        while True:
            got = self._board.receive_udp(0.05)
            if got:
                port, (_, via), octets = got
                self._carry(port, via, octets)
            for packet in self._far.due() if self._peer else ():
                self._inside(packet)
            try:
                self._board.console(b"sent ", 0.01)
            except TimeoutError:
                continue
            ticks, modules = self._board.console(b"\r\n").split()
            return ticks, int(modules)

    def _carry(self, port, via, octets):
        for sa in self.gateway.sas if via == 4500 else ():
            for child in sa.children:
                packet = child.open(octets) if octets[:4] == child.spi_in else None
                if packet:
                    self._peer = port
                    self.syns += packet[9] == _TCP_PROTOCOL and packet[33] & 2 == 2
                    for answer in self._far.carry(packet):
                        self._inside(answer)
        for back_via, (_, back), answer in self.gateway.receive(via, (ADDRESS, port), octets):
            self._board.send_udp(back, answer, (PEER, back_via))

    def _inside(self, packet):
        self._board.send_udp(self._peer, self.gateway.sas[-1].children[-1].seal(packet), (PEER, 4500))


def _woken(program):
    """What a program, a whole main.py, says of its first packet in a waking."""
    with Board(icount=True) as board:
        board.repl.fs_writefile("ikev2.json", json.dumps(_CONFIG).encode())
        board.repl.fs_writefile("main.py", program.encode())
        board.start()
        world = World(board)
        world.sent()
        made = world.gateway.sas[:], world.syns
        found = world.sent()
        if (world.gateway.sas, world.syns) != made:
            raise RuntimeError("the tunnel was not kept, or the connection")
        return found


def steps():
    """(module or step, why, instructions) of a waking, in the order in which they end."""
    order, _ = _woken(_ORDER)
    order = [name for name in order.split(",") if not name.startswith("asyncio.")]
    said, _ = _woken(_STEPS.replace("ORDER", repr(order)))
    for one in said.split(","):
        name, ticks = one.split(":")
        yield name, WHY[name], int(ticks) * CLOCK_NS


def figures():
    """(what, number, unit)."""
    ticks, modules = _woken(_MAIN % _UDP.strip())
    yield "wake from reset to the first reading sent, keys kept", int(ticks) * CLOCK_NS, "instructions"
    yield "modules that are there then", modules, "modules"
    for name, why, count in steps():
        yield f"wake, {f'import {name}, ' if name.startswith(('ik', 'ip', 'as')) else ''}{why}", count, "instructions"
    ticks, modules = _woken(_MAIN % _TCP.strip())
    yield "wake from reset to a reading sent by a kept connection", int(ticks) * CLOCK_NS, "instructions"
    yield "modules that are there then, with TCP", modules, "modules"


if __name__ == "__main__":
    for what, number, unit in figures():
        print(f"{what:62} {number:>13,} {unit}", flush=True)
