"""What a daemon that keeps its SAs and a node that has none say to each other, from the first to the last packet."""

import contextlib
import os
import select
from dataclasses import dataclass, field

from golden import vector_files
from golden.live import canary
from ikev2 import wire

from peers.namespaces import ASKER, INSIDE, PLACE, THIRD, network, until
from peers.our_node import node_at

EXCHANGES = {"auth": wire.IKE_AUTH, "rekey": wire.CREATE_CHILD_SA, "dpd": wire.INFORMATIONAL}
DISCARD = 9
_TRIES = 40
_SA = 33  # payload


def newer_request(via):
    """An IKE_SA_INIT of version 3.0 that everybody here answers; 60 octets."""
    header = os.urandom(8) + bytes(8) + bytes((_SA, 0x30, wire.IKE_SA_INIT, wire.INITIATOR, 0, 0, 0, 0, 0, 0, 0, 60))
    return bytes(4 if via == wire.PORT_NAT else 0) + header + bytes(32)


def drain(sock):
    """The datagrams that are there already."""
    found = []
    while select.select([sock], [], [], 0)[0]:
        found.append(sock.recv(2048))
    return found


def ask(sock, to, question, sure):
    """The answer to a question; None if the answer to `sure`, put right behind it, is the first thing to come back."""
    at = 4 if to[1] == wire.PORT_NAT else 0
    for _ in range(_TRIES):
        drain(sock)
        sock.sendto(question, to)
        sock.sendto(sure, to)
        with contextlib.suppress(TimeoutError):
            got = [sock.recv(2048)]
            while got[-1][: at + 8] != sure[: at + 8]:
                got.append(sock.recv(2048))
            if len(got) > 2:
                raise AssertionError(f"{len(got) - 1} answers from {to}: {[answer.hex() for answer in got]}")
            return got[0] if len(got) == 2 else None
    raise TimeoutError(f"{to} does not answer {sure.hex()}")


def exchange(packet):
    """Exchange type of the IKE message in a packet; 0 for ESP."""
    at = 4 if packet.via == wire.PORT_NAT else 0
    return 0 if any(packet.octets[:at]) else packet.octets[at + wire.EXCHANGE]


def header(packet):
    """The IKE header in a packet."""
    return packet.octets[4 if packet.via == wire.PORT_NAT else 0 :][: wire.HEADER]


def message_id(packet):
    """That of an IKE message."""
    return int.from_bytes(header(packet)[wire.MESSAGE_ID : wire.LENGTH], "big")


def is_response(packet):
    """By the flag of an IKE message."""
    return bool(header(packet)[wire.FLAGS] & wire.RESPONSE)


def send_esp(tunnel, cable, wanted):
    """The packet that comes of a datagram through a tunnel, sent again if none does."""
    for _ in range(_TRIES):
        since = len(cable.packets)
        tunnel.sendto(bytes(64), (INSIDE[PLACE], DISCARD))
        with contextlib.suppress(TimeoutError):
            return cable.wait(wanted, since, 2)
    raise TimeoutError("ESP through the tunnel is not answered")


@dataclass
class Record:
    """What was seen on one port. Questions and answers are packets in the order of the node's socket."""

    daemon: type
    machine: str
    via: int
    questions: list = field(default_factory=list)
    answers: list = field(default_factory=list)
    heard: list = field(default_factory=list)  # the answers, and those before and after
    before: list = field(default_factory=list)  # the daemon's SAs
    after: list = field(default_factory=list)
    log: str = ""  # since the node took the place
    counters: tuple = ()  # before, after
    major: list = field(default_factory=list)  # (question, its answer, ours)
    packets: list = field(default_factory=list)  # everything that crossed the cable


def questions_of_a_higher_version(via):
    """What the vectors say is to be answered with INVALID_MAJOR_VERSION."""
    cases = [case for case in vector_files.all_cases() if not case["config"] and len(case["steps"]) == 1]
    found = [case["steps"][0] for case in cases if case["expected"][0][0] == "invalid-major-version"]
    return sorted({bytes.fromhex(octets) for _, port, _, octets in found if port == via})


