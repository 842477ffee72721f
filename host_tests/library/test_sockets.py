"""S2.4 on real sockets: answered from where it was asked, what was sent to others dropped, links kept apart; names."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys

import pytest
from golden.live import canary
from ikev2.net import addresses, sockets, udp
from peers import namespaces
from peers.node_process import UNLIMITED, node_process
from tools import device_environment, micropython

PORTS = {500: 15512, 4500: 14512}
BOTH = {500: 500, 4500: 4500}
HOME, OTHER, PEER, NETWORK = "10.66.1.1", "10.66.1.2", "10.66.1.5", "10.66.1.255"
HOME6, OTHER6, PEER6, LINK = "2001:db8::1", "2001:db8::2", "2001:db8::5", "fe80::5"
ESP = bytes.fromhex("c0ffee0100000001") + bytes(48)
AH = bytes.fromhex("32040000c0ffee0100000001") + bytes(48)
cpython = [sys.executable]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and raw sockets need root")


@pytest.fixture(params=["micropython", "cpython"])
def interpreter(request):
    return [micropython()] if request.param == "micropython" else cpython


def asking(family, source, to, connected=True):
    """A socket of `source`; connected, it hears `to` only."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.bind(source)
    if connected:
        sock.connect(to)
    sock.settimeout(60)
    return sock


def answered(sock, number, marker=b""):
    """A connected socket's question is answered, and nothing else was before."""
    question = marker + canary(number)
    sock.send(question)
    answer = sock.recv(999)
    return answer[: len(marker) + 16] == question[: len(marker) + 16]


class Lan:
    """A node's host with two cables, on each of which one peer lives, with the same link-local address."""

    def __init__(self, *hosts):
        self.home, self.peers = hosts[0], hosts[1:]
        for number, peer in enumerate(self.peers):
            name = f"lan{number}"
            self.home.run("ip", "link", "add", name, "type", "veth", "peer", "name", name, "netns", str(peer.pid))
            for host, link in ((self.home, "fe80::1"), (peer, LINK)):
                host.run("ip", "link", "set", name, "addrgenmode", "none", "up")
                host.run("ip", "addr", "add", f"{link}/64", "dev", name, "nodad")
        for address in (HOME, OTHER):
            self.home.run("ip", "addr", "add", f"{address}/24", "brd", "+", "dev", "lan0")
        self.peers[0].run("ip", "addr", "add", f"{PEER}/24", "brd", "+", "dev", "lan0")
        for address in (HOME6, OTHER6):
            self.home.run("ip", "addr", "add", f"{address}/64", "dev", "lan0", "nodad")
        self.peers[0].run("ip", "addr", "add", f"{PEER6}/64", "dev", "lan0", "nodad")


@pytest.fixture
def lan():
    with namespaces.host() as home, namespaces.host() as one, namespaces.host() as two:
        yield Lan(home, one, two)


def counted(node):
    lines = node.stop()
    return {
        name: int(count) for name, count in (line.rsplit(None, 1) for line in lines[lines.index("counters:") + 1 :])
    }


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_the_address_that_was_asked_answers_s2_4(host):
    with node_process(PORTS, *UNLIMITED, host=host, interpreter=cpython) as node:
        for number in (2, 1, 3):
            for via, marker in ((500, b""), (4500, bytes(4))):
                to = (f"127.0.0.{number}", PORTS[via])
                with asking(socket.AF_INET, ("127.0.0.9", 0), to) as sock:
                    assert answered(sock, number, marker)
        assert counted(node) == {"invalid-ike-spi": 6, "socket errors": 0}


def test_a_socket_of_one_address_answers_from_there_s2_4(interpreter):
    with node_process(PORTS, *UNLIMITED, host="127.0.0.2", interpreter=interpreter):
        with asking(socket.AF_INET, ("127.0.0.9", 0), ("127.0.0.2", PORTS[500])) as sock:
            assert answered(sock, 1)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_broadcast_is_for_nobody_s2_4(host):
    with node_process(PORTS, *UNLIMITED, host=host, interpreter=cpython) as node:
        to = "127.0.0.1", PORTS[500]
        with asking(socket.AF_INET, ("127.0.0.9", 0), to, connected=False) as sock:
            sock.sendto(canary(1), ("127.255.255.255", PORTS[500]))
            sock.connect(to)
            assert answered(sock, 2)
        assert counted(node) == {"invalid-ike-spi": 1, "misdirected": 1, "socket errors": 0}


