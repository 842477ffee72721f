"""An error at one line of the library, once: where it can be, and what becomes of a device that drives its node as Udp.

`trials` are at the lines of lib that a phase of a tunnel's life comes by and that may allocate on MicroPython. Each is
a fork of the phase at that line, before it is run for the first time: there the error is raised, and then there are two
minutes in which the gateway is reachable and nothing else goes wrong.
"""

import ast
import gc
import hmac
import json
import os
import sys
import traceback
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from ikev2.initial import acceptor, sa_init
from ikev2.sa import rekey
from tools import ROOT, kept

from library.simulation import QuickGroup, Simulation

_LIB = str(ROOT / "lib") + os.sep
MINUTE = 60000

# Why a line takes nothing of MicroPython's heap. A call of a function of ours is none of them: its frame lies on the C
# stack, or falls back to it (py/objfun.c), and what it does has lines of its own. Nor is `for … in range(…)`, which the
# compiler makes a loop of. Numbers in these files are below 2**30: places in a table, milliseconds, counts.
_SMALL_NUMBERS = ("portable.py", "ikev2/slots.py", "ikev2/spi_table.py", "ikev2/budget.py", "ikev2/wire.py",
                  "tcp_connection.py", "tcp_receiving.py", "tcp_sending.py")  # fmt: skip
# What is left out of a list or a dict leaves it as it is, or smaller: no such call has to find room.
_NATIVE = frozenset(
    ("len", "min", "max", "isinstance", "bool", "ord", "any", "all", "clear", "remove", "discard", "pop", "get")
)
# Window.respond has set the attribute before, so the object's map has room for them.
_ROOM_FOUND = ("state[_ANSWER_FIRST], self._answer, over = made",)
# An Event that is set moves tasks from queue to queue (asyncio/event.py); `end` is a method of ours.
_ROOM_FOUND += ("self._ready.set()", "end(self._ticks())")
# On MicroPython these are machine code that goes from octet to octet (portable.py).
_ROOM_FOUND += ("return a[i:i + n] == b[j:j + n]", "out[i:i + n] = octets[j:j + n]")


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
        elif isinstance(part, (ast.Lambda, ast.JoinedStr, ast.Yield, ast.YieldFrom, ast.Await, ast.Starred)):
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
def allocating():
    """{path: numbers of the lines at which a MemoryError can be raised on MicroPython} of lib."""
    texts = {str(path): path.read_text() for path in sorted(Path(_LIB).rglob("*.py"))}

    def made():
        return json.dumps({path: sorted(_allocating(path, text)) for path, text in texts.items()}).encode()

    found = kept(made, "allocating", texts, Path(__file__).read_text(), sys.version_info[:2])
    return {path: set(lines) for path, lines in json.loads(found).items()}


def _allocating(path, text):
    found = set()
    small_numbers = path.endswith(_SMALL_NUMBERS)
    tree = ast.parse(text)
    made = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    first = {node for function in made for node in ast.walk(function)}
    known = {node.attr for node in first if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.stmt) or isinstance(node, ast.Try) or ast.unparse(node) in _ROOM_FOUND:
            continue
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)):
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


class _Trials:
    """A tracer that lets a fork meet the error at each line that may allocate, when that is first come by."""

    def __init__(self, error, every, files):
        self.error = error
        self.every = every
        self.files = files
        self.seen = set()
        self.tried = 0
        self.found = {}  # place: what is wrong
        self.pipe = None  # of the fork that has met the error

    def __call__(self, frame, event, argument):
        name = frame.f_code.co_filename
        return self._line if name.startswith(_LIB) and name.endswith(self.files) else None

    def _line(self, frame, event, argument):
        place = frame.f_code.co_filename, frame.f_lineno
        if event == "line" and place not in self.seen:
            self.seen.add(place)
            if place[1] in allocating()[place[0]]:
                if self.tried % self.every == 0:
                    self._try(place)
                self.tried += 1
        return self._line

    def _try(self, place):
        gc.freeze()  # nothing that a fork looks at when it collects is what it would have to copy
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            sys.settrace(None)
            self.pipe = writing
            sa_init.group = rekey.group = acceptor.group = QuickGroup  # of the key exchanges that follow
            raise self.error
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read().decode()
        if os.waitpid(child, 0)[1] or said:
            self.found["%s:%d" % place] = said or "died"


@cache
def _load_cryptography():
    """What the package brings at its first use, and does not have to in each fork."""
    group = QuickGroup(31, os.urandom)
    group.secret(group.value)
    for mode in (modes.CBC(bytes(16)), modes.ECB()):
        cipher = Cipher(algorithms.AES(bytes(16)), mode)
        for context in (cipher.encryptor(), cipher.decryptor()):
            context.update(bytes(16))
    hmac.digest(b"", b"", "sha256")


def trials(device, phase, error, every=1, files=".py", judge=None):
    """(number of lines, {line: what is wrong after an error at it}) of lib, where MicroPython's heap may end.

    The device is used up. Only lines that the phase comes by, and each nth of them, in files whose paths end so.
    `judge` says what is wrong then, in place of `after`.
    """
    judge = judge or after
    tracer = _Trials(error, every, files)
    _load_cryptography()
    try:
        _phase(device, phase, tracer)
        if tracer.pipe is not None:
            said = judge(device)
    except BaseException:
        if tracer.pipe is None:
            raise
        said = traceback.format_exc(limit=-4)
    finally:
        gc.unfreeze()
    if tracer.pipe is not None:
        _write(tracer.pipe, said.encode())
        os._exit(0)
    return tracer.tried, tracer.found


def _phase(device, phase, tracer):
    sys.settrace(tracer)
    try:
        phase(device)
    except (MemoryError, OSError, ValueError):
        if tracer.pipe is None:
            raise
    finally:  # otherwise it was the phase's own call: whoever called knows
        sys.settrace(None)


def _write(pipe, octets):
    while octets:
        octets = octets[os.write(pipe, octets) :]


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
    while device.answered == answered or device.life.has.attempt:
        device.run(500)
        if device.now > end:
            return f"no tunnel after two minutes: {device.life.state} {device.life.reason} {device.events[-3:]}"
    device.echo_ms = 0
    device.run(75000)
    while device.life.has.attempt and device.now < end + 3 * MINUTE:  # a renewal that is made again
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
