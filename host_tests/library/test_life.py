"""The life of a tunnel in a simulated world (RULES.md K1 to K11, N2, N11, N14, N15): nothing sleeps, no sockets."""

import itertools

import pytest
from ikev2.notifier import VERDICTS
from ikev2.owners import HINT, UNKNOWN_SPI
from ikev2.sa.policy import Policy
from ipsec.esp import REASONS

from library.scripted_gateway import (
    AUTHENTICATION_FAILED,
    FAILED_CP_REQUIRED,
    INITIAL_CONTACT,
    INTERNAL_ADDRESS_FAILURE,
    NO_PROPOSAL_CHOSEN,
    NOTIFY,
    Gateway,
    notifies,
    notify,
)
from library.simulation import HOST, PERIOD, Simulation

NAT = b"\x11\x94"  # port 4500
LAST = 1 << 32
MINUTE = 60000
HOUR = 60 * MINUTE


class Replacing(Gateway):
    """`unique = replace`: a new IKE SA ends the old ones, which are deleted over themselves."""

    world = None

    def _auth(self, sa, parts):
        answer = super()._auth(sa, parts)
        for old in self.sas if sa.children else ():
            if old is not sa:
                self.world.says(self.delete(old))
        return answer


class Keeping(Gateway):
    """`unique = keep`: no new IKE SA while an old one is known."""

    def _auth(self, sa, parts):
        others = [other for other in self.sas if other is not sa and other.established]
        if INITIAL_CONTACT in notifies(parts):
            others = []
        self.said.append(f"contact {INITIAL_CONTACT in notifies(parts)}")
        if others:
            self.sas.remove(sa)
            return [notify(AUTHENTICATION_FAILED)]
        return super()._auth(sa, parts)


class PoolOfOne(Gateway):
    """Its one address is another one's as long as that lives."""

    error = INTERNAL_ADDRESS_FAILURE

    def _first_child(self, sa, parts):
        self.refuse = self.error if any(other.children for other in self.sas) else 0
        return super()._first_child(sa, parts)


def living(echo_ms=200, **more):
    """A world whose tunnel is up and has carried echoes."""
    world = Simulation(echo_ms=0, **more)
    world.until(lambda: world.life.up)
    world.echo_ms = echo_ms
    world.next_echo = world.now
    world.run(4000)
    assert world.lost == 0 and world.answered >= 4000 // (echo_ms or 5000)
    return world


def one_pair(world):
    """Both ends have one IKE SA with one Child SA that sends, and they are the same."""
    gateway_spis = [(sa.spi_i, sa.spi_r, [(child.spi_out, child.spi_in) for child in sa.children])
                    for sa in world.gateway.sas]  # fmt: skip
    table = world.node.table
    stale = [traffic.child.slot for traffic in world.stale]
    children = {slot: [child for child in table.children(slot) if child not in stale] for slot in table.ike_sas()}
    ours = [(*table.ike_sa(slot)[:2], [table.child_sa(child)[2:] for child in children[slot]]) for slot in children]
    assert ours == gateway_spis and len(ours) == 1 and len(ours[0][2]) == 1
    assert list(world.life.has.ours) == [world.life.has.asked.slot] == table.ike_sas()
    assert sorted(world.node.child_owners) == sorted(table.children(world.life.has.asked.slot))
    assert world.life.current.child.slot in table.children(world.life.has.asked.slot)
    return True


def begins(world, since=0):
    return [when for when in world.begun if when >= since]


def replace_now(world):
    """K5: the IKE SA has lived long enough."""
    world.life.life_ms = world.life.lived(world.clock)
    world.node.tick(world.clock)


def exchanges(world, since, via=4500):
    """Exchange types of IKE messages that have left since then."""
    skip = 4 * (via == 4500)
    return [octets[skip + 18] for when, way, octets in world.sent
            if when >= since and way == via and (way == 500 or octets[:4] == bytes(4))]  # fmt: skip


# K1, K2: rekeys by the gateway.


@pytest.mark.parametrize("what", ["child", "child with PFS", "child with MODP", "ike"])
def test_k1_k2_a_rekey_each_six_seconds_loses_nothing(what):
    world = living()
    for _ in range(3 if "MODP" in what else 10):
        if what == "ike":
            world.says(world.gateway.rekey_ike(world.sa))
        else:
            world.says(world.gateway.rekey_child(world.sa, group={"child": 0, "child with PFS": 31}.get(what, 14)))
        world.run(6000)
        assert one_pair(world)
    assert world.lost == 0 and len(world.begun) == 1 and world.gateway.said.count("rekey ike: done") in (0, 10)
    assert [event[1] for event in world.events] == ["up"]


def test_k1_we_send_on_the_old_one_until_something_verified_has_come_on_the_new_one():
    world = living(echo_ms=0)
    old = world.life.current
    world.tidy = lambda: None
    world.says(world.gateway.rekey_child(world.sa))
    world.run(500)
    assert len(world.sa.children) == 2 and world.life.current is old and len(world.traffics) == 2
    world.echo()  # leaves on the old one; its answer comes on the new one
    world.run(500)
    assert world.life.current is world.traffics[-1] is not old and world.lost == 0
    world.fly(True, 4500, world.source, world.sa.children[0].seal(bytes(60)))
    world.run(500)
    assert world.life.current is not old, "what comes on the old one changes nothing"


