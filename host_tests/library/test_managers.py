"""`async with`: what is opened is closed when the block ends, by an exception too."""

import pytest

from library.machines import on_cpython, on_unix

_UDP = """
import asyncio, os, socket
from ikev2.net.udp import Udp
from ikev2.node import Node
from ikev2.spi_table import SpiTable

PORTS = {500: 45620, 4500: 45621}
QUESTION = bytes((1,)) * 16 + bytes((46, 0x20, 37, 8, 0, 0, 0, 9, 0, 0, 0, 64)) + bytes(36)


async def served(fails):
    heard = asyncio.Event()
    node = Node(SpiTable(1, 1), os.urandom)
    async with Udp(node, "127.0.0.1", raw=(), local=PORTS, seen=lambda *_: heard.set()):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.sendto(QUESTION, socket.getaddrinfo("127.0.0.1", PORTS[500])[0][-1])
        sock.close()
        await heard.wait()
        if fails:
            raise ValueError("the block's own")


async def main():
    for fails in (False, True, False):
        try:
            await served(fails)  # each finds its ports free
        except ValueError as error:
            print(error)
        else:
            print("served")


asyncio.run(main())
"""
_SOCKET = """
import asyncio
from inside.udp import Socket


class Queue:
    port, dropped, ready = 7, 0, None


class Tunnel:
    class stack:
        closed = []
        close = closed.append


async def main():
    for fails in (False, True):
        queue = Queue()
        try:
            async with Socket(Tunnel, queue) as sock:
                assert sock.port == 7 and not Tunnel.stack.closed
                if fails:
                    raise ValueError("the block's own")
        except ValueError as error:
            print(error)
        assert Tunnel.stack.closed.pop() is queue
        try:
            await sock.recvfrom()
        except OSError:
            print("closed")


asyncio.run(main())
"""


@pytest.mark.parametrize("machine", [on_cpython, on_unix], ids=["cpython", "unix"])
def test_udp_serves_a_block(machine):
    said = machine(_UDP).strip().splitlines()
    assert said == ["served", "the block's own", "served"]


@pytest.mark.parametrize("machine", [on_cpython, on_unix], ids=["cpython", "unix"])
def test_a_socket_of_a_block(machine):
    assert machine(_SOCKET).strip().splitlines() == ["closed", "the block's own", "closed"]
