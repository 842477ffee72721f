"""Joins modules that a board always has together into one file: each file takes RAM for names and tables of its own.

What modules import of each other is then a name of their common file; integers that are `const` stand where they are
used. A file is named as PARTS say; what is in none of them is a file of its own, `ikev2_crypto_gcm` for
`ikev2.crypto.gcm`. Sources stay as they are: this is what `make deploy` does with them before it compiles.
"""

import ast
import re
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import tools
from tools import ROOT, readme_code

from boards import diet, scopes, seldom

# {file: modules}: what everybody has; a board's life; a tunnel; what makes SAs, each as long as it is needed, and what
# reads a configuration. Names of files that are dropped have ten letters at most: longer ones lie in RAM once for each
# file that has them, MicroPython keeps shorter ones once.
PARTS = {
    "ikev2_core": ["ikev2_words", "ikev2_late", "portable", "ikev2", "ikev2.wire", "ikev2.hints", "ikev2.slots",
                   "ikev2.spi_table", "ikev2.budget", "ikev2.notifier", "ikev2.owners", "ikev2.node", "ikev2.net",
                   "ikev2.net.memory", "ikev2.net.addresses", "ikev2.net.sockets", "ikev2.net.udp"],
    "ikev2_main": ["ikev2_network", "ikev2_main"],
    "ipsec": ["ikev2.sa", "ikev2.sa.payloads", "ikev2.sa.selectors", "ikev2.sa.policy", "ikev2.crypto",
              "ikev2.crypto.octets", "ikev2.crypto.hmac", "ikev2.crypto.aes", "ikev2.crypto.cbc", "ikev2.sa.sk",
              "ikev2.sa.window", "ikev2.sa.informational", "ikev2.sa.rekeys", "inside", "inside.ipv4", "inside.stack",
              "inside.udp", "ipsec.spd", "ipsec.esp", "ipsec.traffic", "ipsec.attempts", "ipsec.holdings",
              "ipsec.liveness", "ipsec.life", "ipsec.tunnel", "ipsec", "ikev2_tunnel"],
    "ipsec_tcp": ["inside.tcp_segment", "inside.tcp_sending", "inside.tcp_receiving", "inside.tcp_connection",
                  "inside.tcp", "inside.stream"],
    "ipsec_conn": ["ipsec.streams", "inside.tcp_receiving_ipsec_conn", "inside.tcp_ipsec_conn",
                   "inside.stream_ipsec_conn"],
    "inside_srv": ["inside.tcp_listening", "inside.server"],
    "ikev2_try": ["ikev2.initial", "ikev2.initial.initiator"],
    "ikev2_init": ["ikev2.initial.sa_init"],
    "ikev2_auth": ["ikev2.initial.auth"],
    "ikev2_ccsa": ["ikev2.sa.rekey"],
    "ikev2_sa": ["ikev2.sa.proposals"],
    "ikev2_keys": ["ikev2.sa.keys"],
    "ikev2_kat": ["ikev2.crypto.known"],
    "ikev2_dh": ["ikev2.crypto.slices"],
    "ikev2_dh31": ["ikev2.crypto.x25519"],
    "ikev2_dh14": ["ikev2.crypto.modp2048"],
    "ikev2_why": ["ikev2.sa.reasons"],
    "ikev2_conf": ["ikev2.config.keys", "ikev2.config.reader", "ikev2.config"],
}  # fmt: skip
# Modules that are imported where they are used, and not for long: they define no class that others look for.
LATE = {"ipsec.sleep", "ikev2.initial.initiator", "ikev2.initial.sa_init", "ikev2.initial.auth", "ikev2.sa.proposals",
        "ikev2.sa.keys", "ikev2.sa.rekey", "ikev2.sa.reasons", "ikev2.crypto.known", "ikev2.crypto.x25519",
        "ikev2.crypto.modp2048", "ipsec.streams", "inside.dns"}  # fmt: skip
_PRESENT = {"cryptolib", "errno", "micropython"}  # on every board
_FIRST = "import ikev2_memory"  # it lets the heap grow, before that is full
_ON_A_BOARD = "sys.implementation.name == 'micropython'"
# Modules whose names stay, come what may.
_KEEPING = ("ikev2_words", "ikev2_late", "portable", "ikev2_main", "ipsec.tunnel", "inside.udp")
_VIPER = {"ptr8", "ptr16", "ptr32", "uint"}  # what machine code is written with
BUILT_IN = {"const", "micropython"}  # the compiler knows these
_WORD = re.compile(r"[A-Za-z_]\w*")


