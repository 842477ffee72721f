"""Fakes of `network` and `machine` as an ESP32 has them, for the firmware on a PC; importable by MicroPython."""

import sys


class Station:
    """A station that joins only if it is let to."""

    STA_IF = 0
    PM_POWERSAVE = 1
    connected = False
    address = "192.0.2.7"
    tries = ()
    settings = None

    def __init__(self, interface):
        pass

    def active(self, on):
        pass

    def config(self, **settings):
        Station.settings = settings

    def disconnect(self):
        pass

    def connect(self, ssid, password):
        if not ssid:
            raise OSError("Wifi Internal Error")
        Station.tries += ((ssid, password),)

    def isconnected(self):
        return Station.connected

    def ifconfig(self):
        return Station.address, "255.255.255.0", "192.0.2.1", "192.0.2.1"


class Rtc:
    """RTC memory: 2,048 octets."""

    octets = b""

    def memory(self, octets=None):
        if octets is None:
            return Rtc.octets
        if len(octets) > 2048:
            raise ValueError("buffer too long")
        Rtc.octets = bytes(octets)
        return None


class Watchdog:
    """Counts how often it is fed."""

    timeouts = ()
    fed = 0

    def __init__(self, timeout):
        Watchdog.timeouts += (timeout,)

    def feed(self):
        Watchdog.fed += 1


class Pin:
    OUT = 1
    changes = 0

    def __init__(self, number, mode):
        self._value = 0

    def value(self, value=None):
        if value is None:
            return self._value
        self._value = value
        Pin.changes += 1
        return None


class Slept(Exception):
    """deepsleep does not return."""


def _deepsleep(ms):
    raise Slept(ms)


class _Module:
    pass


def install():
    """Make `network` and `machine` importable."""
    network, machine = _Module(), _Module()
    network.STA_IF = 0
    network.WLAN = Station
    machine.WDT = Watchdog
    machine.RTC = Rtc
    machine.Pin = Pin
    machine.deepsleep = _deepsleep
    sys.modules["network"] = network
    sys.modules["machine"] = machine
