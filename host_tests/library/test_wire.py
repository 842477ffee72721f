"""Octets of RFC 7296 in place: lengths over 255, every offset, what stands beside what is read or written."""

import pytest
from ikev2 import wire

HEADER = bytes.fromhex("1111222233334444 5555666677778888 2e202508 00000007")


def message(payload=b"", size=None, first=wire.NOTIFY):
    """An IKE message that says it has `size` octets."""
    size = 28 + len(payload) if size is None else size
    return HEADER[:16] + bytes((first,)) + HEADER[17:] + size.to_bytes(4, "big") + payload


def notify(kind, spi=b"", data=b"", size=None, following=0):
    """A Notify payload that says it has `size` octets."""
    size = 8 + len(spi) + len(data) if size is None else size
    return bytes((following, 0)) + size.to_bytes(2, "big") + bytes((3, len(spi))) + kind.to_bytes(2, "big") + spi + data


@pytest.mark.parametrize("at", [0, 3])
@pytest.mark.parametrize("size", [28, 29, 255, 256, 257, 511, 0x1234, 0xFFFF])
def test_header_fits_at_every_length_f4(at, size):
    octets = bytes(at) + message(bytes(size - 28))
    assert wire.header_fits(octets, at, len(octets))
    assert not wire.header_fits(octets + b"\0", at, len(octets) + 1)
    assert not wire.header_fits(octets, at, len(octets) - 1)
    for other in (size ^ 0x100, size ^ 1, size | 0x10000, size | 0x1000000):
        wrong = octets[: at + 24] + other.to_bytes(4, "big") + octets[at + 28 :]
        assert not wire.header_fits(wrong, at, len(wrong)), hex(other)


def test_a_header_that_is_not_whole_does_not_fit_f4():
    for size in range(28):
        assert not wire.header_fits(message(size=size)[:size], 0, size)
        assert not wire.header_fits(bytes(4) + message(size=size), 4, 4 + size)


@pytest.mark.parametrize("at", [0, 4])
@pytest.mark.parametrize("spi", [b"", b"abcd", bytes(200)])
@pytest.mark.parametrize("kind", [4, 11, 0x0104, 16384, 0xFFFF])
@pytest.mark.parametrize("data", [b"", b"dcba", bytes(300)])
def test_lone_notify_whatever_its_type_and_length_r9(at, spi, kind, data):
    octets = bytes(at) + message(notify(kind, spi, data))
    assert wire.lone_notify(octets, at, len(octets)) == kind
    assert octets[wire.notify_data(octets, at) :] == data


@pytest.mark.parametrize(
    "octets",
    [
        message(notify(11), first=46),
        message(notify(11, following=41)),
        message(notify(11)[:7]),
        message(notify(11)[:4]),
        message(),
        message(notify(11, data=b"1234", size=11)),
        message(notify(11, data=b"1234", size=13)),
        message(notify(11, data=b"1234", size=12 + 256)),
        message(notify(11, data=bytes(256), size=8)),
        message(notify(11, spi=b"1234")[:-1]),
        message(notify(11, data=b"1234")[:5] + b"\5" + notify(11, data=b"1234")[6:]),
        message(notify(11) + notify(11)),
    ],
)
def test_anything_else_is_no_lone_notify_r9(octets):
    assert wire.lone_notify(octets, 0, len(octets)) == 0
    assert wire.lone_notify(bytes(4) + octets, 4, 4 + len(octets)) == 0


def test_a_notify_of_its_least_size_and_an_spi_that_fills_it_r9():
    for payload in (notify(5), notify(5, spi=b"1234")):
        octets = message(payload)
        assert wire.lone_notify(octets, 0, len(octets)) == 5
        assert wire.notify_data(octets, 0) == len(octets)


@pytest.mark.parametrize("at", [0, 4])
def test_answer_is_the_question_edited_s2_5_s2_6_s2_7_s2_8(at):
    for flags in range(256):
        check_answer(at, flags)


def check_answer(at, flags):
    request = bytes(at) + HEADER[:17] + b"\x2f" + HEADER[18:19] + bytes((flags,)) + b"\1\2\3\4" + bytes(60)
    blank = wire.blank_answer(at)
    assert len(blank) == at + 36
    wire.answer(blank, request, at, 4)
    want = bytes(at) + HEADER[:16] + bytes((41, 0x20, 37, 0x20 if flags & 8 else 0x28)) + b"\1\2\3\4"
    assert blank == want + bytes.fromhex("00000024 00000008 00000004")
    wire.answer(blank, request, at, 5)
    assert blank == want + bytes.fromhex("00000024 00000008 00000005")


@pytest.mark.parametrize("at", [0, 4])
def test_one_way_invalid_spi_s1_2_s1_3_s1_7(at):
    out = wire.blank_invalid_spi(at)
    assert out == bytes(at + 16) + bytes.fromhex("29202508 00000000 00000028 0000000c 0000000b 00000000")
    assert wire.lone_notify(out, at, len(out)) == wire.INVALID_SPI and wire.notify_data(out, at) == len(out) - 4


def test_numbers_of_the_rfcs():
    """RFC 7296 sections 3.1, 3.2, 3.10.1; RFC 5723; RFC 7383; IP protocols."""
    assert (wire.PORT, wire.PORT_NAT, wire.ESP, wire.AH) == (500, 4500, 50, 51)
    assert (wire.IKE_SA_INIT, wire.IKE_AUTH, wire.CREATE_CHILD_SA, wire.INFORMATIONAL) == (34, 35, 36, 37)
    assert wire.IKE_SESSION_RESUME == 38
    assert (wire.NOTIFY, wire.SK, wire.SKF) == (41, 46, 53)
    assert (wire.INVALID_IKE_SPI, wire.INVALID_MAJOR_VERSION, wire.INVALID_SPI) == (4, 5, 11)
    assert (wire.INITIATOR, wire.RESPONSE, wire.VERSION_2) == (0x08, 0x20, 0x20)
    assert (wire.SPI_I, wire.SPI_R, wire.NEXT_PAYLOAD, wire.VERSION, wire.EXCHANGE, wire.FLAGS) == (
        0,
        8,
        16,
        17,
        18,
        19,
    )
    assert (wire.MESSAGE_ID, wire.LENGTH, wire.HEADER, wire.MARKER, wire.AH_SPI) == (20, 24, 28, 4, 4)
    assert (wire.ANSWER, wire.INVALID_SPI_MESSAGE) == (36, 40)
