"""A full heap, once, at each line of a stream that can allocate on MicroPython (K14).

No octet comes twice, no connection is left. Whoever meets the error in a call of its own closes and goes; elsewhere it
is a datagram that is lost, or nothing.
"""

import asyncio
import sys

import pytest
from tools import ROOT

from library.faults import allocating
from library.stream_world import World

_LIB = str(ROOT / "lib")
_FILES = ("streams.py", "stream.py", "tcp.py", "tcp_connection.py", "tcp_receiving.py", "tcp_sending.py")


def lines(monkeypatch, at=None):
    """The lines of a stream's life that can allocate; at one of them the heap is full when it is first come by."""
    found = {}

    def line(frame, event, argument):
        place = frame.f_code.co_filename, frame.f_lineno
        if event == "line" and place not in found and place[1] in allocating()[place[0]]:
            found[place] = True
            if place == at:
                raise MemoryError("as the test wants")
        return line

    def call(frame, event, argument):
        name = frame.f_code.co_filename
        return line if name.startswith(_LIB) and name.endswith(_FILES) else None

    world = World(monkeypatch)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)
    sys.settrace(call)
    try:
        loop.run_until_complete(world.play())
    finally:
        sys.settrace(None)
        loop.close()
    return found


@pytest.mark.filterwarnings("ignore")
def test_a_full_heap_at_every_line_of_a_stream_k14_v9_w1(monkeypatch):
    places = lines(monkeypatch)
    assert len(places) > 40
    wrong = {}
    for place in places:
        try:
            lines(monkeypatch, place)
        except AssertionError as error:
            wrong["%s:%d" % place] = str(error).splitlines()[0]
    assert not wrong, "\n".join(f"{place}: {what}" for place, what in wrong.items())
