"""Every block and every command of every README is run by a test, by name; and the tests of those that had none."""

import re
import shlex
import subprocess
import sys
from functools import cache

import pytest
from ikev2.config import parse
from tools import HERE, README_FILES, ROOT, device_environment, micropython

from commands.readme_blocks import program

PAGES = [*README_FILES, ROOT / "host_tests/README.md"]
_TWO_FILES = "commands/test_readme.py::test_a_hub_and_a_device_are_two_files_and_two_commands"
# A text that only this block has: which test runs it, or compares it with what is said.
BLOCKS = {
    "make demo     #": "commands/test_demo.py::test_readings_are_published",
    '"remote": ["10.77.0.0/24"]': "commands/test_readme.py::test_a_configuration_tried",
    "await tunnel.close()": "commands/test_readme.py::test_the_program_by_udp",
    '{"sensor-7": {"psk": "what make psk prints"}}': _TWO_FILES,
    '"gateway": "127.0.0.1:14500"': _TWO_FILES,
    "pip install . cryptography\n": "commands/test_readme.py::test_from_a_clone_to_published_in_six_commands_at_most",
    "/usr/sbin/mosquitto -v": "commands/test_readme.py::test_from_a_clone_to_published_in_six_commands_at_most",
    "Ends the tunnel": "commands/test_readme.py::test_a_configuration_tried",
    '"id": "board", "accept"': "commands/test_readme_audit.py::test_a_board_that_accepts",
    "two_boards:": "boards/test_examples.py::test_on_two_boards",
    "ikev2_main.hub.socket(5683)": "boards/test_examples.py::test_on_two_boards",
    "coap: ": "commands/test_readme.py::test_a_sensor_that_sleeps",
    "5. It wakes.": "commands/test_demo.py::test_readme_shows_a_wake_as_it_is",
    "RTC memory, a tunnel": "measure/test_size.py::test_readme_says_what_was_measured",
    "small, boot, nothing": "measure/test_size.py::test_readme_says_what_was_measured",
    "flash, section 1.5 core, frozen": "measure/test_size.py::test_readme_says_what_was_measured",
    "mqtt: published": "boards/test_examples.py::test_on_a_board_through_a_hub",
    "GET /readings": "boards/test_examples.py::test_on_a_board_through_a_hub",
    "measure_and_publish": "peers/test_gateway_streams.py::test_a_reading_after_sleep_by_a_kept_connection",
    "NTP server behind": "commands/test_readme.py::test_a_clock",
    "ikev2.net.udp import": "commands/test_readme.py::test_program_runs_under_the_unix_port",
    "header_fits": "commands/test_readme.py::test_decoding_needs_wire_only",
    '"address": "10.9.0.7"}, "sensor-8"': "commands/test_readme_audit.py::test_a_hub_as_a_service",
    "ExecStart": "commands/test_readme_audit.py::test_a_hub_as_a_service",
    "hub.socket(5683)\n        while": "commands/test_readme_audit.py::test_a_program_with_a_hub",
    "drop-unencrypted: silence": "commands/test_readme.py::test_packets_without_an_sa_are_shown_as_they_are",
    "given = arguments(sys.argv": "commands/test_make.py::test_arguments",
    "name: venv;": "commands/test_make.py::test_make_lists_every_command_in_groups",
}  # fmt: skip
_PICTURES = ("═", "─▶", "──")
COMMANDS = {
    "make bench": "commands/test_readme_audit.py::test_what_takes_long_knows_its_arguments",
    "make board": "boards/test_emulator.py::test_make_board_leaves_nothing_behind",
    "make capture": "commands/test_demo.py::test_the_command_says_how_to_open_it",
    "make demo": "commands/test_demo.py::test_readings_are_published",
    "make deploy": "boards/test_examples.py::test_on_a_board_through_a_hub",
    "make firmware": "boards/test_boards.py::test_firmware_of_an_esp32_says_what_is_missing",
    "make flash": "boards/test_flash.py::test_each_chip_has_its_offset",
    "make gateway": "commands/test_gateway.py::test_strongswan",
    "make hub": "commands/test_readme_audit.py::test_a_hub_as_a_service",
    "make image": "boards/test_image.py::test_image_holds_everything",
    "make mutants": "commands/test_readme_audit.py::test_what_takes_long_knows_its_arguments",
    "make peers": "peers/test_compare.py",
    "make probe": "commands/test_commands.py::test_probe",
    "make psk": "commands/test_cli.py::test_psk",
    "make release": "boards/test_packages.py::test_a_release_is_made_by_one_command",
    "make rules": "golden/test_rules.py::test_all_there_is_of_a_rule",
    "make run": "commands/test_make.py::test_run_hands_on_what_was_given",
    "make size": "measure/test_size.py::test_readme_says_what_was_measured",
    "make test": "commands/test_make.py::test_a_value_is_no_command",
    "make try": "commands/test_readme.py::test_a_configuration_tried",
    "make vectors": "commands/test_commands.py::test_make_vectors_exit_status",
    "make watch": "boards/test_deploy.py::test_watch_shows_what_changes",
    "mpremote mip install": "boards/test_deploy.py::test_mip_installs_the_local_package",
    "python -m ipsec --help": "commands/test_cli.py::test_help_stands_behind_everything",
    "python -m ipsec hub": _TWO_FILES,
    "python -m ipsec psk": "commands/test_cli.py::test_psk",
    "python -m ipsec try": _TWO_FILES,
}  # fmt: skip
_DEVICE = """
import asyncio
from ipsec import Tunnel
async def main():
    tunnel = Tunnel("127.0.0.1:14500", "sensor-7", b"what make psk printed")
    await tunnel.up()
    sock = tunnel.socket()
    await sock.sendto(b"21.5", ("10.9.0.254", 5683))
    print(await asyncio.wait_for(sock.recvfrom(), 10))
    await tunnel.close()
asyncio.run(main())
"""


