"""The access router between a device and its gateway: two hosts, and this process between them. Needs root.

Every packet passes here: it is recorded, translated as a NAT does whose mappings can be made to move, and delayed,
lost, doubled or overtaken at will.
"""

import contextlib
import fcntl
import heapq
import os
import random
import select
import socket
import struct
import threading
import time

from scapy.utils import checksum

from peers.namespaces import Recorder, host

GATEWAY = "10.66.0.1"
ROUTER = "10.66.0.9"  # the NAT's outer address
DEVICE = "10.66.1.2"
NEIGHBOUR = "10.66.1.3"  # another address that the device may get
INNER = "10.77.0.1"  # the gateway's address inside the tunnel
OTHER_INNER = "10.78.0.1"  # of another network
INSIDE = "10.77.0.2"  # the device's, where it is configured
_TUNSETIFF, _TUN_NO_PI = 0x400454CA, 0x1001
_UDP = 17
_HOLD_S = 0.03  # how long a packet is kept that others are to overtake
_PORTS = 20000  # the first of the NAT's outer ports


def tun(place):
    """File descriptor of a TUN device in a host."""
    with place.inside():
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", b"wan", _TUN_NO_PI))
    return device


class Router(Recorder):
    """Carries IP packets between two hosts. `packets` are all of UDP, as they are at the gateway's end.

    `loss`, `double` and `late` are the shares of packets that are lost, come twice and are overtaken; `cut` loses all.
    They may change at any time, and concern what `harms` says of a Packet. `lost`, `doubled` and `delayed` count, those
    to the device first, then those to the gateway. `nat` is the device's outer address; None: none. Every packet is
    `round_trip_ms` / 2 on its way.
    """

    def __init__(self, device, gateway, nat=ROUTER, seed=1):
        super().__init__()
        self.round_trip_ms = 0
        self.loss = self.double = self.late = 0.0
        self.cut = False
        self.nat = nat
        self.harms = lambda packet: True
        self.lost, self.doubled, self.delayed = [0, 0], [0, 0], [0, 0]
        self._random = random.Random(seed)
        self._held = []  # (when it is due, its number, where to, packet)
        self._number = 0
        self._outer = {}  # (address, port) inside: port outside
        self._inner = {}
        self._next = _PORTS
        self._ends = tun(device), tun(gateway)
        self._woken, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def move(self):
        """Forget all mappings: the next packet from inside gets a port that was never used."""
        self._inner.clear()
        self._outer.clear()

    def _carry(self):
        device, gateway = self._ends
        while True:
            wait = max(0, self._held[0][0] - time.monotonic()) if self._held else None
            ready = select.select([device, gateway, self._woken], [], [], wait)[0]
            if self._woken in ready:
                return
            for end in device, gateway:
                if end in ready:
                    with contextlib.suppress(BlockingIOError):
                        while True:
                            self._pass(os.read(end, 4096), end == device)
            while self._held and self._held[0][0] <= time.monotonic():
                _write(*heapq.heappop(self._held)[2:])

    def _pass(self, octets, sent):
        if octets[0] >> 4 != 4:
            return
        if sent:
            octets = self._translated(octets, sent)
        packet = octets and self._record(octets, sent)
        if not sent:
            octets = self._translated(octets, sent)
        if octets is None or self.cut:
            return
        to = self._ends[1] if sent else self._ends[0]
        chance = self._random.random if packet and self.harms(packet) else lambda: 1
        if chance() < self.loss:
            self.lost[sent] += 1
            return
        due = time.monotonic() + self.round_trip_ms / 2000
        if chance() < self.late:
            self.delayed[sent] += 1
            self._hold(due + _HOLD_S, to, octets)
            return
        self._hold(due, to, octets)
        if chance() < self.double:
            self.doubled[sent] += 1
            self._hold(due, to, octets)

    def _hold(self, due, to, octets):
        self._number += 1
        heapq.heappush(self._held, (due, self._number, to, octets))

    def _translated(self, octets, sent):
        """The packet as the NAT passes it on, with no UDP checksum as IPv4 allows; None if it has no mapping."""
        if not self.nat or octets[9] != _UDP:
            return octets if not self.nat else None
        packet = bytearray(octets)
        at = (packet[0] & 15) << 2
        if sent:
            inner = bytes(packet[12:16]), bytes(packet[at : at + 2])
            if inner not in self._outer:
                self._outer[inner], self._inner[self._next] = self._next, inner
                self._next += 1
            packet[12:16] = socket.inet_aton(self.nat)
            packet[at : at + 2] = self._outer[inner].to_bytes(2, "big")
        else:
            inner = self._inner.get(int.from_bytes(packet[at + 2 : at + 4], "big"))
            if inner is None:
                return None
            packet[16:20], packet[at + 2 : at + 4] = inner
        packet[at + 6 : at + 8] = packet[10:12] = bytes(2)
        packet[10:12] = checksum(bytes(packet[:at])).to_bytes(2, "big")
        return bytes(packet)

    def close(self):
        """Stop carrying."""
        os.write(self._wake, b"x")
        self._thread.join()
        for descriptor in (*self._ends, self._wake, self._woken):
            os.close(descriptor)


def _write(to, octets):
    with contextlib.suppress(OSError):  # no room, or the interface is down
        os.write(to, octets)


class RoutedHosts:
    """Hosts `device` and `gateway`, and the `router` between them."""

    def __init__(self, stack, **options):
        self.device, self.gateway = stack.enter_context(host()), stack.enter_context(host())
        self.router = Router(self.device, self.gateway, **options)
        stack.callback(self.router.close)
        self.address = DEVICE
        for place, address in ((self.device, DEVICE), (self.gateway, GATEWAY)):
            place.run("ip", "addr", "add", f"{address}/24", "dev", "wan")
            place.run("ip", "link", "set", "wan", "up", "txqueuelen", "5000")
            place.run("ip", "route", "add", "default", "dev", "wan")
        for inner in (INNER, OTHER_INNER):
            self.gateway.run("ip", "addr", "add", f"{inner}/32", "dev", "lo")

    def move_device(self):
        """Give the device its other address, as another lease does."""
        old, self.address = self.address, NEIGHBOUR if self.address == DEVICE else DEVICE
        self.device.run("ip", "addr", "del", f"{old}/24", "dev", "wan")
        self.device.run("ip", "addr", "add", f"{self.address}/24", "dev", "wan")
        self.device.run("ip", "route", "replace", "default", "dev", "wan")


@contextlib.contextmanager
def routed_hosts(**options):
    """RoutedHosts for as long as it is needed; options are Router's."""
    with contextlib.ExitStack() as stack:
        yield RoutedHosts(stack, **options)
