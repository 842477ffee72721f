"""The firmware's life on a PC, with fakes for what an ESP32 has; run by test_firmware.py under CPython and MicroPython.

Each case is a function; the name of one is the argument; it prints what the firmware prints, then "passed".
"""

import asyncio
import binascii
import json
import os
import socket
import sys

from boards import fake_esp32

fake_esp32.install()

import ikev2_main  # noqa: E402
import ikev2_network  # noqa: E402
import ikev2_sleep  # noqa: E402
import ikev2_watchdog  # noqa: E402
from ikev2.config import FILE, ConfigError, parse, read  # noqa: E402
from ikev2.config.reader import Reader, decoded  # noqa: E402
from ikev2.net.sockets import readable  # noqa: E402
from ikev2.net.udp import Udp  # noqa: E402
from ikev2.node import Node  # noqa: E402
from ikev2.notifier import VERDICTS  # noqa: E402
from ikev2.spi_table import SpiTable  # noqa: E402

from boards.fake_esp32 import Lan, Pin, Rtc, Slept, Station, Timer, Watchdog, machine, network  # noqa: E402

_REQUEST = bytes((1,)) * 16 + bytes((46, 0x20, 37, 8, 0, 0, 0, 9, 0, 0, 0, 64)) + bytes(36)


def _configure(**values):
    with open(FILE, "w") as file:
        json.dump(values, file)


class _PcUdp(Udp):
    """Ports that a PC gives to everybody."""

    def __init__(self, node, **options):
        super().__init__(node, host="127.0.0.1", local={500: 45500, 4500: 45501}, **options)


ikev2_main.Udp = _PcUdp


def answers_blinks_and_feeds():
    _configure(ssid="home", password="secret", led=2, watchdog_s=1, raw=[50, 51])
    Station.connected = True
    Station.ssid = "home"
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.setblocking(False)
    to = socket.getaddrinfo("127.0.0.1", 45500)[0][-1]
    got = []

    async def ask():
        client.sendto(_REQUEST, to)
        await readable(client)
        got.append(client.recv(100))
        await _until(lambda: Watchdog.fed >= 3)
        raise KeyboardInterrupt

    ikev2_main.run(ask())
    assert len(got) == 1 and len(got[0]) == 36 and got[0][17:20] == bytes((0x20, 37, 0x20)), got
    assert ikev2_main.node.counters[VERDICTS.index("invalid-ike-spi")] == 1
    ikev2_main.status()
    assert Pin.changes >= 1
    assert Watchdog.timeouts[0] == 1000 and Watchdog.timeouts[-1] > 3600000
    assert Station.settings == {"pm": 1}


def no_ssid_is_said():
    _configure()
    said = []
    asyncio.run(ikev2_network.keep_up(read(), said.append, lambda address: None))
    assert len(said) == 1 and "ssid" in said[0], said


def _hurry():
    ikev2_network._RETRY_S = ikev2_network._LOOK_S = ikev2_network._POLL_S = 0.01
    ikev2_network._JOIN_S = 0.03
    ikev2_network._RETRY_MAX_S = 0.04


async def _until(condition):
    while not condition():
        await asyncio.sleep(0.005)


async def _network(said):
    """keep_up as a task, and the wait for a line of it that has these words; lines before that are dropped."""
    task = asyncio.create_task(ikev2_network.keep_up(read(), said.append, lambda address: None))

    async def heard(words):
        await _until(lambda: [line for line in said if words in line])

    return task, heard


def lost_and_back_and_moved():
    _hurry()
    _configure(ssid="home", password="secret")
    said = []

    async def story():
        task, heard = await _network(said)
        await _until(lambda: len(Station.tries) == 4)
        Station.connected = True
        await heard("network up")
        Station.connected = False
        await heard("network lost")
        Station.connected = True
        await _until(lambda: said[-1].startswith("network up"))
        Station.address = "192.0.2.8"
        await heard("address changed")
        task.cancel()

    asyncio.run(story())
    changes = [line.split(",")[0].split(":")[0] for line in said if not line.startswith("no network")]
    assert changes == ["network up", "network lost", "network up",
                       "address changed from 192.0.2.7 to 192.0.2.8"], said  # fmt: skip
    assert len([line for line in said if line.startswith("no network")]) >= 3


