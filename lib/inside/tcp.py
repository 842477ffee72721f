"""TCP inside a tunnel: the connections of one inner address, by their four-tuples (V). No I/O, no clock.

    tcp = Tcp(stack, random)                                 the stack hands it what comes, and asks it what is to go
    connection = tcp.connect(host, port, now)                a host is 4 octets; see tcp_connection
    listener = tcp.listen(port); listener.accept()           a Connection, None if nobody has come
    size = tcp.receive(packet, now)                          0, or an RST that is to be sent: packet[:size]
    size = tcp.outgoing(out, at, room, now)                  an IPv4 packet in out[at:at+size]; 0: none. Then `asks`

A driver calls `tick` when `next_timer` has run out, then `outgoing` until there is none; `changed`, if set, is called
without arguments when that is to be asked anew. Small on purpose, after RFC 9006: no window scaling, no timestamps, no
Nagle, no simultaneous open, one SACK block, a retransmission timer of 300 ms at least.
"""

from array import array
from errno import EADDRINUSE, ECONNABORTED, ENOBUFS
from hashlib import sha256

from portable import const, copy, sooner

from .tcp_connection import Connection
from .tcp_receiving import begin, receive
from .tcp_segment import add, belongs, distance, fault, new_numbers, options, quoted, write
from .tcp_sending import due, outgoing

_FIN = const(1)  # as tcp_segment has them
_SYN = const(2)
_RST = const(4)
_ACK = const(16)
_UNA = const(8)
_NXT = const(12)
_SIZE = const(16)
_MSS = const(1360)
_FIRST_PORT = const(49152)
_KEPT = const(24)
_KEPT_WORDS = (0, 20, 4, 5)  # MSS, window, SRTT and its variance
_USABLE = const(20)
_WORD_MSS = const(0)  # as tcp_connection has them
_TIMED = const(6)
_PHASE = const(14)
_NEXT = const(38)
_MAX = const(39)
_SYN_SENT = const(1)
_OPEN = const(3)
_TIME_WAIT = const(4)
_MSS_DEFAULT = const(536)
_PROTOCOL = const(9)
_TCP = const(6)
_MALFORMED = const(1)  # of stack.DROPPED
_OTHER_PROTOCOL = const(6)
_UNUSED_PORT = const(8)
_NO_MEMORY = const(10)


