"""What a device's streams talk to, by the kernel's TCP: python stream_server.py address port.

Who connects says "DOWN UP" in a line, and gets DOWN octets while it sends UP, then the SHA-256 of what it has sent.
"""

import asyncio
import hashlib
import sys

from peers.stream_client import pieces


async def send(writer, size):
    for piece in pieces(size):
        writer.write(piece)
        await writer.drain()


async def serve(reader, writer):
    down, up = map(int, (await reader.readline()).split())
    sending = asyncio.create_task(send(writer, down))
    received = hashlib.sha256()
    while up:
        octets = await reader.read(min(up, 4096))
        if not octets:
            break
        received.update(octets)
        up -= len(octets)
    await sending
    writer.write(received.digest())
    await writer.drain()
    writer.close()


async def main(address, port):
    server = await asyncio.start_server(serve, address, int(port))
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
