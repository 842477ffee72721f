"""The blocks of README that tests run or compare with."""

import re

from tools import ROOT

README = (ROOT / "README.md").read_text()


def program(word, kind="python"):
    """The README's program, or other block, with that word in it."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return next(block for its_kind, block in blocks if its_kind == kind and word in block)


def masked(text):
    """Without its numbers, which differ from run to run."""
    return re.sub(r"[ (]*[0-9.]*[0-9]", " #", text)
