"""Coverage-guided fuzzing of who accepts: octet 0 modulo 5 chooses what comes, the rest is the caller's.

0: any datagram by 500, 1: any by 4500, behind the marker, 2: the first octet is a type, the rest payloads in IKE_AUTH
of a caller that has the keys, 3: the same of one that must have a PPK, 4: of one without where another has one, after
USE_PPK. Key exchanges are as good as none, for speed; all else is as it is.
"""

import sys

import atheris

with atheris.instrument_imports(include=["ikev2"], exclude=["ikev2.crypto"]):
    from ikev2.initial import acceptor
    from ikev2.sa import rekey
    from library import scripted_caller, scripted_gateway
    from library.accepting import PSK, Accepting, address, peers

    from measure import fuzz
    from measure.fuzz_attempt import Group, random

acceptor.group = rekey.group = scripted_gateway.Group = scripted_caller.Group = Group
_FROM = address(7)
_PPK = "sensor-1.ppk", b"of no value, but 32 octets long or more"
_WITH = {2: {}, 3: {1: _PPK}, 4: {2: _PPK}}  # by kind: who has one


def random_of_caller(n):
    return b"\x0b" * n


class Hub(Accepting):
    """Who accepts sensor-1, from which `caller` calls, with those PPKs."""

    def __init__(self, ppks=()):
        super().__init__(peers=peers(2, ppks), random=random, cookies_from=9)
        ppk = {"ppk": _PPK, "optional_ppk": True} if ppks else {}
        self.caller = scripted_caller.Caller(PSK, "sensor-1", random=random_of_caller, **ppk)

    def hears(self, octets, via):
        """What it says to a datagram."""
        before = len(self.sent)
        self.at_hub(via, _FROM + via.to_bytes(2, "big"), octets)
        while self.node.next_timer(self.clock) == 0:
            self.step()
        return [sent[3] for sent in self.sent[before:]]

    def opens(self):
        """Let the caller have a half-open IKE SA; its IKE_AUTH."""
        (answer,) = self.hears(self.caller.first(), 500)
        return self.caller.hear(answer)


_hub = []  # one that nothing has changed yet


def one(octets):
    """No exception, at most one answer, none that is longer but to IKE_SA_INIT, and nobody in without AUTH."""
    if len(octets) < 2:
        return
    kind = octets[0] % 5
    if kind < 2:
        hub = _hub.pop() if _hub else Hub()
        datagram = octets[1:] if not kind else bytes(4) + octets[1:]
        said = hub.hears(datagram, 4500 if kind else 500)
        assert len(said) <= 1 and len(hub.acceptor.half_open) <= 1 and not hub.admitted
        assert not said or len(said[0]) <= len(datagram) or hub.acceptor.half_open
        if not hub.acceptor.half_open:
            _hub.append(hub)
        return
    hub = Hub(_WITH[kind])
    hub.opens()
    original, scripted_gateway.chain = scripted_gateway.chain, lambda parts: (octets[1], octets[2:])
    try:
        message = hub.caller.request(scripted_gateway.IKE_AUTH, 1, [])
    finally:
        scripted_gateway.chain = original
    said = hub.hears(bytes(4) + message, 4500)
    assert len(said) == 1 and len(hub.admitted) <= 1
    if hub.admitted:
        assert PAYLOADS[kind][1][4:] in octets
    hub.idle(60000)
    assert len(hub.node.table.ike_sas()) == len(hub.admitted)


def payloads(ppks):
    """The payloads of IKE_AUTH, the type of the first in front; and what proves who it is among them."""
    found = []

    def changes(what, parts):
        if what == "IKE_AUTH":
            found.append(parts)
        return parts

    hub = Hub(ppks)
    hub.caller.changes = changes
    hub.opens()
    first, octets = scripted_gateway.chain(found[0])
    plain = [body for _, body in found[0] if body[2:4] == b"\x40\x35"] if 2 in ppks else []
    return bytes((first,)) + octets, (plain or [scripted_gateway.of(found[0], scripted_gateway.AUTH)])[0]


PAYLOADS = {kind: payloads(ppks) for kind, ppks in _WITH.items()}


def corpus():
    """A folder with one good message of each kind, and what earlier runs found."""
    folder = fuzz.BUILD / "corpus-accept"
    folder.mkdir(parents=True, exist_ok=True)
    caller = Hub().caller
    (folder / "init").write_bytes(b"\0" + caller.first())
    (folder / "init-4500").write_bytes(b"\1" + caller.first())
    for kind, (octets, _) in PAYLOADS.items():
        (folder / f"auth-{kind}").write_bytes(bytes((kind,)) + octets)
    return folder


if __name__ == "__main__":
    fuzz.main(one, corpus(), sys.argv[1:])
