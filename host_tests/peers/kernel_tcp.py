"""The kernel's TCP in a network namespace of its own, and ours at the other end of a TUN device. Needs root."""

import contextlib
import os
import socket

from peers.namespaces import host
from peers.router import tun
from peers.tcp_link import Link, packed

OURS, KERNEL = "10.77.0.2", "10.77.0.9"


class KernelLink(Link):
    def __init__(self, *way, **options):
        super().__init__(OURS, *way, **options)

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

    def wire(self):
        return self._device

    def receive(self):
        with contextlib.suppress(BlockingIOError):
            return os.read(self._device, 2048)

    def send(self, packet):
        os.write(self._device, packet)

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
