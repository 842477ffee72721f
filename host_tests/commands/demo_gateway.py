"""A gateway for the demo, and the way to it: charon in a network namespace as root, else the tests' own over loopback.

Both have `name`; `tunnel`, what the device is configured with; `prefix` of its command line; `ports`, the gateway's in
the place of 500 and 4500, and `local`, the device's; `packets`, all UDP at the gateway's end, each a
peers.namespaces.Packet; `heard`, what the server behind it got; `news()`, what it has done since the last call;
`kill()` and `start()`.
"""

import contextlib
import os
import re
import selectors
import socket
import subprocess
import threading
import time
from pathlib import Path

from library.scripted_gateway import Gateway
from peers.namespaces import Packet
from scapy.layers.inet import ICMP, IP, UDP
from tools import setup

ID, PSK = "sensor-7", "of no value, but long enough"
SERVER, SERVER_PORT = "10.77.0.1", 7
DEVICE_AT, GATEWAY_AT = "192.0.2.7", "192.0.2.1"  # in records of what goes over loopback
_NETWORK = "10.77.0.0/24"
_OWN = {500: 500, 4500: 4500}
_PORTS = {500: 15500, 4500: 14500}
_LOCAL = {500: 15501, 4500: 14501}
_MARKER = 4
_TOLD = (
    r"IKE_SA \S+ established between .*", r"CHILD_SA \S+ established with .*", r"assigning virtual IP .*",
    r"received DELETE for IKE_SA .*", r"deleting IKE_SA \S+",
)  # fmt: skip


def _tunnel(gateway):
    return {"gateway": gateway, "id": ID, "psk": PSK, "remote": [_NETWORK], "liveness_s": 1}


class Loopback:
    """The scripted gateway on UDP ports of 127.0.0.1. Behind it pings are answered, and datagrams as `serve` does.

    serve(octets, port) -> the server's answer, by default what it got.
    """

    name = "a gateway of the tests' own on 127.0.0.1"
    prefix = ()
    ports = _PORTS
    local = _LOCAL
    tunnel = _tunnel("127.0.0.1")

    def __init__(self, psk=PSK):
        self._psk = psk.encode()
        self.packets = []
        self.heard = []
        self.inner = []  # packets inside the tunnel, both ways
        self.serve = lambda octets, port: octets
        self._read = 0
        self._there = None  # the Gateway; None: it is gone
        self._sockets = {}
        self._ready = selectors.DefaultSelector()
        for via, port in _PORTS.items():
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind(("127.0.0.1", port))
            self._sockets[via] = sock
            self._ready.register(sock, selectors.EVENT_READ, via)
        self._woken, self._wake = socket.socketpair()
        self._ready.register(self._woken, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.start()
        self._thread.start()

    def start(self):
        """A gateway that knows of nothing."""
        self._read = 0
        self._there = Gateway(self._psk, networks=(_NETWORK,))

    def kill(self):
        """It is gone, and all SAs with it."""
        self._there = None

    def news(self):
        """See the top."""
        said = self._there.said if self._there else []
        new, self._read = said[self._read :], len(said)
        return new

    def close(self):
        """Give the ports back."""
        self._wake.send(b"x")
        self._thread.join()
        for sock in (*self._sockets.values(), self._woken, self._wake):
            sock.close()

    def _serve(self):
        while True:
            for key, _ in self._ready.select():
                if key.data is None:
                    return
                octets, source = key.fileobj.recvfrom(65535)
                self._record(True, key.data, source, octets)
                for via, to, answer in self._answers(key.data, source, octets):
                    self._record(False, via, to, answer)
                    self._sockets[via].sendto(answer, to)

    def _answers(self, via, source, octets):
        gateway = self._there
        if gateway is None:
            return []
        if via == 500 or not any(octets[:_MARKER]):
            return gateway.receive(via, source, octets)
        children = [child for sa in gateway.sas for child in sa.children if child.spi_in == octets[:4]]
        inner = children[0].open(octets) if children else None
        if not inner:
            return []
        self.inner.append(inner)
        answers = [bytes(back) for back in self._behind(IP(inner))]
        self.inner += answers
        return [(via, source, children[0].seal(answer)) for answer in answers]

    def _behind(self, asked):
        back = IP(src=asked.dst, dst=asked.src)
        if ICMP in asked:
            yield back / ICMP(type="echo-reply", id=asked[ICMP].id, seq=asked[ICMP].seq) / asked[ICMP].payload
            return
        octets = bytes(asked[UDP].payload)
        self.heard.append((octets, (asked.src, asked.sport)))
        answer = self.serve(octets, asked.dport)
        if answer is not None:
            yield back / UDP(sport=asked.dport, dport=asked.sport) / answer

    def _record(self, sent, via, device, octets):
        ends = (DEVICE_AT, device[1]), (GATEWAY_AT, via)
        self.packets.append(Packet(sent, *(ends if sent else ends[::-1]), octets, b"", time.time()))


class Charon:
    """strongSwan's charon with ESP in user space in a namespace, the device in another, a NAT between them."""

    prefix = ()
    ports = local = _OWN

    def __init__(self, stack, folder):
        from peers import real_gateways, router

        command = ["swanctl", "--version"]
        said = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
        version = re.search(r"strongSwan (\S+)", said).group(1)
        self.name = f"strongSwan's charon {version} at {router.GATEWAY}, the device behind a NAT at {router.ROUTER}"
        hosts = stack.enter_context(router.routed_hosts())
        self._router = hosts.router
        self.prefix = hosts.device.prefix
        self.tunnel = _tunnel(router.GATEWAY)
        config = real_gateways.config(inside="", remote=[_NETWORK], id=ID, psk=PSK)
        self._daemon = real_gateways.Strongswan(hosts.gateway, Path(folder) / "charon", config)
        stack.callback(self._daemon.kill)
        self.heard = stack.enter_context(real_gateways.echo(hosts.gateway, SERVER, SERVER_PORT))
        self.kill, self.start = self._daemon.kill, self._daemon.start
        self._read = 0

    @property
    def packets(self):
        """See the top."""
        return self._router.packets

    def news(self):
        """See the top: lines of its log."""
        log = self._daemon.log()
        new, self._read = log[self._read :], len(log)
        return [found.group() for line in new.splitlines() if (found := re.search("|".join(_TOLD), line))]


def without_charon():
    """Why charon cannot be used here; "" if it can."""
    if os.geteuid():
        return "network namespaces need root"
    namespaces = subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode == 0
    if not namespaces or not Path("/dev/net/tun").exists():
        return "there are no network namespaces or no TUN devices here"
    with contextlib.suppress(SystemExit):
        setup("peers")
        return ""
    return "it could not be installed"


@contextlib.contextmanager
def demo_gateway(folder, why=None):
    """A Charon; a Loopback if `why` says something against it, which without_charon() finds out by default."""
    why = without_charon() if why is None else why
    with contextlib.ExitStack() as stack:
        if why:
            made = Loopback()
            made.name += f" (no charon: {why})"
            stack.callback(made.close)
        else:
            made = Charon(stack, folder)
        yield made
