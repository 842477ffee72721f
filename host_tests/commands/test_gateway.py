"""What `gateway` prints for the other end of a configuration; peers/test_gateway_config.py loads it."""

import re

import pytest
from ikev2.config.keys import KEYS
from ipsec.tools import Refused, gateway

CONFIG = {
    **KEYS,
    "gateway": "vpn.example.org", "id": "sensor-7", "psk": "of no value, but long enough",
}  # fmt: skip


def printed(kind, **changes):
    """Its lines."""
    return gateway.lines({**CONFIG, **changes}, kind)


def test_strongswan():
    assert (
        "\n".join(printed("strongswan")[3:])
        == """connections {
    sensor-7 {
        version = 2
        proposals = aes256-aes128-sha256-x25519-modp2048
        unique = replace
        dpd_delay = 300s
        pools = sensor-7
        local {
            auth = psk
            id = fqdn:vpn.example.org
        }
        remote {
            auth = psk
            id = fqdn:sensor-7
        }
        children {
            sensor-7 {
                local_ts = 0.0.0.0/0
                remote_ts = dynamic
                esp_proposals = aes256-aes128-sha256
            }
        }
    }
}
pools {
    sensor-7 {
        addrs = 10.9.0.0/24
    }
}
secrets {
    ike-sensor-7 {
        id = fqdn:sensor-7
        secret = "of no value, but long enough"
    }
}"""
    )


def test_libreswan():
    """Two files, the second from the line on that names it."""
    lines = printed("libreswan", inside="10.0.0.9", remote=["10.1.0.0/16", "10.2.0.0/16"])
    assert lines[2].endswith("left out: 10.2.0.0/16")
    assert "    rightsubnet=10.0.0.9/32" in lines and "    leftsubnet=10.1.0.0/16" in lines
    assert lines[-2].startswith("# /etc/ipsec.d/sensor-7.secrets")
    assert lines[-1] == '@vpn.example.org @sensor-7 : PSK "of no value, but long enough"'


def test_opnsense():
    lines = printed("opnsense")
    assert "    Proposals:           aes256-sha256-x25519, aes256-sha256-modp2048, aes128-sha256-x25519, " \
           "aes128-sha256-modp2048" in lines  # fmt: skip
    assert "    Pre-Shared Key:      of no value, but long enough" in lines


def test_mikrotik():
    text = "\n".join(printed("mikrotik", psk='a "psk" for $1 of them'))
    assert 'secret="a \\22psk\\22 for \\241 of them"' in text
    assert "enc-algorithms=aes-256-cbc,aes-128-cbc" in text and "remote-id=fqdn:sensor-7 match-by=remote-id" in text


@pytest.mark.parametrize(
    ("id", "strongswan", "libreswan", "mikrotik"),
    [
        ("sensor-7", "fqdn:sensor-7", "@sensor-7", "fqdn:sensor-7"),
        ("seven@example.org", "email:seven@example.org", "seven@example.org", "user-fqdn:seven@example.org"),
        ("192.0.2.7", "192.0.2.7", "192.0.2.7", "address:192.0.2.7"),
        ("keyid:seven", "keyid:seven", "@[seven]", "key-id:seven"),
    ],
)
def test_id_types(id, strongswan, libreswan, mikrotik):
    """N18: each gateway is told the type that the device will use."""
    assert f"        id = {strongswan}" in printed("strongswan", id=id)
    assert f"    rightid={libreswan}" in printed("libreswan", id=id)
    assert f"remote-id={mikrotik} " in "\n".join(printed("mikrotik", id=id))


@pytest.mark.parametrize("psk", ['with a " in it, at least', "0x00112233445566778899", "später, später, später"])
def test_a_psk_that_quotes_cannot_hold_goes_as_base64(psk):
    assert any(line.strip().startswith("secret = 0s") for line in printed("strongswan", psk=psk))
    assert " : PSK 0s" in printed("libreswan", psk=psk)[-1]


