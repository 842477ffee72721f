"""A node in the foreground: one log line a verdict, Ctrl-C prints the counters. Runs under MicroPython and CPython.

After them, if there were any: datagrams to another address ("misdirected") and those too long to be read ("cut").
Arguments, each name=value: host=0.0.0.0 port=500 port_nat=4500 raw=50,51 and the limits of node.Node. quiet=1
leaves out the log.
"""

import asyncio
import os
import sys

from ikev2 import wire
from ikev2.net.udp import Udp
from ikev2.node import Node
from ikev2.notifier import VERDICTS
from ikev2.spi_table import SpiTable

LIMITS = ("answers_per_s", "burst", "per_source_ms", "sources", "hint_ms")


def show(verdict, via, source, datagram, length):
    """Log line: what came from where, and its verdict."""
    if len(source) == 6:
        where = "%d.%d.%d.%d:%d" % (source[0], source[1], source[2], source[3], source[4] << 8 | source[5])
    else:
        where = "[%s]" % bytes(source[:-2]).hex() if source else "?"
    print("%-28s %4d octets from %s by %d" % (VERDICTS[verdict], length, where, via))


def counted(node):
    """Lines 'verdict count' for the counters that are not zero."""
    return ["%-28s %d" % (name, node.counters[i]) for i, name in enumerate(VERDICTS) if node.counters[i]]


def main(arguments):
    options = dict([argument.split("=", 1) for argument in arguments])
    host = options.pop("host", "0.0.0.0")
    local = {wire.PORT: int(options.pop("port", "500")), wire.PORT_NAT: int(options.pop("port_nat", "4500"))}
    raw = [int(protocol) for protocol in options.pop("raw", "50,51").split(",") if protocol]
    quiet = options.pop("quiet", "")
    limits = {}
    for name in options:
        if name not in LIMITS:
            raise ValueError("unknown option %r" % name)
        limits[name] = float(options[name]) if name == "answers_per_s" else int(options[name])
    node = Node(SpiTable(16, 32, 16 if ":" in host else 4), os.urandom, **limits)
    try:
        udp = Udp(node, host, raw=raw, local=local, seen=None if quiet else show)
    except OSError as error:
        print(error)
        sys.exit(1)
    for protocol in udp.unavailable:
        print("no raw socket for protocol %d: left out" % protocol)
    print("node on %s, UDP %d and %d" % (host, local[wire.PORT], local[wire.PORT_NAT]))
    try:
        asyncio.run(udp.run())
    except KeyboardInterrupt:
        pass
    finally:
        beside = [("misdirected", udp.misdirected), ("cut", udp.cut)]
        lines = counted(node) + ["%-28s %d" % (name, count) for name, count in beside if count]
        print("\n".join(["", "counters:"] + lines + ["socket errors                %d" % udp.errors]))


if __name__ == "__main__":
    main(sys.argv[1:])
