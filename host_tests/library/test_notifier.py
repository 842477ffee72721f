"""The decision table by itself: every question from both sides, with the SAs in slot 0 and with none."""

import itertools

import pytest
from ikev2 import wire
from ikev2.hints import Hints
from ikev2.notifier import VERDICTS, Notifier, usable
from ikev2.spi_table import SpiTable

PEER = bytes((192, 0, 2, 1, 1, 0xF4))
PEER6 = bytes.fromhex("20010db8000000000000000000000001 01f4")
STRANGER = bytes((198, 51, 100, 7, 1, 0xF4))
SPI_I, SPI_R = bytes.fromhex("1111222233334444"), bytes.fromhex("5555666677778888")
UNKNOWN = bytes.fromhex("99aa99aa99aa99aa")
SPI_IN, SPI_OUT = bytes.fromhex("c0ffee01"), bytes.fromhex("0badcafe")
FROM_I, R = 0x08, 0x20


class Allow:
    """A budget that says what it is told, and remembers who asked."""

    def __init__(self):
        self.answer, self.asked = True, []

    def allow(self, source, kind, now):
        self.asked.append((bytes(source), now))
        return self.answer


def world(initiator=True, established=True, protocol=50, peer=PEER, known=True):
    """A notifier over a table with one IKE SA and one Child SA, both in slot 0; `known` False: over an empty one."""
    table = SpiTable(4, 4, 16)
    if known:
        assert table.adopt_ike(SPI_I, SPI_R, initiator, peer, established) == 0
        assert table.adopt_child(0, protocol, SPI_IN[:3] + b"\0", SPI_OUT) == 0
    budget = Allow()
    notifier = Notifier(table, budget, [80, 0, 0, 0])
    notifier.budget = budget
    return notifier


def ike(
    spi_i=UNKNOWN,
    spi_r=UNKNOWN,
    first=46,
    version=0x20,
    exchange=37,
    flags=FROM_I,
    message_id=7,
    body=bytes(52),
    marker=0,
):
    """A message; `marker` octets of zero in front."""
    size = 28 + len(body)
    header = spi_i + spi_r + bytes((first, version, exchange, flags))
    return bytes(marker) + header + message_id.to_bytes(4, "big") + size.to_bytes(4, "big") + body


def notify(kind, data=b""):
    return bytes((0, 0, 0, 8 + len(data), 0, 0)) + kind.to_bytes(2, "big") + data


def verdict(notifier, via, datagram, source=PEER, now=5):
    return VERDICTS[notifier.decide(via, source, datagram, len(datagram), now)]


@pytest.mark.parametrize("via", [500, 4500, 50, 51])
def test_sources_that_can_be_answered_f6(via):
    port = bytes(2) if via < 100 else b"\0\1"
    for first in (1, 10, 127, 192, 223, 240, 254):
        assert usable(via, bytes((first, 0, 0, 1)) + port)
        assert verdict(world(), via, b"", bytes((first, 0, 0, 1)) + port) == "drop-empty"
    assert usable(via, bytes((255, 255, 255, 254)) + port) and usable(via, bytes((0, 0, 0, 1)) + port)
    assert usable(via, bytes((7, 7, 7, 7)) + port)
    for text in ("20010db8" + "00" * 11 + "01", "00" * 15 + "01", "fe80" + "00" * 13 + "01", "e0" * 15 + "01"):
        assert usable(via, bytes.fromhex(text) + port)


@pytest.mark.parametrize("via", [500, 4500, 50, 51])
def test_sources_that_cannot_be_answered_f6(via):
    port = bytes(2) if via < 100 else b"\1\0"
    wrong = [bytes(4), b"\xff" * 4, bytes((224, 0, 0, 1)), bytes((239, 255, 255, 255)), bytes(16)]
    wrong += [b"\xff\2" + bytes(13) + b"\1", b"\xff" * 16]
    for address in wrong:
        assert not usable(via, address + port)
        assert verdict(world(), via, b"x", address + port) == "drop-source"


