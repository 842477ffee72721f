"""Cases of ikev2.config: what is taken, and what is said of what is not."""

import binascii
import json
import sys

from ikev2.config import FILE, ConfigError, parse
from ikev2.config.reader import Reader, text_of

from boards.pc_firmware import configure, ikev2_main, run_case, woken

TUNNEL = '{\n"gateway": "vpn.example.org",\n"id": "sensor-7",\n"psk": "0123456789abcdef"'

BROKEN = (
    ('{\n "ssid": "home",\n "pasword": "x"\n}', 3, "unknown key"),
    ('{\n "ssid": 5\n}', 2, "a string"),
    ('{\n "log": 1\n}', 2, "true or false"),
    ('{\n\n "burst": true\n}', 3, "a whole number"),
    ('{\n "burst": -1\n}', 2, "at least"),
    ('{\n "burst": 1.0\n}', 2, "a whole number"),
    ('{\n "burst": 1e2\n}', 2, "a whole number"),
    ('{\n "burst": null\n}', 2, "a whole number"),
    ('{\n "burst": %s\n}' % ("9" * 5000), 2, "at most"),
    ('{\n "ike_sas": 257\n}', 2, "at most 256"),
    ('{\n "watchdog_s": 5000000\n}', 2, "at most 86400"),
    ('{\n "led": 99\n}', 2, "at most 60"),
    ('{\n "static": ["192.0.2.9", "255.255.255.0"]\n}', 2, "4 addresses"),
    ('{\n "static": ["192.0.2.9", "255.255.255.0", "192.0.2.1", "dns"]\n}', 2, "name server"),
    ('{\n "ports": [500, 500]\n}', 2, "500"),
    ('{\n "ports": [500, 501]\n}', 2, "500, 4500"),
    ('{\n "ports": [500.0]\n}', 2, "500, 4500"),
    ('{\n "ports": ["500"]\n}', 2, "500, 4500"),
    ('{\n "ports": [[500]]\n}', 2, "JSON"),
    ('{\n "ports": {"a": 1}\n}', 2, "'ports' must be a list"),
    ('{\n "accept": {"a": {}}\n}', 2, "the psk of each"),
    ('{\n "accept": {"a": {"ppk": "x"}}\n}', 2, "the psk of each"),
    ('{\n "accept": {"a": {"psk": "x", "ppk": 1}}\n}', 2, "the psk of each"),
    ('{\n "accept": {"a": {"psk": "x", "pkp": "y"}}\n}', 2, "the psk of each"),
    ('{\n "accept": {"a": {"psk": {}}}\n}', 2, "JSON"),
    ('{\n "accept": {"a": {"psk": ["x"]}}\n}', 2, "JSON"),
    ('{"id": "b",\n "accept": {"a": {"psk": "x", "ppk": "y"}}\n}', 2, "'ppk_id' must be"),
    ('{"id": "b",\n "accept": {"a": {"psk": "x", "ppk_id": "y"}}\n}', 2, "'ppk' must be at least 32 octets"),
    ('{\n "accept": {"a": [1]}\n}', 2, "JSON"),
    ('{\n "accept": [{"a": "x"}]\n}', 2, "JSON"),
    ('{\n "accept": {"a": "x",\n "a": "y"}\n}', 3, "stands in line 2 already"),
    ('{\n "accept": {"a" "x"}\n}', 2, "JSON"),
    ('{\n "accept": ["a"]\n}', 2, "'accept' must be an object"),
    ('{\n "accept": {"": "x"}\n}', 2, "'accept' must have ids"),
    ('{\n "accept": {"a": ""}\n}', 2, "the psk of each"),
    ('{\n "accept": {"a": 1}\n}', 2, "the psk of each"),
    ('{\n "accept": {"a": "x"}\n}', 2, "wants an 'id'"),
    ('{\n "id": "a",\n "accept": {"a": "x"}\n}', 3, "wants an 'id'"),
    ('{"id": "b",\n "accept": {"a": "x"}, "ports": [500]\n}', 2, "a tunnel wants 'ports'"),
    ('{\n "pool": "10.9.0.0/31"\n}', 2, "4 addresses at least"),
    ('{\n "pool": "10.9.0.1"\n}', 2, "4 addresses at least"),
    ('{\n "ssid": "pasword",\n "pasword": "x"\n}', 3, "unknown key"),
    ('{\n "burst": 1,\n "burst": 2\n}', 3, "stands in line 2 already"),
    ("[]", 1, "object"),
    ('{\n "ssid": "home",\n "burst": one\n}', 3, "JSON"),
    ('{\n "log": true,\n "burst"\n}', 4, "JSON"),
    ('{\n "log": true\n "burst": 1\n}', 3, "JSON"),
    ('{\n "log": true,\n}', 3, "JSON"),
    ('{\n "log": true\n},', 3, "JSON"),
    ('{\n "raw": [50,\n 51],\n "log" true\n}', 4, "JSON"),
    ('{\n "ports": [500 4500]\n}', 2, "JSON"),
    ('{\n "ports": [500,]\n}', 2, "JSON"),
    ('{\n "burst": 010\n}', 2, "zero in front"),
    ('{\n "burst": -\n}', 2, "without digits"),
    ('{\n "ssid": "a\\"}b"', 2, "JSON"),
    ('{\n "ssid": "a\nb"\n}', 2, "in its line"),
    ('{\n "ssid": "\\x41"\n}', 2, "before one of"),
    ('{\n "ssid": "\\u12 4"\n}', 2, "four hexadecimal digits"),
    ('{\n "ssid": "\\ud83d"\n}', 2, "half a surrogate pair"),
    ('{\n "ssid": "\\ude00\\ud83d"\n}', 2, "half a surrogate pair"),
    ("", 1, "JSON"),
    ('{"ssid": "\xff"}'.encode("latin-1") if sys.implementation.name == "cpython" else b'{"ssid": "\xff"}', 1, "UTF-8"),
    (b'{"ssid": "\xed\xa0\xbd\xed\xb8\x80"}', 1, "UTF-8"),
    (b'{"ssid": "\xc1\x81"}', 1, "UTF-8"),
    ('{\n "gateway": "vpn.example.org",\n "id": "me"\n}', 2, "'id' and 'psk'"),
    (TUNNEL + ',\n"inside": "10.0.0.256"}', 5, "IPv4 address"),
    (TUNNEL + ',\n"inside": "010.0.0.1"}', 5, "IPv4 address"),
    (TUNNEL + ',\n"inside": "224.0.0.1"}', 5, "IPv4 address"),
    (TUNNEL + ',\n"remote": ["10.0.0.1/8"]}', 5, "zeros behind"),
    (TUNNEL + ',\n"remote": ["10.0.0.0/33"]}', 5, "10.0.0.0/8"),
    (TUNNEL + ',\n"remote": [8]}', 5, "10.0.0.0/8"),
    (TUNNEL + ',\n"dns": ["ns.example"]}', 5, "hosts inside the tunnel"),
    (TUNNEL + ',\n"dns": ["224.0.0.251"]}', 5, "hosts inside the tunnel"),
    (TUNNEL + ',\n"dns": [8]}', 5, "hosts inside the tunnel"),
    (TUNNEL + ',\n"connections": -1}', 5, "at least 0"),
    (TUNNEL + ',\n"stream_buffer": 535}', 5, "at least 536"),
    (TUNNEL + ',\n"remote": [%s]}' % ", ".join(['"10.0.0.0/8"'] * 9), 5, "at most 8, not 9"),
    (TUNNEL + ',\n"keepalive_s": -1}', 5, "'keepalive_s' must be at least 1 and at most 3600, not -1"),
    (TUNNEL + ',\n"remote": []}', 5, "at least 1"),
    (TUNNEL + ',\n"groups": []}', 5, "empty"),
    (TUNNEL + ',\n"ports": [500]}', 5, "at least 2"),
    (TUNNEL + ',\n"ike_sas": 1}', 5, "at least 4"),
    (TUNNEL + ',\n"groups": [2]}', 5, "31, 14"),
    (TUNNEL + ',\n"ciphers": ["aes-ctr"]}', 5, "aes-cbc-256"),
    (TUNNEL + ',\n"gateway_id": "keyid:"}', 5, "keyid"),
    (TUNNEL.replace("vpn.", "vpn .") + "}", 2, "host name"),
    (TUNNEL.replace("vpn.example.org", "192.0.2.300") + "}", 2, "host name"),
    (TUNNEL + ',\n"lifetime_s": 5}', 5, "at least 60"),
)


