"""Octets of IKEv2, ESP and AH: where each field lies, and the messages that leave outside of an IKE SA.

RFC 7296 section 3.1 (header), 3.2 (generic payload header), 3.10 (Notify); RFC 4303 and 4302 for the
SPI of ESP and AH; RFC 3948 for the non-ESP marker. A function checks a length once, then trusts it.
Everything is read and written in place, at an offset: slices would copy, and an SPI as an int would be
a heap object on a 32-bit board. The composers take octets only, so no key and no SA can ever reach an
unprotected message.
"""

import struct

try:
    from micropython import const
except ImportError:

    def const(value):
        return value


PORT = const(500)
PORT_NAT = const(4500)
ESP = const(50)
AH = const(51)

# Section 3.1: offsets from the start of the IKE header.
SPI_I = const(0)
SPI_R = const(8)
NEXT_PAYLOAD = const(16)
VERSION = const(17)
EXCHANGE = const(18)
FLAGS = const(19)
MESSAGE_ID = const(20)
LENGTH = const(24)
HEADER = const(28)

INITIATOR = const(0x08)
RESPONSE = const(0x20)
VERSION_2 = const(0x20)

IKE_SA_INIT = const(34)
IKE_AUTH = const(35)
CREATE_CHILD_SA = const(36)
INFORMATIONAL = const(37)
IKE_SESSION_RESUME = const(38)

NOTIFY = const(41)
SK = const(46)
SKF = const(53)

# Section 3.10.1.
INVALID_IKE_SPI = const(4)
INVALID_MAJOR_VERSION = const(5)
INVALID_SPI = const(11)

MARKER = const(4)
ANSWER = const(36)
INVALID_SPI_MESSAGE = const(40)

_NOTIFY_HEADER = const(8)
_ESP_HEADER = const(8)
_AH_HEADER = const(12)
_AH_SPI = const(4)
_IPV4_HEADER = const(20)


def equal(a, i, b, j, n):
    """True if a[i:i+n] and b[j:j+n] are the same octets."""
    while n:
        n -= 1
        if a[i + n] != b[j + n]:
            return False
    return True


def header_fits(octets, at, length):
    """True if a whole IKE message lies in octets[at:length]: header there, length field exact (section 3.1)."""
    return (
        length - at >= HEADER
        and (octets[at + 26] << 8) | octets[at + 27] == length - at
        and not octets[at + 24]
        and not octets[at + 25]
    )


def spi_offset(protocol, length):
    """Offset of the SPI in an ESP (50) or AH (51) packet of `length` octets; -1 if its fixed header is cut short."""
    if protocol == ESP:
        return 0 if length >= _ESP_HEADER else -1
    return _AH_SPI if length >= _AH_HEADER else -1


def lone_notify(octets, at, length):
    """Type of the Notify payload that is all there is in octets[at:length]; 0 if there is anything else (3.10)."""
    payload = at + HEADER
    if octets[at + NEXT_PAYLOAD] != NOTIFY or length - payload < _NOTIFY_HEADER or octets[payload]:
        return 0
    size = length - payload
    if (octets[payload + 2] << 8) | octets[payload + 3] != size or _NOTIFY_HEADER + octets[payload + 5] > size:
        return 0
    return (octets[payload + 6] << 8) | octets[payload + 7]


def notify_data(octets, at):
    """Offset of the Notification Data in a message that `lone_notify` accepted."""
    return at + HEADER + _NOTIFY_HEADER + octets[at + HEADER + 5]


def answer(out, request, at, notify):
    """Compose the answer to the IKE request at request[at:] into `out`; returns its length (sections 1.5, 2.21.4).

    The request's header, edited: response flag set, I inverted, one Notify without data. `at` is 0, or 4
    behind a non-ESP marker, which the answer then carries too. `request` is bytes or bytearray.
    """
    struct.pack_into(">32sBBHBBH" if at else ">28sBBHBBH", out, 0, request, 0, 0, _NOTIFY_HEADER, 0, 0, notify)
    out[at + NEXT_PAYLOAD] = NOTIFY
    out[at + VERSION] = VERSION_2
    out[at + FLAGS] = RESPONSE | (~request[at + FLAGS] & INITIATOR)
    out[at + 26] = 0
    out[at + 27] = ANSWER
    return at + ANSWER


def invalid_spi(out, at, spis, packet, spi_at):
    """Compose the one-way INVALID_SPI message for the SPI at packet[spi_at:] into `out`; returns its length (1.5).

    `at` is 0, or 4 to put a non-ESP marker first. `spis` are 16 octets for the two IKE SPIs.
    """
    if at:
        out[0] = out[1] = out[2] = out[3] = 0
    struct.pack_into(
        ">16sBBBBIIBBHBBHBBBB", out, at, spis, NOTIFY, VERSION_2, INFORMATIONAL, INITIATOR, 0, INVALID_SPI_MESSAGE,
        0, 0, 12, 0, 0, INVALID_SPI, packet[spi_at], packet[spi_at + 1], packet[spi_at + 2], packet[spi_at + 3],
    )  # fmt: skip
    return at + INVALID_SPI_MESSAGE


def ipv4_payload(packet, length):
    """Offset of the payload in what a raw IPv4 socket delivers, IP options honoured (RFC 791 3.1); -1 if none."""
    if length < _IPV4_HEADER or packet[0] >> 4 != 4:
        return -1
    at = (packet[0] & 15) << 2
    return at if _IPV4_HEADER <= at <= length else -1
