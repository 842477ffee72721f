"""Two emulated boards with each other: one accepts, one calls, as their ikev2.json says; both lose what they have."""

import contextlib
import json
import time

import pytest

from boards.emulator import Board
from boards.wire import ENDS, Wire

PSK = "of no value, but long enough"
HUB, SENSOR = 0, 1
READING = """
import asyncio
import ikev2_main


async def read():
    await ikev2_main.up()
    tunnel = ikev2_main.tunnel
    sock = tunnel.socket(9)
    number = 0
    while True:
        number += 1
        try:
            await sock.sendto(b"%d" % number, ("10.9.0.254", 5683))
            while (await asyncio.wait_for(sock.recvfrom(), 0.5))[0] != b"%d" % number:
                pass
            print("reading answered")
        except (OSError, asyncio.TimeoutError):
            print("reading lost")
        await asyncio.sleep(0.1)


ikev2_main.run(read())
"""
ECHO = """
import ikev2_main


async def echo():
    sock = ikev2_main.hub.socket(5683)
    while True:
        data, (host, port) = await sock.recvfrom()
        await sock.sendto(data, (host, port))


ikev2_main.run(echo())
"""
CONFIG = (
    {"id": "board", "accept": {"sensor-8": PSK}, "raw": []},
    {"id": "sensor-8", "gateway": "10.66.0.2", "gateway_id": "board", "psk": PSK, "raw": [], "liveness_s": 3},
)


@contextlib.contextmanager
def two(configs=CONFIG, programs=(ECHO, READING)):
    """Both boards and their wire; they run."""
    with Board() as hub, Board() as sensor, Wire(hub, sensor) as wire:
        boards = hub, sensor
        for end in (HUB, SENSOR):
            boards[end].repl.fs_writefile("ikev2.json", json.dumps({**configs[end], **wire.config(end)}).encode())
            boards[end].repl.fs_writefile("main.py", programs[end].encode())
            boards[end].start()
        yield hub, sensor, wire


def named(wire, since, *names):
    """The times of the first datagram of each name, each behind the one before; KeyError names what did not come."""
    times = []
    at = since
    for end, name in names:
        while not (wire.datagrams[at].end == end and wire.datagrams[at].name.startswith(name)):
            at += 1
            if at == len(wire.datagrams):
                raise KeyError((name, [(one.end, one.name) for one in wire.datagrams[since:]]))
        times.append(wire.datagrams[at].when)
    return times


@pytest.fixture(scope="module")
def boards():
    with two() as running:
        yield running


def answered(sensor, times=3):
    for _ in range(times):
        sensor.console(b"reading answered")


def test_one_calls_one_accepts_and_the_wire_is_cut_a1_a10(boards):
    hub, sensor, wire = boards
    hub.console(b"accepting sensor-8, inside 10.9.0.254")
    hub.console(b"sensor-8 up, inside 10.9.0.")
    sensor.console(b"tunnel up, 10.9.0.")
    answered(sensor)
    begun = [one.name for one in wire.datagrams].count("IKE_AUTH request")
    wire.cut = True
    for _ in range(3):
        sensor.console(b"reading lost")
    wire.cut = False
    answered(sensor)
    assert [one.name for one in wire.datagrams].count("IKE_AUTH request") == begun


def test_who_accepts_loses_power_and_says_so_r5_r10_l1(boards):
    """INVALID_SPI, the check, INVALID_IKE_SPI, the new tunnel."""
    hub, sensor, wire = boards
    answered(sensor)
    since = len(wire.datagrams)
    hub.type(b"\x03")
    hub.console(b"\r\n>>> ")
    hub.type(b"\x04")
    hub.console(b"accepting sensor-8")
    hub.console(b"sensor-8 up, inside 10.9.0.", seconds=120)
    sensor.console(b"another tunnel is made beside this one: it is denied")
    answered(sensor)
    times = named(
        wire, since, (SENSOR, "ESP"), (HUB, "INVALID_SPI, unprotected"), (SENSOR, "INFORMATIONAL request"),
        (HUB, "INVALID_IKE_SPI, unprotected"), (SENSOR, "IKE_SA_INIT request"), (HUB, "IKE_SA_INIT response"),
        (SENSOR, "IKE_AUTH request"), (HUB, "IKE_AUTH response"), (SENSOR, "ESP, number 1"), (HUB, "ESP, number 1"),
    )  # fmt: skip
    print("ms from the reading to its answer:", [round((when - times[0]) * 1000) for when in times])


def test_who_calls_loses_power_and_comes_again_a9(boards):
    hub, sensor, _ = boards
    answered(sensor)
    sensor.type(b"\x03")
    sensor.console(b"\r\n>>> ")
    sensor.type(b"\x04")
    sensor.console(b"tunnel up, 10.9.0.", seconds=120)
    answered(sensor)
    hub.type(b"s")
    assert "sensor-8                     up, inside 10.9.0." in hub.console(b"last:")


def status(board):
    """{name: value} of the tunnels that status() shows, by its key."""
    board.type(b"s")
    lines = board.console(b"last:").splitlines()
    return {name: line[29:] for line in lines for name in ("tunnel", "alpha", "beta") if line.startswith(name + " ")}


def test_both_call_each_other_and_one_tunnel_stays_h5():
    names = "alpha", "beta"
    configs = [
        {"id": names[end], "gateway": ENDS[1 - end], "gateway_id": names[1 - end], "psk": PSK, "raw": [],
         "accept": {names[1 - end]: PSK}} for end in (0, 1)
    ]  # fmt: skip
    with two(configs, ["import ikev2_main\nikev2_main.run()\n"] * 2) as (alpha, beta, _):
        for board in (alpha, beta):
            board.console(b"node on UDP")
        for _ in range(600):
            found = status(alpha), status(beta)
            up = [f"{side['tunnel'][:2]} {side[name][:2]}" for side, name in zip(found, ("beta", "alpha"), strict=True)]
            if sorted(up) == ["do up", "up no"]:
                break
            time.sleep(0.1)
        assert sorted(up) == ["do up", "up no"], found
