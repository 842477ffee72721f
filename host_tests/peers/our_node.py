"""Our node in the place of a peer that has forgotten everything: the unix port, or the emulated board by its TUN."""

import contextlib
import json
import os
import threading
from pathlib import Path

from boards.emulator import Board
from ikev2 import wire

from peers.namespaces import PLACE
from peers.node_process import UNLIMITED, node_process

MACHINES = ("unix", "board")
_PORTS = {wire.PORT: wire.PORT, wire.PORT_NAT: wire.PORT_NAT}
_UP = b"node on UDP 500, 4500\r\n"


@contextlib.contextmanager
def node_at(machine, place, *, limits=False):
    """A node at PLACE, whose address the host `place` gives up for a board; without its limits unless wanted."""
    options = () if limits else UNLIMITED
    if machine == "unix":
        with node_process(_PORTS, "raw=50,51", "quiet=1", *options, host=PLACE, prefix=place.prefix):
            yield
        return
    config = {name: int(value) for name, value in (option.split("=") for option in options)}
    with Board() as board:
        board.repl.fs_writefile("ikev2.json", json.dumps(config).encode())
        board.start()
        board.console(_UP)
        with bridged(board, place):
            yield


@contextlib.contextmanager
def bridged(board, place):
    """Let the host `place` carry packets between its cable and a board at PLACE."""
    with place.inside():
        device = board.tun("board")
        for name, value in (("ip_forward", "1"), ("conf/cable/proxy_arp", "1"), ("neigh/cable/proxy_delay", "0")):
            Path("/proc/sys/net/ipv4", name).write_text(value)
    place.run("ip", "addr", "del", f"{PLACE}/24", "dev", "cable")
    place.run("ip", "link", "set", "board", "up")
    place.run("ip", "route", "add", PLACE, "dev", "board")
    done = threading.Event()
    carrier = threading.Thread(target=board.bridge, args=(device, done.is_set), daemon=True)
    carrier.start()
    try:
        yield
    finally:
        done.set()
        carrier.join()
        os.close(device)
