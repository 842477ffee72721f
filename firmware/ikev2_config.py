"""Reads ikev2.json, the one file that configures a board. Whatever is wrong is named with its line."""

import io
import json

FILE = "ikev2.json"
# What may stand in it: type, default.
KEYS = {
    "ssid": (str, ""),
    "password": (str, ""),
    "power_save": (bool, True),  # the modem sleeps between beacons
    "address": (str, "10.66.0.2"),  # of the SLIP link; Wi-Fi asks DHCP
    "peer": (str, "10.66.0.1"),
    "ports": (list, [500, 4500]),
    "raw": (list, [50, 51]),
    "ike_sas": (int, 16),
    "child_sas": (int, 32),
    "answers_per_s": (int, 1),
    "burst": (int, 5),
    "per_source_ms": (int, 3000),
    "sources": (int, 8),
    "hint_ms": (int, 10000),
    "log": (bool, False),
    "led": (int, -1),  # number of a pin that flickers with every verdict; -1: none
    "watchdog_s": (int, 30),  # 0: none
}
_AT_LEAST = {"led": -1, "sources": 1, "ike_sas": 1, "child_sas": 1}
_AT_MOST = {"led": 60, "watchdog_s": 86400, "sources": 255, "ike_sas": 256, "child_sas": 256, "answers_per_s": 1000000}
_MS_MAX = 0xFFFFFFF  # of the limits in milliseconds; the rest has room for as many

_NO_JSON = 'no valid JSON object: { "key": value, ... }'


class ConfigError(Exception):
    """Says file, line and what is wrong."""


def _fail(line, what):
    raise ConfigError("%s, line %d: %s" % (FILE, line, what))


def _tokens(text):
    """(kind, line) of what stands in the text: punctuation as itself, s for a string, v for any other value."""
    at = 0
    line = 1
    while at < len(text):
        kind = text[at]
        at += 1
        if kind == "\n":
            line += 1
        elif kind == '"':
            while text[at : at + 1] not in ('"', ""):
                at += 2 if text[at] == "\\" else 1
            at += 1
            yield "s", line
        elif kind in "{}:,":
            yield kind, line
        elif kind not in " \t\r":
            ends = "]" if kind == "[" else "{}:, \t\r\n"
            before = line
            while at < len(text) and text[at] not in ends:
                line += text[at] == "\n"
                at += 1
            at += kind == "["
            yield "v", before


def _check_shape(text):
    """MicroPython's json overlooks what is missing, a value for instance."""
    follows = {"{": "s}", ",": "s", "s": ":", ":": "v", "v": ",}", "}": ""}
    expected = "{"
    line = 1
    for kind, line in _tokens(text):
        if kind == "s" and expected == "v":
            kind = "v"
        if kind not in expected:
            _fail(line, _NO_JSON)
        expected = follows[kind]
    if expected:
        _fail(line, _NO_JSON)


def _line_of(text, key):
    at = text.find('"%s"' % key)
    while at >= 0 and not text[at + len(key) + 2 :].lstrip().startswith(":"):  # that is a value
        at = text.find('"%s"' % key, at + 1)
    return text[: max(at, 0)].count("\n") + 1


def parse(text):
    """All values, those of the text over the defaults."""
    text = text.lstrip("\ufeff")
    _check_shape(text)
    stream = io.StringIO(text)
    try:
        given = json.load(stream)
    except ValueError as error:
        # CPython knows the line; MicroPython stops reading there.
        read = len(text) - len(stream.read())
        _fail(getattr(error, "lineno", text[:read].count("\n") + 1), _NO_JSON)
    config = {key: KEYS[key][1] for key in KEYS}
    for key in given:
        value = given[key]
        if key not in KEYS:
            _fail(_line_of(text, key), "unknown key %r; known are %s" % (key, ", ".join(sorted(KEYS))))
        kind = KEYS[key][0]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            _fail(_line_of(text, key), "%r is to be %s, not %r" % (key, kind.__name__, value))
        if kind is int and not _AT_LEAST.get(key, 0) <= value <= _AT_MOST.get(key, _MS_MAX):
            bounds = key, _AT_LEAST.get(key, 0), _AT_MOST.get(key, _MS_MAX), value
            _fail(_line_of(text, key), "%r is to be at least %d and at most %d, not %r" % bounds)
        config[key] = value
    for key, known in (("ports", (500, 4500)), ("raw", (50, 51))):
        for value in config[key]:
            if value not in known or config[key].count(value) > 1:
                _fail(_line_of(text, key), "%r may hold %d and %d, not %r" % (key, known[0], known[1], config[key]))
    return config


def read(path=FILE):
    """The configuration of this board; the defaults if there is no file."""
    try:
        with open(path) as file:
            text = file.read()
    except OSError:
        text = "{}"
    return parse(text)
