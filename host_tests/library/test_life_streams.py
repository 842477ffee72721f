"""TCP in a tunnel that lives: what ends its connections and what does not (V10), and what they ask of it (V12, K6)."""

import errno

import pytest
from inside.tcp import Tcp

from library.far_host import FarHost
from library.simulation import THERE, Simulation

_STEP_MS = 5
_INFORMATIONAL = 37


class Streaming(Simulation):
    """A tunnel that is up, and an echo server behind the gateway; a connection to it."""

    def __init__(self, **settings):
        self.far = None
        super().__init__(echo_ms=0, **settings)
        self.far = FarHost(THERE, lambda: self.clock)
        self.until(lambda: self.life.up)
        self.tcp = Tcp(self.life.stack, self.octets)
        self.connection = self.tcp.connect(THERE, 7, self.clock)
        self.pump(200)
        assert self.connection.established

    def reply(self, sa, child, inner):
        if inner[9] == 6:
            self.say(self.far.carry(inner))

    def say(self, packets):
        """The far host sends."""
        for packet in packets:
            sa = next((sa for sa in self.gateway.sas[::-1] if sa.children), None)
            if sa:
                self.fly(True, 4500, sa.peer, sa.children[-1].seal(packet, self.octets))

    def pump(self, ms):
        """Let time pass, for the far host, too."""
        for _ in range(0, ms, _STEP_MS):
            self.run(_STEP_MS)
            self.say(self.far.due())

    def comes_back(self, octets):
        """True if these come back within half a minute."""
        assert self.connection.write(octets) == len(octets)
        back = b""
        for _ in range(300):
            self.pump(100)
            buffer = bytearray(2000)
            size = self.connection.readinto(buffer)
            back += bytes(buffer[: size or 0])
            if back == octets:
                return True
        return False


def rekey_child(world):
    world.says(world.gateway.rekey_child(world.sa))


def rekey_ike(world):
    world.says(world.gateway.rekey_ike(world.sa))


def restart(world):
    """The gateway has forgotten all, and gives the same address again: K6 makes a new tunnel."""
    world.restart_gateway()


def cut(world):
    """Nothing arrives for ten seconds."""
    world.there = False
    world.connection.write(b"")
    world.pump(10000)
    world.there = True


@pytest.mark.parametrize("what", [rekey_child, rekey_ike, restart, cut])
def test_what_does_not_end_a_connection_v10(what):
    world = Streaming()
    assert world.comes_back(b"before" * 200)
    what(world)
    assert world.comes_back(b"after" * 200)
    assert world.connection.established and not world.connection.error


def test_another_address_ends_it_v10():
    world = Streaming()
    rung = []
    world.connection.ready = lambda: rung.append(1)
    world.restart_gateway()
    world.gateway.pool = "10.77.0.9"
    world.connection.write(b"x")
    world.until(lambda: world.life.stack.address == bytes((10, 77, 0, 9)))
    assert world.connection.error.errno == errno.ECONNABORTED and rung
    with pytest.raises(OSError) as raised:
        world.connection.readinto(bytearray(1))
    assert raised.value.errno == errno.ECONNABORTED


def test_data_starts_a_liveness_check_and_an_ack_does_not_v12_k6():
    world = Streaming()
    assert world.comes_back(b"before")
    since = len(world.sent)
    world.there = False
    world.pump(25000)
    asked = [octets for _, via, octets in world.sent[since:] if via == 4500 and octets[:4] == bytes(4)]
    assert not asked  # nothing was sent inside
    world.connection.write(b"is anybody there?")
    world.pump(13000)
    asked = [octets for _, via, octets in world.sent[since:] if via == 4500 and octets[:4] == bytes(4)]
    assert asked and asked[0][4 + 18] == _INFORMATIONAL


def test_what_is_owed_while_there_is_no_tunnel_waits_v10_v11():
    """No spin (the simulation knows), and it goes on with the new tunnel, however long that has taken."""
    world = Streaming()
    world.restart_gateway()
    world.there = False
    world.node.remove(world.life.has.asked.slot, 0)
    assert world.connection.write(b"still here") == 10
    world.pump(300000)
    assert not world.life.up and world.connection.established
    world.there = True
    world.until(lambda: world.life.up)
    buffer = bytearray(100)
    for _ in range(700):
        world.pump(100)
        if world.connection.readable:
            break
    assert world.connection.readinto(buffer) == 10 and buffer[:10] == b"still here"
