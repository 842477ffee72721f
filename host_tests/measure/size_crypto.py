"""What keys and ciphers cost on the emulated Cortex-M3: instructions, and ratios to what the platform alone takes."""

from boards.emulator import CLOCK_NS, Board

CIPHERS = ("aes-cbc-128", "aes-cbc-256", "aes-gcm-16-128", "aes-gcm-16-256")
INSIDE = (64, 1024)  # octets of the packet in an ESP packet
GROUPS = {31: "X25519", 14: "MODP-2048"}
_FREE = (100_000, 16_000)
_EXCHANGE = """
import gc, time
from ikev2.crypto import group
def exchange(number, free):
    "(ticks of an operation, of its longest slice), with so much of the heap free before it."
    dh = group(number, lambda n: bytes(range(1, n + 1)))
    type(dh)._known = True
    hog = []
    gc.collect()
    try:
        while gc.mem_free() > free + 600:
            hog.append(bytearray(500))
    except MemoryError:  # in small pieces, all of it
        pass
    free = gc.mem_free()
    dh.begin()
    total = longest = 0
    done = False
    while not done:
        start = time.ticks_cpu()
        done = dh.step()
        slice = time.ticks_diff(time.ticks_cpu(), start)
        total += slice
        longest = max(longest, slice)
    print(total, longest, free)
"""
_COST = """
import gc, hashlib, time
from cryptolib import aes
from ikev2.sa import keys
from ikev2.crypto import cipher, key_size
from ipsec.esp import ROOM, ChildSa
def ticks(what, *arguments):
    "Of a call, the best of five; without what a call takes anyway."
    best = []
    gc.collect()
    small = [i / 2 for i in range(1000)]  # they fill the heap's holes: what is made finds room at once
    for called in (what, lambda *_: None):
        counts = []
        for _ in range(5):
            start = time.ticks_cpu()
            called(*arguments)
            counts.append(time.ticks_diff(time.ticks_cpu(), start))
        best.append(min(counts))
    return best[0] - best[1]
def packet(name, inside):
    "Ticks of seal and open, of the same by the platform alone, and of what the cipher has in them."
    key = bytes(key_size(name))
    all_of_them = b"\\0\\0\\0\\xff\\xff\\0\\0\\0\\0\\xff\\xff\\xff\\xff"
    def child():
        return ChildSa(name, key, key, b"abcd", all_of_them, all_of_them, bytes)
    here, there = child(), child()
    out = bytearray(1600)
    addresses = b"\\x0a\\0\\0\\1\\x0a\\0\\0\\2"
    out[ROOM:ROOM + 20] = bytes((0x45, 0, inside >> 8, inside & 255, 0, 0, 0, 0, 64, 17, 0, 0)) + addresses
    clear = bytes(out)
    seals, opens = [], []
    gc.collect()
    for _ in range(5):
        out[:] = clear
        start = time.ticks_cpu()
        length = here.seal(out, 0, inside)
        seals.append(time.ticks_diff(time.ticks_cpu(), start))
        sealed = bytes(memoryview(out)[:length])
        start = time.ticks_cpu()
        wrong = there.open(sealed, 0, length)
        opens.append(time.ticks_diff(time.ticks_cpu(), start))
        assert not wrong and there.size == inside, wrong
    alone = [ticks(platform, name, key, sealed, way) for way in (True, False)]
    made, into, end = cipher(name, key), bytearray(1600), length - 16
    of_cipher = [ticks(made.seal, out, 0, 8, end), ticks(cipher(name, key).open, sealed, 0, 8, end, into)]
    print(min(seals), min(opens), *(alone + of_cipher))
PAD = bytes(64)
ROOM_FOR_IT = bytearray(1600)
def platform(name, key, packet, seal):
    "What cryptolib and hashlib do for the same octets: a key, the blocks, and HMAC."
    view, length = memoryview(packet), len(packet)
    if "gcm" in name:
        aes(key[:-4], 1).encrypt(view[:(length + 15) // 16 * 16 - 16], ROOM_FOR_IT)
        return
    made = aes(key[:-32], 2, view[8:24])
    (made.encrypt if seal else made.decrypt)(view[24:length - 16], ROOM_FOR_IT)
    inner = hashlib.sha256(PAD)
    inner.update(view[:length - 16])
    outer = hashlib.sha256(PAD)
    outer.update(inner.digest())
    outer.digest()
def derived():
    seed, key = bytes(80), bytes(32)
    print(ticks(keys.prf_plus, key, seed, 256), ticks(keys.ike_keys, "aes-cbc-256", key, key, key, bytes(8), bytes(8)))
"""


def on_board(board, code):
    return [round(float(count) * CLOCK_NS) for count in board.exec(code).split()]


def instructions():
    """{what: instructions}; what belongs to the platform alone has that in its name."""
    found = {}
    with Board(icount=True) as board:
        board.exec(_COST)
        found["prf+ of 256 octets"], found["keys of an IKE SA"] = on_board(board, "derived()")
        for name in CIPHERS:
            for inside in INSIDE:
                made = on_board(board, f"packet({name!r}, {inside})")
                for way, *counts in zip(("seal", "open"), made[:2], made[2:4], made[4:], strict=True):
                    what = f"ESP, {name}, {inside} octets inside, {way}"
                    found[what], found[f"{what}, the platform alone"], found[f"{what}, the cipher"] = counts
    with Board(icount=True) as board:
        board.exec(_EXCHANGE)
        for number, name in GROUPS.items():
            for free in _FREE:
                total, longest, _ = on_board(board, f"exchange({number}, {free})")
                what = f"{name}, {free // 1000} KB of heap free"
                found[what], found[f"{what}, the longest slice"] = total, longest
    return found


def ratios(found):
    """{what: how many times what the platform alone takes}."""
    alone = ", the platform alone"
    return {what: found[what] / found[what + alone] for what in found if what + alone in found}
