"""A device in a host: a program of this folder under MicroPython, CPython or on the emulated board."""

import json
import os
import subprocess
import sys

from boards.emulator import ADDRESS, PEER, Board
from boards.udp_proxy import UdpProxy
from tools import HERE, device_environment, micropython

from peers.real_gateways import ECHO
from peers.router import INNER

_PATIENCE_S = 3600 if os.environ.get("EVERY") else 180


def sent(machine, place, settings, count, every_ms, folder, ahead=1000000):
    """What echo_client.py tells of so many datagrams to the echo server, through a Tunnel with these settings."""
    given = {"tunnel": settings, "to": INNER, "port": ECHO, "count": count, "every_ms": every_ms, "ahead": ahead}
    return told(machine, place, "echo_client", given, folder)[0]


def told(machine, place, program, given, folder):
    """What the program prints, a line of JSON each, for what is given to it as a file of JSON."""
    path = folder / "settings.json"
    path.write_text(json.dumps(given))
    if machine == "board":
        lines = _on_the_board(place, program, path)
    else:
        interpreter = micropython() if machine == "unix" else sys.executable
        command = [*place.prefix, interpreter, HERE / f"peers/{program}.py", path]
        ran = subprocess.run(command, capture_output=True, text=True, env=device_environment(), timeout=_PATIENCE_S)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        lines = ran.stdout.splitlines()
    return [json.loads(line) for line in lines]


# Between collections: without them, what stays is scattered over the whole heap, and no piece is left for a buffer.
_BOARD = """
import gc, link
gc.threshold(8192)
link.up(%r, %r)
import asyncio, json, %s as program
asyncio.run(program.main(json.load(open("settings.json"))))
"""


def _on_the_board(place, program, path):
    """What it prints there; the board's datagrams leave from that host."""
    with Board() as board:
        board.repl.enter_raw_repl(soft_reset=True)  # without main.py
        board.exec("import _boot")
        board.repl.fs_writefile(f"{program}.py", (HERE / f"peers/{program}.py").read_bytes())
        board.repl.fs_writefile("settings.json", path.read_bytes())
        with UdpProxy(board, place):
            board.repl.exec_raw_no_follow(_BOARD % (ADDRESS, PEER, program))
            said = board.console(b"\x04", _PATIENCE_S) + board.console(b"\x04", _PATIENCE_S)
    out, error = said.removeprefix("OK").split("\x04")[:2]
    assert not error, out + error
    return out.splitlines()
