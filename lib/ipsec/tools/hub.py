"""A hub from one file: who comes, who goes, who is refused, and each datagram that no program takes, a line each.

    {"id": "hub.example", "inside": "10.9.0.254", "pool": "10.9.0.0/24", "port": 14500,
     "peers": {"sensor-7": {"psk": "...", "address": "10.9.0.7"}, "sensor-8": {"psk": "..."}}}

More that it may have: "networks", "dns", "groups", "ciphers" as Hub has them, "networks" for a peer, "ppk" with
"ppk_id", and "forward", {"1883": "127.0.0.1:1883"}: connections to that port of "inside" go on to a server out here.
Without "port" it serves 500 and 4500.
"""

import asyncio
import json

from ..hub import Hub

_KEYS = {"id": str, "inside": str, "pool": str, "port": int, "peers": dict, "networks": list, "dns": str,
         "groups": list, "ciphers": list, "forward": dict}  # fmt: skip
_NEEDED = ("id", "inside", "peers")
_OF_PEER = {"psk": str, "address": str, "networks": list, "ppk": str, "ppk_id": str}
_PSK_OCTETS = 16  # N21
_SHOWN = 64
_PIECE = 1360


def _checked(given, known, needed, where):
    """`given`, if it is an object of known keys and right types; ValueError."""
    if not isinstance(given, dict):
        raise ValueError("%s must be an object" % where)
    for key in given:
        if key not in known:
            raise ValueError("%s: %r is no key; known are %s" % (where, key, ", ".join(sorted(known))))
        if type(given[key]) is not known[key]:
            raise ValueError("%s: %r must be of type %s" % (where, key, known[key].__name__))
    for key in needed:
        if key not in given:
            raise ValueError("%s: %r is missing" % (where, key))
    return given


def made(text, weak_psk=False):
    """(a Hub, {port: (host, port)} of "forward") of the text of such a file.

    ValueError or OSError says what cannot be, and shows no secret.
    """
    config = dict(_checked(json.loads(text), _KEYS, _NEEDED, "the file"))
    peers = {}
    for id in config["peers"]:
        given = dict(_checked(config["peers"][id], _OF_PEER, ("psk",), "peer %s" % id))
        given["psk"] = given["psk"].encode()
        if not weak_psk and len(given["psk"]) < _PSK_OCTETS:
            raise ValueError("peer %s: a psk of under %d octets can be guessed offline" % (id, _PSK_OCTETS))
        if "ppk" in given or "ppk_id" in given:
            given["ppk"] = given.pop("ppk_id", ""), given.get("ppk", "").encode()
        peers[id] = given
    if not 0 <= config.get("port", 0) <= 0xFFFF:
        raise ValueError("the file: 'port' must be at most 65535")
    config["peers"] = peers
    given = config.pop("forward", {})
    forward = {_port(port): _server(given[port]) for port in given}
    return Hub(**config), forward


def _port(text):
    if not (text.isdigit() and 0 < int(text) <= 0xFFFF):
        raise ValueError("the file: 'forward': %r is no port" % text)
    return int(text)


def _server(text):
    host, _, port = text.rpartition(":") if isinstance(text, str) else ("", "", "")
    if not host:
        raise ValueError("the file: 'forward': %r is not like 127.0.0.1:1883" % (text,))
    return host, _port(port)


async def _carry(reader, writer):
    octets = await reader.read(_PIECE)
    while octets:
        writer.write(octets)
        await writer.drain()
        octets = await reader.read(_PIECE)
    getattr(writer, "write_eof", writer.close)()


def forwarder(server, say=print):
    """What serves a connection by another one to `server`, (host, port)."""

    async def forward(reader, writer):
        beyond = None
        try:
            there, beyond = await asyncio.open_connection(*server)
            await asyncio.gather(_carry(reader, beyond), _carry(there, writer))
        except (OSError, EOFError) as error:
            say("%s:%d: %s" % (server + (error,)))
        finally:
            writer.close()
            if beyond:
                beyond.close()

    return forward


async def run(hub, forward=(), say=print):
    """Serve and forward, and say what happens, until cancelled; then all tunnels are deleted."""

    async def datagrams():
        rest = hub.rest()
        while True:
            data, (host, port) = await rest.recvfrom()
            shown = repr(data[:_SHOWN]) + (" ..." if len(data) > _SHOWN else "")
            say("%s, %s:%d: %s" % (hub.peer(host), host, port, shown))

    hub.start()
    for port in forward:
        await hub.start_server(forwarder(forward[port], say), port)
    say("%s, inside %s: waiting for %d peers" % (hub.peers.id, hub.inside, len(hub.peers.peers)))
    reading = asyncio.create_task(datagrams())
    try:
        while True:
            word, id, text = await hub.next_event()
            say("%s %s, %s" % (id, word, text) if text else "%s %s" % (id, word))
    finally:
        reading.cancel()
        there = len(hub.addresses())
        await hub.close()
        say("closed, %d tunnels deleted" % there)


def serve(hub, forward=()):
    """The exit status, once Ctrl-C has come."""
    try:
        asyncio.run(run(hub, forward))
    except KeyboardInterrupt:
        pass
    return 0
