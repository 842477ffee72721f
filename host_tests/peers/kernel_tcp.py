"""The kernel's TCP in a network namespace of its own, and ours at the other end of a TUN device. Needs root.

Every packet passes here, late by half of `round_trip_ms`, `loss` of a hundred of them lost, `late` overtaken.
"""

import heapq
import os
import random
import select
import socket
import time

from ikev2.budget import Budget
from inside.stack import Stack
from inside.tcp import Tcp

from peers.namespaces import host
from peers.router import tun

OURS, KERNEL = "10.77.0.2", "10.77.0.9"
_ROOM = 1400


def packed(address):
    return bytes(map(int, address.split(".")))


class Link:
    """Ours, the kernel, and what is on its way between them."""

    def __init__(self, round_trip_ms=0, loss=0, late=0, seed=1, **limits):
        self.stack = Stack(packed(OURS), Budget(1000000, 1000, 0, 1))
        self.tcp = Tcp(self.stack, os.urandom, **limits)
        self.packets = []  # (True if ours, packet), as they left
        self.loss = loss
        self._half = round_trip_ms / 2000
        self._late = late
        self._random = random.Random(seed)
        self._under_way = []  # (when, number, True if it is ours, packet)
        self._number = 0
        self._out = bytearray(_ROOM)

    def __enter__(self):
        self._host = host()
        self.place = self._host.__enter__()
        self._device = tun(self.place)
        self.place.run("ip", "addr", "add", f"{KERNEL}/24", "dev", "wan")
        self.place.run("ip", "link", "set", "wan", "up")
        return self

    def __exit__(self, *failed):
        os.close(self._device)
        self._host.__exit__(*failed)

    @property
    def now(self):
        return int(time.monotonic() * 1000) % 2**30

    def socket(self, *options):
        """A TCP socket of the kernel's."""
        with self.place.inside():
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        for option in options:
            sock.setsockopt(*option)
        sock.setblocking(False)
        return sock

    def listener(self, port=80, *options):
        sock = self.socket((socket.SOL_SOCKET, socket.SO_REUSEADDR, 1), *options)
        sock.bind((KERNEL, port))
        sock.listen(8)
        return sock

    def _carry(self, ours, packet):
        self.packets.append((ours, packet))
        if self._random.random() * 100 < self.loss:
            return
        late = 0.01 if self._random.random() * 100 < self._late else 0
        self._number += 1
        heapq.heappush(self._under_way, (time.monotonic() + self._half + late, self._number, ours, packet))

    def _drain(self):
        size = self.stack.outgoing(self._out, 0, _ROOM, self.now)
        while size:
            self._carry(True, bytes(self._out[:size]))
            size = self.stack.outgoing(self._out, 0, _ROOM, self.now)

    def step(self):
        """What is due; else wait for it, and for the kernel."""
        self.stack.tick(self.now)
        self._drain()
        wait = self.stack.next_timer(self.now)
        wait = 0.02 if wait < 0 else min(wait / 1000, 0.02)
        if self._under_way:
            wait = min(wait, max(0, self._under_way[0][0] - time.monotonic()))
        if select.select([self._device], [], [], wait)[0]:
            packet = os.read(self._device, 2048)
            if packet[0] >> 4 == 4:
                self._carry(False, packet)
        while self._under_way and self._under_way[0][0] <= time.monotonic():
            _, _, ours, packet = heapq.heappop(self._under_way)
            if ours:
                os.write(self._device, packet)
            else:
                buffer = bytearray(packet + bytes(96))
                size = self.stack.receive(buffer, len(packet), self.now)
                if size:
                    self._carry(True, bytes(buffer[:size]))
                self._drain()

    def until(self, true, seconds=120, each=None):
        """Go on until that is so; the time limit only ends what would last for ever."""
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                raise TimeoutError
            self.step()
            if each:
                each()

    def connects(self, port=80):
        """Ours connects to the kernel: (ours, the kernel's socket, its listener)."""
        listener = self.listener(port)
        ours = self.tcp.connect(packed(KERNEL), port, self.now)
        self.until(lambda: ours.established)
        return ours, self.accepted(listener), listener

    def accepted(self, listener):
        found = []

        def true():
            try:
                found.append(listener.accept()[0])
            except BlockingIOError:
                return False
            return True

        self.until(true)
        found[0].setblocking(False)
        return found[0]

    def is_connected_to(self, port=80):
        """The kernel connects to ours: (ours, the kernel's socket)."""
        listener = self.tcp.listeners.get(port) or self.tcp.listen(port)
        sock = self.socket()
        sock.connect_ex((OURS, port))
        self.until(lambda: listener.waiting)
        return listener.accept(), sock


class KernelStream:
    """A socket of the kernel's, as library.tcp_wire.Transfer wants an end of a stream."""

    def __init__(self, sock):
        self.sock = sock

    def write(self, data):
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0

    def readinto(self, buf):
        try:
            return self.sock.recv_into(buf)
        except BlockingIOError:
            return None
