"""Records the attempts of exchanges/ anew: a device under CPython with given randomness, and the scripted gateway.

What it writes is looked at before it is committed: these files say what the library has to do, not what it does.
"""

import json

from library.attempt import GATEWAY, PSK, Attempt
from library.scripted_gateway import Gateway, chain, notify

from golden import record_accepted
from golden.exchange_files import FOLDER
from golden.random_octets import Random
from golden.record_accepted import networks

PPK = "sensor-7.ppk", b"of no value, but 32 octets long or more"
LONG = bytes(range(100))
GCM = ("aes-gcm-16-256", "aes-gcm-16-128")


class Recorder(Attempt):
    """An Attempt that writes down what happens."""

    def __init__(self, name, gateway, policy, contact, begins):
        self.random = Random(f"device {name}")
        gateway.random = Random(f"gateway {name}")
        gateway._cookie_secret = gateway.random(16)
        super().__init__(gateway, policy, random=lambda n: bytes([1] * n), now=begins, initial_contact=contact)
        self.steps = []
        self._recorded = 0

    def begin(self, **more):
        self.node.random = self.random
        super().begin(**more)

    def step(self, receive=None, at_ms=None):
        """Take down what was sent since the last step."""
        sent = self.sent[self._recorded :]
        self._recorded = len(self.sent)
        step = {"at_ms": self.now if at_ms is None else at_ms}
        if receive:
            step["receive"] = receive
        step["send"] = [{"via": f"udp/{via}", "octets": octets.hex()} for _, via, _, octets in sent]
        self.steps.append(step)

    def arrives(self, octets, via):
        """A datagram of the gateway's, and what becomes of it."""
        self.receive(octets, via)
        wire, self.wire = self.wire, lambda to_gateway, octets: self.on_wire(to_gateway, octets) and []
        self.exchange()
        while self.node.next_timer(self.now % (1 << 30)) == 0:
            self.tick()
        self.wire = wire
        self.step({"via": f"udp/{via}", "octets": octets.hex()})

    def on_wire(self, to_gateway, octets):
        """Keep what goes to the gateway until it is its turn."""
        if to_gateway:
            self.underway.append((self.sent[-1][1], octets))
        return True


def record(name, rules, gateway=None, policy=None, contact=False, begins=0, lost=(), forged=None):
    """A case. `lost` are the datagrams that do not arrive, by number of all on the wire; forged(made) come first."""
    made = Recorder(name, gateway or Gateway(PSK), policy or {}, contact, begins)
    made.underway = []
    made.wire = lambda to_gateway, octets: made.on_wire(to_gateway, octets) and []
    count = 0
    made.exchange()
    while not made.underway and made.tick():
        pass
    while made.node.next_timer(made.now % (1 << 30)) == 0:
        made.tick()
    made.step()
    while True:
        while made.underway:
            via, octets = made.underway.pop(0)
            count += 1
            if count in lost:
                continue
            answers = made.gateway.receive(via, ("198.51.100.7", via), octets)
            for forgery in forged(made) if forged and count == 1 else ():
                made.arrives(forgery, 500)
            for _, _, answer in answers:
                count += 1
                if count not in lost:
                    made.arrives(answer, via)
        if made.over:
            break
        made.tick()
        made.step()
    child = made.initiator.child

    outcome = {"failed": made.initiator.reason.partition(":")[0]}
    if child:
        (theirs,) = made.gateway.sas[-1].children
        assert (theirs.key_in, theirs.key_out) == (child.key_out, child.key_in)
        names = ("spi_in", "spi_out", "key_in", "key_out")
        outcome = {"established": {"cipher": child.cipher, **{name: getattr(child, name).hex() for name in names},
                                   "inside": networks(child.inside), "remote": networks(child.remote)}}  # fmt: skip
    its = made.policy
    return {
        "name": name,
        "rules": rules.split(),
        "gateway": GATEWAY,
        "begins": begins,
        "contact": contact,
        "policy": {
            "id": its.id,
            "psk": its.psk.hex(),
            "gateway_id": its.gateway_id,
            "inside": its.inside.hex() if its.inside else None,
            "remote": networks(its.remote),
            "groups": list(its.groups),
            "ciphers": list(its.ciphers),
            **({"ppk": [its.ppk.id, its.ppk.octets.hex()]} if its.ppk else {}),
        },
        "random": made.random.taken.hex(),
        "steps": made.steps,
        "outcome": outcome,
    }


def clear(made, *parts):
    """An unprotected response to the device's IKE_SA_INIT."""
    first, octets = chain(list(parts))
    length = (28 + len(octets)).to_bytes(4, "big")
    return made.sent[-1][3][:8] + bytes(8) + bytes((first, 0x20, 34, 0x20, 0, 0, 0, 0)) + length + octets


def forgeries(made):
    return [clear(made, notify(14)), clear(made, notify(24)), clear(made, notify(5)), clear(made)]


def another_gateways(made):
    """The good answer of a gateway without a PPK."""
    other = Gateway(PSK, random=Random("another gateway"))
    return [octets for _, _, octets in other.receive(500, ("198.51.100.7", 500), made.sent[-1][3])]


def tampered(what, change):
    """A gateway that changes what it says."""
    gateway = Gateway(PSK)
    gateway.tamper = lambda its, parts: change(parts) if its == what else parts
    return gateway


def wrong_auth(parts):
    return [(kind, body[:-1] + b"?" if kind == 39 else body) for kind, body in parts]