@needs_root
def test_no_kind_of_broadcast_on_a_lan_s2_4(lan):
    with node_process(BOTH, *UNLIMITED, "raw=50", host="::", interpreter=cpython, prefix=lan.home.prefix) as node:
        with lan.peers[0].inside():
            index = socket.if_nametoindex("lan0")
            four = asking(socket.AF_INET, (PEER, 0), (HOME, 500), connected=False)
            six = asking(socket.AF_INET6, (PEER6, 0), (HOME6, 500), connected=False)
            raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 50)
        four.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lan0")
        with four, six, raw:
            four.sendto(canary(1), (NETWORK, 500))
            four.sendto(canary(1), ("255.255.255.255", 500))
            four.sendto(canary(1), ("224.0.0.1", 500))
            six.sendto(canary(1), ("ff02::1", 500, 0, index))
            raw.sendto(ESP, ("ff02::1", 0, 0, index))
            for sock, to in ((four, HOME), (six, HOME6)):
                sock.connect((to, 500))
                assert answered(sock, 2)
        assert counted(node) == {
            "invalid-ike-spi": 2,
            "misdirected": 4,
            "socket errors": 0,
        }  # Linux itself drops 224.0.0.1


@needs_root
@pytest.mark.parametrize("asked", [HOME6, OTHER6])
def test_ipv6_answers_from_where_it_was_asked_s2_4(lan, asked):
    with node_process(BOTH, *UNLIMITED, "raw=50", host="::", interpreter=cpython, prefix=lan.home.prefix):
        with lan.peers[0].inside():
            sock = asking(socket.AF_INET6, (PEER6, 500), (asked, 500))
            raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 50)
        with sock, raw:
            assert answered(sock, 1)
            raw.sendto(ESP, (asked, 0))
            assert sock.recv(999)[36:] == ESP[:4]


@needs_root
def test_one_link_local_address_on_two_links_is_two_peers_s2_4(lan, interpreter):
    """With a limit for each source, so that one peer's answer would cost the other's."""
    limits = "answers_per_s=1000", "burst=1000", "per_source_ms=100000"
    with node_process(BOTH, *limits, "raw=50", host="::", interpreter=interpreter, prefix=lan.home.prefix) as node:
        for number, peer in enumerate(lan.peers):
            with peer.inside():
                index = socket.if_nametoindex(f"lan{number}")
                sock = asking(socket.AF_INET6, (LINK, 500, 0, index), ("fe80::1", 500, 0, index))
                raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 50)
            with sock, raw:
                raw.sendto(ESP, ("fe80::1", 0, 0, index))  # its answer needs the link of an endpoint
                assert sock.recv(999)[36:] == ESP[:4]
                sock.send(canary(1))
                raw.sendto(ESP, ("fe80::1", 0, 0, index))
        assert [node.line().split()[0] for _ in range(6)].count("invalid-spi") == 2
        assert counted(node)["socket errors"] == 0


@needs_root
@pytest.mark.parametrize("protocol", [50, 51])
@pytest.mark.parametrize("host", [HOME, "0.0.0.0"])
def test_a_raw_socket_hears_its_own_address_only_s1_5_s2_4(lan, interpreter, host, protocol):
    """MicroPython's raw socket of all addresses tells whom a packet was for, but cannot answer from there."""
    options = *UNLIMITED, "raw=50,51"
    with node_process(BOTH, *options, host=host, interpreter=interpreter, prefix=lan.home.prefix) as node:
        with lan.peers[0].inside():
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol)
            hears = asking(socket.AF_INET, (PEER, 500), None, connected=False)
        with raw, hears:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lan0")
            for to in ("224.0.0.1", "255.255.255.255", OTHER, HOME):
                raw.sendto(ESP if protocol == 50 else AH, (to, 0))
            answered_from = []
            while len(answered_from) < (1 if host == HOME else 2):
                answer, address = hears.recvfrom(999)
                assert answer[36:] == ESP[:4]
                answered_from.append(address)
            counts = counted(node)
    misdirected = counts.pop("misdirected", 0)
    if host == HOME:
        assert answered_from == [(HOME, 500)] and counts == {"invalid-spi": 1, "socket errors": 0}
    else:
        assert misdirected == 2 and counts == {"invalid-spi": 2, "socket errors": 0}
        if interpreter == cpython:
            assert answered_from == [(OTHER, 500), (HOME, 500)]


