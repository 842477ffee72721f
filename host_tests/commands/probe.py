"""Asks any address, a board or an IKE daemon, the questions of RFC 7296 section 1.5 and compares the answers."""

import sys
import time

from golden import vector_files
from golden.differences import same
from golden.live import Live
from packets import decode
from rich.console import Console
from rich.table import Table
from tools import arguments

# Case, what silence means where an answer is right.
QUESTIONS = (
    (
        "informational-with-unknown-spis-on-500",
        "does not tell that it lost its SAs: the peer waits for its own time-out",
    ),
    ("ike-auth-with-unknown-spis-on-500", "the same"),
    ("create-child-sa-with-unknown-spis-on-500", "the same"),
    ("informational-with-unknown-spis-on-4500", "the same behind NAT, or 4500 is not served"),
    ("major-3-ike-sa-init-on-500", "a newer initiator cannot learn that it must fall back"),
    ("major-3-ike-sa-init-on-4500", "the same behind NAT, or 4500 is not served"),
    ("esp-in-udp-unknown-spi", "allowed (MAY): the peer sends into a black hole until its liveness check"),
    ("response-with-unknown-spis", None),
    ("major-3-response-on-500", None),
    ("major-0", None),
    ("unencrypted-informational", None),
    ("invalid-spi-without-any-sa", None),
    ("nat-keepalive", None),
    ("request-of-28-octets", None),
)
_SLOW_S = 3.2


def judge(sends, silence, got):
    """Verdict on what came back, and a word on it."""
    if not sends:
        return ("right", "silence") if got is None else ("WRONG", "must stay unanswered")
    if got is None:
        return "silent", silence
    if same(sends[0][2], got.hex()):
        return "right", "octet for octet"
    return "differs", f"expected {sends[0][2]}"


def ask(live, via, question):
    """One question, never repeated; what came back within a second and a half."""
    with live.socket(via) as sock:
        sock.send(question)
        return live.receive(sock, 1.5)


def main(host, ports, slow_s=_SLOW_S):
    if not host:
        print("usage: make probe HOST=address [UDP_PORT=500] [UDP_PORT_NAT=4500]")
        return 2
    console = Console(width=None if sys.stdout.isatty() else 160)
    cases = {case["name"]: case for case in vector_files.all_cases()}
    live = Live(host, ports)
    table = Table(title=f"{host}, UDP {ports[500]} and {ports[4500]}", title_justify="left")
    for heading in ("question", "rules", "answer", "", ""):
        table.add_column(heading, overflow="fold")
    seen = {"right": 0, "silent": 0, "differs": 0, "WRONG": 0}
    answered = False
    for number, (name, silence) in enumerate(QUESTIONS):
        if number:
            time.sleep(slow_s)  # within the default budget of one answer for a source in three seconds
        case = cases[name]
        via = case["steps"][0][1]
        console.print(f"{number + 1}/{len(QUESTIONS)} {name}", highlight=False)
        try:
            got = ask(live, via, bytes.fromhex(case["steps"][0][3]))
        except OSError as error:
            print(f"{host}: {error}")
            return 2
        answered |= got is not None
        verdict, word = judge(case["expected"][0][1], silence, got)
        seen[verdict] += 1
        table.add_row(name, " ".join(case["rules"][:3]), decode.summary(via, got) if got else "silence", verdict, word)
    console.print(table)
    if not answered:
        print("Nothing was answered: nobody is there, a filter is in between, or it leaves section 1.5 out.")
    print(", ".join(f"{count} {verdict}" for verdict, count in seen.items()))
    return 1 if seen["WRONG"] or seen["differs"] else 0


if __name__ == "__main__":
    given = arguments(sys.argv[1:], HOST="", UDP_PORT=500, UDP_PORT_NAT=4500)
    sys.exit(main(given["HOST"], {500: given["UDP_PORT"], 4500: given["UDP_PORT_NAT"]}))
