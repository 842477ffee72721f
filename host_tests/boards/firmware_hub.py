"""Cases of ikev2_hub: a board that accepts, called over loopback by tunnels of the same program."""

import sys

from ipsec import Tunnel

from boards.fake_esp32 import Rtc, Station
from boards.pc_firmware import PcUdp, configure, run_case, until, woken

PSK = "0123456789abcdef"
ACCEPT = {"ssid": "home", "id": "board", "accept": {"sensor-7": PSK, "sensor-8": PSK}, "raw": []}


def _run(user, **values):
    """run() of a board, until the task is over."""
    config = dict(ACCEPT)
    config.update(values)
    configure(**config)
    Station.joins_after = 1
    main = sys.modules["ikev2_main"]
    main.Udp = PcUdp

    async def task():
        await user(main)
        raise KeyboardInterrupt

    main.run(task())


def _caller(id="sensor-7", psk=PSK, ppk=None):
    return Tunnel("127.0.0.1:45501", id, psk.encode(), "board", ppk=ppk)


async def _is_refused(tunnel):
    try:
        await tunnel.up()
        raise AssertionError
    except OSError as error:
        assert "AUTHENTICATION_FAILED" in str(error), error
    await tunnel.close()


async def _told(main):
    await until(lambda: not main.hub.members._events)


def hub_of_a_board_accepts_and_says_who():
    """Who comes, sends, goes and is refused; run() goes on after Ctrl-C, and who was there comes again (R10)."""
    tunnels = []

    async def user(main):
        assert main.tunnel is None and main.hub.inside == "10.9.1.254"
        sock = main.hub.socket(5683)
        tunnel = _caller()
        tunnels.append(tunnel)
        await tunnel.up()
        inside = tunnel.socket(9)
        await inside.sendto(b"21.5", ("10.9.1.254", 5683))
        data, (host, port) = await sock.recvfrom()
        assert (data, main.hub.peer(host), port) == (b"21.5", "sensor-7", 9)
        await sock.sendto(b"on", ("sensor-7", 9))
        assert (await inside.recvfrom())[0] == b"on"
        await _is_refused(_caller("sensor-8", "another one, as long"))
        await _told(main)
        main.status()
        await tunnel.close()
        await _told(main)

    async def again(main):
        tunnel = _caller()
        await tunnel.up()
        await _told(main)
        tunnel.udp.close()

    _run(user, pool="10.9.1.0/24")
    _run(again)
    _run(again)
    main = sys.modules["ikev2_main"]
    assert len(main.node._followers) == 2, main.node._followers


def hub_of_a_board_shows_who_is_there_and_its_streams():
    """In status(): each peer that is accepted, each connection of theirs."""

    async def user(main):
        tunnel = _caller()
        await tunnel.up()
        server = await main.hub.start_server(lambda *_: None, 80)
        _, stream = await tunnel.open_connection(main.hub.inside, 80)
        shown = dict(sys.modules["ikev2_hub"].lines(main.hub))
        port = stream.connection.local_port
        assert shown["sensor-7"] == "up, inside " + tunnel.address and shown["sensor-8"] == "not there", shown
        assert shown["stream %s:%d" % (tunnel.address, port)] in ("ESTABLISHED", "SYN-RECEIVED"), shown
        stream.abort()
        server.close()
        await tunnel.close()

    _run(user)


def hub_of_a_board_requires_a_ppk():
    """Q4, Q3: of whom `accept` gives one, the right one; others come without."""
    accept = {"sensor-7": {"psk": PSK, "ppk": "p" * 32, "ppk_id": "sensor-7.ppk"}, "sensor-8": PSK}

    async def user(main):
        for ppk in (None, ("sensor-7.ppk", b"q" * 32)):
            await _is_refused(_caller(ppk=ppk))
        for tunnel in (_caller(ppk=("sensor-7.ppk", b"p" * 32)), _caller("sensor-8")):
            await tunnel.up()
            await tunnel.close()

    _run(user, accept=accept)


def hub_of_a_board_knows_nobody_after_deep_sleep():
    """What it had accepted is gone from the table, so that whoever sends is told so (S1.2)."""

    async def asleep(main):
        tunnel = _caller()
        await tunnel.up()
        assert main.node.table.ike_sas()
        tunnel.udp.close()
        main.sleep(600000)

    async def awake(main):
        assert not main.node.table.ike_sas() and not main.hub.addresses()

    _run(asleep)
    assert Rtc.octets
    woken()
    _run(awake)


def hub_of_a_board_stands_beside_its_tunnel():
    """Nobody answers at the gateway's; who is accepted does not mind."""

    async def user(main):
        assert main.tunnel and main.hub
        tunnel = _caller()
        await tunnel.up()
        assert not main.tunnel.is_up and main.hub.addresses()
        await tunnel.close()

    _run(user, gateway="127.0.0.1:9", psk=PSK)


def hub_and_tunnel_that_deploy_left_out():
    """The node answers all the same, and says what is not there (K13)."""
    sys.path[:] = [folder for folder in sys.path if not folder.endswith("firmware")]

    async def user(main):
        assert not main.tunnel and not main.hub
        main.status()

    _run(user, gateway="127.0.0.1:9", psk=PSK)


if __name__ == "__main__":
    run_case(globals())
