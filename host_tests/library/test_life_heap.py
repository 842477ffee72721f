"""What a tunnel takes of the emulated board's heap, live, while it is rekeyed, and after an hour of the board's clock.

The clock is an argument: nobody waits for the hour, and all that would happen in it does.
"""

import ast
import random

import pytest

from library.scripted_gateway import Gateway
from library.simulation import PSK

MINUTE = 60000
LIVE = 3200  # octets of IKE SA and Child SA; four AES objects and four pairs of HMAC pads are more than half of it
REKEY = 1800  # the new pair, and the answer that is kept, until the old one is deleted
SOURCE = ("192.0.2.1", 20001)
DEVICE = """
import gc
from ikev2.budget import Budget
from ikev2.node import Node
from ikev2.sa.policy import Policy
from ikev2.spi_table import SpiTable
from ipsec.esp import ROOM
from inside.stack import Stack
from ipsec.life import Life
import ikev2.initial.initiator, ikev2.sa.rekey, hashlib
HOST = bytes((198, 51, 100, 1))
state = b"seed"
def random(n):
    global state
    made = b""
    while len(made) < n:
        state = hashlib.sha256(state).digest()
        made += state
    return made[:n]
node = Node(SpiTable(4, 8), random)
node._make_room(1480)
buffer = bytearray(1520)
def fresh():
    global life
    life = Life(node, Policy("sensor-7", %r), Stack(bytes(4), Budget(10, 20, 0, 1)), lifetime_ms=1500000)
def flush(said, now):
    length = node.outgoing(now)
    while length:
        said.append((node.out_via, bytes(node.out[:length])))
        length = node.outgoing(now)
def step(now, datagrams, echo):
    said = []
    for via, octets in datagrams:
        node.receive(via, HOST + bytes((via >> 8, via & 255)), octets, len(octets), now)
        flush(said, now)
    if echo and life.up:
        length = life.seal(buffer, life.stack.ping(buffer, ROOM, bytes((10, 0, 0, 5)), echo), now)
        said.append((4500, bytes(buffer[:length])))
    if life.wanted:
        life.begin(HOST + b"\\x01\\xf4", now)
    node.tick(now)
    flush(said, now)
    while node.next_timer(now) == 0:
        node.tick(now)
        flush(said, now)
    while life.event():
        pass
    print((said, node.next_timer(now), life.up, life.stack.pongs(), len(life.has.ours), len(node.child_owners)))
def used():
    for _ in range(3):
        gc.collect()
    print(gc.mem_alloc())
fresh()
"""


class Hour:
    """The device on the board, the gateway here, and a clock between them."""

    def __init__(self, board):
        self.board = board
        self.dice = random.Random(1)
        self.gateway = Gateway(PSK, random=self._octets)
        self.now = 0
        self.incoming = []
        self.pongs = 0
        self.echo_ms = 0
        self.next_echo = 0
        self.wait = 0
        self.up, self.sas, self.pairs = False, 0, 0
        board.exec(DEVICE % PSK)

    def _octets(self, n):
        return self.dice.randbytes(n)

    def used(self):
        return int(self.board.exec("used()"))

    def step(self, echo=0):
        datagrams, self.incoming = self.incoming, []
        said, self.wait, self.up, pongs, self.sas, self.pairs = ast.literal_eval(
            self.board.exec(f"step({self.now}, {datagrams!r}, {echo})")
        )
        self.pongs += len(pongs)
        for via, octets in said:
            self._at_gateway(via, octets)

    def _at_gateway(self, via, octets):
        if via == 500 or octets[:4] == bytes(4):
            self.says(self.gateway.receive(via, SOURCE, octets))
            return
        for sa in self.gateway.sas:
            for child in sa.children:
                inner = child.open(octets) if octets[:4] == child.spi_in else None
                if inner:
                    total = int.from_bytes(inner[22:24], "big") + 0x0800
                    total = (total & 0xFFFF) + (total >> 16)
                    back = inner[:12] + inner[16:20] + inner[12:16] + b"\0\0" + total.to_bytes(2, "big") + inner[24:]
                    self.incoming.append((4500, sa.children[-1].seal(back, self._octets)))

    def says(self, datagrams):
        self.incoming += [(via, octets) for via, _, octets in datagrams]

    def settle(self):
        """All that is on its way arrives."""
        self.step()
        while self.incoming:
            self.step()

    def run(self, ms):
        end = self.now + ms
        while self.now < end:
            wait = self.wait if self.wait >= 0 else ms
            if self.echo_ms:
                wait = min(wait, self.next_echo - self.now)
            self.now = min(end, self.now + max(1, wait))
            due = self.echo_ms and self.now >= self.next_echo
            if due:
                self.next_echo += self.echo_ms
            self.step(echo=self.now // 1000 & 0xFFFF if due else 0)
            while self.incoming:
                self.step()

    def tidy(self):
        """The gateway deletes what it has replaced, and what receives for two seconds more has gone (K11)."""
        sa = self.gateway.sas[-1]
        if len(sa.children) > 1:
            self.says(self.gateway.delete_child(sa, sa.children[0]))
        elif len(self.gateway.sas) > 1:
            self.says(self.gateway.delete(self.gateway.sas[0]))
        self.settle()
        self.run(2100)

    def rekey(self, what):
        sa = self.gateway.sas[-1]
        self.says(
            self.gateway.rekey_ike(sa) if what == "ike" else self.gateway.rekey_child(sa, group=31 * (what == "PFS"))
        )
        self.settle()


@pytest.fixture(scope="module")
def hour():
    from boards.emulator import Board

    with Board() as board:
        yield Hour(board)


def test_live_heap_of_a_tunnel_and_of_its_rekey(hour):
    """IKE SA and Child SA, and a Child rekey on top of them, which is given back."""
    hour.settle()
    assert hour.up
    hour.rekey("PFS")
    hour.tidy()  # whatever is loaded and checked once has been
    hour.board.exec("life.close(%d)" % hour.now)
    hour.settle()
    assert hour.sas == 0 and hour.gateway.sas == []
    hour.board.exec("fresh()")
    bare = hour.used()
    hour.settle()
    assert hour.up
    live = hour.used() - bare
    hour.rekey("")
    assert hour.pairs == 2
    both = hour.used() - bare
    hour.tidy()
    assert hour.pairs == 1
    after = hour.used() - bare
    print(f"tunnel {live}, while rekeyed {both}, afterwards {after}")
    assert live <= LIVE and both - live <= REKEY and abs(after - live) <= 64


def test_an_hour_of_the_boards_clock_and_the_heap_is_level(hour):
    """Echoes, keepalives, rekeys of both kinds, replacements: issue 15, item 6."""
    hour.echo_ms, hour.next_echo = 30000, hour.now
    began = hour.now
    hour.run(4 * MINUTE)
    hour.rekey("ike")
    hour.tidy()
    hour.run(MINUTE)
    early = hour.used()
    for what in ("", "PFS", "ike", "", "PFS"):
        hour.run(11 * MINUTE)
        if hour.gateway.sas[-1].children and hour.sas == 1:
            hour.rekey(what)
            hour.tidy()
    late = hour.used()
    print(f"after 5 minutes {early}, after {(hour.now - began) // MINUTE} {late}; {hour.pongs} echoes")
    assert hour.now - began >= 60 * MINUTE and hour.up and hour.sas == hour.pairs == 1 and hour.pongs >= 119
    assert hour.gateway.said.count("established") >= 3
    assert abs(late - early) <= 64
