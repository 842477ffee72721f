"""Every golden vector on every machine, under the heap lock where there is one; and the format's own tests."""

import json
import subprocess

import pytest
import tools

from golden import run_vectors, vector_files
from golden.differences import differences
from golden.machines import MACHINES

CASES = vector_files.all_cases()


@pytest.fixture(scope="module", params=MACHINES)
def run(request):
    with run_vectors.machine(request.param) as run:
        yield run


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_case(run, case):
    assert differences(case, run(case)) == []


def test_without_machine_code(monkeypatch):
    """A MicroPython that refuses viper functions gets the library without their decorators."""
    monkeypatch.setattr(tools, "unix_architecture", lambda: None)
    with run_vectors.machine("unix") as run:
        assert [case["name"] for case in CASES if differences(case, run(case))] == []
    assert all("@micropython" not in path.read_text() for path in (tools.BUILD / "plain").rglob("*.py"))


def test_every_verdict_has_a_case_under_the_heap_lock():
    """vector_machine locks the heap for every receive: a verdict of any case is a locked one."""
    assert {verdict for case in CASES for verdict, _ in case["expected"] if verdict} == set(vector_files.VERDICTS)


def test_the_heap_lock_is_one():
    """A node that allocates on the way would be found."""
    with run_vectors.machine("unix") as run:
        case = dict(CASES[0], config={"answers_per_s": 1, "burst": 2**70})
        assert "error" not in run(case)
    code = "import golden.vector_machine as v; v.Node.receive = lambda *a: bytearray(9)[0]; v.main()"

    def tell(message):
        ran = subprocess.run(
            [tools.micropython(), "-c", code], input="".join(f"{line}\n" for line in [*told, message]),
            capture_output=True, text=True, env=tools.device_environment(),
        )  # fmt: skip
        told.append(message)
        return ran.stdout.splitlines()[-1]

    told = []
    assert "heap is locked" in run_vectors.conversation(tell)(CASES[0])["error"]


def test_a_long_case_is_told_in_parts():
    """A thousand datagrams, far more than a board has room for at once; one of 9,000 octets."""
    case = json.loads(json.dumps(next(case for case in CASES if case["name"] == "unencrypted-informational")))
    case["steps"] = [[at_ms, *case["steps"][0][1:]] for at_ms in range(1000)]
    case["expected"] *= 1000
    case["opened"] *= 1000
    case["steps"][7][3] += "00" * 9000
    case["expected"][7] = ["drop-malformed", []]
    with run_vectors.machine("board") as run:
        assert differences(case, run(case)) == []
        case["steps"][7][3] += "00" * 60000
        assert "MemoryError" in run(case)["error"]
        assert differences(CASES[0], run(CASES[0])) == []


def test_a_wrong_octet_is_found_and_shown():
    case = json.loads(json.dumps(next(case for case in CASES if case["name"] == "major-15")))
    case["expected"][0][1][0][2] = case["expected"][0][1][0][2][:-2] + "04"
    with run_vectors.machine("cpython") as run:
        wrong = differences(case, run(case))
    assert wrong[0] == "    step 0: octets differ"
    assert wrong[-1].strip() == "^^"
    assert wrong[-1].index("^^") == wrong[-2].rindex("05")


def keyed(**changes):
    """An IKE SA with keys, and with what is wrong about it."""
    keys = {"cipher": "aes-cbc-128", "sk_ei": "11" * 16, "sk_er": "22" * 16, "sk_ai": "33" * 32, "sk_ar": "44" * 32}
    sa = {"spi_i": "11" * 8, "spi_r": "22" * 8, "role": "responder", "peer": ["192.0.2.1", 500], "established": True,
          "keys": keys, "message_ids": [0, 1], "random": "55" * 16, "quiet_ms": 0}  # fmt: skip
    for key, value in changes.items():
        (keys if key in ("cipher", *keys) else sa)[key] = value
    if not sa["keys"]:
        sa = {key: sa[key] for key in sa if key not in ("keys", "message_ids", "random")}
    return sa


