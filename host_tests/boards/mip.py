"""make mip: the pieces that `mip install` takes, lib/*.json, from one list of what each is for.

A piece is everything that its roots import. mip reads the files from wherever the library is published, so they are
committed; a test says when one is out of date.
"""

import ast
import json
import re
import sys
from functools import cache

from tools import ROOT, arguments, library


def module_name(path):
    """'ikev2.node' for ikev2/node.py, 'ikev2' for ikev2/__init__.py."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


_CORE = ["ikev2.node", "ikev2.spi_table"]
PIECES = {
    "core": _CORE,  # section 1.5 without sockets
    "udp": [*_CORE, "ikev2.net.udp"],
    # exchanges over IKE SAs whose keys are given
    "sa": [*_CORE, "ikev2.net.udp", "ikev2.sa.informational", "ikev2.sa.sk"],
    "tunnel": ["ipsec", "ikev2.config"],  # the endpoint, for who accepts nobody
    "package": list(map(module_name, library())),  # everything
}
LIB = ROOT / "lib"


def version():
    """The library's."""
    return re.search(r'^__version__ = "(.*)"', (LIB / "ikev2/__init__.py").read_text(), re.MULTILINE)[1]


def path_of(module):
    """Path below lib of a module of ours; None if it is another's."""
    for path in (f"{module.replace('.', '/')}.py", f"{module.replace('.', '/')}/__init__.py"):
        if path in library():
            return path
    return None


@cache
def imported(path):
    """Names that a file of lib imports, wherever in it: of modules, and of what may be one."""
    found = []
    for node in ast.walk(ast.parse((LIB / path).read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = path.split("/")[: -node.level] if node.level else []
            base = ".".join([*package, *filter(None, [node.module])])
            found += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return tuple(found)


def files(*roots):
    """Paths below lib of these modules and of everything that they import."""
    found, new = set(), list(roots)
    while new:
        module = new.pop()
        path = path_of(module)
        if path and path not in found:
            found.add(path)
            new += [module.rpartition(".")[0], *imported(path)]
    return sorted(found)


def piece(name):
    """Text of lib/NAME.json."""
    listed = files(*PIECES[name])
    urls = ",\n".join(f'    ["{path}", "{path}"]' for path in listed)
    return '{\n  "urls": [\n%s\n  ],\n  "version": %s\n}\n' % (urls, json.dumps(version()))


def main():
    for name in PIECES:
        (LIB / f"{name}.json").write_text(piece(name))
        print(f"lib/{name}.json: {piece(name).count('.py') // 2} files")


if __name__ == "__main__":
    arguments(sys.argv[1:])
    sys.exit(main())
