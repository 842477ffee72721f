"""The stubs of the library: they say what is there, users' programs pass, mistakes are found; boards have none."""

import os
import re
import subprocess
import sys

import pytest
from tools import BUILD, ROOT

from commands.readme_blocks import blocks

# What no stub can say: names that MicroPython has, and what there is at type checking only.
_ALLOWED = r"""
ikev2\.net\.sockets\..*
inside\.tls\..*
ikev2\.contracts
ikev2\.config\.Config
ipsec\.tunnel\.Tunnel\.(resolve|open_connection|start_server|sockets|connections)
"""
_MISTAKES = """
import asyncio

from ipsec import Tunnel


async def main() -> None:
    tunnel = Tunnel("vpn.example.org", "sensor-7", "a psk that is no octets")
    await tunnel.up()
    sock = tunnel.socket("5683")
    await sock.sendto(b"21.5", "10.77.0.1")


asyncio.run(main())
"""


def mypy(module, folder, *arguments):
    """(exit status, lines) of a program of mypy's."""
    environment = {**os.environ, "MYPYPATH": str(ROOT / "lib"), "PYTHONPATH": str(ROOT / "lib")}
    done = subprocess.run([sys.executable, "-m", module, *arguments], cwd=folder, env=environment, capture_output=True,
                          text=True)  # fmt: skip
    return done.returncode, (done.stdout + done.stderr).splitlines()


def checked(text, folder, *arguments):
    """The lines in which mypy finds something wrong with a program."""
    (folder / "program.py").write_text(text)
    options = f"--cache-dir={BUILD / 'mypy'}", "--follow-imports=silent", "--no-error-summary", *arguments
    status, lines = mypy("mypy", folder, *options, "program.py")
    wrong = [int(re.match(r"program\.py:([0-9]+): error: ", line)[1]) for line in lines if ": note: " not in line]
    assert bool(status) == bool(wrong), lines
    return wrong


def test_the_stubs_say_what_is_there(tmp_path):
    (tmp_path / "mypy.ini").write_text("[mypy]\nignore_errors = True\n")  # of modules, which are MicroPython's
    (tmp_path / "allowed").write_text(_ALLOWED)
    options = "--mypy-config-file", "mypy.ini", "--ignore-missing-stub", "--concise", "--allowlist", "allowed"
    status, lines = mypy("mypy.stubtest", tmp_path, *options, "ikev2", "inside", "ipsec")
    assert status == 0, lines


@pytest.mark.parametrize("text", blocks("python"), ids=lambda text: text.strip().splitlines()[-1][:40])
def test_programs_of_the_readmes(tmp_path, text):
    """As they stand there; what only a board has is anything."""
    assert checked(text, tmp_path, "--check-untyped-defs", "--disable-error-code=import-not-found") == []


def test_mistakes_are_found(tmp_path):
    """A psk that is no octets, a port that is no number, an address without a port; in a program that is right else."""
    assert checked(_MISTAKES, tmp_path, "--strict") == [8, 10, 11]
    right = _MISTAKES.replace('"a psk', 'b"a psk').replace('"5683"', "5683").replace('"10.77.0.1"', '("10.77.0.1", 7)')
    assert checked(right, tmp_path, "--strict") == []
