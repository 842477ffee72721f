"""The initial exchanges as responder, with the library itself as initiator (A1 to A13)."""

import os
import random

import pytest
from ikev2.initial import acceptor as acceptor_module
from ikev2.initial import auth
from ikev2.initial import responder as responder_module
from ikev2.sa import keys
from ikev2.sa.payloads import chained
from ikev2.sa.selectors import host, network

from library import scripted_gateway
from library.accepting import HUB_INSIDE, PSK, Accepting, Device, address, first_request, peers
from library.scripted_caller import Caller

GCM = ("aes-gcm-16-256", "aes-gcm-16-128")
FROM = address(1) + b"\1\xf4"


def up(*devices, **more):
    return Accepting(*devices, **more).begin().run()


def given(device):
    """The address inside of a device, as text."""
    return "%d.%d.%d.%d" % tuple(device.child.inside[5:9]) if device.child else None


def notifies(octets):
    """Types of the Notify payload that is first in an unprotected message, and its data."""
    assert octets[16] == 41
    return int.from_bytes(octets[34:36], "big"), octets[36:]


def answers(hub, octets, source=FROM, via=500):
    """What the hub says to a datagram at once."""
    before = len(hub.sent)
    hub.at_hub(via, source, octets)
    while hub.node.next_timer(hub.clock) == 0:
        hub.step()
    return [sent[3] for sent in hub.sent[before:]]


def auths(hub, to_hub):
    return [octets for its, via, _, octets in hub.sent if its == to_hub and via == 4500 and octets[22] == 35]


def test_a_device_is_accepted_with_an_address_of_the_pool_a10_a11_a13():
    device = Device(1)
    hub = up(device)
    ((slot, accepted),) = hub.admitted
    child = device.child
    assert accepted.peer.id == "sensor-1" and not accepted.contact
    assert (child.spi_in, child.spi_out) == (accepted.child.spi_out, accepted.child.spi_in)
    assert (child.key_in, child.key_out) == (accepted.child.key_out, accepted.child.key_in)
    assert accepted.child.remote == child.inside == host(accepted.peer.given)
    assert accepted.child.inside == child.remote == host(HUB_INSIDE)
    assert hub.node.table.ike_sa(slot)[3:] == (address(1) + b"\x11\x94", True)
    assert hub.acceptor.half_open == []
    assert len(auths(hub, True)) == len(auths(hub, False)) == 1


@pytest.mark.parametrize("ciphers", [("aes-cbc-128",), GCM, (*GCM, "aes-cbc-256")])
@pytest.mark.parametrize("groups", [(31,), (14,)])
def test_every_suite_a3(ciphers, groups):
    device = Device(1, ciphers=ciphers, groups=groups)
    hub = up(device, peers=peers(ciphers=("aes-cbc-256", "aes-cbc-128", *GCM)))
    assert hub.admitted[0][1].child.cipher == device.child.cipher


@pytest.mark.parametrize("as_sent", [False, True])
def test_our_order_among_what_is_offered_or_what_was_sent_a3(as_sent):
    hub = up(device := Device(1, groups=(14, 31)), peers=peers(as_sent=as_sent))
    assert device.child
    clear = [octets for to_hub, via, _, octets in hub.sent if via == 500]
    assert len(clear) == (2 if as_sent else 4)
    if not as_sent:
        assert notifies(clear[1]) == (17, b"\0\x1f")
        assert len(hub.acceptor.half_open) == 0 and clear[1][8:16] == bytes(8)


@pytest.mark.parametrize("ours", [{"groups": (31,)}, {"ciphers": GCM}])
def test_nothing_in_common_a3(ours):
    hub = Accepting(peers=peers(**ours))
    (answer,) = answers(hub, first_request(groups=(14,)))
    assert notifies(answer) == (14, b"") and hub.node.table.ike_sas() == []


@pytest.mark.parametrize(
    "at, octets", [(8, b"\1"), (19, b"\x28"), (19, b"\0"), (20, b"\1"), (18, b"\x26"), (0, bytes(8)), (16, b"\x30")]
)
def test_silence_for_what_is_no_first_request_a1(at, octets):
    hub = Accepting()
    request = bytearray(first_request())
    request[at : at + len(octets)] = octets
    assert answers(hub, request) == [] and hub.node.table.ike_sas() == []
    assert len(answers(hub, first_request())) == 1


