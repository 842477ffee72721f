"""The Encrypted payload against a second implementation of it, made of the cryptography package."""

import hmac
import struct

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ikev2.crypto import cbc, gcm
from ikev2.sa import sk

from library.test_crypto import bad_tags

SPI_I, SPI_R = bytes.fromhex("1111222233334444"), bytes.fromhex("5555666677778888")
INVALID_SPI = bytes.fromhex("0000000c0000000bc0ffee99")
CIPHERS = ("aes-cbc-128", "aes-cbc-256", "aes-gcm-16-128", "aes-gcm-16-256")


def octets(n, start):
    return bytes((start + 7 * i) % 256 for i in range(n))


def keys_of(cipher):
    """SK_ei, SK_er, SK_ai, SK_ar; only the first two with GCM."""
    size = int(cipher[-3:]) // 8
    if "gcm" in cipher:
        return octets(size + 4, 1), octets(size + 4, 2)
    return octets(size, 1), octets(size, 2), octets(32, 3), octets(32, 4)


def make(cipher, initiator):
    return sk.protection(cipher, initiator, *keys_of(cipher))


def header(flags=0x08, exchange=37, message_id=7):
    return SPI_I + SPI_R + struct.pack(">BBBBI", 46, 0x20, exchange, flags, message_id)


def sealed(cipher, head, first, payloads, iv, padding=None, extra=0):
    """A protected message as RFC 7296 section 3.14 and RFC 5282 have it; the sender's role is in the I flag.

    `padding` ends in its length; the payload's length field says so many octets as `extra` too much.
    """
    keys = keys_of(cipher)
    which = 0 if head[19] & 0x08 else 1
    if padding is None:
        size = 0 if "gcm" in cipher else -(len(payloads) + 1) % 16
        padding = bytes(size) + bytes((size,))
    inner = payloads + padding
    size = 32 + len(iv) + len(inner) + 16
    head += struct.pack(">IBBH", size, first, 0, size - 28 + extra)
    if "gcm" in cipher:
        key, salt = keys[which][:-4], keys[which][-4:]
        return head + iv + AESGCM(key).encrypt(salt + iv, inner, head)
    encryptor = Cipher(algorithms.AES(keys[which]), modes.CBC(iv)).encryptor()
    message = head + iv + encryptor.update(inner)
    return message + hmac.digest(keys[2 + which], message, "sha256")[:16]


def iv_of(cipher):
    return octets(8 if "gcm" in cipher else 16, 100)


@pytest.fixture(params=CIPHERS)
def cipher(request):
    return request.param


@pytest.mark.parametrize("initiator", [True, False])
@pytest.mark.parametrize("at", [0, 4])
def test_seal_and_open(cipher, initiator, at):
    """RFC 7296 3.14, RFC 5282: the octets of a second implementation, and nothing written beside them."""
    mine, peer = make(cipher, initiator), make(cipher, not initiator)
    for size in range(40):
        head = header(0x08 if initiator else 0)
        payloads, iv = octets(size, 50), iv_of(cipher)
        out = bytearray(b"\xee" * 256)
        out[at : at + 24] = head
        length = mine.seal(out, at, 41, payloads, iv)
        assert length == mine.length(size)
        assert out[at : at + length] == sealed(cipher, head, 41, payloads, iv)
        assert out[:at] == b"\xee" * at and out[at + length :] == b"\xee" * (256 - at - length)
        assert peer.open(bytes(out), at, at + length) == payloads
        assert mine.open(out, at, at + length) is None


@pytest.mark.parametrize("padding", [0, 1, 15, 16, 17, 254, 255])
def test_any_padding_is_accepted(cipher, padding):
    payloads = bytes((-padding - 1) % 16)
    message = sealed(cipher, header(), 0, payloads, iv_of(cipher), octets(padding, 9) + bytes((padding,)))
    assert make(cipher, False).open(message, 0, len(message)) == payloads


@pytest.mark.parametrize("claimed", [16, 17, 255])
def test_padding_longer_than_the_payload(cipher, claimed):
    message = sealed(cipher, header(), 0, b"", iv_of(cipher), bytes(15) + bytes((claimed,)))
    assert make(cipher, False).open(message, 0, len(message)) is None
    message = sealed(cipher, header(), 0, b"", iv_of(cipher), bytes(15) + b"\x0f")
    assert make(cipher, False).open(message, 0, len(message)) == b""


@pytest.mark.parametrize("extra", [-1, 1, -28])
def test_payload_of_another_length_than_it_says(cipher, extra):
    message = sealed(cipher, header(), 0, b"", iv_of(cipher), extra=extra)
    assert make(cipher, False).open(message, 0, len(message)) is None


def test_every_bit_counts_p5(cipher):
    good = sealed(cipher, header(), 41, INVALID_SPI, iv_of(cipher))
    peer = make(cipher, False)
    assert peer.open(good, 0, len(good)) == INVALID_SPI
    for bit in range(8 * len(good)):
        bad = bytearray(good)
        bad[bit >> 3] ^= 1 << (bit & 7)
        assert peer.open(bad, 0, len(bad)) is None, bit


