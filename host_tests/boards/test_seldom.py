"""Functions that are loaded when they are called do what they did where they stood, and do not stay."""

import importlib
import sys

import pytest
from tools import ROOT

from boards import join, seldom

LATE = (ROOT / "firmware/deployed/ikev2_late.py").read_text()
ONE = """
from portable import const
try:
    import three
except ImportError:
    three = None

_A = const(3)
ALL = ("a", "b")
count = 40
other = None


def _more(by):
    global count
    count += by + _A
    return count, ALL


def used(word="as said"):
    return word, len(ALL)


def loaded():
    global other
    import two as other
    return other.value


def again():
    return 1


class Thing:
    what = 7

    def __init__(self, given=_A):
        self.given = given

    @property
    def twice(self):
        return 2 * self.given, _more(1)[0]

    async def later(self, more=1):
        return self.what + more, three and three.thing()
"""
TWO = (
    "import one\nvalue = 5\n\ndef both():\n    return one._more(1), one.ALL, one.used()\n\n"
    "def names(thing):\n    return thing.twice, thing.later()\n"
)
THREE = "def thing():\n    return 'three'\n"


@pytest.fixture
def board(monkeypatch, tmp_path):
    """A function that imports a file of these modules, once they are joined."""
    monkeypatch.setattr(join, "PARTS", {"core": ["ikev2_late", "portable"], "one": ["one"], "two": ["two"]})
    monkeypatch.setattr(join, "_KEEPING", ("ikev2_late", "portable", "one", "two"))
    monkeypatch.setattr(seldom, "SELDOM", {
        "first": {"one": ["ALL", "_more", "Thing.__init__", "Thing.twice"]},
        "second": {"one": ["used", "loaded", "Thing.later"]},
        "third": {"one": ["again"]},
    })  # fmt: skip
    texts = {"ikev2_late.py": LATE, "portable.py": "", "one.py": ONE, "two.py": TWO, "three.py": THREE}
    found = join.joined(texts)
    before = set(sys.modules)
    for name, text in found.items():
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_what_is_seldom_needed_is_not_there_before(board):
    one = board("one")
    assert not {"first", "second"} & set(sys.modules)
    assert "ALL" not in dir(one) and "_more" not in dir(one) and "used" in dir(one)


def test_functions_and_values_of_a_module_in_files_of_their_own(board):
    one, two = board("one"), board("two")
    assert two.both() == ((44, ("a", "b")), ("a", "b"), ("as said", 2))
    assert one.count == 44 and one.used("so") == ("so", 2)
    assert one.loaded() == 5 and one.other is two


def test_methods_keep_their_defaults_and_what_decorates_them(board):
    thing = board("one").Thing()
    assert (thing.given, board("one").Thing(4).twice) == (3, (8, 44))
    with pytest.raises(StopIteration) as ended:
        thing.later().send(None)
    assert ended.value.value == (8, "three")


def test_only_the_last_one_stays_loaded(board):
    one = board("one")
    thing = one.Thing()
    assert "first" in sys.modules
    one.used()  # in "second", and ALL in "first"
    assert "second" not in sys.modules and "first" in sys.modules
    one.again()
    assert "first" not in sys.modules and "third" in sys.modules
    assert thing.twice == (6, 44) and "third" not in sys.modules


def test_a_function_that_cannot_be_moved_is_refused(monkeypatch):
    monkeypatch.setattr(seldom, "SELDOM", {"first": {"one": ["f"]}})
    for text in ("@staticmethod\ndef f():\n    pass\n", "def g():\n    pass\n"):
        with pytest.raises(AssertionError):
            join.joined({"one.py": text})
