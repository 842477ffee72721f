"""README's table of what a tunnel costs: ours as the READMEs have it measured, the others' by their documents.

WireGuard: its whitepaper, 5.4 (messages), 6.1 (timers). TLS 1.3 over TCP: RFC 8446, 4 (messages), 5 (records), with a
psk, X25519 and as few extensions as it may have; RFC 9293 without options. Headers of IPv4, UDP and TCP are counted.
"""

import os
import re

from ikev2.crypto import key_size
from ikev2.sa.selectors import ALL
from inside.stack import OVERHEAD, Stack
from ipsec.esp import ROOM, ChildSa
from tools import ROOT, readmes

_DATA = 64
_UDP, _TCP = 28, 40  # with IPv4
_WIREGUARD = {"initiation": 148, "response": 92, "around data": 32, "padded to": 16, "keys live, s": 180}
_RECORD, _MESSAGE, _EXTENSION, _TAG = 5, 4, 4, 16 + 1  # a sealed record has a tag and its type
_HASH = 32
_README = ROOT / "README.md"
_HEAD = "| | this, measured | WireGuard, by its whitepaper | TLS 1.3 with a psk, by RFC 8446 |\n"


def tls_hellos(identity=8):
    """Octets that client and server send before the client's first data, by RFC 8446; its Finished is the client's."""
    common = _RECORD + _MESSAGE + 2 + 32 + 1 + 2 + 2  # version, random, session id, suite, extensions
    share = _EXTENSION + 2 + 2 + 32
    client = common + 2 + 2  # more than one suite, compression methods
    client += _EXTENSION + 3 + _EXTENSION + 4 + share + 2 + _EXTENSION + 2  # versions, groups, key share, psk modes
    client += _EXTENSION + 2 + (2 + identity + 4) + 2 + (1 + _HASH)  # the psk and its binder
    server = common + 1 + _EXTENSION + 2 + share + _EXTENSION + 2
    server += _RECORD + _TAG + (_MESSAGE + 2) + (_MESSAGE + _HASH)  # EncryptedExtensions, Finished
    return client, server, _RECORD + _TAG + _MESSAGE + _HASH


def sealed(cipher="aes-cbc-256"):
    """Octets of ESP in UDP, with IPv4, around a datagram of _DATA octets: made by the library."""
    inside, out = Stack(bytes((10, 9, 0, 1))), bytearray(1500)
    key = os.urandom(key_size(cipher))
    sa = ChildSa(cipher, key, key, os.urandom(4), ALL, ALL, os.urandom)
    size = inside.send(out, ROOM, 5683, bytes((10, 9, 0, 2)), 5683, bytes(_DATA))
    return _UDP + sa.seal(out, 0, size)


def table(readme):
    """The table, by the figures that these READMEs have."""
    found = dict(re.findall(r"^(\S.*?) {2,}([0-9,]+) \w+$", readme, re.MULTILINE))
    rows = dict(re.findall(r"^\| (with [^|]*) \| (\d+ \| \d+) \|", readme, re.MULTILINE))
    (all_of_it, octets), (kept, kept_octets) = (
        map(int, rows[what].split(" | ")) for what in ("with a handshake (X25519)", "with kept keys")
    )
    made = _millions(found["a tunnel made, X25519, 96 KB of heap free"])
    woken = _millions(found["wake from reset to the first reading sent, keys kept"])
    client, server, finished = tls_hellos()
    wire = _WIREGUARD
    padded = -(-(OVERHEAD + _DATA) // wire["padded to"]) * wire["padded to"]
    lines = [
        ["flash, UDP", f"{found['flash, a UDP tunnel, frozen']} octets", "not said", "not said"],
        ["RAM, a tunnel", f"{found['RAM, a tunnel that is up']} octets", "not said", "not said"],
        ["processor, a tunnel made; a waking", f"{made}; {woken} M instructions", "not said", "not said"],
        ["before the first data", f"{all_of_it - kept} datagrams, {octets - kept_octets} octets",
         f"2, {2 * _UDP + wire['initiation'] + wire['response']}",
         f"4 packets, {4 * _TCP + client + server + finished}"],
        ["again after sleep", "nothing while keys live: 3 h", f"nothing for {wire['keys live, s']} s",
         "all; one round trip less with 0-RTT"],
        [f"{_DATA} octets of data, on the air", str(sealed()), str(_UDP + wire["around data"] + padded),
         f"{_TCP + _RECORD + _DATA + _TAG}, and TCP's ACK"],
    ]  # fmt: skip
    return _HEAD + "|---|---|---|---|\n" + "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def write():
    """Put the table of today into README."""
    text = _README.read_text()
    before, _, rest = text.partition(_HEAD)
    _README.write_text(before + table(readmes()) + "\n" + rest.partition("\n\n")[2])


def _millions(number):
    return f"{int(number.replace(',', '')) / 1e6:.1f}"


if __name__ == "__main__":
    print(table(readmes()), end="")