def test_port_0_is_no_port_but_for_bare_esp_and_ah_f6():
    for address in (PEER[:4], PEER6[:16]):
        for via in (500, 4500):
            assert not usable(via, address + bytes(2))
            assert verdict(world(), via, b"x", address + bytes(2)) == "drop-source"
            assert usable(via, address + b"\1\0") and usable(via, address + b"\0\1")
        assert usable(50, address + bytes(2)) and usable(51, address + bytes(2))


@pytest.mark.parametrize("initiator", [True, False])
@pytest.mark.parametrize("marker", [0, 4])
def test_a_message_for_the_ike_sa_in_slot_0_s2_9(initiator, marker):
    via = 4500 if marker else 500
    theirs = 0 if initiator else FROM_I
    for flags, first in itertools.product((theirs, theirs | R, theirs | 0x10 | 0xC7), (46, 53)):
        notifier = world(initiator)
        message = ike(SPI_I, SPI_R, first, flags=flags & 0xF7 | theirs, marker=marker)
        assert verdict(notifier, via, message) == "deliver-ike" and notifier.slot == 0
    notifier = world(initiator)
    assert verdict(notifier, via, ike(SPI_I, SPI_R, 41, flags=theirs, body=notify(11, SPI_OUT), marker=marker)) in (
        "drop-unencrypted", "hint-invalid-spi",
    )  # fmt: skip
    assert verdict(notifier, via, ike(SPI_I, SPI_R, 41, flags=theirs | R, marker=marker)) == "drop-unencrypted"
    # With the I flag the other way round it is another SPI that must be ours.
    assert verdict(notifier, via, ike(SPI_I, SPI_R, flags=theirs ^ FROM_I, marker=marker)) == "invalid-ike-spi"
    assert notifier.slot == -1


@pytest.mark.parametrize("marker", [0, 4])
def test_an_encrypted_request_with_unknown_spis_s2_2_s2_4_s2_5(marker):
    notifier = world(known=False)
    for first, exchange, flags in itertools.product((46, 53), (35, 36, 37, 43, 255), (0, FROM_I, 0xDF)):
        message = ike(first=first, exchange=exchange, flags=flags, marker=marker)
        assert verdict(notifier, 4500 if marker else 500, message, STRANGER) == "invalid-ike-spi"
        assert notifier.out[: marker + 16] == message[: marker + 16] and len(notifier.out) == marker + 36
        assert notifier.out[marker + 18] == exchange and notifier.out[marker + 20 : marker + 24] == b"\0\0\0\7"
        assert (notifier.to, notifier.via) == (STRANGER, 4500 if marker else 500)
    assert notifier.budget.asked[0] == (STRANGER, 5)


def test_each_first_payload_and_exchange_that_is_no_case_2_s2_1_s2_2():
    for first, exchange in itertools.product(range(256), (34, 35, 37, 38)):
        message = ike(first=first, exchange=exchange, body=bytes(60))
        encrypted, starts = first in (46, 53), exchange in (34, 38)
        want = "deliver-init" if starts else "invalid-ike-spi" if encrypted else "drop-unencrypted"
        assert verdict(world(known=False), 500, message, STRANGER) == want, (first, exchange)
        response = ike(first=first, exchange=exchange, flags=R)
        assert verdict(world(known=False), 500, response, STRANGER) == "drop-response"


def test_spi_i_of_zero_asks_for_nothing_s2_1():
    assert verdict(world(), 500, ike(bytes(8))) == "drop-malformed"
    for i in range(8):
        spi = bytearray(8)
        spi[i] = 1
        # Its first four octets at 0 are a marker on 4500 only.
        assert verdict(world(), 500, ike(bytes(spi))) == "invalid-ike-spi"


