"""make mutants: small changes to the section 1.5 core, each of which the vectors or a test of `library` must notice.
MODULES may name those of BEYOND, too.

The changes are cosmic-ray's; it would run them one by one in new processes, which takes hours. Here each is tried in a
fork that has everything loaded but the library: the vectors first, then the tests, both of CPython. Those that are not
noticed stand in survivors.txt with a reason, or the command fails; so it does below 95 of 100. EVERY=12 tries one
change in twelve, and FIRST=5 begins with the sixth.
"""

import importlib.machinery
import os
import resource
import sys
import time
from pathlib import Path

import pytest
from cosmic_ray.ast import Visitor, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from golden import run_vectors, vector_files
from golden.differences import differences
from tools import PACKAGES, ROOT, arguments, library

from boards import mip

CORE = [Path(path).stem for path in mip.files(*mip.PIECES["core"]) if "__init__" not in path]
BEYOND = {  # modules of the other rooms, and the tests that are to notice what changes in them
    "esp": "esp", "spd": "esp", "ipv4": "inner echo", "stack": "inner echo", "selectors": "selectors rekey initiator",
    "payloads": "payloads initiator informational", "proposals": "proposals initiator", "window": "informational rekey",
    "informational": "informational rekey members", "rekey": "rekey life", "sleep": "sleep",
    "holdings": "life life_mends sleep informational", "attempts": "life sleep", "life": "life life_mends sleep",
}  # fmt: skip
LIST = Path(__file__).parent / "survivors.txt"
WANTED = 95  # of 100 that are not equivalent
EQUIVALENT = "equivalent: "
# Whoever takes that many times what no change takes, and more, is in an endless loop: noticed.
_ENDLESS, _CPU_S = 4, 5
# What hypothesis makes up is too slow for this, and not the same each time.
_ONCE = "-x", "-q", "-p", "no:cacheprovider", "--noconftest", "-m", "not hypothesis", "-k", "not Model"
_REPLACED = (
    "Comparison: Eq_NotEq NotEq_Eq Lt_LtE LtE_Lt Gt_GtE GtE_Gt Is_IsNot IsNot_Is",
    "Binary: Add_Sub Sub_Add Mul_Add FloorDiv_Mul Mod_Mul",
    "Binary: BitAnd_BitOr BitOr_BitAnd BitXor_BitAnd LShift_RShift RShift_LShift",
    "Unary: Delete_Not USub_UAdd",
)
_OPERATORS = (
    "NumberReplacer AddNot ReplaceAndWithOr ReplaceOrWithAnd ReplaceBreakWithContinue ReplaceContinueWithBreak "
    "ReplaceTrueWithFalse ReplaceFalseWithTrue ZeroIterationForLoop"
).split() + [
    f"Replace{kind}Operator_{pair}"
    for kind, pairs in (line.split(": ") for line in _REPLACED)
    for pair in pairs.split()
]


class _Places(Visitor):
    """Counts the places where an operator changes something."""

    def __init__(self, operator):
        self.operator, self.count = operator, 0

    def visit(self, node):
        self.count += len(list(self.operator.mutation_positions(node)))
        return node


def _path(module):
    """The file of a module of the library by its last name."""
    return next(path for name, path in library(desk=True).items() if Path(name).stem == module)


def changes(module, every=1, first=0):
    """(old line, new line, text) of every change to a module, or of each n-th from the first on."""
    source = _path(module).read_text()
    places = []
    for name in _OPERATORS:
        operator = get_operator(f"core/{name}")()
        found = _Places(operator)
        found.walk(get_ast(source))
        places += [(operator, number) for number in range(found.count)]
    seen = {source}
    for operator, number in places[first::every]:
        text = mutate_code(source, operator, number)
        if text not in seen:
            seen.add(text)
            pairs = zip(source.splitlines(), text.splitlines(), strict=True)
            yield *next((old.strip(), new.strip()) for old, new in pairs if old != new), text


class _Changed(importlib.machinery.SourceFileLoader):
    """Loads a module from another text."""

    def __init__(self, name, path, text):
        super().__init__(name, path)
        self.text = text

    def get_code(self, name):
        return compile(self.text, self.path, "exec")


