"""Makes the vectors of what goes through a Child SA, with scapy's IPv4 and the cryptography package's ciphers.

By itself it writes vectors/esp-*.json anew; a test compares them with what it makes.
"""

import hmac
import json
import struct
import sys

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from scapy.layers.inet import ICMP, IP, UDP, IPOption_NOP
from scapy.packet import Raw

from golden import vector_files

CIPHERS = ("aes-cbc-128", "aes-cbc-256", "aes-gcm-16-128", "aes-gcm-16-256")
OURS, THEIRS = "10.77.0.2", "10.77.0.9"
GATEWAY = ["198.51.100.1", 4500]
SPI_IN, SPI_OUT = "c0ffee01", "0badcafe"
LAST = 2**32 - 1


IKE_KEYS = {
    "keys": {"cipher": "aes-cbc-128", "sk_ei": "11" * 16, "sk_er": "22" * 16, "sk_ai": "33" * 32, "sk_ar": "44" * 32},
    "message_ids": [2, 0], "random": "55" * 16,
}  # fmt: skip


def liveness_check():
    """The empty INFORMATIONAL request over the IKE SA with these keys, behind the marker."""
    message = bytes.fromhex("111122223333444455556666777788882e202508000000020000005000000034" + "55" * 16)
    encryptor = Cipher(algorithms.AES(b"\x11" * 16), modes.CBC(b"\x55" * 16)).encryptor()
    message += encryptor.update(bytes(15) + b"\x0f")
    return bytes(4) + message + hmac.digest(b"\x33" * 32, message, "sha256")[:16]


LIVENESS_CHECK = liveness_check()
HINT = bytes.fromhex("00000000aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb2920250800000000000000280000000c0000000b" + SPI_OUT)


def key(cipher, inbound):
    """A key of that cipher: for CBC the integrity key, for GCM the salt at its end."""
    size = int(cipher[-3:]) // 8 + (4 if "gcm" in cipher else 32)
    return bytes((i * 7 + 64 * inbound + len(cipher)) & 0xFF for i in range(size))


def iv(cipher, number):
    """The IV of packet `number`."""
    return number.to_bytes(8, "big") if "gcm" in cipher else bytes((number * 29 + i * 17) & 0xFF for i in range(16))


def sealed(cipher, key, spi, number, plain, octets=None):
    """An ESP packet around `plain`: inner packet, padding, pad length, next header."""
    head = bytes.fromhex(spi) + struct.pack(">I", number)
    octets = iv(cipher, number) if octets is None else octets
    if "gcm" in cipher:
        return head + octets + AESGCM(key[:-4]).encrypt(key[-4:] + octets, plain, head)
    encryptor = Cipher(algorithms.AES(key[:-32]), modes.CBC(octets)).encryptor()
    message = head + octets + encryptor.update(plain)
    return message + hmac.digest(key[-32:], message, "sha256")[:16]


def padded(cipher, inner, more=0, next_header=4):
    """What is encrypted around an inner packet; `more` are blocks of padding that are not needed."""
    block = 4 if "gcm" in cipher else 16
    pad = -(len(inner) + 2) % block + more * block
    return inner + bytes(range(1, pad + 1)) + bytes((pad, next_header))


def inner(source=THEIRS, to=OURS, data=b"21.5", sport=5683, dport=40000, **fields):
    """A UDP packet of IPv4."""
    return bytes(IP(src=source, dst=to, id=7, **fields) / UDP(sport=sport, dport=dport) / Raw(data))


def outer(**fields):
    """The same in the other direction."""
    return inner(OURS, THEIRS, **{"sport": 40000, "dport": 5683, **fields})


def sent(datagrams):
    """Steps' "send" of these datagrams to the gateway."""
    return [{"via": "udp/4500", "to": GATEWAY, "octets": octets.hex()} for octets in datagrams]