def with_ppk(gateway=None, id=PPK[0], octets=PPK[1]):
    """A gateway that has that PPK."""
    gateway = gateway or Gateway(PSK)
    gateway.ppk = id, octets
    return gateway


def without(what, kind):
    """A gateway with the PPK that leaves a notify out."""
    return with_ppk(tampered(what, lambda parts: [part for part in parts if part != notify(kind)]))


def refusing(notify_type):
    gateway = Gateway(PSK)
    gateway.refuse = notify_type
    return gateway


def cases():
    """{file: cases}."""
    named = {"gateway_id": "gateway.example"}
    return {
        "established": [
            record("x25519-and-aes-cbc", "N1 N7 N10 N11 N12 N13 N20"),
            record("modp2048-and-aes-cbc", "N7 N8 N12 N13", policy={"groups": [14]}),
            record("x25519-and-aes-gcm", "N7 N22", Gateway(PSK, ciphers=GCM), {"ciphers": GCM}),
            record("modp2048-and-aes-gcm", "N7 N22", Gateway(PSK, ciphers=GCM[1:]), {"ciphers": GCM, "groups": [14]}),
            record("aes-gcm-beside-aes-cbc", "N22", policy={"ciphers": [*GCM, "aes-cbc-128"]}),
            record(
                "an-address-of-our-own", "N11 N13 N16 N18 N20", Gateway(PSK, networks=("10.1.0.0/16",)),
                {"id": "a@example.org", "gateway_id": "gateway.example", "inside": b"\x0a\4\0\7",
                 "remote": b"\0\0\0\xff\xff\x0a\0\0\0\x0a\xff\xff\xff"}, contact=True,
            ),
        ],
        "cookies-and-groups": [
            record("cookie", "N3", Gateway(PSK, cookies=True)),
            record("invalid-ke-payload", "N4", Gateway(PSK, groups=(14,))),
            record("cookie-and-invalid-ke-payload", "N3 N4", Gateway(PSK, groups=(14,), cookies=True)),
            record("invalid-ke-payload-from-14-to-31", "N4", Gateway(PSK, groups=(31,)), {"groups": [14, 31]}),
        ],
        "refused": [
            record("wrong-psk", "N14", policy={"psk": b"a psk that the gateway has not"}),
            record("refused-child-sa", "N15", refusing(14)),
            record("no-address", "N15 N20", Gateway(PSK, pool=None)),
            record("wrong-auth", "N13", tampered("IKE_AUTH response", wrong_auth)),
            record("wrong-idr", "N13", Gateway(PSK, id="other.example"), {**named, "psk": PSK}),
            record("another-idr-than-asked-for", "N13", tampered(
                "IKE_AUTH response", lambda parts: [(k, b"\2\0\0\0other" if k == 36 else b) for k, b in parts]), named),
            record("selectors-beyond-ours", "N16", Gateway(PSK, networks=("10.0.0.0/7",)),
                   {"remote": b"\0\0\0\xff\xff\x0a\0\0\0\x0a\xff\xff\xff"}),
        ],
        "wire": [
            record("forged-errors-before-the-answer", "N5 N6", forged=forgeries),
            record("forged-group-before-the-answer", "N4", Gateway(PSK, groups=(14, 31)), {"groups": [31, 14]},
                   forged=lambda made: [clear(made, notify(17, b"\0\x13")), clear(made, notify(17, b"\0"))]),
            record("lost-on-our-side", "N2", lost=(1, 2, 5, 6)),
            record("lost-on-the-gateways-side", "N2", lost=(2, 4, 8, 10)),
            record("lost-with-cookie-and-group", "N2 N3 N4", Gateway(PSK, groups=(14,), cookies=True), lost=(2, 6, 9)),
            record("no-answer", "N2", begins=(1 << 30) - 5000, lost=range(100)),
            record("no-answer-to-ike-auth", "N2 N9", lost=range(3, 100)),
        ],
        "ppk": [
            record("ppk", "Q1 Q2", with_ppk(), {"ppk": PPK}),
            record("ppk-cookie-and-group", "Q1 Q2", with_ppk(Gateway(PSK, groups=(14,), cookies=True)), {"ppk": PPK}),
            record("ppk-and-aes-gcm", "Q1 Q2", with_ppk(Gateway(PSK, ciphers=GCM)), {"ciphers": GCM, "ppk": PPK}),
            record("a-ppk-longer-than-a-block", "Q2", with_ppk(octets=LONG), {"ppk": (PPK[0], LONG)}),
            record("a-gateway-that-has-one-and-is-not-asked", "Q1", with_ppk()),
            record("ppk-that-the-gateway-has-not", "Q1", policy={"ppk": PPK}),
            record("a-forged-answer-without-use-ppk-first", "Q1", with_ppk(), {"ppk": PPK}, forged=another_gateways),
            record("another-ppk", "Q3", with_ppk(octets=b"quite another ppk, but as long or longer"), {"ppk": PPK}),
            record("another-ppk-id", "Q3", with_ppk(id="sensor-8.ppk"), {"ppk": PPK}),
            record("no-ppk-identity-in-the-response", "Q1", without("IKE_AUTH response", 16436), {"ppk": PPK}),
        ],
        "accepted": record_accepted.cases(),
    }  # fmt: skip


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, recorded in cases().items():
        (FOLDER / f"{name}.json").write_text(json.dumps(recorded, indent=1) + "\n")
        for case in recorded:
            print(name, case["name"], len(case["steps"]), next(iter(case["outcome"].items()))[0:2])
