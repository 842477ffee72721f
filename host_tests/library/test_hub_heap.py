"""A full heap, once, at each line of a hub that can allocate, as devices come, move and begin anew (K14).

After it the devices are there within two minutes, with one IKE SA and one Child SA each at both ends, nothing is half
open, no number was used twice, and nothing spins.
"""

import pytest
from ikev2.initial import acceptor, sa_init
from ikev2.node import Node

from library import faults
from library.hub_world import HubWorld
from library.simulation import QuickGroup

_FILES = ("acceptor.py", "responder.py", "accept.py", "cookie.py", "peers.py", "members.py")


class World(HubWorld):
    """What an error costs is what it costs with Udp: one datagram, one pass."""

    errors = ()

    def _tried(self, what, *arguments):
        try:
            return what(*arguments)
        except MemoryError as error:
            self.errors = (*self.errors, error)

    def start_hub(self):
        super().start_hub()
        self.node.tick = lambda now, node=self.node: self._tried(Node.tick, node, now)

    def hub_speaks(self):
        self._tried(super().hub_speaks)

    def arrive(self, *arguments):
        self._tried(super().arrive, *arguments)


def begins_anew(world):
    world.devices[0].power_on()
    world.run(2000)


def moves(world):
    for host in (9, 10):
        world.devices[0].host = bytes((203, 0, 113, host))
        world.devices[0].echo()
        world.run(1000)


def come(world):
    """Two, of which one may be there."""
    world.most = world.members._most = 1
    world.run(3000)
    world.members._most = 8


PHASES = {come: False, begins_anew: True, moves: True}


def after(world):
    """What is wrong two minutes later."""
    world.members._most = 8
    for device in world.devices:
        if device.life.closed or device.life not in device.node._followers:
            device.power_on()  # the error has ended that
    before = [device.answered for device in world.devices]
    end = world.now + 2 * faults.MINUTE
    while any(device.answered == answered for device, answered in zip(world.devices, before, strict=True)):
        for device in world.devices:
            device.echo()
        world.run(2000)
        if world.now > end:
            return (
                f"no tunnel after two minutes: {[device.life.reason for device in world.devices]} {world.events[-3:]}"
            )
    for _ in range(2):
        for device in world.devices:
            device.echo()
        world.run(35000)
    table, node = world.node.table, world.node
    theirs = sorted((*device.node.table.ike_sa(slot)[:2], len(device.node.table.children(slot)))
                    for device in world.devices for slot in device.node.table.ike_sas())  # fmt: skip
    ours = sorted((*table.ike_sa(slot)[:2], len(table.children(slot))) for slot in table.ike_sas())
    if ours != theirs or len(ours) != len(world.devices) or world.members.acceptor.half_open:
        return f"left over: {ours} beside {theirs}, {world.members.acceptor.half_open}"
    if len(node.child_owners) != len(ours) or sorted(node.owned) != sorted(table.ike_sas()):
        return f"owners without SAs: {node.child_owners}, {node.owned}"
    if sorted(world.members.members) != sorted(device.id for device in world.devices):
        return f"members: {world.members.members}"
    if node.next_timer(world.clock) == 0:
        return "a timer is due for ever"
    return spent_twice(world)


def spent_twice(world):
    """A number of ESP, or a Message ID, with which two different messages of the hub have left."""
    known = {}
    for _, to_hub, via, _, octets in world.sent:
        if not to_hub and via == 4500:
            esp = octets[:4] != bytes(4)
            if esp or octets[20] == 46:
                key = octets[:8] if esp else (octets[4:20], octets[22:28])
                if known.setdefault(key, octets) != octets:
                    return f"spent twice: {key}"
    return ""


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.__name__)
def test_a_full_heap_at_every_line_of_a_hub_k14_a6_h1(monkeypatch, phase):
    monkeypatch.setattr(sa_init, "group", QuickGroup)
    monkeypatch.setattr(acceptor, "group", QuickGroup)
    world = World(devices=2)
    if PHASES[phase]:
        world.up()
        world.run(1000)
    count, wrong = faults.trials(world, phase, MemoryError("as the test wants"), files=_FILES, judge=after)
    print(phase.__name__, count)
    assert not wrong, "\n".join(f"{place}: {what}" for place, what in wrong.items())
    assert count > 5
