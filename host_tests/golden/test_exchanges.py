"""Recorded attempts to make an IKE SA, octet for octet on every machine; and the runner notices what is wrong."""

import copy
import json

import pytest

from golden import exchange_files, record_exchanges, run_exchanges
from golden.machines import MACHINES

CASES = exchange_files.all_cases()
NAMES = [case["name"] for case in CASES]


@pytest.fixture(scope="module")
def tell(request):
    with run_exchanges.machine(request.param[0]) as machine:
        yield machine


def _on_machines():
    """Each machine once for who asks and once for who accepts: the smallest has no room for both, with a PPK."""
    for machine in MACHINES:
        for accepts in (False, True):
            for case in CASES:
                if ("hub" in case["machine"]) is accepts:
                    yield pytest.param((machine, accepts), case, id=f"{machine}-{case['name']}")


@pytest.mark.parametrize(("tell", "case"), list(_on_machines()), indirect=["tell"])
def test_exchange(case, tell):
    assert run_exchanges.run(case, tell) == []


def test_every_kind_of_exchange_is_there():
    assert len(set(NAMES)) == len(NAMES)
    rules = {rule for case in CASES for rule in case["rules"]}
    assert rules >= {f"N{i}" for i in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22)}


def test_the_files_are_what_the_recorder_writes():
    for name, recorded in record_exchanges.cases().items():
        assert json.loads((exchange_files.FOLDER / f"{name}.json").read_text()) == json.loads(json.dumps(recorded)), (
            name
        )


@pytest.mark.parametrize("name", ["cookie", "wrong-psk"])
def test_the_runner_notices_other_octets_and_another_outcome(name):
    with run_exchanges.machine("cpython") as tell:
        case = next(case for case in CASES if case["name"] == name)
        wrong = copy.deepcopy(case)
        octets = wrong["expected"][0][0][2]
        wrong["expected"][0][0][2] = octets[:-1] + ("1" if octets[-1] == "0" else "0")
        assert "octets differ" in "".join(run_exchanges.run(wrong, tell))
        wrong = copy.deepcopy(case)
        del wrong["expected"][1][0]
        assert "sent" in "".join(run_exchanges.run(wrong, tell))
        wrong = copy.deepcopy(case)
        wrong["established"], wrong["failed"] = (None, "no") if case["established"] else ({"cipher": "none"}, None)
        assert "what came of it" in "".join(run_exchanges.run(wrong, tell))
        wrong = copy.deepcopy(case)
        wrong["machine"]["random"] = wrong["machine"]["random"][:100]
        assert "no more random octets" in "".join(run_exchanges.run(wrong, tell))


@pytest.mark.parametrize("change", [lambda case: case.pop("policy"), lambda case: case.update(steps=[{}])])
def test_a_broken_file_is_an_error_that_names_the_case(change, tmp_path):
    case = json.loads((exchange_files.FOLDER / "refused.json").read_text())[0]
    change(case)
    path = tmp_path / "broken.json"
    path.write_text(json.dumps([case]))
    with pytest.raises(exchange_files.FormatError) as error:
        exchange_files.read(path)
    assert str(path) in str(error.value) and case["name"] in str(error.value)
