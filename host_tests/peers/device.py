"""Plays: many scenes with gateways at once, each with hosts of its own, because they mostly wait; what they run."""

import concurrent.futures
import contextlib
import json
import signal
import subprocess
import sys
import threading

from boards.emulator import ADDRESS, PEER, Board
from boards.udp_proxy import UdpProxy
from commands import try_tunnel
from tools import HERE, ROOT, device_environment, micropython

from peers.real_gateways import ECHO
from peers.router import INNER

_PATIENCE_S = 180


class Running:
    """A `make try` under way in a host; its lines as they come."""

    def __init__(self, place, machine, configuration, folder, *options):
        path = folder / "ikev2.json"
        path.write_text(json.dumps(configuration))
        command = [sys.executable, "-m", "commands.try_tunnel", f"MACHINE={machine}", f"CONFIG={path}", *options]
        self.process = subprocess.Popen([*place.prefix, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True, env=try_tunnel.environment(), cwd=ROOT)  # fmt: skip
        self.lines = []
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if line.startswith("up after"):
                self._up.set()
        self._up.set()

    def up(self):
        """Wait until it is up, or has ended."""
        assert self._up.wait(_PATIENCE_S), self.lines

    def wait(self):
        """(exit status, lines) at its end."""
        self._thread.join(_PATIENCE_S)
        return self.process.wait(5), self.lines

    def interrupt(self):
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def kill(self):
        """End it at once, if need be."""
        self.process.kill()
        self.process.wait()
        self._thread.join()
        self.process.stdout.close()


def tried(place, machine, configuration, folder, *options):
    """(status, lines) of a whole `make try` in that host."""
    running = Running(place, machine, configuration, folder, *options)
    try:
        return running.wait()
    finally:
        running.kill()


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


@contextlib.contextmanager
def acted(request, folder, act, workers):
    """{id of a test: what act(its parameters, a folder of its own) gives} for the wanted tests of a module."""
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        futures = {}
        for item in request.session.items:
            if item.module is request.module and hasattr(item, "callspec"):
                own = folder / str(len(futures))
                own.mkdir()
                futures[item.name] = pool.submit(act, item.callspec.params, own)
        yield futures
        for future in futures.values():
            future.cancel()