def _parsed(text, **options):
    return parse(text if isinstance(text, bytes) else text.encode(), **options)


def broken_configuration_is_named():
    for text, line, word in BROKEN:
        try:
            _parsed(text)
            raise AssertionError(text)
        except ConfigError as error:
            assert "line %d:" % line in str(error) and word in str(error), (text, str(error))
    with open(FILE, "w") as file:
        file.write('{\n "ssdi": ""\n}')
    ikev2_main.node = None
    ikev2_main.run()  # says so and returns: the REPL is there
    assert ikev2_main.node is None


def good_configuration_is_taken():
    assert _parsed("\ufeff{}")["burst"] == 5 and _parsed(" {\r\n}\t")["ports"] == [500, 4500]
    config = _parsed(
        '{"ssid": "\\ud83d\\ude00\\u00e9\\\\\\/\\n\\t", "password": "\U0001f600\u20ac", "led": -1, "burst": 0, '
        '"raw": [ ], "ports":[4500 , 500],"log":true , "power_save": false}'
    )
    assert config["ssid"].encode() == b"\xf0\x9f\x98\x80\xc3\xa9\\/\n\t", config["ssid"].encode()
    assert config["password"].encode() == b"\xf0\x9f\x98\x80\xe2\x82\xac"
    assert (config["led"], config["burst"], config["raw"], config["ports"]) == (-1, 0, [], [4500, 500])
    assert config["log"] is True and config["power_save"] is False
    config = _parsed(
        TUNNEL + ',"inside": "10.9.0.7", "remote": ["10.0.0.0/8", "192.0.2.1", "0.0.0.0/0", "192.0.2.128/25"],'
        '"ciphers": ["aes-gcm-16-256"], "groups": [14], "gateway_id": "keyid:x", "keep_keys": true, '
        '"dns": ["10.0.0.53"], "connections": 1, "stream_buffer": 536}'
    )
    assert config["inside"] == "10.9.0.7" and config["groups"] == [14] and config["lifetime_s"] == 10800
    for gateway in ("192.0.2.1", "gw", "a-b.example", "xn--bcher-kva.example"):
        assert _parsed(TUNNEL.replace("vpn.example.org", gateway) + "}")["gateway"] == gateway