def slow_join_is_given_its_time():
    """Item 18: association, keys and DHCP of 2.5 s and more; here as often as ten polls."""
    _hurry()
    ikev2_network._JOIN_S = 1
    _configure(ssid="home", password="secret")
    Station.joins_after = 10
    said = []

    async def story():
        task, heard = await _network(said)
        await heard("network up")
        task.cancel()

    asyncio.run(story())
    assert len(Station.tries) == 1 and Station.cut == 0 and len(said) == 1, (Station.tries, said)


def reason_of_a_failed_join_is_said():
    _hurry()
    _configure(ssid="home", password="secret")
    said = []

    async def story():
        task, heard = await _network(said)
        await heard("are ssid and password right")
        for state, words in ((201, "no access point with this ssid"), (202, "wrong password")):
            while not [line for line in said if words in line]:
                Station.state = state
                await asyncio.sleep(0)
        task.cancel()

    asyncio.run(story())
    assert "secret" not in "".join(said)


def new_ssid_takes_effect():
    """Item 20: an ESP32 stays joined through the soft reboot of `deploy`."""
    _hurry()
    _configure(ssid="new", password="secret")
    Station.connected = True
    Station.ssid = "old"
    Station.joins_after = 2
    said = []

    async def story():
        task, heard = await _network(said)
        await heard("network up")
        task.cancel()

    asyncio.run(story())
    assert Station.tries == (("new", "secret"),)


def boards_without_wifi():
    """Item 17: LAN alone; pins that have to be named; no network at all. None of these is reset for ever."""
    _hurry()
    _configure(watchdog_s=1)
    del network.WLAN
    network.LAN = Lan
    said = []

    async def story():
        task, heard = await _network(said)
        await heard("network up, address 192.0.2.7")
        task.cancel()

    asyncio.run(story())
    for pins in (False, None):
        Lan.pins = pins
        if pins is None:
            del network.LAN
        said.clear()
        asyncio.run(ikev2_network.keep_up(read(), said.append, lambda address: None))
        assert len(said) == 1 and "boot.py must bring it up" in said[0], said

    async def fed():
        await _until(lambda: Watchdog.fed >= 3)
        raise KeyboardInterrupt

    ikev2_main.run(fed())
    assert not ikev2_main._failed


def watchdogs_of_other_boards():
    """Item 16: RP2 takes 8,388 ms, RP2350 16,777; after Ctrl-C a timer feeds what cannot wait for a day."""
    for most, taken in ((8388, 7500), (16777, 15000), (0xFFFFFFFF, 30000)):
        Watchdog.most = most
        Watchdog.timeouts = Timer.running = ()
        watchdog = ikev2_watchdog.Watchdog(30)
        assert watchdog.ms == taken and Watchdog.timeouts == (taken,) and watchdog.pause_s * 4000 == taken
        watchdog.leave_alone()
        assert watchdog.ms <= most
        if most == 0xFFFFFFFF:
            assert watchdog.ms == 86400000 and Timer.running == ()
            continue
        ((period, callback),) = Timer.running
        assert period < watchdog.ms
        fed = Watchdog.fed
        callback(None)
        assert Watchdog.fed == fed + 1
        watchdog.start(30)
        assert Timer.running == () and watchdog.ms == taken
    Watchdog.most = -1
    nothing = ikev2_watchdog.Watchdog(30)
    assert nothing.ms == 0
    nothing.feed()
    nothing.leave_alone()
    # The node starts with it, and Ctrl-C comes through.
    Watchdog.most = 8388
    _configure(ssid="home", raw=[])

    async def stop():
        raise KeyboardInterrupt

    ikev2_main.run(stop())
    assert Watchdog.timeouts[-2] == 7500 and len(Timer.running) == 1


PEER = bytes((192, 0, 2, 1, 1, 0xF4))
ESP = b"CCCC" + bytes(28)


def _asleep():
    """RTC memory with a table in it that has one IKE SA and one Child SA."""
    table = SpiTable(16, 32)
    slot = table.adopt_ike(b"A" * 8, b"B" * 8, True, PEER, True)
    table.adopt_child(slot, 50, b"CCCC", b"DDDD")
    try:
        ikev2_sleep.sleep(Node(table, os.urandom), 5000)
        raise AssertionError("slept not")
    except Slept as slept:
        assert slept.args[0] == 5000
    return Rtc.octets


def _woken():
    """ikev2_main as after a reset: imported anew. RTC memory is empty from then on, whatever was in it."""
    del sys.modules["ikev2_main"]
    import ikev2_main

    assert Rtc.octets == b""
    return ikev2_main


