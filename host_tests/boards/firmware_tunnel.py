"""Cases of ikev2_tunnel, with a gateway at 127.0.0.1 that test_firmware.py runs."""

import asyncio
import socket
import sys
from errno import EHOSTUNREACH, ENOMEM

from ikev2.net.sockets import readable
from ikev2.node import Node
from ikev2.spi_table import SpiTable

from boards.fake_esp32 import Reset, Rtc, Station, Watchdog
from boards.pc_firmware import REQUEST, PcUdp, configure, run_case, until, woken

GATEWAY = {"ssid": "home", "gateway": "127.0.0.1", "id": "sensor-7", "psk": "0123456789abcdef", "raw": []}


def _run(user, **values):
    """run() of a board that has just begun, with a gateway at 127.0.0.1; Ctrl-C once the task is over."""
    config = dict(GATEWAY)
    config.update(values)
    configure(**config)
    Station.joins_after = 1

    async def task():
        await user(sys.modules["ikev2_main"])
        raise KeyboardInterrupt

    main = sys.modules["ikev2_main"]
    main.Udp = PcUdp
    main.run(task())


async def _told(tunnel):
    """Its events have been printed."""
    await until(lambda: not tunnel.life._events)


async def _is_answered():
    """Everybody else is, as before."""
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.setblocking(False)
    client.sendto(REQUEST, socket.getaddrinfo("127.0.0.1", 45500)[0][-1])
    await readable(client)
    assert client.recv(100)[18:20] == bytes((37, 0x20))


def tunnel_comes_up():
    async def user(main):
        tunnel = await main.up()
        assert tunnel is main.tunnel and tunnel.address == "10.77.0.2"
        await _is_answered()

    async def again(main):
        tunnel = await main.up()
        tunnel.ping("10.77.0.1", 1)
        await _told(tunnel)
        tunnel.streams.connect(bytes((10, 77, 0, 9)), 1883)
        main.status()

    _run(user)
    _run(again)  # run() goes on after Ctrl-C with a tunnel of its own
    sys.modules["ikev2_main"].status()


class _Carrying:
    """As much of a Tunnel, its Life and its Holdings as `tell` looks at."""

    attempt = None
    sas = ()
    moved = False

    def __init__(self):
        self.life = self.has = self
        self.udp = PcUdp(Node(SpiTable(1, 1), bytes), raw=())

    def event(self):
        moved, self.moved = self.moved, False
        return ("moved", "10.77.0.2") if moved else None


def sockets_without_memory_are_said_once_between_two_events():
    import ikev2_tunnel

    said = []

    async def errors():
        tunnel = _Carrying()
        telling = asyncio.create_task(ikev2_tunnel.tell(tunnel, said.append))
        for error in (OSError(EHOSTUNREACH, "no route"), OSError(ENOMEM, "none"), MemoryError()):
            await asyncio.sleep(2 * ikev2_tunnel._LOOK_S)
            assert not said or isinstance(error, MemoryError)
            tunnel.udp.count(error)
        tunnel.moved = True
        await until(lambda: telling.done() or len(said) == 2)
        tunnel.udp.count(MemoryError())
        await until(lambda: telling.done() or len(said) == 3)
        telling.cancel()
        tunnel.udp.close()

    asyncio.run(errors())
    assert [line.split(",")[0] for line in said] == [
        "datagrams are lost: no room", "tunnel moved", "datagrams are lost: no room",
    ], said  # fmt: skip


def tunnel_has_no_room_at_first():
    """K13: said, and tried again; meanwhile everybody is answered, the watchdog is fed, and nothing is left of it."""
    import os

    os.mkdir("full")
    with open("full/ikev2_tunnel.py", "w") as file:
        file.write("import ikev2.sa.policy, ikev2.crypto.hmac, ipsec.spd, ikev2_tunnel_tried\nraise MemoryError\n")
    with open("full/ikev2_tunnel_tried.py", "w") as file:
        file.write("import sys\nsys.modules['ikev2_main'].last.append(0)\n")
    sys.path.insert(0, "full")
    before = set(sys.modules)

    async def user(main):
        fed = Watchdog.fed
        await until(lambda: len(main.last) >= 3)  # tried so often
        try:
            await main.up()
            raise AssertionError
        except OSError as error:
            assert error.args[0] == ENOMEM and "no tunnel: no room" in error.args[1], error
        assert main.tunnel is None
        more = set(sys.modules) - before
        assert "ikev2.crypto.hmac" in more, more  # machine code
        for name in more:
            assert not name.startswith("ikev2_tunnel") and name not in ("ipsec", "ikev2.sa.policy", "ikev2.sa"), name
        import ikev2

        assert not hasattr(ikev2, "sa")
        main.status()
        await _is_answered()
        await until(lambda: Watchdog.fed > fed)
        sys.path.remove("full")
        await until(lambda: main.tunnel)
        await main.up()

    main = sys.modules["ikev2_main"]
    main._ROOM_S, main._MORE = 0.01, -(1 << 29)
    _run(user, watchdog_s=1)


