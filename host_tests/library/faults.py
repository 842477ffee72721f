"""An error at one line of the library, once: where it can be, and what becomes of a device that drives its node as Udp.

`lines(phase)` are the lines of lib that a phase of a tunnel's life comes by and that may allocate on MicroPython. Each
trial begins at the same moment (a fork of it), raises the error before that line is run for the first time, and then
has two minutes in which the gateway is reachable and nothing else goes wrong.
"""

import ast
import os
import sys
import traceback
from functools import cache
from pathlib import Path

from tools import ROOT

from library.simulation import Simulation

_LIB = str(ROOT / "lib") + os.sep
MINUTE = 60000

# Why a line takes nothing of MicroPython's heap. A call of a function of ours is none of them: its frame lies on the C
# stack, or falls back to it (py/objfun.c), and what it does has lines of its own. Nor is `for … in range(…)`, which the
# compiler makes a loop of. Numbers in these files are below 2**30: places in a table, milliseconds, counts.
_SMALL_NUMBERS = ("portable.py", "ikev2/slots.py", "ikev2/spi_table.py", "ikev2/budget.py", "ikev2/wire.py")
# What is left out of a list or a dict leaves it as it is, or smaller: no such call has to find room.
_NATIVE = frozenset(
    ("len", "min", "max", "isinstance", "bool", "ord", "any", "all", "clear", "remove", "discard", "pop", "get")
)
# Window.respond has set the attribute before, so the object's map has room for them.
_ROOM_FOUND = ("state[_ANSWER_FIRST], self._answer, over = made",)


@cache
def _functions():
    """Names of the functions and methods that lib has."""
    found = set(_NATIVE)
    for path in Path(_LIB).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                found.add(node.name)
    return found


@cache
def _ours():
    """Those of them that MicroPython's own types have not."""
    types = (bytes, bytearray, list, dict, set, str, int, tuple)
    return _functions() - {name for kind in types for name in dir(kind)} | _NATIVE


def _allocates(node, small_numbers):
    """True if what is evaluated at this node may take heap on MicroPython."""
    for part in ast.walk(node):
        if isinstance(part, ast.Call):
            named = isinstance(part.func, ast.Name)
            name = part.func.id if named else getattr(part.func, "attr", "")
            known = name in (_functions() if named else _ours())
            if not known or any(keyword.arg is None for keyword in part.keywords):
                return True
        elif isinstance(part, (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.GeneratorExp, ast.DictComp, ast.SetComp)):
            return True
        elif isinstance(part, (ast.Lambda, ast.JoinedStr, ast.Yield, ast.YieldFrom, ast.Starred)):
            return True
        elif isinstance(part, ast.Tuple) and isinstance(part.ctx, ast.Load) and not _is_constant(part):
            return True
        elif isinstance(part, ast.Subscript) and isinstance(part.slice, ast.Slice):
            return True
        elif isinstance(part, ast.BinOp) and isinstance(part.op, (ast.Add, ast.Mult, ast.Mod, ast.Pow)):
            if not small_numbers:
                return True  # octets perhaps
    return False


def _is_constant(node):
    return all(isinstance(part, ast.Constant) for part in node.elts)


def _own(node):
    """What of a statement is run at its own line: of a compound one the head."""
    if isinstance(node, (ast.If, ast.While)):
        return [node.test]
    if isinstance(node, ast.For):
        ranged = isinstance(node.iter, ast.Call) and getattr(node.iter.func, "id", "") == "range"
        return node.iter.args if ranged else [node.iter]
    if isinstance(node, ast.With):
        return [item.context_expr for item in node.items]
    return [node]


@cache
def allocating(path):
    """Numbers of the lines of a file at which a MemoryError can be raised on MicroPython."""
    found = set()
    small_numbers = path.endswith(_SMALL_NUMBERS)
    tree = ast.parse(Path(path).read_text())
    made = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    first = {node for function in made for node in ast.walk(function)}
    known = {node.attr for node in first if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.stmt) or isinstance(node, ast.Try) or ast.unparse(node) in _ROOM_FOUND:
            continue
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)):
            found.add(node.lineno)
            continue
        parts = _own(node)
        # A new attribute may make the object's map grow; one that __init__ has set is none.
        stores = isinstance(node, (ast.Assign, ast.AugAssign)) and any(
            isinstance(part.ctx, ast.Store) and (node in first or part.attr not in known)
            for part in ast.walk(node)
            if isinstance(part, ast.Attribute)
        )
        if stores or any(_allocates(part, small_numbers) for part in parts):
            found |= set(range(node.lineno, max(part.end_lineno for part in parts) + 1))
    return found


