"""A device in a MicroPython unix port of its own, with a real heap; all else of the simulation."""

import ast
import subprocess

from tools import HERE, device_environment, micropython

from library import faults

HEAP = "1200K"
_CALLS = ("receive", "tick", "outgoing", "next_timer", "begin", "check", "close", "attend", "event", "lived", "pongs")
_CALLS += ("ike_sas", "ike_sa", "child_sa", "children")
_SAID = {"attempt": "life.has.attempt is not None", "child_owners": "sorted(node.child_owners)"}
_FILLED = ("receive", "tick", "outgoing", "next_timer", "begin", "check", "close", "attend", "echo")


class FarError(OSError):
    """What else the device raised."""


class _Far:
    """An object of the device: its methods called there, its attributes asked there."""

    def __init__(self, device, path):
        self.__dict__.update(_device=device, _path=path)

    def __getattr__(self, name):
        path = f"{self._path}.{name}"
        if name in ("table", "stack", "has"):
            return _Far(self._device, path)
        if name in _CALLS:
            return lambda *arguments: self._device.ask(f"{path}(*{arguments!r})", filled=name in _FILLED)
        return self._device.ask(_SAID.get(name, path))

    def __setattr__(self, name, value):
        self._device.ask(f"setattr({self._path}, {name!r}, {value!r})")


class _Node(_Far):
    def outgoing(self, now):
        said = "(result, node.out_via, bytes(node.out[:result]) if result else b'')"
        length, via, octets = self._device.ask(f"node.outgoing({now})", said, True)
        self.__dict__.update(out_via=via, out=octets)
        return length

    def receive(self, via, source, octets, length, now):
        return self._device.ask(f"node.receive({via}, {bytes(source)!r}, {octets!r}, {length}, {now})", filled=True)

    def next_timer(self, now):
        """Udp looks again a little later, if that failed."""
        try:
            return self._device.ask(f"node.next_timer({now})", filled=True)
        except (MemoryError, OSError):
            return 20


class _Life(_Far):
    @property
    def wanted(self):
        """A task that ended is begun again a second later."""
        return self._device.now >= self._device.rests_until and self._device.ask("life.wanted")

    def begin(self, endpoint, now):
        try:
            self._device.ask(f"begin({now})", filled=True)
        except (MemoryError, OSError) as error:
            self._device.errors = (*self._device.errors, error)
            self._device.rests_until = self._device.now + 1000


class FarDevice(faults.Device):
    """A device in a MicroPython of its own; `dice` say how full its heap is while `fills`."""

    fills = False
    rests_until = 0
    filled = raised = 0

    def __init__(self, seed, **more):
        command = [micropython(), "-X", f"heapsize={HEAP}", str(HERE / "library/full_heap_device.py")]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=device_environment()
        )
        super().__init__(seed=seed, echo_ms=0, delay=(5, 30), **more)

    def ask(self, do, said="result", filled=False):
        """What the device says once it has done that; MemoryError, FarError."""
        how = filled if isinstance(filled, tuple) else None
        if filled and self.fills and self.dice.random() < 0.8:
            how = self.dice.randrange(1 << 29), int(16 * 2 ** (self.dice.random() * 9))
            self.filled += 1
        self.process.stdin.write(repr((do, said, how)) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the device died at {do[:200]}"
        error, value = ast.literal_eval(line)
        if error:
            self.raised += 1
            raise MemoryError(error) if error.startswith("MemoryError") else FarError(error)
        return value

    def drive(self, call, *arguments):
        try:
            return call(*arguments)
        except (MemoryError, OSError) as error:
            self.errors = (*self.errors, error)
            return 0

    def tick(self):
        """A slice of long work is none too many."""
        super().tick()
        self.ticks -= self.ask("bool(node._busy)")

    def power_on(self):
        self.ask(f"build(*{self.table!r}, **{self.settings!r})", "None")
        self.node, self.life = _Node(self, "node"), _Life(self, "life")

    def echo(self):
        self.echoes += 1
        self.number = (self.number + 1) & 0xFFFF
        self.waiting[self.number] = self.now
        octets = self.drive(self.ask, f"echo({self.number}, {self.clock})", "bytes(buffer[:result])", True)
        if octets:
            self._leave(4500, octets)

    def end(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
