"""Published answers of the ciphers, which each shows at its first use on a machine that it gives."""

from binascii import unhexlify

from .hmac import hmac_sha256

# SP 800-38A F.2.1 and F.2.5, two blocks: the keys, the plaintext, the ciphertexts; the IV counts from 0.
_CBC_KEYS = "2b7e151628aed2a6abf7158809cf4f3c", "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"
_CBC_TEXT = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
_CBC = (
    "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2",
    "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d",
)
# The GCM specification's test cases 4 and 16: the key, twice in the longer one, the message in clear, sealed.
_GCM_KEY = "feffe9928665731c6d6a8f9467308308"
_GCM_HEAD = "feedfacedeadbeeffeedfacedeadbeefabaddad2facedbaddecaf888"
_GCM_SALT = "cafebabe"
_GCM_TEXT = (
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
)
_GCM = (
    "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
    "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e0915bc94fbc3221a5db94fae95ae7121a47",
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b",
)


def check(name, made, of_256_bits):
    """NotImplementedError that names the cipher unless `made`, its class, seals and opens as it should."""
    if made.block == 1:
        head = 20
        key, rest = unhexlify(_GCM_KEY) * (2 if of_256_bits else 1), unhexlify(_GCM_SALT)
        clear, text = unhexlify(_GCM_HEAD), unhexlify(_GCM_TEXT)
        sealed = clear + unhexlify(_GCM[of_256_bits])
    else:
        head = 0
        key, rest = unhexlify(_CBC_KEYS[of_256_bits]), bytes(32)
        clear, text = bytes(range(16)), unhexlify(_CBC_TEXT)
        sealed = clear + unhexlify(_CBC[of_256_bits])
        sealed += hmac_sha256(rest, sealed)[:16]
    message = bytearray(clear + text + bytes(16))
    end = len(message) - 16
    opened = bytearray(len(text))
    made(key + rest, len(key)).seal(message, 0, head, end)
    inbound = made(key + rest, len(key))
    right = message == sealed and inbound.open(message, 0, head, end, opened) and opened == text
    message[-1] ^= 1
    if not right or inbound.open(message, 0, head, end, opened):
        raise NotImplementedError("%s: wrong answers on this machine" % name)
