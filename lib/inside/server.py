"""A server of streams inside a tunnel, with the names and the behaviour of asyncio's (W1).

server = Server(listener, callback, ticks_ms)       callback(reader, writer), a coroutine function
"""

import asyncio

from .stream import Stream


class Server:
    """Calls `callback` for each connection that comes to a Listener of tcp.py."""

    handshake_ms = 10000  # W3: who calls has so long for that of TLS

    def __init__(self, listener, callback, ticks, ssl=None):
        self._listener = listener
        self._callback = callback
        self._ticks = ticks
        self._ssl = ssl
        self._over = asyncio.Event()
        self._tasks = []  # asyncio itself keeps no hold of them
        listener.ready = self._accept

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.close()

    def close(self):
        """Take no more connections; those that there are go on."""
        self._listener.close()
        self._over.set()

    async def wait_closed(self):
        """Wait until it is closed."""
        await self._over.wait()

    async def serve_forever(self):
        """Serve until it is closed or this is cancelled, which closes it."""
        try:
            await self._over.wait()
        finally:
            self.close()

    def _accept(self):
        connection = self._listener.accept()
        while connection:
            try:
                task = asyncio.create_task(self._serve(Stream(connection, self._ticks)))
                self._tasks = [other for other in self._tasks if not other.done()] + [task]
            except MemoryError:
                connection.abort(self._ticks())
            connection = self._listener.accept()

    async def _serve(self, stream):
        served = False
        try:
            if self._ssl:
                stream.until = self._ticks() + self.handshake_ms
                await stream.start_tls(self._ssl, server_side=True)
            served = True
            await self._callback(stream, stream)
        except Exception as error:
            if served:
                stream.close()
                raise
            stream.abort()
            if not isinstance(error, OSError):  # somebody who cannot shake hands
                raise
