"""Streams between two stacks, for CPython and MicroPython: says what it met, a line each. See test_stream.py.

Argument: a folder with ca.der, server.crt, server.key (PEM on CPython, DER on MicroPython), for TLS.
"""

import asyncio
import os
import sys

from ikev2.budget import Budget
from ikev2.net.sockets import sleep_ms, ticks_ms
from inside.server import Server
from inside.stack import Stack
from inside.stream import Stream
from inside.tcp import Tcp

try:
    import ssl
except ImportError:
    import tls as ssl

HERE, THERE = bytes((10, 77, 0, 2)), bytes((10, 77, 0, 9))
BUFFER = 2720
PORT = 80
_ROOM = 1380


class Wire:
    """Two stacks, what they send to each other, and a task that carries it. `lose` counts segments that are lost."""

    def __init__(self):
        self.ends = [Stack(address, Budget(100, 100, 0, 1)) for address in (HERE, THERE)]
        self.work = asyncio.Event()
        self.cut = False
        for stack in self.ends:
            Tcp(stack, os.urandom, 8, BUFFER).changed = self.work.set
        self.buffer = bytearray(1500)

    def carry(self):
        """All that there is to be carried now."""
        moved = True
        while moved:
            moved = False
            for stack, other in (self.ends, self.ends[::-1]):
                now = ticks_ms()
                stack.tick(now)
                size = stack.tcp.outgoing(self.buffer, 0, _ROOM, now)
                while size:
                    moved = True
                    if not self.cut:
                        size = other.receive(self.buffer, size, now)
                        if size:
                            stack.receive(self.buffer, size, now)
                    size = stack.tcp.outgoing(self.buffer, 0, _ROOM, now)

    async def run(self):
        while True:
            self.work.clear()
            self.carry()
            waits = [1000]
            waits.extend([wait for wait in [stack.next_timer(ticks_ms()) for stack in self.ends] if wait >= 0])
            try:
                await asyncio.wait_for(self.work.wait(), min(waits) / 1000)
            except asyncio.TimeoutError:  # noqa: UP041
                pass

    def connect(self, port=PORT):
        return Stream(self.ends[0].tcp.connect(THERE, port, ticks_ms()), ticks_ms)

    def serve(self, callback, port=PORT, ssl=None):
        return Server(self.ends[1].tcp.listen(port), callback, ticks_ms, ssl)


async def met(what, waited_for):
    """What came of it, or the error."""
    try:
        print(what + ":", await asyncio.wait_for(waited_for, 20))
    except asyncio.TimeoutError:  # noqa: UP041
        print(what + ": timeout")
    except OSError as error:
        print(what + ": errno", error.errno)
    except EOFError as error:
        print(what + ": EOF", getattr(error, "partial", b"3 of them"))


async def echo(reader, writer):
    """What comes goes back, and the end with it."""
    try:
        octets = await reader.read(1000)
        while octets:
            writer.write(octets)
            await writer.drain()
            octets = await reader.read(1000)
    except OSError:
        pass  # the client has gone
    writer.close()
    await writer.wait_closed()


async def lines(wire):
    """Reading, by lines and numbers of octets."""
    peers = []

    async def talk(reader, writer):
        peers.append(writer.get_extra_info("peername")[0])
        peers.append(writer.get_extra_info("cipher", "none"))
        writer.write(b"one\ntwo\n")
        await writer.awrite(b"..three\nfour", 2)
        await writer.awrite(b"..five..", 2, 4)
        await reader.read(1)
        await writer.aclose()

    server = wire.serve(talk)
    stream = wire.connect()
    await stream.connected()
    await met("line", stream.readline())
    await met("exactly", stream.readexactly(6))
    buffer = bytearray(2)
    await met("readinto", stream.readinto(buffer))
    print("into:", bytes(buffer))
    await met("e", stream.read(1))
    rest = await stream.readexactly(9)
    print("rest:", rest, stream.at_eof())
    stream.write(b"x")
    await met("last line", stream.readline())
    print("eof:", stream.at_eof(), peers)
    await met("end", stream.read(5))
    await met("all", stream.read())
    await met("too few", stream.readexactly(3))
    await stream.wait_closed()
    server.close()


async def much(wire):
    """More than all buffers hold, both ways at a time; half-close."""
    server = wire.serve(echo)
    async with wire.connect() as stream:
        await stream.connected()
        sent = os.urandom(1000) * 60

        async def send():
            for at in range(0, len(sent), 7000):
                stream.write(sent[at : at + 7000])
                await stream.drain()
            stream.write_eof()

        task = asyncio.create_task(send())
        print("much:", await asyncio.wait_for(stream.read(), 60) == sent)
        await task
    server.close()
    await server.wait_closed()


