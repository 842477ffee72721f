"""What a tunnel takes of a stock ESP32's memory, measured on the emulated board of that size."""

import pytest

from measure import size_small

MARGIN = 1.02  # by where names and code come to lie


@pytest.fixture(scope="module")
def measured():
    """{step: (live, free, lowest)}."""
    return {step: figures for step, *figures in size_small.rows()}


def test_section_1_5(measured):
    live, free, lowest = measured["section 1.5, network joined"]
    assert live <= 57000 * MARGIN and min(free, lowest) >= 5000


def test_a_tunnel_beside_a_program_of_10_kb(measured):
    """It comes up, carries datagrams, and the network keeps room in what they share."""
    for step in ("tunnel up", "after 100 datagrams"):
        _, free, lowest = measured[step]
        assert min(free, lowest) >= 1500, step
    live, _, _ = measured["after 100 datagrams"]
    assert 100000 < live <= 113500 * MARGIN


def test_rekeys_a_failed_attempt_and_a_thousand_datagrams():
    """Whatever befalls the tunnel, the network keeps its room, and what came for it goes again."""
    steps = {step: figures for step, *figures in size_small.life()}
    for step, (_, free, lowest) in steps.items():
        assert min(free, lowest) >= 1500, step
    assert steps["after 1,000 datagrams"][0] <= 115000 * MARGIN


def test_renewal():
    live, free, lowest = size_small.renewal()
    assert min(free, lowest) >= 1500 and live <= 135000


def test_what_makes_sas_is_dropped():
    program = """
import asyncio, sys, ikev2_main
async def program():
    await ikev2_main.up()
    await asyncio.sleep(1)
    print("loaded: " + " ".join(sorted(sys.modules)) + ".")
    await asyncio.sleep(60)
ikev2_main.run(program())
"""
    with size_small.scene(program=program) as device:
        loaded = device.until(r"loaded: (.*)\.\r")[1].split()
    assert "ipsec" in loaded
    assert not {"ikev2_attempt", "ikev2_exchange", "ikev2_config", "ikev2_sa_reasons"} & set(loaded)
