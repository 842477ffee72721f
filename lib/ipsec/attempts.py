"""When the next attempt to make a tunnel may begin, and what one that failed means (RULES.md N2, N14, N15, K5, K6).

A first attempt after an SA that was worth having is at once; then pauses grow to a minute, each longer by a random
part, so that a thousand devices do not come back in step. Only what was said under a key makes a long pause.
"""

from portable import const, elapsed

# As ikev2.sa.reasons has them; what makes attempts is imported when there is one: a wake from sleep needs none (Z3).
_AUTHENTICATION_FAILED = const(24)
_INTERNAL_ADDRESS_FAILURE = const(36)
_FAILED_CP_REQUIRED = const(37)
_SILENCE_AUTH = const(-2)
NO_ROOM = const(-9)

_PAUSE_MS = const(1000)  # between two attempts, from beginning to beginning, at least
_ALONE_MS = const(15001)  # the same until the gateway has answered: N2, no third one in 30 s
_GROWN_MAX_MS = const(40000)  # half as long again at most
_REFUSED_MS = const(60000)  # N14, N15
_DOUBLED_MAX = const(4)


def taken(refused):
    """True if that may be why: the gateway takes nothing new beside what there is (`unique = keep`, a pool of one)."""
    return refused in (_AUTHENTICATION_FAILED, _INTERNAL_ADDRESS_FAILURE, _FAILED_CP_REQUIRED)


def no_address(refused):
    """True for a pool of one alone, which the gateway says only once it has proved who it is."""
    return refused in (_INTERNAL_ADDRESS_FAILURE, _FAILED_CP_REQUIRED)


class Clock:
    """The clock of attempts: no attempt begins before `left(now)` is 0."""

    def __init__(self, random):
        self._random = random
        self._pause = 0  # no attempt begins so long from _paused_at on
        self._paused_at = 0
        self._grown = _PAUSE_MS
        self._rejected = False  # N14: the attempt before ended in AUTHENTICATION_FAILED
        self._refusals = 0  # signed ones in a row

    def left(self, now):
        """Milliseconds until an attempt may begin."""
        if self._pause:
            left = self._pause - elapsed(now, self._paused_at)
            if left > 0:
                return left
            self._pause = 0
        return 0

    def begun(self, now):
        """An attempt has begun."""
        self._rest(_ALONE_MS, now)

    def succeeded(self):
        """One has come to its end, and there is a tunnel."""
        self.hasten()
        self._rejected = False
        self._refusals = 0

    def lived(self):
        """What came of it was worth having."""
        self._grown = _PAUSE_MS

    def hasten(self):
        """There is a new ground for hope."""
        self._pause = min(self._pause, _PAUSE_MS)

    @property
    def refused(self):
        """True while the gateway's word makes a long pause."""
        return self._pause >= _REFUSED_MS

    def longer(self, now):
        """The next of the pauses that grow."""
        self._wait(self._grown, now)
        self._grown = min(2 * self._grown, _GROWN_MAX_MS)

    def failed(self, attempt, refused, beside, now):
        """An attempt has come to nothing, None: it could not even begin. `beside`: there is a tunnel all the same."""
        answered = attempt is not None and attempt.authenticating and refused != _SILENCE_AUTH
        rejected = answered and refused == _AUTHENTICATION_FAILED
        if rejected and attempt.doubtful and not self._rejected:  # N14
            self.hasten()
        elif answered:  # N14, N15
            self._wait(_REFUSED_MS << min(self._refusals, _DOUBLED_MAX) if beside else _REFUSED_MS, now)
            self._refusals += 1
        else:
            self.longer(now)
        self._rejected = rejected

    def _rest(self, pause, now):
        self._pause = pause
        self._paused_at = now

    def _wait(self, pause, now):
        self._rest(pause + pause * self._random(1)[0] // 512, now)