def table_survives_deep_sleep():
    _configure(ssid="home")
    assert len(_asleep()) == 23 + 12 + 16 * 26 + 32 * 11 == 803
    main = _woken()
    main._prepare()
    # A live SA is no unknown one; nobody can speak over it, so it is not established (S1.1).
    assert VERDICTS[main.node.receive(50, PEER[:4] + b"\0\0", ESP, 32, 0)] == "deliver-esp"
    assert VERDICTS[main.node.receive(50, PEER[:4] + b"\0\0", b"XXXX" + bytes(60), 64, 0)] == "invalid-spi"
    try:
        ikev2_sleep.sleep(Node(SpiTable(64, 64), os.urandom), 1)
        raise AssertionError("too large, and taken")
    except ValueError as error:
        assert "2048" in str(error)


def what_is_damaged_is_an_empty_table():
    _configure(ssid="home")
    kept = _asleep()
    others = [kept[:at] + bytes((kept[at] ^ 1,)) + kept[at + 1 :] for at in range(0, len(kept), 7)]
    for octets in [b"", kept[:-1], kept[:20], b"somebody else's", bytes(2048), os.urandom(2048)] + others:
        Rtc.octets = octets
        main = _woken()
        main._prepare()
        assert main.node.table.ike_sas() == []


def snapshot_is_good_for_one_waking():
    """Item 19: no SA comes back after a wake with a broken or another configuration, or a watchdog reset."""
    kept = _asleep()
    for broken in ('{"ssdi": ""}', '{"ike_sas": 8}'):
        Rtc.octets = kept
        with open(FILE, "w") as file:
            file.write(broken)
        main = _woken()
        main.Udp = None  # run() is not to get that far
        try:
            main._prepare()
        except ConfigError:
            pass
        _configure(ssid="home")
        main.node = None
        main._prepare()
        assert main.node.table.ike_sas() == []
    for configuration in ({"ike_sas": 17}, {"child_sas": 31}):
        Rtc.octets = kept
        _configure(ssid="home", **configuration)
        main = _woken()
        main._prepare()
        assert main.node.table.ike_sas() == []
    _configure(ssid="home")
    for cause in (machine.WDT_RESET, machine.PWRON_RESET):
        Rtc.octets = kept
        machine.cause = cause
        main = _woken()
        main._prepare()
        assert main.node.table.ike_sas() == []
    machine.cause = machine.DEEPSLEEP_RESET
    Rtc.octets = SpiTable(16, 32).snapshot()  # nothing was in it: nothing to say either
    _woken()._prepare()


def nothing_of_a_tunnel_without_a_gateway():
    """Issue 14, 3: what a tunnel takes, RAM above all, is taken only by who has one."""
    _configure(ssid="home", raw=[])
    found = []

    async def stop():
        found.append(await ikev2_main.up())
        raise KeyboardInterrupt

    Station.joins_after = 1
    ikev2_main.run(stop())
    assert found == [None] and ikev2_main.tunnel is None
    assert not [name for name in sys.modules if name.startswith(("ipsec", "ikev2_tunnel", "ikev2.initial.initiator"))]


GATEWAY = {"ssid": "home", "gateway": "127.0.0.1", "id": "sensor-7", "psk": "0123456789abcdef", "raw": []}


def _run(user, **values):
    """run() of a board that has just begun, with a gateway at 127.0.0.1; Ctrl-C once the task is over."""
    config = dict(GATEWAY)
    config.update(values)
    _configure(**config)
    Station.joins_after = 1

    async def task():
        await user(sys.modules["ikev2_main"])
        raise KeyboardInterrupt

    main = sys.modules["ikev2_main"]
    main.Udp = _PcUdp
    main.run(task())


async def _told(tunnel):
    """Its events have been printed."""
    await _until(lambda: not tunnel.life._events)


def tunnel_comes_up():
    async def user(main):
        tunnel = await main.up()
        assert tunnel is main.tunnel and tunnel.address == "10.77.0.2"
        # Everybody else is answered as before.
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.setblocking(False)
        client.sendto(_REQUEST, socket.getaddrinfo("127.0.0.1", 45500)[0][-1])
        await readable(client)
        assert client.recv(100)[18:20] == bytes((37, 0x20))

    async def again(main):
        tunnel = await main.up()
        tunnel.ping("10.77.0.1", 1)
        await _told(tunnel)
        main.status()

    _run(user)
    _run(again)  # run() goes on after Ctrl-C with a tunnel of its own


