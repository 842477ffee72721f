"""What each implementation does with what section 1.5 is about: asked here and now, in namespaces; a table.

make peers MARKDOWN=1 prints it as the README has it. OpenIKED is not in it: it ends at once where the kernel has
no PF_KEY sockets, and namespaces have the kernel that there is.
"""

import contextlib
import signal
import sys
import tempfile
from pathlib import Path

from golden import vector_files
from ikev2 import wire
from packets import scapy_answers
from rich.console import Console
from rich.table import Table
from tools import arguments

from peers import adopted_sa, libreswan, state_loss, strongswan
from peers.namespaces import ASKER, PLACE, THIRD, network, until
from peers.our_node import node_at

PORTS = (500, 4500)
SILENT, ANSWERS, IGNORED = "silent", "**answers**", "ignored"
_UNKNOWN = [
    f"{kind}-with-unknown-spis-on-{port}" for kind in ("informational", "ike-auth", "create-child-sa") for port in PORTS
]
_MANY = 20


def _vector(name):
    (step,) = next(case["steps"] for case in vector_files.all_cases() if case["name"] == name)
    return step[1], bytes.fromhex(step[3])


class Asked:
    """Someone at `address` who is asked from `sock`."""

    def __init__(self, sock, address):
        self._sock, self._address = sock, address

    def ask(self, via, question):
        """Its answer or None, proven by an answer to what follows."""
        return state_loss.ask(self._sock, (self._address, via), question, state_loss.newer_request(via))

    def verdict(self, verdict, *names):
        """'silent', or the name of the Notify in the right answers; what is wrong with them otherwise."""
        answers = [(via, question, self.ask(via, question)) for via, question in map(_vector, names)]
        if not any(answer for _, _, answer in answers):
            return SILENT
        right = [
            answer == scapy_answers.answer(verdict, via, question, answer[-wire.INVALID_SPI_MESSAGE :][:16])
            for via, question, answer in answers
            if answer
        ]
        name = f"{scapy_answers.ANSWERS[verdict]}"
        if len(right) < len(answers):
            return f"{name} to {len(right)} of {len(answers)}"
        return name if all(right) else f"{name}, malformed"

    def silence(self, name):
        """'silent', as it should be, or not."""
        return ANSWERS if self.ask(*_vector(name)) else SILENT

    def flag(self):
        """The I flag of its INVALID_MAJOR_VERSION, by that of the request."""
        via, question = _vector("major-3-ike-sa-init-on-500")
        seen = []
        for flags in (wire.INITIATOR, 0):
            answer = self.ask(via, question[: wire.FLAGS] + bytes((flags,)) + question[wire.FLAGS + 1 :])
            seen.append(bool(answer[wire.FLAGS] & wire.INITIATOR))
        return {(False, True): "inverse", (False, False): "always 0", (True, True): "always 1"}.get(
            tuple(seen), "the same"
        )

    def table(self):
        """The cells of what needs no SA."""
        return [
            self.verdict("invalid-ike-spi", *_UNKNOWN),
            self.verdict("invalid-spi", "esp-in-udp-unknown-spi"),
            self.verdict("invalid-major-version", *(f"major-3-ike-sa-init-on-{port}" for port in PORTS)),
            self.silence("major-3-response-on-500"),
            self.silence("major-0"),
            self.flag(),
        ]


def limits(sock, beside, address):
    """How many of many questions from one address are answered."""
    via, question = _vector("major-3-ike-sa-init-on-500")
    sure = state_loss.newer_request(via)
    for _ in range(_MANY):
        sock.sendto(question, (address, via))
    state_loss.ask(beside, (address, via), sure, sure)
    count = len(state_loss.drain(sock))
    return "no" if count == _MANY else f"yes: {count} of {_MANY}"


ROWS = (
    "encrypted request, unknown SPIs (INFORMATIONAL, IKE_AUTH, CREATE_CHILD_SA), 500 and 4500",
    "UDP-encapsulated ESP, unknown SPI, no IKE SA with its sender",
    "IKE_SA_INIT of major version 3, 500 and 4500",
    "major 3 with R set",
    "major 0",
    "I flag of its INVALID_MAJOR_VERSION, beside the request's",
    "limits its answers",
    "UDP-encapsulated ESP, unknown SPI, an IKE SA with its sender",
    "unprotected N(INVALID_SPI) from the peer of an IKE SA",
    "unprotected N(INVALID_IKE_SPI), live SPIs, matching Message ID",
    "N(INVALID_SPI) over the IKE SA",
    "forged N(INVALID_MAJOR_VERSION) to an outstanding IKE_SA_INIT",
)
_CHANGED = "**SA changed**"
_HINT = "hint: one liveness check"


def over_the_ike_sa(daemon, folder):
    """What it answers to INVALID_SPI over the IKE SA, and what that does."""
    payloads, before, after = adopted_sa.response_to_invalid_spi(daemon, folder)
    response = "empty response" if payloads == b"" else f"**response with {payloads}**"
    return f"{response}, {'SAs kept' if before == after else _CHANGED}"


