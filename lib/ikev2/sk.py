"""The Encrypted payload of an IKE SA: what makes a message prove who sent it (RFC 7296 section 3.14, RFC 5282).

    IKE header | next payload, 0, length | IV | payloads, padding, its length | ICV

An object holds the keys of both directions and nothing else. `seal` works in place in the outgoing buffer; the
same payloads with the same IV give the same octets, which is how a message is repeated without being kept. `open`
verifies before it decrypts, and gives away nothing of what fails. Only an Encrypted payload that comes first is
read: we send no others, and the node lets no others through.
"""

import struct

from . import wire
from .crypto import aes, gcm
from .crypto.hmac import hmac_sha256, same
from .wire import HEADER, SK, const

ICV = const(16)
_IV = const(32)  # where the IV begins: IKE header and generic payload header come first


class _Encrypted:
    def __init__(self, initiator, of_initiator, of_responder):
        self._keys = bytearray(of_initiator + of_responder if initiator else of_responder + of_initiator)

    def _outbound(self):
        return memoryview(self._keys)[: len(self._keys) // 2]

    def _inbound(self):
        return memoryview(self._keys)[len(self._keys) // 2 :]

    def _padded(self, size):
        return size + self.block - size % self.block  # at least one octet, the length of the padding

    def length(self, size):
        """Length of the IKE message with `size` octets of payloads."""
        return _IV + self.iv_size + self._padded(size) + ICV

    def seal(self, out, at, first, payloads, iv):
        """Complete the message whose IKE header is out[at:at+24]; returns its length.

        `first` is the type of the first of the payloads, 0 if there are none. The IV is one of `iv`.
        """
        length = self.length(len(payloads))
        start = at + _IV + self.iv_size
        end = at + length - ICV
        struct.pack_into(">IBBH", out, at + wire.LENGTH, length, first, 0, length - HEADER)
        out[at + _IV : start] = iv
        out[start : start + len(payloads)] = payloads
        for i in range(start + len(payloads), end):
            out[i] = 0
        out[end - 1] = end - start - len(payloads) - 1
        out[end : end + ICV] = self._protect(out, at, start, end)
        return length

    def open(self, message, at, length):
        """The payloads in the IKE message message[at:length] as octets; None if the peer has not made it."""
        start = at + _IV + self.iv_size
        end = length - ICV
        if (
            end <= start
            or (end - start) % self.block
            or message[at + wire.NEXT_PAYLOAD] != SK
            or (message[at + HEADER + 2] << 8 | message[at + HEADER + 3]) != length - at - HEADER
        ):
            return None
        payloads = self._verified(memoryview(message), at, start, end)
        if payloads is None or payloads[-1] >= len(payloads):
            return None
        return payloads[: len(payloads) - 1 - payloads[-1]]


class CbcHmac(_Encrypted):
    """ENCR_AES_CBC with keys of 16 or 32 octets and AUTH_HMAC_SHA2_256_128 (RFC 3602, RFC 4868)."""

    block = aes.BLOCK
    iv_size = aes.BLOCK

    def __init__(self, initiator, sk_ei, sk_er, sk_ai, sk_ar):
        if len(sk_ei) not in (16, 32) or len(sk_er) != len(sk_ei) or len(sk_ai) != 32 or len(sk_ar) != 32:
            raise ValueError("ENCR_AES_CBC: keys of %r octets" % [len(key) for key in (sk_ei, sk_er, sk_ai, sk_ar)])
        aes.need_aes("ENCR_AES_CBC")
        super().__init__(initiator, sk_ai + sk_ei, sk_ar + sk_er)

    def iv(self, random, response, message_id):
        """An IV that nobody can foretell (RFC 7296 section 3.14), of random(n)."""
        return random(aes.BLOCK)

    def _protect(self, out, at, start, end):
        keys = self._outbound()
        octets = memoryview(out)
        aes.cbc_encrypt(keys[32:], out[start - aes.BLOCK : start], octets[start:end])
        return hmac_sha256(keys[:32], octets[at:end])[:ICV]

    def _verified(self, message, at, start, end):
        keys = self._inbound()
        if not same(hmac_sha256(keys[:32], message[at:end])[:ICV], message[end : end + ICV]):
            return None
        payloads = bytearray(message[start:end])
        aes.cbc_decrypt(keys[32:], message[start - aes.BLOCK : start], payloads)
        return payloads


class Gcm(_Encrypted):
    """ENCR_AES_GCM_16: keys of 16 or 32 octets, each with its salt of 4 behind it (RFC 5282)."""

    block = 1
    iv_size = 8

    def __init__(self, initiator, sk_ei, sk_er):
        if len(sk_ei) not in (20, 36) or len(sk_er) != len(sk_ei):
            raise ValueError("ENCR_AES_GCM_16: keys of %r octets" % [len(sk_ei), len(sk_er)])
        aes.need_aes("ENCR_AES_GCM_16")
        super().__init__(initiator, sk_ei, sk_er)

    def iv(self, random, response, message_id):
        """An IV that no other message of ours has: response or not and Message ID, the rest of random(n)."""
        octets = random(4)
        return struct.pack(">BBHI", octets[0] & 0x7F | response << 7, octets[1], octets[2] << 8 | octets[3], message_id)

    def _protect(self, out, at, start, end):
        octets = memoryview(out)
        made = self._of(self._outbound(), octets, start)
        made.crypt(out, start, end)
        return made.tag(octets[at : at + _IV], octets[start:end])

    def _verified(self, message, at, start, end):
        made = self._of(self._inbound(), message, start)
        if not same(made.tag(message[at : at + _IV], message[start:end]), message[end : end + ICV]):
            return None
        payloads = bytearray(message[start:end])
        made.crypt(payloads, 0, end - start)
        return payloads

    @staticmethod
    def _of(key, message, start):
        nonce = bytes(key[-4:]) + bytes(message[start - 8 : start])
        return gcm.Gcm(key[:-4], nonce)