def test_whose_ipv4_packet_s2_4():
    """Where nothing but the header of a raw packet tells."""
    header = bytes(16)
    own = bytes((192, 0, 2, 1))
    assert sockets.sent_to(header + own + b"x", own)
    assert not sockets.sent_to(header + bytes((192, 0, 2, 2)), own)
    assert not sockets.sent_to(header + bytes((255, 255, 255, 255)), own)
    for first, ours in ((1, True), (223, True), (224, False), (255, False)):
        assert sockets.sent_to(header + bytes((first, 0, 0, 1)), bytes(4)) == ours


def test_what_the_platform_does_not_tell_is_taken_s2_4():
    assert sockets.arrived((b"x", ("192.0.2.1", 500))) == ()
    assert sockets.arrived((b"x", [], 0, ("192.0.2.1", 500))) == ()


@pytest.mark.parametrize(("address", "by"), [(HOME6, bytes(4)), ("fe80::1", b"\1\2\3\4")])
def test_only_a_link_local_address_is_answered_on_the_link_where_it_was_asked_s2_4(address, by):
    octets = socket.inet_pton(socket.AF_INET6, address)
    level, kind = socket.IPPROTO_IPV6, socket.IPV6_PKTINFO
    got = b"x", [(level, kind, octets + b"\1\2\3\4")], 0, (PEER6, 500)
    assert sockets.arrived(got) == [(level, kind, octets + by)]


SIX = bytes.fromhex("20010db8000000000000000000000007")


def test_endpoints_there_and_back():
    assert udp.endpoint(("192.0.2.1", 0x1234)) == bytes.fromhex("c0000201 1234")
    assert udp.endpoint(("2001:db8::7", 500, 0, 0)) == SIX + b"\1\xf4"
    assert udp.endpoint(("2001:db8::7", 500, 0, 3)) == SIX + b"\1\xf4"
    assert udp.endpoint(("::ffff:192.0.2.1", 500, 0, 0)) == bytes.fromhex("c0000201 01f4")
    assert udp.endpoint(b"\2\0\x12\x34\xc0\0\2\1" + bytes(8)) == bytes.fromhex("c0000201 1234")
    assert udp.endpoint(b"\x0a\0\x01\xf4" + bytes(4) + SIX + bytes(4)) == SIX + b"\1\xf4"
    assert udp.address_of(bytes.fromhex("c0000201 1234")) == ("192.0.2.1", 0x1234)
    assert udp.address_of(bytes.fromhex("c0000201 1234"), True)[:2] == ("::ffff:192.0.2.1", 0x1234)
    assert udp.address_of(SIX + b"\1\xf4", True) == ("2001:db8::7", 500, 0, 0)


@pytest.mark.parametrize("scope", [1, 0x12345])
def test_a_link_stays_with_its_endpoint_s2_4(scope):
    address = ("fe80::1", 500, 0, scope)
    octets = udp.endpoint(address)
    assert len(octets) == 18 and octets != udp.endpoint(("fe80::1", 500, 0, scope + 1))
    assert octets == udp.endpoint((f"fe80::1%{scope}", 500, 0, scope))
    sockaddr = b"\x0a\0\x01\xf4" + bytes(4) + b"\xfe\x80" + bytes(13) + b"\1" + scope.to_bytes(4, sys.byteorder)
    assert udp.endpoint(sockaddr) == octets
    assert udp.address_of(octets, True)[1:] == (500, 0, scope)
    assert udp.endpoint(udp.address_of(octets, True)) == octets
    assert udp.endpoint(("fe80::1%eth0", 500)) == b"\xfe\x80" + bytes(13) + b"\1\1\xf4"


def test_where_the_payload_of_an_ipv4_packet_begins():
    for first, length, at in (
        (0x45, 19, -1), (0x45, 20, 20), (0x45, 21, 20), (0x44, 60, -1), (0x46, 23, -1), (0x46, 24, 24), (0x4F, 60, 60),
        (0x4F, 59, -1), (0x65, 60, -1), (0x35, 60, -1),
    ):  # fmt: skip
        assert addresses.ipv4_payload(bytes((first,)) + bytes(59), length) == at, (first, length)


