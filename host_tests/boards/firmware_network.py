"""Cases of ikev2_network: joining, loss, another address, boards without Wi-Fi."""

import asyncio

from ikev2.config import read

from boards.fake_esp32 import Lan, Station, Watchdog, network
from boards.pc_firmware import configure, ikev2_main, ikev2_network, run_case, until


def _hurry():
    ikev2_network._RETRY_S = ikev2_network._LOOK_S = ikev2_network._POLL_S = 0.01
    ikev2_network._JOIN_S = 0.03
    ikev2_network._RETRY_MAX_S = 0.04


async def _network(said):
    """keep_up as a task, and the wait for a line of it that has these words; lines before that are dropped."""
    task = asyncio.create_task(ikev2_network.keep_up(read(), said.append, lambda address: None))

    async def heard(words):
        await until(lambda: [line for line in said if words in line])

    return task, heard


def _until_said(words):
    """What keep_up says until it has said that."""
    said = []

    async def story():
        task, heard = await _network(said)
        await heard(words)
        task.cancel()

    asyncio.run(story())
    return said


def no_ssid_is_said():
    configure()
    said = []
    asyncio.run(ikev2_network.keep_up(read(), said.append, lambda address: None))
    assert len(said) == 1 and "ssid" in said[0], said


def lost_and_back_and_moved():
    _hurry()
    configure(ssid="home", password="secret")
    said = []

    async def story():
        task, heard = await _network(said)
        await until(lambda: len(Station.tries) == 4)
        Station.connected = True
        await heard("network up")
        Station.connected = False
        await heard("network lost")
        Station.connected = True
        await until(lambda: said[-1].startswith("network up"))
        Station.address = "192.0.2.8"
        await heard("address changed")
        task.cancel()

    asyncio.run(story())
    changes = [line.split(",")[0].split(":")[0] for line in said if not line.startswith("no network")]
    assert changes == ["network up", "network lost", "network up",
                       "address changed from 192.0.2.7 to 192.0.2.8"], said  # fmt: skip
    assert len([line for line in said if line.startswith("no network")]) >= 3


def slow_join_is_given_its_time():
    """Association, keys and DHCP of 2.5 s and more; here as often as ten polls."""
    _hurry()
    ikev2_network._JOIN_S = 1
    configure(ssid="home", password="secret")
    Station.joins_after = 10
    said = _until_said("network up")
    assert len(Station.tries) == 1 and Station.cut == 0 and len(said) == 1, (Station.tries, said)


def reason_of_a_failed_join_is_said():
    _hurry()
    configure(ssid="home", password="secret")
    said = []

    async def story():
        task, heard = await _network(said)
        await heard("are ssid and password right")
        for state, words in ((201, "no access point with this ssid"), (202, "wrong password")):
            while not [line for line in said if words in line]:
                Station.state = state
                await asyncio.sleep(0)
        task.cancel()

    asyncio.run(story())
    assert "secret" not in "".join(said)


def new_ssid_takes_effect():
    """An ESP32 stays joined through the soft reboot of `deploy`."""
    _hurry()
    configure(ssid="new", password="secret")
    Station.connected = True
    Station.ssid = "old"
    Station.joins_after = 2
    _until_said("network up")
    assert Station.tries == (("new", "secret"),)


def static_address_needs_no_dhcp():
    _hurry()
    configure(ssid="home", password="secret", static=["192.0.2.9", "255.255.255.0", "192.0.2.1", "192.0.2.53"])
    Station.joins_after = 1
    config = dict(read(), power_save=False)  # as in a waking
    ikev2_network._made(config, None)
    assert Station.settings == {"pm": Station.PM_NONE}
    said = _until_said("network up")
    assert said == ["network up, address 192.0.2.9"] and Station.static[3] == "192.0.2.53", said


def boards_without_wifi():
    """LAN alone; pins that have to be named; no network at all. None of these is reset for ever."""
    _hurry()
    configure(watchdog_s=1)
    del network.WLAN
    network.LAN = Lan
    said = _until_said("network up, address 192.0.2.7")
    for pins in (False, None):
        Lan.pins = pins
        if pins is None:
            del network.LAN
        said.clear()
        asyncio.run(ikev2_network.keep_up(read(), said.append, lambda address: None))
        assert len(said) == 1 and "boot.py must bring it up" in said[0], said

    async def fed():
        await until(lambda: Watchdog.fed >= 3)
        raise KeyboardInterrupt

    ikev2_main.run(fed())
    assert not ikev2_main._failed


if __name__ == "__main__":
    run_case(globals())
