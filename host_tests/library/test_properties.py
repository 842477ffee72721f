"""Every octet string is a verdict."""

from golden import vector_files
from hypothesis import given, settings
from hypothesis import strategies as st
from ikev2.node import Node
from ikev2.notifier import VERDICTS
from measure import mixed_traffic, soak

SEEDS = [bytes.fromhex(octets) for _, octets in soak.seeds(1000)]
PEERS = [b"\xc0\0\2\1\1\xf4", b"\xc0\0\2\1\0\0", b"\xc6\x33\x64\7\x11\x94", b"\xc6\x33\x64\7\1\xf4"]
ENDPOINTS = st.one_of(st.sampled_from(PEERS), st.binary(min_size=6, max_size=6), st.binary(min_size=18, max_size=18))
DATAGRAMS = st.one_of(
    st.binary(max_size=120),
    st.sampled_from(SEEDS),
    st.builds(
        lambda a, n, b: a[:n] + b + a[n + len(b) :], st.sampled_from(SEEDS), st.integers(0, 90), st.binary(max_size=9)
    ),
)


def check(datagrams):
    """Verdicts over (via, source, datagram, now); L2, L3, L6, R2 hold."""
    table, _ = mixed_traffic.table()
    node = Node(table, lambda n: bytes(range(n)), per_source_ms=0, burst=100)
    for slot in table.ike_sas():
        for message_id in range(10):
            node.expect(slot, 37, bytes((0, 0, 0, message_id)))
    before = table.snapshot()
    verdicts, fed_back = [], 0
    for via, source, datagram, now in datagrams:
        verdict = VERDICTS[node.receive(via, source, datagram, len(datagram), now)]
        verdicts.append(verdict)
        length = node.outgoing(now)
        assert bool(length) == (verdict in ("invalid-spi", "invalid-ike-spi", "invalid-major-version"))
        if length:
            assert length + 8 <= len(datagram) + (8 if via > 99 else 0)
            assert bytes(node.out_to)[:-2] == source[:-2]
            answer = bytes(node.out[:length])
            again = VERDICTS[node.receive(node.out_via, source, answer, length, now)]
            fed_back += 1
            assert again.startswith(("drop-", "hint-")) and not node.outgoing(now)
        assert table.snapshot() == before
    assert sum(node.counters) == len(verdicts) + fed_back
    return verdicts


@settings(max_examples=1500, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from((500, 4500, 50, 51)), ENDPOINTS, DATAGRAMS, st.integers(0, 2**30 - 1)), max_size=9
    )
)
def test_any_datagrams(datagrams):
    check(datagrams)


def test_the_seeds_of_any_datagrams_are_of_every_kind():
    """SAs are in the table: something is delivered, a hint, or answered over an IKE SA."""
    seeds = [(via, peer, seed, 0) for via in (500, 4500, 50, 51) for peer in PEERS for seed in SEEDS]
    assert set(check(seeds)) >= {
        "deliver-ike", "deliver-init", "deliver-esp", "deliver-ah", "invalid-spi-protected", "hint-invalid-spi",
        "hint-invalid-ike-spi", "hint-invalid-major-version",
    }  # fmt: skip


def test_a_million_datagrams():
    """On the unix port with 64 KiB of heap, in which nothing is left behind."""
    first, last = soak.soak(1000000, seed=20)
    assert first == last


def test_mixed_datagrams_on_cpython():
    seeds = [(via, bytes.fromhex(octets)) for via, octets in soak.seeds(1000)]
    node = mixed_traffic.run(60000, 7, seeds, lambda *_: None)
    missed = {name for name, count in zip(VERDICTS, node.counters, strict=True) if not count}
    assert missed <= {"drop-limited", "drop-source"} | {
        verdict for verdict in vector_files.VERDICTS if "hint" in verdict
    }
