"""Nothing may skip under CI; as root, ports belong to one process of pytest, so that several can run at a time."""

import ctypes
import fcntl
import os
import signal
import subprocess

import pytest
from tools import BUILD

_CLONE_NEWNET = 0x40000000
_ROOT = os.geteuid() == 0


def pytest_xdist_auto_num_workers():
    """For `-n auto`: more than there are cores, because tests wait a lot; without root one, because all share ports."""
    return min(4, (os.cpu_count() or 1) + 2) if _ROOT else 0


def pytest_configure(config):
    """A network namespace for this process: nobody else is on its loopback interface. Ctrl-C ends what it starts, also
    where a shell that has put it into the background ignores that.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if _ROOT and not ctypes.CDLL(None).unshare(_CLONE_NEWNET):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_collection():
    """The others wait for the first process, which compiles what all of them collect."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "collecting").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"skipped under CI: {report.longrepr}"
