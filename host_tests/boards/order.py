"""The order of a file's names: a .mpy file calls a name by its number in the file, in one octet up to 127, then in two.

Numbers are given in the order in which names come first. So a statement that never runs names those that functions
have most often, before all else; it is gone once the file has been imported.
"""

import ast
from collections import Counter

from boards import scopes

_SHORT = 128  # so many numbers are one octet; two of them are the file's own name and __name__
_INTERNED = 10  # octets of a text that is a name


class _Uses(scopes.Scoped):
    """Counts what functions have by its number: attributes, names that are not local, arguments, short texts."""

    def __init__(self):
        self.found = Counter()
        self._locals = []  # of the functions around

    def enter(self, node):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            self.found.update([node.name, *(argument.arg for argument in scopes.arguments(node))])
        if not isinstance(node, ast.ClassDef):
            self._locals.append(scopes.bound(node))

    def leave(self, node):
        if not isinstance(node, ast.ClassDef):
            self._locals.pop()

    def _count(self, name):
        if self._locals and name:
            self.found[name] += 1

    def visit_Name(self, node):
        if not any(node.id in names for names in self._locals):
            self._count(node.id)
        return node

    def visit_Attribute(self, node):
        self._count(node.attr)
        return self.generic_visit(node)

    def visit_keyword(self, node):
        self._count(node.arg)
        return self.generic_visit(node)

    def visit_Constant(self, node):
        if isinstance(node.value, str) and len(node.value) <= _INTERNED and node.value.isidentifier():
            self._count(node.value)
        return node


def ordered(text):
    """A module's text, behind a statement that gives the names that it uses most the lowest numbers."""
    uses = _Uses()
    uses.visit(ast.parse(text))
    if len(uses.found) <= _SHORT:
        return text
    most = [name for name, _ in uses.found.most_common(_SHORT - 2)]
    return f"if not __name__: __name__.{'.'.join(most)}\n{text}"
