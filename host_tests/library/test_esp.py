"""ESP against scapy's, both ways (E1 to E7); damage, the window against a set, selectors by ipaddress, the heap."""

import ipaddress
import os

import pytest
from golden import make_esp, vector_files
from golden.make_esp import CIPHERS, LAST, SPI_IN, SPI_OUT, inner, key, outer, padded, sealed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ipsec import esp, spd
from scapy.layers.inet import IP, UDP
from scapy.layers.ipsec import ESP, SecurityAssociation

from library.machines import allocates_nothing, on_board, on_unix

SPI = bytes.fromhex(SPI_OUT)
ALL = bytes.fromhex(vector_files.selector("0.0.0.0/0"))


def child(cipher, inside=ALL, remote=ALL, random=os.urandom, **numbers):
    return esp.ChildSa(cipher, key(cipher, True), key(cipher, False), SPI, inside, remote, random, **numbers)


def seal(sa, octets):
    """The ESP packet around an inner packet, and nothing beside it changed."""
    out = bytearray(b"\xee" * 1600)
    out[3 + esp.ROOM : 3 + esp.ROOM + len(octets)] = octets
    length = sa.seal(out, 3, len(octets))
    if length:
        assert out[:3] == b"\xee" * 3 and set(out[3 + max(length, esp.ROOM + len(octets)) :]) == {0xEE}
    return bytes(out[3 : 3 + length])


def opened(sa, packet, at=0):
    """The inner packet, or why not."""
    reason = sa.open(packet, at, len(packet))
    return esp.REASONS[reason] or bytes(sa.packet[: sa.size])


def state(sa):
    return bytes(sa._state[:20])


def scapys(cipher, inbound):
    """scapy's SA for one direction, in tunnel mode: it takes the encapsulated packet off and puts it on."""
    octets = key(cipher, inbound)
    outside = IP(src="192.0.2.1", dst="192.0.2.2")
    spi = int(SPI_IN if inbound else SPI_OUT, 16)
    if "gcm" in cipher:
        return SecurityAssociation(ESP, spi=spi, crypt_algo="AES-GCM", crypt_key=octets, tunnel_header=outside)
    return SecurityAssociation(
        ESP, spi=spi, crypt_algo="AES-CBC", crypt_key=octets[:-32], auth_algo="SHA2-256-128", auth_key=octets[-32:],
        tunnel_header=outside,
    )  # fmt: skip


@pytest.mark.parametrize("cipher", CIPHERS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.binary(max_size=1394), number=st.integers(1, LAST))
def test_scapy_opens_what_we_seal_and_we_what_scapy_seals(cipher, data, number):
    """E1, E3, E5."""
    packet = outer(data=data)
    got = seal(child(cipher, next=number), packet)
    assert got[:8] == SPI + number.to_bytes(4, "big") and len(got) <= 1472
    assert bytes(scapys(cipher, False).decrypt(IP(bytes(IP() / ESP(got))))) == packet
    packet = inner(data=data)
    theirs = scapys(cipher, True)
    theirs.seq_num = number
    assert opened(child(cipher), bytes(theirs.encrypt(IP(packet))[ESP])) == packet


def test_the_vectors_are_what_the_cryptography_package_makes():
    for name in make_esp.FILES:
        assert (vector_files.FOLDER / f"{name}.json").read_text() == make_esp.text(name)


@pytest.mark.parametrize("cipher", CIPHERS)
def test_every_truncation_and_every_changed_bit_is_dropped_and_moves_nothing(cipher):
    """E2, E6."""
    sa = child(cipher)
    packet = sealed(cipher, key(cipher, True), SPI_IN, 7, padded(cipher, inner()))
    before = state(sa)
    for length in range(len(packet)):
        assert opened(sa, packet[:length]) in ("malformed", "integrity")
    for bit in range(32, 8 * len(packet)):  # the SPI is the table's business, and its bits are in the ICV
        changed = bytearray(packet)
        changed[bit >> 3] ^= 1 << (bit & 7)
        assert opened(sa, changed) == "integrity"
    assert state(sa) == before
    assert sum(sa.counters) == len(packet) + 8 * len(packet) - 32 and sa.counters[0] == 0
    assert opened(sa, packet) == inner() and state(sa) != before
    assert opened(sa, b"abcde" + packet, 5) == "replay"