@dataclass
class Module:
    """A module: its tree, what it defines, and what its imports bind."""

    name: str
    tree: ast.Module
    package: bool
    file: str
    late: bool = False  # it is imported where it is used
    defined: set = field(default_factory=set)
    constants: dict = field(default_factory=dict)  # {name: integer}
    imported: dict = field(default_factory=dict)  # {name: (module, name there)} of ours, at the top
    modules: dict = field(default_factory=dict)  # {name: module} of ours, wherever they are imported
    foreign: set = field(default_factory=set)  # names of imports of others


def _statements(tree):
    """Statements that run with the module."""
    for statement in tree.body if hasattr(tree, "body") else ():
        yield statement
        if isinstance(statement, ast.If | ast.Try | ast.For | ast.While | ast.With):
            for part in (statement, *getattr(statement, "handlers", ())):
                yield from _statements(part)
            for name in ("orelse", "finalbody"):
                yield from _statements(ast.Module(getattr(statement, name, []), []))


class Library:
    """All modules that are deployed together, {path: text}; of `needed` ones every name stays."""

    def __init__(self, texts, needed=()):
        self.modules = {}
        self._needed = needed
        files = {name: file for file, names in self.parts().items() for name in names}
        for path, text in texts.items():
            parts = path.removesuffix(".py").split("/")
            package = parts[-1] == "__init__"
            name = ".".join(parts[:-1] if package else parts)
            file = files.get(name) or self.alone(name)
            self.modules[name] = Module(name, _OnABoard().visit(ast.parse(text)), package, file)
        for module in self.modules.values():
            self._read(module)
        self.split()
        self.names = {}
        self.hidden = set()  # (module, name) that a local name would hide
        self._name_all()

    def parts(self):
        """{file: modules in it}."""
        return PARTS

    def alone(self, name):
        """The file of a module that is in none of them."""
        return name.replace(".", "_")

    def split(self):
        """Say what is imported where it is used, and take out functions that are."""
        for name, module in list(self.modules.items()):
            module.late = name in LATE
            for part in seldom.split(name, module.tree, module.package, name in _KEEPING):
                self.modules[part.path] = Module(part.path, part.tree, False, part.file, True)
                self._read(self.modules[part.path])
                module.defined -= set(part.names)
                module.imported.update({function: (part.path, function) for function in part.names})

    def target(self, module, node):
        """The full path that `from … import` names."""
        if not node.level:
            return node.module
        parts = module.name.split(".")
        parts = parts[: len(parts) - node.level + module.package]
        return ".".join([*parts, *([node.module] if node.module else [])])

    def _read(self, module):
        top = list(_statements(module.tree))
        for node in scopes.nodes(module.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name in self.modules:
                        module.modules[alias.asname or alias.name] = alias.name
                    else:
                        module.foreign.add(alias.asname or alias.name.split(".")[0])
            elif isinstance(node, ast.ImportFrom):
                path = self.target(module, node)
                for alias in node.names:
                    name = alias.asname or alias.name
                    if f"{path}.{alias.name}" in self.modules:
                        module.modules[name] = f"{path}.{alias.name}"
                    elif path in self.modules:
                        if node in top:
                            module.imported[name] = path, alias.name
                    else:
                        module.foreign.add(name)
        for statement in top:
            if isinstance(statement, ast.Import | ast.ImportFrom | ast.If | ast.Try | ast.For | ast.While | ast.With):
                if not isinstance(statement, ast.For | ast.With):
                    continue
            module.defined.update(scopes.stored(statement))
            self._read_constant(module, statement)
        for node in scopes.nodes(module.tree):
            if isinstance(node, ast.Global):
                module.defined.update(set(node.names) - set(module.modules))
                for name in node.names:
                    module.constants.pop(name, None)
        module.defined -= set(module.modules)

    def _read_constant(self, module, statement):
        if not (isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)):
            return
        value = statement.value
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "const":
            try:
                known = {name: self.constant(module, name) for name in module.imported} | module.constants
                made = eval(compile(ast.Expression(value.args[0]), "", "eval"), {"__builtins__": {}}, known)
            except (NameError, TypeError):
                return
            if type(made) is int:
                module.constants[statement.targets[0].id] = made

    def constant(self, module, name):
        """The integer that a name of a module stands for; None."""
        if name in module.constants:
            return module.constants[name]
        if name in module.imported:
            path, its = module.imported[name]
            return self.constant(self.modules[path], its)
        return None

    def _name_all(self):
        """Give each name of each module one that no other module has; those that users write keep theirs."""
        first = [name for name in (*self._needed, *_KEEPING) if name in self.modules]
        taken = set().union(*(module.foreign for module in self.modules.values()))
        taken -= set().union(*(self.modules[name].defined for name in first))
        for path in [*first, *(name for name in self.modules if name not in first)]:
            module = self.modules[path]
            for name in sorted(module.defined | module.foreign):
                alone = name not in taken or name in module.foreign | _VIPER or name.startswith("__")
                made = name if alone else f"{name}_{path.replace('.', '_')}"
                taken.add(made)
                self.names[path, name] = made

    def origin(self, path, name):
        """(module, name) where that is defined which a module calls so."""
        while name in self.modules[path].imported:
            path, name = self.modules[path].imported[name]
        return path, name

    def called(self, path, name):
        """(file, its name there, is it imported where it is used) of the same."""
        path, name = self.origin(path, name)
        return self.modules[path].file, self.names.get((path, name), name), self.modules[path].late

    def order(self, names):
        """These modules, each behind those of them that it imports at its top."""
        found = []

        def visit(name):
            if name in found or name in visiting:
                return
            visiting.add(name)
            module = self.modules[name]
            for other in [path for path, _ in module.imported.values()] + list(module.modules.values()):
                if other in names:
                    visit(other)
            found.append(name)

        visiting = set()
        for name in names:
            visit(name)
        return found

    def bodies(self):
        """{file: its statements}."""
        found = self._made()
        if self.hidden:
            for path, name in self.hidden:
                self.names[path, name] += "_" + path.replace(".", "_")
            self.hidden = set()
            found = self._made()
        assert not self.hidden, self.hidden
        return found

    def texts(self):
        """{file: its text}, of what is deployed."""
        found = self.bodies()
        spoken = [path for path in (*_KEEPING, *self._needed) if path in self.modules]
        _drop_unused(found, {self.names[path, name] for path in spoken for name in self.modules[path].defined})
        words = {}
        if diet.WORDS in self.modules:
            core = self.modules[diet.WORDS].file + ".py"
            words[diet.WORDS] = diet.thinned(found, set(_WORD.findall(readme_code())), core).decode()
        return unparsed(found) | words

    def _made(self):
        """{file: its statements}."""
        found = {}
        files = {}
        for name, module in self.modules.items():
            files.setdefault(module.file, []).append(name)
        for file, names in files.items():
            body = []
            for name in self.order([name for name in self.parts().get(file, names) if name in names]):
                tree = Joined(self, self.modules[name]).visit(scopes.copied(self.modules[name].tree))
                body += [_filled(statement) for statement in tree.body if not _nothing(statement)]
            if body:
                core = self.modules["ikev2_late"].file if "ikev2_late" in self.modules else file
                first = [ast.ImportFrom(core, [ast.alias("late")], 0)] if file != core else []
                body = _once(first + body)
                body.sort(key=lambda statement: ast.unparse(statement) != _FIRST)
                found[f"{file}.py"] = body
        return found


