"""A real heap that is full and in pieces, in each phase of a tunnel's life (K14): the MicroPython unix port.

Each call into the device finds a heap that was filled anew, to a random level. After it, with room again, the tunnel is
up within two minutes of a reachable gateway, no SA, owner or timer is left over, no number was used twice, and nothing
spins. `SEEDS=1000` makes a thousand of each phase, `SEED=7` that one alone.
"""

import os

import pytest

from library import faults, test_faults
from library.far_device import FarDevice
from library.simulation import PERIOD

SEEDS = int(os.environ.get("SEEDS", "1"))
ONE = os.environ.get("SEED")


def asleep(device):
    device.drive(device.ask, f"fall_asleep({device.clock})", "None", True)
    device.now += 600000
    device.power_on()
    try:
        device.ask(f"wake(600000, {device.clock})", "None", True)
    except (MemoryError, OSError):
        device.power_on()  # main.py ends, the watchdog bites, and RTC memory was cleared
    device.echo()
    device.run(3000)


PHASES = [phase for phase in test_faults.PHASES if phase is not test_faults.asleep] + [asleep]


def trial(phase, seed):
    """(what is wrong after it, how often the heap's end was seen from outside: most errors end inside)."""
    device = FarDevice(seed)
    try:
        if test_faults.PHASES.get(phase) is not test_faults.fresh:
            device.until(lambda: device.life.up)
            device.echo_ms, device.next_echo = 500, device.now
            device.run(2000)
            assert device.answered and not device.errors, device.errors
            device.echo_ms = 0
        device.fills = True
        try:
            phase(device)
        except (MemoryError, OSError):
            pass  # it was the phase's own call: whoever called knows
        device.fills = False
        wrong = faults.after(device)
        assert device.clock < PERIOD and device.filled
        if device.most_ticks > 10:
            wrong = wrong or f"{device.most_ticks} ticks in a millisecond"
        return wrong and f"{wrong} {device.errors[-3:]}", device.raised + device.ask("met + life.failures")
    finally:
        device.end()


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.__name__)
def test_a_heap_in_pieces_k14(phase):
    found, raised = {}, 0
    for seed in [int(ONE)] if ONE else range(SEEDS):
        try:
            wrong, errors = trial(phase, seed)
        except AssertionError as error:
            wrong, errors = repr(error), 0
        raised += errors
        if wrong:
            found[seed] = wrong
    print(phase.__name__, raised, "errors")
    assert not found, f"{phase.__name__}\n" + "\n".join(f"SEED={seed} {wrong}" for seed, wrong in found.items())


def test_the_heap_is_full_and_in_pieces():
    """What `fill` leaves is about what it was asked to leave, and none of it lies together."""
    device = FarDevice(1)
    try:
        for seed in range(5):
            for left, size in ((0, 512), (4096, 8192)):
                with pytest.raises(MemoryError):
                    device.ask(f"bytearray({size})", "None", (seed, left))
            device.ask("bytearray(16)", "None", (seed, 4096))
            device.ask("bytearray(100000)", "None")
    finally:
        device.end()