@settings(max_examples=300, deadline=None)
@given(
    seen=st.integers(0, LAST),
    steps=st.lists(
        st.one_of(st.integers(-70, 70), st.integers(-(2**17), 2**17), st.integers(-(2**32), 2**32)),
        min_size=1,
        max_size=60,
    ),
)
def test_the_window_is_that_of_a_set(seen, steps):
    """E2."""
    sa = child("aes-cbc-128", seen=seen)
    come, highest = set(), seen
    plain = padded("aes-cbc-128", b"")
    for step in steps:
        number = highest + step
        if not 0 <= number <= LAST:
            continue
        octets = SPI + number.to_bytes(4, "big") + bytes(48)
        good = number > seen and number not in come and number > highest - 64
        assert esp._arrived(sa._state, octets, 0, len(octets)) == (0 if good else esp.REASONS.index("replay"))
        if good:
            sa.packet[: len(plain)] = plain
            assert esp._verified(sa, octets, 0, len(octets)) == -esp.REASONS.index("malformed")
            come.add(number)
            highest = max(highest, number)
        assert sa.seen == highest


@pytest.mark.parametrize("cipher", CIPHERS[1:3])
def test_numbers_are_spent_once_and_never_wrap(cipher):
    """E1, E5: also where the cipher fails on the way."""
    sa = child(cipher, next=LAST - 1)
    sa._out.seal, good = None, sa._out.seal
    with pytest.raises(TypeError):
        seal(sa, outer())
    sa._out.seal = good
    assert sa.next == LAST and seal(sa, outer())[4:8] == b"\xff" * 4
    assert sa.next == 2**32 and not seal(sa, outer()) and sa.refused == "no number left"
    again = child(cipher, next=sa.next, seen=sa.seen)
    assert not seal(again, outer()) and again.next == 2**32


@pytest.mark.parametrize("cipher", CIPHERS)
def test_room_is_what_fits(cipher):
    """E7."""
    sa = child(cipher)
    assert 1472 - 16 < len(seal(sa, outer(data=bytes(sa.room() - 28)))) <= 1472
    assert not seal(sa, outer(data=bytes(sa.room() - 27))) and sa.refused == "too long" and sa.next == 2
    out = bytearray(40 + len(seal(sa, outer())))
    for at in (0, 40, 41):
        out[at + esp.ROOM : at + esp.ROOM + len(outer())] = outer()
        if at == 41:
            with pytest.raises(ValueError, match="in a buffer of"):
                sa.seal(out, at, len(outer()))
        else:
            assert sa.seal(out, at, len(outer()))


def test_what_must_not_leave_says_why():
    """E4."""
    ours, theirs = (bytes.fromhex(vector_files.selector(text)) for text in ("10.77.0.2", "10.77.0.0/24"))
    sa = child("aes-cbc-128", ours, theirs)
    for packet, why in ((inner(), "selector"), (outer()[:-1], "malformed"), (outer(), ""), (bytes(2000), "too long")):
        assert bool(seal(sa, packet)) == (not why)
        assert not why or sa.refused == why


def test_no_packet_has_less_than_nothing_e4():
    sa = child("aes-cbc-128")
    with pytest.raises(ValueError, match="-1 octets"):
        sa.seal(bytearray(200), 0, -1)
    assert not sa.seal(bytearray(200), 0, 0) and sa.refused == "malformed" and sa.next == 1


@pytest.mark.parametrize(
    ("flags", "offset", "ports"),
    [("", 0, True), ("DF", 0, True), ("MF", 0, True), ("", 1, False), ("MF", 1, False), ("", 256, False)],
)
def test_all_but_a_later_fragment_have_ports_e4(flags, offset, ports):
    packet = bytes(IP(src="10.77.0.2", dst="10.77.0.5", flags=flags, frag=offset) / UDP(sport=7, dport=7) / b"data")
    seven = bytes((17, 0, 7, 0, 7)) + ALL[5:]
    refused = -esp.REASONS.index("selector")
    assert spd.within(packet, 0, len(packet), seven, seven) == (len(packet) if ports else refused)
    assert spd.within(packet, 0, len(packet), ALL, ALL) == len(packet)


def test_a_packet_that_no_buffer_holds_is_malformed():
    sa = child("aes-gcm-16-128")
    packet = sealed("aes-gcm-16-128", key("aes-gcm-16-128", True), SPI_IN, 1, bytes(1508))
    assert opened(sa, packet) == "malformed"
    assert opened(sa, sealed("aes-gcm-16-128", key("aes-gcm-16-128", True), SPI_IN, 1, bytes(1504))) == "next-header"
    whole = inner(data=bytes(1472))
    assert opened(sa, sealed("aes-gcm-16-128", key("aes-gcm-16-128", True), SPI_IN, 2, padded("gcm", whole))) == whole


