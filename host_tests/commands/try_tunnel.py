"""Tries a device's configuration against its gateway from here, under MicroPython, CPython or on the emulated board.

The program is `ipsec.tools.try_tunnel`, whatever runs it. No root is needed, and it works in any network namespace.
"""

import os
import signal
import socket
import sys
from pathlib import Path

import tools
from boards.emulator import FIRMWARE, Board
from boards.udp_proxy import UdpProxy
from tools import HERE, device_environment, micropython

MACHINES = ("unix", "cpython", "board")
_NAMES = ("PING", "COUNT", "EVERY", "CONTACT", "WEAK_PSK")
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


def command(machine, path, options):
    """The command line, for a machine that is this PC."""
    program = [sys.executable, "-m", "ipsec"] if machine == "cpython" else [micropython(), HERE / "commands/run_try.py"]
    return [*map(str, program), "try", str(path), *options]


def on_board(path, options):
    """The exit status of a try on the emulated board, whose lines are printed as they come."""
    from ikev2 import config as reader
    from ipsec import __main__ as program

    try:
        settings = program.options(options)
        config = reader.parse(Path(path).read_bytes(), str(path), weak_psk=bool(settings.pop("WEAK_PSK")))
    except (OSError, ValueError) as error:
        print(error)
        return 1
    # The board has no DNS of its own here.
    name = config["gateway"]
    try:
        config["gateway"] = socket.gethostbyname(name) if name else ""
    except OSError as error:
        print(f"no such host: {name} ({error.strerror}); look at gateway, and at the DNS of this place")
        return 1
    if config["gateway"] != name:
        print(f"gateway {name} is {config['gateway']}")
    with Board() as board:
        board.repl.enter_raw_repl(soft_reset=True)  # without main.py, whose sockets are gone with it
        board.exec("import _boot")
        with UdpProxy(board):
            board.repl.exec_raw_no_follow(_BOARD % (config["address"], config["peer"], config, settings))
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
    """Exit status, or what is wrong."""
    machine, path = given["MACHINE"], given["CONFIG"]
    if machine not in MACHINES:
        return f"MACHINE={machine}: known are {', '.join(MACHINES)}"
    if not path:
        return "CONFIG is missing: CONFIG=ikev2.json, the file that configures the device"
    options = [f"{name}={given[name]}" for name in _NAMES if given[name] != ""]
    if machine == "board":
        if not FIRMWARE.exists():
            tools.setup("firmware")
        return on_board(path, options)
    line = command(machine, path, options)
    os.execve(line[0], line, device_environment())


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(tools.arguments(sys.argv[1:], CONFIG="", MACHINE="unix", **dict.fromkeys(_NAMES, ""))))
