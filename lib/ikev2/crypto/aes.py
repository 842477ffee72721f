"""The platform's AES: cryptolib on MicroPython, on a PC the cryptography package, which nothing else needs."""

from portable import const

BLOCK = const(16)
_ECB = const(1)
_CBC = const(2)


def _aes_of_cryptography():
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    class Aes:
        """What cryptolib.aes is on MicroPython: for encryption or for decryption, whichever comes first."""

        def __init__(self, key, mode, iv=b""):
            self._cipher = Cipher(algorithms.AES(bytes(key)), modes.CBC(bytes(iv)) if mode == _CBC else modes.ECB())
            self._context = None

        def encrypt(self, octets, into):
            self._context = self._context or self._cipher.encryptor()
            into[: len(octets)] = self._context.update(octets)

        def decrypt(self, octets, into):
            self._context = self._context or self._cipher.decryptor()
            into[: len(octets)] = self._context.update(octets)

    return Aes


try:
    from cryptolib import aes as _aes
except ImportError:
    try:
        _aes = _aes_of_cryptography()
    except ImportError:
        _aes = None


def _missing(name):
    return NotImplementedError("%s: no cryptolib.aes on this board, no cryptography package on this PC" % name)


def ecb(key):
    """AES of single blocks under that key: encrypt(octets, into)."""
    if _aes is None:
        raise _missing("AES")
    return _aes(key, _ECB)


def cbc(key, iv):
    """AES-CBC that begins with that IV and goes on from call to call: encrypt(octets, into), or decrypt."""
    if _aes is None:
        raise _missing("AES-CBC")
    return _aes(key, _CBC, iv)
