"""What a daemon that keeps its SAs and a node that has none say to each other, from the first to the last packet."""

import contextlib
import os
import subprocess
import time
from dataclasses import dataclass, field

import vector_files
from ikev2 import wire
from live import canary

from peers.net import ASKER, PLACE, THIRD, network
from peers.place import node_at
from peers.strongswan import INSIDE, Charon

EXCHANGES = {"auth": wire.IKE_AUTH, "rekey": wire.CREATE_CHILD_SA, "dpd": wire.INFORMATIONAL}
_DISCARD = 9
_TRIES = 6
_SA = 33  # payload


def until(true, what):
    """Wait for a condition; the time limit only ends what would last for ever."""
    end = time.monotonic() + 20
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.02)


def newer_request(via):
    """An IKE_SA_INIT of version 3.0 that everybody here answers; 60 octets."""
    header = os.urandom(8) + bytes(8) + bytes((_SA, 0x30, wire.IKE_SA_INIT, wire.INITIATOR, 0, 0, 0, 0, 0, 0, 0, 60))
    return bytes(4 if via == wire.PORT_NAT else 0) + header + bytes(32)


def ask(sock, to, question, sure):
    """The answer to a question; None if the answer to `sure`, put right behind it, is the first thing to come back."""
    at = 4 if to[1] == wire.PORT_NAT else 0
    for _ in range(_TRIES):
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


@dataclass
class Record:
    """What was seen on one port. Questions and answers are packets, one for one in the order of the node's socket."""

    via: int
    questions: list = field(default_factory=list)
    answers: list = field(default_factory=list)
    heard: list = field(default_factory=list)  # the answers, and those before and after
    before: dict = field(default_factory=dict)  # the daemon's SAs
    after: dict = field(default_factory=dict)
    log: str = ""  # since the node took the place
    counters: tuple = ()  # before, after
    major: list = field(default_factory=list)  # (question, its answer, ours)
    packets: list = field(default_factory=list)  # everything that crossed the cable


def questions_of_a_higher_version(via):
    """What the vectors say is to be answered with INVALID_MAJOR_VERSION."""
    cases = [case for case in vector_files.all_cases() if not case["config"] and len(case["steps"]) == 1]
    found = [case["steps"][0] for case in cases if case["expected"][0][0] == "invalid-major-version"]
    return sorted({bytes.fromhex(octets) for _, port, _, octets in found if port == via})


def mark(sock, cable, via):
    """Numbers on the cable of a question to our node and of its answer: where they stand in the order of its socket."""
    at = 4 if via == wire.PORT_NAT else 0
    question = bytes(at) + canary(1)
    for _ in range(_TRIES):
        sock.sendto(question, (PLACE, via))
        with contextlib.suppress(TimeoutError):
            while True:
                answer = sock.recv(2048)
                if answer[: at + 16] == question[: at + 16]:
                    return cable.find(question), cable.find(answer)
    raise TimeoutError(f"our node does not answer {question.hex()}")


def forgotten(machine, via, folder):
    """Record of strongSwan's charon and `machine` in the place of another charon, all on one port."""
    record = Record(via)
    esp = via == wire.PORT_NAT  # charon encapsulates all or nothing
    with contextlib.ExitStack() as stack:
        asker, place, cable = stack.enter_context(network())
        connections = dict.fromkeys([*EXCHANGES, "esp"], via)
        charon = Charon(asker, folder / "asker", ASKER, PLACE, connections, esp=esp, dpd={"dpd": "1s"})
        stack.callback(charon.kill)
        peer = Charon(place, folder / "place", PLACE, ASKER, {"any": via}, esp=esp)
        stack.callback(peer.kill)
        for name in ("rekey", "dpd"):
            charon.swanctl("--initiate", "--ike", name)
        tunnel = None
        if esp:
            charon.swanctl("--initiate", "--ike", "esp", "--child", "tunnel")
            tunnel = stack.enter_context(asker.socket(INSIDE[ASKER]))
            there = stack.enter_context(place.socket(INSIDE[PLACE], _DISCARD))
            tunnel.sendto(b"known", (INSIDE[PLACE], _DISCARD))
            there.recv(2048)
        peer.kill()

        # Another one that answers IKE_SA_INIT, but never gets to IKE_AUTH.
        slow = Charon(place, folder / "slow", PLACE, ASKER, {"any": via}, esp=esp, delay_auth_ms=3600000)
        stack.callback(slow.kill)
        uri = f"unix://{charon.folder}/vici"
        waiting = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "swanctl", "--initiate", "--ike", "auth", "--uri", uri],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        stack.callback(waiting.wait)
        stack.callback(waiting.kill)
        charon.swanctl("--rekey", "--ike", "rekey")
        forgot = len(cable.packets)

        a, b = (ASKER, via), (PLACE, via)

        def asked(of):
            return lambda packet: (packet.source, packet.to) == (a, b) and exchange(packet) == of

        for number in EXCHANGES.values():
            cable.wait(asked(number), forgot)
        slow.kill()
        record.before = charon.sas()
        counters = charon.counters()
        logged = len(charon.log())

        with node_at(machine, place):
            beside = stack.enter_context(asker.socket(ASKER))
            first_question, first_answer = mark(beside, cable, via)
            for _ in range(3 if esp else 0):
                tunnel.sendto(bytes(64), (INSIDE[PLACE], _DISCARD))
            for number in EXCHANGES.values():
                cable.wait(asked(number), first_question)
            last_question, last_answer = mark(beside, cable, via)
            with place.socket(THIRD) as to_them:
                for question in questions_of_a_higher_version(via):
                    sure = newer_request(via)
                    pair = ask(to_them, (ASKER, via), question, sure), ask(beside, (PLACE, via), question, sure)
                    record.major.append((question, *pair))

        between = cable.packets[first_question:last_question], cable.packets[first_answer:last_answer]
        record.questions = [p for p in between[0] if (p.source, p.to) == (a, b)]
        record.answers = [p for p in between[1] if (p.source, p.to) == (b, a)]
        record.heard = [p for p in cable.packets[first_question:] if (p.source, p.to) == (b, a)]
        until(lambda: charon.refused(logged) >= len(record.heard), "charon has not read all answers")
        record.log = charon.log()[logged:]
        record.after = charon.sas()
        record.counters = counters, charon.counters()
        record.packets = cable.packets[:]
    return record
