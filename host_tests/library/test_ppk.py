"""A PPK mixed into the keys (RFC 8784): both roles with each other and with another make, asleep, and who pays."""

import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ikev2.config import ConfigError, parse
from ikev2.initial.peers import Peers
from ikev2.initial.ppk import Ppk
from ikev2.sa import keys, reasons
from ipsec import Tunnel, sleep
from tools import device_environment

from library.accepting import PSK, Accepting, Device, peers
from library.attempt import Attempt
from library.machines import on_unix
from library.scripted_caller import Caller
from library.scripted_gateway import NO_PPK_AUTH, PPK_IDENTITY, USE_PPK, Gateway, notifies, notify, payloads, prf_plus
from library.test_sleep import Board

PPK = "sensor-1.ppk", b"of no value, but 32 octets long or more"
OTHER = "sensor-1.ppk", b"another ppk of more than 32 octets"


def gate(given=PPK, tamper=None, **more):
    gateway = Gateway(PSK, **more)
    gateway.ppk = given
    gateway.tamper = tamper or gateway.tamper
    return gateway


def without(what, kind):
    """Leaves that notify out of those messages of a gateway."""
    return lambda its, parts: [part for part in parts if part[:1] != (41,) or its != what or part[1][2:4] != kind]


def attempt(gateway=None, policy=None, **more):
    return Attempt(gateway or gate(), {"ppk": PPK, **(policy or {})}, **more).run()


def inits(made):
    return [notifies(payloads(octets[16], octets[28:])) for _, via, _, octets in made.sent if via == 500]


def asked(made):
    """The notifies of the IKE_AUTH request, which the gateway has opened."""
    auth = made.gateway._auth
    found = []
    made.gateway._auth = lambda sa, parts: found.append(notifies(parts)) or auth(sa, parts)
    made.run()
    return found[0]


@pytest.mark.parametrize("more", [{}, {"cookies": True}, {"groups": (14,)}, {"groups": (14,), "cookies": True}])
def test_it_is_asked_for_in_every_form_and_named_in_ike_auth_q1(more):
    made = Attempt(gate(**more), {"ppk": PPK})
    said = asked(made)
    assert all(found[USE_PPK] == (b"", b"") for found in inits(made))
    assert said[PPK_IDENTITY] == (b"", b"\2sensor-1.ppk") and NO_PPK_AUTH not in said
    assert made.initiator.child


def test_who_has_none_says_nothing_of_it_q1():
    made = Attempt(gate(), {})
    said = asked(made)
    assert not any(USE_PPK in found for found in inits(made)) and PPK_IDENTITY not in said
    assert made.initiator.child


def test_a_response_without_use_ppk_is_a_hint_q1():
    """Forged, it costs nothing; from the gateway itself, the attempt ends with its time and says why."""
    made = attempt(gate(None))
    assert made.initiator.code == reasons.NO_PPK and made.now == 15500 and made.initiator.doubtful
    assert made.initiator.reason.endswith("(unauthenticated, perhaps not from the gateway)")
    assert len(inits(made)) == 5 and not made.gateway.said

    made = Attempt(gate(), {"ppk": PPK})
    forger = Gateway(PSK)

    def wire(to_gateway, octets):
        if to_gateway and octets[18] == 34:
            for _, _, forged in forger.receive(500, ("198.51.100.7", 500), octets):
                made.receive(forged, 500)
        return [octets]

    made.wire = wire
    assert made.run().initiator.child and made.initiator.doubtful and forger.sas


def test_a_response_without_ppk_identity_ends_it_q1():
    """A gateway that went on without it, and one that says so only in the notify."""

    def forgets(gateway):
        gateway.ppk = None
        return gateway

    made = Attempt(gate(), {"ppk": PPK})
    said = made.gateway._auth
    made.gateway._auth = lambda sa, parts: forgets(made.gateway) and said(sa, parts)
    assert made.run().initiator.reason.startswith("AUTHENTICATION_FAILED")  # for want of NO_PPK_AUTH

    made = attempt(gate(tamper=without("IKE_AUTH response", b"\x40\x34")))
    assert made.initiator.code == reasons.NO_PPK and not made.initiator.doubtful
    assert made.gateway.said[-1] == "notified of 24" and made.gateway.sas == []


@pytest.mark.parametrize("data", [b"", b"\2sensor-1.ppk", b"\1", bytes(200)])
def test_what_is_in_the_ppk_identity_of_a_response_is_ignored_q1(data):
    def tamper(what, parts):
        mine = notify(PPK_IDENTITY)
        return [notify(PPK_IDENTITY, data) if part == mine else part for part in parts]

    assert attempt(gate(tamper=tamper)).initiator.child


