"""Coverage-guided fuzzing of an attempt and of a tunnel: octet 0 modulo 3 chooses who hears it, the rest is what.

0: a response in clear, to an attempt that waits for one. 1, 2: the first octet is a type, the rest payloads from a
gateway that has the keys: its IKE_AUTH response, its CREATE_CHILD_SA request. Key exchanges are as good as none, for
speed; all else is as it is.
"""

import functools
import sys

import atheris

with atheris.instrument_imports(include=["ikev2"], exclude=["ikev2.crypto"]):
    from ikev2.crypto import hmac
    from ikev2.initial import sa_init as initial
    from ikev2.owners import ESTABLISHED, FAILED
    from ikev2.sa import rekey
    from library import scripted_gateway
    from library.attempt import GATEWAY, PSK, Attempt, endpoint

    from measure import fuzz

_MESSAGES = 8  # that one datagram may cause: a request in three more forms, IKE_AUTH, a farewell


class Group:
    """What crypto.group makes, and library.scripted_gateway.Group: the secret is always the same."""

    def __init__(self, number, random):
        self.number = number
        self.size = 32 if number == 31 else 256
        self.value = b"\3" * self.size

    def begin(self, peer=None):
        self.value = None if peer and not any(peer) else b"\5" * self.size

    def step(self):
        return True

    def secret(self, peer):
        return b"\5" * self.size


_pads = functools.lru_cache(1000)(hmac._pads)
hmac._pads = lambda key, at: [bytearray(octets) for octets in _pads(bytes(key), at)]  # who has them writes into them
initial.group = rekey.group = scripted_gateway.Group = Group


def random(n):
    return b"\7" * n


def random_of_gateway(n):
    return b"\x09" * n


class Waiting(Attempt):
    """An attempt that waits for the response to the request with this exchange, or that has succeeded (36)."""

    def __init__(self, exchange):
        gate = scripted_gateway.Gateway(PSK, random=random_of_gateway)
        gate.tamper = lambda what, parts: None if what == f"{scripted_gateway.NAMES[exchange]} response" else parts
        super().__init__(gate, random=random)
        self.run(lambda: self.over or any(octets[18] == exchange for *_, octets in self.stripped()))
        self.events.clear()

    def stripped(self):
        return [(at, octets[4:] if via == 4500 else octets) for at, via, _, octets in self.sent]

    def hears(self, octets, via):
        """Receive, and do what there is to do at once."""
        before = len(self.sent)
        self.wire = lambda to_gateway, octets: []
        self.receive(octets, via)
        self.exchange()
        while self.node.next_timer(self.now) == 0:
            self.tick()
        assert len(self.sent) - before <= _MESSAGES
        assert len(self.node.table.ike_sas()) <= 2

    def says(self, exchange, octets):
        """A message of a gateway that has the keys, with these octets in it."""
        (sa,) = self.gateway.sas
        if exchange == scripted_gateway.IKE_AUTH:
            header = exchange, 0x20, 1
        else:
            header = exchange, 0, 0
        original, scripted_gateway.chain = scripted_gateway.chain, lambda parts: (octets[0], octets[1:])
        try:
            fields = (
                sa.spi_i + sa.spi_r + bytes((scripted_gateway.SK, 0x20, *header[:2])) + header[2].to_bytes(4, "big")
            )
            message = scripted_gateway.seal(sa.cipher, sa.keys[4], sa.keys[2], fields, [], bytes(16))
        finally:
            scripted_gateway.chain = original
        self.hears(bytes(4) + message, 4500)


_waiting = []  # an attempt that nothing has changed yet


def one(octets):
    """No exception, an attempt or a tunnel lost at worst, and never a tunnel that nobody has vouched for."""
    if len(octets) < 2:
        return
    kind = octets[0] % 3
    if kind == 0:
        made = _waiting.pop() if _waiting else Waiting(scripted_gateway.IKE_SA_INIT)
        sent = len(made.sent)
        made.hears(octets[1:], 500)
        assert not made.over or made.initiator.failed
        assert made.node.table.ike_sa(made.slot)[3][:4] == endpoint((GATEWAY, 0))[:4]
        if len(made.sent) == sent and not made.over:
            made.initiator._init.hinted = 0
            _waiting.append(made)
    elif kind == 1:
        made = Waiting(scripted_gateway.IKE_AUTH)
        made.says(scripted_gateway.IKE_AUTH, octets[1:])
        told = [kind for kind, _, _ in made.events]
        assert (ESTABLISHED in told) + (FAILED in told) <= 1
        if ESTABLISHED in told:
            assert VOUCHED[4:] in octets
    else:
        made = Waiting(scripted_gateway.CREATE_CHILD_SA)
        made.says(scripted_gateway.CREATE_CHILD_SA, octets[1:])
        assert len(made.node.table.children(made.slot)) <= 2 if made.node.table.ike_sas() else True


def payloads(what):
    """The payloads of that message as a gateway says them, type of the first in front; and the AUTH among them."""
    found = []

    def tamper(its, parts):
        if its == what:
            found.append(parts)
        return parts

    gate = scripted_gateway.Gateway(PSK, random=random_of_gateway)
    gate.tamper = tamper
    Attempt(gate, random=random).run()
    gate.rekey_child(gate.sas[0], group=31)
    first, octets = scripted_gateway.chain(found[0])
    return bytes((first,)) + octets, scripted_gateway.of(found[0], scripted_gateway.AUTH)


IN_AUTH, VOUCHED = payloads("IKE_AUTH response")
IN_REKEY, _ = payloads("CREATE_CHILD_SA request")


def corpus():
    """A folder with one good message of each kind, and what earlier runs found."""
    folder = fuzz.BUILD / "corpus-attempt"
    folder.mkdir(parents=True, exist_ok=True)
    made = Waiting(scripted_gateway.IKE_SA_INIT)
    made.gateway.tamper = lambda what, parts: parts
    made.gateway._answers.clear()
    ((_, _, answer),) = made.gateway.receive(500, ("198.51.100.7", 500), made.sent[-1][3])
    first, octets = scripted_gateway.chain([scripted_gateway.notify(17, b"\0\x0e")])
    refusal = answer[:8] + bytes(8) + bytes((first,)) + answer[17:24] + (28 + len(octets)).to_bytes(4, "big") + octets
    (folder / "answer").write_bytes(b"\0" + answer)
    (folder / "refusal").write_bytes(b"\0" + refusal)
    (folder / "auth").write_bytes(b"\1" + IN_AUTH)
    (folder / "rekey").write_bytes(b"\2" + IN_REKEY)
    return folder


if __name__ == "__main__":
    fuzz.main(one, corpus(), sys.argv[1:])
