"""A hub and its devices, the library at both ends: who is there, where, what becomes of them (A9, A11, H1 to H4)."""

import struct

import pytest
from ikev2.initial import auth
from inside.tcp import Tcp
from ipsec.shares import Shares

from library.hub_world import HUB_INSIDE, HubWorld


def test_a_device_is_there_and_its_echoes_are_answered():
    world = HubWorld().up()
    (device,) = world.devices
    assert [event[1:3] for event in world.events] == [("up", "sensor-1")]
    member = world.members.at(device.life.stack.address)
    assert member.policy.id == "sensor-1" and member.place == device.source(4500)
    assert world.members.at(HUB_INSIDE) is None
    for _ in range(5):
        assert device.echo()
        world.run(100)
    assert device.answered == 5


def echoes(world, count=3, every=200):
    """How many of so many echoes of the first device are answered."""
    device = world.devices[0]
    before = device.answered
    for _ in range(count):
        device.echo()
        world.run(every)
    return device.answered - before


def to_device(world, since=0):
    """ESP packets of the hub's, and where they go."""
    return [end for _, to_hub, via, end, octets in world.sent[since:] if not to_hub and octets[:4] != bytes(4)]


def test_a_new_port_is_followed_with_the_first_packet_h1():
    world = HubWorld().up()
    (device,) = world.devices
    for port in (20001, 20002, 20001):
        device.ports[4500] = port
        assert echoes(world) == 3
        assert world.members.members["sensor-1"].place == device.source(4500)


def test_an_old_packet_moves_nothing_h1():
    world = HubWorld().up()
    (device,) = world.devices
    device.echo()
    world.run(100)
    old = next(octets for _, to_hub, via, _, octets in reversed(world.sent) if to_hub and octets[:4] != bytes(4))
    echoes(world)
    place = world.members.members["sensor-1"].place
    for packet in (old, old[:-1] + b"?", old[:4] + b"\0\0\0\xff" + old[8:]):
        world.fly(True, 4500, bytes((203, 0, 113, 9, 1, 1)), packet)
        world.run(100)
        assert world.members.members["sensor-1"].place == place
    assert echoes(world) == 3


def test_a_packet_that_was_overtaken_moves_nothing_h1():
    world = HubWorld().up()
    (device,) = world.devices
    packets = []
    for number in (1, 2):
        size = device.life.stack.ping(device.buffer, 24, HUB_INSIDE, number)
        packets.append(bytes(device.buffer[: device.life.seal(device.buffer, size, world.clock)]))
    world.fly(True, 4500, device.source(4500), packets[1])
    world.run(100)
    since = len(world.sent)
    world.fly(True, 4500, bytes((203, 0, 113, 9, 1, 1)), packets[0])
    world.run(100)
    assert world.members.members["sensor-1"].place == device.source(4500)
    assert to_device(world, since) == [device.source(4500)]


def test_a_peer_that_is_heard_and_answers_no_request_is_not_given_up_h2():
    world = HubWorld().up()
    (device,) = world.devices
    fly = world.fly

    def without_ike(to_hub, via, end, octets):
        if octets[:4] != bytes(4):
            fly(to_hub, via, end, octets)

    world.fly = without_ike
    spoof(world)
    for _ in range(200):
        assert echoes(world, 1, 10000) == 1
    owner = world.node.owners[world.members.members["sensor-1"].ike]
    assert owner.waiting and device.begun == 1
    world.fly = fly
    world.run(61000, lambda: device.echo() if world.now % 10000 < 5 else None)
    assert not owner.waiting


def test_a_packet_that_arrives_from_elsewhere_redirects_little_h1():
    world = HubWorld().up()
    (device,) = world.devices
    member = world.members.members["sensor-1"]
    elsewhere = bytes((203, 0, 113, 9, 1, 1))
    device.speak()
    size = device.life.stack.ping(device.buffer, 24, HUB_INSIDE, 7)
    length = device.life.seal(device.buffer, size, world.clock)
    world.fly(True, 4500, elsewhere, bytes(device.buffer[:length]))
    world.run(100)
    assert member.place == elsewhere
    sent = 0
    out = bytearray(1520)
    for _ in range(100):
        size = world.stack.send(out, 24, 5683, device.life.stack.address, 5683, bytes(10))
        sent += member.seal(out, size, world.clock)
    assert 0 < sent <= 3 * length and member.refused
    assert echoes(world) == 3 and member.place == device.source(4500)
    size = world.stack.send(out, 24, 5683, device.life.stack.address, 5683, bytes(1000))
    assert member.seal(out, size, world.clock)


