"""The blocks of the READMEs that tests run or compare with."""

import re

from tools import readmes

README = readmes()


def blocks(kind):
    """Every block of that kind."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [block for its_kind, block in found if its_kind == kind]


def program(word, kind="python"):
    """The program, or other block, with that word in it."""
    return next(block for block in blocks(kind) if word in block)


def masked(text):
    """Without its numbers, which differ from run to run."""
    return re.sub(r"[ (]*[0-9.]*[0-9]", " #", text)
