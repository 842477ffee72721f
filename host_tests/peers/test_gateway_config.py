"""The daemons take what `make gateway` prints, whatever the ids, suites and psk. `real_gateways.py` loads it."""

import pytest

from peers.namespaces import host
from peers.real_gateways import Libreswan, Strongswan, config
from peers.router import GATEWAY

CONFIGS = {
    "plain": {},
    "pool": {"inside": "", "remote": ["0.0.0.0/0"]},
    "gcm": {"ciphers": ["aes-gcm-16-256", "aes-cbc-128"], "groups": [14]},
    "key-id": {"id": "keyid:seven", "gateway_id": ""},
    "mail": {"id": "seven@example.org", "gateway_id": "keyid:gate"},
    "psk": {"psk": 'später "und" später'},
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
