"""What the machines of vectors, exchanges and segments share: randomness, what leaves a node, the conversation."""

import gc
import json
import sys
from binascii import hexlify

PERIOD = 1 << 30


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


def sent(node, now):
    """Everything that leaves the node now: [our port, endpoint, octets]."""
    out = []
    length = node.outgoing(now)
    while length:
        out.append([node.out_via, hexlify(node.out_to).decode(), hexlify(node.out[:length]).decode()])
        length = node.outgoing(now)
    return out


class Told:
    """Takes messages for `make`, which makes of a case what has `step` and `end`.

    {"begin": the case without its steps}, {"steps": some of them} as often as need be, {"end": true}: a board has no
    room for a long case at once.
    """

    def __init__(self, make):
        self.make = make
        self.run = None

    def __call__(self, line):
        """The answer to a message, both JSON; {"error": …} for whatever was raised."""
        try:
            if sys.implementation.name == "micropython":
                gc.collect()  # a long message needs room in one piece
            message = json.loads(line)
            if "begin" in message:
                self.run = None
                self.run = self.make(message["begin"])
                return "{}"
            if "steps" in message:
                return json.dumps({"steps": [self.run.step(*step) for step in message["steps"]]})
            return json.dumps(self.run.end())
        except Exception as error:
            return json.dumps({"error": "%s: %s" % (type(error).__name__, error)})


def converse(tell):
    """One message a line on standard input, one answer a line on standard output."""
    line = sys.stdin.readline()
    while line.strip():
        print(tell(line))
        line = sys.stdin.readline()
