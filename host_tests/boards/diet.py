"""What takes RAM on a board and can do without: names of arguments, and texts that are for people.

Names of arguments by which nobody calls are the same few in every function. A text in a function goes to a file beside
the modules, `ikev2_words`, and is read from there when it is said.
"""

import ast

from boards import scopes

_LEAST = 20  # octets of a text that is worth a call
WORDS = "ikev2_words"


def _bound_without_a_name(function):
    """What statements in a function bind that is no Name there: its name cannot be changed."""
    for part in scopes.nodes(function):
        if isinstance(part, ast.ExceptHandler | ast.FunctionDef | ast.ClassDef):
            yield part.name
        elif isinstance(part, ast.Global | ast.Nonlocal):
            yield from part.names
        elif isinstance(part, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in part.names)


class _Arguments(scopes.Scoped):
    """Calls arguments by their number, but those in `spoken`, and those that a statement binds which names no Name."""

    def __init__(self, spoken):
        self._spoken = spoken | {"self"}
        self._names = {}  # of the functions around
        self._depth = 0
        self._around = []

    def enter(self, node):
        self._around.append((self._names, self._depth))
        if isinstance(node, ast.ClassDef):  # its methods do not see what it binds
            return
        bound = scopes.bound(node)
        self._names = {name: made for name, made in self._names.items() if name not in bound}
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return
        kept = self._spoken.union(_bound_without_a_name(node))
        for argument in scopes.arguments(node):
            if argument.arg not in kept:
                self._names[argument.arg] = argument.arg = f"argument_{self._depth}"
                self._depth += 1

    def leave(self, node):
        self._names, self._depth = self._around.pop()

    def visit_Name(self, node):
        node.id = self._names.get(node.id, node.id)
        return node


class _Texts(scopes.Transformer):
    """Puts calls of `from_flash` in the place of texts in functions; `words` are the octets of the file."""

    def __init__(self, words):
        self._words = words
        self._inside = False
        self.found = False

    def _function(self, node):
        if any("viper" in ast.unparse(item) or "native" in ast.unparse(item) for item in node.decorator_list):
            return node
        outer, self._inside = self._inside, True
        node.body = [self.visit(part) for part in node.body]
        self._inside = outer
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = _function

    def visit_ClassDef(self, node):
        outer, self._inside = self._inside, False
        self.generic_visit(node)
        self._inside = outer
        return node

    def visit_JoinedStr(self, node):
        return node

    def visit_Expr(self, node):
        return node if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Constant(self, node):
        said = node.value
        if not (self._inside and isinstance(said, str) and " " in said and len(said) >= _LEAST and said.isascii()):
            return node
        line = said.encode() + b"\n"
        if "\n" in said:
            return node
        at = self._words.find(b"\n" + line)
        if at < 0:
            at = len(self._words) - 1
            self._words += line
        self.found = True
        return ast.Call(ast.Name("from_flash", ast.Load()), [ast.Constant(at + 1)], [])


def thinned(bodies, spoken, core):
    """The words' octets; `bodies`, {file: statements}, are made smaller. `core` is the file that has `from_flash`.

    `spoken` are the names by which arguments are given, texts included.
    """
    words = bytearray(b"\n")
    for body in bodies.values():
        for statement in body:
            for node in scopes.nodes(statement):
                if isinstance(node, ast.keyword) and node.arg:
                    spoken.add(node.arg)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    spoken.add(node.value)
    for path, body in bodies.items():
        texts, arguments = _Texts(words), _Arguments(spoken)
        body[:] = [arguments.visit(texts.visit(statement)) for statement in body]
        if texts.found and path != core:
            first = next(i for i, part in enumerate(body) if not isinstance(part, ast.Import | ast.ImportFrom))
            body.insert(first, ast.ImportFrom(core.removesuffix(".py"), [ast.alias("from_flash", None)], 0))
    return bytes(words)
