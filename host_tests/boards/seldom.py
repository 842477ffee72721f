"""Functions that a board loads when they are called: what is needed once, or when an SA is made, is not to take RAM.

Each file of SELDOM has functions of some modules, "f" or "Class.method" as they are called there, and values. Who uses
one imports its file there and then; of a method, and of a function that users call, a call stays in its place.
`ikev2_memory` forgets these files as it does other modules that have done their work: no task should last in one, and
nothing in them may be what has to go on without memory, or what anybody's datagram can ask for.
"""

import ast
from dataclasses import dataclass

from boards import scopes

SELDOM = {
    "ikev2_new": {
        "ikev2.spi_table": ["SpiTable.__init__", "SpiTable.restore"],
        "ikev2.budget": ["Budget.__init__"],
        "ikev2.notifier": ["Notifier.__init__"],
        "ikev2.owners": ["Owners.__init__"],
        "ikev2.node": ["Node.__init__"],
        "ikev2.net.udp": ["Udp.__init__"],
        "ikev2.net.sockets": ["open_socket"],
        "ikev2_network": ["_Wifi.__init__", "_made"],
        "ikev2_main": ["_LIMITS", "_prepare", "_restore", "_make_tunnel", "_make_hub", "_make", "_start"],
    },
    "ipsec_new": {
        "ikev2.sa.policy": ["suites", "Policy.__init__"],
        "ikev2.sa.selectors": ["network"],
        "inside.stack": ["Stack.__init__"],
        "ipsec.life": ["Life.__init__"],
        "ipsec.tunnel": ["Tunnel.__init__"],
        "ikev2_tunnel": ["_SETTINGS", "made"],
    },
    "ikev2_add": {
        "ikev2.net.addresses": ["port_of", "resolve"],
        "ikev2.slots": ["Slots.claim", "Slots.choose"],
        "ikev2.spi_table": ["SpiTable.adopt_ike", "SpiTable.adopt_child", "SpiTable.update_ike", "SpiTable.move_child"],
    },
    "ipsec_try": {
        "ipsec.attempts": ["Clock.failed"],
        "ipsec.holdings": ["Holdings.slot", "Holdings._make_room"],
        "ipsec.life": ["Life.begin", "Life._fail"],
    },
    "ipsec_ts": {
        "ikev2.sa.selectors": ["identity", "id_body", "same_id", "host", "ts_body", "read_ts", "within", "covers",
                               "_around", "each", "cut", "_common", "cp_request", "read_cp", "_unicast"],
    },
    "ipsec_make": {
        "ikev2.sa.window": ["Window.__init__"],
        "ikev2.sa.informational": ["IkeSa.__init__"],
        "ikev2.sa.rekeys": ["Rekeys.__init__"],
        "ipsec.holdings": ["Holdings._retire"],
        "ipsec.life": ["Life._establish", "Life.inside", "Life.resume"],
        "ipsec.esp": ["ChildSa.__init__"],
    },
    "ipsec_ask": {
        "ikev2.sa.payloads": ["bodies"],
        "ikev2.sa.informational": ["answer_informational", "_remove_child", "_disown"],
    },
    "ipsec_algs": {
        "ikev2.sa.policy": ["CIPHERS"],
        "ikev2.crypto": ["key_size", "integrity_size", "cipher", "_class", "group"],
        "ikev2.sa.sk": ["protection", "Protection.__init__"],
    },
    "ikev2_tell": {
        "inside.tcp": ["Tcp.lines"],
        "inside.tcp_connection": ["Connection.state"],
        "ikev2.notifier": ["VERDICTS"],
        "ikev2_network": ["_REASONS", "_Wifi.reason"],
        "ikev2_main": ["status"],
    },
    "ipsec_tell": {
        "ipsec.life": ["_WHY", "Life.because"],
        "ikev2_tunnel": ["_NEWS", "_say"],
    },
    "ipsec_conn": {
        "inside.tcp": ["Tcp.connect", "Tcp.listen", "Tcp.keep", "Tcp.restore", "_KEPT_WORDS"],
        "inside.tcp_receiving": ["_answered", "establish", "greet", "begin", "_time_wait"],
        "inside.stream": ["Stream.get_extra_info", "Stream.connected", "Stream.start_tls", "Stream._finish",
                          "Stream.write_eof"],
    },
    "ipsec_rare": {
        "inside.ipv4": ["echo_request"],
        "inside.stack": ["Stack.bind"],
        "ipsec.holdings": ["Holdings.settle", "Holdings.drop_stale"],
        "ipsec.life": ["Life.settle", "Life.check", "Life.renewing", "Life.verified"],
        "ipsec.liveness": ["Liveness.settle"],
        "ipsec.tunnel": ["Tunnel.keep", "Tunnel.wake", "Tunnel.close", "Tunnel.check", "Tunnel._fail",
                         "Tunnel.start", "Tunnel.ping", "Tunnel._serve"],
        "ikev2_tunnel": ["lines", "kept"],
    },
}  # fmt: skip


