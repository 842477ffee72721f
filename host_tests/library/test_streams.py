"""Streams, names and blocking sockets in a tunnel, to a host behind the scripted gateway, under both interpreters."""

import asyncio
import errno
import subprocess
import sys

import pytest
from tools import HERE, device_environment, micropython

from library.far_host import FarHost
from library.serving import Serving
from library.stream_world import PORT, World

INTERPRETERS = ["CPython", "MicroPython"]
_TCP = 6
_RST = 4


def run(interpreter, serving, *arguments):
    """What streams_user.py says."""
    executable = sys.executable if interpreter == "CPython" else micropython()
    command = [executable, HERE / "library/streams_user.py", *arguments]
    with serving:
        ran = subprocess.run(command, env=device_environment(), capture_output=True, text=True, timeout=240)
    assert ran.returncode == 0 and not ran.stderr, (ran.stdout, ran.stderr)
    return ran.stdout.splitlines()


@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_a_users_program_w1_w4_w6(interpreter):
    serving = Serving(FarHost(bytes((10, 0, 0, 5))))
    lines = run(interpreter, serving)
    last = [packet for packet in serving.heard if isinstance(packet, bytes) and packet[9] == _TCP][-1]
    assert last[33] & _RST  # V10: the far host hears of the end
    assert lines == [
        f"early: errno {errno.ENOTCONN}",
        "echo: (True, ('10.0.0.5', 7))", "more: (True, ('10.0.0.5', 7))", f"refused: errno {errno.ECONNREFUSED}",
        f"no route: errno {errno.EHOSTUNREACH}", f"no name: errno {errno.EHOSTUNREACH}", "served: [b'you there?\\n']",
        f"reset: errno {errno.ECONNRESET}", f"too many: errno {errno.ENOBUFS}",
        "blocking address: ('10.0.0.5', 7)", "readline: b'first\\n' b'and sec' b'ond'", "nothing: None None None",
        f"again: {errno.EAGAIN}", "partial: True None", "back: True", f"late: {errno.ETIMEDOUT}", "end: b'end' b'' b''",
        f"refused: {errno.ECONNREFUSED}", "datagram: (b'ping', ('10.0.0.5', 7))", "datagram: b'po'",
        "accepted: b'you there?\\n' 10.0.0.5",
        f"closed: errno {errno.ECONNABORTED}", f"late: errno {errno.EBADF}",
    ]  # fmt: skip


@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_idle_connections_outlive_sleep_v14_z3(interpreter):
    """What is not idle is reset before; the first packet after waking has the user's data, and no IKE message comes."""
    serving = Serving(FarHost(bytes((10, 0, 0, 5))))
    lines = run(interpreter, serving, "sleep")
    assert lines == [
        "connections: 3", "woken: True 2", "awake: b'awake 0'", "awake: b'awake 1'", "resolved: 10.0.0.5",
    ]  # fmt: skip
    packets = [packet for packet in serving.heard if isinstance(packet, bytes)]
    (reset,) = [number for number, packet in enumerate(packets) if packet[9] == _TCP and packet[33] & _RST]
    assert packets[reset + 1].endswith(b"awake 0")
    messages = [exchange for exchange in serving.heard if isinstance(exchange, int)]
    assert messages == [34, 35, 37]  # the last is the farewell


@pytest.mark.parametrize("what", ["readline", "read"])
def test_what_came_before_a_timeout_is_read_afterwards_w4(monkeypatch, what):
    world = World(monkeypatch)
    ours, theirs = world.ends
    listener = theirs.listen(PORT)

    def serve(ms):
        while world._carry():
            pass
        world.now += max(1, ms)

    ours.serve, ours.ticks = serve, lambda: world.now
    sock = ours.sockets().socket()
    sock.connect(("10.77.0.9", PORT))
    sock.settimeout(1)
    serve(50)
    there = listener.accept()
    there.write(b"half a ")
    with pytest.raises(OSError) as error:
        getattr(sock, what)(*[12] * (what == "read"))
    assert error.value.errno == errno.ETIMEDOUT
    there.write(b"line\n")
    assert getattr(sock, what)(*[12] * (what == "read")) == b"half a line\n"


def test_who_closes_when_the_peer_is_gone_hears_no_error_w1(monkeypatch):
    """More was written than had room: nobody is left to have it."""

    async def play():
        world = World(monkeypatch)
        served = []

        async def serve(reader, writer):
            served.append(writer)

        await world.ends[1].start_server(serve, PORT)
        opening = asyncio.ensure_future(world.ends[0].open_connection("10.77.0.9", PORT))
        await world.run([opening])
        writer = opening.result()[1]
        writer.write(bytes(5000))
        served[0].abort()
        await world.run([])
        closing = asyncio.ensure_future(writer.wait_closed())
        assert not await world.run([closing]) and closing.result() is None

    asyncio.run(play())


class _Tls:
    """TLS of which nothing is on its way."""

    def flushed(self):
        return True

    def close(self):
        pass


def test_of_streams_only_those_are_kept_of_which_nothing_is_here_v14(monkeypatch):
    """TLS, one that is being closed, and half a line that was read cannot be: reset, whoever has begun them."""

    async def play():
        world = World(monkeypatch)
        ours, theirs = world.ends
        served = []

        async def serve(reader, writer):
            served.append(writer)
            await reader.readline()

        await theirs.start_server(serve, PORT)
        streams = []
        for _ in range(3):
            opening = asyncio.ensure_future(ours.open_connection("10.77.0.9", PORT))
            await world.run([opening])
            streams.append(opening.result()[1])
        plain, secured, closing = streams
        plain.write(b"line\nhalf")
        await world.run([])
        assert all(
            one.idle for end in world.ends for one in end.stack.tcp.connections if one is not served[0].connection
        )
        secured.tls = _Tls()
        closing.close()
        await ours.settle(0)
        assert secured.is_closing()  # and the peer hears close_notify where there is time
        assert ours.stack.tcp.keep(world.now)[:8] == bytes(plain.connection.numbers[:8])
        assert [one for one in streams if one.connection.established] == [plain]
        await theirs.settle(0)
        assert not served[0].connection.established

    asyncio.run(play())


def test_streams_that_rest_are_not_waited_for_z6(monkeypatch):
    async def play():
        world = World(monkeypatch)
        ours, theirs = world.ends
        theirs.listen(PORT)
        opening = asyncio.ensure_future(ours.open_connection("10.77.0.9", PORT))
        await world.run([opening])
        (connection,) = ours.stack.tcp.connections
        assert connection.idle and connection.state == "ESTABLISHED"

        async def never(ms):
            raise AssertionError("nothing is owed")

        monkeypatch.setattr("ikev2.net.sockets.sleep_ms", never)
        await ours.settle(60000)
        assert connection.established
        connection.write(b"owed")
        with pytest.raises(AssertionError, match="nothing is owed"):
            await ours.settle(60000)

    asyncio.run(play())
