"""The machines that a test of the library can run on: a text in, what it prints out."""

import subprocess

from tools import device_environment, micropython


def on_cpython(code):
    said = []
    exec(code, {"print": lambda *what: said.append(" ".join(str(item) for item in what))})
    return "\n".join(said)


def on_unix(code):
    command = [micropython(), "-X", "heapsize=4M"]
    run = subprocess.run(command, input=code, capture_output=True, text=True, env=device_environment())
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def on_board(code):
    from boards.emulator import Board

    with Board() as machine:
        return machine.exec(code)


def on_riscv(code):
    from boards.emulator import riscv

    with riscv() as machine:
        return machine.exec(code)


MACHINES = (on_cpython, on_unix, on_board, on_riscv)
BOARDS = (on_board, on_riscv)

_LOCKED = """
import micropython
micropython.heap_lock()
try:
    go()
finally:
    micropython.heap_unlock()
print("nothing")
"""


def allocates_nothing(machine, code):
    """True if `go`, which a script makes and has prepared, runs under the heap lock of a machine with one."""
    return machine(code + _LOCKED).strip() == "nothing"
