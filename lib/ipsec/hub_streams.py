"""Streams over a hub: connections to peers, by address inside or id, and servers for all of them."""

from errno import EHOSTUNREACH

from ikev2.net.sockets import ticks_ms
from inside.udp import is_name, octets_of

from .streams import Streams


class HubStreams(Streams):
    """Of a hub; settings as Streams has them."""

    async def _look_up(self, host):
        return octets_of(self._tunnel.address_of(host) if is_name(host) else host)

    def connect(self, host, port, local_port=0):
        """A connection to four octets, which is being opened; EHOSTUNREACH where nobody is."""
        if not self._tunnel.members.at(host):
            raise OSError(EHOSTUNREACH, "no tunnel to %d.%d.%d.%d" % tuple(host))
        return self.tcp().connect(host, port, ticks_ms(), local_port)
