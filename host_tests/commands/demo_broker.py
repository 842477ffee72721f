"""The broker behind the demo's hub: mosquitto on a port of 127.0.0.1, or where there is none a stand-in that says so.

Both have `name`, `port`, and log(), a line for each PUBLISH.
"""

import contextlib
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from pathlib import Path

_PATH = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/sbin"
_CONNECT, _PUBLISH = 1, 3


class Mosquitto:
    """It, until `close`."""

    name = "mosquitto"

    def __init__(self, program, folder):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        config = Path(folder) / "mosquitto.conf"
        config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n")
        self._log = Path(folder) / "log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen([program, "-v", "-c", config], stdout=log, stderr=subprocess.STDOUT)
        while " running" not in self._log.read_text():
            if self._process.poll() is not None:
                raise RuntimeError(f"mosquitto has ended: {self._log.read_text()}")
            time.sleep(0.01)

    def log(self):
        """See the top."""
        lines = [line.partition(": ")[2] for line in self._log.read_text().splitlines()]
        return [line for line in lines if line.startswith("Received PUBLISH")]

    def close(self):
        """End it."""
        self._process.kill()
        self._process.wait()


class StandIn(socketserver.ThreadingTCPServer):
    """It takes CONNECT and PUBLISH with QoS 1, short ones, acknowledges, and hands nothing on."""

    name = "a stand-in for a broker, which acknowledges and hands nothing on (mosquitto is not here)"
    daemon_threads = True

    def __init__(self):
        self._lines = []
        super().__init__(("127.0.0.1", 0), self._serve)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def log(self):
        """See the top."""
        return self._lines

    def close(self):
        """End it."""
        self.shutdown()
        self.server_close()

    def _serve(self, sock, *_):
        with sock.makefile("rwb", buffering=0) as stream:
            while head := stream.read(2):
                body = stream.read(head[1])
                if head[0] >> 4 == _CONNECT:
                    stream.write(b"\x20\2\0\0")
                elif head[0] >> 4 == _PUBLISH:
                    end = 2 + int.from_bytes(body[:2], "big")
                    self._lines.append(f"Received PUBLISH to {body[2:end].decode()}: {body[end + 2 :].decode()}")
                    stream.write(b"\x40\2" + body[end : end + 2])


@contextlib.contextmanager
def broker(path=_PATH):
    """One of the two; `path` is where mosquitto is looked for."""
    program = shutil.which("mosquitto", path=path)
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(Mosquitto(program, folder) if program else StandIn()) as made,
    ):
        yield made
