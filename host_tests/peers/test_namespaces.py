"""However a run ends, nothing that it has started stays behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tools import device_environment

from peers.namespaces import until

RUN = """
import sys
from pathlib import Path
from peers.state_loss import lose_state
from peers.strongswan import Charon
lose_state(Charon, "board", 4500, Path(sys.argv[1]))
"""


def processes():
    """{process: (its parent, its name)}; zombies are none."""
    found = {}
    for folder in filter(str.isdigit, os.listdir("/proc")):
        try:
            name, rest = Path("/proc", folder, "stat").read_text().split("(", 1)[1].rsplit(")", 1)
        except OSError:
            continue  # it has just ended
        state, parent = rest.split()[:2]
        if state != "Z":
            found[int(folder)] = int(parent), name
    return found


def descendants(process):
    """{process: name} of all that a process has started, and of what that has."""
    everything = processes()
    found = {process}
    for _ in range(8):
        found |= {child for child, (parent, _) in everything.items() if parent in found}
    return {child: everything[child][1] for child in found - {process} if child in everything}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("awaited", ["charon", "qemu-system-arm"])
def test_nothing_stays_behind(number, awaited, tmp_path):
    command = [sys.executable, "-c", RUN, str(tmp_path)]
    with subprocess.Popen(command, env=device_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
        until(lambda: awaited in descendants(run.pid).values() or run.poll() is not None, awaited)
        started = descendants(run.pid)
        assert awaited in started.values(), run.stderr.read().decode()
        run.send_signal(number)
        run.stderr.read()
        assert run.wait() == -number
    until(lambda: not started.keys() & processes().keys(), f"left: {started}")
