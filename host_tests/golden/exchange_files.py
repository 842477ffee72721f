"""Reads recorded attempts to make an IKE SA: JSON files under exchanges/, each a list of cases.

    {"name": "cookie", "rules": ["N3"], "gateway": "192.0.2.1", "begins": 0, "contact": false,
     "policy": {"id": "sensor-7", "psk": "hex", "gateway_id": "", "inside": null, "remote": ["0.0.0.0/0"],
                "groups": [31, 14], "ciphers": ["aes-cbc-256", "aes-cbc-128"]},
     "random": "hex",
     "steps": [{"at_ms": 0, "receive": {"via": "udp/500", "octets": "hex"},
                "send": [{"via": "udp/500", "octets": "hex"}]}],
     "outcome": {"failed": "AUTHENTICATION_FAILED"}}

`random` is all that is random, in the order of need. A step without `receive` lets time pass until `at_ms`; `send` is
all that has left the device since the step before, each to the port that it left from. `outcome` has the beginning of
the reason, or "established": {"cipher", "spi_in", "spi_out", "key_in", "key_out", "inside", "remote"}, octets in hex,
the selectors as networks. A policy with a PPK has "ppk": [PPK_ID, octets in hex], too. A case of who accepts has "hub"
in place of gateway, contact and policy:

     "hub": {"id": "hub.example", "inside": "10.9.0.254", "pool": "10.9.0.0/24", "groups": [31, 14],
             "ciphers": ["aes-cbc-256"], "as_sent": false, "peers": {"sensor-7": "hex"}, "cookies_from": 2}

and perhaps "ppks": {"sensor-7": [PPK_ID, "hex"]}; its steps have "from" and "to", [address, port], and its outcome is
{"accepted": [a list of what else is "established", with the id under "peer"], "left": IKE SAs that there are}. The
answers were another implementation's, which has verified what it was asked: library/scripted_gateway.py's or
scripted_caller.py's; record_exchanges.py made the files.
"""

import ipaddress
import json
from pathlib import Path

FOLDER = Path(__file__).parent / "exchanges"
VIAS = {"udp/500": 500, "udp/4500": 4500}
_KEYS = {"name", "rules", "gateway", "begins", "contact", "policy", "random", "steps", "outcome"}
_OF_HUB = {"name", "rules", "begins", "hub", "random", "steps", "outcome"}


class FormatError(Exception):
    """Names the file and the case."""


def selectors(networks):
    """Networks as the library keeps selectors, in hex."""
    octets = b""
    for network in map(ipaddress.ip_network, networks):
        octets += b"\0\0\0\xff\xff" + network[0].packed + network[-1].packed
    return octets.hex()


def endpoint(address, port):
    return ipaddress.ip_address(address).packed.hex() + port.to_bytes(2, "big").hex()


def _accepting(case):
    """As compile_case, of who accepts."""
    steps, expected = [], []
    for step in case["steps"]:
        receive = step.get("receive")
        via = VIAS[receive["via"]] if receive else 0
        steps.append([step["at_ms"], via, endpoint(*receive["from"]) if via else "", receive["octets"] if via else ""])
        expected.append([[VIAS[sent["via"]], endpoint(*sent["to"]), sent["octets"]] for sent in step["send"]])
    hub = {**case["hub"], "pool": selectors([case["hub"]["pool"]])}
    hub["inside"] = ipaddress.ip_address(hub["inside"]).packed.hex()
    accepted = [
        {**made, "inside": selectors(made["inside"]), "remote": selectors(made["remote"])}
        for made in case["outcome"]["accepted"]
    ]
    return {
        "name": case["name"], "rules": case["rules"], "steps": steps, "expected": expected,
        "machine": {"begins": case["begins"], "hub": hub, "random": case["random"]},
        "end": {"accepted": accepted, "left": case["outcome"]["left"], "unused": 0},
    }  # fmt: skip


def compile_case(case, path):
    """A case in the form that exchange_machine takes, with what is expected."""
    if "hub" in case:
        try:
            return _accepting(case) if set(case) == _OF_HUB else {}["fields"]
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"{path}: {case.get('name')!r}: {error!r}") from error
    if set(case) != _KEYS:
        raise FormatError(f"{path}: {case.get('name')!r} has not the fields of a case: {sorted(set(case) ^ _KEYS)}")
    try:
        steps, expected = [], []
        for step in case["steps"]:
            receive = step.get("receive")
            via = VIAS[receive["via"]] if receive else 0
            source = endpoint(case["gateway"], via) if via else ""
            steps.append([step["at_ms"], via, source, receive["octets"] if receive else ""])
            expected.append([
                [VIAS[sent["via"]], endpoint(case["gateway"], VIAS[sent["via"]]), sent["octets"]]
                for sent in step["send"]
            ])  # fmt: skip
        made = case["outcome"].get("established")
        if made:
            made = {**made, "inside": selectors(made["inside"]), "remote": selectors(made["remote"])}
        machine = {
            "gateway": endpoint(case["gateway"], 500), "begins": case["begins"], "contact": case["contact"],
            "policy": {**case["policy"], "remote": selectors(case["policy"]["remote"])}, "random": case["random"],
        }  # fmt: skip
        return {
            "name": case["name"], "rules": case["rules"], "machine": machine, "steps": steps,
            "expected": expected, "established": made, "failed": case["outcome"].get("failed"),
        }  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path}: {case['name']!r}: {error!r}") from error


def read(path):
    """All cases of a file."""
    return [compile_case(case, path) for case in json.loads(path.read_text())]


def all_cases():
    """Every case there is."""
    return [case for path in sorted(FOLDER.glob("*.json")) for case in read(path)]
