"""The user's API over loopback sockets, under both interpreters: a good citizen of asyncio, errors with numbers."""

import errno
import re
import subprocess
import sys

import pytest
from tools import HERE, device_environment, micropython

from library.serving import Serving


@pytest.mark.parametrize("interpreter", ["CPython", "MicroPython"])
def test_a_users_program(interpreter):
    command = [sys.executable if interpreter == "CPython" else micropython(), HERE / "library/tunnel_user.py"]
    with Serving() as serving:
        ran = subprocess.run(command, env=device_environment(), capture_output=True, text=True, timeout=240)
    assert ran.returncode == 0 and not ran.stderr, (ran.stdout, ran.stderr)
    said = dict(line.split(": ", 1) for line in ran.stdout.splitlines())
    refused = f"{errno.ECONNREFUSED} AUTHENTICATION_FAILED"
    assert said["psk"].startswith(refused) and said["psk again"] == "timeout"
    nowhere = f"{errno.EHOSTUNREACH} no address for 'nowhere.invalid'"
    assert said["name"].startswith(nowhere) and said["name again"].startswith(nowhere) and said["failures"] == "True"
    assert said["early"] == f"{errno.ENOTCONN} no tunnel: it is not up yet"
    assert said["up"] == "True 10.77.0.2 ('attempting', '') ('up', '10.77.0.2')"
    assert said["two sockets"] == said["cancelled"] == "ok" and said["nothing"] == "timeout"
    for size in (5, 8, 16):
        assert said[f"burst of {size}"] == str(list(range(size)))  # T4: nothing of a burst is pushed out
    assert said["no network"].startswith(f"{errno.EHOSTUNREACH} not sent: ")
    assert said["room"] == said["check"] == "ok None"
    assert re.fullmatch(rf"{errno.EMSGSIZE} 2000 octets of data, room for 13\d\d", said["long"])
    assert said["route"].startswith(f"{errno.EHOSTUNREACH} no route to 192.0.2.1")
    assert said["number"].startswith(f"{errno.EINVAL} '10.0.5' is no IPv4 address")
    assert said["by name"] == "ok" and said["resolve"] == "ok 10.0.0.5"  # W5, by the second server that was given
    assert said["no name"].startswith(f"{errno.EHOSTUNREACH} 'printer.local' is no name")
    assert said["no server"].startswith(f"{errno.EHOSTUNREACH} no address for 'other.example'")
    assert said["port"] == str(errno.EADDRINUSE)
    assert said["closing"] == f"{errno.EBADF} the socket is closed"
    for ms in (-1, 1 << 40, 30000):  # Z8: and it goes on
        assert said[f"no sleep of {ms}"] == "ok"
    assert said["check of a dead gateway"] == str(errno.ETIMEDOUT) and said["not given up"] == "True"
    assert said["silent, closed"] == "False"
    for what in ("waiting", "late", "again"):
        assert said[what] == f"{errno.EBADF} the tunnel is closed"
    assert said["over"] == "True False"
    assert said["full heap"].startswith(f"{errno.EHOSTUNREACH} no room")  # K13: and it is tried on
    assert said["full heap again"] == "True 2"
    assert said["sockets anew"] == "ok None" and said["its sockets are counted"] == "True"  # K13, T4
    assert [sa.id[4:] for sa in serving.gateway.sas] == [b"sensor-8"]  # which could not say so
    assert serving.gateway.said.count("deleted by the peer") == 2
