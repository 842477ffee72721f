"""Streams, names and blocking sockets in a tunnel, to a host behind the scripted gateway, under both interpreters."""

import errno
import subprocess
import sys

import pytest
from tools import HERE, device_environment, micropython

from library.far_host import FarHost
from library.serving import Serving

INTERPRETERS = ["CPython", "MicroPython"]


def run(interpreter, program, serving):
    """What a program says."""
    command = [sys.executable if interpreter == "CPython" else micropython(), HERE / "library" / program]
    with serving:
        ran = subprocess.run(command, env=device_environment(), capture_output=True, text=True, timeout=240)
    assert ran.returncode == 0 and not ran.stderr, (ran.stdout, ran.stderr)
    return ran.stdout.splitlines()


@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_a_users_program_w1_w4_w6(interpreter):
    lines = run(interpreter, "streams_user.py", Serving(FarHost(bytes((10, 0, 0, 5)))))
    assert lines == [
        f"early: errno {errno.ENOTCONN}",
        "echo: (True, ('10.0.0.5', 7))", "more: (True, ('10.0.0.5', 7))", f"refused: errno {errno.ECONNREFUSED}",
        f"no route: errno {errno.EHOSTUNREACH}", f"no name: errno {errno.EHOSTUNREACH}", "served: [b'you there?\\n']",
        f"reset: errno {errno.ECONNRESET}", f"too many: errno {errno.ENOBUFS}",
        "blocking address: ('10.0.0.5', 7)", "readline: b'first\\n' b'and sec' b'ond'", "nothing: None None None",
        f"again: {errno.EAGAIN}", "partial: True None", "back: True", f"late: {errno.ETIMEDOUT}", "end: b'end' b'' b''",
        f"refused: {errno.ECONNREFUSED}", "datagram: (b'ping', ('10.0.0.5', 7))", "datagram: b'po'",
        "accepted: b'you there?\\n' 10.0.0.5",
        f"closed: errno {errno.EBADF}", f"late: errno {errno.EBADF}",
    ]  # fmt: skip
