"""A hub and its devices in one program, over loopback, for CPython and MicroPython: says what it met, a line each."""

import asyncio
import sys

from ipsec import Tunnel
from ipsec.hub import Hub

PSK = b"of no value, but long enough"
PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 14500


async def main():
    peers = {"sensor-7": PSK, "sensor-8": {"psk": PSK, "address": "10.9.0.8"}}
    hub = Hub("hub.example", peers, "10.9.0.254", "10.9.0.0/24", port=PORT, host="127.0.0.1")
    async with hub:
        sock = hub.socket(5683)
        gateway = "127.0.0.1:%d" % PORT
        tunnels = [Tunnel(gateway, name, PSK, "hub.example") for name in sorted(peers)]
        for tunnel in tunnels:
            await asyncio.wait_for(tunnel.up(), 60)
        print("up:", hub.event()[:2], hub.event(), hub.event())
        print("fixed:", tunnels[1].address)
        for tunnel, name in zip(tunnels, sorted(peers)):  # noqa: B905
            one = tunnel.socket(9)
            await one.sendto(name.encode(), ("10.9.0.254", 5683))
            data, (host, port) = await asyncio.wait_for(sock.recvfrom(), 20)
            print("heard:", data, hub.peer(host), port, host == tunnel.address)
            await sock.sendto(data + b"!", (host, port))
            print("answer:", (await asyncio.wait_for(one.recvfrom(), 20))[0])
            await sock.sendto(b"by name", (name, 9))
            print("named:", (await asyncio.wait_for(one.recvfrom(), 20))[0])

        async def shout(reader, writer):
            line = await reader.readline()
            writer.write(line.upper() + b"x" * 20000)
            await writer.drain()
            writer.close()

        server = await hub.start_server(shout, 80)
        for tunnel in tunnels:
            reader, writer = await asyncio.wait_for(tunnel.open_connection("10.9.0.254", 80), 20)
            writer.write(b"hello from %s\n" % tunnel.address.encode())
            await writer.drain()
            line = await asyncio.wait_for(reader.readline(), 20)
            print("server:", line, len(await asyncio.wait_for(reader.readexactly(20000), 20)))
            writer.close()
        server.close()

        async def echo(reader, writer):
            writer.write(await reader.readline())
            await writer.drain()
            writer.close()

        there = await tunnels[0].start_server(echo, port=81)
        reader, writer = await asyncio.wait_for(hub.open_connection("sensor-7", 81), 20)
        writer.write(b"are you there?\n")
        await writer.drain()
        print("client:", await asyncio.wait_for(reader.readline(), 20))
        writer.close()
        there.close()
        for what, host, size in (("nobody", "10.9.0.99", 0), ("name", "sensor-9", 0), ("long", "sensor-7", 1420)):
            try:
                await sock.sendto(bytes(size), (host, 1))
            except OSError as error:
                print(what + ":", error.args[-1])
        wrong = Tunnel(gateway, "sensor-7", b"quite another psk")
        try:
            await wrong.up()
        except OSError as error:
            print("wrong:", error.args[-1].split(":")[0])
        await wrong.close()
        print("refused:", (await hub.next_event())[:2])
        await tunnels[1].close()
        print("left:", await asyncio.wait_for(hub.next_event(), 20), sorted(hub.addresses()))

        async def hold(reader, writer):
            try:
                await reader.read(1)
            except OSError:
                writer.close()

        there = await tunnels[0].start_server(hold, port=82)
        reader, writer = await asyncio.wait_for(hub.open_connection("sensor-7", 82), 20)
        await hub.close()
        try:
            print("read:", await reader.read(1))
        except OSError as error:
            print("read:", error.args[-1])
        while tunnels[0].is_up:
            await asyncio.sleep(0.02)
        print("closed:", hub.members.over)
        try:
            await sock.sendto(b"", ("10.9.0.8", 1))
        except OSError as error:
            print("late:", error.args[-1])
        await tunnels[0].close()


asyncio.run(main())
sys.exit(0)
