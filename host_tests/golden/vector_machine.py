"""Runs golden vectors where they are to run: CPython, the MicroPython unix port, a board. No checks in here.

A case is what vector_files.compile_case makes of one: octets as hex, endpoints as address and port octets.
From "datagram in a buffer" to "reply in a buffer" the heap is locked, where there is a heap lock, but for what the
owner of an SA does with a packet for it. Between the steps time passes as in a driver: the node's timers are
served when they are due.
"""

import os
from binascii import hexlify, unhexlify

from ikev2.node import Node
from ikev2.notifier import VERDICTS
from ikev2.sa import sk
from ikev2.sa.informational import IkeSa
from ikev2.spi_table import SpiTable

from golden.case_machine import PERIOD, Octets, Told, converse, sent

try:
    from micropython import heap_lock, heap_unlock
except ImportError:

    def heap_lock():
        pass

    heap_unlock = heap_lock


class Owner(IkeSa):
    """Decrypts, and prepares its answer, with the heap open."""

    def receive(self, message, at, length, now):
        heap_unlock()
        try:
            return IkeSa.receive(self, message, at, length, now)
        finally:
            heap_lock()


class Traffic:
    """Who opens and seals the packets of a Child SA that has keys, with the heap open."""

    longest = 2048

    def __init__(self, cipher, key_in, key_out, spi_out, inside, remote, number, seen, random):
        from ipsec import esp  # not before a case needs it, for a board that has no room for what it does not use

        self.reasons = esp.REASONS
        self.room = esp.ROOM
        keys = [unhexlify(octets) for octets in (key_in, key_out, spi_out, inside, remote)]
        self.child = esp.ChildSa(cipher, *keys, Octets(unhexlify(random)), number, seen)
        self.opened = None
        self.inner = None

    def receive(self, packet, at, length, now):
        heap_unlock()
        try:
            reason = self.child.open(packet, at, length)
            inner = hexlify(self.child.packet[: self.child.size]).decode()
            self.opened = ["dropped", self.reasons[reason]] if reason else ["inner", inner]
            return not reason  # what was dropped is no proof of life
        finally:
            heap_lock()

    def outgoing(self, out, at, now):
        if self.inner is None:
            return 0
        inner, self.inner = self.inner, None
        out[at + self.room : at + self.room + len(inner)] = inner
        return self.child.seal(out, at, len(inner))


def owner(node, slot, initiator, cipher, keys, message_ids, random, quiet_ms):
    """Who speaks for an IKE SA that has keys."""
    keys = sk.protection(cipher, initiator, *[unhexlify(key) for key in keys])
    return Owner(node, slot, keys, *message_ids, quiet_ms, random=Octets(unhexlify(random)))


def build(case):
    """The node that the case starts with; its `traffic` is who opens and seals, for each Child SA."""
    table = SpiTable(max(16, len(case["ike_sas"])), max(32, len(case["child_sas"])), case["address"])
    slots = []
    for spi_i, spi_r, initiator, peer, established, _ in case["ike_sas"]:
        slots.append(table.adopt_ike(unhexlify(spi_i), unhexlify(spi_r), initiator, unhexlify(peer), established))
    children = []
    for ike, protocol, spi_in, spi_out, _ in case["child_sas"]:
        children.append(table.adopt_child(slots[ike], protocol, unhexlify(spi_in), unhexlify(spi_out)))
    node = Node(table, os.urandom, **case["config"])
    for slot, ike_sa in zip(slots, case["ike_sas"]):  # noqa: B905
        if ike_sa[5]:
            node.attach(slot, owner(node, slot, ike_sa[2], *ike_sa[5]))
    node.traffic = []
    for slot, (_, _, _, spi_out, traffic) in zip(children, case["child_sas"]):  # noqa: B905
        node.traffic.append(Traffic(*traffic[:3], spi_out, *traffic[3:]) if traffic else None)
        if traffic:
            node.attach_child(slot, node.traffic[-1])
    for ike, exchange, message_id in case["outstanding"]:
        node.expect(slots[ike], exchange, unhexlify(message_id))
    return node


def entries(table):
    """SPIs of all IKE SAs, and of all Child SAs with those of their IKE SA, sorted."""
    found = []
    for slot in table.ike_sas():
        ike = hexlify(b"".join(table.ike_sa(slot)[:2])).decode()
        found.append(ike)
        for child in table.children(slot):
            _, protocol, spi_in, spi_out = table.child_sa(child)
            found.append("%s %d %s" % (ike, protocol, hexlify(spi_in + spi_out).decode()))
    return sorted(found)


def expected_entries(case):
    """The same of what a case says is left."""
    ike_sas, child_sas = case["left"]
    found = ["".join(case["ike_sas"][i][:2]) for i in ike_sas]
    for i in child_sas:
        ike, protocol, spi_in, spi_out, _ = case["child_sas"][i]
        found.append("%s %d %s" % ("".join(case["ike_sas"][ike][:2]), protocol, spi_in + spi_out))
    return sorted(found)


class Run:
    """A case on its way."""

    def __init__(self, case):
        self.case = case
        self.node = build(case)
        self.before = self.facts()
        self.clock = 0
        self.received = 0

    def facts(self):
        """The table; where somebody speaks, without the endpoints, which follow the peers (P6)."""
        table = self.node.table
        if not any(ike_sa[5] for ike_sa in self.case["ike_sas"]):
            return table.snapshot()
        return entries(table), [table.ike_sa(slot)[4] for slot in table.ike_sas()]

    def step(self, at_ms, via, source, octets):
        """Let time pass until then, and receive, or carry.

        [verdict or None, what was sent, what came out of ESP or None].
        """
        node = self.node
        out = []
        wait = node.next_timer(self.clock % PERIOD)
        while 0 <= wait <= at_ms - self.clock:
            self.clock += max(1, wait)
            node.tick(self.clock % PERIOD)
            out += sent(node, self.clock % PERIOD)
            wait = node.next_timer(self.clock % PERIOD)
        self.clock = max(self.clock, at_ms)
        now = self.clock % PERIOD
        verdict = opened = None
        if via:
            self.received += 1
            source = unhexlify(source)
            octets = bytearray(unhexlify(octets))
            length = len(octets)
            heap_lock()
            try:
                verdict = node.receive(via, source, octets, length, now)
            finally:
                heap_unlock()
            verdict = VERDICTS[verdict]
            if verdict == "deliver-esp":
                owner = node.child_owners.get(node.slot)
                opened = owner and owner.opened
        else:
            node.tick(now)
            if octets:
                node.traffic[source].inner = unhexlify(octets)
        out += sent(node, now)
        return [verdict, out, opened]

    def end(self):
        """Whether the SA table is as it has to be, and the counters add up."""
        table = self.node.table
        if self.case["left"] is None:
            as_expected = self.facts() == self.before
        else:
            as_expected = entries(table) == expected_entries(self.case)
        return {"unchanged": as_expected, "counted": sum(self.node.counters) == self.received}


tell = Told(Run)


def main():
    converse(tell)


if __name__ == "__main__":
    main()
