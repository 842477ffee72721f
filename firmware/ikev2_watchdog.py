"""The watchdog of a board that has one. Nothing can stop it: at the REPL it is set to a day, or a timer feeds it."""

import machine
from machine import WDT

_DAY_MS = 86400000
_LONG_MS = 600000  # as long as this leaves the REPL in peace
_FEEDS = 4  # in the time that it waits


class Watchdog:
    """Bites after `seconds` without feed(), or what the board takes: `ms` says it, 0 if it takes nothing."""

    def __init__(self, seconds):
        self._timer = None
        self.start(seconds)

    def start(self, seconds):
        """Begin, also after leave_alone()."""
        if self._timer:
            self._timer.deinit()
            self._timer = None
        self._set(seconds * 1000)
        self.pause_s = self.ms / 1000 / _FEEDS

    def _set(self, ms):
        # RP2 takes 8,388 ms at most, RP2350 16,777, others other figures: half of it, until it fits.
        self._wdt = None
        while ms and not self._wdt:
            try:
                self._wdt = WDT(timeout=ms)
            except ValueError:
                ms >>= 1
        self.ms = ms

    def feed(self):
        """It waits anew."""
        if self._wdt:
            self._wdt.feed()

    def leave_alone(self):
        """Do not bite while somebody is at the REPL."""
        if self._wdt:
            self._set(_DAY_MS)
            if self.ms < _LONG_MS and hasattr(machine, "Timer"):
                self._timer = machine.Timer(-1)
                self._timer.init(period=self.ms // _FEEDS, callback=lambda timer: self.feed())
