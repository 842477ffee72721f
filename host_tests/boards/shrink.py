"""Modules with names that the firmware has already: each that it has not takes RAM on a board, for as long as it runs.

MicroPython keeps every name once: the firmware's own lie in flash, those of a .mpy file in RAM. So whatever our modules
define and nobody else speaks of is called by a name that any firmware has, `heappush` or `readonly` perhaps. Lines stay
where they are, so that a traceback leads to the right one. Kept are names that the READMEs have, since users write
them, names that stand in a string, and what is looked up by others: special methods, modules, exceptions.

Two names share one if no file has both, and no two classes related to each other; or if one stands behind a dot only,
and the other never.
"""

import ast
import io
import itertools
import keyword
import re
import tokenize
from functools import cache
from pathlib import Path

from tools import readme_code

from boards import scopes

# What every MicroPython of 1.24 and newer has among the names in its flash, on any port that this library runs on.
_FIRMWARE = Path(__file__).with_name("firmware_names.txt")
# What MicroPython speaks of besides, on some port or other: the attributes of its objects are among them.
_MICROPYTHON = Path(__file__).with_name("micropython_names.txt")
# What an interpreter or the compiler looks up by itself.
_MEANT = set(
    "const close ioctl read readblocks readinto readline send throw write writeblocks object uint ptr ptr16".split()
)
_SCOPES = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_WORD = re.compile(r"[A-Za-z_]\w*")


@cache
def of_firmware():
    """Names that are in the flash of every board."""
    return _FIRMWARE.read_text().split()


@cache
def of_micropython():
    """Names that are not ours to change."""
    return _MICROPYTHON.read_text().split()


