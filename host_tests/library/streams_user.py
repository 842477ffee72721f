"""A user's program with streams, names and blocking sockets in a tunnel: says what it met, a line each. See
test_streams.py. For CPython and MicroPython.
"""

import asyncio
import os
import sys

from ikev2.net.udp import Udp
from ikev2.node import Node
from ikev2.spi_table import SpiTable
from ipsec import Tunnel

from library.stream_user import met

PSK = b"of no value, but long enough"
SERVER = "10.0.0.5"


async def echoed(tunnel, size):
    """So many octets to the echo server and back."""
    reader, writer = await tunnel.open_connection("server.example", 7)
    sent = os.urandom(100) * (size // 100)

    async def send():
        writer.write(sent)
        await writer.drain()
        writer.write_eof()

    task = asyncio.create_task(send())
    back = await reader.read()
    await task
    writer.close()
    await writer.wait_closed()
    return back == sent, writer.get_extra_info("peername")


async def served(tunnel):
    """The far host connects to us."""
    said = []
    over = asyncio.Event()

    async def serve(reader, writer):
        said.append(await reader.readline())
        await writer.aclose()
        over.set()

    async with await tunnel.start_server(serve, port=80):
        _, writer = await tunnel.open_connection(SERVER, 99)
        writer.write(b"connect")
        await over.wait()
        await writer.aclose()
    return said


async def reset(tunnel):
    reader, writer = await tunnel.open_connection(SERVER, 99)
    writer.write(b"reset")
    await reader.read(1)


def blocked(socket):
    """What libraries do with blocking sockets."""
    (family, kind, proto, _, address) = socket.getaddrinfo("server.example", 7, 0, socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind, proto)
    sock.connect(address)
    print("blocking address:", address)
    sock.write("first\nand ")
    sock.write(bytearray(b"second..."), 6)
    print("readline:", sock.readline(), sock.read(7), sock.recv(100))
    sock.setblocking(False)
    print("nothing:", sock.read(1), sock.readline(), sock.readinto(bytearray(1)))
    try:
        sock.recv(1)
    except OSError as error:
        print("again:", error.errno)
    sent = os.urandom(100) * 300
    part = written = sock.write(sent)
    while written and part < len(sent):  # what is acknowledged meanwhile makes room
        written = sock.write(sent[part:])
        part += written or 0
    print("partial:", 0 < part < len(sent), written)
    sock.setblocking(True)
    print("back:", sock.read(part) == sent[:part])
    sock.settimeout(0.05)
    try:
        sock.read(1)
    except OSError as error:
        print("late:", error.errno)
    sock.settimeout(None)
    sock.sendall(b"end")
    sock.shutdown()
    print("end:", sock.read(), sock.read(3), sock.recv(1))
    sock.close()
    with socket.socket() as other:
        try:
            other.connect((SERVER, 81))
        except OSError as error:
            print("refused:", error.errno)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.sendto(b"ping", ("server.example", 7))
        while not datagrams.ioctl(3, 1):  # as select.poll and uselect ask
            pass
        print("datagram:", datagrams.recvfrom(100))
        datagrams.connect((SERVER, 7))
        datagrams.send(b"pong")
        print("datagram:", datagrams.recv(2))
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(socket.getaddrinfo("0.0.0.0", 80)[0][-1])
    listening.listen(1)
    caller = socket.socket()
    caller.connect((SERVER, 99))
    caller.write(b"connect")
    accepted, peer = listening.accept()
    print("accepted:", accepted.readline(), peer[0])
    for one in (accepted, caller, listening):
        one.close()


def again(table):
    """What a board has after waking."""
    waking = SpiTable(4, 8)
    assert waking.restore(table)
    node = Node(waking, os.urandom)
    udp = Udp(node, raw=(), local={500: 0, 4500: 0})
    return udp, Tunnel("127.0.0.1", "sensor-7", PSK, remote=("10.0.0.0/24",), keep_keys=True, udp=udp)


async def slept():
    """Idle connections outlive sleep; one that is not idle is reset."""
    tunnel = Tunnel("127.0.0.1", "sensor-7", PSK, remote=("10.0.0.0/24",), keep_keys=True)
    await tunnel.up()
    for word in (b"one", b"two"):
        stream, _ = await tunnel.open_connection("server.example", 7)
        await stream.awrite(word)
        assert await stream.readexactly(3) == word
    busy, _ = await tunnel.open_connection(SERVER, 7)
    await busy.awrite(b"unread\nand more")
    await busy.readline()
    print("connections:", len(tunnel.connections))
    octets = await tunnel.keep()
    table = tunnel.node.table.snapshot()
    tunnel.udp.close()
    udp, tunnel = again(table)
    print("woken:", tunnel.wake(octets, 600000), len(tunnel.connections))
    tunnel.start()
    serving = asyncio.create_task(udp.run())
    for number, stream in enumerate(tunnel.connections):
        stream.write(b"awake %d" % number)
        await met("awake", stream.read(100))
        await stream.aclose()
    await met("resolved", tunnel.resolve("server.example"))  # by the server that has outlived sleep
    await tunnel.close()
    udp.close()
    await serving


async def main():
    tunnel = Tunnel("127.0.0.1", "sensor-7", PSK, remote=("10.0.0.0/24",), connections=4)
    await met("early", tunnel.open_connection(SERVER, 7))
    async with tunnel:
        await tunnel.up()
        await met("echo", echoed(tunnel, 100))
        await met("more", echoed(tunnel, 100000))
        await met("refused", tunnel.open_connection(SERVER, 81))
        await met("no route", tunnel.open_connection("192.0.2.1", 7))
        await met("no name", tunnel.open_connection("printer.local", 7))
        await met("served", served(tunnel))
        await met("reset", reset(tunnel))
        many = []
        for _ in range(4):
            many.append(await tunnel.open_connection(SERVER, 7))  # noqa: PERF401
        await met("too many", tunnel.open_connection(SERVER, 7))
        for _, writer in many:
            await writer.aclose()
        blocked(tunnel.sockets())
        reader, _ = await tunnel.open_connection(SERVER, 7)
        waiting = asyncio.create_task(met("closed", reader.read(1)))
        await asyncio.sleep(0.05)
    await waiting
    await met("late", tunnel.open_connection(SERVER, 7))


if __name__ == "__main__":
    asyncio.run(slept() if "sleep" in sys.argv else main())
    sys.exit(0)
