"""A daemon in a host: its process, with a folder and a log of its own."""

import subprocess

from peers.namespaces import until


class Daemon:
    """Runs from `_start` until `kill`, or until the end of a with statement. It makes its `folder`."""

    NAME = ""

    def __init__(self, folder):
        folder.mkdir(parents=True)
        self.folder = folder
        self.process = None
        self._waiting = []  # clients of it that wait for an answer

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def _start(self, host, command):
        null = subprocess.DEVNULL
        self.process = subprocess.Popen(
            [*host.prefix, "unshare", "--mount", "sh", "-c", command], stdin=null, stdout=null, stderr=null,
            start_new_session=True,
        )  # fmt: skip

    def _ready(self, listens):
        """Wait until it listens, or has ended."""
        until(lambda: listens() or self.process.poll() is not None, f"{self.NAME}'s start")

    def log(self):
        """What it has logged, over all its lives."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def logged(self, text, times=1, seconds=20):
        """Wait until its log has that text so often."""
        until(lambda: self.log().count(text) >= times, f"{text!r} in the log of {self.NAME}", seconds)

    def kill(self):
        """End it at once, without a farewell to its peers."""
        for process in (*self._waiting, *([self.process] if self.process else [])):
            process.kill()
            process.wait()
