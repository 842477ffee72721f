"""A tunnel that outlives sleep, or none: Z1 to Z6, and E5 across everything that can be cut."""

import pytest
from ikev2.initial import sa_init
from ikev2.initial.ppk import Ppk
from ikev2.sa.policy import Policy
from ipsec import sleep

from library.scripted_gateway import INITIAL_CONTACT, Gateway, notifies
from library.simulation import PERIOD, PSK, QuickGroup, Simulation


class Board(Simulation):
    """A device with RTC memory, which firmware reads and clears before anything else."""

    def __init__(
        self, ciphers=("aes-cbc-256",), keep_keys=True, groups=(31, 14), gateway_class=Gateway, ppk=None, **settings
    ):
        policy = Policy("sensor-7", PSK, ciphers=ciphers, groups=groups)
        policy.keep_keys = keep_keys
        policy.ppk = ppk and Ppk(PSK, *ppk)
        self.rtc = b""
        gateway = settings.pop("gateway", "")
        super().__init__(echo_ms=0, policy=policy, delay=(5, 40), gateway=gateway_class, **settings)
        self.settings = {**self.settings, "gateway": gateway}
        self.power_on()
        self.gateway.ciphers = self.gateway.esp = ciphers

    def keeps(self):
        """What goes into RTC memory."""
        octets = sleep.keep(self.life, self.clock)
        if not octets:
            sleep.forget(self.life)
        table = self.node.table.snapshot()
        return len(table).to_bytes(2, "big") + table + octets

    def wakes(self, rtc, slept_ms):
        """A reset: True if the tunnel goes on."""
        self.power_on()
        size = int.from_bytes(rtc[:2], "big")
        table, octets = rtc[2 : 2 + size], rtc[2 + size :]
        woken = self.node.table.restore(table) and sleep.wake(self.life, octets, slept_ms, self.clock)
        sleep.clear(self.node)
        return woken

    def sleeps(self, ms):
        """The whole of it."""
        rtc = self.keeps()
        self.now += ms
        return self.wakes(rtc, ms)

    def reading(self):
        """One echo; True if it was answered."""
        before = self.answered
        self.echo()
        self.run(300)
        return self.answered > before


@pytest.fixture(autouse=True)
def _another_board():
    sleep._restored.clear()


@pytest.fixture
def board():
    board = Board()
    board.until(lambda: board.life.up)
    assert board.reading()
    return board


def test_the_first_reading_leaves_as_one_esp_packet_z1_z3(board):
    before = len(board.sent)
    assert board.sleeps(600000) and board.life.up
    assert board.reading()
    ((_, via, octets),) = board.sent[before:]
    assert via == 4500 and octets[:4] == board.gateway.sas[0].children[0].spi_in


@pytest.mark.parametrize("cipher", ["aes-cbc-128", "aes-cbc-256", "aes-gcm-16-128", "aes-gcm-16-256"])
def test_a_tunnel_is_at_most_700_octets_z1(cipher):
    board = Board((cipher,))
    board.until(lambda: board.life.up)
    octets = sleep.keep(board.life, board.clock)
    assert 0 < len(octets) <= 700


def test_without_keep_keys_nothing_is_kept_z5():
    board = Board(keep_keys=False)
    board.until(lambda: board.life.up)
    assert sleep.keep(board.life, board.clock) == b"" and board.life.up
    assert board.life.current.child.key_in is None


def test_a_stale_pair_is_not_waited_for_and_in_no_snapshot_k11_z6(board):
    board.says(board.gateway.rekey_child(board.sa))
    board.until(lambda: board.stale, 1000)
    (stale,) = board.stale
    assert sleep.patience(board.life, 1000) == 1000 and not board.life.renewing
    rtc = board.keeps()
    assert stale.child.spi_in not in rtc and board.wakes(rtc, 1000)
    assert len(board.node.child_owners) == 1 and board.reading()


def test_what_is_kept_is_mute_e5(board):
    """From then on not one packet leaves: its number may be used after waking."""
    board.keeps()
    before = len(board.sent)
    board.echo()
    board.run(60000)
    assert len(board.sent) == before and not board.life.up


def test_octets_are_good_for_one_waking_z2(board):
    rtc = board.keeps()
    board.now += 1000
    assert board.wakes(rtc, 1000)
    assert not board.wakes(rtc, 1000) and not board.life.up and board.life.wanted


