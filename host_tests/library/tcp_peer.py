"""A scripted TCP peer: says segments by scapy, and reads what ours answers as scapy has it, numbers counted from 0.

    peer = Peer()
    peer.opens()                                    ours has connected to it; `peer.connection`
    peer.says(b"data") == [("A", 1, 5, b"", 2720)]  flags, sequence number, acknowledged number, data, window

Number 0 is each side's SYN, 1 its first octet of data. What scapy makes of a packet is compared with the octets:
checksums and lengths are right, or it is an AssertionError.
"""

from typing import NamedTuple

from ikev2.budget import Budget
from inside.stack import DROPPED, Stack
from inside.tcp import Tcp
from scapy.layers.inet import IP, TCP
from scapy.packet import Raw

OURS, THEIRS = "10.77.0.2", "10.77.0.9"
HOST = bytes((10, 77, 0, 9))
BUFFER = 2720
_ISN = 0xFFFFFE00  # numbers wrap soon
MSS = (("MSS", 1360),)


class Said(NamedTuple):
    flags: str
    seq: int
    ack: int
    data: bytes = b""
    window: int = BUFFER


def relative(number, start):
    """-2**31 .. 2**31 - 1"""
    return (number - start + 2**31) % 2**32 - 2**31


def sound(octets):
    """scapy's reading of a packet whose lengths and checksums it would write the same."""
    packet = IP(octets)
    again = packet.copy()
    for layer in (IP, TCP):
        if layer in again:
            del again[layer].chksum
    del again[IP].len
    assert bytes(again) == octets
    return packet


class Peer:
    def __init__(self, now=0, budget=None, random=None, **limits):
        self.now = now
        self.stack = Stack(bytes((10, 77, 0, 2)), budget or Budget(1000, 1000, 0))
        self.tcp = Tcp(self.stack, random or (lambda n: bytes(range(7, 7 + n))), **limits)
        self.connection = None
        self.ports = 0, 0  # ours, its own
        self.start = 0  # our initial sequence number
        self.packets = []  # the last that were sent, as scapy has them
        self.ready = 0

    @property
    def dropped(self):
        return {DROPPED[why]: count for why, count in enumerate(self.stack.counters) if count}

    def outgoing(self, room=1400):
        """What ours sends now."""
        out = bytearray(1500)
        self.packets = []
        size = self.tcp.outgoing(out, 24, room, self.now)
        while size:
            assert size <= room and len(self.packets) < 100
            self.packets.append(sound(bytes(out[24 : 24 + size])))
            size = self.tcp.outgoing(out, 24, room, self.now)
        assert self.tcp.next_timer(self.now) != 0  # V11
        return [self.said(packet) for packet in self.packets]

    def said(self, packet):
        """As a test compares it."""
        segment = packet[TCP]
        assert (packet.src, packet.dst) == (OURS, THEIRS)
        acked = relative(segment.ack, _ISN) if "A" in segment.flags else 0
        number = relative(segment.seq, self.start)
        return Said(str(segment.flags), number, acked, bytes(segment.payload), segment.window)

    def packet(self, data=b"", flags="A", seq=None, ack=None, window=8000, options=(), ports=None, **fields):
        ours, own = ports or self.ports
        return IP(src=fields.pop("source", THEIRS), dst=OURS, id=7) / TCP(
            sport=own, dport=ours, flags=flags, seq=(_ISN + (self.seq if seq is None else seq)) % 2**32,
            ack=(self.start + (self.ack if ack is None else ack)) % 2**32 if "A" in flags else 0,
            window=window, options=list(options), **fields,
        ) / Raw(data)  # fmt: skip

    def receive(self, packet):
        """Ours gets a packet; what it answers at once, as scapy has it."""
        octets = bytes(packet)
        buffer = bytearray(octets + bytes(max(0, 96 - len(octets))))
        size = self.stack.receive(buffer, len(octets), self.now)
        return [sound(bytes(buffer[:size]))] if size else []

    def says(self, data=b"", flags="A", **fields):
        """What ours answers to a segment, now."""
        answers = self.receive(self.packet(data, flags, **fields))
        if "seq" not in fields:
            self.seq += len(data) + ("F" in flags)
        found = self.outgoing()
        self.packets = answers + self.packets
        return [self.said(packet) for packet in answers] + found

    def later(self, ms):
        """What ours sends in that time, each with its time."""
        end = self.now + ms
        found = []
        while True:
            wait = self.stack.next_timer(self.now % 2**30)
            if wait < 0 or self.now + wait > end:
                self.now = end
                return found
            self.now += wait
            self.stack.tick(self.now)
            found += [(self.now, said) for said in self.outgoing()]

    def connects(self, port=5683, **fields):
        """Ours connects: its SYN."""
        self.connection = self.tcp.connect(HOST, port, self.now, **fields)
        self.watch()
        self.ports = self.connection.local_port, port
        self.seq = 0
        self.ack = 0
        return self.first()

    def first(self):
        """What it sends first, which has its initial number."""
        self.outgoing()
        (packet,) = self.packets
        self.start = packet[TCP].seq
        return packet

    def watch(self):
        def ready():
            self.ready += 1

        self.connection.ready = ready

    def opens(self, options=MSS, window=8000, **fields):
        """Ours has connected."""
        self.connects(**fields)
        self.says(flags="SA", ack=1, options=options, window=window)
        self.seq = self.ack = 1
        return self.connection

    def is_accepted(self, port=80, own=4000, options=MSS, window=8000):
        """It has connected to a port of ours."""
        listener = self.tcp.listeners.get(port) or self.tcp.listen(port)
        self.ports = port, own
        self.seq = self.ack = 0
        self.receive(self.packet(flags="S", options=options, window=window))
        self.first()
        self.seq = self.ack = 1
        self.says(window=window)
        self.connection = listener.accept()
        self.watch()
        return self.connection

    def read(self, n=10000):
        """What is there to be read; None: nothing yet; b"": the end."""
        buf = bytearray(n)
        got = self.connection.readinto(buf)
        return got if got is None else bytes(buf[:got])

    def read_or_error(self):
        """None: nothing yet, "error", or what there is."""
        try:
            return self.read()
        except OSError:
            return "error"
