"""What the small machine's memory holds, step by step: octets of GC heap that live, octets of the pool that are free.

A user's program of 10 KB runs beside the tunnel; the gateway is the scripted one, which rekeys, goes and comes back.
"""

import contextlib
import json
import re
import time

from boards.emulator import PEER
from boards.small import Small
from library.far_host import FarHost
from library.scripted_gateway import Gateway, echoed

from boards import board_files

_PSK = "of no value, but long enough"
_SERVER = "10.77.0.1", 7
_TUNNEL = {"gateway": PEER, "id": "sensor-7", "psk": _PSK, "remote": ["10.77.0.0/24"], "connections": 0}
STREAMS = {"connections": 8}
_OPEN = {"answers_per_s": 1000, "burst": 1000, "per_source_ms": 0}
_PROGRAM_OCTETS = 10240  # beside its code
# Prints what is measured, in a user's main.py.
_ROW = """
import gc, esp32
def row(what):
    gc.collect()
    pool = esp32.idf_heap_info(esp32.HEAP_DATA)[0]
    print("row: %s: %d %d %d" % (what, gc.mem_alloc(), pool[1], pool[3]))
"""
_MAIN = f"""{_ROW}
row("boot")
import asyncio, ikev2_main
row("ikev2_main imported")
async def program():
    own = [bytearray(512) for _ in range({_PROGRAM_OCTETS} // 512)]
    while True:
        try:
            tunnel = await ikev2_main.up()
            break
        except OSError as error:
            print("not yet: %s" % error)
            await asyncio.sleep(1)
    row("tunnel up" if tunnel else "no tunnel")
    if not tunnel:
        return
    sock = tunnel.socket()
    number = 0
    while own:
        said = b"%d" % number
        try:
            await sock.sendto(said, {_SERVER!r})
            while (await asyncio.wait_for(sock.recvfrom(), 1))[0] != said:
                pass
            number += 1
        except (asyncio.TimeoutError, OSError):
            print("no answer")
            await asyncio.sleep(0.1)
        if not number % 20:
            row("%d datagrams" % number)
ikev2_main.run(program())
"""

# It sleeps after each twenty readings.
_SLEEPER = f"""{_ROW}
import asyncio, ikev2_main
async def program():
    tunnel = await ikev2_main.up()
    own = [bytearray(512) for _ in range({_PROGRAM_OCTETS} // 512)]
    sock = tunnel.socket()
    for number in range(20):
        await sock.sendto(b"%d" % number, {_SERVER!r})
        await sock.recvfrom()
    row("asleep")
    await tunnel.sleep(600000)
ikev2_main.run(program())
"""

# One connection, as MQTT has it: a few octets go, and as many come back.
_TALKER = f"""{_ROW}
import asyncio, ikev2_main
async def talk(tunnel):
    reader, writer = await tunnel.open_connection({_SERVER[0]!r}, {_SERVER[1]})
    for number in range(1, 100000):
        writer.write(b"%08d" % number + bytes(60))
        while (await reader.readexactly(68))[:8] != b"%08d" % number:
            pass
        if not number % 20:
            row("%d readings" % number)
async def program():
    tunnel = await ikev2_main.up()
    own = [bytearray(512) for _ in range({_PROGRAM_OCTETS} // 512)]
    row("tunnel up")
    while own:
        try:
            await talk(tunnel)
        except (OSError, EOFError) as error:
            print("not connected: %s" % error)
            await asyncio.sleep(1)
ikev2_main.run(program())
"""


class Scene:
    """A small machine that runs such a program, and the gateway beside it; behind that an echo, or `host`."""

    def __init__(self, board, host=None):
        self.board = board
        self.gateway = Gateway(_PSK.encode(), networks=_TUNNEL["remote"])
        self._host = host
        self.said = ""

    def send(self, datagrams):
        """What the gateway says leaves."""
        for via, (_, port), octets in datagrams:
            self.board.send_udp(port, octets, (PEER, via))

    def _look(self):
        """A datagram of the board's is answered, and a line read, if there are any."""
        received = self.board.receive_udp(0.02)
        if received:
            port, (_, via), octets = received
            if via == 4500 and octets[:4] != bytes(4):
                self.send(self._behind((PEER, port), octets))
            else:
                self.send(self.gateway.receive(via, (PEER, port), octets))
        if self._host and self.gateway.sas:
            self._say((PEER, 4500), self._host.due())
        with contextlib.suppress(TimeoutError):
            self.said += self.board.console(b"\n", 0.001)

    def _behind(self, source, octets):
        """What is behind the gateway says to an ESP packet."""
        if not self._host:
            return echoed(self.gateway, source, octets)
        for child in [child for sa in self.gateway.sas for child in sa.children if child.spi_in == octets[:4]]:
            inner = child.open(octets)
            self._say(source, self._host.carry(inner) if inner else [])
        return []

    def _say(self, to, packets):
        """The host's packets leave by the newest Child SA."""
        children = [child for sa in self.gateway.sas for child in sa.children]
        self.send([(4500, to, children[-1].seal(packet, self.gateway.random)) for packet in packets if children])

    def ask(self, datagrams):
        """The gateway's request, again each two seconds, until the board has answered."""
        before = len(self.gateway.said)
        again = 0
        while len(self.gateway.said) == before:
            if time.monotonic() >= again:
                self.send(datagrams)
                again = time.monotonic() + 2
            self._look()
        assert self.gateway.said[-1].endswith("done"), self.gateway.said

    def rekey(self, group):
        """The gateway rekeys the Child SA, without and with that group, and the IKE SA."""
        (sa,) = self.gateway.sas
        for number in (0, group):
            old = sa.children[-1]
            self.ask(self.gateway.rekey_child(sa, group=number))
            self.ask(self.gateway.delete_child(sa, old))
        self.ask(self.gateway.rekey_ike(sa, group=group))
        self.ask(self.gateway.delete(sa))

    def until(self, pattern, seconds=600):
        """The match of a line that the board prints; what it has printed meanwhile is in `said`."""
        end = time.monotonic() + seconds  # only of what would last for ever
        while time.monotonic() < end:
            found = re.search(pattern, self.said)
            if found:
                self.said = self.said[found.end() :]
                return found
            self._look()
            if "\nMicroPython v" in self.said or "a task failed" in self.said:
                raise RuntimeError(self.said)  # it has ended
        raise TimeoutError(self.said)

    def row(self, what):
        """(live, free, lowest) of the next row of that name."""
        return tuple(int(number) for number in self.until(rf"row: {what}: (\d+) (\d+) (\d+)\r").groups())


