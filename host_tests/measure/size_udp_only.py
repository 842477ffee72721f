"""What a program that uses only UDP pays for streams: octets of GC heap, against the same library without its hooks.

On the emulated board with a stock ESP32's memory, where code lies in RAM, with a tunnel made and its modules dropped.
"""

import tempfile
from pathlib import Path
from unittest import mock

from boards.small import Small

from boards import board_files

# What streams have in modules that a UDP tunnel loads, {file: {text: what stands there without them}}.
HOOKS = {
    "inside/stack": {
        "    tcp = None\n": "",
        "return self.tcp.receive(packet, now) if self.tcp and why == _OTHER_PROTOCOL else self.drop(why)": (
            "return self.drop(why)"
        ),
        "            if self.tcp:\n                self.tcp.unreachable(packet, header)\n": "",
        "return sooner(wait, self.tcp.next_timer(now)) if self.tcp else wait": "return wait",
        "        if self.tcp:\n            self.tcp.tick(now)\n": "",
    },
    "ipsec/traffic": {
        "        tcp = None\n": "",
        " or carrier.stack.tcp": "",
        "        elif self is carrier.current:\n            tcp = carrier.stack.tcp\n"
        "            size = tcp.outgoing(out, at + ROOM, self.esp.room(), now)\n": "",
        "                if tcp and tcp.asks:  # V12\n                    carrier.liveness.expect(now)\n": "",
    },
    "ipsec/life": {
        '    connections = b""  # of TCP, that have outlived sleep (V14)\n': "",
        "                if self.stack.tcp:\n                    self.stack.tcp.address_changed()  # V10\n": "",
    },
    "ipsec/tunnel": {
        '        inside = b"".join([octets_of(text) for text in dns]), connections, stream_buffer\n'
        '        if inside != (b"", 8, 2720):\n            self.settings = inside  # of streams\n': "",
        "        from .streams import of\n\n        return of(self, name)\n": "",
        "    def __getattr__(self, name):\n"
        '        """What streams.Streams has; who uses only UDP never imports it."""\n': "",
    },
}  # fmt: skip
# Names lie in chunks of 128 octets, and what looks like a pointer keeps something at one place and not at the next: the
# average of what is found behind so many more names.
_NAMES = 0, 1, 2, 3
_MADE = """
import ikev2_memory, gc, sys
from ipsec import Tunnel
def used():
    for name in [name for name in sys.modules if name not in KEPT]:
        del sys.modules[name]
    gc.collect()
    return gc.mem_alloc()
KEPT = "__main__", "ikev2_core", "ikev2_memory", "ipsec"
made = Tunnel("192.0.2.1", "sensor-7", bytes(32))
used()
print(used())
"""


def without():
    """{name below /lib: text} of the modules that have HOOKS, without these."""
    found = {}
    for name, hooks in HOOKS.items():
        text = board_files.modules()[name].read_text()
        for hook, instead in hooks.items():
            assert text.count(hook) == 1, (name, hook)
            text = text.replace(hook, instead)
        found[name] = text
    return found


def _used():
    """Octets of GC heap that a tunnel takes and as many names; the sum."""
    found = 0
    for count in _NAMES:
        names = "".join(f"name_{number:027d} = 0\n" for number in range(count))
        with Small() as board:
            found += int(board.exec(names + _MADE))
    return found


def measured():
    """Octets that a tunnel takes more than without HOOKS."""
    with_hooks = _used()
    with tempfile.TemporaryDirectory() as folder:
        known = board_files.modules()
        for name, text in without().items():
            known[name] = Path(folder) / name.replace("/", "_")
            known[name].write_text(text)
        with mock.patch.object(board_files, "modules", lambda: known):
            return (with_hooks - _used()) // len(_NAMES)


def figures():
    """(what, number, unit)."""
    yield "small, a UDP tunnel: GC heap for streams that it does not use", measured(), "octets"


if __name__ == "__main__":
    for what, number, unit in figures():
        print(f"{what:70} {number:>9,} {unit}")
