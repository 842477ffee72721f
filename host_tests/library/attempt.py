"""A device and a gateway, wired together without sockets: what tests, simulations and vectors drive attempts with."""

import os

from ikev2.initial.initiator import Initiator
from ikev2.initial.ppk import Ppk
from ikev2.node import Node
from ikev2.notifier import VERDICTS
from ikev2.owners import CHILD_NEW
from ikev2.sa.policy import Policy
from ikev2.spi_table import SpiTable

from library.scripted_gateway import Gateway

PSK = b"a psk of more than 16 octets"
DEVICE = "198.51.100.7"
GATEWAY = "192.0.2.1"
PERIOD = 1 << 30


def endpoint(address):
    """Octets of ("192.0.2.1", 500)."""
    return bytes(map(int, address[0].split("."))) + address[1].to_bytes(2, "big")


class Attempt:
    """An Initiator in a node, and a Gateway; `policy` are changes to a policy that the gateway takes.

    wire(to_gateway, octets) is asked for each datagram and returns what arrives of it: [octets] as a rule.
    """

    def __init__(self, gateway=None, policy=None, random=os.urandom, now=0, table=(4, 8), **more):
        self.gateway = gateway or Gateway(PSK)
        policy = {"id": "sensor-7", "psk": PSK, **(policy or {})}
        ppk = policy.pop("ppk", None)
        self.policy = Policy(**policy)
        self.policy.ppk = ppk and Ppk(PSK, *ppk)
        self.node = Node(SpiTable(*table), random)
        self.now = now
        self.events = []
        self.sent = []  # (time, our port, their port, octets) of everything that left the device
        self.wire = lambda to_gateway, octets: [octets]
        self.begin(**more)

    def begin(self, **more):
        """A new attempt, in the same node."""
        self.slot = self.node.table.add_ike(self.node.random, True, endpoint((GATEWAY, 500)))
        self.initiator = Initiator(self.node, self.slot, self.policy, self.now % PERIOD, **more)
        self.node.attach(self.slot, self.initiator)

    @property
    def over(self):
        return bool(self.initiator.failed or self.initiator.successor)

    def receive(self, octets, via=500, source=None, port=None):
        """The device's verdict over a datagram from the gateway's port (our port as a rule)."""
        source = source or endpoint((GATEWAY, port or via))
        return VERDICTS[self.node.receive(via, source, bytearray(octets), len(octets), self.now % PERIOD)]

    def deliver(self, datagrams):
        """Datagrams of the gateway's, through the wire."""
        for via, _, octets in datagrams:
            for arriving in self.wire(False, octets):
                self.receive(arriving, via)
                self.exchange()

    def exchange(self):
        """Carry what the device has to say now, and the answers; time stands still."""
        while length := self.node.outgoing(self.now % PERIOD):
            octets = bytes(self.node.out[:length])
            via, to = self.node.out_via, int.from_bytes(self.node.out_to[-2:], "big")
            self.sent.append((self.now, via, to, octets))
            for arriving in self.wire(True, octets):
                self.deliver(self.gateway.receive(to, (DEVICE, via), arriving))
        while event := self.node.event():
            if event[0] == CHILD_NEW:
                event = *event[:2], self.node.child_owners.get(event[1])
            self.events.append(event)

    def tick(self):
        """Wait for the next thing to do, and do it; False if there is none."""
        wait = self.node.next_timer(self.now % PERIOD)
        if wait < 0:
            return False
        self.now += wait
        self.node.tick(self.now % PERIOD)
        self.exchange()
        return True

    def run(self, until=None):
        """Until the attempt is over, or until() is true."""
        self.exchange()
        while not (until() if until else self.over) and self.tick():
            pass
        self.exchange()
        return self

    def idle(self, until):
        """Let time pass until then."""
        self.exchange()
        while 0 <= self.node.next_timer(self.now % PERIOD) <= until - self.now:
            self.tick()
        self.now = max(self.now, until)
        return self

    @property
    def device_sa(self):
        """The gateway's IKE SA with this device; None."""
        return self.gateway.sas[-1] if self.gateway.sas else None
