"""Look-ups by peer and by SPI: NAT, several SAs with one address, both roles, every octet that must agree."""

import itertools

import pytest
from ikev2.spi_table import SpiTable

SPI_I, SPI_R = bytes.fromhex("1111222233334444"), bytes.fromhex("5555666677778888")
HOST, OTHER = bytes((192, 0, 2, 1)), bytes((192, 0, 3, 1))  # both in one bucket
HOST6 = bytes.fromhex("20010db8000000000000000000000001")


def port(number):
    return number.to_bytes(2, "big")


def table(*peers, established=True):
    """A table whose IKE SA i has peer i."""
    made = SpiTable(4, 8, 16)
    for i, peer in enumerate(peers):
        assert made.adopt_ike(SPI_I[:7] + bytes((i,)), SPI_R[:7] + bytes((i,)), True, peer, established) == i
    return made


@pytest.mark.parametrize("host", [HOST, HOST6])
def test_ports_of_the_host_itself_are_one_s1_1(host):
    for its in (500, 4500):
        sas = table(host + port(its))
        assert [sas.find_peer(host + port(asked)) for asked in (500, 4500, 0)] == [0, 0, 0]
        assert [sas.find_peer(host + port(asked)) for asked in (1, 499, 501, 4499, 4501, 500 + 256, 61001)] == [-1] * 7


@pytest.mark.parametrize("host", [HOST, HOST6])
def test_a_port_of_a_nat_is_one_peer_s1_1(host):
    sas = table(host + port(61001))
    assert sas.find_peer(host + port(61001)) == 0 and sas.find_peer(host + port(0)) == 0
    assert [sas.find_peer(host + port(asked)) for asked in (61002, 61001 - 256, 500, 4500)] == [-1] * 4


def test_two_behind_one_nat_and_the_newest_of_one_peer_s1_1():
    sas = table(HOST + port(61001), HOST + port(61002), HOST + port(4500), HOST + port(500))
    for slot, asked in enumerate((61001, 61002, 4500, 500)):
        assert sas.find_peer(HOST + port(asked)) == slot
    assert sas.find_peer(HOST + port(0)) == 3 and sas.find_peer(HOST + port(9)) == -1
    sas.remove_ike(3)
    assert sas.find_peer(HOST + port(500)) == 2 and sas.find_peer(HOST + port(0)) == 2


def test_only_established_and_only_that_address_s1_1_s1_4():
    sas = table(HOST + port(500), established=False)
    assert sas.find_peer(HOST + port(500)) == -1
    sas = table(OTHER + port(500), HOST + port(500))
    assert sas.find_peer(HOST + port(500)) == 1 and sas.find_peer(OTHER + port(500)) == 0
    for i, step in itertools.product(range(4), (1, 0x80)):
        other = bytearray(HOST)
        other[i] ^= step
        assert sas.find_peer(bytes(other) + port(500)) == (0 if other == OTHER else -1)
    sas.update_ike(0, established=False)
    assert sas.find_peer(OTHER + port(500)) == -1
    # Both families have their addresses for themselves, whatever bucket they share.
    sas = table(HOST6 + port(500))
    assert sas.find_peer(HOST6[:4] + port(500)) == -1 and sas.find_peer(HOST6[12:] + port(500)) == -1


@pytest.mark.parametrize("initiator", [True, False])
@pytest.mark.parametrize("host", [HOST, HOST6])
def test_matches_needs_both_spis_and_the_address_r7(initiator, host):
    sas = SpiTable(4, 4, 16)
    slot = sas.adopt_ike(SPI_I, SPI_R, initiator, host + port(500))
    octets = b"xyz" + SPI_I + SPI_R
    assert sas.matches(slot, octets, 3, host + port(500)) and sas.matches(slot, octets, 3, host + port(9))
    for i in range(16):
        other = bytearray(octets)
        other[3 + i] ^= 0x40
        assert not sas.matches(slot, other, 3, host + port(500))
    assert not sas.matches(slot, b"xyz" + SPI_R + SPI_I, 3, host + port(500))
    for i in range(len(host)):
        other = bytearray(host)
        other[i] ^= 1
        assert not sas.matches(slot, octets, 3, bytes(other) + port(500))
    with pytest.raises(ValueError, match="no entry in slot"):
        sas.matches(3 - slot if slot in (1, 2) else (slot + 1) % 4, octets, 3, host + port(500))


