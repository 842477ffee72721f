"""INVALID_SPI, liveness checks and Delete over an IKE SA that two charons made and our node goes on with: charon
decrypts and answers what we say, and we what it says. On the unix port and on the emulated board, in both roles.
"""

import re

import pytest
from ikev2 import wire
from ipsec.tools import decode
from packets import pcap, tshark

from peers.adopted_sa import adopt_sa
from peers.our_node import MACHINES
from peers.state_loss import is_response, message_id

# Cipher and our role: one of each would do as well the other way round.
SAS = [("aes-cbc-128", False), ("aes-gcm-16-256", True)]


@pytest.fixture(scope="module", params=[(m, *sa) for m in MACHINES for sa in SAS], ids=lambda p: f"{p[0]}-{p[1]}")
def record(request, tmp_path_factory):
    return adopt_sa(*request.param, tmp_path_factory.mktemp("protected"))


def contents(record, kind, packet):
    """What charon says that it found in a message."""
    return re.findall(rf"parsed INFORMATIONAL {kind} {message_id(packet)} \[ (.*)\]", record.log)


def test_invalid_spi_goes_over_the_ike_sa(record):
    """S1.1, S1.2, P1: the next Message ID, SK first, our role's I flag; charon decrypts it, and we its answer."""
    first = record.next_ids[0]
    assert [message_id(request) for request, _ in record.invalid_spi] == [first, first + 2]
    for request, response in record.invalid_spi:
        said = dict(decode.fields(wire.PORT_NAT, request.octets))
        assert said["exchange type"] == "INFORMATIONAL (37)" and said["next payload"] == "SK (46)"
        assert ("I" in said["flags"].split()) != ("I" in decode_flags(response))
        assert contents(record, "request", request) == ["N(INVAL_SPI) "]
    assert record.told["counters"]["invalid-spi-protected"] == 2
    assert not record.told["waiting"] and record.told["dropped"] == 0


def decode_flags(packet):
    """Names of the flags that are set."""
    return dict(decode.fields(wire.PORT_NAT, packet.octets))["flags"].split()


def test_nothing_that_charon_holds_changes(record):
    """P2 as others see it: neither N(INVALID_SPI) nor a liveness check."""
    before, after = record.survived
    assert before == after and any(word.startswith("spi-out") for word in before)


def test_charon_is_told_that_we_live(record):
    """P2, P3: its liveness check has an empty answer."""
    request, response = record.liveness
    assert message_id(request) >= record.next_ids[1]
    assert contents(record, "response", response) == [""]


def test_forged_hints_are_worth_one_check(record):
    """R2, R3, R4, R7: three forged messages, one request between the two INVALID_SPI; one answer ends it."""
    request, response = record.check
    assert message_id(request) == record.next_ids[0] + 1 and is_response(response)
    assert contents(record, "request", request) == [""]
    counters = record.told["counters"]
    assert counters["hint-invalid-spi"] == 2 and counters["hint-invalid-ike-spi"] == 1


def test_delete_is_answered_and_done(record):
    """P2: of the Child SA with ours, of the IKE SA with nothing; then it is gone on both sides."""
    deletes = re.findall(r"generating INFORMATIONAL request ([0-9]+) \[ D \]", record.log)
    answers = [re.findall(rf"parsed INFORMATIONAL response {number} \[ (.*)\]", record.log) for number in deletes]
    assert answers == [["D "], [""]]
    assert "IKE_SA deleted" in record.log
    assert record.told["failed"] and record.told["ike_sas"] == []


def test_tshark_complains_of_nothing(record, tmp_path):
    """Whatever crossed the cable, encrypted or not."""
    pcap.write(tmp_path / "all.pcap", [packet.ip for packet in record.packets])
    elements = tshark.dissected(tmp_path / "all.pcap")
    assert len(elements) > 15 and [note for element in elements for note in tshark.complaints(element)] == []
