"""Reads ikev2.json, the one file that configures a device. What is wrong is named with its line, and no secret shown.

A board reads it once: nothing here imports anything of the rest, and nothing but what `read` returns need be kept.
"""

from portable import const

from .keys import KEYS, check
from .reader import Reader, text_of

FILE = "ikev2.json"
_PSK_OCTETS = const(16)
_RTC_TABLE_OCTETS = const(1300)  # of 2,048, beside a tunnel


class ConfigError(ValueError):
    """Says file, line and what is wrong."""


class WeakPsk(ConfigError):
    """A psk that can be guessed (N21)."""


def _check_together(config, fail):
    """What one key wants of others."""
    if config["gateway"] and not (config["id"] and config["psk"]):
        fail("gateway", "a gateway wants 'id' and 'psk' beside it")
    if config["accept"] and (not config["id"] or config["id"] in config["accept"]):
        fail("accept", "'accept' wants an 'id' of our own beside it")
    for key, given in [("ppk", config)] + [("accept", peer) for peer in config["accept"].values()]:
        if given["ppk"] or given["ppk_id"]:
            from .ppk import check as check_ppk

            try:
                check_ppk(given["psk"].encode(), given["ppk_id"], given["ppk"].encode())
            except ValueError as error:
                fail(key, str(error))
    for name, least in (("ports", 2), ("ike_sas", 4), ("child_sas", 8)):
        value = config[name]
        if (config["gateway"] or config["accept"]) and (len(value) if name == "ports" else value) < least:
            fail(name, "a tunnel wants %r to have at least %d" % (name, least))
    if config["keep_keys"] and 26 * config["ike_sas"] + 11 * config["child_sas"] > _RTC_TABLE_OCTETS:
        fail("keep_keys", "'keep_keys' wants fewer ike_sas or child_sas: tables of %d octets" % _RTC_TABLE_OCTETS)


def parse(octets, file=FILE, weak_psk=True):
    """All values, those of the file's octets over the defaults; ConfigError. Each of "accept" has psk, ppk and ppk_id.

    N21: a psk under 16 octets is taken with `weak_psk` only; on the board it is too late to say no.
    """

    def fail(line, what):
        raise ConfigError("%s, line %d: %s" % (file, line, what))

    try:
        text = text_of(octets)
    except ValueError:
        fail(1, "no UTF-8: save it as that")
    given, lines = Reader(text, fail).read()

    def fail_at(key, what):
        fail(lines.get(key, 1), what)

    config = KEYS.copy()
    for key in given:
        if key not in KEYS:
            fail_at(key, "an unknown key; known are %s" % ", ".join(sorted(KEYS)))
        try:
            check(key, given[key])
        except ValueError as error:
            fail_at(key, str(error))
        config[key] = given[key]
    accept = config["accept"]
    for id in accept:
        peer = {"ppk": "", "ppk_id": ""}
        peer.update(accept[id] if isinstance(accept[id], dict) else {"psk": accept[id]})
        accept[id] = peer
    _check_together(config, fail_at)
    accepted = [peer["psk"] for peer in accept.values()]
    for name, psks in (("psk", [config["psk"]] if config["gateway"] else []), ("accept", accepted)):
        if not weak_psk and [psk for psk in psks if len(psk.encode()) < _PSK_OCTETS]:
            what = "%r has under %d octets: whoever poses as the other end can guess it offline"
            raise WeakPsk("%s, line %d: %s" % (file, lines[name], what % ("psk", _PSK_OCTETS)))
    return config


def read(path=FILE):
    """The configuration of this board; the defaults if there is no file."""
    try:
        with open(path, "rb") as file:
            octets = file.read()
    except OSError:
        octets = b"{}"
    return parse(octets)