@pytest.mark.parametrize("target", MACHINES)
def test_an_sa_that_speaks_needs_random_octets_and_one_without_keys_does_not_speak(target):
    packet = "c0ffee9900000001" + "5a" * 90
    step = {"at_ms": 0, "receive": {"via": "ip/50", "from": ["192.0.2.1", 0], "octets": packet},
            "verdict": "invalid-spi-protected", "send": []}  # fmt: skip
    case = {"name": "x", "rules": ["S1.1"], "given": {"ike_sas": [keyed()]}, "steps": [step]}
    with run_vectors.machine(target) as run:
        spoke = run(vector_files.compile_case(case, "here"))
        assert len(spoke["steps"][0][1]) == 1
        case["given"] = {"ike_sas": [keyed(random="55" * 15)]}
        assert "no more random octets" in run(vector_files.compile_case(case, "here"))["error"]
        case["given"] = {"ike_sas": [keyed(keys=None, quiet_ms=0)]}
        case["given"]["ike_sas"][0].pop("quiet_ms")
        compiled = vector_files.compile_case(case, "here")
        assert differences(compiled, run(compiled)) == []


def test_what_is_left_is_exactly_that():
    case = next(case for case in CASES if case["name"] == "delete-of-a-child-sa-is-answered-with-its-other-half")
    with run_vectors.machine("cpython") as run:
        for left in (None, [[0], [0, 1, 2]], [[0], [1]], [[0], [0, 1]], [[], []]):
            wrong = differences(case, run(dict(case, left=left)))
            assert wrong == ["    the SA table changed, or is not what is left"], left


def carried(**changes):
    """A Child SA with the keys of its traffic, and with what is wrong about it; None: left out."""
    keys = {"cipher": "aes-cbc-128", "in": "33" * 48, "out": "44" * 48}
    sa = {"ike_sa": 0, "protocol": "esp", "spi_in": "c0ffee01", "spi_out": "0badcafe", "keys": keys, "next": 1}
    for key, value in changes.items():
        (keys if key in keys else sa)[key] = value
    for octets in (keys, sa):
        for key in [key for key in octets if octets[key] is None]:
            del octets[key]
    return sa


def traffic(**changes):
    return {"ike_sas": [keyed()], "child_sas": [carried(**changes)]}


def test_what_comes_out_of_esp_is_compared():
    case = next(case for case in CASES if case["name"] == "received-aes-cbc-128")
    dropped, inner = ["dropped", "padding"], case["opened"][1]
    with run_vectors.machine("cpython") as run:
        result = run(case)
        assert differences(case, result) == []
        assert differences(dict(case, opened=[None] * 3), result) == []
        wrong = differences(dict(case, opened=[dropped, inner, ["inner", inner[1][:-2] + "ff"]]), result)
        assert wrong[:2] == [
            "    step 0: an inner packet, expected dropped padding",
            "    step 2: the inner packets differ",
        ]
        keyless = run(dict(case, child_sas=[[*case["child_sas"][0][:4], None]]))
        wrong = differences(case, keyless)
        assert wrong[0] == "    step 0: nobody who opens it, expected an inner packet" and len(wrong) == 3


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("10.77.0.2/32", "00 0000 ffff 0a4d0002 0a4d0002"), ("10.77.0.2", "00 0000 ffff 0a4d0002 0a4d0002"),
        ("0.0.0.0/0", "00 0000 ffff 00000000 ffffffff"), ("10.77.0.7/24", "00 0000 ffff 0a4d0000 0a4d00ff"),
        ("10.77.0.9-10.77.0.11[udp/53]", "11 0035 0035 0a4d0009 0a4d000b"),
        ("10.77.0.0/24[6/1024-65535]", "06 0400 ffff 0a4d0000 0a4d00ff"),
        ("10.77.0.0/31[icmp]", "01 0000 ffff 0a4d0000 0a4d0001"),
    ],
)  # fmt: skip
def test_selectors_as_people_write_them(text, octets):
    assert vector_files.selector(text) == octets.replace(" ", "")


