import asyncio

import ikev2_main


async def answer(sock):
    while True:
        question, peer = await sock.recvfrom()
        print("two_boards:", question)
        await sock.sendto(b"21.5", peer)


async def ask(sock):
    while True:
        try:
            await sock.sendto(b"how warm is it?", ("10.9.0.254", 7))
            print("two_boards:", (await asyncio.wait_for(sock.recvfrom(), 3))[0])
        except (OSError, asyncio.TimeoutError) as error:
            print("not this time:", error)
        await asyncio.sleep(5)


async def talk():
    await (answer(ikev2_main.hub.socket(7)) if ikev2_main.hub else ask((await ikev2_main.up()).socket()))


ikev2_main.run(talk())