async def ends(wire):
    """Ends of all kinds."""
    closed = asyncio.Event()

    async def hold(reader, writer):
        await closed.wait()
        writer.abort()

    server = wire.serve(hold)
    nobody = wire.connect(81)
    await met("refused", nobody.connected())
    stream = wire.connect()
    await stream.connected()
    reading = asyncio.create_task(met("cancelled", asyncio.wait_for(stream.read(1), 0.1)))
    await reading
    reading = asyncio.create_task(met("reset", stream.read(1)))
    await sleep_ms(0)
    closed.set()
    await reading

    async def write():
        while True:
            stream.write(bytes(5000))
            await stream.drain()

    await met("write", write())
    print("error eof:", stream.at_eof())
    await stream.wait_closed()
    other = wire.connect()
    await other.connected()
    reading = asyncio.create_task(met("closed here", other.read(1)))
    await sleep_ms(0)
    other.close()
    await reading
    print("closing:", other.is_closing())
    try:
        other.write(b"x")
    except OSError as error:
        print("late write: errno", error.errno)
    wire.ends[0].tcp.end(OSError(9))
    server.close()
    waiting = asyncio.create_task(server.serve_forever())
    await waiting
    await sleep_ms(20)


async def full(wire):
    """A writer that is closed with octets that have no room yet: they arrive."""
    heard = []

    async def late(reader, writer):
        await sleep_ms(50)
        heard.append(await reader.read())
        writer.close()
        done.set()

    done = asyncio.Event()
    server = wire.serve(late)
    stream = wire.connect()
    await stream.connected()
    sent = os.urandom(500) * 20
    stream.write(sent)
    stream.write(b"end")
    await stream.wait_closed()
    await asyncio.wait_for(done.wait(), 20)
    print("all before the end:", heard[0] == sent + b"end")
    server.close()


def contexts(folder):
    """(for a server, that verifies, that does not) SSLContext."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    careless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if sys.implementation.name == "micropython":

        def octets(name):
            with open(folder + "/" + name, "rb") as file:
                return file.read()

        server.load_cert_chain(octets("server.crt"), octets("server.key"))
        client.verify_mode = ssl.CERT_REQUIRED
        client.load_verify_locations(octets("ca.crt"))
    else:
        server.load_cert_chain(folder + "/server.crt", folder + "/server.key")
        client.load_verify_locations(folder + "/ca.crt")
        careless.check_hostname = False
    careless.verify_mode = ssl.CERT_NONE
    return server, client, careless


async def secured(wire, folder):
    """TLS both ways: more than the buffers hold, verified or not."""
    serving, verifying, careless = contexts(folder)
    server = wire.serve(echo, 443, ssl=serving)

    async def talk(context, name, size=3000):
        stream = wire.connect(443)
        await stream.connected()
        try:
            await stream.start_tls(context, name)
            sent = os.urandom(size)
            stream.write(b"line\n")
            line = await stream.readline()
            stream.write(sent)
            back = await stream.readexactly(size)
            await stream.drain()
            return line, back == sent
        finally:
            await stream.wait_closed()

    await met("verified", talk(verifying, "server.example"))
    await met("more than room", talk(verifying, "server.example", 40000))
    await met("unverified", talk(careless, None))
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # nobody that it knows of
    trusting.verify_mode = ssl.CERT_REQUIRED
    for what, context, name in (("wrong name", verifying, "other.example"), ("stranger", trusting, "server.example")):
        try:
            print(what + ":", await asyncio.wait_for(talk(context, name), 20))
        except OSError:
            print(what + ": refused")
    await hastened(wire, server, verifying)
    server.close()


async def hastened(wire, server, context):
    """Who calls a server with TLS and says nothing, and who has shaken hands and says nothing more."""
    server.handshake_ms = 1000
    shaken = wire.connect(443)
    await shaken.connected()
    await shaken.start_tls(context, "server.example")
    shaken.write(b"line\n")
    await met("shaken", shaken.readline())
    await met("silent", wire.connect(443).read(1))
    shaken.write(b"line\n")
    await met("shaken still", shaken.readline())
    await shaken.aclose()


async def main(folder):
    wire = Wire()
    task = asyncio.create_task(wire.run())
    await lines(wire)
    await much(wire)
    await full(wire)
    await secured(wire, folder)
    await ends(wire)
    task.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
