"""lwIP's TCP on the emulated board, used by MicroPython's sockets there, and ours at the other end of its SLIP link."""

import ast
import contextlib

from boards.emulator import ADDRESS, PEER, Board

from peers.tcp_link import Link

# serve(port) and connect(port) give a socket; what it does with it is said by the tests.
_BEGIN = """
import hashlib, link, socket, sys
link.up(%r, %r)
def serve(port):
    listener = socket.socket()
    listener.bind(("0.0.0.0", port))
    listener.listen(1)
    print("ready")
    sock = listener.accept()[0]
    listener.close()
    return sock
def connect(port):
    sock = socket.socket()
    print("ready")
    sock.connect(("%s", port))
    return sock
def piece(at, size):
    return (hashlib.sha256(b"%%d" %% at).digest() * 32)[: min(1000, size - at)]
def exchange(sock, size):
    "as many octets both ways at once; the SHA-256 of those that came"
    received = hashlib.sha256()
    left = size
    for at in range(0, size, 1000):
        sock.write(piece(at, size))
        while left > size - at - 1000 > 0 or (left and at + 1000 >= size):
            octets = sock.recv(min(left, 500))
            if not octets:
                break
            left -= len(octets)
            received.update(octets)
    return received.digest()
"""


class LwipLink(Link):
    def __init__(self, *way, **options):
        super().__init__(PEER, *way, **options)

    def __enter__(self):
        self.board = Board()
        self.board.exec(_BEGIN % (ADDRESS, PEER, PEER))
        return self

    def __exit__(self, *failed):
        self.board.__exit__(*failed)

    def wire(self):
        return self.board.link

    def receive(self):
        return self.board.receive(0)

    def send(self, packet):
        self.board.send(packet)

    def starts(self, code):
        """Run that on the board; it goes on until it prints "ready", and then beside us."""
        self.board.repl.exec_raw_no_follow(code)
        self.board.console(b"ready\r\n")

    def ends(self):
        """The values that it prints from then on, one a line, when it has ended; an error there is one here."""
        said = []

        def over():
            with contextlib.suppress(TimeoutError):
                said.append(self.board.console(b"\x04", 0.001).strip("\x04"))
            return len(said) == 2

        self.until(over)
        out, error = said
        if error:
            raise RuntimeError(out + error)
        return [ast.literal_eval(line) for line in out.splitlines()]
