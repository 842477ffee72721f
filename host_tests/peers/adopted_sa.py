"""Our node in the place of a charon whose keys it has: what it says over the IKE SA, and what the other charon says."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
from dataclasses import dataclass, field

from boards.emulator import Board
from ikev2 import wire
from ikev2.sa import sk
from packets import pcap, scapy_answers
from tools import HERE, device_environment, micropython

from peers.namespaces import ASKER, INSIDE, PLACE, network
from peers.node_process import NodeProcess
from peers.our_node import bridged
from peers.state_loss import DISCARD, exchange, is_response, mark, message_id, send_esp
from peers.strongswan import Charon

PROPOSALS = {"aes-cbc-128": "aes128-sha256-x25519", "aes-gcm-16-256": "aes256gcm16-prfsha256-x25519"}
A, B = (ASKER, wire.PORT_NAT), (PLACE, wire.PORT_NAT)
# Any hint counts that comes a millisecond after another.
_LIMITS = {"answers_per_s": 1000000, "burst": 1000000, "per_source_ms": 0, "hint_ms": 1}
_UP = b"node on "


@contextlib.contextmanager
def adopting_node_at(machine, place, given, file, address=PLACE):
    """Our node at `address`, with that SA by way of `file`; a function that ends it and gives what it tells."""
    file.write_text(json.dumps(given))
    if machine == "unix":
        command = [*place.prefix, micropython(), str(HERE / "peers/adopting_node.py"), address, str(file)]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=device_environment()
        )
        node = NodeProcess(process)
        try:
            line = node.line()
            if line is None or not line.startswith("node on"):
                raise RuntimeError(f"the node did not start: {line} {node.stop() if line else ''}")
            yield lambda: json.loads(node.stop()[-1])
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        return
    with Board() as board:
        board.repl.enter_raw_repl(soft_reset=True)  # without main.py, whose sockets are gone with it
        board.exec("import _boot")
        board.repl.fs_writefile("adopting_node.py", (HERE / "peers/adopting_node.py").read_bytes())
        board.repl.fs_writefile("sa.json", file.read_bytes())
        code = """import adopting_node, ikev2_main
