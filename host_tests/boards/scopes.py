"""Scopes of Python, for what rewrites code: which names are a scope's own, and what is in it and what around it."""

import ast

NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_SCOPES = (*NAMED, ast.Lambda, *_COMPREHENSIONS)
_WITH_NAMES = (*NAMED, ast.ExceptHandler)
_IMPORTS = (ast.Import, ast.ImportFrom)
# Fields that hold no nodes, or operators only.
_PLAIN = {"name", "names", "id", "attr", "arg", "asname", "module", "level", "kind", "type_comment", "conversion",
          "is_async", "simple", "ctx", "op", "ops", "lineno", "tag", "rest", "kwd_attrs"}  # fmt: skip
_VALUES = {str, int, bytes}
_OPERATORS = (ast.expr_context, ast.operator, ast.unaryop, ast.cmpop, ast.boolop)
_LEAVES = {leaf for kind in _OPERATORS for leaf in kind.__subclasses__()}  # nothing is in them


def _fields(kind):
    """The other fields of a kind of node, which may hold nodes."""
    if kind is ast.Constant:
        return ()
    return tuple(name for name in kind._fields if name not in _PLAIN or (kind in _IMPORTS and name == "names"))


class _Fields(dict):
    def __missing__(self, kind):
        self[kind] = found = _fields(kind)
        return found


_FIELDS = _Fields()


def arguments(node):
    """The arguments of a function, in their order."""
    found = node.args
    every = [*found.posonlyargs, *found.args, found.vararg, *found.kwonlyargs, found.kwarg]
    return [argument for argument in every if argument]


def children(node):
    """What a node is made of, operators aside; ast.iter_child_nodes takes many times as long."""
    found = []
    held = node.__dict__
    for name in _FIELDS[type(node)]:
        value = held.get(name)
        if type(value) is list:
            found += [part for part in value if part is not None] if None in value else value
        elif value is not None:
            found.append(value)
    return found


def nodes(tree):
    """A tree's nodes from the top down, operators aside."""
    found = [tree]
    for node in found:
        found += children(node)
    return found


def copied(tree):
    """A tree, or a list of them, once more."""
    if isinstance(tree, list):
        return [copied(part) for part in tree]
    if not isinstance(tree, ast.AST) or type(tree) in _LEAVES:
        return tree
    made = type(tree)()
    held = made.__dict__
    for name, value in tree.__dict__.items():
        held[name] = value if value is None or type(value) in _VALUES else copied(value)
    return made


def _own(node):
    """The nodes of a statement or an expression, those in scopes of its own aside."""
    found = [node]
    for part in found:
        if not isinstance(part, _SCOPES):
            found += children(part)
    return found


def stored(node):
    """Names that a statement or an expression binds where it stands."""
    for part in _own(node):
        if isinstance(part, _WITH_NAMES) and part.name:
            yield part.name
        elif isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load):
            yield part.id
        elif isinstance(part, _IMPORTS):
            yield from (alias.asname or alias.name.split(".")[0] for alias in part.names)


def bound(node):
    """Names that a function, a class or a comprehension binds as its own."""
    if isinstance(node, _COMPREHENSIONS):
        return {name for part in node.generators for name in stored(part.target)}
    body = node.body if isinstance(node.body, list) else [node.body]
    found = {name for part in body for name in stored(part)}
    if not isinstance(node, ast.ClassDef):
        found.update(argument.arg for argument in arguments(node))
    own = (inner for part in body for inner in _own(part))
    return found.difference(*(inner.names for inner in own if isinstance(inner, (ast.Global, ast.Nonlocal))))


class Transformer(ast.NodeTransformer):
    """One that leaves operators out: there are many, and nobody visits them."""

    def generic_visit(self, node):
        held = node.__dict__
        for child in _FIELDS[type(node)]:
            old = held.get(child)
            if type(old) is list:
                new = []
                for value in old:
                    if value is not None:
                        value = self.visit(value)
                        if value is None:
                            continue
                        if not isinstance(value, ast.AST):
                            new.extend(value)
                            continue
                    new.append(value)
                old[:] = new
            elif old is not None:
                new = self.visit(old)
                if new is None:
                    delattr(node, child)
                else:
                    held[child] = new
        return node


class Scoped(Transformer):
    """Visits what a scope's head has as what stands around it: defaults, decorators, what a comprehension is of."""

    def enter(self, node):
        """What follows is in this scope."""

    def leave(self, node):
        """It has ended."""

    def block(self, statements):
        """The statements of a body, visited."""
        found = []
        for statement in statements:
            made = self.visit(statement)
            found += made if isinstance(made, list) else [made]
        return found

    def _function(self, node):
        for holder, name in ((node, "decorator_list"), (node.args, "defaults"), (node.args, "kw_defaults")):
            setattr(holder, name, [value and self.visit(value) for value in getattr(holder, name, ())])
        self.enter(node)
        node.body = self.block(node.body) if isinstance(node.body, list) else self.visit(node.body)
        self.leave(node)
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _function

    def visit_ClassDef(self, node):
        for name in ("bases", "decorator_list"):
            setattr(node, name, [self.visit(value) for value in getattr(node, name)])
        self.enter(node)
        node.body = self.block(node.body)
        self.leave(node)
        return node

    def _comprehension(self, node):
        first = self.visit(node.generators[0].iter)
        node.generators[0].iter = ast.Constant(None)
        self.enter(node)
        self.generic_visit(node)
        self.leave(node)
        node.generators[0].iter = first
        return node

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension
