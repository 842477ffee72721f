"""Modules of a deployed library that are loaded where they are used, and are not to stay."""

import gc
import sys

_recent = ""


def late(name):
    """That module; the last one stays loaded, since what asks for one often asks twice."""
    global _recent
    if name != _recent:
        sys.modules.pop(_recent, None)
        _recent = name
        if getattr(gc, "threshold", int)() > 0:  # the heap is small (ikev2_memory)
            gc.collect()
    return __import__(name)
