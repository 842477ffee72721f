"""The firmware's life on a PC, with fakes for what an ESP32 has; run by test_firmware.py under CPython and MicroPython.

Each case is a function; the name of one is the argument; it prints what the firmware prints, then "passed".
"""

import asyncio
import json
import os
import socket
import sys

from boards import fakes

fakes.install()

import ikev2_config  # noqa: E402
import ikev2_main  # noqa: E402
import ikev2_network  # noqa: E402
import ikev2_sleep  # noqa: E402
from ikev2.node import Node  # noqa: E402
from ikev2.notifier import VERDICTS  # noqa: E402
from ikev2.spi_table import SpiTable  # noqa: E402
from ikev2.udp import Udp  # noqa: E402

from boards.fakes import Pin, Rtc, Slept, Station, Watchdog  # noqa: E402

_FILE = ikev2_config.FILE
_REQUEST = bytes((1,)) * 16 + bytes((46, 0x20, 37, 8, 0, 0, 0, 9, 0, 0, 0, 64)) + bytes(36)


def _configure(**values):
    with open(_FILE, "w") as file:
        json.dump(values, file)


class _PcUdp(Udp):
    """Ports that a PC gives to everybody."""

    def __init__(self, node, **options):
        super().__init__(node, host="127.0.0.1", local={500: 45500, 4500: 45501}, **options)


ikev2_main.Udp = _PcUdp


def answers_blinks_and_feeds():
    _configure(ssid="home", password="secret", led=2, watchdog_s=1, raw=[50, 51])
    Station.connected = True
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.setblocking(False)
    to = socket.getaddrinfo("127.0.0.1", 45500)[0][-1]
    got = []

    async def ask():
        await asyncio.sleep(0.2)
        client.sendto(_REQUEST, to)
        await asyncio.sleep(0.7)
        got.append(client.recv(100))
        raise KeyboardInterrupt

    ikev2_main.run(ask())
    assert len(got) == 1 and len(got[0]) == 36 and got[0][17:20] == bytes((0x20, 37, 0x20)), got
    assert ikev2_main.node.counters[VERDICTS.index("invalid-ike-spi")] == 1
    ikev2_main.status()
    assert Pin.changes >= 1
    assert Watchdog.fed >= 3, Watchdog.fed
    assert Watchdog.timeouts[0] == 1000 and Watchdog.timeouts[-1] > 3600000
    assert Station.settings == {"pm": 1}


def no_ssid_is_said():
    _configure()
    said = []
    asyncio.run(ikev2_network.keep_up(ikev2_config.read(), said.append))
    assert len(said) == 1 and "ssid" in said[0], said


def lost_and_back_and_moved():
    ikev2_network._RETRY_S = ikev2_network._LOOK_S = 0.01
    ikev2_network._RETRY_MAX_S = 0.04
    _configure(ssid="home", password="secret")
    said = []

    async def story():
        task = asyncio.create_task(ikev2_network.keep_up(ikev2_config.read(), said.append))
        await asyncio.sleep(0.2)
        tries = len(Station.tries)
        assert 3 <= tries <= 9, tries
        Station.connected = True
        await asyncio.sleep(0.1)
        Station.connected = False
        await asyncio.sleep(0.1)
        Station.connected = True
        await asyncio.sleep(0.1)
        Station.address = "192.0.2.8"
        await asyncio.sleep(0.1)
        task.cancel()

    asyncio.run(story())
    changes = [line.split(",")[0].split(":")[0] for line in said if not line.startswith("no network")]
    assert changes == ["network up", "network lost", "network up",
                       "address changed from 192.0.2.7 to 192.0.2.8"], said  # fmt: skip
    waits = [line for line in said if line.startswith("no network")]
    assert len(waits) >= 3


