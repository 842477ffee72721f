"""Sockets for a node: UDP 500 and 4500, and raw ESP and AH where the port has them. All I/O is in here.

Every socket is a task of asyncio. Nothing that the network, a socket or a full heap does ends one: what cannot be read
or sent is counted, and a socket that keeps failing is closed and opened anew, more and more slowly.

The ESP32 port takes an empty datagram for the end of a stream: from then on recvfrom() returns b"" at once,
for ever. listen() fails on a UDP socket everywhere, and there it also clears that mark. So after an empty
read listen() is called and reading goes on; after _BATCH empty reads in a row there is a pause and a new socket,
so they cost no more than _BATCH reads in _PAUSE_MS. The same pause is for a socket that calls itself readable and
is not: lwIP's raw sockets in MicroPython always do.
"""

import asyncio
import socket
import sys
import time

from . import wire
from .notifier import DELIVER_IKE
from .wire import PORT, PORT_NAT, const

try:
    from errno import EAGAIN, ETIMEDOUT
except ImportError:
    EAGAIN = const(11)
    ETIMEDOUT = const(110)

_IPV4_HEADER = const(20)
_BATCH = const(8)
_PAUSE_MS = const(20)
_PAUSE_MAX_MS = const(10000)
_IDLE_MS = const(500)
_MICROPYTHON = sys.implementation.name == "micropython"
_NOTHING = (EAGAIN, ETIMEDOUT, 116)  # 116: lwIP's ETIMEDOUT on the ESP32

if _MICROPYTHON:
    from asyncio import core
    from time import ticks_ms

    async def readable(sock):
        """Wait until the socket can be read."""
        yield core._io_queue.queue_read(sock)

else:

    def ticks_ms():
        """Milliseconds that wrap at 2**30."""
        return time.monotonic_ns() // 1000000 & 0x3FFFFFFF

    async def readable(sock):
        """Wait until the socket can be read."""
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        loop.add_reader(sock, lambda: ready.done() or ready.set_result(None))
        try:
            await ready
        finally:
            loop.remove_reader(sock)


def endpoint(address):
    """Address and port octets of a socket address: a (host, port, …) tuple, or a sockaddr on the unix port."""
    if isinstance(address, tuple):
        host, port = address[:2]
        if ":" in host:
            octets = socket.inet_pton(socket.AF_INET6, host.split("%")[0])
            octets = octets[12:] if octets[:12] == b"\0\0\0\0\0\0\0\0\0\0\xff\xff" else octets
        else:
            octets = bytes([int(part) for part in host.split(".")])
        return octets + bytes((port >> 8, port & 0xFF))
    octets = bytes(address)
    return (octets[8:24] if len(octets) >= 28 else octets[4:8]) + octets[2:4]


def address_of(to, over_ipv6=False):
    """Socket address of an endpoint, for a socket of IPv4 or of IPv6."""
    size = len(to) - 2
    if size == 4:
        host = ("::ffff:" if over_ipv6 else "") + "%d.%d.%d.%d" % (to[0], to[1], to[2], to[3])
    else:
        host = ":".join(["%x" % (to[i] << 8 | to[i + 1]) for i in range(0, 16, 2)])
    return socket.getaddrinfo(host, to[size] << 8 | to[size + 1])[0][-1]


def ipv4_payload(packet, length):
    """Offset of the payload in what a raw IPv4 socket delivers, IP options honoured (RFC 791 3.1); -1 if none."""
    if length < _IPV4_HEADER or packet[0] >> 4 != 4:
        return -1
    at = (packet[0] & 15) << 2
    return at if _IPV4_HEADER <= at <= length else -1


