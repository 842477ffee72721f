"""What a Tunnel has beside UDP sockets: streams, blocking sockets and names inside (W1 to W6).

    reader, writer = await tunnel.open_connection("broker.lan", 1883)
    server = await tunnel.start_server(serve, port=80)
    sys.modules["socket"] = tunnel.sockets()
    await tunnel.resolve("broker.lan")

It is imported when one of these is first asked for, and of what it stands on only what that needs.
"""

import asyncio
import time
from errno import EHOSTUNREACH

from inside.ipv4 import head, put16
from inside.udp import is_name, octets_of, text_of
from portable import const, elapsed

from .spd import within

_TCP = const(6)
_SYN = const(24)  # octets of a packet, up to its ports
_PHASE = const(14)  # as tcp_connection has it
_TIME_WAIT = const(4)
_LOOK_MS = const(20)
_SETTINGS = (b"", 8, 2720)


def of(tunnel, name):
    """What a tunnel has by Streams: they last as long as they are in use."""
    if name[0] == "_" or name == "settings":
        raise AttributeError(name)
    streams = Streams(tunnel, getattr(tunnel, "settings", _SETTINGS))
    return streams if name == "streams" else getattr(streams, name)


class Streams:
    """Of a tunnel; `settings` are the name servers, how many connections, octets of their buffers each way (W6)."""

    def __init__(self, tunnel, settings):
        from ikev2.net.sockets import ticks_ms  # not every machine has sockets

        self.ticks = ticks_ms
        self.stack = tunnel.stack
        self.send = tunnel.send
        self._tunnel = tunnel
        self._servers, self._connections, self._buffer = settings

    # For asyncio.

    async def resolve(self, host):
        """The IPv4 address of a name, as text; OSError if it has none. Numbers are themselves."""
        return text_of(await self._look_up(host))

    async def open_connection(self, host, port, ssl=None, server_hostname=None, **_):
        """(reader, writer) to a host, or name, inside the tunnel; `ssl`: an SSLContext, or True (W3).

        OSError says why there is none.
        """
        from inside.stream import Stream

        connection = self.connect(await self._look_up(host), port)
        opened = False
        try:
            stream = Stream(connection, self.ticks)
            await stream.connected()
            if ssl:
                await stream.start_tls(ssl, server_hostname or host)
            both = stream, stream
            opened = True
        finally:
            if not opened:
                connection.abort(self.ticks())
        return both

    @property
    def connections(self):
        """The open streams that `open_connection` has given; after waking those that have outlived sleep (V14)."""
        found = [one for one in self.tcp().connections if one.user and one.established and not one.listener]
        return [one.user for one in found if not one.user.is_closing()]

    async def start_server(self, callback, host=None, port=None, backlog=3, ssl=None, **_):
        """A Server that calls callback(reader, writer) for each connection to that port. Its host is the tunnel's."""
        from inside.server import Server

        return Server(self.listen(host if port is None else port, backlog), callback, self.ticks, ssl)

    # For programs that block (W4).

    def sockets(self):
        """What stands in for the module `socket`."""
        from inside.sockets import Sockets

        return Sockets(self)

    def serve(self, ms):
        """What the tasks of the tunnel do, for that long at most, or until something has come."""
        from ikev2.net import blocking

        tunnel = self._tunnel
        if tunnel.life.wanted:
            try:
                tunnel.life.begin(blocking.resolve(tunnel.gateway) + tunnel.port, self.ticks())
            except OSError as error:
                tunnel.life.unresolved(str(error.args[-1]), self.ticks())
        blocking.serve(tunnel.udp, ms)

    def address(self, host):
        """Four octets of a host, or name."""
        if not is_name(host):
            return octets_of(host)
        lookup = self._lookup(host)
        try:
            while not lookup.address:
                self.serve(lookup.left(self.ticks()))
                lookup.step(self.ticks(), int(time.time()))
            return lookup.address
        finally:
            lookup.close()

    # For sleep (V14).

    async def settle(self, ms):
        """Let what is owed come to an end, for that long at most; then what cannot be kept is over."""
        from ikev2.net.sockets import sleep_ms

        for stream in self.connections:
            if stream.tls:
                stream.close()
        began = self.ticks()
        tcp = self.tcp()
        while elapsed(self.ticks(), began) < ms:
            if not [one for one in tcp.connections if not one.idle and one.words[_PHASE] != _TIME_WAIT]:
                break
            await sleep_ms(_LOOK_MS)
        tcp.keep(self.ticks())
        self._tunnel.udp.look()  # those that are not idle are reset, and that leaves before anything is kept

    def restore(self, octets):
        """The connections that have outlived sleep, as they were."""
        from inside.stream import Stream

        tcp = self.tcp()
        tcp.restore(octets, self.ticks())
        for connection in tcp.connections:
            Stream(connection, self.ticks)

    # For both.

    def tcp(self):
        """The TCP of this tunnel."""
        stack = self.stack
        if stack.tcp is None:
            from inside.tcp import Tcp

            stack.tcp = Tcp(stack, self._tunnel.node.random, self._connections, self._buffer)
            stack.tcp.changed = self._tunnel.udp.wake
        return stack.tcp

    def connect(self, host, port, local_port=0):
        """A connection to four octets, which is being opened; EHOSTUNREACH where no selector leads there (V1)."""
        self._tunnel._fits(0)
        packet = bytearray(_SYN)
        connection = self.tcp().connect(host, port, self.ticks(), local_port)
        head(packet, 0, _SYN, 0, _TCP, self.stack.address, host)
        put16(packet, _SYN - 4, connection.local_port)
        put16(packet, _SYN - 2, port)
        child = self._tunnel.child
        if within(packet, 0, _SYN, child.inside, child.remote) < 0:
            connection.abort(self.ticks())
            raise OSError(EHOSTUNREACH, "no route to %s: the gateway's traffic selectors leave it out" % text_of(host))
        return connection

    def listen(self, port, backlog=3):
        """A Listener at that port."""
        return self.tcp().listen(port, backlog)

    # The rest is private.

    async def _look_up(self, host):
        if not is_name(host):
            return octets_of(host)
        lookup = self._lookup(host)
        try:
            if not lookup.address:
                come = asyncio.Event()
                lookup.ready = come.set
            while not lookup.address:
                come.clear()
                try:
                    await asyncio.wait_for(come.wait(), lookup.left(self.ticks()) / 1000)
                except asyncio.TimeoutError:
                    pass
                lookup.step(self.ticks(), int(time.time()))
            return lookup.address
        finally:
            lookup.close()

    def _lookup(self, host):
        from inside.dns import Names

        stack = self.stack
        try:
            known = stack.names
        except AttributeError:
            known = stack.names = []
        names = Names(stack, self._tunnel.node.random, self._ask, known)
        return names.lookup(host, self._servers or stack.servers, self.ticks(), int(time.time()))

    def _ask(self, port, octets, host):
        self.send(port, octets, (text_of(host), 53))
