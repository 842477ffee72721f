import asyncio
import os

import ikev2_main


async def report(reading):
    sock = (await ikev2_main.up()).socket()
    message = b"\x40\x02" + os.urandom(2) + b"\xb5attic\xff" + reading  # a confirmable POST of RFC 7252
    answer, patience = b"", 0.3
    while answer[2:4] != message[2:4]:
        await sock.sendto(message, ("10.9.0.254", 5683))
        try:
            answer, _ = await asyncio.wait_for(sock.recvfrom(), patience)
        except asyncio.TimeoutError:
            await ikev2_main.tunnel.check()  # the gateway has proved that it is there, with a new tunnel if need be
            patience *= 2
    print("coap: acknowledged")


async def measure():
    try:
        await asyncio.wait_for(report(b"21.5"), 30)
    except (OSError, asyncio.TimeoutError) as error:
        print("not this time:", error)
    await ikev2_main.tunnel.sleep(600000)


ikev2_main.run(measure())