def forged(keeper, cable, place):
    """What it makes of an INVALID_MAJOR_VERSION from a stranger to its IKE_SA_INIT, to which nobody else answers."""
    since = len(cable.packets)
    keeper.begin("auth")
    request = cable.wait(lambda packet: packet.source == (ASKER, 500), since)

    def lives():
        return any("auth" in line for line in keeper.sas())

    def asked():
        return sum(packet.source == (ASKER, 500) for packet in cable.packets)

    until(lives, "the attempt is not among the SAs")
    with place.socket(THIRD) as stranger:
        stranger.sendto(scapy_answers.answer("invalid-major-version", 500, request.octets, b""), (ASKER, 500))
        enough = asked() + 2
        until(lambda: not lives() or asked() >= enough, "neither given up nor repeated")
    return IGNORED if lives() else "**attempt destroyed**"


def see_daemon(daemon, folder):
    """The cells of a daemon."""
    via = daemon.ESP[0] if daemon.ESP else wire.PORT  # as if it had tunnels, if it can
    connections = dict.fromkeys(("rekey", "auth"), via)
    with contextlib.ExitStack() as stack:
        asker, place, cable = stack.enter_context(network())
        keeper = daemon(asker, folder / "asker", ASKER, PLACE, connections)
        stack.callback(keeper.kill)
        forgetter = daemon(place, folder / "place", PLACE, ASKER, connections)
        stack.callback(forgetter.kill)
        keeper.establish("rekey")
        forgetter.kill()
        stranger, beside = (stack.enter_context(place.socket(THIRD)) for _ in range(2))
        cells = Asked(stranger, ASKER).table()
        keeper.settled(len(_UNKNOWN))
        assert not state_loss.drain(stranger)
        cells.append(limits(stranger, beside, ASKER))
        before = keeper.sas()
        with place.socket(PLACE, wire.PORT_NAT) as encapsulated:
            cells.append(Asked(encapsulated, ASKER).verdict("invalid-spi", "esp-in-udp-unknown-spi"))
        with place.socket(PLACE, via) as known:
            hint = scapy_answers.answer("invalid-spi", via, b"\xc0\xff\xee\1" + bytes(4), b"random IKE SPIs.")
            answered = Asked(known, ASKER).ask(via, hint)
        cells.append(ANSWERS if answered else IGNORED if keeper.sas() == before else _CHANGED)
        forging = forged(keeper, cable, place)
    record = state_loss.lose_state(daemon, "unix", via, folder / "again")
    cells.append(IGNORED if record.before == record.after else _CHANGED)
    return [*cells, over_the_ike_sa(daemon, folder / "protected"), forging]


def see_ours(folder):
    """The cells of our node, under the unix port."""
    with contextlib.ExitStack() as stack:
        asker, place, _ = stack.enter_context(network())
        stranger = stack.enter_context(asker.socket(ASKER))
        with node_at("unix", place):
            cells = Asked(stranger, PLACE).table()
        asker.run("ip", "addr", "add", f"{THIRD}1/24", "dev", "cable")
        with asker.socket(f"{THIRD}1") as beside, node_at("unix", place, limits=True):
            cells.append(limits(stranger, beside, PLACE))
    record = adopted_sa.adopt_sa("unix", "aes-cbc-128", False, folder / "protected")
    cells.append("INVALID_SPI over it" if record.told["counters"]["invalid-spi-protected"] == 2 else SILENT)
    checked = state_loss.message_id(record.check[0]) == state_loss.message_id(record.invalid_spi[1][0]) - 1
    for counter in ("hint-invalid-spi", "hint-invalid-ike-spi"):
        cells.append(_HINT if checked and record.told["counters"].get(counter) else IGNORED)
    return [*cells, over_the_ike_sa(None, folder / "both"), "a hint, the attempt goes on (N5)"]


def see():
    """The table: a row is its case, our cell, and those of the daemons; the first row are their names."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        columns = [
            ["", *ROWS],
            ["micropython-ikev2", *see_ours(folder / "ours")],
            [f"strongSwan {strongswan.version()}", *see_daemon(strongswan.Charon, folder / "strongswan")],
            [f"libreswan {libreswan.version()}", *see_daemon(libreswan.Pluto, folder / "libreswan")],
        ]
    return list(zip(*columns, strict=True))


def markdown(rows):
    """The table as the README has it."""
    lines = ["| " + " | ".join(cell or " " for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]) + "\n"


def main(as_markdown):
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    rows = see()
    if as_markdown:
        print(markdown(rows), end="")
        return 0
    table = Table(show_lines=True)
    for heading in rows[0]:
        table.add_column(heading)
    for row in rows[1:]:
        table.add_row(*(f"[bold]{cell.strip('*')}[/bold]" if cell.startswith("**") else cell for cell in row))
    Console(width=None if sys.stdout.isatty() else 140).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main(arguments(sys.argv[1:], MARKDOWN="")["MARKDOWN"]))
