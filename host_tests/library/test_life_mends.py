"""A life that mends itself (K12): whatever event is lost and whatever the heap refuses, the table is what counts."""

import pytest
from ikev2.owners import Owners
from ikev2.sa import rekey
from ikev2.sa.informational import IkeSa
from ikev2.sa.policy import Policy
from ipsec.life import Life

from library.scripted_gateway import Gateway, notify
from library.simulation import PERIOD, PSK, QuickGroup, Simulation
from library.test_life import MINUTE, Keeping, living, one_pair, replace_now


def mended(world, ms=2 * MINUTE, gateway_too=True):
    """The tunnel is back within two minutes, with one pair and nothing left over, in the gateway either."""
    answered = world.answered
    world.until(lambda: world.answered > answered and not world.life.has.attempt, ms)
    world.run(70000)
    if not gateway_too:
        world.gateway.sas = world.gateway.sas[-1:]
    return one_pair(world) and not world.life.has.attempt


@pytest.mark.parametrize("what", ["ike", "child", "rekey child", "rekey ike", "replace", "silence"])
def test_every_event_is_lost_k12(what, monkeypatch):
    """Row 2: nobody ever hears of anything, and all goes on as before."""
    monkeypatch.setattr(Owners, "emit", lambda *more: None)
    world = living()
    if what == "ike":
        world.says(world.gateway.delete(world.sa))
    elif what == "child":
        world.says(world.gateway.delete_child(world.sa, world.sa.children[0]))
    elif what == "rekey child":
        world.says(world.gateway.rekey_child(world.sa))
    elif what == "rekey ike":
        world.says(world.gateway.rekey_ike(world.sa))
    elif what == "replace":
        replace_now(world)
    else:
        world.restart_gateway()
    assert mended(world)


class Full(list):
    """Events for which there is no room, once."""

    def __init__(self, at):
        super().__init__()
        self.calls, self.at = 0, at

    def append(self, event):
        self.calls += 1
        if self.calls == self.at + 1:
            raise MemoryError
        super().append(event)


@pytest.mark.parametrize("at", range(6))
def test_there_is_no_room_for_an_event_k12(at):
    """Row 2."""
    world = living()
    world.node._events = Full(at)
    replace_now(world)
    world.run(3000)
    world.says(world.gateway.delete(world.sa))
    assert mended(world) and not world.errors and world.node.missed == 1


@pytest.mark.parametrize("at", range(2))
def test_the_heap_is_full_while_an_sa_goes_k12(at, monkeypatch):
    """Row 2: a MemoryError once, at each of the first calls of what allocates then."""
    world = living()
    calls = []
    original = Owners.answered

    def full(self, slot):
        calls.append(1)
        if len(calls) == at + 1:
            raise MemoryError
        return original(self, slot)

    monkeypatch.setattr(Owners, "answered", full)
    replace_now(world)
    world.run(3000)
    world.says(world.gateway.delete(world.sa))
    assert mended(world, gateway_too=False) and world.errors


@pytest.mark.parametrize("count", [17, 21])
@pytest.mark.parametrize("ike_too", [False, True])
def test_many_child_sas_deleted_in_one_message_k12(count, ike_too):
    """Row 3: the table is what counts, and nothing spins."""
    world = living(table=(4, 32))
    world.tidy = lambda: None
    for _ in range(count - 1):
        world.says(world.gateway.rekey_child(world.sa))
        world.run(300)
    sa = world.sa
    assert len(world.traffics) == count
    spis = b"".join(child.spi_in for child in sa.children)
    world.says(world.gateway.inform(sa, (42, bytes((3, 4, 0, count)) + spis)))
    world.run(20)
    sa.children.clear()
    del world.tidy
    if ike_too:
        world.says(world.gateway.delete(sa))
    assert mended(world)
    assert world.most_ticks < 20 and not world.errors


def test_ike_sas_that_nobody_speaks_for_make_room_for_an_attempt_k12():
    """Row 4."""
    world = Simulation(echo_ms=200)
    for number in range(4):
        world.node.table.adopt_ike(bytes((number + 1,)) * 8, b"r" * 8, True, bytes((198, 51, 100, 1, 1, 244)), True)
    world.until(lambda: world.life.up, 5000)
    assert mended(world)


def test_child_sas_of_an_ike_sa_without_an_owner_are_no_tunnel_k12():
    """Row 4: they have moved to one that nobody speaks for."""
    world = living()
    table = world.node.table
    (child,) = table.children(world.life.has.asked.slot)
    lost = table.adopt_ike(b"12345678", b"r" * 8, True, bytes((198, 51, 100, 1, 17, 148)), True)
    table.move_child(child, lost)
    world.run(1001)
    assert not world.life.up
    assert mended(world)


