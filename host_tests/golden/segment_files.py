"""Reads segment vectors: JSON files under segments/, each a list of cases, as VECTORS.md has them."""

import ipaddress
import json
from pathlib import Path

FOLDER = Path(__file__).parent / "segments"
_KEYS = {"name", "rules", "address", "begins", "buffer", "random", "steps", "left"}
_STEP = {"at_ms", "segment", "do", "segments", "got", "state"}
_DO = {"connect", "listen", "accept", "write", "read", "shutdown", "close", "abort", "keepalive", "keep", "restore"}


class FormatError(Exception):
    """Names the file and the case."""


def compile_case(case, path):
    """A case in the form that segment_machine takes, with what is expected."""
    if set(case) != _KEYS:
        raise FormatError(f"{path}: {case.get('name')!r} has not the fields of a case: {sorted(set(case) ^ _KEYS)}")
    try:
        steps, expected = [], []
        for step in case["steps"]:
            do = step.get("do")
            if set(step) - _STEP or (do and do[0] not in _DO) or bytes.fromhex(step.get("segment", "")) == b"" == do:
                raise ValueError(step)
            if do and do[0] == "connect":
                do = [do[0], ipaddress.IPv4Address(do[1]).packed.hex(), *do[2:]]
            steps.append([step["at_ms"], step.get("segment", ""), do])
            expected.append([step["segments"], step.get("got"), step["state"]])
        return {
            "name": case["name"], "rules": case["rules"],
            "address": ipaddress.IPv4Address(case["address"]).packed.hex(),
            "begins": case["begins"], "buffer": case["buffer"], "random": case["random"], "steps": steps,
            "expected": expected, "left": case["left"],
        }  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path}: {case['name']!r}: {error!r}") from error


def read(path):
    """All cases of a file."""
    return [compile_case(case, path) for case in json.loads(path.read_text())]


def all_cases():
    """Every case there is."""
    return [case for path in sorted(FOLDER.glob("*.json")) for case in read(path)]