def test_what_fails_its_check_is_no_tunnel_z2(board):
    rtc = board.keeps()
    size = 2 + int.from_bytes(rtc[:2], "big")
    octets = rtc[size:]
    damaged = [octets[:n] for n in range(len(octets))]
    damaged += [octets + b"\0", bytes(len(octets)), b"\xff" * len(octets), b"", b"\1"]
    damaged += [octets[:i] + bytes((octets[i] ^ 1 << i % 8,)) + octets[i + 1 :] for i in range(len(octets))]
    damaged += [board.octets(n) for n in (1, 50, 365, 700, 2048)]
    for other in damaged:
        assert not board.wakes(rtc[:size] + other, 0) and not board.life.up and board.life.wanted
    assert board.wakes(rtc, 0)


def test_another_table_is_no_tunnel_z2(board):
    rtc = board.keeps()
    size = 2 + int.from_bytes(rtc[:2], "big")
    board.power_on()
    other = board.node.table
    slot = other.adopt_ike(b"initiate", b"response", True, bytes((192, 0, 2, 9, 1, 244)))
    other.adopt_child(slot, 50, b"abcd", b"efgh")
    table = other.snapshot()
    assert not board.wakes(len(table).to_bytes(2, "big") + table + rtc[size:], 0)
    assert board.wakes(rtc, 0)


@pytest.mark.parametrize(
    "change", [{"psk": b"another one, but as long"}, {"id": "sensor-8"}, {"gateway_id": "gateway.example"},
               {"inside": bytes((10, 0, 0, 9))}, {"groups": (14,)}, {"ciphers": ("aes-cbc-128",)}]
)  # fmt: skip
def test_another_configuration_is_no_tunnel_z2(board, change):
    rtc = board.keeps()
    mine = board.policy
    said = {"id": mine.id, "psk": mine.psk, "gateway_id": mine.gateway_id, "inside": mine.inside, "groups": mine.groups,
            "ciphers": mine.ciphers}  # fmt: skip
    board.policy = Policy(**{**said, **change})
    board.policy.keep_keys = True
    assert not board.wakes(rtc, 0)
    board.policy = mine
    assert board.wakes(rtc, 0)


def test_time_asleep_counts_z4(board):
    left = board.left
    assert board.sleeps(3600000)
    assert abs(left - 3600000 - board.left) < 100
    # Past its time: the reading goes first, then the SA is replaced.
    before = len(board.sent)
    assert board.sleeps(3 * 3600000) and board.left == 0
    assert board.reading() and len(board.sent[before][2]) < 100
    board.until(lambda: len(board.gateway.sas) == 1 and board.gateway.said.count("established") == 2)
    assert board.reading()


def test_a_waking_that_finds_nobody_begins_an_attempt_beside_the_old_sa_z4(board):
    """The reading first, a check after a second, an attempt after three; and nothing is removed before it succeeds."""
    contacts = []
    board.restart_gateway()
    auth = board.gateway._auth
    board.gateway._auth = lambda sa, parts: contacts.append(INITIAL_CONTACT in notifies(parts)) or auth(sa, parts)
    assert board.sleeps(600000)
    before, began = len(board.sent), board.now
    assert not board.reading()
    board.run(began + 2900 - board.now)
    ids = [octets[4 + 18] for _, via, octets in board.sent[before:] if via == 4500 and octets[:4] == bytes(4)]
    assert set(ids) == {37} and [via for _, via, _ in board.sent[before:]].count(500) == 0
    board.run(150)
    assert board.sent[-1][1] == 500 or board.life.has.attempt
    assert board.life.up and board.tunnels() == 1
    board.until(lambda: board.tunnels() == 2)
    assert board.reading() and contacts == [False] and len(board.begun) == 2


def test_z4_and_no_answer_at_all_removes_nothing(board):
    board.there = False
    assert board.sleeps(600000)
    board.reading()
    board.run(30000)
    assert board.life.up and board.tunnels() == 1 and board.life.failures == 1
    board.there = True
    board.until(lambda: board.tunnels() == 1 and not board.life.has.attempt and board.reading())
    assert board.gateway.said.count("established") == 1 or board.life.up


def test_a_hint_is_enough_to_look_z4(board):
    """Delete in clear text is none; INVALID_SPI in clear text is a hint, and the check follows at once."""
    board.restart_gateway()
    child = board.life.current.child
    assert board.sleeps(600000)
    before = len(board.sent)
    hint = board.octets(16) + bytes.fromhex("2920250800000000000000280000000c0000000b") + child.spi_out
    board.arrive(True, 500, board.source, hint)
    board.run(50)
    assert [via for _, via, _ in board.sent[before:]] == [4500]


