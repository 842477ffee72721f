"""What an INVALID_SPI over an IKE SA costs, per cipher: made with its keys, and its response verified."""

import subprocess

from boards.emulator import CLOCK_NS, Board
from tools import device_environment, micropython

CIPHERS = ("aes-cbc-128", "aes-cbc-256", "aes-gcm-16-128", "aes-gcm-16-256")
_COST = """
import gc, os, time
from ikev2.sa import sk
from ikev2.crypto import integrity_size, key_size
from ikev2.sa.informational import IkeSa
from ikev2.node import Node
from ikev2.spi_table import SpiTable
PEER = b"\\xc0\\0\\2\\1\\x01\\xf4"
def end(cipher, initiator):
    table = SpiTable(1, 1)
    slot = table.adopt_ike(b"initiate", b"response", initiator, PEER, True)
    integrity = bytes(integrity_size(cipher))
    key = bytes(key_size(cipher) - len(integrity))
    keys = sk.protection(cipher, initiator, key, key, integrity, integrity)
    return IkeSa(Node(table, os.urandom), slot, keys, 0, 0)
def protected(cipher, repeat):
    "(ticks of a request made, of its response verified)"
    here, there = end(cipher, True), end(cipher, False)
    out = bytearray(256)
    made = verified = 0
    for _ in range(repeat):
        gc.collect()
        here.report_unknown_spi(b"\\xc0\\xff\\xee\\x99", 0)
        start = TICKS()
        length = here.outgoing(out, 0, 0)
        made += time.ticks_diff(TICKS(), start)
        there.receive(out, 0, length, 0)
        length = there.outgoing(out, 0, 0)
        start = TICKS()
        here.receive(out, 0, length, 0)
        verified += time.ticks_diff(TICKS(), start)
        assert not here.waiting and not here.window.dropped
    return made / repeat, verified / repeat
def unprotected(repeat):
    "ticks of an INVALID_IKE_SPI made"
    node = Node(SpiTable(), os.urandom, answers_per_s=1000000, burst=1000000, per_source_ms=0)
    packet = bytearray(b"initiatexxxxxxxx.\\x20\\x25\\x08\\0\\0\\0\\0\\0\\0\\0\\x50" + bytes(52))
    start = TICKS()
    for _ in range(repeat):
        node.receive(500, PEER, packet, 80, 0)
    return time.ticks_diff(TICKS(), start) / repeat
"""


def microseconds():
    """(of an unprotected answer, {cipher: (made, verified)}) on the MicroPython unix port: the best of three rounds."""
    code = _COST.replace("TICKS", "time.ticks_us") + (
        f"print(min(unprotected(20000) for _ in range(3)))\nfor cipher in {CIPHERS!r}:\n"
        "    print(*min(protected(cipher, 500) for _ in range(3)))\n"
    )
    run = subprocess.run(
        [micropython(), "-c", code], check=True, capture_output=True, text=True, env=device_environment()
    )
    answer, *costs = [[float(field) for field in line.split()] for line in run.stdout.splitlines()]
    return answer[0], dict(zip(CIPHERS, costs, strict=True))


def instructions():
    """{cipher: (made, verified)} on the emulated board, under -icount."""
    found = {}
    with Board(icount=True) as board:
        board.exec(_COST.replace("TICKS", "time.ticks_cpu"))
        for cipher in CIPHERS:
            ticks = board.exec(f"print(*protected({cipher!r}, 5))").split()
            found[cipher] = tuple(round(float(count) * CLOCK_NS) for count in ticks)
    return found


def speed():
    """Prints the ratios that `make bench` is for."""
    answer, costs = microseconds()
    for cipher, (made, verified) in costs.items():
        print(
            f"protected INVALID_SPI  {cipher:14}  made {made:7.1f} us, {made / answer:5.0f} of an unprotected answer   "
            f"response verified {verified:7.1f} us, {verified / answer:5.0f}"
        )
