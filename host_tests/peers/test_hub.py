"""Our hub, called by charon and pluto: all they do over a tunnel that they have begun, and what is refused."""

import contextlib
import socket

import pytest
from library.accepting import first_request

from peers.callers import HUB_INSIDE, NAME, HubProcess, LibreswanCaller, StrongswanCaller
from peers.real_gateways import PSK
from peers.router import GATEWAY, routed_hosts

_UP = f"{NAME} up, inside 10.9.0."


@contextlib.contextmanager
def scene(folder, machine="cpython", hub=(), connection=(), child=(), settings=(), secret=PSK, ppk=(), **options):
    """(the hosts, a HubProcess, a StrongswanCaller that has not called yet)."""
    (folder / "hub").mkdir()
    with (
        routed_hosts(**options) as hosts,
        HubProcess(hosts.gateway, folder / "hub", machine, **dict(hub)) as process,
        StrongswanCaller(hosts.device, folder / "charon", connection, child, secret, settings, ppk) as charon,
    ):
        yield hosts, process, charon


@pytest.mark.parametrize(("machine", "make_before_break"), [("cpython", "yes"), ("unix", "no")])
def test_strongswan_as_it_comes_rekeys_both_and_reauthenticates_a1_a10_h1_h3(tmp_path, machine, make_before_break):
    with scene(tmp_path, machine, settings={"make_before_break": make_before_break}) as (_, hub, charon):
        charon.call()
        hub.says(_UP)
        assert charon.ping() == 3
        for command in (("--child", "tunnel"), ("--ike", "hub"), ("--ike", "hub", "--reauth"), ("--child", "tunnel")):
            charon.swanctl("--rekey", *command)
            assert charon.ping(5) == 5, command
        charon.swanctl("--terminate", "--ike", "hub")
        hub.says(f"{NAME} down, ")


@pytest.mark.parametrize(
    "what",
    [
        {"connection": {"proposals": "aes256-sha256-modp2048"}},
        {"connection": {"proposals": "aes128-sha256-modp2048-x25519"}},
        {"connection": {"proposals": "aes256-sha256-ecp256-x25519"}, "hears": "it requested CURVE_25519"},
        {"connection": {"proposals": "aes256gcm16-prfsha256-x25519", "children": None}, "gcm": True},
        {"child": {"esp_proposals": "aes128-sha256"}},
        {"child": {"esp_proposals": "aes256-sha256-x25519"}, "hears": "128/CURVE_25519/NO_EXT_SEQ"},
        {"child": {"remote_ts": "0.0.0.0/0"}},
        {"connection": {"dpd_delay": "1s", "mobike": "no"}},
    ],
    ids=["modp2048", "modp2048-first", "another-group-first", "gcm", "aes128", "pfs", "everything", "dpd"],
)
def test_strongswan_otherwise_a3_a11_k1(tmp_path, what):
    hub = {}
    connection = dict(what.get("connection", {}))
    if what.get("gcm"):
        hub = {"ciphers": ["aes-gcm-16-256", "aes-cbc-256", "aes-cbc-128"]}
        connection["children"] = {"tunnel": {"remote_ts": f"{HUB_INSIDE}/32", "esp_proposals": "aes256gcm16"}}
    with scene(tmp_path, hub=hub, connection=connection, child=what.get("child", {})) as (_, process, charon):
        charon.call()
        process.says(_UP)
        assert charon.ping(6) == 6
        charon.swanctl("--rekey", "--child", "tunnel")
        assert charon.ping() == 3
        charon.logged(what.get("hears", "CHILD_SA tunnel{2} established"))


def test_a_name_that_others_use_up_a5_a6(tmp_path):
    """Sixteen half-open IKE SAs of its address: charon is told a cookie, and has the place of the oldest with it."""
    settings = {"retransmit_timeout": "0.5", "retransmit_base": "1", "retransmit_tries": "30"}
    with scene(tmp_path, settings=settings) as (hosts, hub, charon):
        with hosts.device.inside():
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sock:
            sock.settimeout(20)
            for number in range(16):
                sock.sendto(first_request(number), (GATEWAY, 500))
                assert sock.recv(2048)[16] == 33
        charon.call()
        hub.says(_UP)
        charon.logged("N(COOKIE)")
        assert charon.ping() == 3


