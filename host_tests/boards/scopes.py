"""Scopes of Python, for what rewrites code: which names are a scope's own, and what is in it and what around it."""

import ast

NAMED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_COMPREHENSIONS = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def arguments(node):
    """The arguments of a function, in their order."""
    found = node.args
    every = [*found.posonlyargs, *found.args, found.vararg, *found.kwonlyargs, found.kwarg]
    return [argument for argument in every if argument]


def _own(node):
    """The nodes of a statement or an expression, those in scopes of its own aside."""
    yield node
    if not isinstance(node, NAMED | ast.Lambda | _COMPREHENSIONS):
        for child in ast.iter_child_nodes(node):
            yield from _own(child)


def stored(node):
    """Names that a statement or an expression binds where it stands."""
    for part in _own(node):
        if isinstance(part, NAMED | ast.ExceptHandler) and part.name:
            yield part.name
        elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store | ast.Del):
            yield part.id
        elif isinstance(part, ast.Import | ast.ImportFrom):
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
    return found.difference(*(inner.names for inner in own if isinstance(inner, ast.Global | ast.Nonlocal)))


class Scoped(ast.NodeTransformer):
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
