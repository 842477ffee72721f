"""make watch: the log of a board, its counters and its tunnel as they change; what the board does is not disturbed.

PORT, [SECONDS]. The firmware prints its status for the key s; nothing else is sent.
"""

import contextlib
import re
import sys
import time

from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport
from tools import arguments

from boards import board_files
from boards.board_files import Refused

_ASK_S = 2
_PATIENCE_S = 12  # a board that is joining answers as well


def opened(port):
    """The serial port of a board, by mpremote."""
    board_files.port_there(port)
    try:
        return SerialTransport(port, baudrate=115200, timeout=5)
    except TransportError as error:
        raise Refused(
            f"{error}: is another program (a serial monitor, another mpremote) using {port}? close it"
        ) from None
    except OSError as error:
        raise Refused(f"cannot open {port}: {error.strerror}; has this user the right (group dialout)?") from None


def lines(board, seconds):
    """The lines that the board prints, as they come, for that time (None: for ever); None now and then in between."""
    end = time.monotonic() + seconds if seconds is not None else None
    rest = b""
    while end is None or time.monotonic() < end:
        waiting = board.serial.in_waiting
        if waiting:
            *whole, rest = (rest + board.serial.read(waiting)).split(b"\n")
            for line in whole:
                yield line.decode(errors="replace").rstrip("\r")
        else:
            if rest == b">>> ":
                yield rest.decode()
                rest = b""
            yield None
            time.sleep(0.05)


class Status:
    """What status() prints, line by line, and what is new in it."""

    def __init__(self):
        self._values = {}
        self._now = {}  # what this one has said so far
        self._inside = False

    def feed(self, line):
        """(True if the line is part of a status, what is new in it)."""
        if line == "counters:":
            self._inside = True
            return True, None
        if not self._inside:
            return False, None
        if line.startswith("last:"):
            self._inside = False
            gone = [name for name in self._values if name not in self._now and not self._values[name].isdigit()]
            self._values, self._now = self._now, {}
            return True, ", ".join(f"{name}: gone" for name in gone)
        found = re.match(r"(.*?\S)  +(\S.*)$", line)
        if not found:
            return False, None
        name, value = found.groups()
        before = self._values.get(name)
        self._now[name] = value
        if before == value:
            return True, None
        more = f" (+{int(value) - int(before)})" if before and value.isdigit() and before.isdigit() else ""
        return True, f"{name} {value}{more}"


def watch(board, seconds=None):
    """Print what the board says and what changes, until Ctrl-C or for that time."""
    status = Status()
    asked = 0.0
    heard = time.monotonic()
    for line in lines(board, seconds):
        now = time.monotonic()
        if now - asked > _ASK_S:
            board.serial.write(b"s")
            asked = now
        if line is None:
            if now - heard > _PATIENCE_S:
                print("nothing is heard: is the node running there? press the board's reset button", flush=True)
                heard = now
            continue
        heard = now
        if line.startswith(">>> "):
            raise Refused("the board is at its REPL: run() there starts the node, and so does its reset button")
        known, new = status.feed(line)
        if new or not known:
            print(f"{time.strftime('%H:%M:%S')}  {new or line}", flush=True)


def main():
    given = arguments(sys.argv[1:], PORT="", SECONDS=0)
    board = opened(given["PORT"])
    print("watching; Ctrl-C ends it, the board goes on", flush=True)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            watch(board, given["SECONDS"] or None)
    except OSError as error:
        raise Refused(f"the board went away: {error}") from None
    finally:
        board.close()


if __name__ == "__main__":
    sys.exit(board_files.command(main))
