"""A stand-in for the module `socket`, inside a tunnel, for programs that block (W4).

    sys.modules["socket"] = Sockets(carrier)

`carrier` has what a tunnel has for this: `serve(ms)`, which takes in and sends what there is and waits so long at most;
`ticks()`, `stack`, `address(host)`, four octets; `connect(host, port, local_port)` and `listen(port, backlog)`, as
tcp.py has them; `send(port, octets, (host, port))`. A call that blocks serves the tunnel meanwhile, and nobody else;
one that does not block serves it once if it finds nothing. What was written leaves within milliseconds while the
program reads, or awaits something.
"""

import io
import sys
from errno import EAGAIN, EBADF, EINPROGRESS, EINVAL, ENOTCONN, ETIMEDOUT

from portable import const, elapsed

_MICROPYTHON = sys.implementation.name == "micropython"
_WAIT_MS = const(1000)
_PIECE = const(512)
_POLL = const(3)  # requests of MicroPython's ioctl
_CLOSE = const(4)
_READABLE = const(1)
_WRITABLE = const(4)
_ERROR = const(8)

AF_INET = 2
SOCK_STREAM = 1
SOCK_DGRAM = 2


def _text(host):
    return "%d.%d.%d.%d" % tuple(host)


class _Socket(io.IOBase if _MICROPYTHON else object):
    """What both kinds have."""

    def __init__(self, carrier):
        self._carrier = carrier
        self._timeout = None  # milliseconds; 0: it does not block
        self._port = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def settimeout(self, seconds):
        """Wait so long for anything; None: for ever, 0: not at all."""
        self._timeout = None if seconds is None else int(seconds * 1000)

    def setblocking(self, flag):
        """settimeout(None) or settimeout(0)."""
        self._timeout = None if flag else 0

    def setsockopt(self, *_):
        """There is nothing to set."""

    def bind(self, address):
        """Take that port of ours; the host is the tunnel's anyway."""
        self._port = address[1]

    def makefile(self, *_, **__):
        """It reads and writes as it is."""
        return self

    def ioctl(self, request, flags):
        """As MicroPython's select and tls ask."""
        if request == _CLOSE:
            self.close()
            return 0
        if request != _POLL:
            return -1
        found = self._polled() & flags
        if not found:
            self._carrier.serve(0)
            found = self._polled() & flags
        return found

    def _until(self, look):
        """What look() gives, once it is not None; None if this does not block, OSError ETIMEDOUT."""
        found = look()
        began = self._carrier.ticks()
        while found is None:
            left = _WAIT_MS
            if self._timeout is not None:
                left = min(left, max(0, self._timeout - elapsed(self._carrier.ticks(), began)))
            self._carrier.serve(left)
            found = look()
            if found is None and not left:
                if self._timeout:
                    raise OSError(ETIMEDOUT, "nothing has come")
                return None
        return found

    def _now(self, look):
        """The same where there is no None: OSError EAGAIN."""
        found = self._until(look)
        if found is None:
            raise OSError(EAGAIN, "nothing has come")
        return found


