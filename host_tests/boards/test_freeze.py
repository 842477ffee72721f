"""What is frozen: every module is there by its name and has what it had, and what is joined is there once."""

import ast
import json
import os
import subprocess

import pytest
from tools import ROOT, library, micropython, plain, unix_architecture

from boards import freeze, join, mip

_NAMES = """
import sys, json
found = {}
for name in %r:
    try:
        __import__(name)
        module = sys.modules[name]
        found[name] = [said for said in dir(module) if said[0] != "_" and type(getattr(module, said)) is not type(sys)]
    except ImportError as error:
        found[name] = str(error)
print(json.dumps(found))
"""
_ONE = """
import ikev2.node, ikev2_core, ikev2_tunnel, ipsec, ikev2.wire
from ipsec import esp
import ipsec.esp as same
assert ikev2.node.Node is ikev2_core.Node and ipsec.Tunnel is ikev2_tunnel.Tunnel and esp is same
assert ikev2.wire.HEADER == 28 and issubclass(ipsec.Tunnel, object)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("frozen")
    for name in freeze.write(made):
        if not unix_architecture():
            (made / name).write_text(plain((made / name).read_text()))
    return made


def run(path, code):
    """What the unix port prints with modules from there."""
    environment = {**os.environ, "MICROPYPATH": f"{path}:.frozen"}
    done = subprocess.run(
        [micropython(), "-X", "heapsize=4m", "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_module_has_the_names_that_it_had(folder):
    """Also those that it has taken from others: payloads.NOTIFY, sockets.sleep_ms."""
    code = _NAMES % [mip.module_name(path) for path in library()]
    before, found = (json.loads(run(path, code)) for path in (ROOT / "lib", folder))
    missing = {name: set(names) - set(found[name]) - join.BUILT_IN for name, names in before.items()}
    assert not {name: names for name, names in missing.items() if names}


def test_a_thing_is_there_once(folder):
    run(folder, _ONE)


def test_what_has_changed_is_written(tmp_path):
    folder = tmp_path
    paths = freeze.write(folder)
    first = sorted(f"{file}/__init__.py" for file in ("ikev2_memory", *freeze.PARTS))
    assert sorted(paths[: len(first)]) == first and len(set(paths)) == len(paths)
    one = folder / "ikev2_core/__init__.py"
    before = one.stat().st_mtime_ns
    (folder / "portable.py").write_text("of another time")
    freeze.write(folder)
    assert one.stat().st_mtime_ns == before and "import" in (folder / "portable.py").read_text()


def test_no_file_of_the_image_has_the_symbols_of_another(folder):
    """MicroPython's tool calls a/b.py and a_b.py the same."""
    symbols = [path.removesuffix(".py").replace("/", "_") for path in freeze.texts()]
    assert len(set(symbols)) == len(symbols)


def test_builtins_are_in_the_table_of_a_file(folder):
    code = "import ikev2_core, ipsec_core, json\nprint(json.dumps([dir(ikev2_core), dir(ipsec_core)]))"
    for names in json.loads(run(folder, code)):
        assert {"len", "bytes", "property"} <= set(names)


_CLASS = """
limit = 3
def again(n):
    return n + 1
class Thing(Base):
    limit = 7
    size = 2
    def __init__(self, n=size):
        self.n = n
    @property
    def value(self):
        return self.n
    @value.setter
    def its(self, n):
        self.n = n
    def again(self, limit=limit):
        size = again(limit)
        return size, [again(value) for value in (1,)]
    async def wait(self):
        return limit
"""
_SAID = """
one = Thing()
one.its = one.value + 1
try:
    one.wait().send(None)
except StopIteration as error:
    waited = error.value
names = sorted(name for name in dir(Thing) if name[0] != "_")
print((one.n, one.again(), one.limit, waited, isinstance(one, Base), names) == (3, (8, [2]), 7, 3, True, %r))
"""


def test_a_class_of_known_size_is_the_same_class(tmp_path):
    """Its methods see the file's names and not each other, its values and decorators see those of the class."""
    names = ["again", "its", "limit", "size", "value", "wait"]
    body = list(freeze._classes_of_known_size(ast.parse(_CLASS).body))
    text = join.unparsed({"one": body})["one"]
    assert "class Thing" not in text and "type('Thing', (Base,), " in text
    for code in (_CLASS, text):
        assert run(tmp_path, "class Base:\n    pass\n" + code + _SAID % names) == "True\n"
    for others in ("    x = x\n", "    if limit:\n        y = 1\n", "    def again(self): pass\n"):
        body = ast.parse(_CLASS + others).body
        assert list(freeze._classes_of_known_size(body)) == body
