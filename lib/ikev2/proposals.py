"""Suites: what we offer for an IKE SA and for a Child SA, and what of somebody's offer we take (RFC 7296 section 3.3).

A peer's SA payload is read by its structure, in place, never compared as octets: transforms come in any order, with
attributes that we may not know, in proposals that we may not understand. One walk serves both roles: of a request
the first proposal that has a suite of ours is taken, a response must be one proposal of ours with one transform of
each type (N7). What an attempt goes by (Policy) and what it leads to (Child) are here as well: both name suites.
"""

import struct

from .selectors import ALL, SELECTOR, SELECTORS_MAX, identity
from .wire import const, equal, micropython, ptr8

PROTOCOL_IKE = const(1)  # section 3.3.1
PROTOCOL_ESP = const(3)

# ENCR transforms, each followed by others (sections 3.3.2, 3.3.5, RFC 5282). CBC comes with HMAC-SHA-256-128.
CIPHERS = {
    "aes-cbc-128": b"\3\0\0\x0c\1\0\0\x0c\x80\x0e\0\x80",
    "aes-cbc-256": b"\3\0\0\x0c\1\0\0\x0c\x80\x0e\1\0",
    "aes-gcm-16-128": b"\3\0\0\x0c\1\0\0\x14\x80\x0e\0\x80",
    "aes-gcm-16-256": b"\3\0\0\x0c\1\0\0\x14\x80\x0e\1\0",
}
_OFFERED = ("aes-cbc-256", "aes-cbc-128")
GROUPS = (31, 14)  # X25519 (RFC 8031), MODP-2048 (RFC 3526)

INVALID_SYNTAX = const(7)
NO_PROPOSAL_CHOSEN = const(14)

_ENCR = const(1)
_PRF = const(2)
_INTEG = const(3)
_DH = const(4)
_ESN = const(5)
_OURS = {  # PRF_HMAC_SHA2_256, AUTH_HMAC_SHA2_256_128, no extended sequence numbers
    _PRF: b"\3\0\0\x08\2\0\0\5",
    _INTEG: b"\3\0\0\x08\3\0\0\x0c",
    _ESN: b"\3\0\0\x08\5\0\0\0",
}
_MORE_PROPOSALS = const(2)
_MORE_TRANSFORMS = const(3)
_HEADER = const(8)  # of a proposal, without its SPI, and of a transform, without its attributes
_WITH_KEY_LENGTH = const(12)
_MALFORMED = ()


class Policy:
    """What one tunnel is to be. `id` and `gateway_id` are texts as `identity` takes them, "" is any gateway.

    psk -- octets; inside -- our four octets inside, None: the gateway says; remote -- traffic selectors
    groups, ciphers -- those offered, for IKE and ESP alike, the best first. ValueError names what cannot be.
    keep_keys -- they stay beside their ciphers, so that the SAs can outlive sleep (Z5)
    """

    keep_keys = False

    def __init__(self, id, psk, gateway_id="", inside=None, remote=ALL, groups=GROUPS, ciphers=_OFFERED):
        identity(id)
        if gateway_id:
            identity(gateway_id)
        if not isinstance(psk, (bytes, bytearray)) or not psk:
            raise ValueError("psk: not octets")
        if inside is not None and len(inside) != 4:
            raise ValueError("inside %r" % inside)
        if not remote or len(remote) % SELECTOR or len(remote) > SELECTORS_MAX * SELECTOR:
            raise ValueError("remote %r" % remote)
        if not groups or [group for group in groups if group not in GROUPS]:
            raise ValueError("groups %r" % (groups,))
        if not ciphers or [name for name in ciphers if name not in CIPHERS]:
            raise ValueError("ciphers %r" % (ciphers,))
        self.id = id
        self.psk = psk
        self.gateway_id = gateway_id
        self.inside = inside
        self.remote = remote
        self.groups = tuple(groups)
        self.ciphers = tuple(ciphers)


class Child:
    """A Child SA that was negotiated: suite, SPIs, keys as crypto.cipher takes them, traffic selectors, its slot.

    `replaces` is the slot of the Child SA that the gateway has made it for, -1: none.
    """

    replaces = -1

    def __init__(self, cipher, spi_in, spi_out, key_in, key_out, inside, remote, slot=-1):
        self.cipher = cipher
        self.spi_in = spi_in
        self.spi_out = spi_out
        self.key_in = key_in
        self.key_out = key_out
        self.inside = inside
        self.remote = remote
        self.slot = slot


@micropython.viper
def two(octets: ptr8, at: int) -> int:
    """The number in octets[at:at+2]."""
    return octets[at] << 8 | octets[at + 1]


@micropython.viper
def _transform(octets: ptr8, at: int, end: int, more: int) -> int:
    """Length and type of the transform at octets[at:end], which begins with `more`, as one number; -1 if malformed."""
    if end - at < 8:
        return -1
    size = octets[at + 2] << 8 | octets[at + 3]
    if size < 8 or size > end - at or octets[at] != more:
        return -1
    return size << 8 | octets[at + 4]


def _aead(cipher):
    return "gcm" in cipher


def offer(protocol, spi, ciphers, groups=(), number=1):
    """Body of an SA payload with these suites, in this order; `number` is that of the first proposal.

    `spi` is ours: none for an IKE SA at first, of 8 octets in its rekey, of 4 for ESP. AES-GCM has a proposal of its
    own and no INTEG transform (N22, RFC 5282 section 8).
    """
    others = [name for name in ciphers if _aead(name) != _aead(ciphers[0])]
    if not others:
        return _proposal(0, number, protocol, spi, ciphers, groups)
    like_first = [name for name in ciphers if name not in others]
    body = _proposal(_MORE_PROPOSALS, number, protocol, spi, like_first, groups)
    return body + _proposal(0, number + 1, protocol, spi, others, groups)


