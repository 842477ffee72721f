"""Sockets for a node: UDP 500 and 4500, and raw ESP and AH where the port has them. All I/O is in here.

Every socket is a task of asyncio. Nothing that the network, a socket, an owner, a callback or a full heap does ends
one: what cannot be read, done or sent is counted, a socket that keeps failing is closed and opened anew, more and more
slowly, and a task that ended all the same is started again.

S2.4: an answer leaves from the address that was asked, and what was sent to another one is dropped, where the platform
tells (sockets.py). A socket of the wildcard address stays good while the board's addresses come and go.

The ESP32 port takes an empty datagram for the end of a stream: from then on recvfrom() returns b"" at once,
for ever. listen() fails on a UDP socket everywhere, and there it also clears that mark. So after an empty
read listen() is called and reading goes on; after _BATCH empty reads in a row there is a pause and a new socket,
so they cost no more than _BATCH reads in _PAUSE_MS. The same pause is for a socket that calls itself readable and
is not: lwIP's raw sockets in MicroPython always do.
"""

import asyncio
import sys

from portable import const

from ..notifier import DELIVER_IKE, DELIVER_INIT, INVALID_SPI, INVALID_SPI_PROTECTED
from ..wire import AH, FLAGS, MARKER, PORT, PORT_NAT, RESPONSE
from . import sockets
from .addresses import address_of, endpoint, ipv4_payload, resolve  # noqa: F401

_BATCH = const(8)
_TURNS = const(64)  # of the loop, for whoever is to take what a batch has brought
_PAUSE_MS = const(20)
_PAUSE_MAX_MS = const(10000)
_IDLE_MS = const(500)
_FAILED_MAX = const(6)
_WRAP = const(0x3FFFFFFF)
_LEAST = const(1500)  # octets that are read on a heap without room for more
_ASKED = const(64)
# As notifier.py has them.
_DELIVER_ESP = const(9)
_DROPS = const(11)  # and all behind it: nothing is to be sent

# RFC 7296 section 2 wants 3,000 octets; recvfrom allocates all at once, then gives back what is not needed. ESP-IDF's
# lwIP puts no fragments together: nothing that is longer than a link's packets arrives there.
_SIZE = 65535
if sys.implementation.name == "micropython" and sys.platform != "linux":
    _SIZE = 1500 if sys.platform == "esp32" or "esp32" in sys.modules else 3072


