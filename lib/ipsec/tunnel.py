"""A tunnel to a gateway, and UDP sockets inside it, for asyncio: what a user of the endpoint needs.

    tunnel = Tunnel("vpn.example.org", "sensor-7", b"...")
    await tunnel.up()                                     # OSError says what the gateway refused
    sock = tunnel.socket(5683)
    await sock.sendto(b"21.5", ("10.0.0.5", 5683))
    data, peer = await sock.recvfrom()
    await tunnel.resolve("broker.lan")                    # this and all with streams: streams.py, when first asked for

The tunnel lives on by itself from the first `up` or `start` on, until `close`: what becomes of it is life.py's. Time,
sockets and names come in here. Errors are OSErrors with the number that a socket would have and words of ours.
"""

import asyncio
import os
from errno import EBADF, ECONNREFUSED, EHOSTUNREACH, ENOTCONN, ETIMEDOUT

from ikev2.budget import Budget
from ikev2.net.addresses import port_of, resolve
from ikev2.net.memory import in_words
from ikev2.net.sockets import sleep_ms, ticks_ms
from ikev2.net.udp import Udp
from ikev2.node import Node
from ikev2.sa.policy import GROUPS, Policy
from ikev2.sa.selectors import network
from ikev2.spi_table import SpiTable
from ikev2.wire import PORT, PORT_NAT
from inside.stack import OVERHEAD, Stack
from inside.udp import Socket, octets_of, text_of
from portable import const, elapsed, milliseconds

from . import sleep
from .esp import ROOM
from .life import Life

_SILENCES = (-1, -2)  # reasons.NO_RESPONSE and NO_RESPONSE_AUTH
_FAREWELL_MS = const(2000)
_LOOK_MS = const(20)
_AGAIN_MS = const(1000)
EMSGSIZE = const(90)


