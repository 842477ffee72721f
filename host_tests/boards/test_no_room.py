"""A board with a stock ESP32's memory and no room for its tunnel says so, and its tasks run on (K13)."""

import json
import re

from boards import small

CONFIG = {"gateway": "10.66.0.1", "id": "sensor-7", "psk": "0123456789abcdef", "raw": []}
# What a tunnel is made of has found no room, and something else fills the heap to where it would grow before the next
# attempt to load it.
MAIN = b"""import esp32
import gc
import ikev2_core
import ikev2_main
import sys

held = []
Udp = ikev2_core.Udp


def pool():
    return sum([region[1] for region in esp32.idf_heap_info(esp32.HEAP_DATA)])


def made(*given, **named):
    udp = Udp(*given, **named)
    del sys.modules["ipsec"]
    gc.collect()
    before = pool()
    while pool() == before:
        held.append(bytearray(500))
    del held[-8:]
    gc.collect()
    return udp


ikev2_core.Udp = made
ikev2_main.run()
"""


def test_without_room_for_a_tunnel_the_node_runs_on_and_says_so():
    files = {"/main.py": MAIN, "/ikev2.json": json.dumps(CONFIG).encode()}
    with small.Small(files=files) as board:
        said = board.console(b"node on UDP 500, 4500", 120)
        assert re.search(
            r"^no tunnel: no room, \d+ octets free; tried again when there is more\r$", said, re.MULTILINE
        ), said
        for _ in range(2):
            board.type(b"s")
            assert re.search(r"^tunnel  +no room, \d+ octets free\r$", board.console(b"last: "), re.MULTILINE)
