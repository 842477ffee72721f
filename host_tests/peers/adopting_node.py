"""A node that has one IKE SA with its keys, as somebody else made it. Runs under MicroPython, here and on a board.

What it is given, in a file of JSON: spi_i, spi_r, keys and peer in hex, initiator (our role), cipher, message_ids (the
next of ours and of the peer's), children ([SPI in, SPI out]), limits (node.Node's).
"""

import asyncio
import json
import os
import sys
from binascii import hexlify, unhexlify

from ikev2.net.udp import Udp
from ikev2.node import Node
from ikev2.notifier import VERDICTS
from ikev2.sa import sk
from ikev2.sa.informational import IkeSa
from ikev2.spi_table import SpiTable

_ESP = 50


def node_of(path):
    """(node, owner of its IKE SA)."""
    with open(path) as file:
        given = json.load(file)
    table = SpiTable(4, 4)
    ends = unhexlify(given["spi_i"]), unhexlify(given["spi_r"])
    slot = table.adopt_ike(ends[0], ends[1], given["initiator"], unhexlify(given["peer"]), True)
    for spi_in, spi_out in given["children"]:
        table.adopt_child(slot, _ESP, unhexlify(spi_in), unhexlify(spi_out))
    keys = sk.protection(given["cipher"], given["initiator"], *[unhexlify(key) for key in given["keys"]])
    node = Node(table, os.urandom, **given["limits"])
    owner = IkeSa(node, slot, keys, *given["message_ids"])
    node.attach(slot, owner)
    return node, owner


def tell(node, owner):
    """Print what became of it all, as one line of JSON."""
    counted = {name: node.counters[i] for i, name in enumerate(VERDICTS) if node.counters[i]}
    left = [hexlify(node.table.ike_sa(slot)[0]).decode() for slot in node.table.ike_sas()]
    print(json.dumps({"counters": counted, "ike_sas": left, "failed": owner.failed, "waiting": owner.waiting,
                      "dropped": owner.window.dropped}))  # fmt: skip


def main(host, path):
    node, owner = node_of(path)
    udp = Udp(node, host)
    print("node on %s" % host)
    try:
        asyncio.run(udp.run())
    except KeyboardInterrupt:
        pass
    finally:
        tell(node, owner)


if __name__ == "__main__":
    main(*sys.argv[1:])