_ALARM = """
import asyncio
from ikev2.net.sockets import Alarm
DAY = 86400000
async def main():
    alarm = Alarm()
    task = asyncio.create_task(alarm.wait(DAY))
    await asyncio.sleep(0)
    alarm.ring()
    alarm.ring()
    await task
    task = asyncio.create_task(alarm.wait(DAY))
    for _ in range(9):
        await asyncio.sleep(0)
    print("quiet:", not task.done())
    task.cancel()
    alarm.ring()
    try:
        await task
    except asyncio.CancelledError:
        print("cancelled")
    task = asyncio.create_task(alarm.wait(DAY))
    await asyncio.sleep(0)
    alarm.ring()
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        print("cancelled")
    alarm.ring()
    await alarm.wait(DAY)
    await alarm.wait(0)
    await alarm.wait(1)
    print("passed")
asyncio.run(main())
"""


def test_an_alarm_rings_once(interpreter):
    ran = subprocess.run([*interpreter, "-c", _ALARM], capture_output=True, text=True, env=device_environment())
    assert ran.stdout.split() == ["quiet:", "True", "cancelled", "cancelled", "passed"], ran


_RESOLVE = """
import asyncio
from ikev2.net.udp import resolve
for name in %r:
    try:
        print(list(asyncio.run(resolve(name))))
    except OSError as error:
        print("OSError", error)
"""


def test_names(interpreter):
    names = ["192.0.2.7", "localhost", "nobody.invalid", "::1", ""]
    ran = subprocess.run(
        [*interpreter, "-c", _RESOLVE % names], capture_output=True, text=True, env=device_environment()
    )
    lines = ran.stdout.splitlines()
    assert lines[:2] == ["[192, 0, 2, 7]", "[127, 0, 0, 1]"], ran
    assert len(lines) == len(names)
    for name, line in zip(names[2:], lines[2:], strict=True):
        assert line.startswith(f"OSError no address for {name!r}: "), line


_FULL = """
import asyncio, errno, gc, socket, sys
class esp32:
    HEAP_DATA = 4
    free = 0
    def idf_heap_info(of):
        return [(10, esp32.free - 500, 7, 1), (20, 500, 17, 2)]
if not hasattr(gc, "mem_free"):
    gc.mem_free = lambda: 100000
sys.modules["esp32"] = esp32
from ikev2.net import addresses
class fails:
    AF_INET = 2
    def getaddrinfo(*given, **named):
        raise OSError(-202)
addresses.socket = fails
addresses._MICROPYTHON = True
for esp32.free in (548, 60000):
    try:
        asyncio.run(addresses.resolve("vpn.example.org"))
    except OSError as error:
        print(error.args[0] == errno.ENOMEM, error.args[-1])
"""


def test_a_name_for_which_an_esp32_has_no_room_is_not_blamed(interpreter):
    """-202 is what lwIP says for both."""
    ran = subprocess.run([*interpreter, "-c", _FULL], capture_output=True, text=True, env=device_environment())
    assert ran.stdout.splitlines() == [
        "True no room, 548 octets free", "False no address for 'vpn.example.org': -202",
    ], ran  # fmt: skip


def test_a_name_is_looked_up_each_time():
    async def both():
        loop = asyncio.get_running_loop()
        given = ["192.0.2.1", "192.0.2.2"]

        async def look_up(host, port, **_):
            return [(socket.AF_INET, socket.SOCK_DGRAM, 0, "", (given.pop(0), port))]

        loop.getaddrinfo = look_up
        return [await udp.resolve("vpn.example.org") for _ in range(2)]

    assert asyncio.run(both()) == [bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2))]


def test_a_port_that_is_taken_is_named(interpreter):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", PORTS[4500]))
        with contextlib.suppress(RuntimeError), node_process(PORTS, interpreter=interpreter) as node:
            pytest.fail(f"started: {node.stop()}")
        with pytest.raises(RuntimeError, match=f"no UDP port {PORTS[4500]} at 127.0.0.1 .*EADDRINUSE|in use.*local="):
            with node_process(PORTS, interpreter=interpreter):
                pass
