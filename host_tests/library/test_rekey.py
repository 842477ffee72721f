"""CREATE_CHILD_SA answered: Child SA and IKE SA replaced by the gateway, and everything else refused."""

import struct
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ikev2 import owners
from ikev2.sa import rekey, rekeys, selectors

from library import scripted_gateway
from library.attempt import PSK, Attempt, endpoint
from library.scripted_gateway import Gateway, notify

SUITES = ("aes-cbc-256", "aes-cbc-128", "aes-gcm-16-256", "aes-gcm-16-128")


def live(policy=None, table=(4, 8), **more):
    """A tunnel that is up."""
    made = Attempt(Gateway(PSK, **more), {"groups": (31, 14), "ciphers": SUITES, **(policy or {})}, table=table)
    made.run()
    assert made.initiator.successor, made.initiator.reason
    made.sa = made.gateway.sas[0]
    made.events.clear()
    return made


def asks(made, datagrams):
    """The gateway asks; keys are made; the answer has arrived."""
    made.deliver(datagrams)
    while made.node.next_timer(made.now) == 0:
        made.tick()
    return made.gateway.said[-1]


def events(made, kind):
    found = [event for event in made.events if event[0] == kind]
    made.events = [event for event in made.events if event[0] != kind]
    return found


def fits(child, pair):
    """A Child SA and the gateway's pair are the two ends of the same."""
    assert (child.cipher, child.spi_in, child.spi_out) == (pair.cipher, pair.spi_out, pair.spi_in)
    assert (child.key_in, child.key_out) == (pair.key_out, pair.key_in)
    assert selectors.ts_body(child.inside) == pair.ts_there and selectors.ts_body(child.remote) == pair.ts_here


@pytest.mark.parametrize("group", [0, 31, 14])
@pytest.mark.parametrize("cipher", SUITES)
def test_a_child_sa_is_replaced_k1(cipher, group):
    made = live()
    old = made.initiator.child
    assert asks(made, made.gateway.rekey_child(made.sa, group=group, cipher=cipher)) == "rekey child: done"
    ((_, slot, child),) = events(made, owners.CHILD_NEW)
    fits(child, made.sa.children[1])
    assert (child.slot, child.replaces) == (slot, old.slot)
    table = made.node.table
    assert sorted(table.children(made.slot)) == sorted([old.slot, slot])
    assert table.child_sa(slot) == (made.slot, 50, child.spi_in, child.spi_out)
    # The old one goes when the gateway deletes it, the new one can be replaced in its turn.
    assert asks(made, made.gateway.delete_child(made.sa, made.sa.children[0])) == "delete child: done"
    assert table.children(made.slot) == [slot]
    assert asks(made, made.gateway.rekey_child(made.sa)) == "rekey child: done"
    ((_, _, third),) = events(made, owners.CHILD_NEW)
    fits(third, made.sa.children[-1])
    assert third.replaces == slot


@pytest.mark.parametrize("group", [31, 14])
@pytest.mark.parametrize("cipher", SUITES)
def test_the_ike_sa_is_replaced_k2(cipher, group):
    made = live()
    child = made.initiator.child
    assert asks(made, made.gateway.rekey_ike(made.sa, group, cipher)) == "rekey ike: done"
    old, new = made.gateway.sas
    ((_, slot, new_slot),) = events(made, owners.REPLACED)
    assert slot == made.slot
    table = made.node.table
    peer = endpoint(("192.0.2.1", 4500))
    assert table.ike_sa(new_slot) == (new.spi_i, new.spi_r, False, peer, True)
    assert table.children(new_slot) == [child.slot] and table.children(slot) == []
    # Message IDs from 0 both ways, roles by that exchange; both live until the old is deleted.
    for sa in (new, old, new):
        assert asks(made, made.gateway.check(sa)) == "check: done"
    made.node.owners[new_slot].check(made.now)
    before = new.receive_id
    made.exchange()
    assert before == 0 and new.receive_id == 1
    assert asks(made, made.gateway.rekey_child(new, group=group)) == "rekey child: done"
    ((_, _, second),) = events(made, owners.CHILD_NEW)
    fits(second, new.children[-1])
    assert asks(made, made.gateway.delete(old)) == "delete: done"
    assert table.ike_sas() == [new_slot] and len(table.children(new_slot)) == 2
    assert asks(made, made.gateway.rekey_ike(new, group)) == "rekey ike: done"
    assert asks(made, made.gateway.check(made.gateway.sas[-1])) == "check: done"


