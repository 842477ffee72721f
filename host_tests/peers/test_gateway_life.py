"""A tunnel that lasts, against charon: an echo each 200 ms while the gateway rekeys, wants reauthentication, restarts,
and the way to it changes.
"""

import contextlib
import re
from typing import NamedTuple

import pytest
from commands.try_process import TryProcess

from peers.device import sent
from peers.parallel import in_parallel
from peers.real_gateways import PPK, Strongswan, address, config, echo, killed, restart
from peers.router import INNER, INSIDE, routed_hosts

_EVERY = 0.2
_REKEYS = {"rand_time": "0s"}


def nat(hosts, gateway):
    """The NAT forgets, and maps to another port."""
    hosts.router.move()


class Play(NamedTuple):
    """What happens to a tunnel with `count` echoes in it: at most `lost` are."""

    lost: int
    connection: dict = {}  # noqa: RUF012
    child: dict = {}  # noqa: RUF012
    happens: object = None  # a function above
    device: dict = {}  # noqa: RUF012
    count: int = 160
    machine: str = "unix"
    pool: str = "10.9.0.0/24"
    lifetime_s: int = 0  # if not 0, less than a configuration may say


_CHILD = {"rekey_time": "6s", "life_time": "12s", **_REKEYS}
_IKE = {"rekey_time": "6s", "over_time": "6s", **_REKEYS}
_SOON = {"liveness_s": 2}  # after which all that is lost is what was on its way
_BOARD = 10  # its UDP socket has room for one datagram, and an echo comes beside the gateway's request
_DPD = {"dpd_delay": "2s"}
PLAYS = {
    "child": Play(0, _DPD, _CHILD),
    "child-cpython": Play(0, _DPD, _CHILD, machine="cpython"),
    "child-board": Play(_BOARD, _DPD, _CHILD, machine="board", count=100),
    "pfs": Play(0, _DPD, {**_CHILD, "esp_proposals": "aes256-sha256-x25519"}),
    "ike": Play(0, {**_DPD, **_IKE}),
    "ike-board": Play(_BOARD, {**_DPD, **_IKE}, machine="board", count=100),
    "both": Play(0, {**_DPD, **_IKE, "rekey_time": "7s"}, _CHILD, machine="cpython"),
    "both-ppk": Play(0, {**_DPD, **_IKE, "rekey_time": "7s"}, _CHILD, device=PPK),
    "once-a-second": Play(0, _DPD, {"rekey_time": "1s", "life_time": "4s", **_REKEYS}),
    "reauth": Play(2, {**_DPD, "reauth_time": "6s", "rekey_time": "0s", "over_time": "6s", **_REKEYS}),
    "polite-restart": Play(10, happens=restart),
    "killed": Play(100, happens=killed, count=200),
    "nat": Play(15, happens=nat, device=_SOON),
    "address": Play(15, happens=address, device=_SOON),
    "lifetime": Play(0, lifetime_s=5),
    "lifetime-inside": Play(0, lifetime_s=5, device={"inside": INSIDE}, machine="cpython"),
    "lifetime-keep": Play(10, {"unique": "keep"}, lifetime_s=5),
    "lifetime-pool-of-one": Play(10, lifetime_s=5, pool="10.9.0.1/32"),
}


def act(given, folder):
    """(exit status, lines, the gateway's log) of a play."""
    play = PLAYS[given["name"]]
    device = config(**{"inside": "", **play.device})
    with contextlib.ExitStack() as stack:
        hosts = stack.enter_context(routed_hosts())
        gateway = stack.enter_context(
            Strongswan(
                hosts.gateway, folder / "gateway", device, connection=play.connection, child=play.child, pool=play.pool
            )
        )
        if play.lifetime_s:
            stack.enter_context(echo(hosts.gateway))
            device["lifetime_s"] = play.lifetime_s
            told = sent(play.machine, hosts.device, device, play.count, int(_EVERY * 1000), folder)
            return 0, [f"{told['heard']} of {play.count} echoes answered"], gateway.log()
        echoes = f"PING={INNER}", f"COUNT={play.count}", f"EVERY={_EVERY}"
        running = TryProcess(hosts.device, play.machine, device, folder, *echoes)
        stack.callback(running.kill)
        if play.happens:
            running.up()
            since = len(hosts.router.packets) + 40
            hosts.router.wait(lambda packet: len(hosts.router.packets) > since)
            play.happens(hosts, gateway)
        status, lines = running.wait()
        hosts.router.save(folder / "all.pcap")
        return status, lines, gateway.log()


@pytest.fixture(scope="module")
def begun(request, tmp_path_factory):
    with in_parallel(request, tmp_path_factory.mktemp("life"), act, len(PLAYS)) as plays:
        yield plays


@pytest.mark.parametrize("name", PLAYS)
def test_no_more_is_lost_than_must_be(request, begun, name):
    """K1, K2, K4 to K9."""
    play = PLAYS[name]
    _, lines, log = begun[request.node.name].result()
    answered = re.fullmatch(rf"(\d+) of {play.count} echoes answered", lines[-1])
    assert answered and play.count - int(answered[1]) <= play.lost, lines[-40:]
    if "0s" != {**play.connection, **play.child}.get("rekey_time", "0s"):
        assert log.count("generating CREATE_CHILD_SA request") >= 3, log[-3000:]
    if play.lifetime_s:
        assert log.count("established between") >= 4 and log.count("received DELETE for IKE_SA") >= 4, log[-3000:]
