"""Who may have a tunnel to us, as `accept` in ikev2.json says. Imported only where it names somebody: it takes RAM."""

from ikev2.sa.selectors import network
from ipsec import sleep
from ipsec.hub import Hub

_SETTINGS = ("pool", "groups", "ciphers", "connections", "stream_buffer")


def made(config, udp, old=None):
    """The hub over sockets that there are; ValueError. What `old` had is forgotten, as after a loss of power."""
    if old:
        old.members.leave()
    sleep.clear(udp.node)  # what somebody had accepted before deep sleep
    last = network(config["pool"])[9:]
    inside = "%d.%d.%d.%d" % (last[0], last[1], last[2], last[3] - 1)
    peers = {id: _peer(config["accept"][id]) for id in config["accept"]}
    return Hub(config["id"], peers, inside, udp=udp, **{name: config[name] for name in _SETTINGS})


def _peer(given):
    """As Hub wants it: octets of the psk, and the ppk that is required of this id (Q4)."""
    ppk = (given["ppk_id"], given["ppk"].encode()) if given["ppk"] else None
    return {"psk": given["psk"].encode(), "ppk": ppk}


def crossed(tunnel, hub, id):
    """Who `id` is may call us, and we call it: one of both tunnels stays (H5). What says which."""
    from ipsec.crossing import Crossing

    return Crossing(tunnel.life, hub.members, id)


async def tell(hub, say):
    """Say who comes, goes and is refused."""
    say("accepting %s, inside %s" % (", ".join(sorted(hub.peers.peers)), hub.inside))
    while True:
        word, id, text = await hub.next_event()
        say("%s %s, %s" % (id, word, text))


def lines(hub):
    """(name, value) of what status() shows."""
    there = hub.addresses()
    shown = [(id, "up, inside %s" % there[id] if id in there else "not there") for id in sorted(hub.peers.peers)]
    tcp = hub.stack.tcp
    return shown + (tcp.lines() if tcp else [])
