"""Flash, RAM and instructions of the library on the emulated Cortex-M3, by measurement."""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from boards.emulator import ADDRESS, CLOCK_NS, FIRMWARE, PEER, Board
from golden import machines, vector_files
from golden.live import canary
from tools import README_FILES, ROOT, arguments, compiled, library

from boards import board_files, freeze, mip
from measure import (
    bench_esp,
    bench_protected,
    beside,
    size_crypto,
    size_hub,
    size_small,
    size_tcp,
    size_tunnel,
    size_udp_only,
    size_wake,
)

CORE = mip.files(*mip.PIECES["core"])
STREAMS = [f"inside/{path.stem}" for path in sorted((ROOT / "lib/inside").glob("tcp*.py"))] + [
    "inside/stream",
    "inside/server",
]
BESIDE_STREAMS = ["ipsec/streams", "inside/tls", "inside/sockets", "inside/dns"]
DEPLOYED = {
    "TCP and streams": ["ipsec_tcp", "ipsec_conn", "inside_srv"],
    "TLS, blocking sockets and names": ["inside_tls", "inside_sockets", "inside_dns"],
}
_REPEAT = 20
_DATAGRAMS = 20
_RAM = """
import gc, os
gc.collect(); start = gc.mem_alloc()
from ikev2.node import Node
from ikev2.spi_table import SpiTable
gc.collect(); imported = gc.mem_alloc()
table = SpiTable(16, 32)
node = Node(table, os.urandom)
for i in range(16):
    ike = table.add_ike(os.urandom, True, bytes((10, 0, 0, i, 1, 244)), bytes(8), True)
    for _ in range(2):
        table.add_child(ike, 50, os.urandom, b"abcd")
gc.collect(); filled = gc.mem_alloc()
print(imported - start, filled - imported)
def datagram(node, source, octets):
    length = len(octets)
    before = gc.mem_alloc()
    for i in range(COUNT):
        node.receive(500, source, octets, length, 0)
        node.outgoing(0)
        node.outgoing(0)
    return (gc.mem_alloc() - before) / COUNT
table.watcher = None
node = Node(table, os.urandom, 1000, 1000, 0)
print(datagram(node, bytes((192, 0, 2, 1, 1, 244)), QUESTION), node.counters[1])
"""
_GARBAGE = """
import asyncio, gc, link, os
from ikev2.node import Node
from ikev2.spi_table import SpiTable
from ikev2.net.udp import Udp
link.up("ADDRESS", "PEER")
seen = []
def count(*_):
    if not seen:
        gc.collect()
    seen.append(gc.mem_alloc())
    if len(seen) > COUNT:
        raise SystemExit
udp = Udp(Node(SpiTable(), os.urandom, 1000, 1000, 0), ports=(500,), raw=(), seen=count)
print("ready")
try:
    asyncio.run(udp.run())
except SystemExit:
    pass
print((seen[-1] - seen[0]) / COUNT)
"""
_COST = """
import os, time
from binascii import unhexlify
def cost(case, via, source, octets):
    node = build(case)
    source, octets = unhexlify(source), bytearray(unhexlify(octets))
    length = len(octets)
    ticks = 0
    for i in range(REPEAT):
        now = i * 100000
        node.tick(now)
        start = time.ticks_cpu()
        verdict = node.receive(via, source, octets, length, now)
        ticks += time.ticks_diff(time.ticks_cpu(), start)
        node.outgoing(now)
    empty = 0
    for i in range(REPEAT):
        start = time.ticks_cpu()
        empty += time.ticks_diff(time.ticks_cpu(), start)
    return (ticks - empty) / REPEAT
"""


def flash():
    """Octets of flash by file of the image, `ikev2_core` or `ipsec/hub`: its frozen code, constants and tables."""
    names = {path.removesuffix(".py").replace("/", "_"): path.removesuffix(".py") for path in freeze.texts()}
    longest = sorted(names, key=len, reverse=True)
    frozen = re.compile(f"(?:^|_)({'|'.join(longest)})(?=_|$)")
    nm = subprocess.run(["arm-none-eabi-nm", "-S", str(FIRMWARE)], check=True, capture_output=True, text=True).stdout
    sizes = {}
    for line in nm.splitlines():
        fields = line.split()
        if len(fields) == 4:
            found = frozen.search(fields[3])
            if found:
                name = names[found[1]]
                sizes[name] = sizes.get(name, 0) + int(fields[1], 16)
    return sizes


