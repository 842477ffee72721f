"""RFC 8784 with charon and pluto as they have it: our hub called by both, pluto called by our device."""

import contextlib
import re

import pytest
from commands.try_process import tried

from peers.callers import NAME, HubProcess, LibreswanCaller
from peers.real_gateways import PPK, PSK, Libreswan, config
from peers.router import INNER, routed_hosts
from peers.test_hub import scene

_UP = f"{NAME} up, inside 10.9.0."
_OTHER = {"ppk": "quite another ppk, but as long or longer", "ppk_id": "sensor-7.ppk"}
_HUB = {"peers": {NAME: {"psk": PSK, **PPK}, "sensor-8": {"psk": PSK}}}
_MIXED = {"peers": {NAME: {"psk": PSK}, "sensor-8": {"psk": PSK, **PPK}}}  # somebody else has one
_REQUIRED = {"ppk_id": PPK["ppk_id"], "ppk_required": "yes"}
_WANTED = {"ppk_id": PPK["ppk_id"], "ppk_required": "no"}


@pytest.mark.parametrize("machine", ["cpython", "unix"])
def test_strongswan_calls_with_a_ppk_and_rekeys_q1_q2_q4(tmp_path, machine):
    with scene(tmp_path, machine, hub=_HUB, connection=_REQUIRED, ppk=PPK) as (_, hub, charon):
        charon.call()
        hub.says(_UP)
        assert charon.ping() == 3
        for command in (("--child", "tunnel"), ("--ike", "hub"), ("--child", "tunnel"), ("--ike", "hub", "--reauth")):
            charon.swanctl("--rekey", *command)
            assert charon.ping(5) == 5, command
        assert PPK["ppk"] not in "".join(hub.lines)


@pytest.mark.parametrize(
    ("hub", "connection", "ppk", "up"),
    [
        (_HUB, _WANTED, PPK, True),
        (_MIXED, _WANTED, PPK, True),  # NO_PPK_AUTH is taken of an id without
        ({}, _WANTED, PPK, True),  # nobody has one: no USE_PPK
        (_MIXED, {}, (), True),
        (_MIXED, _REQUIRED, PPK, False),
        (_HUB, _REQUIRED, _OTHER, False),
        (_HUB, _WANTED, _OTHER, False),
        (_HUB, {**_WANTED, "ppk_id": "sensor-9.ppk"}, {**PPK, "ppk_id": "sensor-9.ppk"}, False),
        (_HUB, {}, (), False),
    ],
    ids=["not-required-there", "required-nowhere", "nobody-has-one", "not-asked-for", "required-there", "another",
         "another-not-required", "unknown-id", "none"],
)  # fmt: skip
def test_who_has_which_ppk_q3_q4(tmp_path, hub, connection, ppk, up):
    with scene(tmp_path, hub=hub, connection=connection, ppk=ppk) as (_, process, charon):
        charon.call()
        process.says(_UP if up else "refused, from")
        if up:
            assert charon.ping() == 3
        else:
            assert "received AUTHENTICATION_FAILED notify error" in charon.log()
            assert not any(" up" in line for line in process.lines)


def test_a_hub_without_any_is_given_up_by_who_requires_one_q4(tmp_path):
    with scene(tmp_path, connection=_REQUIRED, ppk=PPK) as (_, hub, charon):
        charon.call()
        charon.logged("PPK required but peer does not support PPK")
        assert not any(" up" in line for line in hub.lines)


@pytest.mark.parametrize(
    ("hub", "ppk", "its", "up"),
    [
        (_HUB, "insist", PPK, True),
        (_HUB, "yes", PPK, True),
        (_MIXED, "yes", PPK, True),
        (_MIXED, "insist", PPK, False),
        (_HUB, "insist", _OTHER, False),
        (_HUB, "no", (), False),
        (_MIXED, "no", (), True),
    ],
    ids=["insist", "yes", "yes-without-one-here", "insist-without-one-here", "another", "no", "no-and-none"],
)
def test_libreswan_calls_q1_q3_q4(tmp_path, hub, ppk, its, up):
    (tmp_path / "hub").mkdir()
    with (
        routed_hosts() as hosts,
        HubProcess(hosts.gateway, tmp_path / "hub", **hub) as process,
        LibreswanCaller(hosts.device, tmp_path / "pluto", {"ppk": ppk}, its) as pluto,
    ):
        pluto.call()
        process.says(_UP if up else "refused, from")
        if up:
            pluto.logged("initiator established IKE SA; authenticated peer")
        else:
            assert "established IKE SA" not in pluto.log()


@pytest.mark.parametrize(
    ("ppk", "its", "says"),
    [
        ("insist", PPK, "TS_UNACCEPTABLE"),
        ("yes", PPK, "TS_UNACCEPTABLE"),
        ("no", PPK, "AUTHENTICATION_FAILED"),
        ("insist", _OTHER, "AUTHENTICATION_FAILED"),
        ("yes", {**PPK, "ppk_id": "sensor-8.ppk"}, "AUTHENTICATION_FAILED"),
    ],
    ids=["insist", "yes", "no", "another", "another-id"],
)
def test_libreswan_is_called_q1_q3(tmp_path, ppk, its, says):
    """TS_UNACCEPTABLE comes behind a good AUTH: this kernel has no ESP for pluto."""
    device = config(**PPK)
    with contextlib.ExitStack() as stack:
        hosts = stack.enter_context(routed_hosts())
        gateway = stack.enter_context(Libreswan(hosts.gateway, tmp_path / "pluto", config(**its), conn={"ppk": ppk}))
        status, lines = tried(hosts.device, "unix", device, tmp_path, f"PING={INNER}")
        assert status == 1 and lines[-1].startswith(says), (lines, gateway.log())
        assert ("established IKE SA" in gateway.log()) == (says == "TS_UNACCEPTABLE")
        assert not re.search(PPK["ppk"], "\n".join(lines))