def test_a_gateway_that_says_so_unasked_is_taken_as_it_is_n17():
    def tamper(what, parts):
        return [*parts, notify(USE_PPK) if what == "IKE_SA_INIT response" else notify(PPK_IDENTITY)]

    assert attempt(gate(None, tamper), {"ppk": None}).initiator.child


@pytest.mark.parametrize("theirs", [OTHER, ("sensor-2.ppk", PPK[1])])
def test_another_ppk_or_id_fails_and_no_secret_is_shown_q3(theirs):
    made = attempt(gate(theirs))
    assert made.initiator.reason.startswith("AUTHENTICATION_FAILED") and "ppk" in made.initiator.reason
    assert PPK[1].decode() not in repr((made.initiator.reason, made.events))
    assert made.gateway.sas == []


@pytest.mark.parametrize("octets", [bytes(32), bytes(64), bytes(65), bytes(range(200))])
def test_the_three_keys_are_mixed_each_by_itself_and_no_other_q2(octets):
    class Keys:
        sk_d, ours, theirs, sa = bytes(32), (b"I", b"Nr", b"1" * 32), (b"R", b"Ni", b"2" * 32), "untouched"

    Ppk(b"", "id", octets).mix(Keys)
    assert [Keys.sk_d, Keys.ours[2], Keys.theirs[2]] == [
        prf_plus(octets, key, 32) for key in (bytes(32), b"1" * 32, b"2" * 32)
    ]
    assert Keys.sa == "untouched" and Keys.ours[:2] == (b"I", b"Nr") and Keys.theirs[:2] == (b"R", b"Ni")


# With each other, and Table 1 of RFC 8784 section 3 for who accepts.


def up(device, **hub):
    return Accepting(device, peers=peers(2, **hub)).begin().run()


@pytest.mark.parametrize("ciphers", [("aes-cbc-256",), ("aes-gcm-16-256",)])
def test_two_of_ours_have_the_same_keys_q2_q4(ciphers):
    device = Device(1, ppk=PPK, ciphers=ciphers)
    hub = up(device, ppks={1: PPK}, ciphers=ciphers)
    (_, accepted) = hub.admitted[0]
    assert (device.child.key_in, device.child.key_out) == (accepted.child.key_out, accepted.child.key_in)
    assert accepted.peer.ppk.octets == PPK[1]
    ike = hub.node.owners[hub.admitted[0][0]]
    assert ike.rekeys.sk_d == device.initiator.successor.rekeys.sk_d


@pytest.mark.parametrize("ours, theirs, reason", [
    (PPK, {}, "no PPK"),  # nobody there has one: no USE_PPK
    (PPK, {2: ("sensor-2.ppk", PPK[1])}, "AUTHENTICATION_FAILED"),  # somebody else has one
    (None, {1: PPK}, "AUTHENTICATION_FAILED"),
    (OTHER, {1: PPK}, "AUTHENTICATION_FAILED"),
    (("sensor-2.ppk", PPK[1]), {1: PPK, 2: ("sensor-2.ppk", PPK[1])}, "AUTHENTICATION_FAILED"),  # another's id
    (("Sensor-1.ppk", PPK[1]), {1: PPK}, "AUTHENTICATION_FAILED"),
])  # fmt: skip
def test_who_has_not_the_same_is_refused_q3_q4(ours, theirs, reason):
    device = Device(1, ppk=ours)
    hub = up(device, ppks=theirs)
    assert device.initiator.reason.startswith(reason) and hub.admitted == []


def test_who_has_none_comes_to_a_hub_where_others_have_one_q4():
    device = Device(1)
    assert up(device, ppks={2: PPK}).admitted and device.child


def called(theirs, **caller):
    """A scripted caller after a call of sensor-1 to a hub with those PPKs."""
    hub = Accepting(peers=peers(2, ppks=theirs))
    made = Caller(PSK, "sensor-1", random=os.urandom, **caller)
    request, via = made.first(), 500
    while request:
        source = b"\xc6\x33\x64\x07" + via.to_bytes(2, "big")
        before = len(hub.sent)
        hub.at_hub(via, source, bytes(4 * (via == 4500)) + request)
        while len(hub.sent) == before:
            assert hub.step()
        request = made.hear(hub.sent[-1][3][4 * (via == 4500) :])
        via = 4500
    return made


def leaving(*kinds):
    """IKE_AUTH without these notifies."""
    return lambda what, parts: [p for p in parts if p[0] != 41 or int.from_bytes(p[1][2:4], "big") not in kinds]


