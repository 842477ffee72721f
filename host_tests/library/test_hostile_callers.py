"""What somebody without a psk can do to a hub that accepts: floods, replays, and what the time of an answer tells."""

import random
import sys

import pytest
from ikev2.initial import acceptor as acceptor_module

from library.accepting import PSK, Accepting, Device, address, first_request, peers
from library.test_responder import auths

PPK = "sensor-1.ppk", b"of no value, but 32 octets long or more"
FORGED = [first_request(number) for number in range(1, 21)]


def flooded(answers_per_s, seed=1):
    """(attempts, milliseconds) until a device is up, to which 100 IKE_SA_INIT a second from 20 addresses come first."""
    chance = random.Random(seed)
    device = Device(77)
    some = peers()
    some.add("sensor-77", PSK)
    hub = Accepting(device, peers=some, answers_per_s=answers_per_s)

    def forged():
        octets, source = chance.choice(FORGED), address(chance.randrange(1, 21))
        hub.at_hub(500, source + b"\1\xf4", octets[:4] + chance.randbytes(4) + octets[8:])
        assert len(hub.acceptor.half_open) <= 4

    hub.devices = {}
    for _ in range(200):
        forged()
        hub.idle(10)
    hub.devices = {device.address: device}
    began = hub.now
    for attempts in range(1, 20):
        hub.begin()
        while not device.over:
            forged()
            hub.run(ms=chance.randrange(21))
        if device.child:
            return attempts, hub.now - began
    raise AssertionError


def test_a_device_comes_up_within_a_flood_of_ike_sa_init_a5_a6_a12():
    """At once with a PC's limits; with a board's one in five is told its cookie, so that a repetition is."""
    assert max(flooded(500, seed) for seed in range(5)) <= (1, 100)
    assert max(attempts for attempts, _ in [flooded(20, seed) for seed in range(5)]) <= 3


def recorded(device, **more):
    """A hub to which that device has come, and all that it was sent: (our port, source, octets)."""
    hub = Accepting(device, **more).begin().run()
    assert device.child
    return hub, [(via, source + via.to_bytes(2, "big"), octets) for to_hub, via, source, octets in hub.sent if to_hub]


@pytest.mark.parametrize("ppk", [None, PPK])
def test_a_replayed_handshake_changes_nothing_while_its_ike_sa_lives_a2(ppk):
    device = Device(1, ppk=ppk)
    hub, messages = recorded(device, peers=peers(1, {1: ppk} if ppk else {}))

    def there():
        table = hub.node.table
        return [(table.ike_sa(slot), *map(table.child_sa, table.children(slot))) for slot in table.ike_sas()]

    before_it = there()
    for source in (None, b"\xcb\0\x71\7\x11\x94"):
        before = len(hub.sent)
        for _ in range(50):
            for via, its, octets in messages:
                hub.at_hub(via, source or its, octets)
                hub.idle(20)
        init = [sent for sent in hub.sent[before:] if sent[1] == 500]
        assert not init if source is None else len(init) <= 50
        assert len(hub.admitted) == 1
        hub.idle(30001)
        assert hub.acceptor.half_open == []
    assert there() == before_it


@pytest.mark.parametrize("ppk", [None, PPK])
def test_a_replayed_handshake_lets_nobody_in_afterwards_a2_a8(ppk):
    """To a hub that has restarted, and has other SPIs, nonces and keys: it is half open, and goes."""
    _, messages = recorded(Device(1, ppk=ppk), peers=peers(1, {1: ppk} if ppk else {}))
    hub = Accepting(peers=peers(1, {1: ppk} if ppk else {}))
    for via, source, octets in messages:
        assert hub.at_hub(via, source, octets) == ("deliver-init" if via == 500 else "invalid-ike-spi")
        hub.idle(1000)
    spi_r = hub.node.table.ike_sa(hub.node.table.ike_sas()[0])[1]
    via, source, octets = messages[-1]
    hub.at_hub(via, source, octets[:12] + spi_r + octets[20:])  # as far as who replays it can mend it
    hub.idle(1000)
    assert hub.admitted == hub.refused == []
    hub.idle(30001)
    assert hub.node.table.ike_sas() == [] and hub.acceptor.half_open == []


@pytest.mark.parametrize("first", [True, False], ids=["before-the-true-one", "behind-it"])
def test_a_flood_of_ike_auth_costs_one_key_exchange_a6_a7(monkeypatch, first):
    """By who sees the SPIs: a thousand that do not open, and the device is in with what it sends again."""
    exchanges = []
    group = acceptor_module.group
    monkeypatch.setattr(acceptor_module, "group", lambda *given: exchanges.append(group(*given)) or exchanges[-1])
    secrets = []
    begin = acceptor_module.Responder.authenticate
    monkeypatch.setattr(acceptor_module.Responder, "authenticate", lambda *given: secrets.append(1) or begin(*given))
    device = Device(1)
    hub = Accepting(device)
    flooding = []

    def wire(to_hub, octets):
        if not to_hub or octets[22:23] != b"\x23" or flooding:
            return [octets]
        flooding.append(octets)
        forged = [octets[:-4] + i.to_bytes(4, "big") for i in range(1000)]
        return [*forged, octets] if first else [octets, *forged]

    hub.wire = wire
    hub.begin().run(ms=10000)
    assert device.child and len(hub.admitted) == 1 and hub.refused == []
    assert len(exchanges) == len(secrets) == 1
    assert len(auths(hub, False)) <= 2


def work(hub, octets, source):
    """Steps of bytecode that an IKE_AUTH request takes, to its answer."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    sys.settrace(trace)
    try:
        hub.at_hub(4500, source, octets)
    finally:
        sys.settrace(None)
    return count


def probed(id, ppks, **caller):
    """The same of somebody with that id and no psk; all ids are as long."""
    device = Device(1, id=id, psk=b"quite another psk, of 28 oct", **caller)
    hub = Accepting(device, peers=peers(3, ppks))
    found = []

    def wire(to_hub, octets):
        if to_hub and octets[22:23] == b"\x23":
            source = device.address + b"\x11\x94"
            responder = hub.acceptor.half_open[0]
            if not responder.proof:
                hub.at_hub(4500, source, octets[:-1] + bytes((octets[-1] ^ 1,)))  # has the keys made
                while hub.node.next_timer(hub.clock) == 0:
                    hub.node.tick(hub.clock)
            found.append(work(hub, octets, source))
            return []
        return [octets]

    hub.wire = wire
    hub.begin().run(lambda: bool(hub.refused), 5000)
    assert hub.refused and not hub.admitted
    (answer,) = auths(hub, False)
    return found[0], len(answer)


@pytest.mark.parametrize("ppk", [None, PPK, ("nobody", PPK[1])], ids=["none", "a-ppk", "nobodys-ppk"])
def test_whether_there_is_such_an_id_is_not_to_be_told_by_the_work_a8_q3(ppk):
    """An id with a PPK, one without, one that nobody has: the same octets, the same work within a tenth."""
    found = [probed(id, {1: PPK}, ppk=ppk) for id in ("sensor-1", "sensor-2", "sensor-9")]
    counts = [count for count, _ in found]
    assert min(counts) > 1000 and max(counts) <= 1.1 * min(counts), counts
    assert len({size for _, size in found}) == 1


def test_nor_where_nobody_has_a_ppk_a8():
    counts = [probed(id, {})[0] for id in ("sensor-1", "sensor-2", "sensor-9")]
    assert min(counts) > 1000 and max(counts) <= 1.1 * min(counts), counts
