"""charon and pluto as callers of our hub: configured here, begun and watched from here."""

import contextlib
import json
import select
import socket
import struct
import subprocess
import sys
import threading
import time

from ipsec.tools import gateway
from scapy.utils import checksum
from tools import device_environment, micropython

from peers.libreswan import TREE, PlutoProcess
from peers.namespaces import run, until
from peers.real_gateways import PSK, Strongswan
from peers.router import DEVICE, GATEWAY

HUB_INSIDE = "10.9.0.254"
POOL = "10.9.0.0/24"
NAME = "caller"
_MAIN = "import sys; from ipsec.tools.hub import made, serve; serve(*made(open(sys.argv[1]).read()))"


class HubProcess:
    """A hub in a host; `lines` as they come. `machine` is cpython or unix."""

    def __init__(self, place, folder, machine="cpython", **config):
        self._place, self._machine = place, machine
        self._path = folder / "hub.json"
        peers = {NAME: {"psk": PSK}, "sensor-7": {"psk": PSK}}
        whole = {"id": "hub.example", "inside": HUB_INSIDE, "pool": POOL, "peers": peers, **config}
        self._path.write_text(json.dumps(whole))
        self.lines = []
        self.start()

    def start(self):
        """Start it, once more after `kill`."""
        interpreter = [micropython()] if self._machine == "unix" else [sys.executable, "-u"]
        command = [*self._place.prefix, *interpreter, "-c", _MAIN, str(self._path)]
        if self._machine == "unix":
            script = self._path.with_suffix(".py")
            script.write_text(_MAIN)
            command[-3:] = [str(script), str(self._path)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        env=device_environment())  # fmt: skip
        self._thread = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        count = len(self.lines)
        self._thread.start()
        until(lambda: len(self.lines) > count, "the hub's first line", 30)

    def _read(self, process):
        for line in process.stdout:
            self.lines.append(line.rstrip())

    def says(self, text, times=1, seconds=30):
        """Wait until so many of its lines have that text."""
        with contextlib.suppress(TimeoutError):
            until(lambda: sum(text in line for line in self.lines) >= times, "", seconds)
        assert sum(text in line for line in self.lines) >= times, (text, self.lines[-20:])

    def kill(self):
        """Power cut."""
        self.process.kill()
        self.process.wait()
        self._thread.join()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


class StrongswanCaller(Strongswan):
    """charon that calls the hub."""

    def __init__(self, host, folder, connection=(), child=(), secret=PSK, settings=(), ppk=()):
        self._connection = {
            "version": "2", "remote_addrs": GATEWAY, "vips": "0.0.0.0", "proposals": "default",
            "local": {"auth": "psk", "id": NAME}, "remote": {"auth": "psk", "id": "hub.example"},
            "children": {"tunnel": {"remote_ts": f"{HUB_INSIDE}/32", "esp_proposals": "default", **dict(child)}},
            **dict(connection),
        }  # fmt: skip
        for name in [name for name, value in self._connection.items() if value is None]:
            del self._connection[name]
        self._secrets = {"ike-hub": {"secret": f'"{secret}"'}}
        if ppk:
            self._secrets["ppk-hub"] = {"id": ppk["ppk_id"], "secret": f'"{ppk["ppk"]}"'}
        super().__init__(host, folder, settings=[("install_virtual_ip", "yes"), *dict(settings).items()])

    def configure(self, connection=(), child=()):
        """Load the connection that calls."""
        nested = {"connections": {"hub": self._connection}, "secrets": self._secrets}
        (self.folder / "swanctl.conf").write_text("\n".join(gateway.sections(nested)) + "\n")
        self.load()

    def call(self):
        """swanctl's output of an attempt, good or not."""
        uri = f"unix://{self.folder}/vici"
        command = ["swanctl", "--initiate", "--child", "tunnel", "--timeout", "20", "--uri", uri]
        return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout

    def ping(self, count=3, every=0.2, wait=2.0):
        """How many of so many echoes to the hub are answered."""
        with self._host.inside():
            sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        answered = set()
        with sock:
            for number in range(count):
                packet = struct.pack(">BBHHH", 8, 0, 0, 77, number)
                packet = packet[:2] + checksum(packet).to_bytes(2, "big") + packet[4:]
                with contextlib.suppress(OSError):
                    sock.sendto(packet, (HUB_INSIDE, 0))
                end = time.monotonic() + (every if number + 1 < count else wait)
                while (left := end - time.monotonic()) > 0 and len(answered) < count:
                    if select.select([sock], [], [], left)[0]:
                        octets = sock.recv(2048)[20:]
                        if octets[:1] == b"\0" and octets[4:6] == b"\0\x4d":
                            answered.add(octets[6:8])
        return len(answered)


class LibreswanCaller(PlutoProcess):
    """pluto that calls the hub; it has no ESP here."""

    def __init__(self, host, folder, conn=(), ppk=()):
        super().__init__(folder)
        self._host = host
        settings = {
            "left": DEVICE, "right": GATEWAY, "leftid": f"@{NAME}", "rightid": "@hub.example", "authby": "secret",
            "rightsubnet": f"{HUB_INSIDE}/32", "leftsubnet": "0.0.0.0/0", "leftmodecfgclient": "yes",
            "narrowing": "yes", "auto": "add", "ikev2": "insist", "retransmit-timeout": "6s", "encapsulation": "yes",
            **dict(conn),
        }  # fmt: skip
        lines = ["conn hub", *(f"    {name}={value}" for name, value in settings.items() if value is not None)]
        (folder / "ipsec.conf").write_text("\n".join(lines) + "\n")
        ends = f"@{NAME} @hub.example"
        named = f'{ends} : PPKS "{ppk["ppk_id"]}" "{ppk["ppk"]}"\n' if ppk else ""
        (folder / "secrets").write_text(f'{ends} : PSK "{PSK}"\n{named}')
        try:
            self.run_in(host, DEVICE)
            run(*host.prefix, TREE / "ipsec/addconn", "--config", folder / "ipsec.conf", "--ctlsocket", self.control,
                "hub")  # fmt: skip
            self.logged('"hub": added')
        except BaseException:
            self.kill()
            raise

    def call(self):
        """Begin an attempt."""
        return self.whack("--initiate", "--name", "hub", "--asynchronous")