def test_a_second_message_from_there_proves_it_of_whatever_kind_h1():
    """Who has moved and only listens proves where it is by its checks."""
    world = HubWorld().up()
    (device,) = world.devices
    member = world.members.members["sensor-1"]
    device.host = bytes((203, 0, 113, 9))
    owner = device.node.owners[device.node.owned[0]]
    out = bytearray(1520)

    def tell(size):
        size = world.stack.send(out, 24, 5683, device.life.stack.address, 5683, bytes(size))
        return member.seal(out, size, world.clock)

    for proved in (False, True):
        owner.check(world.clock)
        world.run(100)
        assert not owner.waiting and member.place == device.source(4500)
        assert tell(10) and bool(tell(1000)) == proved


def test_a_packet_of_an_older_child_sa_moves_nothing_h1():
    world = HubWorld().up()
    (device,) = world.devices
    size = device.life.stack.ping(device.buffer, 24, HUB_INSIDE, 7)
    old = bytes(device.buffer[: device.life.seal(device.buffer, size, world.clock)])
    device.power_on()
    device.life.contact = False
    world.until(lambda: device.life.up)
    assert echoes(world) == 3 and len(world.node.child_owners) == 2
    since = len(world.sent)
    world.fly(True, 4500, bytes((203, 0, 113, 9, 1, 1)), old)
    world.run(100)
    assert world.members.members["sensor-1"].place == device.source(4500)
    assert to_device(world, since) == [device.source(4500)]  # it was good, and is answered


@pytest.mark.parametrize(("silent", "asked"), [(29000, 1), (31000, 0)])
def test_who_was_heard_within_half_a_minute_is_told_h2(silent, asked):
    world = HubWorld().up()
    assert echoes(world) == 3
    world.devices = []
    world.run(silent)
    since = len(world.sent)
    spoof(world)
    world.run(100)
    assert len(requests(world, since)) == asked


def test_nothing_of_any_kind_exceeds_what_an_unproved_address_may_have_h1():
    """Neither what a stream has to say nor what is answered inside."""
    world = HubWorld().up()
    (device,) = world.devices
    member = world.members.members["sensor-1"]
    Tcp(world.stack, world.octets)
    elsewhere = bytes((203, 0, 113, 9, 1, 1))
    size = device.life.stack.ping(device.buffer, 24, HUB_INSIDE, 7)
    length = device.life.seal(device.buffer, size, world.clock)
    world.fly(True, 4500, elsewhere, bytes(device.buffer[:length]))
    world.run(100)
    assert member.place == elsewhere
    since = len(world.sent)
    for _ in range(3):
        world.stack.tcp.connect(device.life.stack.address, 80, world.clock)
    world.run(60000)
    sent = [len(octets) for _, to_hub, _, end, octets in world.sent[since:] if not to_hub and end == elsewhere]
    assert 0 < sum(sent) <= 3 * length
    assert echoes(world) == 3


def spoof(world):
    """A packet with an unknown SPI, from where the device is."""
    world.fly(True, 4500, world.members.members["sensor-1"].place, b"\x7f\1\2\3" + bytes(200))


def requests(world, since):
    return [octets for _, to_hub, _, _, octets in world.sent[since:]
            if not to_hub and octets[:4] == bytes(4) and not octets[4 + 19] & 0x20]  # fmt: skip


def test_one_spoofed_datagram_at_a_sleeping_sensor_ends_nothing_h2():
    world = HubWorld().up()
    (device,) = world.devices
    sleeping, world.devices = world.devices, []
    world.run(60000)
    since = len(world.sent)
    spoof(world)
    world.run(3600000)
    assert not requests(world, since)
    world.devices = sleeping
    since = len(world.sent)
    assert echoes(world, 1) == 1
    world.run(5000)
    assert len(requests(world, since)) == 1 and device.begun == 1
    assert echoes(world) == 3


def test_a_request_that_is_out_when_the_peer_falls_asleep_rests_and_goes_again_the_same_h2():
    world = HubWorld().up()
    sleeping, world.devices = world.devices, []
    since = len(world.sent)
    spoof(world)
    world.run(7200000)
    out = requests(world, since)
    assert 1 <= len(out) <= 5 and len(set(out)) == 1
    world.devices = sleeping
    since = len(world.sent)
    assert echoes(world) == 3
    assert requests(world, since) == out[:1]
    owner = world.node.owners[world.members.members["sensor-1"].ike]
    assert not owner.waiting and sleeping[0].begun == 1


