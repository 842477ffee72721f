"""One error at each line of the library that can allocate, once, in each phase of a tunnel's life (K14).

After it the tunnel is up again within two minutes of a reachable gateway, no SA, owner or timer is left over, no number
was used twice, and nothing spins.
"""

import json
import os
import subprocess
import sys

import pytest
from ikev2.sa.policy import Policy
from ipsec import sleep
from tools import device_environment

from library import faults
from library.faults import Device
from library.simulation import PSK

EVERY = int(os.environ.get("EVERY", "1"))  # nth of the lines


def fresh(**more):
    return Device(echo_ms=0, **more)


def living(**more):
    device = fresh(**more)
    device.until(lambda: device.life.up)
    device.echo_ms, device.next_echo = 500, device.now
    device.run(2000)
    assert device.answered and not device.errors
    device.echo_ms = 0
    return device


def keeping():
    policy = Policy("sensor-7", PSK)
    policy.keep_keys = True
    return living(policy=policy)


def attempt(device):
    device.run(3000)


def up(device):
    device.echo_ms, device.next_echo = 500, device.now
    device.run(1500)
    device.there = False
    device.run(11000)
    device.there = True
    device.echo_ms = 0
    device.run(3000)


def rekey_child(device):
    device.says(device.gateway.rekey_child(device.sa))
    device.run(4000)


def rekey_child_with_pfs(device):
    device.says(device.gateway.rekey_child(device.sa, group=31))
    device.run(4000)


def rekey_ike(device):
    device.says(device.gateway.rekey_ike(device.sa))
    device.run(4000)


def renewal(device):
    device.life.life_ms = device.life.lived(device.clock)
    device.life.attend(device.clock)
    device.run(4000)


def silence(device):
    device.restart_gateway()
    device.echo()
    device.run(25000)


def deleted(device):
    device.says(device.gateway.delete(device.sa))
    device.run(3000)


def closed(device):
    device.life.close(device.clock)
    device.run(3000)


def moved(device):
    device.source = ("203.0.113.9", 4500)
    device.life.check(device.clock)
    device.run(3000)


def asleep(device):
    """Ten minutes, and the first reading after it."""
    octets = table = b""
    try:
        octets = sleep.keep(device.life, device.clock)
        if not octets:
            sleep.forget(device.life)
        table = device.node.table.snapshot()
    except (MemoryError, OSError, ValueError):
        table = b""  # Tunnel.sleep and firmware sleep all the same, and keep nothing
    device.now += 600000
    try:
        device.power_on()
        try:
            if table and device.node.table.restore(table):
                sleep.wake(device.life, octets, 600000, device.clock)
        except MemoryError:
            pass  # Tunnel.wake
        sleep.clear(device.node)
    except (MemoryError, OSError, ValueError):
        device.power_on()  # main.py ends, the watchdog bites, and RTC memory was cleared
    device.echo()
    device.run(3000)


PHASES = {
    attempt: fresh, up: living, rekey_child: living, rekey_child_with_pfs: living, rekey_ike: living, renewal: living,
    silence: living, deleted: living, closed: living, moved: living, asleep: keeping,
}  # fmt: skip


def failed(phase, error):
    """(number of lines, what is wrong) of a phase by name."""
    phase = globals()[phase]
    count, found = faults.trials(PHASES[phase](), phase, error, EVERY)
    return count, f"{len(found)} of {count}\n" + "\n".join(f"{k}\n  {v}" for k, v in found.items()) if found else ""


def failed_apart(phase, error):
    """The same in a process of its own: a fork of one that has all tests in it takes twice the time."""
    code = f"import json, library.test_faults as test; print(json.dumps(test.failed({phase!r}, {error!r})))"
    done = subprocess.run([sys.executable, "-c", code], env=device_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.__name__)
def test_a_full_heap_at_every_line_k14(phase):
    count, wrong = failed_apart(phase.__name__, MemoryError("as the test wants"))
    print(phase.__name__, count)
    assert not wrong, wrong
    assert count > 20


@pytest.mark.parametrize("error", [OSError(5, "as the test wants"), ValueError("as the test wants")])
def test_other_errors_k14(error):
    for phase in ("attempt", "renewal"):
        _, wrong = failed_apart(phase, error)
        assert not wrong, wrong