@pytest.mark.parametrize("via", [500, 4500])
def test_what_replaces_an_ike_sa_speaks_from_the_same_port_of_ours_k2(via):
    made = live()
    made.node.owners[made.slot].follows = False
    made.node.table.update_ike(made.slot, via=via)
    asks(made, made.gateway.rekey_ike(made.sa))
    ((_, _, slot),) = events(made, owners.REPLACED)
    assert made.node.table.via(slot) == via


def test_a_child_sa_that_nobody_opens_is_not_replaced_k3():
    made = live()
    made.node.child_owners.clear()
    assert asks(made, made.gateway.rekey_child(made.sa)) == "rekey child: 44"


def test_a_child_sa_cannot_be_replaced_over_an_ike_sa_that_was_k3():
    made = live()
    asks(made, made.gateway.rekey_ike(made.sa))
    old, new = made.gateway.sas
    assert asks(made, made.gateway.rekey_child(old, new.children[0])) == "rekey child: 44"


@pytest.mark.parametrize("group", [0, 31])
def test_a_repeated_request_has_the_same_answer_k1(group):
    made = live()
    request = made.gateway.rekey_child(made.sa, group=group)
    answers = []
    made.wire = lambda to_gateway, octets: answers.append(octets) or [] if to_gateway else [octets]
    asks(made, request)
    before = made.node.table.snapshot()
    for _ in range(3):
        made.deliver(made.gateway.repeat(made.sa))
    assert len(answers) == 4 and len(set(answers)) == 1
    assert made.node.table.snapshot() == before and len(events(made, owners.CHILD_NEW)) == 1
    made.wire = lambda to_gateway, octets: [octets]
    assert asks(made, made.gateway.repeat(made.sa)) == "rekey child: done"
    ((_, _, child),) = [(0, 0, made.sa.children[-1])]
    assert child.spi_out == made.node.table.child_sa(made.node.table.children(made.slot)[0])[2]


def test_a_repetition_during_the_key_exchange_is_dropped_k1():
    made = live()
    made.deliver(made.gateway.rekey_child(made.sa, group=14))
    assert made.node.next_timer(made.now) == 0
    made.deliver(made.gateway.repeat(made.sa))
    made.tick()
    made.deliver(made.gateway.repeat(made.sa))
    while made.node.next_timer(made.now) == 0:
        made.tick()
    assert made.gateway.said[-1] == "rekey child: done" and len(events(made, owners.CHILD_NEW)) == 1


def test_a_child_sa_replaced_once_more_after_its_successor_is_in_use_k9():
    made = live()
    first = made.sa.children[0]
    assert asks(made, made.gateway.rekey_child(made.sa, first)) == "rekey child: done"
    assert asks(made, made.gateway.rekey_child(made.sa, first)) == "rekey child: done"
    (_, _, second), (_, _, third) = events(made, owners.CHILD_NEW)
    fits(second, made.sa.children[1])
    fits(third, made.sa.children[2])
    assert second.replaces == third.replaces == made.initiator.child.slot
    for _ in range(2):
        assert asks(made, made.gateway.delete_child(made.sa, made.sa.children[0])) == "delete child: done"
    assert made.node.table.children(made.slot) == [third.slot]


def test_both_ends_delete_the_old_child_sa_k9():
    made = live()
    asks(made, made.gateway.rekey_child(made.sa))
    old, new = made.sa.children
    made.wire = lambda to_gateway, octets: []  # ours is underway
    made.initiator.successor.delete_child(old.spi_out)
    made.exchange()
    made.wire = lambda to_gateway, octets: [octets]
    assert asks(made, made.gateway.delete_child(made.sa, old)) == "delete child: done"
    made.idle(made.now + 3000)  # ours once more
    assert made.sa.children == [new]
    (child,) = made.node.table.children(made.slot)
    assert made.node.table.child_sa(child)[2] == new.spi_out
    assert asks(made, made.gateway.check(made.sa)) == "check: done"


@pytest.mark.parametrize("what", ["rekey_child", "rekey_ike"])
def test_the_gateway_replaces_while_our_next_ike_sa_is_being_made_k9(what):
    made = live()
    old_slot, old = made.slot, made.sa
    made.begin()
    asks(made, getattr(made.gateway, what)(old))
    assert {"rekey child: done", "rekey ike: done"} & set(made.gateway.said)
    made.run()
    assert made.initiator.successor, made.initiator.reason
    newest = made.gateway.find(*made.node.table.ike_sa(made.slot)[:2])
    assert asks(made, made.gateway.check(newest)) == "check: done"
    for slot in [slot for slot in made.node.table.ike_sas() if slot != made.slot]:
        made.node.owners[slot].delete()
    made.exchange()
    assert made.node.table.ike_sas() == [made.slot] and made.gateway.sas == [newest]
    assert old_slot != made.slot and len(made.node.table.children(made.slot)) == 1


