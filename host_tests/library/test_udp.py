"""Sockets: what the ESP32's do (a stand-in), and real ones under both interpreters. F5 and everything around it."""

import asyncio
import os
import socket
import subprocess
import sys
import time

import pytest
from commands.node_process import UNLIMITED, node_process
from golden.live import Live, canary
from ikev2 import addresses, sockets, udp
from ikev2.node import Node
from ikev2.notifier import VERDICTS
from ikev2.spi_table import SpiTable
from tools import HERE, device_environment, micropython

from library import esp32_sockets
from library.test_node import PEER, Owner

ASKER = ("192.0.2.9", 40000)


class Bench:
    """A node over the ESP32's sockets."""

    def __init__(self, monkeypatch, **limits):
        self.network = esp32_sockets.Network()
        monkeypatch.setattr(addresses, "socket", self.network)
        monkeypatch.setattr(sockets, "socket", self.network)
        monkeypatch.setattr(sockets, "readable", self.readable)
        self.node = Node(SpiTable(), os.urandom, **{"per_source_ms": 0, "burst": 1000, "answers_per_s": 1000, **limits})

    @staticmethod
    async def readable(sock):
        while not sock.ready():
            await asyncio.sleep(0.001)

    def run(self, story):
        """Run the node while story(bench) happens."""

        async def both():
            self.udp = udp.Udp(self.node)
            task = asyncio.create_task(self.udp.run())
            await asyncio.wait_for(story(self), 20)
            assert not task.done()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(both())
        assert not self.network.bound, "the ports were not given back"

    async def until(self, condition):
        while not condition():
            await asyncio.sleep(0.002)

    async def asked(self, port=500):
        """A request that arrives and is answered: the task lives and the port is ours."""
        before = len(self.network.sent)
        question = canary(before)
        marker = bytes(4) if port == 4500 else b""
        while len(self.network.sent) == before:
            self.network.arrive(port, marker + question, ASKER)
            await asyncio.sleep(0.02)
        answered_by, octets, to = self.network.sent[before]
        assert (answered_by, to) == (port, ASKER)
        assert octets[len(marker) :][:16] == question[:16]

    def count(self, verdict):
        return self.node.counters[VERDICTS.index(verdict)]


def test_the_stand_in_is_wedged_by_one_empty_datagram_f5():
    """What would happen without us: the stand-in is as bad as the real thing."""
    network = esp32_sockets.Network()
    sock = network.socket(2, 1)
    sock.bind(("", 500))
    network.arrive(500, b"", ASKER)
    network.arrive(500, b"x", ASKER)
    assert [sock.recvfrom(99)[0] for _ in range(5)] == [b""] * 5
    with pytest.raises(OSError):
        sock.listen(0)
    assert sock.recvfrom(99)[0] == b"x"


def test_empty_datagrams_with_real_ones_between_f5(monkeypatch):
    bench = Bench(monkeypatch)

    async def story(bench):
        for data in (b"", canary(1), b"", b"", canary(2)):
            bench.network.arrive(500, data, ASKER)
        await bench.until(lambda: len(bench.network.sent) == 2)
        assert bench.count("drop-empty") == 3 and bench.count("invalid-ike-spi") == 2
        assert bench.network.opened == 2 and bench.network.reads < 15
        await bench.asked()
        await bench.asked(4500)

    bench.run(story)


def test_a_flood_of_empty_datagrams_is_read_at_a_bounded_rate_f5(monkeypatch):
    bench = Bench(monkeypatch)

    async def story(bench):
        end = time.monotonic() + 1
        arrived = 0
        while time.monotonic() < end:
            arrived += sum(bench.network.arrive(500, b"", ASKER) for _ in range(10))
            await asyncio.sleep(0.0005)
        assert bench.network.reads < arrived / 4
        await bench.asked()
        await bench.asked(4500)

    bench.run(story)


def test_where_listen_does_not_help_the_socket_is_opened_anew_f5(monkeypatch):
    bench = Bench(monkeypatch)
    bench.network.listen_clears = False

    async def story(bench):
        bench.network.arrive(500, b"", ASKER)
        await bench.until(lambda: bench.network.opened > 2)
        await bench.asked()
        assert bench.network.opened <= 4 and bench.network.reads < 40

    bench.run(story)


