"""The user's API over loopback sockets, under both interpreters: a good citizen of asyncio, errors with numbers."""

import errno
import re
import select
import socket
import subprocess
import sys
import threading

import pytest
from scapy.layers.dns import DNS, DNSRR
from scapy.layers.inet import IP, UDP
from tools import HERE, device_environment, micropython

from library.scripted_gateway import Gateway
from library.simulation import PSK


def name_server(packet):
    """What a name server at that address makes of a question for server.example, and silence of everything else."""
    asked = IP(packet)
    reply = IP(src=asked.dst, dst=asked.src) / UDP(sport=53, dport=asked.sport)
    known = DNS(bytes(asked[UDP].payload)) if asked.dst == "10.0.0.53" else None
    if known is None or known.qd[0].qname != b"server.example.":
        return bytes(reply / b"")
    return bytes(reply / DNS(id=known.id, qr=1, qd=known.qd, an=DNSRR(rrname="server.example", rdata="10.0.0.5")))


class Serving(threading.Thread):
    """The scripted gateway at 127.0.0.1, with whom every UDP datagram inside comes back."""

    def __init__(self):
        super().__init__(daemon=True)
        self.gateway = Gateway(PSK, networks=("10.0.0.0/24",))
        self.gateway.servers = ("192.0.2.53", "10.0.0.53")
        self.sockets = {}
        for port in (500, 4500):
            self.sockets[port] = sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind(("127.0.0.1", port))
        self._ends, self._end = socket.socketpair()

    def run(self):
        while True:
            ready, _, _ = select.select([self._ends, *self.sockets.values()], [], [])
            if self._ends in ready:
                return
            for via, sock in self.sockets.items():
                if sock in ready:
                    octets, peer = sock.recvfrom(4096)
                    for way, to, answer in self._answers(via, peer, octets):
                        self.sockets[way].sendto(answer, to)

    def _answers(self, via, peer, octets):
        if via == 500 or octets[:4] == bytes(4):
            return self.gateway.receive(via, peer, octets)
        for sa in self.gateway.sas:
            for child in sa.children:
                inner = child.open(octets) if octets[:4] == child.spi_in else None
                if inner and inner[22:24] == b"\0\x35":
                    return [(4500, peer, sa.children[-1].seal(name_server(inner)))]
                if inner:
                    back = inner[:12] + inner[16:20] + inner[12:16] + inner[22:24] + inner[20:22] + inner[24:]
                    return [(4500, peer, sa.children[-1].seal(back))]
        return []

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._end.close()
        self.join()
        for sock in (self._ends, *self.sockets.values()):
            sock.close()


@pytest.mark.parametrize("interpreter", ["CPython", "MicroPython"])
def test_a_users_program(interpreter):
    command = [sys.executable if interpreter == "CPython" else micropython(), HERE / "library/tunnel_user.py"]
    with Serving() as serving:
        ran = subprocess.run(command, env=device_environment(), capture_output=True, text=True, timeout=240)
    assert ran.returncode == 0 and not ran.stderr, (ran.stdout, ran.stderr)
    said = dict(line.split(": ", 1) for line in ran.stdout.splitlines())
    refused = f"{errno.ECONNREFUSED} AUTHENTICATION_FAILED"
    assert said["psk"].startswith(refused) and said["psk again"] == "timeout"
    nowhere = f"{errno.EHOSTUNREACH} no address for 'nowhere.invalid'"
    assert said["name"].startswith(nowhere) and said["name again"].startswith(nowhere) and said["failures"] == "True"
    assert said["early"] == f"{errno.ENOTCONN} no tunnel: it is not up yet"
    assert said["up"] == "True 10.77.0.2 ('attempting', '') ('up', '10.77.0.2')"
    assert said["two sockets"] == said["cancelled"] == "ok" and said["nothing"] == "timeout"
    assert said["room"] == said["check"] == "ok None"
    assert re.fullmatch(rf"{errno.EMSGSIZE} 2000 octets of data, room for 13\d\d", said["long"])
    assert said["route"].startswith(f"{errno.EHOSTUNREACH} no route to 192.0.2.1")
    assert said["number"].startswith(f"{errno.EINVAL} '10.0.5' is no IPv4 address")
    assert said["by name"] == "ok" and said["resolve"] == "ok 10.0.0.5"  # W5, by the second server that was given
    assert said["no name"].startswith(f"{errno.EHOSTUNREACH} 'printer.local' is no name")
    assert said["no server"].startswith(f"{errno.EHOSTUNREACH} no address for 'other.example'")
    assert said["port"] == str(errno.EADDRINUSE)
    assert said["closing"] == f"{errno.EBADF} the socket is closed"
    for what in ("waiting", "late", "again"):
        assert said[what] == f"{errno.EBADF} the tunnel is closed"
    assert said["over"] == "True False"
    assert serving.gateway.sas == [] and serving.gateway.said.count("deleted by the peer") == 1
