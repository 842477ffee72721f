"""charon as it is configured: a device that sleeps for longer than charon asks it, and more CAs than one Ethernet frame
has room for in an IKE_SA_INIT response.
"""

import contextlib
import re
import threading
import time

import pytest
from commands.try_process import tried
from library.certificates import authorities

from peers.device import told
from peers.namespaces import until
from peers.parallel import in_parallel
from peers.real_gateways import ECHO, Strongswan, config, echo
from peers.router import INNER, routed_hosts

_SOON = {"retransmit_timeout": "0.2", "retransmit_base": "1", "retransmit_tries": "2"}  # then charon gives up
_GIVEN_UP = "giving up after 2 retransmits"
_ASLEEP_S = 4
_REKEY = {"rekey_time": "1s", "rand_time": "0s", "life_time": "1h"}
SLEEPS = {  # what is otherwise than `make gateway` prints: connection, child
    "as-printed": ((), ()),
    "dpd": ({"dpd_delay": "1s"}, ()),
    "rekey": ((), _REKEY),
}
CAS = 110


def slept(machine, name, folder):
    """(what the device says, packets while it slept, packets since it woke, the gateway's SAs before, its log)."""
    connection, child = SLEEPS[name]
    device = config(keep_keys=True, inside="")
    given = {"tunnel": device, "to": INNER, "port": ECHO, "asleep": f"{folder}/asleep", "awake": f"{folder}/awake",
             "slept_ms": 600000}  # fmt: skip
    with contextlib.ExitStack() as stack:
        hosts = stack.enter_context(routed_hosts())
        gateway = stack.enter_context(
            Strongswan(hosts.gateway, folder / "gateway", device, _SOON, connection=connection, child=child)
        )
        stack.enter_context(echo(hosts.gateway))
        packets, sas = [], []

        def sleep():
            until((folder / "asleep").exists, "sleep")
            packets.append(len(hosts.router.packets))
            if name == "as-printed":
                time.sleep(_ASLEEP_S)
            else:
                gateway.logged(_GIVEN_UP)
            sas.extend(gateway.sas())
            packets.append(len(hosts.router.packets))
            (folder / "awake").touch()

        thread = threading.Thread(target=sleep)
        thread.start()
        (said,) = told(machine, hosts.device, "sleep_client", given, folder)
        thread.join()
        recorded = hosts.router.packets
        return said, recorded[packets[0] : packets[1]], recorded[packets[1] :], sas, gateway.log()


def many_cas(machine, folder):
    """(exit status, lines, the gateway's log) of `make try` with a gateway that has so many CAs."""
    device = config(inside="")
    with contextlib.ExitStack() as stack:
        hosts = stack.enter_context(routed_hosts(nat=None))  # a NAT would have to put the fragments together
        gateway = stack.enter_context(
            Strongswan(hosts.gateway, folder / "gateway", device, authorities=authorities(folder, CAS))
        )
        status, lines = tried(hosts.device, machine, device, folder, f"PING={INNER}")
        return status, lines, gateway.log()


def act(given, folder):
    if "name" in given:
        return slept(given["machine"], given["name"], folder)
    return many_cas(given["machine"], folder)


@pytest.fixture(scope="module")
def begun(request, tmp_path_factory):
    with in_parallel(request, tmp_path_factory.mktemp("edges"), act, 3) as plays:
        yield plays


def sent(packets):
    return [packet.sent for packet in packets]


@pytest.mark.parametrize("machine", ["unix", "cpython"])
@pytest.mark.parametrize("name", ["as-printed"])
def test_z3_asleep_for_longer_than_charon_asks_and_awake_by_one_packet(request, begun, name, machine):
    said, asleep, awake, sas, log = begun[request.node.name].result()
    assert said == {"kept": said["kept"], "woken": True, "sent": 1} and said["kept"]
    assert not asleep and [children for _, _, children in sas] == [["INSTALLED"]]
    assert sent(awake) == [True, False] and all(any(packet.octets[:4]) for packet in awake), "ESP and ESP"
    assert log.count("established between") == 1 and _GIVEN_UP not in log


@pytest.mark.parametrize("machine", ["unix"])
@pytest.mark.parametrize("name", ["dpd", "rekey"])
def test_z4_who_is_asked_while_asleep_is_given_up_and_begins_anew(request, begun, name, machine):
    """What `make gateway` keeps a sleeper from."""
    said, asleep, awake, sas, log = begun[request.node.name].result()
    assert sent(asleep) == [False] * 3 and not sas
    assert said["woken"] and said["sent"] > 1 and len(awake) > 6
    assert log.count("established between") == 2


@pytest.mark.parametrize("machine", ["unix", "cpython", "board"])
def test_n5_an_ike_sa_init_response_in_two_fragments(request, begun, machine):
    status, lines, log = begun[request.node.name].result()
    assert status == 0 and lines[-1] == "3 of 3 echoes answered", lines
    assert max(int(size) for size in re.findall(r"sending packet: from .*\((\d+) bytes\)", log)) > 20 * CAS
    assert log.count("established between") == 1
