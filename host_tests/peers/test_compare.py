"""The README's comparison is what the daemons do, versions included; and a cell says so where it would not be."""

import pytest
from ikev2 import wire
from tools import readmes

from peers import compare, state_loss
from peers.namespaces import PLACE, network


@pytest.fixture(scope="module")
def seen():
    return compare.see()


def test_the_readme_has_what_was_just_seen(seen):
    table = compare.markdown(seen)
    assert len(seen) == len(compare.ROWS) + 1 and all(map(all, (row[1:] for row in seen)))
    assert table in readmes(), table


def test_our_column_has_nothing_bold(seen):
    """Bold is what section 1.5 forbids."""
    assert not [row[0] for row in seen if "**" in row[1]]
    assert sum("**" in cell for row in seen for cell in row[2:]) >= 4


class Wrong(compare.Asked):
    """Answers as it is told."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def ask(self, via, question):
        return self.answers.pop(0)


def test_cells_tell_right_from_wrong():
    via, question = compare._vector("informational-with-unknown-spis-on-500")
    name = "informational-with-unknown-spis-on-500"
    right = compare.scapy_answers.answer("invalid-ike-spi", via, question, b"")
    cases = (
        ((None, None), "silent"),
        ((right, right), "INVALID_IKE_SPI"),
        ((right, None), "INVALID_IKE_SPI to 1 of 2"),
        ((right, right[:-1] + b"\5"), "INVALID_IKE_SPI, malformed"),
    )
    for answers, cell in cases:
        assert Wrong(*answers).verdict("invalid-ike-spi", name, name) == cell
    assert Wrong(right).silence(name) == "**answers**"
    with_i, without = (right[: wire.FLAGS] + bytes((flags,)) + right[wire.FLAGS + 1 :] for flags in (0x28, 0x20))
    assert [Wrong(*pair).flag() for pair in ((without, with_i), (without, without), (with_i, with_i))] == [
        "inverse", "always 0", "always 1",
    ]  # fmt: skip


def test_who_answers_nothing_at_all_is_an_error(monkeypatch):
    """Silence is never proven by waiting."""
    monkeypatch.setattr(state_loss, "_TRIES", 1)
    with network() as (asker, _, _), asker.socket("10.66.0.3") as sock, pytest.raises(TimeoutError):
        compare.Asked(sock, PLACE).ask(500, b"?")
