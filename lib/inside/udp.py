"""A UDP socket inside a tunnel, for asyncio: time-outs and cancellation work as on any stream."""

import asyncio
from errno import EBADF, EINVAL

from portable import ipv4


def is_name(host):
    """True for what must be looked up: no name ends in a number (RFC 3696 section 2)."""
    return not host.split(".")[-1].isdigit()


def octets_of(text):
    """Four octets of a dotted address; OSError EINVAL if it is none."""
    octets = ipv4(text)
    if octets is None:
        raise OSError(EINVAL, "%r is no IPv4 address" % text)
    return octets


def text_of(octets):
    """The dotted address of four octets."""
    return "%d.%d.%d.%d" % tuple(octets)


class Socket:
    """A UDP socket inside a tunnel; `port` is its own."""

    def __init__(self, tunnel, queue):
        self.port = queue.port
        self._tunnel = tunnel
        self._queue = queue
        self._ready = asyncio.Event()
        queue.ready = self._ready.set

    @property
    def dropped(self):
        """Datagrams that came and had no room."""
        return self._queue.dropped

    async def sendto(self, data, address):
        """Send a datagram to (host or name, port) inside; OSError if there is no tunnel, no route, room or address."""
        host, port = address
        if is_name(host):
            host = await self._tunnel.resolve(host)
        self._tunnel.send(self.port, data, (host, port))
        await asyncio.sleep(0)

    async def recvfrom(self):
        """(data, (host, port)) of the next datagram."""
        while True:
            if not self._queue:
                raise OSError(EBADF, "the socket is closed")
            got = self._queue.take()
            if got:
                data, host, port = got
                return bytes(data), (text_of(host), port)
            if self._tunnel.closed:
                raise OSError(EBADF, "the tunnel is closed")
            self._ready.clear()
            await self._ready.wait()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.close()

    def close(self):
        """Give the port back; whoever waits gets OSError."""
        if self._queue:
            self._tunnel.stack.close(self._queue)
            self._queue = None
            self._ready.set()
