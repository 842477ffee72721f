"""A tunnel to a gateway, and UDP sockets inside it, for asyncio: what a user of the endpoint needs.

    tunnel = Tunnel("vpn.example.org", "sensor-7", b"...")
    await tunnel.up()                                     # OSError says what the gateway refused
    sock = tunnel.socket(5683)
    await sock.sendto(b"21.5", ("10.0.0.5", 5683))
    data, peer = await sock.recvfrom()

The tunnel lives on by itself from the first `up` or `start` on, until `close`: what becomes of it is life.py's. Time,
sockets and names come in here. Errors are OSErrors with the number that a socket would have and words of ours.
"""

import asyncio
import os
from errno import EBADF, ECONNREFUSED, EHOSTUNREACH, EINVAL, ENOTCONN, ETIMEDOUT

from ikev2.addresses import resolve
from ikev2.node import Node
from ikev2.proposals import GROUPS, Policy
from ikev2.selectors import network
from ikev2.sockets import sleep_ms, ticks_ms
from ikev2.spi_table import SpiTable
from ikev2.udp import Udp
from ikev2.wire import PORT, PORT_NAT, const

from .esp import ROOM
from .inner import OVERHEAD, Inner
from .life import Life

_SILENCES = (-1, -2)  # reasons.SILENCE and SILENCE_AUTH
_FAREWELL_MS = const(2000)
_LOOK_MS = const(20)
_BUFFER = const(1520)
EMSGSIZE = const(90)


def _address(text):
    """Four octets of a dotted address; OSError EINVAL if it is none: names are not looked up inside."""
    try:
        octets = bytes([int(part) for part in text.split(".")])
    except ValueError:
        octets = b""
    if len(octets) != 4:
        raise OSError(EINVAL, "%r is no IPv4 address; names are not looked up inside a tunnel" % text)
    return octets


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
        """Send a datagram to (host, port) inside the tunnel; OSError if there is no tunnel, no route or no room."""
        self._tunnel.send(self.port, data, address)
        await asyncio.sleep(0)

    async def recvfrom(self):
        """(data, (host, port)) of the next datagram."""
        while True:
            if not self._queue:
                raise OSError(EBADF, "the socket is closed")
            got = self._queue.take()
            if got:
                data, host, port = got
                return bytes(data), ("%d.%d.%d.%d" % tuple(host), port)
            self._ready.clear()
            await self._ready.wait()

    def close(self):
        """Give the port back; whoever waits gets OSError."""
        if self._queue:
            self._tunnel.inner.close(self._queue)
            self._queue = None
            self._ready.set()


