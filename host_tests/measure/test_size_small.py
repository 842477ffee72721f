"""What befalls a tunnel in a stock ESP32's memory; what it takes there stands in test_size.py."""

from measure import size_small

MARGIN = 1.02  # by where names and code come to lie


def test_rekeys_a_failed_attempt_and_a_thousand_datagrams():
    """Whatever befalls the tunnel, the network keeps its room, and what came for it goes again."""
    steps = {step: figures for step, *figures in size_small.life()}
    for step, (_, free, lowest) in steps.items():
        assert free >= 30 * 1024 and lowest >= 28 * 1024, step
    assert steps["after 1,000 datagrams"][0] <= 98000 * MARGIN


def test_rekeys_with_modp_2048():
    live, free, lowest = size_small.modp2048()
    assert free >= 30 * 1024 and lowest >= 28 * 1024 and live <= 105000 * MARGIN


def test_renewal():
    live, free, lowest = size_small.renewal()
    assert free >= 30 * 1024 and lowest >= 28 * 1024 and live <= 110000


def test_a_gateway_that_lost_power():
    """K6: the new tunnel is made beside the old one, twice."""
    for live, free, lowest in size_small.losses(2):
        assert free >= 30 * 1024 and lowest >= 28 * 1024 and live <= 98000 * MARGIN


def test_a_gateway_with_modp_2048_alone_that_lost_power():
    """The most that an attempt takes. What the heap may take for a moment it gives back."""
    for live, free, _ in size_small.losses(2, groups=(14,)):
        assert free >= 30 * 1024 and live <= 98000 * MARGIN


def test_wakings_with_kept_keys():
    """Z3, Z5: three in a row, without a handshake."""
    for live, free, lowest in size_small.wakings(3):
        assert free >= 30 * 1024 and lowest >= 28 * 1024 and live <= 98000 * MARGIN


def test_a_connection_outlives_rekeys_and_a_new_tunnel():
    """V10: one connection by asyncio, in 18 KB, and 15 of the pool stay; nothing of it is sent twice or lost."""
    steps = {step: figures for step, *figures in size_small.stream()}
    for step, (live, free, lowest) in steps.items():
        assert free >= 15 * 1024 and lowest >= 12 * 1024, step
        assert live <= steps["tunnel up"][0] + 18 * 1024 * MARGIN, step


def test_streams_want_more_and_the_board_says_so():
    program = """
import asyncio, ikev2_main
async def program():
    tunnel = await ikev2_main.up()
    own = [bytearray(512) for _ in range(64)]
    try:
        await tunnel.open_connection("10.77.0.1", 1883)
    except (OSError, MemoryError) as error:
        print("no connection: %s" % error)
    await asyncio.sleep(60)
ikev2_main.run(program())
"""
    with size_small.scene(program=program, config=size_small.STREAMS) as device:
        device.until(r"datagrams are lost: no room, \d+ octets free")


def test_a_heap_that_takes_what_the_network_lives_on_is_given_back_by_a_reset_k13():
    """Once it has grown by all there is, anything in the new part keeps it, and nothing is received any more."""
    program = """
import asyncio, esp32, gc, ikev2_main
def pool():
    return esp32.idf_heap_info(esp32.HEAP_DATA)[0][1]
async def program():
    tunnel = await ikev2_main.up()
    held = []
    while pool() > 2000:
        held.append(bytearray(500))
    held[:-1] = []
    gc.collect()
    print("taken: %d are left" % pool())
    sock = tunnel.socket()
    while held:
        try:
            await sock.sendto(b"", ("10.77.0.1", 7))
        except OSError as error:
            print("not sent: %s" % error)
        await asyncio.sleep(1)
ikev2_main.run(program())
"""
    with size_small.scene(program=program, config={"liveness_s": 1}) as device:
        device.until(r"taken: \d+ are left")
        device.until("the network has no memory, and the gateway does not answer: reset")
        device.until("tunnel up, ")


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
    ours = {name for name in loaded if name.startswith(("ikev2", "ipsec", "inside"))}
    assert ours == {"ikev2_core", "ikev2_main", "ikev2_memory", "ikev2_sleep", "ikev2_crypto_limbs", "ipsec"}