def test_with_the_marker_on_the_one_port_a1():
    hub = Accepting()
    (answer,) = answers(hub, bytes(4) + first_request(), via=4500)
    assert answer[:4] == bytes(4) and answer[22] == 34


def test_a_repetition_gets_the_same_octets_until_ike_auth_a2():
    hub = Accepting()
    request = first_request()
    (answer,) = answers(hub, request)
    assert answers(hub, request) == [answer] and len(hub.node.table.ike_sas()) == 1
    (other,) = answers(hub, request, FROM[:4] + b"\1\xf5")
    assert other != answer
    device = Device(1)
    hub = up(device)
    first = hub.sent[0][3]
    assert answers(hub, first) == [] and len(hub.node.table.ike_sas()) == 1
    assert len(answers(hub, first, address(2) + b"\1\xf4")) == 1


def test_a_peer_without_nat_detection_is_refused_a4():
    request = first_request()
    at = request.index(b"\0\0\x40\x04") - 4
    without = bytearray(request[:at])
    without[without.index(b"\x29\0\0\x24")] = 0  # the nonce is the last
    without[24:28] = len(without).to_bytes(4, "big")
    (answer,) = answers(Accepting(), without)
    assert notifies(answer) == (14, b"")


def test_cookies_from_the_third_half_open_sa_on_a5():
    hub = Accepting()
    for number in 1, 2:
        (answer,) = answers(hub, first_request(number), address(number) + b"\1\xf4")
        assert answer[16] == 33
    (answer,) = answers(hub, first_request(3), address(3) + b"\1\xf4")
    kind, cookie = notifies(answer)
    assert kind == 16390 and len(cookie) == 16 and len(hub.node.table.ike_sas()) == 2
    device = Device(3)
    hub.devices[device.address] = device
    hub.peers.add("sensor-3", PSK)
    hub.begin().run()
    assert device.child and device.initiator.doubtful


def with_cookie(request, cookie):
    """The same request with N(COOKIE) in front."""
    body = bytes((request[16], 0)) + (8 + len(cookie)).to_bytes(2, "big") + b"\0\0\x40\x06" + cookie + request[28:]
    return request[:16] + b"\x29" + request[17:24] + (28 + len(body)).to_bytes(4, "big") + body


def test_a_cookie_is_good_for_its_minute_and_the_next_and_its_endpoint_a5():
    hub = Accepting(cookies_from=0, half_open=32, of_address=16)
    for wait, good in ((0, True), (61000, True), (121000, False)):
        request = first_request()
        _, cookie = notifies(answers(hub, request)[0])
        hub.idle(wait)
        (answer,) = answers(hub, with_cookie(request, cookie))
        assert (answer[16] == 33) == good, wait
    _, cookie = notifies(answers(hub, request)[0])
    for source in (FROM[:4] + b"\1\xf5", address(2) + b"\1\xf4"):
        assert notifies(answers(hub, with_cookie(request, cookie), source)[0])[0] == 16390
    assert notifies(answers(hub, with_cookie(request, cookie[:-1]))[0])[0] == 16390
    assert hub.idle(10 * 60000).acceptor._cookies.next_timer(hub.clock) == -1


def test_one_cookie_does_not_cost_another_its_life_a5():
    hub = Accepting(cookies_from=0, half_open=32, of_address=16)
    requests = [first_request(number) for number in range(3)]
    cookies = [notifies(answers(hub, request)[0])[1] for request in requests]
    for request, cookie in zip(requests, cookies, strict=True):
        assert answers(hub, with_cookie(request, cookie))[0][16] == 33


