"""The vectors' packets through the eyes of others: tshark decodes them, scapy builds them from field values."""

import pytest
from commands import capture
from golden import run_vectors, vector_files
from ikev2 import wire
from ipsec.tools import decode
from packets import pcap, scapy_answers, tshark
from scapy.contrib.ikev2 import IKEv2

FILLER = ("drop-malformed", "deliver-init")  # bad on purpose; nobody here looks behind the header of an IKE_SA_INIT


@pytest.fixture(scope="module")
def steps():
    """(case name, verdict, [via, endpoint, question], [[via, endpoint, answer], …]) of every datagram."""
    with run_vectors.machine("cpython") as run:
        return [
            (case["name"], verdict, step[1:], sends)
            for case in vector_files.all_cases()
            for step, (verdict, sends, *_) in zip(case["steps"], run(case)["steps"], strict=True)
            if step[1]
        ]


@pytest.fixture(scope="module")
def seen(steps, tmp_path_factory):
    """(case name, verdict or None for an answer, via, octets, tshark's element) of every packet of the vectors."""
    packets = []
    for name, verdict, question, sends in steps:
        packets.append((name, verdict, *question))
        packets += [(name, None, *send) for send in sends]
    path = tmp_path_factory.mktemp("pcap") / "vectors.pcap"
    pcap.write(path, [pcap.of_vector(*packet, verdict is None) for _, verdict, *packet in packets])
    return [
        (name, verdict, via, bytes.fromhex(octets), element)
        for (name, verdict, via, _, octets), element in zip(packets, tshark.dissected(path), strict=True)
    ]


def body(octets, said):
    """The payloads of an IKE message that decode.fields has said this of."""
    return octets[len(octets) - int(said["length"]) + wire.HEADER :]


def adds_up(verdict, via, octets):
    """True if a question is no bad example: its one payload, if any, fills it as that payload's length says."""
    said = dict(decode.fields(via, octets))
    if verdict in FILLER:
        return False
    if "AH SPI" in said:
        return 4 * octets[1] + 8 <= len(octets)
    if "version" not in said:
        return True
    payload = body(octets, said)
    is_notify = said["next payload"] == "Notify (41)"
    return not payload or (int.from_bytes(payload[2:4], "big") == len(payload) and is_notify == ("Notify" in said))


def test_tshark_complains_of_no_answer_and_no_good_question(seen):
    """S1.2, S1.3, S2.6, S2.8, S3.2, F2: no expert info and no malformed note."""
    good = [packet for packet in seen if packet[1] is None or adds_up(*packet[1:4])]
    assert sum(packet[1] is None for packet in good) > 140 and len(good) > 500
    assert [(packet[0], tshark.complaints(packet[4])) for packet in good if tshark.complaints(packet[4])] == []


def test_tshark_complains_of_what_is_left_out(seen):
    """F4, R9: so the test above can fail."""
    bad = {name for name, verdict, via, octets, _ in seen if verdict and not adds_up(verdict, via, octets)}
    noted = {packet[0] for packet in seen if tshark.complaints(packet[4])}
    assert noted <= bad and len(noted) > 20


def test_tshark_reads_every_field_as_we_do(seen):
    """S1.7, S2.5, S2.6, S2.7: exchange type, flags, SPIs, Message ID, type and data of the Notify, each by name."""
    compared = dict.fromkeys(("initiator SPI", "exchange type", "flags", "Notify", "ESP SPI", "AH SPI"), 0)
    for name, verdict, via, octets, element in seen:
        if verdict and not adds_up(verdict, via, octets):
            continue
        ours, theirs = dict(decode.fields(via, octets)), tshark.fields(element)
        if "AH SPI" in theirs:
            theirs.pop("ESP SPI", None)  # it looks behind the AH header, too
        for field, value in theirs.items():
            assert tshark.agree(ours[field], value), (name, field, ours[field], value)
            if field in compared:
                compared[field] += 1
    assert min(compared.values()) >= 5 and compared["Notify"] > 150


def test_scapy_builds_every_answer(steps):
    """S1.2, S1.3, S1.7, S2.5, S2.6, S2.7, S2.8, S3.2: octet for octet, from field values."""
    kinds = dict.fromkeys(scapy_answers.ANSWERS, 0)
    for name, verdict, (via, _, question), sends in steps:
        if verdict in kinds:
            answer = bytes.fromhex(sends[0][2])
            spis = answer[-wire.INVALID_SPI_MESSAGE :][:16]
            assert scapy_answers.answer(verdict, via, bytes.fromhex(question), spis) == answer, name
            kinds[verdict] += 1
    assert min(kinds.values()) > 10


def rebuilt(octets):
    """scapy's reading of an IKE message, written again from its fields, lengths computed anew."""
    message = layer = IKEv2(octets)
    while layer:
        layer.clear_cache()
        if "length" in layer.fields:
            layer.length = None
        layer = layer.payload
    return bytes(message)


def test_scapy_builds_every_good_question(steps):
    """S2.2, S2.9, S3.1, R8: what the vectors ask reads as field values, and these make the same octets."""
    count = 0
    for name, verdict, (via, _, question), _ in steps:
        octets = bytes.fromhex(question)
        version = dict(decode.fields(via, octets)).get("version", "")
        if version.startswith("2.") and adds_up(verdict, via, octets):  # of version 3 nobody knows the payloads
            message = octets[4:] if via == wire.PORT_NAT else octets
            assert rebuilt(message) == message, name
            count += 1
    assert count > 250


def test_scapy_does_not_build_a_wrong_length():
    """F4: so the test above can fail."""
    wrong = bytes.fromhex("1111222233334444 5555666677778888 29202520 00000009 00000025 00000008 00000004")
    assert rebuilt(wrong) == wrong[:27] + b"\x24" + wrong[28:]


def test_packets_without_an_sa_as_a_capture(tmp_path):
    """make capture: every question of the demo and every answer, none of which tshark complains of."""
    pcap.write(tmp_path / "demo.pcap", *zip(*capture.without_sa(), strict=True))
    packets = tshark.dissected(tmp_path / "demo.pcap")
    questions = len(capture.shown_cases())
    assert len(packets) > questions
    answers = [element for element in packets if "Notify" in tshark.fields(element) and not tshark.complaints(element)]
    assert len(answers) >= len(packets) - questions
