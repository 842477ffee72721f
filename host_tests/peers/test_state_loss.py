"""A daemon that nobody here wrote asks, and our node answers in the place of another such daemon that is no more;
nothing that the first one holds changes. On the unix port and on the emulated board, on 500 and on 4500.
"""

import collections

import pytest
from ikev2 import wire
from ipsec.tools import decode
from packets import pcap, scapy_answers, tshark

from peers.libreswan import Pluto
from peers.our_node import MACHINES
from peers.state_loss import EXCHANGES, exchange, lose_state
from peers.strongswan import Charon

PLAYS = [(daemon, machine, via) for daemon in (Charon, Pluto) for machine in MACHINES for via in (500, 4500)]


@pytest.fixture(scope="module", params=PLAYS, ids=lambda play: f"{play[0].NAME}-{play[1]}-{play[2]}")
def record(request, tmp_path_factory):
    return lose_state(*request.param, tmp_path_factory.mktemp("peers"))


def name(packet):
    """Name of the exchange, as the daemons have it in their logs; for a one-way INVALID_SPI that one."""
    said = dict(decode.fields(packet.via, packet.octets))
    return "INVALID_SPI" if "Notification Data" in said else said["exchange type"].split()[0]


def expected(question, answer):
    """What scapy makes of a question; the IKE SPIs of a one-way message are the answer's own."""
    verdict = "invalid-ike-spi" if exchange(question) else "invalid-spi"
    spis = answer.octets[-wire.INVALID_SPI_MESSAGE :][:16]
    return scapy_answers.answer(verdict, question.via, question.octets, spis)


def test_every_request_and_every_esp_packet_is_answered(record):
    """S1.2 to S1.8, S2.4 to S2.8: one answer each, to where it came from, and scapy makes the same octets."""
    questions = iter(record.questions)
    lost, matched = [], collections.Counter()
    for answer in record.answers:
        for question in questions:
            if answer.octets == expected(question, answer):
                matched[exchange(question)] += 1
                break
            lost.append(question)
        else:
            raise AssertionError(f"no question for {answer}")
    lost += questions
    assert not lost
    assert set(matched) >= set(EXCHANGES.values()) and matched[0] >= (3 if record.via in record.daemon.ESP else 0)


def test_each_one_way_message_has_spis_of_its_own(record):
    """S1.5, S1.6: to real ESP in UDP; the first octet is not zero, lest it pass for a marker."""
    hints = [packet.octets for packet in record.answers if name(packet) == "INVALID_SPI"]
    assert (len(hints) >= 3) == (record.via in record.daemon.ESP)
    assert len({hint[4:20] for hint in hints}) == len(hints) and all(hint[4] for hint in hints)


def test_nothing_that_the_daemon_holds_changes(record):
    """R2 as others see it: its log and counters say that it read each answer, and its SAs are what they were."""
    assert record.before == record.after and len(record.before) > 3
    heard = collections.Counter(map(name, record.heard))
    assert heard.keys() >= {"IKE_AUTH", "CREATE_CHILD_SA", "INFORMATIONAL"}
    assert {kind: record.log.count(line) for kind, line in record.daemon.REFUSALS.items() if kind in heard} == heard
    before, after = record.counters
    changed = {counter: after[counter] - before[counter] for counter in before if after[counter] != before[counter]}
    assert changed == record.daemon.counted(heard)


def test_its_invalid_major_version_is_ours(record):
    """S3.2, S2.4 to S2.8: octet for octet, wherever the daemon itself keeps to them."""
    same = 0
    for question, theirs, ours in record.major:
        asked = dict(decode.fields(record.via, question))
        assert ours == scapy_answers.answer("invalid-major-version", record.via, question, b"")
        if record.daemon.is_model(asked):
            assert theirs == ours, (question.hex(), theirs, ours)
            same += 1
        else:
            assert theirs != ours
    assert same >= 2


def test_tshark_reads_every_packet_as_we_do(record, tmp_path):
    """F2, S1.2, S2.6: exchange type, flags, SPIs, Notify, each by name, and not one complaint."""
    pcap.write(tmp_path / "all.pcap", [packet.ip for packet in record.packets])
    notifies = collections.Counter()
    for packet, element in zip(record.packets, tshark.dissected(tmp_path / "all.pcap"), strict=True):
        ours, theirs = dict(decode.fields(packet.via, packet.octets)), tshark.fields(element)
        if ours.get("version", "2.0") != "2.0":
            continue  # a question whose payloads nobody knows
        assert tshark.complaints(element) == [], packet
        named = {"initiator SPI", "responder SPI", "exchange type", "flags", "Message ID"}
        assert set(theirs) >= (named if "version" in ours else {"ESP SPI"})
        for field, value in theirs.items():
            assert field not in ours or tshark.agree(ours[field], value), (packet, field, ours[field], value)
        notifies[ours.get("Notify")] += 1
    assert notifies["INVALID_IKE_SPI (4)"] >= 5 and notifies["INVALID_MAJOR_VERSION (5)"] >= 4
    assert (notifies["INVALID_SPI (11)"] > 0) == (record.via in record.daemon.ESP)