@pytest.mark.parametrize("psk", ["a newline\n/user add name=x", "später ? $x \\ [:put 1]"])
def test_no_psk_breaks_out_of_its_quotes(psk):
    """RouterOS takes octets in hexadecimal; whoever types a psk into a page cannot type a control character."""
    (secret,) = re.findall(r'secret="([^"]*)"$', "\n".join(printed("mikrotik", psk=psk)), re.MULTILINE)
    octets = re.sub(rb"\\([0-9A-F]{2})", lambda found: bytes.fromhex(found[1].decode()), secret.encode())
    assert octets == psk.encode() and not re.search(r"[$?\[\]]|\\[^0-9A-F]", secret)
    if psk.isprintable():
        assert f"    Pre-Shared Key:      {psk}" in printed("opnsense", psk=psk)
    else:
        with pytest.raises(Refused, match="control characters"):
            printed("opnsense", psk=psk)


@pytest.mark.parametrize("id", ["sensor#7", "a\n}\nchild", "two words", 'a "name"', "später", "keyid:# {", "x@y#z"])
def test_an_id_that_needs_quotes(id):
    """strongSwan takes octets in hexadecimal, libreswan those of a key id; nobody else gets what may arrive changed."""
    kind, name = gateway.identity(id)
    form = {2: "fqdn", 3: "email", 11: "keyid"}[kind]
    assert f'        id = "{form}:#{name.encode().hex()}"' in printed("strongswan", id=id)
    for other in ("libreswan", "opnsense", "mikrotik"):
        if other == "libreswan" and kind == 11:
            assert f"    rightid=@#{name.encode().hex()}" in printed(other, id=id)
            continue
        with pytest.raises(Refused, match="cannot have the id") as refused:
            printed(other, id=id)
        assert "\n" not in str(refused.value)


def test_an_id_that_is_a_pattern():
    """strongSwan would take any device for that one; a key id is compared as it is."""
    with pytest.raises(Refused, match="for any name"):
        printed("strongswan", id="*.example.org")
    assert any("keyid:#2a" in line for line in printed("strongswan", id="keyid:*"))


def test_a_device_that_sleeps_with_its_keys():
    """Nothing that it would have to answer while it sleeps: no DPD, and renewal after its own."""
    asleep = {"keep_keys": True, "lifetime_s": 7200}
    text = {kind: "\n".join(printed(kind, **asleep)) for kind in gateway.GATEWAYS}
    assert all(text[kind].count("no DPD, no renewal before its own") == 1 for kind in gateway.GATEWAYS)
    assert "dpd" not in text["strongswan"] and text["strongswan"].count("rekey_time = 14400s") == 2
    assert "    rekey=no\n    ikelifetime=14400s\n    salifetime=14400s" in text["libreswan"]
    assert "DPD delay (s):       (empty: none)" in text["opnsense"]
    assert text["opnsense"].count("Rekey time (s):      14400") == 2
    assert "dpd-interval=disable-dpd lifetime=14400s" in text["mikrotik"]
    assert text["mikrotik"].count("lifetime=14400s") == 2
    assert "    ikelifetime=86400s" in printed("libreswan", keep_keys=True, lifetime_s=86399)
    with pytest.raises(Refused, match="more than a day"):
        printed("libreswan", keep_keys=True, lifetime_s=86400)


def test_gcm_has_a_proposal_of_its_own():
    """N22."""
    both = ["aes-cbc-128", "aes-gcm-16-256"]
    assert "        proposals = aes128-sha256-x25519-modp2048, aes256gcm16-prfsha256-x25519-modp2048" in printed(
        "strongswan", ciphers=both
    )
    assert "    esp=aes128-sha2_256,aes_gcm256" in printed("libreswan", ciphers=both)


@pytest.mark.parametrize(
    ("kind", "changes", "says"),
    [
        ("mikrotik", {"groups": [31]}, "put 14"), ("mikrotik", {"ciphers": ["aes-gcm-16-128"]}, "aes-cbc-256"),
        ("strongswan", {"id": ""}, '"id" is missing'), ("strongswan", {"psk": ""}, "just made for you"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(kind, changes, says):
    with pytest.raises(Refused, match=says):
        printed(kind, **changes)