TABLE = [
    # USE_PPK and NO_PPK_AUTH of the caller, what is configured for it here; what comes of it: mixed, plain, no
    (False, {}, "plain"),
    (False, {2: PPK}, "plain"),
    (False, {1: PPK}, "no"),
    ("mandatory", {}, "plain"),  # no USE_PPK in the response: the caller goes on without
    ("mandatory", {2: PPK}, "no"),
    ("optional", {2: PPK}, "plain"),
    ("optional", {1: OTHER}, "no"),
    ("mandatory", {1: PPK}, "mixed"),
    ("optional", {1: PPK}, "mixed"),
]


@pytest.mark.parametrize("caller, theirs, what", TABLE)
def test_table_1_q4(caller, theirs, what):
    made = called(theirs, ppk=PPK if caller else None, optional_ppk=caller == "optional")
    assert (made.mixed, bool(made.child)) == (what == "mixed", what != "no")
    assert made.refused == (24 if what == "no" else 0)
    assert (USE_PPK in made.said) == bool(caller and theirs)


@pytest.mark.parametrize("theirs", [{1: PPK}, {2: PPK}])
@pytest.mark.parametrize("optional", [False, True])
def test_use_ppk_and_then_no_ppk_identity_fails_always_q4(theirs, optional):
    made = called(theirs, ppk=PPK, optional_ppk=optional, changes=leaving(PPK_IDENTITY))
    assert made.refused == 24 and not made.child


def test_no_ppk_auth_is_not_taken_where_the_ppk_is_required_or_wrong_q4():
    for change in (lambda data: data[:-1] + bytes((data[-1] ^ 1,)), lambda data: data[:-1], lambda data: data + b"0"):

        def changes(what, parts, change=change):
            return [
                (kind, change(body)) if kind == 41 and body[2:4] == b"\x40\x35" else (kind, body)
                for kind, body in parts
            ]

        assert called({2: PPK}, ppk=PPK, optional_ppk=True, changes=changes).refused == 24
    assert called({1: ("other", PPK[1])}, ppk=PPK, optional_ppk=True).refused == 24
    for change in (
        lambda body: b"\1" + body[1:],
        lambda body: b"",
        lambda body: body[:3],
    ):  # of AUTH: its method counts

        def changes(what, parts, change=change):
            return [(kind, change(body)) if kind == 39 else (kind, body) for kind, body in parts]

        assert called({2: PPK}, ppk=PPK, optional_ppk=True, changes=changes).refused == 24


@pytest.mark.parametrize("kind", [b"\1", b"\0", b"\3", b""])
def test_another_type_of_ppk_id_is_nobodys_q3(kind):
    def changes(what, parts):
        named = notify(PPK_IDENTITY, b"\2" + PPK[0].encode())
        return [notify(PPK_IDENTITY, kind + PPK[0].encode()) if part == named else part for part in parts]

    assert called({1: PPK}, ppk=PPK, changes=changes).refused == 24


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.booleans())
def test_any_octets_in_ppk_identity_are_refused_in_the_same_words_q3(data, optional):
    def changes(what, parts):
        named = notify(PPK_IDENTITY, b"\2" + PPK[0].encode())
        return [notify(PPK_IDENTITY, data) if part == named else part for part in parts]

    assert called({1: PPK}, ppk=PPK, optional_ppk=optional, changes=changes).refused == (
        0 if data == b"\2" + PPK[0].encode() else 24
    )


def test_whoever_is_refused_has_cost_the_same_work_q3_a8(monkeypatch):
    """By the prf made of what was said: an id with a PPK, one without and nobody's, whatever the caller has."""
    work = {}
    for with_ppk in (PPK, OTHER, ("nobody", PPK[1]), None):
        for id in ("sensor-1", "sensor-2", "sensor-9"):
            count = []

            def counted(call, count=count):
                return lambda *given: count.append(1) or call(*given)

            monkeypatch.setattr(keys, "prf", counted(keys.prf))
            device = Device(1, id=id, psk=b"quite another psk, of 28 oct", ppk=with_ppk)
            hub = Accepting(device, peers=peers(2, ppks={1: PPK}))
            hub.begin().run(lambda hub=hub: bool(hub.refused), 3000)
            assert hub.refused
            work.setdefault(with_ppk is None, set()).add(len(count))
            monkeypatch.undo()
    assert all(len(counts) == 1 for counts in work.values()), work


# Lives with it.


@pytest.fixture
def board():
    sleep._restored.clear()
    made = Board(ppk=PPK)
    made.gateway.ppk = PPK
    made.until(lambda: made.life.up)
    return made