def tunnel_is_refused_in_words():
    async def user(main):
        try:
            await main.up()
            raise AssertionError
        except OSError as error:
            assert "AUTHENTICATION_FAILED" in str(error), error
        await _told(main.tunnel)

    _run(user, psk="another one, as long")


def tunnel_outlives_deep_sleep():
    """Z1 to Z3: the first thing that leaves after waking is ESP."""

    async def asleep(main):
        tunnel = await main.up()
        tunnel.ping("10.77.0.1", 1)
        main.sleep(600000)

    async def awake(main):
        tunnel = await main.up()
        tunnel.ping("10.77.0.1", 2)
        await tunnel.sleep(1000)

    _run(asleep, keep_keys=True)
    assert 803 < len(Rtc.octets) <= 1503, len(Rtc.octets)
    for address in ("192.0.2.7", "192.0.2.7", "192.0.2.8"):
        Station.address = address
        _woken()
        _run(awake, keep_keys=True)


def tunnel_is_not_kept():
    """Z2, Z5: without keep_keys, by another configuration, or twice by one snapshot: begun anew."""

    async def asleep(main):
        tunnel = await main.up()
        tunnel.ping("10.77.0.1", 1)
        main.sleep(600000)

    async def awake(main):
        await main.up()

    _run(asleep)
    _woken()
    _run(asleep, keep_keys=True)
    kept = Rtc.octets
    _woken()
    _run(awake, keep_keys=True, gateway_id="gateway.example")
    Rtc.octets = kept
    main = _woken()
    _configure(ssid="home")
    main._prepare()
    assert main.node.table.ike_sas() == []


