"""The ciphers of one direction against the cryptography package: many messages of one key, bad ones among them."""

import hashlib
import hmac
import random

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from ikev2.crypto import ICV, aes, cbc, cipher, gcm, integrity_size, key_size, trust, usable
from ikev2.crypto import hmac as own_hmac

from library.machines import BOARDS, MACHINES, on_cpython
from library.test_crypto import bad_tags

NAMES = ("aes-cbc-128", "aes-cbc-256", "aes-gcm-16-128", "aes-gcm-16-256")
SIZES = (48, 64, 20, 36)
# Messages of one key, one after the other, with octets of a generator that both sides have: prints what is wrong with
# them, and a hash of them all.
MESSAGES = """
import hashlib
from binascii import hexlify
from ikev2.crypto import cipher, key_size
class Octets:
    "Pseudo-random ones, the same on every machine."
    def __init__(self, seed):
        self.state = seed
    def number(self, n):
        self.state = (self.state * 75 + 74) % 65537
        return self.state % n
    def __call__(self, n):
        return bytes([self.number(256) for _ in range(n)])
def messages(name, number):
    octets = Octets(number + len(name))
    key = octets(key_size(name))
    for _ in range(number):
        at, head = octets.number(9), (8, 32, 0, 1, 20)[octets.number(5)]
        size = 16 * (1 + octets.number(9)) if "cbc" in name else 1 + octets.number(150)
        clear, iv, text = octets(at + head), octets(16 if "cbc" in name else 8), octets(size)
        yield key, at, head, clear, iv, text
def run(name, number):
    inbound = outbound = None
    whole = hashlib.sha256()
    for key, at, head, clear, iv, text in messages(name, number):
        outbound, inbound = outbound or cipher(name, key), inbound or cipher(name, key)
        end = at + head + len(iv) + len(text)
        out = bytearray(clear + iv + text + b"?" * 20)
        outbound.seal(out, at, head, end)
        if bytes(out[:at + head + len(iv)]) != clear + iv or out[end + 16:] != b"????":
            print("written elsewhere")
        whole.update(out[at:end + 16])
        into = bytearray(len(text) + 5)
        bad = bytearray(out)
        i = at + len(text) * 7919 % (end + 16 - at)
        bad[i] ^= 1 << len(text) % 8
        if inbound.open(bad, at, head, end, into) or any(into):
            print("opened", i)
        if not inbound.open(bytes(out), at, head, end, into) or into != text + bytes(5):
            print("not opened")
    print(hexlify(whole.digest()).decode())
"""


def of_cryptography(name, key, head, iv, text):
    """What follows a clear header: IV, ciphertext, ICV."""
    if "gcm" in name:
        return iv + AESGCM(key[:-4]).encrypt(key[-4:] + iv, text, head)
    encryptor = Cipher(algorithms.AES(key[:-32]), modes.CBC(iv)).encryptor()
    sealed = iv + encryptor.update(text)
    return sealed + hmac.digest(key[-32:], head + sealed, "sha256")[:16]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("machine", MACHINES)
def test_any_messages_of_one_key(machine, name):
    """A thousand on PCs, fifty on boards; a bad one, dropped, before each good one."""
    number = 50 if machine in BOARDS else 1000
    room = {}
    exec(MESSAGES, room)
    whole = hashlib.sha256()
    for key, at, head, clear, iv, text in room["messages"](name, number):
        assert len(clear) == at + head
        whole.update(clear[at:] + of_cryptography(name, key, clear[at:], iv, text))
    assert machine(f"{MESSAGES}\nrun({name!r}, {number})").split() == [whole.hexdigest()]


def message(name, key, size, head=8, octet=None):
    any_octets = random.Random(size).randbytes if octet is None else lambda n: bytes((octet,)) * n
    clear, iv, text = any_octets(head), any_octets(cipher(name, key).iv_size), any_octets(size)
    return clear + of_cryptography(name, key, clear, iv, text), text


def opened(name, key, octets, head=8):
    into = bytearray(len(octets))
    made = cipher(name, key)
    if not made.open(octets, 0, head, len(octets) - ICV, into):
        assert not any(into)
        return None
    return into[: len(octets) - ICV - head - made.iv_size]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("octet", [0x00, 0xFF, 0x80, 0x01])
def test_extremes(name, octet):
    """Keys, IVs and texts of one octet, up to 4,096 of them."""
    key = bytes((octet,)) * key_size(name)
    for size in (16, 32, 48, 112, 128, 144, 240, 256, 1024, 4096, *(() if "cbc" in name else (0, 1, 15, 17, 127, 129))):
        sealed, text = message(name, key, size, octet=octet)
        assert opened(name, key, sealed) == text
        out = bytearray(sealed[: -size - ICV or None] + text + bytes(ICV))
        cipher(name, key).seal(out, 0, 8, len(out) - ICV)
        assert out == sealed


