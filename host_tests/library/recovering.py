"""A sensor that pings its hub, for MicroPython: says when each reading leaves and is answered, and what becomes of it.

Arguments: port of the hub at 127.0.0.1; the file that is RTC memory; "stay" and milliseconds between two readings, or
"sleep": once up, keep the tunnel and end, or "wake": go on with it, one reading until it is answered. Times are
milliseconds of the machine's clock.
"""

import asyncio
import os
import sys
import time

from ikev2.net.udp import Udp
from ikev2.node import Node
from ikev2.spi_table import SpiTable
from ipsec import Tunnel

HUB = "10.9.0.254"


def say(word, *more):
    print(word, time.time_ns() // 1000000, *more)


async def tell(tunnel):
    while True:
        event = tunnel.event()
        if event:
            say(*event)
        await asyncio.sleep(0.005)


async def reading(tunnel, number, patience_s):
    """Send one; True if it is answered within that time."""
    say("sent", number)
    try:
        tunnel.ping(HUB, number)
    except OSError as error:
        say("not sent", error.args[-1])
    for _ in range(int(patience_s * 200)):
        if number in tunnel.pongs():
            say("answered", number)
            return True
        await asyncio.sleep(0.005)
    return False


async def main(port, rtc, what, every="0"):
    say("begun")
    node = Node(SpiTable(4, 8), os.urandom)
    udp = Udp(node, raw=(), local={500: 0, 4500: 0})
    psk = b"of no value, but long enough"
    tunnel = Tunnel("127.0.0.1:" + port, "sensor-7", psk, "hub.example", udp=udp, keep_keys=True, groups=(31,))
    if what == "wake":
        with open(rtc, "rb") as file:
            octets = file.read()
        size = int.from_bytes(octets[:2], "big")
        node.table.restore(octets[2 : 2 + size])
        if not tunnel.wake(octets[2 + size :], 600000):
            say("not kept")
    tasks = [asyncio.create_task(udp.run()), asyncio.create_task(tell(tunnel))]
    await tunnel.up()
    number = 1
    while what == "stay":
        began = time.time_ns()
        await reading(tunnel, number, int(every) / 1000)
        left = int(every) / 1000 - (time.time_ns() - began) / 1e9
        await asyncio.sleep(max(0, left))
        number += 1
    if what == "wake":
        if not await reading(tunnel, 1, 0.3):  # as README's example
            await tunnel.check()
            await reading(tunnel, 2, 5)
    else:
        await reading(tunnel, 1, 5)
        octets = await tunnel.keep()
        table = node.table.snapshot()
        with open(rtc, "wb") as file:
            file.write(len(table).to_bytes(2, "big") + table + octets)
        say("asleep")
    for task in tasks:
        task.cancel()


asyncio.run(main(*sys.argv[1:]))
