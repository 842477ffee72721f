"""What takes RAM on a board and can do without: names of arguments, and texts that are for people.

Names of arguments by which nobody calls are the same few in every function. A text in a function goes to a file beside
the modules, `ikev2_words`, and is read from there when it is said.
"""

import ast

_DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_COMPREHENSIONS = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
_LEAST = 20  # octets of a text that is worth a call
WORDS = "ikev2_words"


def _arguments(node):
    """The arguments of a function, in their order."""
    found = node.args
    every = [*found.posonlyargs, *found.args, found.vararg, *found.kwonlyargs, found.kwarg]
    return [argument for argument in every if argument]


def _bound(node):
    """Names that a function, a comprehension or a class binds as its own, those of scopes in it aside."""
    if isinstance(node, _COMPREHENSIONS):
        return {name.id for part in node.generators for name in ast.walk(part.target) if isinstance(name, ast.Name)}
    found, shared = {argument.arg for argument in _arguments(node)}, set()

    def visit(part):
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(part.name)
        elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store | ast.Del):
            found.add(part.id)
        elif isinstance(part, ast.ExceptHandler) and part.name:
            found.add(part.name)
        elif isinstance(part, ast.Import | ast.ImportFrom):
            found.update(alias.asname or alias.name.split(".")[0] for alias in part.names)
        elif isinstance(part, ast.Global | ast.Nonlocal):
            shared.update(part.names)
        if not isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda | _COMPREHENSIONS):
            for child in ast.iter_child_nodes(part):
                visit(child)

    for part in node.body if isinstance(node.body, list) else [node.body]:
        visit(part)
    return found - shared


class _Arguments(ast.NodeTransformer):
    """Calls arguments by their number, but those in `spoken`, and those that a statement binds which names no Name."""

    def __init__(self, spoken):
        self._spoken = spoken
        self._names = {}  # of the functions around
        self._depth = 0

    def _function(self, node):
        for name in ("defaults", "kw_defaults"):
            setattr(node.args, name, [value and self.visit(value) for value in getattr(node.args, name)])
        node_decorators = getattr(node, "decorator_list", None)
        if node_decorators:
            node.decorator_list = [self.visit(item) for item in node_decorators]
        elsewhere = {
            name
            for part in ast.walk(node)
            for name in (
                [part.name] if isinstance(part, ast.ExceptHandler | ast.FunctionDef | ast.ClassDef) else
                part.names if isinstance(part, ast.Global | ast.Nonlocal) else
                [alias.asname or alias.name for alias in part.names] if isinstance(part, ast.Import | ast.ImportFrom)
                else []
            )
        }  # fmt: skip
        outer, depth = self._names, self._depth
        bound = _bound(node)
        self._names = {name: made for name, made in outer.items() if name not in bound}
        for argument in _arguments(node):
            if argument.arg not in self._spoken | elsewhere | {"self"}:
                self._names[argument.arg] = f"argument_{self._depth}"
                self._depth += 1
                argument.arg = self._names[argument.arg]
        if isinstance(node.body, list):
            node.body = [self.visit(part) for part in node.body]
        else:
            node.body = self.visit(node.body)
        self._names, self._depth = outer, depth
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _function

    def _comprehension(self, node):
        outer = self._names
        first = self.visit(node.generators[0].iter)  # what it is of is the scope's around
        node.generators[0].iter = ast.Constant(None)
        bound = _bound(node)
        self._names = {name: made for name, made in outer.items() if name not in bound}
        self.generic_visit(node)
        node.generators[0].iter = first
        self._names = outer
        return node

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    def visit_Name(self, node):
        node.id = self._names.get(node.id, node.id)
        return node


class _Texts(ast.NodeTransformer):
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
            for node in ast.walk(statement):
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
