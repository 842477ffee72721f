"""One attempt against a gateway of another make: what it says, what it believes, and what it says when it fails."""

import hashlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ikev2 import owners
from ikev2.initial import initiator
from ikev2.initial import sa_init as initial
from ikev2.sa import reasons
from ikev2.spi_table import SpiTable

from library import scripted_gateway
from library.attempt import DEVICE, GATEWAY, PSK, Attempt, endpoint
from library.scripted_gateway import Gateway, notify

SUITES = ("aes-cbc-256", "aes-cbc-128", "aes-gcm-16-256", "aes-gcm-16-128")
SCHEDULE = [0, 500, 1500, 3500, 7500]
X25519 = {"groups": (31,)}


def gate(**more):
    return Gateway(PSK, **more)


def attempt(policy=None, random=None, **more):
    """An attempt against such a gateway."""
    return Attempt(gate(**more), policy, **({"random": random} if random else {}))


def kinds(made):
    return [kind for kind, _, _ in made.events]


def parts_of(octets):
    """Payloads of an IKE_SA_INIT message."""
    return scripted_gateway.payloads(octets[16], octets[28:])


def requests(made, exchange=34):
    """The datagrams of the device with that exchange, without marker."""
    found = [octets[4 if via == 4500 else 0 :] for _, via, _, octets in made.sent]
    return [octets for octets in found if octets[18] == exchange]


def exchange_of(octets):
    """The exchange type of a datagram, by 500 or behind the marker."""
    return octets[18 + 4 * (octets[:4] == bytes(4))]


def of_gateway(made, parts, spi_r=bytes(8), flags=0x20, exchange=34, message_id=0, version=0x20, spi_i=None):
    """A message that says it is the gateway's answer to IKE_SA_INIT."""
    first, octets = scripted_gateway.chain(parts)
    spi_i = spi_i or made.node.table.ike_sa(made.slot)[0]
    header = spi_i, spi_r, first, version, exchange, flags, message_id, 28 + len(octets)
    return struct.pack(">8s8sBBBBII", *header) + octets


def tampering(what, change):
    """What Gateway.tamper is to be: change(parts) in that message."""
    return lambda its, parts: change(parts) if its == what else parts


def replaced(kind, body):
    """A change that gives the payloads of one type another body, or takes them out."""

    def change(parts):
        return [(k, body if k == kind else b) for k, b in parts if k != kind or body is not None]

    return change


def established(made):
    """An attempt that has succeeded is consistent with what the gateway thinks."""
    made.run()
    assert made.initiator.successor and not made.initiator.failed, made.initiator.reason
    assert owners.ESTABLISHED in kinds(made) and owners.FAILED not in kinds(made)
    (sa,) = made.gateway.sas
    (pair,) = sa.children
    child = made.initiator.child
    assert (child.cipher, child.spi_in, child.spi_out) == (pair.cipher, pair.spi_out, pair.spi_in)
    assert (child.key_in, child.key_out) == (pair.key_out, pair.key_in)
    table = made.node.table
    assert table.ike_sa(made.slot) == (sa.spi_i, sa.spi_r, True, endpoint((GATEWAY, 4500)), True)
    assert table.child_sa(child.slot) == (made.slot, 50, child.spi_in, child.spi_out)
    assert made.node.owners[made.slot] is made.initiator.successor
    return sa


def failed(made, word):
    """An attempt that has failed left nothing, and says why."""
    made.run()
    assert made.initiator.failed and not made.initiator.successor
    assert made.initiator.reason.startswith(word), made.initiator.reason
    assert (owners.FAILED, made.slot, made.initiator.reason) in made.events
    assert owners.ESTABLISHED not in kinds(made)
    assert made.node.table.ike_sas() == [] and made.node.owners[made.slot] is None
    return made


@pytest.mark.parametrize("group", [31, 14])
@pytest.mark.parametrize("cipher", SUITES)
def test_an_ike_sa_with_its_child_sa_n7_n12_n13(cipher, group):
    made = attempt({"ciphers": SUITES}, ciphers=(cipher,), groups=(group,))
    sa = established(made)
    assert sa.cipher == cipher
    assert made.initiator.child.remote == endpoint_range("0.0.0.0/0")
    assert made.initiator.child.inside == endpoint_range("10.77.0.2/32")
    assert [via for _, via, _, _ in made.sent] == [500] * (1 + (group == 14)) + [4500]
    # It is alive: a check of the gateway's is answered.
    made.deliver(made.gateway.check(sa))
    assert made.gateway.said[-1] == "check: done"


def endpoint_range(network):
    body = scripted_gateway.selectors(network)
    return body[5:6] + body[8:20]


def test_the_first_request_n1_n10():
    made = attempt()
    made.run(lambda: made.sent)
    ((_, via, port, request),) = made.sent[:1]
    assert (via, port) == (500, 500)
    assert any(request[:8]) and request[8:16] == bytes(8)
    assert request[17:24] == bytes((0x20, 34, 0x08, 0, 0, 0, 0))
    parts = parts_of(request)
    assert [kind for kind, _ in parts] == [33, 34, 40, 41, 41]
    assert len(scripted_gateway.of(parts, 40)) == 32
    told = scripted_gateway.notifies(parts)
    digest = hashlib.sha1(request[:16] + endpoint((GATEWAY, 500))).digest()
    assert told[16389] == (b"", digest)
    assert len(told[16388][1]) == 20 and told[16388][1] != digest