def test_an_attempt_without_an_end_is_ended_k12():
    """Row 2: whatever has become of it."""
    world = Simulation(echo_ms=0)
    world.run(3)
    attempt = world.life.has.attempt
    attempt.outgoing = lambda *more: 0
    attempt.next_timer = lambda now: -1
    attempt.receive = lambda *more: 0
    world.run(239000)
    assert world.life.has.attempt is attempt
    world.run(5000)
    assert world.life.up and world.life.failures == 1 and world.life.refused == 0


def test_what_the_gateway_has_replaced_and_never_deletes_goes_after_a_minute_k12():
    """Row 10: an old IKE SA whose Delete was lost, and an old Child SA."""
    world = living()
    world.tidy = lambda: None
    world.says(world.gateway.rekey_ike(world.sa))
    world.run(500)
    world.gateway.sas.pop(0)
    world.says(world.gateway.rekey_child(world.sa))
    world.run(500)
    world.run(MINUTE - 2000)
    assert world.tunnels() == 2 and len(world.traffics) == 2
    world.run(MINUTE + 17000)
    assert world.lost == 0 and len(world.begun) == 1 and one_pair(world)


def test_close_with_a_silent_gateway_is_down_at_once():
    """Row 10."""
    world = living()
    world.there = False
    world.life.close(world.clock)
    assert not world.life.up and not world.life.over
    world.run(11000)
    assert world.life.over


@pytest.mark.parametrize("order", [0, 1])
def test_invalid_spi_and_delete_in_one_message_k10(order):
    """Row 12."""
    world = living()
    world.run(MINUTE)
    spi = world.sa.children[0].spi_in
    said = [notify(11, spi), (42, b"\3\4\0\1" + spi)]
    world.says(world.gateway.inform(world.sa, *(said if order else reversed(said))))
    world.run(20)
    world.sa.children.clear()
    assert mended(world)


def test_two_tunnels_over_one_node_k12():
    """Row 12: each has its own SAs, and both are attended."""
    from ikev2.budget import Budget
    from inside.stack import Stack

    world = living(table=(8, 16))
    other = Life(world.node, Policy("sensor-8", PSK), Stack(bytes(4), Budget(10, 20, 0, 1)))
    other.begin(bytes((198, 51, 100, 1, 1, 244)), world.clock)
    world.until(lambda: other.up)
    assert world.life.up and not set(world.life.has.ours) & set(other.has.ours)
    other.close(world.clock)
    world.until(lambda: other.over)
    assert world.life.up and world.lost == 0 and world.life.has.ours == world.node.table.ike_sas()


@pytest.mark.parametrize(("lived", "most"), [(2900, 100), (3100, 100), (59000, 100)])
def test_thrown_out_after_each_ike_auth_there_is_no_flood_k4(lived, most):
    """Row 13: it makes no difference how soon."""
    world = Simulation(echo_ms=0)
    since = {}

    def each():
        for sa in world.gateway.sas:
            if sa.established and not sa.pending and world.now - since.setdefault(id(sa), world.now) >= lived:
                world.says(world.gateway.delete(sa))

    while world.now < 60 * MINUTE:
        world.run(100, each)
    assert 20 < len(world.begun) <= most


def test_unique_keep_at_the_end_of_lifetime_s_the_old_one_goes_first_k5():
    """Row 11: refused a few times, with pauses that double; then new keys, at the cost of a second."""
    world = living(gateway=Keeping, lifetime_ms=60 * MINUTE, echo_ms=1000)

    def listen_closely():
        """An echo a second where the old one goes, and before and after it."""
        world.echo_ms = 1000 if world.left < 5 * MINUTE or world.left > 58 * MINUTE else 20000

    world.run(24 * 60 * MINUTE, listen_closely)
    made = world.gateway.said.count("established")
    assert 18 <= made <= 24 and len(world.begun) <= 8 * made, (made, len(world.begun))
    assert world.lost <= 3 * made and world.life.up


def test_numbers_used_up_the_old_one_goes_first_k5():
    """Row 11."""
    world = living(gateway=Keeping)
    child = world.sa.children[0]
    world.life.current.esp._state[4:8] = (0xFFFFFFFF - 5).to_bytes(4, "big")
    child.received = 0xFFFFFFFF - 6
    began = world.now
    world.run(3 * MINUTE)
    assert world.life.up and world.life.current.esp.next < 1000 and world.now > began
    assert mended(world)


def test_an_answer_in_clear_that_the_sa_is_unknown_begins_an_attempt_beside_it_r10():
    """At once, not after 7 s; a verified answer ends it, and then it is 20 s to the next one; the SA stays."""
    world = living(echo_ms=0)
    asked = world.life.has.asked
    world.there = False
    began = world.now
    asked.hint(world.clock, True)
    world.life.attend(world.clock)
    world.run(50)
    assert world.life.has.attempt and world.life.up and world.life.has.asked is asked and world.begun[-1] - began <= 50
    asked.alive(world.clock)
    world.life.attend(world.clock)
    assert not world.life.has.attempt and world.life.failures == 0
    world.there = True
    world.run(16000)
    world.there = False
    asked.hint(world.clock, True)
    world.life.attend(world.clock)
    world.run(3000)
    assert not world.life.has.attempt and len(world.begun) == 2
    world.run(1200)
    assert world.life.has.attempt and len(world.begun) == 3 and 20000 <= world.begun[-1] - began <= 20200


