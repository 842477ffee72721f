"""Segment vectors, octet for octet on every machine; and the runner notices what is wrong."""

import copy
import json

import pytest

from golden import make_segments, run_segments, segment_files
from golden.machines import MACHINES

CASES = segment_files.all_cases()
NAMES = [case["name"] for case in CASES]


@pytest.fixture(scope="module", params=MACHINES)
def tell(request):
    with run_segments.machine(request.param) as machine:
        yield machine


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_segments(case, tell):
    assert run_segments.run(case, tell) == []


def test_what_has_octets_is_there():
    assert len(set(NAMES)) == len(NAMES)
    assert {rule for case in CASES for rule in case["rules"]} == {f"V{i}" for i in (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 14)}
    states = {state for case in CASES for _, _, state in case["expected"]}
    assert states >= {"SYN-SENT", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSING", "CLOSE-WAIT", "LAST-ACK",
                      "TIME-WAIT", "CLOSED"}  # fmt: skip


def test_the_files_are_what_the_scripts_say():
    for name, cases in make_segments.files().items():
        assert (segment_files.FOLDER / f"{name}.json").read_text() == make_segments.text(cases), name


def changed(name, change):
    """What is wrong with a case in which something else is expected."""
    case = copy.deepcopy(next(case for case in CASES if case["name"] == name))
    change(case)
    with run_segments.machine("cpython") as tell:
        return "".join(run_segments.run(case, tell))


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda case: case["expected"][0][0].__setitem__(0, case["expected"][0][0][0][:-1] + "0"), "octets differ"),
        (lambda case: case["expected"][0][0].pop(), "1 segments sent, expected 0"),
        (lambda case: case["expected"][1].__setitem__(2, "CLOSED"), "None, ESTABLISHED, expected None, CLOSED"),
        (lambda case: case.update(left=0), "1 connections are left, expected 0"),
        (lambda case: case.update(random=case["random"][:20]), "no more random octets"),
    ],
)
def test_the_runner_notices(change, wrong):
    assert wrong in changed("question-and-answer", change)


@pytest.mark.parametrize(
    "change",
    [
        lambda case: case.pop("left"), lambda case: case.update(steps=[{}]),
        lambda case: case["steps"][0].update(colour="red"), lambda case: case["steps"][0].update(do=["fly"]),
        lambda case: case["steps"][1].update(segment="0"), lambda case: case.update(address="10.77.0"),
    ],
)  # fmt: skip
def test_a_broken_file_is_an_error_that_names_the_case(change, tmp_path):
    case = json.loads((segment_files.FOLDER / "opening.json").read_text())[0]
    change(case)
    path = tmp_path / "broken.json"
    path.write_text(json.dumps([case]))
    with pytest.raises(segment_files.FormatError) as error:
        segment_files.read(path)
    assert str(path) in str(error.value) and "'connect'" in str(error.value)
