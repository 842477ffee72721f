"""Addresses as sockets have them, their endpoints, and names.

An endpoint is 4 or 16 address octets and 2 port octets. An IPv6 link-local address means something on its link only:
the number of the interface stands in octets 2 to 5 of the endpoint, which are zero on the wire (RFC 4291 section
2.5.6), so one such address on two links is two endpoints, and an endpoint alone says where to send.
"""

import asyncio
import socket
import sys
from errno import ENOMEM

from portable import const, ipv4

from .memory import in_words, octets_free

_IPV4_HEADER = const(20)
MAPPED = b"\0\0\0\0\0\0\0\0\0\0\xff\xff"  # RFC 4291 section 2.5.5.2
_QUERY = const(2048)  # octets that a query to a name server takes: lwIP's, and the Wi-Fi driver's
_MICROPYTHON = sys.implementation.name == "micropython"


def link_local(octets):
    """Is this an IPv6 address that is good on one link only (fe80::/10)?"""
    return octets[0] == 0xFE and octets[1] & 0xC0 == 0x80


def endpoint(address):
    """Endpoint of a socket address: a (host, port, flow, scope) tuple, or a sockaddr on MicroPython's unix port."""
    scope = 0
    if isinstance(address, tuple):
        host, port = address[:2]
        port = bytes((port >> 8, port & 0xFF))
        if ":" not in host:
            return ipv4(host) + port
        octets = socket.inet_pton(socket.AF_INET6, host.split("%")[0])
        if len(address) > 3:
            scope = address[3]
    else:
        octets = bytes(address)
        port = octets[2:4]
        if len(octets) < 28:
            return octets[4:8] + port
        scope = int.from_bytes(octets[24:28], sys.byteorder)
        octets = octets[8:24]
    if octets[:12] == MAPPED:
        octets = octets[12:]
    elif scope and link_local(octets):
        octets = octets[:2] + scope.to_bytes(4, "big") + octets[6:]
    return octets + port


def address_of(to, over_ipv6=False):
    """Socket address of an endpoint, for a socket of IPv4 or of IPv6."""
    size = len(to) - 2
    if size == 4:
        host = ("::ffff:" if over_ipv6 else "") + "%d.%d.%d.%d" % (to[0], to[1], to[2], to[3])
    else:
        scope = int.from_bytes(to[2:6], "big") if link_local(to) else 0
        octets = bytes(to[:2]) + bytes(4) + bytes(to[6:16]) if scope else to
        host = ":".join(["%x" % (octets[i] << 8 | octets[i + 1]) for i in range(0, 16, 2)])
        if scope:
            host += "%%%d" % scope
    return socket.getaddrinfo(host, to[size] << 8 | to[size + 1])[0][-1]


def ipv4_payload(packet, length):
    """Offset of the payload in what a raw IPv4 socket delivers, IP options honoured (RFC 791 3.1); -1 if none."""
    if length < _IPV4_HEADER or packet[0] >> 4 != 4:
        return -1
    at = (packet[0] & 15) << 2
    return at if _IPV4_HEADER <= at <= length else -1


def port_of(host, otherwise):
    """The port in "host:port" (config.keys says what it may be), else `otherwise`."""
    return int(host.partition(":")[2] or otherwise)


async def resolve(host):
    """The 4 address octets that a name, or an address in text, has now; OSError in words if it has none.

    ENOMEM: there was no memory to ask for it. A port behind a colon, as `port_of` reads it, is left out.
    On MicroPython nothing else runs meanwhile, on an ESP32 for seconds if no name server answers.
    """
    why = "none of IPv4"
    name = host.partition(":")[0] if host.count(":") == 1 else host
    try:
        if _MICROPYTHON:
            found = socket.getaddrinfo(name, 0)
        else:
            found = await asyncio.get_running_loop().getaddrinfo(name, 0, family=socket.AF_INET)
    except (OSError, UnicodeError) as error:
        if 0 <= octets_free() < _QUERY:  # lwIP has one number for that and for a name that there is not
            raise OSError(ENOMEM, in_words(MemoryError())) from None
        found = ()
        why = error
    for entry in found:
        octets = endpoint(entry[-1])[:-2]
        if len(octets) == 4 and any(octets):
            return octets
    raise OSError("no address for %r: %s" % (host, why))
