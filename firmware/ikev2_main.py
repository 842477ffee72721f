"""A board's life: network, node, and a REPL that stays in reach; main.py calls run().

Ctrl-C ends the node and gives the REPL, where `status()` shows the counters and the last verdicts, and
`run()` goes on. `sleep(ms)` is deep sleep that keeps the table.
"""

import asyncio
import os

import ikev2_config
import ikev2_network
from ikev2.node import Node
from ikev2.notifier import VERDICTS
from ikev2.spi_table import SpiTable
from ikev2.udp import Udp

try:
    from machine import WDT
except ImportError:
    WDT = None  # the emulated board
try:
    import ikev2_sleep
except ImportError:
    ikev2_sleep = None  # no deep sleep here

_LAST = 8
_LIMITS = ("answers_per_s", "burst", "per_source_ms", "sources", "hint_ms")
_FEEDS = 4  # in the time that the watchdog waits
_DAY_MS = 86400000

node = None
last = []
_udp = None
_led = None
_log = False
_users = []  # the user's tasks
_failed = []  # errors that ended a task of the node


def status():
    """Print the counters that are not zero and the last verdicts."""
    for number, name in enumerate(VERDICTS):
        if node and node.counters[number]:
            print("%-28s %d" % (name, node.counters[number]))
    if _udp and _udp.errors:
        print("%-28s %d, the last: %r" % ("socket errors", _udp.errors, _udp.error))
    print("last:", ", ".join([VERDICTS[verdict] for verdict in last]))


def sleep(ms):
    """Deep sleep for `ms`; the table is back after it."""
    if ikev2_sleep is None:
        raise NotImplementedError("this board has no deep sleep")
    ikev2_sleep.sleep(node, ms)


def _seen(verdict, via, source, datagram, length):
    last.append(verdict)
    if len(last) > _LAST:
        last.pop(0)
    if _led:
        _led.value(not _led.value())
    if _log:
        print("%s by %d, %d octets" % (VERDICTS[verdict], via, length))


def _prepare():
    """The configuration; node and LED as it says."""
    global node, _led, _log
    config = ikev2_config.read()
    if node is None:
        table = SpiTable(config["ike_sas"], config["child_sas"])
        if ikev2_sleep and ikev2_sleep.restore(table):
            print("%d IKE SAs are back after deep sleep" % len(table.ike_sas()))
        node = Node(table, os.urandom, **{name: config[name] for name in _LIMITS})
    if config["led"] >= 0:
        from machine import Pin

        _led = Pin(config["led"], Pin.OUT)
    _log = config["log"]
    return config


def run(*tasks):
    """Bring the network up and serve, beside the coroutines `tasks`, until Ctrl-C."""
    try:
        config = _prepare()
    except (ikev2_config.ConfigError, ValueError) as error:
        print("not started: %s" % error)
        return
    seconds = config["watchdog_s"] if WDT else 0
    watchdog = WDT(timeout=seconds * 1000) if seconds else None
    try:
        asyncio.run(_serve(config, tasks, watchdog))  # Ctrl-C leaves it at once: what is open is closed here
    except KeyboardInterrupt:
        print("stopped; status() shows the counters, run() goes on")
        if watchdog:
            WDT(timeout=_DAY_MS)  # it cannot be stopped, but it leaves the REPL a day
    except OSError as error:
        print("stopped: no socket (%s); run() tries again" % error)
        if watchdog:
            print("nobody is there? the watchdog starts the board anew after %d s" % seconds)
    finally:
        if _udp:
            _udp.close()
        asyncio.new_event_loop()


async def _feed(watchdog, serving, seconds):
    """Feed the watchdog for as long as the node serves and nothing in it has failed."""
    while not serving.done() and not _failed:
        watchdog.feed()
        await asyncio.sleep(seconds / _FEEDS)


def _note(loop, context):
    """Called by asyncio for a task that ended by an error: if it is none of the user's, the node is no longer whole."""
    error = context.get("exception")
    print("a task failed: %s %s" % (type(error).__name__, error))
    if context.get("future") not in _users:
        _failed.append(error)


async def _serve(config, tasks, watchdog):
    asyncio.get_event_loop().set_exception_handler(_note)
    _failed.clear()
    others = [asyncio.create_task(ikev2_network.keep_up(config, print))]
    await asyncio.sleep(0)
    global _udp
    _udp = udp = Udp(node, ports=config["ports"], raw=config["raw"], seen=_seen)
    for protocol in udp.left_out:
        print("no raw socket for protocol %d: left out" % protocol)
    _users[:] = [asyncio.create_task(task) for task in tasks]
    serving = asyncio.create_task(udp.run())
    if watchdog:
        others.append(asyncio.create_task(_feed(watchdog, serving, config["watchdog_s"])))
    print("node on UDP %s" % ", ".join([str(port) for port in config["ports"]]))
    try:
        await serving
    finally:
        for task in others + _users + [serving]:
            task.cancel()