def frozen(paths):
    """The files of the image that have these modules, paths below lib, and their names."""
    parts = {module: file for file, modules in freeze.PARTS.items() for module in modules}
    modules = [(path.removesuffix(".py"), mip.module_name(path)) for path in paths]
    return {name for name, _ in modules} | {parts[module] + "/__init__" for _, module in modules if module in parts}


def ram():
    """(after import, for a node with 16 IKE SAs and 32 Child SAs, a datagram answered) in octets of heap."""
    code = _RAM.replace("COUNT", str(_DATAGRAMS)).replace("QUESTION", repr(canary(1)))
    with Board() as board:
        board.repl.exit_raw_repl()
        board.repl.enter_raw_repl(soft_reset=True)
        imported, filled, datagram, answered = board.exec(code).split()
    if int(answered) != _DATAGRAMS:
        raise RuntimeError(f"{answered} of {_DATAGRAMS} datagrams were answered")
    return int(imported), int(filled), round(float(datagram))


def garbage():
    """Octets of heap that an answered datagram leaves to the collector, sockets and asyncio included."""
    code = _GARBAGE.replace("ADDRESS", ADDRESS).replace("PEER", PEER).replace("COUNT", str(_DATAGRAMS))
    with Board() as board:
        board.repl.exec_raw_no_follow(code)
        board.repl.read_until(1, b"ready")
        for number in range(_DATAGRAMS + 1):
            board.send_udp(500, canary(number))
            board.receive_udp()
        said, _ = board.repl.follow(10)
        return round(float(said))


def compiled_files():
    """Octets of the core's modules as .mpy files for that machine, their names included."""
    with tempfile.TemporaryDirectory() as folder:
        targets = [(Path(folder) / path).with_suffix(".mpy") for path in CORE]
        for path, target in zip(CORE, targets, strict=True):
            compiled(ROOT / "lib" / path, target, "armv7m")
        return sum(target.stat().st_size for target in targets)


def by_use(sizes):
    """(what, octets) of flash for all modules that a use takes: frozen, and what `deploy` brings for it."""
    of_streams = {f"{name}.py" for name in (*STREAMS, *BESIDE_STREAMS)}
    tunnel = mip.files(*mip.PIECES["tunnel"])
    uses = {
        "section 1.5 with its sockets": mip.files(*mip.PIECES["udp"]),
        "a UDP tunnel": [path for path in tunnel if path not in of_streams],
        "a tunnel with streams": tunnel,
        "a hub with streams": mip.files(*mip.PIECES["tunnel"], "ipsec.hub", "ipsec.hub_streams"),
    }
    for use, paths in uses.items():
        yield f"flash, {use}, frozen", sum(sizes.get(name, 0) for name in frozen(paths))
        brought = board_files.files("armv7m", unused=set(library()) - set(paths))
        yield (
            f"flash, {use}, all that deploy brings",
            sum(len(octets) for path, octets in brought.items() if path.startswith("/lib/")),
        )


def keyed(case):
    """True if something in the case has keys: what costs time then is the ciphers."""
    return any(sa[-1] for sa in case["ike_sas"] + case["child_sas"])


def _rank(question):
    case, step = question
    return not case["ike_sas"], len(step[3])


def single_cases():
    """(case, step) for each verdict: the longest question that begins a case, without SAs if there is such a one.

    IPv4; without credit for drop-limited.
    """
    found = {}
    for case in vector_files.all_cases():
        step, verdict = case["steps"][0], case["expected"][0][0]
        if verdict and case["address"] == 4 and not case["config"] and not keyed(case):
            found[verdict] = max(found.get(verdict, (case, step)), (case, step), key=_rank)
    case, step = found["invalid-ike-spi"]
    found["drop-limited"] = ({**case, "config": {"burst": 0}}, step)
    return found


