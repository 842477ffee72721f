"""Runs recorded attempts on a machine; `make vectors` does."""

import json

from golden import exchange_files
from golden.differences import dump
from golden.machines import MACHINES


def machine(target):
    """Context manager of what tells an attempt to a machine."""
    return MACHINES[target]("exchange_machine")


def run(case, tell):
    """What is wrong with a case on a machine: a list of lines, empty if nothing."""
    answer = json.loads(tell(json.dumps({"begin": case["machine"]})))
    wrong = []
    for i, (step, expected) in enumerate(zip(case["steps"], case["expected"], strict=True)):
        if "error" not in answer:
            answer = json.loads(tell(json.dumps({"steps": [step]})))
        if "error" in answer:
            return [*wrong, f"    {answer['error']}"]
        (got,) = answer["steps"]
        if len(got) != len(expected):
            wrong.append(f"    step {i}: {len(got)} datagrams sent, expected {len(expected)}")
        for (via, to, octets), (got_via, got_to, got_octets) in zip(expected, got, strict=False):
            if (via, to) != (got_via, got_to):
                wrong.append(f"    step {i}: sent by {got_via} to {got_to}, expected {via}, {to}")
            if octets != got_octets:
                wrong += [f"    step {i}: octets differ", *dump(octets, got_octets)]
    answer = json.loads(tell('{"end": true}'))
    if "end" in case:
        if answer != case["end"]:
            wrong.append(f"    what came of it: {answer}, expected {case['end']}")
    elif case["established"]:
        if answer.get("child") != case["established"] or answer.get("unused"):
            wrong.append(f"    what came of it: {answer}, expected {case['established']}")
    elif not answer.get("reason", "").startswith(case["failed"]) or answer.get("left") != 0:
        wrong.append(f"    what came of it: {answer}, expected {case['failed']!r}")
    return wrong


def on(target):
    """(passed, failed) of all attempts on a machine; prints a line for each. It begins anew for who accepts."""
    passed = failed = 0
    for accepts in (False, True):
        with machine(target) as tell:
            for case in exchange_files.all_cases():
                if ("hub" in case["machine"]) is not accepts:
                    continue
                wrong = run(case, tell)
                failed += bool(wrong)
                passed += not wrong
                accepted = case["end"]["accepted"] if "end" in case else case["established"]
                outcome = "established" if accepted else case.get("failed", "refused")
                verdict = "FAIL" if wrong else "ok  "
                print(f"{verdict}  {target}  {case['name']}: {outcome}", *wrong, sep="\n", flush=True)
    return passed, failed
