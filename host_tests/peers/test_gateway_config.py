"""The daemons take what `make gateway` prints, whatever the ids, suites and psk. `real_gateways.py` loads it."""

import re

import pytest
from ipsec.tools.gateway import identity

from peers.namespaces import host
from peers.real_gateways import PPK, Libreswan, Strongswan, config
from peers.router import GATEWAY

CONFIGS = {
    "plain": {},
    "pool": {"inside": "", "remote": ["0.0.0.0/0"]},
    "gcm": {"ciphers": ["aes-gcm-16-256", "aes-cbc-128"], "groups": [14]},
    "key-id": {"id": "keyid:seven", "gateway_id": ""},
    "mail": {"id": "seven@example.org", "gateway_id": "keyid:gate"},
    "psk": {"psk": 'später "und" später'},
    "psk-of-two-lines": {"psk": "one\n}\nconn other\n"},
    "ppk": PPK,
    "ppk-of-any-octets": {**PPK, "ppk": 'später "und" später,\nund noch länger'},
    "sleeper": {"keep_keys": True, "inside": ""},
}


@pytest.fixture(scope="module")
def place():
    with host() as made:
        made.run("ip", "addr", "add", f"{GATEWAY}/24", "dev", "lo")
        yield made


@pytest.mark.parametrize("changes", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("daemon", [Strongswan, Libreswan], ids=lambda daemon: daemon.NAME)
def test_it_loads(place, tmp_path, daemon, changes):
    daemon(place, tmp_path / "gateway", config(**changes)).kill()


def shown(text):
    """An id as swanctl prints it."""
    kind, name = identity(text)
    octets = name.encode()
    if kind == 11 and not (name.isascii() and name.isprintable()):
        return ":".join(f"{octet:02x}" for octet in octets)
    return "".join(chr(octet) if 0x20 <= octet < 0x7F else "?" for octet in octets)


@pytest.mark.parametrize("id", ["a\n}\nconn b {", "#7", 'two "words"', "später@x", "keyid:# {\n}]", "192.0.2.7"])
def test_an_id_arrives_as_it_is(place, tmp_path, id):
    """One connection, with that id and no other; libreswan takes the ids that it can, by octets."""
    device = config(id=id)
    with Strongswan(place, tmp_path / "swan", device) as gateway:
        said = gateway.swanctl("--list-conns")
    assert re.findall(r"remote pre-shared key authentication:\n    id: (.*)", said) == [shown(id)]
    kind, name = identity(id)
    if kind in (1, 11):
        with Libreswan(place, tmp_path / "libre", device) as gateway:
            said = gateway.whack("--status")
        assert set(re.findall(r"their id=(.*)", said)) == {name if kind == 1 else "@#0x" + name.encode().hex()}


def test_a_device_that_sleeps_is_left_alone(place, tmp_path):
    """No DPD, and renewal after lifetime_s (K5), by what the daemons have understood."""
    device = config(keep_keys=True, lifetime_s=7200)
    with Strongswan(place, tmp_path / "swan", device) as gateway:
        said = gateway.swanctl("--list-conns")
    assert re.findall("rekeying every ([0-9]+)s", said) == ["14400", "14400"] and "dpd delay" not in said
    with Libreswan(place, tmp_path / "libre", device) as gateway:
        said = gateway.whack("--status")
    assert "ike_life: 14400s; ipsec_life: 14400s" in said and "DONT_REKEY" in said and "liveness: passive" in said, said
