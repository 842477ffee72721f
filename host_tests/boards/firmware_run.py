"""Cases of ikev2_main.run: it answers, blinks, feeds the watchdog, and starves it where the node has failed."""

import asyncio
import socket
import sys

from ikev2.net.sockets import readable
from ikev2.notifier import VERDICTS

from boards.fake_esp32 import Pin, Station, Timer, Watchdog
from boards.pc_firmware import REQUEST, PcUdp, configure, ikev2_main, ikev2_watchdog, run_case, until


def answers_blinks_and_feeds():
    configure(ssid="home", password="secret", led=2, watchdog_s=1, raw=[50, 51])
    Station.connected = True
    Station.ssid = "home"
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.setblocking(False)
    to = socket.getaddrinfo("127.0.0.1", 45500)[0][-1]
    got = []

    async def ask():
        client.sendto(REQUEST, to)
        await readable(client)
        got.append(client.recv(100))
        await until(lambda: Watchdog.fed >= 3)
        raise KeyboardInterrupt

    ikev2_main.run(ask())
    assert len(got) == 1 and len(got[0]) == 36 and got[0][17:20] == bytes((0x20, 37, 0x20)), got
    assert ikev2_main.node.counters[VERDICTS.index("invalid-ike-spi")] == 1
    ikev2_main.status()
    assert Pin.changes >= 1
    assert Watchdog.timeouts[0] == 1000 and Watchdog.timeouts[-1] > 3600000
    assert Station.settings == {"pm": Station.PM_POWERSAVE}


def watchdogs_of_other_boards():
    """RP2 takes 8,388 ms, RP2350 16,777; after Ctrl-C a timer feeds what cannot wait for a day."""
    for most, taken in ((8388, 7500), (16777, 15000), (0xFFFFFFFF, 30000)):
        Watchdog.most = most
        Watchdog.timeouts = Timer.running = ()
        watchdog = ikev2_watchdog.Watchdog(30)
        assert watchdog.ms == taken and Watchdog.timeouts == (taken,) and watchdog.pause_s * 4000 == taken
        watchdog.leave_alone()
        assert watchdog.ms <= most
        if most == 0xFFFFFFFF:
            assert watchdog.ms == 86400000 and Timer.running == ()
            continue
        ((period, callback),) = Timer.running
        assert period < watchdog.ms
        fed = Watchdog.fed
        callback(None)
        assert Watchdog.fed == fed + 1
        watchdog.start(30)
        assert Timer.running == () and watchdog.ms == taken
    Watchdog.most = -1
    nothing = ikev2_watchdog.Watchdog(30)
    assert nothing.ms == 0
    nothing.feed()
    nothing.leave_alone()
    # The node starts with it, and Ctrl-C comes through.
    Watchdog.most = 8388
    configure(ssid="home", raw=[])

    async def stop():
        raise KeyboardInterrupt

    ikev2_main.run(stop())
    assert Watchdog.timeouts[-2] == 7500 and len(Timer.running) == 1


def nothing_of_a_tunnel_without_a_gateway():
    """What a tunnel takes, RAM above all, is taken only by who has one."""
    configure(ssid="home", raw=[])
    found = []

    async def stop():
        found.append(await ikev2_main.up())
        raise KeyboardInterrupt

    Station.joins_after = 1
    ikev2_main.run(stop())
    assert found == [None] and ikev2_main.tunnel is None
    assert not [name for name in sys.modules if name.startswith(("ipsec", "ikev2_tunnel", "ikev2.initial.initiator"))]


def without_sockets_the_watchdog_stays():
    """Nobody may be there to call run() again."""
    configure(ssid="home", watchdog_s=1)

    class NoUdp:
        def __init__(self, node, **options):
            raise OSError(112)

    class FullUdp(PcUdp):
        async def run(self):
            raise MemoryError

    ikev2_main.Udp = NoUdp
    ikev2_main.run()
    assert Watchdog.timeouts == (1000,), Watchdog.timeouts
    ikev2_main.Udp = FullUdp
    try:
        ikev2_main.run()
        raise AssertionError
    except MemoryError:
        pass
    assert Watchdog.timeouts == (1000, 1000), Watchdog.timeouts


class Progress:
    """Udp as the watchdog's feeder sees it: a pass whenever it is asked, until it is stuck."""

    stuck = False
    done = 0

    @property
    def passes(self):
        if not self.stuck:
            self.done += 1
        return self.done


def a_node_without_progress_starves_the_watchdog():
    """K13: it serves, and no task has failed, but nothing gets done."""
    configure(ssid="home", watchdog_s=1)

    async def forever():
        await asyncio.sleep(60)

    async def story():
        serving = asyncio.create_task(forever())
        watchdog = ikev2_watchdog.Watchdog(1)
        watchdog.pause_s = 0.001
        udp = Progress()
        feeding = asyncio.create_task(ikev2_main._feed(watchdog, udp, serving))
        await until(lambda: Watchdog.fed >= 3)
        udp.stuck = True
        asked = udp.done
        for _ in range(100):
            await asyncio.sleep(0.001)
        fed = Watchdog.fed
        for _ in range(100):
            await asyncio.sleep(0.001)
        assert Watchdog.fed == fed and udp.done == asked and not feeding.done()
        udp.stuck = False
        await until(lambda: Watchdog.fed > fed)
        feeding.cancel()
        serving.cancel()

    asyncio.run(story())


def failed_task_starves_the_watchdog():
    configure(ssid="home", watchdog_s=1)

    async def user():
        await asyncio.sleep(0)
        raise RuntimeError("user's own")

    async def forever():
        await asyncio.sleep(60)

    async def story():
        asyncio.get_event_loop().set_exception_handler(ikev2_main._note)
        ikev2_main._users[:] = [asyncio.create_task(user())]
        serving = asyncio.create_task(forever())
        watchdog = ikev2_watchdog.Watchdog(1)
        watchdog.pause_s = 0.01
        udp = Progress()
        feeding = asyncio.create_task(ikev2_main._feed(watchdog, udp, serving))
        await until(lambda: Watchdog.fed >= 3)
        assert not ikev2_main._failed
        ikev2_main._failed.append(MemoryError())
        await until(feeding.done)
        serving.cancel()

    asyncio.run(story())


if __name__ == "__main__":
    run_case(globals())