@pytest.mark.parametrize("version", range(0, 256, 7))
def test_versions_s3_1_s3_2_s3_4_s3_5(version):
    for spis in ((UNKNOWN, UNKNOWN), (SPI_I, SPI_R), (bytes(8), bytes(8))):
        got = verdict(world(), 500, ike(*spis, first=0, version=version, exchange=34, body=bytes(8)), STRANGER)
        if version < 0x20:
            assert got == "drop-old-version"
        elif version >= 0x30:
            assert got == "invalid-major-version"
        else:
            assert got != "invalid-major-version" and "version" not in got
    if version >= 0x30:
        assert verdict(world(), 500, ike(version=version, flags=R)) == "drop-response"  # S3.3


@pytest.mark.parametrize("marker", [0, 4])
@pytest.mark.parametrize("version", [0x20, 0x30])
def test_no_answer_is_longer_than_its_question_l2(marker, version):
    for size in range(12):
        message = ike(version=version, body=bytes(size), marker=marker)
        want = "drop-amplification" if size < 8 else "invalid-ike-spi" if version == 0x20 else "invalid-major-version"
        notifier = world()
        assert verdict(notifier, 4500 if marker else 500, message, STRANGER) == want
        assert bool(notifier.out) == (size >= 8) == bool(notifier.budget.asked)


@pytest.mark.parametrize(("via", "front", "least"), [(50, 0, 48), (51, 4, 48), (4500, 0, 44)])
def test_case_1_from_its_least_size_on_l2_s1_2_s1_5(via, front, least):
    for size in range(8 + front, least + 3):
        packet = b"\1" * front + b"\xde\xad\xbe\xef" + bytes(size - 4 - front)
        notifier = world()
        source = STRANGER[:4] + (bytes(2) if via < 100 else b"\xee\xdd")
        got = verdict(notifier, via, packet, source)
        assert got == ("invalid-spi" if size >= least else "drop-amplification")
        if got == "invalid-spi":
            assert notifier.out[-4:] == b"\xde\xad\xbe\xef" and notifier.slot == -1
            assert notifier.template_to_renew is notifier.out and len(notifier.out) == (44 if via == 4500 else 40)
            assert notifier.via == (500 if via < 100 else 4500)
            assert bytes(notifier.to) == (STRANGER if via < 100 else source)


@pytest.mark.parametrize("via", [50, 51])
def test_bare_packets_over_ipv6_are_answered_to_port_500_s1_5(via):
    notifier = world(peer=PEER)
    packet = bytes(4) * (via == 51) + b"\xde\xad\xbe\xef" + bytes(60)
    assert verdict(notifier, via, packet, PEER6[:16] + bytes(2)) == "invalid-spi"
    assert bytes(notifier.to) == PEER6


@pytest.mark.parametrize(("via", "at"), [(50, 0), (51, 4), (4500, 0)])
def test_packets_that_are_too_short_or_reserved_f4_s1_9(via, at):
    front = b"\1" * at
    for size in range(1, 8 + at):
        assert verdict(world(), via, (front + b"\xde\xad\xbe\xef\0\0\0\0")[:size]) == "drop-malformed"
    for i, want in enumerate(("invalid-spi",) * 3 + ("drop-reserved-spi",)):
        spi = bytearray(4)
        spi[i] = 1
        packet = front + bytes(spi) + bytes(60)
        assert verdict(world(known=False), via, packet) == want
    if via != 4500:  # there it is a marker
        assert verdict(world(), via, front + bytes(64)) == "drop-reserved-spi"


@pytest.mark.parametrize("protocol", [50, 51])
def test_a_packet_for_the_child_sa_in_slot_0_s1_1(protocol):
    notifier = world(protocol=protocol)
    spi = SPI_IN[:3] + b"\0"
    packets = {50: spi + bytes(60), 51: bytes(4) + spi + bytes(60), 4500: spi + bytes(60)}
    for via, packet in packets.items():
        got = verdict(notifier, via, packet, STRANGER)
        if (via == 51) == (protocol == 51):
            assert got == ("deliver-ah" if protocol == 51 else "deliver-esp") and notifier.slot == 0
        else:
            assert got == "invalid-spi" and notifier.slot == -1


