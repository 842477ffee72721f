"""Modules of a deployed library that are loaded where they are used, and are not to stay."""

import sys

_KEPT = 2
_recent = []


def late(name):
    """That module; the last ones stay loaded, since what asks for one often asks twice."""
    if name not in _recent:
        while len(_recent) >= _KEPT:
            sys.modules.pop(_recent.pop(0), None)
        _recent.append(name)
    return __import__(name)
