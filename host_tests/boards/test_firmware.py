"""What a board runs, beside fakes for what an ESP32 has, under CPython and under the MicroPython unix port."""

import os
import random
import re
import select
import socket
import subprocess
import sys
import threading

import pytest
from library.scripted_gateway import Gateway
from tools import HERE, ROOT, micropython

FILES = sorted((HERE / "boards").glob("firmware_*.py"))
# {case: the file that has it}
CASES = {case: path for path in FILES for case in re.findall(r"^def ([a-z]\w+)\(\):", path.read_text(), re.MULTILINE)}
TUNNELS = [case for case in CASES if case.startswith("tunnel_")]
OTHERS = [case for case in CASES if case not in TUNNELS]
CONFIG = HERE / "boards/firmware_config.py"
MACHINES = ("cpython", "unix")


def run(machine, case, folder, path=None):
    """What a case prints on that machine."""
    folders = [str(ROOT / name) for name in ("lib", "firmware", "host_tests")]
    python = [sys.executable] if machine == "cpython" else [micropython()]
    environ = dict(os.environ, PYTHONPATH=":".join(folders), MICROPYPATH=":".join([*folders, ".frozen"]))
    done = subprocess.run([*python, path or CASES[case], case], cwd=folder, env=environ, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=120)  # fmt: skip
    assert done.returncode == 0 and "passed" in done.stdout.splitlines(), done.stdout + done.stderr
    return done.stdout


class Served(threading.Thread):
    """A gateway at 127.0.0.1, on its own ports: `heard` has the exchange types that came, and "ESP"."""

    def __init__(self):
        super().__init__(daemon=True)
        self.gateway = Gateway(b"0123456789abcdef")
        self.heard = []
        self.sockets = {}
        for via in (500, 4500):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind(("127.0.0.1", via))
            self.sockets[sock] = via
        self.over, self.told = socket.socketpair()

    def run(self):
        while True:
            ready = select.select([*self.sockets, self.over], [], [])[0]
            if self.over in ready:
                return
            for sock in ready:
                datagram, source = sock.recvfrom(4096)
                via = self.sockets[sock]
                esp = via == 4500 and datagram[:4] != bytes(4)
                self.heard.append("ESP" if esp else datagram[22 if via == 4500 else 18])
                for ours, to, octets in self.gateway.receive(via, source, datagram):
                    next(sock for sock in self.sockets if self.sockets[sock] == ours).sendto(octets, to)

    def end(self):
        """Whoever was heard before is in `heard` then."""
        self.told.close()
        self.join()
        for sock in self.sockets:
            sock.close()
        self.over.close()


@pytest.fixture
def served():
    running = Served()
    running.start()
    yield running
    running.end()


INIT, IKE_AUTH, INFORMATIONAL = 34, 35, 37


