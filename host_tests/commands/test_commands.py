"""What the user types: vectors against a live node, demo, probe, run, soak, and a wrong vector's exit status."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
from golden import run_vectors, vector_files
from golden.differences import differences, same
from golden.live import Live, NoAnswer, canary
from ipsec.tools import Refused, probe
from peers.node_process import UNLIMITED, node_process
from rich.console import Console
from tools import device_environment

from commands import demo

LOCAL = {500: 15520, 4500: 14520}


def test_vectors_against_a_live_node(monkeypatch):
    """As TARGET=udp://HOST does; ports apart, for want of 500 and 4500. Answers to canaries take three seconds each."""
    canaries = []
    monkeypatch.setattr("golden.live.canary", lambda number: canaries.append(number) or canary(number))
    cases = list(vector_files.all_cases())
    with node_process(LOCAL, *UNLIMITED, "quiet=1"):
        results = list(Live("127.0.0.1", LOCAL).run_all(cases))
    assert sorted(case["name"] for case, _ in results) == sorted(case["name"] for case in cases)
    asked = [(case, result) for case, result in results if "skipped" not in result]
    silent = sum(not case["expected"][0][1] for case, _ in asked)
    assert len(asked) > 60 and len(canaries) < silent / 4
    for case, result in asked:
        assert differences(case, result) == []


def test_a_live_node_that_answers_wrongly_is_found():
    case = json.loads(
        json.dumps(next(case for case in vector_files.all_cases() if case["name"] == "unencrypted-informational"))
    )
    case["steps"][0][3] = case["steps"][0][3].replace("2a202508", "2e202508", 1)
    sure = next(
        case for case in vector_files.all_cases()
        if not Live.why_not(case) and case["expected"][0][1] and case["steps"][0][1] == 500
    )  # fmt: skip
    with node_process(LOCAL, *UNLIMITED, "quiet=1"):
        live = Live("127.0.0.1", LOCAL)
        wrong = differences(case, live.run(case))
        results = [differences(*found) for found in live.run_all([case, sure])]
    assert wrong == ["    step 0: 1 datagrams sent, expected 0"]
    assert sorted(results) == [[], wrong]


def test_nobody_there():
    live = Live("127.0.0.1", {500: 15599, 4500: 14599})
    case = next(case for case in vector_files.all_cases() if case["name"] == "27-octets")
    assert "does not answer" in live.run(case)["error"]
    with pytest.raises(NoAnswer):
        live.ask(500, b"x", False)


@pytest.mark.parametrize("octets", [False, True])
def test_packets_without_an_sa_of_the_demo(capsys, octets):
    assert demo.without_sa(Console(width=120), octets) == 0
    shown = capsys.readouterr().out
    assert "15 as their vectors say, 0 not" in shown and "INVALID_IKE_SPI (4)" in shown
    assert ("11112222 33334444" in shown) is octets


def test_demo_fails_if_an_answer_differs(capsys, monkeypatch):
    cases = json.loads(json.dumps(demo.shown_cases()))
    cases[0]["expected"][0][1][0][2] = "00" + cases[0]["expected"][0][1][0][2][2:-2] + "ff"
    monkeypatch.setattr(demo, "shown_cases", lambda: cases)
    monkeypatch.setattr(demo.demo_tunnel, "play", lambda *_, **__: SimpleNamespace(wrong=[]))
    assert demo.main() == 1
    assert "1 not" in capsys.readouterr().out


def test_probe(capsys):
    with node_process(LOCAL, *UNLIMITED):
        assert probe.main("127.0.0.1", LOCAL, pause_s=0) == 0
    shown = capsys.readouterr().out
    assert "14 right, 0 silent, 0 differs, 0 WRONG" in shown


def test_probe_of_nobody(capsys):
    assert probe.main("127.0.0.1", {500: 15599, 4500: 14599}, pause_s=0) == 0
    assert "7 right, 7 silent" in capsys.readouterr().out


def test_probe_asks_and_knows_what_the_vectors_do():
    """Octets, rules and answers; what is random in an answer apart."""
    cases = {case["name"]: case for case in vector_files.all_cases()}
    for name, rules, via, question, silence in probe.QUESTIONS:
        (step,), ((_, sends),) = cases[name]["steps"], cases[name]["expected"]
        assert (step[1], bytes.fromhex(step[3])) == (via, question), name
        assert rules.split() == cases[name]["rules"][:3], name
        right = probe.right_answer(via, question)
        assert (right is None) == (not sends) == (not silence), name
        assert right is None or same(sends[0][2], right.hex()), name


@pytest.mark.parametrize(
    ("right", "got", "verdict"),
    [
        (b"\0\1", b"\0\1", "right"),
        (b"\0\1", b"\0\2", "differs"),
        (b"\0\1", b"\0\1\1", "differs"),
        (None, b"\0", "WRONG"),
        (None, None, "right"),
        (b"\0", None, "silent"),
        (bytes(44), bytes(4) + b"spi of your choic" + bytes(23), "differs"),
        (bytes(44), bytes(4) + b"spi of my choice" + bytes(24), "right"),
    ],
)
def test_probe_judges(right, got, verdict):
    assert probe.judge(right, got, "why")[0] == verdict


def test_probe_of_what_is_no_host():
    with pytest.raises(Refused, match=r"nowhere\.invalid: "):
        probe.main("nowhere.invalid", LOCAL)


def test_make_vectors_exit_status(tmp_path, capsys):
    case = {
        "name": "wrong", "rules": ["S2.3"],
        "steps": [{"at_ms": 0, "receive": {"via": "udp/500", "from": ["192.0.2.1", 500], "octets": ""},
                   "verdict": "drop-source", "send": []}],
    }  # fmt: skip
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps([case]))
    assert run_vectors.main("cpython", [str(path)]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "0 passed, 1 failed"
    assert run_vectors.main("cpython", ["framing.json"]) == 0


def test_fuzz_a_little():
    """L2, L3: the coverage-guided fuzzer finds nothing in a few seconds; `make fuzz` has more patience."""
    command = [sys.executable, "-m", "measure.fuzz", "SECONDS=3"]
    ran = subprocess.run(command, env=device_environment(), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert "Done" in ran.stderr