def board_is_reset_after_reset_s_without_a_tunnel():
    """K13: a network is there, the gateway is not; what RTC memory has is gone, too."""
    _is_reset()


def board_without_room_for_a_tunnel_is_reset_too():
    """K13: what an import that failed has taken may not come back before."""
    import os

    os.mkdir("full")
    with open("full/ikev2_tunnel.py", "w") as file:
        file.write("raise MemoryError\n")
    sys.path.insert(0, "full")
    _is_reset()


def _is_reset():
    main = sys.modules["ikev2_main"]
    main._GUARD_S = 0.01
    configure(**dict(GATEWAY, reset_s=1))
    Station.joins_after = 1
    main.Udp = PcUdp

    async def task():
        Rtc.octets = b"something"
        await until(lambda: False)

    resets = []

    def reset():
        resets.append(Rtc.octets)
        raise Reset

    sys.modules["machine"].reset = reset
    try:
        main.run(task())
    except Reset:
        pass
    assert resets == [b""], resets


def board_that_sleeps_in_the_middle_of_an_attempt_keeps_nothing_of_it():
    """Z7: at each waking an attempt is under way, and nothing of it is in the table afterwards."""
    import ikev2_sleep

    async def asleep(main):
        await until(lambda: main.tunnel and main.tunnel.life.has.attempt)
        main.sleep(600000)

    for _ in range(5):
        Rtc.octets = b""
        _run(asleep, keep_keys=True, ike_sas=4)
        table = SpiTable(4, 32)
        assert table.restore(ikev2_sleep.opened(Rtc.octets)[0]) and table.ike_sas() == []
        woken()


def guard_waits_for_the_network_and_begins_anew_with_each_tunnel():
    """K13: neither a board without a network is reset, nor one that has had a tunnel since."""
    import asyncio

    class Tunnel:
        is_up = False

    main = sys.modules["ikev2_main"]
    main._GUARD_S = 0.001
    main.tunnel = tunnel = Tunnel()
    resets = []

    async def story():
        guarding = asyncio.create_task(main.guard(0.02, lambda: resets.append(1)))
        for _ in range(100):
            await asyncio.sleep(0.001)
        main._is_online = True
        for _ in range(20):
            tunnel.is_up = not tunnel.is_up
            await asyncio.sleep(0.002)
        assert not resets and not guarding.done()
        tunnel.is_up = False
        await until(guarding.done)

    asyncio.run(story())
    assert resets == [1]


def guard_resets_where_the_network_has_no_memory_and_the_gateway_does_not_answer():
    """K13: for half a minute both, whatever the tunnel says of itself."""
    import asyncio

    main = sys.modules["ikev2_main"]
    main._GUARD_S, main._DEAF_S = 0.001, 0.02
    main._is_online = True
    now = [False, False]
    main.ikev2_memory.is_full = lambda: now[0]
    resets = []

    class Tunnel:
        is_up = True

        def is_unanswered(self):
            return now[1]

    main.tunnel = Tunnel()
    main.ikev2_tunnel = Tunnel

    async def story():
        guarding = asyncio.create_task(main.guard(1000, lambda: resets.append(1)))
        for now[:] in ((True, False), (False, True)) * 20:
            await asyncio.sleep(0.005)
        assert not resets and not guarding.done()
        now[:] = True, True
        await until(guarding.done)

    asyncio.run(story())
    assert resets == [1]


def tunnel_is_refused_in_words():
    async def user(main):
        try:
            await main.up()
            raise AssertionError
        except OSError as error:
            assert "AUTHENTICATION_FAILED" in str(error), error
        await _told(main.tunnel)

    _run(user, psk="another one, as long")


def tunnel_outlives_deep_sleep():
    """Z1 to Z3: the first thing that leaves after waking is ESP."""

    async def asleep(main):
        tunnel = await main.up()
        tunnel.ping("10.77.0.1", 1)
        main.sleep(600000)

    async def awake(main):
        tunnel = await main.up()
        tunnel.ping("10.77.0.1", 2)
        await tunnel.sleep(1000)

    _run(asleep, keep_keys=True)
    assert 807 < len(Rtc.octets) <= 1507, len(Rtc.octets)
    for address in ("192.0.2.7", "192.0.2.7", "192.0.2.8"):
        Station.address = address
        woken()
        _run(awake, keep_keys=True)


def tunnel_is_not_kept():
    """Z2, Z5: without keep_keys, by another configuration, or twice by one snapshot: begun anew."""

    async def asleep(main):
        tunnel = await main.up()
        tunnel.ping("10.77.0.1", 1)
        main.sleep(600000)

    async def awake(main):
        await main.up()

    _run(asleep)
    woken()
    _run(asleep, keep_keys=True)
    kept = Rtc.octets
    woken()
    _run(awake, keep_keys=True, gateway_id="gateway.example")
    Rtc.octets = kept
    main = woken()
    configure(ssid="home")
    main._prepare()
    assert main.node.table.ike_sas() == []


if __name__ == "__main__":
    run_case(globals())
