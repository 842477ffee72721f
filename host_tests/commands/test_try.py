"""`make try`: what it says, how it counts, and how it ends. Against real gateways: peers/test_gateway_try.py."""

import asyncio
import json
import subprocess
import sys

import pytest
from ikev2.sa import payloads, proposals
from ipsec.tools import try_tunnel, watch
from ipsec.tools.watch import in_clear, networks
from tools import ROOT, device_environment

CONFIG = {
    "gateway": "192.0.2.1", "id": "sensor-7", "psk": "of no value, but long enough", "gateway_id": "", "inside": "",
    "remote": ["0.0.0.0/0"], "groups": [31, 14], "ciphers": ["aes-cbc-256"], "liveness_s": 10, "keepalive_s": 20,
    "lifetime_s": 10800, "ppk": "", "ppk_id": "",
}  # fmt: skip
ALL = b"\0\0\0\xff\xff"


class Node:
    """As much of a node as is watched."""

    out, out_via = bytearray(100), 500

    def receive(self, *_):
        """Nothing."""

    def outgoing(self, now):
        """Nothing."""
        return 0


class Tunnel:
    """A tunnel of which `script` says what becomes of each echo: its delay, None for lost, a text for no tunnel."""

    refused = None
    script = (0, 0, 0)
    made = None

    def __init__(self, gateway, **settings):
        self.settings = settings
        self.node = Node()
        self.closed = 0
        self._answers = []
        type(self).made = self

        class child:
            cipher = "aes-cbc-256"
            inside, remote = ALL + bytes((10, 9, 0, 1)) * 2, ALL + bytes((10, 1, 0, 0, 10, 1, 255, 255))

        self.child = child

    async def up(self):
        """As the real one."""
        if self.refused:
            raise self.refused

    def ping(self, host, number):
        """As the real one."""
        fate = self.script[number]
        if isinstance(fate, str):
            raise OSError(107, fate)
        if fate is not None:
            asyncio.get_running_loop().call_later(fate, lambda: self._answers.append(number))

    def pongs(self):
        """As the real one."""
        answers, self._answers = self._answers, []
        return answers

    async def close(self):
        """As the real one."""
        self.closed += 1


@pytest.fixture
def tried(monkeypatch):
    """A function that tries with such a tunnel: (status, lines, the tunnel)."""
    monkeypatch.setattr(try_tunnel, "Tunnel", Tunnel)
    monkeypatch.setattr(try_tunnel, "_GRACE_MS", 300)

    def tried(changes=(), refused=None, script=(0, 0, 0), **options):
        monkeypatch.setattr(Tunnel, "refused", refused)
        monkeypatch.setattr(Tunnel, "script", script)
        monkeypatch.setattr(Tunnel, "made", None)
        lines = []
        status = try_tunnel.main({**CONFIG, **dict(changes)}, lines.append, **options)
        return status, lines, Tunnel.made

    return tried


def test_up_and_answered(tried):
    status, lines, tunnel = tried(ping="10.1.0.1", every=0.01)
    assert status == 0 and lines[-2].startswith("up after 0.0") and lines[-2].endswith(" s")
    assert lines[-1] == "3 of 3 echoes answered" and tunnel.closed == 1
    assert lines[-3].endswith("ESP aes-cbc-256, inside 10.9.0.1, to 10.1.0.0/16")


def test_without_echoes_the_last_line_is_up(tried):
    status, lines, tunnel = tried()
    assert status == 0 and lines[-1].startswith("up after ") and tunnel.closed == 1


def test_the_device_with_the_same_id(tried):
    """N22: it says what it does to it, and does not do it if so told."""
    _, lines, tunnel = tried()
    assert "sensor-7" in lines[0] and "--no-contact" in lines[0] and tunnel.settings["contact"]
    _, lines, tunnel = tried(contact=False)
    assert "contact" not in lines[0] and not tunnel.settings["contact"]


def test_each_lost_echo_is_said_and_the_pace_goes_on(tried):
    """Lost on the way, no tunnel, answered after it was given up: each counts once."""
    status, lines, _ = tried(ping="10.1.0.1", count=5, every=0.2, script=(0, None, "not up", 0.4, 0))
    assert status == 1 and lines[-1] == "3 of 5 echoes answered"
    said = [line for line in lines if line.startswith("echo ")]
    assert "echo 2 lost: no answer" in said and "echo 3 lost: not up" in said and len(said) == 4
    assert said.index("echo 4 lost: no answer") < said.index("echo 4 was answered late")


def test_an_answer_after_the_end_does_not_count(tried):
    status, lines, _ = tried(ping="10.1.0.1", count=2, every=0.01, script=(0, 0.6))
    assert status == 1 and lines[-1] == "1 of 2 echoes answered" and lines[-2] == "echo 2 lost: no answer"


@pytest.mark.parametrize(
    ("changes", "refused", "says"),
    [
        ({}, OSError(111, "AUTHENTICATION_FAILED: look at psk"), "AUTHENTICATION_FAILED: look at psk"),
        ({}, OSError(110, "no response to IKE_SA_INIT"), "no response to IKE_SA_INIT"),
        ({}, TimeoutError(), "no tunnel after 40 s: look at the gateway's log"),
        ({"psk": ""}, None, '"psk" is missing in the configuration: there is no tunnel without it'),
        ({"gateway": "nowhere.invalid"}, None, "look at gateway, and at the name server of this place"),
    ],
)
def test_the_reason_is_the_last_line(tried, changes, refused, says):
    status, lines, tunnel = tried(changes, refused)
    assert status == 1 and lines[-1].endswith(says) and not any(line.startswith("up") for line in lines)
    assert tunnel is None or tunnel.closed == 1


