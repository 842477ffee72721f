"""Names that a deployed file uses most have numbers of one octet."""

import ast

import pytest

from boards import order
from boards.board_files import compiled

_SELDOM = "".join(f"    x.seldom_{number}\n" for number in range(200))
_OFTEN = "".join(f"    x.often_{number % 3}\n" for number in range(600))


def octets(text):
    return len(compiled("named.py", text, None))


def test_names_used_often_come_first():
    """Two octets a use become one: 600 uses, less what the statement takes."""
    text = f"def f(x):\n{_SELDOM}{_OFTEN}"
    assert octets(text) - 600 < octets(order.ordered(text)) < octets(text) - 200


def test_the_rest_is_as_it_was():
    text = f"import a\ndef f(x):\n{_SELDOM}"
    first, *others = ast.parse(order.ordered(text)).body
    assert ast.unparse(others) == ast.unparse(ast.parse(text).body)
    exec(compile(ast.Module([first], []), "first", "exec"), {"__name__": "named"})


@pytest.mark.parametrize(
    ("line", "name"),
    [("x.y", "y"), ("y(x)", "y"), ("x(y=1)", "y"), ("x('y')", "y"), ("z.y()", "y")],
)
def test_what_has_a_number(line, name):
    uses = order._Uses()
    uses.visit(ast.parse(f"def f(x, z):\n    {line}"))
    assert uses.found[name] == 1, uses.found


@pytest.mark.parametrize("line", ["y = 1; y", "x('two words')", "x('longer than ten')"])
def test_what_has_none(line):
    uses = order._Uses()
    uses.visit(ast.parse(f"def f(x):\n    {line}"))
    assert set(uses.found) == {"f", "x"}


def test_a_file_with_few_names_stays():
    assert order.ordered("def f(x): return x.y") == "def f(x): return x.y"
