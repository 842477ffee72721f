"""A node of run_node.py as a process of its own, under MicroPython, on loopback."""

import queue
import signal
import socket
import subprocess
import threading
from contextlib import contextmanager

from tools import HERE, device_environment, micropython

UNLIMITED = ("answers_per_s=1000000", "burst=1000000", "per_source_ms=0")


def ports(host="127.0.0.1"):
    """{500: …, 4500: …}: themselves where they can be bound, otherwise two high ports."""
    found = {}
    for via, otherwise in ((500, 15500), (4500, 14500)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            try:
                sock.bind((host, via))
                found[via] = via
            except OSError:
                found[via] = otherwise
    return found


class NodeProcess:
    """Its log lines, one at a time."""

    def __init__(self, process):
        self.process = process
        self.lines = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def line(self, seconds=60):
        """Next line; None once the process has ended."""
        return self.lines.get(timeout=seconds)

    def stop(self):
        """Ctrl-C; the lines that it still prints, its counters."""
        self.process.send_signal(signal.SIGINT)
        rest = []
        while (line := self.line()) is not None:
            rest.append(line)
        self.process.wait(60)
        return rest


@contextmanager
def node_process(local, *options, host="127.0.0.1", interpreter=None, prefix=()):
    """A running node with 500 and 4500 at the ports `local`."""
    command = [
        *prefix, *(interpreter or [micropython()]), str(HERE / "peers/run_node.py"), f"host={host}",
        f"port={local[500]}", f"port_nat={local[4500]}", *options,
    ]  # fmt: skip
    if not any(option.startswith("raw=") for option in options):
        command.append("raw=")
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=device_environment()
    )
    node = NodeProcess(process)
    try:
        line = ""
        while not line.startswith("node on"):
            said, line = line, node.line()
            if line is None:
                raise RuntimeError(f"the node did not start: {said}")
        yield node
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        node.reader.join()
        process.stdout.close()
