"""The board's network: Wi-Fi where there is a radio, else Ethernet, else the SLIP link of the emulated board.

What is none of these, a PHY whose pins only its owner knows for instance, boot.py brings up; the node serves it too.
"""

import asyncio
import sys

import ikev2_memory  # noqa: F401, it has looked for what is built in

network = sys.modules.get("network")  # None: the emulated board

_JOIN_S = 15  # for a join in progress: association, keys and DHCP take 2 to 5 s, more with a bad signal
_POLL_S = 0.02
_RETRY_S = 2
_RETRY_MAX_S = 120
_LOOK_S = 5
_REASONS = (
    ("STAT_WRONG_PASSWORD", "wrong password"),
    ("STAT_NO_AP_FOUND", "no access point with this ssid"),
    ("STAT_NO_AP_FOUND_IN_AUTHMODE_THRESHOLD", "the access point wants another kind of security"),
    ("STAT_NO_AP_FOUND_W_COMPATIBLE_SECURITY", "the access point wants another kind of security"),
    ("STAT_HANDSHAKE_TIMEOUT", "wrong password, or a bad signal"),
    ("STAT_CONNECT_FAIL", "the access point refused"),
)


class _Link:
    """The SLIP link of the emulated board: up once and for all."""

    def __init__(self, config):
        import link

        self._address = config["address"]
        link.up(config["address"], config["peer"])

    def retry(self):
        """Nothing to retry."""

    def reason(self):
        """Nothing to say."""
        return ""

    def address(self):
        """Our address; None while there is none."""
        return self._address


class _Lan(_Link):
    """Ethernet that needs no pins to be named."""

    def __init__(self, config):
        self._lan = network.LAN()
        self._lan.active(True)
        if config["static"]:
            self._lan.ifconfig(tuple(config["static"]))

    def reason(self):
        return "is the cable plugged in?"

    def address(self):
        address = self._lan.ifconfig()[0] if self._lan.isconnected() else "0.0.0.0"
        return None if address == "0.0.0.0" else address


class _Wifi:
    """A station that joins the configured network."""

    def __init__(self, config):
        self._config = config
        self._station = network.WLAN(network.STA_IF)
        self._station.active(True)
        try:
            wlan = network.WLAN
            self._station.config(pm=wlan.PM_POWERSAVE if config["power_save"] else wlan.PM_NONE)
        except (AttributeError, ValueError, OSError):
            pass  # the port has no such setting
        if config["static"]:
            self._station.ifconfig(tuple(config["static"]))
        if self.address() is None or self._elsewhere():
            self.retry()

    def _elsewhere(self):
        """True if the station stayed joined, through a soft reboot, to another network."""
        try:
            return self._station.config("ssid") != self._config["ssid"]
        except (ValueError, OSError):
            return True

    def retry(self):
        """Join anew; a board that is in a hurry already refuses, and the next try will do."""
        try:
            self._station.disconnect()
            self._station.connect(self._config["ssid"], self._config["password"])
        except OSError:
            pass

    def reason(self):
        """Why there is no network, as the driver sees it."""
        status = self._station.status()
        for name, words in _REASONS:
            if getattr(network, name, None) == status:
                return words
        return "are ssid and password right, is the access point on?"

    def address(self):
        """Our address; None while there is none."""
        if not self._station.isconnected():
            return None
        return self._station.ifconfig()[0]


def _made(config, say):
    """The network of this board; None if there is none to bring up."""
    if hasattr(network, "WLAN"):
        if config["ssid"]:
            return _Wifi(config)
        say("no network: put ssid and password into ikev2.json")
        return None
    for kind in (_Lan, _Link):
        try:
            return kind(config)
        except (AttributeError, ImportError, TypeError, ValueError, OSError):
            pass  # not on this board
    say("no network that this firmware knows: boot.py must bring it up, network.LAN(…) for instance")
    return None


async def _joined(interface):
    """Wait for an address, for as long as a join may take."""
    for _ in range(int(_JOIN_S / _POLL_S)):
        if interface.address():
            return
        await asyncio.sleep(_POLL_S)


async def keep_up(config, say, online):
    """Keep the network up: join again when it is lost, less and less often while that fails.

    online(address) is called whenever there is one, a new one perhaps, and with None when it is lost; with "" where
    somebody else keeps it up.
    """
    interface = _made(config, say)
    if not interface:
        online("")
    wait = _RETRY_S
    before = None
    while interface:
        address = interface.address()
        if address:
            if before is None:
                say("network up, address %s" % address)
            elif address != before:
                say("address changed from %s to %s: peers know the old one until they hear from us" % (before, address))
            if address != before:
                before = address
                online(address)
            wait = _RETRY_S
            await asyncio.sleep(_LOOK_S)
            continue
        if before:
            say("network lost")
            online(None)
            before = None
            interface.retry()
        await _joined(interface)
        if interface.address() is None:
            say("no network: %s; trying again in %d s" % (interface.reason(), wait))
            await asyncio.sleep(wait)
            wait = min(2 * wait, _RETRY_MAX_S)
            if interface.address() is None:
                interface.retry()
