"""What is left out for a board's RAM changes nothing of what the code does."""

import ast

from boards import diet

CODE = '''
def apply(function, value, *more, scale=2):
    """Texts that stand for themselves are no texts."""
    def inner(value):
        return [value + more[0] for value in (value, scale)]
    return inner(function(value)) + [(lambda value, other=value: value * other)(3)]

def refuse(value):
    try:
        raise ValueError("a text that is long enough, of %r" % value)
    except ValueError as value:
        return str(value)

class Thing:
    said = "a text of a class that is long enough"

    def text(self, value):
        value = value or "a text that is long enough, of %r"
        return value

result = [apply(lambda value: value + 1, 5, 7), apply(abs, -5, 7, scale=3), refuse(4), Thing().text(""), Thing.said]
'''


def made(code, spoken=()):
    """(text, octets of the words) of code that has been thinned."""
    bodies = {"core.py": ast.parse("def from_flash(at):\n    return words[at:].split(b'\\n')[0].decode()").body,
              "one.py": ast.parse(code).body}  # fmt: skip
    words = diet.thinned(bodies, set(spoken), "core.py")
    return ast.unparse(ast.fix_missing_locations(ast.Module(bodies["core.py"] + bodies["one.py"], []))), words


def run(text, words=b""):
    names = {"words": words}
    exec(text.replace("from core import from_flash", ""), names)
    return names["result"]


def test_what_comes_of_it_is_the_same():
    text, words = made(CODE)
    assert run(text, words) == run(CODE)
    assert words == b"\na text that is long enough, of %r\n"  # once
    assert text.count("from_flash(1)") == 2 and '"a text of a class' not in text


def test_arguments_are_called_by_their_number_unless_somebody_says_their_name():
    text, _ = made(CODE)
    assert "def apply(argument_0, argument_1, *argument_2, scale=2)" in text
    assert "def inner(argument_3)" in text and "def text(self, argument_0)" in text
    assert "def refuse(value)" in text  # an exception is called so in it
    text, _ = made(CODE, ["function"])
    assert "def apply(function, argument_0" in text


def test_machine_code_keeps_its_texts():
    code = '@micropython.viper\ndef f(value: int):\n    return "a text that is long enough"\n'
    text, words = made(code)
    assert words == b"\n" and "from_flash(" not in text.partition("@")[2]
