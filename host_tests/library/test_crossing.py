"""Two that call each other at once (H5), the library at both ends, time and wires at will."""

import random
import struct

import pytest
from ikev2.budget import Budget
from ikev2.initial.peers import Peers
from ikev2.node import Node
from ikev2.sa.policy import Policy
from ikev2.sa.selectors import network
from ikev2.spi_table import SpiTable
from inside.stack import Stack
from ipsec.crossing import Crossing
from ipsec.life import Life
from ipsec.members import Members

PSK = b"a psk of more than 16 octets"
IDS = ("alpha", "beta")
AUTH_REQUEST = bytes((35, 8))
_EXCHANGE = 4 + 18


class End:
    """Number 0 or 1: a node that calls the other and accepts it."""

    def __init__(self, world, number):
        self.number = number
        self.address = bytes((192, 0, 2, 1 + number))
        self.node = Node(SpiTable(12, 16), world.dice.randbytes)
        mine, self.other = IDS[number], IDS[1 - number]
        self.life = Life(self.node, Policy(mine, PSK, self.other), Stack(bytes(4), Budget(100, 100, 0, 1)))
        inside = bytes((10, 9, number, 254))
        peers = Peers(mine, inside, network(f"10.9.{number}.0/24"))
        peers.add(self.other, PSK)
        self.members = Members(self.node, peers, Stack(inside, Budget(100, 100, 0, 1)), 8)
        Crossing(self.life, self.members, self.other)

    @property
    def called(self):
        """SPIs of the tunnel that we have made, while it is up."""
        table = self.node.table
        return table.ike_sa(table.owner_of(self.life.current.child.slot))[:2] if self.life.up else None

    @property
    def accepted(self):
        """SPIs of the tunnel that the other has made."""
        member = self.members.members.get(self.other)
        return self.node.table.ike_sa(member.ike)[:2] if member and member.current else None


class Pair:
    """Both, `delay` milliseconds apart; `starts` is when each begins."""

    def __init__(self, delay, starts=(0, 0), seed=1):
        self.dice = random.Random(seed)
        self.now = 0
        self.delay = delay
        self.starts = starts
        self.flying = []
        self.auths = 0
        self.begun = [0, 0]
        self.off = set()
        self.ends = [End(self, 0), End(self, 1)]

    def restart(self, number):
        self.ends[number] = End(self, number)

    def speak(self, end):
        while length := end.node.outgoing(self.now):
            octets, via = bytes(end.node.out[:length]), end.node.out_via
            self.auths += octets[_EXCHANGE : _EXCHANGE + 2] == AUTH_REQUEST and via == 4500
            self.flying.append(
                (self.now + self.delay, 1 - end.number, via, end.address + struct.pack(">H", via), octets)
            )

    def run(self, ms):
        end_at = self.now + ms
        while True:
            for end in self.ends:
                while end.life.wanted and self.now >= self.starts[end.number]:
                    self.begun[end.number] += 1
                    end.life.begin(self.ends[1 - end.number].address + b"\1\xf4", self.now)
                    self.speak(end)
            waits = [wait for end in self.ends if (wait := end.node.next_timer(self.now)) >= 0]
            later = [start for start in self.starts if start > self.now]
            self.now = min([end_at, *(when for when, *_ in self.flying), *later, *(self.now + wait for wait in waits)])
            if self.now >= end_at:
                return self
            due = [packet for packet in self.flying if packet[0] <= self.now]
            self.flying = [packet for packet in self.flying if packet[0] > self.now]
            for _, number, via, source, octets in due:
                if number not in self.off:
                    self.ends[number].node.receive(via, source, octets, len(octets), self.now)
                    self.speak(self.ends[number])
            for end in self.ends:
                end.node.tick(self.now)
                self.speak(end)

    def judge(self):
        """The number of the one whose tunnel stays; AssertionError if it is not the only one, or at one end alone."""
        (stays,) = [end.number for end in self.ends if end.called]
        caller, callee = self.ends[stays], self.ends[1 - stays]
        assert caller.called == callee.accepted and not caller.accepted and not callee.called
        for end in self.ends:
            established = [slot for slot in end.node.table.ike_sas() if end.node.table.ike_sa(slot)[4]]
            assert len(established) == 1 and len(end.node.child_owners) == 1
        return stays


@pytest.mark.parametrize("delay", [1, 5, 40, 300])
def test_both_at_once_the_lower_id_stays_h5(delay):
    pair = Pair(delay).run(20000)
    assert pair.judge() == 0
    assert pair.begun == [1, 1]
    pair.run(200000)
    assert pair.judge() == 0 and pair.begun == [1, 1]


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("delay", [5, 40])
def test_one_a_little_later_exactly_one_stays_h5(delay, first):
    """Whatever the other has reached when it is called: nothing, IKE_SA_INIT, IKE_AUTH."""
    kept, auths = set(), set()
    for late in range(0, 6 * delay, max(1, delay // 5)):
        starts = (0, late) if first == 0 else (late, 0)
        pair = Pair(delay, starts, seed=late + 1).run(20000)
        kept.add(pair.judge())
        auths.add(pair.auths)
        assert max(pair.begun) == 1
    assert first in kept and auths == {1, 2}  # one IKE_AUTH where the later attempt has ended before its own


def test_who_stood_back_calls_when_the_others_tunnel_goes_h5():
    pair = Pair(5, (0, 1000)).run(20000)
    assert pair.judge() == 0 and pair.begun == [1, 0]
    pair.ends[0].life.close(pair.now)
    pair.run(30000)
    assert pair.ends[1].called and pair.ends[1].called == pair.ends[0].accepted
    assert pair.begun == [1, 1]


@pytest.mark.parametrize("number", [0, 1])
def test_one_has_lost_power_and_one_tunnel_is_there_again_h5(number):
    pair = Pair(5).run(20000)
    pair.restart(number)
    pair.run(60000)
    pair.judge()


def test_a_tunnel_that_is_denied_holds_nobody_back_h5_r10():
    """The other has lost it and does not call: whoever stood back finds out when it sends, and calls."""
    pair = Pair(5).run(20000)
    assert pair.judge() == 0
    pair.restart(0)
    pair.starts = (1 << 29, 0)
    pair.run(10)
    higher = pair.ends[1]
    out = bytearray(1520)
    member = higher.members.members["alpha"]
    for _ in range(2):
        size = higher.members.stack.ping(out, 24, bytes(member.current.child.remote[5:9]), 1)
        length = member.seal(out, size, pair.now)
        pair.flying.append((pair.now + 5, 0, 4500, higher.address + b"\x11\x94", bytes(out[:length])))
        pair.run(20000)
    assert higher.called and higher.called == pair.ends[0].accepted
