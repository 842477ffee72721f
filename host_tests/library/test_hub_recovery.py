"""A hub that has lost power says so, and who forges that gains nothing (R5, R10, L1): the library at both ends."""

import pytest
from ipsec import life

from library.hub_world import HubWorld
from library.test_members import echoes

PC = {"half_open": 32, "of_address": 16, "cookies_from": 16, "answers_per_s": 500}
MARKER = bytes(4)
INVALID_IKE_SPI = bytes.fromhex("000000240000000800000004")


@pytest.mark.parametrize(("every", "within"), [(500, 1000), (20000, 200)])
def test_a_hub_that_has_lost_power_has_its_devices_back_r5_r10_l1(every, within):
    """INVALID_SPI, the check, INVALID_IKE_SPI, the new tunnel: from the first packet after its return on."""
    world = HubWorld(devices=3, pc=True).up()
    for _ in range(3):
        echoes(world, 1, every)
    world.there = False
    world.run(300)
    for device in world.devices if every < 1000 else ():
        device.echo()
    world.run(700)
    world.start_hub()
    world.there = True
    world.run(every - 1000 if every > 1000 else 10)
    for device in world.devices:
        device.echo()
    began = world.now
    while not world.all_there() and world.now - began < 60000:
        world.run(10)
    assert world.now - began <= within
    assert echoes(world) == 3 and all(device.begun == 2 for device in world.devices)


def test_twenty_sensors_behind_one_address_come_and_come_back_h4():
    world = HubWorld(devices=20, table=(192, 192), most=64, limits=PC, pc=True)
    for number, device in enumerate(world.devices):
        device.host = world.devices[0].host
        device.ports = {500: 20000 + 2 * number, 4500: 20001 + 2 * number}
    began = world.now
    world.up()
    assert world.now - began < 3000
    world.run(30000)
    world.cut(1000)
    back = world.now
    while not world.all_there():
        for device in world.devices:
            device.echo()
        world.run(500)
        assert world.now - back < 20000
    assert world.now - back < 3000
    assert all(device.begun <= 3 for device in world.devices)


@pytest.mark.parametrize(("loss", "doubling", "delay"), [(0, 0, (5, 5)), (0.25, 0.2, (1, 300))])
def test_forty_devices_call_at_once_and_again_a2_a5_a6_h4(loss, doubling, delay):
    """All are there with one attempt each; a quarter lost, a fifth doubled, all out of order, none is left out."""
    wire = {"loss": loss, "doubling": doubling, "delay": delay}
    world = HubWorld(devices=40, table=(192, 192), most=64, limits=PC, pc=True, **wire)
    for _ in range(2):
        began, before = world.now, sum(device.begun for device in world.devices)
        world.up()
        begun = sum(device.begun for device in world.devices) - before
        print(f"{world.now - began} ms, {begun} attempts")
        assert begun == 40 if not loss else begun < 120
        cookies = [octets for _, to_hub, _, _, octets in world.sent if not to_hub and octets[16:17] == b"\x29"]
        assert cookies  # A5: more than 16 at once
        world.loss = 0
        answered = sum(device.answered for device in world.devices)
        for _ in range(5):
            for device in world.devices:
                assert device.echo()
            world.run(1000)
        assert sum(device.answered for device in world.devices) - answered == 200
        assert len(set(world.members.members)) == 40
        assert len({world.members.members[device.id].current.child.remote for device in world.devices}) == 40
        for device in world.devices:
            device.power_on()
        world.start_hub()
        world.loss, world.sent = loss, []


class Forger:
    """On the path between a hub and its device, who are well: denies all that he can, and is faster than the hub."""

    def __init__(self, world):
        self.world = world
        self.hints = self.auths = 0
        self._fly = world.fly
        world.fly = self._see

    def _see(self, to_hub, via, end, octets):
        exchange, flags = octets[22:24] if octets[:4] == MARKER else (0, 0)
        if to_hub and exchange == 35:
            self.auths += 1
        if to_hub and exchange == 37 and flags == 8:
            self._say(
                octets[4:20] + bytes.fromhex("29202520") + octets[24:28] + bytes.fromhex("000000240000000800000004")
            )
        self._fly(to_hub, via, end, octets)

    def deny(self):
        """Say that the Child SA is not known."""
        (device,) = self.world.devices
        spi = device.node.table.child_sa(device.life.current.child.slot)[3]
        spis = self.world.dice.randbytes(15)
        self._say(b"\1" + spis + bytes.fromhex("29202508 00000000 00000028 0000000c 0000000b") + spi)

    def _say(self, octets):
        (device,) = self.world.devices
        self.hints += 1
        self.world.flying.append((self.world.now + 1, False, 4500, device.source(4500), MARKER + octets))


@pytest.mark.parametrize("start", [0, (1 << 30) - 50000])
@pytest.mark.parametrize("every", [300, 1000, 2000, 20000])
def test_forged_hints_on_the_path_with_the_hub_alive_end_nothing_r2_r5_r10(every, start):
    """100 in 100 s: no tunnel lost, five attempts begun at most, none that reaches IKE_AUTH, no packet lost."""
    world = HubWorld(start=start, pc=True).up()
    (device,) = world.devices
    spis = world.node.table.ike_sa(world.members.members["sensor-1"].ike)[:2]
    world.run(5000)
    forger = Forger(world)
    sent = 0
    for second in range(100):
        for at in range(0, 1000, 100):
            if (second * 1000 + at) % every == 0:
                assert device.echo()
                sent += 1
            if at == 500:
                forger.deny()
            world.run(100)
    assert (forger.hints > 100) == (every > 1500) and forger.auths == 0  # R5
    assert device.begun - 1 <= 5 and device.life.up
    assert device.answered == sent
    world.run(30000)
    assert device.life.state == life.UP and not device.life.has.attempt
    assert world.node.table.ike_sa(world.members.members["sensor-1"].ike)[:2] == spis
    print(f"echo each {every} ms: {forger.hints} hints, {device.begun - 1} attempts begun")