@pytest.mark.skipif(os.geteuid() != 0, reason="a gateway's ports are root's")
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("case", TUNNELS)
def test_tunnel(case, machine, tmp_path, served):
    """The tunnel of the firmware, against a gateway of the tests."""
    said = run(machine, case, tmp_path)
    heard = [what for what in served.heard if what != INFORMATIONAL]
    if case == "tunnel_comes_up":
        assert heard == [INIT, IKE_AUTH] * 2 + ["ESP"]
        assert served.gateway.said == ["established", "deleted by the peer", "established"]
        assert "tunnel up, 10.77.0.2 inside" in said
        assert re.search("^tunnel  +up, 10.77.0.2 inside, aes-cbc-256$", said, re.MULTILINE)
        assert re.search("^ESP sent  +1$", said, re.MULTILINE)
        assert re.search("^stream 10.77.0.9:1883  +SYN-SENT$", said, re.MULTILINE)
        after = said[said.rindex("stopped; status()") :]
        assert re.search("^node  +stopped: .*run.. goes on$", after, re.MULTILINE) and "tunnel " not in after
    elif case == "tunnel_has_no_room_at_first":
        free = r", \d+ octets free" if machine == "unix" else ""
        assert len(re.findall(f"^no tunnel: no room{free}; tried again when there is more$", said, re.MULTILINE)) >= 3
        assert re.search(f"^tunnel +no room{free}$", said, re.MULTILINE)
        assert heard == [INIT, IKE_AUTH]
    elif case == "tunnel_is_refused_in_words":
        assert heard == [INIT, IKE_AUTH] and "no tunnel: AUTHENTICATION_FAILED" in said
        assert "another one" not in said and "0123456789abcdef" not in said
    elif case == "tunnel_outlives_deep_sleep":
        # Z3: the reading first; Z6: nothing answers it, so the gateway is asked before sleep.
        once = [
            what
            for what, before in zip(served.heard, [0, *served.heard], strict=False)
            if what == "ESP" or what != before
        ]
        assert once[:7] == [INIT, IKE_AUTH, "ESP", "ESP", INFORMATIONAL, "ESP", INFORMATIONAL]
        assert set(once[7:]) <= {INFORMATIONAL, "ESP"}  # K7: elsewhere than before sleep
    else:
        assert [what for what in heard if what != "ESP"] == [INIT, IKE_AUTH] * 3  # ports are read one after the other
        assert heard.count("ESP") == 2 and heard.index("ESP") > heard.index(IKE_AUTH)
        assert said.count("does not fit") == 2


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("case", OTHERS)
def test_life(case, machine, tmp_path):
    said = run(machine, case, tmp_path)
    if case == "broken_configuration_is_named":
        assert "not started: ikev2.json, line 2: an unknown key; known are accept, " in said
    if case == "hub_of_a_board_accepts_and_says_who":
        told = re.findall("^((?:accepting|sensor).*)", said, re.MULTILINE)
        assert told[:5] == [
            "accepting sensor-7, sensor-8, inside 10.9.1.254", told[1], "sensor-8 refused, from 127.0.0.1",
            "sensor-7                     " + told[1][9:], "sensor-8                     not there",
        ] and told[1].startswith("sensor-7 up, inside 10.9.1."), told  # fmt: skip
        assert told[5] == "sensor-7 down, deleted by the peer" and said.count("sensor-7 up, inside 10.9.0.") == 2
    if case == "hub_and_tunnel_that_deploy_left_out":
        for line in ("no tunnel: no module named 'ikev2_tunnel'", "nobody is accepted: no module named 'ikev2_hub'"):
            assert line in said.lower() and "node on UDP 500, 4500" in said
        assert re.search("^tunnel  +no module named", said, re.MULTILINE | re.IGNORECASE)
    if case == "answers_blinks_and_feeds":
        assert "network up, address 192.0.2.7" in said and "invalid-ike-spi" in said
    if case in ("table_survives_deep_sleep", "snapshot_is_good_for_one_waking"):
        assert ("1 IKE SAs are back" in said) == (case == "table_survives_deep_sleep") and "0 IKE SAs" not in said


def test_one_verdict_everywhere(tmp_path):
    """Both machines, and CPython's json, agree on 3,000 texts, most of them broken in one or two places."""
    chance = random.Random(21)
    whole = (
        b'{"ssid": "a\\u00e9\\n", "ports": [500, 4500], "log": true,'
        b' "led": -1, "x": null, "y": false, "z": 0, "n": []}',
        b'\t{ "a" : "\\ud83d\\ude00" ,\r\n "b":[ 1 , 20 ] , "c" : -0.5e+3 , "d": "\xe2\x82\xac" }\n',
        b'{"id": "a", "accept": {"b": "c", "d": true, "e": {"f": "g"}}, "x": 0, "y": {}}',
        b'\xef\xbb\xbf{"":"","\\"":"\\\\\\/\\b\\f\\r\\t","e":12E9,"l":["a",true,1.5]}',
    )
    marks = b'"\\{}[]:,0123456789-+.eE \n\t\rtruefalsn u\x00\x1f\x7f\xc3\xa9\xed\xa0\x80\xff'
    texts = list(whole)
    for _ in range(3000):
        text = bytearray(chance.choice(whole))
        for _ in range(chance.choice((1, 1, 2))):
            at = chance.randrange(len(text))
            text[at : at + chance.choice((0, 1, 1, 4))] = bytes(chance.choices(marks, k=chance.choice((0, 1, 1, 2))))
        texts.append(bytes(text))
    (tmp_path / "texts").write_text("".join(f"{text.hex()}\n" for text in texts))
    expected = run("cpython", "_verdicts_of_json", tmp_path, CONFIG).splitlines()[:-1]
    assert 300 < expected.count("no") < 2900 and "no" not in expected[:4]
    for machine in MACHINES:
        got = run(machine, "_verdicts", tmp_path, CONFIG).splitlines()[:-1]
        wrong = [(text, one, other) for text, one, other in zip(texts, expected, got, strict=True) if one != other]
        assert not wrong, (machine, len(wrong), wrong[:3])