def test_half_open_sas_are_bounded_and_the_oldest_makes_room_for_a_cookie_a6():
    hub = Accepting(table=(16, 16), answers_per_s=1000)

    def ask(number):
        request, source = first_request(number), address(number) + b"\1\xf4"
        (answer,) = answers(hub, request, source)
        if answer[16] == 41:
            return answers(hub, with_cookie(request, notifies(answer)[1]), source)
        return [answer]

    assert [len(ask(number)) for number in (1, 2, 3, 4, 5)] == [1, 1, 1, 1, 0]
    hub.idle(5001)
    oldest = hub.acceptor.half_open[0]
    assert len(ask(6)) == 1 and len(hub.acceptor.half_open) == 4 and oldest not in hub.acceptor.half_open
    hub.idle(30001)
    assert hub.acceptor.half_open == [] and hub.node.table.ike_sas() == []


def test_two_of_an_address_a6():
    hub = Accepting(cookies_from=4)
    assert [len(answers(hub, first_request())) for _ in range(3)] == [1, 1, 0]
    assert len(answers(hub, first_request(), address(2) + b"\1\xf4")) == 1


def test_forged_requests_in_a_name_lock_nobody_out_a6():
    """Both of an address are taken by what never goes on: who hears the cookie takes the place of the older one."""
    hub = Accepting()
    for _ in range(2):
        answers(hub, first_request())
    oldest, other = hub.acceptor.half_open
    request = first_request()
    _, cookie = notifies(answers(hub, request)[0])
    assert answers(hub, with_cookie(request, cookie)) == []
    hub.idle(5001)
    assert len(answers(hub, with_cookie(request, cookie))) == 1
    assert oldest not in hub.acceptor.half_open and other in hub.acceptor.half_open
    assert len(hub.acceptor.half_open) == 2


def test_what_did_not_open_keeps_no_room_a6_a7():
    """An IKE_AUTH that is none holds no place that who brings a cookie could have."""
    device = Device(1)
    hub = Accepting(device, cookies_from=1, half_open=1)
    hub.wire = lambda to_hub, octets: [octets[:-1] + b"?" if to_hub and octets[22:23] == b"\x23" else octets]
    hub.begin().run(lambda: hub.acceptor.half_open and hub.acceptor.half_open[0].proof)
    hub.idle(5001)
    source, request = address(2) + b"\1\xf4", first_request(2)
    _, cookie = notifies(answers(hub, request, source)[0])
    assert len(answers(hub, with_cookie(request, cookie), source)) == 1


def test_an_ike_auth_that_waits_for_its_secret_keeps_its_room_a6_a7():
    device = Device(1)
    hub = Accepting(device, cookies_from=1, half_open=1)
    hub.acceptor._step = lambda now, step=hub.acceptor._step: None if auths(hub, True) else step(now)  # long work
    hub.begin().run(lambda: hub.acceptor.half_open and hub.acceptor.half_open[0].kept)
    hub.now += 5001
    source, request = address(2) + b"\1\xf4", first_request(2)
    before = len(hub.sent)
    hub.at_hub(500, source, request)
    _, cookie = notifies(hub.sent[-1][3])
    hub.at_hub(500, source, with_cookie(request, cookie))
    assert len(hub.sent) == before + 1 and hub.acceptor.half_open[0].kept


def test_a_request_that_is_shorter_than_its_answer_is_silence_a12():
    header = first_request()[:16] + bytes.fromhex("21202208") + bytes(4)
    for nonce, count in (b"", 0), (bytes(16), 1):
        body = bytes.fromhex("2200000428000004 0000") + (4 + len(nonce)).to_bytes(2, "big") + nonce
        hub = Accepting(cookies_from=0)
        hub.at_hub(500, FROM, header + (28 + len(body)).to_bytes(4, "big") + body)
        assert len(hub.sent) == count


def test_a_public_value_serves_for_a_minute_a6(monkeypatch):
    made = []
    group = acceptor_module.group
    monkeypatch.setattr(acceptor_module, "group", lambda number, random: made.append(number) or group(number, random))
    hub = Accepting(cookies_from=9, half_open=8, of_address=8)
    values = set()
    for wait in (0, 30000, 31000):
        hub.idle(wait)
        (answer,) = answers(hub, first_request())
        values.add(answer[answer.index(b"\0\x1f\0\0") :][:36])
    assert made == [31, 31] and len(values) == 2


