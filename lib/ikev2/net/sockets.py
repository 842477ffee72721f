"""One socket as each platform has it: opened, waited for, read, and where a datagram was sent to (S2.4).

CPython tells where a datagram was sent to (packet info of IPv4 on Linux, of IPv6 by RFC 3542) and can answer from
there. MicroPython and Windows do not: a raw IPv4 socket has the IP header, and else a socket bound to one address is
the only way.
"""

import asyncio
import socket
import sys
import time

from portable import const

from ..wire import AH
from .addresses import MAPPED, endpoint, link_local

try:
    from errno import EAGAIN, ETIMEDOUT
except ImportError:
    EAGAIN = const(11)
    ETIMEDOUT = const(110)

NOTHING = (EAGAIN, ETIMEDOUT, 116)  # errors of a socket that has nothing to read; 116: lwIP's ETIMEDOUT on the ESP32

_IPV4_HEADER = const(20)
_DESTINATION = const(16)
_MULTICAST = const(224)
_ANCILLARY = const(256)
_IPPROTO_IP = const(0)
_IPPROTO_IPV6 = const(41)
_IP_PKTINFO = const(8)  # Linux; CPython has no name for it

if sys.implementation.name == "micropython":
    from asyncio import core, sleep_ms
    from time import ticks_ms

    class Alarm:
        """A wait that can be cut short; asyncio's own way to do it leaves 700 octets of garbage each time."""

        def __init__(self):
            self._rung = False
            self._asleep = None  # the task that waits

        async def wait(self, ms):
            """Until `ring`, or for that time."""
            try:
                if not self._rung:
                    self._asleep = core.cur_task
                    await sleep_ms(ms)
            finally:
                self._asleep = None
                self._rung = False

        def ring(self):
            """Let the one that waits, or who is the next to wait, go on in the next pass of the loop."""
            self._rung = True
            task = self._asleep
            if task and task.data is None:  # else it is cancelled, which push would undo
                core._task_queue.remove(task)
                core._task_queue.push(task)

    async def readable(sock):
        """Wait until the socket can be read."""
        yield core._io_queue.queue_read(sock)

    def can_wait():
        """Every loop of MicroPython waits for sockets."""

    def unwatch(sock):
        """Nobody waits for this socket: its task is gone."""

    def tell_destination(sock, via, ipv6):
        """The platform does not tell where a datagram was sent to."""

    def read(sock, size):
        """(datagram, address); for `arrived`."""
        return sock.recvfrom(size)

    def arrived(got):
        """Nothing is known of where an answer should leave from."""
        return ()

else:

    def ticks_ms():
        """Milliseconds that wrap at 2**30."""
        return time.monotonic_ns() // 1000000 & 0x3FFFFFFF

    async def sleep_ms(ms):
        """As MicroPython has it."""
        await asyncio.sleep(ms / 1000)

    class Alarm:
        """A wait that can be cut short."""

        def __init__(self):
            self._rung = False
            self._asleep = None  # what is waited for

        async def wait(self, ms):
            """Until `ring`, or for that time."""
            loop = asyncio.get_running_loop()
            self._asleep = loop.create_future()
            timer = loop.call_later(ms / 1000, self._end)
            try:
                if not self._rung:
                    await self._asleep
            finally:
                timer.cancel()
                self._asleep = None
                self._rung = False

        def _end(self):
            if self._asleep and not self._asleep.done():
                self._asleep.set_result(None)

        def ring(self):
            """Let the one that waits, or who is the next to wait, go on in the next pass of the loop."""
            self._rung = True
            self._end()

    async def readable(sock):
        """Wait until the socket can be read."""
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        loop.add_reader(sock, lambda: ready.done() or ready.set_result(None))
        try:
            await ready
        finally:
            unwatch(sock)

    def can_wait():
        """RuntimeError if asyncio's loop cannot wait for a socket, as the usual one of Windows."""
        loop = type(asyncio.get_running_loop())
        if loop.add_reader is asyncio.AbstractEventLoop.add_reader:
            raise RuntimeError("asyncio's %s cannot wait for sockets: take SelectorEventLoop" % loop.__name__)

    def unwatch(sock):
        """Let go of a socket that is not closed yet: asyncio would take the next one of its number for it."""
        try:
            asyncio.get_running_loop().remove_reader(sock)
        except (RuntimeError, ValueError):
            pass  # the loop has gone, or the socket is closed

    def tell_destination(sock, via, ipv6):
        """Ask for where each datagram was sent to, where the platform tells."""
        if hasattr(sock, "recvmsg"):
            if sys.platform == "linux" and (via > AH or not ipv6):
                sock.setsockopt(_IPPROTO_IP, _IP_PKTINFO, 1)
            if ipv6:
                sock.setsockopt(_IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)

    def read(sock, size):
        """(datagram, address), or (datagram, ancillary data, flags, address); for `arrived`."""
        return sock.recvmsg(size, _ANCILLARY) if hasattr(sock, "recvmsg") else sock.recvfrom(size)

    def arrived(got):
        """What sendmsg needs to answer from the address a datagram was sent to; None: that was none of ours (S2.4).

        Empty where the platform does not tell. A broadcast or multicast has another destination than the local address.
        """
        if len(got) == 2:
            return ()
        for level, kind, info in got[1]:
            if level == _IPPROTO_IP and kind == _IP_PKTINFO:  # interface, local address, destination
                return [(level, kind, bytes(4) + info[4:8] + bytes(4))] if info[4:8] == info[8:12] else None
            if level == _IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO and info[:12] != MAPPED:  # destination, interface
                if info[0] == 0xFF:
                    return None
                return [(level, kind, info if link_local(info) else info[:16] + bytes(4))]
        return ()


def own_address(host):
    """The octets of an address of ours."""
    return endpoint(socket.getaddrinfo(host, 0)[0][-1])[:-2]


def open_socket(via, host, port, own):
    """A socket at `host`, whose address is `own`: UDP at that port for 500 and 4500, a raw one for 50 and 51."""
    ipv6 = ":" in host
    family = socket.AF_INET6 if ipv6 else socket.AF_INET
    address = socket.getaddrinfo(host, port)[0][-1]
    sock = socket.socket(family, socket.SOCK_DGRAM) if via > AH else socket.socket(family, socket.SOCK_RAW, via)
    try:
        if via > AH or ipv6:
            sock.bind(address)
        elif any(own):
            _bind_raw(sock, address)
        tell_destination(sock, via, ipv6)
        sock.setblocking(False)
    except Exception:
        sock.close()
        raise
    return sock


def _bind_raw(sock, address):
    try:
        sock.bind(address)
    except OSError:
        pass  # MicroPython on lwIP cannot: sent_to() says what is ours


def clear_end(sock):
    """Let a UDP socket that an empty datagram has closed on an ESP32 read on; nothing elsewhere."""
    try:
        sock.listen(0)
    except (OSError, AttributeError):
        pass


def sent_to(packet, own):
    """Was this IPv4 packet sent to address `own` (S2.4); if that is 0.0.0.0: to no multicast, not 255.255.255.255?"""
    if any(own):
        return packet[_DESTINATION:_IPV4_HEADER] == own
    return packet[_DESTINATION] < _MULTICAST
