"""The Makefile: every command is listed, arguments arrive whole, and what is missing is said in words."""

import os
import re
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
from tools import ROOT, arguments, readmes

from commands import run

MAKEFILE = (ROOT / "Makefile").read_text()
LISTED = re.findall(r"^([a-z]+):.*## ", MAKEFILE, re.MULTILINE)


def make(*given):
    """(exit status, what was said) of make with these arguments."""
    done = subprocess.run(["make", *given], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def test_make_lists_every_command_in_groups():
    status, said = make()
    assert status == 0
    assert re.findall(r"^  make (\w+)", said, re.MULTILINE) == LISTED
    groups = [lines.splitlines() for lines in said.strip().split("\n\n")]
    assert len(groups) >= 4 and all(not group[0].startswith(" ") for group in groups[1:])


def test_the_readme_names_only_commands_that_are_there():
    named = set(re.findall(r"(?<=[`\n])(?:sudo )?make ([a-z]+)", readmes()))
    assert named <= set(LISTED)


def test_arguments_arrive_as_they_were_given():
    """Whatever a shell or make itself would make of them."""
    given = "FILES=a.json it's.json; echo `id` $HOME $(shell id) \"x", "TARGET=unix"
    command = ["make", "--no-print-directory", "-n", "vectors", *given]
    recipe = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    words = recipe.splitlines()[-1].split("golden.run_vectors ")[1].split("##")[0]
    echoed = subprocess.run(["sh", "-c", f"printf '%s\\n' {words}"], capture_output=True, text=True).stdout
    assert set(echoed.splitlines()) == set(given)


def test_a_value_is_no_command(tmp_path):
    """Neither in a recipe nor on its way into the environment; a line break is refused."""
    made = tmp_path / "made"
    status, said = make("firmware", f'BOARD=x"; touch {made}; "', f"MPY_DIR=$(shell touch {made})")
    assert status == 2 and "setup: no board x" in said and not made.exists()
    status, said = make(
        "-o", "lint", "-o", "unix", "test", f"TESTS=host_tests/none.py; touch {made} $(shell touch {made})"
    )
    assert status == 2 and "file or directory not found: host_tests/none.py;" in said and not made.exists()
    status, said = make("demo", f"OCTETS=1\ntouch {made}")
    assert status == 2 and "OCTETS has a line break in it" in said and not made.exists()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["probe", "HOSTS=x"], "HOSTS=x: this command takes HOST UDP_PORT UDP_PORT_NAT"),
        (["probe", "HOST=x", "UDP_PORT=many"], "UDP_PORT=many: that is no number"),
        (["probe"], "HOST is missing: HOST=address"),
        (["demo", "COLOUR=red"], "COLOUR=red: this command takes OCTETS"),
        (["flash"], "BOARD is missing: ESP32_GENERIC, "),
        (["deploy"], "PORT is missing"),
        (["vectors", "TARGET=desk"], "TARGET is none of cpython, unix, newest, board"),
    ],
)
def test_what_is_wrong_is_said_in_words(given, says):
    status, said = make(*given)
    assert status == 2 and says in said and "Traceback" not in said


def test_arguments():
    assert arguments(["A=1=2", "COUNT=3"], A="", COUNT=5, B="b") == {"A": "1=2", "COUNT": 3, "B": "b"}
    with pytest.raises(SystemExit, match="takes A"):
        arguments(["b"], A="")


def test_run_without_root_and_beside_a_daemon(monkeypatch):
    given = {"HOST": "127.0.0.1", "UDP_PORT": 15500, "UDP_PORT_NAT": 0}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        given["UDP_PORT_NAT"] = taken.getsockname()[1]
        assert "Address already in use: is an IKE daemon running?" in run.main(given)

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(run.socket.socket, "bind", refuse)
    assert "UDP 15500 is root's: sudo make run, or make run UDP_PORT=15500 UDP_PORT_NAT=14500" in run.main(given)


def test_run_hands_on_what_was_given():
    given = {"HOST": "::", "UDP_PORT": 1, "UDP_PORT_NAT": 2, "RAW": "", "BURST": "7"}
    assert run.options(given) == ["host=::", "port=1", "port_nat=2", "raw=", "burst=7"]


def test_without_root_all_packages_that_are_missing_are_named_and_nothing_is_built():
    """In one go, by the command that brings them."""
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as folder:
        none = Path(folder) / "dpkg-query"  # Debian's says the same of a package that is not there
        none.write_text("#!/bin/sh\nexit 1\n")
        for path in (none.parent, none):
            path.chmod(0o755)
        ran = subprocess.run(
            [*nobody, "env", f"PATH={folder}:{os.environ['PATH']}", "bash", "-s", "packages"],
            input=(ROOT / "host_tests/setup.sh").read_text().replace('cd "$(dirname "$0")/.."', "cd /"),
            capture_output=True, text=True,
        )  # fmt: skip
    assert ran.returncode == 1 and not ran.stdout
    asked, command = ran.stderr.strip().splitlines()
    assert "missing" in asked and command.startswith("  sudo apt-get install --no-install-recommends ")
    wanted = {"build-essential", "gcc-arm-none-eabi", "qemu-system-misc", "strongswan-swanctl", "mosquitto"}
    assert wanted <= set(command.split())
    assert re.search(r"^test: [^;]*\bpackages\b[^;]* lint ", MAKEFILE, re.MULTILINE)
