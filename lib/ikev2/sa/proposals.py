"""Suites: what we offer for an IKE SA and for a Child SA, and what of a peer's offer we take (RFC 7296 section 3.3).

A peer's SA payload is read by its structure, in place, never compared as octets: transforms come in any order, with
attributes that we may not know, in proposals that we may not understand. One walk serves both roles: of a request
the first proposal that has a suite of ours is taken, a response must be one proposal of ours with one transform of
each type (N7).
"""

import struct

from portable import const, micropython, ptr8

from .payloads import INVALID_SYNTAX, NO_PROPOSAL_CHOSEN, PROTOCOL_ESP, PROTOCOL_IKE
from .policy import CIPHERS

_DH = const(4)
_OUR_PRF_TRANSFORM = b"\3\0\0\x08\2\0\0\5"  # PRF_HMAC_SHA2_256
_OUR_INTEG_TRANSFORM = b"\3\0\0\x08\3\0\0\x0c"  # AUTH_HMAC_SHA2_256_128
_NO_ESN_TRANSFORM = b"\3\0\0\x08\5\0\0\0"  # no extended sequence numbers
_MORE_PROPOSALS = const(2)
_MORE_TRANSFORMS = const(3)
_HEADER = const(8)  # of a proposal, without its SPI, and of a transform, without its attributes


# What `_walk` finds: a bit for each transform of ours, for NONE, and for each type that is there.
_CIPHER_BITS = {"aes-cbc-128": 0x01, "aes-cbc-256": 0x02, "aes-gcm-16-128": 0x04, "aes-gcm-16-256": 0x08}
_OUR_PRF = const(0x10)
_OUR_INTEG = const(0x20)
_NO_INTEG = const(0x40)
_NO_ESN = const(0x80)
_GROUP_31 = const(0x100)
_GROUP_14 = const(0x200)
_GROUP_BITS = {31: _GROUP_31, 14: _GROUP_14}
_NO_DH = const(0x400)
_TYPE = const(0x800)  # shifted by the type
_ANY_PRF = const(0x2000)
_ANY_INTEG = const(0x4000)
_ANY_DH = const(0x8000)
_ANY_ESN = const(0x10000)
_STRANGE = const(0x20000)  # a type that is not of RFC 7296 (3.3.6)
_TWICE = const(0x40000)  # two transforms of one type


@micropython.viper
def _walk(octets: ptr8, at: int, end: int, count: int) -> int:
    """The bits above for `count` transforms in octets[at:end]; -1 if they are malformed.

    A transform with an attribute that we do not know is none of ours, whatever it is (3.3.6).
    """
    found = 0
    while count:
        count -= 1
        if end - at < 8:
            return -1
        size = octets[at + 2] << 8 | octets[at + 3]
        more = 3 if count else 0
        if size < 8 or size > end - at or octets[at] != more:
            return -1
        kind = octets[at + 4]
        if kind < 1 or kind > 5:
            found |= _STRANGE
        else:
            if found & _TYPE << kind:
                found |= _TWICE
            found |= _TYPE << kind
        number = octets[at + 6] << 8 | octets[at + 7]
        if size == 12 and kind == 1:
            if octets[at + 8] == 0x80 and octets[at + 9] == 14:  # Key Length (3.3.5)
                bits = octets[at + 10] << 8 | octets[at + 11]
                first = 0
                if number == 12:
                    first = 1
                elif number == 20:
                    first = 4
                if bits == 128:
                    found |= first
                elif bits == 256:
                    found |= first << 1
        elif size == 8:
            if kind == 2:
                if number == 5:
                    found |= _OUR_PRF
            elif kind == 3:
                if number == 12:
                    found |= _OUR_INTEG
                elif not number:
                    found |= _NO_INTEG
            elif kind == 4:
                if number == 31:
                    found |= _GROUP_31
                elif number == 14:
                    found |= _GROUP_14
                elif not number:
                    found |= _NO_DH
            elif kind == 5:
                if not number:
                    found |= _NO_ESN
        at += size
    if at != end:
        return -1
    return found


def _aead(cipher):
    return "gcm" in cipher


def offer(protocol, spi, ciphers, groups=(), number=1):
    """Body of an SA payload with these suites, in this order; `number` is that of the first proposal.

    `spi` is ours: none for an IKE SA at first, of 8 octets in its rekey, of 4 for ESP. AES-GCM has a proposal of its
    own and no INTEG transform (N22, RFC 5282 section 8).
    """
    aead = _aead(ciphers[0])
    others = [name for name in ciphers if _aead(name) != aead] if len(ciphers) > 1 else ()
    if not others:
        return _proposal(0, number, protocol, spi, ciphers, groups)
    like_first = [name for name in ciphers if name not in others]
    body = _proposal(_MORE_PROPOSALS, number, protocol, spi, like_first, groups)
    return body + _proposal(0, number + 1, protocol, spi, others, groups)


def _proposal(more, number, protocol, spi, ciphers, groups):
    octets = bytearray()
    for name in ciphers:
        octets += CIPHERS[name]
    count = len(ciphers) + len(groups) + 1
    if protocol == PROTOCOL_IKE:
        octets += _OUR_PRF_TRANSFORM
    if not _aead(ciphers[0]):
        count += 1
        octets += _OUR_INTEG_TRANSFORM
    for group in groups:
        octets += bytes((_MORE_TRANSFORMS, 0, 0, _HEADER, _DH, 0, 0, group))
    if protocol == PROTOCOL_ESP:
        octets += _NO_ESN_TRANSFORM
    octets[-_HEADER] = 0  # nothing follows the last
    size = _HEADER + len(spi) + len(octets)
    return struct.pack(">BBHBBBB", more, 0, size, number, protocol, len(spi), count) + spi + octets


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
            found = _walk(octets, transforms, stop, count)
            if found < 0:
                return _refuse(INVALID_SYNTAX)
            suite = _suite(found, protocol, ciphers, groups, ke, exact)
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


def _suite(found, protocol, ciphers, groups, ke, exact):
    """(cipher, group) of ours among what a proposal has; None if it does not do."""
    if found & _STRANGE or (exact and found & _TWICE):
        return None
    for cipher in ciphers:
        if found & _CIPHER_BITS[cipher]:
            break
    else:
        return None
    if _aead(cipher):
        if found & _ANY_INTEG and not found & _NO_INTEG:
            return None
    elif not found & _OUR_INTEG:
        return None
    group = 0
    for number in groups:
        if found & _GROUP_BITS[number] and (not group or number == ke):
            group = number
    if protocol == PROTOCOL_IKE:
        return (cipher, group) if group and found & _OUR_PRF and not found & _ANY_ESN else None
    if not found & _NO_ESN or found & _ANY_PRF or (found & _ANY_DH and not group and not found & _NO_DH):
        return None
    return cipher, 0 if not ke and found & _NO_DH else group
