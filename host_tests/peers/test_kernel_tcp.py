"""TCP of ours against the kernel's, over a TUN device that is late, loses and reorders (V3 to V8). Needs root."""

import errno
import socket
import struct

import pytest
from library.tcp_wire import Transfer

from peers.kernel_tcp import KERNEL, OURS, KernelLink, KernelStream
from peers.tcp_link import packed

# Round trip, loss in percent, octets each way.
CELLS = [(0, 0, 1000000), (0, 2, 200000), (0, 10, 60000), (20, 0, 200000), (20, 2, 100000), (20, 10, 40000),
         (200, 0, 30000), (200, 2, 30000), (200, 10, 15000)]  # fmt: skip


@pytest.mark.parametrize(("round_trip_ms", "loss", "size"), CELLS)
def test_a_stream_each_way(round_trip_ms, loss, size):
    """V3, V4, V5, V6, V8: every octet, both ways at once; then the kernel and ours end it together."""
    with KernelLink(round_trip_ms, loss, late=loss) as link:
        ours, sock, _ = link.connects()
        kernel = KernelStream(sock)
        both = Transfer(ours, kernel, size), Transfer(kernel, ours, size)

        def move():
            for one in both:
                one.move()

        link.until(lambda: both[0].done and both[1].done, each=move)
        assert both[0].right and both[1].right
        sock.shutdown(socket.SHUT_WR)
        ours.close(link.now)
        link.until(lambda: ours.state in ("TIME-WAIT", "CLOSED"))
        assert ours.error is None


def test_the_kernel_connects_to_us():
    """V2, V9: and closes first; we go on writing."""
    with KernelLink() as link:
        ours, sock = link.is_connected_to()
        kernel = KernelStream(sock)
        kernel.write(b"question")
        sock.shutdown(socket.SHUT_WR)
        buf = bytearray(100)
        link.until(lambda: ours.state == "CLOSE-WAIT")
        assert ours.readinto(buf) == 8 and ours.readinto(buf) == 0
        ours.write(b"answer")
        ours.close(link.now)
        link.until(lambda: ours.state == "CLOSED")
        assert kernel.readinto(buf) == 6 and kernel.readinto(buf) == 0 and ours.error is None


def test_refused_both_ways():
    """V2, V7."""
    with KernelLink() as link:
        ours = link.tcp.connect(packed(KERNEL), 9, link.now)
        link.until(lambda: ours.error)
        assert ours.error.args[0] == errno.ECONNREFUSED
        sock = link.socket()
        sock.connect_ex((OURS, 9))
        failed = []

        def refused():
            failed.append(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            return failed[-1]

        link.until(refused)
        assert failed[-1] == errno.ECONNREFUSED


@pytest.mark.parametrize("who", ["kernel", "ours"])
def test_reset(who):
    """V7, V8: an RST is understood on both sides."""
    with KernelLink() as link:
        ours, sock, _ = link.connects()
        if who == "kernel":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
            link.until(lambda: ours.error)
            assert ours.error.args[0] == errno.ECONNRESET
        else:
            ours.abort(link.now)
            failed = []

            def reset():
                failed.append(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
                return failed[-1]

            link.until(reset)
            assert failed[-1] == errno.ECONNRESET


def test_zero_window():
    """V6: the kernel's reader stops, and reads again: every octet."""
    with KernelLink() as link:
        listener = link.listener(80, (socket.SOL_SOCKET, socket.SO_RCVBUF, 2048))
        ours = link.tcp.connect(packed(KERNEL), 80, link.now)
        sock = link.accepted(listener)
        stream = Transfer(ours, KernelStream(sock), 60000)
        read, stream.to.readinto = stream.to.readinto, lambda buf: None
        shut = []

        def stopped():
            stream.move()
            window = link.packets[-1][1][34:36]
            if not link.packets[-1][0] and window == b"\0\0":
                shut.append(link.packets[-1])
            return len(shut) >= 3

        link.until(stopped)
        stream.to.readinto = read
        link.until(lambda: stream.done, each=stream.move)
        assert stream.right


def test_two_hundred_connections_in_a_row():
    """V1, V8, V9."""
    with KernelLink() as link:
        listener = link.listener()
        buf = bytearray(100)
        for number in range(200):
            ours = link.tcp.connect(packed(KERNEL), 80, link.now)
            sock = link.accepted(listener)
            ours.write(b"%d" % number)
            link.until(lambda sock=sock: KernelStream(sock).readinto(buf))
            sock.send(b"answer")
            sock.close()
            link.until(lambda ours=ours: ours.state == "CLOSE-WAIT")
            assert ours.readinto(buf) == 6 and ours.readinto(buf) == 0
            ours.close(link.now)
            link.until(lambda ours=ours: ours.state == "CLOSED")
            assert ours.error is None
        assert link.tcp.connections == []


def test_kept_over_sleep():
    """V14: the kernel does not notice; the first packet after waking is data."""
    with KernelLink() as link:
        _, sock, _ = link.connects()
        link.until(lambda: link.tcp.connections[0].idle)
        kept = link.tcp.keep(link.now)
        with_tcp = type(link.tcp)(link.stack, bytes)
        with_tcp.restore(kept, link.now)
        (ours,) = with_tcp.connections
        seen = len(link.packets)
        ours.write(b"reading")
        buf = bytearray(100)
        link.until(lambda: KernelStream(sock).readinto(buf) == 7)
        first = link.packets[seen]
        assert first[0] and first[1].endswith(b"reading")