@pytest.mark.parametrize("name", NAMES)
def test_bad_icvs(name):
    """Wycheproof's modified tags: P5, E2."""
    key = bytes(range(key_size(name)))
    sealed, text = message(name, key, 64)
    assert opened(name, key, sealed) == text
    for bad in bad_tags(sealed[-16:]):
        if len(bad) == 16:
            assert opened(name, key, sealed[:-16] + bad) is None
        else:  # another length of the message
            assert opened(name, key, sealed[:-16] + bytes(16) + bad) is None


@pytest.mark.parametrize("name", NAMES)
def test_every_bit_and_every_length_counts(name):
    key = bytes(range(key_size(name)))
    sealed, _ = message(name, key, 32)
    for bit in range(8 * len(sealed)):
        bad = bytearray(sealed)
        bad[bit >> 3] ^= 1 << (bit & 7)
        assert opened(name, key, bad) is None
    for size in range(ICV, len(sealed)):
        assert opened(name, key, sealed[:size]) is None
    assert opened(name, key, sealed + b"\0") is None and opened(name, key, b"\0" + sealed) is None
    assert opened(name, key, sealed, head=9) is None and opened(name, key, sealed, head=7) is None


@pytest.mark.parametrize("name", NAMES)
def test_other_keys(name):
    key = bytes(range(key_size(name)))
    sealed, _ = message(name, key, 32)
    for i in range(len(key)):
        other = key[:i] + bytes((key[i] ^ 0x80,)) + key[i + 1 :]
        result = opened(name, other, sealed)  # of AES-CBC the ICV has a key of its own
        assert (result is None) == ("gcm" in name or i >= len(key) - 32)


def test_sizes_of_keys():
    assert tuple(map(key_size, NAMES)) == SIZES
    assert tuple(map(integrity_size, NAMES)) == (32, 32, 0, 0)
    for name, size in zip(NAMES, SIZES, strict=True):
        made = cipher(name, bytes(size))
        assert (made.iv_size, made.block) == ((16, 16) if "cbc" in name else (8, 1))
        for wrong in (0, 16, size - 1, size + 1, size + 16):
            with pytest.raises(ValueError, match=f"{name}: .*{wrong}"):
                cipher(name, bytes(wrong))


@pytest.mark.parametrize("name", ["", "aes-cbc-192", "AES-CBC-128", "aes-gcm-128", "des", None, 12, b"aes-cbc-128"])
def test_ciphers_that_are_not_there(name):
    for ask in (key_size, integrity_size, lambda name: cipher(name, bytes(48))):
        with pytest.raises(ValueError, match="cipher"):
            ask(name)


SPOILED = {
    "aes-cbc-128, AES encrypts otherwise": ("aes-cbc-128", lambda p: p.setattr(cbc, "_add", lambda *_: None)),
    "aes-cbc-256, AES decrypts otherwise": (
        "aes-cbc-256",
        lambda p: p.setattr(cbc, "_add", lambda text, *of, add=cbc._add: isinstance(text, bytearray) or add(text, *of)),
    ),
    "aes-cbc-256, everything is the same": ("aes-cbc-256", lambda p: p.setattr(cbc, "same", lambda *_: True)),
    "aes-cbc-128, nothing is the same": ("aes-cbc-128", lambda p: p.setattr(cbc, "same", lambda *_: False)),
    "aes-cbc-256, AES-128 for 256": (
        "aes-cbc-256",
        lambda p: p.setattr(aes, "_aes", lambda key, *mode, made=aes._aes: made(key[:16], *mode)),
    ),
    "aes-gcm-16-128, GHASH": ("aes-gcm-16-128", lambda p: p.setattr(gcm, "_REDUCED", gcm._REDUCED[::-1])),
    "aes-gcm-16-256, counters": (
        "aes-gcm-16-256",
        lambda p: p.setattr(gcm, "_count", lambda blocks, _: blocks.__setitem__(15, 9)),
    ),
    "aes-gcm-16-256, everything is the same": ("aes-gcm-16-256", lambda p: p.setattr(gcm, "same", lambda *_: True)),
}


@pytest.mark.parametrize("what", SPOILED)
def test_wrong_answers_fail_closed(what, monkeypatch):
    """At the first use on a machine, and at each until they are right."""
    name, spoil = SPOILED[what]
    cipher(name, bytes(key_size(name)))
    monkeypatch.setattr("ikev2.crypto._known", {})
    with monkeypatch.context() as patch:
        spoil(patch)
        for _ in range(2):
            with pytest.raises(NotImplementedError, match=f"{name}: wrong answers"):
                cipher(name, bytes(key_size(name)))
    cipher(name, bytes(key_size(name)))


