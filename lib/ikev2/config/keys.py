"""The keys of a configuration: type, default and limits of each, and the one check of a value.

The PC that deploys a file, the board that reads it and the constructor of a tunnel refuse the same in the same words.
They name the key and the limit; no string, and no number long enough to be a secret in the wrong place, is shown.
"""

from portable import const, ipv4

# Name, default, which has the type of each.
KEYS = {
    "ssid": "",
    "password": "",
    "power_save": True,  # the modem sleeps between beacons
    "static": [],  # our address, mask, router, name server; []: DHCP gives them
    "address": "10.66.0.2",  # of the SLIP link; Wi-Fi asks DHCP
    "peer": "10.66.0.1",
    "gateway": "",  # of the tunnel; "": none
    "id": "",
    "psk": "",
    "ppk": "",  # RFC 8784; "": none
    "ppk_id": "",
    "gateway_id": "",  # "": any
    "inside": "",  # our address in the tunnel; "": the gateway gives one
    "remote": ["0.0.0.0/0"],
    "groups": [31, 14],
    "ciphers": ["aes-cbc-256", "aes-cbc-128"],
    "liveness_s": 10,
    "keepalive_s": 20,
    "lifetime_s": 10800,
    "keep_keys": False,  # in RTC memory, through deep sleep
    "settle_s": 1,  # how long sleep waits for what is on its way
    "reset_s": 3600,  # after so long with a network and without a tunnel; 0: never
    "accept": {},  # of those that may have a tunnel to us: {id: psk, or {"psk", "ppk", "ppk_id"}}
    "pool": "10.9.0.0/24",  # their addresses in it; its last one is ours
    "dns": [],  # name servers inside; []: those that the gateway gives
    "connections": 8,  # of TCP inside, at a time; 0: deploy brings no TCP
    "stream_buffer": 2720,  # octets that a connection keeps, each way
    "ports": [500, 4500],
    "raw": [50, 51],
    "ike_sas": 16,
    "child_sas": 32,
    "answers_per_s": 1,
    "burst": 5,
    "per_source_ms": 3000,
    "sources": 8,
    "hint_ms": 10000,
    "log": False,
    "led": -1,  # number of a pin that flickers with every verdict; -1: none
    "watchdog_s": 30,  # 0: none
}
_AT_LEAST = {"led": -1, "sources": 1, "ike_sas": 1, "child_sas": 1, "liveness_s": 1, "keepalive_s": 1, "lifetime_s": 60,
             "connections": 0, "stream_buffer": 536}  # fmt: skip
_AT_MOST = {
    "led": 60, "watchdog_s": 86400, "sources": 255, "ike_sas": 256, "child_sas": 256, "answers_per_s": 1000000,
    "liveness_s": 3600, "keepalive_s": 3600, "lifetime_s": 86400, "settle_s": 60, "reset_s": 864000,
    "connections": 64, "stream_buffer": 65535,
}  # fmt: skip
_MS_MAX = const(0xFFFFFFF)  # of the limits in milliseconds; the rest has room for as many
_CHOICES = {
    "ports": (500, 4500),
    "raw": (50, 51),
    "groups": (31, 14),
    "ciphers": ("aes-cbc-256", "aes-cbc-128", "aes-gcm-16-256", "aes-gcm-16-128"),
}
_KINDS = {str: "a string", bool: "true or false", int: "a whole number", list: "a list", dict: "an object"}
_ID_OCTETS = const(200)
_NETWORKS = const(8)  # as many selectors of one side as are kept
_SHOWN = const(100000)  # a password or psk has 8 characters or more


def _unicast(text):
    octets = ipv4(text)
    return octets is not None and 0 < octets[0] < 224 and octets[0] != 127


def _network(text):
    """True for an IPv4 address, or an address with a prefix length behind whose prefix all is zero."""
    address, slash, size = text.partition("/")
    octets = ipv4(address)
    if octets is None or not slash:
        return octets is not None
    if len(size) > 2 or ipv4("0.0.0." + size) is None or int(size) > 32:
        return False
    number = 0
    for octet in octets:
        number = number << 8 | octet
    return not number & ((1 << (32 - int(size))) - 1)


def _pool(text):
    return _network(text) and _unicast(text.partition("/")[0]) and 0 < int(text.partition("/")[2] or 32) < 31


