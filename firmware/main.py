"""What a board runs: network, node, and a REPL that stays in reach.

Ctrl-C ends the node and gives the REPL, where `status()` shows the counters and the last verdicts, and
`run()` goes on. Own tasks go into `tasks` of a main.py of your own, which is then run in place of this one.
"""

import asyncio
import os

import ikev2_config
import ikev2_network
from ikev2.node import Node
from ikev2.notifier import VERDICTS
from ikev2.spi_table import SpiTable
from ikev2.udp import Udp

_LAST = 8
_LIMITS = ("answers_per_s", "burst", "per_source_ms", "sources", "hint_ms")

node = None
last = []


def status():
    """Print the counters that are not zero and the last verdicts."""
    for number, name in enumerate(VERDICTS):
        if node and node.counters[number]:
            print("%-28s %d" % (name, node.counters[number]))
    print("last:", ", ".join([VERDICTS[verdict] for verdict in last]))


def _seen(verdict, via, source, datagram, length):
    last.append(verdict)
    if len(last) > _LAST:
        last.pop(0)
    if _log:
        print("%s by %d, %d octets" % (VERDICTS[verdict], via, length))


def run(*tasks):
    """Bring the network up and serve, beside the coroutines `tasks`, until Ctrl-C."""
    global node, _log
    try:
        config = ikev2_config.read()
        limits = {name: config[name] for name in _LIMITS}
        if node is None:
            node = Node(SpiTable(config["ike_sas"], config["child_sas"]), os.urandom, **limits)
    except (ikev2_config.ConfigError, ValueError) as error:
        print("not started: %s" % error)
        return
    _log = config["log"]
    try:
        asyncio.run(_serve(config, tasks))
    except KeyboardInterrupt:
        print("stopped; status() shows the counters, run() goes on")
    finally:
        asyncio.new_event_loop()


async def _serve(config, tasks):
    others = [asyncio.create_task(ikev2_network.keep_up(config, print))]
    await asyncio.sleep(0)
    udp = Udp(node, ports=config["ports"], raw=config["raw"], seen=_seen)
    for protocol in udp.left_out:
        print("no raw socket for protocol %d: left out" % protocol)
    others += [asyncio.create_task(task) for task in tasks]
    print("node on UDP %s" % ", ".join([str(port) for port in config["ports"]]))
    try:
        await udp.run()
    finally:
        for task in others:
            task.cancel()


if __name__ == "__main__":
    run()
