"""Sockets: what the ESP32's do (a stand-in), and real ones under both interpreters. F5 and everything around it."""

import asyncio
import os
import socket
import subprocess
import sys
import time

import pytest
from golden.live import Live, canary
from ikev2.net import addresses, sockets, udp
from ikev2.node import Node
from ikev2.notifier import VERDICTS
from ikev2.spi_table import SpiTable
from peers.node_process import UNLIMITED, node_process
from tools import HERE, device_environment, micropython

from library import esp32_sockets
from library.test_node import PEER, Owner

ASKER = ("192.0.2.9", 40000)


class Told:
    """A node that gives the verdict it is told to, says what it is told to, and has `work` slices to do."""

    def __init__(self):
        self.verdict = "drop-malformed"
        self.to_say = []  # (our port, endpoint, octets)
        self.work = 0
        self.ticks = 0
        self.wait = -1
        self.wrongs = {}  # method: what it raises, in turn
        self.heard = []

    def _wrong(self, method):
        wrongs = self.wrongs.get(method)
        if wrongs:
            raise wrongs.pop()

    def receive(self, via, source, datagram, length, now):
        self._wrong("receive")
        self.heard.append((via, source, length))
        return VERDICTS.index(self.verdict)

    def outgoing(self, now):
        self._wrong("outgoing")
        if not self.to_say:
            return 0
        self.out_via, self.out_to, self.out = self.to_say.pop(0)
        return len(self.out)

    def next_timer(self, now):
        self._wrong("next_timer")
        return 0 if self.work else self.wait

    def tick(self, now):
        self._wrong("tick")
        self.ticks += 1
        self.work = max(0, self.work - 1)


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

    def run(self, story, **options):
        """Run the node while story(bench) happens."""

        async def both():
            self.udp = udp.Udp(self.node, **options)
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
        question = canary(len(self.network.sent))
        marker = bytes(4) if port == 4500 else b""

        def answered():
            heads = [(by, octets[len(marker) :][:16], to) for by, octets, to in self.network.sent]
            return (port, question[:16], ASKER) in heads

        while not answered():
            self.network.arrive(port, marker + question, ASKER)
            await asyncio.sleep(0.02)

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


def test_eight_empty_datagrams_in_a_row_cost_a_new_socket_f5(monkeypatch):
    bench = Bench(monkeypatch)

    async def story(bench):
        for number in range(1, 9):
            assert bench.network.opened == 2
            bench.network.arrive(500, b"", ASKER)
            await bench.until(lambda number=number: bench.count("drop-empty") == number)
            await bench.asked(4500)  # and whatever follows has been done
        await bench.until(lambda: bench.network.opened == 3)
        await bench.asked()

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


def test_what_is_read_without_an_error_costs_no_pause_l6(monkeypatch):
    bench, pauses = Bench(monkeypatch), []
    sleep_ms = sockets.sleep_ms
    monkeypatch.setattr(sockets, "sleep_ms", lambda ms: pauses.append(ms) or sleep_ms(ms))

    async def story(bench):
        bench.network.receive_errors = [5]
        await bench.asked()
        assert max(pauses) > 0
        pauses.clear()
        await bench.asked()
        await bench.asked()
        assert pauses and not any(pauses)

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
        assert bench.count("invalid-ike-spi") >= 6

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
    assert udp.Udp(Bench(monkeypatch).node).unavailable == [50, 51]


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
            raise wrongs.pop() if wrongs else StopAsyncIteration

        wrongs = [ValueError("mine"), MemoryError()]
        bench.udp.seen = seen
        for asked in range(1, 31):
            await bench.asked(500)
            assert bench.udp.errors >= asked
        assert isinstance(bench.udp.error, StopAsyncIteration)
        assert bench.network.opened == 2, "a callback is no reason for a new socket"

    bench.run(story)


@pytest.mark.parametrize("method", ["receive", "outgoing", "tick", "next_timer"])
def test_whatever_an_owner_raises_ends_nothing(monkeypatch, method):
    bench = Bench(monkeypatch)
    node = bench.node = Told()
    node.wait = 0
    node.wrongs[method] = [KeyError("owner"), MemoryError(), AssertionError("owner")]
    node.verdict = "deliver-ike"

    async def story(bench):
        while node.wrongs[method]:
            bench.network.arrive(500, b"x", ASKER)
            await asyncio.sleep(0)
        await bench.until(lambda: bench.udp.errors == 3)
        assert isinstance(bench.udp.error, KeyError)
        ticks, heard = node.ticks, len(node.heard)
        bench.network.arrive(4500, b"y", ASKER)
        await bench.until(lambda: node.ticks > ticks + 9 and len(node.heard) > heard)

    bench.run(story)