class _Finder:
    def __init__(self, module, text):
        path = _path(module)
        self.name = ".".join(path.relative_to(ROOT / "lib").with_suffix("").parts)
        self.path, self.text = str(path), text

    def find_spec(self, name, path=None, target=None):
        if name == self.name:
            return importlib.machinery.ModuleSpec(name, _Changed(name, self.path, self.text), origin=self.path)


def noticed(module, cases):
    """True if a vector or a test fails; the module's own come first."""
    with run_vectors.machine("cpython") as run:
        if any(differences(case, run(case)) for case in cases):
            return True
    return bool(pytest.main([*_ONCE, *tests_of(module)]))


def tests_of(module):
    """Paths of the tests that may notice a change to a module, its own first."""
    folder = ROOT / "host_tests/library"
    if module in BEYOND:
        return [str(folder / f"test_{name}.py") for name in BEYOND[module].split()]
    tests = [str(path) for name in CORE for path in sorted(folder.glob(f"test_{name}*.py"))]
    return sorted(tests, key=lambda path: f"/test_{module}" not in path)


def attempt(module, text, cases, cpu_s=60):
    """Process that tries a change, no longer than that; its exit status is 0 if nothing noticed."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
        silent = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(silent, number)
        for name in [name for name in sys.modules if name.split(".")[0] in (*PACKAGES, "portable")]:
            del sys.modules[name]
        sys.meta_path.insert(0, _Finder(module, text))
        status = int(noticed(module, cases))
    finally:
        os._exit(status)


def reasons():
    """{(module, old line, new line): reason} of survivors.txt."""
    found = {}
    for block in LIST.read_text().strip().split("\n\n")[1:]:
        module, old, new, reason = block.split("\n", 3)
        found[module, old.removeprefix("- "), new.removeprefix("+ ")] = reason
    return found


def survivors(modules, every=1, first=0, progress=print):
    """(number of changes, [(module, old line, new line)] of those that nothing noticed); as `changes` takes them.

    modules -- and the seconds of processor that the tests of each take
    """
    cases = _cases()
    running, alive, tried, began = {}, [], 0, time.monotonic()

    def reap():
        child, status = os.wait()
        change = running.pop(child)
        if not status:
            alive.append(change)
            progress("survived: {}\n- {}\n+ {}".format(*change))

    for module, cpu_s in modules.items():
        for old, new, text in changes(module, every, first):
            if len(running) >= (os.cpu_count() or 1):
                reap()
            running[attempt(module, text, cases, int(_ENDLESS * cpu_s) + _CPU_S)] = module, old, new
            tried += 1
            if not tried % 100:
                progress(f"{module}: {tried} tried in {time.monotonic() - began:.0f} s, {len(alive)} survived")
    while running:
        reap()
    return tried, alive


def main(modules, every, first):
    seconds = {}
    for module in modules:
        status, seconds[module] = status_of(module, _path(module).read_text())
        assert not status, f"the tests of {module} fail without a change"
        assert status_of(module, "raise ImportError")[0], "the library is loaded already: no change would be noticed"
    known = {change: reason for change, reason in reasons().items() if change[0] in modules}
    tried, alive = survivors(seconds, every, first)
    equivalent = sum(known.get(change, "").startswith(EQUIVALENT) for change in alive)
    killed = 100 * (tried - len(alive)) / (tried - equivalent)
    new = [change for change in alive if change not in known]
    gone = known.keys() - set(alive) if every == 1 else ()
    for title, found in (("without a reason in survivors.txt", new), ("in survivors.txt, but noticed", gone)):
        if found:
            print(f"\n{title}:")
            for change in found:
                print("{}\n- {}\n+ {}\n".format(*change))
    print(f"{tried} changes, {len(alive)} survived, {equivalent} of them equivalent: {killed:.1f} of 100 noticed")
    return 1 if new or gone or killed < WANTED else 0


def status_of(module, text):
    """The exit status with that text in place of a module, and the seconds of processor that it took."""
    _, status, used = os.wait4(attempt(module, text, _cases()), 0)
    return status, used.ru_utime + used.ru_stime


def _cases():
    return [case for case in vector_files.all_cases() if not any(sa[5] for sa in case["ike_sas"])]


if __name__ == "__main__":
    given = arguments(sys.argv[1:], MODULES=" ".join(CORE), EVERY=1, FIRST=0)
    sys.exit(main(given["MODULES"].split(), given["EVERY"], given["FIRST"]))
