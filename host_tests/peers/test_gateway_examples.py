"""README's programs through charon, under the unix port and CPython: a reading to a CoAP server that others wrote, and
the time from an NTP server; both behind the gateway.
"""

import contextlib
import json
import re
import struct
import subprocess
import sys
import threading
import time

import pytest
from commands.readme_blocks import program
from tools import HERE, device_environment, micropython

from peers.real_gateways import Strongswan, config
from peers.router import INNER, routed_hosts

_NTP = 123
_SINCE_1900 = 2208988800
# What ikev2_main is to them, without a board.
MAIN = """
import asyncio, json
from ipsec import Tunnel
tunnel = None
async def up():
    global tunnel
    with open("settings.json") as file:
        settings = json.load(file)
    settings["psk"] = settings["psk"].encode()
    tunnel = Tunnel(**settings)
    await tunnel.up()
    return tunnel
async def _sleep(ms):
    print("sleeps for", ms)
    await tunnel.close()
def run(task):
    asyncio.run(task)
"""
_CLOCK = """
import asyncio, ikev2_main
%s
async def main():
    print(await clock(await ikev2_main.up(), %r))
    await ikev2_main.tunnel.close()
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    """A gateway and a way to it."""
    with routed_hosts() as hosts, Strongswan(hosts.gateway, tmp_path_factory.mktemp("examples") / "gateway"):
        yield hosts


@pytest.fixture(params=["unix", "cpython"])
def said(request, behind, tmp_path):
    """A function that gives what a program prints in the device's host."""

    def said(text):
        (tmp_path / "settings.json").write_text(json.dumps(config()))
        (tmp_path / "ikev2_main.py").write_text(MAIN)
        (tmp_path / "program.py").write_text(text)
        interpreter = micropython() if request.param == "unix" else sys.executable
        environment = device_environment()
        for name in ("MICROPYPATH", "PYTHONPATH"):
            environment[name] = f"{tmp_path}:{environment[name]}"
        ran = subprocess.run([*behind.device.prefix, interpreter, tmp_path / "program.py"], capture_output=True,
                             text=True, cwd=tmp_path, env=environment, timeout=60)  # fmt: skip
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout.splitlines()

    return said


@contextlib.contextmanager
def coap_server(host):
    """aiocoap behind the gateway; a function that gives the next reading it got."""
    command = [*host.prefix, sys.executable, HERE / "peers/coap_server.py", INNER, "5683"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield process.stdout.readline
        finally:
            process.kill()


@contextlib.contextmanager
def ntp_server(host):
    """A server of RFC 5905 that knows this PC's time; a stranger's first octets are not answered."""
    sock = host.socket(INNER, _NTP)
    sock.settimeout(None)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                asked, source = sock.recvfrom(100)
                if len(asked) == 48 and asked[0] & 7 == 3:
                    stamp = struct.pack(">II", int(time.time()) + _SINCE_1900, 0)
                    head = bytes((asked[0] & 0x38 | 4, 1, 0, 0)) + bytes(12)
                    sock.sendto(head + stamp + asked[40:48] + stamp + stamp, source)
                elif source[0] == INNER:
                    return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        with host.socket(INNER) as last:
            last.sendto(b"end", (INNER, _NTP))
        thread.join()
        sock.close()


def test_a_reading_arrives(behind, said):
    """As a confirmable POST, and the program sees the acknowledgment; then it would sleep."""
    text = program("coap: ").replace("ikev2_main.tunnel.sleep(", "ikev2_main._sleep(").replace("10.9.0.254", INNER)
    with coap_server(behind.gateway) as reading:
        lines = said(text)
        assert reading() == "21.5 CON\n"
    assert lines == ["coap: acknowledged", "sleeps for 600000"]


def test_the_clock_is_set(behind, said):
    before = int(time.time())
    with ntp_server(behind.gateway):
        (line,) = said(_CLOCK % (program("async def clock"), INNER))
    assert re.fullmatch(r"\d+", line) and before <= int(line) <= time.time()
