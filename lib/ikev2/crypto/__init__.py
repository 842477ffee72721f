"""Primitives: the platform's where it has them, and what has to be made. None of them knows a protocol.

A cipher is one direction of an SA: `cipher` makes it, and it lives as long as its key. A Diffie-Hellman group is one
exchange: `group` makes it, and it works in slices. Each primitive shows at its first use on a machine that it gives a
published answer; one that does not is as good as missing. What is missing is a NotImplementedError that names it.
"""

from portable import const

from .hmac import trust as trust_hmac

ICV = const(16)
# Octets of the keys: of encryption, and of integrity or of the salt (the order of RFC 7296 section 2.17).
_KEYS = {
    "aes-cbc-128": (16, 32),
    "aes-cbc-256": (32, 32),
    "aes-gcm-16-128": (16, 4),
    "aes-gcm-16-256": (32, 4),
}

_known = {}  # classes of the ciphers that have given known answers, by name


def key_size(name):
    """Octets of a key of the cipher: 48, 64, 20 or 36; ValueError if there is no such cipher."""
    if name not in _KEYS:
        raise ValueError("cipher %r" % (name,))
    return sum(_KEYS[name])


def integrity_size(name):
    """Octets of the integrity key in it: 32, or 0 if the cipher has none."""
    key_size(name)
    rest = _KEYS[name][1]
    return rest if rest == 32 else 0


def trust(name):
    """The cipher has given its known answers on this machine before it slept, with what keeps its SAs over sleep."""
    _known[name] = _class(name)
    trust_hmac()


def cipher(name, key):
    """The cipher of that name under `key`, for one direction: an object with

    iv_size, block: octets of the IV, and of what the plaintext has to be a multiple of
    seal(out, at, head, end): in the message out[at:end], `head` octets in clear, the IV and the plaintext, encrypt the
        plaintext in place, and write the ICV to out[end:end+ICV]; an IV must be new to the key, with CBC unpredictable
    open(octets, at, head, end, into): False, and `into` as it was, unless octets[end:end+ICV] is right; True with the
        plaintext in into[0:]

    AES-CBC comes with HMAC-SHA-256-128 over the whole message (RFC 3602, RFC 4868), AES-GCM with an ICV of 16 octets
    (RFC 4106, RFC 5282). ValueError if there is no such cipher or `key` is not key_size(name) octets,
    NotImplementedError if this machine has no AES or gets wrong answers.
    """
    made = usable(name)
    size, rest = _KEYS[name]
    if len(key) != size + rest:
        raise ValueError("%s: a key of %d octets" % (name, len(key)))
    return made(key, size)


def usable(name):
    """The class of that cipher, which has iv_size and block, once it has given its known answers on this machine."""
    made = _known.get(name)
    if not made:
        from .known import check

        made = _class(name)
        check(name, made, _KEYS[name][0] == 32)
        _known[name] = made
    return made


def _class(name):
    if integrity_size(name):
        from .cbc import CbcHmac as made
    else:
        from .gcm import Gcm as made
    return made


def group(number, random):
    """Diffie-Hellman group `number` (31: X25519, 14: MODP-2048) with a new secret of random(n): an object with

    number, size: the group's, and octets of a public value and of a shared secret
    begin(peer=None): start on our public value, or on the secret shared with the peer whose public value that is
    step(): one slice of it, some 20 ms on an ESP32; True when there is nothing more to do
    value: then the result; None if the peer's value is refused (RFC 6989, RFC 7748 section 6.1)

    A group's first step ever on a machine is the first of many more, for known answers; NotImplementedError comes of
    them if one is wrong.
    """
    try:
        if number == 31:
            from .x25519 import X25519 as made
        elif number == 14:
            from .modp2048 import Modp2048 as made
        else:
            raise NotImplementedError("Diffie-Hellman group %r" % (number,))
    except OverflowError:
        raise NotImplementedError("Diffie-Hellman group %r: no integers of that size here" % (number,)) from None
    return made(random)
