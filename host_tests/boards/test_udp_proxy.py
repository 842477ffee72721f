"""The emulated board's datagrams leave by this PC's sockets and answers come back, without root."""

import socket

from boards.emulator import ADDRESS, PEER, Board, ipv4
from boards.udp_proxy import UdpProxy

_ASKS = """
import link, socket
link.up(%r, %r)
for port in (500, 4500):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("0.0.0.0", port))
    sock.sendto(b"from %%d" %% port, ("127.0.0.1", %d))
    print(sock.recvfrom(100))
"""


def test_question_and_answer():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, Board() as board:
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)
        port = server.getsockname()[1]
        board.repl.enter_raw_repl(soft_reset=True)
        with UdpProxy(board):
            board.repl.exec_raw_no_follow(_ASKS % (ADDRESS, PEER, port))
            sources = []
            for own in (500, 4500):
                data, source = server.recvfrom(100)
                server.sendto(b"answer to " + data, source)
                sources.append(source)
                assert f"b'answer to from {own}', ('127.0.0.1', {port}))" in board.console(b"\n")
    assert sources[0] != sources[1] and not {source[1] for source in sources} & {500, 4500}


def test_what_is_no_datagram_stays():
    """A fragment, another protocol, a wrong checksum."""
    proxy = UdpProxy.__new__(UdpProxy)
    proxy._sockets = proxy._ports = None
    whole = ipv4(ADDRESS, "127.0.0.1", 17, bytes((0, 1, 0, 2, 0, 9, 0, 0)) + b"x")
    for packet in (ipv4(ADDRESS, "127.0.0.1", 1, bytes(8)), whole[:8] + b"\x3f" + whole[9:],
                   whole[:6] + b"\x20" + whole[7:]):  # fmt: skip
        proxy._out(packet)
