"""The gateway of README's programs: the tests' own over loopback, with whatever servers behind it a test wants."""

import selectors
import socket
import threading
import time

from library.scripted_gateway import Gateway
from peers.namespaces import Packet
from scapy.layers.inet import ICMP, IP, UDP

from commands.demo_gateway import DEVICE_AT, GATEWAY_AT, LOCAL, NETWORK, PORTS, PSK, tunnel_to

_MARKER = 4


class Loopback:
    """The scripted gateway on UDP ports of 127.0.0.1. Behind it pings are answered, and datagrams as `serve` does.

    serve(octets, port) -> the server's answer, by default what it got.
    """

    name = "a gateway of the tests' own on 127.0.0.1"
    prefix = ()
    ports = PORTS
    local = LOCAL
    tunnel = tunnel_to("127.0.0.1")

    def __init__(self, psk=PSK):
        self._psk = psk.encode()
        self.packets = []
        self.heard = []
        self.inner = []  # packets inside the tunnel, both ways
        self.serve = lambda octets, port: octets
        self._read = 0
        self._there = None  # the Gateway; None: it is gone
        self._sockets = {}
        self._ready = selectors.DefaultSelector()
        for via, port in PORTS.items():
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind(("127.0.0.1", port))
            self._sockets[via] = sock
            self._ready.register(sock, selectors.EVENT_READ, via)
        self._woken, self._wake = socket.socketpair()
        self._ready.register(self._woken, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.start()
        self._thread.start()

    def start(self):
        """A gateway that knows of nothing."""
        self._read = 0
        self._there = Gateway(self._psk, networks=(NETWORK,))

    def kill(self):
        """It is gone, and all SAs with it."""
        self._there = None

    def news(self):
        """See the top."""
        said = self._there.said if self._there else []
        new, self._read = said[self._read :], len(said)
        return new

    def close(self):
        """Give the ports back."""
        self._wake.send(b"x")
        self._thread.join()
        for sock in (*self._sockets.values(), self._woken, self._wake):
            sock.close()

    def _serve(self):
        while True:
            for key, _ in self._ready.select():
                if key.data is None:
                    return
                octets, source = key.fileobj.recvfrom(65535)
                self._record(True, key.data, source, octets)
                for via, to, answer in self._answers(key.data, source, octets):
                    self._record(False, via, to, answer)
                    self._sockets[via].sendto(answer, to)

    def _answers(self, via, source, octets):
        gateway = self._there
        if gateway is None:
            return []
        if via == 500 or not any(octets[:_MARKER]):
            return gateway.receive(via, source, octets)
        children = [child for sa in gateway.sas for child in sa.children if child.spi_in == octets[:4]]
        inner = children[0].open(octets) if children else None
        if not inner:
            return []
        self.inner.append(inner)
        answers = [bytes(back) for back in self._behind(IP(inner))]
        self.inner += answers
        return [(via, source, children[0].seal(answer)) for answer in answers]

    def _behind(self, asked):
        back = IP(src=asked.dst, dst=asked.src)
        if ICMP in asked:
            yield back / ICMP(type="echo-reply", id=asked[ICMP].id, seq=asked[ICMP].seq) / asked[ICMP].payload
            return
        octets = bytes(asked[UDP].payload)
        self.heard.append((octets, (asked.src, asked.sport)))
        answer = self.serve(octets, asked.dport)
        if answer is not None:
            yield back / UDP(sport=asked.dport, dport=asked.sport) / answer

    def _record(self, sent, via, device, octets):
        ends = (DEVICE_AT, device[1]), (GATEWAY_AT, via)
        self.packets.append(Packet(sent, *(ends if sent else ends[::-1]), octets, b"", time.time()))
