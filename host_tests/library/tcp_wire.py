"""Two TCPs of ours with each other over a wire in memory, with a clock of its own; MicroPython runs it too.

    wire = Wire(delay_ms=20, loss=2)
    here = wire.ends[0].tcp.connect(THERE, 80, wire.now)
    wire.run(lambda: here.established)

Every packet is handed on after `delay_ms`, `jitter_ms` more of which reorder it; of a hundred `loss` are lost and
`doubled` come twice, by a generator that is the same each time. A run in which a timer is due without anything that it
does, or in which nothing is left to wait for, is an AssertionError.
"""

from hashlib import sha256

from ikev2.budget import Budget
from inside.stack import Stack
from inside.tcp import Tcp

HERE, THERE = b"\x0a\x4d\0\2", b"\x0a\x4d\0\x09"
ROOM = 1400
_AT_ONCE = 200  # packets and ticks without any time that passes


class Random:
    """The same numbers each time."""

    def __init__(self, seed):
        self.state = seed

    def __call__(self, n):
        return bytes([self.below(256) for _ in range(n)])

    def below(self, n):
        self.state = (self.state * 1103515245 + 12345) & 0x7FFFFFFF
        return (self.state >> 12) % n


class End:
    """One side: its stack, its TCP, and what it has sent."""

    def __init__(self, address, random, **limits):
        self.stack = Stack(address, Budget(1000000, 1000, 0, 1))
        self.tcp = Tcp(self.stack, random, **limits)
        self.sent = 0
        self.seen = None  # called with each packet that it sends
        self._out = bytearray(ROOM + 8)

    def outgoing(self, now):
        """Everything that is to be sent now."""
        found = []
        size = self.stack.tcp.outgoing(self._out, 8, ROOM, now)
        while size:
            found.append(bytes(self._out[8 : 8 + size]))
            assert size <= ROOM and len(found) < _AT_ONCE
            size = self.stack.tcp.outgoing(self._out, 8, ROOM, now)
        self.sent += len(found)
        for packet in found if self.seen else ():
            self.seen(packet)
        return found

    def receive(self, packet, now):
        """The answer in its place, as a list."""
        buffer = bytearray(packet)
        buffer.extend(bytes(max(0, 96 - len(packet))))
        size = self.stack.receive(buffer, len(packet), now)
        return [bytes(buffer[:size])] if size else []


class Wire:
    def __init__(self, delay_ms=0, loss=0, jitter_ms=0, doubled=0, seed=1, now=0, **limits):
        self.now = now
        self.random = Random(seed)
        self.ends = [End(HERE, Random(seed + 1), **limits), End(THERE, Random(seed + 2), **limits)]
        self.drop = None  # drop(side, packet) is True for what is lost besides
        self._delay = delay_ms
        self._loss = loss
        self._jitter = jitter_ms
        self._doubled = doubled
        self._under_way = []  # [when, side that it goes to, packet]

    def carry(self, side, packets):
        """What that side has sent is on its way."""
        for packet in packets:
            if self.random.below(100) < self._loss or (self.drop and self.drop(side, packet)):
                continue
            for _ in range(2 if self.random.below(100) < self._doubled else 1):
                late = self.random.below(self._jitter + 1) if self._jitter else 0
                self._under_way.append([self.now + self._delay + late, 1 - side, packet])

    def step(self, most=None):
        """Do what is due; else let time pass, `most` milliseconds at most."""
        for side, end in enumerate(self.ends):
            self.carry(side, end.outgoing(self.now % 2**30))
        arrived = [one for one in self._under_way if one[0] <= self.now]
        self._under_way = [one for one in self._under_way if one[0] > self.now]
        for _, side, packet in arrived:
            self.carry(side, self.ends[side].receive(packet, self.now % 2**30))
            self.carry(side, self.ends[side].outgoing(self.now % 2**30))
        if arrived:
            return 0
        waits = [one[0] - self.now for one in self._under_way] + ([] if most is None else [most])
        for end in self.ends:
            wait = end.stack.next_timer(self.now % 2**30)
            if wait >= 0:
                waits.append(wait)
        assert waits, "nothing is left to wait for"
        self.now += min(waits)
        for end in self.ends:
            end.stack.tick(self.now % 2**30)
        return min(waits)

    def run(self, done, most_ms=None, each=None):
        """Until done() is true, `each` called between all steps; or for that long."""
        stuck = 0
        end = None if most_ms is None else self.now + most_ms
        while not done() and (end is None or self.now < end):
            passed = self.step(None if end is None else end - self.now)
            if each:
                each()
            stuck = 0 if passed else stuck + 1
            assert stuck < _AT_ONCE, "something is due, and nothing is done"

    def pass_time(self, ms):
        """For so long."""
        self.run(lambda: False, ms)

    def connected(self, port=80):
        """A pair of connections, ours and the other side's; nothing is lost meanwhile."""
        loss, self._loss = self._loss, 0
        listener = self.ends[1].tcp.listeners.get(port) or self.ends[1].tcp.listen(port)
        here = self.ends[0].tcp.connect(THERE, port, self.now % 2**30)
        self.run(lambda: listener.waiting)
        there = listener.accept()
        self.run(lambda: here.established)
        self._loss = loss
        return here, there


def pattern(at, n):
    """Octets of a stream that is different everywhere."""
    return bytes([(i * 7 + (i >> 8) * 13 + (i >> 16)) & 0xFF for i in range(at, at + n)])


class Transfer:
    """A stream from one connection to another, `size` octets, in writes of `piece` and reads of `read`."""

    def __init__(self, source, to, size, piece=1000, read=1500):
        self.source, self.to, self.size = source, to, size
        self.written = self.received = 0
        self.hashes = sha256(), sha256()
        self._piece = piece
        self._buf = bytearray(read)

    def move(self):
        """As much as can be."""
        while self.written < self.size:
            data = pattern(self.written, min(self._piece, self.size - self.written))
            n = self.source.write(data)
            if not n:
                break
            self.hashes[0].update(data[:n])
            self.written += n
        n = self.to.readinto(self._buf)
        while n:
            self.received += n
            self.hashes[1].update(memoryview(self._buf)[:n])
            n = self.to.readinto(self._buf)

    @property
    def done(self):
        return self.received == self.size

    @property
    def right(self):
        """True if it is what was sent."""
        return self.done and self.hashes[0].digest() == self.hashes[1].digest()


def transfer(size=100000, **wire):
    """(right, milliseconds, packets sent by each side) of a stream each way at once, then both ends closed."""
    wire = Wire(**wire)
    here, there = wire.connected()
    both = Transfer(here, there, size), Transfer(there, here, size, 700, 99)

    def move():
        for one in both:
            one.move()

    move()
    begin = wire.now
    wire.run(lambda: both[0].done and both[1].done, each=move)
    took = wire.now - begin
    here.close(wire.now % 2**30)
    there.close(wire.now % 2**30)
    wire.run(lambda: not wire.ends[0].tcp.connections and not wire.ends[1].tcp.connections)
    return both[0].right and both[1].right, took, [end.sent for end in wire.ends]
