"""Runs segment vectors where they are to run: CPython, the MicroPython unix port, a board. No checks in here.

A case is what segment_files.compile_case makes of one, a step [at_ms, segment or "", what is done or null]. Time passes
as in a driver.
"""

from binascii import hexlify, unhexlify
from errno import errorcode

from ikev2.budget import Budget
from inside.stack import Stack
from inside.tcp import Tcp

from golden.case_machine import PERIOD, Octets, Told, converse

_ROOM = 1400


class Run:
    """The connection of a case, or a listening port."""

    def __init__(self, case):
        self.clock = case["begins"]
        self.stack = Stack(unhexlify(case["address"]), Budget(1000000, 1000, 0, 1))
        self.tcp = Tcp(self.stack, Octets(unhexlify(case["random"])), 8, case["buffer"])
        self.connection = None
        self.out = bytearray(_ROOM)

    def step(self, at_ms, segment, do):
        """[packets that leave until then, and because of it; what was read; the connection's state]."""
        out = self.sent()
        wait = self.stack.next_timer(self.clock % PERIOD)
        while 0 <= wait <= at_ms - self.clock:
            if not wait:
                raise ValueError("a timer is due, and nothing is done")
            self.clock += wait
            self.stack.tick(self.clock % PERIOD)
            out += self.sent()
            wait = self.stack.next_timer(self.clock % PERIOD)
        self.clock = max(self.clock, at_ms)
        got = None
        if segment:
            packet = bytearray(unhexlify(segment))
            size = len(packet)
            packet.extend(bytes(96))
            size = self.stack.receive(packet, size, self.clock % PERIOD)
            if size:
                out.append(hexlify(packet[:size]).decode())
        if do:
            got = self.do(*do)
        return [out + self.sent(), got, self.connection.state if self.connection else None]

    def sent(self):
        """Everything that is to be sent now."""
        found = []
        size = self.stack.tcp.outgoing(self.out, 0, _ROOM, self.clock % PERIOD)
        while size:
            found.append(hexlify(self.out[:size]).decode())
            size = self.stack.tcp.outgoing(self.out, 0, _ROOM, self.clock % PERIOD)
        return found

    def do(self, name, *arguments):
        """What a user does; what was read in hex, None if nothing has come, or the name of the error."""
        now = self.clock % PERIOD
        try:
            if name == "connect":
                self.connection = self.tcp.connect(unhexlify(arguments[0]), arguments[1], now, arguments[2])
            elif name == "listen":
                self.tcp.listen(*arguments)
            elif name == "accept":
                self.connection = self.tcp.listeners[arguments[0]].accept()
            elif name == "write":
                self.connection.write(unhexlify(arguments[0]))
            elif name == "read":
                buf = bytearray(arguments[0])
                n = self.connection.readinto(buf)
                return None if n is None else hexlify(buf[:n]).decode()
            elif name == "keepalive":
                self.connection.keepalive(*arguments)
            elif name == "restore":
                self.tcp.restore(unhexlify(arguments[0]), now)
                self.connection = self.tcp.connections[0]
            elif name == "keep":
                return hexlify(self.tcp.keep(now)).decode()
            elif name == "shutdown":
                self.connection.shutdown(now)
            elif name == "close":
                self.connection.close(now)
            else:
                self.connection.abort(now)
        except OSError as error:
            return errorcode.get(error.args[0], "EPIPE")  # which MicroPython has not
        return None

    def end(self):
        """How many connections are left."""
        return {"left": len(self.tcp.connections)}


tell = Told(Run)


def main():
    converse(tell)


if __name__ == "__main__":
    main()