def test_k1_or_the_old_one_is_deleted():
    world = living(echo_ms=0)
    old = world.life.current
    world.says(world.gateway.rekey_child(world.sa))
    world.run(500)
    assert world.life.current is not old and one_pair(world)


def test_k2_our_requests_go_over_the_old_one_until_the_new_one_has_proved_itself():
    world = living(echo_ms=0)
    world.tidy = lambda: None
    old = world.life.has.asked.slot
    world.says(world.gateway.rekey_ike(world.sa))
    world.run(500)
    assert world.life.has.asked.slot == old and world.heirs and world.node.table.children(old) == []
    world.says(world.gateway.check(world.sa))
    world.run(100)
    assert world.life.has.asked.slot != old and not world.heirs
    world.says(world.gateway.delete(world.gateway.sas[0]))
    world.run(500)
    assert one_pair(world) and len(world.begun) == 1


def test_k2_or_the_old_one_is_deleted():
    world = living(echo_ms=0)
    world.says(world.gateway.rekey_ike(world.sa))
    world.run(500)
    assert one_pair(world) and not world.heirs


def test_k2_esp_over_the_new_one_is_proof_of_life_while_a_request_over_the_old_one_waits():
    world = living()
    world.tidy = lambda: None
    world.says(world.gateway.rekey_ike(world.sa))
    world.run(500)
    world.gateway.sas.pop(0)  # it has forgotten the old one, and says nothing of it
    world.life.check(world.clock)
    world.run(12000)
    assert world.node.owners[world.life.has.asked.slot].waiting and world.lost == 0 and len(world.begun) == 1


def test_a_gateway_that_rekeys_once_a_second():
    world = living()
    for number in range(60):
        if number % 2:
            world.says(world.gateway.rekey_child(world.sa, group=31 * (number % 4 == 1)))
        else:
            world.says(world.gateway.rekey_ike(world.sa))
        world.run(1000)
    assert world.lost == 0 and one_pair(world) and len(world.begun) == 1


def test_a_gateway_that_never_deletes_what_it_has_replaced_has_room_made_for_what_is_due():
    """The table is full of it when the gateway is killed: K6 all the same."""
    world = living()
    world.tidy = lambda: None
    for _ in range(6):
        world.says(world.gateway.rekey_ike(world.sa))
        world.run(1000)
    assert len(world.node.table.ike_sas()) == 4 and world.lost == 0
    world.restart_gateway()
    world.run(25000)
    assert world.life.up and len(world.gateway.sas) == 1
    world.run(60000)
    assert one_pair(world)


# K4: the gateway deletes.


@pytest.mark.parametrize("what", ["ike", "child"])
def test_k4_deleted_politely_and_back_at_once(what):
    world = living()
    world.run(MINUTE)
    sa = world.sa
    began = world.now
    world.says(world.gateway.delete(sa) if what == "ike" else world.gateway.delete_child(sa, sa.children[0]))
    world.run(2000)
    assert len(world.begun) == 2 and world.begun[1] - began < 100
    assert one_pair(world) and world.lost <= 1
    words = [event[1:] for event in world.events]
    assert [word for word, _ in words] == ["up", "down", "up"]
    assert words[1][1] == ("deleted by the peer" if what == "ike" else "no Child SA is left")


def test_k4_nothing_is_begun_while_another_ike_sa_is_established_or_in_ike_auth():
    world = living(gateway=Replacing)
    Replacing.world = world
    replace_now(world)
    world.run(3000)
    assert world.gateway.said.count("delete: done") == 1 and one_pair(world) and len(world.begun) == 2
    assert world.lost <= 1


def test_k4_deleted_at_once_after_establishing_there_is_no_spin():
    """At once the first time, because it has lived a minute, then by the clock of attempts."""
    world = living(echo_ms=0)
    world.run(MINUTE)

    def each():
        for sa in world.gateway.sas:
            if sa.established and not sa.pending:
                world.says(world.gateway.delete(sa))

    began = world.now
    each()
    world.run(10 * MINUTE, each)
    begun = begins(world, began)
    gaps = [b - a for a, b in itertools.pairwise(begun)]
    assert begun[0] - began < 100 and min(gaps) >= 1000 and gaps[-1] >= 40000 and 10 < len(begun) < 25
    assert all(event[2] for event in world.events if event[1] == "down")


def test_k4_a_tunnel_that_has_lived_is_made_anew_at_once_whatever_pauses_had_grown_to():
    world = living(echo_ms=0)
    world.life.clock._grown = 40000
    world.run(MINUTE)
    world.there = False
    replace_now(world)
    world.run(16000)
    assert 1000 <= world.life.clock._pause <= 1500


# K5: replacement.


