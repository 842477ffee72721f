"""What a wake costs, from reset to the first ESP packet: the firmware and its deep sleep on the emulated board.

Its clock counts instructions, from the first line of main.py on; the gateway is the scripted one, here.
"""

import json

from boards.emulator import ADDRESS, CLOCK_NS, PEER, Board
from library.scripted_gateway import Gateway

_PSK = "of no value, but long enough"
_CONFIG = {"gateway": PEER, "id": "sensor-7", "psk": _PSK, "keep_keys": True}
_MAIN = b"""
import time
begun = time.ticks_cpu()
import ikev2_main
async def measure():
    tunnel = await ikev2_main.up()
    await tunnel.socket().sendto(bytes(64), ("10.0.0.5", 5683))
    spent = time.ticks_diff(time.ticks_cpu(), begun)
    import sys
    print("sent", spent, len(sys.modules))
    ikev2_main.sleep(600000)
ikev2_main.run(measure())
"""


def _sent(board, gateway):
    """Carry datagrams between board and gateway until the board has slept; (ticks, modules) that it says."""
    while True:
        got = board.receive_udp(0.05)
        if got:
            port, (_, via), octets = got
            for back_via, (_, back), answer in gateway.receive(via, (ADDRESS, port), octets):
                board.send_udp(back, answer, (PEER, back_via))
        try:
            board.console(b"sent ", 0.01)
        except TimeoutError:
            continue
        ticks, modules = board.console(b"\r\n").split()
        return int(ticks), int(modules)


def figures():
    """(what, number, unit)."""
    with Board(icount=True) as board:
        board.repl.fs_writefile("ikev2.json", json.dumps(_CONFIG).encode())
        board.repl.fs_writefile("main.py", _MAIN)
        board.start()
        gateway = Gateway(_PSK.encode())
        _sent(board, gateway)
        made = gateway.sas[:]
        ticks, modules = _sent(board, gateway)
        if gateway.sas != made:
            raise RuntimeError("the tunnel was not kept")
    yield "wake from reset to the first reading sent, keys kept", ticks * CLOCK_NS, "instructions"
    yield "modules that are there then", modules, "modules"


if __name__ == "__main__":
    for what, number, unit in figures():
        print(f"{what:62} {number:>13,} {unit}", flush=True)
