"""Datagrams both ways through charon's ESP, over a way that loses, doubles and overtakes: none twice, none altered, and
whatever did not arrive was lost on that way.
"""

import contextlib

import pytest

from peers.device import sent
from peers.parallel import in_parallel
from peers.real_gateways import Strongswan, config, echo
from peers.router import routed_hosts

COUNTS = {"unix": 10000, "cpython": 10000, "board": 300}
_AHEAD = {"unix": 16, "cpython": 16, "board": 1}  # the board's UDP socket has room for one datagram
_SHARE = 0.02


def is_esp(packet):
    """True for ESP, false for IKE and keepalives."""
    return 4500 in (packet.source[1], packet.to[1]) and len(packet.octets) > 8 and any(packet.octets[:4])


def act(given, folder):
    """(what the device says, the router, what the server heard)."""
    machine = given["machine"]
    with contextlib.ExitStack() as stack:
        hosts = stack.enter_context(routed_hosts())
        router = hosts.router
        stack.enter_context(Strongswan(hosts.gateway, folder / "gateway"))
        heard = stack.enter_context(echo(hosts.gateway))
        router.harms, router.loss, router.double, router.late = is_esp, _SHARE, _SHARE, _SHARE
        told = sent(machine, hosts.device, config(), COUNTS[machine], 0, folder, _AHEAD[machine])
        return told, router, [octets for octets, _ in heard]


@pytest.fixture(scope="module")
def begun(request, tmp_path_factory):
    with in_parallel(request, tmp_path_factory.mktemp("traffic"), act, len(COUNTS)) as plays:
        yield plays


@pytest.mark.parametrize("machine", COUNTS)
def test_every_loss_is_counted(request, begun, machine):
    """E1 to E4, T1, T4: on the way, for want of room in the socket's queue, or because it was too late."""
    told, router, heard = begun[request.node.name].result()
    assert told["twice"] == told["altered"] == 0 and len(heard) == len(set(heard))
    assert min(*router.lost, *router.doubled, *router.delayed) > COUNTS[machine] * _SHARE / 3
    assert len(heard) <= COUNTS[machine] - router.lost[True]
    counted = told["no room"] + router.lost[False] + told["esp"].pop("replay") - router.doubled[False]
    # The board has no room for the second of two alike, and who comes late may find it taken.
    assert told["heard"] == len(heard) - counted or (machine == "board" and told["heard"] > len(heard) - counted - 20)
    assert set(told["esp"]) == {""} and told["inner"] == {} and told["errors"] == 0
