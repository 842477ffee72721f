"""What every room shares."""

from portable import copy, elapsed, equal, sooner


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
