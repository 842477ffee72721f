"""What is deployed does what its source does, with fewer names; the vectors run it on the small machine."""

import ast
import re

import pytest
from tools import BUILD

from boards import board_files, shrink

LIBRARY = {f"{name}.py": path.read_text() for name, path in board_files.modules().items()}


@pytest.fixture(scope="module")
def shrunk():
    return shrink.shrunk(LIBRARY)


def names(text):
    return {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}


def attributes(text):
    return {node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}


def test_only_names_differ(shrunk):
    """Lines and statements stay: a traceback leads to the source."""
    for path, text in LIBRARY.items():
        assert [line.count(" ") > 0 for line in text.splitlines()] == [
            line.count(" ") > 0 for line in shrunk[path].splitlines()
        ]
        kinds = [type(node) for node in ast.walk(ast.parse(text))]
        assert [type(node) for node in ast.walk(ast.parse(shrunk[path]))] == kinds, path


def test_a_name_is_one_everywhere():
    """Attributes, keywords, arguments and imports of a name are called alike in every file, others are not."""
    one = "class Longish:\n    def further(self, nearby):\n        self.inner_thing = nearby\n"
    two = "from one import Longish\n\nmade = Longish()\nmade.further(nearby=1)\nprint(made.inner_thing)\n"
    found = shrink.shrunk({"one.py": one, "two.py": two})
    assert not re.search("Longish|further|nearby|inner_thing", "".join(found.values()))
    said = []
    run = {"print": said.append}
    exec(found["one.py"], run)
    exec(re.sub("from one import .*", "", found["two.py"]), run)
    assert said == [1]


def test_what_others_speak_of_stays():
    """Strings, modules, exceptions, special methods, what README has, what the firmware has."""
    text = (
        "import strange\n\nclass OddError(Exception):\n    pass\n\nclass Tunnel:\n    def __init__(self, spoken):\n"
        "        self.append = strange.thing(spoken)\n\ndef settings(**given):\n    return given['spoken']\n"
    )
    found = shrink.shrunk({"one.py": text})["one.py"]
    for kept in ("strange", "thing", "OddError", "Tunnel", "__init__", "spoken", "append"):
        assert re.search(rf"\b{kept}\b", found), kept


def test_two_names_that_one_object_has_do_not_share_one():
    """A base class in one file and its heir in another; an attribute that a stranger gives."""
    base = "class Base:\n    def __init__(self):\n        self.first_thing = 1\n        self.heir_thing()\n"
    heir = "from base import Base\n\nclass Heir(Base):\n    def heir_thing(self):\n        self.second_thing = 2\n"
    giver = "from heir import Heir\n\nmade = Heir()\nmade.third_thing = 3\nmade.given = 4\n"
    found = shrink.shrunk({"base.py": base, "heir.py": heir, "giver.py": giver})
    given = [re.findall(r"(?:self|\w+)\.(\w+) = ", found[path]) for path in ("base.py", "heir.py", "giver.py")]
    everything = [name for names in given for name in names]
    assert len(everything) == len(set(everything)) == 4


def test_private_constants_stay_in_the_code(shrunk):
    """One that lost its underscore would lie in the module's RAM."""
    for path, text in LIBRARY.items():
        private = set(re.findall(r"^(_\w+) = const\(", text, re.MULTILINE))
        assert private <= names(shrunk[path]), path


def test_names_are_those_of_any_firmware(shrunk):
    """What is left for RAM is less than half."""
    held = set(shrink.of_firmware())
    before, after = (
        {name for text in texts.values() for name in attributes(text) if name not in held}
        for texts in (LIBRARY, shrunk)
    )
    assert len(after) * 2 < len(before)


def names_of_micropython():
    """What its C code and its asyncio speak of, on the ports where this library runs."""
    source = BUILD / "micropython"
    folders = ("py", "extmod", "shared", "ports/esp32", "ports/qemu", "ports/rp2", "ports/unix")
    found = set()
    for path in [path for folder in folders for path in (source / folder).rglob("*.[ch]")]:
        found.update(re.findall(r"MP_QSTR_([a-zA-Z]\w*)", path.read_text(errors="replace")))
    for path in (source / "extmod/asyncio").glob("*.py"):
        found |= shrink.Source(path.read_text()).names
    return found


def test_what_micropython_speaks_of_stays():
    """A socket's own method keeps its name, wherever ours are called so, too."""
    known = set(shrink.of_firmware()) | set(shrink.of_micropython())
    assert {name for name in names_of_micropython() if not name.startswith("_")} <= known


@pytest.mark.parametrize("built", ["QEMU_MPS2", "QEMU_SMALL", "QEMU_VIRT_RV32", "unix/objects", "newest/objects"])
def test_every_firmware_has_these_names(built):
    held = set(
        re.findall(r'QDEF[01]\(\w+, \d+, \d+, "(\w+)"\)', (BUILD / built / "genhdr/qstrdefs.generated.h").read_text())
    )
    assert len(held) > 500 and set(shrink.of_firmware()) <= held


def test_attributes_that_a_function_elsewhere_gives_are_those_of_all_files():
    """A method in a file of its own (seldom.py) binds names of an object whose other methods are not there."""
    there = "def made(self):\n    self.unavailable_thing = []\n"
    source = shrink.Source(there)
    assert source.foreign == {"unavailable_thing"}
    assert shrink.Source(f"class A:\n    {there.replace(chr(10), chr(10) + '    ')}pass\n").foreign == set()
