"""Runs recorded attempts where they are to run: CPython, the MicroPython unix port, a board. No checks in here.

A case is what exchange_files.compile_case makes of one, a step [at_ms, via, source, octets]. Time passes as in a
driver.
"""

from binascii import hexlify, unhexlify

from ikev2.node import Node
from ikev2.sa.policy import Policy
from ikev2.spi_table import SpiTable

from golden.case_machine import PERIOD, Octets, Told, converse, sent


def text(octets):
    """Octets in hex."""
    return hexlify(octets).decode()


def told(child):
    """A Child SA."""
    made = {name: text(getattr(child, name)) for name in ("spi_in", "spi_out", "key_in", "key_out", "inside", "remote")}
    made["cipher"] = child.cipher
    return made


def _ppk(given):
    return given and (given[0], unhexlify(given[1]))


class Run:
    """An attempt on its way."""

    def __init__(self, case):
        from ikev2.initial.initiator import Initiator  # each role by itself: together they fill a small board

        policy = dict(case["policy"])
        ppk = _ppk(policy.pop("ppk", None))
        for key in ("psk", "inside", "remote"):
            if policy[key] is not None:
                policy[key] = unhexlify(policy[key])
        self.clock = case["begins"]
        # Until the attempt begins the node may have any randomness: it takes some for answers that it never gives.
        self.node = Node(SpiTable(4, 8), lambda n: bytes([1] * n))
        self.node.random = Octets(unhexlify(case["random"]))
        self.slot = self.node.table.add_ike(self.node.random, True, unhexlify(case["gateway"]))
        policy = Policy(**policy)
        if ppk:
            from ikev2.initial.ppk import Ppk

            policy.ppk = Ppk(policy.psk, *ppk)
        self.initiator = Initiator(self.node, self.slot, policy, self.clock % PERIOD, case["contact"])
        self.node.attach(self.slot, self.initiator)

    def step(self, at_ms, via, source, octets):
        """What leaves the node until then, and because of the datagram: [our port, endpoint, octets]."""
        node = self.node
        out = self.sent()
        wait = node.next_timer(self.clock % PERIOD)
        while 0 <= wait <= at_ms - self.clock:
            self.clock += wait
            node.tick(self.clock % PERIOD)
            out += self.sent()
            wait = node.next_timer(self.clock % PERIOD)
        self.clock = max(self.clock, at_ms)
        if via:
            octets = bytearray(unhexlify(octets))
            node.receive(via, unhexlify(source), octets, len(octets), self.clock % PERIOD)
            out += self.sent()
            while node.next_timer(self.clock % PERIOD) == 0:  # keys, in slices
                node.tick(self.clock % PERIOD)
                out += self.sent()
        return out

    def sent(self):
        out = sent(self.node, self.clock % PERIOD)
        while self.node.event():
            pass
        return out

    def end(self):
        """What has come of it: a reason, or a Child SA."""
        child = self.initiator.child
        if not child:
            return {"reason": self.initiator.reason, "left": len(self.node.table.ike_sas())}
        return {"reason": self.initiator.reason, "child": told(child), "unused": len(self.node.random.octets)}


class Accepting(Run):
    """Who accepts, and is called."""

    def __init__(self, case):
        from ikev2.initial.acceptor import Acceptor
        from ikev2.initial.peers import Peers

        hub = case["hub"]
        self.clock = case["begins"]
        self.node = Node(SpiTable(8, 8), lambda n: bytes([1] * n))
        self.node.random = Octets(unhexlify(case["random"]))
        inside, pool = unhexlify(hub["inside"]), unhexlify(hub["pool"])
        suites = hub["groups"], hub["ciphers"], hub["as_sent"]
        peers = Peers(hub["id"], inside, pool, b"", None, *suites)
        for name in sorted(hub["peers"]):
            peers.add(name, unhexlify(hub["peers"][name]), ppk=_ppk(hub.get("ppks", {}).get(name)))
        self.accepted = []
        self.node.acceptor = acceptor = Acceptor(self.node, peers, self.admit, cookies_from=hub["cookies_from"])
        self.node.follow(acceptor)

    def admit(self, slot, accepted, now):
        """An IKE SA is established, perhaps without a Child SA."""
        made = told(accepted.child) if accepted.child else {"inside": "", "remote": ""}
        made["peer"] = accepted.peer.id
        self.accepted.append(made)

    def end(self):
        """What has come of it."""
        left = len(self.node.table.ike_sas())
        return {"accepted": self.accepted, "left": left, "unused": len(self.node.random.octets)}


tell = Told(lambda case: Accepting(case) if "hub" in case else Run(case))


def main():
    converse(tell)


if __name__ == "__main__":
    main()