class Device(Simulation):
    """What an error costs is what it costs with Udp: one datagram, one pass."""

    errors = ()

    def _tried(self, what, *arguments):
        try:
            return what(*arguments)
        except (MemoryError, OSError, ValueError) as error:
            self.errors = (*self.errors, error)

    def speak(self):
        self._tried(super().speak)

    def arrive(self, *arguments):
        self._tried(super().arrive, *arguments)

    def echo(self):
        self._tried(super().echo)


class _Armed:
    """Raises an error at a line, the first time that it is come by."""

    def __init__(self, place, error):
        self.place = place
        self.error = error
        self.raised = False

    def __call__(self, frame, event, argument):
        if frame.f_code.co_filename != self.place[0]:
            return None
        return self._line

    def _line(self, frame, event, argument):
        if event == "line" and not self.raised and frame.f_lineno == self.place[1]:
            self.raised = True
            sys.settrace(None)
            raise self.error
        return self._line


def lines(device, phase):
    """[(file, line)] that the phase comes by in lib, where MicroPython's heap may end; the device is used up."""
    seen = {}

    def line(frame, event, argument):
        if event == "line":
            seen[frame.f_code.co_filename, frame.f_lineno] = None
        return line

    def call(frame, event, argument):
        return line if frame.f_code.co_filename.startswith(_LIB) else None

    sys.settrace(call)
    try:
        phase(device)
    finally:
        sys.settrace(None)
    return [(path, number) for path, number in seen if number in allocating(path)]


def _write(pipe, octets):
    while octets:
        octets = octets[os.write(pipe, octets) :]


def in_a_fork(work):
    """What `work` says in words, "" for nothing, in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        said = "died"
        try:
            said = work() or ""
        except BaseException:
            said = traceback.format_exc(limit=-4)
        finally:
            _write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    return said


def trial(device, phase, place, error):
    """What is wrong after this one error at that place; "" if nothing is."""
    armed = _Armed(place, error)
    sys.settrace(armed)
    try:
        phase(device)
    except (MemoryError, OSError, ValueError):
        pass  # it was the phase's own call: whoever called knows
    finally:
        sys.settrace(None)
    return after(device)


def after(device):
    """What is wrong two minutes later, with a gateway that is reachable."""
    device.there = True
    if device.life.closed:
        device.run(20000)
        left = device.node.table.ike_sas(), device.node.child_owners, device.node.owned
        return "" if not any(left) else f"closed, and there is {left}"
    answered = device.answered
    device.echo_ms, device.next_echo = 2000, device.now
    end = device.now + 2 * MINUTE
    while device.answered == answered or device.life.attempt:
        device.run(500)
        if device.now > end:
            return f"no tunnel after two minutes: {device.life.state} {device.life.reason} {device.events[-3:]}"
    device.echo_ms = 0
    device.run(75000)
    while device.life.attempt and device.now < end + 3 * MINUTE:  # a renewal that is made again
        device.run(500)
    return left_over(device) or spent_twice(device)


def left_over(device):
    """SAs that one of both ends has and the other has not, or that nobody needs."""
    table = device.node.table
    ours = [(*table.ike_sa(slot)[:2], sorted(table.child_sa(child)[2:] for child in table.children(slot)))
            for slot in table.ike_sas()]  # fmt: skip
    theirs = [(sa.spi_i, sa.spi_r, sorted((child.spi_out, child.spi_in) for child in sa.children))
              for sa in device.gateway.sas]  # fmt: skip
    if len(ours) != 1 or len(ours[0][2]) != 1 or ours[0] not in theirs:
        return f"left over: {ours} beside {theirs}"
    if list(device.node.child_owners) != table.children(table.ike_sas()[0]) or len(device.node.owned) != 1:
        return f"owners without SAs: {device.node.child_owners}, {device.node.owned}"
    wait = device.node.next_timer(device.clock)
    return "a timer is due for ever" if wait == 0 else ""


def spent_twice(device):
    """A number of ESP, a Message ID or an IV of AES-CBC with which two different messages have left."""
    known = {}
    for _, via, octets in device.sent:
        keys = ()
        at = 4 * (via == 4500)
        if via == 4500 and octets[:4] != bytes(4):
            keys = (octets[:8], (octets[:4], octets[8:24])) if len(octets) > 1 else ()
        elif octets[at + 16] == 46:
            spis = octets[at : at + 16]
            keys = (spis, octets[at + 18 : at + 24]), (spis, octets[at + 32 : at + 48])
        for key in keys:
            if known.setdefault(key, octets) != octets:
                return f"spent twice: {key}"
    return ""