def test_the_source_is_never_ours_and_the_destination_needs_sha1_n10(monkeypatch):
    sources = set()
    for _ in range(2):
        made = attempt()
        made.run(lambda made=made: made.sent)
        sources.add(scripted_gateway.notifies(parts_of(made.sent[0][3]))[16388][1])
    assert len(sources) == 2
    monkeypatch.delattr(hashlib, "sha1")
    made = attempt()
    made.run(lambda: made.sent)
    request = made.sent[0][3]
    monkeypatch.undo()
    destination = scripted_gateway.notifies(parts_of(request))[16389][1]
    assert len(destination) == 20
    assert destination != hashlib.sha1(request[:16] + endpoint((GATEWAY, 500))).digest()


def test_attempts_differ_in_everything_random_n1():
    made = attempt()
    made.run(lambda: made.sent)
    again = attempt()
    again.run(lambda: again.sent)
    first, second = made.sent[0][3], again.sent[0][3]
    assert first[:8] != second[:8]
    for kind in (34, 40):
        assert scripted_gateway.of(parts_of(first), kind) != scripted_gateway.of(parts_of(second), kind)


@pytest.mark.parametrize("exchange", [34, 35])
def test_requests_are_repeated_bit_identical_n2(exchange):
    made = attempt()
    made.wire = lambda to_gateway, octets: (
        [] if to_gateway and octets[18 + 4 * (octets[:4] == bytes(4))] == exchange else [octets]
    )
    failed(made, "no response to " + ("IKE_SA_INIT" if exchange == 34 else "IKE_AUTH"))
    sent = [(at, octets) for at, _, _, octets in made.sent if octets[18 + 4 * (octets[:4] == bytes(4))] == exchange]
    begun = sent[0][0]
    assert [at - begun for at, _ in sent] == SCHEDULE
    assert len({octets for _, octets in sent}) == 1
    assert made.now - begun == 15500


def test_lost_answers_are_answered_again_n2():
    for lost in range(5):
        made = attempt()
        count = [0, 0]

        def wire(to_gateway, octets, count=count, lost=lost):
            of_auth = octets[:4] == bytes(4)
            if not to_gateway:
                count[of_auth] += 1
                return [octets] if count[of_auth] > lost else []
            return [octets]

        made.wire = wire
        established(made)
        assert len(requests(made)) == len(requests(made, 35)) == lost + 1


def test_the_clock_may_wrap_n2():
    made = Attempt(gate(), now=(1 << 30) - 1000)
    made.wire = lambda to_gateway, octets: []
    failed(made, "no response to IKE_SA_INIT")
    assert [at - made.sent[0][0] for at, _, _, _ in made.sent] == SCHEDULE


def test_a_cookie_comes_first_and_stays_n3():
    made = attempt(cookies=True)
    sa = established(made)
    first, second = requests(made)
    (cookie,) = [body for kind, body in parts_of(second)[:1]]
    assert parts_of(second)[0][0] == 41 and cookie[2:4] == b"\x40\x06"
    assert parts_of(second)[1:] == parts_of(first)
    assert sa.first_request == second
    assert made.initiator.doubtful


@pytest.mark.parametrize(("size", "taken"), [(0, False), (1, True), (64, True), (65, False)])
def test_a_cookie_has_1_to_64_octets_n3(size, taken):
    made = silent()
    says(made, notify(16390, b"c" * size))
    assert (len(made.sent) > 1) == taken


def silent(**more):
    """An attempt whose first request has gone out, to nobody."""
    made = Attempt(gate(**more))
    made.wire = lambda to_gateway, octets: []
    made.run(lambda: made.sent)
    return made


def says(made, *parts):
    made.receive(of_gateway(made, list(parts)))
    made.exchange()


def test_three_rounds_of_cookies_at_most_n3():
    made = silent()
    for i in range(6):
        says(made, notify(16390, bytes((1, i))))
    assert [len(parts_of(octets)) for octets in requests(made)] == [5, 6, 6, 6]
    assert [parts_of(octets)[0][1][-1] for octets in requests(made)[1:]] == [0, 1, 2]


def test_the_same_cookie_changes_nothing_n3():
    made = silent()
    for _ in range(4):
        says(made, notify(16390, b"cookie"))
    assert len(made.sent) == 2
    says(made, notify(16390, b"another"))
    assert len(made.sent) == 3


def test_answers_to_repetitions_of_an_earlier_form_are_ignored_n3():
    made = silent()
    made.idle(made.sent[0][0] + 1500)  # sent three times
    assert len(made.sent) == 3
    says(made, notify(16390, b"one"))
    assert len(made.sent) == 4
    says(made, notify(16390, b"two"))
    says(made, notify(17, b"\0\x0e"))
    assert len(made.sent) == 4  # both answered repetitions
    says(made, notify(16390, b"three"))
    assert len(made.sent) == 5 and made.sent[-1][3] != made.sent[-2][3]


def test_an_answer_to_what_has_not_been_sent_yet_is_none_n3():
    """As when two come at once; the next one counts."""
    made = silent()
    for cookie in (b"one", b"two"):
        made.receive(of_gateway(made, [notify(16390, cookie)]))
    made.exchange()
    assert parts_of(made.sent[1][3])[0][1][4:] == b"one"
    says(made, notify(16390, b"three"))
    assert [parts_of(octets)[0][1][4:] for octets in requests(made)[2:]] == [b"three"]


def test_the_gateways_group_n4():
    made = attempt(groups=(14,))
    sa = established(made)
    first, second = requests(made)
    one, two = parts_of(first), parts_of(second)
    assert first[:16] == second[:16]
    assert [one[i] for i in (0, 2, 3, 4)] == [two[i] for i in (0, 2, 3, 4)]
    assert (one[1][1][:4], two[1][1][:4]) == (b"\0\x1f\0\0", b"\0\x0e\0\0")
    assert (len(one[1][1]), len(two[1][1])) == (36, 260)
    assert sa.first_request == second and made.initiator.doubtful


