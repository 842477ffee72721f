"""What the library may take of a board, measured on the emulated one: flash, RAM, instructions."""

import re

import pytest
import size
from tools import ROOT

ANSWERS = ("invalid-spi", "invalid-ike-spi", "invalid-major-version")


@pytest.fixture(scope="module")
def instructions():
    return size.instructions()


def test_flash_of_the_core():
    sizes = size.flash()
    assert set(size.CORE) <= set(sizes)
    assert sum(sizes[name] for name in size.CORE) <= 14 * 1024


def test_ram_of_a_node_with_16_ike_sas_and_32_child_sas():
    imported, filled = size.ram()
    assert 0 < imported and 0 < filled <= 6 * 1024


def test_answers(instructions):
    assert max(instructions[verdict] for verdict in ANSWERS) <= 12000


def test_cheap_drops_are_the_cheapest(instructions):
    assert instructions["drop-malformed"] <= 4000
    assert max(instructions["drop-malformed"], instructions["drop-unencrypted"]) * 3 <= instructions["invalid-ike-spi"]


def test_readme_says_what_was_measured():
    """Instructions may differ a little with what else the firmware holds."""
    readme = (ROOT / "README.md").read_text()
    said = re.findall(r"^(\S.*?) {2,}([0-9,]+) (?:octets|instructions)$", readme, re.MULTILINE)
    measured = {what: number for what, number, _ in size.figures()}
    assert len(said) > 15
    for what, number in said:
        assert abs(int(number.replace(",", "")) - measured[what]) <= 0.1 * measured[what], what
