"""The rules of lib/RULES.md by id, and where each of them is: lines of code, golden vectors, tests."""

import ast
import io
import re
import sys
import tokenize
from functools import cache

from tools import HERE, ROOT, arguments

from golden import segment_files, vector_files

_ROW = re.compile(r"^\| ([A-Z][0-9]+(?:\.[0-9]+)?) \| (.*?) \|", re.MULTILINE)
_ID = re.compile(r"\b([A-Z][0-9]+(?:\.[0-9]+)?)\b(?![.][0-9])")
PAGE = ROOT / "lib/RULES.md"
RULES = dict(_ROW.findall(PAGE.read_text()))
NOT_BUILT = frozenset()  # whose code, tests or ids are still to come


def named(text):
    """Ids of rules in a text."""
    return {rule for rule in _ID.findall(text) if rule in RULES}


@cache
def lines():
    """{rule: [(file, number of the line, line)]} of the comments and docstrings of lib and firmware that name it."""
    found = {rule: [] for rule in RULES}
    for folder in ("lib", "firmware"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text()
            for token in tokenize.generate_tokens(io.StringIO(text).readline):
                if token.type == tokenize.COMMENT or token.string.startswith('"""'):
                    for number, line in enumerate(token.string.splitlines(), token.start[0]):
                        for rule in named(line):
                            place = path.relative_to(ROOT), number, text.splitlines()[number - 1].strip()
                            found[rule].append(place)
    return found


@cache
def vectors():
    """{rule: [(case, has a step that is answered, delivered or a hint, has one that is dropped)]}"""
    found = {rule: [] for rule in RULES}
    for case in vector_files.all_cases():
        dropped = {verdict.startswith("drop-") for verdict, _ in case["expected"] if verdict}
        for rule in case["rules"]:
            found.setdefault(rule, []).append((case["name"], False in dropped, True in dropped))
    for case in segment_files.all_cases():
        answers = {bool(sent) for sent, _, _ in case["expected"]}
        for rule in case["rules"]:
            found.setdefault(rule, []).append((case["name"], True in answers, False in answers))
    return found


@cache
def tests():
    """{rule: [(file, number of the line, test)]} of the test functions that name it, wherever in them."""
    found = {rule: [] for rule in RULES}
    for path in sorted(set(HERE.rglob("test_*.py")) - {HERE / "golden/test_rules.py"}):
        text = path.read_text()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                words = "\n".join(text.splitlines()[first - 1 : node.end_lineno])
                words += " " + node.name.upper().replace("_", " ")
                for rule in named(words):
                    found[rule].append((path.relative_to(ROOT), node.lineno, node.name))
    return found


def missing(rule):
    """What a rule does not have: nothing, if all is well."""
    return ["line"] * (not lines()[rule]) + ["case"] * (not (vectors()[rule] or tests()[rule]))


def wrong():
    """A line for each rule that has no line or no case, and for each that is exempt without need."""
    for rule in RULES:
        if rule in NOT_BUILT and not missing(rule):
            yield f"{rule} is built: take it from NOT_BUILT"
        elif rule not in NOT_BUILT and missing(rule):
            yield f"{rule} has no {' and no '.join(missing(rule))}"


def show(rule):
    """Everything there is of a rule."""
    print(f"{rule}: {RULES[rule]}")
    print(f"\n{len(lines()[rule])} lines")
    for path, number, line in lines()[rule]:
        print(f"  {path}:{number}: {line}")
    print(f"\n{len(vectors()[rule])} vectors (+ answered, delivered or a hint; - dropped)")
    for name, acts, drops in vectors()[rule]:
        print(f"  {'+' if acts else ' '}{'-' if drops else ' '} {name}")
    print(f"\n{len(tests()[rule])} tests")
    for path, number, name in tests()[rule]:
        print(f"  {path}:{number}: {name}")


def main(rule):
    if rule and rule not in RULES:
        print(f"ID={rule}: none of {' '.join(RULES)}")
        return 2
    if rule:
        show(rule)
        return 1 if missing(rule) else 0
    print("lines vectors tests")
    for rule, text in RULES.items():
        counts = [len(found[rule]) for found in (lines(), vectors(), tests())]
        print("{:5} {:7} {:5}  {}".format(*counts, f"{rule}: {text}"[:120]))
    failed = list(wrong())
    print("", *failed, f"{len(RULES)} rules, {len(NOT_BUILT)} not built yet, {len(failed)} wrong", sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(arguments(sys.argv[1:], ID="")["ID"]))
