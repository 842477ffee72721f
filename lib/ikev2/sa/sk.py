"""The Encrypted payload of an IKE SA: what makes a message prove who sent it (RFC 7296 section 3.14, RFC 5282).

    IKE header | next payload, 0, length | IV | payloads, padding, its length | ICV

A `Protection` holds the keys of both directions and nothing else: IKE messages are minutes apart, so a cipher is made
for a message and dropped with it, where ESP keeps its ciphers. `seal` works in place in the outgoing buffer; the same
payloads with the same IV give the same octets, which is how a message is retransmitted without being kept. `open`
verifies before it decrypts, and gives away nothing of what fails. Only an Encrypted payload that comes first is read:
we send no others, and the node lets no others through.
"""

import struct

from portable import const

from .. import wire
from ..crypto import ICV, cipher, integrity_size, key_size, usable
from ..crypto.octets import pad_with_zeros
from ..wire import HEADER, SK

_HEAD = const(32)  # IKE header and generic payload header: what is authenticated and not encrypted


def protection(cipher_name, initiator, sk_ei, sk_er, sk_ai=b"", sk_ar=b""):
    """The Protection of an IKE SA that we are the initiator of, or not, by the names of crypto.cipher.

    With AES-GCM SK_e ends in its salt, and there is no SK_a. ValueError if a key has not its size.
    """
    integrity = integrity_size(cipher_name)
    for key in (sk_ai, sk_ar):
        if len(key) != integrity:
            raise ValueError("%s: SK_a of %d octets" % (cipher_name, len(key)))
    of_initiator, of_responder = sk_ei + sk_ai, sk_er + sk_ar
    return Protection(cipher_name, *((of_initiator, of_responder) if initiator else (of_responder, of_initiator)))


class Protection:
    """The keys of what we send and of what we receive, SK_e and SK_a in one, as crypto.cipher takes them."""

    def __init__(self, cipher_name, key_out, key_in):
        if not len(key_in) == len(key_out) == key_size(cipher_name):
            raise ValueError("%s: keys of %d and %d octets" % (cipher_name, len(key_out), len(key_in)))
        self.cipher_name = cipher_name
        self.key_out = key_out
        self.key_in = key_in
        made = usable(cipher_name)
        self.iv_size = made.iv_size
        self._block = made.block
        self._start = _HEAD + self.iv_size  # where the encrypted part begins

    def iv(self, random, response, message_id):
        """An IV of random(n) for that message, response or not: none but it may have it.

        Nobody can foretell that of AES-CBC (RFC 7296 section 3.14); in that of AES-GCM are the Message ID and whether
        it is a response.
        """
        if self.iv_size == 16:
            return random(16)
        octets = bytearray(random(4))
        octets[0] = octets[0] & 0x7F | response << 7
        return bytes(octets) + message_id.to_bytes(4, "big")

    def length(self, size):
        """Length of the IKE message with `size` octets of payloads."""
        return self._start + size + self._block - size % self._block + ICV

    def seal(self, out, at, first, payloads, iv):
        """Complete the message whose IKE header is out[at:at+24]; returns its length.

        `first` is the type of the first of the payloads, 0 if there are none. The IV is one of `iv`.
        """
        size = len(payloads)
        start = at + self._start
        padding = start + size
        end = padding + self._block - size % self._block
        length = end + ICV - at
        struct.pack_into(">IBBH", out, at + wire.LENGTH, length, first, 0, length - HEADER)
        out[at + _HEAD : start] = iv
        out[start:padding] = payloads
        pad_with_zeros(out, padding, end)
        cipher(self.cipher_name, self.key_out).seal(out, at, _HEAD, end)
        return length

    def open(self, message, at, length):
        """The payloads in the IKE message message[at:length] as octets; None if the peer has not made it."""
        end = length - ICV
        size = end - at - self._start
        if (
            size <= 0
            or size % self._block
            or message[at + wire.NEXT_PAYLOAD] != SK  # P8
            or (message[at + HEADER + 2] << 8 | message[at + HEADER + 3]) != length - at - HEADER
        ):
            return None
        payloads = bytearray(size)
        inbound = cipher(self.cipher_name, self.key_in)
        if not inbound.open(message, at, _HEAD, end, payloads) or payloads[-1] >= size:
            return None
        return payloads[: size - 1 - payloads[-1]]
