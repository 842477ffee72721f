"""A board's life: network, node, and a REPL that stays in reach; main.py calls run().

Ctrl-C ends the node and gives the REPL, where `status()` shows the counters and the last verdicts, and
`run()` goes on. While it runs, the key s does as status(). `sleep(ms)` is deep sleep that keeps the table.
"""

import ikev2_memory  # before everything else

# isort: split
import asyncio
import os
import sys
from errno import ENOMEM

import ikev2_network
from ikev2.net.memory import in_words, octets_free
from ikev2.net.sockets import readable
from ikev2.net.udp import Udp
from ikev2.node import Node
from ikev2.notifier import VERDICTS
from ikev2.spi_table import SpiTable
from portable import const, ipv4, milliseconds

Watchdog = None
if hasattr(sys.modules.get("machine"), "WDT"):  # what is not there takes longest to look for
    try:
        from ikev2_watchdog import Watchdog
    except ImportError:
        pass  # a firmware of one's own
try:
    import ikev2_sleep
except ImportError:
    ikev2_sleep = None  # no deep sleep here

_LAST = const(8)
_LOOK_S = 0.02
_KEY = const(115)  # s
_SCARCE_BUFFER = const(1072)  # W6: a rekey finds no room beside larger ones
_GUARD_S = 10
_DEAF_S = 30  # K13
_ROOM_S = 10  # between two looks whether there is more room than there was for a tunnel
_MORE = 8192  # octets; with less it would end as before, and leave the network less each time
_LIMITS = ("answers_per_s", "burst", "per_source_ms", "sources", "hint_ms")

node = None
tunnel = None  # ipsec.Tunnel, if ikev2.json names a gateway: for the user's tasks
hub = None  # ipsec.hub.Hub, if it names whom to accept
last = []
_udp = None
_led = None
_log = False
_watchdog = None
_kept_tunnel = None  # its octets, and how long it slept
_kept = ikev2_sleep.taken() if ikev2_sleep else b""  # by sleep(), before anything can go wrong
_is_online = _was_online = False
_moved = False
_no_tunnel = ""  # why, if it could not even be made
_address = ""
_others = []  # tasks beside the node's
_users = []  # the user's tasks
_failed = []  # errors that ended a task of the node
_loaded = []  # modules of a tunnel, before its configuration was read


def status():
    """Print the counters that are not zero, tunnels while they are served, and the last verdicts."""
    print("counters:")
    shown = [(name, node.counters[number]) for number, name in enumerate(VERDICTS) if node and node.counters[number]]
    if _udp and _udp.errors:
        shown.append(("socket errors", "%d, the last: %r" % (_udp.errors, _udp.error)))
    if _udp and not _udp.serves:
        shown.append(("node", "stopped: nothing is received or sent; run() goes on"))
    elif tunnel:
        shown += ikev2_tunnel.lines(tunnel)
    elif _no_tunnel:
        shown.append(("tunnel", _no_tunnel))
    if hub and _udp.serves:
        shown += ikev2_hub.lines(hub)
    for line in shown:
        print("%-27s  %s" % line)  # two blanks at least, by which a PC reads it
    print("last:", ", ".join([VERDICTS[verdict] for verdict in last]))


def sleep(ms):
    """Deep sleep for `ms`, at once; the table is back after it, and the tunnel if `keep_keys` is set (Z1).

    `await tunnel.sleep(ms)` lets what is on its way in the tunnel end before.
    """
    if ikev2_sleep is None:
        raise NotImplementedError("this board has no deep sleep")
    milliseconds(ms)
    try:
        octets = ikev2_tunnel.kept(tunnel) if tunnel else b""
    except MemoryError:  # Z7: it has to sleep all the same, and begins anew
        octets = b""
    _sleep(ms, octets)


def _sleep(ms, octets):
    ikev2_sleep.sleep(node, ms, octets, ipv4(_address or "") or bytes(4))


async def up():
    """The tunnel, once the network and it are up; None if ikev2.json names no gateway. OSError: why it is not up."""
    while not _is_online:
        await asyncio.sleep(_LOOK_S)
    if tunnel:
        try:
            await tunnel.up()
        finally:
            ikev2_tunnel.drop(tunnel.life)
    elif _no_tunnel:
        raise OSError(ENOMEM, "no tunnel: " + _no_tunnel)
    return tunnel


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
    global node, _led, _log, _kept
    from ikev2.config import KEYS, read

    kept, _kept = _kept, b""
    if ikev2_memory.scarce:
        KEYS["stream_buffer"] = _SCARCE_BUFFER
    config = read()
    config["power_save"] = config["power_save"] and not kept  # awake for a reading: its answer is not to wait
    if node is None:
        table = SpiTable(config["ike_sas"], config["child_sas"])
        if kept:
            _restore(table, ikev2_sleep.opened(kept), config["gateway"])
        node = Node(table, os.urandom, **{name: config[name] for name in _LIMITS})
    if config["led"] >= 0:
        from machine import Pin

        _led = Pin(config["led"], Pin.OUT)
    _log = config["log"]
    return config


