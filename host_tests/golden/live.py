"""Puts vectors to a live node by UDP. Silence is proven by a later request that is answered, not by waiting.

A node answers one address once in three seconds, so what has to be answered takes its time, and is the later request of
what has to stay unanswered.
"""

import contextlib
import ipaddress
import itertools
import os
import select
import socket
import time

from ikev2 import wire

_TRIES = 6  # a second apart: the default budget refills within three
_ROUND_S = 1.05
_SILENT_AT_ONCE = 4  # questions in a row to one port: lwIP keeps six
_PACE_S = 0.02


class NoAnswer(Exception):
    """The node does not even answer the request that proves silence."""


def canary(message_id):
    """A request that every such node answers: INFORMATIONAL, encrypted, unknown SPIs; 80 octets."""
    header = os.urandom(16) + bytes((wire.SK, 0x20, wire.INFORMATIONAL, wire.INITIATOR))
    return header + message_id.to_bytes(4, "big") + (80).to_bytes(4, "big") + bytes((0, 0, 0, 52)) + bytes(48)


class Live:
    """Questions to `host`; `ports` says where its 500 and 4500 are."""

    def __init__(self, host, ports=None):
        self.host = host
        self.ports = ports or {wire.PORT: 500, wire.PORT_NAT: 4500}
        self._counter = itertools.count(1)
        loopback = ":" not in host and ipaddress.ip_address(socket.gethostbyname(host)).is_loopback
        # On loopback every question may come from an address of its own, which spares waiting for limits.
        self._sources = itertools.cycle([f"127.0.77.{i}" for i in range(1, 255)]) if loopback else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def socket(self, via):
        """A new socket that speaks to the node's port."""
        sock = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET, socket.SOCK_DGRAM)
        if self._sources:
            sock.bind((next(self._sources), 0))
        sock.connect((self.host, self.ports[via]))
        return sock

    @staticmethod
    def receive(sock, seconds):
        """What arrives within that time; None if nothing does."""
        if select.select([sock], [], [], seconds)[0]:
            try:
                return sock.recv(4096)
            except ConnectionRefusedError:
                return None
        return None

    def ask(self, via, question, answered, tries=_TRIES):
        """Send a question until it is answered, or, if it is to stay unanswered, until a canary behind it is."""
        with self.socket(via) as sock:
            for _ in range(tries if answered else 1):
                started = time.monotonic()
                sock.send(question)
                got = self.receive(sock, _ROUND_S if answered else 0)
                if got is not None:
                    return got
                if answered:
                    time.sleep(max(0, _ROUND_S - (time.monotonic() - started)))
            return None if answered else self._silence(sock, via)

    def _silence(self, sock, via):
        """What came all the same, once a request to the same port is answered; from another address, on loopback."""
        marker = bytes(wire.MARKER) if via == wire.PORT_NAT else b""
        for _ in range(_TRIES):
            probe = marker + canary(next(self._counter))
            with self.socket(via) as beside:
                beside.send(probe)
                reply = self.receive(beside, _ROUND_S)
            if reply is not None and reply[: len(marker) + 16] == probe[: len(marker) + 16]:
                return self.receive(sock, 0)
        raise NoAnswer(f"{self.host} does not answer an encrypted request with unknown IKE SPIs")

    @staticmethod
    def why_not(case):
        """Why a case cannot be put to a live node; None if it can."""
        if case["ike_sas"] or case["child_sas"] or case["outstanding"] or case["config"]:
            return "needs prior state or limits"
        if len(case["steps"]) != 1:
            return "is more than one datagram"
        _, via, source, _ = case["steps"][0]
        if via not in (wire.PORT, wire.PORT_NAT):
            return "needs raw sockets"
        if len(source) != 12:
            return "is IPv6"
        if source.endswith("0000") or case["expected"][0][0] == "drop-source":
            return "needs a forged source"
        return None

    def run_all(self, cases):
        """(case, result) of each, as `run` has them; silent ones are proven by the answered one behind them."""
        silent = {via: [] for via in self.ports}
        answered = []
        for case in cases:
            if self.why_not(case):
                yield case, self.run(case)
            elif case["expected"][0][1]:
                answered.append(case)
            else:
                silent[case["steps"][0][1]].append(case)
        for case in answered:
            waiting = silent[case["steps"][0][1]]
            batch, waiting[:] = waiting[:_SILENT_AT_ONCE], waiting[_SILENT_AT_ONCE:]
            with contextlib.ExitStack() as stack:
                asked = [(one, stack.enter_context(self._asked(one))) for one in batch]
                result = self.run(case)
                yield case, result
                for one, sock in asked:
                    got = self.receive(sock, 0)
                    proven = got is not None or result.get("steps", [[0, []]])[0][1]
                    yield one, self._result(one, got) if proven else self.run(one)
        for waiting in silent.values():
            for case in waiting:
                yield case, self.run(case)

    def _asked(self, case):
        """The socket from which a case's question has just left."""
        _, via, _, octets = case["steps"][0]
        sock = self.socket(via)
        sock.send(bytes.fromhex(octets))
        time.sleep(_PACE_S)
        return sock

    def run(self, case):
        """Result in the form of run_vectors.conversation. The verdict itself cannot be seen: it is the expected one."""
        why = self.why_not(case)
        if why:
            return {"skipped": why}
        _, via, _, octets = case["steps"][0]
        try:
            got = self.ask(via, bytes.fromhex(octets), bool(case["expected"][0][1]))
        except (OSError, NoAnswer) as error:
            return {"error": str(error)}
        return self._result(case, got)

    @staticmethod
    def _result(case, got):
        """What has come in the form of run_vectors.conversation."""
        via = case["steps"][0][1]
        verdict, sends = case["expected"][0]
        to = sends[0][1] if sends else case["steps"][0][2]
        return {"steps": [[verdict, [] if got is None else [[via, to, got.hex()]]]]}
