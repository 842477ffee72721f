"""Octets of IKEv2, ESP and AH: where each field lies, and the messages that leave outside of an IKE SA.

RFC 7296 section 3.1 (header), 3.2 (generic payload header), 3.10 (Notify); RFC 4303 and 4302 for the
SPI of ESP and AH; RFC 3948 for the non-ESP marker. A function checks a length once, then trusts it.
Everything is read and written in place, at an offset: slices would copy, and an SPI as an int would be
a heap object on a 32-bit board. The composers take octets only, so no key and no SA can ever reach an
unprotected message.
"""

from struct import pack_into

from portable import const, copy, micropython, ptr8

PORT = const(500)
PORT_NAT = const(4500)
ESP = const(50)
AH = const(51)
AH_SPI = const(4)  # that of ESP is at 0 (RFC 4303 section 2.1, RFC 4302 section 2)

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


def header_fits(octets, at, length):
    """True if a whole IKE message lies in octets[at:length]: header there, length field exact (section 3.1)."""
    size = length - at
    if size < HEADER or octets[at + LENGTH] or octets[at + LENGTH + 1]:
        return False
    return (octets[at + LENGTH + 2] << 8) | octets[at + LENGTH + 3] == size


@micropython.viper
def lone_notify(octets: ptr8, at: int, length: int) -> int:
    """Type of the Notify payload that is all there is in octets[at:length]; 0 if there is anything else (3.10)."""
    notify = octets[at + NEXT_PAYLOAD] == NOTIFY
    at += HEADER
    size = length - at
    if not notify or size < _NOTIFY_HEADER or octets[at] or (octets[at + 2] << 8) | octets[at + 3] != size:
        return 0
    if _NOTIFY_HEADER + octets[at + 5] > size:
        return 0
    return (octets[at + 6] << 8) | octets[at + 7]


def notify_data(octets, at):
    """Offset of the Notification Data in a message that `lone_notify` accepted."""
    return at + HEADER + _NOTIFY_HEADER + octets[at + HEADER + 5]


def blank_answer(at):
    """A buffer for `answer`, with all that is the same in each: `at` is 0, or 4 for a non-ESP marker in front."""
    return bytearray(at + LENGTH) + bytes((0, 0, 0, ANSWER, 0, 0, 0, _NOTIFY_HEADER, 0, 0, 0, 0))


def answer(blank, request, at, notify):
    """Compose the answer to the IKE request at request[at:] in what blank_answer(at) made.

    Sections 1.5, 2.21.4. The request's first octets, edited: response flag set, I inverted, one Notify without data.
    """
    copy(blank, at, request, at, LENGTH)  # S2.5
    blank[at + NEXT_PAYLOAD] = NOTIFY
    blank[at + VERSION] = VERSION_2  # S2.6
    blank[at + FLAGS] = (RESPONSE | INITIATOR) - (request[at + FLAGS] & INITIATOR)  # S2.7
    blank[at + ANSWER - 1] = notify  # S2.8, S3.2


def blank_invalid_spi(at):
    """The one-way INVALID_SPI message of section 1.5, its SPIs still to be entered; `at` is 0, or 4 for a marker."""
    out = bytearray(at + INVALID_SPI_MESSAGE)
    header = NOTIFY, VERSION_2, INFORMATIONAL, INITIATOR, 0, INVALID_SPI_MESSAGE  # S1.7
    # S1.3
    pack_into(">BBBBIIBBHBBH", out, at + NEXT_PAYLOAD, *(header + (0, 0, _NOTIFY_HEADER + 4, 0, 0, INVALID_SPI)))
    return out