def test_every_truncation_p5(cipher):
    good = sealed(cipher, header(), 41, INVALID_SPI, iv_of(cipher))
    peer = make(cipher, False)
    for length in range(len(good)):
        assert peer.open(good[:length], 0, length) is None
        if length >= 32:  # once more with lengths that fit
            bad = bytearray(good[:length])
            bad[24:28] = struct.pack(">I", length)
            bad[30:32] = struct.pack(">H", length - 28)
            assert peer.open(bad, 0, length) is None
    assert peer.open(good + b"\0", 0, len(good) + 1) is None


def test_bad_tags_p5(cipher):
    good = sealed(cipher, header(), 41, INVALID_SPI, iv_of(cipher))
    for bad in bad_tags(good[-16:]):
        assert make(cipher, False).open(good[:-16] + bad, 0, len(good) - 16 + len(bad)) is None


def test_another_sender_p5(cipher):
    """The right message under the other direction's keys, and under those of another cipher."""
    message = sealed(cipher, header(0), 0, b"", iv_of(cipher))
    assert make(cipher, False).open(message, 0, len(message)) is None
    for other in CIPHERS:
        opened = make(other, True).open(message, 0, len(message))
        assert opened == (b"" if other == cipher else None)


def test_nothing_is_decrypted_before_it_is_verified(cipher, monkeypatch):
    good = sealed(cipher, header(), 41, INVALID_SPI, iv_of(cipher))
    peer = make(cipher, False)

    def decrypt(*_):
        raise AssertionError

    monkeypatch.setattr(cbc, "_add", decrypt)
    monkeypatch.setattr(gcm, "_xor", decrypt)
    assert peer.open(good[:-1] + bytes((good[-1] ^ 1,)), 0, len(good)) is None
    with pytest.raises(AssertionError):
        peer.open(good, 0, len(good))


def test_gcm_ivs_never_repeat():
    """RFC 5282 3.1: unique for a key, whatever the source of randomness gives."""
    gcm = make("aes-gcm-16-128", True)
    for stuck in (bytes(4), b"\xff" * 4):
        ids = (0, 1, 2, 2**16, 2**31, 2**32 - 1)
        ivs = {gcm.iv(lambda n, stuck=stuck: stuck, response, n) for n in ids for response in (False, True)}
        assert len(ivs) == 2 * len(ids) and {len(iv) for iv in ivs} == {8}
    assert gcm.iv(lambda n: b"\x12\x34\x56\x78", False, 0x9ABCDEF0) == bytes.fromhex("123456789abcdef0")


def test_cbc_ivs_are_the_random_octets():
    """RFC 7296 3.14: unpredictable."""
    assert make("aes-cbc-128", True).iv(lambda n: octets(n, 5), True, 1) == octets(16, 5)


@pytest.mark.parametrize("sizes", [(16, 16, 32, 20), (20, 16, 28, 32), (24, 24, 32, 32), (16, 32, 32, 32), (16, 16)])
def test_wrong_cbc_keys(sizes):
    with pytest.raises(ValueError, match="aes-cbc-128"):
        sk.protection("aes-cbc-128", True, *(bytes(n) for n in sizes))


@pytest.mark.parametrize("sizes", [(16, 16), (28, 28), (20, 36), (0, 0), (20, 20, 32, 32)])
def test_wrong_gcm_keys(sizes):
    with pytest.raises(ValueError, match="aes-gcm-16-128"):
        sk.protection("aes-gcm-16-128", True, *(bytes(n) for n in sizes))


def test_wrong_cipher():
    with pytest.raises(ValueError, match="aes-cbc-192"):
        sk.protection("aes-cbc-192", True, bytes(24), bytes(24), bytes(32), bytes(32))


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(CIPHERS), st.binary(max_size=140), st.booleans())
@example("aes-cbc-128", b"", True)
def test_any_octets_are_refused_p5(cipher, message, fitting):
    if fitting and len(message) >= 32:
        message = bytearray(message)
        message[16] = 46
        message[24:28] = struct.pack(">I", len(message))
        message[30:32] = struct.pack(">H", len(message) - 28)
    assert make(cipher, True).open(message, 0, len(message)) is None


@pytest.mark.parametrize("cipher", CIPHERS)
def test_an_encrypted_fragment_is_dropped_p8(cipher):
    """SKF (53) where SK (46) opens, whether it is one of one or says nothing of fragments."""
    iv = octets(8 if "gcm" in cipher else 16, 9)
    encrypted = header()
    fragment = encrypted[:16] + b"\x35" + encrypted[17:]
    for head, opened in ((encrypted, INVALID_SPI), (fragment, None)):
        message = sealed(cipher, head, 41, INVALID_SPI, iv)
        assert make(cipher, False).open(message, 0, len(message)) == opened
    one_of_one = sealed(cipher, fragment, 41, b"\0\1\0\1" + INVALID_SPI, iv)
    assert make(cipher, False).open(one_of_one, 0, len(one_of_one)) is None
