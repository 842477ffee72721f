"""A sensor that sleeps ten minutes, wakes, says a reading and sleeps again, with all that happens to it (Z1 to Z8, K5).

What it does with its keys is the library's; time, wires and the gateway are simulated, and so is the cost of a key
exchange. A reading is missing at most in the cycle in which something was broken on purpose.
"""

import sys

import pytest
from ikev2.initial import sa_init
from ikev2.sa import rekey
from ipsec import sleep

from library.scripted_gateway import Gateway
from library.simulation import QuickGroup
from library.test_life import Keeping, Replacing
from library.test_sleep import Board

DAY = 144  # cycles
CYCLE_MS = 600000
AWAKE_MS = 400
SETTLE_MS = 1000
UP_MS = 120000
COST_MS = {14: 2400, 31: 400}


class Never(Gateway):
    """`unique = never`: it is told INITIAL_CONTACT, and keeps what it has."""

    def _auth(self, sa, parts):
        others = [other for other in self.sas if other is not sa]
        answer = super()._auth(sa, parts)
        self.sas[:] = [*[other for other in others if other not in self.sas], *self.sas]
        return answer


GATEWAYS = {"no": Gateway, "never": Never, "replace": Replacing, "keep": Keeping}


def costly(board):
    """A group for both ends, whose slices take time on the device."""

    class CostlyGroup(QuickGroup):
        def begin(self, peer=None):
            super().begin(peer)
            self._slices = COST_MS[self.number] // 40

        def step(self):
            board.now += 20
            self._slices -= 1
            return self._slices < 0 and super().step()

    return CostlyGroup


class Sensor(Board):
    """A Board in cycles. `broken`: something was broken on purpose in this cycle."""

    def __init__(self, group, unique, **settings):
        self.cycles = self.missed = self.anew = 0
        self.broken = False
        super().__init__(groups=(group,), gateway_class=GATEWAYS[unique], **settings)
        Replacing.world = self

    def naps(self, ms):
        """What Tunnel.keep does, then sleep and a reset."""
        began, octets = self.now, b""
        self.life.settle(self.clock)
        while not octets:
            if self.now - began >= sleep.patience(self.life, SETTLE_MS):
                self.life.has.expire(self.clock, 0)
                octets = sleep.keep(self.life, self.clock)
                break
            if not self.life.renewing:
                octets = sleep.keep(self.life, self.clock)
            if not octets:
                self.run(20)
        if not octets:
            sleep.forget(self.life)
        table = self.node.table.snapshot()
        self.flying.clear()
        self.now += ms
        self.wakes(len(table).to_bytes(2, "big") + table + octets, ms)

    def accident(self):
        dice = self.dice.random()
        self.broken = dice < 0.02
        if dice < 0.004:
            self.restart_gateway()
        elif dice < 0.008 and self.gateway.sas:
            self.says(self.gateway.delete(self.sa))
        elif dice < 0.012 and self.gateway.sas and self.sa.children:
            self.says(self.gateway.delete_child(self.sa, self.sa.children[0]))
        elif dice < 0.016:
            self.loss = 0.3
        elif dice < 0.02 and self.gateway.sas and self.sa.established and self.sa.children:
            self.says(self.gateway.rekey_ike(self.sa) if dice < 0.018 else self.gateway.rekey_child(self.sa))

    def cycle(self):
        self.accident()
        if not self.life.up:
            self.anew += 1
            self.until(lambda: self.life.up, UP_MS)
        answered = self.answered
        self.echo()
        self.run(AWAKE_MS)
        if self.answered == answered:
            self.missed += 1
            assert self.broken or self.loss, (self.cycles, self.events[-5:], self.transitions[-5:])
        self.loss = 0.0
        self.naps(CYCLE_MS)
        assert len(self.node.table.ike_sas()) <= 1 and len(self.node.child_owners) <= 1
        self.cycles += 1
        self.gateway.sas = self.gateway.sas[-2:]
        for pile in (self.gateway.said, self.sent, self.begun, self.events, self.transitions, self.waiting):
            pile.clear()

    def days(self, number):
        while self.cycles < number * DAY:
            self.cycle()


def sensor(group, unique, patch):
    made = Sensor(group, unique)
    for module in (sa_init, rekey):
        patch.setattr(module, "group", costly(made))
    made.until(lambda: made.life.up)
    return made


@pytest.mark.parametrize("unique", GATEWAYS)
@pytest.mark.parametrize("group", [14, 31])
def test_days_of_a_sensor_that_sleeps_z7_k5(group, unique, monkeypatch):
    """A week each; `python -m library.test_sensor_year` is a year."""
    made = sensor(group, unique, monkeypatch)
    made.days(7)
    assert made.missed <= 0.04 * made.cycles and made.anew <= 0.04 * made.cycles
    assert made.life.up or made.life.wanted


if __name__ == "__main__":
    for its_unique in GATEWAYS:
        for its_group in (14, 31):
            with pytest.MonkeyPatch.context() as its_patch:
                year = sensor(its_group, its_unique, its_patch)
                year.days(int(sys.argv[1]) if sys.argv[1:] else 365)
                print(
                    its_unique, its_group, year.cycles, "cycles", year.missed, "missed", year.anew, "anew", flush=True
                )
