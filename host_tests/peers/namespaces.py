"""Two hosts of one's own: network namespaces with a cable between them, and all that crosses it. Needs root.

A namespace has no name and lives with a process that ends when we do: however that happens, nothing stays behind.
"""

import contextlib
import ctypes
import ipaddress
import socket
import subprocess
import threading
import time
from typing import NamedTuple

from ikev2 import wire
from ikev2.net.udp import ipv4_payload
from packets import pcap

ASKER, PLACE = "10.66.0.3", "10.66.0.2"  # a daemon that keeps its SAs; the place of the one that forgets them
THIRD = "10.66.0.1"  # a stranger to both, who lives at the place
INSIDE = {ASKER: "10.77.0.3", PLACE: "10.77.0.2"}  # what each may reach of the other through a tunnel
SECRET = "of no value, but long enough"
_libc = ctypes.CDLL(None, use_errno=True)
_ALL_PROTOCOLS = 0x0003
_OUTGOING = 4
# The exchange type, which is not IKE_SA_INIT's, stands at bit 208 from the UDP header on, behind a marker at 240.
_DEAF = """table ip deaf { chain input { type filter hook input priority 0; policy accept;
    udp dport 500 @th,208,8 != 34 drop
    udp dport 4500 @th,64,32 0 @th,240,8 != 34 drop
}; }"""
_UDP = 17


def run(*command, **options):
    """A command that must not fail; its output."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    return done.stdout


def until(true, what, seconds=60):
    """Wait for a condition; the time limit only ends what would last for ever."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.02)


class Host:
    """A network namespace."""

    def __init__(self):
        command = "setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sh", "-c", "echo && exec sleep infinity"
        self._holder = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        self._holder.stdout.readline()
        self.pid = self._holder.pid
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *command):
        """Output of a command in here."""
        return run(*self.prefix, *command)

    def delete(self):
        """Let it go, with the interfaces in it."""
        self._holder.kill()
        self._holder.wait()
        self._holder.stdout.close()

    @property
    def prefix(self):
        """What to write before a command that is to run in here, and not longer than this process."""
        return "setpriv", "--pdeathsig", "KILL", "nsenter", f"--net=/proc/{self.pid}/ns/net"

    def socket(self, address, port=0):
        """A UDP socket in here."""
        with self.inside():
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((address, port))
        sock.settimeout(0.5)
        return sock

    def deafen(self):
        """From now on hear nothing of IKE but IKE_SA_INIT."""
        self.run("nft", _DEAF)

    def hear(self):
        """Hear everything again."""
        self.run("nft", "delete table ip deaf")

    @contextlib.contextmanager
    def inside(self):
        """Sockets and TUN devices that this thread makes meanwhile are in here, and stay."""
        with open("/proc/thread-self/ns/net") as home, open(f"/proc/{self.pid}/ns/net") as there:
            _enter(there)
            try:
                yield
            finally:
                _enter(home)


@contextlib.contextmanager
def host():
    """A Host for as long as it is needed."""
    made = Host()
    try:
        yield made
    finally:
        made.delete()


def _enter(namespace):
    if _libc.setns(namespace.fileno(), 0):
        raise OSError(ctypes.get_errno(), "setns")


class Packet(NamedTuple):
    """A UDP datagram on the cable; `sent` by the host where it was seen."""

    sent: bool
    source: tuple
    to: tuple
    octets: bytes
    ip: bytes
    when: float  # seconds of time.time()

    @property
    def via(self):
        """The port whose rules it follows: 500 without a marker, 4500 with."""
        return wire.PORT if wire.PORT in (self.source[1], self.to[1]) else wire.PORT_NAT


class Recorder:
    """UDP datagrams that pass; `packets` only grows."""

    def __init__(self):
        self.packets = []
        self._news = threading.Condition()

    def _record(self, octets, sent):
        """The Packet in an IP packet, which is kept; None for anything but UDP over IPv4."""
        at = ipv4_payload(octets, len(octets))
        if at < 0 or octets[9] != _UDP:
            return None
        ports = (int.from_bytes(octets[i : i + 2], "big") for i in (at, at + 2))
        source, to = zip((str(ipaddress.ip_address(octets[i : i + 4])) for i in (12, 16)), ports, strict=True)
        packet = Packet(sent, source, to, octets[at + 8 :], octets, time.time())
        with self._news:
            self.packets.append(packet)
            self._news.notify_all()
        return packet

    def wait(self, wanted, since=0, seconds=60):
        """The first packet from number `since` on that `wanted` accepts; TimeoutError if none comes."""
        found = []

        def look():
            found.extend(filter(wanted, self.packets[since:]))
            return found

        with self._news:
            if not self._news.wait_for(look, seconds):
                raise TimeoutError(f"not seen within {seconds} s, but {len(self.packets) - since} other packets")
        return found[0]

    def find(self, octets):
        """Number of the first packet with just these octets of UDP data, once it is there."""
        return self.packets.index(self.wait(lambda packet: packet.octets == octets))

    def save(self, path):
        """All recorded packets, as a pcap file."""
        pcap.write(path, [packet.ip for packet in self.packets])


class Cable(Recorder):
    """Hears all UDP over IPv4 that crosses an interface."""

    def __init__(self, host, interface):
        super().__init__()
        with host.inside():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL_PROTOCOLS))
            self._socket.bind((interface, _ALL_PROTOCOLS))
        self._socket.settimeout(0.2)
        self._open = True
        self._thread = threading.Thread(target=self._hear, daemon=True)
        self._thread.start()

    def _hear(self):
        while self._open:
            with contextlib.suppress(TimeoutError):
                octets, (_, _, kind, *_) = self._socket.recvfrom(4096)
                self._record(octets, kind == _OUTGOING)

    def close(self):
        """Stop listening."""
        self._open = False
        self._thread.join()
        self._socket.close()


@contextlib.contextmanager
def network():
    """(asker, place, cable): two hosts at ASKER and PLACE."""
    with contextlib.ExitStack() as stack:
        asker, place = stack.enter_context(host()), stack.enter_context(host())
        asker.run(*f"ip link add cable type veth peer name cable netns {place.pid}".split())
        for end, addresses in ((asker, (ASKER,)), (place, (THIRD, PLACE))):
            for address in addresses:
                end.run("ip", "addr", "add", f"{address}/24", "dev", "cable")
            end.run("ip", "link", "set", "cable", "up")
        cable = Cable(asker, "cable")
        stack.callback(cable.close)
        yield asker, place, cable
