"""Numbered datagrams through a tunnel to an echo server, and what came of them as JSON. MicroPython and CPython run it.

Arguments: a file of JSON (tunnel: Tunnel's arguments by name; to, port, count, every_ms; ahead: how many datagrams
may be sent for which nothing newer has come back, unless nothing comes for a while).
"""

import asyncio
import json
import sys

from ikev2.net.sockets import sleep_ms
from inside.stack import DROPPED
from ipsec import Tunnel
from ipsec.esp import REASONS

_QUIET_MS = 2000
_PATIENCE_MS = 500


def content(number):
    """What the datagram with that number holds: as many sizes as there are."""
    head = b"%d " % number
    octets = bytearray(len(head) + number % 900)
    for i in range(len(octets)):
        octets[i] = head[i] if i < len(head) else (number + i) & 0xFF
    return octets


class Sender:
    """Sends, and hears what comes back."""

    def __init__(self, tunnel, given):
        self._to = given["to"], given["port"]
        self._count = given["count"]
        self._every_ms = given["every_ms"]
        self._ahead = given["ahead"]
        self._newest = -1  # number that has come back
        self._sock = tunnel.socket()
        self._seen = bytearray(self._count)
        self.heard = self.twice = self.altered = self.unsent = 0

    async def hear(self):
        """For ever."""
        while True:
            data, _ = await self._sock.recvfrom()
            number = int(data.split(b" ", 1)[0])
            self._newest = max(self._newest, number)
            self.twice += self._seen[number]
            self._seen[number] = 1
            self.altered += data != content(number)
            self.heard += 1

    async def send(self):
        """All, then wait until nothing comes any more."""
        hearing = asyncio.create_task(self.hear())
        for number in range(self._count):
            try:
                await self._sock.sendto(content(number), self._to)
            except OSError:
                self.unsent += 1
            await sleep_ms(self._every_ms)
            waited = 0
            while number - self._newest >= self._ahead and waited < _PATIENCE_MS:
                await sleep_ms(1)
                waited += 1
        before = -1
        while before != self.heard:
            before = self.heard
            await sleep_ms(_QUIET_MS)
        hearing.cancel()
        return {
            "heard": self.heard,
            "unsent": self.unsent,
            "twice": self.twice,
            "altered": self.altered,
            "no room": self._sock.dropped,
        }


def counted(names, counters):
    """{name: count} without zeros."""
    return {name: counters[i] for i, name in enumerate(names) if counters[i]}


async def main(given):
    settings = given.pop("tunnel")
    settings["psk"] = settings["psk"].encode()
    lifetime_ms = 1000 * settings.pop("lifetime_s")  # less than a tunnel is to have, perhaps
    tunnel = Tunnel(**settings)
    gateway, liveness_ms, keepalive_ms, _ = tunnel.life.settings
    tunnel.life.settings = gateway, liveness_ms, keepalive_ms, lifetime_ms
    await tunnel.up()
    result = await Sender(tunnel, given).send()
    result["esp"] = counted(REASONS, tunnel.life.current.esp.counters) if tunnel.is_up else {}
    result["inner"] = counted(DROPPED, tunnel.stack.counters)
    result["errors"] = tunnel.udp.errors
    await tunnel.close()
    print(json.dumps(result))


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        asyncio.run(main(json.load(file)))
