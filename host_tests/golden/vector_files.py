"""Reads and checks golden vectors in the format of VECTORS.md. A file that breaks it is a FormatError.

vectors.schema.json says what a file may look like; here is what a schema cannot say: what depends on another field, and
where it is that something is wrong.
"""

import ipaddress
import json
import re
from functools import cache
from pathlib import Path

import jsonschema
from tools import kept

FOLDER = Path(__file__).parent / "vectors"
SCHEMA = json.loads(Path(__file__).with_name("vectors.schema.json").read_text())
VERDICTS = SCHEMA["$defs"]["receive"]["properties"]["verdict"]["enum"]
DROPPED = SCHEMA["$defs"]["receive"]["properties"]["dropped"]["enum"]
VIAS = {"udp/500": 500, "udp/4500": 4500, "ip/50": 50, "ip/51": 51}
VIA_NAMES = {number: name for name, number in VIAS.items()}
_KEYS = ("sk_ei", "sk_er", "sk_ai", "sk_ar")
_PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17}
_SELECTOR = r"([\d.]+)(/\d+)?(?:-([\d.]+))?(?:\[(\w+)(?:/(\d+)(?:-(\d+))?)?\])?"
_ANY = "0.0.0.0/0"


class FormatError(Exception):
    """Names the file, the case and the field."""


def octets(text):
    """Hex without its blanks, in lower case."""
    return "".join(text.split()).lower()


def endpoint(pair):
    """[address, port] as address and port octets, in hex."""
    return ipaddress.ip_address(pair[0]).packed.hex() + pair[1].to_bytes(2, "big").hex()


def endpoint_text(endpoint):
    """'192.0.2.1:500' for an endpoint in hex."""
    octets = bytes.fromhex(endpoint)
    address = ipaddress.ip_address(octets[:-2])
    return (
        f"[{address}]:{octets[-2] << 8 | octets[-1]}"
        if len(octets) == 18
        else f"{address}:{octets[-2] << 8 | octets[-1]}"
    )


def selector(text):
    """The 13 octets of a traffic selector of IPv4, in hex; ValueError if it is none."""
    found = re.fullmatch(_SELECTOR, text)
    if not found or (found[2] and found[3]):
        raise ValueError(text)
    address, prefix, last, protocol, low, high = found.groups()
    network = ipaddress.IPv4Network(address + (prefix or ""), strict=False)
    ends = [network[0], ipaddress.IPv4Address(last) if last else network[-1]]
    number = int(_PROTOCOLS.get(protocol, protocol or 0))
    ports = [int(low or 0), int(high or low or 65535)]
    if ends[0] > ends[1] or ports[0] > ports[1]:
        raise ValueError(text)
    return "".join(part.hex() for part in (bytes([number]), *[port.to_bytes(2, "big") for port in ports],
                                           *[end.packed for end in ends]))  # fmt: skip


@cache
def _validator():
    formats = jsonschema.FormatChecker(())
    formats.checks("address", ValueError)(lambda text: ipaddress.ip_address(text))
    formats.checks("selector", (ValueError, OverflowError))(selector)
    base = jsonschema.Draft202012Validator
    whole = base.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    return jsonschema.validators.extend(base, type_checker=whole)(SCHEMA, format_checker=formats)


def _what(error):
    """What is wrong, in a line."""
    if error.validator == "not":
        return "must not be there"
    if "what" in error.schema and error.validator != "items":
        return f"is not {error.schema['what']}"
    return error.message if len(error.message) < 200 else f"{error.message[:100]} ... {error.message[-80:]}"


class _Fields:
    """Fails with the place of a field."""

    def __init__(self, where):
        self.where = where

    def fail(self, path, what):
        raise FormatError(self.where + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path) + f": {what}")

    def index(self, number, among, *path):
        if number >= len(among):
            self.fail(path, f"is not below {len(among)}: {number}")
        return number


def _ike_owner(sa):
    """[cipher, keys, Message IDs, random octets, quiet_ms] of an entry of ike_sas; None without keys."""
    if "keys" not in sa:
        return None
    keys = sa["keys"]
    return [
        keys["cipher"],
        [octets(keys[name]) for name in _KEYS if name in keys],
        sa.get("message_ids", [0, 0]),
        octets(sa.get("random", "")),
        sa.get("quiet_ms", 0),
    ]


def _child_owner(sa):
    """[cipher, keys in and out, inside, remote, next, seen, random octets] of a Child SA; None without keys."""
    if "keys" not in sa:
        return None
    keys = sa["keys"]
    ours, theirs = ["".join(map(selector, sa.get(end, [_ANY]))) for end in ("inside", "remote")]
    numbers = sa.get("next", 1), sa.get("seen", 0)
    random = octets(sa.get("random", ""))
    return [keys["cipher"], octets(keys["in"]), octets(keys["out"]), ours, theirs, *numbers, random]