class Udp:
    """Serves a node. `ports` and `raw` are the sockets wanted: 500, 4500; 50, 51. `local` maps 500 and 4500 to others.

    seen(verdict, via, source, datagram, length), if given, is called after each verdict, with the datagram in
    place: for logging, and for whoever wants deliver-esp, deliver-ah and deliver-init.
    """

    def __init__(self, node, host="0.0.0.0", ports=(PORT, PORT_NAT), raw=(50, 51), local={}, size=2048, seen=None):  # noqa: B006
        self.node = node
        self.seen = seen
        self.errors = 0  # how often something could not be read, sent or done
        self.error = None  # the last reason
        self._host = host
        self._local = local
        self._size = size
        self._sockets = {}
        self._address = None  # the last one, as endpoint in _source
        self._source = b""
        self.left_out = []  # of `raw`, what this port has no socket for, or the user no right to
        try:
            for via in ports:
                self._sockets[via] = self._open(via)
        except OSError:
            self.close()
            raise
        for via in raw:
            try:
                self._sockets[via] = self._open(via)
            except (OSError, AttributeError):
                self.left_out.append(via)

    def _open(self, via):
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        if via == PORT or via == PORT_NAT:
            sock = socket.socket(family, socket.SOCK_DGRAM)
            try:
                sock.bind(socket.getaddrinfo(self._host, self._local.get(via, via))[0][-1])
            except OSError:
                sock.close()
                raise
        else:
            sock = socket.socket(family, socket.SOCK_RAW, via)
        sock.setblocking(False)
        return sock

    async def run(self):
        """Serve for ever; cancel the task to end it, which gives the ports back."""
        tasks = [asyncio.create_task(self._serve(via)) for via in list(self._sockets)]
        try:
            await self._timers()
        finally:
            for task in tasks:
                task.cancel()
            self.close()

    def close(self):
        """Give the ports back, where `run` never ran or its loop has gone."""
        for via in list(self._sockets):
            self._close(via)

    async def _serve(self, via):
        empty = failed = 0  # reads in a row that gave nothing, or an error
        while True:
            reads = 0
            try:
                if via not in self._sockets:
                    self._sockets[via] = self._open(via)
                sock = self._sockets[via]
                await readable(sock)
                while reads < _BATCH:
                    data, address = sock.recvfrom(self._size)
                    reads += 1
                    if data:
                        empty = failed = 0
                        if address != self._address:
                            self._address = address
                            self._source = endpoint(address)
                        if via > wire.AH:
                            self._receive(via, self._source, data, len(data), address)
                        else:
                            self._receive_raw(via, self._source[:-2], data, address)
                    else:
                        empty += 1
                        failed = 0
                        self._clear(sock)
                        self._receive(via, b"", data, 0, address)
                await asyncio.sleep(0)
            except Exception as error:
                if not isinstance(error, OSError) or error.errno not in _NOTHING:
                    failed += 1
                    self._count(error)
            if failed or empty >= _BATCH or not reads:
                await asyncio.sleep(min(_PAUSE_MS << min(failed, _BATCH + 1), _PAUSE_MAX_MS) / 1000)
                if empty >= _BATCH or failed >= _BATCH:
                    empty = 0
                    self._close(via)

    def _receive_raw(self, via, host, packet, address):
        length = len(packet)
        if len(host) == 4:  # a raw socket of IPv4 gives the IP header first, one of IPv6 does not
            at = ipv4_payload(packet, length)
            packet = memoryview(packet)[max(at, 0) :]
            length = length - at if at >= 0 else 0
        self._receive(via, host + b"\0\0", packet, length, address)

    def _receive(self, via, source, datagram, length, address):
        now = ticks_ms()
        verdict = self.node.receive(via, source, datagram, length, now)
        if verdict <= DELIVER_IKE:  # nothing else makes anybody speak
            self._send(now, source, address)
        if self.seen:
            self.seen(verdict, via, source, datagram, length)

    def _send(self, now, source=None, address=None):
        """All that the node has to say now; `address` is where `source` is."""
        node = self.node
        size = node.outgoing(now)
        while size:
            try:
                to = address if node.out_to is source else address_of(node.out_to, ":" in self._host)
                out = node.out if size == len(node.out) else memoryview(node.out)[:size]
                self._sockets[node.out_via].sendto(out, to)
            except (OSError, KeyError, MemoryError) as error:
                self._count(error)
            size = node.outgoing(now)

    def _count(self, error):
        self.errors += 1
        self.error = error

    async def _timers(self):
        while True:
            wait = self.node.next_timer(ticks_ms())
            # An owner may be attached, or asked to speak, while there is nothing to wait for.
            await asyncio.sleep((min(wait, _IDLE_MS) if wait >= 0 else _IDLE_MS) / 1000)
            now = ticks_ms()
            try:
                self.node.tick(now)
                self._send(now)
            except MemoryError as error:
                self._count(error)

    @staticmethod
    def _clear(sock):
        try:
            sock.listen(0)
        except (OSError, AttributeError):
            pass

    def _close(self, via):
        sock = self._sockets.pop(via, None)
        if sock:
            sock.close()