def instructions():
    """{verdict: instructions from datagram to reply}, under -icount."""
    found = {}
    with Board(icount=True) as board:
        board.exec(machines.source("vector_machine"))
        board.exec(_COST.replace("REPEAT", str(_REPEAT)))
        for verdict, (case, step) in sorted(single_cases().items()):
            case = {key: case[key] for key in ("address", "config", "ike_sas", "child_sas", "outstanding")}
            code = f"print(cost(json.loads({json.dumps(case)!r}), {step[1]}, {step[2]!r}, {step[3]!r}))"
            found[verdict] = round(float(board.exec(code)) * CLOCK_NS)
    return found


def versions():
    """What was measured with."""
    with Board() as board:
        firmware = board.exec(
            "import sys; print(sys.version.split('; ')[1].split(' on ')[0], sys.implementation._machine)"
        )
    compiler = subprocess.run(["arm-none-eabi-gcc", "-dumpfullversion"], check=True, capture_output=True, text=True)
    emulator = subprocess.run(["qemu-system-arm", "--version"], check=True, capture_output=True, text=True)
    return f"{firmware.strip()}, arm-none-eabi-gcc {compiler.stdout.strip()}, QEMU {emulator.stdout.split()[3]}"


def figures():
    """(what, number, unit) of everything that is measured here."""
    sizes = flash()
    for name in sorted(sizes, key=lambda name: (name not in frozen(CORE), -sizes[name])):
        yield f"flash, {name}", sizes[name], "octets"
    yield "flash, section 1.5 core, frozen", sum(sizes[name] for name in frozen(CORE)), "octets"
    yield "flash, section 1.5 core as .mpy files, with all names", compiled_files(), "octets"
    deployed = board_files.files("armv7m")
    for what, names in DEPLOYED.items():
        yield f"flash, {what} as deployed", sum(len(deployed[f"/lib/{name}.mpy"]) for name in names), "octets"
    for what, octets in by_use(sizes):
        yield what, octets, "octets"
    imported, filled, datagram = ram()
    yield "RAM, core imported", imported, "octets"
    yield "RAM, node with 16 IKE SAs and 32 Child SAs", filled, "octets"
    yield "RAM, a datagram in the node", datagram, "octets"
    yield "RAM, a datagram with socket and asyncio, until collected", garbage(), "octets"
    for verdict, count in instructions().items():
        yield verdict, count, "instructions"
    for cipher, (made, verified) in bench_protected.instructions().items():
        yield f"INVALID_SPI over an IKE SA, {cipher}, made", made, "instructions"
        yield f"INVALID_SPI over an IKE SA, {cipher}, response verified", verified, "instructions"
    for what, count in size_crypto.instructions().items():
        yield what, count, "instructions"
    yield from size_tunnel.figures()
    yield from size_wake.figures()
    yield from size_hub.figures()
    yield from size_small.figures()
    yield from size_udp_only.figures()
    yield from bench_esp.figures()
    yield from size_tcp.figures()


def line(what, number, unit):
    """A figure as it is printed."""
    return f"{what:62} {number:>11,} {unit}"


def renewed(readme, found):
    """The README with these figures in place of those that it has, and what they were measured with."""
    lines = {what: line(what, number, unit) for what, number, unit in found}
    readme = re.sub(r"^MicroPython .*, QEMU .*$", versions(), readme, flags=re.MULTILINE)
    return re.sub(
        r"^(\S.*?) {2,}[0-9,]+ (?:octets|instructions)$", lambda old: lines[old.group(1)], readme, flags=re.MULTILINE
    )


def main(readme):
    print(versions())
    found = []
    for figure in figures():
        found.append(figure)
        print(line(*figure), flush=True)
    for what, ratio in size_crypto.ratios({what: number for what, number, _ in found}).items():
        print(f"{what:62} {ratio:>11.2f} times what the platform alone takes")
    if readme:
        for path in README_FILES:
            path.write_text(renewed(path.read_text(), found))
        beside.write()
        print("the READMEs have these figures now")
    return 0


if __name__ == "__main__":
    sys.exit(main(arguments(sys.argv[1:], README="")["README"]))
