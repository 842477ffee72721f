"""`make try` against real gateways: IKE SA, Child SA and echoes with charon, the IKE SA with pluto, which has no ESP
here; and what is said where the two configurations do not match, each line of README's table.

The unix port does all of it, CPython and the emulated board a part.
"""

import contextlib
import os
import re
import struct
from typing import NamedTuple

import pytest
from commands.try_process import TryProcess, tried
from ikev2 import wire
from ikev2.sa import payloads, proposals
from packets import tshark, wireshark
from tools import readmes

from peers.parallel import in_parallel
from peers.real_gateways import PPK, Libreswan, Strongswan, config
from peers.router import GATEWAY, INNER, routed_hosts

_WORKERS = 6


class Case(NamedTuple):
    """A device's configuration and a gateway's; what the two agree on, or the reason in the last line."""

    device: dict
    gateway: dict = {}  # noqa: RUF012
    says: str = "3 of 3 echoes answered"
    steps: tuple = ()  # of the lines before
    known: dict = {}  # what the gateway has otherwise than `device`  # noqa: RUF012


POOL = {"inside": ""}
GOOD = {
    "as they come": Case(POOL, {"connection": {"proposals": None}, "child": {"esp_proposals": None}},
                         steps=("IKE aes-cbc-128, group 31", "ESP aes-cbc-128, inside 10.9.0.1, to 10.77.0.0/24")),
    "configured": Case({}, steps=("inside 10.77.0.2, to 10.77.0.0/24",)),
    "modp2048": Case(POOL, {"connection": {"proposals": "aes256-sha256-modp2048"}},
                     steps=("it wants group 14", "IKE aes-cbc-256, group 14")),
    "x25519": Case({"groups": [14, 31]}, {"connection": {"proposals": "aes128-sha256-x25519"}},
                   steps=("it wants group 31", "IKE aes-cbc-128, group 31")),
    "cookie": Case(POOL, {"settings": {"cookie_threshold": "1"}}, steps=("wants its cookie back", "group 31")),
    "cookie and group": Case(POOL, {"settings": {"cookie_threshold": "1"},
                                    "connection": {"proposals": "aes256-sha256-modp2048"}},
                             steps=("wants its cookie back", "it wants group 14", "IKE aes-cbc-256, group 14")),
    "everything": Case({"inside": "", "remote": ["0.0.0.0/0"]}, steps=("inside 10.9.0.1, to 0.0.0.0/0",)),
    "narrowed": Case({"remote": ["0.0.0.0/0"]}, {"child": {"local_ts": "10.77.0.0/24"}}, steps=("to 10.77.0.0/24",)),
    "two networks": Case({"remote": ["10.77.0.0/24", "10.78.0.0/16"]}, steps=("to 10.77.0.0/24, 10.78.0.0/16",)),
    "pfs": Case(POOL, {"child": {"esp_proposals": "aes256-sha256-x25519"}}),
    "gcm": Case({"ciphers": ["aes-gcm-16-256"]}, steps=("IKE aes-gcm-16-256, group 31", "ESP aes-gcm-16-256")),
    "gcm-128": Case({"ciphers": ["aes-cbc-256", "aes-gcm-16-128"]},
                    {"connection": {"proposals": "aes128gcm16-prfsha256-x25519"},
                     "child": {"esp_proposals": "aes128gcm16"}}, steps=("ESP aes-gcm-16-128",)),
    "key id": Case({"id": "keyid:seven", "gateway_id": "keyid:gate"}),
    "addresses": Case({"id": "192.0.2.7", "gateway_id": GATEWAY}),
    "mail": Case({"id": "seven@example.org", "gateway_id": ""}),
    "name that needs quotes": Case({"id": 'später #7 "}\n', "psk": 'one\n} "two" # später, später'}),
    "ppk": Case(PPK),
    "ppk that the gateway does not require": Case({**PPK, **POOL}, {"connection": {"ppk_required": "no"}}),
    "key id of any octets": Case({"id": "keyid:#7 {\n*}", "gateway_id": "keyid:{ #"}),
}  # fmt: skip
# What the gateway's configuration has otherwise than the device's.
_IDS = "AUTHENTICATION_FAILED: the gateway knows no such id, or has another psk or ppk for it, or has another id "
REFUSED = {
    "another psk": Case({}, says=_IDS, known={"psk": "quite another psk, but as long"}),
    "another id": Case({}, says=_IDS, known={"id": "sensor-8"}),
    "an id of another type": Case({}, says=_IDS, known={"id": "keyid:sensor-7"}),
    "another id of its own": Case({}, says=_IDS, known={"gateway_id": "other.example"}),
    "another ppk": Case(PPK, says=_IDS, known={"ppk": "quite another ppk, but as long or longer"}),
    "another ppk_id": Case(PPK, says=_IDS, known={"ppk_id": "sensor-8.ppk"}),
    "another ppk_id, not required": Case(
        PPK, {"connection": {"ppk_required": "no"}}, says=_IDS, known={"ppk_id": "sensor-8.ppk"}
    ),
    "no ppk": Case(PPK, says="no PPK: .*look at ppk", known={"ppk": ""}),
    "a ppk that only the gateway has": Case({}, says="AUTHENTICATION_FAILED", known=PPK),
    "other IKE suites": Case(
        {},
        {"connection": {"proposals": "aes256-sha512-x25519"}},
        says="NO_PROPOSAL_CHOSEN: the gateway takes none of our IKE suites",
    ),
    "another group": Case(
        {"groups": [31]}, says="NO_PROPOSAL_CHOSEN: the gateway takes none of our IKE suites", known={"groups": [14]}
    ),
    "other ESP suites": Case(
        {},
        {"child": {"esp_proposals": "aes256-sha512"}},
        says="NO_PROPOSAL_CHOSEN: the gateway takes none of our ESP suites",
    ),
    "other networks": Case(
        {"remote": ["10.99.0.0/16"]}, says="TS_UNACCEPTABLE: .*; look at remote", known={"remote": ["10.77.0.0/24"]}
    ),
    "another address inside": Case(
        {"inside": "10.99.0.9"}, says="TS_UNACCEPTABLE: .*inside", known={"inside": "10.77.0.2"}
    ),
    "no addresses to give": Case(
        POOL, {"connection": {"pools": None}}, says="INTERNAL_ADDRESS_FAILURE: .*; look at its pool"
    ),
    "addresses to give": Case({"inside": "10.77.0.2"}, says="FAILED_CP_REQUIRED: .*leave inside empty", known=POOL),
    "another host": Case({"gateway": "10.66.0.77"}, says="no response to IKE_SA_INIT: look at gateway"),
}
CASES = {**GOOD, **REFUSED}
_SOME = {
    "board": ("as they come", "modp2048", "cookie and group", "gcm", "another psk", "other networks", "ppk"),
    "cpython": ("as they come", "configured", "cookie and group", "gcm-128", "another psk", "other ESP suites", "ppk"),
}


