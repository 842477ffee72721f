"""README's table beside other specifications."""

from tools import ROOT, readmes

from measure import beside


def test_readme_has_the_table_of_these_figures():
    """`make size README=1` writes it."""
    assert beside.table(readmes()) + "\n" in (ROOT / "README.md").read_text()


def test_a_written_table_follows_the_figures(tmp_path, monkeypatch):
    """And nothing else of README changes."""
    text = (ROOT / "README.md").read_text()
    copy = tmp_path / "README.md"
    copy.write_text(text.replace(beside.table(readmes()), beside._HEAD + "| old |\n"))
    monkeypatch.setattr(beside, "_README", copy)
    beside.write()
    assert copy.read_text() == text


def test_tls_is_as_long_as_an_example():
    """RFC 8448 3: a ServerHello record of 95 octets, without a psk, and a Finished message of 36."""
    client, server, finished = beside.tls_hellos()
    assert finished == 5 + 36 + 17 and server - 6 - (5 + 6 + 36 + 17) == 95
    assert beside.tls_hellos(identity=9) == (client + 1, server, finished)
