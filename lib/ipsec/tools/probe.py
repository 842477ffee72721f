"""Asks any address, a board or an IKE daemon, the questions of RFC 7296 section 1.5 and compares the answers with ours.

What is right is what a node of this library says to the same octets.
"""

import os
import select
import socket
import time

from ikev2 import wire
from ikev2.node import Node
from ikev2.spi_table import SpiTable

from . import Refused, decode

_SA = 33
_DELETE = 42
_SOURCE = bytes((192, 0, 2, 1, 1, 244))
_WAIT_S = 1.5
_PAUSE_S = 3.2  # within the default budget of one answer for a source in three seconds
_SPIS = bytes.fromhex("1111222233334444 5555666677778888")
_SK_BODY = bytes((0, 0, 0, 52)) + b"\xa5" * 48
_REQUEST = wire.INITIATOR
_MARKER = bytes(wire.MARKER)


def ike(exchange, version=wire.VERSION_2, flags=_REQUEST, spis=_SPIS, first=wire.SK, payloads=_SK_BODY, number=7):
    """An IKE message with that header."""
    head = spis + bytes((first, version, exchange, flags)) + number.to_bytes(4, "big")
    return head + (wire.HEADER + len(payloads)).to_bytes(4, "big") + payloads


_INFORMATIONAL = ike(wire.INFORMATIONAL)
_INIT = ike(wire.IKE_SA_INIT, 0x30, spis=_SPIS[:8] + bytes(8), first=_SA, number=0)
_NOT_ENCRYPTED = ike(wire.INFORMATIONAL, first=_DELETE, payloads=bytes.fromhex("0000000801000000 0000000000000000"))
_INVALID_SPI = ike(wire.INFORMATIONAL, spis=b"\xaa" * 8 + b"\xbb" * 8, first=wire.NOTIFY, number=0,
                   payloads=bytes.fromhex("0000000c0000000b0badcafe"))  # fmt: skip
_ESP = bytes.fromhex("c0ffee01 00000001") + b"\x5a" * 56
_FORGOTTEN = "S2.1 S2.2 S2.4"
_NO_NAT = "the same behind NAT, or 4500 is not served"
# What is asked, rules, port, octets, what silence means where an answer is right.
QUESTIONS = (
    ("informational-with-unknown-spis-on-500", _FORGOTTEN, wire.PORT, _INFORMATIONAL,
     "does not tell that it lost its SAs: the peer waits for its own time-out"),
    ("ike-auth-with-unknown-spis-on-500", _FORGOTTEN, wire.PORT, ike(wire.IKE_AUTH), "the same"),
    ("create-child-sa-with-unknown-spis-on-500", _FORGOTTEN, wire.PORT, ike(wire.CREATE_CHILD_SA), "the same"),
    ("informational-with-unknown-spis-on-4500", _FORGOTTEN, wire.PORT_NAT, _MARKER + _INFORMATIONAL, _NO_NAT),
    ("major-3-ike-sa-init-on-500", "S3.1 S3.2 S3.3", wire.PORT, _INIT,
     "a newer initiator cannot learn that it must fall back"),
    ("major-3-ike-sa-init-on-4500", "S3.1 S3.2 S3.3", wire.PORT_NAT, _MARKER + _INIT, _NO_NAT),
    ("esp-in-udp-unknown-spi", "S1.2 S1.3 S1.4", wire.PORT_NAT, _ESP,
     "allowed (MAY): the peer sends into a black hole until its liveness check"),
    ("response-with-unknown-spis", "S2.3 S2.4 S2.6", wire.PORT, ike(wire.INFORMATIONAL, flags=wire.RESPONSE), ""),
    ("major-3-response-on-500", "S3.3 S3.2 S3.1", wire.PORT, ike(wire.INFORMATIONAL, 0x30, wire.RESPONSE), ""),
    ("major-0", "S3.5", wire.PORT, ike(wire.INFORMATIONAL, 0x02), ""),
    ("unencrypted-informational", "S2.2 S2.8", wire.PORT, _NOT_ENCRYPTED, ""),
    ("invalid-spi-without-any-sa", "R8 R1 S2.2", wire.PORT, _INVALID_SPI, ""),
    ("nat-keepalive", "S1.9 F1", wire.PORT_NAT, b"\xff", ""),
    ("request-of-28-octets", "L2 L6 S3.1", wire.PORT, ike(wire.INFORMATIONAL, 0x30, payloads=b""), ""),
)  # fmt: skip


def right_answer(via, question):
    """What a node of ours answers; None for silence."""
    node = Node(SpiTable(1, 1), os.urandom)
    node.receive(via, _SOURCE, question, len(question), 0)
    size = node.outgoing(0)
    return bytes(node.out[:size]) if size else None


def judge(right, got, silence):
    """Verdict on what came back, and a word on it."""
    if right is None:
        return ("right", "silence") if got is None else ("WRONG", "must stay unanswered")
    if got is None:
        return "silent", silence
    # The SPIs of INVALID_SPI are anybody's choice.
    chosen = len(right) == wire.MARKER + wire.INVALID_SPI_MESSAGE
    free = slice(wire.MARKER, wire.MARKER + 16) if chosen else slice(0, 0)
    if len(got) == len(right) and got[: free.start] == right[: free.start] and got[free.stop :] == right[free.stop :]:
        return "right", "octet for octet"
    return "differs", f"expected {right.hex()}"


def ask(host, port, question):
    """One question, never repeated; what came back in time."""
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as sock:
        sock.connect(address)
        sock.send(question)
        if not select.select([sock], [], [], _WAIT_S)[0]:
            return None
        try:
            return sock.recv(4096)
        except ConnectionRefusedError:
            return None


def main(host, ports, pause_s=_PAUSE_S):
    """Exit status: 1 if anything was answered that must not be, or otherwise than it must be."""
    seen = {"right": 0, "silent": 0, "differs": 0, "WRONG": 0}
    answered = False
    print(f"{host}, UDP {ports[wire.PORT]} and {ports[wire.PORT_NAT]}: {len(QUESTIONS)} questions, {pause_s:g} s apart")
    for number, (name, rules, via, question, silence) in enumerate(QUESTIONS):
        if number:
            time.sleep(pause_s)
        try:
            got = ask(host, ports[via], question)
        except OSError as error:
            raise Refused(f"{host}: {error.strerror}") from None
        answered |= got is not None
        verdict, word = judge(right_answer(via, question), got, silence)
        seen[verdict] += 1
        said = decode.summary(via, got) if got else "silence"
        print(f"{verdict:8} {name} ({rules}): {said}{'' if said == word else '; ' + word}")
    if not answered:
        print("Nothing was answered: nobody is there, a filter is in between, or it leaves section 1.5 out.")
    print(", ".join(f"{count} {verdict}" for verdict, count in seen.items()))
    return 1 if seen["WRONG"] or seen["differs"] else 0
