"""Randomness of what is recorded: always the same."""

import hashlib


class Random:
    """Octets that look random, always the same, and what was taken of them."""

    def __init__(self, name):
        self.name = name
        self.count = 0
        self.taken = b""

    def __call__(self, n):
        octets = b""
        while len(octets) < n:
            self.count += 1
            octets += hashlib.sha256(f"{self.name} {self.count}".encode()).digest()
        self.taken += octets[:n]
        return octets[:n]
