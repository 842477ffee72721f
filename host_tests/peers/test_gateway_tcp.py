"""Streams through charon to the kernel's TCP, over a way that is long, loses, doubles and overtakes, and while the
tunnel changes: every octet arrives (V3 to V6, V10). Needs root. With EVERY=1 a megabyte each way in every cell.
"""

import concurrent.futures
import contextlib
import os
import time
from typing import NamedTuple

import pytest

from peers.device import told
from peers.parallel import in_parallel
from peers.real_gateways import Strongswan, address, config, killed, restart
from peers.router import INNER, routed_hosts
from peers.services import STREAMS, stream_server

_WORKERS = 6
_SHARE = 0.02  # of packets that come twice, and of those that are overtaken, wherever there is loss
_OUTAGE_S = 10
_BEGUN = 200  # packets after which something happens
_REKEY = "generating CREATE_CHILD_SA request"
_UP = "established between"


def rekey_child(hosts, gateway):
    """The gateway wants new keys for the Child SA, twice."""
    for times in (1, 2):
        gateway.swanctl("--rekey", "--child", gateway.name)
        gateway.logged("CHILD_SA closed", times)


def rekey_ike(hosts, gateway):
    """And for the IKE SA."""
    for times in (1, 2):
        gateway.swanctl("--rekey", "--ike", gateway.name)
        gateway.logged("IKE_SA deleted", times)


def outage(hosts, gateway):
    """Nothing passes for a while."""
    hosts.router.cut = True
    time.sleep(_OUTAGE_S)
    hosts.router.cut = False


class Play(NamedTuple):
    """Streams of so many octets (down, up) over such a way, and what happens in the middle."""

    round_trip_ms: int
    loss: int  # in percent
    streams: list
    machine: str = "unix"
    happens: object = None  # a function above
    says: str = ""  # what the gateway's log has then, twice


_EVERY = [1000000] * 9 if os.environ.get("EVERY") else None


def _cells(machine, sizes):
    """The matrix: a stream each way at once."""
    ways = [(ms, loss) for ms in (0, 20, 200) for loss in (0, 2, 10)]
    return {
        f"{machine}-{ms}-{loss}": Play(ms, loss, [(size, size)], machine)
        for (ms, loss), size in zip(ways, _EVERY or sizes, strict=True)
    }


_SIZES = 1000000, 300000, 60000, 300000, 150000, 40000, 40000, 20000, 10000
_SMALLER = 300000, 100000, 40000, 100000, 60000, 20000, 20000, 10000, 5000
_MIDDLE = [(400000, 400000)]
_SOON = {"liveness_s": 2}
PLAYS = {
    **_cells("unix", _SIZES),
    **_cells("cpython", _SMALLER),
    "board": Play(20, 0, [(20000, 20000)], "board"),
    "board-loss": Play(20, 2, [(10000, 10000)], "board"),
    "in-a-row": Play(0, 0, [(100, 100)] * 200),
    "in-a-row-cpython": Play(0, 0, [(100, 100)] * 200, "cpython"),
    "rekey-child": Play(20, 2, _MIDDLE, happens=rekey_child, says=_REKEY),
    "rekey-child-cpython": Play(20, 2, _MIDDLE, "cpython", rekey_child, _REKEY),
    "rekey-ike": Play(20, 2, _MIDDLE, happens=rekey_ike, says=_REKEY),
    "restart": Play(20, 0, _MIDDLE, happens=restart, says=_UP),
    "killed": Play(20, 0, _MIDDLE, happens=killed, says=_UP),
    "address": Play(20, 0, _MIDDLE, happens=address),
    "outage": Play(20, 0, _MIDDLE, happens=outage),
    "outage-cpython": Play(20, 0, _MIDDLE, "cpython", outage),
}


def is_esp(packet):
    """True for ESP, false for IKE and keepalives."""
    return 4500 in (packet.source[1], packet.to[1]) and len(packet.octets) > 8 and any(packet.octets[:4])


def act(given, folder):
    """(what the device tells, the router, the gateway's log) of a play."""
    play = PLAYS[given["name"]]
    device = config(**_SOON)
    task = {"tunnel": device, "to": INNER, "port": STREAMS, "streams": play.streams}
    with contextlib.ExitStack() as stack:
        hosts = stack.enter_context(routed_hosts())
        router = hosts.router
        gateway = stack.enter_context(Strongswan(hosts.gateway, folder / "gateway", device))
        stack.enter_context(stream_server(hosts.gateway))
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(1))
        router.harms, router.round_trip_ms, router.loss = is_esp, play.round_trip_ms, play.loss / 100
        router.double = router.late = _SHARE if play.loss else 0
        running = pool.submit(told, play.machine, hosts.device, "stream_client", task, folder)
        if play.happens:
            router.wait(lambda packet: len(router.packets) > _BEGUN)
            play.happens(hosts, gateway)
            assert not running.done() or not running.result(), "it was over before"
        return running.result(), router, gateway.log()


@pytest.fixture(scope="module")
def begun(request, tmp_path_factory):
    with in_parallel(request, tmp_path_factory.mktemp("tcp"), act, _WORKERS) as plays:
        yield plays


@pytest.mark.parametrize("name", PLAYS)
def test_every_octet_arrives(request, begun, name):
    """V3, V4, V5, V6, V10."""
    play = PLAYS[name]
    streams, router, log = begun[request.node.name].result()
    assert [(one["down"], one["up"]) for one in streams] == [(True, True)] * len(play.streams), streams
    assert log.count(play.says) >= 2
    assert not play.loss or sum(router.lost + router.doubled + router.delayed)
