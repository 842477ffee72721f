"""make mutants: small changes to the library, each of which the vectors or a test must notice.

The changes are cosmic-ray's; it would run them one by one in new processes, which takes hours. Here each is tried in a
fork that has everything loaded but the library: the vectors first, then the tests of the module. Those run on CPython;
what they start as a process of its own, MicroPython as well, has the change, too. It is one at a time, because tests
have ports. Those that are not noticed stand in survivors.txt with a reason, or the command fails; so it does below 95
of 100. Without MODULES it is the section 1.5 core, with MODULES=all the whole library but what only a PC or only a
board runs. EVERY=12 tries one change in twelve of all modules, one behind the other, and FIRST=5 begins with the sixth.
"""

import importlib.machinery
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import conftest
import pytest
import tools
from cosmic_ray.ast import Visitor, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from golden import run_vectors, vector_files
from golden.differences import differences
from tools import BUILD, HERE, PACKAGES, ROOT, arguments, library

from boards import mip

CORE = [Path(path).stem for path in mip.files(*mip.PIECES["core"]) if "__init__" not in path]
BEYOND = {  # modules of the other rooms, and the tests that are to notice what changes in them
    # ikev2/config, ikev2/net
    "config/__init__": "config tunnel_settings ppk hub", "config/keys": "config tunnel_settings ppk",
    "config/ppk": "ppk", "reader": "config tunnel_settings ppk", "addresses": "sockets udp hub", "blocking": "hub",
    "memory": "sockets initiator life", "net/sockets": "sockets udp managers hub", "net/udp": "udp managers hub",
    # ikev2/crypto; limbs is machine code of 32 bits, which only boards run
    "crypto/__init__": "ciphers crypto initiator responder", "aes": "crypto ciphers", "cbc": "ciphers sk",
    "gcm": "ciphers crypto sk", "hmac": "crypto keys", "known": "ciphers crypto", "modp2048": "dh",
    "octets": "keys sk", "slices": "dh initiator", "x25519": "dh initiator",
    # ikev2/sa
    "informational": "informational payloads rekey members life life_mends", "sa/keys": "keys rekey exchanges",
    "payloads": "payloads initiator informational", "policy": "initiator responder exchanges sleep",
    "proposals": "proposals initiator responder", "reasons": "initiator responder life members", "rekey": "rekey life",
    "rekeys": "rekey life", "selectors": "selectors rekey initiator responder", "sk": "sk initiator informational",
    "window": "informational rekey life members",
    # ikev2/initial
    "accept": "responder exchanges members", "acceptor": "responder hub_recovery members",
    "auth": "initiator exchanges", "cookie": "responder members",
    "initiator": "initiator life exchanges responder", "peers": "responder hub members",
    "initial/ppk": "ppk exchanges", "ppk_accept": "ppk exchanges", "responder": "responder exchanges ppk members",
    "sa_init": "initiator exchanges responder life",
    # inside
    "dns": "dns", "ipv4": "inner echo members", "inside/sockets": "streams hub tcp", "stack": "inner echo hub dns",
    "stream": "streams stream hub", "tcp": "tcp segments tcp_wire", "tcp_connection": "tcp segments tcp_wire",
    "server": "stream streams hub", "tcp_listening": "tcp segments tcp_wire", "tcp_receiving": "tcp segments tcp_wire",
    "tcp_segment": "tcp segments tcp_wire",
    "tcp_sending": "tcp segments tcp_wire", "tls": "stream streams", "inside/udp": "hub managers dns inner",
    # ipsec
    "attempts": "life sleep life_mends members", "crossing": "crossing", "esp": "esp", "spd": "esp",
    "holdings": "life life_mends sleep informational", "hub": "hub tunnel_settings", "hub_streams": "hub",
    "life": "life life_mends sleep members", "liveness": "life life_mends sleep crossing",
    "members": "members hub hub_recovery crossing",
    "shares": "members hub_recovery", "sleep": "sleep ppk", "streams": "hub streams life_streams",
    "traffic": "life_streams members life", "tunnel": "hub tunnel_settings tunnel ppk managers",
}  # fmt: skip
_GOLDEN = Path(__file__).parent.parent / "golden"
_FOLDERS = {"exchanges": _GOLDEN, "segments": _GOLDEN}  # of tests that are not in `library`
LIST = Path(__file__).parent / "survivors.txt"
WANTED = 95  # of 100 that are not equivalent
EQUIVALENT = "equivalent: "
# Whoever takes that many times what no change takes, and more, is in an endless loop: noticed.
_ENDLESS, _CPU_S = 4, 5
# Machines that are not started with the library's folder do not see the change; what hypothesis makes up is too slow
# for this, and not the same each time.
_HERE = " and ".join(
    f"not {word}"
    for word in "Model any_input on_board on_riscv state_of_an_ike_sa unix- newest- board- riscv- small-".split()
)
_ONCE = "-x", "-q", "-p", "no:cacheprovider", "--noconftest", "-m", "not hypothesis", "-k", _HERE
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
    """The file of a module of the library by its last name, with the folder if there are two of one name."""
    return next(path for name, path in library().items() if f"/{name}".endswith(f"/{module}.py"))