@pytest.mark.parametrize("cookies_first", [True, False])
def test_a_cookie_and_another_group_in_either_order_n3_n4(cookies_first):
    made = attempt(groups=(14,), cookies=cookies_first)
    if not cookies_first:
        made.gateway.cookies = False
        made.run(lambda: len(requests(made)) == 1)
        made.run(lambda: "INVALID_KE_PAYLOAD" in made.gateway.said)
        made.gateway.cookies = True
    sa = established(made)
    parts = parts_of(sa.first_request)
    assert parts[0][1][2:4] == b"\x40\x06" and parts[2][1][:2] == b"\0\x0e"
    assert len(requests(made)) == 3


@pytest.mark.parametrize("data", [b"\0\x1f", b"\0\x13", b"", b"\0", b"\0\x0e\0", bytes(200)])
def test_a_group_that_was_just_sent_or_never_offered_is_a_hint_n4_n5(data):
    made = silent()
    says(made, notify(17, data))
    assert len(made.sent) == 1
    made.wire = lambda to_gateway, octets: [octets]
    established(made)


def test_each_group_may_be_named_once_and_the_first_again_n4():
    made = silent()

    def named(group):
        before = len(made.sent)
        says(made, notify(17, bytes((0, group))))
        made.run(lambda: made.initiator.next_timer(made.now))
        return [parts_of(octets)[1][1][1] for _, _, _, octets in made.sent[before:]]

    assert named(14) == [14]
    assert named(31) == [31] and made.sent[-1][3] == made.sent[0][3]  # the very same
    assert named(14) == [] and named(31) == []
    made.wire = lambda to_gateway, octets: [octets]
    established(made)


def test_a_forged_group_does_not_cost_the_attempt_n4():
    made = attempt(groups=(31,))
    sent = []

    def wire(to_gateway, octets):
        if to_gateway and not sent:
            sent.append(1)
            made.receive(of_gateway(made, [notify(17, b"\0\x0e")]))
        return [octets]

    made.wire = wire
    established(made)


NONSENSE = [
    [],
    [notify(14)],
    [notify(14, b"\0\x0e")],
    [notify(7)],
    [notify(24)],
    [notify(16404, b"x")],
    [notify(16390)],
    [(33, b"")],
    [(40, bytes(32))],
    [(99, b"")],
    [(43, b"vendor")],
    [notify(5)],
    [notify(4)],
]


@pytest.mark.parametrize("parts", NONSENSE)
def test_whatever_anyone_says_in_clear_is_a_hint_n5(parts):
    made = silent()
    before = made.node.table.snapshot()
    for _ in range(3):
        says(made, *parts)
    assert len(made.sent) == 1 and not made.over and made.node.table.snapshot() == before
    made.wire = lambda to_gateway, octets: [octets]
    established(made)
    assert made.initiator.doubtful


def test_what_was_said_in_clear_is_the_reason_once_time_is_over_n5():
    made = silent()
    says(made, notify(14))
    says(made)
    failed(made, "NO_PROPOSAL_CHOSEN: the gateway takes none of our IKE suites")
    assert "unauthenticated" in made.initiator.reason and made.initiator.code == reasons.IKE_SUITE
    made = silent()
    says(made, notify(5))
    failed(made, "the gateway seems to refuse")
    made = silent()
    says(made)
    failed(made, "malformed response")
    made = failed(silent(), "no response to IKE_SA_INIT")
    assert "unauthenticated" not in made.initiator.reason and not made.initiator.doubtful


def good_answer(made):
    """The gateway's answer to the request that was sent, not delivered."""
    ((_, _, octets),) = made.gateway.receive(500, (DEVICE, 500), made.sent[-1][3])
    return octets


def believed(made):
    """True if the device goes on to IKE_AUTH."""
    made.run(lambda: made.initiator.next_timer(made.now) != 0)
    return len(requests(made, 35)) > 0


@pytest.mark.parametrize(
    ("at", "value"), [(0, None), (17, 0x10), (18, 35), (19, 0x28), (19, 0x08), (19, 0), (23, 1), (20, 1)]
)
def test_a_response_has_the_header_of_one_n6(at, value):
    made = silent()
    answer = bytearray(good_answer(made))
    answer[at] = answer[at] ^ 1 if value is None else value
    made.receive(answer)
    assert not believed(made) and not made.over
    made.receive(good_answer(made))
    assert believed(made)


def test_a_response_comes_from_the_gateways_address_n6():
    made = silent()
    answer = good_answer(made)
    assert made.receive(answer, source=endpoint(("192.0.2.2", 500))) == "drop-unencrypted"
    assert not believed(made)
    assert made.receive(answer) == "deliver-init"
    assert believed(made)


def test_spir_is_not_zero_n6():
    made = silent()
    answer = good_answer(made)
    made.receive(answer[:8] + bytes(8) + answer[16:])
    assert not believed(made)
    made.receive(answer)
    assert believed(made)


def test_a_minor_version_and_reserved_flags_are_ignored_n6():
    made = silent()
    answer = bytearray(good_answer(made))
    answer[17], answer[19] = 0x2F, 0x20 | 0xC7
    made.receive(answer)
    assert believed(made)


@pytest.mark.parametrize("size", [0, 15, 257, 1000])
def test_nonces_of_other_sizes_n7(size):
    made = attempt()
    made.gateway.tamper = tampering("IKE_SA_INIT response", replaced(40, bytes(size)))
    failed(made, "malformed response")


