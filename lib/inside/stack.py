"""What is inside a tunnel: IPv4 with UDP sockets by port, ICMP echo, and TCP if it is made. No I/O, no clock, no ESP.

    stack = Stack(address)                                          our address in the tunnel, 4 octets
    sock = stack.bind(5683)                                         0: a free port
    size = stack.send(out, at, sock.port, host, port, data)         a whole IPv4 packet in out[at:at+size]
    size = stack.receive(packet, size, now)                         0, or an answer to send: packet[:size]
    data, host, port = sock.take()                                  None if nothing has come
    stack.close(sock)
    size = stack.ping(out, at, host, number); stack.pongs()         an echo request; the numbers that were answered

A host is 4 octets; data is octets, of its own what `take` gives. `packet` is a bytearray of at least 96 octets in which
an IPv4 packet from the tunnel stands; an echo reply or a port unreachable takes its place. `sock.ready`, if set, is
called without arguments when something has come: an asyncio.Event's `set`, say. Both kinds of answers are paid for out
of one budget, whose time goes on by `next_timer` and `tick`. What is dropped is counted in
`stack.counters` by its place in DROPPED, and for each socket in `sock.dropped` what its queue had no room for.
Fragments are not put together (E7); options are skipped, and go back in an echo reply as no-operations. A Tcp puts
itself in `stack.tcp`; from then on the stack hands it what is for it. What it sends it has itself.
"""

from array import array
from errno import EADDRINUSE

from portable import const, copy, micropython, sooner

from .ipv4 import datagram, echo_reply, echo_request, fault, head, unreachable

OVERHEAD = const(28)  # octets of an inner packet around its data
DROPPED = (
    "none", "malformed", "checksum", "fragment", "source", "destination", "protocol",  # as ipv4.fault has them
    "icmp", "unused-port", "limited", "no-memory",
)  # fmt: skip

_OTHER_PROTOCOL = const(6)
_OTHER_ICMP = const(7)
_UNUSED_PORT = const(8)
_LIMITED = const(9)
_NO_MEMORY = const(10)
_SATURATED = const(0x3FFFFFFF)

_LENGTH = const(2)
_PROTOCOL = const(9)
_SOURCE = const(12)
_DESTINATION = const(16)
_UDP = const(17)
_ICMP = const(1)
_ECHO = const(8)
_PING = const(0x494B)  # identifier of our echo requests
_PONGS = const(16)
_FIRST_FREE = const(49152)


class Socket:
    """What has come for a port. Of `room` datagrams that may wait the oldest makes place for the next (T4)."""

    def __init__(self, port, room):
        self.port = port
        self.ready = None
        self.dropped = 0
        self._room = room
        self.waiting = []

    def take(self):
        """(data, host, port) of the oldest datagram that waits; None if there is none."""
        return self.waiting.pop(0) if self.waiting else None

    def _put(self, packet, header):
        if len(self.waiting) == self._room:
            self.waiting.pop(0)
            self.dropped += self.dropped < _SATURATED
        end = header + (packet[header + 4] << 8 | packet[header + 5])
        port = packet[header] << 8 | packet[header + 1]
        self.waiting.append((packet[header + 8 : end], packet[_SOURCE:_DESTINATION], port))
        if self.ready:
            self.ready()