def test_no_socket_to_be_had_for_a_while(monkeypatch):
    bench = Bench(monkeypatch)
    bench.network.listen_clears = False

    async def story(bench):
        bench.network.open_errors = [23, 23, 112]
        bench.network.arrive(500, b"", ASKER)
        await bench.asked()
        assert not bench.network.open_errors
        await bench.asked(4500)

    bench.run(story)


@pytest.mark.parametrize("error", [11, 110, 116, 100, 101, 5, 12, 113])
def test_an_error_on_receive_ends_nothing(monkeypatch, error):
    bench = Bench(monkeypatch)

    async def story(bench):
        bench.network.receive_errors = [error] * 5
        await bench.asked()
        await bench.asked(4500)
        assert bench.udp.errors == (0 if error in (11, 110, 116) else 5)

    bench.run(story)


@pytest.mark.parametrize("error", [11, 12, 101, 105, 113])
def test_an_error_on_send_ends_nothing(monkeypatch, error):
    bench = Bench(monkeypatch)

    async def story(bench):
        bench.network.send_errors = [error] * 5
        await bench.asked()
        assert bench.udp.errors == 5
        assert bench.count("invalid-ike-spi") == 6

    bench.run(story)


def test_a_full_queue_loses_datagrams_and_nothing_else(monkeypatch):
    bench = Bench(monkeypatch)

    async def story(bench):
        for number in range(50):
            bench.network.arrive(500, canary(number), ASKER)
        await bench.until(lambda: len(bench.network.sent) == 6)
        await bench.asked()

    bench.run(story)


def test_a_port_that_is_taken_is_said_at_once(monkeypatch):
    bench = Bench(monkeypatch)
    bench.network.socket(2, 1).bind(("", 500))
    with pytest.raises(OSError):
        udp.Udp(bench.node)


def test_no_raw_sockets_are_left_out(monkeypatch):
    assert udp.Udp(Bench(monkeypatch).node).left_out == [50, 51]


def test_endpoints_there_and_back():
    assert udp.endpoint(("192.0.2.1", 0x1234)) == bytes.fromhex("c0000201 1234")
    six = "20010db8000000000000000000000007"
    assert udp.endpoint(("2001:db8::7", 500, 0, 0)) == bytes.fromhex(six + "01f4")
    assert udp.endpoint(("fe80::1%eth0", 1, 0, 2))[:2] == b"\xfe\x80"
    assert udp.endpoint(("::ffff:192.0.2.1", 500, 0, 0)) == bytes.fromhex("c0000201 01f4")
    assert udp.endpoint(b"\2\0\x12\x34\xc0\0\2\1" + bytes(8)) == bytes.fromhex("c0000201 1234")
    sockaddr_in6 = b"\x0a\0\x01\xf4" + bytes(4) + bytes.fromhex(six) + bytes(4)
    assert udp.endpoint(sockaddr_in6) == bytes.fromhex(six + "01f4")
    assert udp.address_of(bytes.fromhex("c0000201 1234"))[:2] == ("192.0.2.1", 0x1234)
    assert udp.address_of(bytes.fromhex(six + "01f4"))[:2] == ("2001:db8::7", 500)


LOCAL = {500: 15510, 4500: 14510}


@pytest.fixture(params=["micropython", "cpython"])
def interpreter(request):
    return [micropython()] if request.param == "micropython" else [sys.executable]


def test_real_sockets_survive_empty_datagrams_f5_l6(interpreter):
    with node_process(LOCAL, *UNLIMITED, interpreter=interpreter) as node:
        live = Live("127.0.0.1", LOCAL)
        for via in (500, 4500):
            with live.socket(via) as sock:
                for data in (b"", b"", b"x", b"", bytes(3000), b"\xff"):
                    sock.send(data)
                assert live.ask(500, canary(9), True, tries=1) is not None
                assert live.ask(4500, bytes(4) + canary(9), True, tries=1) is not None
        lines = node.stop()
    counters = dict(line.split() for line in lines[lines.index("counters:") + 1 : -1])
    assert counters["drop-empty"] == "6" and counters["invalid-ike-spi"] == "4"
    assert "socket errors                0" in lines


