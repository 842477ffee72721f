"""What a hostile peer of a TCP of ours may do, out of octets: segments random and nearly right, time, a user beside it.

`one(octets)` plays them against an open connection and a listening port, and asserts what has to hold whatever comes:
nothing raises, what is sent is a whole segment, no timer is due without something that it does, tables and queues stay
within their bounds, and what is read is octets that came in order (V4, V9, V11).
"""

from ikev2.budget import Budget
from inside.ipv4 import put16, summed
from inside.stack import Stack
from inside.tcp import Tcp
from inside.tcp_segment import add, write

from library.tcp_wire import HERE, ROOM, THERE

BUFFER = 300
_AT_ONCE = 60
_OPTIONS = (
    b"", b"\2\4\5\x50", b"\1\1\4\2", b"\2\4\0\0", b"\2\4\0\1", b"\5\x0a", b"\3\3\7\1", b"\1\1\1\5", b"\2\0\0\0",
    b"\0\xff\xff\xff",
)  # fmt: skip


class Peer:
    segments = 0  # of all of them, taken in

    def __init__(self):
        self.now = 2**30 - 5000
        self.stack = Stack(HERE, Budget(1000000, 1000, 0, 1))
        self.tcp = Tcp(self.stack, lambda n: bytes(range(n)), 2, BUFFER)
        self.out = bytearray(ROOM)
        self.read = 0
        self.listener = self.tcp.listen(80)
        self.connection = self.tcp.connect(THERE, 81, self.now, 50000)
        self.drain()
        # Its numbers, as we have them, the other way round: una is where it is, nxt what it expects of us.
        self.numbers = bytearray(HERE + b"\0\x51\xc3\x50" + bytes(8))
        self.numbers[12:16] = self.connection.numbers[8:12]
        add(self.numbers, 12, 1, 4)
        self.says(0x12, 0, 0, 500, b"\2\4\5\x50\1\1\4\2", b"")
        add(self.numbers, 8, 1, 4)
        assert self.connection.established

    def drain(self):
        """Everything that is sent now; then no timer is due (V11)."""
        for _ in range(_AT_ONCE):
            size = self.stack.tcp.outgoing(self.out, 0, ROOM, self.now % 2**30)
            if not size:
                assert self.stack.next_timer(self.now % 2**30)
                self.bounds()
                return
            assert 40 <= size <= ROOM and size == self.out[2] << 8 | self.out[3]
        raise AssertionError("it does not end")

    def bounds(self):
        connections = self.tcp.connections
        assert len(connections) <= 2 + 2 + 3 + 3 and len(self.listener.waiting) <= 3
        for one in connections:
            queued, next, sent, _, unread, _, _, window = one.words[37:45]
            assert 0 <= unread + window <= BUFFER
            assert (0 <= queued <= BUFFER and 0 <= next <= sent <= BUFFER + 1) or one.state == "CLOSED"

    def follow(self):
        """Take the place of the peer of whatever connection there is at that port."""
        for one in self.tcp.connections:
            if one.numbers[4:6] == self.numbers[6:8]:
                self.numbers[8:12], self.numbers[12:16] = one.numbers[12:16], one.numbers[8:12]

    def says(self, flags, place, acked, window, options, data):
        """A segment with right sums; places are counted from where the peer would be."""
        size = 40 + len(options) + len(data)
        packet = bytearray(size + 96)
        packet[40 : 40 + len(options)] = options
        packet[40 + len(options) : 40 + len(options) + len(data)] = data
        write(packet, 0, 7, THERE, self.numbers, place, flags, window, len(options), len(data))
        if acked:
            add(packet, 28, acked, 4)
            put16(packet, 36, 0)
            put16(packet, 36, summed(packet, 12, 6 + size - 20, size - 12) ^ 0xFFFF)
        self.receive(packet, size)

    def receive(self, packet, size):
        Peer.segments += 1
        answer = self.stack.receive(packet, size, self.now % 2**30)
        assert answer in (0, 40)
        self.drain()

    def passes(self, ms):
        """Time; what is due is done."""
        end = self.now + ms
        for _ in range(_AT_ONCE):
            wait = self.stack.next_timer(self.now % 2**30)
            if wait < 0 or self.now + wait > end:
                self.now = end
                return
            assert wait
            self.now += wait
            self.stack.tick(self.now % 2**30)
            self.drain()
        self.now = end  # a probe each second, say

    def user(self, what):
        """The user does something."""
        connection = self.connection
        try:
            if what < 3:
                connection.write(bytes(100 * what + 1))
            elif what < 6:
                buf = bytearray(90 * what)
                n = connection.readinto(buf) or 0
                assert not any(buf[:n])  # in order is only what was sent as zeros
            elif what == 6:
                connection.shutdown(self.now % 2**30)
            elif what == 7:
                connection.close(self.now % 2**30)
            elif what == 8:
                self.connection = self.listener.accept() or connection
            elif what == 9 and connection.idle:
                kept = self.tcp.keep(self.now % 2**30)
                self.tcp.connections.clear()
                self.tcp.restore(kept, self.now % 2**30)
                self.connection = self.tcp.connections[0]
            elif what == 10:
                connection.keepalive(1000)
        except OSError as error:
            orphan = connection.words[18]  # closed by the user: FIN-WAIT-2 ends without an error
            assert connection.error or orphan or error.args[0] == 32
        self.drain()


def one(octets):
    """Play them."""
    peer = Peer()
    at = 0
    while at + 8 <= len(octets):
        kind, a, b, c, d, e, f, g = octets[at : at + 8]
        at += 8
        if kind < 16:
            peer.user(kind)
        elif kind < 48:
            peer.passes((a << 8 | b) * (1 if c & 1 else 7))
        elif kind < 64:  # raw octets behind an IPv4 header
            size = 20 + min(len(octets) - at, b)
            packet = bytearray(size + 96)
            packet[20:size] = octets[at : at + size - 20]
            packet[0], packet[9] = 0x45, 6
            packet[12:20] = THERE + HERE
            put16(packet, 2, size)
            put16(packet, 10, summed(packet, 0, 0, 20) ^ 0xFFFF)
            if size >= 40 and c & 1:
                put16(packet, 36, 0)
                put16(packet, 36, summed(packet, 12, 6 + size - 20, size - 12) ^ 0xFFFF)
            peer.receive(packet, size)
            at += size - 20
        else:
            place = (a << 8 | b) - 0x8000 if kind & 1 and not b & 3 else a % 8 * 40 * (a >> 7)
            acked = (c << 8 | d) - 0x8000 if kind & 2 and not c & 7 else (c >> 5) * 50 + (c & 1)
            peer.numbers[6:8] = b"\0\x50" if kind & 4 else b"\xc3\x50"  # where we listen, or the connection's
            peer.follow()
            options = _OPTIONS[f % len(_OPTIONS)]
            options += bytes(-len(options) % 4)
            if f & 0x80:
                options = b"\1\1\5\x0a" + bytes((0, 0, a, b, 0, 0, c, d))
            flags = (
                e if not e & 0xE0 else 0x10 | e & (0x13 if kind & 4 else 0x11)
            )  # RST and SYN end everything: not often
            if kind & 12 == 12:
                flags = 2
            peer.says(flags, place, acked, g * 9, options, bytes(d % 100))