class Stack:
    """The sockets of one address, `queue` datagrams each.

    `budget` pays for echo replies and port unreachable: allow, next_timer and tick as ikev2.budget has them; None:
    there are none. `servers` are name servers inside, four octets each.
    """

    servers = b""
    tcp = None
    rest = None  # the Socket that has what comes to ports that nobody has bound

    def __init__(self, address, budget=None, queue=8):
        if len(address) != 4 or queue < 1:
            raise ValueError("Stack(%r, queue=%r)" % (address, queue))
        self.address = address
        self.counters = array("I", [0] * len(DROPPED))
        self._budget = budget
        self._queue = queue
        self._sockets = {}
        self._pongs = []
        self._number = 0  # identification of our last packet
        self._asking = bytearray(6)  # whose packet might be answered, as an endpoint for the budget

    def bind(self, port=0):
        """A Socket for that port, for a free one if it is 0; OSError EADDRINUSE."""
        if not 0 <= port <= 0xFFFF:
            raise ValueError("port %r" % port)
        if not port:
            port = _FIRST_FREE
            while port in self._sockets:
                port += 1
        if port in self._sockets or port > 0xFFFF:
            raise OSError(EADDRINUSE, "port %d inside the tunnel is in use" % port)
        self._sockets[port] = sock = Socket(port, self._queue)
        return sock

    def close(self, sock):
        """Give its port back."""
        if self._sockets.get(sock.port) is sock:
            del self._sockets[sock.port]

    def room(self):
        """Datagrams for which every UDP socket has room, as long as there is one that waits (T4)."""
        most = 0
        for sock in self._sockets.values():
            most = max(most, len(sock.waiting))
        return self._queue - most

    def wake(self):
        """Whoever waits at a socket looks again."""
        for sock in self._sockets.values():
            if sock.ready:
                sock.ready()

    def send(self, out, at, source_port, host, port, data):
        """Length of the IPv4 packet that is written to out[at:]; ValueError with the room if there is not enough."""
        size = OVERHEAD + len(data)
        if len(host) != 4 or not 0 < port <= 0xFFFF or not 0 < source_port <= 0xFFFF:
            raise ValueError("from port %r to port %r of %r" % (source_port, port, host))
        if at + size > len(out):
            raise ValueError("%d octets of data, room for %d" % (len(data), len(out) - at - OVERHEAD))
        self._head(out, at, size, _UDP, host)
        out[at + OVERHEAD : at + size] = data
        datagram(out, at, source_port, port, size - OVERHEAD)
        return size

    def ping(self, out, at, host, number):
        """Length of an echo request with that sequence number, which is written to out[at:]."""
        self._head(out, at, OVERHEAD, _ICMP, host)
        echo_request(out, at, OVERHEAD, _PING, number & 0xFFFF)
        return OVERHEAD

    def pongs(self):
        """Sequence numbers of the echo replies that have come since the last call, sixteen at most."""
        found, self._pongs = self._pongs, []
        return found

    def receive(self, packet, size, now):
        """Take in packet[:size]; returns the length of the answer that stands there now, 0 if there is none."""
        why = fault(packet, size, self.address)
        if why:
            return self.tcp.receive(packet, now) if self.tcp and why == _OTHER_PROTOCOL else self.drop(why)
        header = (packet[0] & 15) << 2
        if packet[_PROTOCOL] == _UDP:
            sock = self._sockets.get(packet[header + 2] << 8 | packet[header + 3]) or self.rest
            if sock:
                try:
                    sock._put(packet, header)
                except MemoryError:
                    self.drop(_NO_MEMORY)
                return 0
            self.drop(_UNUSED_PORT)
            if not self.allowed(packet, now):
                return 0
            size = unreachable(packet, header)
            self._head(packet, 0, size, _ICMP, self._asking)
            return size
        if not packet[header] and (packet[header + 4] << 8 | packet[header + 5]) == _PING:
            self._pongs = self._pongs[1 - _PONGS :] + [packet[header + 6] << 8 | packet[header + 7]]
            return 0
        if packet[header] != _ECHO or packet[header + 1]:
            if self.tcp:
                self.tcp.unreachable(packet, header)
            return self.drop(_OTHER_ICMP)
        if not self.allowed(packet, now):
            return 0
        echo_reply(packet, header)
        return packet[_LENGTH] << 8 | packet[_LENGTH + 1]

    def next_timer(self, now):
        """Milliseconds until `tick` is due; -1 if there is no hurry."""
        wait = self._budget.next_timer(now) if self._budget else -1
        return sooner(wait, self.tcp.next_timer(now)) if self.tcp else wait

    def tick(self, now):
        """Let time pass; then ask TCP what it sends."""
        if self._budget:
            self._budget.tick(now)
        if self.tcp:
            self.tcp.tick(now)

    # For Tcp.

    def drop(self, why):
        """Count a packet that is dropped."""
        if self.counters[why] < _SATURATED:
            self.counters[why] += 1
        return 0

    def allowed(self, packet, now):
        """True if the budget has an answer to that packet."""
        copy(self._asking, 0, packet, _SOURCE, 4)
        return bool(self._budget and self._budget.allow(self._asking, 0, now)) or bool(self.drop(_LIMITED))

    # The rest is private.

    @micropython.viper
    def _head(self, out, at: int, size: int, protocol: int, to):
        number = int(self._number) + 1 & 0xFFFF
        self._number = number
        head(out, at, size, number, protocol, self.address, to)