def test_no_line_has_the_psk(tried):
    _, lines, _ = tried(ping="10.1.0.1", every=0.01)
    assert not [line for line in lines if CONFIG["psk"] in line]


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (ALL + bytes(4) + b"\xff" * 4, "0.0.0.0/0"),
        (ALL + bytes((10, 0, 0, 1)) * 2, "10.0.0.1"),
        (ALL + bytes((10, 0, 0, 1, 10, 0, 0, 2)), "10.0.0.1-10.0.0.2"),
        (b"\x11\x16\x33\x16\x33" + bytes((10, 0, 0, 0, 10, 0, 0, 255)), "10.0.0.0/24 protocol 17 ports 5683-5683"),
        ((ALL + bytes((10, 0, 0, 1)) * 2) * 2, "10.0.0.1, 10.0.0.1"),
    ],
)
def test_selectors_as_text(octets, text):
    assert networks(octets) == text


def response(*parts):
    """An IKE_SA_INIT response with these (type, body)."""
    first, octets = payloads.chained(parts)
    header = bytes(range(16)) + bytes((first, 0x20, 34, 0x20)) + bytes(4) + (28 + len(octets)).to_bytes(4, "big")
    return header + octets


def test_an_ike_sa_init_response_in_words():
    offer = proposals.offer(1, b"", ("aes-cbc-128",), (14,))
    chosen = response((payloads.SA, offer), (payloads.KE, b"\0\x0e\0\0" + bytes(256)))
    cookie = response(payloads.notify(16390, b"cookie"))
    other = response(payloads.notify(17, b"\0\x0e"))
    refusal = response(payloads.notify(14))
    said = [in_clear(octets, 0, len(octets)) for octets in (chosen, cookie, other, refusal, other[:30])]
    assert said == [
        "IKE aes-cbc-128, group 14", "the gateway is busy and wants its cookie back", "it wants group 14",
        "it refuses, error 14", "",
    ]  # fmt: skip


def test_messages_are_said_until_there_is_a_tunnel():
    """Those with a marker too; a repetition is called one, and ESP is no message."""
    node, lines = Node(), []
    seen = watch.Watch(node, lines.append)
    octets = response(payloads.notify(14))
    node.receive(500, b"", octets, len(octets), 0)
    node.receive(4500, b"", bytes(4) + octets[:18] + b"\x23" + octets[19:], 4 + len(octets), 0)
    node.receive(4500, b"", b"\1" + bytes(100), 101, 0)
    node.receive(500, b"", b"\1", 1, 0)
    Node.out = bytearray(octets)
    node.__class__, (outgoing, said) = type("Speaks", (Node,), {}), (lambda now: len(octets), node.outgoing)
    seen._outgoing = outgoing
    assert said(0) == said(0) == len(octets)
    seen.quiet = True
    said(0)
    assert lines == [
        "received IKE_SA_INIT, 36 octets: it refuses, error 14", "received IKE_AUTH, 36 octets",
        "sent IKE_SA_INIT, 36 octets", "sent IKE_SA_INIT, 36 octets, retransmission",
    ]  # fmt: skip


def make_try(tmp_path, *arguments, config=CONFIG):
    """(status, lines) of the command."""
    path = tmp_path / "ikev2.json"
    path.write_text(json.dumps({name: config[name] for name in ("gateway", "id", "psk")}))
    ran = subprocess.run([sys.executable, "-m", "commands.try_tunnel", f"CONFIG={path}", *arguments],
                         env=device_environment(), capture_output=True, text=True, cwd=ROOT)  # fmt: skip
    return ran.returncode, (ran.stdout + ran.stderr).splitlines()


@pytest.mark.parametrize("machine", ["unix", "cpython"])
@pytest.mark.parametrize(
    ("arguments", "config", "says"),
    [
        (["COUNT=0"], {}, "at least 1 echo, and one every 3600 seconds at most, not 0 every 0.5"),
        (["PING=here"], {}, "here is no IPv4 address of something behind the gateway"),
        ([], {"psk": "short"}, "make psk prints a good one, WEAK_PSK=1 takes this one all the same"),
        ([], {"gateway": "vpn..example"}, "'gateway' must be a host name or an IPv4 address, and perhaps :port"),
        ([], {"gateway": ""}, '"gateway" is missing in the configuration: there is no tunnel without it'),
    ],
)
def test_mistakes_are_named(tmp_path, machine, arguments, config, says):
    """N21 among them."""
    status, lines = make_try(tmp_path, f"MACHINE={machine}", *arguments, config={**CONFIG, **config})
    assert status == 1 and lines[-1].endswith(says), lines


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["MACHINE=desk", "CONFIG=x"], "MACHINE=desk: known are unix, cpython, board"),
        ([], "CONFIG is missing"),
        (["CONFIG=/nowhere/none.json"], "CONFIG=/nowhere/none.json: No such file or directory"),
        (["CONFIG=x", "COUNT=many"], "COUNT=many: that is no number"),
    ],
)
def test_make_try_says_what_is_missing(given, says):
    ran = subprocess.run(["make", "try", *given], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 2 and says in ran.stderr
