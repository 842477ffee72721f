"""One set of checks: the constructor of a tunnel refuses what a configuration may not say, in the same words."""

import json

import pytest
from ikev2.config import ConfigError, parse
from ipsec import Tunnel
from ipsec.hub import Hub
from scapy.layers.inet import ICMP, IP

from library.machines import on_unix

GOOD = {"gateway": "vpn.example.org", "id": "sensor-7", "psk": "of no value, but long enough"}
NETWORKS = [f"10.{number}.0.0/16" for number in range(9)]
REFUSED = [
    ({"psk": 20}, "'psk' must be octets (bytes), at least one, not int"),
    ({"psk": ""}, "'psk' must be octets (bytes), at least one, not str"),
    ({"keepalive_s": -1}, "'keepalive_s' must be at least 1 and at most 3600, not -1"),
    ({"liveness_s": 0}, "'liveness_s' must be at least 1 and at most 3600, not 0"),
    ({"lifetime_s": 90000}, "'lifetime_s' must be at least 60 and at most 86400, not 90000"),
    ({"lifetime_s": "1h"}, "'lifetime_s' must be a whole number"),
    ({"remote": NETWORKS}, "'remote' must have at least 1 network and at most 8, not 9"),
    ({"remote": []}, "'remote' must have at least 1 network and at most 8, not 0"),
    ({"remote": ["10.0.0.1/8"]}, "'remote' must be networks as \"10.0.0.0/8\", nothing but zeros behind the prefix"),
    ({"remote": "10.0.0.0/8"}, "'remote' must be a list"),
    ({"groups": [2]}, "'groups' may hold each of 31, 14 once"),
    ({"ciphers": []}, "'ciphers' must not be empty"),
    ({"inside": "224.0.0.1"}, "'inside' must be an IPv4 address of one host, or empty: the gateway gives one"),
    ({"dns": ["ns.example"]}, "'dns' must be IPv4 addresses of hosts inside the tunnel"),
    ({"gateway": "a:0"}, "'gateway' must be a host name or an IPv4 address, and perhaps :port"),
    ({"gateway": "a:65536"}, "'gateway' must be a host name or an IPv4 address, and perhaps :port"),
    ({"gateway": "a:b:1"}, "'gateway' must be a host name or an IPv4 address, and perhaps :port"),
    ({"keep_keys": 1}, "'keep_keys' must be true or false"),
    ({"id": 7}, "'id' must be a string"),
    ({"gateway_id": "keyid:"}, "'gateway_id' must be at most 200 octets: a name, user@name, an address, keyid:…"),
]
_UNIX = """
from ipsec import Tunnel
for settings in %r:
    try:
        Tunnel(**settings)
    except ValueError as error:
        print(error)
"""


def arguments(changes):
    """What Tunnel is called with."""
    given = {**GOOD, "psk": GOOD["psk"].encode(), **changes}
    return given


@pytest.mark.parametrize(("changes", "says"), REFUSED, ids=[str(changes)[:30] for changes, _ in REFUSED])
def test_the_constructor_and_the_file(changes, says):
    """The file's psk is text; it has its line in front."""
    with pytest.raises(ValueError) as refused:
        Tunnel(**arguments(changes))
    assert str(refused.value) == says
    if "psk" not in changes:
        with pytest.raises(ConfigError) as refused:
            parse(json.dumps({**GOOD, **changes}).encode())
        assert str(refused.value) == "ikev2.json, line 1: " + says


def test_on_micropython():
    said = on_unix(_UNIX % [arguments(changes) for changes, _ in REFUSED])
    assert said.splitlines() == [says for _, says in REFUSED]


def test_neither_gateway_nor_id_may_be_empty():
    for key in ("gateway", "id"):
        with pytest.raises(ValueError, match=f"'{key}' must not be empty"):
            Tunnel(**arguments({key: ""}))


def test_what_is_good_is_taken():
    """Tuples where a file has lists; eight networks, limits included."""
    settings = {"remote": tuple(NETWORKS[:8]), "groups": (14,), "ciphers": ["aes-gcm-16-256"], "keepalive_s": 1,
                "liveness_s": 3600, "lifetime_s": 86400, "inside": "10.9.0.7", "dns": ("10.9.0.1",), "keep_keys": True,
                "gateway_id": "keyid:x"}  # fmt: skip
    tunnel = Tunnel(**arguments(settings))
    assert not tunnel.is_up and tunnel.room() == 0 and tunnel.address == "10.9.0.7"
    tunnel.udp.close()
    for gateway, port in (("a:1", 1), ("a:65535", 65535), ("a", 500), ("192.0.2.1:4500", 4500)):
        tunnel = Tunnel(**arguments({"gateway": gateway}))
        assert int.from_bytes(tunnel.port, "big") == port
        tunnel.udp.close()


@pytest.mark.parametrize("kind", [Tunnel, Hub])
def test_twenty_echoes_in_a_burst_are_answered_t3(kind):
    if kind is Tunnel:
        made = Tunnel(**arguments({"inside": "10.9.0.254"}))
    else:
        made = Hub(
            "hub.example", {"sensor-7": b"of no value, but long enough"}, "10.9.0.254", "10.9.0.0/24", port=14505
        )
    packet = bytes(IP(src="10.9.0.1", dst="10.9.0.254") / ICMP() / b"abc")
    answers = [made.stack.receive(bytearray(packet), len(packet), 0) for _ in range(30)]
    assert answers == [len(packet)] * 20 + [answers[-1]] * 10 and answers[-1] <= 0
    made.udp.close()
