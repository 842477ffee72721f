"""Streams at both ends of a wire of their own, with all that a tunnel's Streams have, in a time of their own."""

import asyncio
import random

from inside.stack import Stack
from inside.tcp import Tcp
from ipsec import streams as streams_module
from ipsec.streams import Streams

HERE, THERE = bytes((10, 77, 0, 2)), bytes((10, 77, 0, 9))
PORT = 80
DATA = random.Random(7).randbytes(5000)  # more than a buffer
_ENOUGH_MS = 400000


class _Tunnel:
    """What Streams need of one."""

    def __init__(self, address):
        self.stack = Stack(address)
        self.node = self.udp = self.child = self
        self.random = random.Random(address).randbytes
        self.send = self.inside = self.remote = None

    def wake(self):
        pass

    look = wake

    def _fits(self, n):
        pass


class World:
    """Two ends, and time that passes when nothing else is to be done."""

    def __init__(self, monkeypatch):
        self.now = 0
        monkeypatch.setattr(streams_module, "within", lambda *_: 0)
        self.ends = []
        for address in (HERE, THERE):
            tunnel = _Tunnel(address)
            Tcp(tunnel.stack, tunnel.random).changed = tunnel.wake
            self.ends.append(Streams(tunnel, (b"", 8, 2720)))
            self.ends[-1].ticks = lambda: self.now
        self.errors = []

    def _tried(self, what, *arguments):
        try:
            return what(*arguments) or 0
        except MemoryError:
            return 0

    def _carry(self):
        buffer = bytearray(1500)
        moved = False
        for end, other in (self.ends, self.ends[::-1]):
            self._tried(end.stack.tick, self.now)
            while size := self._tried(end.stack.tcp.outgoing, buffer, 0, 1380, self.now):
                moved = True
                self._tried(other.stack.receive, buffer, size, self.now)
        return moved

    async def run(self, tasks):
        """Until all is over, and nothing is left of it."""
        while self.now < _ENOUGH_MS:
            for _ in range(6):
                await asyncio.sleep(0)
            if not self._carry():
                waits = [wait for end in self.ends if (wait := end.stack.next_timer(self.now)) >= 0]
                if not waits and all(task.done() for task in tasks):
                    break
                self.now += min(waits, default=1000)
        return [task for task in tasks if not task.done()]

    async def close(self, stream):
        try:
            await stream.wait_closed()
        except MemoryError:
            stream.close()

    async def serve(self, reader, writer):
        try:
            while octets := await reader.read(700):
                self.served += octets
                writer.write(octets)
                await writer.drain()
        except (OSError, MemoryError) as error:
            self.errors.append(error)
        await self.close(writer)

    async def call(self):
        try:
            reader, writer = await self.ends[0].open_connection("10.77.0.9", PORT)
        except (OSError, MemoryError) as error:
            return self.errors.append(error)
        try:
            writer.write(DATA)
            await writer.drain()
            while len(self.got) < len(DATA):
                octets = await reader.read(900)
                if not octets:
                    break
                self.got += octets
        except (OSError, MemoryError) as error:
            self.errors.append(error)
        await self.close(writer)

    async def play(self):
        """`call`, and what came of it."""
        self.served = self.got = b""
        try:
            await self.ends[1].start_server(self.serve, PORT)
        except MemoryError:
            return
        left = await self.run([asyncio.ensure_future(self.call())])
        assert not left, "somebody waits for ever"
        for end in self.ends:
            assert not end.stack.tcp.connections, [one.state for one in end.stack.tcp.connections]
        assert DATA.startswith(self.served) and self.served.startswith(self.got), "other octets"
        assert self.errors or self.got == DATA, "not all, and nobody knows"
