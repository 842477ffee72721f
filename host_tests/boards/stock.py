"""A stock unix port of MicroPython as a board: flash in a file, a REPL on a pty, and a power that can be cut."""

import contextlib
import os
import select
import signal
import subprocess
import threading
import tty
from pathlib import Path

import tools
from tools import BUILD, HERE

CUT = "the power is cut"
_SOFT_RESET = 3  # exit status
_FLASH = 1 << 20


def interpreter(name):
    """Path of the unix port that setup.sh makes by that name: unix, or newest."""
    return tools.micropython() if name == "unix" else BUILD / name / "micropython"


class Board:
    """`system`: its file system, fat or lfs, in the file `image`, which is made if it is not there."""

    def __init__(self, micropython, system, image):
        self.image = Path(image)
        self._command = [micropython, "-X", "heapsize=4M", HERE / "boards/stock_board.py", image, system]
        if not Path(image).exists():
            Path(image).write_bytes(b"\xff" * _FLASH)

    def run(self, code, counted="-", steps=-1):
        """What it prints for that code, in place of boot.py and main.py; the power is cut after so many steps."""
        Path(self.image.parent / "code").write_text(code)
        command = [*self._command, counted, str(steps), self.image.parent / "code"]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    def boot(self):
        """What boot.py and main.py print until the REPL waits."""
        said = ""
        while True:
            command = [*self._command, "-", "-1"]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
            said += done.stdout
            if done.returncode != _SOFT_RESET:
                return said

    def __enter__(self):
        self._terminal, self._near = os.openpty()
        tty.setraw(self._near)
        self.repl_device = os.ttyname(self._near)
        self._off, self._switch = os.pipe()
        self._relay = threading.Thread(target=self._carry)
        self._relay.start()
        return self

    def __exit__(self, *_):
        os.close(self._switch)
        self._relay.join()
        for opened in (self._terminal, self._near, self._off):
            os.close(opened)

    def _carry(self):
        """What is typed, Ctrl-C as a signal, and what is printed; a soft reset is a new process."""
        again = True
        while again:
            command = ["setpriv", "--pdeathsig", "KILL", *self._command, "-", "-1"]
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
                again = self._carry_of(process)

    def _carry_of(self, process):
        watched = [process.stdout, self._off]
        while True:
            ready, _, _ = select.select(watched, [], [])
            if self._off in ready:
                process.kill()
                return False
            if process.stdout in ready:
                octets = process.stdout.read(4096)
                if not octets:
                    return process.wait() == _SOFT_RESET
                os.write(self._terminal, octets)
                watched = [process.stdout, self._off, self._terminal]
            elif self._terminal in ready:
                for number, typed in enumerate(os.read(self._terminal, 4096).split(b"\x03")):
                    if number:
                        process.send_signal(signal.SIGINT)
                    with contextlib.suppress(BrokenPipeError):
                        process.stdin.write(typed)
