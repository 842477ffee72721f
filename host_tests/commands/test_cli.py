"""`python -m ipsec`, as a user of pip types it."""

import io
import json
import re
import subprocess
import sys
import threading

import pytest
from ipsec.tools import cli, gateway, probe, try_tunnel
from tools import device_environment

CONFIG = {"gateway": "vpn.example.org", "id": "sensor-7", "psk": "of no value, but long enough"}


@pytest.fixture
def said(tmp_path, capsys):
    """A function that gives (exit status, what was printed) of arguments; a dictionary is a configuration file."""
    path = tmp_path / "ikev2.json"

    def said(*arguments):
        for argument in arguments:
            if isinstance(argument, dict):
                path.write_text(json.dumps(argument))
        try:
            status = cli.main([str(path) if isinstance(argument, dict) else argument for argument in arguments])
        except SystemExit as ended:
            status = ended.code
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return said


@pytest.mark.parametrize("command", [[], ["try"], ["gateway"], ["psk"], ["probe"]])
def test_help_stands_behind_everything(said, command):
    status, text = said(*command, "--help")
    assert status == 0 and text.startswith("usage: ") and " -h, --help " in text
    if not command:
        assert all(name in text for name in ("try", "gateway", "psk", "probe"))


def test_it_is_a_module():
    """Its name is what was typed."""
    ran = subprocess.run([sys.executable, "-m", "ipsec"], capture_output=True, text=True, env=device_environment())
    assert ran.returncode == 2 and ran.stderr.startswith("usage: python -m ipsec ")


def test_psk(said):
    """N21, Q3: 128 and 256 bits, others each time."""
    psks = {said("psk") for _ in range(3)}
    form = '"psk": "[0-9a-f]{32}",\n"ppk": "[0-9a-f]{64}",\n'
    assert len(psks) == 3 and all(status == 0 and re.fullmatch(form, psk) for status, psk in psks)


def test_gateway(said):
    """One text for each, made of the whole configuration."""
    texts = {kind: said("gateway", {**CONFIG, "keep_keys": True}, "--for", kind) for kind in gateway.GATEWAYS}
    assert len(set(texts.values())) == len(gateway.GATEWAYS) == 4
    for status, text in texts.values():
        assert status == 0 and CONFIG["psk"] in text and "no DPD" in text


def test_try(said, monkeypatch):
    """Every option arrives."""
    asked = []
    monkeypatch.setattr(try_tunnel, "main", lambda config, say, **options: asked.append((config, options)) or 7)
    assert said("try", CONFIG) == (7, "")
    weak = {**CONFIG, "psk": "short"}
    more = "--ping", "10.77.0.1", "--count", "5", "--every", "0.1", "--no-contact", "--weak-psk"
    assert said("try", weak, *more) == (7, "")
    assert [config["psk"] for config, _ in asked] == [CONFIG["psk"], "short"]
    assert [options for _, options in asked] == [
        {"ping": "", "count": 3, "every": 0.5, "contact": True},
        {"ping": "10.77.0.1", "count": 5, "every": 0.1, "contact": False},
    ]


def test_try_ended_by_ctrl_c(said, monkeypatch):
    def interrupted(config, say, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(try_tunnel, "main", interrupted)
    assert said("try", CONFIG) == (130, "")


def test_whoever_waits_is_told_so(said, monkeypatch):
    """While nothing else is said, and no longer; what scripts read has none of it."""
    told = threading.Semaphore(0)

    class Stderr(io.StringIO):
        def flush(self):
            told.release()

    def slow(config, say, **options):
        assert told.acquire(timeout=60) and told.acquire(timeout=60)
        say("up after 0.031 s")
        return 0

    monkeypatch.setattr(cli, "_QUIET_S", 0.01)
    monkeypatch.setattr(cli.sys, "stderr", Stderr())
    monkeypatch.setattr(try_tunnel, "main", slow)
    before = threading.active_count()
    assert said("try", CONFIG) == (0, "up after 0.031 s\n") and threading.active_count() == before
    first, second, *_ = sys.stderr.getvalue().splitlines()
    assert (first, second) == tuple(f"nothing new for {seconds} s; Ctrl-C ends it" for seconds in (0.01, 0.02))


def test_probe(said, monkeypatch):
    asked = []
    monkeypatch.setattr(probe, "main", lambda *given: asked.append(given) or 0)
    assert said("probe", "192.0.2.1") == said("probe", "::1", "--port", "5500", "--port-nat", "5501") == (0, "")
    assert asked == [("192.0.2.1", {500: 500, 4500: 4500}), ("::1", {500: 5500, 4500: 5501})]


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["try", {**CONFIG, "psk": "short"}], 1, "'psk' has under 16 octets"),
        (["try", {**CONFIG, "keepalive_s": -1}], 1, "'keepalive_s' must be at least 1 and at most 3600, not -1"),
        (["try", {**CONFIG, "gateway": ""}], 1, '"gateway" is missing'),
        (["try", {**CONFIG, "gateway": "192.0.2.1"}, "--ping", "here"], 1, "here is no IPv4 address"),
        (["try", CONFIG, "--count", "many"], 2, "invalid int value"),
        (["try", "/nowhere/ikev2.json"], 1, "cannot read /nowhere/ikev2.json: No such file"),
        (["gateway", CONFIG], 2, "--for"),
        (["gateway", CONFIG, "--for", "cisco"], 2, "invalid choice"),
        (["gateway", {**CONFIG, "id": "two words"}, "--for", "mikrotik"], 1, "cannot have the id 'two words'"),
        (["gateway", {}, "--for", "mikrotik"], 1, '"gateway" is missing'),
        (["colour"], 2, "invalid choice"),
    ],
)
def test_what_is_wrong_is_said_in_words(said, arguments, status, says):
    """A usage error is 2, everything else 1."""
    ended, text = said(*arguments)
    assert ended == status and says in text and CONFIG["psk"] not in text, text


def test_a_weak_psk_is_not_shown_and_a_good_one_is_offered(said):
    """N21."""
    _, text = said("try", {**CONFIG, "psk": "secret-7"})
    assert "secret-7" not in text and re.search("just made: [0-9a-f]{32}\n", text) and "--weak-psk" in text
