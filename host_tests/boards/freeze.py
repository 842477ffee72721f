"""What is frozen into a firmware: modules that are always together in one file, as `make deploy` joins them.

A frozen module is looked up by going through all names, three times, and what modules import of each other is looked
up, too: with sixty of them a wake spent most of its instructions so. A module that PARTS have in a file is still there
by its own name, and takes from the file what is its own; whoever imports it does so, a wake does not. Nothing is left
out and nothing renamed that others may name. Line numbers of a traceback are those of FOLDER.
"""

import ast
import json

from tools import ROOT, kept, library

from boards import join, scopes

FOLDER = ROOT / "build/frozen"
_BUILTINS = set("len int bytes type bytearray property max min".split())
_METHODS = 4  # of a class for which it pays
_SMALL = {"ikev2_core"}  # where flash counts more than the wake
_UDP = ["ikev2.net.addresses", "ikev2.net.sockets", "ikev2.net.udp"]
_TUNNEL = ["ipsec.tunnel", "ipsec", "ikev2_tunnel"]
# {file: modules}. What a machine without sockets has, too, is apart from what needs them.
PARTS = {
    "ikev2_core": [name for name in join.PARTS["ikev2_core"] if name not in ("ikev2_words", "ikev2_late", *_UDP)],
    "ikev2_udp": _UDP,
    "ikev2_main": join.PARTS["ikev2_main"],
    "ikev2_json": ["ikev2.config.keys", "ikev2.config.reader", "ikev2.config"],
    "ipsec_core": [*(name for name in join.PARTS["ipsec"] if name not in _TUNNEL), "ipsec.sleep", "ikev2.sa.reasons"],
    "ikev2_tunnel": ["ipsec.tunnel", "ikev2_tunnel"],
    "inside_streams": ["inside.tcp_segment", "inside.tcp_receiving", "inside.tcp_sending", "inside.tcp_connection",
                       "inside.tcp", "inside.stream", "ipsec.streams"],
    "ikev2_attempt": ["ikev2.initial", "ikev2.initial.initiator", "ikev2.initial.sa_init", "ikev2.initial.auth",
                      "ikev2.sa.proposals", "ikev2.sa.keys", "ikev2.sa.rekey", "ikev2.crypto.known",
                      "ikev2.crypto.slices", "ikev2.crypto.x25519"],
}  # fmt: skip
# Who looks for a file goes through all names; for a folder, to the first that is in it.
_FIRST = ("ikev2_memory", *PARTS)


def _at_once(body):
    """The statements of a file, in which all that it imports of one module at its top is imported by one."""
    first = {}
    found = []
    for statement in body:
        if isinstance(statement, ast.ImportFrom):
            if statement.module in first:
                first[statement.module].names += statement.names
                continue
            first[statement.module] = statement
        found.append(statement)
    return found


class _Renamed(scopes.Scoped):
    """Other names for what a class binds, in its own statements."""

    def __init__(self, names):
        self._names = names
        self._depth = 0

    def enter(self, node):
        self._depth += 1

    def leave(self, node):
        self._depth -= 1
        if not self._depth and isinstance(node, scopes.NAMED):
            node.name = self._names.get(node.name, node.name)

    def visit_Name(self, node):
        if not self._depth:
            node.id = self._names.get(node.id, node.id)
        return node


def _used_inside(part):
    """Names that a statement of a class uses and may have from around."""
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    return {name.id for name in scopes.nodes(part) if isinstance(name, ast.Name)} - (
        scopes.bound(part) if isinstance(part, functions) else set()
    )


def _is_simple(node):
    """True for a class of functions and values, each bound once and no value by a name that it has itself."""
    parts = ast.FunctionDef | ast.AsyncFunctionDef | ast.Assign
    bound = [name for part in node.body for name in scopes.stored(part)]
    return (
        all(isinstance(part, parts) for part in node.body)
        and len(set(bound)) == len(bound) == len(node.body) >= _METHODS
        and not any(isinstance(part, ast.Assign) and set(scopes.stored(part)) & _used_inside(part.value)
                    for part in node.body)
        and not (node.decorator_list or node.keywords or "super" in ast.unparse(node))
    )  # fmt: skip