def _proposal(more, number, protocol, spi, ciphers, groups):
    transforms = [CIPHERS[name] for name in ciphers]
    if protocol == PROTOCOL_IKE:
        transforms.append(_OURS[_PRF])
    if not _aead(ciphers[0]):
        transforms.append(_OURS[_INTEG])
    for group in groups:
        transforms.append(bytes((_MORE_TRANSFORMS, 0, 0, _HEADER, _DH, 0, 0, group)))
    if protocol == PROTOCOL_ESP:
        transforms.append(_OURS[_ESN])
    octets = b"".join(transforms)
    size = _HEADER + len(spi) + len(octets)
    head = struct.pack(">BBHBBBB", more, 0, size, number, protocol, len(spi), len(transforms))
    return head + spi + octets[:-_HEADER] + b"\0" + octets[1 - _HEADER :]  # nothing follows the last


def choose(octets, at, end, protocol, spi_size, ciphers, groups, ke=0, exact=False):
    """(refusal, number, cipher, group, SPI): what is ours in the SA payload whose body is octets[at:end].

    `ke` is the group of the KE payload, 0 if there is none; it decides among groups, and group 0 is none at all.
    refusal is 0, NO_PROPOSAL_CHOSEN, or INVALID_SYNTAX if it is malformed or the SPI of what was chosen has another
    size than `spi_size` or is zero (ESP: below 256). `exact`: it is a response to offer(…) with ciphers and groups.
    """
    best = None
    while best is None or not exact:
        if end - at < _HEADER:
            return _refuse(INVALID_SYNTAX)
        more, _, size, number, its_protocol, its_spi_size, count = struct.unpack_from(">BBHBBBB", octets, at)
        stop = at + size
        transforms = at + _HEADER + its_spi_size
        if not transforms <= stop <= end or more != (0 if stop == end else _MORE_PROPOSALS):
            return _refuse(INVALID_SYNTAX)
        if its_protocol == protocol:
            suite = _suite(octets, transforms, stop, count, protocol, ciphers, groups, ke, exact)
            if suite is _MALFORMED:
                return _refuse(INVALID_SYNTAX)
            if suite and (best is None or suite[1] == ke != best[3]):
                best = (0, number, suite[0], suite[1], bytes(octets[at + _HEADER : transforms]))
        at = stop
        if at == end:
            break
    if best is None or (exact and not (at == end and best[1] == 1 + (_aead(best[2]) != _aead(ciphers[0])))):
        return _refuse(NO_PROPOSAL_CHOSEN)
    spi = best[4]
    if len(spi) != spi_size or (spi_size and not any(spi[:-1] if protocol == PROTOCOL_ESP else spi)):
        return _refuse(INVALID_SYNTAX)
    return best


def _refuse(notify):
    return notify, 0, "", 0, b""


def _suite(octets, at, end, count, protocol, ciphers, groups, ke, exact):
    """(cipher, group) among `count` transforms in octets[at:end]; None if they are not ours, or _MALFORMED."""
    cipher = len(ciphers)  # its place there; the best so far
    group = -1
    seen = ours = 0  # a bit for each type of transform
    without = 0  # the same, for those that may be left out
    good = count > 0
    while count:
        count -= 1
        found = _transform(octets, at, end, _MORE_TRANSFORMS if count else 0)
        if found < 0:
            return _MALFORMED
        size = found >> 8
        kind = found & 0xFF
        transform = at
        at += size
        if not _ENCR <= kind <= _ESN or (exact and seen & 1 << kind):
            good = False  # a type that nobody defined here (3.3.6); a choice that is none
            continue
        seen |= 1 << kind
        identifier = two(octets, transform + 6)
        if kind == _ENCR:
            if size == _WITH_KEY_LENGTH:
                for i in range(cipher):
                    if equal(octets, transform + 6, CIPHERS[ciphers[i]], 6, _WITH_KEY_LENGTH - 6):
                        cipher = i
                        ours |= 1 << kind
                        break
        elif size != _HEADER:
            continue  # it has an attribute, and we know none for it (3.3.6)
        elif kind == _DH:
            if identifier in groups:
                ours |= 1 << kind
                if identifier == ke or group < 0 or (group != ke and groups.index(identifier) < groups.index(group)):
                    group = identifier
            elif not identifier:
                without |= 1 << kind
        elif identifier == two(_OURS[kind], 6):
            ours |= 1 << kind
        elif kind == _INTEG and not identifier:
            without |= 1 << kind
    if at != end:
        return _MALFORMED
    if not good or cipher == len(ciphers):
        return None
    needed = 1 << _PRF | 1 << _DH if protocol == PROTOCOL_IKE else 1 << _ESN
    if not _aead(ciphers[cipher]):
        needed |= 1 << _INTEG
    # What we do not need must not be there, or be there with NONE; but a group for a Child SA is welcome (PFS).
    unneeded = seen & ~needed & ~(1 << _ENCR)
    if group >= 0 and protocol == PROTOCOL_ESP:
        unneeded &= ~(1 << _DH)
    if needed & ~ours or unneeded & ~without:
        return None
    return ciphers[cipher], group if group >= 0 and (ke or not without & 1 << _DH) else 0
