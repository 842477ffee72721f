"""Records the cases of exchanges/accepted.json: who accepts, under CPython, called by library/scripted_caller.py."""

import ipaddress

from ikev2.initial.acceptor import Acceptor
from ikev2.initial.peers import Peers
from ikev2.node import Node
from ikev2.sa.selectors import network
from ikev2.spi_table import SpiTable
from library.accepting import PSK
from library.scripted_caller import Caller
from library.scripted_gateway import ID_R, NOTIFY

from golden.random_octets import Random

ADDRESS = "198.51.100.7"
HUB = {
    "id": "hub.example", "inside": "10.9.0.254", "pool": "10.9.0.0/24", "groups": [31, 14],
    "ciphers": ["aes-cbc-256", "aes-cbc-128"], "as_sent": False, "peers": {"sensor-7": PSK.hex()}, "cookies_from": 2,
}  # fmt: skip
GCM = ["aes-gcm-16-256", "aes-gcm-16-128"]
_PERIOD = 1 << 30


def networks(selectors):
    return [
        str(one)
        for i in range(0, len(selectors), 13)
        for one in ipaddress.summarize_address_range(
            ipaddress.ip_address(selectors[i + 5 : i + 9]), ipaddress.ip_address(selectors[i + 9 : i + 13])
        )
    ]


class Recorder:
    """A hub that is called; `steps` as the file has them."""

    def __init__(self, name, hub, begins):
        self.random = Random(f"hub {name}")
        self.node = Node(SpiTable(8, 8), lambda n: bytes([1] * n))
        self.node.random = self.random
        pool = network(hub["pool"])
        inside = ipaddress.ip_address(hub["inside"]).packed
        peers = Peers(hub["id"], inside, pool, b"", None, hub["groups"], hub["ciphers"], hub["as_sent"])
        for id in sorted(hub["peers"]):
            ppk = hub.get("ppks", {}).get(id)
            peers.add(id, bytes.fromhex(hub["peers"][id]), ppk=ppk and (ppk[0], bytes.fromhex(ppk[1])))
        self.accepted = []
        self.node.acceptor = acceptor = Acceptor(self.node, peers, self._admit, cookies_from=hub["cookies_from"])
        self.node.follow(acceptor)
        self.now = begins
        self.steps = []

    def _admit(self, slot, accepted, now):
        child = accepted.child
        made = {"inside": [], "remote": []}
        if child:
            made = {name: getattr(child, name).hex() for name in ("spi_in", "spi_out", "key_in", "key_out")}
            made |= {"inside": networks(child.inside), "remote": networks(child.remote), "cipher": child.cipher}
        self.accepted.append({**made, "peer": accepted.peer.id})

    def _said(self):
        said = []
        while length := self.node.outgoing(self.now % _PERIOD):
            to = self.node.out_to
            end = [str(ipaddress.ip_address(to[:4])), int.from_bytes(to[4:], "big")]
            said.append({"via": f"udp/{self.node.out_via}", "to": end, "octets": bytes(self.node.out[:length]).hex()})
        while self.node.event():
            pass
        return said

    def ask(self, octets, via, port=None):
        """What the hub says to a datagram from there, without its marker."""
        end = ADDRESS, port or via
        octets = bytes(4 * (via == 4500)) + octets
        source = ipaddress.ip_address(ADDRESS).packed + end[1].to_bytes(2, "big")
        self.node.receive(via, source, octets, len(octets), self.now % _PERIOD)
        said = self._said()
        while self.node.next_timer(self.now % _PERIOD) == 0:
            self.node.tick(self.now % _PERIOD)
            said += self._said()
        receive = {"via": f"udp/{via}", "from": list(end), "octets": octets.hex()}
        self.steps.append({"at_ms": self.now, "receive": receive, "send": said})
        return [bytes.fromhex(one["octets"])[4 * (via == 4500) :] for one in said]

    def wait(self, ms):
        """Let time pass."""
        end = self.now + ms
        said = []
        while 0 <= (wait := self.node.next_timer(self.now % _PERIOD)) <= end - self.now:
            self.now += wait
            self.node.tick(self.now % _PERIOD)
            said += self._said()
        self.now = end
        self.steps.append({"at_ms": self.now, "send": said})