@pytest.mark.parametrize("name", NAMES)
def test_after_sleep_a_cipher_needs_no_answers_anew_z3(name, monkeypatch):
    monkeypatch.setattr("ikev2.crypto._known", {})
    monkeypatch.setattr("ikev2.crypto.known.check", full)
    trust(name)
    assert usable(name) is type(cipher(name, bytes(key_size(name))))


def test_wrong_hmac_fails_closed(monkeypatch):
    monkeypatch.setattr(own_hmac, "_known", False)
    with monkeypatch.context() as patch:
        patch.setattr(own_hmac, "_pad", lambda *_: None)
        for _ in range(2):
            with pytest.raises(NotImplementedError, match="HMAC-SHA-256: wrong answer"):
                own_hmac.hmac_sha256(b"key", b"octets")
    assert own_hmac.hmac_sha256(b"key", b"oct", b"ets") == hmac.digest(b"key", b"octets", "sha256")


def full(*_):
    raise MemoryError


def test_a_full_heap_is_no_known_answer_of_hmac(monkeypatch):
    """The next use is checked all the same."""
    monkeypatch.setattr(own_hmac, "_known", False)
    with monkeypatch.context() as patch:
        patch.setattr(own_hmac, "sha256", full)
        with pytest.raises(MemoryError):
            own_hmac.hmac_sha256(b"key", b"octets")
    monkeypatch.setattr(own_hmac, "_pad", lambda *_: None)
    with pytest.raises(NotImplementedError, match="wrong answer"):
        own_hmac.hmac_sha256(b"key", b"octets")


@pytest.mark.parametrize("name", NAMES)
def test_a_full_heap_is_no_known_answer_of_a_cipher(name, monkeypatch):
    monkeypatch.setattr("ikev2.crypto._known", {})
    spoiled = next(spoil for known, spoil in SPOILED.values() if known == name)
    with monkeypatch.context() as patch:
        patch.setattr("ikev2.crypto.known.unhexlify", full)
        with pytest.raises(MemoryError):
            cipher(name, bytes(key_size(name)))
    spoiled(monkeypatch)
    with pytest.raises(NotImplementedError, match="wrong answers"):
        cipher(name, bytes(key_size(name)))


OCTETS = """
from ikev2.crypto.octets import pad_with_zeros, same
def run():
    for n in (0, 1, 2, 15, 16, 255):
        out = bytearray(b"?" * 260)
        pad_with_zeros(out, 2, 3 + n)
        assert out == b"??" + bytes(n) + bytes((n,)) + b"?" * (257 - n), n
    a, b = bytes((0, 1, 2, 105, 106, 107, 108, 7)), bytes(range(100, 120))
    assert same(a[3:], b, 5, 4) and not same(a[3:], b, 5, 5) and not same(a[2:], b, 4, 5) and same(a, b, 0, 0)
    print("right")
run()
"""


@pytest.mark.parametrize("machine", MACHINES)
def test_octets(machine):
    assert machine(OCTETS).strip() == "right"


HEAP = """
import gc, hashlib, micropython
from ikev2.crypto import cipher, key_size
def views(*cuts):
    for cut in cuts:
        memoryview(PACKET)[0:cut]
PACKET = bytearray(1200)
INTO = bytearray(1200)
def used(what, *arguments):
    what(*arguments)
    gc.collect()
    before = gc.mem_alloc()
    what(*arguments)
    return gc.mem_alloc() - before
def hashed():
    inner = hashlib.sha256(PACKET)
    inner.update(PACKET)
    outer = hashlib.sha256(PACKET)
    outer.update(inner.digest())
    outer.digest()
def run(name, end):
    outbound, inbound = [cipher(name, bytes(key_size(name))) for _ in range(2)]
    if "gcm" in name:
        micropython.heap_lock()
        outbound.seal(PACKET, 0, 8, end)
        right = inbound.open(PACKET, 0, 8, end, INTO)
        micropython.heap_unlock()
        print(right, 0, 0, 0)
    else:
        made, opened = used(outbound.seal, PACKET, 0, 8, end), used(inbound.open, PACKET, 0, 8, end, INTO)
        print(True, made, opened, used(hashed) + used(views, 8, 8))
"""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("machine", [machine for machine in MACHINES if machine is not on_cpython])
def test_heap_of_a_packet(machine, name):
    """AES-GCM takes none; AES-CBC takes what hashlib does and two views of the packet, whatever its size."""
    for end in (104, 1064):
        right, made, opened_in, allowed = machine(f"{HEAP}\nrun({name!r}, {end})").split()
        assert right == "True" and int(made) <= int(allowed) and int(opened_in) <= int(allowed)
