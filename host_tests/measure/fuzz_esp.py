"""Coverage-guided fuzzing of a Child SA on both sides of the ICV: octet 0 chooses the cipher and the side.

Outside, the octets are the packet, wrong by its ICV at the latest. Inside, they are what a gateway encrypts: padding,
inner packet and all; what is opened goes on to the sockets. Whatever comes, nothing raises, what fails moves nothing,
and what is answered fits where the question stood.
"""

import os
import sys

import atheris
from golden import make_esp
from golden.make_esp import CIPHERS, SPI_IN, SPI_OUT, key, sealed
from ikev2.budget import Budget
from scapy.layers.inet import IPOption_NOP
from tools import BUILD

with atheris.instrument_imports(include=["ipsec"]):
    from inside import stack as inner
    from ipsec import esp

from measure import fuzz

ALL = b"\0\0\0\xff\xff\0\0\0\0\xff\xff\xff\xff"
OURS = ALL[:5] + bytes((10, 77, 0, 2)) * 2
INNER = inner.Stack(bytes((10, 77, 0, 2)), Budget(1000000, 1000000, 0, 1))
SOCKET = INNER.bind(40000)
SPI = bytes.fromhex(SPI_OUT)
SAS = [esp.ChildSa(name, key(name, True), key(name, False), SPI, OURS, ALL, os.urandom, seen=100) for name in CIPHERS]


def one(octets):
    """A packet from the network, or what is in a packet of the gateway's."""
    if not octets:
        return
    sa, name = SAS[octets[0] & 3], CIPHERS[octets[0] & 3]
    before = bytes(sa._state[:20])
    if octets[0] & 4:
        packet = sealed(name, key(name, True), SPI_IN, sa.seen + 1, fitted(name, octets[1:]))
        reason = sa.open(packet, 0, len(packet))
        assert esp.REASONS[reason] not in ("replay", "integrity") and sa.seen == 101
        sa._state[:20] = before
        if not reason:
            carry(sa)
    else:
        assert sa.open(octets, 1, len(octets)) and sa._state[:20] == before


def fitted(name, octets):
    """Cut to whole blocks, as the cipher wants them."""
    block = 4 if "gcm" in name else 16
    return octets[: len(octets) // block * block] or bytes(block)


def carry(sa):
    """What was opened, to the sockets, and their answer back."""
    size = sa.size
    assert 20 <= size <= len(sa.packet) - 2 and size == sa.packet[2] << 8 | sa.packet[3]
    answer = INNER.receive(sa.packet, size, 0)
    assert answer == size or answer <= 96
    got = SOCKET.take()
    assert got is None or (not answer and len(got[0]) <= size - inner.OVERHEAD)
    if answer:
        out = bytearray(1600)
        out[esp.ROOM : esp.ROOM + answer] = sa.packet[:answer]
        state = bytes(sa._state)
        length = sa.seal(out, 0, answer)
        assert length or sa.refused == "too long"
        sa._state[:] = state


def corpus():
    """A folder with what the vectors have, on both sides."""
    folder = BUILD / "corpus-esp"
    folder.mkdir(parents=True, exist_ok=True)
    for number, cipher in enumerate(CIPHERS):
        options = {"options": [IPOption_NOP()] * 8}
        for name, changes in (("udp", {}), ("unused", {"dport": 9}), ("options", options)):
            octets = make_esp.inner(**changes)
            plain = make_esp.padded(cipher, octets)
            (folder / f"{cipher}-{name}-in").write_bytes(bytes((number | 4,)) + plain)
            packet = sealed(cipher, key(cipher, True), SPI_IN, 101, plain)
            (folder / f"{cipher}-{name}-out").write_bytes(bytes((number,)) + packet[:-1])
    return folder


if __name__ == "__main__":
    fuzz.main(one, corpus(), sys.argv[1:])