def record(name, rules, caller=(), hub=(), begins=0, one_port=False, twice=False, forged=(), wait=0, refused=0):
    """A case; `caller` are arguments of Caller's. `twice`: each request comes again; `forged` come before IKE_AUTH."""
    hub = {**HUB, **dict(hub)}
    made = Recorder(name, hub, begins)
    given = {"psk": PSK, "id": "sensor-7", **dict(caller)}
    caller = Caller(random=Random(f"caller {name}"), **given)
    request = caller.first()
    while request:
        via = 4500 if one_port or caller.marker else 500
        if caller.marker:
            for forgery in forged:
                made.ask(forgery(request), via)
        answers = made.ask(request, via)
        if twice:
            assert made.ask(request, via) == answers
        request = caller.hear(answers[0]) if answers else None
    assert caller.refused == refused, (name, caller.refused)
    assert bool(caller.child) == (not refused)
    if caller.child:
        keys = made.accepted[-1]["key_out"], made.accepted[-1]["key_in"]
        assert keys == (caller.child.key_in.hex(), caller.child.key_out.hex())
    if wait:
        made.wait(wait)
    return {
        "name": name, "rules": rules.split(), "begins": begins, "hub": hub, "random": made.random.taken.hex(),
        "steps": made.steps, "outcome": {"accepted": made.accepted, "left": len(made.node.table.ike_sas())},
    }  # fmt: skip


def without_nat_detection(what, parts):
    return [part for part in parts if part[0] != NOTIFY] if what == "IKE_SA_INIT" else parts


def another_idr(what, parts):
    return [*parts, (ID_R, b"\2\0\0\0other.example")] if what == "IKE_AUTH" else parts


def without_ppk_identity(what, parts):
    return [part for part in parts if part[1][2:4] != b"\x40\x34" or part[0] != NOTIFY]


def cases():
    """Cases of who accepts."""
    ppk = "sensor-7.ppk", b"of no value, but 32 octets long or more"
    ppks = {"ppks": {"sensor-7": [ppk[0], ppk[1].hex()]}}
    others = {
        "ppks": {"sensor-8": ["sensor-8.ppk", ppk[1].hex()]},
        "peers": {"sensor-7": PSK.hex(), "sensor-8": PSK.hex()},
    }
    optional = {"ppk": ppk, "optional_ppk": True}
    gcm = {"ciphers": [*GCM, "aes-cbc-256"]}
    return [
        record("accepted-x25519-and-aes-cbc", "A1 A3 A4 A10"),
        record("accepted-modp2048-as-sent", "A3", {"groups": (14, 31)}, {"as_sent": True}),
        record("accepted-aes-gcm", "A3", {"cipher": "aes-gcm-16-256"}, gcm),
        record("accepted-on-one-port-with-all-twice", "A1 A2", one_port=True, twice=True, begins=(1 << 30) - 5),
        record("another-group-first", "A3", {"groups": (14, 31)}),
        record("no-group-in-common", "A3 A12", {"groups": (14,)}, {"groups": [31]}, refused=14),
        record("without-nat-detection", "A4", {"changes": without_nat_detection}, refused=14),
        record("a-cookie-first", "A5", hub={"cookies_from": 0}),
        record("a-cookie-and-another-group", "A3 A5", {"groups": (14, 31)}, {"cookies_from": 0}),
        record("a-forged-ike-auth-first", "A7", forged=[lambda octets: octets[:-1] + bytes((octets[-1] ^ 1,))]),
        record("psk-of-another", "A8", {"psk": b"quite another psk, of 28 oct"}, twice=True, wait=10001, refused=24),
        record("id-of-nobody", "A8", {"id": "sensor-9"}, twice=True, wait=10001, refused=24),
        record("another-idr-than-ours", "A8", {"changes": another_idr}, refused=24),
        record("an-address-that-is-asked-for", "A10", {"address": b"\x0a\x09\0\x63"}),
        record("no-address-left", "A10", hub={"pool": "10.9.0.254/32"}, refused=36),
        record("no-address-asked-for", "A10", {"address": None}, refused=37),
        record("accepted-with-a-ppk", "Q2 Q4", {"ppk": ppk}, ppks),
        record("accepted-with-a-ppk-that-is-optional", "Q2 Q4", optional, ppks),
        record("accepted-without-a-ppk-by-no-ppk-auth", "Q4", optional, others),
        record("accepted-without-a-ppk-where-nobody-has-one", "Q4", optional),
        record("accepted-without-a-ppk-where-another-has-one", "Q4", hub=others),
        record("ppk-of-another", "Q3", {"ppk": (ppk[0], b"another ppk of more than 32 octets")}, ppks, refused=24),
        record("ppk-id-of-nobody", "Q3", {"ppk": ("sensor-9.ppk", ppk[1]), "optional_ppk": True}, ppks, refused=24),
        record("no-ppk", "Q4", {}, ppks, refused=24),
        record("no-ppk-identity", "Q4", {"ppk": ppk, "changes": without_ppk_identity}, ppks, refused=24),
        record("a-ppk-that-is-required-there", "Q4", {"ppk": ppk}, others, refused=24),
    ]  # fmt: skip