class Case:
    """A case on the way; every method adds a step."""

    def __init__(self, name, rules, cipher, ike=None, **child):
        self.cipher = cipher
        self.clock = 0
        self.steps = []
        sa = {"spi_i": "1111222233334444", "spi_r": "5555666677778888", "role": "initiator", "peer": GATEWAY,
              "established": True, **(ike or {})}  # fmt: skip
        keys = {"cipher": cipher, "in": key(cipher, True).hex(), "out": key(cipher, False).hex()}
        self.child = {
            "ike_sa": 0, "protocol": "esp", "spi_in": SPI_IN, "spi_out": SPI_OUT, "keys": keys,
            "inside": ["10.77.0.2/32"], "remote": ["10.77.0.0/24"], **child,
        }  # fmt: skip
        given = {"ike_sas": [sa], "child_sas": [self.child]}
        self.case = {"name": f"{name}-{cipher}", "rules": rules.split(), "given": given, "steps": self.steps}

    def receive(self, octets, send=(), verdict="deliver-esp", **opened):
        got = {"via": "udp/4500", "from": GATEWAY, "octets": octets.hex()}
        self.steps.append({"at_ms": self.clock, "receive": got, "verdict": verdict, **opened, "send": list(send)})
        return self

    def hint(self, *send):
        return self.receive(HINT, sent(send), "hint-invalid-spi")

    def tick(self, *send):
        self.steps.append({"at_ms": self.clock, "tick": True, "send": sent(send)})
        return self

    def packet(self, number, plain):
        return sealed(self.cipher, key(self.cipher, True), SPI_IN, number, plain)

    def good(self, number, octets=None, plain=None):
        octets = inner(data=b"%d" % number) if octets is None else octets
        plain = padded(self.cipher, octets) if plain is None else plain
        return self.receive(self.packet(number, plain), inner=octets.hex())

    def bad(self, dropped, number, plain=None, broken=False):
        packet = self.packet(number, padded(self.cipher, inner()) if plain is None else plain)
        return self.receive(packet[:-1] + bytes((packet[-1] ^ broken,)), dropped=dropped)

    def carry(self, octets, number=None):
        """Sent as packet `number`, with the IV that is random; None: it must not leave."""
        send = []
        if number is not None:
            packet = sealed(self.cipher, key(self.cipher, False), SPI_OUT, number, padded(self.cipher, octets))
            send = [{"via": "udp/4500", "to": GATEWAY, "octets": packet.hex()}]
            if "cbc" in self.cipher:
                self.child["random"] = self.child.get("random", "") + iv(self.cipher, number).hex()
        self.steps.append({"at_ms": self.clock, "carry": octets.hex(), "send": send})
        return self


def send():
    for cipher in CIPHERS:
        case = Case("sent-in-order", "E1 E4 E5", cipher)
        case.carry(outer(), 1).carry(outer(data=b"x"), 2).carry(outer(data=b"0123456789"), 3)
        yield case
        case = Case("sent-with-every-length-of-padding", "E1 E3", cipher, next=254)
        for size in range(4):
            case.carry(outer(data=bytes(size)), 254 + size)
        yield case
        case = Case("the-longest-that-may-leave", "E7", cipher)
        room = 1438 if "gcm" in cipher else 1422
        case.carry(outer(data=bytes(room - 28)), 1).carry(outer(data=bytes(room - 27))).carry(outer(data=bytes(1600)))
        yield case.carry(outer(), 2)
    for cipher in CIPHERS[1:3]:
        case = Case("the-last-number-is-sent-once", "E1 E5", cipher, next=LAST - 1)
        yield case.carry(outer(), LAST - 1).carry(outer(), LAST).carry(outer()).carry(outer())
        yield Case("no-number-left", "E1", cipher, next=2**32).carry(outer())
        case = Case("numbers-carry-over", "E1 E5", cipher, next=0xFFFF)
        yield case.carry(outer(), 0xFFFF).carry(outer(), 0x10000)
        case = Case("sent-packets-are-within-the-selectors", "E4", cipher)
        for wrong in (
            inner(), outer()[:-1], outer() + b"\0", b"", outer()[:19], b"\x65" + outer()[1:], b"\x44" + outer()[1:],
            inner("10.77.0.3", THEIRS), inner(OURS, "10.77.1.0"), inner(OURS, "10.76.255.255"),
            inner("0.0.0.0", THEIRS), inner(OURS, "255.255.255.255"),
        ):  # fmt: skip
            case.carry(wrong)
        yield case.carry(outer(), 1).carry(inner(OURS, "10.77.0.0"), 2).carry(inner(OURS, "10.77.0.255"), 3)
    peer = {"peer": [GATEWAY[0], 500]}
    yield Case("traffic-goes-from-4500-to-4500", "E1 N10", CIPHERS[0], ike=peer).carry(outer(), 1)


def lengths(cipher):
    block, around = (4, 32) if "gcm" in cipher else (16, 40)
    case = Case("lengths-that-cannot-be", "E2 E3 E6", cipher)
    packet = case.packet(1, padded(cipher, inner()))
    for size in (8, 9, around - 1, around, around + 1, around + block - 1, around + block + 1, len(packet) - 1):
        case.receive(packet[:size], dropped="malformed")
    case.receive(packet[: around + block], dropped="integrity").receive(packet + b"\0", dropped="malformed")
    return case.bad("integrity", 1, broken=True).good(1).receive(packet[:-1], dropped="malformed")


