"""Echoes of our own: scapy reads what is asked, and of the answers only whole ones to our questions count."""

from ikev2.budget import Budget
from inside.stack import Stack
from scapy.layers.inet import ICMP, IP

OURS, THEIRS = bytes((10, 9, 0, 1)), bytes((10, 1, 0, 1))


def asked(number=7):
    """(inner, the question as scapy reads it)."""
    inner = Stack(OURS, Budget(10, 20, 0, 1))
    out = bytearray(300)
    size = inner.ping(out, 24, THEIRS, number)
    return inner, IP(bytes(out[24 : 24 + size]))


def heard(inner, packet):
    """What Stack answers to a packet of scapy's."""
    octets = bytearray(bytes(packet).ljust(300, b"\0"))
    return inner.receive(octets, len(bytes(packet)), 0)


def answer(question, **changes):
    """The answer as a host behind the gateway gives it."""
    request = question[ICMP]
    fields = {"type": 0, "id": request.id, "seq": request.seq, **changes}
    return IP(src=question.dst, dst=question.src) / ICMP(**fields) / bytes(request.payload)


def test_question():
    question = asked(300)[1]
    assert (question.src, question.dst, question.proto) == ("10.9.0.1", "10.1.0.1", 1)
    assert (question[ICMP].type, question[ICMP].seq, question[ICMP].code) == (8, 300, 0)
    again = IP(bytes(question))
    del again.chksum, again[ICMP].chksum
    assert bytes(again) == bytes(question)


def test_answers():
    inner, question = asked()
    assert heard(inner, answer(question)) == 0 and heard(inner, answer(question, seq=8)) == 0
    assert inner.pongs() == [7, 8] and not inner.pongs()


def test_what_is_no_answer():
    """Another's, one with a wrong checksum, one cut short, a question: that one Stack answers (T3)."""
    inner, question = asked()
    assert heard(inner, answer(question, id=1)) == 0
    assert heard(inner, answer(question, chksum=1)) == 0
    assert heard(inner, IP(src=question.dst, dst=question.src, proto=1) / bytes(4)) == 0
    assert heard(inner, answer(question, type=8)) > 0
    assert not inner.pongs()


def test_a_flood_of_answers_is_bounded():
    inner, question = asked()
    for number in range(100):
        heard(inner, answer(question, seq=number))
    assert inner.pongs() == list(range(84, 100))