def answer_to(sock, to, question):
    """The answer to a question that is put until it comes: a socket of the board has room for one datagram only."""
    at = 4 if to[1] == wire.PORT_NAT else 0
    for _ in range(_TRIES):
        drain(sock)
        sock.sendto(question, to)
        with contextlib.suppress(TimeoutError):
            answer = sock.recv(2048)
            while answer[: at + 16] != question[: at + 16]:
                answer = sock.recv(2048)
            return answer
    raise TimeoutError(f"{to} does not answer {question.hex()}")


def mark(sock, cable, via):
    """Numbers on the cable of a question to our node and of its answer: where they stand in the order of its socket."""
    question = bytes(4 if via == wire.PORT_NAT else 0) + canary(1)
    answer = answer_to(sock, (PLACE, via), question)
    return cable.find(question), cable.find(answer)


def lose_state(daemon, machine, via, folder):
    """Record of a `daemon`, Charon or Pluto, and `machine` in the place of another such daemon, all on one port."""
    record = Record(daemon, machine, via)
    a, b = (ASKER, via), (PLACE, via)

    def asked(of):
        return lambda packet: (packet.source, packet.to) == (a, b) and exchange(packet) == of

    def answered(of):
        return lambda packet: (packet.source, packet.to) == (b, a) and exchange(packet) == of and is_response(packet)

    with contextlib.ExitStack() as stack:
        asker, place, cable = stack.enter_context(network())
        connections = dict.fromkeys([*EXCHANGES, "esp"], via)
        keeper = daemon(asker, folder / "asker", ASKER, PLACE, connections, **daemon.KEEPER)
        stack.callback(keeper.kill)
        forgetter = daemon(place, folder / "place", PLACE, ASKER, connections)
        stack.callback(forgetter.kill)
        for name in ("rekey", "dpd"):
            keeper.establish(name)
        tunnel = None
        if via in daemon.ESP:
            keeper.tunnel("esp")
            tunnel = stack.enter_context(asker.socket(INSIDE[ASKER]))
            there = stack.enter_context(place.socket(INSIDE[PLACE], DISCARD))
            tunnel.sendto(b"known", (INSIDE[PLACE], DISCARD))
            there.recv(2048)
        place.deafen()
        deaf = len(cable.packets)
        keeper.begin("auth")
        keeper.rekey("rekey")
        keeper.check("dpd")
        for number in EXCHANGES.values():
            cable.wait(asked(number), deaf)
        forgetter.kill()
        place.hear()
        record.before = keeper.sas()
        counters = keeper.counters()
        logged = len(keeper.log())

        with node_at(machine, place):
            beside = stack.enter_context(asker.socket(ASKER))
            first_question, first_answer = mark(beside, cable, via)
            for _ in range(3 if tunnel else 0):
                send_esp(tunnel, cable, lambda packet: (packet.source, packet.to) == (b, a) and not is_response(packet))
            for number in EXCHANGES.values():
                cable.wait(answered(number), first_answer)
            last_question, last_answer = mark(beside, cable, via)
            with place.socket(THIRD) as to_them:
                for question in questions_of_a_higher_version(via):
                    sure = newer_request(via)
                    pair = ask(to_them, (ASKER, via), question, sure), answer_to(beside, (PLACE, via), question)
                    record.major.append((question, *pair))

        between = cable.packets[first_question:last_question], cable.packets[first_answer:last_answer]
        record.questions = [p for p in between[0] if (p.source, p.to) == (a, b)]
        record.answers = [p for p in between[1] if (p.source, p.to) == (b, a)]

        def heard():
            return [p for p in cable.packets[first_question:] if (p.source, p.to) == (b, a)]

        until(lambda: keeper.refused(logged) == len(heard()), "the daemon has not read all answers")
        record.heard = heard()
        record.log = keeper.log()[logged:]
        record.after = keeper.sas()
        record.counters = counters, keeper.counters()
        record.packets = cable.packets[:]
    return record
