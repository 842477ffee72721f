"""Cases of ikev2_sleep: the SA table through deep sleep, damaged, or of another configuration."""

import os

from ikev2.config import FILE, ConfigError
from ikev2.node import Node
from ikev2.notifier import VERDICTS
from ikev2.spi_table import SpiTable

from boards.fake_esp32 import Rtc, Slept, machine
from boards.pc_firmware import configure, ikev2_sleep, run_case, woken

PEER = bytes((192, 0, 2, 1, 1, 0xF4))

ESP = b"CCCC" + bytes(28)


def _asleep():
    """RTC memory with a table in it that has one IKE SA and one Child SA."""
    table = SpiTable(16, 32)
    slot = table.adopt_ike(b"A" * 8, b"B" * 8, True, PEER, True)
    table.adopt_child(slot, 50, b"CCCC", b"DDDD")
    try:
        ikev2_sleep.sleep(Node(table, os.urandom), 5000)
        raise AssertionError("slept not")
    except Slept as slept:
        assert slept.args[0] == 5000
    return Rtc.octets


def table_survives_deep_sleep():
    configure(ssid="home")
    assert len(_asleep()) == 23 + 8 + 16 * 26 + 32 * 11 == 799
    assert any(Rtc.cells)
    main = woken()
    assert not Rtc.octets and not any(Rtc.cells)
    assert main._prepare()["power_save"] is False and main._prepare()["power_save"] is True
    # A live SA is no unknown one; nobody can speak over it, so it is not established (S1.1).
    assert VERDICTS[main.node.receive(50, PEER[:4] + b"\0\0", ESP, 32, 0)] == "deliver-esp"
    assert VERDICTS[main.node.receive(50, PEER[:4] + b"\0\0", b"XXXX" + bytes(60), 64, 0)] == "invalid-spi"
    try:
        ikev2_sleep.sleep(Node(SpiTable(64, 64), os.urandom), 1)
        raise AssertionError("too large, and taken")
    except ValueError as error:
        assert "2048" in str(error)


def a_full_heap_sleeps_and_keeps_nothing():
    """Z7: and so does a tunnel that is too much, whose life has ended by then."""
    configure(ssid="home")
    _asleep()
    main = woken()
    main._prepare()
    try:
        ikev2_sleep.sleep(main.node, 6000, bytes(2048))
        raise AssertionError("slept not")
    except Slept as slept:
        assert slept.args[0] == 6000 and not Rtc.octets

    def full():
        raise MemoryError

    main.node.table.snapshot = full
    try:
        ikev2_sleep.sleep(main.node, 7000, b"a tunnel")
        raise AssertionError("slept not")
    except Slept as slept:
        assert slept.args[0] == 7000 and not Rtc.octets


def a_tunnel_for_which_there_is_no_room_sleeps_all_the_same():
    """Z7: what keeps it may itself want memory."""
    configure(ssid="home")
    _asleep()
    main = woken()
    main._prepare()

    class tunnel:
        def kept(self):
            raise MemoryError

    main.tunnel = main.ikev2_tunnel = tunnel
    try:
        main.sleep(8000)
        raise AssertionError("slept not")
    except Slept as slept:
        assert slept.args[0] == 8000


def what_is_damaged_is_an_empty_table():
    configure(ssid="home")
    kept = _asleep()
    others = [kept[:at] + bytes((kept[at] ^ 1,)) + kept[at + 1 :] for at in range(0, len(kept), 7)]
    for octets in [b"", kept[:-1], kept[:20], b"somebody else's", bytes(2048), os.urandom(2048)] + others:
        Rtc.octets = octets
        main = woken()
        main._prepare()
        assert main.node.table.ike_sas() == []


def snapshot_is_good_for_one_waking():
    """No SA comes back after a wake with a broken or another configuration, or a watchdog reset."""
    kept = _asleep()
    for broken in ('{"ssdi": ""}', '{"ike_sas": 8}'):
        Rtc.octets = kept
        with open(FILE, "w") as file:
            file.write(broken)
        main = woken()
        main.Udp = None  # run() is not to get that far
        try:
            main._prepare()
        except ConfigError:
            pass
        configure(ssid="home")
        main.node = None
        main._prepare()
        assert main.node.table.ike_sas() == []
    for configuration in ({"ike_sas": 17}, {"child_sas": 31}):
        Rtc.octets = kept
        configure(ssid="home", **configuration)
        main = woken()
        main._prepare()
        assert main.node.table.ike_sas() == []
    configure(ssid="home")
    for cause in (machine.WDT_RESET, machine.PWRON_RESET):
        Rtc.octets = kept
        machine.cause = cause
        main = woken()
        main._prepare()
        assert main.node.table.ike_sas() == []
    machine.cause = machine.DEEPSLEEP_RESET
    Rtc.octets = SpiTable(16, 32).snapshot()  # nothing was in it: nothing to say either
    woken()._prepare()


if __name__ == "__main__":
    run_case(globals())