def child_request(made, **changes):
    """Payloads of a rekey of the Child SA."""
    pair = made.sa.children[0]
    parts = {
        "rekey": notify(16393, b"", 3, pair.spi_in),
        "sa": (33, scripted_gateway.proposal(1, 3, b"\1\2\3\4", scripted_gateway.transforms(3, "aes-cbc-128"))),
        "nonce": (40, bytes(range(32))),
        "ts_i": (44, pair.ts_here),
        "ts_r": (45, pair.ts_there),
    }
    parts.update(changes)
    return [part for part in parts.values() if part]


def ike_request(**changes):
    """Payloads of a rekey of the IKE SA."""
    parts = {
        "sa": (
            33,
            scripted_gateway.proposal(1, 1, b"\1\2\3\4\5\6\7\x08", scripted_gateway.transforms(1, "aes-cbc-128", 31)),
        ),
        "nonce": (40, bytes(range(32))),
        "ke": (34, b"\0\x1f\0\0\x09" + bytes(31)),
    }
    parts.update(changes)
    return [part for part in parts.values() if part]


def refused(made, parts):
    """(notify type, SPI, data) that the gateway gets."""
    seen = []
    made.gateway._finish = lambda sa, parts, *_: seen.append(parts)
    before = made.node.table.children(made.slot)
    made.deliver(made.gateway._request(made.sa, 36, parts, "raw"))
    while made.node.next_timer(made.now) == 0:
        made.tick()
    assert not events(made, owners.CHILD_NEW) and not events(made, owners.REPLACED)
    ((kind, body),) = seen[0]
    assert kind == 41
    if made.node.table.ike_sas():
        assert made.node.table.children(made.slot) == before
    return int.from_bytes(body[2:4], "big"), body[4 : 4 + body[1]], body[4 + body[1] :]


ESP_31 = (33, scripted_gateway.proposal(1, 3, b"\1\2\3\4", scripted_gateway.transforms(3, "aes-cbc-128", 31)))


@pytest.mark.parametrize(
    ("changes", "kind", "data"),
    [
        ({"rekey": None}, 35, b""),  # a new Child SA
        ({"sa": (33, scripted_gateway.proposal(1, 3, b"\1\2\3\4", [(1, 12, 192), (3, 12, 0), (5, 0, 0)]))}, 14, b""),
        ({"sa": (33, scripted_gateway.proposal(1, 2, b"\1\2\3\4", [(3, 12, 0), (5, 0, 0)]))}, 14, b""),
        ({"sa": (33, scripted_gateway.proposal(1, 3, b"\1\2\3\4", scripted_gateway.transforms(3, "aes-cbc-128", 19))),
          "ke": (34, b"\0\x13\0\0" + bytes(64))}, 14, b""),
        ({"sa": ESP_31}, 17, b"\0\x1f"),
        ({"sa": ESP_31, "ke": (34, b"\0\x0e\0\0" + bytes(256))}, 17, b"\0\x1f"),
        ({"ts_i": (44, scripted_gateway.selectors("192.0.2.0/24"))}, 38, b""),
        ({"ts_r": (45, scripted_gateway.selectors("10.77.0.3/32"))}, 38, b""),
        ({"ts_r": (45, b"\1\0\0\0" + struct.pack(">BBHHH", 8, 0, 40, 0, 65535) + bytes(32))}, 38, b""),
    ],
)  # fmt: skip
def test_what_is_refused_k3(changes, kind, data):
    made = live(networks=("10.0.0.0/8",))
    assert refused(made, child_request(made, **changes)) == (kind, b"", data)
    assert asks_after(made) == "check: done"


def asks_after(made):
    """The tunnel lives on."""
    del made.gateway._finish
    return asks(made, made.gateway.check(made.sa))