def test_each_transition_is_said_once_by_its_name_k12():
    """lib/README.md's diagram, edge by edge: what is due, what comes of it."""

    def said():
        found = [(when, word) for when, word, _ in world.events + world.transitions]
        world.events.clear()
        world.transitions.clear()
        return [word for _, word in sorted(found, key=lambda event: event[0])]

    world = Simulation(gateway=Keeping, echo_ms=0)
    world.there = False
    world.run(20000)
    assert said()[:3] == ["attempting", "failed", "attempting"]
    world.there = True
    world.until(lambda: world.life.up)
    assert said() == ["up"]
    world.there = False
    world.echo()
    world.run(17500)
    world.there = True
    world.life.check(world.clock)
    world.until(lambda: not world.life.has.attempt)
    assert said() == ["replacing", "answered"]
    world.life.life_ms = world.life.lived(world.clock)
    world.until(lambda: not world.life.has.attempt and world.life.failures == 2)
    assert said() == ["replacing", "failed"]
    world.life.limit_ms = world.life.life_ms
    world.until(lambda: world.life.life_ms > MINUTE and world.life.up)
    heard = said()
    heard = heard[heard.index("yielding") :]
    assert sorted(heard[:2]) == ["down", "yielding"] and heard[2:] == ["attempting", "up"]
    world.says(world.gateway.delete(world.sa))
    world.run(15000)
    world.until(lambda: world.life.up)
    assert said() == ["down", "attempting", "up"]
    world.gateway.sas.clear()
    world.gateway.__class__ = Gateway
    world.life.life_ms = 0
    world.until(lambda: world.life.life_ms and not world.life.has.attempt)
    assert said() == ["replacing", "replaced"]
    world.life.close(world.clock)
    world.run(11000)
    assert said() == ["leaving", "closed"]


def counted(patch, cls, name):
    """A list that grows with each call of that method."""
    calls, original = [], getattr(cls, name)
    patch.setattr(cls, name, lambda self, *more: calls.append(name) or original(self, *more))
    return calls


def test_what_has_not_changed_is_looked_at_each_second_k12(monkeypatch):
    """Ticks cost next to nothing while nothing happens; what nobody has told of is seen all the same."""
    world = living(echo_ms=0)
    world.run(3000)
    looks = counted(monkeypatch, Life, "_attend")
    for ms in range(0, 5000, 10):
        world.node.tick((world.clock + ms) % PERIOD)
    assert 4 <= len(looks) <= 5


def test_nobody_is_asked_at_each_slice_of_a_key_exchange_k12(monkeypatch):
    """But for each 20 ms, for the timers of others; and Life looks at what has come of it once."""

    class Slow(QuickGroup):
        def begin(self, peer=None):
            super().begin(peer)
            self.left = 300

        def step(self):
            self.left -= 1
            return self.left < 0 and super().step()

    for slice_ms, most in ((0, 20), (1, 50)):
        with monkeypatch.context() as patch:
            patch.setattr(rekey, "group", Slow)
            world = living(echo_ms=0)
            world.says(world.gateway.rekey_child(world.sa, group=31))
            while not world.life.has.asked.rekeys.rekeying:
                world.now += 1
                due = [packet for packet in world.flying if packet[0] <= world.now]
                world.flying = [packet for packet in world.flying if packet not in due]
                for _, *packet in due:
                    world.arrive(*packet)
            asked, looks = counted(patch, IkeSa, "outgoing"), counted(patch, Life, "_attend")
            slices = 0
            while len(world.node.child_owners) < 2:
                world.now += slice_ms
                world.tick()
                world.speak()
                slices += 1
            assert slices >= 300 and 0 < len(asked) <= most and 0 < len(looks) <= 4, (slices, len(asked), len(looks))
            world.run(5000)
            assert one_pair(world)


def test_what_one_follower_raises_stops_no_other_k13():
    """Nor what an owner has to send."""

    class Wrong:
        def take(self, *event):
            """News are nothing to it."""

        def attend(self, now):
            raise ValueError("attend")

        tick = attend

        def next_timer(self, now):
            return -1

    world = living(echo_ms=0)
    world.node._followers = (Wrong(), *world.node._followers)
    replaced = world.life.current
    for call in (world.node.tick, world.node.attend):
        world.life.life_ms = 0
        with pytest.raises(ValueError, match="attend"):
            call(world.clock)
        assert world.life.causes
        world.life.life_ms = 1 << 28
        world.life.attend(world.clock)
        assert not world.life.causes and world.life.current is replaced
