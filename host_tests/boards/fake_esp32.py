"""Fakes of `network` and `machine` as an ESP32 has them, for the firmware on a PC; importable by MicroPython."""

import sys


class Station:
    """A station that joins only if it is let to."""

    STA_IF = 0
    PM_NONE = 0
    PM_POWERSAVE = 2
    static = None
    connected = False
    address = "192.0.2.7"
    tries = ()
    cut = 0  # joins in progress that were broken off
    joins_after = None  # how often it is asked until a join succeeds; None: never by itself
    state = 1000
    ssid = ""
    settings = None

    def __init__(self, interface):
        pass

    def active(self, on):
        pass

    def config(self, *names, **settings):
        if names == ("ssid",):
            return Station.ssid
        Station.settings = settings
        return None

    def disconnect(self):
        Station.cut += Station.state == 1001
        Station.connected = False
        Station.state = 1000

    def connect(self, ssid, password):
        if not ssid:
            raise OSError("Wifi Internal Error")
        Station.tries += ((ssid, password),)
        Station.ssid = ssid
        Station.state = 1001
        Station.left = Station.joins_after

    def status(self):
        return Station.state

    def isconnected(self):
        if Station.state == 1001 and Station.joins_after is not None:
            Station.left -= 1
            if Station.left <= 0:
                Station.connected = True
                Station.state = 1010
        return Station.connected

    def ifconfig(self, static=None):
        Station.static = static or Station.static
        return Station.static or (Station.address, "255.255.255.0", "192.0.2.1", "192.0.2.1")


class Rtc:
    """RTC memory: 2,048 octets, `cells`, of which `octets` are said to be in use."""

    octets = b""
    cells = bytearray(2048)

    def memory(self, octets=None):
        if octets is None:
            return Rtc.octets
        if len(octets) > 2048:
            raise ValueError("buffer too long")
        Rtc.octets = bytes(octets)
        Rtc.cells[: len(octets)] = octets
        return None


class Watchdog:
    """Counts how often it is fed."""

    most = 0xFFFFFFFF  # milliseconds; RP2 takes 8,388
    timeouts = ()
    fed = 0

    def __init__(self, timeout):
        if timeout > Watchdog.most:
            raise ValueError("timeout exceeds %d" % Watchdog.most)
        Watchdog.timeouts += (timeout,)

    def feed(self):
        Watchdog.fed += 1


class Timer:
    """Rings when a test says so."""

    running = ()

    def __init__(self, number):
        pass

    def init(self, period, callback):
        Timer.running += ((period, callback),)

    def deinit(self):
        Timer.running = ()


class Lan:
    """Ethernet: with pins of its own, or like an ESP32's, which have to be named."""

    pins = True
    active_ = False

    def __init__(self, **pins):
        if not Lan.pins and not pins:
            raise TypeError("'phy_addr' argument required")

    def active(self, on):
        Lan.active_ = on

    def isconnected(self):
        return Lan.active_

    def ifconfig(self):
        return Station.address, "255.255.255.0", "192.0.2.1", "192.0.2.1"


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


class Slept(KeyboardInterrupt):
    """deepsleep does not return."""


class Reset(KeyboardInterrupt):
    """Neither does reset."""


def _reset():
    machine.cause = 5
    raise Reset


def _deepsleep(ms=0):
    machine.cause = 4
    raise Slept(ms)


class _Module:
    pass


network, machine = _Module(), _Module()


def install():
    """Make `network` and `machine` importable: a board after power-on."""
    network.STA_IF = 0
    network.STAT_NO_AP_FOUND = 201
    network.STAT_WRONG_PASSWORD = 202
    network.WLAN = Station
    machine.WDT = Watchdog
    machine.RTC = Rtc
    machine.Pin = Pin
    machine.Timer = Timer
    machine.deepsleep = _deepsleep
    machine.reset = _reset
    machine.cause = machine.PWRON_RESET = 1
    machine.WDT_RESET = 3
    machine.DEEPSLEEP_RESET = 4
    machine.reset_cause = lambda: machine.cause
    sys.modules["network"] = network
    sys.modules["machine"] = machine