def ask(hosts, group):
    """A half-open IKE SA at the gateway, of somebody who will not go on."""
    offer = proposals.offer(payloads.PROTOCOL_IKE, b"", ("aes-cbc-256",), (group,))
    size = {31: 32, 14: 256}[group]
    parts = [(payloads.SA, offer), (payloads.KE, struct.pack(">HH", group, 0) + os.urandom(size)),
             (payloads.NONCE, os.urandom(32))]  # fmt: skip
    first, octets = payloads.chained(parts)
    header = os.urandom(8) + bytes(8) + bytes((first, wire.VERSION_2, wire.IKE_SA_INIT, wire.INITIATOR)) + bytes(4)
    since = len(hosts.router.packets)
    with hosts.device.socket("0.0.0.0") as sock:
        sock.sendto(header + struct.pack(">I", wire.HEADER + len(octets)) + octets, (GATEWAY, wire.PORT))
        hosts.router.wait(lambda packet: not packet.sent and packet.octets[:8] == header[:8], since)


def plays(cases):
    """Parameters: the unix port has all cases, the others some."""
    pairs = [("unix", name) for name in cases]
    pairs += [(machine, name) for machine, names in _SOME.items() for name in names if name in cases]
    return [pytest.param(machine, name, id=f"{name}-{machine}") for machine, name in pairs]


def cut(hosts, machine, unique, folder):
    """A device whose power is cut, and that is there again: the gateway's SAs then, and what it says at Ctrl-C."""
    with Strongswan(hosts.gateway, folder / "gateway", connection={"unique": unique}) as gateway:
        for last in False, True:
            device = TryProcess(hosts.device, machine, config(), folder, f"PING={INNER}", "COUNT=1000", "EVERY=0.2")
            try:
                device.up()
                if last:
                    since = len(hosts.router.packets)
                    hosts.router.wait(lambda packet: not packet.sent and any(packet.octets[:4]), since)
                    sas = gateway.sas()
                    device.interrupt()
                    return sas, *device.wait(), gateway.log()
            finally:
                device.kill()


def act(given, folder):
    """(status, lines, the gateway's log) for a test's parameters; with what else is wanted."""
    with contextlib.ExitStack() as stack:
        hosts = stack.enter_context(routed_hosts())
        if "unique" in given:
            return cut(hosts, given["machine"], given["unique"], folder)
        if "groups" in given:
            device = config(groups=given["groups"])
            order = {"ike": "aes256-sha2_256-dh14+dh31"}
            gateway = stack.enter_context(Libreswan(hosts.gateway, folder / "gateway", device, conn=order))
        else:
            case = CASES[given.get("name") or given["opened"]]
            device = config(**case.device)
            known = config(**{**case.device, **case.known})
            levers = {**case.gateway, "keys": "opened" in given}
            gateway = stack.enter_context(Strongswan(hosts.gateway, folder / "gateway", known, **levers))
            if "settings" in case.gateway:
                ask(hosts, 14 if "modp2048" in str(case.gateway) else 31)
        status, lines = tried(hosts.device, given["machine"], device, folder, f"PING={INNER}", "EVERY=0.2")
        hosts.router.save(folder / "all.pcap")
        if "opened" in given:
            wireshark.configure(folder / "keys", [gateway.tunnel_keys(hosts.router.packets, lines)])
            return folder / "all.pcap", folder / "keys"
        return status, lines, gateway.log()