@contextlib.contextmanager
def scene(tunnel=True, program=_MAIN, config=None, host=None):
    """A Scene from reset on."""
    settings = {**_OPEN, **(_TUNNEL if tunnel else {}), **(config or {})}
    octets = json.dumps(settings).encode()
    with Small(files={"/main.py": program.encode(), "/ikev2.json": octets}, unused=board_files.unused(octets)) as board:
        yield Scene(board, host)


def life():
    """(step, live, free, lowest) of a tunnel whose first attempt fails, that is rekeyed, lost, and made anew."""
    with scene() as device:
        gateway = device.gateway
        psk, gateway.psk = gateway.psk, b"another"
        device.until("not yet: .*AUTHENTICATION_FAILED")
        gateway.psk = psk
        yield "tunnel up after an attempt that failed", *device.row("tunnel up")
        device.rekey(31)
        yield "after rekeys", *device.row(".*0 datagrams")
        device.ask(gateway.delete(gateway.sas[-1]))
        device.until("tunnel up, ")
        yield "made anew", *device.row(".*0 datagrams")
        yield "after 1,000 datagrams", *device.row(r"\d+000 datagrams")


def modp2048():
    """(live, free, lowest) of a tunnel made and rekeyed with that group."""
    with scene(config={"groups": [14]}) as device:
        device.row("tunnel up")
        device.rekey(14)
        return device.row(".*0 datagrams")


def stream():
    """(step, live, free, lowest) of a tunnel and a connection, which outlives rekeys and a new tunnel."""
    host = FarHost(bytes(map(int, _SERVER[0].split("."))))
    with scene(program=_TALKER, config=STREAMS, host=host) as device:
        gateway = device.gateway
        yield "tunnel up", *device.row("tunnel up")
        device.row("20 readings")
        yield "after 40 readings", *device.row("40 readings")
        device.rekey(31)
        yield "after rekeys", *device.row(r"\d+ readings")
        device.ask(gateway.delete(gateway.sas[-1]))
        device.until("tunnel up, ")
        yield "made anew", *device.row(r"\d+ readings")
        assert host.accepted == 1


def losses(count, groups=(31, 14)):
    """[(live, free, lowest)] of so many tunnels, each in the place of one that the gateway has forgotten, as power loss
    does. It takes these groups.
    """
    with scene(config={"liveness_s": 1}) as device:
        device.gateway.groups = groups
        found = [device.row("tunnel up")]
        while len(found) <= count:
            device.gateway.sas.clear()
            device.until("the tunnel is a new one")
            found.append(device.row(".*0 datagrams"))
    return found


def wakings(count):
    """[(live, free, lowest)] at the end of the first run and of so many wakings, all with the keys of the first."""
    with scene(program=_SLEEPER, config={"keep_keys": True}) as device:
        found = [device.row("asleep") for _ in range(count + 1)]
        assert device.gateway.said == ["established"], device.gateway.said
    return found


def renewal():
    """(live, free, lowest) of a tunnel that has been renewed before its lifetime ended, beside the old one."""
    with scene(config={"lifetime_s": 60}) as device:
        device.row("tunnel up")
        device.until("the tunnel is a new one")
        return device.row(".*0 datagrams")


def rows():
    """(step, live, free, lowest)."""
    with Small() as board:
        yield "boot, nothing of ours", *bare(board)
        board.exec("import link\nlink.up('10.66.0.2', '10.66.0.1')")
        yield "network joined, nothing of ours", *bare(board)
    with scene(tunnel=False) as node:
        yield "ikev2_main imported, no network", *node.row("ikev2_main imported")
        yield "section 1.5, network joined", *node.row("no tunnel")
    with scene() as device:
        yield "tunnel up", *device.row("tunnel up")
        yield "after 100 datagrams", *device.row("100 datagrams")
    with scene(config=STREAMS) as device:
        yield "tunnel up, TCP configured", *device.row("tunnel up")


def bare(board):
    """The same at the REPL."""
    live, free, _, lowest = board.memory()
    return live, free, lowest


def figures():
    """(what, number, unit)."""
    for step, live, free, lowest in rows():
        yield f"small, {step}: GC heap that lives", live, "octets"
        yield f"small, {step}: pool that is free", free, "octets"
        yield f"small, {step}: least that was free", lowest, "octets"


if __name__ == "__main__":
    print(f"{'step':44} {'GC live':>8} {'pool free':>9} {'lowest':>8}")
    for step, live, free, lowest in rows():
        print(f"{step:44} {live:8,} {free:9,} {lowest:8,}", flush=True)
