"""Coverage-guided fuzzing of the receive path: octet 0 chooses the port, octet 1 the source, then the datagram."""

import os
import sys
from pathlib import Path

import atheris
from golden import vector_files
from tools import BUILD, arguments

with atheris.instrument_imports(include=["ikev2"]):
    from ikev2 import node as ikev2_node
    from ikev2.notifier import INVALID_MAJOR_VERSION

    from measure import mixed_traffic

VIAS = (500, 4500, 50, 51)
SOURCES = (b"\xc0\0\2\1\1\xf4", b"\xc6\x33\x64\7\x11\x94", b"\x7f\0\0\1\xee\x32", b"\0\0\0\0\1\xf4")


def new_node():
    sas, ours = mixed_traffic.table()
    node = ikev2_node.Node(sas, os.urandom, answers_per_s=1000000, burst=1000000, per_source_ms=0)
    node.expect(ours, 37, b"\0\0\0\7")
    return node


NODE = new_node()
BEFORE = NODE.table.snapshot()


def one(octets):
    """A datagram: no exception, no longer answer, no answer to an answer, no change."""
    if len(octets) < 2:
        return
    via = VIAS[octets[0] & 3]
    source = SOURCES[octets[1] & 3]
    source = source if via > 99 else source[:4] + b"\0\0"
    datagram = octets[2:]
    verdict = NODE.receive(via, source, datagram, len(datagram), 0)
    length = NODE.outgoing(0)
    assert bool(length) <= (verdict <= INVALID_MAJOR_VERSION)
    if length:
        assert length <= len(datagram) - (0 if via > 99 else 8)
        assert NODE.receive(NODE.out_via, source, bytes(NODE.out[:length]), length, 0) > INVALID_MAJOR_VERSION
        assert not NODE.outgoing(0)
    assert NODE.table.snapshot() == BEFORE


def corpus():
    """A folder with every datagram of the vectors, and what earlier runs found."""
    folder = BUILD / "corpus"
    folder.mkdir(parents=True, exist_ok=True)
    for case in vector_files.all_cases():
        for number, (_, via, _, octets) in enumerate(case["steps"]):
            if via:
                for source in range(2):
                    name = f"{case['name']}-{number}-{source}"
                    (folder / name).write_bytes(bytes((VIAS.index(via), source)) + bytes.fromhex(octets))
    return folder


def main(one, folder, words):
    """Fuzz that function, beginning with what is in the folder; as long as SECONDS says, or RUNS."""
    given = arguments(words, SECONDS=60, RUNS=0)
    seconds, runs = (0, given["RUNS"]) if given["RUNS"] else (given["SECONDS"], -1)
    findings = Path(BUILD / "findings")
    findings.mkdir(exist_ok=True)
    options = [f"-max_total_time={seconds}", f"-runs={runs}", "-max_len=600", "-print_final_stats=1"]
    options.append(f"-artifact_prefix={findings}/")
    length = f"{runs} inputs" if given["RUNS"] else f"{seconds} s"
    print(f"fuzzing: {length}; what it finds lies in build/findings and becomes a vector", flush=True)
    atheris.Setup([sys.argv[0], *options, str(folder)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(one, corpus(), sys.argv[1:])