@pytest.mark.parametrize("start", [0, PERIOD // 2 - 2000, PERIOD - 20000])
def test_k5_replaced_in_its_time_without_losing_an_echo(start):
    world = living(lifetime_ms=60000, start=start)
    for number in range(2, 5):
        world.run(60000)
        assert len(world.begun) >= number and world.lost == 0
        assert world.begun[-1] - world.begun[-2] >= 53000, "a tenth sooner at most"
    world.run(2000)
    assert world.lost == 0 and one_pair(world)
    assert [event[1] for event in world.events] == ["up"]
    assert "deleted by the peer" in world.gateway.said


def test_k5_not_before():
    world = living(lifetime_ms=10 * HOUR, echo_ms=5000)
    world.run(8 * HOUR)
    assert len(world.begun) == 1


def test_k5_the_request_names_the_address_that_we_have_and_another_one_is_told():
    asked = []

    class Asked(Gateway):
        def _first_child(self, sa, parts):
            asked.append(dict(parts)[47])
            return super()._first_child(sa, parts)

    world = living(gateway=Asked)
    world.gateway.pool = "10.77.0.9"
    replace_now(world)
    world.run(3000)
    assert [body[4:-4] for body in asked] == [bytes((0, 1, 0, 0)), bytes((0, 1, 0, 4, 10, 77, 0, 2))]
    assert world.events[-1][1:] == ("moved", "10.77.0.9")
    assert world.lost == 0 and world.life.stack.address == bytes((10, 77, 0, 9))


@pytest.mark.parametrize("error", [INTERNAL_ADDRESS_FAILURE, FAILED_CP_REQUIRED])
def test_k5_a_pool_of_one_the_old_is_deleted_first_then_a_new_one_made(error):
    world = living(gateway=PoolOfOne)
    world.gateway.error = error
    began = world.now
    replace_now(world)
    world.run(4000)
    assert one_pair(world) and world.lost <= 6
    assert len(begins(world, began)) == 2 and world.begun[-1] - began <= 1100
    assert world.gateway.said.count("deleted by the peer") == 2, "the new one and the old one"


def test_k5_without_auth_a_refusal_does_not_cost_an_sa():
    """Idea 11: what nobody signed can cost an attempt, never an SA."""
    world = living()
    world.gateway.tamper = lambda what, parts: (
        [notify(INTERNAL_ADDRESS_FAILURE)] if what == "IKE_AUTH response" else parts
    )
    replace_now(world)
    world.run(3 * MINUTE)
    assert (
        world.lost == 0 and 2 <= len(world.begun) <= 5 and [event[1] for event in world.events][:2] == ["up", "failed"]
    )


def test_k5_a_gateway_that_keeps_the_old_one_does_not_lose_it():
    """`unique = keep`: the old one works, and is tried again after a minute each; nothing is lost."""
    world = living(gateway=Keeping)
    replace_now(world)
    world.run(5 * MINUTE)
    gaps = [b - a for a, b in itertools.pairwise(world.begun[1:])]
    assert world.lost == 0 and len(gaps) >= 2 and min(gaps) >= MINUTE
    world.says(world.gateway.delete(world.sa))
    world.run(2000)
    assert world.lost <= 2 and world.life.up, "K4: at once, whatever pause there was"


def test_k5_auth_lifetime_at_80_percent_at_the_latest():
    world = Simulation()
    world.gateway.lifetime = 20
    world.run(60000)
    gaps = [b - a for a, b in itertools.pairwise(world.begun)]
    assert len(gaps) == 3 and all(15800 <= gap <= 16200 for gap in gaps) and world.lost <= 1


def test_k5_auth_lifetime_longer_than_ours_changes_nothing_and_one_over_the_sa_counts():
    world = living(lifetime_ms=10 * MINUTE)
    left = world.left
    world.says(world.gateway.inform(world.sa, notify(16403, (100000).to_bytes(4, "big"))))
    world.run(500)
    assert left - 1000 < world.left <= left
    world.says(world.gateway.inform(world.sa, notify(16403, (10).to_bytes(4, "big"))))
    world.run(500)
    assert 7000 < world.left < 8000


def test_k5_auth_lifetime_of_nothing_at_all_is_no_spin():
    world = Simulation()
    world.gateway.tamper = lambda what, parts: (
        [*parts[:2], notify(16403, bytes(4)), *parts[2:]] if what == "IKE_AUTH response" else parts
    )
    world.run(MINUTE)
    gaps = [b - a for a, b in itertools.pairwise(world.begun)]
    assert min(gaps) >= 3000 and world.lost <= 1


def test_k5_before_the_sequence_numbers_run_out():
    world = living()
    child = world.sa.children[0]
    world.life.current.esp._state[4:8] = (0xFFFF0000 - 5).to_bytes(4, "big")
    child.received = 0xFFFF0000 - 6
    world.run(800)
    assert len(world.begun) == 1
    world.run(2000)
    assert len(world.begun) == 2 and world.lost == 0 and world.life.current.esp.next < 100


@pytest.mark.parametrize("whose", ["ours", "the gateway's"])
def test_k5_before_the_message_ids_run_out(whose):
    world = living()
    owner = world.node.owners[world.life.has.asked.slot]
    if whose == "ours":
        owner.window._put(0, LAST - 0x101)
        world.sa.receive_id = LAST - 0x100
    else:
        owner.window._put(4, LAST - 0x102)
        world.sa.send_id = LAST - 0x101
        world.says(world.gateway.check(world.sa))
    world.run(3000)
    assert len(world.begun) == 2 and world.lost == 0 and one_pair(world)


# K6: silence.


def test_k6_a_gateway_without_memory_and_back_within_20_seconds():
    world = living()
    world.restart_gateway()
    began = world.now
    world.until(lambda: world.gateway.sas and world.sa.children, 20000)
    assert len(world.begun) == 2 and world.now - began <= 20000
    told = [event[1:] for event in world.transitions[-2:]]
    assert told == [("replacing", "the gateway does not answer"), ("replaced", "the gateway has not answered for 17 s")]
    world.run(MINUTE)
    assert one_pair(world) and world.lost <= 90


def test_k6_liveness_check_after_ten_seconds_attempt_after_seven_more():
    world = living(echo_ms=0)
    world.there = False
    world.echo()
    began = world.now
    world.run(9900)
    assert exchanges(world, began) == []
    world.run(200)
    assert exchanges(world, began) == [37]
    world.run(6850)
    assert exchanges(world, began, 500) == [] and len(world.begun) == 1
    world.run(200)
    assert exchanges(world, began, 500) == [34] and world.life.up and world.tunnels() == 1


def test_k6_whoever_answers_is_not_checked():
    world = living()
    began = world.now
    world.run(13 * MINUTE)
    assert exchanges(world, began) == [] and len(world.begun) == 1


@pytest.mark.parametrize(("liveness_ms", "listened"), [(10000, MINUTE), (3000, MINUTE), (20000, 2 * MINUTE)])
def test_k6_who_only_listens_checks_after_six_times_liveness_s_and_a_minute_at_least(liveness_ms, listened):
    world = living(echo_ms=0, liveness_ms=liveness_ms)
    heard = world.now - 4000
    world.run(listened - 4000 - 100)
    assert exchanges(world, heard + 4000) == []
    world.run(5 * listened + 200)
    assert exchanges(world, heard + 4000) == [37] * 6 and len(world.begun) == 1
    world.there = False
    gone = world.now
    world.run(listened + 7100)
    assert len(world.begun) == 2 and world.life.up and world.begun[-1] - gone <= listened + 7000


def test_k6_what_is_sent_in_the_millisecond_of_an_answer_is_waited_for_too():
    world = living(echo_ms=0)
    world.echo()
    answered = world.answered
    world.until(lambda: world.answered > answered)
    world.there = False
    world.life.prove(world.life.current)
    began = world.now
    world.echo()
    world.run(11000)
    assert exchanges(world, began)[:1] == [37]


@pytest.mark.parametrize("start", [5, PERIOD // 2 + 5, PERIOD - 5])
def test_k6_a_gateway_that_has_never_said_anything_at_any_time_of_the_clock(start):
    world = Simulation(echo_ms=0, start=start)
    world.until(lambda: world.life.up)
    world.restart_gateway()
    world.echo()
    world.run(20000)
    assert world.life.up and len(world.begun) == 2 and len(world.gateway.sas) == 1


def silent(world):
    """17 s in which the gateway does not answer, and an attempt has begun that is not answered either."""
    world.gateway.tamper = lambda what, parts: None if what == "IKE_SA_INIT response" else parts
    world.there = False
    world.run(17300)
    assert world.life.has.attempt and not world.life.has.attempt.authenticating
    world.there = True


def test_k6_an_answer_on_the_old_sa_ends_the_attempt_before_ike_auth():
    world = living()
    silent(world)
    lost = world.lost
    world.run(2000)
    assert not world.life.has.attempt and world.lost <= lost + 5
    world.run(MINUTE)
    assert len(world.begun) == 2 and world.tunnels() == 1 and world.life.failures == 0


def test_k6_after_ike_auth_the_attempt_goes_to_its_end_and_the_new_sa_stays():
    world = living()
    old = world.sa
    held = []
    fly = world.fly

    def hold(to_device, via, end, octets):
        if to_device and via == 4500 and octets[:4] == bytes(4) and octets[22] == 35 and not held:
            held.append(octets)
        else:
            fly(to_device, via, end, octets)

    world.there = False
    world.run(17300)
    world.fly = hold
    world.reply = lambda *more: None
    world.there = True
    world.until(lambda: held, 2000)
    assert world.life.has.attempt.authenticating
    del world.reply
    answered = world.answered
    world.run(400)
    assert world.life.has.attempt and world.answered > answered, "the old one answers"
    world.run(12000)
    assert not world.life.has.attempt and world.life.up and old not in world.gateway.sas and one_pair(world)


def test_k6_the_old_sa_is_not_given_up_for_silence_and_the_attempt_has_no_initial_contact():
    world = living()
    contacts = []
    tampered = world.gateway._auth
    world.gateway._auth = lambda sa, parts: contacts.append(INITIAL_CONTACT in notifies(parts)) or tampered(sa, parts)
    world.there = False
    world.run(18000)
    assert world.life.up and world.tunnels() == 1
    world.there = True
    world.run(3000)
    assert contacts in ([False], []) and one_pair(world)


def test_k6_unique_keep_the_old_sa_is_given_up_and_the_next_attempt_has_initial_contact():
    world = living(gateway=Keeping)
    gateway = world.gateway
    lost_keys = gateway.sas[0]
    lost_keys.keys = tuple(bytes(len(key)) for key in lost_keys.keys)  # it knows the SA, and nothing goes through
    lost_keys.children[0].key_in = lost_keys.children[0].key_out = bytes(64)
    world.run(20000)
    assert [said for said in gateway.said if "contact" in said] == ["contact True", "contact False", "contact True"]
    assert world.life.up and one_pair(world) and world.begun[-1] - world.begun[-2] <= 1100


@pytest.mark.parametrize("error", [INTERNAL_ADDRESS_FAILURE, FAILED_CP_REQUIRED])
def test_k6_a_pool_of_one_the_old_sa_is_given_up_and_the_next_attempt_has_initial_contact(error):
    world = living(gateway=PoolOfOne)
    world.gateway.error = error
    old = world.sa
    old.keys = tuple(bytes(len(key)) for key in old.keys)
    old.children[0].key_in = old.children[0].key_out = bytes(64)
    world.run(22000)
    assert world.life.up and one_pair(world) and old not in world.gateway.sas


# K7, K8: moving, keepalives.


def test_k7_a_nat_that_has_forgotten_us_costs_an_echo_at_most():
    world = living()
    world.source = ("192.0.2.1", 20002)
    world.run(3000)
    assert world.lost <= 1 and len(world.begun) == 1


def test_k7_another_address_is_told_at_once_where_the_gateway_follows_only_ike():
    world = living()
    world.follows = False
    world.source = ("203.0.113.7", 30000)
    world.life.check(world.clock)
    began = world.now
    world.run(3000)
    assert exchanges(world, began)[0] == 37 and world.sa.peer == world.source
    assert world.lost <= 1 and len(world.begun) == 1


def test_k7_a_request_that_waits_goes_out_at_once():
    """Away from the net for a while: the next repetition would be half a minute off."""
    world = living()
    world.follows = False
    world.there = False
    world.run(45000)
    world.source = ("203.0.113.7", 30000)
    world.there = True
    world.gateway.tamper = lambda what, parts: None if what == "IKE_SA_INIT response" else parts
    world.life.check(world.clock)
    began = world.now
    world.run(3000)
    assert world.sa.peer == world.source and max(world.waiting.values()) < began + 300


def test_k7_without_a_tunnel_the_next_attempt_is_soon_but_not_if_the_gateway_has_refused():
    world = Simulation(echo_ms=0)
    world.there = False
    world.run(10 * MINUTE)
    assert world.life.clock._pause > 20000 or world.life.has.attempt
    world.until(lambda: not world.life.has.attempt)
    world.there = True
    world.life.check(world.clock)
    world.run(1500)
    assert world.life.up
    world = Simulation(echo_ms=0, policy=Policy("sensor-7", b"quite another psk"))
    world.run(1000)
    world.life.check(world.clock)
    world.run(50000)
    assert len(world.begun) == 1


def test_k8_one_octet_each_20_seconds():
    world = living(echo_ms=0)
    began = world.now
    world.run(HOUR)
    sent = [(when, octets) for when, _, octets in world.sent if when >= began]
    checks = [when for when, octets in sent if octets != b"\xff"]
    assert exchanges(world, began) == [37] * len(checks) and 59 <= len(checks) <= 60, "K6: one a minute"
    sent = [(when, octets) for when, octets in sent if octets == b"\xff"]
    assert 179 <= len(sent) <= 181
    gaps = {b[0] - a[0] for a, b in itertools.pairwise(sent)}
    assert gaps == {20000}


def test_k8_none_where_traffic_flows_and_none_if_asked_for_none():
    world = living()
    world.run(5 * MINUTE)
    assert all(octets != b"\xff" for _, _, octets in world.sent)
    world = living(echo_ms=0, keepalive_ms=0)
    began = world.now
    world.run(HOUR)
    assert all(octets != b"\xff" for when, _, octets in world.sent if when >= began)


# K9: collisions.


def test_k9_both_delete():
    world = living(echo_ms=0)
    world.says(world.gateway.delete(world.sa))
    world.life.close(world.clock)
    world.run(3000)
    assert world.life.over and world.gateway.sas == [] and world.node.table.ike_sas() == []


@pytest.mark.parametrize("what", ["child", "child with PFS", "ike"])
def test_k9_the_gateway_rekeys_at_every_moment_of_our_replacement(what):
    taken = 0
    for offset in range(0, 40, 1 if what == "child" else 3):
        world = living(echo_ms=0, seed=offset)
        world.echo_ms = 7
        world.next_echo = world.now
        replace_now(world)
        world.run(offset)
        sa = world.gateway.sas[0]
        if what == "ike":
            world.says(world.gateway.rekey_ike(sa))
        else:
            world.says(world.gateway.rekey_child(sa, group=31 * ("PFS" in what)))
        world.run(200)
        world.echo_ms = 2000
        world.run(15000)
        taken += any("rekey" in said and "done" in said for said in world.gateway.said)
        assert world.lost == 0, offset
        assert one_pair(world), offset
        assert len(world.begun) == 2, offset
    assert taken >= 10


def test_k9_a_rekey_repeated_after_the_new_pair_is_in_use():
    world = living()
    request = world.gateway.rekey_child(world.sa)
    world.tidy = lambda: None
    world.says(request)
    world.run(1000)
    pairs = len(world.traffics)
    world.says(request)
    world.run(1000)
    assert len(world.traffics) == pairs == 2 and world.lost == 0
    del world.tidy
    world.run(2000)
    assert one_pair(world) and world.lost == 0


# K10, K11.


def test_k10_a_verified_invalid_spi_for_the_spi_that_we_send_with():
    world = living()
    world.run(MINUTE)
    sa = world.sa
    spi = sa.children[0].spi_in
    sa.children.clear()
    world.tidy = lambda: None
    world.says(world.gateway.inform(sa, notify(11, spi)))
    world.run(2000)
    assert len(world.begun) == 2 and world.life.up and one_pair(world)
    assert world.events[1][1:] == ("down", "the gateway has lost the Child SA") and world.lost <= 2


@pytest.mark.parametrize("spi", ["older", "unknown"])
def test_k10_one_for_another_spi_is_ignored(spi):
    world = living()
    old = world.sa.children[0].spi_in
    world.says(world.gateway.rekey_child(world.sa))
    world.run(1000)
    told = []
    emit = world.node.emit
    world.node.emit = lambda kind, *more: told.append(kind) or emit(kind, *more)
    world.says(world.gateway.inform(world.sa, notify(11, old if spi == "older" else b"\1\2\3\4")))
    world.run(2000)
    assert UNKNOWN_SPI in told and world.lost == 0 and one_pair(world) and len(world.begun) == 1


def test_k11_after_our_own_delete_only_its_response_or_the_gateways_delete_counts():
    world = living()
    sa = world.sa
    world.life.close(world.clock)
    world.there = False
    world.run(100)  # our Delete is lost
    world.there = True
    world.says(world.gateway.rekey_child(sa))
    world.run(1000)
    assert "rekey child: 43" in world.gateway.said and not world.life.over and len(world.traffics) == 1
    world.run(2000)
    assert world.life.over and not world.life.up and world.gateway.sas == []


# K11: what is on its way when a pair is deleted.


def jittered(what, each_ms, ms, seed):
    """A world whose packets take 5 to 305 ms, after so long with that kind of rekeys, and its last echoes answered."""
    world = Simulation(seed, delay=(5, 305), echo_ms=0, **({"lifetime_ms": each_ms} if what == "ours" else {}))
    world.lingers = True
    world.until(lambda: world.life.up)
    world.echo_ms, world.next_echo = 500, world.now
    for _ in range(ms // each_ms):
        if what != "ours":
            world.says({"child": world.gateway.rekey_child, "ike": world.gateway.rekey_ike}[what](world.sa))
        world.run(each_ms)
    world.echo_ms = 0
    world.run(2500)
    return world


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("what", ["child", "ike", "ours"])
def test_k11_packets_that_were_sent_before_a_delete_and_arrive_after_it_are_not_lost(what, seed):
    world = jittered(what, 6000, 300000, seed)
    said = {"child": "delete child: done", "ike": "delete: done", "ours": "deleted by the peer"}[what]
    assert world.echoes >= 600 and not world.waiting and world.gateway.said.count(said) > 20
    assert one_pair(world) and not world.stale


def replaced(**more):
    """A world with a pair that was deleted after a rekey, and what the gateway has of it."""
    world = living(echo_ms=0, **more)
    old = world.sa.children[0]
    world.says(world.gateway.rekey_child(world.sa))
    world.run(100)
    assert world.gateway.said[-1] == "delete child: done" and len(world.stale) == 1
    return world, old


def late(world, child, number=0):
    """The verdict over a packet of that Child SA of the gateway's, and why it is dropped, 0: it is not."""
    child.sent = number - 1 if number else child.sent
    packet = child.seal(world.inner)
    verdict = world.node.receive(4500, HOST + NAT, packet, len(packet), world.clock)
    return VERDICTS[verdict]


def test_k11_a_stale_pair_receives_for_two_seconds_with_its_window_and_sends_nothing():
    world, old = replaced()
    (stale,) = world.stale
    assert world.life.current is not stale and world.life.has.pairs == 1
    world.inner = bytes(100)  # no IPv4, but the gateway's
    good = stale.esp.counters[REASONS.index("replay")]
    assert late(world, old) == "deliver-esp" and stale.esp.counters[REASONS.index("replay")] == good
    seen = stale.esp.seen
    assert seen == old.sent
    assert late(world, old, seen) == "deliver-esp" and stale.esp.counters[REASONS.index("replay")] == good + 1, "E2"
    assert stale.outgoing(bytearray(1600), 0, world.clock) == 0
    assert stale.esp.seal(bytearray(1600), 0, 28) == 0 and stale.child.key_out is None
    world.run(1700)
    assert late(world, old) == "deliver-esp"
    world.run(400)
    assert not world.stale and late(world, old) == "invalid-spi-protected" and one_pair(world)


def test_k11_a_stale_pair_is_not_deleted_rekeyed_or_chosen_again():
    world, old = replaced()
    gateway = world.gateway
    world.says(gateway.delete_child(world.sa, old))
    world.gateway._finish = lambda sa, parts, what, about: gateway.said.append([body for kind, body in parts])
    world.run(100)
    assert gateway.said[-1] == [], "unknown SPIs are left out"
    world.says(gateway.rekey_child(world.sa, old))
    world.run(100)
    assert [body[2:4] for body in gateway.said[-1]] == [b"\0\x2c"], "CHILD_SA_NOT_FOUND"
    assert len(world.stale) == 1
    del gateway._finish
    world.says(gateway.delete_child(world.sa, world.sa.children[0]))
    world.run(50)
    assert not world.life.up and world.life.has.chosen is None


def test_k11_without_a_successor_nothing_is_kept():
    world = living(echo_ms=0)
    world.says(world.gateway.delete_child(world.sa, world.sa.children[0]))
    world.run(20)
    assert not world.life.up and not world.node.child_owners


def test_k11_our_own_delete_of_what_was_replaced_keeps_it_too():
    world = living(echo_ms=0)
    world.tidy = lambda: None
    old = world.life.current
    world.says(world.gateway.rekey_child(world.sa))
    world.run(100)
    world.echo()
    world.run(100)
    assert world.life.current is not old and not world.stale
    world.life.settle(world.clock)
    world.tick()
    world.speak()
    world.run(100)
    assert world.stale == [old] and one_pair(world)


@pytest.mark.parametrize("error", [MemoryError, ValueError])
def test_k11_no_room_for_a_stale_pair_keeps_none_and_costs_nothing(error, monkeypatch):
    world = living(echo_ms=0)

    def full(slot, owner):
        if getattr(owner, "stale_at", -1) >= 0:
            raise error("no room")
        attach(slot, owner)

    attach = world.node.attach_child
    monkeypatch.setattr(world.node, "attach_child", full)
    world.says(world.gateway.rekey_child(world.sa))
    world.run(500)
    assert world.gateway.said[-1] == "delete child: done" and not world.stale
    assert one_pair(world) and not world.errors


def test_k11_a_table_without_room_for_a_stale_pair_keeps_what_carries(monkeypatch):
    world = living(echo_ms=0, table=(4, 2))

    def full(ike, protocol, spi_in, spi_out):
        if spi_in == spi_out:
            raise ValueError("no room")
        return adopt(ike, protocol, spi_in, spi_out)

    adopt = world.node.table.adopt_child
    monkeypatch.setattr(world.node.table, "adopt_child", full)
    slots = set()
    for _ in range(2):
        world.says(world.gateway.rekey_child(world.sa))
        world.run(500)
        assert world.gateway.said[-1] == "delete child: done" and one_pair(world) and not world.stale
        slots.add(world.life.current.child.slot)
    assert slots == {0, 1}


def test_close_without_an_answer_and_during_an_attempt():
    world = living()
    world.there = False
    world.life.close(world.clock)
    world.run(11000)
    assert world.life.over and world.node.table.ike_sas() == []
    world = Simulation()
    world.run(7)
    assert world.life.has.attempt
    world.life.close(world.clock)
    world.run(MINUTE)
    assert world.life.over and len(world.begun) == 1 and not world.life.wanted


# N2, N11, N14, N15: the clock of attempts.


def test_n2_never_more_than_one_a_second_nor_two_in_30_seconds_unanswered_growing_to_a_minute_for_ever():
    rows = []
    for seed in range(4):
        world = Simulation(echo_ms=0, seed=seed)
        world.there = False
        world.run(2 * HOUR)
        begun = world.begun
        gaps = [b - a - 15500 for a, b in itertools.pairwise(begun)]
        assert all(c - a > 30000 for a, c in zip(begun, begun[2:], strict=False))
        assert 1000 <= gaps[0] <= 1500 and all(40000 <= gap <= 60000 for gap in gaps[7:]) and len(begun) > 90
        assert all(later >= sooner for sooner, later in itertools.pairwise(gaps[:6]))
        rows.append(tuple(gaps))
        world.there = True
        world.run(80000)
        assert world.life.up and one_pair(world)
    assert len({row[0] for row in rows}) > 1, "the first pause is random already"


def test_n2_after_an_attempt_that_was_not_answered_the_next_is_no_sooner_than_half_of_30_seconds():
    """It was ended, because the old SA answers after all; then that one's time is over."""
    world = living()
    silent(world)
    world.run(1000)
    assert not world.life.has.attempt
    replace_now(world)
    world.run(20000)
    assert len(world.begun) == 3 and world.begun[2] - world.begun[1] > 15000


def test_n11_initial_contact_until_an_attempt_has_succeeded_and_never_beside_an_older_sa():
    contacts = []

    class Heard(Gateway):
        def _auth(self, sa, parts):
            contacts.append(INITIAL_CONTACT in notifies(parts))
            return super()._auth(sa, parts)

    world = Simulation(gateway=Heard)
    world.gateway.refuse = NO_PROPOSAL_CHOSEN
    world.run(2000)
    world.gateway.refuse = 0
    world.run(2 * MINUTE)
    assert contacts == [True, True] and world.life.up
    replace_now(world)
    world.run(5000)
    world.says(world.gateway.delete(world.sa))
    world.run(5000)
    world.restart_gateway()
    world.run(30000)
    assert contacts == [True, True, False, False, False] and one_pair(world)


def test_n11_not_beside_an_older_sa_though_the_gateway_may_have_one_that_we_have_not():
    """Our Delete of the first one was never answered."""
    contacts = []

    class Heard(Gateway):
        def _auth(self, sa, parts):
            contacts.append(INITIAL_CONTACT in notifies(parts))
            answer = super()._auth(sa, parts)
            self.sas = self.sas[-1:]
            return answer

    world = living(gateway=Heard)
    replace_now(world)
    world.run(15000)
    assert world.life.contact and world.tunnels() == 1
    replace_now(world)
    world.run(15000)
    assert contacts == [True, False, False] and world.lost == 0


def test_n11_after_the_peer_was_given_up_for_dead():
    contacts = []

    class Heard(Gateway):
        def _auth(self, sa, parts):
            contacts.append(INITIAL_CONTACT in notifies(parts))
            return super()._auth(sa, parts)

    world = living(gateway=Heard)
    world.there = False
    world.run(15 * MINUTE)
    assert not world.life.up and not world.life.has.ours and "down" in [event[1] for event in world.events]
    world.there = True
    world.run(2 * MINUTE)
    assert contacts == [True, True] and one_pair(world)


def test_n14_refused_with_a_minute_between():
    world = Simulation(echo_ms=0, policy=Policy("sensor-7", b"quite another psk"))
    world.run(10 * MINUTE)
    gaps = [b - a for a, b in itertools.pairwise(world.begun)]
    assert len(gaps) >= 6 and all(MINUTE <= gap <= 90100 for gap in gaps)
    assert all("AUTHENTICATION_FAILED" in event[2] for event in world.events)


def test_n14_an_attempt_that_saw_a_cookie_is_repeated_at_once_but_once():
    world = Simulation(echo_ms=0, policy=Policy("sensor-7", b"quite another psk"))
    world.gateway.cookies = True
    world.run(5 * MINUTE)
    gaps = [b - a for a, b in itertools.pairwise(world.begun)]
    assert 1000 <= gaps[0] <= 1100 and len(gaps) >= 3 and min(gaps[1:]) >= MINUTE


def test_n15_a_child_sa_refused_the_ike_sa_deleted_and_a_minute_between():
    world = Simulation(echo_ms=0)
    world.gateway.refuse = NO_PROPOSAL_CHOSEN
    world.run(5 * MINUTE)
    gaps = [b - a for a, b in itertools.pairwise(world.begun)]
    assert len(gaps) >= 3 and min(gaps) >= MINUTE and world.gateway.sas == []
    assert world.life.refused == NO_PROPOSAL_CHOSEN and world.life.reason.startswith("NO_PROPOSAL_CHOSEN")


def test_forged_hints_make_no_long_pause():
    """NO_PROPOSAL_CHOSEN and AUTHENTICATION_FAILED in clear, in front of the gateway's silence."""
    world = Simulation(echo_ms=0)
    world.gateway.tamper = lambda what, parts: [(NOTIFY, b"\0\0\0\x0e")] if what.startswith("IKE_SA_INIT") else parts
    world.run(16400)
    assert len(world.begun) == 1 and world.life.failures == 1 and 1000 <= world.life.clock._pause <= 1500
    world.gateway.tamper = lambda what, parts: parts
    world.run(2000)
    assert world.life.up


@pytest.mark.parametrize("echo_ms, checks", [(500, 0), (0, 2)])
def test_forged_hints_about_an_sa_that_works_cost_a_liveness_check_at_most_r5_l4(echo_ms, checks):
    """Each ten seconds at the most, and none beside traffic."""
    world = living(echo_ms=echo_ms)
    began = world.now
    told = []
    emit = world.node.emit
    world.node.emit = lambda kind, *more: told.append(kind) or emit(kind, *more)
    spi = world.sa.children[0].spi_in
    forged = bytes(range(1, 17)) + bytes((41, 0x20, 37, 8, 0, 0, 0, 0, 0, 0, 0, 40, 0, 0, 0, 12, 0, 0, 0, 11)) + spi
    for _ in range(20):
        world.fly(True, 4500, world.source, bytes(4) + forged)
        world.run(1000)
    assert HINT in told and world.lost == 0 and len(world.begun) == 1
    assert exchanges(world, began) == [37] * checks and one_pair(world)


def test_a_name_without_an_answer_is_no_attempt_and_no_spin():
    world = Simulation(echo_ms=0)
    life = world.life
    asked = []
    for _ in range(40):
        assert life.wanted
        life.unresolved("no address for 'vpn.example.org'", world.clock)
        asked.append(world.now)
        assert not life.wanted
        while not life.wanted:
            wait = world.node.next_timer(world.clock)
            assert wait > 0
            world.now += wait
            world.node.tick(world.clock)
    gaps = [b - a for a, b in itertools.pairwise(asked)]
    assert 1000 <= gaps[0] <= 1500 and all(40000 <= gap <= 60000 for gap in gaps[7:])
    assert life.failures == 40 and life.reason.startswith("no address")
    assert world.node.next_timer(world.clock) == -1, "who looks up may take his time"
    world.run(1000)
    assert life.up


def test_an_attempt_that_is_not_wanted_any_longer_is_not_made():
    world = living()
    world.life.begin(bytes(4) + b"\1\xf4", world.clock)
    world.life.unresolved("late", world.clock)
    assert not world.life.has.attempt and world.life.failures == 0


def test_bad_lifetimes():
    for lifetime in (0, -1, 432000001):
        with pytest.raises(ValueError, match=str(lifetime)):
            Simulation(lifetime_ms=lifetime)


@pytest.mark.parametrize("error", [NotImplementedError("X25519: wrong answers on this machine"), MemoryError()])
def test_n2_an_attempt_that_cannot_begin_leaves_nothing(error, monkeypatch):
    """The reason is told, the slot is free, and the clock goes on."""

    def missing(number, random):
        raise error

    world = Simulation(echo_ms=0)
    with monkeypatch.context() as patch:
        patch.setattr("ikev2.initial.sa_init.group", missing)
        world.run(100000)
        assert world.node.table.ike_sas() == [] and not world.life.up and 3 <= len(world.begun) <= 10
        assert world.life.reason == (str(error) or "no room")
    world.until(lambda: world.life.up)
