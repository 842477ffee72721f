"""TCP of ours against lwIP's on the emulated board, over its link, which is late, loses and reorders (V2 to V8)."""

import errno
from hashlib import sha256

import pytest
from boards.emulator import ADDRESS

from peers.lwip_tcp import LwipLink
from peers.stream_client import pieces
from peers.tcp_link import packed

# Round trip, loss in percent, octets each way. With more loss lwIP's timer, which backs off, takes minutes.
CELLS = [(0, 0, 40000), (0, 2, 30000), (0, 5, 10000), (20, 0, 20000), (20, 2, 20000), (200, 2, 10000)]
_READ_TO_THE_END = """
sock = serve(80)
sock.write(b"!")
try:
    sock.recv(1)
except OSError as error:
    print(error.errno)
"""


class Exchange:
    """Our half of `exchange`."""

    def __init__(self, connection, size):
        self._connection = connection
        self._left = b"".join(pieces(size))
        self.expected = sha256(self._left).digest()
        self._size = size
        self.received = bytearray()

    def move(self):
        if self._left:
            self._left = self._left[self._connection.write(self._left) :]
        buf = bytearray(2000)
        while n := self._connection.readinto(buf):
            self.received += buf[:n]

    @property
    def done(self):
        return not self._left and len(self.received) == self._size


@pytest.mark.parametrize(("round_trip_ms", "loss", "size"), CELLS)
def test_a_stream_each_way(round_trip_ms, loss, size):
    """V2 to V6, V8: every octet, both ways at once; then ours ends it, and lwIP does."""
    with LwipLink(round_trip_ms, loss, late=loss) as link:
        link.starts(f"sock = serve(80)\nprint(exchange(sock, {size}))\nprint(sock.recv(1))\nsock.close()")
        ours = link.tcp.connect(packed(ADDRESS), 80, link.now)
        link.until(lambda: ours.established)
        assert ours.words[0] == 536
        both = Exchange(ours, size)
        link.until(lambda: both.done, each=both.move)
        ours.shutdown(link.now)
        assert link.ends() == [both.expected, b""]
        assert sha256(both.received).digest() == both.expected
        link.until(lambda: ours.state in ("TIME-WAIT", "CLOSED"))
        assert ours.error is None


def test_lwip_connects_and_closes_first():
    """V2, V8, V9: we go on writing."""
    with LwipLink() as link:
        listener = link.tcp.listen(80)
        link.starts("sock = connect(80)\nsock.write(b'question')\nprint(sock.recv(100))\nsock.close()")
        link.until(lambda: listener.waiting)
        ours = listener.accept()
        buf = bytearray(100)
        link.until(lambda: ours.readinto(buf))
        assert buf[:8] == b"question"
        ours.write(b"answer")
        assert link.ends() == [b"answer"]
        link.until(lambda: ours.state == "CLOSE-WAIT")
        assert ours.readinto(buf) == 0
        ours.close(link.now)
        link.until(lambda: ours.state == "CLOSED")
        assert ours.error is None


def test_refused_both_ways():
    """V2, V7."""
    with LwipLink() as link:
        ours = link.tcp.connect(packed(ADDRESS), 9, link.now)
        link.until(lambda: ours.error)
        assert ours.error.args[0] == errno.ECONNREFUSED
        link.starts("try:\n    connect(9)\nexcept OSError as error:\n    print(error.errno)")
        assert link.ends() == [errno.ECONNRESET]  # as lwIP has it


def test_our_reset():
    """V7, V8."""
    with LwipLink() as link:
        link.starts(_READ_TO_THE_END)
        ours = link.tcp.connect(packed(ADDRESS), 80, link.now)
        link.until(lambda: ours.readable)  # it has been accepted
        ours.abort(link.now)
        assert link.ends() == [errno.ECONNRESET]


def test_zero_window():
    """V6: lwIP's reader waits until its window is shut, and reads again: every octet."""
    size = 20000
    with LwipLink() as link:
        link.starts(f"sock = serve(80)\nsys.stdin.readline()\nprint(exchange(sock, {size}))")
        ours = link.tcp.connect(packed(ADDRESS), 80, link.now)
        link.until(lambda: ours.established)
        both = Exchange(ours, size)
        shut = []

        def stopped():
            if not link.packets[-1][0] and link.packets[-1][1][34:36] == b"\0\0":
                shut.append(link.packets[-1])
            return len(shut) >= 3

        link.until(stopped, each=both.move)
        link.board.type(b"\n")
        link.until(lambda: both.done, each=both.move)
        assert link.ends() == [both.expected] and sha256(both.received).digest() == both.expected
