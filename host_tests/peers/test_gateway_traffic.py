"""Datagrams both ways through charon's ESP, over a way that loses, doubles and overtakes: none twice, none altered, and
whatever did not arrive was lost on that way.
"""

import contextlib

import pytest

from peers.device import sent
from peers.parallel import in_parallel
from peers.real_gateways import Strongswan, config, echo
from peers.router import way

COUNTS = {"unix": 10000, "cpython": 10000, "board": 300}
_AHEAD = {"unix": 16, "cpython": 16, "board": 1}  # the board's UDP socket has room for one datagram
_SHARE = 0.02


def is_esp(packet):
    """True for ESP, false for IKE and keepalives."""
    return 4500 in (packet.source[1], packet.to[1]) and len(packet.octets) > 8 and any(packet.octets[:4])


def act(given, folder):
    """(what the device says, the wire, what the server heard)."""
    machine = given["machine"]
    with contextlib.ExitStack() as stack:
        road = stack.enter_context(way())
        wire = road.wire
        stack.enter_context(Strongswan(road.gateway, folder / "gateway"))
        heard = stack.enter_context(echo(road.gateway))
        wire.harms, wire.loss, wire.double, wire.late = is_esp, _SHARE, _SHARE, _SHARE
        told = sent(machine, road.device, config(), COUNTS[machine], 0, folder, _AHEAD[machine])
        return told, wire, [octets for octets, _ in heard]


@pytest.fixture(scope="module")
def begun(request, tmp_path_factory):
    with in_parallel(request, tmp_path_factory.mktemp("traffic"), act, len(COUNTS)) as plays:
        yield plays


@pytest.mark.parametrize("machine", COUNTS)
def test_every_loss_is_counted(request, begun, machine):
    """E1 to E4, T1, T4: on the way, for want of room in the socket's queue, or because it was too late."""
    told, wire, heard = begun[request.node.name].result()
    assert told["twice"] == told["altered"] == 0 and len(heard) == len(set(heard))
    assert min(*wire.lost, *wire.doubled, *wire.delayed) > COUNTS[machine] * _SHARE / 3
    assert len(heard) <= COUNTS[machine] - wire.lost[True]
    counted = told["no room"] + wire.lost[False] + told["esp"].pop("replay") - wire.doubled[False]
    # The board has no room for the second of two alike, and who comes late may find it taken.
    assert told["heard"] == len(heard) - counted or (machine == "board" and told["heard"] > len(heard) - counted - 20)
    assert set(told["esp"]) == {""} and told["inner"] == {} and told["errors"] == 0
