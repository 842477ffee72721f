"""A tunnel that is kept, and woken when a file appears: a reading before and one after. MicroPython and CPython run it.

Arguments: a file of JSON (tunnel: Tunnel's arguments by name; to, port; asleep, awake: names of files: one that is made
here once nothing of the tunnel runs any longer, one that ends the sleep; slept_ms: how long it is to have been).
"""

import asyncio
import json
import os
import sys

from ikev2.net.sockets import sleep_ms
from ipsec import Tunnel

_PORT = 14501  # the gateway answers to the port that it knows, whatever the NAT between makes of it
_LOOK_MS = 20
_PATIENCE_S = 5
_TIMES = 10


async def reading(tunnel, given):
    """One datagram, repeated each five seconds until it is answered; how often it was sent."""
    sock = tunnel.socket()
    for times in range(1, _TIMES):
        await sock.sendto(b"21.5", (given["to"], given["port"]))
        try:
            await asyncio.wait_for(sock.recvfrom(), _PATIENCE_S)
        except asyncio.TimeoutError:  # noqa: UP041, MicroPython's
            continue
        return times
    return 0


async def main(given):
    settings = given["tunnel"]
    settings["psk"] = settings["psk"].encode()
    settings["local"] = {500: 0, 4500: _PORT}
    tunnel = Tunnel(**settings)
    await tunnel.up()
    assert await reading(tunnel, given)
    octets = await tunnel.keep()
    table = tunnel.node.table.snapshot()
    await tunnel.close()

    with open(given["asleep"], "w"):
        pass
    while True:
        try:
            os.stat(given["awake"])
            break
        except OSError:
            await sleep_ms(_LOOK_MS)

    tunnel = Tunnel(**settings)
    assert tunnel.node.table.restore(table)
    woken = tunnel.wake(octets, given["slept_ms"])
    tunnel.start()
    while 4500 not in tunnel.udp.sockets:
        await sleep_ms(_LOOK_MS)
    sent = await reading(tunnel, given)
    tunnel.udp.close()
    print(json.dumps({"kept": len(octets), "woken": woken, "sent": sent}))


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        asyncio.run(main(json.load(file)))