TUNNEL = '{\n"gateway": "vpn.example.org",\n"id": "sensor-7",\n"psk": "0123456789abcdef"'
BROKEN = (
    ('{\n "ssid": "home",\n "pasword": "x"\n}', 3, "unknown key"),
    ('{\n "ssid": 5\n}', 2, "a string"),
    ('{\n "log": 1\n}', 2, "true or false"),
    ('{\n\n "burst": true\n}', 3, "a whole number"),
    ('{\n "burst": -1\n}', 2, "at least"),
    ('{\n "burst": 1.0\n}', 2, "a whole number"),
    ('{\n "burst": 1e2\n}', 2, "a whole number"),
    ('{\n "burst": null\n}', 2, "a whole number"),
    ('{\n "burst": %s\n}' % ("9" * 5000), 2, "at most"),
    ('{\n "ike_sas": 257\n}', 2, "at most 256"),
    ('{\n "watchdog_s": 5000000\n}', 2, "at most 86400"),
    ('{\n "led": 99\n}', 2, "at most 60"),
    ('{\n "ports": [500, 500]\n}', 2, "500"),
    ('{\n "ports": [500, 501]\n}', 2, "500, 4500"),
    ('{\n "ports": [500.0]\n}', 2, "500, 4500"),
    ('{\n "ports": ["500"]\n}', 2, "500, 4500"),
    ('{\n "ports": [[500]]\n}', 2, "JSON"),
    ('{\n "ports": {"a": 1}\n}', 2, "JSON"),
    ('{\n "ssid": "pasword",\n "pasword": "x"\n}', 3, "unknown key"),
    ('{\n "burst": 1,\n "burst": 2\n}', 3, "stands in line 2 already"),
    ("[]", 1, "object"),
    ('{\n "ssid": "home",\n "burst": one\n}', 3, "JSON"),
    ('{\n "log": true,\n "burst"\n}', 4, "JSON"),
    ('{\n "log": true\n "burst": 1\n}', 3, "JSON"),
    ('{\n "log": true,\n}', 3, "JSON"),
    ('{\n "log": true\n},', 3, "JSON"),
    ('{\n "raw": [50,\n 51],\n "log" true\n}', 4, "JSON"),
    ('{\n "ports": [500 4500]\n}', 2, "JSON"),
    ('{\n "ports": [500,]\n}', 2, "JSON"),
    ('{\n "burst": 010\n}', 2, "zero in front"),
    ('{\n "burst": -\n}', 2, "without digits"),
    ('{\n "ssid": "a\\"}b"', 2, "JSON"),
    ('{\n "ssid": "a\nb"\n}', 2, "in its line"),
    ('{\n "ssid": "\\x41"\n}', 2, "before one of"),
    ('{\n "ssid": "\\u12 4"\n}', 2, "four hexadecimal digits"),
    ('{\n "ssid": "\\ud83d"\n}', 2, "half a surrogate pair"),
    ('{\n "ssid": "\\ude00\\ud83d"\n}', 2, "half a surrogate pair"),
    ("", 1, "JSON"),
    ('{"ssid": "\xff"}'.encode("latin-1") if sys.implementation.name == "cpython" else b'{"ssid": "\xff"}', 1, "UTF-8"),
    (b'{"ssid": "\xed\xa0\xbd\xed\xb8\x80"}', 1, "UTF-8"),
    (b'{"ssid": "\xc1\x81"}', 1, "UTF-8"),
    ('{\n "gateway": "vpn.example.org",\n "id": "me"\n}', 2, "'id' and 'psk'"),
    (TUNNEL + ',\n"inside": "10.0.0.256"}', 5, "IPv4 address"),
    (TUNNEL + ',\n"inside": "010.0.0.1"}', 5, "IPv4 address"),
    (TUNNEL + ',\n"inside": "224.0.0.1"}', 5, "IPv4 address"),
    (TUNNEL + ',\n"remote": ["10.0.0.1/8"]}', 5, "zeros behind"),
    (TUNNEL + ',\n"remote": ["10.0.0.0/33"]}', 5, "10.0.0.0/8"),
    (TUNNEL + ',\n"remote": [8]}', 5, "10.0.0.0/8"),
    (TUNNEL + ',\n"dns": ["ns.example"]}', 5, "hosts inside the tunnel"),
    (TUNNEL + ',\n"dns": ["224.0.0.251"]}', 5, "hosts inside the tunnel"),
    (TUNNEL + ',\n"dns": [8]}', 5, "hosts inside the tunnel"),
    (TUNNEL + ',\n"remote": [%s]}' % ", ".join(['"10.0.0.0/8"'] * 9), 5, "at most 8, not 9"),
    (TUNNEL + ',\n"keepalive_s": -1}', 5, "'keepalive_s' must be at least 1 and at most 3600, not -1"),
    (TUNNEL + ',\n"remote": []}', 5, "at least 1"),
    (TUNNEL + ',\n"groups": []}', 5, "empty"),
    (TUNNEL + ',\n"ports": [500]}', 5, "at least 2"),
    (TUNNEL + ',\n"ike_sas": 1}', 5, "at least 4"),
    (TUNNEL + ',\n"groups": [2]}', 5, "31, 14"),
    (TUNNEL + ',\n"ciphers": ["aes-ctr"]}', 5, "aes-cbc-256"),
    (TUNNEL + ',\n"gateway_id": "keyid:"}', 5, "keyid"),
    (TUNNEL.replace("vpn.", "vpn .") + "}", 2, "host name"),
    (TUNNEL.replace("vpn.example.org", "192.0.2.300") + "}", 2, "host name"),
    (TUNNEL + ',\n"lifetime_s": 5}', 5, "at least 60"),
)


def _parsed(text, **options):
    return parse(text if isinstance(text, bytes) else text.encode(), **options)


def broken_configuration_is_named():
    for text, line, word in BROKEN:
        try:
            _parsed(text)
            raise AssertionError(text)
        except ConfigError as error:
            assert "line %d:" % line in str(error) and word in str(error), (text, str(error))
    with open(FILE, "w") as file:
        file.write('{\n "ssdi": ""\n}')
    ikev2_main.node = None
    ikev2_main.run()  # says so and returns: the REPL is there
    assert ikev2_main.node is None


