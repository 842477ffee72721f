"""A device in a host: echo_client.py under MicroPython, CPython or on the emulated board."""

import json
import subprocess
import sys

from boards.emulator import ADDRESS, PEER, Board
from boards.udp_proxy import UdpProxy
from tools import HERE, device_environment, micropython

from peers.real_gateways import ECHO
from peers.router import INNER

_PATIENCE_S = 180


def sent(machine, place, settings, count, every_ms, folder, ahead=1000000):
    """What echo_client.py tells of so many datagrams to the echo server, through a Tunnel with these settings."""
    path = folder / "settings.json"
    given = {"tunnel": settings, "to": INNER, "port": ECHO, "count": count, "every_ms": every_ms, "ahead": ahead}
    path.write_text(json.dumps(given))
    if machine == "board":
        return json.loads(_on_the_board(place, path))
    interpreter = micropython() if machine == "unix" else sys.executable
    command = [*place.prefix, interpreter, HERE / "peers/echo_client.py", path]
    ran = subprocess.run(command, capture_output=True, text=True, env=device_environment(), timeout=_PATIENCE_S)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


_BOARD = """
import link
link.up(%r, %r)
import asyncio, json, echo_client
asyncio.run(echo_client.main(json.load(open("settings.json"))))
"""


def _on_the_board(place, path):
    """What it prints there; the board's datagrams leave from that host."""
    with Board() as board:
        board.repl.enter_raw_repl(soft_reset=True)  # without main.py
        board.exec("import _boot")
        board.repl.fs_writefile("echo_client.py", (HERE / "peers/echo_client.py").read_bytes())
        board.repl.fs_writefile("settings.json", path.read_bytes())
        with UdpProxy(board, place):
            board.repl.exec_raw_no_follow(_BOARD % (ADDRESS, PEER))
            board.console(b"{", _PATIENCE_S)
            return "{" + board.console(b"\x04", _PATIENCE_S).strip("\x04\r\n")
