"""Suites and payloads: what we offer, what we take, and what malformed octets can do to it."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ikev2.sa import payloads, selectors
from ikev2.sa.payloads import (
    INVALID_SYNTAX,
    NO_PROPOSAL_CHOSEN,
)
from ikev2.sa.policy import Policy
from ikev2.sa.proposals import choose, offer

from library import scripted_gateway

CBC = ("aes-cbc-256", "aes-cbc-128")
GCM = ("aes-gcm-16-256", "aes-gcm-16-128")
SPI = b"\1\2\3\4"
IKE_SPI = b"\1\2\3\4\5\6\7\x08"
PLAIN = scripted_gateway.transforms(3, "aes-cbc-128")


def take(body, protocol=3, spi_size=4, ciphers=CBC, groups=(31, 14), **more):
    """What is chosen of a body that lies somewhere within other octets."""
    return choose(b"\xff" * 5 + body + b"\xff" * 3, 5, 5 + len(body), protocol, spi_size, ciphers, groups, **more)


def refusal(*arguments, **more):
    return take(*arguments, **more)[0]


def esp(*transforms, number=1, spi=SPI, more=False):
    return scripted_gateway.proposal(number, 3, spi, list(transforms), more)


def ike(*transforms, number=1, spi=b"", more=False):
    return scripted_gateway.proposal(number, 1, spi, list(transforms), more)


def test_an_offer_is_what_another_reader_finds_n22():
    assert scripted_gateway.proposals(offer(1, b"", CBC, (31, 14))) == [
        (1, 1, b"", [(1, 12, 256), (1, 12, 128), (2, 5, 0), (3, 12, 0), (4, 31, 0), (4, 14, 0)])
    ]
    assert scripted_gateway.proposals(offer(3, SPI, CBC)) == [
        (1, 3, SPI, [(1, 12, 256), (1, 12, 128), (3, 12, 0), (5, 0, 0)])
    ]


@pytest.mark.parametrize("ciphers", [CBC + GCM, GCM + CBC, (GCM[0], *CBC, GCM[1])])
def test_aead_has_a_proposal_of_its_own_and_no_integrity_n22(ciphers):
    first, second = scripted_gateway.proposals(offer(1, b"", ciphers, (14,)))
    assert (first[0], second[0]) == (1, 2)
    for _, _, _, transforms in (first, second):
        of_gcm = {identifier for kind, identifier, _ in transforms if kind == 1} == {20}
        assert of_gcm != any(kind == 3 for kind, _, _ in transforms)
    assert (20 in [identifier for _, identifier, _ in first[3]]) == ("gcm" in ciphers[0])


@pytest.mark.parametrize("cipher", CBC + GCM)
@pytest.mark.parametrize("group", [31, 14])
def test_what_was_chosen_of_our_offer_n7(cipher, group):
    ours = CBC + GCM
    number = 1 if cipher in CBC else 2
    body = ike(*scripted_gateway.transforms(1, cipher, group), number=number)
    assert take(body, 1, 0, ours, exact=True) == (0, number, cipher, group, b"")
    assert refusal(ike(*scripted_gateway.transforms(1, cipher, group), number=3 - number), 1, 0, ours, exact=True)
    body = esp(*scripted_gateway.transforms(3, cipher), number=number)
    assert take(body, 3, 4, ours, (), exact=True) == (0, number, cipher, 0, SPI)


def test_the_order_of_transforms_is_the_peers_n7():
    transforms = scripted_gateway.transforms(1, CBC[0], 14)
    for turn in range(4):
        turned = transforms[turn:] + transforms[:turn]
        assert take(ike(*turned), 1, 0, exact=True) == (0, 1, CBC[0], 14, b"")


@pytest.mark.parametrize(
    "transforms",
    [
        [(1, 12, 192), (3, 12, 0), (2, 5, 0), (4, 31, 0)],  # a key length that we did not offer
        [(1, 12, 0), (3, 12, 0), (2, 5, 0), (4, 31, 0)],
        [(1, 13, 128), (3, 12, 0), (2, 5, 0), (4, 31, 0)],  # AES-CTR
        [(1, 13, 256), (3, 12, 0), (2, 5, 0), (4, 31, 0)],
        [(1, 12, 256), (3, 14, 0), (2, 5, 0), (4, 31, 0)],
        [(1, 12, 256), (3, 12, 0), (2, 7, 0), (4, 31, 0)],
        [(1, 12, 256), (3, 12, 0), (2, 5, 0), (4, 19, 0)],
        [(1, 12, 256), (3, 12, 128), (2, 5, 0), (4, 31, 0)],
        [(1, 12, 256), (2, 5, 0), (4, 31, 0)],
        [(1, 12, 256), (3, 0, 0), (2, 5, 0), (4, 31, 0)],
        [(1, 12, 256), (3, 12, 0), (4, 31, 0)],
        [(1, 12, 256), (3, 12, 0), (2, 5, 0)],
        [(1, 12, 256), (3, 12, 0), (2, 5, 0), (4, 0, 0)],
        [(3, 12, 0), (2, 5, 0), (4, 31, 0)],
        [(1, 12, 256), (1, 12, 128), (3, 12, 0), (2, 5, 0), (4, 31, 0)],  # two of a type
        [(1, 12, 256), (3, 12, 0), (2, 5, 0), (4, 31, 0), (4, 14, 0)],
        [(1, 12, 256), (3, 12, 0), (2, 5, 0), (4, 31, 0), (5, 0, 0)],
        [(1, 12, 256), (3, 12, 0), (2, 5, 0), (4, 31, 0), (6, 35, 0)],  # an additional key exchange
        [(1, 12, 256), (3, 12, 0), (2, 5, 0), (4, 31, 0), (241, 1, 0)],
        [(1, 20, 256), (3, 12, 0), (2, 5, 0), (4, 31, 0)],  # AEAD with integrity
        [],
    ],
)
def test_what_is_none_of_ours_is_not_taken_n7(transforms):
    assert refusal(ike(*transforms), 1, 0, CBC + GCM, exact=True) == NO_PROPOSAL_CHOSEN


def test_one_proposal_is_a_choice_and_two_are_none_n7():
    good = scripted_gateway.transforms(1, CBC[0], 31)
    assert refusal(ike(*good, more=True) + ike(*good, number=2), 1, 0, exact=True) == NO_PROPOSAL_CHOSEN
    assert refusal(ike(*good), 1, 0, exact=True) == 0
    assert refusal(esp(*PLAIN), 1, 4, exact=True) == NO_PROPOSAL_CHOSEN  # another protocol


def test_extended_sequence_numbers_are_not_taken_n16():
    assert refusal(esp((1, 12, 128), (3, 12, 0), (5, 1, 0)), exact=True) == NO_PROPOSAL_CHOSEN
    assert refusal(esp((1, 12, 128), (3, 12, 0)), exact=True) == NO_PROPOSAL_CHOSEN
    assert refusal(esp(*PLAIN, (4, 31, 0)), groups=(), exact=True) == NO_PROPOSAL_CHOSEN
    assert take(esp((1, 12, 128), (3, 12, 0), (5, 1, 0), (5, 0, 0))) == (0, 1, "aes-cbc-128", 0, SPI)


def test_ours_is_chosen_among_proposals_of_a_request_k1():
    strange = esp((1, 28, 256), (5, 0, 0), number=1, more=True)
    ah = scripted_gateway.proposal(2, 2, b"\1\2\3\4", [(3, 12, 0), (5, 0, 0)], True)
    many = esp((1, 12, 128), (1, 12, 192), (1, 12, 256), (3, 14, 0), (3, 12, 0), (5, 1, 0), (5, 0, 0), number=3)
    assert take(strange + ah + many) == (0, 3, "aes-cbc-256", 0, SPI)
    assert take(strange + ah + many, ciphers=CBC[::-1]) == (0, 3, "aes-cbc-128", 0, SPI)
    assert refusal(strange + esp((5, 0, 0), number=2)) == NO_PROPOSAL_CHOSEN
    assert take(esp((1, 20, 128), (3, 0, 0), (5, 0, 0)), ciphers=GCM) == (0, 1, "aes-gcm-16-128", 0, SPI)


def test_the_group_of_the_ke_payload_decides_k1_k2():
    both = scripted_gateway.transforms(1, CBC[0], 14)
    both.insert(1, (4, 31, 0))
    body = ike(*both, spi=IKE_SPI)
    assert [take(body, 1, 8, ke=ke)[3] for ke in (14, 31, 19, 0)] == [14, 31, 31, 31]
    assert take(body, 1, 8, groups=(14, 31))[3] == 14
    first, second = (
        ike(*scripted_gateway.transforms(1, CBC[0], 31), spi=IKE_SPI, more=True),
        ike(*both[2:], (4, 14, 0), spi=IKE_SPI),
    )
    second = ike(*scripted_gateway.transforms(1, CBC[1], 14), number=2, spi=IKE_SPI)
    assert take(first + second, 1, 8, ke=14) == (0, 2, CBC[1], 14, IKE_SPI)
    assert take(first + second, 1, 8, ke=31) == (0, 1, CBC[0], 31, IKE_SPI)
    again = ike(*scripted_gateway.transforms(1, CBC[1], 31), number=2, spi=IKE_SPI)
    assert take(first + again, 1, 8, ke=31) == (0, 1, CBC[0], 31, IKE_SPI)
    pfs = esp(*PLAIN, (4, 31, 0))
    assert take(pfs, ke=31)[3] == 31 and take(pfs, ke=14)[3] == 31 and take(pfs)[3] == 31
    optional = esp(*PLAIN, (4, 31, 0), (4, 0, 0))
    assert take(optional, ke=31)[3] == 31 and take(optional)[3] == 0
    assert take(esp(*PLAIN), ke=31)[3] == 0
    assert refusal(esp(*PLAIN, (4, 19, 0)), ke=19) == NO_PROPOSAL_CHOSEN


def test_spis_of_another_size_and_zero_are_no_spis_k3():
    transforms = scripted_gateway.transforms(1, CBC[0], 31)
    assert take(ike(*transforms, spi=IKE_SPI), 1, 8)[4] == IKE_SPI
    for spi in (b"", b"\1", bytes(8), IKE_SPI[:7], IKE_SPI + b"\1"):
        assert refusal(ike(*transforms, spi=spi), 1, 8) == INVALID_SYNTAX
    for spi in (b"", IKE_SPI, bytes(4), b"\0\0\0\xff"):
        assert refusal(esp(*PLAIN, spi=spi)) == INVALID_SYNTAX
    assert refusal(ike(*transforms, spi=IKE_SPI), 1, 0, exact=True) == INVALID_SYNTAX
    assert refusal(esp(*PLAIN, spi=b"\0\0\1\0")) == 0


def test_an_attribute_that_we_do_not_know_makes_a_transform_unknown():
    transforms = esp(*PLAIN)
    longer = bytearray(transforms)
    at = transforms.index(b"\x80\x0e")
    longer[at + 1] = 15
    assert refusal(bytes(longer)) == NO_PROPOSAL_CHOSEN


def test_a_key_length_is_looked_for_within_its_transform_only():
    body = esp((3, 12, 0), (5, 0, 0), (1, 12, 0))
    after = b"\x80\x0e\0\x80"
    assert choose(body + after, 0, len(body), 3, 4, CBC, ())[0] == NO_PROPOSAL_CHOSEN
    body = esp((3, 12, 0), (5, 0, 0), (1, 12, 128))
    longer = bytearray(body + after)
    longer[3] += 4
    longer[-13] += 4
    assert choose(longer, 0, len(longer), 3, 4, CBC, ())[0] == NO_PROPOSAL_CHOSEN


def test_only_the_last_transform_is_marked_as_the_last():
    body = offer(1, IKE_SPI, CBC + GCM, (31, 14))
    assert refusal(body, 1, 8, CBC + GCM) == 0
    assert [body[0], body[int.from_bytes(body[2:4], "big")]] == [2, 0]


def test_malformed_proposals_are_malformed():
    good = esp(*PLAIN)
    assert refusal(b"") == refusal(b"\0") == INVALID_SYNTAX
    for cut in range(len(good)):
        assert refusal(good[:cut]) == INVALID_SYNTAX
    assert refusal(good + b"\0") == INVALID_SYNTAX
    assert refusal(b"\2" + good[1:]) == INVALID_SYNTAX  # more of them, and none
    assert refusal(good + good) == INVALID_SYNTAX
    for at, value in ((6, 200), (7, 2), (7, 4), (7, 0), (12, 2), (15, 7), (15, 200)):
        broken = bytearray(good)
        broken[at] = value
        assert refusal(bytes(broken)) == INVALID_SYNTAX, at


def test_more_transforms_are_counted_than_there_are():
    """Each says that another one follows."""
    broken = bytearray(esp(*PLAIN))
    broken[7] += 1
    broken[-8] = 3
    assert refusal(bytes(broken)) == INVALID_SYNTAX


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_octets_never_raise(data):
    body = bytearray(offer(1, IKE_SPI, CBC + GCM, (31, 14)))
    for _ in range(data.draw(st.integers(0, 6))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    body = bytes(body[: data.draw(st.integers(0, len(body)))]) + data.draw(st.binary(max_size=8))
    for exact in (False, True):
        found = take(body, 1, 8, CBC, exact=exact)
        assert found[0] in (0, NO_PROPOSAL_CHOSEN, INVALID_SYNTAX)
        assert found[0] or (found[2] in CBC and found[3] in (31, 14) and len(found[4]) == 8)
    selectors.read_ts(body, 0, len(body))
    selectors.read_cp(body, 0, len(body))
    for kind, start, stop in payloads.bodies(33, body, 0, len(body)):
        assert kind == payloads.MALFORMED or 0 < start <= stop <= len(body)


def test_a_chain_of_payloads():
    first, octets = payloads.chained([(40, b"nonce"), payloads.notify(16384), (33, b"")])
    assert (first, octets) == scripted_gateway.chain([(40, b"nonce"), scripted_gateway.notify(16384), (33, b"")])
    assert list(payloads.bodies(first, octets, 0, len(octets))) == [(40, 4, 9), (41, 13, 17), (33, 21, 21)]
    for cut in range(len(octets)):
        assert [kind for kind, _, _ in payloads.bodies(first, octets, 0, cut)][-1] == payloads.MALFORMED
    assert list(payloads.bodies(0, b"", 0, 0)) == []
    assert list(payloads.bodies(0, b"\0", 0, 1)) == [(payloads.MALFORMED, 0, 0)]
    for size_field in (0, 3, 4, 7):  # a Notify needs its fields
        octets = struct.pack(">BBH", 0, 0, size_field) + bytes(4)
        assert list(payloads.bodies(41, octets, 0, size_field or 8)) == [(payloads.MALFORMED, 0, 0)]


def test_critical_counts_for_unknown_types_only_n17():
    def seen(kind, critical):
        return next(payloads.bodies(kind, bytes((0, critical, 0, 4)), 0, 4))[0]

    for kind, critical in ((99, 0x80), (49, 0xFF), (32, 0x80), (1, 0x80)):
        assert seen(kind, critical) == payloads.UNKNOWN_CRITICAL - kind < payloads.MALFORMED
    assert seen(99, 0x7F) == 99 and seen(43, 0x80) == 43 and seen(48, 0x80) == 48


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": ""}, {"id": None}, {"psk": ""}, {"psk": b""}, {"inside": b"123"}, {"remote": b""}, {"remote": b"1" * 12},
        {"remote": selectors.ALL * 9}, {"groups": ()}, {"groups": (19,)}, {"ciphers": ()}, {"ciphers": ("des",)},
        {"gateway_id": 7},
    ],
)  # fmt: skip
def test_a_policy_that_cannot_be_is_refused(wrong):
    good = {"id": "sensor-7", "psk": b"secret"}
    Policy(**good)
    with pytest.raises(ValueError) as error:
        Policy(**{**good, **wrong})
    assert "secret" not in str(error.value)