def test_a_packet_from_the_peer_of_the_ike_sa_in_slot_0_s1_1_s1_4_l1_l2():
    packet = b"\xde\xad\xbe\xef" + bytes(76)
    for via, size, want in (
        (4500, 80, "invalid-spi-protected"), (4500, 79, "drop-amplification"),
        (50, 80, "drop-amplification"), (50, 88, "invalid-spi-protected"), (50, 87, "drop-amplification"),
    ):  # fmt: skip
        notifier = world()
        source = PEER if via == 4500 else PEER[:4] + bytes(2)
        assert verdict(notifier, via, (packet + bytes(8))[:size], source) == want
        assert notifier.slot == 0 and notifier.out is None and notifier.template_to_renew is None
    assert verdict(world(established=False), 4500, packet) == "invalid-spi"
    notifier = world()
    notifier.budget.answer = False
    assert verdict(notifier, 4500, packet) == "drop-limited"


@pytest.mark.parametrize("initiator", [True, False])
def test_the_response_to_our_ike_sa_init_in_slot_0(initiator):
    def got(spi_i=SPI_I, flags=R, exchange=34, message_id=0, source=PEER, established=False):
        notifier = world(initiator, established)
        message = ike(spi_i, UNKNOWN, 33, exchange=exchange, flags=flags, message_id=message_id)
        found = verdict(notifier, 500, message, source)
        assert (notifier.slot == 0) == (found == "deliver-init" and bool(flags & R))
        return found

    assert got() == ("deliver-init" if initiator else "drop-response")
    if initiator:
        assert got(established=True) == got(message_id=1) == got(message_id=1 << 24) == "drop-unencrypted"
        assert got(exchange=38) == got(source=STRANGER) == "drop-unencrypted"
        assert got(flags=R | FROM_I) == got(spi_i=UNKNOWN) == "drop-response"
        assert got(flags=0) == "drop-unencrypted" and got(flags=FROM_I) == "deliver-init"
        assert got(source=PEER[:4] + b"\x11\x94") == "deliver-init"


def response(spi_i=SPI_I, spi_r=SPI_R, kind=4, exchange=37, flags=R, message_id=9, data=b""):
    return ike(spi_i, spi_r, 41, exchange=exchange, flags=flags, message_id=message_id, body=notify(kind, data))


@pytest.mark.parametrize("initiator", [True, False])
def test_a_response_counts_only_for_the_request_it_answers_r7(initiator):
    def got(source=PEER, version=0x20, **changes):
        notifier = world(initiator)
        notifier.hints.expect(0, 37, b"\0\0\0\x09")
        message = response(**changes)
        found = verdict(notifier, 500, message[:17] + bytes((version,)) + message[18:], source)
        assert notifier.slot == (0 if found.startswith("hint") else -1)
        return found

    assert got() == "hint-invalid-ike-spi" and got(kind=5) == "hint-invalid-major-version"
    assert got(version=0x2F) == "hint-invalid-ike-spi" and got(version=0x30) == "drop-response"
    assert got(data=b"any") == "hint-invalid-ike-spi"
    assert got(source=PEER[:4] + b"\xee\xee") == "hint-invalid-ike-spi"
    flags = R if initiator else R | FROM_I
    for changes in (
        {"kind": 6}, {"kind": 11}, {"kind": 4 + 256}, {"exchange": 36}, {"message_id": 8},
        {"message_id": 9 + (1 << 24)},
        {"source": STRANGER}, {"spi_i": SPI_I[:7] + b"\0"}, {"spi_r": SPI_R[:7] + b"\0"},
        {"spi_i": b"\0" + SPI_I[1:]}, {"spi_r": b"\0" + SPI_R[1:]},
    ):  # fmt: skip
        assert got(flags=flags, **changes) in ("drop-response", "drop-unencrypted"), changes