def test_no_secret_is_made_before_ike_auth_and_one_key_exchange_at_a_time_a6_a7():
    devices = Device(1), Device(2)
    hub = Accepting(*devices)
    hub.begin().run(lambda: len(auths(hub, True)) == 2)
    assert not [responder for responder in hub.acceptor.half_open if responder.proof]
    steps = set()

    def step():
        work = hub.acceptor._work
        steps.add(work and work[1])
        return all(device.over for device in devices)

    hub.run(step)
    assert all(device.child for device in devices) and len(auths(hub, True)) == 2


def test_an_ike_auth_that_does_not_open_costs_nothing_a7():
    device = Device(1)
    hub = Accepting(device)
    forged = []

    def wire(to_hub, octets):
        if to_hub and octets[22:23] == b"\x23" and not forged:
            forged.append(octets[:-1] + bytes((octets[-1] ^ 1,)))
            return [forged[0], octets]
        return [octets]

    hub.wire = wire
    hub.begin().run()
    assert device.child and len(auths(hub, True)) == 2


@pytest.mark.parametrize("policy", [
    {"psk": b"quite another psk, of 28 oct"}, {"id": "sensor-9"}, {"gateway_id": "other.example"},
    {"id": "keyid:sensor-1"},
])  # fmt: skip
def test_who_is_not_known_and_who_has_another_psk_hear_the_same_a8(policy):
    device = Device(1, **policy)
    hub = up(device)
    assert device.initiator.reason.startswith("AUTHENTICATION_FAILED") and hub.admitted == []
    (answer,) = auths(hub, False)
    assert len(answer) == 84 and len(hub.refused) == 1
    last = auths(hub, True)[-1]
    assert answers(hub, hub.sent[0][3]) == []  # A2
    hub.idle(9900)
    assert answers(hub, last, address(1) + b"\x11\x94", 4500) == [answer]
    assert answers(hub, last[:-1] + bytes((last[-1] ^ 1,)), address(1) + b"\x11\x94", 4500) == []
    hub.idle(200)
    assert hub.node.table.ike_sas() == [] and hub.acceptor.half_open == []


def test_an_id_that_nobody_has_costs_the_same_work_a8(monkeypatch):
    work = []
    for policy in {"psk": b"quite another psk, of 28 oct"}, {"id": "sensor-9"}, {"gateway_id": "other.example"}:
        count = []
        monkeypatch.setattr(keys, "prf", lambda *given, count=count, prf=keys.prf: count.append(1) or prf(*given))
        hub = Accepting(Device(1, **policy)).begin().run(lambda: False, 1000)
        assert hub.refused
        work.append(len(count))
        monkeypatch.undo()
    assert len(set(work)) == 1 and work[0] > 5


def test_initial_contact_counts_only_with_the_psk_a9():
    device = Device(1)
    hub = Accepting(device).begin(contact=True).run()
    assert hub.admitted[0][1].contact
    hub = Accepting(Device(1, psk=b"quite another psk, of 28 oct")).begin(contact=True).run()
    assert hub.admitted == []


def test_addresses_are_the_same_after_a_restart_and_never_two_ids_a10():
    before = None
    for order in (1, -1):
        devices = [Device(number) for number in range(1, 21)]
        hub = Accepting(*devices, peers=peers(20, pool=network("10.9.0.0/24")), table=(64, 64), half_open=32)
        hub.devices = dict(list(hub.devices.items())[::order])
        hub.begin().run()
        found = [given(device) for device in devices]
        assert len(set(found)) == 20 and before in (None, found)
        before = found


def test_a_fixed_address_is_its_ids_alone_a10():
    some = peers(3, pool=network("10.9.0.0/29"))
    some.add("sensor-9", PSK, address=b"\x0a\x09\0\2")
    devices = [Device(number) for number in (1, 2, 3)] + [Device(9)]
    hub = Accepting(*devices, peers=some, table=(32, 32)).begin(inside=b"\x0a\x09\0\2").run()
    found = [given(device) for device in devices]
    assert found[3] == "10.9.0.2" and len(set(found)) == 4
    assert not {"10.9.0.0", "10.9.0.7"} & set(found)
    assert hub.admitted