_NOT_CALLED = "_ABCDEFGHIJKLMNOPQRSTUVWXYZ"  # first letters of what users do not call: private names, values


@dataclass
class Part:
    """Functions of a module in another file: a module of its own, `path`, whose names are those of `home`."""

    file: str
    path: str
    tree: ast.Module
    names: list


class _LooksUp(scopes.Scoped):
    """Names of a module that may be bound anew are its attributes for functions elsewhere."""

    def __init__(self, module, names):
        self._module = module
        self._names = names
        self._around = []

    def enter(self, node):
        self._around.append(self._names)
        self._names = self._names - scopes.bound(node)

    def leave(self, node):
        self._names = self._around.pop()

    def visit_Name(self, node):
        if node.id not in self._names:
            return node
        return ast.Attribute(ast.Name(self._module, ast.Load()), node.id, node.ctx)

    def visit_Global(self, node):
        return ast.Pass()

    def visit_Import(self, node):
        (alias,) = node.names
        bound = alias.asname or alias.name
        if bound not in self._names:
            return node
        attribute = ast.Attribute(ast.Name(self._module, ast.Load()), bound, ast.Store())
        local = f"its_{bound}"
        return [ast.Import([ast.alias(alias.name, local)]), ast.Assign([attribute], ast.Name(local, ast.Load()))]


def _call(node, name):
    """A function like `node` that calls `name` with its arguments."""
    assert not (node.args.vararg or node.args.kwarg or node.args.kwonlyargs), name
    arguments = [ast.Name(argument.arg, ast.Load()) for argument in scopes.arguments(node)]
    body = [ast.Return(ast.Call(ast.Name(name, ast.Load()), arguments, []))]
    return ast.FunctionDef(node.name, node.args, body, node.decorator_list, lineno=1)


def _take(holder, name, made, stays):
    """Take `name` out of a module or class, a function as one named `made`; a call of that `stays` behind."""
    found = [at for at, node in enumerate(holder.body) if name in scopes.stored(node)]
    assert len(found) == 1, name
    at = found[0]
    moved = scopes.copied(holder.body[at])
    if isinstance(moved, ast.Assign):
        assert not stays, name
        del holder.body[at]
        return moved
    moved.name = made
    if stays:
        holder.body[at] = _call(holder.body[at], made)
        moved.args.defaults, moved.decorator_list = [], []
    else:
        del holder.body[at]
    assert not moved.decorator_list and "super" not in ast.unparse(moved), made
    return moved


def _changing(tree):
    """Names that a module binds more than once, or perhaps not at all."""
    found = {name for node in scopes.nodes(tree) if isinstance(node, ast.Global) for name in node.names}
    for statement in tree.body:
        if isinstance(statement, ast.If | ast.Try):
            parts = (part for part in scopes.nodes(statement) if isinstance(part, ast.stmt))
            found.update(name for part in parts for name in scopes.stored(part))
    return found


def split(name, tree, package, users):
    """The Parts of a module, whose functions are taken out of its tree. `users`: theirs are the names without _."""
    changing = _changing(tree)
    found = {}
    for file, modules in SELDOM.items():
        for path in modules.get(name, ()):
            holder, _, function = path.rpartition(".")
            its = tree
            if holder:
                (its,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == holder]
            stays = bool(holder) or (users and function[0] not in _NOT_CALLED)
            made = f"{holder or 'do'}_{function}" if stays else function
            found.setdefault(file, {})[made] = _take(its, function, made, stays)
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    moved = {one for taken in found.values() for one in taken}
    bound = {bound for node in tree.body for bound in scopes.stored(node)}
    bound = (bound | moved) - changing - {local for node in imports for local in scopes.stored(node)}
    home = f"home_{name.replace('.', '_')}"
    parts = []
    for file, taken in found.items():
        own = set(taken)
        body = [*scopes.copied(imports), ast.Import([ast.alias(name, home)])]
        if bound - own:
            body.append(ast.ImportFrom(name, [ast.alias(one) for one in sorted(bound - own)], 0))
        body += [_LooksUp(home, changing).visit(one) for one in taken.values()]
        part = ast.fix_missing_locations(ast.Module(body, []))
        parts.append(Part(file, f"{name}{'.' if package else '_'}{file}", part, sorted(own)))
    return parts
