"""Whether the gateway is there: what it has not answered, when it is asked, and why there should be another IKE SA.

Something verified should come within `liveness_ms` of what was sent inside, and without that within six times as long,
a minute at least. If nothing does, a liveness check asks (K6); a request that waits already is such a check. SILENT:
that was not answered, either. DENIED: the gateway says that it has no such IKE SA (R10). Neither ends an SA that works.
"""

from portable import const, elapsed

SILENT = const(4)  # causes of an attempt, beside those of life.py
DENIED = const(8)

_UNANSWERED_MS = const(7000)  # K6
_AFTER_SLEEP_MS = const(1000)  # Z4: until the gateway is asked, and twice as long until that is unanswered
_WOKEN_MS = const(2000)
_LISTENED = const(6)  # K6: so many times liveness_ms, a minute at least, without a word
_LISTENED_MS = const(60000)
_DENIED_MS = const(10000)  # R10
_DENIED_MAX_MS = const(600000)


class Liveness:
    """Of the gateway of the tunnel `life`; a new one with each IKE SA that an attempt has made."""

    after_sleep = False  # the board has woken, and nothing has come since
    _asked_at = -1  # when something was sent inside to which nothing has come yet
    _waits_at = -1  # since when a request of ours waits and nothing has come
    denied_at = -1  # R10: when an attempt has begun for it, and how long there is no other
    _denied_ms = _DENIED_MS

    def __init__(self, life):
        self._life = life

    def expect(self, now):
        """Something has been sent inside that should be answered (K6)."""
        if self._asked_at < 0:
            self._asked_at = now
            self._life.look_within(self._patience(), now)

    def proved(self):
        """Something verified has come."""
        self._asked_at = -1
        self.after_sleep = False

    def doubted(self):
        """True while the gateway has not answered."""
        return self._asked_at >= 0 or self._waits_at >= 0

    def settle(self, now):
        """Before sleep (Z6): ask at once, if what was sent has not been answered."""
        asked = self._life.has.asked
        if self._asked_at >= 0 and asked and not asked.waiting:
            self.after_sleep = True
            asked.check(now)
            self._waits_at = now
            self._life.look_within(_WOKEN_MS, now)

    def answered(self, begun_at):
        """R10: the attempt that began then has ended, for the gateway has answered after all."""
        if self.denied_at == begun_at:
            self._denied_ms = min(2 * self._denied_ms, _DENIED_MAX_MS)

    def look(self, now):
        """Ask the gateway, if it is time to (K6, Z4). Why there should be an attempt: SILENT, DENIED, both; 0."""
        life = self._life
        asked = life.has.asked
        if not asked:
            return 0
        silent = elapsed(now, asked.verified_at)
        for owner in life.has.sas:
            if owner is not asked and not owner.deleting:
                silent = min(silent, elapsed(now, owner.verified_at))
        if self._asked_at >= 0 and silent < elapsed(now, self._asked_at):
            self.proved()
        waited = elapsed(now, self._waits_at)
        if self._waits_at >= 0 and (silent < waited or (waited and not asked.waiting)):
            self._waits_at = -1
        if self._waits_at < 0:
            if asked.waiting:
                self._waits_at = now
            else:
                left = max(life.settings[1] * _LISTENED, _LISTENED_MS) - silent
                if self._asked_at >= 0:
                    left = min(left, self._patience() - elapsed(now, self._asked_at))
                if left <= 0:
                    asked.check(now)
                    self._waits_at = now
                else:
                    life.look_within(left, now)
        causes = 0
        if self._waits_at >= 0:
            left = (_WOKEN_MS if self.after_sleep else _UNANSWERED_MS) - elapsed(now, self._waits_at)
            if left <= 0:
                causes = SILENT
            else:
                life.look_within(left, now)
        left = self._denied_ms - elapsed(now, self.denied_at) if self.denied_at >= 0 else 0
        if left <= 0 and not life.has.attempt:
            self.denied_at = -1
        if asked.denied:
            if left <= 0 or life.has.attempt:
                causes |= DENIED
            else:
                life.look_within(left, now)
        return causes

    def _patience(self):
        """Milliseconds without an answer until the gateway is asked whether it is there: few after sleep (Z4)."""
        return _AFTER_SLEEP_MS if self.after_sleep else self._life.settings[1]
