"""The other end of the demo, and the way to it: charon in a network namespace as root, else our own hub over loopback.

Both have `name`; `tunnel`, what the device is configured with; `prefix` of its command line; `ports`, the gateway's in
the place of 500 and 4500, and `local`, the device's; `packets`, all UDP at the gateway's end, each a
peers.namespaces.Packet; `heard`, what the server behind it got; `news()`, what it has done since the last call;
`caught_up()`, which returns when what was sent before is in `packets`; `kill()` and `start()`. What the hub has
besides: `forward`, ports whose connections go on to ports of 127.0.0.1; `inside`, what TCP carried into it, {index in
`packets`: words}; and `cut(seconds)`.
"""

import asyncio
import contextlib
import os
import queue
import re
import socket
import subprocess
import threading
import time
from pathlib import Path

from ikev2.net.addresses import endpoint
from ikev2.net.udp import Udp
from ikev2.node import Node
from ikev2.spi_table import SpiTable
from ipsec.hub import Hub
from ipsec.shares import Shares
from ipsec.tools.hub import forwarder
from peers.namespaces import Packet
from tools import setup

ID, PSK = "sensor-7", "of no value, but long enough"
SERVER, SERVER_PORT = "10.77.0.1", 7
DEVICE_AT, GATEWAY_AT = "192.0.2.7", "192.0.2.1"  # in records of what goes over loopback
NETWORK = "10.77.0.0/24"
_TCP = 6
_MQTT = {1: "CONNECT", 3: "PUBLISH", 14: "DISCONNECT"}
_OWN = {500: 500, 4500: 4500}
PORTS = {500: 15500, 4500: 14500}
LOCAL = {500: 15501, 4500: 14501}
_MARK = os.urandom(32)
_TOLD = (
    r"IKE_SA \S+ established between .*", r"CHILD_SA \S+ established with .*", r"assigning virtual IP .*",
    r"received DELETE for IKE_SA .*", r"deleting IKE_SA \S+",
)  # fmt: skip


def tunnel_to(gateway):
    return {"gateway": gateway, "id": ID, "psk": PSK, "remote": [NETWORK], "liveness_s": 1}