@cache
def shown():
    """Every block, of any kind, but for pictures."""
    found = [block for page in PAGES for block in re.findall(r"^```\w*\n(.*?)^```$", page.read_text(), re.S | re.M)]
    return [block for block in found if not any(line in block for line in _PICTURES)]


@cache
def commands():
    """The first words of every command in backticks or in a block."""
    text = "\n".join(page.read_text() for page in PAGES)
    words = r"(?:`|^|sudo |\.venv/bin/)(make [a-z]+|python -m ipsec [a-z-]+|mpremote mip install)\b"
    found = re.findall(words, text, re.MULTILINE)
    return sorted(set(found))


def test_every_block_is_run_by_a_test():
    """One key of BLOCKS has each, and each key has one."""
    for block in shown():
        assert [key for key in BLOCKS if key in block], block
    for key in BLOCKS:
        assert [block for block in shown() if key in block], key


def test_every_command_is_run_by_a_test():
    assert commands() == sorted(COMMANDS)


@pytest.mark.parametrize("test", sorted({*BLOCKS.values(), *COMMANDS.values()}))
def test_that_test_is_there(test):
    path, _, name = test.partition("::")
    assert re.search(rf"^def {name or 'test_.*'}\(", (HERE / path).read_text(), re.MULTILINE), test


def test_a_board_that_accepts():
    config = parse(program('"id": "board", "accept"', "json").encode(), weak_psk=False)
    assert list(config["accept"]) == ["sensor-8"] and not config["gateway"]


@pytest.mark.parametrize("shell", ['exec "$0" "$@"', 'trap "" INT; exec "$0" "$@"'])
def test_a_hub_as_a_service(tmp_path, shell):
    """What ExecStart says, with the configuration beside it and the service's folder of credentials.

    SIGTERM ends it, also as a script's job in the background, for which Ctrl-C is ignored.
    """
    (tmp_path / "hub.json").write_text(program('"address": "10.9.0.7"}, "sensor-8"', "json"))
    line = re.search("^ExecStart=(.*)$", program("ExecStart", "ini"), re.MULTILINE)[1]
    python, *words = shlex.split(line.replace("${CREDENTIALS_DIRECTORY}", str(tmp_path)))
    assert python.endswith("/python")
    command = ["sh", "-c", shell, sys.executable, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=device_environment()) as hub:
        try:
            assert hub.stdout.readline() == "hub.example, inside 10.9.0.254: waiting for 2 peers\n"
            hub.terminate()
            assert hub.wait(60) == 0
        finally:
            hub.kill()


def test_a_program_with_a_hub(tmp_path):
    """On MicroPython, with a device on MicroPython."""
    texts = {"hub.py": program("hub.socket(5683)\n        while"), "device.py": _DEVICE}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "env": device_environment()}
    with subprocess.Popen([micropython(), tmp_path / "hub.py"], **options) as hub:
        try:
            device = subprocess.run([micropython(), tmp_path / "device.py"], timeout=60, **options)
            assert device.stdout == "(b'on', ('10.9.0.254', 5683))\n"
            assert hub.stdout.readline() == "sensor-7 b'21.5'\n"
        finally:
            hub.kill()


@pytest.mark.parametrize("command", ["bench", "mutants"])
def test_what_takes_long_knows_its_arguments(command):
    """No more of these is run here: one measures speed, the other takes hours."""
    ran = subprocess.run([sys.executable, "-m", f"measure.{command}", "COLOUR=red"], capture_output=True, text=True,
                         env=device_environment(), cwd=ROOT)  # fmt: skip
    assert ran.returncode and "COLOUR=red: this command takes" in ran.stderr, ran
