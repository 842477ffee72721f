"""Coverage-guided fuzzing of TCP inside a tunnel: a peer that sends what it likes, as library/hostile.py plays it."""

import random
import sys

import atheris
from tools import BUILD

with atheris.instrument_imports(include=["inside"]):
    from library import hostile

from measure import fuzz

_EVERY = 100000


def corpus():
    """A folder with some games of each kind."""
    folder = BUILD / "corpus-tcp"
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(40):
        (folder / f"random-{seed}").write_bytes(random.Random(seed).randbytes(400))
    return folder


class Counted:
    """Plays a game, and says how many segments that makes by now."""

    def __init__(self):
        self._next = _EVERY

    def __call__(self, octets):
        hostile.one(octets)
        if hostile.Peer.segments >= self._next:
            print(f"{self._next:,} segments", flush=True)
            self._next += _EVERY


if __name__ == "__main__":
    fuzz.main(Counted(), corpus(), sys.argv[1:])