def test_half_done_is_not_kept_z6(board):
    """A rekey on its way, and one whose old pair the gateway has not deleted yet."""
    sa = board.gateway.sas[0]
    board.tidy = lambda: None
    board.says(board.gateway.rekey_child(sa, group=31))
    board.run(41)
    assert sleep.keep(board.life, board.clock) == b"" or not sa.pending
    board.run(2000)
    assert len(board.traffics) == 2 and sleep.keep(board.life, board.clock) == b""
    board.says(board.gateway.delete_child(sa, sa.children[0]))
    board.run(2000)
    assert board.sleeps(1000) and board.reading()


def test_a_gateway_that_has_not_answered_is_asked_before_sleep_z6(board):
    board.run(5000)
    board.there = False
    board.echo()
    board.run(100)
    assert not board.life.has.asked.waiting
    board.there = True
    board.life.settle(board.clock)
    board.speak()
    assert board.life.has.asked.waiting and board.life.renewing
    board.until(lambda: not board.life.renewing, 1000)
    assert board.sleeps(1000) and board.reading()


def test_a_check_that_is_under_way_is_waited_for_whenever_it_began_z6():
    board = Board(start=PERIOD - 20000)
    board.until(lambda: board.life.up)
    assert board.reading()
    board.run(PERIOD - board.now)
    board.there = False
    assert board.clock == 0 and not board.life.renewing
    board.life.check(board.clock)
    board.speak()
    assert board.life.renewing


def test_a_request_from_before_sleep_is_not_processed_anew_z6(board):
    sa = board.gateway.sas[0]
    board.says(board.gateway.check(sa))
    board.run(1000)
    recorded = board.gateway.inform(sa)
    board.says(recorded)
    board.run(1000)
    assert board.sleeps(60000)
    before = len(board.sent)
    for via, _, octets in recorded:
        board.arrive(True, via, (bytes((198, 51, 100, 1)), via), octets)
    board.run(1000)
    assert len(board.sent) == before
    board.says(board.gateway.check(sa))
    board.run(1000)
    assert not sa.pending and board.reading()


@pytest.mark.parametrize("cipher", ["aes-cbc-256", "aes-gcm-16-256"])
@pytest.mark.parametrize("seed", range(6))
def test_no_number_and_no_iv_twice_whatever_is_cut_e5(cipher, seed):
    """Naps of which each may be cut: power lost before, during and after writing, after reading, before and after the
    first packet; a watchdog that bites; octets restored twice by hand. The gateway remembers every packet there was.
    """
    board = Board((cipher,), seed=seed)
    dice = board.dice
    for _ in range(60):
        board.until(lambda: board.life.up)
        for _ in range(dice.randrange(3)):
            board.reading()
        board.run(1500)
        cut = dice.choice(("none", "none", "before", "torn", "written", "read", "sent", "twice", "watchdog"))
        if cut == "before":
            board.power_on()
            continue
        rtc = board.keeps()
        if cut == "torn":
            rtc = rtc[: dice.randrange(len(rtc))] + bytes(dice.randrange(3))
        if cut == "written":
            rtc = b""  # power loss empties it
        board.now += dice.choice((1000, 600000, 7200000))
        woke = board.wakes(rtc, 1000)
        assert woke <= (cut not in ("torn", "written"))
        if cut == "twice":
            board.echo()
            assert not board.wakes(rtc, 1000) and board.node.table.ike_sas() == []
        if cut in ("sent", "watchdog") and board.life.up:
            board.echo()
        if cut in ("read", "sent", "watchdog"):
            assert not board.wakes(b"", 1000)  # the octets were cleared when they were read
    numbers, ivs = set(), set()
    for _, via, octets in board.sent:
        if via == 4500 and len(octets) > 1:
            if octets[:4] == bytes(4):
                iv = octets[4:20] + octets[36 : 36 + (8 if "gcm" in cipher else 16)]
                message = octets
            else:
                assert octets[:8] not in numbers, "a number twice"
                numbers.add(octets[:8])
                iv = octets[:4] + octets[8 : 8 + (8 if "gcm" in cipher else 16)]
                message = None
            assert (iv, message) in ivs or iv not in {other for other, _ in ivs}, "an IV twice"
            ivs.add((iv, message))
    assert len(numbers) > 20


@pytest.mark.parametrize("octets", [b"", b"\0", b"\1" * 9, bytes(2048), bytes(range(256)) * 8])
def test_any_octets_are_no_tunnel_z2(octets):
    board = Board()
    assert not board.wakes(octets, 0) and board.life.wanted
    board.until(lambda: board.life.up)


