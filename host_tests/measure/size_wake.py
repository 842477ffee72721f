"""What a wake costs, from reset to the first ESP packet: the firmware and its deep sleep on the emulated board.

Its clock counts instructions, from the first line of main.py on; the gateway is the scripted one, here, and far_host.py
is what a kept connection leads to.
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
        """Carry datagrams until the board has slept; (ticks, modules) that it says."""
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
            return int(ticks), int(modules)

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
    """(ticks, modules) of a program's first packet in a waking."""
    with Board(icount=True) as board:
        board.repl.fs_writefile("ikev2.json", json.dumps(_CONFIG).encode())
        board.repl.fs_writefile("main.py", (_MAIN % program.strip()).encode())
        board.start()
        world = World(board)
        world.sent()
        made = world.gateway.sas[:], world.syns
        found = world.sent()
        if (world.gateway.sas, world.syns) != made:
            raise RuntimeError("the tunnel was not kept, or the connection")
        return found


def figures():
    """(what, number, unit)."""
    ticks, modules = _woken(_UDP)
    yield "wake from reset to the first reading sent, keys kept", ticks * CLOCK_NS, "instructions"
    yield "modules that are there then", modules, "modules"
    ticks, modules = _woken(_TCP)
    yield "wake from reset to a reading sent by a kept connection", ticks * CLOCK_NS, "instructions"
    yield "modules that are there then, with TCP", modules, "modules"


if __name__ == "__main__":
    for what, number, unit in figures():
        print(f"{what:62} {number:>13,} {unit}", flush=True)
