"""Streams to stream_server.py, and what came of them as JSON, a line each. MicroPython and CPython run it.

Arguments: a file of JSON (tunnel: Tunnel's arguments by name, or null for the platform's own TCP; to, port; streams:
a list of [octets down, octets up]).
"""

import asyncio
import json
import sys
import time
from hashlib import sha256

_PIECE = 1000


def milliseconds():
    return time.ticks_ms() if hasattr(time, "ticks_ms") else int(time.monotonic() * 1000)


def pieces(size):
    """So many octets, no thousand of which are like another."""
    for at in range(0, size, _PIECE):
        yield (sha256(b"%d" % at).digest() * 32)[: min(_PIECE, size - at)]


async def send(writer, size):
    """That many; their SHA-256."""
    sent = sha256()
    for piece in pieces(size):
        writer.write(piece)
        await writer.drain()
        sent.update(piece)
    return sent.digest()


async def stream(connect, to, port, down, up):
    """One, there and back: right or not, and how long that took."""
    began = milliseconds()
    reader, writer = await connect(to, port)
    opened = milliseconds()
    writer.write(b"%d %d\n" % (down, up))
    sending = asyncio.create_task(send(writer, up))
    received = sha256()
    left = down
    while left:
        octets = await reader.read(min(left, 1360))
        if not octets:
            break
        received.update(octets)
        left -= len(octets)
    expected = sha256()
    for piece in pieces(down):
        expected.update(piece)
    sent = await sending
    told = await reader.readexactly(32)
    ended = milliseconds()
    rest = await reader.read()
    writer.close()
    await writer.wait_closed()
    return {
        "down": not left and received.digest() == expected.digest(), "up": told == sent and not rest,
        "opened_ms": opened - began, "ms": ended - opened,
    }  # fmt: skip


async def main(given):
    settings = given["tunnel"]
    tunnel = None
    connect = asyncio.open_connection
    if settings:
        from ipsec import Tunnel

        settings["psk"] = settings["psk"].encode()
        tunnel = Tunnel(**settings)
        await tunnel.up()
        connect = tunnel.open_connection
    for down, up in given["streams"]:
        print(json.dumps(await stream(connect, given["to"], given["port"], down, up)))
    if tunnel:
        await tunnel.close()


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        asyncio.run(main(json.load(file)))