def test_silence_never_ends_an_accepted_sa_but_a_day_does_h2_h3():
    world = HubWorld().up()
    world.devices = []
    world.run(86400000 - 120000)
    assert world.all_there() and world.node.table.ike_sas()
    world.run(240000)
    assert world.node.table.ike_sas()
    world.run(3600000)
    assert not world.node.table.ike_sas() and not world.members.members
    assert world.events[-1][1] == "down"


def test_at_the_hard_lifetime_the_peer_is_told_when_it_is_heard_h3():
    world = HubWorld(lifetime_ms=200000000).up()
    (device,) = world.devices
    world.devices, sleeping = [], world.devices
    world.run(86400000 + 60000)
    world.devices = sleeping
    device.echo()
    world.run(30000)
    world.up()
    assert device.begun == 2 and echoes(world) == 3


@pytest.mark.parametrize("what", ["packets", "requests"])
def test_before_numbers_run_out_the_sa_goes_in_silence_h3(what):
    world = HubWorld().up()
    member = world.members.members["sensor-1"]
    since = len(world.sent)
    world.run(20000)
    assert member.ike in world.node.table.ike_sas()
    if what == "packets":
        member.current.esp._state[4:8] = bytes.fromhex("ffffff00")
    else:
        world.node.owners[member.ike].window._put(4, 0xFFFFFEFF)
    world.run(10001)
    assert not world.node.table.ike_sas() and not world.members.members
    assert not [octets for _, to_hub, _, _, octets in world.sent[since:] if not to_hub]  # A4: nor keepalives


def test_connections_to_a_peer_that_is_gone_end_v10():
    world = HubWorld(devices=2).up()
    tcp = Tcp(world.stack, world.octets)
    gone, stays = (tcp.connect(device.life.stack.address, 80, world.clock) for device in world.devices)
    world.devices[0].life.close(world.clock)
    world.run(100)
    assert gone.error.args[1] == "sensor-1 is gone" and not stays.error


def test_initial_contact_ends_what_there_was_and_a_third_the_oldest_a9():
    world = HubWorld().up()
    (device,) = world.devices
    for _ in range(3):
        device.power_on()
        world.up()
        assert len(world.node.table.ike_sas()) == 1
    for count in (2, 2, 2):
        device.power_on()
        device.life.contact = False
        world.up()
        assert len(world.node.table.ike_sas()) == count and echoes(world) == 3
    assert {event[3] for event in world.events if event[1] == "up"} == {world.events[0][3]}


def test_new_keys_lose_nothing_a9():
    world = HubWorld(lifetime_ms=5000).up()
    (device,) = world.devices
    assert echoes(world, 400, 100) == 400
    assert device.begun >= 5 and len(world.node.table.ike_sas()) <= 2


def test_who_was_silent_for_longest_makes_room_h2_h4():
    world = HubWorld(devices=3, most=2)
    world.devices, rest = world.devices[:2], world.devices[2:]
    world.up()
    world.run(20000, lambda: world.devices[1].echo() if world.now % 1000 < 5 else None)
    world.devices += rest
    world.until(lambda: "sensor-3" in world.members.members)
    assert sorted(world.members.members) == ["sensor-2", "sensor-3"]


def test_an_older_sa_makes_nobody_silent_who_is_heard_h2():
    """sensor-1 has lost power and says no INITIAL_CONTACT: what it had is as silent as nobody's."""
    world = HubWorld(devices=3, most=2)
    world.devices, rest = world.devices[:2], world.devices[2:]
    world.up()
    world.devices[0].power_on()
    world.devices[0].life.contact = False
    world.until(lambda: world.devices[0].life.up)
    assert len(world.node.table.ike_sas()) == 3
    world.run(20000)
    assert echoes(world, 1) == 1
    world.devices += rest
    world.until(lambda: "sensor-3" in world.members.members)
    assert sorted(world.members.members) == ["sensor-1", "sensor-3"]


@pytest.mark.parametrize("claimed, shown", [
    (b"\2\0\0\0sensor-9", "sensor-9"),
    (b"\2\0\0\0\xff\xfe", "\\xff\\xfe"),
    (b"\2\0\0\0\x1b[2J\nsensor-1 up", "\\x1b[2J\\nsensor-1 up"),
    (b"\2\0\0\0" + bytes(900), "\\x00" * 64),
])  # fmt: skip
def test_who_is_refused_is_shown_as_one_line_whatever_it_claims_a8(monkeypatch, claimed, shown):
    monkeypatch.setattr(auth, "id_body", lambda id: claimed)
    world = HubWorld()
    world.until(lambda: world.events)
    assert world.events[0][1:] == ("refused", shown, "from 198.51.100.1")
    monkeypatch.undo()
    world.devices[0].power_on()
    world.up()