def test_an_address_that_was_asked_for_a10():
    some = peers(2)
    one, two = Device(1), Device(2)
    hub = Accepting(one, peers=some).begin(inside=b"\x0a\x09\0\x63").run()
    assert given(one) == "10.9.0.99"
    hub.devices = {two.address: two}
    hub.begin(inside=b"\x0a\x09\0\x63").run()
    assert given(two) not in (None, "10.9.0.99")
    for asked in (b"\x0a\x09\0\x10", HUB_INSIDE, b"\x0a\x09\0\xff", b"\x0a\x09\0\0", b"\x0a\x08\0\x10"):
        one = Device(1)
        hub.devices = {one.address: one}
        hub.begin(inside=asked).run()
        assert given(one) not in (None, "%d.%d.%d.%d" % tuple(asked))
        some.peers["sensor-1"].given = None


def test_an_address_is_an_ids_for_a_day_a10():
    some = peers(2, pool=network("10.9.0.1/32"))
    first, second = some.peers.values()
    assert some.give(first) == b"\x0a\x09\0\1" and some.give(second) is None
    some.left(first, 5)
    some.tick(86400004)
    assert some.give(second) is None
    some.tick(86400005)
    assert some.give(second) == b"\x0a\x09\0\1" and some.give(first) is None


@pytest.mark.parametrize("policy, more, refusal", [
    ({}, {"pool": b""}, "INTERNAL_ADDRESS_FAILURE"),
    ({"inside": b"\x0a\x09\0\7"}, {}, "FAILED_CP_REQUIRED"),
    ({"remote": network("10.10.0.0/24")}, {}, "TS_UNACCEPTABLE"),
])  # fmt: skip
def test_a_child_sa_that_cannot_be_leaves_an_ike_sa_a10_a11(policy, more, refusal):
    device = Device(1, **policy)
    hub = up(device, peers=peers(**more))
    assert device.initiator.reason.startswith(refusal)
    ((_, accepted),) = hub.admitted
    assert accepted.child is None and accepted.peer.id == "sensor-1"


@pytest.mark.parametrize(("more", "psk", "reason"), [
    (b"\x80", PSK, "UNSUPPORTED_CRITICAL_PAYLOAD"), (b"\0", PSK, ""),
    (b"\x80", b"quite another psk, of 28 oct", "AUTHENTICATION_FAILED"),
    ("twice", PSK, "AUTHENTICATION_FAILED"), ("short", PSK, "AUTHENTICATION_FAILED"),
])  # fmt: skip
def test_what_else_is_in_ike_auth_counts_only_with_the_psk_a8_n17(monkeypatch, more, psk, reason):
    def tampered(parts):
        if more == "twice":
            return chained([*parts, parts[0]])
        if more == "short":
            return chained([*parts, (41, b"\0")])
        first, octets = chained([*parts, (200, b"?")])
        return first, octets[:-4] + more + octets[-3:]

    monkeypatch.setattr(auth, "chained", tampered)
    device = Device(1, psk=psk)
    hub = up(device)
    assert bool(device.child) == bool(hub.admitted) == (not reason) and device.initiator.reason.startswith(reason)


@pytest.mark.parametrize(("wanted", "servers", "refusal"), [
    ("01000000 00010000 00030000", b"\x0a\x09\0\x35", ""), ("01000000 00010000", b"", ""),
    ("01000000 00030000 00010000 00190000", b"\x0a\x09\0\x35", ""),
    ("01000000 00030000", None, "FAILED_CP_REQUIRED"), ("03000000 00010000", None, "FAILED_CP_REQUIRED"),
    ("01000000 00010008", None, "FAILED_CP_REQUIRED"), ("010000", None, "FAILED_CP_REQUIRED"),
])  # fmt: skip
def test_what_is_asked_for_by_cp_is_given_a10(monkeypatch, wanted, servers, refusal):
    monkeypatch.setattr(auth, "cp_request", lambda address: bytes.fromhex(wanted))
    device = Device(1)
    up(device, peers=peers(dns=b"\x0a\x09\0\x35"))
    assert device.initiator.reason.startswith(refusal) and bool(device.child) == (not refusal)
    assert not device.child or device.child.servers == servers


