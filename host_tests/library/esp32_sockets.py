"""UDP sockets that behave as the ESP32 port's do (MicroPython 1.26): a stand-in for what needs a radio.

One empty datagram marks a socket as closed by its peer: recvfrom() then gives b"" at once with a meaningless
address, until listen() fails on it or it is closed and bound again. Six datagrams wait at most.
recvfrom(n) wants n octets of heap before it looks, and cuts what is longer.
"""

AF_INET, AF_INET6, SOCK_DGRAM, SOCK_RAW = 2, 10, 1, 3
EAGAIN, EADDRINUSE, EOPNOTSUPP, ENFILE = 11, 112, 95, 23
_QUEUE = 6


class Network:
    """Takes the place of the socket module."""

    AF_INET, AF_INET6, SOCK_DGRAM, SOCK_RAW = AF_INET, AF_INET6, SOCK_DGRAM, SOCK_RAW

    def __init__(self):
        self.bound = {}
        self.sent = []
        self.reads = 0
        self.opened = 0
        self.receive_errors = []
        self.send_errors = []
        self.open_errors = []
        self.listen_clears = True
        self.seems_ready = False
        self.heap = 1 << 20

    def socket(self, family, kind, protocol=0):
        if kind == SOCK_RAW:
            raise OSError(ENFILE, "")
        if self.open_errors:
            raise OSError(self.open_errors.pop(0), "")
        self.opened += 1
        return Socket(self)

    @staticmethod
    def getaddrinfo(host, port):
        return [(AF_INET, SOCK_DGRAM, 0, "", (host, port))]

    def arrive(self, port, data, address):
        """A datagram from the network; lost if nobody is bound or the queue is full."""
        sock = self.bound.get(port)
        if sock and len(sock.queue) < _QUEUE:
            sock.queue.append((data, address))
        return sock is not None


class Socket:
    """What socket.socket returns."""

    def __init__(self, network):
        self.network = network
        self.queue = []
        self.peer_closed = False
        self.port = None

    def setblocking(self, flag):
        pass

    def bind(self, address):
        if address[1] in self.network.bound:
            raise OSError(EADDRINUSE, "")
        self.port = address[1]
        self.network.bound[self.port] = self

    def close(self):
        self.network.bound.pop(self.port, None)

    def listen(self, backlog):
        if self.network.listen_clears:
            self.peer_closed = False
        raise OSError(EOPNOTSUPP, "")

    def ready(self):
        network = self.network
        return self.peer_closed or self.queue or network.receive_errors or network.seems_ready

    def recvfrom(self, size):
        self.network.reads += 1
        if size > self.network.heap:
            raise MemoryError
        if self.network.receive_errors:
            raise OSError(self.network.receive_errors.pop(0), "")
        if self.peer_closed:
            return b"", ("96.231.251.63", 8195)
        if not self.queue:
            raise OSError(EAGAIN, "")
        data, address = self.queue.pop(0)
        self.peer_closed = not data
        return data[:size], address

    def sendto(self, data, address):
        if self.network.send_errors:
            raise OSError(self.network.send_errors.pop(0), "")
        self.network.sent.append((self.port, bytes(data), address))