def unparsed(bodies):
    """{file: its text} of {file: its statements}."""
    trees = {path: ast.fix_missing_locations(ast.Module(body, [])) for path, body in bodies.items()}
    return {path: ast.unparse(tree) + "\n" for path, tree in trees.items()}


class _OnABoard(scopes.Transformer):
    """Leaves out what runs on a PC only."""

    def visit_If(self, node):
        self.generic_visit(node)
        test = ast.unparse(node.test)
        if test == _ON_A_BOARD:
            return node.body
        return node.orelse or ast.Pass() if test == _ON_A_BOARD.replace("==", "!=") else node

    def visit_Try(self, node):
        self.generic_visit(node)
        first = node.body[0]
        named = [first.module] if isinstance(first, ast.ImportFrom) else []
        named += [alias.name for alias in first.names] if isinstance(first, ast.Import) else []
        present = set(named) & _PRESENT and ast.unparse(node.handlers[0].type) == "ImportError"
        return node.body + node.orelse if present else node


def _mentioned(found):
    """Names that stand somewhere, definitions aside."""
    for node in (node for body in found.values() for statement in body for node in scopes.nodes(statement)):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield node.name
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _wanted(body, named):
    """Statements without definitions that nobody names."""
    return [
        statement for statement in body
        if not isinstance(statement, scopes.NAMED) or statement.name in named or statement.name.startswith("__")
    ]  # fmt: skip


