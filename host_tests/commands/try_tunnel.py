"""Tries a device's configuration against its gateway from here, under MicroPython, CPython or on the emulated board.

The program is `ipsec.tools.try_tunnel`, whatever runs it. No root is needed, and it works in any network namespace.
"""

import json
import os
import signal
import socket
import sys

import tools
from boards.board_files import Refused, command, config_of, unused
from ikev2.config import parse
from ipsec.tools import cli, try_tunnel
from tools import HERE, device_environment, micropython

MACHINES = ("unix", "cpython", "board", "small")
_DAY_S = 86400
_BOARD = """
import link
link.up(%r, %r)
from ipsec.tools.try_tunnel import main
try:
    print("exit", main(%r, **%r))
except Exception as error:
    print("the board failed: %%r" %% error)
    print("exit 1")
"""


def _resolved(config):
    """The same with the gateway's address: the boards have no DNS of their own here."""
    name = config["gateway"]
    try:
        config["gateway"] = socket.gethostbyname(name) if name else ""
    except OSError as error:
        raise Refused(
            f"no such host: {name} ({error.strerror}); look at gateway, and at the DNS of this place"
        ) from None
    if config["gateway"] != name:
        print(f"gateway {name} is {config['gateway']}")
    return config


def on_board(config, options):
    """The exit status of a try on the emulated board, whose lines are printed as they come."""
    from boards.emulator import Board  # takes a while, and a try on this PC needs none of it
    from boards.udp_proxy import UdpProxy

    with Board() as board:
        board.repl.enter_raw_repl(soft_reset=True)  # without main.py, whose sockets are gone with it
        board.exec("import _boot")
        with UdpProxy(board):
            board.repl.exec_raw_no_follow(_BOARD % (config["address"], config["peer"], config, options))
            return _follow(board)


def on_small(given, config, options):
    """The same on the one that has a stock ESP32's memory, by what `make deploy` brings it; its memory is said."""
    from boards.small import Small
    from boards.udp_proxy import UdpProxy

    octets = json.dumps({**given, "gateway": config["gateway"]}).encode()
    files = {"/ikev2.json": octets, "/try.json": json.dumps(options).encode()}
    with Small(files=files, modules=(HERE / "commands/run_small.py",), unused=unused(octets)) as board:
        board.exec("import ikev2_memory")
        with UdpProxy(board):
            board.repl.exec_raw_no_follow("import run_small")
            return _follow(board)


def _follow(board):
    """Print what the board prints; Ctrl-C is passed on to it once."""
    while True:
        try:
            line = board.console(b"\n", _DAY_S).rstrip()
        except KeyboardInterrupt:
            board.type(b"\x03")
            continue
        if line.startswith("exit "):
            return int(line.split()[1])
        print(line.lstrip("\x04"), flush=True)


def main(given):
    machine, path = given["MACHINE"], given["CONFIG"]
    if machine not in MACHINES:
        raise Refused(f"MACHINE={machine}: known are {', '.join(MACHINES)}")
    if not path:
        raise Refused("CONFIG is missing: CONFIG=ikev2.json, the file that configures the device")
    config = parse(config_of(path, given["WEAK_PSK"]), path)
    options = {name.lower(): given[name] for name in ("PING", "COUNT", "EVERY", "CONTACT")}
    options["spare"] = "CONTACT=0"
    if machine == "cpython":
        cli.polite()
        return try_tunnel.main(config, **options)
    if machine in ("board", "small"):
        from boards import small

        if not small.FIRMWARE.exists():
            tools.setup("firmware")
        if machine == "board":
            return on_board(_resolved(config), options)
        return on_small(json.loads(config_of(path, given["WEAK_PSK"])), _resolved(config), options)
    program = [micropython(), str(HERE / "commands/run_try.py"), path, json.dumps(options)]
    os.execve(program[0], program, device_environment())


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    given = tools.arguments(sys.argv[1:], CONFIG="", MACHINE="unix", PING="", COUNT=3, EVERY=0.5, CONTACT=1, WEAK_PSK=0)
    sys.exit(command(lambda: main(given)))