@pytest.mark.parametrize("size", [16, 256])
def test_nonces_of_the_least_and_greatest_size_n7(size):
    made = attempt()
    nonce = bytes(range(1, 17)) * (size // 16)
    random = made.gateway.random
    made.gateway.random = lambda n: nonce if n == 32 and len(made.gateway.said) else random(n)

    def change(parts):
        return [(kind, nonce if kind == 40 else body) for kind, body in parts]

    made.gateway.tamper = tampering("IKE_SA_INIT response", change)
    made.run(lambda: requests(made, 35))
    assert made.initiator.waiting  # whether it is right the gateway knows: the nonce of its keys is another one
    assert len(requests(made, 35)) >= 1


def two_of(kind):
    return lambda parts: parts + [part for part in parts if part[0] == kind]


@pytest.mark.parametrize("kind", [33, 34, 40])
def test_two_payloads_of_a_type_and_none_n7(kind):
    for change in (two_of(kind), replaced(kind, None)):
        made = attempt()
        made.gateway.tamper = tampering("IKE_SA_INIT response", change)
        failed(made, "malformed response")


def test_a_group_other_than_sent_n7():
    made = attempt()
    sa = scripted_gateway.proposal(1, 1, b"", scripted_gateway.transforms(1, "aes-cbc-256", 14))
    made.gateway.tamper = tampering("IKE_SA_INIT response", replaced(33, sa))
    failed(made, "malformed response")


@pytest.mark.parametrize(
    ("group", "value"),
    [
        (31, bytes(32)), (31, b"\1" + bytes(31)), (31, bytes(31)), (31, bytes(33)), (31, b""),
        (14, bytes(256)), (14, bytes(255) + b"\1"), (14, (scripted_gateway.P - 1).to_bytes(256, "big")), (14, b"\2"),
        (14, scripted_gateway.P.to_bytes(256, "big")), (14, b"\xff" * 256), (14, bytes(257)),
    ],
)  # fmt: skip
def test_values_that_give_the_secret_away_n8(group, value):
    made = attempt({"groups": (group,)})
    made.gateway.tamper = tampering("IKE_SA_INIT response", replaced(34, bytes((0, group, 0, 0)) + value))
    failed(made, "malformed response")
    assert not requests(made, 35)


def test_a_refused_value_costs_time_only_n8():
    made = silent()
    answer = bytearray(good_answer(made))
    at = bytes(answer).index(b"\0\x1f\0\0") + 4
    answer[at : at + 32] = bytes(32)
    made.receive(answer)
    made.run(lambda: made.initiator.next_timer(made.now) != 0)
    assert not requests(made, 35) and not made.over
    made.wire = lambda to_gateway, octets: [octets]
    established(made)


def test_what_is_sent_after_a_refused_value_is_whole_n3_n8():
    made = silent()
    answer = bytearray(good_answer(made))
    at = bytes(answer).index(b"\0\x1f\0\0") + 4
    answer[at : at + 32] = bytes(32)
    made.receive(answer)
    made.run(lambda: made.initiator.next_timer(made.now) != 0)
    says(made, notify(16390, b"cookie"))
    first, *_, last = requests(made)
    assert parts_of(last)[0][0] == 41 and parts_of(last)[1:] == parts_of(first)


def test_a_secret_with_leading_zeros_n8():
    """g^ir of MODP is padded to 256 octets: one in 256 begins with a zero."""
    exponents = iter(range(2, 1000))
    secret = [b"\1" * 32, b""]
    ours = pow(2, int.from_bytes(secret[0], "big"), scripted_gateway.P)
    their = next(x for x in exponents if pow(ours, x, scripted_gateway.P) >> 2040 == 0)
    made = attempt(
        {"groups": (14,)},
        random=lambda n: secret[0][:n].ljust(n, b"\1"),
    )
    made.gateway.random = lambda n: their.to_bytes(n, "big") if n == 32 else b"\5" * n
    established(made)


@pytest.mark.parametrize("wrong", [(35, 0), (35, 2), (37, 1)])
def test_a_response_to_ike_auth_has_its_exchange_and_message_id_n6(wrong):
    """The gateway's own, and sound but for that."""
    made = attempt()
    sealed = made.gateway._sealed
    made.gateway._sealed = lambda sa, exchange, number, *more: sealed(sa, *wrong, *more)
    failed(made, "no response to IKE_AUTH")


def test_a_forged_answer_costs_one_attempt_n9():
    made = silent()
    made.gateway.psk = b"of somebody else"
    made.receive(good_answer(made))
    assert believed(made)
    failed(made, "no response to IKE_AUTH")
    made.gateway = gate()
    made.events.clear()
    made.wire = lambda to_gateway, octets: [octets]
    made.begin()
    established(made)


def test_everything_after_ike_sa_init_is_on_4500_n10():
    made = attempt()
    established(made)
    assert [(via, port) for _, via, port, _ in made.sent] == [(500, 500), (4500, 4500)]
    assert made.sent[1][3][:4] == bytes(4)
    assert not made.initiator.successor.follows


def watched(made):
    """Payloads of the device's IKE_AUTH request, once it has run."""
    seen = []
    original = made.gateway._auth
    made.gateway._auth = lambda sa, parts: seen.append(parts) or original(sa, parts)
    made.run()
    return seen[0]


def test_what_ike_auth_says_n11_n18_n20_n22():
    parts = watched(attempt())
    assert [kind for kind, _ in parts] == [35, 39, 47, 33, 44, 45]
    assert scripted_gateway.of(parts, 35) == b"\2\0\0\0sensor-7"
    assert scripted_gateway.of(parts, 47) == bytes.fromhex("01000000 00010000 00030000")
    assert scripted_gateway.of(parts, 44) == scripted_gateway.of(parts, 45) == scripted_gateway.selectors("0.0.0.0/0")
    ((number, protocol, spi, transforms),) = scripted_gateway.proposals(scripted_gateway.of(parts, 33))
    assert (number, protocol, len(spi)) == (1, 3, 4) and any(spi[:3])
    assert transforms == [(1, 12, 256), (1, 12, 128), (3, 12, 0), (5, 0, 0)]


def test_what_ike_auth_says_when_configured_n11_n20():
    made = Attempt(gate(), {"gateway_id": "gateway.example", "inside": b"\x0a\x4d\0\7"}, initial_contact=True)
    parts = watched(made)
    assert [kind for kind, _ in parts] == [35, 41, 36, 39, 33, 44, 45]
    assert parts[1] == notify(16384)
    assert scripted_gateway.of(parts, 36) == b"\2\0\0\0gateway.example"
    assert scripted_gateway.of(parts, 44) == scripted_gateway.selectors("10.77.0.7/32")
    assert made.initiator.child.inside == endpoint_range("10.77.0.7/32")


def test_name_servers_come_with_the_address_n20_w5():
    made = attempt()
    made.gateway.servers = ("10.77.0.53", "10.77.0.54")
    established(made)
    assert made.initiator.child.servers == bytes((10, 77, 0, 53, 10, 77, 0, 54))
    made = Attempt(gate(), {"inside": b"\x0a\x4d\0\7"})  # without CFG_REQUEST what comes unasked is not taken
    made.gateway.servers = ("10.77.0.53",)
    reply = struct.pack(">IHHIHHI", 2 << 24, 1, 4, 0x0A4D0007, 3, 4, 0x0A4D0035)
    made.gateway.tamper = tampering("IKE_AUTH response", lambda parts: [*parts, (47, reply)])
    assert made.run().initiator.child.servers == b""


def test_the_address_that_we_have_is_asked_for_n11_k5():
    made = Attempt(gate(pool="10.77.0.9"), address=b"\x0a\x4d\0\x09")
    assert scripted_gateway.of(watched(made), 47) == bytes.fromhex("01000000 00010004 0a4d0009 00030000")


def test_a_wrong_psk_by_the_gateways_word_n14():
    made = failed(attempt({"psk": b"another psk of 16 octets"}), "AUTHENTICATION_FAILED: ")
    for what in ("id", "psk", "gateway_id"):
        assert what in made.initiator.reason
    assert made.initiator.code == 24 and not made.initiator.doubtful
    assert len(made.sent) == 2  # there is nothing to delete


def test_a_wrong_psk_after_meddling_is_doubtful_n14():
    made = failed(attempt({"psk": b"another psk of 16 octets"}, cookies=True), "AUTHENTICATION_FAILED: ")
    assert made.initiator.doubtful
    made = silent()
    made.policy.psk = b"another"
    says(made, notify(14))
    made.wire = lambda to_gateway, octets: [octets]
    assert failed(made, "AUTHENTICATION_FAILED: ").initiator.doubtful


def test_an_id_that_the_gateway_has_not_n14():
    failed(attempt({"gateway_id": "other.example"}), "AUTHENTICATION_FAILED: ")


def wrong_auth(parts):
    body = scripted_gateway.of(parts, 39)
    return replaced(39, body[:-1] + bytes((body[-1] ^ 1,)))(parts)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (wrong_auth, "wrong AUTH"),
        (lambda parts: replaced(39, b"\1" + scripted_gateway.of(parts, 39)[1:])(parts), "wrong AUTH"),
        (lambda parts: replaced(39, scripted_gateway.of(parts, 39) + b"\0")(parts), "wrong AUTH"),
        (replaced(39, b""), "wrong AUTH"),
        (replaced(36, b"\2\0\0\0other.example"), "another IDr"),
        (replaced(36, b"\3\0\0\0gateway.example"), "another IDr"),
        (replaced(36, b""), "another IDr"),
        (replaced(36, None), "another IDr"),
    ],
)
def test_a_gateway_that_cannot_be_believed_is_told_so_n13(change, word):
    made = attempt({"gateway_id": "gateway.example"})
    made.gateway.tamper = tampering("IKE_AUTH response", change)
    failed(made, word)
    assert made.gateway.said[-1] == "notified of 24" and made.gateway.sas == []
    assert made.node.table.ike_sas() == []