class Tcp:
    """The connections of a Stack; random(n) gives n random octets; `buffer` octets each way for each of them."""

    def __init__(self, stack, random, connections=8, buffer=2720):
        if connections < 1 or not 128 <= buffer <= 0xFFFF:
            raise ValueError("%r connections, buffers of %r octets: 1 or more, of 128 to 65535" % (connections, buffer))
        self.buffer = buffer
        self.step = min(_MSS, buffer >> 1)  # by which a window is opened
        self.connections = []
        self.listeners = {}
        self.changed = None
        self.asks = False  # the last packet of `outgoing` wants an answer (V12)
        self.stack = stack
        self._random = random
        self._limit = connections
        self._secret = random(16)
        self._found = array("i", [0] * 4)  # the options of a segment
        self.number = 0  # identification of our last packet
        stack.tcp = self

    def connect(self, host, port, now, local_port=0):
        """A Connection to that port of the host, on its way; OSError EADDRINUSE, ENOBUFS; MemoryError."""
        if len(host) != 4 or not 0 < port <= 0xFFFF or not 0 <= local_port <= 0xFFFF:
            raise ValueError("connect(%r, %r)" % (host, port))
        if self.full(False):  # V9
            raise OSError(ENOBUFS, "too many connections")
        if not local_port:
            octets = self._random(2)
            local_port = octets[0] << 8 | octets[1] | _FIRST_PORT
            used = [one.local_port for one in self.connections]
            while local_port in used or local_port in self.listeners:
                local_port = local_port + 1 & 0xFFFF | _FIRST_PORT
        numbers = bytearray(host) + bytes((local_port >> 8, local_port & 0xFF, port >> 8, port & 0xFF)) + bytes(8)
        if local_port in self.listeners or numbers[:_UNA] in [one.numbers[:_UNA] for one in self.connections]:
            raise OSError(EADDRINUSE, "port in use")
        self.number_at(numbers, now)
        connection = Connection(self, numbers)
        connection.take_buffers()
        self.poke()
        self.connections.append(connection)  # K14: nothing can fail behind it
        return connection

    def listen(self, port, backlog=3):
        """A Listener; OSError EADDRINUSE."""
        if not 0 < port <= 0xFFFF or backlog < 1:
            raise ValueError("listen(%r, %r)" % (port, backlog))
        if port in self.listeners:
            raise OSError(EADDRINUSE, "port in use")
        from .tcp_listening import Listener

        self.listeners[port] = listener = Listener(self, port, backlog)
        return listener

    def receive(self, packet, now):
        """Take in an IPv4 packet that is neither UDP nor ICMP, as ipv4.fault checked it; length of an answer there."""
        if packet[_PROTOCOL] != _TCP:
            return self.stack.drop(_OTHER_PROTOCOL)
        header = (packet[0] & 15) << 2
        connection = None
        for one in self.connections:
            if belongs(packet, header, one.numbers):
                connection = one
                break
        why = fault(packet, header)
        numbers = connection.numbers if connection else new_numbers(packet, header)
        found = self._found
        found[0] = found[1] = found[2] = found[3] = 0
        if not why and packet[header + 12] >= 0x60 and not options(packet, header, numbers, found):
            why = _MALFORMED
        if why:  # V11
            return self.stack.drop(why)
        flags = packet[header + 13]
        new = flags & (_SYN | _ACK | _RST) == _SYN and self.listeners.get(packet[header + 2] << 8 | packet[header + 3])
        if new and connection and connection.words[_PHASE] == _TIME_WAIT:  # V8
            if distance(packet, header + 4, numbers, _NXT) >= 0:
                connection.end(None)
                connection = None
        refused = False
        try:
            if connection:
                seq = distance(packet, header + 4, numbers, _NXT)
                ack = distance(packet, header + 8, numbers, _UNA)
                refused = receive(connection, packet, header, seq, ack, found, now)
                self.poke()
            elif new:
                new.called(packet, header, found, now)
                self.poke()
            else:
                self.stack.drop(_UNUSED_PORT)
                refused = not flags & _RST
        except MemoryError:
            return self.stack.drop(_NO_MEMORY)
        return self._refusal(packet, header, flags, now) if refused else 0

    def unreachable(self, packet, header):
        """ICMP has come: of type 3, its quoted octets may be those of a segment of ours (V2)."""
        for one in list(self.connections) if packet[header] == 3 else ():
            w = one.words
            code = packet[header + 1]
            if 0 <= quoted(packet, header + 8, one.numbers) < w[_MAX]:
                if code == 3 and w[_PHASE] == _SYN_SENT:
                    one.refused()
                elif code == 4 and w[_PHASE] == _OPEN and w[_WORD_MSS] > _MSS_DEFAULT:
                    w[_WORD_MSS] = _MSS_DEFAULT
                    w[_NEXT] = w[_TIMED] = 0
        self.poke()

    def outgoing(self, out, at, room, now, to=None):
        """Length of the IPv4 packet that is to be sent now, written to out[at:]; 0 if there is none.

        `room` is the octets that a packet may have, 1,400 if possible, 104 at least; to(host): it may go there.
        """
        for one in self.connections:
            size = outgoing(one, out, at, room, now) if to is None or to(one.host) else 0
            if size:
                return size
        return 0

    def next_timer(self, now):
        """Milliseconds until `tick` and `outgoing` have something to do; -1 if there is no hurry."""
        wait = -1
        for one in self.connections:
            wait = sooner(wait, due(one, now))
        return wait

    def tick(self, now):
        """Let time pass; then ask `outgoing`."""
        for one in list(self.connections):
            one.tick(now)

    def end(self, error):
        """The tunnel is over, for that reason, and so is every connection in it (V10)."""
        for one in list(self.connections):
            one.end(error)

    def lines(self):
        """(name, value) of what a person is shown of each connection."""
        return [("stream %d.%d.%d.%d:%d" % (tuple(one.host) + (one.port,)), one.state) for one in self.connections]

    def address_changed(self):
        """The connections of the old address are over (V10)."""
        self.end(OSError(ECONNABORTED, "another address inside"))

    def keep(self, now):
        """24 octets for each idle connection, good for one `restore`; the others are aborted (V14)."""
        kept = b""
        for one in list(self.connections):
            if one.idle:
                kept += bytes(one.numbers)
                for i in _KEPT_WORDS:
                    value = min(one.words[i], 0xFFFF)
                    kept += bytes((value >> 8, value & 0xFF))
            else:
                one.abort(now)
        return kept

    def restore(self, octets, now):
        """Idle connections as `keep` had them (V14)."""
        for start in range(0, len(octets), _KEPT):
            record = octets[start : start + _KEPT]
            connection = Connection(self, bytearray(record[:_SIZE]))
            connection.take_buffers()
            at = _SIZE
            for i in _KEPT_WORDS:
                connection.words[i] = record[at] << 8 | record[at + 1]
                at += 2
            begin(connection.words, connection.words[_USABLE], 0)
            self.connections.append(connection)

    # For Connection and Listener.

    def poke(self):
        """Something has become due."""
        if self.changed:
            self.changed()

    def remove(self, connection):
        """It is over."""
        if connection in self.connections:
            self.connections.remove(connection)

    def full(self, accepted):
        """True if there is no room for one more of our own, or of those that others have opened (V9)."""
        found = [one for one in self.connections if bool(one.listener) is accepted and one.words[_PHASE] != _TIME_WAIT]
        return len(found) >= self._limit

    def number_at(self, numbers, now):
        """The initial sequence number: RFC 6528, with a clock of 1/256 ms that goes on where ours wraps (V1)."""
        numbers[_UNA:_NXT] = sha256(self._secret + bytes(numbers[:_UNA])).digest()[: _NXT - _UNA]
        add(numbers, _UNA, now & 0xFFFFFF, 3)

    # The rest is private.

    def _refusal(self, packet, header, flags, now):
        """Length of the RST for the segment in the packet, in its place; 0 beyond the budget (V7)."""
        if not self.stack.allowed(packet, now):
            return 0
        numbers = new_numbers(packet, header)
        if flags & _ACK:
            copy(numbers, _UNA, packet, header + 8, 4)
            flags = _RST
        else:
            copy(numbers, _NXT, packet, header + 4, 4)
            n = (packet[2] << 8 | packet[3]) - header - (packet[header + 12] >> 2 & 60)
            add(numbers, _NXT, n + bool(flags & _SYN) + bool(flags & _FIN), 4)
            flags = _RST | _ACK
        self.number = (self.number + 1) & 0xFFFF
        write(packet, 0, self.number, self.stack.address, numbers, 0, flags, 0, 0, 0)
        return 40