@pytest.fixture(scope="module")
def plays_begun(request, tmp_path_factory):
    with in_parallel(request, tmp_path_factory.mktemp("try"), act, _WORKERS) as begun:
        yield begun


@pytest.fixture
def played(request, plays_begun):
    """What `act` gives for this test."""
    return plays_begun[request.node.name].result()


@pytest.mark.parametrize(("machine", "name"), plays(REFUSED))
def test_the_reason_is_shown(played, machine, name):
    """N5, N13 to N16, N20: the gateway's word first, then what to look at, a line of README's table; nothing stays."""
    status, lines, log = played
    assert status == 1 and re.match(CASES[name].says, lines[-1]), lines
    assert f"`{re.split('[:,]', lines[-1])[0]}`" in readmes()
    assert not any("Traceback" in line or line.startswith("up ") for line in lines)
    assert log.count("established between") <= log.count("received DELETE for IKE_SA"), lines


@pytest.mark.parametrize(("machine", "name"), plays(GOOD))
def test_up_with_strongswan(played, machine, name):
    """N1 to N4, N7, N10 to N13, N16, N18, N20, E1 to E4; then Delete (K11)."""
    case = CASES[name]
    status, lines, log = played
    assert status == 0 and lines[-1] == case.says and re.fullmatch(r"up after \d+\.\d{3} s", lines[-2]), lines
    said = iter(lines)
    for step in case.steps:
        assert any(step in line for line in said), (step, lines)
    assert "received DELETE for IKE_SA" in log and "IKE_SA deleted" in log


@pytest.mark.parametrize("groups", [[31], [31, 14]], ids=["31", "31-14"])
@pytest.mark.parametrize("machine", ["unix", "cpython", "board"])
def test_ike_sa_with_libreswan(played, machine, groups):
    """N4, N15: pluto's own order of groups wins; its Child SA ends in TS_UNACCEPTABLE: this kernel has no ESP."""
    status, lines, log = played
    assert status == 1 and lines[-1].startswith("TS_UNACCEPTABLE"), lines
    assert any(f"group {groups[-1]}" in line for line in lines)
    assert "established IKE SA" in log, log


_CUTS = [("unix", "no"), ("unix", "replace"), ("cpython", "keep"), ("board", "no")]


@pytest.mark.parametrize(("machine", "unique"), _CUTS)
def test_after_a_power_cut(played, machine, unique):
    """N11: INITIAL_CONTACT ends what the gateway still had. Then Ctrl-C ends it politely."""
    sas, status, lines, log = played
    assert [(state, children) for _, state, children in sas] == [("ESTABLISHED", ["INSTALLED"])], sas
    assert status != 0 and re.fullmatch(r"ended by Ctrl-C; \d+ of \d+ echoes answered", lines[-1]), lines
    assert log.count("received DELETE for IKE_SA") == 1


@pytest.mark.parametrize(("machine", "opened"), [("unix", "configured"), ("cpython", "gcm"), ("board", "modp2048")])
def test_tshark_sees_inside(played, machine, opened):
    """All that crossed the wire, with the keys that charon logged: nothing to complain about, nothing stays shut."""
    shown = tshark.dissected(*played)
    assert [note for element in shown for note in tshark.complaints(element)] == []
    kinds = [[proto.get("name") for proto in element.findall("proto")][-1] for element in shown]
    assert kinds.count("icmp") >= 6 and "esp" not in kinds
    payloads = {field.get("showname") for element in shown for field in element.iter("field")
                if field.get("name") == "isakmp.typepayload"}  # fmt: skip
    for name in ("Identification - Initiator (35)", "Authentication (39)", "Delete (42)"):
        assert f"Payload: {name}" in payloads
    assert {field.get("showname") for element in shown for field in element.iter("field")
            if field.get("name") in ("esp.icv_good", "esp.icv_bad")} == {"Good: True", "Bad: False"}  # fmt: skip


@pytest.mark.parametrize(("machine", "name"), [("small", name) for name in ("as they come", "modp2048", "gcm", "ppk")])
def test_in_the_memory_of_a_stock_esp32(played, machine, name):
    """By what `make deploy` brings, whatever is agreed on, and the network keeps its room."""
    status, lines, log = played
    assert status == 0 and lines[-1] == "3 of 3 echoes answered", lines
    (memory,) = [line for line in lines if line.startswith("memory: ")]
    _, free, lowest = [int(number) for number in re.findall(r"\d+", memory)]
    assert min(free, lowest) >= 8000, lines
    assert "received DELETE for IKE_SA" in log
