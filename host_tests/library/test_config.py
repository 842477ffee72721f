"""The reader of a configuration says what CPython's json says, and nothing where there is no JSON."""

import json

import pytest
from ikev2 import config
from ikev2.config.keys import KEYS, check
from ikev2.config.reader import Reader, text_of
from ikev2.spi_table import SpiTable

GOOD = (
    '{"pair": "\\ud800\\udc00\\udbff\\udfff\\uD83D\\uDE00", "around": "\\ud7ff\\ue000\\uffff\\u0000\\u00e9"}',
    '{"": "", "\\"": "\\\\\\/\\b\\f\\r\\n\\t", "u": "\u20ac\U0010ffff\\u20ac"}',
    '{"numbers": [0, -0, -1, 9, 10, 123456789012, -12345678901], "words": [true, false, null], "n": []}',
    ' {\r\n\t"a" :\n{ "b" : { "c" : "d" } , "e" : { } } }\n ',
)
BAD = (
    '{"a": "\\ud800"}', '{"a": "\\udbff\\udbff"}', '{"a": "\\udbff\\ue000"}', '{"a": "\\udc00\\udc00"}',
    '{"a": "\\udfff"}', '{"a": "\\u12"}', '{"a": "\\u12g4"}', '{"a": "\\x"}', '{"a": "\x1f"}', '{"a": "b',
    '{"a": 01}', '{"a": -}', '{"a": 1.}', '{"a": 1e}', '{"a": 1e+}', '{"a": .5}', '{"a": tru}',
    '{"a": 1,}', '{"a": 1 "b": 2}', '{"a": [1,]}', '{"a": [[1]]}', '{"a": {"b": {"c": {}}}}', '{"a": 1} x', "", "[]",
)  # fmt: skip


class Wrong(Exception):
    """With the line."""


def read(octets):
    def fail(line, what):
        raise Wrong(line)

    return Reader(text_of(octets), fail).read()


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("text", GOOD)
def test_what_is_json(text, mark):
    values, lines = read(mark + text.encode())
    assert values == json.loads(text)
    assert lines == {key: text[: text.index(json.dumps(key)[:2])].count("\n") + 1 for key in values}


@pytest.mark.parametrize("text", BAD)
def test_what_is_none(text):
    with pytest.raises(Wrong) as wrong:
        read(text.encode())
    assert wrong.value.args == (1,)


def test_the_line_of_what_is_wrong():
    with pytest.raises(Wrong) as wrong:
        read(b'\n{"a": 1,\n"b": 2,\n\n "a": 3}')
    assert wrong.value.args == (5,)


def test_a_number_that_is_not_whole_or_too_long():
    assert read(b'{"a": [1.0, -1.5e+3, 2E9, 0e-1, 12345678901234567890]}')[0] == {"a": [0.5] * 4 + [123456789012]}


@pytest.mark.parametrize("octets", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", b'{"\xe2\x82'])
def test_what_is_no_utf_8(octets):
    with pytest.raises(UnicodeError):
        text_of(octets)


@pytest.mark.parametrize("network", ["10.9.0.0/31", "10.9.0.1", "0.0.0.0/0", "10.9.0.1/24", "224.0.0.0/24", "a/24"])
def test_what_is_no_pool(network):
    with pytest.raises(ValueError, match="a network of 4 addresses at least"):
        check("pool", network)
    check("pool", "10.9.0.0/24")
    check("pool", "10.9.0.252/30")
    check("pool", "16.0.0.0/4")


LIMITS = {
    "led": (-1, 60), "watchdog_s": (0, 86400), "sources": (1, 255), "ike_sas": (1, 256), "child_sas": (1, 256),
    "answers_per_s": (0, 1000000), "burst": (0, 0xFFFFFFF), "per_source_ms": (0, 0xFFFFFFF), "hint_ms": (0, 0xFFFFFFF),
    "liveness_s": (1, 3600), "keepalive_s": (1, 3600), "lifetime_s": (60, 86400), "settle_s": (0, 60),
    "reset_s": (0, 864000), "connections": (0, 64), "stream_buffer": (536, 65535),
}  # fmt: skip


def test_every_number_has_its_limits():
    assert set(LIMITS) == {key for key, default in KEYS.items() if type(default) is int}


@pytest.mark.parametrize("key", LIMITS)
def test_limits_of_a_number(key):
    least, most = LIMITS[key]
    check(key, least)
    check(key, most)
    for wrong in (least - 1, most + 1):
        with pytest.raises(ValueError, match=f"'{key}' must be at least {least} and at most {most}") as refused:
            check(key, wrong)
        assert (f", not {wrong}" in str(refused.value)) == (abs(wrong) < 100000)


@pytest.mark.parametrize("ike_sas", [4, 16, 30])
def test_a_table_that_is_kept_over_sleep_has_room_there_z1(ike_sas):
    def octets(child_sas):
        return len(SpiTable(ike_sas, child_sas).snapshot()) - 8  # layout and check

    given = {"gateway": "vpn.example.org", "id": "sensor-7", "psk": "0123456789abcdef", "keep_keys": True}
    most = max(number for number in range(8, 256) if octets(number) <= config._RTC_TABLE_OCTETS)
    given.update(ike_sas=ike_sas, child_sas=most)
    assert config.parse(json.dumps(given).encode())["child_sas"] == most
    given["child_sas"] = most + 1
    with pytest.raises(config.ConfigError, match="'keep_keys' wants fewer"):
        config.parse(json.dumps(given).encode())
