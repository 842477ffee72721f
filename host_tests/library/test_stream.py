"""Streams inside a tunnel between two stacks of ours, under both interpreters (W1 to W3)."""

import errno
import subprocess
import sys

import pytest
from tools import HERE, device_environment, micropython

from library import certificates


@pytest.mark.parametrize("interpreter", ["CPython", "MicroPython"])
def test_what_asyncio_has_w1_w2_w3(interpreter, tmp_path):
    executable = sys.executable if interpreter == "CPython" else micropython()
    command = [executable, HERE / "library/stream_user.py", tmp_path]
    certificates.write(tmp_path, "PEM" if interpreter == "CPython" else "DER")
    ran = subprocess.run(command, env=device_environment(), capture_output=True, text=True, timeout=240)
    too_few = "b''" if interpreter == "CPython" else "b'3 of them'"
    assert ran.returncode == 0 and not ran.stderr, (ran.stdout, ran.stderr)
    assert ran.stdout.splitlines() == [
        "line: b'one\\n'", "exactly: b'two\\nth'", "readinto: 2", "into: b're'", "e: b'e'",
        "rest: b'\\nfourfive' False",
        "last line: b''", "eof: True ['10.77.0.2', 'none']", "end: b''", "all: b''", f"too few: EOF {too_few}",
        "much: True", "all before the end: True",
        "verified: (b'line\\n', True)", "more than room: (b'line\\n', True)", "unverified: (b'line\\n', True)",
        "wrong name: refused", "stranger: refused",
        "shaken: b'line\\n'", f"silent: errno {errno.ECONNRESET}", "shaken still: b'line\\n'",
        f"refused: errno {errno.ECONNREFUSED}", "cancelled: timeout", f"reset: errno {errno.ECONNRESET}",
        f"write: errno {errno.ECONNRESET}", "error eof: True", "closed here: b''", "closing: True",
        f"late write: errno {errno.EBADF}",
    ]  # fmt: skip
