"""A year of a tunnel, on wires that lose, double and reorder, with all that happens to it (rules K1 to K9).

Rekeys and replacements each hour, restarts with and without a word, NATs that forget, outages: it is always back, never
two tunnels for long, and nothing piles up. The time is a simulated one, and so is the key exchange, because its cost
would be all that is measured.
"""

import gc

from ikev2.initial import sa_init as initial
from ikev2.sa import rekey
from ipsec import liveness

from library.simulation import QuickGroup, Simulation

MINUTE = 60000
HOUR = 60 * MINUTE
MONTH = 730  # hours
BACK = 3 * MINUTE  # a pause of a minute, half as long again, and an attempt or two with losses
TWO_AT_MOST = MINUTE


class Year(Simulation):
    def __init__(self, **more):
        super().__init__(**more)
        self.two_since = None
        self.two = self.hours = self.accidents = 0

    def watch(self):
        """How long there have been two tunnels, with a gateway that answers."""
        if self.tunnels() < 2 or not self.there:
            self.two_since = None
        elif self.two_since is None:
            self.two_since = self.now
        else:
            self.two = max(self.two, self.now - self.two_since)

    def back(self):
        """The tunnel carries an echo, in time."""
        answered, began = self.answered, self.now
        while self.answered == answered:
            assert self.now - began < BACK, (self.hours, self.life.reason, self.events[-5:])
            self.echo()
            self.run(2000, self.watch)

    def accident(self):
        dice = self.dice.random()
        if dice < 0.010:
            self.restart_gateway()
        elif dice < 0.025 and self.gateway.sas:
            self.says(self.gateway.delete(self.sa))
        elif dice < 0.030 and self.gateway.sas and self.sa.children:
            self.says(self.gateway.delete_child(self.sa, self.sa.children[0]))
        elif dice < 0.090:
            self.source = (self.source[0], self.dice.randint(1024, 65535))
        elif dice < 0.100:
            self.source = (f"203.0.113.{self.dice.randint(1, 254)}", self.dice.randint(1024, 65535))
            self.life.check(self.clock)
        elif dice < 0.110:
            self.there = False
            self.run(self.dice.randint(1000, 40 * MINUTE), self.watch)
            self.there = True
        elif dice < 0.112:
            self.power_on()
        else:
            return
        self.accidents += 1

    def hour(self):
        if self.gateway.sas and self.sa.established and self.sa.children:
            if self.hours % 4 == 3:
                self.says(self.gateway.rekey_ike(self.sa))
            else:
                self.says(self.gateway.rekey_child(self.sa, group=31 * (self.hours % 2)))
        self.accident()
        self.back()
        self.run((self.hours + 1) * HOUR - self.now, self.watch)
        self.hours += 1
        # What a daemon does with an SA that nobody answers on, and what only tests remember.
        self.gateway.sas = self.gateway.sas[-1:]
        for pile in (self.gateway.said, self.sent, self.begun, self.events, self.waiting):
            pile.clear()

    def months(self, number):
        while self.hours < number * MONTH:
            self.hour()
        self.run(5 * MINUTE, self.watch)
        gc.collect()
        return len(gc.get_objects())


def test_a_year_k1_to_k9(monkeypatch):
    for module in (initial, rekey):
        monkeypatch.setattr(module, "group", QuickGroup)
    monkeypatch.setattr(liveness, "_LISTENED_MS", 59 * MINUTE)  # a check a minute would be all that is simulated
    world = Year(loss=0.02, doubling=0.02, delay=(5, 300), echo_ms=60 * MINUTE, keepalive_ms=0)
    after_one = world.months(1)
    after_twelve = world.months(12)
    assert world.two <= TWO_AT_MOST and world.accidents > 500 and world.life.up
    assert abs(after_twelve - after_one) < 100