@pytest.mark.parametrize("psk", [PSK, b"another one of 16 octets"])
@pytest.mark.parametrize("via", [500, 4500])
def test_who_is_accepted_is_where_its_ike_auth_came_from_and_nobody_else_is_established_a8_a13(via, psk):
    hub = Accepting()
    caller = Caller(psk, "sensor-1", random=os.urandom)
    (answer,) = answers(hub, caller.first(), address(1) + b"\x4e\x20")
    end = address(1) + b"\x4e\x21"
    answers(hub, bytes(4 if via == 4500 else 0) + caller.hear(answer), end, via)
    (slot,) = hub.node.table.ike_sas()
    assert hub.node.table.ike_sa(slot)[3:] == (end, psk == PSK) and hub.node.table.via(slot) == via


@pytest.mark.parametrize("group", [0, 31])
def test_the_first_child_sa_may_come_later_and_no_second_a11(group):
    hub = Accepting()
    caller = Caller(PSK, "sensor-1", random=os.urandom)
    caller.changes = lambda what, parts: [
        (kind, scripted_gateway.selectors("10.99.0.0/16") if kind == 45 else body) for kind, body in parts
    ]
    (answer,) = answers(hub, caller.first())
    end = address(1) + b"\x11\x94"
    (answer,) = answers(hub, bytes(4) + caller.hear(answer), end, 4500)
    caller.hear(answer[4:])
    assert caller.refused == 38 and hub.admitted[0][1].child is None
    transforms = scripted_gateway.transforms(3, caller.cipher, group)
    exchange = scripted_gateway.Group(31, os.urandom)
    parts = [(33, scripted_gateway.proposal(1, 3, b"abcd", transforms)), (40, os.urandom(32))]
    parts += [(34, b"\0\x1f\0\0" + exchange.value)] if group else []
    parts += [(44, scripted_gateway.selectors("0.0.0.0/0")), (45, scripted_gateway.selectors("0.0.0.0/0"))]
    (answer,) = answers(hub, bytes(4) + caller.request(36, 2, parts), end, 4500)
    said = caller.opened(answer[4:])
    assert not scripted_gateway.notifies(said)
    assert scripted_gateway.of(said, 45) == scripted_gateway.selectors("10.9.0.254/32")
    ((slot, child),) = hub.node.child_owners.items()
    assert child.remote == host(hub.peers.peers["sensor-1"].given) and child.slot == slot
    (answer,) = answers(hub, bytes(4) + caller.request(36, 3, parts), end, 4500)
    assert set(scripted_gateway.notifies(caller.opened(answer[4:]))) == {35}


def test_networks_behind_an_id_a10_a11():
    some = peers()
    some.add("router", PSK, networks=network("10.20.0.0/16"))
    device = Device(1, id="router", inside=b"\x0a\x14\0\7")
    up(device, peers=some)
    assert device.child.inside == host(b"\x0a\x14\0\7")


def test_answers_without_state_are_few_a12():
    hub = Accepting(cookies_from=0)
    request = first_request()
    said = sum(len(answers(hub, request, address(i % 250) + b"\1\xf4")) for i in range(200))
    assert said == 20
    hub.idle(1000)
    assert len(answers(hub, request)) == 1


def test_a_table_without_room_is_silence_a6():
    hub = Accepting(table=(1, 1), cookies_from=9)
    assert len(answers(hub, first_request())) == 1
    assert answers(hub, first_request(2), address(2) + b"\1\xf4") == []


def test_the_late_answer_goes_where_the_request_came_from_a13():
    device = Device(1)
    hub = Accepting(device)
    hub.begin().run(lambda: auths(hub, True))
    hub.run(lambda: auths(hub, False))
    (to,) = {source for to_hub, via, source, octets in hub.sent if not to_hub and via == 4500}
    assert to == address(1) + b"\x11\x94"


