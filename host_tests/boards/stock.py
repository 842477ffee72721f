"""A stock unix port of MicroPython as a board: flash in a file, a REPL on a pty, and a power that can be cut."""

import os
import select
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
    """The command of what setup.sh makes by that name: the unix port, unix or newest, or oldest under Node."""
    if name == "oldest":
        return ["node", HERE / "boards/oldest.mjs", BUILD / "oldest/package/micropython.mjs"]
    return [tools.micropython() if name == "unix" else BUILD / name / "micropython", "-X", "heapsize=4M"]


class Board:
    """`system`: its file system, fat, lfs or posix, in the file `image`, which is made if it is not there."""

    def __init__(self, micropython, system, image):
        self.image = Path(image)
        self._command = [*micropython, HERE / "boards/stock_board.py", image, system]
        if not Path(image).exists():
            Path(image).write_bytes(b"{}" if system == "posix" else b"\xff" * _FLASH)

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
        """It is on once its REPL waits."""
        self._terminal, self._near = os.openpty()
        tty.setraw(self._near)
        self.repl_device = os.ttyname(self._near)
        self._off, self._switch = os.pipe()
        self._power = threading.Thread(target=self._serve)
        self._power.start()
        said = b""
        while not said.endswith(b">>> "):
            assert self._power.is_alive(), said
            if select.select([self._near], [], [], 0.1)[0]:
                said += os.read(self._near, 4096)
        return self

    def __exit__(self, *_):
        os.close(self._switch)
        self._power.join()
        for opened in (self._terminal, self._near, self._off):
            os.close(opened)

    def _serve(self):
        """A process on the terminal; a soft reset is a new one.

        The REPL takes Ctrl-C as it comes, no program is interrupted by it: as a signal it would leave this port's
        interpreter at any instruction, with locks of its memory held, and whatever is run next waits for them.
        """
        command = ["setpriv", "--pdeathsig", "KILL", *self._command, "-", "-1"]
        again = True
        while again:
            with subprocess.Popen(command, stdin=self._terminal, stdout=self._terminal) as process:
                ended = os.pidfd_open(process.pid)
                off = self._off in select.select([ended, self._off], [], [])[0]
                os.close(ended)
                if off:
                    process.kill()
            again = not off and process.returncode == _SOFT_RESET
