"""The 2048-bit MODP group (RFC 3526 section 3): Diffie-Hellman group 14, with an exponent of 256 bits, in slices.

One way for every machine with integers of any size: three-argument pow is missing on some boards, and would be one
long step.
"""

from ..wire import const

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
_WINDOW = const(4)


class Modp2048:
    number = 14
    size = 256
    value = None

    def __init__(self, random):
        self._secret = random(32)
        self._left = -1

    def begin(self, peer=None):
        self.value = None
        self._left = -1
        self._powers = None
        if peer is None:
            base = 2
        elif len(peer) == self.size:
            base = int.from_bytes(peer, "big")
        else:
            return
        if not 1 < base < _P - 1:
            return
        self._powers = [1, base]
        self._made = 1
        self._left = 64

    def step(self):
        powers = self._powers
        if self._left < 0:
            return True
        if len(powers) < 1 << _WINDOW:
            powers.append(powers[-1] * powers[1] % _P)
            return False
        if self._left:
            self._left -= 1
            made = self._made
            for _ in range(_WINDOW):
                made = made * made % _P
            octet = self._secret[31 - (self._left >> 1)]
            self._made = made * powers[octet >> 4 if self._left & 1 else octet & 15] % _P
            return False
        self._left = -1
        self._powers = None
        self.value = self._made.to_bytes(self.size, "big")
        return True