def places_of(module):
    """[(operator, number)] of every place of a module at which something can be changed."""
    tree = get_ast(_path(module).read_text())
    places = []
    for name in _OPERATORS:
        operator = get_operator(f"core/{name}")()
        found = _Places(operator)
        found.walk(tree)
        places += [(operator, number) for number in range(found.count)]
    return places


def changes(module, places):
    """(old line, new line, text) of the changes to a module at these places."""
    source = _path(module).read_text()
    seen = {source}
    for operator, number in places:
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
        self.name = mip.module_name(str(path.relative_to(ROOT / "lib")))
        self.path, self.text = str(path), text
        self.package = [str(path.parent)] if path.stem == "__init__" else None

    def find_spec(self, name, path=None, target=None):
        if name == self.name:
            loader = _Changed(name, self.path, self.text)
            spec = importlib.machinery.ModuleSpec(name, loader, origin=self.path, is_package=bool(self.package))
            spec.submodule_search_locations = self.package
            return spec


def noticed(module, cases):
    """True if a vector or a test fails; the module's own come first."""
    with run_vectors.machine("cpython") as run:
        if any(differences(case, run(case)) for case in cases):
            return True
    return bool(pytest.main([*_ONCE, *tests_of(module)]))


def tests_of(module):
    """Paths of the tests that may notice a change to a module, its own first."""
    folder = ROOT / "host_tests/library"
    repeated = str(folder / "test_repeated.py")
    if module in BEYOND:
        names = BEYOND[module].split()
        return [repeated] + [str(_FOLDERS.get(name, folder) / f"test_{name}.py") for name in names]
    tests = [str(path) for name in CORE for path in sorted(folder.glob(f"test_{name}*.py"))]
    return [repeated, *sorted(tests, key=lambda path: f"/test_{module}" not in path)]


def _environment(module, text, folder):
    """That of processes that tests start: the library with the change, in that folder."""
    for name, path in library(desk=True).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(path)
    changed = folder / _path(module).relative_to(ROOT / "lib")
    changed.unlink()
    changed.write_text(text)
    return {**tools.device_environment(), "MICROPYPATH": f"{folder}:{HERE}:.frozen", "PYTHONPATH": f"{folder}:{HERE}"}


def attempt(module, text, cases, cpu_s=60):
    """(exit status, seconds of processor, output) of a process that tries a change, no longer than that.

    The status is 0 if nothing noticed.
    """
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        said = Path(folder, "said")
        child = os.fork()
        if not child:
            _try(module, text, cases, cpu_s, Path(folder, "lib"), said)
        _, status, used = os.wait4(child, 0)
        return status, used.ru_utime + used.ru_stime, said.read_text(errors="replace")


def _try(module, text, cases, cpu_s, folder, said):
    """End with the status; what the tests say goes to the file `said`."""
    status = 1
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
        said = os.open(said, os.O_RDWR | os.O_CREAT)
        for number in range(3):
            os.dup2(said, number)
        for name in [name for name in sys.modules if name.split(".")[0] in (*PACKAGES, "portable")]:
            del sys.modules[name]
        sys.meta_path.insert(0, _Finder(module, text))
        environment = _environment(module, text, folder)
        tools.device_environment = lambda: environment
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


def unchanged(module, cases):
    """Seconds of processor that the tests of a module take, which pass without a change."""
    status, seconds, said = attempt(module, _path(module).read_text(), cases)
    assert not status, f"the tests of {module} fail without a change:\n{said}"
    return seconds


def survivors(sample, cases, progress=print):
    """(number of changes, [(module, old line, new line)] of those that nothing noticed).

    sample -- {module: places}
    """
    alive, taken, tried, began = [], {}, 0, time.monotonic()
    for module, places in sample.items():
        tests = tuple(tests_of(module))
        if tests not in taken:
            taken[tests] = unchanged(module, cases)
        assert attempt(module, "raise ImportError", cases)[0], "it is loaded already: no change would be noticed"
        for old, new, text in changes(module, places):
            if not attempt(module, text, cases, int(_ENDLESS * taken[tests]) + _CPU_S)[0]:
                alive.append((module, old, new))
                progress("survived: {}\n- {}\n+ {}".format(*alive[-1]))
            tried += 1
            if not tried % 20:
                progress(f"{module}: {tried} tried in {time.monotonic() - began:.0f} s, {len(alive)} survived")
    return tried, alive


def sample_of(modules, every, first):
    """{module: places} of each n-th change from the first on, counted through all modules."""
    found = {}
    for module in modules:
        places = places_of(module)
        if places[first::every]:
            found[module] = places[first::every]
        first -= len(places)
        if first < 0:
            first %= every
    return found


def main(modules, every, first):
    cases = [case for case in vector_files.all_cases() if not any(sa[5] for sa in case["ike_sas"])]
    conftest.pytest_configure(None)  # a network namespace, once
    known = {change: reason for change, reason in reasons().items() if change[0] in modules}
    tried, alive = survivors(sample_of(modules, every, first), cases)
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


if __name__ == "__main__":
    given = arguments(sys.argv[1:], MODULES=" ".join(CORE), EVERY=1, FIRST=0)
    modules = [*CORE, *BEYOND] if given["MODULES"] == "all" else given["MODULES"].split()
    sys.exit(main(modules, given["EVERY"], given["FIRST"]))
