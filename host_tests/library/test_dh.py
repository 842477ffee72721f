"""X25519 and MODP-2048 against published vectors and other implementations, on every machine; what is refused."""

import builtins
import json
import random
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dh
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from ikev2.crypto import group, limbs, modp2048, x25519

from library.machines import BOARDS, MACHINES, on_cpython

VECTORS = json.loads((Path(__file__).parent / "crypto_vectors/x25519.json").read_text())
P = 2**255 - 19
Q = modp2048._P
unhex = bytes.fromhex
# Prints what a group makes of each (secret, public value of a peer or None), as hex.
RUN = """
from binascii import hexlify, unhexlify
from ikev2.crypto import group
def made(number, secret, peer):
    dh = group(number, lambda n: unhexlify(secret))
    dh.begin(None if peer is None else unhexlify(peer))
    while not dh.step():
        pass
    return None if dh.value is None else hexlify(dh.value).decode()
def run(number, cases):
    for secret, peer in cases:
        print(made(number, secret, peer))
"""
# The u of points whose order divides 8: the secret shared with them is zero (RFC 7748 section 6.1).
SMALL_ORDER = (
    0, 1, P - 1, P, P + 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)  # fmt: skip
EDGES = (
    *range(2, 20), P - 2, P - 3, P - 9, P + 2, P + 9, 2**255 - 1, 2**255 - 2, 2**254, 2**254 - 1, 2**253,
    *(2 ** (13 * k) for k in range(1, 20)), *(2 ** (13 * k) - 1 for k in range(1, 20)),
    *(2 ** (13 * k + 12) for k in range(19)), *(sum(x << 13 * k for k in range(19)) for x in (0xFFF, 0x1000, 0x1001)),
)  # fmt: skip


def of_cryptography(secret, peer):
    key = X25519PrivateKey.from_private_bytes(secret)
    return key.exchange(X25519PublicKey.from_public_bytes(peer)) if peer else key.public_key().public_bytes_raw()


def said(machine, number, cases):
    cases = [(secret.hex(), peer and peer.hex()) for secret, peer in cases]
    lines = machine(f"{RUN}\nrun({number}, {cases})").split()
    return [None if line == "None" else unhex(line) for line in lines]


def little(u):
    return u.to_bytes(32, "little")


@pytest.mark.parametrize("machine", MACHINES)
def test_x25519_published_vectors(machine):
    """RFC 7748 5.2, 6.1."""
    cases = [(unhex(v["secret"]), v["peer"] and unhex(v["peer"])) for v in VECTORS]
    assert [value.hex() for value in said(machine, 31, cases)] == [v["value"] for v in VECTORS]


@pytest.mark.parametrize("machine", MACHINES)
def test_x25519_edges_of_u(machine):
    """RFC 7748 5: the top bit is ignored, u of p and more is taken modulo p; N8: what gives zeros is refused."""
    secret = random.Random(31).randbytes(32)
    cases = [(secret, little(u)) for u in (*EDGES, *(u + 2**255 for u in (9, 2**254, P - 2)))]
    assert said(machine, 31, cases) == [of_cryptography(*case) for case in cases]
    refused = [(secret, little(u)) for u in (*SMALL_ORDER, *(u + 2**255 for u in SMALL_ORDER))]
    assert said(machine, 31, refused) == [None] * len(refused)
    for case in refused:
        with pytest.raises(ValueError):
            of_cryptography(*case)


@pytest.mark.parametrize("machine", MACHINES)
def test_x25519_any_input(machine):
    """A thousand on CPython, fewer on the unix port, whose integers do the same; fifty on boards: machine code."""
    any_octets = random.Random(7748).randbytes
    number = 1000 if machine is on_cpython else 50 if machine in BOARDS else 200
    cases = [(any_octets(32), any_octets(32)) for _ in range(number)]
    cases += [(bytes(32), any_octets(32)), (b"\xff" * 32, any_octets(32)), (any_octets(32), None)]
    assert said(machine, 31, cases) == [of_cryptography(*case) for case in cases]


def test_x25519_a_thousand_times():
    """RFC 7748 5.2."""
    secret = u = little(9)
    for _ in range(1000):
        secret, u = said_here(31, secret, u), secret
    assert secret.hex() == "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"


def said_here(number, secret, peer):
    made = group(number, lambda n: secret)
    made.begin(peer)
    while not made.step():
        pass
    return made.value


@pytest.mark.parametrize("machine", BOARDS)
def test_boards_have_machine_code_for_x25519(machine):
    assert machine("from ikev2.crypto import limbs\nprint(limbs.usable())").strip() == "True"
    assert not limbs.usable()


LIMBS = """
from ikev2.crypto import limbs
from array import array
P = 2**255 - 19
def run(cases):
    "The largest limb that comes out; asserts what it is."
    largest = 0
    for a, b in cases:
        a, b = array("i", a), array("i", b)
        of_a, of_b = limbs.integer(a), limbs.integer(b)
        for square, x, y, right in ((0, a, b, of_a * of_b), (1, a, a, of_a * of_a), (0, b, b, of_b * of_b)):
            out = array("i", [0x7FFFFFFF] * 20)
            limbs.multiply(square, x, out, y)
            assert (limbs.integer(out) - right) % P == 0, (x, y)
            largest = max(largest, max(out), -min(out))
        total, difference = array("i", out), array("i", out)
        limbs.sums(a, b, total, difference)
        assert limbs.integer(total) == of_a + of_b and limbs.integer(difference) == of_a - of_b
        for small in (9, 121665):
            limbs.scaled(a, out, small)
            assert (limbs.integer(out) - small * of_a) % P == 0, (a, small)
            largest = max(largest, max(out), -min(out))
    print(largest)
"""


