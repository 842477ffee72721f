"""The 2048-bit MODP group (RFC 3526 section 3): Diffie-Hellman group 14, with an exponent of 256 bits, in slices.

One way for every machine with integers of any size: three-argument pow is missing on some boards, and would be one
long step. Bit by bit: powers of the base would save a tenth of the time, and take 544 octets while RAM is scarcest.
"""

from binascii import unhexlify

from .slices import Slices

# 2**2048 - 2**1984 - 1 + 2**64 * ([2**1918 pi] + 124476)
_P = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F"
    "83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B"
    "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510"
    "15728E5A8AACAA68FFFFFFFFFFFFFFFF",
    16,
)


class Modp2048(Slices):
    number = 14
    size = 256
    base = 2
    name = "MODP-2048"

    def _answers(self):
        peer = b"\xff\x00\x5a" + bytes(range(253))
        return ((b"\xc5\xa3", peer, unhexlify("e2e69e00692cff3fc8d059e0bd99401ba244b70d12f85fc265389ed5cdf5729e")),)

    def _number(self, peer):
        return int.from_bytes(peer, "big")

    def _slices(self, secret, base):
        if not 1 < base < _P - 1:
            return
        made = 1
        for octet in secret:
            for bit in range(7, -1, -1):
                made = made * made % _P
                yield
                made = made * (base if octet >> bit & 1 else 1) % _P
        self.value = made.to_bytes(self.size, "big")
