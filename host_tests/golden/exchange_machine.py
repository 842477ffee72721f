"""Runs recorded attempts where they are to run: CPython, the MicroPython unix port, a board. No checks in here.

A case is what exchange_files.compile_case makes of one. It is told in messages, as JSON: {"begin": the case without its
steps}, {"steps": [[at_ms, via, source, octets]]} as often as need be, {"end": true}. Time passes as in a driver.
"""

import json
import sys
from binascii import hexlify, unhexlify

from ikev2.initial.initiator import Initiator
from ikev2.node import Node
from ikev2.sa.proposals import Policy
from ikev2.spi_table import SpiTable

_PERIOD = 1 << 30


class Octets:
    """What is random, in a case: its octets one after the other."""

    def __init__(self, octets):
        self.octets = octets

    def __call__(self, n):
        if len(self.octets) < n:
            raise ValueError("the case has no more random octets")
        octets = self.octets[:n]
        self.octets = self.octets[n:]
        return octets


def text(octets):
    """Octets in hex."""
    return hexlify(octets).decode()


class Run:
    """An attempt on its way."""

    def __init__(self, case):
        policy = dict(case["policy"])
        for key in ("psk", "inside", "remote"):
            if policy[key] is not None:
                policy[key] = unhexlify(policy[key])
        self.clock = case["begins"]
        self.events = []
        # Until the attempt begins the node may have any randomness: it takes some for answers that it never gives.
        self.node = Node(SpiTable(4, 8), lambda n: bytes([1] * n))
        self.node.random = Octets(unhexlify(case["random"]))
        self.slot = self.node.table.add_ike(self.node.random, True, unhexlify(case["gateway"]))
        self.initiator = Initiator(self.node, self.slot, Policy(**policy), self.clock % _PERIOD, case["contact"])
        self.node.attach(self.slot, self.initiator)

    def step(self, at_ms, via, source, octets):
        """What leaves the node until then, and because of the datagram: [our port, endpoint, octets]."""
        node = self.node
        out = self.sent()
        wait = node.next_timer(self.clock % _PERIOD)
        while 0 <= wait <= at_ms - self.clock:
            self.clock += wait
            node.tick(self.clock % _PERIOD)
            out += self.sent()
            wait = node.next_timer(self.clock % _PERIOD)
        self.clock = max(self.clock, at_ms)
        if via:
            octets = bytearray(unhexlify(octets))
            node.receive(via, unhexlify(source), octets, len(octets), self.clock % _PERIOD)
            out += self.sent()
            while node.next_timer(self.clock % _PERIOD) == 0:  # keys, in slices
                node.tick(self.clock % _PERIOD)
                out += self.sent()
        return out

    def sent(self):
        node = self.node
        out = []
        length = node.outgoing(self.clock % _PERIOD)
        while length:
            out.append([node.out_via, text(node.out_to), text(node.out[:length])])
            length = node.outgoing(self.clock % _PERIOD)
        event = node.event()
        while event:
            self.events.append(event[0])
            event = node.event()
        return out

    def end(self):
        """What has come of it: a reason, or a Child SA."""
        child = self.initiator.child
        if not child:
            return {"reason": self.initiator.reason, "left": len(self.node.table.ike_sas())}
        names = ("spi_in", "spi_out", "key_in", "key_out", "inside", "remote")
        made = {name: text(getattr(child, name)) for name in names}
        made["cipher"] = child.cipher
        return {"reason": self.initiator.reason, "child": made, "unused": len(self.node.random.octets)}


_run = None


def tell(line):
    """The answer to a message, both JSON; {"error": …} for whatever was raised."""
    global _run
    try:
        message = json.loads(line)
        if "begin" in message:
            _run = None
            _run = Run(message["begin"])
            return "{}"
        if "steps" in message:
            return json.dumps({"steps": [_run.step(*step) for step in message["steps"]]})
        return json.dumps(_run.end())
    except Exception as error:
        return json.dumps({"error": "%s: %s" % (type(error).__name__, error)})


def main():
    """One message a line on standard input, one answer a line on standard output."""
    line = sys.stdin.readline()
    while line.strip():
        print(tell(line))
        line = sys.stdin.readline()


if __name__ == "__main__":
    main()