def _drop_unused(found, kept):
    """Leave out functions, classes and methods that nobody names; `kept` are those that users do, as READMEs do."""
    words = set(_WORD.findall(readme_code())) | kept
    for stub in (ROOT / "lib").rglob("*.pyi"):
        words.update(_WORD.findall(stub.read_text()))
    named = None
    while named != (named := words.union(_mentioned(found))):
        for path, body in found.items():
            found[path] = _wanted(body, named)
            for node in scopes.nodes(ast.Module(body, [])):
                if isinstance(node, ast.ClassDef):
                    node.body = _wanted(node.body, named) or [ast.Pass()]


def _once(body):
    """A file's statements, without imports that are there already or that nobody needs."""
    used = {node.id for statement in body for node in scopes.nodes(statement) if isinstance(node, ast.Name)}
    used -= BUILT_IN
    found, seen = [], set()
    for statement in body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            source = getattr(statement, "module", None)
            bound = {(source, alias.name, alias.asname or alias.name): alias for alias in statement.names}
            wanted = {key: alias for key, alias in bound.items() if key[2] in used and key not in seen}
            seen.update(wanted)
            statement.names = list(wanted.values())
            if not statement.names:
                continue
        found.append(statement)
    return found


def _nothing(statement):
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def _filled(statement):
    """A statement none of whose blocks is empty."""
    for node in scopes.nodes(statement):
        if isinstance(getattr(node, "body", None), list):
            node.body = node.body or [ast.Pass()]
    return statement


def _late(file, name):
    """What is `name` in a file that is imported here."""
    return ast.Attribute(ast.Call(ast.Name("late", ast.Load()), [ast.Constant(file)], []), name, ast.Load())