class StreamSocket(_Socket):
    """SOCK_STREAM."""

    def __init__(self, carrier, connection=None):
        super().__init__(carrier)
        self._connection = connection
        self._listener = None
        self._rest = b""

    def connect(self, address):
        """Open a connection to (host or name, port)."""
        host, port = address
        self._connection = connection = self._carrier.connect(self._carrier.address(host), port, self._port)
        if self._timeout == 0:
            raise OSError(EINPROGRESS, "it is being opened")
        try:
            self._until(self._connected)
        except OSError:
            connection.abort(self._carrier.ticks())
            raise

    def _connected(self):
        if self._connection.error:
            raise self._connection.error
        return self._connection.established or None

    def listen(self, backlog=3):
        """Take connections at the port that was bound."""
        self._listener = self._carrier.listen(self._port, backlog)

    def accept(self):
        """(socket, (host, port)) of the next one that comes."""
        if not self._listener:
            raise OSError(EINVAL, "not listening")
        connection = self._now(self._listener.accept)
        return StreamSocket(self._carrier, connection), (_text(connection.host), connection.port)

    def getpeername(self):
        """(host, port) of the peer."""
        return _text(self._open().host), self._open().port

    def send(self, octets, flags=0):
        """Send what there is room for; how much that was."""
        return self._now(lambda: self._open().write(octets) or None) if octets else 0

    def sendall(self, octets, flags=0):
        """Send all of it."""
        octets = memoryview(octets)
        while len(octets):
            octets = octets[self.send(octets) :]

    def write(self, octets, n=None):
        """Send octets, n of them if that is said: all, or what there is room for if this does not block; None: none."""
        octets = memoryview(octets.encode() if isinstance(octets, str) else octets)
        octets = octets if n is None else octets[:n]
        sent = 0
        while sent < len(octets):
            taken = self._until(lambda: self._open().write(octets[sent:]) or None)  # noqa: B023
            if taken is None:
                return sent or None
            sent += taken
        self._carrier.serve(0)
        return sent

    def recv(self, n, flags=0):
        """What there is, n octets at most; b"" at the end."""
        return self._now(lambda: self._take(n))

    def read(self, n=-1):
        """n octets, all up to the end with n < 0; less at the end, or if this does not block; None: nothing yet."""
        octets = b""
        while n < 0 or len(octets) < n:
            piece = self._piece(n - len(octets) if n > 0 else _PIECE, octets)
            if not piece:
                return octets if octets or piece is not None else None
            octets += piece
        return octets

    def readinto(self, buffer, n=None):
        """Fill a buffer, n octets of it at most, with what there is; how much, None: nothing yet."""
        octets = self._until(lambda: self._take(len(buffer) if n is None else n))
        if octets is not None:
            buffer[: len(octets)] = octets
        return None if octets is None else len(octets)

    def readline(self):
        r"""Up to the next \n; less at the end, or if this does not block."""
        line = b""
        while line[-1:] != b"\n":
            piece = self._piece(_PIECE, line)
            if not piece:
                return line if line or piece is not None else None
            end = piece.find(b"\n") + 1 or len(piece)
            self._rest = piece[end:] + self._rest
            line += piece[:end]
        return line

    def shutdown(self, how=1):
        """Nothing more will be sent."""
        self._open().shutdown(self._carrier.ticks())

    def close(self):
        """Send what is left, and close."""
        for it, *now in ((self._connection, self._carrier.ticks()), (self._listener,)):
            if it:
                it.close(*now)
        if self._connection:
            self._carrier.serve(0)
        self._connection = self._listener = None

    def _open(self):
        if not self._connection:
            raise OSError(ENOTCONN, "not connected")
        return self._connection

    def _piece(self, n, before):
        """What there is, n octets at most, as _until has it; an error leaves for another time what was read before."""
        try:
            return self._until(lambda: self._take(n))
        except OSError:
            self._rest = before
            raise

    def _take(self, n):
        if not self._rest:
            octets = bytearray(min(n, self._open().readable or 1))
            size = self._connection.readinto(octets)
            return None if size is None else bytes(memoryview(octets)[:size])
        octets, self._rest = self._rest[:n], self._rest[n:]
        return octets

    def _polled(self):
        connection = self._connection
        if not connection:
            return _READABLE if self._listener and self._listener.waiting else 0
        if connection.error:
            return _READABLE | _WRITABLE | _ERROR
        return (_READABLE if self._rest or connection.readable else 0) | (_WRITABLE if connection.writable else 0)


class DatagramSocket(_Socket):
    """SOCK_DGRAM."""

    def __init__(self, carrier):
        super().__init__(carrier)
        self._queue = None
        self._peer = None

    def bind(self, address):
        """Take that port of ours; 0: a free one."""
        self._queue = self._carrier.stack.bind(address[1])

    def connect(self, address):
        """Where `send` sends to."""
        self._peer = address

    def sendto(self, octets, address):
        """Send a datagram to (host or name, port)."""
        if not self._queue:
            self.bind(("", 0))
        host, port = address
        self._carrier.send(self._queue.port, octets, (_text(self._carrier.address(host)), port))
        return len(octets)

    def send(self, octets):
        """Send a datagram to the peer that `connect` has named."""
        if not self._peer:
            raise OSError(ENOTCONN, "not connected")
        return self.sendto(octets, self._peer)

    write = send

    def recvfrom(self, n):
        """(octets, (host, port)) of the next datagram; what is beyond n octets is lost."""
        if not self._queue:
            raise OSError(EBADF, "no port")
        octets, host, port = self._now(self._queue.take)
        return bytes(octets[:n]), (_text(host), port)

    def recv(self, n):
        """The next datagram."""
        return self.recvfrom(n)[0]

    def close(self):
        """Give the port back."""
        if self._queue:
            self._carrier.stack.close(self._queue)
            self._queue = None

    def _polled(self):
        return _WRITABLE | (_READABLE if self._queue and self._queue.waiting else 0)


class Sockets:
    """What the module `socket` has."""

    AF_INET = AF_INET
    SOCK_STREAM = SOCK_STREAM
    SOCK_DGRAM = SOCK_DGRAM
    IPPROTO_TCP = 6
    IPPROTO_UDP = 17
    SOL_SOCKET = 1
    SO_REUSEADDR = 2
    error = OSError

    def __init__(self, carrier):
        self._carrier = carrier

    def socket(self, family=AF_INET, kind=SOCK_STREAM, proto=0):
        """A socket inside the tunnel."""
        if family != AF_INET or kind not in (SOCK_STREAM, SOCK_DGRAM):
            raise OSError(EINVAL, "socket(%r, %r)" % (family, kind))
        return (StreamSocket if kind == SOCK_STREAM else DatagramSocket)(self._carrier)

    def getaddrinfo(self, host, port, family=0, kind=0, proto=0, flags=0):
        """[(family, type, protocol, "", (host, port))], looked up inside the tunnel."""
        host = _text(self._carrier.address(host)) if host else "0.0.0.0"
        return [(AF_INET, kind or SOCK_STREAM, 0, "", (host, port))]