class Udp:
    """Serves a node. `ports` and `raw` are the sockets wanted: 500, 4500; 50, 51. OSError says which port is taken.

    `host` is the address to serve, all of them by default. `local` maps 500 and 4500 to others, to 0 for any that is
    free. Datagrams of `size` octets and more are not read whole: `cut` counts them. seen(verdict, via, source,
    datagram, length), if given, is called after each verdict, with the datagram in place: for logging.
    """

    def __init__(self, node, host="0.0.0.0", ports=(PORT, PORT_NAT), raw=(50, 51), local={}, size=_SIZE, seen=None):  # noqa: B006
        self.node = node
        self.seen = seen
        self.errors = 0  # how often something could not be read, sent or done
        self.error = None  # the last reason
        self.sinks = []  # where the contents of datagrams go; room() of each is how many it can still take
        self.cut = 0  # datagrams too long to be read, dropped
        self.passes = 0  # how often all that was due has been done
        self.misdirected = 0  # datagrams to another address or a broadcast, dropped
        self.unavailable = []  # of `raw`, what this port has no socket for, or the user no right to
        self._host = host
        self._own = b""
        self._asked = {}  # where the last datagrams for SAs came from: how to answer from where they arrived
        self._local = local
        self.size = size
        self.sockets = {}
        self._run = False
        self._alarm = sockets.Alarm()
        self._address = None  # the last one received from, as endpoint in _source
        self._source = b""
        self._to = b""  # the last endpoint sent to, as socket address in _to_address
        self._to_address = None
        for via in ports:
            try:
                self._open(via)
            except OSError as error:
                self.close()
                text = "no UDP port %d at %s (%s): another program has it, or it needs root; local={%d: 0} takes any"
                raise OSError(error.errno, text % (local.get(via, via), host, error, via)) from None
        for via in raw:
            try:
                self._open(via)
            except (OSError, AttributeError):
                self.unavailable.append(via)
        self._vias = list(self.sockets)

    def _open(self, via):
        self._own = self._own or sockets.own_address(self._host)
        port = self._local.get(via, via) if via > AH else 0
        self.sockets[via] = sock = sockets.open_socket(via, self._host, port, self._own)
        return sock

    async def run(self):
        """Serve until `close`; cancelling the task gives the ports back too. RuntimeError at a second call."""
        if self._run or not self._vias:
            raise RuntimeError("Udp.run() serves once, and not after close(): make another Udp")
        sockets.can_wait()
        self._run = True
        tasks = {}
        failed = 0  # passes in a row
        try:
            while self._vias:
                try:
                    if failed:
                        await sockets.sleep_ms(_PAUSE_MS << min(failed, _FAILED_MAX))
                    failed += 1
                    for via in self._vias:
                        if via not in tasks or tasks[via].done():
                            tasks[via] = asyncio.create_task(self._serve(via))
                    wait = self.look()
                    failed = 0
                    self.passes = (self.passes + 1) & _WRAP
                    await self._alarm.wait(wait)
                    await sockets.sleep_ms(0)  # long work goes on, and so does reading
                except Exception as error:
                    self.count(error)
        finally:
            for via in tasks:
                tasks[via].cancel()
            self.close()

    @property
    def serves(self):
        """True until `close`, or the end of `run`."""
        return bool(self._vias)

    async def __aenter__(self):
        """Serve until the block ends."""
        self._task = asyncio.create_task(self.run())
        return self

    async def __aexit__(self, *_):
        self.close()
        await self._task

    def close(self):
        """Give the ports back; `run` ends."""
        self._vias = ()
        for via in list(self.sockets):
            self._close(via)
        self._alarm.ring()

    def wake(self):
        """The node has something to send, or a timer that is sooner: it is looked at in the next pass of the loop."""
        self._alarm.ring()

    def send(self, via, to, octets, length, address=None, at=()):
        """Send octets[:length] from our port `via` to endpoint `to` at once; False, and counted, if it did not leave.

        `address`, if known, is the socket address of `to`; `at` is what `arrived` said of where to send from.
        """
        try:
            if address is None:
                if to != self._to:
                    self._to_address = address_of(to, ":" in self._host)
                    self._to = bytes(to)
                address = self._to_address
            out = octets if length == len(octets) else memoryview(octets)[:length]
            if at:
                self.sockets[via].sendmsg((out,), at, 0, address)
            else:
                self.sockets[via].sendto(out, address)
            return True
        except Exception as error:
            self.count(error)
            return False

    def look(self):
        """Let time pass and send what is due; how long nothing will be."""
        now = sockets.ticks_ms()
        try:
            self.node.tick(now)
        finally:
            self._flush(now)
        wait = self.node.next_timer(now)
        return min(wait, _IDLE_MS) if wait >= 0 else _IDLE_MS

    async def _serve(self, via):
        """Read what arrives at a port."""
        empty = failed = 0  # reads in a row that gave nothing, or an error
        size = self.size
        while via in self._vias:
            reads = 0
            try:
                if empty >= _BATCH or failed >= _BATCH:
                    empty = 0
                    self._close(via)
                sock = self.sockets.get(via) or self._open(via)
                await sockets.readable(sock)
                while reads < _BATCH:
                    got = sockets.read(sock, size)
                    reads += 1
                    failed = 0
                    if got[0]:
                        empty = 0
                    else:
                        empty += 1
                        sockets.clear_end(sock)
                    if len(got[0]) < size:
                        self.take(via, got)
                    else:
                        self.cut += 1
                    got = None  # it need not lie there until the next one comes
                    size = min(size << 1, self.size)
            except Exception as error:
                if isinstance(error, MemoryError) and size > _LEAST:
                    size = max(size >> 1, _LEAST)
                    reads = 1  # once more, with less
                elif not isinstance(error, OSError) or error.errno not in sockets.NOTHING:
                    failed += 1
                    self.count(error)
            pause = 0
            if failed or empty >= _BATCH or not reads:
                pause = min(_PAUSE_MS << min(failed, _BATCH + 1), _PAUSE_MAX_MS)
            await sockets.sleep_ms(pause)
            turns = _TURNS
            while turns and self._crowded():
                turns -= 1
                await sockets.sleep_ms(0)

    def _crowded(self):
        """True while somewhere there is no room for what another batch may bring (T4)."""
        for sink in self.sinks:
            if sink.room() < _BATCH:
                return True
        return False

    def take(self, via, got):
        """Put what was read to the node, if it was sent to us; what goes wrong in there costs this datagram only."""
        try:
            if not got[0]:
                self._receive(via, b"", b"", 0)
            else:
                at = sockets.arrived(got)
                address = got[-1]
                if address != self._address:
                    self._source = endpoint(address)
                    self._address = address
                if at is None:
                    self.misdirected += 1
                elif via > AH:
                    self._receive(via, self._source, got[0], len(got[0]), address, at)
                else:
                    self._receive_raw(via, self._source[:-2] + b"\0\0", got[0], address, at)
        except Exception as error:
            self.count(error)

    def _receive_raw(self, via, source, packet, address, at):
        start = 0
        if len(source) == 6:  # a raw socket of IPv4 gives the IP header first, one of IPv6 does not
            start = ipv4_payload(packet, len(packet))
            if start >= 0 and not sockets.sent_to(packet, self._own):
                self.misdirected += 1
                return
        if start < 0:
            self._receive(via, source, packet, 0)
        else:
            self._receive(via, source, memoryview(packet)[start:], len(packet) - start, address, at)

    def _receive(self, via, source, datagram, length, address=None, at=()):
        """Put a datagram to the node, and answer from `at` to `address`, which is where `source` is."""
        now = sockets.ticks_ms()
        verdict = self.node.receive(via, source, datagram, length, now)
        is_answered = INVALID_SPI < verdict < INVALID_SPI_PROTECTED  # and nothing else comes of it
        if verdict < _DROPS and not is_answered:
            if at and DELIVER_IKE <= verdict <= _DELIVER_ESP:
                self._asked.pop(source, None)
                self._asked[source] = at
                if len(self._asked) > _ASKED:
                    del self._asked[next(iter(self._asked))]
            self._flush(now, source, address, at)
            if INVALID_SPI_PROTECTED <= verdict <= DELIVER_INIT:
                self.wake()  # its owner may have work to do, or wait for an answer
        if is_answered:
            self._answer(now, address, at)
        if self.seen:
            self.seen(verdict, via, source, datagram, length)

    def _answer(self, now, address, at):
        """Send the answer to an IKE message from `at` to `address`."""
        node = self.node
        size = node.outgoing(now)
        self.send(node.out_via, node.out_to, node.out, size, address, at)

    def _flush(self, now, source=None, address=None, at=()):
        """Send all that the node has now; what goes back to the host of `source` leaves from where it was asked."""
        node = self.node
        size = node.outgoing(now)
        while size:
            to = node.out_to
            if to is source:
                self.send(node.out_via, to, node.out, size, address, at)
            else:
                self.send(node.out_via, to, node.out, size, None, self._from(to, size, source, at))
            size = node.outgoing(now)

    def _from(self, to, size, source, at):
        """What sendmsg needs to send from the address that was asked, if anything was (S2.4, A13)."""
        if at and to[:-2] == source[:-2]:
            return at
        flags = FLAGS + (MARKER if self.node.out_via == PORT_NAT else 0)
        return self.asked(to) if self._asked and size > flags and self.node.out[flags] & RESPONSE else ()

    def asked(self, endpoint):
        """The same for what goes to that endpoint later; () if the platform does not tell."""
        return self._asked.get(bytes(endpoint), ())

    def count(self, error):
        self.errors += 1
        self.error = error

    def _close(self, via):
        sock = self.sockets.pop(via, None)
        if sock:
            sockets.unwatch(sock)
            sock.close()