@pytest.mark.parametrize("machine", BOARDS)
def test_limbs_as_large_as_they_may_be(machine):
    """Sums of two reduced elements, at their bounds and of any signs; what comes out is reduced again."""
    largest = 2 * 4134
    any_of = random.Random(25519)
    cases = [([a] * 20, [b] * 20) for a in (largest, -largest, 0, 1) for b in (largest, -largest, -1)]
    cases += [([any_of.choice((largest, -largest)) for _ in range(20)],) * 2 for _ in range(20)]
    cases += [[[any_of.randint(-largest, largest) for _ in range(20)] for _ in range(2)] for _ in range(40)]
    # What comes back from beyond 2**260 goes as far as limb 2, which is full.
    full = pow(121665, -1, 8192) * 4095 % 8192
    cases += [([0, 0, full, *[0] * 16, largest], [1] * 20), ([0, 0, -full, *[0] * 16, -largest], [1] * 20)]
    assert int(machine(f"{LIMBS}\nrun({cases})")) <= 4134


@pytest.mark.parametrize("machine", MACHINES)
def test_modp_any_input(machine):
    """RFC 3526 3, against pow: a thousand on CPython."""
    any_octets = random.Random(3526).randbytes
    number = 1000 if machine is on_cpython else 3 if machine in BOARDS else 50
    peers = [(2 + int.from_bytes(any_octets(256)) % (Q - 3)).to_bytes(256) for _ in range(number)]
    cases = [(any_octets(32), peer) for peer in peers]
    cases += [(any_octets(32), None), (any_octets(32), (2).to_bytes(256)), (any_octets(32), (Q - 2).to_bytes(256))]
    right = [pow(int.from_bytes(peer or b"\2"), int.from_bytes(secret), Q).to_bytes(256) for secret, peer in cases]
    assert said(machine, 14, cases) == right


@pytest.mark.filterwarnings("ignore:Diffie-Hellman over finite fields")
def test_modp_is_the_group_of_rfc_3526():
    """N8: with leading zeros where there are some."""
    parameters = dh.DHParameterNumbers(Q, 2).parameters()
    for secret in (bytes(31) + b"\7", *(random.Random(i).randbytes(32) for i in range(3))):
        x = int.from_bytes(secret)
        own = dh.DHPrivateNumbers(x, dh.DHPublicNumbers(pow(2, x, Q), parameters.parameter_numbers())).private_key()
        peer = parameters.generate_private_key().public_key()
        of_peer = peer.public_numbers().y.to_bytes(256)
        assert said_here(14, secret, of_peer) == own.exchange(peer).rjust(256, b"\0")
    assert said_here(14, bytes(31) + b"\7", None) == (2**7).to_bytes(256)


@pytest.mark.parametrize("machine", MACHINES)
def test_modp_what_is_refused_n8(machine):
    """RFC 6989 2.1."""
    values = (0, 1, Q - 1, Q, Q + 1, Q + 2, 2**2048 - 1)
    assert said(machine, 14, [(b"\1" * 32, value.to_bytes(256)) for value in values]) == [None] * len(values)


@pytest.mark.parametrize(("number", "size"), [(31, 32), (14, 256)])
def test_wrong_lengths_are_refused_n8(number, size):
    made = group(number, lambda n: bytes(n))
    assert (made.number, made.size) == (number, size) and made.value is None and made.step()
    for wrong in (0, 1, size - 1, size + 1, 2 * size):
        made.begin(b"\7" * wrong)
        assert made.step() and made.value is None


@pytest.mark.parametrize("number", [31, 14])
def test_begun_anew_halfway(number):
    """The same secret throughout; nothing is left of what was begun before."""
    secret = random.Random(1).randbytes(32)
    made = group(number, lambda n: secret)
    made.begin()
    made.step()
    made.begin(b"\x55" * made.size)
    assert made.value is None
    while not made.step():
        assert made.value is None
    assert made.value == said_here(number, secret, b"\x55" * made.size) and made.step()
    made.begin(b"")
    assert made.value is None and made.step()


@pytest.mark.parametrize("number", [0, 1, 2, 5, 13, 15, 16, 19, 20, 32, 65535])
def test_groups_that_are_not_there(number):
    with pytest.raises(NotImplementedError, match=f"group {number}$"):
        group(number, bytes)


def test_machines_without_large_integers(monkeypatch):
    """Some builds of MicroPython have only those of 64 bits: group 14 is not there."""
    monkeypatch.delitem(sys.modules, "ikev2.crypto.modp2048")

    class Of64Bits(int):
        def __new__(cls, octets, base=10):
            if base == 16:
                raise OverflowError
            return super().__new__(cls, octets)

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "int", Of64Bits)
        with pytest.raises(NotImplementedError, match="group 14: no integers"):
            group(14, bytes)


@pytest.mark.parametrize(
    ("number", "name", "spoil"),
    [
        (31, "X25519", lambda patch: patch.setattr(x25519, "_A24", 121666)),
        (31, "X25519", lambda patch: patch.setattr(x25519.X25519, "_slices", lambda *_: iter(()))),
        (14, "MODP-2048", lambda patch: patch.setattr(modp2048, "_P", Q + 2)),
    ],
)
def test_wrong_answers_fail_closed(number, name, spoil, monkeypatch):
    """At the first use on a machine, and at each until they are right."""
    made = group(number, lambda n: b"\7" * n)
    right = said_here(number, b"\7" * 32, None)
    monkeypatch.setattr(type(made), "_known", False)
    with monkeypatch.context() as patch:
        spoil(patch)
        for _ in range(2):
            made.begin()
            with pytest.raises(NotImplementedError, match=name):
                while not made.step():
                    pass
            assert made.value is None and made.step()
    assert said_here(number, b"\7" * 32, None) == right and type(made)._known
