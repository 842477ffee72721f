"""A gateway that serves at 127.0.0.1, with what is behind it: for users' programs in processes of their own."""

import select
import socket
import threading

from scapy.layers.dns import DNS, DNSRR
from scapy.layers.inet import IP, UDP

from library.scripted_gateway import Gateway
from library.simulation import PSK

_TCP = 6


def name_server(packet):
    """What a name server at that address makes of a question for server.example, and silence of everything else."""
    asked = IP(packet)
    reply = IP(src=asked.dst, dst=asked.src) / UDP(sport=53, dport=asked.sport)
    known = DNS(bytes(asked[UDP].payload)) if asked.dst == "10.0.0.53" else None
    if known is None or known.qd[0].qname != b"server.example.":
        return bytes(reply / b"")
    return bytes(reply / DNS(id=known.id, qr=1, qd=known.qd, an=DNSRR(rrname="server.example", rdata="10.0.0.5")))


class Serving(threading.Thread):
    """The scripted gateway at 127.0.0.1. Inside UDP comes back, a name server answers, and `far` has TCP."""

    def __init__(self, far=None):
        super().__init__(daemon=True)
        self.far = far
        self.heard = []  # IPv4 packets from inside, and the exchange types of IKE messages
        self._peer = None  # where the device is
        self.gateway = Gateway(PSK, networks=("10.0.0.0/24",))
        self.gateway.servers = ("192.0.2.53", "10.0.0.53")
        self.sockets = {}
        for port in (500, 4500):
            self.sockets[port] = sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind(("127.0.0.1", port))
        self._ends, self._end = socket.socketpair()

    def run(self):
        while True:
            wait = self.far.wait() if self.far else None
            ready, _, _ = select.select([self._ends, *self.sockets.values()], [], [], wait)
            if self._ends in ready:
                return
            if self.far and self._peer and self.gateway.sas:
                self._send(self.far.due())
            for via, sock in self.sockets.items():
                if sock in ready:
                    octets, peer = sock.recvfrom(4096)
                    for way, to, answer in self._answers(via, peer, octets):
                        self.sockets[way].sendto(answer, to)

    def _answers(self, via, peer, octets):
        if via == 500 or octets[:4] == bytes(4):
            self.heard.append(octets[4 * (via == 4500) + 18])
            return self.gateway.receive(via, peer, octets)
        for sa in self.gateway.sas:
            for child in sa.children:
                inner = child.open(octets) if octets[:4] == child.spi_in else None
                if inner:
                    self._peer = peer
                    self.heard.append(inner)
                    self._send(self._inside(inner))
        return []

    def _inside(self, packet):
        """What is said to a packet inside."""
        if packet[9] == _TCP and self.far:
            return self.far.carry(packet)
        if packet[22:24] == b"\0\x35":
            return [name_server(packet)]
        return [packet[:12] + packet[16:20] + packet[12:16] + packet[22:24] + packet[20:22] + packet[24:]]

    def _send(self, packets):
        for packet in packets:
            self.sockets[4500].sendto(self.gateway.sas[-1].children[-1].seal(packet), self._peer)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._end.close()
        self.join()
        for sock in (self._ends, *self.sockets.values()):
            sock.close()
