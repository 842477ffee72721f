"""Whoever calls us has a tunnel to us, and UDP sockets reach all of them: the other end of `Tunnel`, for asyncio.

    hub = Hub("hub.example", {"sensor-7": b"..."}, inside="10.9.0.254", pool="10.9.0.0/24", port=14500)
    async with hub:
        sock = hub.socket(5683)
        data, (host, port) = await sock.recvfrom()        # hub.peer(host): who that is
        await sock.sendto(b"on", (host, port))

It needs no rights, no interface and no other program on a port above 1024. Who comes and goes is members.py's. Time and
sockets come in here.
"""

import asyncio
import os
import sys
from errno import EBADF, EHOSTUNREACH, EINVAL

from ikev2.budget import Budget
from ikev2.initial.peers import Peers
from ikev2.net.sockets import sleep_ms, ticks_ms
from ikev2.net.udp import Udp
from ikev2.node import Node
from ikev2.sa.policy import GROUPS, OFFERED
from ikev2.sa.selectors import network
from ikev2.spi_table import SpiTable
from ikev2.wire import PORT, PORT_NAT
from inside.stack import OVERHEAD, Stack
from inside.stack import Socket as Queue
from inside.udp import Socket, octets_of, text_of
from portable import const

from .esp import ROOM
from .members import Members

_BOARD = sys.implementation.name == "micropython" and sys.platform != "linux"
# H4: ids, datagrams of a socket, Acceptor's limits, answers a second if many may share an address.
_LIMITS = (8, 4, (4, 2, 2, 20), 0) if _BOARD else (64, 64, (32, 16, 16, 500), 100)
_FAREWELL_MS = const(2000)
_LOOK_MS = const(20)
EMSGSIZE = const(90)