@pytest.mark.parametrize(("protocol", "spi"), [(3, b"\xff\1\2\3"), (2, None)])
def test_an_unknown_spi_is_named_k3(protocol, spi):
    made = live()
    spi = spi or made.sa.children[0].spi_in
    assert refused(made, child_request(made, rekey=notify(16393, b"", protocol, spi))) == (44, spi, b"")
    assert asks_after(made) == "check: done"


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": None}, {"nonce": (40, bytes(15))}, {"nonce": (40, bytes(257))}, {"sa": None}, {"ts_i": None},
        {"ts_r": None}, {"ts_i": (44, b"")}, {"ts_r": (45, b"\2\0\0\0")}, {"sa": (33, b"\0\0\0\7")},
        {"sa": (33, scripted_gateway.proposal(1, 3, bytes(4), scripted_gateway.transforms(3, "aes-cbc-128")))},
        {"sa": (33, scripted_gateway.proposal(1, 3, bytes(8), scripted_gateway.transforms(3, "aes-cbc-128")))},
        {"rekey": notify(16393, b"", 3, b"\1\2\3")}, {"more": (40, bytes(32))},
        {"sa": ESP_31, "ke": (34, b"\0\x1f\0\0" + bytes(31))}, {"sa": ESP_31, "ke": (34, b"\0\x1f\0\0")},
        {"sa": ESP_31, "ke": (34, b"\0\x1f\0\0" + bytes(32))},
    ],
)  # fmt: skip
def test_what_is_no_request_to_replace_a_child_sa_k3(changes):
    made = live()
    assert refused(made, child_request(made, **changes)) == (7, b"", b"")
    assert made.node.table.ike_sas() == []  # 2.21.3: fatal for both


def other_spi(spi):
    return (33, scripted_gateway.proposal(1, 1, spi, scripted_gateway.transforms(1, "aes-cbc-128", 31)))


@pytest.mark.parametrize(
    "changes",
    [
        {"ke": None}, {"ke": (34, b"\0")}, {"sa": other_spi(bytes(8))}, {"sa": other_spi(b"")}, {"nonce": None},
        {"sa": other_spi(b"\1\2\3\4")}, {"ke": (34, b"\0\x1f\0\0" + bytes(32))}, {"more": (34, b"\0\x1f\0\0\x09")},
    ],
)  # fmt: skip
def test_what_is_no_request_to_replace_the_ike_sa_k3(changes):
    made = live()
    assert refused(made, ike_request(**changes)) == (7, b"", b"")
    assert made.node.table.ike_sas() == []


def test_another_group_or_suite_for_the_ike_sa_k3():
    made = live({"groups": (31,)})
    assert refused(made, ike_request(ke=(34, b"\0\x0e\0\0" + bytes(256)))) == (17, b"", b"\0\x1f")
    sa = scripted_gateway.proposal(1, 1, b"\1\2\3\4\5\6\7\x08", scripted_gateway.transforms(1, "aes-cbc-128", 19))
    assert refused(made, ike_request(sa=(33, sa))) == (14, b"", b"")
    assert asks_after(made) == "check: done"


@pytest.mark.parametrize("error", [MemoryError, NotImplementedError])
def test_keys_that_cannot_be_made_now(monkeypatch, error):
    made = live()
    steps = []

    class Failing:
        number, size, value = 31, 32, b"1" * 32

        def begin(self, peer=None):
            pass

        def step(self):
            steps.append(1)
            if len(steps) > 1:
                raise error
            return True

    monkeypatch.setattr(rekey, "group", lambda number, random: Failing())
    assert asks(made, made.gateway.rekey_child(made.sa, group=31)) == "rekey child: 43"
    monkeypatch.undo()
    assert asks(made, made.gateway.rekey_child(made.sa, group=31)) == "rekey child: done"


def test_while_we_delete_it_k3():
    made = live()
    made.wire = lambda to_gateway, octets: [octets] if not to_gateway or octets[4 + 19] & 0x20 else []
    made.initiator.successor.delete_child(made.initiator.child.spi_in)
    made.exchange()
    assert refused(made, child_request(made)) == (43, b"", b"")
    made.initiator.successor.delete()
    made.exchange()
    del made.gateway._finish
    assert refused(made, ike_request()) == (43, b"", b"")


def test_selectors_are_cut_with_the_old_ones_k3():
    made = live(networks=("10.0.0.0/8",))
    wider = [scripted_gateway.selectors("0.0.0.0/0", "10.0.0.0/8")] * 2
    made.sa.children[0].ts_here, made.sa.children[0].ts_there = wider
    assert asks(made, made.gateway.rekey_child(made.sa)) == "rekey child: done"
    pair = made.sa.children[-1]
    assert pair.ts_here == scripted_gateway.selectors("10.0.0.0/8") and pair.ts_there == scripted_gateway.selectors(
        "10.77.0.2/32"
    )
    made.sa.children[-1].ts_here = scripted_gateway.selectors("10.9.0.0/16")
    assert asks(made, made.gateway.rekey_child(made.sa)) == "rekey child: done"
    assert made.sa.children[-1].ts_here == scripted_gateway.selectors("10.9.0.0/16")