def table_survives_deep_sleep():
    _configure(ssid="home")
    table = SpiTable(16, 32)
    peer = bytes((192, 0, 2, 1, 1, 0xF4))
    slot = table.adopt_ike(b"A" * 8, b"B" * 8, True, peer, True)
    table.adopt_child(slot, 50, b"CCCC", b"DDDD")
    node = Node(table, os.urandom)
    try:
        ikev2_sleep.sleep(node, 5000)
        raise AssertionError("slept not")
    except Slept as slept:
        assert slept.args[0] == 5000
    assert len(Rtc.octets) == 12 + 16 * 26 + 32 * 11 == 780
    kept = Rtc.octets
    ikev2_main._prepare()
    # A live SA is no unknown one.
    esp = b"CCCC" + bytes(28)
    assert VERDICTS[ikev2_main.node.receive(50, peer[:4] + b"\0\0", esp, 32, 0)] == "deliver-esp"
    assert Rtc.octets == b""  # good for one waking
    for octets in (b"", kept[:-1], kept[:100] + bytes((kept[100] ^ 1,)) + kept[101:], b"somebody else's"):
        Rtc.octets = octets
        empty = SpiTable(16, 32)
        assert not ikev2_sleep.restore(empty)
        assert empty.ike_sas() == [] and Rtc.octets == octets
    try:
        ikev2_sleep.sleep(Node(SpiTable(64, 64), os.urandom), 1)
        raise AssertionError("too large, and taken")
    except ValueError as error:
        assert "2048" in str(error)


def broken_configuration_is_named():
    for text, line, word in (
        ('{\n "ssid": "home",\n "pasword": "x"\n}', 3, "pasword"),
        ('{\n "ssid": 5\n}', 2, "a string"),
        ('{\n "log": 1\n}', 2, "true or false"),
        ('{\n\n "burst": true\n}', 3, "whole number"),
        ('{\n "burst": -1\n}', 2, "at least"),
        ('{\n "ike_sas": 257\n}', 2, "at most 256"),
        ('{\n "watchdog_s": 5000000\n}', 2, "at most 86400"),
        ('{\n "led": 99\n}', 2, "at most 60"),
        ('{\n "ports": [500, 500]\n}', 2, "500"),
        ('{\n "ports": [500, 501]\n}', 2, "each of 500, 4500 once"),
        ('{\n "ssid": "pasword",\n "pasword": "x"\n}', 3, "pasword"),
        ("[]", 1, "object"),
        ('{\n "ssid": "home",\n "burst": one\n}', 3, "JSON"),
        ('{\n "log": true,\n "burst"\n}', 4, "JSON"),
        ('{\n "log": true\n "burst": 1\n}', 3, "JSON"),
        ('{\n "log": true,\n}', 3, "JSON"),
        ('{\n "raw": [50,\n 51],\n "log" true\n}', 4, "JSON"),
        ('{\n "ssid": "a\\"}b"', 2, "JSON"),
        ("", 1, "JSON"),
    ):
        try:
            ikev2_config.parse(text.encode())
            raise AssertionError(text)
        except ikev2_config.ConfigError as error:
            assert "line %d" % line in str(error) and word in str(error), (text, str(error))
    with open(_FILE, "w") as file:
        file.write('{\n "ssdi": ""\n}')
    ikev2_main.node = None
    ikev2_main.run()  # says so and returns: the REPL is there
    assert ikev2_main.node is None


def without_sockets_the_watchdog_stays():
    """Nobody may be there to call run() again."""
    _configure(ssid="home", watchdog_s=1)

    class NoUdp:
        def __init__(self, node, **options):
            raise OSError(112)

    class FullUdp(_PcUdp):
        async def run(self):
            raise MemoryError

    ikev2_main.Udp = NoUdp
    ikev2_main.run()
    assert Watchdog.timeouts == (1000,), Watchdog.timeouts
    ikev2_main.Udp = FullUdp
    try:
        ikev2_main.run()
        raise AssertionError
    except MemoryError:
        pass
    assert Watchdog.timeouts == (1000, 1000), Watchdog.timeouts


def failed_task_starves_the_watchdog():
    _configure(ssid="home", watchdog_s=1)

    async def user():
        await asyncio.sleep(0)
        raise RuntimeError("user's own")

    async def forever():
        await asyncio.sleep(60)

    async def story():
        asyncio.get_event_loop().set_exception_handler(ikev2_main._note)
        ikev2_main._users[:] = [asyncio.create_task(user())]
        serving = asyncio.create_task(forever())
        feeding = asyncio.create_task(ikev2_main._feed(Watchdog(40), serving, 0.04))
        await asyncio.sleep(0.1)
        fed = Watchdog.fed
        assert fed >= 3 and not ikev2_main._failed
        ikev2_main._failed.append(MemoryError())
        await asyncio.sleep(0.1)
        assert Watchdog.fed <= fed + 1 and feeding.done()
        serving.cancel()

    asyncio.run(story())


if __name__ == "__main__":
    globals()[sys.argv[1]]()
    print("passed")