ikev2_main.node, owner = adopting_node.node_of('sa.json')
ikev2_main.run()
adopting_node.tell(ikev2_main.node, owner)
"""
        board.repl.exec_raw_no_follow(code)
        board.console(_UP)
        with bridged(board, place):

            def told():
                board.type(b"\x03")
                board.console(b"{")
                return json.loads("{" + board.console(b"\x04").strip("\x04\r\n"))

            yield told


def spoof(host, octets):
    """Send a whole IP packet from a host, whatever its source address."""
    with host.inside(), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        sock.sendto(octets, (socket.inet_ntoa(octets[16:20]), 0))


@dataclass
class Record:
    """What was seen. An exchange is its request and its response, both packets."""

    invalid_spi: list = field(default_factory=list)  # two of our exchanges, for an ESP packet each
    check: tuple = ()  # our exchange between them, for a hint
    liveness: tuple = ()  # charon's exchange
    next_ids: tuple = ()  # Message IDs that our node had to go on with, for its requests and for charon's
    survived: list = field(default_factory=list)  # what charon had before and after all that is no Delete
    log: str = ""  # charon's since our node took the place
    told: dict = field(default_factory=dict)  # what our node says of itself at its end
    packets: list = field(default_factory=list)


class _Exchanges:
    """Finds exchanges on the cable."""

    def __init__(self, cable):
        self._cable = cable
        self._latest = {}  # Message ID of the last request of each end
        self.since = 0

    def now(self):
        """Look only at what comes from here on."""
        self.since = len(self._cable.packets)

    def messages(self, source, to):
        """IKE messages between two ends, up to now."""
        return [p for p in self._cable.packets if (p.source, p.to) == (source, to) and exchange(p)]

    def begins(self, source, to):
        """What tells that a packet is a request of `source`, and none that only repeats one of those before."""
        latest = self._latest.get(source, -1)

        def is_request(packet):
            ends = packet.source, packet.to
            return ends == (source, to) and exchange(packet) and not is_response(packet) and message_id(packet) > latest

        return is_request

    def exchange(self, source, to):
        """The first whole exchange that `source` begins."""
        request = self._cable.wait(self.begins(source, to), self.since)
        self._latest[source] = message_id(request)

        def is_its_response(packet):
            ends = packet.source, packet.to
            return ends == (to, source) and exchange(packet) and is_response(packet) and same(packet, request)

        return request, self._cable.wait(is_its_response, self.since)


def same(response, request):
    """True for the same Message ID."""
    return message_id(response) == message_id(request)


def after(messages):
    """The Message ID behind the last."""
    return max(map(message_id, messages), default=-1) + 1


def given_of(charon, cipher, initiator, peer):
    """What adopting_node.py is given to go on with the one IKE SA of a charon, but for the Message IDs."""
    (sa,) = [line for line in charon.sas() if "state=ESTABLISHED" in line]
    spis = dict(re.findall(r"((?:initiator|responder)-spi|spi-in)=([0-9a-f]+)", sa))
    secrets = charon.secrets()
    return {
        "spi_i": spis["initiator-spi"], "spi_r": spis["responder-spi"], "initiator": initiator, "cipher": cipher,
        "peer": (socket.inet_aton(peer[0]) + peer[1].to_bytes(2, "big")).hex(), "limits": _LIMITS,
        "keys": [secrets[name].hex() for name in ("Sk_ei", "Sk_er", "Sk_ai", "Sk_ar") if name in secrets],
        "children": [["c0ffee01", spis["spi-in"]]] if "spi-in" in spis else [],
    }  # fmt: skip


def held(charon):
    """SPIs and states of all SAs that it has."""
    return re.findall(r"(?:[a-z]+-spi|spi-in|spi-out|state)=\w+", " ".join(charon.sas()))


def adopt_sa(machine, cipher, initiator, folder):
    """Record of all exchanges, with our node as the initiator of the IKE SA or not."""
    record = Record()
    with contextlib.ExitStack() as stack:
        asker, place, cable = stack.enter_context(network())
        same_for_both = {"connections": {"one": wire.PORT_NAT}, "proposal": PROPOSALS[cipher], "keys": True}
        charon = Charon(asker, folder / "asker", ASKER, PLACE, dpd={"one": "1s"}, **same_for_both)
        stack.callback(charon.kill)
        forgetter = Charon(place, folder / "place", PLACE, ASKER, **same_for_both)
        stack.callback(forgetter.kill)
        (forgetter if initiator else charon).tunnel("one")
        tunnel = stack.enter_context(asker.socket(INSIDE[ASKER]))
        there = stack.enter_context(place.socket(INSIDE[PLACE], DISCARD))
        beside = stack.enter_context(asker.socket(ASKER))
        tunnel.sendto(b"known", (INSIDE[PLACE], DISCARD))
        there.recv(2048)
        forgetter.kill()

        seen = _Exchanges(cable)
        said = seen.messages(B, A)
        record.next_ids = tuple(after([p for p in said if is_response(p) == of]) for of in (False, True))
        given = given_of(charon, cipher, initiator, A)
        given["message_ids"] = record.next_ids
        logged = len(charon.log())

        with adopting_node_at(machine, place, given, folder / "sa.json") as told:

            def esp():
                seen.now()
                send_esp(tunnel, cable, seen.begins(B, A))
                record.invalid_spi.append(seen.exchange(B, A))

            def forge(octets):
                spoof(asker, pcap.packet(A, B, wire.PORT_NAT, octets))
                mark(beside, cable, wire.PORT_NAT)  # until it has been read: the board has room for one

            esp()
            record.survived.append(held(charon))
            seen.now()
            record.liveness = seen.exchange(A, B)

            # Three forged messages, while charon cannot answer; two of them once the check is on its way.
            seen.now()
            charon.process.send_signal(signal.SIGSTOP)
            mark(beside, cable, wire.PORT_NAT)
            outbound = bytes.fromhex(given["children"][0][1])
            hint = scapy_answers.answer("invalid-spi", wire.PORT_NAT, outbound + bytes(4), b"forged   message")
            forge(hint)
            request = cable.wait(seen.begins(B, A), seen.since)
            forge(scapy_answers.answer("invalid-ike-spi", wire.PORT_NAT, request.octets, b""))
            forge(hint)
            charon.process.send_signal(signal.SIGCONT)
            record.check = seen.exchange(B, A)

            esp()
            record.survived.append(held(charon))
            for what in ("--child", "tunnel"), ("--ike", "one"):
                charon.swanctl("--terminate", *what)
            record.told = told()
        record.log = charon.log()[logged:]
        record.packets = cable.packets[:]
    return record


def response_to_invalid_spi(daemon, folder):
    """(payloads of the response to an INVALID_SPI over an IKE SA, what its sender held before that, and after it).

    `daemon` has made the IKE SA with a charon whose place our node then takes; without a daemon it is our node, too.
    """
    a, b = (ASKER, wire.PORT), (PLACE, wire.PORT)
    with contextlib.ExitStack() as stack:
        asker, place, cable = stack.enter_context(network())
        if daemon:
            keeper = daemon(asker, folder / "asker", ASKER, PLACE, {"one": wire.PORT})
            stack.callback(keeper.kill)
            forgetter = Charon(place, folder / "place", PLACE, ASKER, {"one": wire.PORT}, keys=True)
            stack.callback(forgetter.kill)
            keeper.establish("one")
            given = {**given_of(forgetter, "aes-cbc-128", False, a), "message_ids": (0, 2)}
            forgetter.kill()
            before = keeper.sas()
        else:
            folder.mkdir(parents=True)
            given = {
                "spi_i": "11" * 8, "spi_r": "22" * 8, "initiator": False, "cipher": "aes-cbc-128",
                "message_ids": (0, 2), "peer": (socket.inet_aton(ASKER) + b"\x01\xf4").hex(),
                "limits": _LIMITS, "children": [], "keys": [os.urandom(size).hex() for size in (16, 16, 32, 32)],
            }  # fmt: skip
            peer = (socket.inet_aton(PLACE) + b"\x01\xf4").hex()
            mirrored = {**given, "initiator": True, "message_ids": (2, 0), "peer": peer}
            theirs = stack.enter_context(adopting_node_at("unix", asker, mirrored, folder / "their.json", ASKER))
            before = [given["spi_i"]]
        with adopting_node_at("unix", place, given, folder / "sa.json") as told:
            # ESP of nobody's; whoever sends it, it bears that address.
            spoof(asker, pcap.packet(a, b, wire.ESP, b"\xc0\xff\xee\1" + bytes(200)))
            _, response = _Exchanges(cable).exchange(b, a)
            mark(stack.enter_context(asker.socket(ASKER)), cable, wire.PORT)
            ours = told()
        after = keeper.sas() if daemon else theirs()["ike_sas"]
        assert not ours["waiting"] and not ours["dropped"], ours
    keys = sk.protection(given["cipher"], False, *map(bytes.fromhex, given["keys"]))
    return keys.open(bytearray(response.octets), 0, len(response.octets)), before, after