def test_requests_of_other_sas_and_those_answered_do_not_count_r7():
    table = SpiTable(4, 4, 4)
    slots = [table.adopt_ike(bytes((i + 4,)) * 8, bytes((i + 9,)) * 8, True, PEER, True) for i in range(3)]
    hints = Hints(table)
    for slot in slots:
        hints.expect(slot, 36 + slot % 2, bytes((0, 0, 1, slot)))
    for i, slot in enumerate(slots):
        spis = bytes((i + 4,)) * 8, bytes((i + 9,)) * 8
        message = response(*spis, exchange=36 + slot % 2, message_id=256 + slot)
        assert hints.of_response(PEER, message, 0, len(message)) and hints.slot == slot
        hints.answered(slot)
        assert not hints.of_response(PEER, message, 0, len(message))
    assert not hints.outstanding


@pytest.mark.parametrize("message_id", [b"", b"\0\0\2", b"\0\0\0\0\2"])
def test_a_message_id_has_four_octets(message_id):
    notifier = world()
    with pytest.raises(ValueError, match="Message ID"):
        notifier.hints.expect(0, 37, message_id)
    with pytest.raises(ValueError, match="slot 1"):
        notifier.hints.expect(1, 37, bytes(4))
    assert not notifier.hints.outstanding


def test_a_one_way_invalid_spi_r6_r8_r9():
    def got(data=SPI_OUT, source=PEER, kind=11, flags=FROM_I, exchange=37, known=True, body=None):
        notifier = world(known=known)
        body = notify(kind, data) if body is None else body
        found = verdict(notifier, 500, ike(first=41, flags=flags, exchange=exchange, body=body), source)
        assert notifier.slot == (0 if found.startswith("hint") else -1)
        return found

    assert got() == got(source=PEER[:4] + b"\x12\x34") == "hint-invalid-spi"
    assert got(known=False) == got(source=STRANGER) == got(flags=0) == "drop-unencrypted"
    assert got(kind=4) == got(kind=11 + 256) == got(exchange=36) == "drop-unencrypted"
    assert got(data=SPI_OUT[:3]) == got(data=SPI_OUT + b"\0") == got(data=b"") == "drop-unencrypted"
    for i in range(4):
        other = bytearray(SPI_OUT)
        other[i] ^= 1
        assert got(data=bytes(other)) == "drop-unencrypted"
    assert got(flags=FROM_I | R) == "drop-response"
    with_spi = bytes((0, 0, 0, 16, 3, 4, 0, 11)) + b"\1\2\3\4"
    assert got(body=with_spi + SPI_OUT) == "hint-invalid-spi"


def test_a_limited_answer_is_silence_l1_l6():
    for via, datagram in ((500, ike()), (500, ike(version=0x30)), (4500, b"\xde\xad\xbe\xef" + bytes(60))):
        notifier = world()
        notifier.budget.answer = False
        assert verdict(notifier, via, datagram, STRANGER, now=77) == "drop-limited"
        assert notifier.out is None and notifier.budget.asked == [(STRANGER, 77)]


def test_nothing_of_the_last_datagram_is_left():
    notifier = world()
    assert verdict(notifier, 500, ike(), STRANGER) == "invalid-ike-spi" and notifier.out
    assert verdict(notifier, 500, b"", STRANGER) == "drop-empty" and notifier.out is None and notifier.slot == -1
    verdict(notifier, 4500, SPI_IN[:3] + bytes(61))
    assert notifier.slot == 0
    assert verdict(notifier, 500, bytes(27)) == "drop-malformed" and notifier.slot == -1


def test_the_keepalive_and_what_is_almost_one_f1_s1_9():
    assert verdict(world(), 4500, b"\xff") == "drop-keepalive"
    assert [verdict(world(), 4500, octets) for octets in (b"\xfe", b"\xff\xff", b"\0", bytes(3))] == [
        "drop-malformed"
    ] * 4
    assert verdict(world(), 500, b"\xff") == "drop-malformed"
    assert verdict(world(), 4500, bytes(4)) == "drop-malformed"
    assert wire.header_fits(ike(), 0, 80)