def no_secret_is_shown():
    """Whatever is wrong with them, password and psk are not in what is said."""
    for text in (
        '{"password": 12345678}',
        '{"password": ["12345678"]}',
        '{"password": "12345678\n"}',
        '{"password": "12345678\\q"}',
        '{"password": "12345678" "psk": 1}',
        '{"12345678": "password"}',
        '{"12345678": 1, "12345678": 2}',
        '{"led": 12345678}',
        '{"led": 12345678.5}',
        '{"led": "12345678"}',
        '{"ciphers": ["12345678"]}',
        '{"psk": "\\ud9f8 12345678"}',
        '{"psk": 12345678}',
        '{"gateway": "vpn", "id": "12345678", "psk": "12345678 ", "inside": "12345678"}',
        '{"gateway": "vpn", "remote": "12345678"}',
        '{"id": "a", "accept": {"b": "12345678"}}',
        '{"id": "a", "accept": {"b": 12345678}}',
        '{"id": "a", "accept": {"b": {"psk": "12345678"}}}',
        '{"id": "a", "accept": {"b": {"psk": "x", "ppk_id": "y", "ppk": "12345678"}}}',
        '{"id": "a", "accept": {"b": "12345678", "b": "12345678"}}',
        '{"id": "a", "accept": {"b": ["12345678"]}}',
    ):
        try:
            _parsed(text, weak_psk=False)
            raise AssertionError(text)
        except ConfigError as error:
            assert "12345678" not in str(error), str(error)


def weak_psk_is_named():
    """N21: under 16 octets."""
    for psk, weak in (
        ("0123456789abcde", True),
        ("0123456789abcdef", False),
        ("\u20ac" * 5, True),
        ("\u20ac" * 6, False),
    ):
        text = TUNNEL.replace("0123456789abcdef", psk) + "}"
        assert _parsed(text)["psk"] == psk
        try:
            _parsed(text, weak_psk=False)
            assert not weak
        except ConfigError as error:
            assert weak and "line 4: 'psk' has under 16 octets" in str(error), str(error)


def _octets(value):
    """What is printed alike everywhere."""
    if isinstance(value, list):
        return [_octets(one) for one in value]
    if isinstance(value, dict):
        return sorted([(_octets(key), _octets(value[key])) for key in value])
    return value.encode() if isinstance(value, str) else value


def _refuse(line, what=""):
    raise ValueError(what)


def _ours(octets):
    return Reader(text_of(octets), _refuse).read()[0]


def _by_json(octets):
    """As CPython's json reads it, what we refuse beyond RFC 8259 refused, and numbers as we keep them."""
    pairs = json.loads(
        octets.decode()[octets[:3] == b"\xef\xbb\xbf" :],
        object_pairs_hook=lambda pairs: dict(pairs) if len(dict(pairs)) == len(pairs) else _refuse(0),
        parse_constant=_refuse,
        parse_float=lambda digits: 0.5,
        parse_int=lambda digits: int(digits[:12]),
    )
    for value in pairs.values():
        inner = list(value.values()) if isinstance(value, dict) else []
        flat = [one for peer in inner if isinstance(peer, dict) for one in peer.values()]
        flat += [one for one in inner if isinstance(one, list)] + (value if isinstance(value, list) else [])
        if [one for one in flat if isinstance(one, (list, dict))]:
            raise ValueError
    return pairs


def _verdicts(read=_ours):
    """What is read, or "no", for each line of the file `texts`, which has octets in hex."""
    with open("texts") as file:
        for line in file:
            try:
                found = read(binascii.unhexlify(line.strip()))
                print(sorted([(_octets(key), _octets(value)) for key, value in found.items()]))
            except (ValueError, AttributeError):
                print("no")


def _verdicts_of_json():
    _verdicts(_by_json)


def a_board_with_little_ram_has_smaller_buffers_unless_the_file_says_otherwise():
    """W6: the default of a tunnel and of a hub, not what somebody asks for."""
    main = woken()
    configure(ssid="home")
    assert main._prepare()["stream_buffer"] == 2720
    main.ikev2_memory.scarce = [None]
    assert main._prepare()["stream_buffer"] == 1072
    configure(ssid="home", stream_buffer=2720)
    assert main._prepare()["stream_buffer"] == 2720


if __name__ == "__main__":
    run_case(globals())
