"""A PPK mixed into the keys of an IKE SA, as responder: RFC 8784, rules Q3 and Q4. Imported where a peer has one."""

from portable import const

from ..sa.payloads import NOTIFY, bodies, notify, notify_data, notify_type
from .ppk import PPK_IDENTITY, Ppk

_NO_PPK_AUTH = const(16437)
_NOBODYS = Ppk(b"", "nobody", b"a ppk of 32 octets, and nobody's")


def used():
    """The payload of the response to IKE_AUTH that says so."""
    return notify(PPK_IDENTITY)


def settle(proof, ppk, first, octets, auth):
    """Body of AUTH by which an IKE_AUTH request must be right, b"": it cannot be; `auth` is the one that it has.

    `ppk` is that of who asks, None: there is none. One that fits stays mixed into `proof`; the work is always the same.
    """
    found = {}
    for kind, start, stop in bodies(first, octets, 0, len(octets)):
        if kind == NOTIFY:
            found[notify_type(octets, start)] = notify_data(octets, start, stop)
    before = proof.sk_d, proof.ours, proof.theirs
    (ppk or _NOBODYS).mix(proof)
    if ppk and notify(PPK_IDENTITY, found.get(PPK_IDENTITY, b"")) == ppk.named:
        return auth
    proof.sk_d, proof.ours, proof.theirs = before
    if ppk or PPK_IDENTITY not in found:
        return b""
    return auth[:4] + found.get(_NO_PPK_AUTH, b"")  # the method is AUTH's
