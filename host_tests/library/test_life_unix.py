"""What a tunnel died of in the field, on the MicroPython unix port with a real table, real ints and a real heap.

`make soak` has a night of a rekey each ten seconds.
"""

import pytest

from library import faults
from library.far_device import FarDevice
from library.rekeying import rekeys
from library.scripted_gateway import notify

DAY = 86400000


@pytest.fixture
def begin():
    """Begins a device, up and used; all end with the test."""
    begun = []

    def living(**more):
        device = FarDevice(1, **more)
        begun.append(device)
        device.until(lambda: device.life.up)
        device.echo_ms, device.next_echo = 500, device.now
        device.run(1000)
        device.echo_ms = 0
        return device

    yield living
    for device in begun:
        device.end()


def mended(device):
    wrong = faults.after(device)
    assert not wrong and not device.errors and device.most_ticks <= 10, (wrong, device.errors, device.most_ticks)


@pytest.mark.parametrize("ike_too", [False, True])
def test_many_child_sas_deleted_in_one_message_k12(begin, ike_too):
    """More than there is room for among the events."""
    device = begin(table=(4, 32))
    device.tidy = lambda: None
    for _ in range(20):
        device.says(device.gateway.rekey_child(device.sa))
        device.run(300)
    sa = device.sa
    assert len(device.node.child_owners) == 21
    spis = b"".join(child.spi_in for child in sa.children)
    device.says(device.gateway.inform(sa, (42, bytes((3, 4, 0, 21)) + spis)))
    device.run(20)
    sa.children.clear()
    del device.tidy
    if ike_too:
        device.says(device.gateway.delete(sa))
    device.run(40)
    assert not device.life.up or device.ask("life.current.child.slot in node.child_owners")
    mended(device)


@pytest.mark.parametrize("slept", [7 * DAY, 20 * DAY, 24 * 365 * DAY, (1 << 40) - 1])
def test_a_long_sleep_ages_the_keys_and_the_next_one_is_kept_z8(begin, slept):
    device = begin()
    assert device.ask(f"fall_asleep({device.clock})", "len(octets)") > 300
    device.now += slept
    device.ask("build()", "None")
    assert device.ask(f"wake({slept}, {device.clock})") is True and device.ask(
        f"life.lived({device.clock}) >= life.life_ms"
    )
    device.ask(f"fall_asleep({device.clock})", "None")
    device.power_on()
    device.ask(f"wake(1000, {device.clock})", "None")
    begun = len(device.begun)
    mended(device)
    assert len(device.begun) > begun


@pytest.mark.parametrize("ms", [-1, 1 << 40, 30000.5, "1000"])
def test_what_is_no_time_asleep_z8(begin, ms):
    device = begin()
    with pytest.raises(OSError, match=r"TypeError|ValueError"):
        device.ask(f"__import__('portable').milliseconds({ms!r})")
    mended(device)


def test_rekeys_leave_nothing_on_the_heap_k1_k2(begin):
    levels = rekeys(begin(), 24)
    print(f"heap in use: {levels}")


def test_close_with_a_silent_gateway_is_down_at_once_k11(begin):
    device = begin()
    device.there = False
    device.life.close(device.clock)
    assert not device.life.up and not device.ask("life.over")
    device.run(11000)
    assert device.ask("life.over") and not device.node.table.ike_sas()


def test_an_old_ike_sa_whose_delete_was_lost_goes_after_a_minute_k12(begin):
    device = begin()
    device.tidy = lambda: None
    device.says(device.gateway.rekey_ike(device.sa))
    device.run(500)
    device.gateway.sas.pop(0)
    assert len(device.node.table.ike_sas()) == 2
    device.run(135000)  # a minute until it is asked whether it is good, and one more
    assert len(device.node.table.ike_sas()) == 1 and device.life.up and len(device.begun) == 1
    mended(device)


def test_two_tunnels_over_one_node_k12(begin):
    device = begin(table=(8, 16))
    device.ask("globals().update(other=Life(node, Policy('sensor-8', PSK), stack()))", "None")
    device.ask(f"other.begin(HOST, {device.clock})")
    device.until(lambda: device.ask("other.up"))
    assert device.life.up and not device.ask("set(life.has.ours) & set(other.has.ours)", "list(result)")
    device.ask(f"other.close({device.clock})")
    device.until(lambda: device.ask("other.over"))
    assert device.life.up
    mended(device)


@pytest.mark.parametrize("order", [0, 1])
def test_invalid_spi_and_delete_in_one_message_k10(begin, order):
    device = begin()
    device.run(60000)
    spi = device.sa.children[0].spi_in
    said = [notify(11, spi), (42, b"\3\4\0\1" + spi)]
    device.says(device.gateway.inform(device.sa, *(said if order else reversed(said))))
    device.run(20)
    device.sa.children.clear()
    mended(device)


@pytest.mark.parametrize("other", ["gateway='elsewhere'", "lifetime_ms=3600000", "liveness_ms=5000"])
def test_another_configuration_begins_anew_z2(begin, other):
    device = begin()
    device.ask(f"fall_asleep({device.clock})", "None")
    device.ask(f"build({other})", "None")
    assert device.ask(f"wake(1000, {device.clock})") is False and not device.node.table.ike_sas()
    mended(device)
