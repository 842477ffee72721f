"""strongSwan's charon asks, and our node answers in the place of a charon that is no more; nothing that charon holds
changes. On the unix port and on the emulated board.
"""

import collections

import capture
import decode
import pytest
from ikev2 import wire

from peers.forgotten import EXCHANGES, exchange, forgotten
from peers.place import MACHINES

PLAYS = [(machine, via) for machine in MACHINES for via in (500, 4500)]


@pytest.fixture(scope="module", params=PLAYS, ids=lambda play: f"{play[0]}-{play[1]}")
def record(request, tmp_path_factory):
    return forgotten(*request.param, tmp_path_factory.mktemp("peers"))


def test_every_request_and_every_esp_packet_is_answered(record):
    """S1.2 to S1.8, S2.4 to S2.8: one answer each, to where it came from, and scapy makes the same octets."""
    assert {exchange(question) for question in record.questions} >= set(EXCHANGES.values())
    for question, answer in zip(record.questions, record.answers, strict=True):
        verdict = "invalid-ike-spi" if exchange(question) else "invalid-spi"
        spis = answer.octets[-wire.INVALID_SPI_MESSAGE :][:16]
        assert answer.octets == capture.answer(verdict, question.via, question.octets, spis)


def test_esp_of_a_lost_tunnel_is_among_them(record):
    """S1.5, S1.6: real ESP in UDP; each answer has SPIs of its own, not zero where a marker could be."""
    hints = [a.octets for q, a in zip(record.questions, record.answers, strict=True) if not exchange(q)]
    if record.via == wire.PORT:
        assert hints == []
    else:
        assert len(hints) == 3 and len({hint[4:20] for hint in hints}) == 3 and all(hint[4] for hint in hints)


def test_nothing_that_charon_holds_changes(record):
    """R2 as others see it: its log and counters say that it read each answer, and its SAs are what they were."""
    assert record.before == record.after and len(record.before) > 3
    assert record.log.count(" processing failed") == len(record.heard)
    hints = sum("Notification Data" in dict(decode.fields(a.via, a.octets)) for a in record.heard)
    kinds = collections.Counter(exchange(answer) for answer in record.heard)
    expected = {
        "IKE_AUTH response with message ID 1 processing failed": kinds[wire.IKE_AUTH],
        "CREATE_CHILD_SA response with message ID 2 processing failed": kinds[wire.CREATE_CHILD_SA],
        "INFORMATIONAL response with message ID 2 processing failed": kinds[wire.INFORMATIONAL] - hints,
        "INFORMATIONAL request with message ID 0 processing failed": hints,
    }
    assert {line: record.log.count(line) for line in expected} == expected
    before, after = record.counters
    changed = {name: after[name] - before[name] for name in before if after[name] != before[name]}
    assert changed == {"invalid": kinds[wire.IKE_AUTH] + kinds[wire.CREATE_CHILD_SA]}


def test_its_invalid_major_version_is_ours(record):
    """S3.2, S2.4 to S2.8: octet for octet; only what charon has no name for it leaves unanswered."""
    assert len(record.major) >= 2
    for question, theirs, ours in record.major:
        asked = dict(decode.fields(record.via, question))
        assert ours is not None
        if asked["exchange type"].endswith(")"):
            assert theirs == ours, (question.hex(), theirs, ours)
    assert sum(theirs is not None for _, theirs, _ in record.major) >= 2


def test_tshark_reads_every_packet_as_we_do(record, tmp_path):
    """F2, S1.2, S2.6: exchange type, flags, SPIs, Notify, each by name, and not one complaint."""
    capture.write(tmp_path / "all.pcap", [packet.ip for packet in record.packets])
    notifies = collections.Counter()
    for packet, element in zip(record.packets, capture.dissected(tmp_path / "all.pcap"), strict=True):
        ours, theirs = dict(decode.fields(packet.via, packet.octets)), capture.fields(element)
        if ours.get("version", "2.0") != "2.0":
            continue  # a question whose payloads nobody knows
        assert capture.complaints(element) == [], packet
        named = {"initiator SPI", "responder SPI", "exchange type", "flags", "Message ID"}
        assert set(theirs) >= (named if "version" in ours else {"ESP SPI"})
        for field, value in theirs.items():
            assert field not in ours or capture.agree(ours[field], value), (packet, field, ours[field], value)
        notifies[ours.get("Notify")] += 1
    assert notifies["INVALID_IKE_SPI (4)"] >= 5 and notifies["INVALID_MAJOR_VERSION (5)"] >= 4
    assert (notifies["INVALID_SPI (11)"] > 0) == (record.via == wire.PORT_NAT)
