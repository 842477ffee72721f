"""The platform's AES: cryptolib on MicroPython, on a PC the cryptography package, which nothing else needs."""

from ..wire import const

BLOCK = const(16)
_ECB = const(1)
_CBC = const(2)


def _aes_of_cryptography():
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    class Aes:
        """What cryptolib.aes is on MicroPython."""

        def __init__(self, key, mode, iv=b""):
            self._cipher = Cipher(algorithms.AES(bytes(key)), modes.CBC(bytes(iv)) if mode == _CBC else modes.ECB())

        def encrypt(self, octets, into):
            into[:] = self._cipher.encryptor().update(octets)

        def decrypt(self, octets, into):
            into[:] = self._cipher.decryptor().update(octets)

    return Aes


try:
    from cryptolib import aes as _aes
except ImportError:
    try:
        _aes = _aes_of_cryptography()
    except ImportError:
        _aes = None


def need_aes(cipher):
    """NotImplementedError that names `cipher` if there is no AES here."""
    if _aes is None:
        raise NotImplementedError("%s: no cryptolib.aes on this board, no cryptography package on this PC" % cipher)


def ecb(key):
    """The cipher of single blocks under that key."""
    return _aes(key, _ECB)


def cbc_encrypt(key, iv, octets):
    """Encrypt whole blocks in place, in a bytearray or a memoryview of one (RFC 3602)."""
    _aes(key, _CBC, iv).encrypt(octets, octets)


def cbc_decrypt(key, iv, octets):
    """Undo cbc_encrypt."""
    _aes(key, _CBC, iv).decrypt(octets, octets)