@pytest.mark.parametrize(
    "connection",
    [
        {"local": {"auth": "psk", "id": "nobody"}},
        {"remote": {"auth": "psk", "id": "other.example"}},
        {"secret": "quite another psk, as long"},
    ],
    ids=["unknown-id", "another-idr", "another-psk"],
)
def test_who_is_not_known_is_refused_alike_a8(tmp_path, connection):
    secret = dict(connection).pop("secret", PSK)
    connection = {name: value for name, value in connection.items() if name != "secret"}
    with scene(tmp_path, connection=connection, secret=secret) as (_, hub, charon):
        charon.call()
        hub.says("refused, from")
        assert "received AUTHENTICATION_FAILED notify error" in charon.log()
        assert not any(" up" in line for line in hub.lines)


def test_without_an_address_of_ours_a10(tmp_path):
    peers = {NAME: {"psk": PSK, "networks": ["10.44.0.0/24"]}}
    child = {"local_ts": "10.44.0.7/32"}
    with scene(tmp_path, hub={"peers": peers}, connection={"vips": None}, child=child) as (_, hub, charon):
        charon.call()
        hub.says(f"{NAME} up, inside 10.44.0.7")
    (tmp_path / "again").mkdir()
    with scene(tmp_path / "again", connection={"vips": None}) as (_, hub, charon):
        charon.call()
        charon.logged("received FAILED_CP_REQUIRED notify")


def test_a_fixed_address_is_given_a10(tmp_path):
    with scene(tmp_path, hub={"peers": {NAME: {"psk": PSK, "address": "10.9.0.7"}}}) as (_, hub, charon):
        charon.call()
        hub.says(f"{NAME} up, inside 10.9.0.7")
        assert charon.ping() == 3


def test_on_one_unprivileged_port_a1(tmp_path):
    connection = {"remote_port": "14500", "local_port": "4500"}
    with scene(tmp_path, hub={"port": 14500}, connection=connection) as (_, hub, charon):
        charon.call()
        hub.says(_UP)
        assert charon.ping() == 3


def test_a_nat_that_forgets_h1(tmp_path):
    with scene(tmp_path, connection={"mobike": "no"}) as (hosts, hub, charon):
        charon.call()
        hub.says(_UP)
        for _ in range(3):
            hosts.router.move()
            assert charon.ping() == 3


def test_loss_doubling_and_disorder_a2_a7(tmp_path):
    settings = {"retransmit_timeout": "0.5", "retransmit_base": "1.2", "retransmit_tries": "12"}
    with scene(tmp_path, settings=settings) as (hosts, hub, charon):
        router = hosts.router
        router.loss, router.double, router.late = 0.25, 0.2, 0.2
        charon.call()
        hub.says(_UP, seconds=60)
        charon.swanctl("--rekey", "--child", "tunnel")
        charon.swanctl("--rekey", "--ike", "hub")
        router.loss = router.double = router.late = 0.0
        assert charon.ping(5) == 5


def test_a_hub_that_lost_power_is_called_again(tmp_path):
    connection = {"dpd_delay": "1s", "unique": "replace"}
    child = {"dpd_action": "restart", "close_action": "start"}
    settings = {"retransmit_timeout": "0.5", "retransmit_base": "1", "retransmit_tries": "4"}
    with scene(tmp_path, connection=connection, child=child, settings=settings) as (_, hub, charon):
        charon.call()
        hub.says(_UP)
        hub.kill()
        hub.start()
        hub.says(_UP, times=2, seconds=60)
        assert charon.ping() == 3


def test_libreswan_has_an_ike_sa_and_an_address_a3_a8_a10(tmp_path):
    (tmp_path / "hub").mkdir()
    with (
        routed_hosts() as hosts,
        HubProcess(hosts.gateway, tmp_path / "hub") as hub,
        LibreswanCaller(hosts.device, tmp_path / "pluto") as pluto,
    ):
        pluto.call()
        hub.says(_UP)
        pluto.logged("initiator established IKE SA; authenticated peer")
        pluto.logged("received INTERNAL_IP4_ADDRESS 10.9.0.")
        assert GATEWAY in pluto.log()