def test_what_the_user_does_wrong_ends_nothing(monkeypatch):
    bench = Bench(monkeypatch)

    async def story(bench):
        def seen(*_):
            raise bench.wrongs.pop() if bench.wrongs else StopAsyncIteration

        bench.wrongs = [ValueError("mine"), MemoryError()]
        bench.udp.seen = seen
        await bench.asked(500)
        await bench.asked(500)
        bench.udp.seen = None
        await bench.asked(500)
        assert bench.udp.errors >= 2 and isinstance(bench.udp.error, ValueError)

    bench.run(story)


def test_an_owner_that_comes_late_is_heard(monkeypatch):
    """P3: attached while there is nothing to wait for, it speaks before anybody else does."""
    bench = Bench(monkeypatch)

    async def story(bench):
        await asyncio.sleep(0.01)
        owner = Owner()
        owner.to_send.append(canary(1))
        bench.node.attach(bench.node.table.adopt_ike(bytes(range(8)), bytes(8), True, PEER, True), owner)
        await bench.until(lambda: bench.network.sent)

    bench.run(story)


def test_no_port_is_kept_if_another_is_taken():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 14533))
        with pytest.raises(OSError, match="in use"):
            udp.Udp(Node(SpiTable(), os.urandom), "127.0.0.1", local={500: 15533, 4500: 14533}, raw=())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 15533))


def test_raw_ipv6_has_no_ip_header_s1_5():
    """An SPI may look like the first octet of an IPv4 header."""
    seen = []
    served = udp.Udp(
        Node(SpiTable(1, 1, 16), os.urandom), "::1", ports=(), raw=(), seen=lambda *what: seen.append(what)
    )
    for spi in ("45c0ffee", "41c0ffee", "4fc0ffee"):
        served._take(50, (bytes.fromhex(spi) + bytes(60), ("::1", 0, 0, 0)))
    assert [(VERDICTS[what[0]], what[4]) for what in seen] == [("invalid-spi", 64), *[("drop-limited", 64)] * 2]


def test_raw_sockets_hear_bare_esp_and_ah_s1_5(interpreter):
    """Root only: bare ESP and AH over loopback, answered from 500 to 500."""
    if os.geteuid():
        pytest.skip("raw sockets need root")
    at = {500: 500, 4500: 4500}
    with node_process(at, *UNLIMITED, "raw=50,51", host="127.0.0.2", interpreter=interpreter):
        for protocol, packet in ((50, "c0ffee0100000001"), (51, "32040000c0ffee0100000001")):
            octets = bytes.fromhex(packet) + bytes(48)
            with (
                socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol) as raw,
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hears,
            ):
                raw.bind(("127.0.0.3", 0))
                hears.bind(("127.0.0.3", 500))
                hears.settimeout(5)
                raw.sendto(octets, ("127.0.0.2", 0))
                answer, address = hears.recvfrom(999)
                assert address == ("127.0.0.2", 500) and len(answer) == 40 and answer[36:] == bytes.fromhex("c0ffee01")


def test_ipv6_on_cpython_s2_4():
    at = {500: 15511, 4500: 14511}
    with node_process(at, *UNLIMITED, host="::1", interpreter=[sys.executable]):
        live = Live("::1", at)
        assert live.ask(500, canary(3), True) is not None
        assert live.ask(4500, bytes(4) + canary(3), True) is not None


def test_ctrl_c_prints_the_counters_l6():
    with node_process(LOCAL, interpreter=[micropython()]) as node:
        Live("127.0.0.1", LOCAL).ask(500, canary(1), True)
        assert node.line().startswith("invalid-ike-spi")
        lines = node.stop()
    assert lines[:3] == ["", "counters:", "invalid-ike-spi              1"]


def test_an_unknown_option_is_named():
    ran = subprocess.run(
        [micropython(), str(HERE / "commands/run_node.py"), "colour=red"],
        capture_output=True,
        text=True,
        env=device_environment(),
    )
    assert ran.returncode and "'colour'" in ran.stderr + ran.stdout
