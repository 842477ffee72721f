"""All of it, shown: a sensor's life by MQTT and by UDP (demo_tunnel), then packets without an SA to a node.

Of those: what arrived, what was decided, what was answered. With OCTETS=1 every octet is there, of both.
"""

import sys

from golden import vector_files
from golden.differences import differences
from golden.live import Live
from golden.rules import RULES
from ipsec.tools import decode
from peers.node_process import UNLIMITED, node_process, ports
from rich.console import Console
from rich.table import Table
from tools import arguments

from commands import demo_tunnel
from commands.demo_broker import broker

SHOWN = (
    "esp-in-udp-unknown-spi",
    "informational-with-unknown-spis-on-500",
    "ike-auth-with-unknown-spis-on-4500",
    "request-of-the-original-responder",
    "major-3-ike-sa-init-on-500",
    "major-3-ike-sa-init-on-4500",
    "major-3-response-on-500",
    "major-0",
    "response-with-unknown-spis",
    "invalid-spi-without-any-sa",
    "unencrypted-informational",
    "request-of-28-octets",
    "nat-keepalive",
    "ike-sa-init-starts-an-ike-sa",
    "27-octets",
)


def columns(via, octets):
    """Octets and fields of a datagram, line by line."""
    if octets is None:
        return "silence", ""
    text = octets.hex()
    lines = "\n".join(" ".join(text[i + j : i + j + 8] for j in (0, 8, 16, 24)) for i in range(0, len(text), 32))
    return lines.rstrip(), "\n".join(f"{name}: {value}" for name, value in decode.fields(via, octets))


def shown_cases():
    cases = {case["name"]: case for case in vector_files.all_cases()}
    return [cases[name] for name in SHOWN]


def show(console, number, case, verdict, got, octets):
    _, via, _, question = case["steps"][0]
    if not octets:
        answer = "silence" if got is None else decode.summary(via, got)
        console.print(f"{number:2}. UDP {via:4}  {decode.summary(via, bytes.fromhex(question))}")
        console.print(f"{'':14}{verdict}: {answer}")
        return
    table = Table(title=f"{number}. {case['name']}", title_justify="left", show_lines=True)
    table.add_column(f"UDP {via}")
    table.add_column("octets", width=36)
    table.add_column("fields", width=54)
    table.add_row("arrived", *columns(via, bytes.fromhex(question)))
    rule = case["rules"][0]
    table.add_row("decided", verdict, f"{rule}: {RULES[rule]}")
    table.add_row("answered", *columns(via, got))
    console.print(table)


def without_sa(console, octets):
    """The packets of SHOWN to a node: how many were not answered as their vectors say."""
    local = ports()
    if local[500] != 500 or local[4500] != 4500:
        console.print(f"UDP 500 or 4500 cannot be bound here: using {local[500]} and {local[4500]} in their place.")
    console.print(
        "A node under MicroPython on 127.0.0.1; its limits are lifted, so that everything is answered at once.\n"
    )
    wrong = []
    with node_process(local, *UNLIMITED) as node:
        live = Live("127.0.0.1", local)
        for number, case in enumerate(shown_cases(), 1):
            _verdict, sends = case["expected"][0]
            got = live.ask(case["steps"][0][1], bytes.fromhex(case["steps"][0][3]), bool(sends))
            decided = node.line().split()[0]
            if not sends:
                node.line()  # the request that proves the silence
            show(console, number, case, decided, got, octets)
            result = {
                "steps": [
                    [decided, [] if got is None else [[*sends[0][:2], got.hex()] if sends else [0, "", got.hex()]]]
                ]
            }
            if differences(case, result):
                wrong.append(case["name"])
                console.print("\n".join(["   [red]not as its vector says:[/red]", *differences(case, result)]))
        node.stop()
    console.print(
        f"\n{len(SHOWN) - len(wrong)} as their vectors say, {len(wrong)} not" + "".join(f"\n  {name}" for name in wrong)
    )
    return len(wrong)


def main(octets=False, why=None):
    """Exit status; `why` as demo_gateway has it."""
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    shown = {"octets": octets, "say": lambda line: console.print(line, markup=False)}
    with broker() as behind:
        stories = [demo_tunnel.publish(behind, **shown), demo_tunnel.play(why, **shown)]
    console.rule()
    return 1 if without_sa(console, octets) or any(story.wrong for story in stories) else 0


if __name__ == "__main__":
    sys.exit(main(bool(arguments(sys.argv[1:], OCTETS=0)["OCTETS"])))
