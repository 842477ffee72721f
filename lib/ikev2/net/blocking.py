"""What asyncio's tasks do for a Udp, done at once for a program that blocks: reading, timers, the gateway's name."""

import select
import socket

from portable import const

from ..wire import AH
from . import sockets
from .addresses import endpoint

_BATCH = const(8)


def serve(udp, ms):
    """Send what is due, wait for datagrams `ms` milliseconds at most, and take them in."""
    wait = udp.look()
    poller = select.poll()
    for via in udp.sockets:
        if via > AH:  # a raw one of lwIP's is always said to have hung up
            poller.register(udp.sockets[via], select.POLLIN)
    poller.poll(min(ms, wait))
    for via in list(udp.sockets):
        try:
            for _ in range(_BATCH):
                got = sockets.read(udp.sockets[via], udp.size)
                if not got[0]:
                    sockets.clear_end(udp.sockets[via])
                    break
                udp.take(via, got)
        except Exception as error:
            if not isinstance(error, OSError) or error.errno not in sockets.NOTHING:
                udp.count(error)
    udp.look()


def resolve(host):
    """The 4 address octets that a name has now, a port behind a colon left out; OSError."""
    for entry in socket.getaddrinfo(host.partition(":")[0], 0):
        octets = endpoint(entry[-1])[:-2]
        if len(octets) == 4 and any(octets):
            return octets
    raise OSError("no address for %r" % host)