def test_any_id_will_do_if_none_is_configured_n13():
    established(attempt(id="whoever.example"))
    made = attempt()
    made.gateway.tamper = tampering("IKE_AUTH response", replaced(36, b"\2\0\0\0other.example"))
    failed(made, "wrong AUTH")  # but it is part of what is signed


def test_an_error_beside_a_wrong_auth_is_not_believed_n13():
    made = attempt(pool=None)
    made.gateway.tamper = tampering("IKE_AUTH response", wrong_auth)
    failed(made, "wrong AUTH")


@pytest.mark.parametrize("kind", [1, 7, 14, 17, 24, 34, 35, 36, 37, 38, 43, 9999])
def test_a_refused_child_sa_n15(kind):
    made = attempt()
    made.gateway.refuse = kind
    failed(made, "error 9999" if kind == 9999 else "").initiator.reason.index(": ")
    assert made.initiator.code == kind
    assert made.gateway.said == [f"refused with {kind}", "deleted by the peer"]
    assert made.gateway.sas == []


def test_the_farewell_is_repeated_and_ends_n15():
    made = attempt(pool=None)
    made.gateway.tamper = lambda what, parts: None if what == "INFORMATIONAL response" else parts
    failed(made, "INTERNAL_ADDRESS_FAILURE: ")
    assert len(requests(made, 37)) == 3 and len(set(requests(made, 37))) == 1