class Hub:
    """Accepts `peers`, {id: psk, or {"psk", "address", "networks", "ppk"}}, as `id`; octets and texts, "ppk" as Tunnel
    has it and required of that id (Q4). One psk an id (H6).

    inside -- our address in the tunnels; pool -- the network that peers' addresses come from
    networks -- what a peer may reach through us, our address alone by default; dns -- a name server, told to who asks
    port -- the one UDP port of ours; 0: 500 and 4500, which need root
    groups, ciphers -- taken, the first preferred; host -- our address, any by default
    connections, stream_buffer -- TCP connections at once, octets that each buffers each way
    udp -- a Udp that runs already, in the place of `port` and `host`
    """

    def __init__(self, id, peers, inside, pool="", networks=(), dns="", port=0, groups=GROUPS, ciphers=OFFERED,
                 host="0.0.0.0", connections=_LIMITS[0], stream_buffer=2720, udp=None):  # fmt: skip
        if port == PORT:  # F1
            raise ValueError("port 500 is for IKE alone: leave it out, for 500 and 4500, or take another")
        most, queue, limits, answers = _LIMITS
        self.peers = Peers(
            id, octets_of(inside), network(pool) if pool else b"", b"".join([network(text) for text in networks]),
            octets_of(dns) if dns else None, groups, ciphers, not _BOARD,
        )  # fmt: skip
        for name in peers:
            given = peers[name]
            if not isinstance(given, dict):
                given = {"psk": given}
            behind = b"".join([network(text) for text in given.get("networks", ())])
            address = octets_of(given["address"]) if given.get("address") else None
            self.peers.add(name, given["psk"], address, behind, given.get("ppk"))
        half_open, of_address, cookies_from, stateless = limits
        sas = min(256, 2 * most + half_open + most // 2)
        if udp:
            self.node = udp.node
        else:
            from .shares import Shares

            self.node = Node(SpiTable(sas, sas), os.urandom, budget=Shares(answers) if answers else None)
        self.stack = Stack(self.peers.inside, Budget(10, 20, 0, 1), queue)
        self.members = Members(
            self.node, self.peers, self.stack, most, half_open=half_open, of_address=of_address,
            cookies_from=cookies_from, answers_per_s=stateless,
        )  # fmt: skip
        self.members.changed = self._changed
        ports = {PORT_NAT: port} if port else {PORT: PORT, PORT_NAT: PORT_NAT}
        self.udp = udp or Udp(self.node, host, tuple(ports), (), ports)
        self._own = udp is None
        self.closed = False
        self._connections = connections, stream_buffer
        self._streams = None
        self._news = asyncio.Event()
        self._task = None

    async def __aenter__(self):
        self.start()
        return self

    async def __aexit__(self, *_):
        await self.close()

    def start(self):
        """Accept, beside whatever else the loop does."""
        if self.closed:
            raise OSError(EBADF, "the hub is closed")
        if self._own and not self._task:
            self._task = asyncio.create_task(self.udp.run())

    def socket(self, port=0):
        """A UDP socket on our address inside, bound to that port, or to a free one, for all peers."""
        return Socket(self, self.stack.bind(port))

    def rest(self):
        """A UDP socket for what comes to ports that nobody has bound."""
        self.stack.rest = queue = Queue(0, _LIMITS[1])
        return Socket(self, queue)

    @property
    def inside(self):
        """Our address inside, as text."""
        return text_of(self.stack.address)

    def peer(self, host):
        """Id of the peer with that address inside; "" if it is nobody's who is there."""
        member = self.members.at(octets_of(host))
        return member.policy.id if member else ""

    def addresses(self):
        """{id: address inside} of the peers that are there."""
        members = self.members.members
        return {id: text_of(members[id].current.child.remote[5:9]) for id in members if members[id].current}

    def event(self):
        """The oldest of (word, id, text) that nobody has read: up, down, refused; or None."""
        return self.members.event()

    async def next_event(self):
        """The next of them, once there is one."""
        event = self.event()
        while not event:
            self._news.clear()
            await self._news.wait()
            if self.closed:
                raise OSError(EBADF, "the hub is closed")
            event = self.event()
        return event

    @property
    def streams(self):
        """What is behind both that follow, imported when it is first asked for."""
        if not self._streams:
            from .hub_streams import HubStreams

            self._streams = HubStreams(self, ((),) + self._connections)
        return self._streams

    async def open_connection(self, host, port, ssl=None, server_hostname=None):
        """(reader, writer) to a port of a peer, by its id or address inside, as asyncio has them."""
        return await self.streams.open_connection(host, port, ssl, server_hostname)

    async def start_server(self, callback, port, backlog=3, ssl=None):
        """A server on our address inside, as asyncio has it."""
        return await self.streams.start_server(callback, None, port, backlog, ssl)

    async def resolve(self, name):
        """The address inside of the peer with that id; OSError."""
        return self.address_of(name)

    def address_of(self, name):
        """The same, for who does not wait."""
        found = self.addresses().get(name)
        if not found:
            raise OSError(EHOSTUNREACH, "%r is nobody who is there" % name)
        return found

    def send(self, source_port, data, address):
        """Send a datagram to a peer, from that port of ours to (host, port)."""
        host, port = address
        if self.closed:
            raise OSError(EBADF, "the hub is closed")
        octets = octets_of(host)
        member = self.members.at(octets)
        if not member:
            raise OSError(EHOSTUNREACH, "no tunnel to %s" % host)
        room = member.current.esp.room() - OVERHEAD
        if len(data) > room:
            raise OSError(EMSGSIZE, "%d octets of data, room for %d" % (len(data), room))
        size = self.stack.send(self.node.buffer, ROOM, source_port, octets, port, data)
        length = member.seal(self.node.buffer, size, ticks_ms())
        if not length:
            raise OSError(EINVAL, "not sent to %s: %s" % (host, member.refused))
        self.udp.send(PORT_NAT, member.place, self.node.buffer, length, None, self.udp.asked(member.place))

    async def close(self):
        """Delete all tunnels: the peers are told, and have two seconds to answer."""
        if self.closed:
            return
        self.closed = True
        self.members.close(ticks_ms())
        if self.stack.tcp:
            self.stack.tcp.end(OSError(EBADF, "the hub is closed"))
        self.udp.wake()
        self.stack.wake()
        self._news.set()
        waited = 0
        try:
            while self.udp.serves and not self.members.over and waited < _FAREWELL_MS:
                await sleep_ms(_LOOK_MS)
                waited += _LOOK_MS
        finally:
            self.members.leave()
            if self._own:
                self.udp.close()
            if self._task:
                self._task.cancel()

    def _changed(self):
        self._news.set()
