"""What every room shares."""

import subprocess

import pytest
from portable import copy, elapsed, equal, ipv4, milliseconds, sooner
from tools import ROOT, micropython

TEXTS = [
    "", "10.0.0", "10.0.0.1.1", "10.0.0.", "10..0.1", "256.0.0.1", "-1.0.0.1", "010.0.0.1", "10.0.0.+1", " 10.0.0.1",
    "10.0.0.1 ", "1_0.0.0.1", "10.0.0.0x1", "10.0.0.99999999999999999999", "10.0.0.\u0661", "vpn.example.org", "::1",
]  # fmt: skip


def test_equal_and_copy_keep_to_their_octets():
    a, b = b"xabcdy", bytearray(b"zzabcd")
    assert equal(a, 1, b, 2, 4) and not equal(a, 0, b, 1, 5) and not equal(a, 1, b, 1, 4)
    assert equal(a, 0, b, 0, 0)
    for i in range(4):
        other = bytearray(b)
        other[2 + i] ^= 1
        assert not equal(a, 1, other, 2, 4)
    out = bytearray(8)
    copy(out, 2, b"0123456", 1, 4)
    assert out == b"\0\0" + b"1234" + b"\0\0"
    copy(out, 0, b"xx", 0, 0)
    assert out[0] == 0


def test_of_two_waits_the_earlier_and_none_is_no_wait():
    assert sooner(3, 5) == sooner(5, 3) == sooner(-1, 3) == sooner(3, -1) == 3
    assert sooner(-1, -1) == -1 and sooner(0, 3) == sooner(3, 0) == 0


def test_time_goes_on_across_the_wrap_and_never_back_l5():
    assert elapsed(5, 2**30 - 5) == 10 and elapsed(2**30 - 5, 5) == 0 and elapsed(7, 7) == 0


def test_a_time_asleep_is_whole_milliseconds_below_2_40_z8():
    for ms in (0, (1 << 40) - 1):
        milliseconds(ms)
    for ms in (-1, 1 << 40):
        with pytest.raises(ValueError, match=f"^{ms}: "):
            milliseconds(ms)
    for ms in (30000.5, "1000", None):
        with pytest.raises(TypeError, match=f"^{ms!r}: "):
            milliseconds(ms)


def test_one_form_of_an_ipv4_address_is_taken_n18():
    assert (
        ipv4("10.77.0.1") == b"\x0a\x4d\0\1" and ipv4("0.0.0.0") == bytes(4) and ipv4("255.255.255.255") == b"\xff" * 4
    )
    assert [text for text in TEXTS if ipv4(text) is not None] == []


def test_the_same_form_on_micropython_n18():
    program = f"import sys; sys.path.append({str(ROOT / 'lib')!r}); from portable import ipv4; T = {TEXTS!r}"
    program += "; print(ipv4('255.0.77.1'), [t for t in T if ipv4(t) is not None])"
    done = subprocess.run([micropython(), "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout == "b'\\xff\\x00M\\x01' []\n", done.stderr
