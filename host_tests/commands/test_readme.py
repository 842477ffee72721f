"""The README's programs run under the MicroPython unix port as they stand there."""

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


_SENSOR = """
import sys
sys.path.append(%r)
from boards import fakes
fakes.install()
import ikev2_main, ikev2_sleep
udp = ikev2_main.Udp
ikev2_main.Udp = lambda node, **options: udp(node, local={500: 45600, 4500: 45601}, **options)
def deepsleep(ms):
    print("sleeps for", ms)
    raise KeyboardInterrupt
ikev2_sleep.deepsleep = deepsleep
exec(%r, {"__name__": "__main__"})
print(len(fakes.Rtc.octets), "octets are kept")
"""


def program(word):
    """The README's program with that word in it."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return next(block for block in blocks if word in block)


def said(text, folder):
    """What that program prints."""
    path = folder / "program.py"
    path.write_text(text)
    done = subprocess.run(
        [micropython(), path], capture_output=True, text=True, env=device_environment(), timeout=120, cwd=folder
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_program_runs_under_the_unix_port(tmp_path):
    text = program("ikev2.udp")
    assert len(text.splitlines()) < 25
    # Ports that need no root, and an end; nothing else is changed.
    assert "served" in said(_AROUND % text, tmp_path)


def test_sensor_keeps_its_table_and_sleeps(tmp_path):
    text = program("sleep(600000)").replace("sleep(5)", "sleep(0)")
    printed = said(_SENSOR % (str(ROOT / "firmware"), text), tmp_path)
    assert "measured, sent" in printed and "sleeps for 600000" in printed and "803 octets are kept" in printed


def test_decoding_needs_wire_only(tmp_path):
    assert said(program("header_fits"), tmp_path).split() == ["1111222233334444", "True", "4"]