class OurHub:
    """ipsec.Hub on UDP ports of 127.0.0.1, in a thread of its own; a server on its own address inside, an echo."""

    name = "our own hub on 127.0.0.1"
    prefix = ()
    ports = PORTS
    local = LOCAL
    tunnel = tunnel_to("127.0.0.1")

    def __init__(self, forward=()):
        self.packets = []
        self.inside = {}
        self.heard = []
        self._forward = dict(forward)
        self._cut_until = 0.0
        self._marks = queue.Queue()
        self._said = []
        self._read = 0
        self.start()

    def start(self):
        """A hub that knows of nothing."""
        self._loop = asyncio.new_event_loop()
        self._serving = None
        there = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(there,), daemon=True)
        self._thread.start()
        there.wait()

    def kill(self):
        """It loses power: nobody is told, and its SAs are gone."""
        self._loop.call_soon_threadsafe(self._serving.cancel)
        self._thread.join()

    close = kill

    def cut(self, seconds):
        """The way to it is cut for that long."""
        self._cut_until = time.monotonic() + seconds

    def seen(self, via):
        """The mark has come there."""
        self._marks.put(via)

    @property
    def is_cut(self):
        """Nothing gets through now."""
        return time.monotonic() < self._cut_until

    def caught_up(self):
        """See the top: a socket is read in the order of what came, so what comes last shows it."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            for via, port in PORTS.items():
                last.sendto(_MARK, ("127.0.0.1", port))
                assert self._marks.get() == via

    def news(self):
        """See the top."""
        new, self._read = self._said[self._read :], len(self._said)
        return new

    def _run(self, there):
        self._serving = self._loop.create_task(self._serve(there))
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._serving)
        self._loop.run_until_complete(_ended(asyncio.all_tasks(self._loop)))
        self._loop.close()

    async def _serve(self, there):
        node = Node(SpiTable(8, 8), os.urandom, budget=Shares(100))
        udp = _Recorded(self, node, host="127.0.0.1", raw=(), local=PORTS)
        hub = Hub("hub.example", {ID: PSK.encode()}, SERVER, NETWORK, udp=udp)
        self._look_inside(hub.stack)
        tasks = [
            asyncio.ensure_future(work) for work in (udp.run(), self._tell(hub), self._echo(hub.socket(SERVER_PORT)))
        ]
        for port, local in self._forward.items():
            await hub.start_server(forwarder(("127.0.0.1", local), self._said.append), port)
        there.set()
        try:
            await asyncio.gather(*tasks)
        finally:
            udp.close()
            for task in tasks:
                task.cancel()

    def _look_inside(self, stack):
        receive = stack.receive

        def seen(packet, size, now):
            self.inside[len(self.packets) - 1] = segment(bytes(packet[:size]))
            return receive(packet, size, now)

        stack.receive = seen

    async def _tell(self, hub):
        while True:
            word, id, text = await hub.next_event()
            self._said.append(f"{id} {word}, {text}")

    async def _echo(self, sock):
        while True:
            octets, source = await sock.recvfrom()
            self.heard.append((octets, source))
            await sock.sendto(octets, source)


async def _ended(tasks):
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def segment(packet):
    """What of TCP and MQTT an IPv4 packet has, in words; "" if it has no TCP."""
    if packet[9] != _TCP:
        return ""
    header = (packet[0] & 15) * 4
    data = packet[header + (packet[header + 12] >> 4) * 4 :]
    if data:
        return _MQTT.get(data[0] >> 4, "data")
    return "SYN" if packet[header + 13] & 2 else "ACK"


class _Recorded(Udp):
    """A Udp that remembers all datagrams, as at the addresses of the example; none gets through while it is cut."""

    def __init__(self, hub, node, **options):
        self._hub = hub
        super().__init__(node, **options)

    def take(self, via, got):
        """As Udp has it."""
        if bytes(got[0]) == _MARK:
            self._hub.seen(via)
            return
        if self._hub.is_cut:
            return
        self._record(True, via, endpoint(got[-1]), bytes(got[0]))
        super().take(via, got)

    def send(self, via, to, octets, length, address=None, at=()):
        """As Udp has it."""
        if self._hub.is_cut:
            return length
        self._record(False, via, to, bytes(octets[:length]))
        return super().send(via, to, octets, length, address, at)

    def _record(self, sent, via, endpoint, octets):
        ends = (DEVICE_AT, int.from_bytes(endpoint[-2:], "big")), (GATEWAY_AT, via)
        self._hub.packets.append(Packet(sent, *(ends if sent else ends[::-1]), octets, b"", time.time()))


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
        self.tunnel = tunnel_to(router.GATEWAY)
        config = real_gateways.config(inside="", remote=[NETWORK], id=ID, psk=PSK)
        self._daemon = real_gateways.Strongswan(hosts.gateway, Path(folder) / "charon", config)
        stack.callback(self._daemon.kill)
        self.heard = stack.enter_context(real_gateways.echo(hosts.gateway, SERVER, SERVER_PORT))
        self.kill, self.start = self._daemon.kill, self._daemon.start
        self._read = 0

    @property
    def packets(self):
        """See the top."""
        return self._router.packets

    def caught_up(self):
        """See the top: readings by UDP end with the answer, after which nothing is on its way."""

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
    """A Charon; an OurHub if `why` says something against it, which without_charon() finds out by default."""
    why = without_charon() if why is None else why
    with contextlib.ExitStack() as stack:
        if why:
            made = OurHub()
            made.name += f" (no charon: {why})"
            stack.callback(made.close)
        else:
            made = Charon(stack, folder)
        yield made