def test_a_port_whose_task_ends_is_served_again(monkeypatch):
    """What no handler of errors may catch: a callback that cancels the task it runs in."""
    bench = Bench(monkeypatch)

    async def story(bench):
        def seen(*_):
            bench.udp.seen = None
            raise asyncio.CancelledError

        bench.udp.seen = seen
        await bench.asked(500)
        assert not bench.udp.seen
        await bench.asked(500)
        await bench.asked(4500)
        assert bench.network.opened == 2

    bench.run(story)


def test_run_serves_once(monkeypatch):
    bench = Bench(monkeypatch)

    async def story(bench):
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match=r"Udp\.run\(\) serves once"):
            await bench.udp.run()
        await bench.asked()

    bench.run(story)
    with pytest.raises(RuntimeError, match=r"Udp\.run\(\) serves once.* make another Udp"):
        asyncio.run(bench.udp.run())


def test_close_ends_run(monkeypatch):
    bench = Bench(monkeypatch)

    async def story():
        bench.udp = udp.Udp(bench.node)
        task = asyncio.create_task(bench.udp.run())
        await bench.asked()
        bench.udp.close()
        await asyncio.wait_for(task, 20)

    asyncio.run(story())
    assert not bench.network.bound


class NoReaders(asyncio.SelectorEventLoop):
    """A loop as Windows has it."""

    add_reader = asyncio.AbstractEventLoop.add_reader


def test_a_loop_that_cannot_wait_for_sockets_says_so(monkeypatch):
    served = udp.Udp(Bench(monkeypatch).node)
    with asyncio.Runner(loop_factory=NoReaders) as runner:
        with pytest.raises(RuntimeError, match="NoReaders cannot wait for sockets: take SelectorEventLoop"):
            runner.run(served.run())
    served.close()


def test_ports_given_back_are_heard_again_in_the_same_loop():
    """asyncio must let go of a socket before it is closed: the next one may have its number."""

    async def story():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.setblocking(False)
            asker.bind(("127.0.0.1", 0))
            for number in range(3):
                node = Node(SpiTable(), os.urandom, 1000, 1000, 0)
                served = udp.Udp(node, "127.0.0.1", raw=(), local={500: 15514, 4500: 14514})
                task = asyncio.create_task(served.run())
                await asyncio.sleep(0)
                asker.sendto(canary(number), ("127.0.0.1", 15514))
                answer = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(asker, 999), 20)
                assert answer[20:24] == number.to_bytes(4, "big")
                served.close()
                await task

    asyncio.run(story())


def test_long_work_goes_on_while_others_are_heard(monkeypatch):
    """K: a slice at a time; a wait between two slices would take hours here."""
    bench = Bench(monkeypatch)
    node = bench.node = Told()
    node.work = 30000

    async def story(bench):
        bench.network.arrive(500, b"x", ASKER)
        await bench.until(lambda: node.heard)
        assert node.work, "one datagram had to wait for all of the work"
        await bench.until(lambda: not node.work)

    bench.run(story)


def test_wake(monkeypatch):
    """What comes up between two looks is said at once; here the next look would be in a day."""
    monkeypatch.setattr(udp, "_IDLE_MS", 86400000)
    bench = Bench(monkeypatch)
    node = bench.node = Told()

    async def story(bench):
        await bench.until(lambda: node.ticks)
        for number in range(3):
            await asyncio.sleep(0.01)
            assert node.ticks == number + 1
            node.to_say.append((4500, PEER, b"news"))
            bench.udp.wake()
            await bench.until(lambda: not node.to_say)
        assert bench.network.sent == [(4500, b"news", ("192.0.2.1", 500))] * 3

    bench.run(story)


def test_a_message_for_an_owner_wakes(monkeypatch):
    """Its owner may have long work to do then, or wait for an answer for less than an idle look takes to come."""
    monkeypatch.setattr(udp, "_IDLE_MS", 86400000)
    bench = Bench(monkeypatch)
    node = bench.node = Told()

    async def story(bench):
        for verdict in VERDICTS[3:9]:
            ticks = node.ticks
            node.verdict = verdict
            bench.network.arrive(4500, b"x", ASKER)
            await bench.until(lambda: node.ticks > ticks)  # noqa: B023

    bench.run(story)


