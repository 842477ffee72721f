"""What is frozen: every module is there by its name and has what it had, and what is joined is there once."""

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
import ikev2.node, ikev2_core, ipsec, ipsec_sockets, ikev2.wire
from ipsec import esp
import ipsec.esp as same
assert ikev2.node.Node is ikev2_core.Node and ipsec.Tunnel is ipsec_sockets.Tunnel and esp is same
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
    assert paths[: len(freeze.PARTS)] == [f"{file}.py" for file in freeze.PARTS] and len(set(paths)) == len(paths)
    one = folder / "ikev2_core.py"
    before = one.stat().st_mtime_ns
    (folder / "portable.py").write_text("of another time")
    freeze.write(folder)
    assert one.stat().st_mtime_ns == before and "import" in (folder / "portable.py").read_text()


def test_no_file_of_the_image_has_the_symbols_of_another(folder):
    """MicroPython's tool calls a/b.py and a_b.py the same."""
    symbols = [path.removesuffix(".py").replace("/", "_") for path in freeze.texts()]
    assert len(set(symbols)) == len(symbols)
