"""Where things are on this PC."""

import os
import subprocess
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


@cache
def micropython():
    """Path of the MicroPython unix port; setup.sh decides which."""
    return subprocess.run([HERE / "setup.sh", "which"], check=True, capture_output=True, text=True).stdout.strip()


def device_environment():
    """Environment in which the MicroPython unix port finds the library and the test code."""
    return {**os.environ, "MICROPYPATH": f"{ROOT / 'lib'}:{HERE}:.frozen"}
