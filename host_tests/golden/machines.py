"""Where golden vectors and exchanges run: CPython, two MicroPythons, emulated boards.

A machine is asked in JSON, a line at a time, by `tell` of a module of this folder, which answers in JSON.
"""

import importlib
import json
import os
import re
import subprocess
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from boards.emulator import Board, riscv
from mpremote.transport import TransportExecError
from tools import BUILD, device_environment, micropython

from boards import small

_HERE = Path(__file__).parent
_NEWEST = BUILD / "newest/micropython"


def source(module):
    """A module of this folder, with what it imports of case_machine, as a board executes it."""
    text = (_HERE / f"{module}.py").read_text().split("def main():")[0]
    own = re.sub("^from golden.case_machine import .*\n", "", text, flags=re.MULTILINE)
    return (_HERE / "case_machine.py").read_text() + own


@contextmanager
def cpython(module):
    """The library in this process."""
    yield importlib.import_module(f"golden.{module}").tell


@contextmanager
def unix(module, interpreter=None):
    """A MicroPython unix port as a process of its own."""
    command = [interpreter or micropython(), str(_HERE / f"{module}.py")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=device_environment()
    ) as process:

        def tell(message):
            process.stdin.write(message + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
            return line or json.dumps({"error": f"micropython ended: exit status {process.wait()}"})

        yield tell
        process.stdin.close()


@contextmanager
def emulated(boot, begin):
    """The firmware image on an emulated board, over its REPL, which executes `begin` first."""
    with boot() as machine:
        machine.exec(begin)

        def tell(message):
            try:
                return machine.exec(f"print(tell({message!r}))")
            except TransportExecError as error:
                return json.dumps({"error": error.error_output.strip().splitlines()[-1]})

        yield tell


@contextmanager
def little(module):
    """The same with the memory of a stock ESP32, where the module comes compiled, as the library does."""
    whole = BUILD / f"small/{module}.py"
    whole.parent.mkdir(exist_ok=True)
    whole.write_text(source(module))
    boot = partial(small.Small, modules=(whole,))
    with emulated(boot, f"import ikev2_memory\nfrom {module} import tell") as tell:
        yield tell


# {name: context manager of `tell`, by the module}
MACHINES = {
    "cpython": cpython, "unix": unix, "newest": partial(unix, interpreter=_NEWEST),
    "board": lambda module: emulated(Board, source(module)), "riscv": lambda module: emulated(riscv, source(module)),
    "small": little,
}  # fmt: skip
NEEDS = {  # of setup.sh
    "unix": ["unix"], "newest": ["newest"], "board": ["firmware", "QEMU_MPS2"], "riscv": ["firmware", "QEMU_VIRT_RV32"],
    "small": ["firmware", "QEMU_SMALL"],
}  # fmt: skip
_BUILT = {
    "newest": _NEWEST, "board": BUILD / "QEMU_MPS2/firmware.elf", "riscv": BUILD / "QEMU_VIRT_RV32/firmware.elf",
    "small": small.FIRMWARE,
}  # fmt: skip


def available():
    """Names of the machines that are there: all of them under CI."""
    return [name for name in MACHINES if os.environ.get("CI") or name not in _BUILT or _BUILT[name].exists()]
