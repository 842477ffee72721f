"""What a Tunnel has beside UDP sockets: names, looked up inside by the tunnel's name servers (W5).

It is imported when it is first asked for, as an attribute of the tunnel.
"""

import asyncio
import time

from ikev2.net.sockets import ticks_ms
from inside.dns import Names


class Streams:
    """The names of a tunnel."""

    def __init__(self, tunnel):
        self._tunnel = tunnel
        self._names = Names(tunnel.stack, tunnel.node.random, self._ask)

    async def resolve(self, host):
        """The IPv4 address of a name, as text; OSError if it has none. Numbers are themselves."""
        return "%d.%d.%d.%d" % tuple(await self.look_up(host))

    async def look_up(self, host):
        """The same as four octets."""
        lookup = self._lookup(host)
        try:
            if not lookup.address:
                come = asyncio.Event()
                lookup.ready = come.set
            while not lookup.address:
                come.clear()
                try:
                    await asyncio.wait_for(come.wait(), lookup.left(ticks_ms()) / 1000)
                except asyncio.TimeoutError:
                    pass
                lookup.step(ticks_ms(), int(time.time()))
            return lookup.address
        finally:
            lookup.close()

    # The rest is private.

    def _lookup(self, host):
        tunnel = self._tunnel
        servers = tunnel._dns or tunnel.stack.servers
        return self._names.lookup(host, servers, ticks_ms(), int(time.time()))

    def _ask(self, port, question, server):
        self._tunnel.send(port, question, ("%d.%d.%d.%d" % tuple(server), 53))
