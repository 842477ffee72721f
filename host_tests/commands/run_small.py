"""A try on the board that has a stock ESP32's memory, as `make deploy` leaves it there: /ikev2.json, /try.json."""

import gc
import json

import esp32
import ikev2_main
from ikev2.net.sockets import sleep_ms, ticks_ms
from portable import elapsed

_ANSWER_MS = 5000
_LOOK_MS = 50


async def _echo(tunnel, host, number):
    """True if that echo is answered."""
    began = ticks_ms()
    tunnel.ping(host, number)
    while elapsed(ticks_ms(), began) < _ANSWER_MS:
        if number in tunnel.pongs():
            return True
        await sleep_ms(_LOOK_MS)
    return False


async def _try(ping, count, every):
    began = ticks_ms()
    try:
        tunnel = await ikev2_main.up()
    except OSError:
        print("exit 1")  # the reason has been said
        return
    print("up after %d ms" % elapsed(ticks_ms(), began))
    answered = 0
    for number in range(count if ping else 0):
        answered += await _echo(tunnel, ping, number)
        await sleep_ms(int(every * 1000))
    gc.collect()
    _, free, _, lowest = esp32.idf_heap_info(esp32.HEAP_DATA)[0]
    print(
        "memory: %d octets of heap live, %d for all else are free, %d were at the least"
        % (gc.mem_alloc(), free, lowest)
    )
    if ping:
        print("%d of %d echoes answered" % (answered, count))
    await tunnel.close()
    print("exit %d" % (ping and answered < count))


def main():
    """Run until the board is switched off."""
    with open("/try.json") as file:
        options = json.load(file)
    ikev2_main.run(_try(options["ping"], options["count"], options["every"]))


main()
