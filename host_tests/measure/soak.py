"""The unix port's heap before and after mixed_traffic.py, in 64 KiB, and before and after a night of rekeys."""

import itertools
import subprocess
import sys

from golden import vector_files
from library.far_device import FarDevice
from library.rekeying import EVERY_MS, rekeys
from tools import BUILD, HERE, arguments, compiled_library, device_environment, micropython

_SEEDS = 24  # what fits into the heap beside the library, with room to move


def seeds(most):
    """Up to `most` datagrams of the vectors, as mixed_traffic.py reads them, all verdicts among them."""
    by_verdict = {}
    for case in vector_files.all_cases():
        for step, (verdict, _) in zip(case["steps"], case["expected"], strict=True):
            if step[1] and len(step[3]) <= 200:
                by_verdict.setdefault(verdict, set()).add((step[1], step[3]))
    turns = itertools.zip_longest(*map(sorted, by_verdict.values()))
    return [seed for turn in turns for seed in turn if seed][:most]


def soak(count, seed=1, heap="64k", progress=None):
    """(heap in use after the first thousand, heap at the end, in octets); RuntimeError with what was printed."""
    compiled_library("measure/mixed_traffic")
    command = [micropython(), "-X", f"heapsize={heap}", "-m", "mixed_traffic", str(count), str(seed)]
    process = subprocess.Popen(
        command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**device_environment(), "MICROPYPATH": f"{BUILD / 'mpy'}:.frozen"},
    )  # fmt: skip
    lines = []
    try:
        process.stdin.write("".join(f"{via} {octets}\n" for via, octets in seeds(_SEEDS)) + "\n")
        process.stdin.close()
        for line in process.stdout:
            lines.append(line.strip())
            if progress:
                progress(lines[-1])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    if not lines or lines[-1] != "done":
        raise RuntimeError("\n".join(lines[-12:]))
    heap_in_use = [int(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("heap")]
    return heap_in_use[0], heap_in_use[1]


def night(count, progress=None):
    """(octets in use after the first rekeys, at the end, most of all with the old SA beside the new one, datagrams).

    A tunnel is rekeyed each ten seconds of a simulated clock, with an echo each second; AssertionError.
    """
    device = FarDevice(1)
    most = 0

    def report(number, rest, busy):
        nonlocal most
        most = max(most, busy)
        if progress and not number * EVERY_MS % 3600000:
            progress(f"hour {number * EVERY_MS // 3600000}: heap {rest}, most {most}, {len(device.sent)} sent")

    try:
        device.until(lambda: device.life.up)
        levels = rekeys(device, count, report)
        return levels[1], levels[-1], most, len(device.sent)
    finally:
        device.end()


if __name__ == "__main__":
    given = arguments(sys.argv[1:], COUNT=2000000, REKEYS=2880)
    first, last = soak(given["COUNT"], progress=print)
    print(f"{given['COUNT']} datagrams; heap in use {first} octets after the first thousand, {last} at the end")
    early, late, most, sent = night(given["REKEYS"], progress=print)
    print(f"{given['REKEYS']} rekeys, {sent} datagrams sent")
    print(f"heap in use {early} octets after the first rekeys, {late} at the end, {most} at most during a rekey")
    sys.exit(0 if first == last else 1)