@pytest.mark.parametrize("seed", range(8))
def test_every_device_comes_up_through_loss_doubling_and_disorder_a2_a7(seed):
    dice = random.Random(seed)
    devices = [Device(number, random=dice.randbytes) for number in range(1, 4)]
    hub = Accepting(*devices, peers=peers(3), random=dice.randbytes, now=(1 << 30) - 3000, of_address=4)
    late = []

    def wire(to_hub, octets):
        arriving = [octets] * dice.choice((0, 1, 1, 1, 2))
        if arriving and dice.random() < 0.2:
            late.append(arriving.pop())
        elif late and to_hub and dice.random() < 0.3:
            arriving.append(late.pop())  # of another one, perhaps the wrong way round
        return arriving

    hub.wire = wire
    hub.begin()
    for _ in range(40):
        hub.run(ms=30000)
        for device in devices:
            if device.over and not device.child:
                device.begin(hub.now)
        if all(device.child for device in devices):
            break
    assert all(device.child for device in devices), [device.initiator.reason for device in devices]
    hub.wire = lambda to_hub, octets: [octets]
    hub.idle(60000)
    assert hub.acceptor.half_open == []
    assert len({accepted.peer.given for _, accepted in hub.admitted}) == 3


def test_forty_devices_at_once_a6():
    devices = [Device(number) for number in range(1, 41)]
    hub = Accepting(*devices, peers=peers(40), table=(128, 128), half_open=32, of_address=16, cookies_from=16,
                    answers_per_s=500)  # fmt: skip
    hub.begin().run()
    assert len(hub.admitted) == 40 and all(device.child for device in devices)


def test_a_hundred_forged_requests_a_second_while_a_device_comes_up_a5_a6():
    device = Device(77)
    some = peers()
    some.add("sensor-77", PSK)
    hub = Accepting(device, peers=some, answers_per_s=500)
    forged = [first_request(number) for number in range(1, 21)]
    for i in range(100):
        hub.at_hub(500, address(i % 20 + 1) + b"\1\xf4", forged[i % 20][:4] + bytes((i,)) + forged[i % 20][5:])
        hub.idle(10)
    hub.begin().run()
    assert device.child and device.initiator._tries <= 2


def test_a_machine_without_a_group_takes_another_a3(monkeypatch):
    group = acceptor_module.group

    def without(number, random):
        if number == 31:
            raise NotImplementedError
        return group(number, random)

    monkeypatch.setattr(acceptor_module, "group", without)
    device = Device(1)
    up(device)
    assert device.child


def test_a_full_heap_leaves_nothing_half_made_a6(monkeypatch):
    monkeypatch.setattr(acceptor_module, "Responder", lambda *given: (_ for _ in ()).throw(MemoryError))
    hub = Accepting()
    with pytest.raises(MemoryError):
        hub.at_hub(500, FROM, first_request())
    assert hub.node.table.ike_sas() == [] and hub.acceptor.half_open == []


@pytest.mark.parametrize("forged_first", [False, True])
@pytest.mark.parametrize("what", ["Acceptance", "Rekeys", "IkeSa", "admit"])
def test_a_full_heap_at_the_end_leaves_nothing_either_a7(monkeypatch, what, forged_first):
    def full(*_, **__):
        raise MemoryError

    device = Device(1)
    hub = Accepting(device)
    if what == "admit":
        hub.acceptor._admit = full
    else:
        monkeypatch.setattr(responder_module, what, full)
    raised = []
    receive, tick = hub.node.receive, hub.node.tick

    def guarded(call):
        def guard(*given):
            try:
                return call(*given)
            except MemoryError:
                raised.append(call)
                return 0

        return guard

    hub.node.receive, hub.node.tick = guarded(receive), guarded(tick)
    if forged_first:
        hub.wire = lambda to_hub, octets: (
            [octets[:-1] + bytes((octets[-1] ^ 1,)), octets] if to_hub and octets[22:23] == b"\x23" else [octets]
        )
    hub.begin().run(lambda: raised)
    assert raised and not hub.admitted
    assert hub.node.table.ike_sas() == [] and hub.acceptor.half_open == [] and not hub.node.child_owners
