"""Reads and checks golden vectors; the format is VECTORS.md's, with more in it. A file that breaks it is a FormatError.

What is more: an entry of given.ike_sas may have the keys of the IKE SA, and then something speaks over it.

    "keys": {"cipher": "aes-cbc-128", "sk_ei": "hex", "sk_er": "hex", "sk_ai": "hex", "sk_ar": "hex"},
    "message_ids": [2, 0],
    "random": "hex",
    "quiet_ms": 0

The cipher is one of CIPHERS; with AES-GCM there are no sk_ai and sk_ar, and the salt is the end of the key, as RFC
5282 has it. `message_ids` are those of the next request of ours and of the peer's ([0, 0] if left out), `random` the
octets of which IVs are made, in the order of need: 16 each for CBC, 4 for GCM; `quiet_ms` is how long the peer may be
silent (0: for ever). These three make sense only with keys. An IKE SA without keys is VECTORS.md's: nothing is sent
over it. A case that is to change the table says what is left of `given` after its last step, by index:

    "left": {"ike_sas": [0], "child_sas": [1]}

Without it the table must be the same octet for octet.
"""

import ipaddress
import json
import re
from pathlib import Path

FOLDER = Path(__file__).parent / "vectors"
VIAS = {"udp/500": 500, "udp/4500": 4500, "ip/50": 50, "ip/51": 51}
VIA_NAMES = {number: name for name, number in VIAS.items()}
# Octets of sk_ei and sk_er, and of sk_ai and sk_ar.
CIPHERS = {"aes-cbc-128": (16, 32), "aes-cbc-256": (32, 32), "aes-gcm-16-128": (20, 0), "aes-gcm-16-256": (36, 0)}
CONFIG = {  # from, to
    "answers_per_s": (0, 10**6), "burst": (0, 10**9), "per_source_ms": (0, 2**28 - 1), "sources": (1, 10**4),
    "hint_ms": (0, 2**28 - 1),
}  # fmt: skip
VERDICTS = (
    "invalid-spi invalid-spi-protected invalid-ike-spi invalid-major-version "
    "hint-invalid-spi hint-invalid-ike-spi hint-invalid-major-version "
    "deliver-ike deliver-init deliver-esp deliver-ah "
    "drop-empty drop-source drop-keepalive drop-malformed drop-reserved-spi drop-old-version "
    "drop-response drop-unencrypted drop-amplification drop-limited"
).split()


_ONLY_WITH_KEYS = ("message_ids", "random", "quiet_ms")
_KEYS = ("sk_ei", "sk_er", "sk_ai", "sk_ar")


class FormatError(Exception):
    """Names the file, the case and the field."""


class _Field:
    """A value and where it stands, for messages."""

    def __init__(self, value, where):
        self.value = value
        self.where = where

    def fail(self, what):
        raise FormatError(f"{self.where}: {what}")

    def object(self, required, optional=()):
        if not isinstance(self.value, dict):
            self.fail("is not an object")
        for key in required:
            if key not in self.value:
                self.fail(f"has no {key!r}")
        for key in self.value:
            if key not in required and key not in optional:
                self.fail(f"has an unknown field {key!r}")
        return self

    def __getitem__(self, key):
        return _Field(self.value[key], f"{self.where}.{key}")

    def get(self, key, default):
        return _Field(self.value.get(key, default), f"{self.where}.{key}")

    def items(self):
        if not isinstance(self.value, list):
            self.fail("is not a list")
        return [_Field(item, f"{self.where}[{i}]") for i, item in enumerate(self.value)]

    def text(self):
        if not isinstance(self.value, str) or not self.value:
            self.fail("is not a text")
        return self.value

    def flag(self):
        if not isinstance(self.value, bool):
            self.fail("is not true or false")
        return self.value

    def number(self, low, high):
        if isinstance(self.value, bool) or not isinstance(self.value, int) or not low <= self.value <= high:
            self.fail(f"is not a whole number from {low} to {high}: {self.value!r}")
        return self.value

    def rate(self):
        low, high = CONFIG["answers_per_s"]
        if isinstance(self.value, bool) or not isinstance(self.value, (int, float)) or not low <= self.value <= high:
            self.fail(f"is not a number from {low} to {high}: {self.value!r}")

    def hex(self, octets=None, any_nibble=False):
        text = "".join(self.value.split()).lower() if isinstance(self.value, str) else None
        if text is None or len(text) % 2 or not re.fullmatch("[0-9a-fx]*" if any_nibble else "[0-9a-f]*", text):
            self.fail("is not octets in hex")
        if octets is not None and len(text) != 2 * octets:
            self.fail(f"is not {octets} octets in hex")
        return text

    def choice(self, among):
        if not isinstance(self.value, str) or self.value not in among:
            self.fail(f"is none of {', '.join(among)}: {self.value!r}")
        return self.value

    def endpoint(self):
        pair = self.items()
        if len(pair) != 2:
            self.fail("is not [address, port]")
        try:
            address = ipaddress.ip_address(pair[0].text())
        except ValueError:
            pair[0].fail(f"is not an IP address: {pair[0].value!r}")
        return address.packed.hex() + pair[1].number(0, 65535).to_bytes(2, "big").hex()


def endpoint_text(endpoint):
    """'192.0.2.1:500' for an endpoint in hex."""
    octets = bytes.fromhex(endpoint)
    address = ipaddress.ip_address(octets[:-2])
    return (
        f"[{address}]:{octets[-2] << 8 | octets[-1]}"
        if len(octets) == 18
        else f"{address}:{octets[-2] << 8 | octets[-1]}"
    )