def test_loss_and_doubling_end_nothing_h2():
    world = HubWorld(devices=3, loss=0.25, doubling=0.2, delay=(5, 400), lifetime_ms=60000).up()
    for _ in range(600):
        for device in world.devices:
            device.echo()
        world.run(1000)
    assert all(device.answered > 300 for device in world.devices)
    world.loss = world.doubling = 0
    world.run(120000)
    world.up()
    assert len(world.node.table.ike_sas()) == 3


def test_an_ike_sa_without_a_child_sa_goes_after_half_a_minute_a11():
    world = HubWorld(pool="10.9.0.254/32")
    while not world.members.members:
        world.run(1)
    world.devices = []
    world.run(29000)
    (slot,) = world.node.table.ike_sas()
    assert not world.node.owners[slot].deleting
    world.run(15000)
    assert world.node.owners[slot].deleting
    world.run(30000)
    assert not world.node.table.ike_sas() and not world.members.members


def test_the_half_minute_begins_anew_when_there_has_been_a_child_sa_a11():
    world = HubWorld().up()
    world.devices = []
    table = world.node.table
    (slot,) = table.ike_sas()
    (child,) = table.children(slot)
    traffic, spis = world.node.child_owners[child], table.child_sa(child)[2:]
    table.remove_child(child)
    world.run(20000)
    traffic.child.slot = child = table.adopt_child(slot, 50, *spis)
    world.node.attach_child(child, traffic)
    world.run(11000)
    table.remove_child(child)
    world.run(25000)
    assert not world.node.owners[slot].deleting
    world.run(20000)
    assert world.node.owners[slot].deleting


def test_closed_it_deletes_all_and_accepts_nobody():
    world = HubWorld(devices=2).up()
    world.members.close(world.clock)
    world.run(1000)
    assert world.members.over and not any(device.life.up for device in world.devices)
    world.run(10000)
    assert not world.node.table.ike_sas()


@pytest.mark.parametrize("rate", [100, 10])
def test_no_address_has_more_than_half_of_the_answers_h4(rate):
    shares = Shares(rate)
    flood, others = bytes((203, 0, 113, 9)), [bytes((198, 51, 100, number)) for number in range(rate)]
    now = (1 << 30) - 300
    answered = sum(shares.allow(flood + struct.pack(">H", port), port & 1, now) for port in range(1000))
    assert answered == rate // 2
    assert sum(shares.allow(address + b"\1\1", 0, now) for address in others) == rate - rate // 2
    total = {flood: 0, others[0]: 0}
    for _ in range(10000):  # across the wrap
        now = (now + 1) % (1 << 30)
        for address in total:
            total[address] += shares.allow(address + b"\1\1", 0, now)
        if not shares.next_timer(now):
            shares.tick(now)
    assert all(rate * 4 <= count <= rate * 6 for count in total.values())
    now = (now + 2000) % (1 << 30)
    shares.tick(now)
    assert not shares._debts and sum(shares.allow(flood + b"\1\1", 0, now) for _ in range(rate)) == rate // 2


def test_packets_alone_are_no_reason_to_look_at_everybody_k12():
    world = HubWorld(devices=3).up()
    looks = []
    look = world.members._look
    world.members._look = lambda now: (looks.append(now), look(now))
    assert echoes(world, 50, 20) == 50
    assert len(looks) <= 2
    world.devices[1].life.close(world.clock)
    world.devices[1].speak()
    world.run(100)
    assert "sensor-2" not in world.members.members and 2 <= len(looks) <= 4


def test_who_comes_is_seen_though_no_event_tells_of_it_k12():
    """Lost events delay what follows by a second, no more."""
    world = HubWorld(devices=2)
    take = world.members.take
    world.members.take = lambda *_: None
    world.up()
    for _ in range(20):
        echoes(world, 1, 100)
    assert world.members.members["sensor-1"].current and echoes(world) == 3
    world.devices[1].life.close(world.clock)
    world.devices[1].speak()
    for _ in range(20):
        echoes(world, 1, 100)
    assert "sensor-2" not in world.members.members
    world.members.take = take


def test_a_half_open_ike_sa_that_goes_while_its_secret_is_made_a6():
    """Nothing of it is established, in a slot that may be another's by then."""
    world = HubWorld()
    slices = []

    def removes():
        work = world.members.acceptor._work
        if work and work[1] and not slices:
            slices.append(1)
            world.node.remove(work[1].slot, -26)

    (device,) = world.devices
    tick = world.node.tick
    world.node.tick = lambda now: (removes(), tick(now))
    world.run(3000)
    assert slices and not device.life.up
    world.up()
