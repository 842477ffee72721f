"""Keys of an IKE SA and its Child SAs (RFC 7296 sections 2.13 to 2.18) by PRF_HMAC_SHA2_256: octets in, octets out."""

from hashlib import sha256

from portable import const

from ..crypto import integrity_size, key_size
from ..crypto.hmac import hmac_sha256, pads

PRF = const(32)  # octets of its output, and of the keys that it prefers
_BLOCK = const(64)  # of SHA-256
_PAD = b"Key Pad for IKEv2"


def prf(key, *parts):
    """prf of the parts, one after the other: 32 octets."""
    return hmac_sha256(key, *parts)


def prf_plus(key, seed, size):
    """`size` octets of prf+ (section 2.13), 8,160 at most."""
    if not 0 <= size <= 255 * PRF:
        raise ValueError("prf+ of %r octets" % (size,))
    inner, outer = pads(key)
    seed = seed + b"\1"
    outer += sha256(inner + seed).digest()  # as hmac.digest has it, in one go
    inner += outer[_BLOCK:] + seed
    made = bytearray(size)  # octets that end in no zero, as those of bytes do: they are kept for long
    at = 0
    while True:
        last = sha256(outer).digest()
        if size - at <= PRF:
            made[at:] = last[: size - at]
            return made
        made[at : at + PRF] = inner[_BLOCK : _BLOCK + PRF] = last
        at += PRF
        inner[-1] += 1
        outer[_BLOCK:] = sha256(inner).digest()


def skeyseed(secret, ni, nr):
    """SKEYSEED of a new IKE SA (section 2.14) from the shared secret and both nonces."""
    return prf(ni + nr, secret)


def skeyseed_of_rekey(sk_d, secret, ni, nr):
    """SKEYSEED of an IKE SA that replaces the one with that SK_d (section 2.18)."""
    return prf(sk_d, secret, ni, nr)


def ike_keys(cipher_name, seed, ni, nr, spi_i, spi_r):
    """(SK_d, SK_ai, SK_ar, SK_ei, SK_er, SK_pi, SK_pr) from SKEYSEED (section 2.14).

    AEAD has no SK_a, and its SK_e end in their salt (RFC 5282 section 7.1).
    """
    whole = key_size(cipher_name)
    integrity = integrity_size(cipher_name)
    made = prf_plus(seed, ni + nr + spi_i + spi_r, 3 * PRF + 2 * whole)
    keys = []
    at = 0
    for size in (PRF, integrity, integrity, whole - integrity, whole - integrity, PRF, PRF):
        keys.append(made[at : at + size])
        at += size
    return tuple(keys)


def child_keys(cipher_name, sk_d, ni, nr, secret=b""):
    """The keys of a Child SA (section 2.17) for crypto.cipher: of what the initiator sends, of what it receives.

    The initiator is that of the exchange that makes the SA, and the nonces are that exchange's. `secret` is that of a
    Diffie-Hellman exchange of its own.
    """
    size = key_size(cipher_name)
    made = prf_plus(sk_d, secret + ni + nr, 2 * size)
    return made[:size], made[size:]


def auth(psk, message, nonce, sk_p, id_body):
    """The AUTH data of a shared key (section 2.15): 32 octets.

    `message` is the signer's first one from its SPI on, `nonce` the other side's, `id_body` the signer's ID payload
    without its generic header, `sk_p` the signer's.
    """
    return prf(prf(psk, _PAD), message, nonce, prf(sk_p, id_body))
