"""What a board runs, beside fakes for what an ESP32 has, under CPython and under the MicroPython unix port."""

import os
import subprocess
import sys

import pytest
from tools import ROOT, micropython

CASES = (
    "answers_blinks_and_feeds", "no_ssid_is_said", "lost_and_back_and_moved", "table_survives_deep_sleep",
    "broken_configuration_is_named", "failed_task_starves_the_watchdog", "without_sockets_the_watchdog_stays",
)  # fmt: skip


@pytest.mark.parametrize("machine", ["cpython", "unix"])
@pytest.mark.parametrize("case", CASES)
def test_life(case, machine, tmp_path):
    folders = [str(ROOT / folder) for folder in ("lib", "firmware", "host_tests")]
    python = [sys.executable] if machine == "cpython" else [micropython()]
    environ = dict(os.environ, PYTHONPATH=":".join(folders), MICROPYPATH=":".join([*folders, ".frozen"]))
    done = subprocess.run([*python, ROOT / "host_tests/boards/firmware_life.py", case], cwd=tmp_path, env=environ,
                          capture_output=True, text=True, timeout=120)  # fmt: skip
    assert done.returncode == 0 and "passed" in done.stdout.splitlines(), done.stdout + done.stderr
    if case == "broken_configuration_is_named":
        assert "not started: ikev2.json, line 2: unknown key 'ssdi'" in done.stdout
    if case == "answers_blinks_and_feeds":
        assert "network up, address 192.0.2.7" in done.stdout and "invalid-ike-spi" in done.stdout