class Tunnel:
    """A tunnel to `gateway`, a name or an address, as `id` with the octets `psk`.

    gateway_id -- whom the gateway must be, "": anybody who knows the psk
    inside -- our address in the tunnel, "": the gateway gives one
    remote -- networks behind the gateway, which may narrow them
    groups, ciphers -- offered, the first preferred
    liveness_s, keepalive_s, lifetime_s -- ENDPOINT.md K6, K8, K5; contact: N11
    local -- {500: port, 4500: port} of sockets of its own, any free ones by default; udp: or a Udp that runs already
    """

    def __init__(self, gateway, id, psk, gateway_id="", inside="", remote=("0.0.0.0/0",), groups=GROUPS,
                 ciphers=("aes-cbc-256", "aes-cbc-128"), liveness_s=10, keepalive_s=20, lifetime_s=10800, contact=True,
                 local=None, udp=None):  # fmt: skip
        networks = b"".join([network(text) for text in remote])
        policy = Policy(id, bytes(psk), gateway_id, _address(inside) if inside else None, networks, groups, ciphers)
        self.gateway = gateway
        self.node = udp.node if udp else Node(SpiTable(4, 8), os.urandom)
        self.udp = udp or Udp(self.node, raw=(), local=local or {PORT: 0, PORT_NAT: 0})
        self.inner = Inner(policy.inside or bytes(4))
        self.life = Life(
            self.node,
            policy,
            self.inner,
            contact,
            int(liveness_s * 1000),
            int(keepalive_s * 1000),
            int(lifetime_s * 1000),
        )
        self.life.changed = self._changed
        self._own = udp is None
        self._out = bytearray(_BUFFER)
        self._news = asyncio.Event()  # for whoever waits for the tunnel
        self._work = asyncio.Event()  # for the task that looks names up
        self._tasks = []

    @property
    def address(self):
        """Our address inside the tunnel, as text; "" while there is none."""
        return "%d.%d.%d.%d" % tuple(self.inner.address) if any(self.inner.address) else ""

    @property
    def child(self):
        """The Child SA that we send on (ikev2.proposals.Child), its cipher and selectors; None while there is none."""
        return self.life.current.child if self.life.up else None

    @property
    def is_up(self):
        """True while there is a Child SA to send on."""
        return self.life.up

    @property
    def reason(self):
        """Why there is no tunnel, in words."""
        return self.life.reason

    def event(self):
        """The oldest of (word, text) that nobody has read: up, moved, down, failed; or None."""
        return self.life.event()

    def start(self):
        """Bring the tunnel up, and keep it, beside whatever else the loop does."""
        if self.life.closed:
            raise OSError(EBADF, "the tunnel is closed")
        if not self._tasks:
            self._tasks.append(asyncio.create_task(self._keep()))
            if self._own:
                self._tasks.append(asyncio.create_task(self.udp.run()))

    async def up(self):
        """Wait until the tunnel is up; OSError with the reason if an attempt fails. It is tried on all the same."""
        self.start()
        before = self.life.failures
        while not self.life.up:
            if self.life.closed:
                raise OSError(EBADF, "the tunnel is closed")
            if self.life.failures != before:
                number = ETIMEDOUT if self.life.refused in _SILENCES else ECONNREFUSED
                raise OSError(number, self.life.reason)
            self._news.clear()
            await self._news.wait()

    def socket(self, port=0):
        """A UDP socket inside the tunnel, bound to that port, or to a free one."""
        return Socket(self, self.inner.bind(port))

    def room(self):
        """Octets of the longest datagram that a socket sends now."""
        return self.life.current.esp.room() - OVERHEAD if self.life.up else 0

    def send(self, source_port, data, address):
        """Send a datagram through the tunnel, from that port of ours to (host, port)."""
        host, port = address
        self._fits(len(data))
        self._carry(self.inner.send(self._out, ROOM, source_port, _address(host), port, data), host)

    def ping(self, host, number):
        """Send an ICMP echo request with that sequence number."""
        self._fits(0)
        self._carry(self.inner.ping(self._out, ROOM, _address(host), number), host)

    def pongs(self):
        """Sequence numbers of the echo replies that have come since the last call."""
        return self.inner.pongs()

    def moved(self):
        """Our own address has changed, perhaps: the gateway is told (K7)."""
        self.life.check(ticks_ms())
        self.udp.wake()

    async def close(self):
        """Delete the tunnel: the gateway is told, and has two seconds to answer."""
        self.life.close(ticks_ms())
        self._changed()
        self.udp.wake()
        waited = 0
        while self._tasks and not self.life.over and waited < _FAREWELL_MS:
            await sleep_ms(_LOOK_MS)
            waited += _LOOK_MS
        if self._own:
            self.udp.close()
        for task in self._tasks:
            task.cancel()
        self._tasks = []
        if self.node.follower is self.life:
            self.node.follower = None

    # The rest is private.

    def _changed(self):
        self._news.set()
        self._work.set()

    async def _keep(self):
        """Look the gateway up whenever an attempt is due."""
        while not self.life.closed:
            if self.life.wanted:
                try:
                    host = await resolve(self.gateway)
                except OSError as error:
                    self.life.unresolved(str(error.args[-1]), ticks_ms())
                else:
                    self.life.begin(host, ticks_ms())
                self._changed()
                self.udp.wake()
            self._work.clear()
            if not self.life.wanted:
                await self._work.wait()

    def _fits(self, size):
        if not self.life.up:
            raise OSError(ENOTCONN, "no tunnel: " + (self.life.reason or "it is not up yet"))
        if size > self.room():
            raise OSError(EMSGSIZE, "%d octets of data, room for %d" % (size, self.room()))

    def _carry(self, size, host):
        now = ticks_ms()
        length = self.life.seal(self._out, size, now)
        if not length:
            why = self.life.current.esp.refused
            if why == "selector":
                raise OSError(EHOSTUNREACH, "no route to %s: the gateway's traffic selectors leave it out" % host)
            raise OSError(ENOTCONN, "not sent: " + why)
        self.udp.send(PORT_NAT, self.life.endpoint(), self._out, length)
