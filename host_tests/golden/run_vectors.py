"""Runs golden vectors on one machine or on all, or against udp://HOST."""

import json
import sys
from contextlib import contextmanager

from tools import arguments, setup

from golden import run_exchanges, run_segments, vector_files
from golden.differences import differences
from golden.live import Live
from golden.machines import MACHINES, NEEDS, available

_AT_ONCE = 4000  # characters of steps in a message


def conversation(tell):
    """A function that runs a case by telling it to a machine, as vector_machine.Run has it."""

    def run(case):
        parts = [{"begin": {key: case[key] for key in case if key not in ("steps", "expected", "opened")}}]
        size = _AT_ONCE
        for step in case["steps"]:
            if size >= _AT_ONCE:
                parts.append({"steps": []})
                size = 0
            parts[-1]["steps"].append(step)
            size += 100 + len(step[3])
        results = []
        for part in [*parts, {"end": True}]:
            answer = json.loads(tell(json.dumps(part)))
            if "error" in answer:
                return answer
            results += answer.get("steps", [])
        return {**answer, "steps": results}

    return run


@contextmanager
def machine(target):
    """What runs a case on a machine."""
    with MACHINES[target]("vector_machine") as tell:
        yield conversation(tell)


@contextmanager
def running(target, cases):
    """(case, result) of each case, as they come, on a machine or from a live node at udp://HOST."""
    if target.startswith("udp://"):
        with Live(target.removeprefix("udp://")) as live:
            yield live.run_all(cases)
    else:
        with machine(target) as run:
            yield ((case, run(case)) for case in cases)


def main(target=None, names=()):
    try:
        cases = [case for path in vector_files.paths(names) for case in vector_files.read(path)]
        targets = [target] if target else available()
        if not all(name in MACHINES or name.startswith("udp://") for name in targets):
            raise vector_files.FormatError(f"TARGET is none of {', '.join(MACHINES)}, udp://HOST: {target}")
    except vector_files.FormatError as error:
        print(error)
        return 2
    passed = failed = skipped = 0
    for name in targets:
        if name in NEEDS:
            setup(*NEEDS[name])
        with running(name, cases) as results:
            for number, (case, result) in enumerate(results, 1):
                verdicts = ", ".join(verdict or "tick" for verdict, _ in case["expected"])
                if "skipped" in result:
                    skipped += 1
                    print(f"skip  {name}  {case['name']}: {result['skipped']}", flush=True)
                    continue
                wrong = differences(case, result)
                failed += bool(wrong)
                passed += not wrong
                print(
                    f"{'FAIL' if wrong else 'ok  '}  {number}/{len(cases)}  {name}  {case['name']}: {verdicts}",
                    *wrong,
                    sep="\n",
                    flush=True,
                )
        if name in MACHINES and not names:
            for others in (run_exchanges, run_segments):
                of_others = others.on(name)
                passed += of_others[0]
                failed += of_others[1]
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    given = arguments(sys.argv[1:], TARGET="", FILES="")
    sys.exit(main(given["TARGET"], given["FILES"].split()))
