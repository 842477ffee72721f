"""Cookies (RFC 7296 section 2.6, rule A5): who asks for an IKE SA shows that it hears us at the address it asks from.

Nothing is kept for it but two secrets: the newest, and the one before.
"""

from portable import const, elapsed

from ..crypto.octets import same
from ..sa.keys import prf

_COOKIE = const(16)
_SECRET = const(32)
_LIFETIME_MS = const(60000)


class Cookies:
    """Cookies from secrets of random(n), each of which is handed out under for a minute and accepted for another."""

    def __init__(self, random):
        self._random = random
        self._secrets = [b"", b""]  # the newest, the one before
        self._renewed_at = None

    def make(self, nonce, endpoint, spi_i, now):
        """The cookie for who asks from that endpoint with that nonce and SPI."""
        if not self._secrets[0]:
            self._secrets[0] = self._random(_SECRET)
            if not self._secrets[1]:
                self._renewed_at = now
        return prf(self._secrets[0], nonce, endpoint, spi_i)[:_COOKIE]

    def accepts(self, cookie, nonce, endpoint, spi_i):
        """True if it is one of ours for them."""
        if len(cookie) != _COOKIE:
            return False
        for secret in self._secrets:
            if secret and same(prf(secret, nonce, endpoint, spi_i), cookie, 0, _COOKIE):
                return True
        return False

    def next_timer(self, now):
        """Milliseconds until `tick` is due; -1 while there is no secret."""
        return max(0, _LIFETIME_MS - elapsed(now, self._renewed_at)) if any(self._secrets) else -1

    def tick(self, now):
        """Let time pass."""
        if not self.next_timer(now):
            self._secrets = [b"", self._secrets[0]]
            self._renewed_at = now
