"""The tunnel that ikev2.json asks for. Imported only where it names a gateway: a tunnel takes RAM."""

import asyncio
from errno import ENOMEM

import ikev2_memory
from ikev2.net.memory import in_words
from ikev2.net.sockets import ticks_ms
from ipsec import Tunnel, sleep
from ipsec.esp import REASONS
from ipsec.liveness import SILENT

_SETTINGS = ("gateway_id", "inside", "remote", "groups", "ciphers", "liveness_s", "keepalive_s", "lifetime_s",
             "keep_keys", "settle_s", "dns", "connections", "stream_buffer")  # fmt: skip
_LOOK_S = 0.5
_NEWS = {
    "up": "tunnel up, %s inside",
    "moved": "tunnel moved, %s inside from now on",
    "down": "no tunnel: %s",
    "failed": "no tunnel: %s; trying again",
    "replacing": "another tunnel is made beside this one: %s",
    "replaced": "the tunnel is a new one: %s",
    "answered": "the gateway has answered, and the tunnel stays%s",
    "yielding": "the tunnel has to go before there can be another one%s",
}


def made(config, udp, old=None):
    """The tunnel over sockets that there are; ValueError. The gateway is told that the SAs of `old` are gone."""
    if old:
        old.life.close(ticks_ms())
    settings = {name: config[name] for name in _SETTINGS}
    if config["ppk"]:
        settings["ppk"] = config["ppk_id"], config["ppk"].encode()
    return Tunnel(config["gateway"], config["id"], config["psk"].encode(), udp=udp, checked=True, **settings)


def kept(tunnel):
    """It as octets that outlive deep sleep, b"" if it cannot be kept as it is now."""
    octets = sleep.keep(tunnel.life, ticks_ms())
    if not octets:
        sleep.forget(tunnel.life)
    return octets


def drop(life):
    """What has made SAs, once it is done; what an attempt was begun with has to be there to its end."""
    if not life.has.attempt:
        ikev2_memory.drop(ikev2_memory.MAKING)


def is_unanswered(tunnel):
    """The gateway does not answer on the SAs that there are (K6)."""
    return tunnel.is_up and tunnel.life.causes & SILENT


def _say(event, say):
    if event[0] in _NEWS:
        say(_NEWS[event[0]] % event[1])


def _lacks_room(udp):
    """The last datagram that was not sent or read was so for want of memory; a tunnel that is up looks dead then."""
    error = udp.error
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == ENOMEM)


async def tell(tunnel, say):
    """Say what becomes of it, and between two events once what its sockets lack."""
    errors = tunnel.udp.errors
    while True:
        event = tunnel.event()
        if event:
            errors = tunnel.udp.errors
            _say(event, say)
        else:
            drop(tunnel.life)
            if 0 <= errors < tunnel.udp.errors and _lacks_room(tunnel.udp):
                errors = -1
                say("datagrams are lost: " + in_words(MemoryError()))
            await asyncio.sleep(_LOOK_S)


def lines(tunnel):
    """(name, value) of what status() shows."""
    life, child = tunnel.life, tunnel.child
    why = life.because if child else life.reason
    state = life.word + (": " + why if why else "")
    if not child:
        return [("tunnel", state)]
    esp = life.current.esp
    shown = [("tunnel", "%s, %s inside, %s" % (state, tunnel.address, child.cipher)), ("ESP sent", esp.next - 1)]
    for number, reason in enumerate(REASONS):
        if esp.counters[number]:
            shown.append(("ESP dropped: " + reason if reason else "ESP received", esp.counters[number]))
    tcp = tunnel.stack.tcp
    return shown + (tcp.lines() if tcp else [])
