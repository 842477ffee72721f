"""A wire between two emulated boards: what one sends the other gets, and every datagram is remembered."""

import os
import select
import threading
import time
from typing import NamedTuple

from ipsec.tools import decode
from scapy.layers.inet import IP, UDP

from boards.emulator import slip

ENDS = ("10.66.0.2", "10.66.0.3")


class Datagram(NamedTuple):
    """One that has left board 0 or 1, for that port of the other."""

    end: int
    via: int
    octets: bytes
    when: float

    @property
    def name(self):
        """What it is, in a few words."""
        return decode.name(self.via, self.octets)


class Wire(threading.Thread):
    """Carries packets between two boards whose networks are ENDS, until `end`; none while `cut` is true."""

    cut = False

    def __init__(self, *boards):
        super().__init__(daemon=True)
        self._boards = boards
        self.datagrams = []
        self._over, self._told = os.pipe()

    def config(self, end):
        """What a board's configuration has of its network."""
        return {"address": ENDS[end], "peer": ENDS[1 - end]}

    def run(self):
        links = [board.link for board in self._boards]
        while True:
            ready = select.select([*links, self._over], [], [])[0]
            if self._over in ready:
                return
            for link in ready:
                self._carry(links.index(link))

    def _carry(self, end):
        while packet := self._boards[end].receive(0):
            read = IP(packet)
            if UDP in read and not self.cut:
                self.datagrams.append(Datagram(end, read[UDP].dport, packet[28:], time.time()))
                os.write(self._boards[1 - end].link, slip(packet))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        os.close(self._told)
        self.join()
        os.close(self._over)
