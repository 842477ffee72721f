"""Devices and one who accepts them, wired together without sockets: the library at both ends."""

import os

from ikev2.initial.acceptor import Acceptor
from ikev2.initial.initiator import Initiator
from ikev2.initial.peers import Peers
from ikev2.initial.ppk import Ppk
from ikev2.node import Node
from ikev2.notifier import VERDICTS
from ikev2.sa.policy import Policy
from ikev2.sa.selectors import network
from ikev2.spi_table import SpiTable

PSK = b"a psk of more than 16 octets"
HUB = b"\xc0\0\2\1"
HUB_INSIDE = b"\x0a\x09\0\xfe"
PERIOD = 1 << 30


def address(number):
    """The address of device `number`."""
    return bytes((198, 51, 100, number))


def peers(count=1, ppks=(), **more):
    """A hub's Peers: sensor-1 to sensor-`count`; ppks: {number: PPK}."""
    made = Peers("hub.example", HUB_INSIDE, **{"pool": network("10.9.0.0/24"), **more})
    for number in range(1, count + 1):
        made.add(f"sensor-{number}", PSK, ppk=dict(ppks).get(number))
    return made


class Device:
    """A node with one attempt after the other, at address(number)."""

    def __init__(self, number, random=os.urandom, ppk=None, **policy):
        self.address = address(number)
        self.policy = Policy(**{"id": f"sensor-{number}", "psk": PSK, **policy})
        self.policy.ppk = ppk and Ppk(PSK, *ppk)
        self.node = Node(SpiTable(4, 8), random)
        self.events = []

    def begin(self, now, contact=False, inside=None):
        self.slot = self.node.table.add_ike(self.node.random, True, HUB + b"\1\xf4")
        self.initiator = Initiator(self.node, self.slot, self.policy, now % PERIOD, contact, inside)
        self.node.attach(self.slot, self.initiator)

    @property
    def over(self):
        return bool(self.initiator.failed or self.initiator.successor)

    @property
    def child(self):
        return self.initiator.child


class Accepting:
    """A hub and devices; wire(to_hub, octets) is asked for each datagram and returns what arrives of it."""

    def __init__(self, *devices, peers=None, table=(16, 24), now=0, random=os.urandom, **limits):
        self.peers = peers or globals()["peers"](len(devices) or 1)
        self.node = Node(SpiTable(*table), random)
        self.admitted = []  # (slot, Acceptance)
        self.refused = []
        self.acceptor = Acceptor(
            self.node, self.peers, lambda slot, accepted, now: self.admitted.append((slot, accepted)),
            lambda source, id: self.refused.append((source, id)), **limits,
        )  # fmt: skip
        self.node.acceptor = self.acceptor
        self.node.follow(self.acceptor)
        self.devices = {device.address: device for device in devices}
        self.now = now
        self.wire = lambda to_hub, octets: [octets]
        self.sent = []  # (to the hub, our port, source, octets) of all that was sent

    @property
    def clock(self):
        return self.now % PERIOD

    def at_hub(self, via, source, octets):
        """The hub's verdict over a datagram; what it says goes to the devices."""
        verdict = VERDICTS[self.node.receive(via, source, bytes(octets), len(octets), self.clock)]
        self.hub_speaks()
        return verdict

    def hub_speaks(self):
        while length := self.node.outgoing(self.clock):
            octets, via, to = bytes(self.node.out[:length]), self.node.out_via, bytes(self.node.out_to)
            self.sent.append((False, via, to, octets))
            device = self.devices.get(to[:4])
            for arriving in self.wire(False, octets) if device else ():
                device.node.receive(via, HUB + via.to_bytes(2, "big"), arriving, len(arriving), self.clock)
                self.speaks(device)

    def speaks(self, device):
        node = device.node
        while length := node.outgoing(self.clock):
            octets, via = bytes(node.out[:length]), node.out_via
            self.sent.append((True, via, device.address, octets))
            for arriving in self.wire(True, octets):
                self.at_hub(via, device.address + via.to_bytes(2, "big"), arriving)
        while event := node.event():
            device.events.append(event)

    def step(self, until=1 << 60):
        """Wait for the next thing to do, until then at most, and do it; False if there is none."""
        nodes = [self.node, *(device.node for device in self.devices.values())]
        waits = [wait for node in nodes if (wait := node.next_timer(self.clock)) >= 0]
        if not waits:
            return False
        self.now = min(self.now + min(waits), until)
        for node in nodes:
            node.tick(self.clock)
        self.hub_speaks()
        for device in self.devices.values():
            self.speaks(device)
        return True

    def run(self, until=None, ms=60000):
        """Until all attempts are over, or until() is true, or so much time has passed."""
        end = self.now + ms
        while not (until() if until else all(device.over for device in self.devices.values())):
            if self.now >= end or not self.step(end):
                break
        return self

    def idle(self, ms):
        """Let time pass."""
        end = self.now + ms
        self.run(lambda: False, ms)
        self.now = end
        return self

    def begin(self, **more):
        for device in self.devices.values():
            device.begin(self.now, **more)
        return self


def first_request(number=1, **policy):
    """IKE_SA_INIT of a device, as it leaves."""
    hub = Accepting(Device(number, **policy))
    hub.wire = lambda to_hub, octets: []
    hub.begin().run(lambda: hub.sent)
    return hub.sent[0][3]
