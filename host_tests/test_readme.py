"""The README's asyncio program runs under the MicroPython unix port as it stands there."""

import re
import subprocess

from tools import ROOT, device_environment, micropython

_AROUND = """
import asyncio
import ikev2.udp
_udp, _run = ikev2.udp.Udp, asyncio.run
ikev2.udp.Udp = lambda node, **options: _udp(node, local={500: 45600, 4500: 45601}, **options)
asyncio.run = lambda task: _run(asyncio.wait_for(task, 1))
try:
    exec(%r, {"__name__": "__main__"})
except asyncio.TimeoutError:
    print("served")
"""


def test_program_runs_under_the_unix_port(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    program = next(block for block in blocks if "ikev2.udp" in block)
    assert len(program.splitlines()) < 25
    # Ports that need no root, and an end; nothing else is changed.
    path = tmp_path / "program.py"
    path.write_text(_AROUND % program)
    done = subprocess.run([micropython(), path], capture_output=True, text=True, env=device_environment(), timeout=20)
    assert done.returncode == 0 and "served" in done.stdout, done.stdout + done.stderr
