"""A user's program with tunnels, for CPython and MicroPython: says what it met, a line each. See test_tunnel.py."""

import asyncio
import sys

import ipsec.tunnel
from ipsec import Tunnel

PSK = b"of no value, but long enough"
SERVER = ("10.0.0.5", 7)


async def met(what, waited_for):
    """What came of it, or the error."""
    try:
        result = await waited_for
        print(what + ": ok", result)
    except asyncio.TimeoutError:  # noqa: UP041
        print(what + ": timeout")
    except OSError as error:
        print(what + ":", error.errno, error.args[-1])


async def echoes(sock, count):
    for number in range(count):
        said = b"%d from %d" % (number, sock.port)
        await sock.sendto(said, SERVER)
        assert await asyncio.wait_for(sock.recvfrom(), 20) == (said, SERVER)


async def main():
    other = Tunnel("127.0.0.1", "sensor-7", b"quite another psk")
    await met("psk", other.up())
    await met("psk again", asyncio.wait_for(other.up(), 0.3))
    await other.close()

    nowhere = Tunnel("nowhere.invalid", "sensor-7", PSK)
    await met("name", nowhere.up())
    await met("name again", nowhere.up())
    print("failures:", nowhere.life.failures >= 2)
    await nowhere.close()

    tunnel = Tunnel("127.0.0.1", "sensor-7", PSK, remote=("10.0.0.0/24",))
    one = tunnel.socket(5683)
    await met("early", one.sendto(b"", SERVER))
    both = [asyncio.create_task(tunnel.up()), asyncio.create_task(tunnel.up())]
    both[0].cancel()
    await asyncio.wait_for(both[1], 60)
    await tunnel.up()
    print("up:", tunnel.is_up, tunnel.address, tunnel.event(), tunnel.event())
    two = tunnel.socket()
    await asyncio.gather(echoes(one, 5), echoes(two, 5))
    print("two sockets: ok")
    await met("nothing", asyncio.wait_for(one.recvfrom(), 0.1))
    waiting = asyncio.create_task(one.recvfrom())
    await asyncio.sleep(0.05)
    waiting.cancel()
    await echoes(one, 1)
    print("cancelled: ok")
    for size in (5, 8, 16):
        for number in range(size):
            tunnel.send(one.port, b"%d" % number, SERVER)
        found = set()
        while len(found) < size:
            found.add(int((await asyncio.wait_for(one.recvfrom(), 20))[0]))
        print("burst of %d:" % size, sorted(found))
    sockets, tunnel.udp.sockets = tunnel.udp.sockets, {}
    await met("no network", one.sendto(b"", SERVER))
    tunnel.udp.sockets = sockets
    await met("long", one.sendto(bytes(2000), SERVER))
    await met("room", one.sendto(bytes(tunnel.room()), SERVER))
    await one.recvfrom()
    await met("route", one.sendto(b"", ("192.0.2.1", 7)))
    await met("number", one.sendto(b"", ("10.0.5", 7)))
    await one.sendto(b"by name", ("server.example", 7))
    assert await asyncio.wait_for(one.recvfrom(), 20) == (b"by name", SERVER)
    print("by name: ok")
    await met("resolve", tunnel.resolve("Server.Example."))
    await met("no name", tunnel.resolve("printer.local"))
    tunnel.settings = bytes((192, 0, 2, 53)), 8, 2720
    await met("no server", tunnel.resolve("other.example"))
    try:
        tunnel.socket(5683)
    except OSError as error:
        print("port:", error.errno)
    await met("check", asyncio.wait_for(tunnel.check(), 20))
    ipsec.tunnel.Tunnel.sleeper = print
    for ms in (-1, 1 << 40, 0.5 * 60000):
        try:
            await tunnel.sleep(ms)
        except (TypeError, ValueError):
            print("no sleep of %d: ok" % ms)
    await echoes(one, 1)
    mute = Tunnel("127.0.0.1", "sensor-8", PSK, remote=("10.0.0.0/24",))
    await mute.check()  # which begins it
    mute.udp.send = lambda *more: True
    await asyncio.sleep(0.05)  # what proved the gateway is past
    try:
        await mute.check()
    except OSError as error:
        print("check of a dead gateway:", error.errno)
    print("not given up:", mute.is_up)
    closing = asyncio.create_task(mute.close())
    await asyncio.sleep(0.01)
    print("silent, closed:", mute.is_up)
    await closing
    waiting = asyncio.create_task(met("waiting", two.recvfrom()))
    closing = asyncio.create_task(met("closing", one.recvfrom()))
    await asyncio.sleep(0.05)
    one.close()
    await closing
    await tunnel.close()
    await waiting
    await met("late", two.sendto(b"", SERVER))
    await met("again", tunnel.up())
    print("over:", tunnel.life.over, tunnel.is_up)

    look_up, tried = ipsec.tunnel.resolve, []

    async def full_once(host):
        tried.append(host)
        if len(tried) == 1:
            raise MemoryError
        return await look_up(host)

    ipsec.tunnel.resolve = full_once
    short = Tunnel("127.0.0.1", "sensor-7", PSK, remote=("10.0.0.0/24",))
    await met("full heap", short.up())
    while not short.is_up:
        await asyncio.sleep(0.05)
    print("full heap again:", short.is_up, len(tried))
    lost = short.udp
    lost.close()
    while short.udp is lost:
        await asyncio.sleep(0.05)
    await met("sockets anew", short.check())
    print("its sockets are counted:", short.stack in short.udp.sinks)
    await short.close()


asyncio.run(main())
sys.exit(0)
