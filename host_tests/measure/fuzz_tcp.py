"""Coverage-guided fuzzing of TCP inside a tunnel: a peer that sends what it likes, as library/hostile.py plays it."""

import random
import sys

import atheris
from tools import BUILD

with atheris.instrument_imports(include=["inside"]):
    from library.hostile import one

from measure import fuzz


def corpus():
    """A folder with some games of each kind."""
    folder = BUILD / "corpus-tcp"
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(40):
        (folder / f"random-{seed}").write_bytes(random.Random(seed).randbytes(400))
    return folder


if __name__ == "__main__":
    fuzz.main(one, corpus(), sys.argv[1:])