def _host(text):
    """True for an IPv4 address or a name as DNS has them."""
    if ipv4(text) is not None:
        return True
    labels = text.lower().encode().split(b".")
    for label in labels:
        if not 0 < len(label) < 64 or label.startswith(b"-"):
            return False
        for octet in label:
            if octet not in b"0123456789abcdefghijklmnopqrstuvwxyz-_":
                return False
    return len(text) < 254 and labels[-1][0] not in b"0123456789"


def _host_and_port(text):
    host, colon, port = text.partition(":")
    digits = [digit for digit in port.encode() if digit in b"0123456789"]
    return _host(host) and (not colon or (0 < len(digits) == len(port) < 6 and 0 < int(port) < 65536))


def _identity(text):
    size = len(text.encode())
    return size <= _ID_OCTETS and (text[:6] != "keyid:" or size > 6)


# What a string, or each of a list, has to be.
_AN_ADDRESS = (ipv4, "an IPv4 address")
_AN_ID = (_identity, "at most %d octets: a name, user@name, an address, keyid:…" % _ID_OCTETS)
_FORMS = {
    "address": _AN_ADDRESS,
    "peer": _AN_ADDRESS,
    "static": (ipv4, "IPv4 addresses: ours, mask, router, name server"),
    "inside": (_unicast, "an IPv4 address of one host, or empty: the gateway gives one"),
    "remote": (_network, 'networks as "10.0.0.0/8", nothing but zeros behind the prefix'),
    "pool": (_pool, 'a network of 4 addresses at least, as "10.9.0.0/24"'),
    "dns": (_unicast, "IPv4 addresses of hosts inside the tunnel"),
    "gateway": (_host_and_port, "a host name or an IPv4 address, and perhaps :port"),
    "id": _AN_ID,
    "gateway_id": _AN_ID,
}


def _check_number(key, value):
    least, most = _AT_LEAST.get(key, 0), _AT_MOST.get(key, _MS_MAX)
    if not least <= value <= most:
        shown = ", not %d" % value if -_SHOWN < value < _SHOWN else ""
        raise ValueError("%r must be at least %d and at most %d%s" % (key, least, most, shown))


def _check_choice(key, value):
    known = _CHOICES[key]
    for one in value:
        if type(one) is not type(known[0]) or one not in known or value.count(one) > 1:
            raise ValueError("%r may hold each of %s once" % (key, ", ".join([repr(choice) for choice in known])))
    if not value and key not in ("ports", "raw"):
        raise ValueError("%r must not be empty" % key)


def _check_accept(value):
    for id in value:
        given = value[id] if isinstance(value[id], dict) else {"psk": value[id]}
        texts = [given[key] for key in given if key in ("psk", "ppk", "ppk_id") and isinstance(given[key], str)]
        if not id or not _identity(id) or len(texts) < len(given) or not given.get("psk"):
            what = "%d octets at most, and the psk of each" % _ID_OCTETS
            raise ValueError('\'accept\' must have ids, %s: {"sensor-8": "its psk"}' % what)


def check(key, value):
    """Raise ValueError, which says the limit, if that cannot be the value of a known key."""
    kind = type(KEYS[key])
    if type(value) is not kind:
        raise ValueError("%r must be %s" % (key, _KINDS[kind]))
    if value is KEYS[key]:
        return
    if kind is int:
        _check_number(key, value)
    elif kind is dict:
        _check_accept(value)
    elif key in _CHOICES:
        _check_choice(key, value)
    elif key == "remote" and not 0 < len(value) <= _NETWORKS:
        raise ValueError("'remote' must have at least 1 network and at most %d, not %d" % (_NETWORKS, len(value)))
    elif key == "static" and len(value) not in (0, 4):
        raise ValueError("'static' must have 4 addresses: ours, mask, router, name server; not %d" % len(value))
    if key in _FORMS:
        good, what = _FORMS[key]
        for text in value if kind is list else [value] if value else []:
            if not isinstance(text, str) or not good(text):
                raise ValueError("%r must be %s" % (key, what))


def check_tunnel(psk, **values):
    """The same for what a tunnel is made with: the psk as octets, never shown, and tuples where a file has lists."""
    if not isinstance(psk, (bytes, bytearray)) or not psk:
        raise ValueError("'psk' must be octets (bytes), at least one, not %s" % type(psk).__name__)
    for key in values:
        value = values[key]
        if not value and key in ("gateway", "id"):
            raise ValueError("%r must not be empty" % key)
        check(key, list(value) if isinstance(value, tuple) else value)