def test_child_sas_share_one_buffer_and_nothing_else():
    one, two = child("aes-cbc-128"), child("aes-gcm-16-128")
    assert one.packet is two.packet
    packet = sealed("aes-cbc-128", key("aes-cbc-128", True), SPI_IN, 1, padded("aes-cbc-128", inner()))
    assert opened(one, packet) == inner() and two.seen == 0 and two.counters[0] == 0


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"cipher": "aes-cbc-192"}, "aes-cbc-192"), ({"next": 0}, "next 0"), ({"next": 2**32 + 1}, "next 4294967297"),
        ({"seen": -1}, "seen -1"), ({"seen": 2**32}, "seen 4294967296"), ({"inside": b""}, "0 octets of traffic"),
        ({"remote": ALL[:-1]}, "12 octets of traffic"),
    ],
)  # fmt: skip
def test_bad_local_values_are_named(changes, named):
    cipher = changes.pop("cipher", "aes-cbc-128")
    keys = key("aes-cbc-128", True), key("aes-cbc-128", False)
    with pytest.raises(ValueError, match=named):
        esp.ChildSa(cipher, *keys, SPI, **{"inside": ALL, "remote": ALL, "random": os.urandom, **changes})
    with pytest.raises(ValueError):
        esp.ChildSa("aes-cbc-128", keys[0][1:], keys[1], SPI, ALL, ALL, os.urandom)


addresses = st.one_of(st.integers(0x0A4D0000, 0x0A4D0102), st.integers(0, LAST)).map(ipaddress.IPv4Address)
ports = st.one_of(st.integers(0, 3), st.integers(0, 65535))
ranges = st.one_of(st.just((0, 65535)), st.tuples(ports, ports).map(sorted))


@settings(max_examples=500, deadline=None)
@given(
    selectors=st.lists(st.tuples(st.sampled_from([0, 17, 6, 1]), ranges, st.tuples(addresses, addresses).map(sorted)),
                       min_size=1, max_size=4),
    address=addresses, protocol=st.sampled_from([17, 6, 1, 47]), port=ports, fragment=st.booleans(),
)  # fmt: skip
def test_selectors_are_what_they_say(selectors, address, protocol, port, fragment):
    """E4, N16."""
    known = not fragment and protocol != 47
    good = any(
        proto in (0, protocol) and first <= address <= last
        and ((low, high) == (0, 65535) or (known and low <= port <= high))
        for proto, (low, high), (first, last) in selectors
    )  # fmt: skip
    packed = b"".join(
        bytes([proto]) + low.to_bytes(2, "big") + high.to_bytes(2, "big") + first.packed + last.packed
        for proto, (low, high), (first, last) in selectors
    )
    packet = bytearray(bytes(IP(src=str(address), dst="192.0.2.1", proto=protocol, frag=int(fragment), len=28)))
    packet += port.to_bytes(2, "big") + b"\0\x35" + bytes(4)
    assert spd.within(packet, 0, 28, packed, ALL) == (28 if good else -7)
    packet[12:20] = packet[16:20] + packet[12:16]
    if protocol != 1:
        packet[20:24] = packet[22:24] + packet[20:22]
    assert spd.within(b"x" + packet, 1, 28, ALL, packed) == (28 if good else -7)


HEAP = """
import sys
from ipsec import esp
class Double:
    iv_size = 16
    block = 16
    def seal(self, out, at, head, end):
        pass
    def open(self, octets, at, head, end, into):
        i = 0
        while i < end - at - 24:
            into[i] = octets[at + 24 + i]
            i += 1
        return True
sys.modules.get("ipsec_core", esp).cipher = lambda name, key: Double()  # an image has it in that file
IV = bytes(16)
ALL = b"\\0\\0\\0\\xff\\xff\\0\\0\\0\\0\\xff\\xff\\xff\\xff"
sa = esp.ChildSa("", b"", b"", b"\\xff\\xff\\xff\\xff", ALL, ALL, lambda n: IV, 0xfffffff0, 0xffffffe0)
inner = b"\\x45\\0\\0\\x20" + bytes(5) + b"\\x11" + bytes(22)
out = bytearray(200)
out[24:56] = inner
def go():
    length = sa.seal(out, 0, 32)
    assert length == 88
    assert sa.open(out, 0, length) == 0 and sa.size == 32
    assert sa.open(out, 0, length) == 1
    assert sa.open(out, 0, length - 1) == 3
    sa.seal(out, 0, 32)
    out[length - 20] ^= 1
    assert sa.open(out, 0, length) == 4
    assert sa.seal(out, 0, 31) == 0
go()
"""


@pytest.mark.parametrize("machine", [on_unix, on_board])
def test_nothing_is_allocated_around_the_cipher(machine):
    assert allocates_nothing(machine, HEAP)
