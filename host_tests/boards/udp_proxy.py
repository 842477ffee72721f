"""The emulated board's way out for one who is not root: its UDP datagrams leave by sockets of this process.

Each port of the board has a socket of its own here, as with a NAT, in whichever network namespace that is.
"""

import contextlib
import select
import socket
import struct
import threading

from scapy.layers.inet import IP, fragment
from scapy.utils import checksum

from boards.emulator import ADDRESS, ipv4

_UDP = 17
_LOOK_S = 0.1
_SIZE = 4096
_MTU, _PART = 1500, 1480  # octets of a packet, and of its part in a fragment


class UdpProxy(threading.Thread):
    """Carries datagrams between a board and this PC's network, or that of a `peers.namespaces.Host`, while entered."""

    def __init__(self, board, place=None):
        super().__init__(daemon=True)
        self._board = board
        self._place = place
        self._sockets = {}
        self._ports = {}
        self._open = True

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        """The end, sockets included."""
        self._open = False
        self.join()
        for sock in self._ports:
            sock.close()

    def run(self):
        """The thread."""
        while self._open:
            for source in select.select([self._board.link, *self._ports], [], [], _LOOK_S)[0]:
                if source == self._board.link:
                    while packet := self._board.receive(0):
                        self._out(packet)
                else:
                    self._in(source)

    def _out(self, packet):
        """A packet of the board's; what is no whole UDP datagram stays here."""
        at = (packet[0] & 15) << 2
        if packet[9] != _UDP or checksum(packet[:at]) or packet[6] & 0x3F or packet[7]:
            return
        port, to, length, _ = struct.unpack_from(">HHHH", packet, at)
        if port not in self._sockets:
            with self._place.inside() if self._place else contextlib.nullcontext():
                self._sockets[port] = sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._ports[sock] = port
        with contextlib.suppress(OSError):  # no route: as good as lost
            self._sockets[port].sendto(packet[at + 8 : at + length], (socket.inet_ntoa(packet[16:20]), to))

    def _in(self, sock):
        with contextlib.suppress(OSError):
            data, (host, port) = sock.recvfrom(_SIZE)
            header = struct.pack(">HHHH", port, self._ports[sock], 8 + len(data), 0)  # without a checksum
            packet = ipv4(host, ADDRESS, _UDP, header + data)
            for part in (packet,) if len(packet) <= _MTU else map(bytes, fragment(IP(packet), _PART)):
                self._board.send(part)