def _restore(table, kept, gateway):
    """What was before deep sleep: the table now, the tunnel once it is made; neither with another configuration."""
    global _kept_tunnel, _address
    back = -1
    if kept and (gateway or not kept[1]):
        back = ikev2_sleep.restore(table, kept[0])
    if back < 0:
        print("what was kept through deep sleep does not fit: a fresh start")
    elif back:
        print("%d IKE SAs are back after deep sleep" % back)
        _kept_tunnel = kept[1:3]
        _address = "%d.%d.%d.%d" % tuple(kept[3])


def run(*tasks):
    """Bring the network up and serve, beside the coroutines `tasks`, until Ctrl-C."""
    global _watchdog
    try:
        _load()
        config = _prepare()
    except ValueError as error:
        print("not started: %s" % error)
        return
    if Watchdog and config["watchdog_s"]:
        if _watchdog:
            _watchdog.start(config["watchdog_s"])
        else:
            _watchdog = Watchdog(config["watchdog_s"])
    try:
        asyncio.run(_serve(config, tasks))  # Ctrl-C leaves it at once: what is open is closed here
    except KeyboardInterrupt:
        print("stopped; status() shows the counters, run() goes on")
        if _watchdog:
            _watchdog.leave_alone()
    except OSError as error:
        print("stopped: no socket (%s); run() tries again" % error)
        if _watchdog:
            print("nobody is there? the watchdog starts the board anew after %d s" % (_watchdog.ms // 1000))
    finally:
        if _udp:
            _udp.close()
        asyncio.new_event_loop()


def _load():
    """What a tunnel has for good is loaded before what is dropped soon, or that would leave holes in a small heap."""
    if not ikev2_memory.scarce:
        return
    before = list(sys.modules)
    try:
        import ikev2_tunnel  # noqa: F401
    except (ImportError, MemoryError):
        pass  # it is not wanted, or whoever wants it says so
    _loaded.extend([name for name in sys.modules if name not in before])


async def _feed(watchdog, udp, serving):
    """Feed the watchdog for as long as the node serves and makes progress, and nothing in it has failed (K13)."""
    passes = -1
    while not serving.done() and not _failed:
        if udp.passes != passes:
            passes = udp.passes
            watchdog.feed()
        await asyncio.sleep(watchdog.pause_s)


async def _keys():
    """Whoever watches asks by a key; where keys cannot be waited for there are none."""
    keys = getattr(sys.stdin, "buffer", sys.stdin)
    try:
        while True:
            await readable(sys.stdin)
            key = keys.read(1)
            if not key:
                return
            if ord(key) == _KEY:
                status()
    except (OSError, AttributeError, ValueError):
        pass


def _note(loop, context):
    """Called by asyncio for a task that ended by an error: if it is none of the user's, the node is no longer whole."""
    error = context.get("exception")
    print("a task failed: %s %s" % (type(error).__name__, error))
    if context.get("future") not in _users:
        _failed.append(error)


def _online(address):
    """The network is up; again, or elsewhere than before sleep, and the gateway should hear of it (K7). None: lost."""
    global _is_online, _was_online, _address, _moved
    _is_online = address is not None
    if not _is_online:
        return
    _moved = bool(_was_online or (_address and _address != address))
    _was_online = True
    _address = address
    if tunnel:
        _begin()


def _begin():
    tunnel.start()
    if _moved:
        tunnel.moved()


def _reset():
    """Begin as if power had been lost."""
    import machine

    if ikev2_sleep:
        ikev2_sleep.taken()
    machine.reset()


def _make_tunnel(config, old):
    """The tunnel; it begins once the network is up. Without it the node answers everybody as before.

    False: there is no room for it now, and nothing of it is left.
    """
    global tunnel, ikev2_tunnel, _no_tunnel, _kept_tunnel
    before = [name for name in sys.modules if name not in _loaded]
    try:
        if tunnel is None:
            import ikev2_tunnel

            tunnel = ikev2_tunnel.made(config, _udp, old)
            _wake()
        if _is_online:
            _begin()
        _others.append(asyncio.create_task(ikev2_tunnel.tell(tunnel, print)))
        _no_tunnel = ""
        return True
    except (ValueError, MemoryError, ImportError) as error:
        if tunnel is None:
            ikev2_tunnel = None
            _forget(before)
            _kept_tunnel = _kept_tunnel and (b"", 0)  # too late for it
        _no_tunnel = in_words(error)
        return _is_vain(error, "no tunnel: " + _no_tunnel)


def _is_vain(error, why):
    """True unless there may be room for it later."""
    is_full = isinstance(error, MemoryError)
    print(why + "; tried again when there is more" * is_full)
    return not is_full


def _wake():
    """What the tunnel was before deep sleep, once."""
    global _kept_tunnel
    kept, _kept_tunnel = _kept_tunnel, None
    if ikev2_sleep:
        tunnel.sleeper = _sleep
    if kept and not tunnel.wake(*kept):
        print("the tunnel of before deep sleep does not fit: it begins anew")


def _forget(before):
    """The node has the room of what has been imported since; machine code has its own until a reset, and stays."""
    since = [name for name in sys.modules if name not in before]
    ikev2_memory.forget([name for name in since if not hasattr(sys.modules[name], "micropython")])


async def guard(seconds, reset):
    """Reset the board when for so long there was a network and no tunnel (K13), for want of room perhaps.

    And when for half a minute the network had no memory, and the gateway has not answered: what the heap has taken it
    does not give back, and nothing is received any more.
    """
    without = deaf = 0
    while without < seconds and deaf < _DEAF_S:
        await asyncio.sleep(_GUARD_S)
        without = without + _GUARD_S if _is_online and not (tunnel and tunnel.is_up) else 0
        deaf = deaf + _GUARD_S if tunnel and ikev2_memory.is_full() and ikev2_tunnel.is_unanswered(tunnel) else 0
    if deaf >= _DEAF_S:
        print("the network has no memory, and the gateway does not answer: reset")
    else:
        print("a network and no tunnel for %d s: reset" % seconds)
    reset()


async def _find_room(key, config, old):
    """Try again whenever there is more room than there was, until it is enough."""
    had = octets_free()
    while True:
        await asyncio.sleep(_ROOM_S)
        if octets_free() - had >= _MORE:
            if _make(key, config, old):
                return
            had = octets_free()


def _make_hub(config, old):
    """Who accepts; without it nobody is answered who wants a tunnel. False: there is no room for it now."""
    global hub, ikev2_hub
    before = list(sys.modules)
    try:
        if hub is None:
            import ikev2_hub

            hub = ikev2_hub.made(config, _udp, old)
        if tunnel and config["gateway_id"] in config["accept"]:
            ikev2_hub.crossed(tunnel, hub, config["gateway_id"])
        _others.append(asyncio.create_task(ikev2_hub.tell(hub, print)))
        return True
    except (ValueError, MemoryError, ImportError) as error:
        if hub is None:
            ikev2_hub = None
            _forget(before)
        return _is_vain(error, "nobody is accepted: " + in_words(error))


def _make(key, config, old):
    return (_make_tunnel if key == "gateway" else _make_hub)(config, old)


async def _start(config, tasks):
    """The task that serves, beside all others."""
    global _udp, _is_online, _was_online, tunnel, hub
    asyncio.get_event_loop().set_exception_handler(_note)
    _failed.clear()
    _is_online = _was_online = False
    old, tunnel = tunnel, None
    old_hub, hub = hub, None
    _others[:] = [asyncio.create_task(ikev2_network.keep_up(config, print, _online)), asyncio.create_task(_keys())]
    await asyncio.sleep(0)
    _udp = udp = Udp(node, ports=config["ports"], raw=config["raw"], seen=_seen)
    for protocol in udp.unavailable:
        print("no raw socket for protocol %d: left out" % protocol)
    lacks_room = False
    if not config["gateway"]:
        _forget([name for name in sys.modules if name not in _loaded])
    for key, before in (("gateway", old), ("accept", old_hub)):
        if config[key] and not _make(key, config, before):
            _others.append(asyncio.create_task(_find_room(key, config, before)))
            lacks_room |= key == "gateway"
    if config["reset_s"] and (tunnel or lacks_room):
        _others.append(asyncio.create_task(guard(config["reset_s"], _reset)))
    ikev2_memory.drop(ikev2_memory.CONFIGURATION)
    _users[:] = [asyncio.create_task(task) for task in tasks]
    serving = asyncio.create_task(udp.run())
    if _watchdog:
        _others.append(asyncio.create_task(_feed(_watchdog, udp, serving)))
    print("node on UDP %s" % ", ".join([str(port) for port in config["ports"]]))
    return serving


async def _serve(config, tasks):
    serving = await _start(config, tasks)
    try:
        await serving
    finally:
        for task in _others + _users + [serving]:
            task.cancel()