def compile_case(case, where):
    """Check one case of a file; returns it in the form that vector_machine takes, with what is expected.

    A step is [ms, via, source, octets]. Where via is 0 only time passes, or, if there are octets, Child SA `source`
    carries them. For each step `expected` has its verdict and what is sent, `opened` what comes out of ESP: None, or
    ["inner", octets] or ["dropped", reason].
    """
    fields = _Fields(f"{where} {case['name']!r}" if isinstance(case, dict) and "name" in case else where)
    error = jsonschema.exceptions.best_match(_validator().iter_errors([case]))
    if error:
        fields.fail(list(error.absolute_path)[1:], _what(error))
    given = case.get("given", {})
    ike_sas = [
        [octets(sa["spi_i"]), octets(sa["spi_r"]), sa["role"] == "initiator", endpoint(sa["peer"]), sa["established"],
         _ike_owner(sa)]
        for sa in given.get("ike_sas", [])
    ]  # fmt: skip
    child_sas = []
    for i, sa in enumerate(given.get("child_sas", [])):
        ike = fields.index(sa["ike_sa"], ike_sas, "given", "child_sas", i, "ike_sa")
        protocol = {"esp": 50, "ah": 51}[sa["protocol"]]
        child_sas.append([ike, protocol, octets(sa["spi_in"]), octets(sa["spi_out"]), _child_owner(sa)])
    outstanding = []
    for i, request in enumerate(given.get("outstanding", [])):
        ike = fields.index(request["ike_sa"], ike_sas, "given", "outstanding", i, "ike_sa")
        if ike_sas[ike][5]:
            fields.fail(("given", "outstanding", i, "ike_sa"), "has keys: what is outstanding there is what it sends")
        outstanding.append([ike, request["exchange"], request["message_id"].to_bytes(4, "big").hex()])
    left = None
    if "left" in case:
        left = [
            [fields.index(n, sas, "left", kind, i) for i, n in enumerate(case["left"][kind])]
            for kind, sas in (("ike_sas", ike_sas), ("child_sas", child_sas))
        ]
    steps, expected, opened = [], [], []
    for i, step in enumerate(case["steps"]):
        if i and step["at_ms"] < steps[-1][0]:
            fields.fail(("steps", i, "at_ms"), f"is before step {i - 1}")
        if "receive" in step:
            got = step["receive"]
            steps.append([step["at_ms"], VIAS[got["via"]], endpoint(got["from"]), octets(got["octets"])])
        elif "carry" in step:
            child = fields.index(step.get("child_sa", 0), child_sas, "steps", i, "child_sa")
            if not child_sas[child][4]:
                fields.fail(("steps", i, "child_sa"), "is one without keys")
            steps.append([step["at_ms"], 0, child, octets(step["carry"])])
        else:
            steps.append([step["at_ms"], 0, "", ""])
        sends = [[VIAS[send["via"]], endpoint(send["to"]), octets(send["octets"])] for send in step["send"]]
        expected.append([step.get("verdict"), sends])
        inner = ["inner", octets(step["inner"])] if "inner" in step else None
        opened.append(["dropped", step["dropped"]] if "dropped" in step else inner)
    endpoints = [sa[3] for sa in ike_sas] + [step[2] for step in steps if step[1]]
    return {
        "name": case["name"], "rules": case["rules"], "config": case.get("config", {}), "ike_sas": ike_sas,
        "child_sas": child_sas, "outstanding": outstanding, "left": left, "steps": steps, "expected": expected,
        "opened": opened, "address": 16 if any(len(endpoint) == 36 for endpoint in endpoints) else 4,
    }  # fmt: skip


def read(path):
    """All cases of one file."""
    try:
        # NaN and Infinity are no JSON: as texts they are no numbers.
        cases = json.loads(Path(path).read_text(), parse_constant=str)
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"{path}: {error}") from None
    if not isinstance(cases, list):
        raise FormatError(f"{path}: is not a list")
    return [compile_case(case, f"{path}[{i}]") for i, case in enumerate(cases)]


def paths(names=()):
    """The named files, looked up here and in the vectors' folder; without names all of the folder."""
    found = []
    for name in names:
        beside = FOLDER / name
        found.append(beside if not Path(name).exists() and beside.exists() else Path(name))
    return found or sorted(FOLDER.glob("*.json"))


@cache
def all_cases():
    """Every case of the repository, which are checked once."""
    of = SCHEMA, Path(__file__).read_text(), [(path.name, path.read_text()) for path in paths()]
    return json.loads(kept(lambda: json.dumps([case for path in paths() for case in read(path)]).encode(), of))
