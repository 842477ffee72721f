"""Devices with tunnels and their hub in a world of our own: the library at both ends, time and wires at will."""

import random
import struct

from ikev2.budget import Budget
from ikev2.initial.peers import Peers
from ikev2.node import Node
from ikev2.sa.policy import Policy
from ikev2.sa.selectors import network
from ikev2.spi_table import SpiTable
from inside.stack import Stack
from ipsec.esp import ROOM
from ipsec.life import Life
from ipsec.members import Members
from ipsec.shares import Shares

PSK = b"a psk of more than 16 octets"
HUB = bytes((192, 0, 2, 1))
HUB_INSIDE = bytes((10, 9, 0, 254))
PERIOD = 1 << 30


class Device:
    """A node with a tunnel to the hub, at an endpoint of its own; `settings` are Life's."""

    def __init__(self, world, number, policy=None, **settings):
        self.world = world
        self.id = f"sensor-{number}"
        self.policy = policy or Policy(self.id, PSK)
        self.settings = settings
        self.ports = {500: 500, 4500: 4500}  # as the hub sees them
        self.host = bytes((198, 51, 100, number))
        self.number = 0
        self.waiting = {}
        self.lost = []
        self.answered = self.begun = 0
        self.power_on()

    def power_on(self):
        self.node = Node(SpiTable(4, 8), self.world.octets)
        self.life = Life(self.node, self.policy, Stack(bytes(4), Budget(100, 100, 0, 1)), **self.settings)
        self.buffer = bytearray(1520)

    def source(self, via):
        return self.host + struct.pack(">H", self.ports[via])

    def echo(self):
        """An echo request through the tunnel; False if there is none."""
        self.number = (self.number + 1) & 0xFFFF
        if not self.life.up:
            return False
        self.waiting[self.number] = self.world.now
        size = self.life.stack.ping(self.buffer, ROOM, HUB_INSIDE, self.number)
        length = self.life.seal(self.buffer, size, self.world.clock)
        self.world.fly(True, 4500, self.source(4500), bytes(self.buffer[:length]))
        return True

    def speak(self):
        while length := self.node.outgoing(self.world.clock):
            via = self.node.out_via
            self.world.fly(True, via, self.source(via), bytes(self.node.out[:length]))
        for number in self.life.stack.pongs():
            if self.waiting.pop(number, None) is not None:
                self.answered += 1


class HubWorld:
    """`devices` of them and a hub; `loss`, `doubling` are parts of one, `delay` (least, most) milliseconds."""

    def __init__(self, devices=1, seed=1, loss=0.0, doubling=0.0, delay=(5, 5), start=0, table=(24, 32), most=8,
                 pool="10.9.0.0/24", limits=(), pc=False, **settings):  # fmt: skip
        self.dice = random.Random(seed)
        self.now = start
        self.loss, self.doubling, self.delay = loss, doubling, delay
        self.flying = []
        self.sent = []  # (when, towards the hub, our port of the hub, the device's endpoint, octets)
        self.table, self.most, self.pool, self.limits, self.pc = table, most, pool, dict(limits), pc
        self.there = True
        self.events = []
        self.count = devices
        self.start_hub()
        self.devices = [Device(self, number, **settings) for number in range(1, devices + 1)]

    def octets(self, n):
        return self.dice.randbytes(n)

    @property
    def clock(self):
        return self.now % PERIOD

    def start_hub(self):
        """A hub that knows nothing."""
        self.node = Node(SpiTable(*self.table), self.octets, budget=Shares(100) if self.pc else None)
        self.peers = Peers("hub.example", HUB_INSIDE, network(self.pool), as_sent=True)
        for number in range(1, self.count + 1):
            self.peers.add(f"sensor-{number}", PSK)
        self.stack = Stack(HUB_INSIDE, Budget(1000, 1000, 0, 1))
        self.members = Members(self.node, self.peers, self.stack, self.most, **self.limits)

    def fly(self, to_hub, via, end, octets):
        self.sent.append((self.now, to_hub, via, end, octets))
        for _ in range(1 + (self.dice.random() < self.doubling)):
            if self.dice.random() >= self.loss:
                self.flying.append((self.now + self.dice.randint(*self.delay), to_hub, via, end, octets))

    def hub_speaks(self):
        while length := self.node.outgoing(self.clock):
            self.fly(False, self.node.out_via, bytes(self.node.out_to), bytes(self.node.out[:length]))
        while event := self.members.event():
            self.events.append((self.now, *event))

    def arrive(self, to_hub, via, end, octets):
        if to_hub:
            if self.there:
                self.node.receive(via, end, octets, len(octets), self.clock)
                self.hub_speaks()
            return
        for device in self.devices:
            for ours, theirs in device.ports.items():
                if device.host + struct.pack(">H", theirs) == end:
                    device.node.receive(ours, HUB + struct.pack(">H", via), octets, len(octets), self.clock)
                    device.speak()

    def run(self, ms, each=lambda: None):
        """Let time pass."""
        end = self.now + ms
        spins = 0
        while True:
            for device in self.devices:
                while device.life.wanted:
                    device.begun += 1
                    device.life.begin(HUB + b"\1\xf4", self.clock)
                    device.speak()
            nodes = [device.node for device in self.devices] + [self.node] * self.there
            waits = [wait for node in nodes if (wait := node.next_timer(self.clock)) >= 0]
            times = [end, *(when for when, *_ in self.flying), *(self.now + wait for wait in waits)]
            spins = 0 if min(times) > self.now else spins + 1
            assert spins < 5000, "somebody spins"
            self.now = max(self.now, min(times))
            if self.now >= end:
                return
            due = [packet for packet in self.flying if packet[0] <= self.now]
            self.flying = [packet for packet in self.flying if packet[0] > self.now]
            for _, *rest in due:
                self.arrive(*rest)
            for device in self.devices:
                device.node.tick(self.clock)
                device.speak()
            if self.there:
                self.node.tick(self.clock)
                self.hub_speaks()
            each()

    def until(self, true, ms=300000):
        end = self.now + ms
        while not true():
            assert self.now < end, (self.events[-5:], [device.life.reason for device in self.devices])
            self.run(50)
        return self

    def up(self):
        return self.until(lambda: all(device.life.up for device in self.devices) and self.all_there())

    def all_there(self):
        there = self.members.members
        return all(device.id in there and there[device.id].current for device in self.devices)

    def cut(self, ms):
        """The hub loses power for so long, and what it knew."""
        self.there = False
        self.run(ms)
        self.start_hub()
        self.there = True
