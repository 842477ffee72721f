"""Runs segment vectors on a machine; `make vectors` does."""

import json

from golden import segment_files
from golden.differences import dump
from golden.machines import MACHINES

_OF_MACHINE = ("address", "begins", "buffer", "random")


def machine(target):
    """Context manager of what tells a case to a machine."""
    return MACHINES[target]("segment_machine")


def run(case, tell):
    """What is wrong with a case on a machine: a list of lines, empty if nothing."""
    answer = json.loads(tell(json.dumps({"begin": {key: case[key] for key in _OF_MACHINE}})))
    wrong = []
    for i, (step, (sent, read, state)) in enumerate(zip(case["steps"], case["expected"], strict=True)):
        if "error" not in answer:
            answer = json.loads(tell(json.dumps({"steps": [step]})))
        if "error" in answer:
            return [*wrong, f"    step {i}: {answer['error']}"]
        ((got_sent, got_read, got_state),) = answer["steps"]
        if len(sent) != len(got_sent):
            wrong.append(f"    step {i}: {len(got_sent)} segments sent, expected {len(sent)}")
        for octets, got in zip(sent, got_sent, strict=False):
            if octets != got:
                wrong += [f"    step {i}: octets differ", *dump(octets, got)]
        if (read, state) != (got_read, got_state):
            wrong.append(f"    step {i}: {got_read}, {got_state}, expected {read}, {state}")
    left = json.loads(tell('{"end": true}')).get("left")
    if left != case["left"]:
        wrong.append(f"    {left} connections are left, expected {case['left']}")
    return wrong


def on(target):
    """(passed, failed) of all cases on a machine; prints a line for each."""
    passed = failed = 0
    with machine(target) as tell:
        for case in segment_files.all_cases():
            wrong = run(case, tell)
            failed += bool(wrong)
            passed += not wrong
            sent = sum(len(expected[0]) for expected in case["expected"])
            print(f"{'FAIL' if wrong else 'ok  '}  {target}  {case['name']}: {sent} sent", *wrong, sep="\n", flush=True)
    return passed, failed
