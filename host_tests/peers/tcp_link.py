"""TCP of ours, and what is on its way between it and another TCP at the end of a wire."""

import heapq
import os
import random
import select
import time

from ikev2.budget import Budget
from inside.stack import Stack
from inside.tcp import Tcp

_ROOM = 1400


def packed(address):
    return bytes(map(int, address.split(".")))


class Link:
    """Every packet passes here, late by half of `round_trip_ms`, `loss` of a hundred of them lost, `late` overtaken.

    Who inherits from it has the wire: `wire()`, a file descriptor that can be waited for; `receive()`, a packet or
    None; `send(packet)`.
    """

    def __init__(self, address, round_trip_ms=0, loss=0, late=0, seed=1, **limits):
        self.stack = Stack(packed(address), Budget(1000000, 1000, 0, 1))
        self.tcp = Tcp(self.stack, os.urandom, **limits)
        self.packets = []  # (True if ours, packet), as they left
        self.loss = loss
        self._half = round_trip_ms / 2000
        self._late = late
        self._random = random.Random(seed)
        self._under_way = []  # (when, number, True if it is ours, packet)
        self._number = 0
        self._out = bytearray(_ROOM)

    @property
    def now(self):
        return int(time.monotonic() * 1000) % 2**30

    def _carry(self, ours, packet):
        self.packets.append((ours, packet))
        if self._random.random() * 100 < self.loss:
            return
        late = 0.01 if self._random.random() * 100 < self._late else 0
        self._number += 1
        heapq.heappush(self._under_way, (time.monotonic() + self._half + late, self._number, ours, packet))

    def _drain(self):
        size = self.stack.tcp.outgoing(self._out, 0, _ROOM, self.now)
        while size:
            self._carry(True, bytes(self._out[:size]))
            size = self.stack.tcp.outgoing(self._out, 0, _ROOM, self.now)

    def step(self):
        """What is due; else wait for it, and for the other."""
        self.stack.tick(self.now)
        self._drain()
        wait = self.stack.next_timer(self.now)
        wait = 0.02 if wait < 0 else min(wait / 1000, 0.02)
        if self._under_way:
            wait = min(wait, max(0, self._under_way[0][0] - time.monotonic()))
        select.select([self.wire()], [], [], wait)
        packet = self.receive()
        if packet and packet[0] >> 4 == 4:
            self._carry(False, packet)
        while self._under_way and self._under_way[0][0] <= time.monotonic():
            _, _, ours, packet = heapq.heappop(self._under_way)
            if ours:
                self.send(packet)
            else:
                buffer = bytearray(packet + bytes(96))
                size = self.stack.receive(buffer, len(packet), self.now)
                if size:
                    self._carry(True, bytes(buffer[:size]))
                self._drain()

    def until(self, true, seconds=120, each=None):
        """Go on until that is so; the time limit only ends what would last for ever."""
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                raise TimeoutError
            self.step()
            if each:
                each()
