"""A port at which connections to us are opened, and who has called there (V9)."""

from portable import const, copy

from .tcp_connection import Connection
from .tcp_receiving import establish, greet
from .tcp_segment import add, new_numbers

_NXT = const(12)  # as tcp_segment has it


class Listener:
    """A port that others may connect to: `backlog` of them at most that are half open or not accepted (V9)."""

    def __init__(self, tcp, port, backlog):
        self.port = port
        self.ready = None  # called without arguments when there is one to accept
        self.backlog = backlog
        self.waiting = []
        self._tcp = tcp

    def accept(self):
        """The Connection that has waited longest; None."""
        return self.waiting.pop(0) if self.waiting else None

    def close(self):
        """Nobody connects any more; who has not been accepted is sent away."""
        if self._tcp.listeners.pop(self.port, None):
            for connection in list(self._tcp.connections):
                if connection.listener is self and (connection in self.waiting or not connection.established):
                    connection.abort(0)

    # For Tcp.

    def called(self, packet, header, found, now):
        """A SYN has come: a half-open connection, or nothing if there are enough."""
        tcp = self._tcp
        waiting = len(self.waiting)
        for one in tcp.connections:
            waiting += one.listener is self and not one.established
        if waiting >= self.backlog or tcp.full(True):
            return
        numbers = new_numbers(packet, header)
        copy(numbers, _NXT, packet, header + 4, 4)
        tcp.number_at(numbers, now)
        add(numbers, _NXT, 1, 4)
        connection = Connection(tcp, numbers, self)
        greet(connection.words, found)
        tcp.connections.append(connection)

    def answered(self, connection, packet, header, now):
        """And what the caller says to our SYN."""
        connection.take_buffers()
        self.waiting.append(connection)  # K14: it is open whole, or half-open still
        establish(connection, packet, header, now)
        if self.ready:
            self.ready()