def test_rekeys_of_both_kinds_and_sleep_with_it_q2_q4_z2(board):
    assert board.reading()
    for _ in range(2):
        board.says(board.gateway.rekey_child(board.sa))
        board.run(2000)
        assert board.reading()
        board.says(board.gateway.rekey_ike(board.sa))
        board.run(2000)
        assert board.reading()
        assert board.sleeps(60000) and board.reading()
    assert board.gateway.said.count("established") == 1 and board.lost == 0


@pytest.mark.parametrize("change", [None, OTHER, ("another", PPK[1])])
def test_another_ppk_is_another_configuration_q4_z2(board, change):
    rtc = board.keeps()
    mine, board.policy.ppk = board.policy.ppk, change and Ppk(PSK, *change)
    assert not board.wakes(rtc, 0)
    board.policy.ppk = mine
    assert board.wakes(rtc, 0)


# What may be configured.

GOOD = {"gateway": "vpn.example.org", "id": "sensor-7", "psk": "of no value, but 32 octets long or so"}
REFUSED = [
    ({"ppk": PPK[1].decode()}, "'ppk_id' must be a string of at least 1 octet and at most 200"),
    ({"ppk_id": "x"}, "'ppk' must be at least 32 octets; make psk prints a good one"),
    (
        {"ppk": "secret-8" * 3 + "1234567", "ppk_id": "x"},
        "'ppk' must be at least 32 octets; make psk prints a good one",
    ),
    ({"ppk": PPK[1].decode(), "ppk_id": "x" * 201}, "'ppk_id' must be a string of at least 1 octet and at most 200"),
    ({"ppk": GOOD["psk"], "ppk_id": "x"}, "'ppk' must be another secret than 'psk'"),
]


@pytest.mark.parametrize(("changes", "says"), REFUSED)
def test_what_cannot_be_is_refused_alike_by_file_tunnel_and_hub_q3(changes, says):
    with pytest.raises(ConfigError) as refused:
        parse(repr({**GOOD, **changes}).replace("'", '"').encode())
    assert str(refused.value) == "ikev2.json, line 1: " + says
    given = changes.get("ppk_id", ""), changes.get("ppk", "").encode()
    with pytest.raises(ValueError) as refused:
        Tunnel(**{**GOOD, "psk": GOOD["psk"].encode()}, ppk=given)
    assert str(refused.value) == says
    with pytest.raises(ValueError) as refused:
        Peers("hub", b"\x0a\x09\0\1").add("sensor-7", GOOD["psk"].encode(), ppk=given)
    assert str(refused.value) == "peer sensor-7: " + says


@pytest.mark.parametrize("ppk", [("id", "text of no value, but 32 octets long"), (b"id", bytes(32)), (None, bytes(32))])
def test_its_octets_are_octets_and_its_id_is_text_q3(ppk):
    with pytest.raises(ValueError):
        Tunnel(**{**GOOD, "psk": GOOD["psk"].encode()}, ppk=ppk)


def test_what_is_good_is_taken_q3():
    config = parse(repr({**GOOD, "ppk": "0" * 32, "ppk_id": "x" * 200}).replace("'", '"').encode())
    assert (config["ppk"], config["ppk_id"]) == ("0" * 32, "x" * 200)
    tunnel = Tunnel(**{**GOOD, "psk": GOOD["psk"].encode()}, ppk=("x" * 200, bytearray(b"0" * 32)))
    mine = tunnel.life.policy.ppk
    assert (mine.id, mine.octets) == ("x" * 200, b"0" * 32)
    tunnel.udp.close()


_UNIX = """
import sys
from ikev2.initial import initiator, acceptor
from ikev2.initial.peers import Peers
from ikev2.node import Node
from ikev2.sa.policy import Policy
from ikev2.spi_table import SpiTable
for ppk in None, ("x", bytes(32)):
    policy = Policy("sensor-7", b"of no value")
    if ppk:
        from ikev2.initial.ppk import Ppk
        policy.ppk = Ppk(policy.psk, *ppk)
    node = Node(SpiTable(4, 8), lambda n: bytes([1] * n))
    initiator.Initiator(node, node.table.add_ike(node.random, True, b"123456"), policy, 0)
    Peers("hub", b"1234").add("sensor-7", b"of no value", ppk=ppk)
    print("ikev2.initial.ppk" in sys.modules)
"""


@pytest.mark.parametrize("interpreter", ["cpython", "unix"])
def test_who_has_none_imports_nothing_for_it_q1(interpreter):
    if interpreter == "unix":
        said = on_unix(_UNIX)
    else:
        ran = subprocess.run([sys.executable, "-c", _UNIX], env=device_environment(), capture_output=True, text=True)
        said = ran.stdout
    assert said.split() == ["False", "True"]
