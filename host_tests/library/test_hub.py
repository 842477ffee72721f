"""A hub as a user's program has it, over loopback, under both interpreters: one unprivileged port, no rights."""

import asyncio
import json
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
from inside.stack import Stack
from ipsec import Tunnel
from ipsec import hub as hub_module
from ipsec.hub import Hub
from ipsec.tools import hub
from tools import HERE, device_environment, micropython

PSK = b"of no value, but long enough"
HUB = {
    "id": "hub.example", "inside": "10.9.0.254", "pool": "10.9.0.0/24", "port": 14502,
    "peers": {"sensor-7": {"psk": "of no value, but long enough"}},
}  # fmt: skip


@pytest.mark.parametrize("interpreter", ["CPython", "MicroPython"])
def test_a_users_program_with_a_hub_and_its_devices_h4_h6_w1(interpreter):
    command = [sys.executable if interpreter == "CPython" else micropython(), HERE / "library/hub_user.py"]
    ran = subprocess.run(command, env=device_environment(), capture_output=True, text=True, timeout=240)
    assert ran.returncode == 0 and not ran.stderr, (ran.stdout, ran.stderr)
    lines = ran.stdout.splitlines()
    assert lines[0] == "up: ('up', 'sensor-7') ('up', 'sensor-8', 'inside 10.9.0.8') None"
    assert lines[1] == "fixed: 10.9.0.8"
    for at, name in ((2, "sensor-7"), (5, "sensor-8")):
        heard = [f"heard: b'{name}' {name} 9 True", f"answer: b'{name}!'", "named: b'by name'"]
        assert lines[at : at + 3] == heard
    assert lines[8].startswith("server: b'HELLO FROM 10.9.0.") and lines[8].endswith(" 20000")
    assert lines[9:] == [
        "server: b'HELLO FROM 10.9.0.8\\n' 20000", "client: b'are you there?\\n'",
        "nobody: no tunnel to 10.9.0.99", "name: 'sensor-9' is nobody who is there",
        "long: 1420 octets of data, room for 1394", "wrong: AUTHENTICATION_FAILED",
        "refused: ('refused', 'sensor-7')", "left: ('down', 'sensor-8', 'deleted by the peer') ['sensor-7']",
        "read: the hub is closed", "closed: True", "late: the hub is closed",
    ]  # fmt: skip


def changed(**changes):
    return json.dumps({**HUB, **changes})


@pytest.mark.parametrize("text, what", [
    ("[]", "must be an object"),
    ("{", "Expecting"),
    (changed(colour="red"), "'colour' is no key"),
    (changed(port="1"), "'port' must be of type int"),
    (changed(port=65536), "at most 65535"),
    (changed(port=500), "port 500 is for IKE alone"),
    (changed(peers={"a": {"psk": "0123456789abcdef", "adress": ""}}), "'adress' is no key"),
    (changed(peers={"a": {}}), "'psk' is missing"),
    (changed(peers={"a": {"psk": "too short, xyz"}}), "16 octets"),
    (changed(peers={"a": {"psk": "0123456789abcdef", "address": "10.9.0.254"}}), "in use"),
    (changed(peers={"a": {"psk": "0123456789abcdef", "address": "10.9.0"}}), "no IPv4 address"),
    (changed(pool="10.9.0.1/24"), "no IPv4 network"),
    (changed(groups=[15]), "groups"),
    (changed(forward={"0": "127.0.0.1:1883"}), "'0' is no port"),
    (changed(forward={"1883": "127.0.0.1:mqtt"}), "'mqtt' is no port"),
    (changed(forward={"1883": 1883}), "1883 is not like 127.0.0.1:1883"),
    (json.dumps({"id": "hub"}), "'inside' is missing"),
])  # fmt: skip
def test_a_file_that_cannot_be_is_refused_in_words_and_shows_no_secret(text, what):
    with pytest.raises((ValueError, OSError)) as error:
        hub.made(text)
    assert what in str(error.value) and "xyz" not in str(error.value)


@pytest.mark.parametrize(("platform", "ids", "queue", "half_open", "answers"), [
    ("linux", 64, 64, (32, 16, 16), 100), ("esp32", 8, 4, (4, 2, 2), 5),
])  # fmt: skip
def test_the_limits_of_a_pc_and_of_a_board_a5_a6_a12_h4(monkeypatch, platform, ids, queue, half_open, answers):
    code = hub_module.__loader__.get_code("ipsec.hub")
    if platform == "esp32":
        monkeypatch.setattr(sys, "implementation", SimpleNamespace(name="micropython"))
        monkeypatch.setattr(sys, "platform", platform)
    made = {"__name__": "ipsec.hub", "__package__": "ipsec"}
    exec(code, made)
    monkeypatch.undo()
    peers = {f"sensor-{number}": PSK for number in range(70)}
    one = made["Hub"]("hub.example", peers, "10.9.0.254", "10.9.0.0/24", port=14505)
    one.udp.close()
    acceptor = one.members.acceptor
    assert one.members._most == ids
    stateless = sum(acceptor._budget.allow(bytes((1, 2, 3, number, 0, 0)), 1, 0) for number in range(256) for _ in "ab")
    assert (acceptor._room, acceptor._of_address, acceptor._cookies_from) == half_open
    assert stateless == (500 if platform == "linux" else 20)
    assert sum(one.node._budget.allow(bytes((1, 2, 3, number, 0, 0)), 0, 0) for number in range(200)) == answers
    sock, packet = one.stack.bind(5683), bytearray(100)
    other = Stack(bytes((10, 9, 0, 7)))
    for _ in range(70):
        one.stack.receive(packet, other.send(packet, 0, 9, one.stack.address, 5683, b"reading"), 0)
    assert len(sock.waiting) == queue


def test_what_leaves_later_leaves_from_the_address_that_was_asked_a3_a13():
    """A hub at all addresses of the machine, called at its second one; a PC takes the group of the KE."""

    async def main():
        other = Hub("hub.example", {"sensor-7": PSK}, "10.9.0.254", "10.9.0.0/24", port=14503)
        async with other:
            sock = other.socket(5683)
            assert other.peers.as_sent
            sources = set()
            tunnel = Tunnel("127.0.0.2:14503", "sensor-7", PSK, groups=(14,))  # its secret takes many slices
            tunnel.udp.seen = lambda verdict, via, source, datagram, length: sources.add(bytes(source[:4]))
            await asyncio.wait_for(tunnel.up(), 60)
            inside = tunnel.socket(9)
            await sock.sendto(b"unasked", ("sensor-7", 9))
            assert (await asyncio.wait_for(inside.recvfrom(), 20))[0] == b"unasked"
            await tunnel.close()
        return sources

    assert asyncio.run(main()) == {bytes((127, 0, 0, 2))}


def test_a_program_that_blocks_has_its_tunnel_as_well_w4():
    """Nothing runs beside it: its own waiting looks the gateway up, makes the tunnel and reads."""
    there, over = threading.Event(), threading.Event()

    async def serve():
        async with Hub("hub.example", {"sensor-7": PSK}, "10.9.0.254", "10.9.0.0/24", port=14504):
            there.set()
            while not over.is_set():
                await asyncio.sleep(0.02)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert there.wait(20)
        tunnel = Tunnel("127.0.0.1:14504", "sensor-7", PSK)
        while not tunnel.is_up and not tunnel.life.failures:
            tunnel.streams.serve(20)
        assert tunnel.is_up, tunnel.reason
        tunnel.udp.close()
    finally:
        over.set()
        thread.join()