class Source:
    """A module's text, and what is said in it."""

    def __init__(self, text):
        self.text = text
        self.tree = ast.parse(text)
        nodes = scopes.nodes(self.tree)
        self.strings = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        self.tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
        self.names = {token.string for token in self.tokens if token.type == tokenize.NAME}
        self.modules = set()
        self.defined = set()
        self.exceptions = set()
        self.bases = set()
        self.classes = set()
        self.private = set()  # constants, which lie in the code
        self.foreign = set()  # attributes given to objects of another module's
        self.attributes, self.plain = _kinds(nodes)
        classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
        self._in_classes = {part for node in classes for part in scopes.nodes(node)}
        for node in nodes:
            self._note(node)

    def _note(self, node):
        if isinstance(node, ast.Import | ast.ImportFrom):
            paths = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            self.modules.update(part for path in paths for part in path.split("."))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            self.defined.add(node.name)
        elif isinstance(node, ast.ClassDef):
            self._note_class(node)
        elif isinstance(node, ast.arg):
            self.defined.add(node.arg)
        elif isinstance(node, ast.Global):
            self.defined.update(node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            self.defined.add(node.attr)
            own = isinstance(node.value, ast.Name) and node.value.id == "self" and node in self._in_classes
            if not own:  # that of a method in a file of its own (seldom.py) is not
                self.foreign.add(node.attr)
        elif isinstance(node, ast.Module):
            self._note_assignments(node)

    def _note_class(self, node):
        self.defined.add(node.name)
        self.classes.add(node.name)
        bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
        self.bases |= bases
        if any(base.endswith(("Error", "Exception")) for base in bases):
            self.exceptions.add(node.name)
        self._note_assignments(node)

    def _note_assignments(self, node):
        """Names of a module or a class."""
        for statement in scopes.children(node):
            constant = isinstance(statement, ast.Assign) and ast.unparse(statement.value).startswith("const(")
            for child in scopes.nodes(statement):
                if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
                    if not isinstance(statement, _SCOPES):
                        (self.private if constant and child.id.startswith("_") else self.defined).add(child.id)

    def renamed(self, names):
        """The text with other names; a module keeps its own."""
        edits = {}
        for token in self.tokens:
            if token.type == tokenize.NAME and token.string in names:
                edits.setdefault(token.start[0], []).append((token.start[1], token.end[1], names[token.string]))
        lines = self.text.splitlines(keepends=True)
        for row, found in edits.items():
            line = lines[row - 1]
            for start, end, name in reversed(found):
                line = line[:start] + name + line[end:]
            lines[row - 1] = line
        return "".join(lines)


def _kinds(nodes):
    """(names behind a dot or of methods, names that stand alone); what a class looks up while it is made is in both."""
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    plain = {node.id for node in nodes if isinstance(node, ast.Name)}
    plain |= {node.arg for node in nodes if isinstance(node, ast.arg | ast.keyword) and node.arg}
    plain |= {node.asname or node.name for node in nodes if isinstance(node, ast.alias)}
    methods = set()
    for node in (node for node in nodes if isinstance(node, ast.ClassDef)):
        for part in node.body:
            said = [part]
            if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
                methods.add(part)
                attributes.add(part.name)
                said = [*part.decorator_list, *part.args.defaults, *part.args.kw_defaults]
            attributes |= {name.id for one in said if one for name in scopes.nodes(one) if isinstance(name, ast.Name)}
    plain |= {node.name for node in nodes if isinstance(node, _SCOPES) and node not in methods}
    return attributes, plain


def families(sources):
    """{file: a number that it shares with the files whose classes inherit from its own, and theirs}."""
    of = {path: number for number, path in enumerate(sources)}
    for path, source in sources.items():
        for other, its in sources.items():
            if source.bases & its.classes and of[path] != of[other]:
                old, new = of[path], of[other]
                of = {name: new if number == old else number for name, number in of.items()}
    return of


def mapping(sources, kept):
    """{file: {name: what it is called on a board}}. `kept`: names that stay, beside those that must."""
    held = set(of_firmware())
    said = set().union(
        *(source.strings | source.modules | source.exceptions | source.private for source in sources.values()), kept
    )
    said |= set(of_micropython())
    said |= {part for path in sources for part in path.removesuffix(".py").split("/")}
    used = set().union(*(source.names for source in sources.values()))
    family = families(sources)
    places = {}
    foreign = set().union(*(source.foreign for source in sources.values()))
    for source in sources.values():
        for name in source.defined:
            if name not in held and name not in said and not name.startswith("__"):
                places[name] = set()
    for path, source in sources.items():
        for name in source.names & set(places):
            places[name].add(family[path])
    known = used | said
    free = [
        name
        for name in of_firmware()
        if not (name in known or name in _MEANT or name.startswith("_") or keyword.iskeyword(name))
    ]
    short = (
        "".join(letters)
        for size in (1, 2, 3)
        for letters in itertools.product("abcdefghijklmnopqrstuvwxyz", repeat=size)
    )
    known |= held
    free += [name for name in itertools.islice(short, 2000) if not (name in known or keyword.iskeyword(name))]
    attributes = set().union(*(source.attributes for source in sources.values()))
    plain = set().union(*(source.plain for source in sources.values()))
    taken = {}
    found = {}
    for name in sorted(places, key=lambda name: (-len(places[name]), name)):
        kinds = [kind for kind in (attributes, plain) if name in kind]
        where = {
            (number, id(kind))
            for kind in kinds
            for number in (set(family.values()) if name in foreign else places[name])
        }
        target = next(target for target in free if not taken.get(target, set()) & where)
        taken.setdefault(target, set()).update(where)
        found[name] = target
    return {path: {name: found[name] for name in source.names if name in found} for path, source in sources.items()}


def shrunk(texts, kept=()):
    """{file: text} of modules that are deployed together, {path: text}."""
    sources = {path: Source(text) for path, text in texts.items()}
    words = set(_WORD.findall(readme_code()))
    names = mapping(sources, words | set(kept))
    return {path: source.renamed(names[path]) for path, source in sources.items()}
