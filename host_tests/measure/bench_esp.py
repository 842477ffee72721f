"""What a packet through a Child SA costs on the emulated board, beside the platform's AES and SHA-256 alone."""

from boards.emulator import CLOCK_NS, Board

CIPHERS = ("aes-cbc-128", "aes-cbc-256", "aes-gcm-16-128", "aes-gcm-16-256")
SIZES = (64, 1024)  # octets of the inner packet
_COST = """
import gc, hashlib, os, time
from cryptolib import aes
from ikev2.crypto import key_size
from ipsec.esp import ROOM, ChildSa
from inside.stack import Stack
ALL = b"\\0\\0\\0\\xff\\xff\\0\\0\\0\\0\\xff\\xff\\xff\\xff"
US, THEM = b"\\x0a\\x4d\\0\\2", b"\\x0a\\x4d\\0\\x09"
def clock(function, *arguments):
    "ticks of a call, with an empty heap, and what it leaves on it"
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    start = time.ticks_cpu()
    function(*arguments)
    ticks = time.ticks_diff(time.ticks_cpu(), start)
    left = gc.mem_alloc() - before
    gc.enable()
    return ticks, left
def nothing(a, b, c):
    pass
def alone(out, start, end):
    "the platform's AES-CBC and SHA-256 over the same octets"
    view = memoryview(out)
    aes(bytes(16), 2, bytes(16)).encrypt(view[start:end], view[start:end])
    hashlib.sha256(view[:end]).digest()
def cost(cipher, size):
    key = bytes(key_size(cipher))
    selectors = ALL[:5] + US + US
    here = ChildSa(cipher, key, key, b"abcd", selectors, ALL, os.urandom)
    there = ChildSa(cipher, key, key, b"abcd", ALL, selectors, os.urandom)
    ours, theirs = Stack(US), Stack(THEM)
    sock = theirs.bind(5683)
    data = bytes(size - 28)
    out = bytearray(1472)
    least = None
    for _ in range(4):
        sent = clock(ours.send, out, ROOM, 40000, THEM, 5683, data)
        sealed = clock(here.seal, out, 0, size)
        length = here.seal(out, 0, ours.send(out, ROOM, 40000, THEM, 5683, data))
        opened = clock(there.open, bytes(out[:length]), 0, length)
        received = clock(theirs.receive, there.packet, there.size, 0)
        assert sock.take() == (data, US, 40000)
        found = [one[0] for one in (sealed, opened, sent, received)]
        found.append(clock(alone, out, 24, 24 + (size + 17) // 16 * 16)[0])
        call = clock(nothing, out, 0, size)[0]
        found = [ticks - call for ticks in found] + [one[1] for one in (sealed, opened, sent, received)]
        least = found if least is None else [min(pair) for pair in zip(least, found)]
    print(*least)
"""


def measured():
    """{(cipher, size): {what: instructions, or octets of heap until collected}}, under -icount."""
    names = ("sealed", "opened", "sent", "received", "AES-CBC and SHA-256 alone")
    found = {}
    with Board(icount=True) as board:
        board.exec(_COST)
        for cipher in CIPHERS:
            for size in SIZES:
                numbers = [int(number) for number in board.exec(f"cost({cipher!r}, {size})").split()]
                found[cipher, size] = {name: number * CLOCK_NS for name, number in zip(names, numbers, strict=False)}
                heap = zip(names, numbers[5:], strict=False)
                found[cipher, size].update({f"heap, {name}": number for name, number in heap})
    return found


def figures():
    """(what, number, unit), as size.py prints them."""
    for (cipher, size), costs in measured().items():
        inside = f"Child SA, {cipher}, {size:,} octets"
        for what in ("sealed", "opened"):
            yield f"{inside} {what}", costs[what], "instructions"
        if cipher == CIPHERS[0]:
            yield f"{inside}, AES-CBC and SHA-256 alone", costs["AES-CBC and SHA-256 alone"], "instructions"
            yield f"UDP inside, {size:,} octets, composed", costs["sent"], "instructions"
            yield f"UDP inside, {size:,} octets, received", costs["received"], "instructions"
        if size == SIZES[0]:
            heap = costs["heap, sealed"] + costs["heap, opened"]
            yield f"RAM, Child SA, {cipher}, sealed and opened, until collected", heap, "octets"


if __name__ == "__main__":
    for what, number, unit in figures():
        print(f"{what:70} {number:>9,} {unit}", flush=True)
