"""RAM, where there is little: the heap is kept from growing, modules are looked up once, and dropped after their work.

What lies as .mpy files in the file system is in RAM as long as it is loaded. The heap of an ESP32 grows by taking the
largest block of the memory that machine code, sockets and Wi-Fi share, in the end all of it; so it is collected often,
rather than full. Imported before everything else.
"""

import gc
import sys


def _know(*names):
    """Import built-in modules once and for all: each `import` of one looks for a file of its name first."""
    path = sys.path[:]
    sys.path[:] = []
    for name in names:
        if name not in sys.modules:
            try:
                sys.modules[name] = __import__(name)
            except ImportError:
                pass  # not on this board
    sys.path[:] = path


_know("time", "os", "io", "errno", "struct", "array", "binascii", "select", "socket", "hashlib", "cryptolib", "machine",
      "network", "esp32")  # fmt: skip

esp32 = sys.modules.get("esp32")
_THRESHOLD = 4096  # octets that are allocated between two collections
# What an attempt or a rekey needs, and nothing afterwards; what reads a configuration. Some are functions that
# deployment puts into files of their own (host_tests/boards/seldom.py).
MAKING = ("ikev2.initial", "ikev2.initial.sa_init", "ikev2.initial.auth", "ikev2.initial.initiator", "ikev2.sa.rekey",
          "ikev2.sa.proposals", "ikev2.sa.keys", "ikev2.sa.reasons", "ikev2.crypto.known", "ikev2.crypto.x25519",
          "ikev2.crypto.modp2048", "ikev2.crypto.slices", "ikev2_add", "ipsec_try", "ipsec_ts",
          "ipsec_make", "ipsec_ask", "ipsec_algs", "ipsec_tell", "ikev2_tell", "ipsec_rare", "ipsec_conn")  # fmt: skip
CONFIGURATION = ("ikev2.config", "ikev2.config.keys", "ikev2.config.reader", "ikev2_new", "ipsec_new",
                 "ikev2_tell")  # fmt: skip

# Octets that the heap is given at once where it grows: enough for a tunnel, so that the rest stays with the others. It
# cannot grow by little later on: MicroPython takes all that is there, unless the heap is smaller than that.
_GROWTH = 59800
_WITH_STREAMS = 75000
_AT_MOST = 200000  # who has more, PSRAM for instance, need not care
_KEPT = 50
_FULL = 2048  # octets that are left: a datagram of full length and what it comes in do not fit


def _left():
    """Octets of the memory that the heap shares with the network."""
    return sum([region[1] for region in esp32.idf_heap_info(esp32.HEAP_DATA)])


def _grown():
    """Let the heap grow now, by a block that is as large as we say; something stays in it, or it would be given back.

    A list that is popped from gives back half of its room as often as it can.
    """
    if not hasattr(esp32, "idf_heap_info") or not __file__.startswith("/lib/"):
        return None  # the heap is all there is, or the code is not in it
    import os

    growth = _WITH_STREAMS if "ipsec_tcp.mpy" in os.listdir("/lib") else _GROWTH
    if not growth < _left() < _AT_MOST:
        return None
    gc.threshold(_THRESHOLD)
    gc.collect()
    try:
        block = [None] * (growth // 4)
    except MemoryError:
        return None
    del block[_KEPT:]
    for _ in range(_KEPT // 2):
        block.pop()
    return block


scarce = _grown()  # true where RAM is


def is_full():
    """True if the heap, where RAM is scarce, has taken what the network lives on."""
    return bool(scarce) and _left() < _FULL


def forget(names):
    """These modules are gone, and what is in them: who needs them imports them anew."""
    for path in names:
        if path in sys.modules:
            del sys.modules[path]
            parent, _, child = path.rpartition(".")
            if hasattr(sys.modules.get(parent), child):
                delattr(sys.modules[parent], child)


def drop(names):
    """Forget them where there is little RAM."""
    if scarce and [path for path in names if path in sys.modules]:
        forget(names)
        gc.collect()