@pytest.mark.parametrize("verdict", VERDICTS)
def test_what_a_verdict_makes_somebody_say_leaves_with_it(monkeypatch, verdict):
    """Of an unprotected answer to an IKE message nothing else comes; what waits leaves in the next pass."""
    bench = Bench(monkeypatch)
    node = bench.node = Told()
    node.verdict = verdict
    node.to_say = [(500, PEER, b"one"), (4500, PEER, b"two")]
    server = udp.Udp(node)
    server.take(500, (b"question", ASKER))
    expected = [] if verdict.startswith("drop-") else [b"one", b"two"]
    at_once = expected[:1] if verdict in ("invalid-ike-spi", "invalid-major-version") else expected
    assert [octets for _, octets, _ in bench.network.sent] == at_once
    server.look()
    assert [octets for _, octets, _ in bench.network.sent] == [b"one", b"two"]


_LIFE = """
import asyncio, socket
from ikev2.net import udp
udp._IDLE_MS = 86400000
class Node:
    def __init__(self):
        self.said, self.ticks, self.work, self.wrong = 0, 0, 0, None
    def tick(self, now):
        self.ticks += 1
        self.work = max(0, self.work - 1)
        wrong, self.wrong = self.wrong, None
        if wrong:
            raise wrong
    def outgoing(self, now):
        return 0
    def next_timer(self, now):
        return 0 if self.work else -1
def served():
    made = udp.Udp(Node(), "127.0.0.1", raw=(), local={500: 0, 4500: 0})
    return made, asyncio.create_task(made.run())
async def until(true):
    while not true():
        await asyncio.sleep(0)
async def main():
    made, task = served()
    node = made.node
    await until(lambda: node.ticks)
    try:
        await made.run()
    except RuntimeError as error:
        print(error)
    node.work = 3000
    made.wake()
    await until(lambda: not node.work)
    for node.wrong in (ValueError("owner"), MemoryError()):
        made.wake()
        await until(lambda: not node.wrong)
    ticks = node.ticks
    made.wake()
    await until(lambda: node.ticks > ticks)
    print(made.errors, "errors")
    made.close()
    await task
    print("closed")
    made, task = served()
    await until(lambda: made.node.ticks)
    made.wake()
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        print("cancelled")
asyncio.run(main())
"""


def test_a_life_of_run(interpreter):
    """Under both kinds of asyncio: served once, woken, at work, wronged, closed, cancelled while it wakes."""
    ran = subprocess.run([*interpreter, "-c", _LIFE], capture_output=True, text=True, env=device_environment())
    lines = ran.stdout.splitlines()
    assert lines[:1] == ["Udp.run() serves once, and not after close(): make another Udp"], ran
    assert lines[1:] == ["2 errors", "closed", "cancelled"] and not ran.stderr, ran


def test_send(monkeypatch):
    bench = Bench(monkeypatch)
    served = udp.Udp(bench.node)
    octets = bytearray(b"packet and more")
    assert served.send(4500, PEER, octets, 6) is True
    assert served.send(500, bytearray(PEER), octets, len(octets)) is True
    other = bytes((198, 51, 100, 7, 0x11, 0x94))
    assert served.send(4500, other, memoryview(octets), 6) is True
    assert bench.network.sent == [
        (4500, b"packet", ("192.0.2.1", 500)), (500, bytes(octets), ("192.0.2.1", 500)),
        (4500, b"packet", ("198.51.100.7", 4500)),
    ]  # fmt: skip
    assert not served.errors
    bench.network.send_errors = [105]
    assert served.send(4500, PEER, octets, 6) is False and served.error.errno == 105
    served.close()
    assert served.send(4500, PEER, octets, 6) is False and served.errors == 2


def test_any_source_port_and_1472_octets():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(60)
        to = udp.endpoint(peer.getsockname())
        served = udp.Udp(Told(), "127.0.0.1", raw=(), local={500: 0, 4500: 0})
        found = set()
        for via in (500, 4500):
            assert served.send(via, to, bytes(1472), 1472)
            octets, (host, port) = peer.recvfrom(9999)
            assert len(octets) == 1472 and host == "127.0.0.1" and port not in (500, 4500)
            found.add(port)
        assert len(found) == 2
        served.close()