def _of_known_size(node):
    """A class made of a dictionary that has room for all from the beginning, since one that grows is moved each time.

    A dictionary has room for as many pairs as are written. A name that is not in a full one is looked for everywhere:
    some are written twice.
    """
    bound = [name for part in node.body for name in scopes.stored(part)]
    functions = [part for part in node.body if not isinstance(part, ast.Assign)]
    taken = set().union(*map(_used_inside, functions)) | {node.name}
    names = {name: f"{name}_" for name in bound if name in taken}
    body = [_Renamed(names).visit(part) for part in node.body]
    keys = bound + bound[:1] * (len(bound) * 2 // 5)
    values = [ast.Name(names.get(name, name), ast.Load()) for name in keys]
    bases = ast.Tuple(node.bases, ast.Load())
    pairs = ast.Dict([ast.Constant(name) for name in keys], values)
    made = ast.Call(ast.Name("type", ast.Load()), [ast.Constant(node.name), bases, pairs], [])
    nothing = ast.arguments([], [], None, [], [], None, [])
    return [
        ast.FunctionDef(node.name, nothing, [*body, ast.Return(made)], []),
        ast.Assign([ast.Name(node.name, ast.Store())], ast.Call(ast.Name(node.name, ast.Load()), [], [])),
    ]


def _classes_of_known_size(body):
    """The statements of a file with them."""
    for statement in body:
        if isinstance(statement, ast.ClassDef) and _is_simple(statement):
            yield from _of_known_size(statement)
        else:
            yield statement


def _builtins(bodies, first):
    """Builtins that a file uses are in its own table: a look-up goes through all of it before it goes on to them."""
    used = {
        file: {node.id for part in body for node in scopes.nodes(part) if isinstance(node, ast.Name)} & _BUILTINS
        for file, body in bodies.items()
    }  # fmt: skip
    every = sorted(set().union(*used.values()))
    bodies[first + ".py"][:0] = [
        ast.Assign([ast.Name(name, ast.Store())], ast.Name(name, ast.Load())) for name in every
    ]
    for file, body in bodies.items():
        for statement in body:
            if isinstance(statement, ast.ImportFrom) and statement.module == first:
                statement.names += [ast.alias(name) for name in sorted(used[file])]
                break


def _is_public(name):
    return not name.startswith("_") or name.startswith("__")


class Frozen(join.Library):
    """All modules of a firmware: who is in no part is a file of its own, where it was."""

    def parts(self):
        return PARTS

    def alone(self, name):
        return name

    def split(self):
        """What is loaded when it is called saves RAM where code is in RAM."""

    def bodies(self):
        found = {file: _at_once(body) for file, body in super().bodies().items()}
        for file in set(PARTS) - _SMALL:
            found[f"{file}.py"] = list(_classes_of_known_size(found[f"{file}.py"]))
        _builtins({f"{file}.py": found[f"{file}.py"] for file in PARTS}, "ikev2_core")
        for module in self.modules.values():
            if module.name not in PARTS:
                added = self._again(module) if module.file == module.name else self._of_its_file(module)
                found[f"{module.name}.py"] = found.get(f"{module.name}.py", []) + added + self._constants(module)
        return found

    def _again(self, module):
        """Statements that give a module its own names where another module has the same."""
        names = [*sorted(module.defined), *(name for name in module.imported if self.constant(module, name) is None)]
        made = {name: self.called(module.name, name)[1] for name in names if name not in module.constants}
        return [
            ast.Assign([ast.Name(name, ast.Store())], ast.Name(other, ast.Load()))
            for name, other in made.items() if other != name and _is_public(name)
        ]  # fmt: skip

    def _of_its_file(self, module):
        """Statements of a module that take from its file what is its own, and what others may look for in it."""
        own = module.defined | set(module.imported) - join.BUILT_IN
        own |= {  # sleep_ms, for instance
            alias.asname or alias.name for node in module.tree.body if isinstance(node, ast.ImportFrom)
            for alias in node.names if (alias.asname or alias.name) in module.foreign - join.BUILT_IN
        }  # fmt: skip
        found = {}
        for name in sorted(own):
            if _is_public(name) and self.constant(module, name) is None:
                file, made, _ = self.called(module.name, name)
                found.setdefault(file, []).append(ast.alias(made, name if name != made else None))
        of_others = [
            node for node in module.tree.body
            if isinstance(node, ast.Import | ast.ImportFrom) and {alias.name for alias in node.names} <= join.BUILT_IN
        ] if module.name == "portable" else []  # fmt: skip
        return of_others + [ast.ImportFrom(file, names, 0) for file, names in found.items()]

    def _constants(self, module):
        """Statements for the integers that stand where they are used, for those who look them up."""
        return [
            ast.Assign([ast.Name(name, ast.Store())], ast.Constant(self.constant(module, name)))
            for name in (*module.constants, *module.imported)
            if _is_public(name) and self.constant(module, name) is not None
        ]  # fmt: skip


def texts():
    """{path as frozen: text} of the library and of what a board runs."""
    sources = {name: path.read_text() for name, path in library().items()}
    sources |= {path.name: path.read_text() for path in sorted((ROOT / "firmware").glob("ikev2_*.py"))}
    return json.loads(kept(lambda: json.dumps(_texts(sources)).encode(), "frozen", sources, join.made_by()))


def _texts(sources):
    made = Frozen(sources)
    found = {}
    for file, text in join.unparsed(made.bodies()).items():
        name = file.removesuffix(".py")
        package = name in _FIRST or (name in made.modules and made.modules[name].package)
        found[name.replace(".", "/") + ("/__init__.py" if package else ".py")] = text
    return found


def write(folder=FOLDER):
    """Write those that have changed; the paths of all, what a wake imports first."""
    found = texts()
    for name, text in found.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    first = [f"{file}/__init__.py" for file in _FIRST]
    return first + sorted(set(found) - set(first))
