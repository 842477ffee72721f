"""What the cases of firmware_*.py share: the firmware on a PC, with fakes for what an ESP32 has.

A case is a function without arguments in one of those files, which CPython or MicroPython runs with its name as the
argument; it prints what the firmware prints, then "passed".
"""

import asyncio
import json
import sys

from boards import fake_esp32

fake_esp32.install()

import ikev2_main  # noqa: E402
import ikev2_network  # noqa: E402, F401
import ikev2_sleep  # noqa: E402, F401
import ikev2_watchdog  # noqa: E402, F401
from ikev2.config import FILE  # noqa: E402
from ikev2.net.udp import Udp  # noqa: E402

REQUEST = bytes((1,)) * 16 + bytes((46, 0x20, 37, 8, 0, 0, 0, 9, 0, 0, 0, 64)) + bytes(36)


def configure(**values):
    with open(FILE, "w") as file:
        json.dump(values, file)


class PcUdp(Udp):
    """Ports that a PC gives to everybody."""

    def __init__(self, node, **options):
        super().__init__(node, host="127.0.0.1", local={500: 45500, 4500: 45501}, **options)


ikev2_main.Udp = PcUdp


async def until(condition):
    while not condition():
        await asyncio.sleep(0.005)


def woken():
    """ikev2_main as after a reset: imported anew. RTC memory is empty from then on, whatever was in it."""
    del sys.modules["ikev2_main"]
    import ikev2_main

    assert fake_esp32.Rtc.octets == b""
    return ikev2_main


def run_case(cases):
    """Run the case that the command line names."""
    cases[sys.argv[1]]()
    print("passed")