def test_the_sa_that_sends_to_an_spi_r6():
    sas = table(HOST + port(500), OTHER + port(500), HOST + port(61001))
    spis = {}
    for number in range(6):
        spi_out = bytes((9, 8, 7, number))
        sas.adopt_child(number % 3, 50 + number % 2, bytes((1, 1, 1, number)), spi_out)
        spis[spi_out] = number % 3
    for spi_out, slot in spis.items():
        at_its, at_other = (HOST, OTHER) if slot != 1 else (OTHER, HOST)
        assert sas.find_outbound(at_its + port(1), b"--" + spi_out, 2) == slot
        assert sas.find_outbound(at_other + port(500), spi_out, 0) == -1
        for i in range(4):
            other = bytearray(spi_out)
            other[i] ^= 0x40
            assert sas.find_outbound(at_its + port(500), other, 0) == -1
    assert sas.find_outbound(bytes((192, 0, 2, 9)) + port(500), bytes((9, 8, 7, 0)), 0) == -1
    assert sas.find_outbound(bytes((192, 9, 2, 1)) + port(500), bytes((9, 8, 7, 0)), 0) == -1


@pytest.mark.parametrize("host", [HOST, HOST6])
def test_where_a_peer_is_p6(host):
    sas = table(host + port(500))
    assert sas.is_at(0, host + port(500), 500) and not sas.is_at(0, host + port(500), 4500)
    assert not sas.is_at(0, host + port(501), 500) and not sas.is_at(0, host + port(500 + 256), 500)
    for i in range(len(host)):
        other = bytearray(host)
        other[i] ^= 1
        assert not sas.is_at(0, bytes(other) + port(500), 500)
    sas.update_ike(0, via=4500)
    assert sas.is_at(0, host + port(500), 4500) and not sas.is_at(0, host + port(500), 500)
    # To the other family it cannot move.
    assert sas.is_at(0, (HOST if host is HOST6 else HOST6) + port(500), 500)


def header(exchange=34, message_id=0):
    return SPI_I + bytes(8) + bytes((33, 0x20, exchange, 0x20)) + message_id.to_bytes(4, "big") + bytes(4)


@pytest.mark.parametrize("host", [HOST, HOST6])
def test_who_waits_for_the_answer_to_its_ike_sa_init(host):
    sas = table(host + port(500), established=False)
    assert sas.awaits_init(0, b"---" + header(), 3, host + port(500)) and sas.awaits_init(
        0, header(), 0, host + port(9)
    )
    assert not sas.awaits_init(0, header(35), 0, host + port(500))
    for i in range(4):
        assert not sas.awaits_init(0, header(message_id=1 << 8 * i), 0, host + port(500))
    other = bytearray(host)
    other[-1] ^= 1
    assert not sas.awaits_init(0, header(), 0, bytes(other) + port(500))
    sas.update_ike(0, established=True)
    assert not sas.awaits_init(0, header(), 0, host + port(500))


def test_octets_of_a_snapshot_are_what_readme_says():
    """They decide how many SAs go into RTC memory."""
    for ike, child, address in ((16, 32, 4), (1, 1, 16), (42, 85, 4)):
        assert len(SpiTable(ike, child, address).snapshot()) == 8 + ike * (22 + address) + child * 11


def test_the_newest_is_in_slot_0_s1_1():
    sas = SpiTable(4, 4)
    for home in (1, 0):
        assert sas.adopt_ike(SPI_I[:7] + bytes((home,)), SPI_R, True, HOST + port(500), True) == home
    assert [sas.find_peer(HOST + port(asked)) for asked in (0, 500, 4500)] == [0, 0, 0]


def test_the_newest_is_the_one_entered_last_whenever_it_was_established():
    table = SpiTable(2, 1)
    peer = bytes((192, 0, 2, 1)) + port(500)
    older = table.adopt_ike(bytes(range(1, 9)), bytes(8), True, peer)
    newer = table.adopt_ike(bytes(range(11, 19)), bytes(8), True, peer, established=True)
    table.update_ike(older, established=True)
    assert table.find_peer(peer) == newer