def test_after_waking_the_kept_pair_carries_until_its_successor_has_proved_itself_k1(board):
    assert board.sleeps(600000)
    kept = board.life.current
    board.tidy = lambda: None
    board.says(board.gateway.rekey_child(board.sa))
    board.run(500)
    assert board.life.current is kept and len(board.traffics) == 2


def test_without_patience_a_delete_without_answer_is_over_at_once_z6(board):
    board.there = False
    board.life.has.delete(board.life.has.asked, board.clock)
    board.life.has.expire(board.clock, 0)
    board.node.attend(board.clock)
    assert board.tunnels() == 0


def test_a_gateway_that_forgot_does_not_keep_us_awake(board):
    """Z6: an old IKE SA whose Delete nobody answers is let go, and the new one outlives sleep."""
    board.restart_gateway()
    board.life.check(board.clock)
    board.until(lambda: board.tunnels() == 2)
    assert not sleep.keep(board.life, board.clock)
    board.life.has.expire(board.clock, 0)
    board.node.attend(board.clock)
    assert board.tunnels() == 1 and board.sleeps(600000) and board.reading()


def test_sleep_during_an_attempt_leaves_nothing_in_the_table_z7():
    """Row 1: cycles with a silent gateway, each cut off by sleep in the middle of an attempt."""
    board = Board()
    board.there = False
    for _ in range(20):
        board.run(2000)
        assert board.life.has.attempt
        rtc = board.keeps()
        assert board.node.table.ike_sas() == []
        board.now += 600000
        assert not board.wakes(rtc, 600000) and board.node.table.ike_sas() == []
    board.there = True
    board.until(lambda: board.life.up, 1000)
    assert board.reading()


def test_a_renewal_that_sleep_cuts_off_is_made_at_a_later_waking_z7(board):
    """Row 1: the old SA is kept without the attempt, until it is too old for that."""
    board.life.life_ms = board.life.lived(board.clock) + 1000
    limit = board.life.limit_ms
    wakings = 0
    while board.life.lived(board.clock) < limit:
        board.run(1 if wakings else 1001)
        assert board.life.has.attempt or not wakings
        assert board.sleeps(60000) and len(board.node.table.ike_sas()) == 1
        wakings += 1
    assert wakings > 150
    board.run(1)
    assert not board.sleeps(600000) and board.node.table.ike_sas() == []
    board.until(lambda: board.life.up, 1000)


def test_what_nobody_speaks_for_is_cleared_after_waking_z7(board):
    board.node.table.adopt_ike(b"initiate", b"response", True, bytes((192, 0, 2, 9, 1, 244)))
    assert board.sleeps(1000)
    assert board.node.table.ike_sas() == [board.life.has.asked.slot]


@pytest.mark.parametrize("change", [{"gateway": "other.example"}, {"lifetime_ms": 3600000}, {"liveness_ms": 5000}])
def test_another_gateway_or_time_is_another_configuration_z2(change):
    """Row 12."""
    board = Board(gateway="vpn.example")
    board.until(lambda: board.life.up)
    rtc = board.keeps()
    board.settings, mine = {**board.settings, **change}, board.settings
    assert not board.wakes(rtc, 0)
    board.settings = mine
    assert board.wakes(rtc, 0)


@pytest.mark.parametrize("slept_ms", [600000 * 1000, 757382400000, (1 << 40) - 1])
def test_a_long_sleep_or_a_clock_that_jumps_ages_the_tunnel_z8(board, slept_ms):
    """Row 8: new keys are due, the tunnel is kept no longer, and nothing raises."""
    assert board.sleeps(slept_ms) and board.left == 0
    board.until(lambda: board.gateway.said.count("established") == 2 and board.tunnels() == 1)
    assert board.reading() and board.sleeps(600000) and board.reading()


def test_lifetime_s_counts_over_many_days_awake_z8(board, monkeypatch):
    """Row 8: past half the period of the clock, while the gateway takes nothing new."""
    monkeypatch.setattr(sa_init, "group", QuickGroup)
    board.gateway.refuse = 14
    board.run(8 * 24 * 3600000)
    assert board.life.up and board.left == 0
    board.gateway.refuse = 0
    board.run(30 * 60000)
    assert board.left > 7000000


@pytest.mark.parametrize(("ms", "error"), [(0.5 * 60000, TypeError), ("1", TypeError), (-1, ValueError),
                                            (1 << 40, ValueError)])  # fmt: skip
def test_a_time_asleep_is_looked_at_first_z8(board, ms, error):
    """Row 7."""
    rtc = board.keeps()
    with pytest.raises(error):
        board.wakes(rtc, ms)
    assert board.wakes(rtc, 1000)