def good_configuration_is_taken():
    assert _parsed("\ufeff{}")["burst"] == 5 and _parsed(" {\r\n}\t")["ports"] == [500, 4500]
    config = _parsed(
        '{"ssid": "\\ud83d\\ude00\\u00e9\\\\\\/\\n\\t", "password": "\U0001f600\u20ac", "led": -1, "burst": 0, '
        '"raw": [ ], "ports":[4500 , 500],"log":true , "power_save": false}'
    )
    assert config["ssid"].encode() == b"\xf0\x9f\x98\x80\xc3\xa9\\/\n\t", config["ssid"].encode()
    assert config["password"].encode() == b"\xf0\x9f\x98\x80\xe2\x82\xac"
    assert (config["led"], config["burst"], config["raw"], config["ports"]) == (-1, 0, [], [4500, 500])
    assert config["log"] is True and config["power_save"] is False
    config = _parsed(
        TUNNEL + ',"inside": "10.9.0.7", "remote": ["10.0.0.0/8", "192.0.2.1", "0.0.0.0/0", "192.0.2.128/25"],'
        '"ciphers": ["aes-gcm-16-256"], "groups": [14], "gateway_id": "keyid:x", "keep_keys": true, '
        '"dns": ["10.0.0.53"]}'
    )
    assert config["inside"] == "10.9.0.7" and config["groups"] == [14] and config["lifetime_s"] == 10800
    for gateway in ("192.0.2.1", "gw", "a-b.example", "xn--bcher-kva.example"):
        assert _parsed(TUNNEL.replace("vpn.example.org", gateway) + "}")["gateway"] == gateway


def no_secret_is_shown():
    """Item 21: whatever is wrong with them, password and psk are not in what is said."""
    for text in (
        '{"password": 12345678}',
        '{"password": ["12345678"]}',
        '{"password": "12345678\n"}',
        '{"password": "12345678\\q"}',
        '{"password": "12345678" "psk": 1}',
        '{"12345678": "password"}',
        '{"12345678": 1, "12345678": 2}',
        '{"led": 12345678}',
        '{"led": 12345678.5}',
        '{"led": "12345678"}',
        '{"ciphers": ["12345678"]}',
        '{"psk": "\\ud9f8 12345678"}',
        '{"psk": 12345678}',
        '{"gateway": "vpn", "id": "12345678", "psk": "12345678 ", "inside": "12345678"}',
        '{"gateway": "vpn", "remote": "12345678"}',
    ):
        try:
            _parsed(text, weak_psk=False)
            raise AssertionError(text)
        except ConfigError as error:
            assert "12345678" not in str(error), str(error)


def weak_psk_is_named():
    """N21: under 16 octets."""
    for psk, weak in (
        ("0123456789abcde", True),
        ("0123456789abcdef", False),
        ("\u20ac" * 5, True),
        ("\u20ac" * 6, False),
    ):
        text = TUNNEL.replace("0123456789abcdef", psk) + "}"
        assert _parsed(text)["psk"] == psk
        try:
            _parsed(text, weak_psk=False)
            assert not weak
        except ConfigError as error:
            assert weak and "line 4: 'psk' has under 16 octets" in str(error), str(error)


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
        watchdog = ikev2_watchdog.Watchdog(1)
        watchdog.pause_s = 0.01
        feeding = asyncio.create_task(ikev2_main._feed(watchdog, serving))
        await _until(lambda: Watchdog.fed >= 3)
        assert not ikev2_main._failed
        ikev2_main._failed.append(MemoryError())
        await _until(feeding.done)
        serving.cancel()

    asyncio.run(story())


def _octets(value):
    """What is printed alike everywhere."""
    if isinstance(value, list):
        return [_octets(one) for one in value]
    return value.encode() if isinstance(value, str) else value


def _refuse(line, what=""):
    raise ValueError(what)


def _ours(octets):
    return Reader(decoded(octets), _refuse).read()[0]


def _by_json(octets):
    """As CPython's json reads it, what we refuse beyond RFC 8259 refused, and numbers as we keep them."""
    pairs = json.loads(
        octets.decode()[octets[:3] == b"\xef\xbb\xbf" :],
        object_pairs_hook=lambda pairs: dict(pairs) if len(dict(pairs)) == len(pairs) else _refuse(0),
        parse_constant=_refuse,
        parse_float=lambda digits: 0.5,
        parse_int=lambda digits: int(digits[:12]),
    )
    inner = [one for value in pairs.values() for one in (value if isinstance(value, list) else [value])]
    if [one for one in inner if isinstance(one, (list, dict))] or [v for v in pairs.values() if isinstance(v, dict)]:
        raise ValueError
    return pairs


def _verdicts(read=_ours):
    """What is read, or "no", for each line of the file `texts`, which has octets in hex."""
    with open("texts") as file:
        for line in file:
            try:
                found = read(binascii.unhexlify(line.strip()))
                print(sorted([(_octets(key), _octets(value)) for key, value in found.items()]))
            except (ValueError, AttributeError):
                print("no")


def _verdicts_of_json():
    _verdicts(_by_json)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
    print("passed")
