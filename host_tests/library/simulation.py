"""A device with a tunnel and its gateway, simulated: time, wires and accidents as a test wants them.

Nothing sleeps. `Simulation.run(ms)` lets that much time pass: timers of the device, datagrams on their way, requests of
the gateway repeated until they are answered, and an echo through the tunnel every now and then.
"""

import random
import struct

from ikev2.budget import Budget
from ikev2.node import Node
from ikev2.sa.policy import Policy
from ikev2.spi_table import SpiTable
from inside.stack import Stack
from ipsec.esp import ROOM
from ipsec.life import Life

from library.scripted_gateway import Gateway, Group

PERIOD = 1 << 30
_LOOK_MS = 2000  # after an error, whatever the timers say: Udp looks each 500 ms
PSK = b"of no value, but long enough"
HOST = bytes((198, 51, 100, 1))
THERE = bytes((10, 0, 0, 5))


class QuickGroup(Group):
    """The interface of crypto.group, in one slice of the cryptography package's."""

    def __init__(self, number, random):
        super().__init__(number, random)
        self.size, self._own, self._peer = len(self.value), self.value, None

    def begin(self, peer=None):
        self._peer = peer

    def step(self):
        self.value = self.secret(self._peer) if self._peer else self._own
        return True


class Simulation:
    """`loss`, `doubling` are parts of one; `delay` is (least, most) milliseconds on the wire; `gateway` makes one."""

    def __init__(self, seed=1, loss=0.0, doubling=0.0, delay=(5, 5), echo_ms=200, start=0, policy=None,
                 gateway=Gateway, table=(4, 8), **settings):  # fmt: skip
        self.dice = random.Random(seed)
        self.now = start
        self.new_gateway = lambda: gateway(PSK, random=self.octets)
        self.loss, self.doubling, self.delay, self.echo_ms = loss, doubling, delay, echo_ms
        self.source = ("192.0.2.1", 20001)
        self.policy = policy or Policy("sensor-7", PSK)
        self.settings = settings
        self.table = table
        self.gateway = self.new_gateway()
        self.there = True  # the gateway is running
        self.follows = True  # it answers to where the newest ESP packet came from
        self.lingers = False  # it opens what comes on a Child SA that it has deleted, as charon does
        self.pairs = {}  # those that it opens, by inbound SPI: IKE SA, Child SA
        self.flying = []  # (when, towards the device, via, from or to which end, octets)
        self.number = self.echoes = self.answered = 0
        self.waiting = {}  # echoes that nothing has come to: number, and when it left
        self.events = []
        self.transitions = []  # what else life.event() has said
        self.begun = []  # when attempts have begun
        self.repeats = {}  # when the pending request of an SA of the gateway is repeated
        self.sent = []  # (when, via, octets) that have left the device
        self.spins = 0
        self.ticks = self.most_ticks = 0  # in this millisecond, and in any
        self.errors = []  # what the device raised, which its driver counts
        self.power_on()
        self.next_echo = self.now

    def octets(self, n):
        return self.dice.randbytes(n)

    def power_on(self):
        """A device that knows nothing."""
        self.node = Node(SpiTable(*self.table), self.octets)
        self.life = Life(
            self.node, self.policy, Stack(self.policy.inside or bytes(4), Budget(10, 20, 0, 1)), **self.settings
        )
        self.buffer = bytearray(1520)

    @property
    def clock(self):
        return self.now % PERIOD

    @property
    def left(self):
        """Milliseconds until what there is must be replaced (K5)."""
        return max(0, self.life.life_ms - self.life.lived(self.clock))

    def fly(self, to_device, via, end, octets):
        for _ in range(1 + (self.dice.random() < self.doubling)):
            if self.dice.random() >= self.loss:
                self.flying.append((self.now + self.dice.randint(*self.delay), to_device, via, end, octets))

    def tick(self):
        """A timer of the device has run out."""
        self.ticks += 1
        self.most_ticks = max(self.most_ticks, self.ticks)
        self.drive(self.node.tick, self.clock)

    def drive(self, call, *arguments):
        """Call into the device as its driver does."""
        try:
            return call(*arguments)
        except MemoryError as error:
            self.errors.append(error)
            return 0

    def speak(self):
        """The device says what it has to."""
        while length := self.drive(self.node.outgoing, self.clock):
            self._leave(self.node.out_via, bytes(self.node.out[:length]))
        while event := self.life.event():
            told = event[0] in ("up", "moved", "down", "failed")
            (self.events if told else self.transitions).append((self.now, *event))

    def _leave(self, via, octets):
        self.sent.append((self.now, via, octets))
        self.fly(False, via, self.source, octets)

    def echo(self):
        """An echo through the tunnel; one that is due without a tunnel is lost."""
        self.echoes += 1
        self.number = (self.number + 1) & 0xFFFF
        self.waiting[self.number] = self.now
        if not self.life.up:
            return
        size = self.life.stack.ping(self.buffer, ROOM, THERE, self.number)
        length = self.life.seal(self.buffer, size, self.clock)
        if length:
            self._leave(4500, bytes(self.buffer[:length]))

    def says(self, datagrams):
        """The gateway sends."""
        for via, to, octets in datagrams:
            self.fly(True, via, to, octets)

    def at_gateway(self, via, source, octets):
        if not self.there:
            return
        if via == 4500 and octets[:4] != bytes(4) and len(octets) > 1:
            here = {child.spi_in: (sa, child) for sa in self.gateway.sas for child in sa.children}
            self.pairs = {**self.pairs, **here} if self.lingers else here
            sa, child = self.pairs.get(octets[:4], (None, None))
            inner = child and child.open(octets)
            if inner:
                if self.follows:
                    sa.peer = source
                self.reply(sa if sa.children else self.sa, child, inner)
            return
        self.says(self.gateway.receive(via, source, octets))

    def reply(self, sa, child, inner):
        """An echo reply, on the newest Child SA."""
        reply = bytearray(inner)
        reply[12:16], reply[16:20] = inner[16:20], inner[12:16]
        reply[20] = 0
        total = int.from_bytes(inner[22:24], "big") + 0x0800
        reply[22:24] = ((total & 0xFFFF) + (total >> 16)).to_bytes(2, "big")
        self.fly(True, 4500, sa.peer, sa.children[-1].seal(bytes(reply), self.octets))

    def arrive(self, to_device, via, end, octets):
        if not to_device:
            self.at_gateway(via, end, octets)
            return
        if end != self.source:
            return
        self.drive(self.node.receive, via, HOST + struct.pack(">H", via), octets, len(octets), self.clock)
        self.speak()
        for number in self.life.stack.pongs():
            if self.waiting.pop(number, None) is not None:
                self.answered += 1

    def tidy(self):
        """The gateway deletes what it has replaced."""
        for sa in self.gateway.sas if self.there else ():
            if sa.established and not sa.pending:
                if len(sa.children) > 1:
                    self.says(self.gateway.delete_child(sa, sa.children[0]))
                elif not sa.children and sa is not self.gateway.sas[-1]:
                    self.says(self.gateway.delete(sa))

    def run(self, ms, each=lambda: None):
        """Let time pass; `each` is called after everything that happens."""
        end = self.now + ms
        while True:
            while self.life.wanted:
                self.begun.append(self.now)
                self.life.begin(HOST + b"\1\xf4", self.clock)
                self.tick()
                self.speak()
            pending = [id(sa) for sa in self.gateway.sas if sa.pending and self.there]
            self.repeats = {sa: self.repeats.get(sa, self.now + 1000) for sa in pending}
            wait = self.drive(self.node.next_timer, self.clock)
            if self.errors:
                wait = min(wait, _LOOK_MS) if wait >= 0 else _LOOK_MS
            times = [end, *(when for when, *_ in self.flying), *self.repeats.values()]
            if self.echo_ms:
                times.append(self.next_echo)
            if wait >= 0:
                times.append(self.now + wait)
            first = min(times)
            self.spins = 0 if first > self.now else self.spins + 1
            assert self.spins < 2000, "the device spins"
            if first > self.now:
                self.ticks = 0
                self.now = first
            if self.now >= end:
                return
            if self.echo_ms and self.now >= self.next_echo:
                self.echo()
                self.next_echo += self.echo_ms
            for sa in self.gateway.sas:
                if self.repeats.get(id(sa), end) <= self.now:
                    self.repeats[id(sa)] = self.now + 1000
                    self.says(self.gateway.repeat(sa))
            due = [packet for packet in self.flying if packet[0] <= self.now]
            self.flying = [packet for packet in self.flying if packet[0] > self.now]
            for _, to_device, via, end_of_wire, octets in due:
                self.arrive(to_device, via, end_of_wire, octets)
            self.tidy()
            self.tick()
            self.speak()
            each()

    def until(self, true, ms=300000):
        """Run until a condition holds; AssertionError if it does not within that time."""
        end = self.now + ms
        while not true():
            assert self.now < end, self.events[-5:]
            self.run(50)

    def restart_gateway(self):
        """It has forgotten everything."""
        self.gateway = self.new_gateway()
        self.repeats = {}

    @property
    def lost(self):
        """Echoes without an answer that had a second for it."""
        return sum(when < self.now - 1000 for when in self.waiting.values())

    @property
    def sa(self):
        """The newest IKE SA of the gateway."""
        return self.gateway.sas[-1]

    def tunnels(self):
        """IKE SAs that the device has."""
        return len(self.life.has.sas)

    @property
    def traffics(self):
        """Those of the device's Child SAs that are not stale, the newest last."""
        there = [traffic for traffic in self.node.child_owners.values() if traffic not in self.stale]
        return sorted(there, key=lambda traffic: traffic.number)

    @property
    def stale(self):
        """Those of Child SAs that are gone and still receive (K11)."""
        return [traffic for traffic in self.node.child_owners.values() if getattr(traffic, "stale_at", -1) >= 0]

    @property
    def heirs(self):
        """IKE SAs that the gateway has made in the place of the one over which the device asks."""
        return [owner for owner in self.life.has.sas if owner.rank > self.life.has.asked.rank]
