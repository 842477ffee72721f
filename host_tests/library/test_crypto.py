"""HMAC, AES-CBC and AES-GCM against published vectors, on every machine, and bad tags of our own making."""

import hmac
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st
from ikev2.crypto import aes, cipher, key_size
from ikev2.crypto import hmac as own_hmac
from ikev2.crypto.octets import same

from library.machines import MACHINES, on_unix

FOLDER = Path(__file__).parent / "crypto_vectors"
HMAC, CBC, GCM = (json.loads((FOLDER / f"{name}.json").read_text()) for name in ("hmac_sha256", "aes_cbc", "aes_gcm"))
KEYS = st.sampled_from((16, 32)).flatmap(lambda n: st.binary(min_size=n, max_size=n))
unhex = bytes.fromhex

# Prints the names of the vectors that went wrong; runs on MicroPython too.
_CHECK = """
from binascii import unhexlify
from ikev2.crypto import aes, cipher
from ikev2.crypto.hmac import hmac_sha256
def wrong(hmac, cbc, gcm):
    for v in hmac + cbc + gcm:
        for name in v:
            if name != "name":
                v[name] = unhexlify(v[name])
    for v in hmac:
        if hmac_sha256(v["key"], v["data"])[:len(v["tag"])] != v["tag"]:
            yield v["name"]
    for v in cbc:
        octets = bytearray(v["plaintext"])
        for _ in range(2):
            aes.cbc(v["key"], v["iv"]).encrypt(octets, octets)
            if octets != v["ciphertext"]:
                yield v["name"]
            aes.cbc(v["key"], v["iv"]).decrypt(octets, octets)
            if octets != v["plaintext"]:
                yield v["name"]
    for v in gcm:
        head = v["data"] + v["nonce"][4:]
        gcm = cipher("aes-gcm-16-%d" % (8 * len(v["key"])), v["key"] + v["nonce"][:4])
        octets = bytearray(b"?" + head + v["plaintext"] + b"................!")
        end = len(octets) - 17
        gcm.seal(octets, 1, len(v["data"]), end)
        if octets != b"?" + head + v["ciphertext"] + v["tag"] + b"!":
            yield v["name"]
        into = bytearray(len(v["plaintext"]) + 1)
        if not gcm.open(octets, 1, len(v["data"]), end, into) or into != v["plaintext"] + bytes(1):
            yield v["name"]
"""


@pytest.mark.parametrize("machine", MACHINES)
def test_published_vectors(machine):
    """FIPS 197, SP 800-38A, RFC 3602, RFC 4231, and the GCM specification's, to which RFC 4106 refers."""
    assert machine(_CHECK + f"print(list(wrong({HMAC}, {CBC}, {GCM})))").strip() == "[]"
    broken = [dict(GCM[3], tag="00" * 16)]
    assert machine(_CHECK + f"print(list(wrong({HMAC[:1]}, {CBC[:1]}, {broken})))").strip() == f"[{GCM[3]['name']!r}]"


def test_published_vectors_are_typed_right():
    """What somebody else's code makes of the same values."""
    for v in HMAC:
        assert hmac.digest(unhex(v["key"]), unhex(v["data"]), "sha256").hex().startswith(v["tag"])
    for v in CBC:
        cipher = Cipher(algorithms.AES(unhex(v["key"])), modes.CBC(unhex(v["iv"]))).encryptor()
        assert cipher.update(unhex(v["plaintext"])).hex() == v["ciphertext"]
    for v in GCM:
        sealed = AESGCM(unhex(v["key"])).encrypt(unhex(v["nonce"]), unhex(v["plaintext"]), unhex(v["data"]))
        assert sealed.hex() == v["ciphertext"] + v["tag"]


@settings(max_examples=150, deadline=None)
@given(KEYS, st.binary(min_size=12, max_size=12), st.binary(max_size=70), st.binary(max_size=70))
def test_gcm_of_any_lengths(key, nonce, plaintext, data):
    gcm = cipher("aes-gcm-16-%d" % (8 * len(key)), key + nonce[:4])
    octets = bytearray(data + nonce[4:] + plaintext + bytes(16))
    gcm.seal(octets, 0, len(data), len(octets) - 16)
    assert octets[len(data) + 8 :] == AESGCM(key).encrypt(nonce, plaintext, data)


def test_gcm_counts_beyond_an_octet():
    test_gcm_of_any_lengths.hypothesis.inner_test(bytes(16), bytes(12), bytes(5000), b"")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=140), st.binary(max_size=200))
def test_hmac_of_any_lengths(key, octets):
    assert own_hmac.hmac_sha256(key, octets) == hmac.digest(key, octets, "sha256")


def bad_tags(tag):
    """Every tag that has been accepted somewhere by mistake, and each with one bit wrong."""
    yield from (bytes(16), b"\xff" * 16, bytes(octet ^ 0xFF for octet in tag), bytes(octet ^ 0x80 for octet in tag))
    yield from (tag[::-1], tag[1:] + tag[:1], tag[:8] + bytes(8), bytes(8) + tag[8:], tag[8:] + tag[:8])
    yield from (tag[:n] for n in range(16))
    yield from (tag + b"\0", tag + tag)
    for bit in range(128):
        yield bytes(octet ^ (0x80 >> bit % 8 if i == bit // 8 else 0) for i, octet in enumerate(tag))


def test_bad_tags():
    tag = unhex(GCM[3]["tag"])
    assert same(tag, bytearray(tag), 0, 16) and same(tag[1:], b"" + tag, 1, 15) and same(b"", b"", 0, 0)
    for bad in bad_tags(tag):
        if len(bad) >= 16 and bad[:16] != tag:
            assert not same(tag, bad, 0, 16) and not same(bad, tag, 0, 16)


def test_comparison_takes_its_time():
    """As many octets are looked at whether the first differs, the last, or none."""

    class Octets(bytes):
        looked = 0

        def __getitem__(self, i):
            Octets.looked += 1
            return super().__getitem__(i)

    counts = []
    for other in (bytes(16), b"\1" + bytes(15), bytes(15) + b"\1", b"\1" * 16):
        Octets.looked = 0
        same(Octets(16), other, 0, 16)
        counts.append(Octets.looked)
    assert counts == [16] * 4


def test_table_of_a_key_is_at_most_512_octets():
    table = cipher("aes-gcm-16-128", bytes(20))._table
    assert len(table) * table.itemsize == 256


@pytest.mark.parametrize("name", ["aes-cbc-128", "aes-cbc-256", "aes-gcm-16-128", "aes-gcm-16-256"])
def test_missing_cipher_is_named(name, monkeypatch):
    """Fail closed: no SA without its cipher."""
    cipher(name, bytes(key_size(name)))
    monkeypatch.setattr(aes, "_aes", None)
    with pytest.raises(NotImplementedError, match="AES"):
        cipher(name, bytes(key_size(name)))


def test_missing_cipher_on_a_board_without_cryptolib(tmp_path):
    """Imported there, crypto still says what is missing."""
    (tmp_path / "cryptolib.py").write_text("raise ImportError\n")
    code = "import sys; sys.path.insert(0, %r); from ikev2.crypto import aes\ntry:\n aes.cbc(bytes(16), bytes(16))\n"
    code += "except NotImplementedError as error:\n print(error)"
    assert on_unix(code % str(tmp_path)).startswith("AES-CBC: no cryptolib.aes")
