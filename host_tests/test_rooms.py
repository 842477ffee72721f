"""The rooms of host_tests: what README says of their order is so, and nothing imports in a circle."""

import ast
import graphlib
import re

from tools import HERE

ORDER = ("tools", "packets", "boards", "library", "golden", "peers", ("commands", "measure"))
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in ([rooms] if isinstance(rooms, str) else rooms)}


def modules():
    """{name: text} of every module here; tests of the rooms are among them."""
    paths = [path for path in HERE.rglob("*.py") if path.name != "__init__.py" and path.parent != HERE]
    named = {".".join(path.relative_to(HERE).with_suffix("").parts): path.read_text() for path in paths}
    return {"tools": (HERE / "tools.py").read_text(), **named}


def used(text, known):
    """The modules that a module imports, anywhere in it; programs that a string names by path or for `python -m`."""
    found, named = set(), set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            named.add(re.sub(r"\.py$", "", node.value).replace("/", "."))
    return found & known | {name for name in named & known if ".test_" not in name}


def graph(texts):
    """{module: the modules of host_tests that it uses}."""
    return {name: used(text, set(texts)) - {name} for name, text in texts.items()}


def wrong(uses):
    """What is wrong with a graph: a use upwards or of a test, a circle."""
    found = []
    for name, others in uses.items():
        room = name.split(".")[0]
        for other in sorted(others):
            there = other.split(".")[0]
            if ".test_" in other and not name.startswith(f"{there}.test_"):
                found.append(f"{name} uses the test {other}")
            elif ".test_" not in name and there != room and RANK[there] >= RANK[room]:
                found.append(f"{name} uses {other}, which is not below it")
    try:
        graphlib.TopologicalSorter(uses).prepare()
    except graphlib.CycleError as error:
        found.append("a circle: " + " > ".join(reversed(error.args[1])))
    return found


def test_nothing_is_used_upwards_or_in_a_circle():
    """A test may use every room; a test is used by others of its room only."""
    assert wrong(graph(modules())) == []


def test_what_would_be_wrong_is_found():
    """An import in a function, a program by its path, a test, a circle within a room."""
    texts = {
        "peers.a": "def f():\n    from commands import b", "commands.b": "", "golden.c": "RUN = 'measure/d.py'",
        "measure.d": "import commands.b", "library.test_e": "import measure.d", "boards.f": "import library.test_e",
        "golden.g": "from golden import h", "golden.h": "from golden.g import x",
    }  # fmt: skip
    *named, circle = wrong(graph(texts))
    assert sorted(named) == [
        "boards.f uses the test library.test_e",
        "golden.c uses measure.d, which is not below it",
        "measure.d uses commands.b, which is not below it",
        "peers.a uses commands.b, which is not below it",
    ]
    assert circle in ("a circle: golden.g > golden.h > golden.g", "a circle: golden.h > golden.g > golden.h")


def test_readme_has_the_rooms_in_their_order():
    rooms = re.findall(r"^\| \[(\w+)\]\(\w+\) \|", (HERE / "README.md").read_text(), re.MULTILINE)
    assert rooms == [room for room in RANK if room != "tools"]
    assert set(rooms) == {path.parent.name for path in HERE.glob("*/__init__.py")}


def test_few_files_lie_at_the_top():
    assert len([path for path in HERE.iterdir() if path.is_file()]) <= 8