def test_an_error_without_auth_is_the_reason_n13():
    made = attempt()
    made.gateway.tamper = tampering("IKE_AUTH response", lambda parts: [notify(16404), notify(43)])
    failed(made, "TEMPORARY_FAILURE: ")
    assert not requests(made, 37)
    made = attempt()
    made.gateway.tamper = tampering("IKE_AUTH response", lambda parts: [])
    failed(made, "malformed response")


BAD_SELECTORS = [
    b"", scripted_gateway.selectors(), scripted_gateway.selectors(*["10.0.0.0/24"] * 9),
    scripted_gateway.selectors("0.0.0.0/0"), scripted_gateway.selectors("10.1.0.0/16", "11.0.0.0/8"),
    scripted_gateway.selectors("10.1.0.0/16")[:-1],
    b"\1\0\0\0" + struct.pack(">BBHHH", 8, 0, 40, 0, 65535) + bytes(32),
]  # fmt: skip


@pytest.mark.parametrize("side", [44, 45])
@pytest.mark.parametrize("body", BAD_SELECTORS)
def test_selectors_beyond_ours_n16(side, body):
    made = attempt({"remote": endpoint_range("10.0.0.0/8"), "inside": b"\x0a\x4d\0\2"}, networks=("10.1.0.0/16",))
    made.gateway.tamper = tampering("IKE_AUTH response", replaced(side, body))
    failed(made, "wrong selectors")
    assert made.gateway.said[-1] == "deleted by the peer"


def test_narrower_selectors_are_honoured_n16():
    networks = ("10.1.0.0/16", ("10.2.0.0/16", 17, 5683))
    made = attempt({"remote": endpoint_range("10.0.0.0/8")}, networks=networks)
    established(made)
    body = scripted_gateway.selectors(*networks)
    assert made.initiator.child.remote == body[5:6] + body[8:20] + body[21:22] + body[24:]


@pytest.mark.parametrize("kind", [33, 44, 45])
def test_a_child_sa_needs_all_of_its_payloads_n16(kind):
    for change in (replaced(kind, None), two_of(kind)):
        made = attempt()
        made.gateway.tamper = tampering("IKE_AUTH response", change)
        failed(made, "malformed response")
        assert made.gateway.said[-1] == "deleted by the peer"


def test_what_is_malformed_behind_all_that_is_needed_n13():
    """A Notify shorter than one, in octets of the gateway's own."""
    made = attempt()
    made.gateway.tamper = tampering("IKE_AUTH response", lambda parts: [*parts, (41, b"\0")])
    failed(made, "malformed response")
    assert made.gateway.said[-1] == "deleted by the peer"


@pytest.mark.parametrize(
    "sa",
    [
        scripted_gateway.proposal(1, 3, b"\1\2\3\4", scripted_gateway.transforms(3, "aes-gcm-16-128")),
        scripted_gateway.proposal(1, 3, b"\1\2\3\4", [(1, 12, 128), (3, 12, 0), (5, 1, 0)]),
        scripted_gateway.proposal(1, 3, b"\0\0\0\xff", scripted_gateway.transforms(3, "aes-cbc-128")),
        scripted_gateway.proposal(1, 3, b"\1\2\3", scripted_gateway.transforms(3, "aes-cbc-128")),
        scripted_gateway.proposal(1, 1, b"\1\2\3\4", scripted_gateway.transforms(3, "aes-cbc-128")),
        scripted_gateway.proposal(1, 3, b"\1\2\3\4", scripted_gateway.transforms(3, "aes-cbc-128", 31)),
    ],
)
def test_an_esp_suite_that_we_did_not_offer_n16(sa):
    made = attempt()
    made.gateway.tamper = tampering("IKE_AUTH response", replaced(33, sa))
    failed(made, "wrong ESP suite")
    assert made.gateway.said[-1] == "deleted by the peer"


def test_unknown_payloads_are_ignored_unless_critical_n17():
    made = attempt()
    made.gateway.tamper = lambda what, parts: [(200, b"?"), (43, b"vendor"), notify(40000, b"?"), *parts, (201, b"")]
    established(made)
    made = silent()
    answer = good_answer(made)
    size = len(answer) + 4
    critical = (
        answer[:16] + b"\xc8" + answer[17:24] + size.to_bytes(4, "big") + bytes((answer[16], 0x80, 0, 4)) + answer[28:]
    )
    made.receive(critical)
    assert not believed(made)
    failed(made, "UNSUPPORTED_CRITICAL_PAYLOAD")


def test_an_unknown_critical_payload_in_ike_auth_ends_the_attempt_n17(monkeypatch):
    made = attempt()
    original = scripted_gateway.chain

    def chain(parts):
        first, octets = original(parts)
        if first == 36:  # IDr: it is the IKE_AUTH response
            return 200, bytes((first, 0x80, 0, 4)) + octets
        return first, octets

    monkeypatch.setattr(scripted_gateway, "chain", chain)
    failed(made, "UNSUPPORTED_CRITICAL_PAYLOAD")
    assert made.gateway.said[-1] == "deleted by the peer"


def test_the_critical_bit_of_known_payloads_is_ignored_n17(monkeypatch):
    made = attempt()
    original = scripted_gateway.chain

    def chain(parts):
        first, octets = original(parts)
        return first, octets[:1] + b"\x80" + octets[2:]

    monkeypatch.setattr(scripted_gateway, "chain", chain)
    established(made)


