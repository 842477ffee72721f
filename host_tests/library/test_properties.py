"""Every octet string is a verdict."""

from golden import vector_files
from hypothesis import given, settings
from hypothesis import strategies as st
from ikev2.node import Node
from ikev2.notifier import VERDICTS
from ikev2.spi_table import SpiTable
from measure import mixed, soak

SEEDS = [bytes.fromhex(octets) for _, octets in soak.seeds(1000)]
ENDPOINTS = st.one_of(st.binary(min_size=6, max_size=6), st.binary(min_size=18, max_size=18))
DATAGRAMS = st.one_of(
    st.binary(max_size=120),
    st.sampled_from(SEEDS),
    st.builds(
        lambda a, n, b: a[:n] + b + a[n + len(b) :], st.sampled_from(SEEDS), st.integers(0, 90), st.binary(max_size=9)
    ),
)


@settings(max_examples=1500, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from((500, 4500, 50, 51)), ENDPOINTS, DATAGRAMS, st.integers(0, 2**30 - 1)), max_size=9
    )
)
def test_any_datagrams(datagrams):
    """L2, L3, L6, R2: no exception, no amplification, no loop, no change, all counted."""
    table, _ours = mixed.table()
    node = Node(SpiTable(4, 4, 16), lambda n: bytes(range(n)), per_source_ms=0, burst=100)
    assert node.table.restore(table.snapshot()) is False
    before = node.table.snapshot()
    counted = 0
    for via, source, datagram, now in datagrams:
        verdict = VERDICTS[node.receive(via, source, datagram, len(datagram), now)]
        counted += 1
        length = node.outgoing(now)
        assert bool(length) == (verdict in ("invalid-spi", "invalid-ike-spi", "invalid-major-version"))
        if length:
            assert length + 8 <= len(datagram) + (8 if via > 99 else 0)
            assert bytes(node.out_to)[:-2] == source[:-2]
            answer = bytes(node.out[:length])
            again = VERDICTS[node.receive(node.out_via, source, answer, length, now)]
            counted += 1
            assert again.startswith("drop-") and not node.outgoing(now)
    assert node.table.snapshot() == before
    assert sum(node.counters) == counted


def test_a_million_datagrams():
    """On the unix port with 64 KiB of heap, in which nothing is left behind."""
    first, last = soak.soak(1000000, seed=20)
    assert first == last


def test_mixed_datagrams_on_cpython():
    seeds = [(via, bytes.fromhex(octets)) for via, octets in soak.seeds(1000)]
    node = mixed.run(60000, 7, seeds, lambda *_: None)
    missed = {name for name, count in zip(VERDICTS, node.counters, strict=True) if not count}
    assert missed <= {"drop-limited", "drop-source"} | {
        verdict for verdict in vector_files.VERDICTS if "hint" in verdict
    }