class Joined(scopes.Scoped):
    """A module's statements as they stand in its file."""

    def __init__(self, library, module):
        self._library = library
        self._module = module
        self._scopes = []  # of functions, comprehensions and classes: (names that are theirs, is it a class)

    def _ours(self, name):
        """True if a name is the module's own where we are."""
        for position, (names, is_class) in enumerate(reversed(self._scopes)):
            if name in names and not (is_class and position):
                return False
        return True

    def visit_Name(self, node):
        if not self._ours(node.id):
            return node
        value = self._library.constant(self._module, node.id)
        if value is not None and isinstance(node.ctx, ast.Load):
            return ast.Constant(value)
        if node.id in self._module.defined or node.id in self._module.imported:
            return self._name(self._module.name, node.id, node.ctx, node.id)
        return node

    def _name(self, path, name, ctx, was):
        """The name in this file of what a module calls so."""
        file, made, late = self._library.called(path, name)
        if late and file != self._module.file:
            return _late(file, made)
        if made != was and any(made in names for names, is_class in self._scopes if not is_class):
            self._library.hidden.add(self._library.origin(path, name))
        return ast.Name(made, ctx)

    def visit_Attribute(self, node):
        path = self._module_at(node.value)
        if path:
            value = self._library.constant(self._library.modules[path], node.attr)
            file, name, late = self._library.called(path, node.attr)
            here = file == self._module.file
            if not isinstance(node.ctx, ast.Load) and (here or late or value is not None):
                # Here it would be a local name; of a module that is dropped, or of a constant, nothing would stay.
                raise ValueError(f"{self._module.name} sets {ast.unparse(node)}: {path} itself has to, by a function")
            if value is not None:
                return ast.Constant(value)
            if here:
                return self._name(path, node.attr, node.ctx, "")
            return _late(file, name) if late else ast.Attribute(node.value, name, node.ctx)
        return self.generic_visit(node)

    def _module_at(self, node):
        """The module of ours that an expression is; None. In a part of a module it may be an attribute of that."""
        if isinstance(node, ast.Name) and node.id in self._module.modules and self._reaches(node.id):
            return self._module.modules[node.id]
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            home = self._library.modules.get(self._module_at(node.value))
            return home and home.modules.get(node.attr)
        return None

    def _reaches(self, alias):
        """True if a name of a module is not hidden by a local one that is no import."""
        return self._ours(alias) or any(alias in self._module.modules for _ in self._scopes)

    def visit_Constant(self, node):
        """Where a text is the name of a module, it is that of its file."""
        if isinstance(node.value, str) and "." in node.value and node.value in self._library.modules:
            return ast.Constant(self._library.modules[node.value].file)
        return node

    def visit_Global(self, node):
        return ast.Global([self._library.names.get((self._module.name, name), name) for name in node.names])

    def visit_Assign(self, node):
        """A constant that stands where it is used need not be anywhere else."""
        target = node.targets[0]
        if not self._scopes and isinstance(target, ast.Name) and target.id in self._module.constants:
            return None
        if self._scopes and self._scopes[-1][1] and isinstance(target, ast.Name):
            names, _ = self._scopes[-1]
            self._scopes[-1] = names - {target.id}, True  # in `x = x` of a class the second one is the module's
            node.value = self.visit(node.value)
            self._scopes[-1] = names, True
            return node
        return self.generic_visit(node)

    def visit_Import(self, node):
        kept = []
        for alias in node.names:
            if alias.name not in self._library.modules:
                kept.append(alias)
                continue
            file = self._library.modules[alias.name].file
            if file != self._module.file:
                local = alias.asname or alias.name
                kept.append(ast.alias(file, local if local != file else None))
        return ast.Import(kept) if kept else ast.Pass()

    def visit_ImportFrom(self, node):
        library, module = self._library, self._module
        path = library.target(module, node)
        if path not in library.modules:
            return node
        made = []
        for alias in node.names:
            local = alias.asname or alias.name
            if f"{path}.{alias.name}" in library.modules:
                file = library.modules[f"{path}.{alias.name}"].file
                if file != module.file:
                    made.append(ast.Import([ast.alias(file, local)]))
                continue
            value = library.constant(library.modules[path], alias.name)
            if value is not None and not self._scopes:
                continue
            file, name, late = library.called(path, alias.name)
            if self._scopes:
                made.append(self._bound_here(local, file, name, late))
            elif file != module.file and not late:
                made.append(ast.ImportFrom(file, [ast.alias(name, None)], 0))
        return made or ast.Pass()

    def _bound_here(self, local, file, name, late):
        """A local name for what a function imports."""
        if late or file == self._module.file:
            if file == self._module.file and name == local:
                return ast.Pass()
            value = _late(file, name) if file != self._module.file else ast.Name(name, ast.Load())
            return ast.Assign([ast.Name(local, ast.Store())], value, lineno=1)
        return ast.ImportFrom(file, [ast.alias(name, None if name == local else local)], 0)

    def enter(self, node):
        self._scopes.append((scopes.bound(node), isinstance(node, ast.ClassDef)))

    def leave(self, node):
        self._scopes.pop()
        if not self._scopes and isinstance(node, scopes.NAMED):
            node.name = self._library.names[self._module.name, node.name]

    def block(self, statements):
        """Statements, visited; texts that stand for themselves are left out."""
        found = []
        for statement in statements:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                continue
            made = self.visit(statement)
            found += made if isinstance(made, list) else [made] if made else []
        return found or [ast.Pass()]


def joined(texts, needed=()):
    """{file: text}, at the top, of modules {path: text} in their folders: the files that PARTS name, `needed`, and
    what these import."""
    found = Library(texts, needed).texts()
    wanted = {f"{file}.py" for file in (*PARTS, *needed)}
    before = 0
    while len(wanted) != before:
        before = len(wanted)
        said = " ".join(found[file] for file in wanted if file in found)
        words = set(_WORD.findall(said))
        wanted |= {file for file in found if file.removesuffix(".py") in words}
    return {file: text for file, text in found.items() if file in wanted | {diet.WORDS}}


@cache
def made_by():
    """All that decides what becomes of sources, beside themselves."""
    here = [path for path in Path(__file__).parent.iterdir() if path.suffix in (".py", ".txt")]
    paths = [Path(tools.__file__), *(path for path in here if not path.name.startswith("test_"))]
    paths += (ROOT / "lib").rglob("*.pyi")
    return sys.version_info[:2], readme_code(), [path.read_text() for path in sorted(paths)]
