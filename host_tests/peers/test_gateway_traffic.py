"""Datagrams both ways through charon's ESP, over a way that loses, doubles and overtakes: none twice, none altered, and
whatever did not arrive was lost on that way.
"""

import contextlib
import json
import subprocess
import sys

import pytest
from boards.board import ADDRESS, PEER, Board
from boards.relay import Relay
from tools import HERE, device_environment, micropython

from peers.gateway import ECHO, Strongswan, config, echo
from peers.plays import acted
from peers.way import INNER, way

COUNTS = {"unix": 10000, "cpython": 10000, "board": 600}
_EVERY_MS = {"unix": 1, "cpython": 1, "board": 40}
_SHARE = 0.02
_PATIENCE_S = 200


def is_esp(packet):
    """True for ESP, false for IKE and keepalives."""
    return 4500 in (packet.source[1], packet.to[1]) and len(packet.octets) > 8 and any(packet.octets[:4])


def on_this_pc(machine, place, path):
    """What sender.py prints under an interpreter of this PC."""
    interpreter = micropython() if machine == "unix" else sys.executable
    command = [*place.prefix, interpreter, HERE / "peers/sender.py", path]
    ran = subprocess.run(command, capture_output=True, text=True, env=device_environment(), timeout=_PATIENCE_S)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def on_the_board(place, path):
    """The same on the emulated board, whose datagrams leave from that host."""
    with Board() as board:
        board.repl.enter_raw_repl(soft_reset=True)
        board.exec("import _boot")
        board.repl.fs_writefile("sender.py", (HERE / "peers/sender.py").read_bytes())
        board.repl.fs_writefile("sender.json", path.read_bytes())
        with Relay(board, place):
            board.repl.exec_raw_no_follow(_BOARD % (ADDRESS, PEER))
            board.console(b"{", _PATIENCE_S)
            return "{" + board.console(b"\x04", _PATIENCE_S).strip("\x04\r\n")


_BOARD = """
import link
link.up(%r, %r)
import asyncio, json, sender
asyncio.run(sender.main(json.load(open("sender.json"))))
"""


def act(given, folder):
    """(what the device says, the wire, what the server heard)."""
    machine = given["machine"]
    with contextlib.ExitStack() as stack:
        road = stack.enter_context(way())
        wire = road.wire
        stack.enter_context(Strongswan(road.gateway, folder / "gateway"))
        heard = stack.enter_context(echo(road.gateway))
        wire.harms, wire.loss, wire.double, wire.late = is_esp, _SHARE, _SHARE, _SHARE
        path = folder / "sender.json"
        path.write_text(json.dumps({"tunnel": config(), "to": INNER, "port": ECHO, "count": COUNTS[machine],
                                    "every_ms": _EVERY_MS[machine]}))  # fmt: skip
        told = on_the_board(road.device, path) if machine == "board" else on_this_pc(machine, road.device, path)
        return json.loads(told), wire, [octets for octets, _ in heard]


@pytest.fixture(scope="module")
def begun(request, tmp_path_factory):
    with acted(request, tmp_path_factory.mktemp("traffic"), act, len(COUNTS)) as plays:
        yield plays


@pytest.mark.parametrize("machine", COUNTS)
def test_every_loss_is_counted(request, begun, machine):
    """E1 to E4, T1, T4: on the way, for want of room in the socket's queue, or because it was too late."""
    told, wire, heard = begun[request.node.name].result()
    assert told["twice"] == told["altered"] == 0 and len(heard) == len(set(heard))
    assert min(*wire.lost, *wire.doubled, *wire.delayed) > COUNTS[machine] * _SHARE / 3
    assert len(heard) <= COUNTS[machine] - wire.lost[True]
    counted = told["no room"] + wire.lost[False] + told["esp"].pop("replay") - wire.doubled[False]
    # The board's UDP socket has room for one datagram, which nobody counts.
    assert told["heard"] == len(heard) - counted or (machine == "board" and told["heard"] > len(heard) - counted - 60)
    assert set(told["esp"]) == {""} and told["inner"] == {} and told["errors"] == 0
