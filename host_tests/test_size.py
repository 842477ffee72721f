"""What the library may take of a board, measured on the emulated one: flash, RAM, instructions."""

import pytest
import size

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
