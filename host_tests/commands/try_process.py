"""`make try` as a process in a host of its own."""

import json
import signal
import subprocess
import sys
import threading

from tools import ROOT, device_environment

_PATIENCE_S = 180


class TryProcess:
    """A `make try` under way in a host; its lines as they come."""

    def __init__(self, place, machine, configuration, folder, *options):
        path = folder / "ikev2.json"
        path.write_text(json.dumps(configuration))
        command = [sys.executable, "-m", "commands.try_tunnel", f"MACHINE={machine}", f"CONFIG={path}", *options]
        self.process = subprocess.Popen([*place.prefix, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True, env=device_environment(), cwd=ROOT)  # fmt: skip
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
    running = TryProcess(place, machine, configuration, folder, *options)
    try:
        return running.wait()
    finally:
        running.kill()