def padding(cipher):
    block = 4 if "gcm" in cipher else 16
    full = inner(data=bytes(-28 % block))  # whole blocks
    case = Case("padding", "E3", cipher)
    case.bad("padding", 1, full + bytes(block - 2) + b"\xff\4").bad(
        "padding", 2, b"\1" * (block - 2) + bytes((block - 1, 4))
    )
    case.bad("padding", 3, full + bytes(range(2, block)) + bytes((block - 2, 4)))
    case.bad("padding", 4, full + bytes(block - 2) + bytes((block - 2, 4)))
    case.good(5, plain=padded(cipher, inner(data=b"5"), more=2))
    none = inner(data=bytes(-30 % block))
    case.good(6, none, none + b"\0\4").bad("malformed", 7, padded(cipher, b"")).bad("replay", 1)
    longer = inner(data=bytes(-30 % block + 3))
    return case.good(8, longer, longer + bytes(range(1, 254)) + b"\xfd\4")


def receive():
    for cipher in CIPHERS:
        yield Case("received", "E2 E3 E4", cipher).good(1).good(2).good(3)
        case = Case("changed-anywhere", "E2 E6", cipher)
        packet = case.packet(1, padded(cipher, inner()))
        for at in (7, 8, 23, len(packet) - 17, len(packet) - 16, len(packet) - 1):
            case.receive(packet[:at] + bytes((packet[at] ^ 0x80,)) + packet[at + 1 :], dropped="integrity")
        yield case.receive(packet[:-16] + bytes(16), dropped="integrity").good(1).good(2)
        yield lengths(cipher)
        yield padding(cipher)
        case = Case("next-headers", "E3 E6", cipher)
        for number, header in enumerate((41, 17, 0, 5, 255), 1):
            case.bad("next-header", number, padded(cipher, inner(), next_header=header))
        case.bad("dummy", 6, padded(cipher, inner(), next_header=59))
        case.bad("dummy", 7, padded(cipher, b"\xa5" * 33, next_header=59))
        yield case.bad("replay", 6, padded(cipher, inner(), next_header=59)).good(8)
    for cipher in CIPHERS[::2]:
        case = Case("what-is-behind-the-inner-packet-is-cut-off", "E4", cipher)
        case.good(1, inner(), padded(cipher, inner() + bytes(100)))
        yield case.good(2, inner(data=b""), padded(cipher, inner(data=b"") + b"\1\2\3\4"))
        case = Case("inner-packets-that-are-not-whole", "E4 E6", cipher)
        for number, octets in enumerate(
            (
                inner()[:-1], inner()[:19], b"\x60" + bytes(39), b"\x44" + inner()[1:], b"\x4f" + inner()[1:],
                inner()[:2] + b"\0\x13" + inner()[4:],
            ), 1,
        ):  # fmt: skip
            case.bad("malformed", number, padded(cipher, octets))
        yield case.good(7)
        case = Case("what-was-dropped-is-no-proof-of-life", "E6 R3", cipher, ike=IKE_KEYS)
        case.bad("integrity", 1, broken=True).bad("dummy", 1, padded(cipher, b"", next_header=59))
        yield case.bad("selector", 2, padded(cipher, outer())).bad("replay", 2).hint(LIVENESS_CHECK)
        case = Case("what-was-opened-is-proof-of-life", "R5", cipher, ike=IKE_KEYS).good(1).hint()
        case.clock = 1499
        case.good(2)
        case.clock = 10000
        yield case.hint(LIVENESS_CHECK)
        case = Case("a-hint-beside-fresh-traffic-waits", "R5 L4", cipher, ike=IKE_KEYS).good(1).hint()
        case.clock = 1499
        case.tick()
        case.clock = 1500
        yield case.tick(LIVENESS_CHECK).hint()


def window():
    for cipher in CIPHERS[::3]:
        case = Case("once-each", "E2 E6", cipher).good(1).bad("replay", 1).good(3).good(2).bad("replay", 2)
        case.bad("replay", 3).bad("replay", 0).bad("replay", 3, broken=True).bad("integrity", 4, broken=True)
        yield case.good(4).bad("replay", 4)
        case = Case("a-window-of-64", "E2", cipher).good(100).good(37).bad("replay", 36).bad("replay", 37).good(99)
        case.good(38).good(101).bad("replay", 37).bad("replay", 38).good(39).good(163).bad("replay", 100)
        case.bad("replay", 99).good(102).bad("replay", 101).good(1000).good(999).good(937).bad("replay", 936)
        yield case.bad("replay", 163)
        case = Case("what-is-not-verified-moves-nothing", "E2", cipher).good(1).bad("integrity", LAST, broken=True)
        case.bad("integrity", 1000, broken=True).bad("integrity", 2, broken=True)
        yield case.good(2).bad("replay", 2)
        case = Case("seen-before", "E2", cipher, seen=1000).bad("replay", 1000).bad("replay", 937).bad("replay", 936)
        yield case.bad("replay", 1).good(1001).bad("replay", 1000).good(1003).good(1002)
        case = Case("numbers-of-32-bits", "E2", cipher, seen=0xFFFE).good(0xFFFF).good(0x10001).good(0x10000)
        case.bad("replay", 0xFFFF).good(0x2FFFF).good(0x30000).good(0x50001).good(0x4FFFF).bad("replay", 0x30000)
        case.good(0x7FFFFFFF).good(0x80000001).good(0x80000000).bad("replay", 0x7FFFFFFF).bad("replay", 0x10001)
        case.good(0x8000FFFF).good(0x80020000).good(0x8001FFFF)
        case.good(LAST).good(LAST - 63).bad("replay", LAST - 64).bad("replay", LAST)
        yield case.bad("replay", 0).bad("replay", 1)


