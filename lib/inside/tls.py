"""TLS over a connection inside a tunnel, by the platform's own implementation (W3).

    tls = Tls(connection, context, server_hostname, server_side)        context: an SSLContext, True: the default one

It is read and written as a connection is: `readinto` gives None for "not yet", `write` 0 for "no room". What TLS makes
and the connection has no room for waits here: a record, because no other is made before; `flushed` lets it go on.
MicroPython's `tls` wants an object with the methods of a stream, and shakes hands with the first read or write;
CPython has memory for both directions (MemoryBIO), and `shaken` is True once that is over. `used` says that it is;
MicroPython does not say, so there it is True once an octet has gone one way or the other.
"""

import io
import sys
from errno import ECONNABORTED

from portable import const

try:
    import ssl
except ImportError:
    import tls as ssl

_RECORD = const(1024)  # octets that are written at a time
_POLL = const(3)  # requests of MicroPython's ioctl
_CLOSE = const(4)
_READABLE = const(1)
_WRITABLE = const(4)
_ENDED = const(-29312)  # MBEDTLS_ERR_SSL_CONN_EOF: the end without a close_notify


class _Out:
    """What TLS has made, on its way into a connection."""

    def __init__(self, connection):
        self._connection = connection
        self._left = b""

    def put(self, octets):
        self._left += bytes(octets)
        self.flush()

    def flush(self):
        """True if nothing is left."""
        if self._left:
            self._left = self._left[self._connection.write(self._left) :]
        return not self._left


if sys.implementation.name == "micropython":

    class _Stream(io.IOBase):
        """A connection as `tls` wants it; it is never full, because Tls waits."""

        def __init__(self, connection, out):
            self._connection = connection
            self._out = out

        def readinto(self, buffer):
            return self._connection.readinto(buffer)

        def write(self, octets):
            self._out.put(octets)
            return len(octets)

        def ioctl(self, request, flags):
            if request == _POLL:
                return flags & (_WRITABLE | (_READABLE if self._connection.readable else 0))
            return 0 if request == _CLOSE else -1

        def setblocking(self, flag):
            pass

    class Tls:
        """MicroPython's."""

        used = False

        def __init__(self, connection, context, server_hostname=None, server_side=False):
            if context is True:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            out = _Out(connection)
            self.flushed = out.flush
            options = {"server_side": server_side, "do_handshake_on_connect": False}
            if server_hostname:
                options["server_hostname"] = server_hostname
            self._session = context.wrap_socket(_Stream(connection, out), **options)
            self._session.setblocking(False)

        def shaken(self):
            return True

        def readinto(self, buffer):
            self.flushed()
            return self._done(self._session.readinto, buffer)

        def write(self, octets):
            return self._done(self._session.write, memoryview(octets)[:_RECORD]) or 0 if self.flushed() else 0

        def _done(self, operation, octets):
            try:
                n = operation(octets)
                self.used = self.used or bool(n)
                return n
            except ValueError as error:  # a certificate, for instance
                raise OSError(ECONNABORTED, str(error).strip()) from None
            except OSError as error:
                if error.errno == _ENDED:
                    return 0
                raise

        def close(self):
            self._session.close()

else:

    class Tls:
        """CPython's."""

        used = False

        def __init__(self, connection, context, server_hostname=None, server_side=False):
            if context is True:
                context = ssl.create_default_context()
            self._connection = connection
            self._out = _Out(connection)
            self.flushed = self._out.flush
            self._incoming = ssl.MemoryBIO()
            self._outgoing = ssl.MemoryBIO()
            self._session = context.wrap_bio(self._incoming, self._outgoing, server_side, server_hostname)

        def shaken(self):
            self.used = self._done(lambda: self._session.do_handshake() or True, False)
            return self.used

        def readinto(self, buffer):
            return self._done(lambda: self._session.read(len(buffer), buffer), None)

        def write(self, octets):
            return self._done(lambda: self._session.write(octets[:_RECORD]), 0) if self.flushed() and octets else 0

        def close(self):
            self._done(self._session.unwrap, None)

        def _done(self, operation, wait):
            """What an operation gives, `wait` if more must come before; 0 at the end."""
            while True:
                try:
                    return operation()
                except ssl.SSLWantReadError:
                    if not self._feed():
                        return wait
                except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                    return 0
                finally:
                    self._out.put(self._outgoing.read())

        def _feed(self):
            octets = bytearray(self._connection.readable or 1)
            size = self._connection.readinto(octets)
            if size:
                self._incoming.write(memoryview(octets)[:size])
            elif size == 0:
                self._incoming.write_eof()
            return size is not None