def owner_of(sa):
    """[cipher, keys, Message IDs, random octets, quiet_ms] of an entry of ike_sas; None without keys."""
    if "keys" not in sa.value:
        for key in _ONLY_WITH_KEYS:
            if key in sa.value:
                sa[key].fail("makes no sense without keys")
        return None
    cipher = sa["keys"].object(("cipher",), _KEYS)["cipher"].choice(CIPHERS)
    sizes = dict(zip(_KEYS, [size for size in CIPHERS[cipher] for _ in range(2)], strict=True))
    names = [name for name in _KEYS if sizes[name]]
    sa["keys"].object(("cipher", *names))
    ids = sa.get("message_ids", [0, 0])
    if len(ids.items()) != 2:
        ids.fail("is not [ours, the peer's]")
    return [
        cipher,
        [sa["keys"][name].hex(sizes[name]) for name in names],
        [number.number(0, 2**32 - 1) for number in ids.items()],
        sa.get("random", "").hex(),
        sa.get("quiet_ms", 0).number(0, 2**29 - 1),
    ]


def compile_case(case, where):
    """Check one case of a file; returns it in the form that vector_machine takes, with what is expected."""
    case = _Field(case, f"{where} {case['name']!r}" if isinstance(case, dict) and "name" in case else where)
    case.object(("name", "rules", "steps"), ("config", "given", "left"))["name"].text()
    rules = [rule.text() for rule in case["rules"].items()]
    for rule in rules:
        if not re.fullmatch(r"[A-Z]+[0-9]+(\.[0-9]+)?", rule):
            case["rules"].fail(f"names no rule: {rule!r}")
    config = case.get("config", {}).object((), CONFIG)
    for key in config.value:
        if key == "answers_per_s":
            config[key].rate()
        else:
            config[key].number(*CONFIG[key])
    given = case.get("given", {}).object((), ("ike_sas", "child_sas", "outstanding"))
    ike_sas = []
    for sa in given.get("ike_sas", []).items():
        sa.object(("spi_i", "spi_r", "role", "peer", "established"), ("keys", *_ONLY_WITH_KEYS))
        initiator = sa["role"].choice(("initiator", "responder")) == "initiator"
        spis = [sa["spi_i"].hex(8), sa["spi_r"].hex(8)]
        ike_sas.append([*spis, initiator, sa["peer"].endpoint(), sa["established"].flag(), owner_of(sa)])
    child_sas = []
    for sa in given.get("child_sas", []).items():
        sa.object(("ike_sa", "protocol", "spi_in", "spi_out"))
        protocol = {"esp": 50, "ah": 51}[sa["protocol"].choice(("esp", "ah"))]
        ike = sa["ike_sa"].number(0, len(ike_sas) - 1)
        child_sas.append([ike, protocol, sa["spi_in"].hex(4), sa["spi_out"].hex(4)])
    outstanding = []
    for request in given.get("outstanding", []).items():
        request.object(("ike_sa", "exchange", "message_id"))
        message_id = request["message_id"].number(0, 2**32 - 1).to_bytes(4, "big").hex()
        ike = request["ike_sa"].number(0, len(ike_sas) - 1)
        if ike_sas[ike][5]:
            request["ike_sa"].fail("has keys: what is outstanding there is what it sends")
        outstanding.append([ike, request["exchange"].number(0, 255), message_id])
    left = None
    if "left" in case.value:
        kinds = case["left"].object(("ike_sas", "child_sas"))
        left = [
            [entry.number(0, len(sas) - 1) for entry in kinds[kind].items()]
            for kind, sas in (("ike_sas", ike_sas), ("child_sas", child_sas))
        ]
    steps = []
    expected = []
    clock = 0
    for step in case["steps"].items():
        tick = "tick" in step.object((), ("at_ms", "receive", "tick", "verdict", "send")).value
        step.object(("at_ms", "tick", "send") if tick else ("at_ms", "receive", "verdict", "send"))
        if tick and not step["tick"].flag():
            step["tick"].fail("is not true")
        at_ms = step["at_ms"].number(clock, 2**62)
        clock = at_ms
        if tick:
            steps.append([at_ms, 0, "", ""])
        else:
            got = step["receive"].object(("via", "from", "octets"))
            via, source = VIAS[got["via"].choice(VIAS)], got["from"].endpoint()
            if via < 100 and source[-4:] != "0000":
                got["from"].fail("has a port")
            steps.append([at_ms, via, source, got["octets"].hex()])
        sends = []
        for send in step["send"].items():
            send.object(("via", "to", "octets"))
            via = VIAS[send["via"].choice(("udp/500", "udp/4500"))]
            sends.append([via, send["to"].endpoint(), send["octets"].hex(any_nibble=True)])
        expected.append([None if tick else step["verdict"].choice(VERDICTS), sends])
    if not steps:
        case["steps"].fail("is empty")
    endpoints = [sa[3] for sa in ike_sas] + [step[2] for step in steps]
    return {
        "name": case["name"].value, "rules": rules, "config": config.value, "ike_sas": ike_sas, "child_sas": child_sas,
        "outstanding": outstanding, "left": left, "steps": steps, "expected": expected,
        "address": 16 if any(len(endpoint) == 36 for endpoint in endpoints) else 4,
    }  # fmt: skip


def read(path):
    """All cases of one file."""
    try:
        cases = json.loads(Path(path).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"{path}: {error}") from None
    return [compile_case(case.value, case.where) for case in _Field(cases, str(path)).items()]


def paths(names=()):
    """The named files, looked up here and in the vectors' folder; without names all of the folder."""
    found = []
    for name in names:
        beside = FOLDER / name
        found.append(beside if not Path(name).exists() and beside.exists() else Path(name))
    return found or sorted(FOLDER.glob("*.json"))


def all_cases():
    """Every case of the repository."""
    return [case for path in paths() for case in read(path)]