def test_nothing_is_read_before_it_comes(monkeypatch):
    bench = Bench(monkeypatch)

    async def story(bench):
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert not bench.network.reads
        await bench.asked()
        assert bench.network.reads <= 4

    bench.run(story)


def test_a_socket_that_seems_ready_costs_a_read_in_a_pause(monkeypatch):
    """lwIP's raw sockets in MicroPython."""
    bench = Bench(monkeypatch)
    bench.network.seems_ready = True
    pauses = []
    sleep_ms = sockets.sleep_ms

    async def recorded(ms):
        pauses.append(ms)
        await sleep_ms(ms)

    monkeypatch.setattr(sockets, "sleep_ms", recorded)

    async def story(bench):
        await bench.until(lambda: bench.network.reads >= 6)
        assert [ms for ms in pauses if ms][:5] == [20] * 5
        await bench.asked()

    bench.run(story)


def test_a_datagram_too_long_is_counted_and_nothing_else(monkeypatch):
    """RFC 7296 section 2: 3,000 octets are read where there is room; what fills it is taken as cut."""
    bench = Bench(monkeypatch)
    bench.node = Told()

    async def story(bench):
        for octets in (3000, 3071, 3072, 4000, 1):
            bench.network.arrive(500, bytes(octets), ASKER)
        await bench.until(lambda: len(bench.node.heard) == 3)
        assert [length for _, _, length in bench.node.heard] == [3000, 3071, 1]
        assert bench.udp.cut == 2 and not bench.udp.errors

    bench.run(story, size=3072)


def test_on_a_full_heap_less_is_read(monkeypatch):
    bench = Bench(monkeypatch)
    bench.network.heap = 2000

    async def story(bench):
        for _ in range(5):
            await bench.asked()
        assert not bench.udp.errors
        bench.network.heap = 1000
        bench.network.arrive(500, canary(7), ASKER)
        await bench.until(lambda: bench.udp.errors > 3)
        assert isinstance(bench.udp.error, MemoryError)
        bench.network.heap = 1 << 20
        for _ in range(8):
            await bench.asked()
        assert not bench.udp.cut
        bench.network.arrive(500, bytes(65000), ASKER)
        await bench.until(lambda: bench.count("drop-malformed"))

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
        served.take(50, (bytes.fromhex(spi) + bytes(60), ("::1", 0, 0, 0)))
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
                hears.settimeout(60)
                raw.sendto(octets, ("127.0.0.2", 0))
                answer, address = hears.recvfrom(999)
                assert address == ("127.0.0.2", 500) and len(answer) == 40 and answer[36:] == bytes.fromhex("c0ffee01")


def test_ipv6_on_cpython_s2_4():
    at = {500: 15511, 4500: 14511}
    with node_process(at, *UNLIMITED, host="::1", interpreter=[sys.executable]):
        live = Live("::1", at)
        assert live.ask(500, canary(3), True) is not None
        assert live.ask(4500, bytes(4) + canary(3), True) is not None


def test_long_datagrams_are_read_whole(interpreter):
    """RFC 7296 section 2 wants 3,000 octets; a PC reads all that UDP can carry."""
    with node_process(LOCAL, *UNLIMITED, interpreter=interpreter) as node:
        live = Live("127.0.0.1", LOCAL)
        for size in (3000, 65507):
            header = canary(size)[:24] + size.to_bytes(4, "big")
            question = header + bytes((0, 0)) + (size - 28).to_bytes(2, "big")
            assert live.ask(500, question.ljust(size, b"\0"), True)[:16] == header[:16]
        lines = node.stop()
    assert "invalid-ike-spi              2" in lines and not any(line.startswith("cut") for line in lines)


def test_ctrl_c_prints_the_counters_l6():
    with node_process(LOCAL, interpreter=[micropython()]) as node:
        Live("127.0.0.1", LOCAL).ask(500, canary(1), True)
        assert node.line().startswith("invalid-ike-spi")
        lines = node.stop()
    assert lines[:3] == ["", "counters:", "invalid-ike-spi              1"]


def test_an_unknown_option_is_named():
    ran = subprocess.run(
        [micropython(), str(HERE / "peers/run_node.py"), "colour=red"],
        capture_output=True,
        text=True,
        env=device_environment(),
    )
    assert ran.returncode and "'colour'" in ran.stderr + ran.stdout