class Tunnel:
    """A tunnel to `gateway`, a name or an address, perhaps with a :port of its own, as `id` with the octets `psk`.

    gateway_id -- whom the gateway must be, "": anybody who knows the psk
    inside -- our address in the tunnel, "": the gateway gives one
    remote -- networks behind the gateway, which may narrow them
    groups, ciphers -- offered, the first preferred
    ppk -- (PPK_ID, octets) of a key that the gateway must have, too: what a quantum computer does not open (Q1)
    liveness_s, keepalive_s, lifetime_s -- rules K6, K8, K5; contact: N11
    keep_keys -- the tunnel may outlive sleep, and its keys lie in memory for that (Z5); settle_s: Z6
    queue -- datagrams that may wait at a UDP socket inside (T4)
    dns -- addresses of name servers inside, (): those that the gateway gives
    connections, stream_buffer -- TCP connections at a time; octets of their buffers, each way (W6)
    checked -- ikev2.config has read all this, and need not look at it again
    local -- {500: port, 4500: port} of sockets of its own, any free ones by default; udp: or a Udp that runs already
    """

    sleeper = None  # the firmware's: sleeps for so many milliseconds, and keeps these octets meanwhile

    def __init__(self, gateway, id, psk, gateway_id="", inside="", remote=("0.0.0.0/0",), groups=GROUPS,
                 ciphers=("aes-cbc-256", "aes-cbc-128"), liveness_s=10, keepalive_s=20, lifetime_s=10800, contact=True,
                 local=None, udp=None, keep_keys=False, dns=(), settle_s=1, queue=8, connections=8,
                 stream_buffer=2720, ppk=None, checked=False):  # fmt: skip
        if not checked:
            from ikev2.config.keys import check_tunnel

            check_tunnel(
                psk, gateway=gateway, id=id, gateway_id=gateway_id, inside=inside, remote=remote, groups=groups,
                ciphers=ciphers, liveness_s=liveness_s, keepalive_s=keepalive_s, lifetime_s=lifetime_s,
                keep_keys=keep_keys, dns=dns, connections=connections, stream_buffer=stream_buffer,
            )  # fmt: skip
        networks = b"".join([network(text) for text in remote])
        policy = Policy(id, bytes(psk), gateway_id, octets_of(inside) if inside else None, networks, groups, ciphers)
        policy.keep_keys = keep_keys
        if ppk:
            from ikev2.initial.ppk import Ppk

            policy.ppk = Ppk(psk, *ppk)
        self.gateway = gateway
        self.port = port_of(gateway, PORT).to_bytes(2, "big")
        self.node = udp.node if udp else Node(SpiTable(4, 8), os.urandom)
        self._local = local or {PORT: 0, PORT_NAT: 0}
        self.udp = udp or Udp(self.node, raw=(), local=self._local)
        self.stack = Stack(policy.inside or bytes(4), Budget(10, 20, 0, 1), queue)
        *times, self._settle_ms = [int(seconds * 1000) for seconds in (liveness_s, keepalive_s, lifetime_s, settle_s)]
        inside = b"".join([octets_of(text) for text in dns]), connections, stream_buffer
        if inside != (b"", 8, 2720):
            self.settings = inside  # of streams
        self._own = udp is None
        self._news = asyncio.Event()  # for whoever waits for the tunnel
        self._work = asyncio.Event()  # for the task that looks names up
        self._tasks = {}
        self.error = None  # the last one that a task of ours met
        # K14: what node and sockets know of it comes last, so that one without room for all leaves nothing there.
        self.life = Life(self.node, policy, self.stack, contact, *times, gateway=gateway)
        self.life.changed = self._changed
        self.udp.sinks.append(self.stack)

    @property
    def address(self):
        """Our address inside the tunnel, as text; "" while there is none."""
        return text_of(self.stack.address) if any(self.stack.address) else ""

    @property
    def child(self):
        """The Child SA that we send on (ikev2.sa.policy.Child), with cipher and selectors; None while there is none."""
        return self.life.current.child if self.life.up else None

    @property
    def is_up(self):
        """True while there is a Child SA to send on."""
        return self.life.up

    @property
    def closed(self):
        """True from `close` on."""
        return self.life.closed

    @property
    def reason(self):
        """Why there is no tunnel, in words."""
        return self.life.reason

    def event(self):
        """The oldest of (word, text) that nobody has read, or None: up, moved, down, failed, and what leads to them:

        attempting; replacing, and replaced or answered (the old one stays); yielding; leaving, closed.
        """
        return self.life.event()

    def __getattr__(self, name):
        """What streams.Streams has; who uses only UDP never imports it."""
        from .streams import of

        return of(self, name)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.close()

    def start(self):
        """Bring the tunnel up, and keep it, beside whatever else the loop does."""
        if self.life.closed:
            raise OSError(EBADF, "the tunnel is closed")
        for work in (self._attempt, self._serve) if self._own else (self._attempt,):
            name = work.__name__
            if name not in self._tasks or self._tasks[name].done():
                self._tasks[name] = asyncio.create_task(self._go_on(work))

    async def up(self):
        """Wait until the tunnel is up; OSError with the reason if an attempt fails. It is tried on all the same."""
        self.start()
        before = self.life.failures
        while not self.life.up:
            if self.life.closed or self.life.failures != before:
                self._fail(before)
            self._news.clear()
            await self._news.wait()

    def _fail(self, before):
        """OSError if the tunnel is closed, or more attempts than `before` have come to nothing."""
        if self.life.closed:
            raise OSError(EBADF, "the tunnel is closed")
        if self.life.failures != before:
            refused = self.life.refused
            number = ETIMEDOUT if refused in _SILENCES else ECONNREFUSED if refused else EHOSTUNREACH
            raise OSError(number, self.life.reason)

    def socket(self, port=0):
        """A UDP socket inside the tunnel, bound to that port, or to a free one."""
        return Socket(self, self.stack.bind(port))

    def room(self):
        """Octets of the longest datagram that a socket sends now: more is refused, since fragments do not pass (E7)."""
        return self.life.current.esp.room() - OVERHEAD if self.life.up else 0

    def send(self, source_port, data, address):
        """Send a datagram through the tunnel, from that port of ours to (host, port)."""
        host, port = address
        self._fits(len(data))
        self._carry(self.stack.send(self.node.buffer, ROOM, source_port, octets_of(host), port, data), host)

    def ping(self, host, number):
        """Send an ICMP echo request with that sequence number."""
        self._fits(0)
        self._carry(self.stack.ping(self.node.buffer, ROOM, octets_of(host), number), host)

    def pongs(self):
        """Sequence numbers of the echo replies that have come since the last call."""
        return self.stack.pongs()

    def moved(self):
        """Our own address has changed, perhaps: the gateway is told (K7)."""
        self.life.check(ticks_ms())
        self.udp.wake()

    async def check(self):
        """Wait until the gateway has proved that the tunnel works; one that it has given up is made anew meanwhile.

        OSError with the reason if that fails.
        """
        began = ticks_ms()
        before = self.life.failures
        self.moved()
        while not self.life.verified(began, ticks_ms()):
            self._fail(before)
            self.start()
            self._news.clear()
            await self._news.wait()

    async def keep(self):
        """The tunnel as octets that outlive sleep, b"" if there is none or it cannot be kept; it is mute from then on.

        Z6: what is on its way has `settle_s` to end; new keys that are due, and a gateway that has not answered, 20 s.
        """
        life = self.life
        if self.stack.tcp and life.policy.keep_keys:
            await self.streams.settle(self._settle_ms)
        life.settle(ticks_ms())
        began = ticks_ms()
        octets = b""
        while life.policy.keep_keys and not octets:
            now = ticks_ms()
            waited = elapsed(now, began)
            if waited >= sleep.patience(life, self._settle_ms):
                life.has.expire(now, 0)
                octets = sleep.keep(life, now)
                break
            if not life.renewing:
                octets = sleep.keep(life, now)
            if not octets:
                self.udp.wake()
                await sleep_ms(_LOOK_MS)
        if not octets:
            sleep.forget(life)
        return octets

    async def sleep(self, ms):
        """Deep sleep for `ms`, after which the board starts anew: with the tunnel as it is, if its keys are kept.

        TypeError, ValueError: that is no time to sleep, and nothing has happened.
        """
        if self.sleeper is None:
            raise NotImplementedError("this board has no deep sleep")
        milliseconds(ms)
        try:
            octets = await self.keep()
        except MemoryError:  # Z7: it has to sleep all the same, and begins anew
            octets = b""
        self.sleeper(ms, octets)

    def wake(self, octets, slept_ms):
        """Go on with what `keep` gave, in a node whose table has been restored; False: the tunnel begins anew.

        SAs in the table for which nobody speaks go (Z7), so all that has outlived sleep in one node wakes before.
        """
        try:
            woken = sleep.wake(self.life, octets, slept_ms, ticks_ms())
        except MemoryError:  # Z7: what there is of it is mended, or made anew
            woken = False
        sleep.clear(self.node)
        if self.life.connections:
            self.streams.restore(self.life.connections)
        return woken

    async def close(self):
        """Delete the tunnel: the gateway is told, and has two seconds to answer."""
        for connection in list(self.stack.tcp.connections) if self.stack.tcp else ():
            connection.abort(ticks_ms())  # V10
        self.udp.look()  # whom they were with is told, as long as that can be said
        self.life.close(ticks_ms())
        self._changed()
        self.udp.wake()
        self.stack.wake()
        waited = 0
        try:
            while self._tasks and not self.life.over and waited < _FAREWELL_MS:
                await sleep_ms(_LOOK_MS)
                waited += _LOOK_MS
        finally:
            if self.stack in self.udp.sinks:
                self.udp.sinks.remove(self.stack)
            if self._own:
                self.udp.close()
            for task in self._tasks.values():
                task.cancel()
            self._tasks = {}
            sleep.forget(self.life)

    # The rest is private.

    def _changed(self):
        self._news.set()
        if self.life.wanted or self.life.closed:
            self._work.set()

    async def _go_on(self, work):
        """Do that again whenever it has ended (K13)."""
        failed = False
        while not self.life.closed:
            try:
                if failed:
                    await sleep_ms(_AGAIN_MS)
                failed = True
                await work()
            except Exception as error:
                self.error = error

    async def _serve(self):
        """The sockets; those that have been closed are opened anew."""
        if not self.udp.serves:
            self.udp = Udp(self.node, raw=(), local=self._local)
            self.udp.sinks.append(self.stack)
        await self.udp.run()

    async def _attempt(self):
        """Look the gateway up whenever an attempt is due."""
        while not self.life.closed:
            if self.life.wanted:
                try:
                    host = await resolve(self.gateway)
                    self.life.begin(host + self.port, ticks_ms())
                except Exception as error:
                    self.life.unresolved(in_words(error), ticks_ms())
                self.udp.wake()
            self._work.clear()
            if not self.life.wanted:
                await self._work.wait()

    def _fits(self, size):
        if self.life.closed:
            raise OSError(EBADF, "the tunnel is closed")
        if not self.life.up:
            raise OSError(ENOTCONN, "no tunnel: " + (self.life.reason or "it is not up yet"))
        if size > self.room():
            raise OSError(EMSGSIZE, "%d octets of data, room for %d" % (size, self.room()))

    def _carry(self, size, host):
        now = ticks_ms()
        length = self.life.seal(self.node.buffer, size, now)
        if not length:
            why = self.life.current.esp.refused
            if why == "selector":
                raise OSError(EHOSTUNREACH, "no route to %s: the gateway's traffic selectors leave it out" % host)
            raise OSError(ENOTCONN, "not sent: " + why)
        if not self.udp.send(PORT_NAT, self.life.endpoint(), self.node.buffer, length):
            error = self.udp.error
            number = error.errno if isinstance(error, OSError) else EHOSTUNREACH
            raise OSError(number or EHOSTUNREACH, "not sent: %s" % error)