def test_we_never_respond_to_ike_sa_init_n19():
    made = attempt()
    established(made)
    before = len(made.sent)
    request = bytearray(made.sent[0][3])
    assert made.receive(request) == "deliver-init"
    request[0] ^= 1
    assert made.receive(request) == "deliver-init"
    made.exchange()
    assert len(made.sent) == before and len(made.node.table.ike_sas()) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"", bytes.fromhex("02000000"), bytes.fromhex("02000000 00010000"), bytes.fromhex("01000000 00010004 0a4d0002"),
        bytes.fromhex("02000000 00010004 e0000001"), bytes.fromhex("02000000 00010004 0a4d0003"), None,
    ],
)  # fmt: skip
def test_no_address_although_asked_n20(body):
    made = attempt()
    made.gateway.tamper = tampering("IKE_AUTH response", replaced(47, body))
    failed(made, "no address")
    assert made.gateway.said[-1] == "deleted by the peer"


def test_the_gateway_gives_addresses_itself_n20():
    made = attempt({"inside": b"\x0a\x4d\0\7"})
    made.gateway.refuse = 37
    assert "leave inside empty" in failed(made, "FAILED_CP_REQUIRED: ").initiator.reason


def test_the_lifetime_that_the_gateway_gives_k5():
    made = attempt()
    made.gateway.lifetime = 3600
    established(made)
    assert made.node.owners[made.slot].lifetime == b"\0\0\x0e\x10"


def test_a_table_without_room():
    made = Attempt(gate(), table=(1, 1))
    table = made.node.table
    table.adopt_child(made.slot, 50, b"\1\2\3\4", b"\5\6\7\x08")
    failed(made, "no room")


class Failing:
    """A group that cannot be done here."""

    number, size, value = 31, 32, None

    def __init__(self, error):
        self.error = error

    def begin(self, peer=None):
        pass

    def step(self):
        raise self.error


@pytest.mark.parametrize(
    ("error", "words"),
    [(MemoryError("full"), "no room"), (NotImplementedError("X25519: wrong answers on this machine"), "wrong answers")],
)
def test_keys_that_cannot_be_made(monkeypatch, error, words):
    monkeypatch.setattr(initial, "group", lambda number, random: Failing(error))
    made = failed(attempt(), "no keys could be made: ")
    assert words in made.initiator.reason and not made.sent


def test_a_group_that_this_machine_has_not_n4(monkeypatch):
    original = initial.group

    def group(number, random):
        if number == 14:
            raise NotImplementedError("MODP-2048")
        return original(number, random)

    monkeypatch.setattr(initial, "group", group)
    made = silent()
    says(made, notify(17, b"\0\x0e"))
    assert len(made.sent) == 1
    made.wire = lambda to_gateway, octets: [octets]
    established(made)


def test_an_attempt_begins_with_an_ike_sa_of_ours():
    made = attempt()
    established(made)
    with pytest.raises(ValueError):
        initiator.Initiator(made.node, made.slot, made.policy, 0)
    table = SpiTable(2, 2)
    made.node.table = table
    slot = table.add_ike(made.node.random, False, endpoint((GATEWAY, 500)))
    with pytest.raises(ValueError):
        initiator.Initiator(made.node, slot, made.policy, 0)


def test_a_gateway_with_one_port_is_asked_for_all_there_n10():
    made = attempt()
    node, to = made.node, endpoint((GATEWAY, 14500))
    node.remove(made.slot, reasons.REMOVED)
    slot = node.table.add_ike(node.random, True, to)
    node.attach(slot, initiator.Initiator(node, slot, made.policy, 0))
    gateway, sent = Gateway(PSK), []
    while len(sent) < 2:
        node.tick(0)
        length = node.outgoing(0)
        if length:
            sent.append((node.out_via, bytes(node.out_to), bytes(node.out[:4]), node.out[4 + 18]))
            for _, _, answer in gateway.receive(4500, (DEVICE, 4500), bytes(node.out[:length])):
                node.receive(4500, to, answer, len(answer), 0)
    assert sent == [(4500, to, bytes(4), 34), (4500, to, bytes(4), 35)]


def test_nothing_shows_the_psk():
    made = failed(attempt({"psk": b"something very secret"}), "")
    for thing in (made.initiator, made.policy, made.initiator.reason, *made.events):
        assert "secret" not in repr(thing)


@pytest.mark.parametrize("size, up", [(2700, True), (3000, False)])
def test_a_response_with_the_names_of_many_cas_is_read_n5_n17(size, up):
    """CERTREQ has twenty octets for each; what no datagram of a board has room for is malformed."""
    made = Attempt(gate())
    made.gateway.tamper = tampering("IKE_SA_INIT response", lambda parts: [*parts, (38, bytes(size))])
    made.run(lambda: made.initiator.successor or made.now > 5000)
    assert bool(made.initiator.successor) == up


def test_the_longest_message_is_as_announced():
    policy = {
        "id": "ä" * 100, "gateway_id": "ö" * 90, "ciphers": SUITES, "remote": endpoint_range("10.0.0.0/8") * 8,
    }  # fmt: skip
    made = Attempt(gate(groups=(14,)), policy, initial_contact=True, address=bytes(4))
    made.gateway.id = b"\2\0\0\0" + ("ö" * 90).encode()
    cookie = notify(16390, b"c" * 64)
    made.run(lambda: made.sent)
    longest = made.initiator.longest
    made.receive(of_gateway(made, [cookie]))
    made.gateway.networks = ("10.0.0.0/8",)
    made.run()
    assert made.initiator.successor, made.initiator.reason
    assert max(len(octets) for _, _, _, octets in made.sent) <= longest + 4


# Bad input.


