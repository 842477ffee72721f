"""The device of the demo: a sensor with a tunnel that does what it is told line by line. Runs under MicroPython.

    up | send TEXT | report TEXT | publish TEXT | keys | sleep | end       on standard input
    ....      what has become of it, then "done" or "failed: why"

Arguments: a file of JSON (`tunnel`: arguments of Tunnel; `to`: host and port of the server; `ports` and `local`: which
the gateway and we have for 500 and 4500; `slept_ms`), and the file that takes the place of RTC memory. If that one has
octets, the device has slept.
"""

import asyncio
import json
import os
import sys
from binascii import hexlify

from ikev2.crypto import integrity_size
from ikev2.net.sockets import readable, ticks_ms
from ikev2.net.udp import Udp
from ikev2.node import Node
from ikev2.spi_table import SpiTable
from ipsec import Tunnel

_ANSWER_S = 1
_SOON_S = 0.3
_ACKNOWLEDGED_S = 3
MQTT = 1883


def mqtt(kind, body):
    """A short control packet."""
    return bytes((kind, len(body))) + body


def text_of(octets):
    """An MQTT string."""
    return len(octets).to_bytes(2, "big") + octets


class Elsewhere(Udp):
    """To a gateway that has other ports in the place of 500 and 4500."""

    def __init__(self, node, there, local, **options):
        self._there = {int(via): port.to_bytes(2, "big") for via, port in there.items()}
        self._receive_at, node.receive = node.receive, self._arrived
        options["raw"] = ()
        super().__init__(node, local={int(via): port for via, port in local.items()}, **options)

    def _arrived(self, via, source, *more):
        return self._receive_at(via, source[:-2] + via.to_bytes(2, "big"), *more)

    def send(self, via, to, octets, length, address=None, at=()):
        """As Udp has it."""
        return super().send(via, to[:-2] + self._there[via], octets, length, None, ())


class Device:
    """A tunnel, a socket in it, and RTC memory."""

    def __init__(self, given, rtc):
        self._to = tuple(given["to"])
        self._rtc = rtc
        self._slept_ms = given["slept_ms"]
        self._udp = Elsewhere(Node(SpiTable(4, 8), os.urandom), given["ports"], given["local"])
        settings = given["tunnel"]
        settings["psk"] = settings["psk"].encode()
        self._tunnel = Tunnel(udp=self._udp, keep_keys=True, **settings)
        self._sock = self._tunnel.socket()

    def begin(self):
        """Read RTC memory, clear it, then go on with what was in it, if anything was."""
        with open(self._rtc, "rb") as file:
            octets = file.read()
        with open(self._rtc, "wb"):
            pass
        size = int.from_bytes(octets[:2], "big")
        if octets and self._udp.node.table.restore(octets[2 : 2 + size]):
            if self._tunnel.wake(octets[2 + size :], self._slept_ms):
                self._tunnel.start()
                print("the tunnel is back, inside %s" % self._tunnel.address)
        return asyncio.create_task(self._udp.run())

    async def up(self):
        """Bring the tunnel up."""
        await self._tunnel.up()
        child = self._tunnel.child
        print("the tunnel is up: ESP with %s, inside %s" % (child.cipher, self._tunnel.address))

    async def send(self, text, patience_s=_ANSWER_S):
        """Send a reading, and give the answer so long; True if it came."""
        await self._sock.sendto(text.encode(), self._to)
        try:
            data, (host, port) = await asyncio.wait_for(self._sock.recvfrom(), patience_s)
        except asyncio.TimeoutError:
            print("no answer within %d ms" % (patience_s * 1000))
            return False
        print("answer from %s, port %d: %s" % (host, port, data.decode()))
        return True

    async def report(self, text):
        """Send a reading; without an answer again, once the gateway has proved to be there, by a new tunnel perhaps."""
        before = self._tunnel.child.spi_in
        if not await self.send(text, _SOON_S):
            await self._tunnel.check()
            print("it works again" + ("" if self._tunnel.child.spi_in == before else ", with new SAs"))
            await self.send(text)

    async def publish(self, text):
        """Publish a reading by MQTT: by the connection that there is, else by a new one."""
        for stream in self._tunnel.connections:
            try:
                return await asyncio.wait_for(self._published(stream, text), _ACKNOWLEDGED_S)
            except (OSError, EOFError, asyncio.TimeoutError):
                print("the connection to the broker is no more")
                stream.abort()
        stream, _ = await self._tunnel.open_connection(self._to[0], MQTT)
        stream.write(mqtt(0x10, text_of(b"MQTT") + b"\4\2\0\0" + text_of(b"sensor-7")))
        print("connected to the broker: CONNACK, code %d" % (await stream.readexactly(4))[3])
        await self._published(stream, text)

    async def _published(self, stream, text):
        stream.write(mqtt(0x32, text_of(b"attic/temperature") + b"\0\1" + text.encode()))
        if await stream.readexactly(4) != b"\x40\2\0\1":
            raise OSError("no PUBACK")
        print("%s published and acknowledged (QoS 1)" % text)
        while not stream.idle:
            await asyncio.sleep(0.01)  # until TCP has acknowledged that, too

    async def keys(self):
        """The keys of the SAs that there are, as JSON."""
        life = self._tunnel.life
        spi_i, spi_r, initiator = life.node.table.ike_sa(life.has.asked.slot)[:3]
        sa = life.has.asked.sa
        child = self._tunnel.child
        integrity = integrity_size(sa.cipher_name)
        both = (sa.key_out, sa.key_in) if initiator else (sa.key_in, sa.key_out)
        octets = [spi_i, spi_r]
        octets += [key[: len(key) - integrity] for key in both] + [key[len(key) - integrity :] for key in both]
        octets += [child.spi_in, child.spi_out, child.key_in, child.key_out]
        print(json.dumps([sa.cipher_name, child.cipher, [hexlify(part).decode() for part in octets]]))

    async def sleep(self):
        """What deep sleep would keep goes into the file; the program is to end now."""
        octets = await self._tunnel.keep()
        table = self._udp.node.table.snapshot()
        with open(self._rtc, "wb") as file:
            file.write(len(table).to_bytes(2, "big") + table + octets)
        print("%d octets in RTC memory: %d of the table, %d of the tunnel" % (2 + len(table) + len(octets), len(table),
                                                                              len(octets)))  # fmt: skip

    async def end(self):
        """Delete the tunnel."""
        await self._tunnel.close()
        print("deleted")


async def obey(device):
    """Do as told, until there is nobody who tells."""
    while True:
        await readable(sys.stdin)
        word, _, rest = sys.stdin.readline().strip().partition(" ")
        if not word:
            return
        began = ticks_ms()
        try:
            await getattr(device, word)(*([rest] if rest else []))
            print("done %d" % ((ticks_ms() - began) & 0x3FFFFFFF))
        except OSError as error:
            print("failed: %s" % error.args[-1])


async def main(path, rtc):
    with open(path) as file:
        device = Device(json.load(file), rtc)
    serving = device.begin()
    print("started")
    await obey(device)
    serving.cancel()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
