"""RULES.md, the code, the vectors and the tests name the same rules, and no rule is without a line or a case."""

import re

import pytest

from golden import rules, vector_files

DOCUMENT = rules.PAGE.read_text()
WITH_VECTORS = [rule for rule in rules.RULES if rule[0] in "SRFL"]


def test_the_document_is_read_whole():
    ids = re.findall(r"^\| ([A-Z][0-9.]+) ", DOCUMENT, re.MULTILINE)
    assert list(rules.RULES) == ids and len(ids) == len(set(ids)) > 100
    assert all(len(text) > 15 for text in rules.RULES.values())


def test_no_rule_is_without_a_line_or_a_case():
    assert list(rules.wrong()) == []


@pytest.mark.parametrize("rule", WITH_VECTORS)
def test_rule_has_vectors(rule):
    """What is decided about a single datagram has cases of both kinds."""
    cases = rules.vectors()[rule]
    assert cases, f"no case names {rule}"
    if rule[0] in "SFL":
        assert any(acts for _, acts, _ in cases), f"no case of {rule} is answered, delivered or a hint"
        # L4 limits what a hint does, not its verdict: test_node has the other half.
        assert any(drops for _, _, drops in cases) or rule == "L4", f"no case of {rule} is dropped"


def test_no_case_names_an_unknown_rule():
    assert {rule for case in vector_files.all_cases() for rule in case["rules"]} <= set(rules.RULES)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# S2.7, L3: why", {"S2.7", "L3"}),
        ("(K11)", {"K11"}),
        ("S2.71 S2 xE1 F6x E1.5 RFC 4303 2.1", set()),
        ("E1.", {"E1"}),
    ],
)
def test_ids_in_a_text(text, found):
    assert rules.named(text) == found


def test_all_there_is_of_a_rule(capsys):
    assert rules.main("F6") == 0
    said = capsys.readouterr().out
    assert "F6: Source port 0, an unspecified" in said and "- source-port-0" in said
    assert re.search(r"lib/ikev2/\w+\.py:[0-9]+: .*F6", said)
    assert re.search(r"host_tests/library/test_\w+\.py:[0-9]+: test_", said) and "test_rules.py" not in said


def test_a_rule_without_line_or_case_fails(monkeypatch, capsys):
    monkeypatch.setitem(rules.RULES, "Y1", "not a rule")
    for found in (rules.lines, rules.vectors, rules.tests):
        found.cache_clear()
    try:
        assert list(rules.wrong()) == ["Y1 has no line and no case"]
        assert rules.main("") == 1 and "Y1 has no line" in capsys.readouterr().out
        assert rules.main("Y1") == 1
        monkeypatch.setattr(rules, "NOT_BUILT", {*rules.NOT_BUILT, "Y1", "F6"})
        assert list(rules.wrong()) == ["F6 is built: take it from NOT_BUILT"]
    finally:
        for found in (rules.lines, rules.vectors, rules.tests):
            found.cache_clear()


def test_an_unknown_rule_is_an_error(capsys):
    assert rules.main("S9") == 2 and "none of S1.1" in capsys.readouterr().out