class Counted:
    """Octets that look random and are always the same."""

    def __init__(self, seed):
        self.seed = seed
        self.count = 0

    def __call__(self, n):
        octets = b""
        while len(octets) < n:
            self.count += 1
            octets += hashlib.sha256(b"%d %d" % (self.seed, self.count)).digest()
        return octets[:n]


def waiting(exchange):
    """An attempt that waits for the response to IKE_SA_INIT or IKE_AUTH, and that response."""
    made = Attempt(Gateway(PSK, random=Counted(1)), {"groups": (31,)}, random=Counted(2))
    answers = []

    def wire(to_gateway, octets):
        marker = 4 * (octets[:4] == bytes(4))
        if not to_gateway and octets[marker + 18] == exchange:
            answers.append(octets)
            return []
        return [octets]

    made.wire = wire
    made.run(lambda: answers)
    made.wire = lambda to_gateway, octets: [octets]
    return made, answers[0]


def harmless(made, octets, via):
    """No exception, nothing longer said than came, one attempt lost at worst."""
    before = len(made.sent)
    made.receive(octets, via)
    made.wire = lambda to_gateway, octets: []
    made.exchange()
    assert sum(len(said) for _, _, _, said in made.sent[before:]) <= max(len(octets), 0)


@pytest.mark.parametrize("exchange", [34, 35])
def test_every_truncation_of_a_response(exchange):
    made, answer = waiting(exchange)
    via = 500 if exchange == 34 else 4500
    marker = 0 if via == 500 else 4
    for size in range(len(answer)):
        cut = answer[:size]
        harmless(made, cut, via)
        if size >= marker + 28:  # and with a length field that is right
            harmless(made, cut[: marker + 24] + (size - marker).to_bytes(4, "big") + cut[marker + 28 :], via)
        assert not made.over and made.initiator.waiting
        assert not made.initiator._init.busy
    made.wire = lambda to_gateway, octets: [octets]
    made.receive(answer, via)
    established(made)


@pytest.mark.parametrize("exchange", [34, 35])
def test_every_flipped_bit_of_a_response(exchange):
    made, answer = waiting(exchange)
    via = 500 if exchange == 34 else 4500
    value = answer.index(b"\0\x1f\0\0") + 4 if exchange == 34 else 0
    for bit in range(8 * len(answer)):
        octets = bytearray(answer)
        octets[bit // 8] ^= 1 << bit % 8
        if exchange == 34 and value < bit // 8 < value + 31:
            continue  # any value is a public value
        harmless(made, octets, via)
        if made.initiator._init.busy:
            assert exchange == 34 and essence(octets) == essence(answer)
            made, _ = waiting(exchange)
        assert not made.over
    made.wire = lambda to_gateway, octets: [octets]
    made.receive(answer, via)
    established(made)


def essence(octets):
    """What must be the same in a response that is believed."""
    parts = parts_of(octets)
    return (
        scripted_gateway.proposals(scripted_gateway.of(parts, 33)),
        scripted_gateway.of(parts, 34)[:2],
        len(scripted_gateway.of(parts, 40)),
    )


def test_a_hundred_payloads_and_64_kb():
    made = silent()
    huge = of_gateway(made, [(43, bytes(60000)), *parts_of(good_answer(made))], spi_r=b"spi of r")
    harmless(made, huge, 500)
    harmless(made, of_gateway(made, [notify(14)] * 8000, spi_r=b"spi of r"), 500)
    harmless(made, of_gateway(made, [(33, b"")] * 100), 500)
    assert not made.initiator._init.busy and not made.over
    made.wire = lambda to_gateway, octets: [octets]
    established(made)
    made = attempt()
    made.gateway.tamper = lambda what, parts: [*parts, *[(43, b"vendor")] * 100]
    established(made)


def test_nested_proposals():
    made = silent()
    inner = scripted_gateway.proposal(1, 1, b"", scripted_gateway.transforms(1, "aes-cbc-256", 31))
    for _ in range(20):
        inner = struct.pack(">BBHBBBB", 0, 0, 8 + len(inner), 1, 1, 0, 1) + inner
    says(made, *replaced(33, inner)(parts_of(good_answer(made))))
    assert not believed(made) and not made.over


@given(st.data())
@settings(deadline=None, max_examples=150)
def test_mutated_responses_never_raise(data):
    exchange = data.draw(st.sampled_from([34, 35]))
    made, answer = waiting(exchange)
    octets = bytearray(answer)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(octets) - 1))
        octets[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    marker = 0 if exchange == 34 else 4
    if len(octets) >= marker + 28 and data.draw(st.booleans()):
        octets[marker + 24 : marker + 28] = (len(octets) - marker).to_bytes(4, "big")
    harmless(made, octets, 500 if exchange == 34 else 4500)
    made.run()
    assert made.over


@given(st.data())
@settings(deadline=None, max_examples=150)
def test_mutated_payloads_of_a_gateway_that_has_the_keys(data):
    made = attempt({"groups": (31,)})

    def tamper(what, parts):
        if what != "IKE_AUTH response":
            return parts
        parts = list(parts)
        for _ in range(data.draw(st.integers(1, 3))):
            i = data.draw(st.integers(0, len(parts) - 1))
            kind, body = parts[i]
            body = bytearray(body)
            if body:
                body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
            kind = data.draw(st.sampled_from([kind, kind, kind, 41, 42, 46, 0x99]))
            parts[i] = kind, bytes(body[: data.draw(st.integers(0, len(body)))])
        return parts

    made.gateway.tamper = tamper
    made.run()
    assert made.over
    assert made.initiator.failed == (made.node.table.ike_sas() == [])