def selectors():
    cipher = CIPHERS[0]

    def outside(case, number, *args, **fields):
        return case.bad("selector", number, padded(cipher, inner(*args, **fields)))

    case = Case("addresses", "E4 E6", cipher)
    for number, ends in enumerate(
        (("10.77.1.0",), ("10.76.255.255",), (THEIRS, "10.77.0.1"), (THEIRS, "10.77.0.3"), (OURS, THEIRS),
         (THEIRS, "224.0.0.1")), 1,
    ):  # fmt: skip
        outside(case, number, *ends)
    yield case.good(7, inner("10.77.0.0")).good(8, inner("10.77.0.255")).bad("replay", 1)
    case = Case("everything-behind-the-gateway", "E4", cipher, remote=["0.0.0.0/0"]).good(1, inner("255.1.2.3"))
    case.good(2, inner("0.0.0.1")).carry(outer(), 1).carry(inner(OURS, "192.0.2.1"), 2)
    yield outside(case.carry(inner("10.77.0.3", "192.0.2.1")), 3, to="10.77.0.3")
    case = Case("left-out-they-take-all", "E4", cipher)
    del case.child["inside"], case.child["remote"]
    yield case.good(1, inner("192.0.2.1", "192.0.2.2")).carry(inner("192.0.2.1", "192.0.2.2"), 1)
    two = {"inside": ["10.77.0.2/32", "10.77.3.0/25"], "remote": ["10.77.0.9-10.77.0.11", "10.99.0.0/16"]}
    case = Case("more-than-one", "E4", cipher, **two).good(1).good(2, inner("10.77.0.11", "10.77.3.127"))
    outside(outside(outside(case, 3, "10.77.0.12"), 4, "10.77.0.8"), 5, to="10.77.3.128")
    case.good(6, inner("10.99.255.255")).carry(inner("10.77.3.1", "10.99.0.0"), 1)
    yield case.carry(inner("10.77.3.1", "10.98.0.0"))
    coap = {"inside": ["10.77.0.2/32[udp]"], "remote": ["10.77.0.0/24[udp/5683-5684]"]}
    options = {"options": [IPOption_NOP()] * 4}
    icmp = bytes(IP(src=THEIRS, dst=OURS, id=7) / ICMP(id=1, seq=1) / Raw(b"ping"))
    reply = bytes(IP(src=THEIRS, dst=OURS, id=7) / ICMP(type=0, id=1, seq=1) / Raw(b"ping"))
    later = bytes(IP(src=THEIRS, dst=OURS, id=7, frag=100, proto=17) / Raw(b"the rest of it"))
    case = Case("protocol-and-ports", "E4", cipher, **coap).good(1).good(2, inner(sport=5684))
    outside(outside(case, 3, sport=5682), 4, sport=5685).bad("selector", 5, padded(cipher, icmp))
    outside(case.good(6, inner(**options)), 7, sport=5685, **options).bad("selector", 8, padded(cipher, later))
    case.carry(outer(), 1).carry(outer(dport=5685)).carry(outer(dport=53)).carry(outer(proto=6))
    yield case.carry(inner(OURS, THEIRS, sport=5683, dport=40000)).carry(outer(dport=5684, sport=1), 2)
    case = Case("icmp-type-and-code-as-a-port", "E4", cipher, remote=["10.77.0.0/24[icmp/2048]"]).good(1, icmp)
    yield outside(case.bad("selector", 2, padded(cipher, reply)), 3, sport=2048)
    yield Case("fragments-have-no-ports", "E4 E7", cipher).good(1, inner(flags="MF")).good(2, later)


FILES = {"esp-send": send, "esp-receive": receive, "esp-window": window, "esp-selectors": selectors}


def text(name):
    """What a file has to have in it."""
    cases = [case.case for case in FILES[name]()]
    return "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n"


if __name__ == "__main__":
    for name in FILES:
        (vector_files.FOLDER / f"{name}.json").write_text(text(name))
    sys.exit(0)