def broken(change):
    case = {
        "name": "x", "rules": ["S1.1"],
        "steps": [{"at_ms": 0, "receive": {"via": "udp/500", "from": ["192.0.2.1", 500], "octets": "00"},
                   "verdict": "drop-malformed", "send": []}],
    }  # fmt: skip
    vector_files.compile_case(case, "here[0]")
    change(case)
    return case


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda case: case.pop("rules"), "rules"),
        (lambda case: case.update(rules=["17"]), "rules"),
        (lambda case: case.update(colour="red"), "colour"),
        (lambda case: case.update(config={"bursts": 1}), "bursts"),
        (lambda case: case.update(config={"burst": "1"}), "config.burst"),
        (lambda case: case.update(config={"burst": 2.5}), "config.burst"),
        (lambda case: case.update(config={"sources": 0}), "config.sources"),
        (lambda case: case.update(config={"per_source_ms": 2**28}), "config.per_source_ms"),
        (lambda case: case.update(config={"answers_per_s": float("nan")}), "config.answers_per_s"),
        (lambda case: case.update(config={"answers_per_s": float("inf")}), "config.answers_per_s"),
        (lambda case: case["steps"][0]["receive"].update(via="ip/50"), "receive.from"),
        (lambda case: case["steps"][0].pop("verdict"), "verdict"),
        (lambda case: case["steps"][0].update(verdict="drop"), "steps[0].verdict"),
        (lambda case: case["steps"][0].update(at_ms=-1), "steps[0].at_ms"),
        (lambda case: case["steps"][0]["receive"].update(octets="0"), "receive.octets"),
        (lambda case: case["steps"][0]["receive"].update(octets="0x"), "receive.octets"),
        (lambda case: case["steps"][0]["receive"].update(via="udp/501"), "receive.via"),
        (lambda case: case["steps"][0]["receive"].update({"from": ["192.0.2", 1]}), "receive.from[0]"),
        (lambda case: case["steps"][0].update(send=[{"via": "ip/50"}]), "send[0]"),
        (lambda case: case.update(given={"child_sas": [{"ike_sa": 0}]}), "child_sas[0]"),
        (lambda case: case.update(steps=[]), "steps"),
        (lambda case: case.update(given={"ike_sas": [keyed(quiet_ms=2**29)]}), "ike_sas[0].quiet_ms"),
        (lambda case: case.update(given={"ike_sas": [keyed(message_ids=[1])]}), "ike_sas[0].message_ids"),
        (lambda case: case.update(given={"ike_sas": [keyed(message_ids=[1, 2**32])]}), "message_ids[1]"),
        (lambda case: case.update(given={"ike_sas": [keyed(random="0")]}), "ike_sas[0].random"),
        (lambda case: case.update(given={"ike_sas": [keyed(cipher="aes-cbc-192")]}), "keys.cipher"),
        (lambda case: case.update(given={"ike_sas": [keyed(cipher="aes-gcm-16-128")]}), "keys: Additional properties"),
        (lambda case: case.update(given={"ike_sas": [keyed(sk_er="00")]}), "keys.sk_er"),
        (lambda case: case.update(given={"ike_sas": [keyed(keys=None)]}), "quiet_ms"),
        (
            lambda case: case.update(
                given={"ike_sas": [keyed()], "outstanding": [{"ike_sa": 0, "exchange": 37, "message_id": 0}]}
            ),
            "outstanding[0].ike_sa",
        ),
        (lambda case: case.update(given={"child_sas": [carried()]}), "child_sas[0].ike_sa: is not below 0"),
        (lambda case: case.update(given=traffic(cipher="aes-cbc-192")), "child_sas[0].keys.cipher"),
        (lambda case: case.update(given=traffic(cipher="aes-gcm-16-128")), "is not 20 octets in hex"),
        (lambda case: case.update(given=traffic(out="44" * 64)), "child_sas[0].keys.out: is not 48 octets"),
        (lambda case: case.update(given=traffic(out=None)), "child_sas[0].keys: 'out' is a required"),
        (lambda case: case.update(given=traffic(protocol="ah")), "child_sas[0].protocol"),
        (lambda case: case.update(given=traffic(keys=None)), "child_sas[0]: 'keys' is a dependency"),
        (lambda case: case.update(given=traffic(next=0)), "child_sas[0].next"),
        (lambda case: case.update(given=traffic(seen=2**32)), "child_sas[0].seen"),
        (lambda case: case.update(given=traffic(random="0")), "child_sas[0].random"),
        (lambda case: case.update(given=traffic(inside=[])), "child_sas[0].inside"),
        (lambda case: case.update(given=traffic(inside=["10.0.0.0/33"])), "child_sas[0].inside[0]"),
        (lambda case: case.update(given=traffic(remote=["10.0.0.1", "::/0"])), "child_sas[0].remote[1]"),
        (lambda case: case.update(given=traffic(remote=["10.0.0.9-10.0.0.1"])), "child_sas[0].remote[0]"),
        (lambda case: case.update(given=traffic(remote=["10.0.0.9[udp/9-8]"])), "child_sas[0].remote[0]"),
        (lambda case: case.update(given=traffic(remote=["10.0.0.9[udp/65536]"])), "child_sas[0].remote[0]"),
        (lambda case: case.update(given=traffic(remote=["10.0.0.9[256]"])), "child_sas[0].remote[0]"),
        (lambda case: case["steps"][0].update(inner="00"), "steps[0].verdict"),
        (lambda case: case["steps"][0].update(dropped="replay"), "steps[0].verdict"),
        (lambda case: case["steps"][0].update(verdict="deliver-esp", dropped="late"), "steps[0].dropped"),
        (lambda case: case["steps"][0].update(verdict="deliver-esp", inner="0"), "steps[0].inner"),
        (
            lambda case: case["steps"][0].update(verdict="deliver-esp", inner="00", dropped="replay"),
            "steps[0].dropped: must not be there",
        ),
        (lambda case: case.update(given=traffic(), steps=[{"at_ms": 0, "carry": "0", "send": []}]), "steps[0].carry"),
        (lambda case: case.update(given=traffic(), steps=[{"at_ms": 0, "carry": "00"}]), "steps[0]: 'send'"),
        (lambda case: case.update(steps=[{"at_ms": 0, "carry": "00", "send": []}]), "steps[0].child_sa"),
        (
            lambda case: case.update(given=traffic(), steps=[{"at_ms": 0, "carry": "", "child_sa": 1, "send": []}]),
            "steps[0].child_sa: is not below 1",
        ),
        (
            lambda case: case.update(
                given=traffic(keys=None, next=None), steps=[{"at_ms": 0, "carry": "", "send": []}]
            ),
            "steps[0].child_sa: is one without keys",
        ),
        (
            lambda case: case["steps"].append({"at_ms": 0, "tick": True, "verdict": "drop-empty", "send": []}),
            "steps[1]: Additional properties",
        ),
        (lambda case: case["steps"].insert(0, {"at_ms": 1, "tick": True, "send": []}), "steps[1].at_ms: is before"),
        (lambda case: case.update(left={"ike_sas": []}), "left"),
        (lambda case: case.update(left={"ike_sas": [0], "child_sas": []}), "left.ike_sas[0]"),
    ],
)
def test_a_broken_file_is_an_error_that_names_case_and_field(change, named, tmp_path):
    path = tmp_path / "broken.json"
    path.write_text(json.dumps([broken(change)]))
    with pytest.raises(vector_files.FormatError) as error:
        vector_files.read(path)
    assert str(path) in str(error.value) and "'x'" in str(error.value) and named in str(error.value)
    assert run_vectors.main("cpython", [str(path)]) == 2


def test_what_is_no_json_is_an_error(tmp_path):
    for text in ("[" * 100000, "{", "[1]", "17"):
        path = tmp_path / "broken.json"
        path.write_text(text)
        assert run_vectors.main("cpython", [str(path)]) == 2


def test_an_unknown_target_is_an_error(capsys):
    assert run_vectors.main("desk", []) == 2
    assert "udp://HOST" in capsys.readouterr().out
