"""Streams inside a tunnel, with asyncio's names and behaviour, the same on MicroPython and CPython (W1).

    stream = Stream(connection, ticks_ms)               a Connection of tcp.py; reader and writer in one

Whoever waits is woken by the connection's `ready`: nothing is polled (W2). With TLS (tls.py) another object stands
between, which is read and written as a connection is. Errors are OSErrors with a socket's numbers.
"""

import asyncio
from errno import EBADF

from portable import const, elapsed

_PIECE = const(512)  # octets that are read at a time where nobody knows how many there are


class Stream:
    """Reader and writer of a connection."""

    def __init__(self, connection, ticks):
        self.connection = connection
        self.tls = None
        self._io = connection
        self._ticks = ticks
        self._ready = asyncio.Event()
        self._rest = b""  # was read, and nobody has asked for it yet
        self._out = b""  # was written, and there was no room for it yet
        self._gone = 0  # octets of that for which there was
        self._closing = None  # the task that does it
        self._error = None  # that nobody has been told of yet
        self.until = None  # when a peer that has called must have shaken hands (W3)
        connection.ready = self._wake
        connection.user = self

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.aclose()

    def get_extra_info(self, name, default=None):
        """ "peername": (host, port)."""
        if name != "peername":
            return default
        return "%d.%d.%d.%d" % tuple(self.connection.host), self.connection.port

    async def connected(self):
        """Wait until the connection is open; OSError if it is refused."""
        while not self.connection.established:
            if self.connection.error:
                raise OSError(*self.connection.error.args)
            await self._wait()

    @property
    def idle(self):
        """True if nothing of it is here that a connection alone does not know (V14)."""
        return not (self.tls or self._rest or self._out or self._closing)

    # Reading.

    async def read(self, n=-1):
        """As soon as there are any: up to n octets, b"" at the end. n < 0: all, up to the end."""
        if n >= 0:
            return await self._some(n) if n else b""
        pieces = []
        while not pieces or pieces[-1]:
            pieces.append(await self._some(_PIECE))
        return b"".join(pieces)

    async def readinto(self, buffer):
        """Fill a buffer with what there is, as soon as there is something; how much, 0 at the end."""
        octets = await self._some(len(buffer))
        buffer[: len(octets)] = octets
        return len(octets)

    async def readexactly(self, n):
        """n octets; EOFError if the end comes before, on CPython its IncompleteReadError."""
        pieces = []
        left = n
        while left:
            piece = await self._some(left)
            if not piece:
                if hasattr(asyncio, "IncompleteReadError"):
                    raise asyncio.IncompleteReadError(b"".join(pieces), n)
                raise EOFError
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    async def readline(self):
        r"""Up to the next \n; at the end what there is."""
        line = b""
        while line[-1:] != b"\n":
            piece = await self._some(_PIECE)
            if not piece:
                break
            end = piece.find(b"\n") + 1 or len(piece)
            self._rest = piece[end:] + self._rest
            line += piece[:end]
        return line

    def at_eof(self):
        """True if there is nothing left to read, and never will be."""
        try:
            if not self._rest:
                octets = self._read(_PIECE)
                self._rest = octets or b""
                return octets == b""
        except OSError:
            return True
        return False

    # Writing.

    def write(self, octets):
        """Send octets; what there is no room for goes when there is."""
        if self._closing:
            raise OSError(EBADF, "the stream is closed")
        self._check()
        if not self._out:
            octets = memoryview(octets)[self._io.write(octets) :]
        if len(octets):
            self._out = self._out[self._gone :] + bytes(octets)
            self._gone = 0

    async def drain(self):
        """Wait until all that was written has found room."""
        while not self._flush():
            await self._wait()
        await asyncio.sleep(0)

    async def awrite(self, octets, off=0, sz=-1):
        """`write` and `drain`, as MicroPython has it."""
        octets = memoryview(octets)[off:]
        self.write(octets[:sz] if sz >= 0 else octets)
        await self.drain()

    def write_eof(self):
        """Nothing more will be written; what the peer says can still be read."""
        if self._out:
            self._ending = asyncio.create_task(self._finish(self.connection.shutdown))
        else:
            self.connection.shutdown(self._ticks())

    # The end.

    def is_closing(self):
        """True once `close` was called."""
        return self._closing is not None

    def close(self):
        """Send what is left, and close; whoever reads is at the end. Without memory for that it is reset."""
        if not self._closing:
            try:
                self._closing = asyncio.create_task(self._finish(self.connection.close))
            except MemoryError:
                self.abort()
                raise
            self._ready.set()

    async def wait_closed(self):
        """Close it, if it is not closed yet, and wait until what was written is on its way."""
        self.close()
        await self._closing

    aclose = wait_closed

    def abort(self):
        """Close it without a farewell."""
        self._out = b""
        self._gone = 0
        self.connection.abort(self._ticks())

    async def start_tls(self, context, server_hostname=None, server_side=False):
        """From now on TLS, with an SSLContext; True: the default one. On CPython the peer is verified then (W3)."""
        from .tls import Tls

        self._io = self.tls = Tls(self.connection, context, server_hostname, server_side)
        while not self.tls.shaken():
            await self._wait()

    # The rest is private.

    def _wake(self):
        self._ready.set()
        if self._out:
            try:
                self._flush()
            except OSError as error:  # whoever reads or writes next hears of it
                self._out = b""
                self._gone = 0
                self._error = error

    def _flush(self):
        """True once all that was written has found room."""
        self._check()
        while self._out:
            taken = self._io.write(memoryview(self._out)[self._gone :])
            if not taken:
                return False
            self._gone += taken  # K14: what has gone never goes again
            if self._gone == len(self._out):
                self._out = b""
                self._gone = 0
        return not self.tls or self.tls.flushed()

    def _check(self):
        if self._error:
            raise OSError(*self._error.args)

    async def _wait(self):
        self._ready.clear()
        if self.until is None or self.tls.used:
            await self._ready.wait()
            return
        try:
            await asyncio.wait_for(self._ready.wait(), elapsed(self.until, self._ticks()) / 1000)
        except asyncio.TimeoutError:  # W3: no slot for whoever does not shake hands
            self.abort()

    def _read(self, n):
        """n octets at most, of those that are there; None if there are none yet, b"" at the end."""
        if self._closing:
            return b""
        self._check()
        if self._io is self.connection:
            n = min(n, self.connection.readable or 1)
        octets = bytearray(min(n, _PIECE) if self.tls else n)
        size = self._io.readinto(octets)
        return bytes(memoryview(octets)[:size]) if size is not None else None

    async def _some(self, n):
        """As `read`."""
        if self._rest:
            octets, self._rest = self._rest[:n], self._rest[n:]
            return octets
        octets = self._read(n)
        while octets is None:
            self._flush()  # TLS may have had to read before it could write
            await self._wait()
            octets = self._read(n)
        return octets

    async def _finish(self, end):
        try:
            await self.drain()
            if self.tls:
                self.tls.close()
                await self.drain()
        except OSError:
            pass  # the peer has gone: nobody is left to tell
        except MemoryError:
            self.abort()  # and no FIN behind half of what was written
            raise
        end(self._ticks())
