"""Keys against the cryptography package and a plain reading of RFC 7296 sections 2.13 to 2.18, on every machine."""

import hmac
import random

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from ikev2.crypto import cipher
from ikev2.sa import keys

from library.machines import MACHINES
from library.test_ciphers import NAMES

OCTETS = random.Random(2014).randbytes
NI, NR, SPI_I, SPI_R = OCTETS(32), OCTETS(16), OCTETS(8), OCTETS(8)


def prf(key, octets):
    return hmac.digest(key, octets, "sha256")


def prf_plus(key, seed, size):
    """Which is HKDF-Expand (RFC 5869 section 2.3)."""
    return HKDFExpand(SHA256(), size, seed).derive(key)


def cut(octets, *sizes):
    made = []
    for size in sizes:
        made.append(octets[:size])
        octets = octets[size:]
    assert octets == b""
    return tuple(made)


def test_prf_in_parts():
    """2.13; keys of 64 octets and more included."""
    for size in (0, 1, 31, 32, 63, 64, 65, 128, 512):
        key = OCTETS(size)
        assert keys.prf(key, b"ab", b"", b"c") == prf(key, b"abc")
        assert keys.prf(key) == prf(key, b"")


def test_prf_plus_of_any_size():
    """2.13."""
    for size in (1, 31, 32, 33, 64, 100, 256, 288, 8160):
        key, seed = OCTETS(32), OCTETS(size % 90)
        assert keys.prf_plus(key, seed, size) == prf_plus(key, seed, size)
    assert keys.prf_plus(b"key", b"seed", 0) == b""
    for size in (-1, 8161):
        with pytest.raises(ValueError, match=str(size)):
            keys.prf_plus(b"key", b"seed", size)


@pytest.mark.parametrize("secret", [OCTETS(32), OCTETS(256), b"\0" + OCTETS(255)])
def test_skeyseed(secret):
    """2.14, 2.18: leading zeros of the secret count (N8)."""
    assert keys.skeyseed(secret, NI, NR) == prf(NI + NR, secret)
    sk_d = OCTETS(32)
    assert keys.skeyseed_of_rekey(sk_d, secret, NI, NR) == prf(sk_d, secret + NI + NR)


@pytest.mark.parametrize(
    ("name", "encryption", "integrity"),
    [("aes-cbc-128", 16, 32), ("aes-cbc-256", 32, 32), ("aes-gcm-16-128", 20, 0), ("aes-gcm-16-256", 36, 0)],
)
def test_ike_keys(name, encryption, integrity):
    """2.14; RFC 5282 7.1: AEAD has no SK_a."""
    seed = OCTETS(32)
    sizes = (32, integrity, integrity, encryption, encryption, 32, 32)
    right = cut(prf_plus(seed, NI + NR + SPI_I + SPI_R, sum(sizes)), *sizes)
    made = keys.ike_keys(name, seed, NI, NR, SPI_I, SPI_R)
    assert made == right
    for of_encryption, of_integrity in ((made[3], made[1]), (made[4], made[2])):
        cipher(name, of_encryption + of_integrity)


@pytest.mark.parametrize("secret", [b"", OCTETS(32), OCTETS(256)])
@pytest.mark.parametrize("name", NAMES)
def test_child_keys(name, secret):
    """2.17: all keys of the initiator's direction, then all of the other; each encryption before integrity."""
    sk_d = OCTETS(32)
    size = {"aes-cbc-128": 48, "aes-cbc-256": 64, "aes-gcm-16-128": 20, "aes-gcm-16-256": 36}[name]
    made = keys.child_keys(name, sk_d, NI, NR, secret)
    assert made == cut(prf_plus(sk_d, secret + NI + NR, 2 * size), size, size)
    assert secret or made == keys.child_keys(name, sk_d, NI, NR)


def test_auth_n12():
    """2.15."""
    psk, message, sk_p, body = OCTETS(20), OCTETS(300), OCTETS(32), b"\2\0\0\0sensor-7"
    right = prf(prf(psk, b"Key Pad for IKEv2"), message + NR + prf(sk_p, body))
    assert keys.auth(psk, message, NR, sk_p, body) == right
    for other in (
        (psk + b"\0\0", message, NR, sk_p, body[:-1]),
        (psk, message[:-1], message[-1:] + NR[1:], sk_p, body),
        (psk, message, NI, sk_p, body),
        (psk, message, NR, sk_p[:-1] + b"?", body),
    ):
        assert keys.auth(*other) != right
    assert keys.auth(psk + bytes(44), message, NR, sk_p, body) == right  # HMAC fills a key up with zeros


@pytest.mark.parametrize("ask", [keys.ike_keys, keys.child_keys])
def test_ciphers_that_are_not_there(ask):
    with pytest.raises(ValueError, match="des"):
        ask("des", b"", b"", b"", b"", *((b"",) if ask is keys.ike_keys else ()))


ON_MACHINES = """
from binascii import hexlify
from ikev2.sa import keys
def run(seed, secret, nonces, spis, names):
    print(hexlify(keys.skeyseed(secret, *nonces)).decode())
    print(hexlify(keys.skeyseed_of_rekey(seed, secret, *nonces)).decode())
    for name in names:
        print(hexlify(b"".join(keys.ike_keys(name, seed, *(nonces + spis)))).decode())
        print(hexlify(b"".join(keys.child_keys(name, seed, *(nonces + (secret,))))).decode())
    print(hexlify(keys.auth(b"psk", secret, nonces[0], seed, b"id")).decode())
"""


@pytest.mark.parametrize("machine", MACHINES)
def test_every_machine(machine):
    seed, secret = b"\x5a" * 32, b"\xc3" * 256
    said = machine(f"{ON_MACHINES}\nrun({seed!r}, {secret!r}, {(NI, NR)!r}, {(SPI_I, SPI_R)!r}, {NAMES!r})").split()
    right = [keys.skeyseed(secret, NI, NR), keys.skeyseed_of_rekey(seed, secret, NI, NR)]
    for name in NAMES:
        right.append(b"".join(keys.ike_keys(name, seed, NI, NR, SPI_I, SPI_R)))
        right.append(b"".join(keys.child_keys(name, seed, NI, NR, secret)))
    right.append(keys.auth(b"psk", secret, NI, seed, b"id"))
    assert said == [octets.hex() for octets in right]
