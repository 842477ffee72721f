"""What is wrong with what a machine did: octets, verdicts, what came out of ESP, line by line."""

from golden import vector_files


def same(expected, got):
    """True if the octets are equal, `x` in `expected` being any nibble."""
    return len(expected) == len(got) and all(e in ("x", g) for e, g in zip(expected, got, strict=True))


def dump(expected, got):
    """Both octet strings as hexdumps, `>` at the line and `^` at the octet where they differ first."""
    lines = []
    first = (
        next((i for i in range(0, max(len(expected), len(got)), 2) if not same(expected[i : i + 2], got[i : i + 2])), 0)
        // 2
    )
    for label, octets in (("expected", expected), ("got", got)):
        lines.append(f"    {label}: {len(octets) // 2} octets")
        for start in range(0, len(octets), 32):
            row = octets[start : start + 32]
            here = start // 2 <= first < start // 2 + 16
            lines.append(
                f"    {'>' if here else ' '} {start // 2:04x}  "
                + " ".join(row[i : i + 2] for i in range(0, len(row), 2))
            )
            if here:
                lines.append(" " * (12 + 3 * (first - start // 2)) + "^^")
    return lines


def different_opened(step, expected, got):
    """What is wrong with what came out of ESP; nothing if nothing is expected."""
    if expected is None or expected == got:
        return []
    if got and expected[0] == got[0] == "inner":
        return [f"    step {step}: the inner packets differ", *dump(expected[1], got[1])]
    named = [
        " ".join(what) if what and what[0] == "dropped" else what and "an inner packet" for what in (got, expected)
    ]
    return [f"    step {step}: {named[0] or 'nobody who opens it'}, expected {named[1]}"]


def differences(case, result):
    """What is wrong with a result: a list of lines, empty if nothing."""
    if "error" in result:
        return [f"    {result['error']}"]
    wrong = []
    for i, ((verdict, sends), (got_verdict, got_sends, *got_opened)) in enumerate(
        zip(case["expected"], result["steps"], strict=True)
    ):
        if verdict != got_verdict:
            wrong.append(f"    step {i}: verdict {got_verdict}, expected {verdict}")
        wrong += different_opened(i, case["opened"][i], got_opened[0] if got_opened else None)
        if len(sends) != len(got_sends):
            wrong.append(f"    step {i}: {len(got_sends)} datagrams sent, expected {len(sends)}")
        for (via, to, octets), (got_via, got_to, got_octets) in zip(sends, got_sends, strict=False):
            if (via, to) != (got_via, got_to):
                got_by, by = vector_files.VIA_NAMES[got_via], vector_files.VIA_NAMES[via]
                got_to, to = vector_files.endpoint_text(got_to), vector_files.endpoint_text(to)
                wrong.append(f"    step {i}: sent by {got_by} to {got_to}, expected {by} to {to}")
            if not same(octets, got_octets):
                wrong += [f"    step {i}: octets differ", *dump(octets, got_octets)]
    if not result.get("unchanged", True):
        wrong.append("    the SA table changed, or is not what is left")
    if not result.get("counted", True):
        wrong.append("    the counters do not add up to the datagrams received")
    return wrong
