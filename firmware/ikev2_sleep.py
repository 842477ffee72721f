"""Deep sleep: the table of SAs stays in RTC memory, and a tunnel if its keys may, so that both go on after waking.

RTC memory holds 2,048 octets and outlives deep sleep, not power loss. What it keeps is good for one waking: it is read
and cleared when this firmware is imported, before anything can be sent or go wrong (RULES.md Z2).
"""

import struct
import time
from binascii import crc32

import machine
from machine import RTC, deepsleep
from portable import const, milliseconds

if not hasattr(RTC, "memory"):
    raise ImportError("no RTC memory")

_RTC_OCTETS = const(2048)
_CHECK = const(4)
_DEEPSLEEP_MAX = 0x7FFFFFFF  # milliseconds that ports take
_SLEPT_MAX = (1 << 40) - 1
_VERSION = const(3)
_FORM = ">BHQI4s"  # version, octets of the table, milliseconds to sleep, seconds of the clock, our address


def _check(head):
    """Against damage; table and tunnel behind it have checks of their own."""
    return crc32(head).to_bytes(_CHECK, "big")


def sleep(node, ms, tunnel=b"", address=bytes(4)):
    """Keep the table and the octets of a tunnel, and sleep for `ms`, 24 days at most; then the board starts anew.

    ValueError if the table is too much for RTC memory. A tunnel that is, and a full heap, keep nothing, and sleep (Z7).
    """
    ms = min(milliseconds(ms), _DEEPSLEEP_MAX)
    try:
        _keep(node, ms, tunnel, address)
    except MemoryError:
        pass
    deepsleep(ms)


def _keep(node, ms, tunnel, address):
    table = node.table.snapshot()
    head = struct.pack(_FORM, _VERSION, len(table), ms, int(time.time()), address)
    octets = _check(head) + head + table + tunnel
    if len(octets) > _RTC_OCTETS:
        why = "%d octets to keep, RTC memory holds %d: fewer ike_sas or child_sas" % (len(octets), _RTC_OCTETS)
        if not tunnel:
            raise ValueError(why)
        print(why)
        return
    RTC().memory(octets)


def taken():
    """What `sleep` kept, b"" after any other reset. It is gone from RTC memory from then on."""
    octets = RTC().memory()
    if octets:
        RTC().memory(bytearray(len(octets)))  # an ESP32 forgets no octet for a shorter length
        RTC().memory(b"")
    return octets if machine.reset_cause() == machine.DEEPSLEEP_RESET else b""


def opened(octets):
    """(table, tunnel, milliseconds slept at least, address) of what was taken; None if it is not whole (Z2)."""
    size = _CHECK + struct.calcsize(_FORM)
    octets = memoryview(octets)  # a slice of bytes is a copy, and a hash of it
    if len(octets) < size or _check(octets[_CHECK:size]) != octets[:_CHECK]:
        return None
    version, length, ms, began, address = struct.unpack_from(_FORM, octets, _CHECK)
    if version != _VERSION:
        return None
    # Z4: the clock goes on where the port has one for that; one that has jumped is a long sleep (Z8).
    slept = min(max(ms, (int(time.time()) - began) * 1000), _SLEPT_MAX)
    return octets[size : size + length], octets[size + length :], slept, address


def restore(table, octets):
    """Fill the table with its snapshot; how many IKE SAs it has then, -1 if it is of another size or not whole.

    They are not established, since nothing can be sent over them (S1.1), until an owner is attached.
    """
    if not table.restore(octets):
        return -1
    return len(table.ike_sas())