@pytest.mark.parametrize("networks, asked", [
    (["0.0.0.0/0"], ["10.0.0.5/32", "0.0.0.0/0"]),
    (["0.0.0.0/0"], ["0.0.0.0/1", "128.0.0.0/1"]),
    (["10.0.0.0/8", "192.168.0.0/16"], ["192.168.0.9/32", "10.0.0.0/8", "192.168.0.0/16"]),
])  # fmt: skip
def test_selectors_that_are_asked_for_in_pieces_stay_what_they_were_k3(networks, asked):
    """RFC 7296 section 2.9.2: a rekey does not narrow."""
    made = live(networks=tuple(networks))
    made.sa.children[0].ts_here = scripted_gateway.selectors(*asked)
    assert asks(made, made.gateway.rekey_child(made.sa)) == "rekey child: done"
    assert made.sa.children[-1].ts_here == scripted_gateway.selectors(*networks)


def test_a_gateway_that_replaces_once_a_second_and_deletes_nothing():
    made = live(table=(2, 4))
    said = [asks(made, made.gateway.rekey_child(made.sa, made.sa.children[0])) for _ in range(10)]
    assert said == ["rekey child: done"] * 3 + ["rekey child: 43"] * 7
    said = [asks(made, made.gateway.rekey_ike(made.sa)) for _ in range(3)]
    assert said == ["rekey ike: done"] + ["rekey ike: 43"] * 2
    assert asks(made, made.gateway.check(made.sa)) == "check: done"


def test_a_gateway_that_replaces_once_a_second_k1():
    made = live(table=(3, 3))
    for i in range(60):
        assert asks(made, made.gateway.rekey_child(made.sa)) == "rekey child: done"
        assert asks(made, made.gateway.delete_child(made.sa, made.sa.children[0])) == "delete child: done"
        if i % 10 == 0:
            assert asks(made, made.gateway.rekey_ike(made.sa)) == "rekey ike: done"
            assert asks(made, made.gateway.delete(made.sa)) == "delete: done"
            made.sa = made.gateway.sas[-1]
        made.now += 1000
    (slot,) = made.node.table.ike_sas()
    assert len(made.node.table.children(slot)) == 1


def test_the_longest_answer_is_as_announced():
    made = live(networks=("10.0.0.0/8",) * 4)
    owner = made.node.owners[made.slot]
    made.sent.clear()
    asks(made, made.gateway.rekey_child(made.sa, group=14, cipher="aes-cbc-128"))
    asks(made, made.gateway.rekey_ike(made.sa, 14, "aes-cbc-256"))
    assert max(len(octets) for _, _, _, octets in made.sent) <= owner.longest + 4


@given(st.data())
@settings(deadline=None, max_examples=200)
def test_mutated_requests_never_raise(data):
    made = live({"groups": (31,)})
    parts = child_request(made) if data.draw(st.booleans()) else ike_request()
    for _ in range(data.draw(st.integers(1, 3))):
        i = data.draw(st.integers(0, len(parts) - 1))
        kind, body = parts[i]
        body = bytearray(body)
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
        parts[i] = data.draw(st.sampled_from([kind, kind, kind, 41, 200])), bytes(body)
    made.gateway._finish = lambda *_: None
    made.deliver(made.gateway._request(made.sa, 36, parts, "raw"))
    while made.node.next_timer(made.now) == 0:
        made.tick()
    assert not made.sa.pending or not made.node.table.ike_sas()


@pytest.mark.parametrize("begin", ["rekey_child", "rekey_ike"])
def test_what_makes_the_answer_can_be_dropped_during_the_key_exchange_k1_k2(begin, monkeypatch):
    made = live()
    ask = getattr(made.gateway, begin)
    made.deliver(ask(made.sa, group=31))
    for name in ("rekey", "proposals", "keys"):
        monkeypatch.delitem(sys.modules, "ikev2.sa." + name)
    while made.node.next_timer(made.now) == 0:
        made.tick()
    assert made.gateway.said[-1].endswith("done")


def test_a_failed_key_exchange_is_refused_once_there_is_room_k14(monkeypatch):
    made = live()
    made.deliver(made.gateway.rekey_child(made.sa, group=31))
    owner = made.node.owners[made.slot]

    def full(*_):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(owner.rekeys.rekeying[0], "step", full)
        patch.setattr(rekeys, "refuse", full)
        with pytest.raises(MemoryError):
            owner.work(made.now)
    assert not owner.rekeys.rekeying
    while made.node.next_timer(made.now) == 0:
        made.tick()
    assert made.gateway.said[-1] == "rekey child: 43" and not events(made, owners.CHILD_NEW)
    assert asks(made, made.gateway.rekey_child(made.sa, group=31)) == "rekey child: done"
