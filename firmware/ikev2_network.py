"""The board's network: Wi-Fi where there is a radio, the SLIP link of the emulated board where there is not."""

import asyncio

_RETRY_S = 2
_RETRY_MAX_S = 120
_LOOK_S = 5

try:
    from network import STA_IF, WLAN
except ImportError:
    WLAN = None


class _Link:
    """The SLIP link of the emulated board: up once and for all."""

    def __init__(self, config):
        import link

        self._address = config["address"]
        link.up(config["address"], config["peer"])

    def retry(self):
        """Nothing to retry."""

    def address(self):
        """Our address; None while there is none."""
        return self._address


class _Wifi:
    """A station that joins the configured network."""

    def __init__(self, config):
        self._config = config
        self._station = WLAN(STA_IF)
        self._station.active(True)
        if config["power_save"]:
            try:
                self._station.config(pm=WLAN.PM_POWERSAVE)
            except (AttributeError, ValueError, OSError):
                pass  # the port has no such setting
        if self.address() is None:
            self.retry()

    def retry(self):
        """Join anew; a board that is in a hurry already refuses, and the next try will do."""
        try:
            self._station.disconnect()
            self._station.connect(self._config["ssid"], self._config["password"])
        except OSError:
            pass

    def address(self):
        """Our address; None while there is none."""
        if not self._station.isconnected():
            return None
        return self._station.ifconfig()[0]


async def keep_up(config, say):
    """Keep the network up: join again when it is lost, less and less often while that fails."""
    if WLAN and not config["ssid"]:
        say("no network: put ssid and password into ikev2.json")
        return
    network = _Link(config) if WLAN is None else _Wifi(config)
    wait = _RETRY_S
    before = None
    while True:
        address = network.address()
        if address:
            if before is None:
                say("network up, address %s" % address)
            elif address != before:
                say("address changed from %s to %s: peers know the old one until they hear from us" % (before, address))
            before = address
            wait = _RETRY_S
            await asyncio.sleep(_LOOK_S)
            continue
        if before:
            say("network lost")
            before = None
            network.retry()
        await asyncio.sleep(wait)
        if network.address() is None:
            say("no network: trying again in %d s; are ssid and password right, is the access point on?" % wait)
            wait = min(2 * wait, _RETRY_MAX_S)
            network.retry()
