"""Modules in one file do what they do in files of their own; the vectors run what is joined on the small machine."""

import pytest
from tools import ROOT

from boards import board_files, join

TEXTS = {f"{name}.py": path.read_text() for name, path in board_files.modules().items()}
TEXTS |= {path.name: path.read_text() for path in (ROOT / "firmware/deployed").glob("*.py")}


@pytest.fixture
def parts(monkeypatch):
    monkeypatch.setattr(join, "PARTS", {"both": ["one", "two"]})
    monkeypatch.setattr(join, "_KEEPING", ("two",))


def said(found, file="both"):
    """What a file prints."""
    lines = []
    exec(found[f"{file}.py"], {"print": lambda *what: lines.append(what)})
    return lines


def test_names_of_one_module_do_not_meet_those_of_another(parts):
    one = (
        "from portable import const\n_A = const(3)\nFOUR = const(_A + 1)\nvalue = 'one'\n\n"
        "def get():\n    return value, _A\n"
    )
    two = (
        "from portable import const\nfrom one import FOUR, get as its\nimport one\n_A = const(5)\n"
        "value = 'two'\n\n"
        "class Thing:\n    value = value\n\n"
        "    def get(self, get):\n        return get, one.get(), its(), FOUR + _A\n\n"
        "print(Thing.value, Thing().get(1), [value for value in (7,)], (lambda value: value)(8))\n"
    )
    found = join.joined({"one.py": one, "two.py": two})
    assert list(found) == ["both.py"] and "const(" not in found["both.py"] and "import" not in found["both.py"]
    assert said(found) == [("two", (1, ("one", 3), ("one", 3), 9), [7], 8)]


def test_what_a_function_imports_is_imported_there(parts):
    two = (
        "import sys\n\ndef late(which):\n    if which:\n        from three import thing as made\n    else:\n"
        "        from one import thing as made\n    return made\n\nprint(late(False)())\n"
    )
    texts = {"one.py": "def thing():\n    return 1\n", "two.py": two, "three.py": "def thing():\n    return 3\n"}
    found = join.joined(texts)
    assert "        from three import" in found["both.py"] and "import sys" not in found["both.py"]
    assert said(found) == [(1,)]


def test_globals_are_those_of_the_module(parts):
    one = "count = 0\n\ndef more():\n    global count\n    count += 1\n    return count\n"
    two = (
        "from one import more\ncount = 40\n\ndef both():\n    global count\n    count += more()\n    return count\n\n"
        "print(both(), both())\n"
    )
    assert said(join.joined({"one.py": one, "two.py": two})) == [(41, 43)]


@pytest.mark.parametrize("statement", ["one.known = True", "one.known += 1", "del one.known"])
def test_a_name_of_another_module_is_not_set(parts, statement):
    """It would become a local one without a word."""
    one = "known = False\n\ndef get():\n    return known\n"
    two = f"import one\n\ndef f():\n    {statement}\n\nf()\nprint(one.get())\n"
    with pytest.raises(ValueError, match=r"^two sets one.known: one itself has to"):
        join.joined({"one.py": one, "two.py": two})


def test_a_local_name_hides_none(parts):
    one = "def inside():\n    return 1\n"
    two = "import one\n\ndef f(inside):\n    return inside, one.inside()\n\nprint(*f(2))\n"
    assert said(join.joined({"one.py": one, "two.py": two})) == [(2, 1)]


def test_what_runs_on_a_pc_only_and_what_nobody_names_is_left_out(parts):
    one = (
        "import sys\nif sys.implementation.name == 'micropython':\n    def thing():\n        return 'board'\nelse:\n"
        "    def thing():\n        return 'pc'\n\ntry:\n    import micropython\nexcept ImportError:\n    absent = 1\n\n"
        "def nobodys():\n    return other_nobodys()\n\ndef other_nobodys():\n    pass\n"
    )
    two = (
        "from one import thing\n\nclass Kept:\n    def used(self):\n        return thing()\n\n"
        "    def unneeded_thing(self):\n        pass\n\nprint(Kept().used())\n"
    )
    text = join.joined({"one.py": one, "two.py": two})["both.py"]
    for word in ("nobodys", "unneeded_thing", "absent", "'pc'"):
        assert word not in text
    assert said({"both.py": text}) == [("board",)]


def test_files_are_few_and_import_each_other():
    """Every module is in a file, and whatever a file imports of ours is there."""
    found = join.joined(TEXTS)
    assert found.pop("ikev2_words").startswith("\n")
    assert len(found) * 3 < len(TEXTS) * 2 and "ikev2_crypto_gcm.py" in found
    for text in found.values():
        compile(text, "", "exec")
        for line in text.splitlines():
            if line.lstrip().startswith("from ik") or line.lstrip().startswith("from ip"):
                file, names = line.strip().removeprefix("from ").split(" import ")
                scope = {name.split(" as ")[0] for name in names.split(", ")}
                assert all(f" {name}" in found[f"{file}.py"] or f"{name} =" in found[f"{file}.py"] for name in scope), (
                    line
                )
