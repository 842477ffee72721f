"""Runs recorded attempts on one machine or on all: cpython, unix, board."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from boards.board import Board, riscv
from mpremote.transport import TransportExecError
from tools import device_environment, micropython

from golden import exchange_files, run_vectors

MACHINE = Path(__file__).parent / "exchange_machine.py"
_OF_MACHINE = ("gateway", "begins", "contact", "policy", "random")


@contextmanager
def cpython():
    """The library in this process."""
    from golden import exchange_machine

    yield exchange_machine.tell


@contextmanager
def unix():
    """The MicroPython unix port as a process of its own."""
    command = [micropython(), str(MACHINE)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=device_environment()
    ) as process:

        def tell(message):
            process.stdin.write(message + "\n")
            process.stdin.flush()
            return process.stdout.readline() or json.dumps({"error": f"micropython ended: {process.wait()}"})

        yield tell
        process.stdin.close()


@contextmanager
def emulated(boot):
    """The firmware image on an emulated board, over its REPL."""
    with boot() as machine:
        machine.exec(MACHINE.read_text().split("def main():")[0])

        def tell(message):
            try:
                return machine.exec(f"print(tell({message!r}))")
            except TransportExecError as error:
                return json.dumps({"error": error.error_output.strip().splitlines()[-1]})

        yield tell


TARGETS = {
    "cpython": cpython, "unix": unix, "board": lambda: emulated(Board), "riscv": lambda: emulated(riscv),
}  # fmt: skip


def run(case, tell):
    """What is wrong with a case on a machine: a list of lines, empty if nothing."""
    answer = json.loads(tell(json.dumps({"begin": {key: case[key] for key in _OF_MACHINE}})))
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
                wrong += [f"    step {i}: octets differ", *run_vectors.dump(octets, got_octets)]
    answer = json.loads(tell('{"end": true}'))
    if case["established"]:
        if answer.get("child") != case["established"] or answer.get("unused"):
            wrong.append(f"    what came of it: {answer}, expected {case['established']}")
    elif not answer.get("reason", "").startswith(case["failed"]) or answer.get("left") != 0:
        wrong.append(f"    what came of it: {answer}, expected {case['failed']!r}")
    return wrong


def main(target=None):
    passed = failed = 0
    for name in [target] if target else run_vectors.available():
        with TARGETS[name]() as tell:
            for case in exchange_files.all_cases():
                wrong = run(case, tell)
                failed += bool(wrong)
                passed += not wrong
                print(f"{'FAIL' if wrong else 'ok  '}  {name}  exchange {case['name']}", *wrong, sep="\n", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(os.environ.get("TARGET")))
