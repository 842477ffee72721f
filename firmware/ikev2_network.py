"""The board's network: Wi-Fi where there is a radio, the SLIP link of the emulated board where there is not."""

import asyncio

_RETRY_S = 2
_RETRY_MAX_S = 120
_LOOK_S = 5

try:
    from network import STA_IF, WLAN
except ImportError:
    WLAN = None


def _bring_up(config):
    """Begin to bring the network up; a function that tells whether it is up."""
    if WLAN is None:
        import link

        link.up(config["address"], config["peer"])
        return lambda: True
    station = WLAN(STA_IF)
    station.active(True)
    station.disconnect()
    station.connect(config["ssid"], config["password"])
    return station.isconnected


async def keep_up(config, say):
    """Keep the network up: reconnect when it is lost, less and less often while that fails."""
    wait = _RETRY_S
    up = _bring_up(config)
    was_up = False
    while True:
        if up():
            if not was_up:
                say("network up")
            was_up = True
            wait = _RETRY_S
            await asyncio.sleep(_LOOK_S)
            continue
        if was_up:
            say("network lost")
        was_up = False
        await asyncio.sleep(wait)
        if not up():
            say("no network: trying again in %d s; are ssid and password right?" % wait)
            wait = min(2 * wait, _RETRY_MAX_S)
            up = _bring_up(config)
