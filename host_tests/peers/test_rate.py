"""The measurement beside charon measures; its ratios are `make bench`'s to print, not a test's to judge."""

import pytest

from peers import rate
from peers.namespaces import host


def test_both_answer_with_one_and_with_64_outstanding():
    said = []
    ratios = rate.measure(rounds=1, say=said.append)
    assert set(ratios) == {1, 64} and min(ratios.values()) > 0
    assert len(said) == 6 and "64 outstanding, beside charon 5" in said[3]


def test_who_does_not_answer_is_an_error():
    with host() as nobody, nobody.inside(), pytest.raises(OSError):
        rate.Client(b"?", 1).rate()


def test_where_it_cannot_be_measured_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(rate, "CHARON", "/nowhere/charon")
    rate.main()
    assert capsys.readouterr().out == "beside charon: not measured, needs /nowhere/charon: host_tests/setup.sh peers\n"
