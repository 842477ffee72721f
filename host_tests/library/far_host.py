"""A host behind the scripted gateway with a TCP of ours: it echoes at port 7, and does as it is told at port 99."""

import contextlib
import os

from ikev2.budget import Budget
from ikev2.net.sockets import ticks_ms
from inside.stack import Stack
from inside.tcp import Tcp

_ROOM = 1380
_BUFFER = 5440


class FarHost:
    """`carry(packet)` gives what it says to an IPv4 packet, `due()` what it says by itself; `ticks` is its clock."""

    def __init__(self, address, ticks=ticks_ms):
        self._ticks = ticks
        self.stack = Stack(address, Budget(100, 100, 0, 1))
        self.tcp = Tcp(self.stack, os.urandom, 16, _BUFFER)
        self.sent = {}  # what has not found room yet, by connection
        self.accepted = 0
        for port, served in ((7, self._echo), (99, self._command)):
            listener = self.tcp.listen(port, 8)
            listener.ready = lambda listener=listener, served=served: self._accept(listener, served)

    def carry(self, packet):
        """Take a packet in; all packets that it has to say then."""
        octets = bytearray(packet) + bytes(96)
        size = self.stack.receive(octets, len(packet), self._ticks())
        return ([bytes(octets[:size])] if size else []) + self.due()

    def due(self):
        """All packets that it has to say now."""
        now = self._ticks()
        self.stack.tick(now)
        out = bytearray(1500)
        found = []
        while size := self.tcp.outgoing(out, 0, _ROOM, now):
            found.append(bytes(out[:size]))
        return found

    def wait(self):
        """Seconds until `due` has something to do."""
        wait = self.stack.next_timer(self._ticks())
        return wait / 1000 if wait >= 0 else None

    def _accept(self, listener, served):
        connection = listener.accept()
        self.accepted += 1
        connection.ready = lambda: self._ready(connection, served)
        self._ready(connection, served)

    def _ready(self, connection, served):
        with contextlib.suppress(OSError):
            left = self.sent.get(connection, b"")
            while octets := self._read(connection):
                left += served(octets, connection)
            while left and (taken := connection.write(left)):
                left = left[taken:]
            self.sent[connection] = left
            if octets == b"" and not left:
                connection.close(self._ticks())

    @staticmethod
    def _read(connection):
        if connection.error or connection.state in ("CLOSED", "LAST-ACK", "TIME-WAIT"):
            return None
        octets = bytearray(2000)
        size = connection.readinto(octets)
        return None if size is None else bytes(octets[:size])

    def _echo(self, octets, connection):
        return octets

    def _command(self, octets, connection):
        """ "connect": a connection to their port 80 that says something; "reset": this one is over."""
        if octets == b"connect":
            back = self.tcp.connect(bytes(connection.host), 80, self._ticks())
            back.write(b"you there?\n")
            back.ready = lambda: self._ready(back, self._echo)
        elif octets == b"reset":
            connection.abort(self._ticks())
        return b""
