"""One attempt after the other to make a tunnel, for ever, by one clock (RULES.md N2, N11, N14, N15, K4 to K6).

A first attempt after an SA that was worth having is at once; then pauses grow to a minute, each over a random fraction,
so that a thousand devices do not come back in step. Only what the gateway has proved to have said makes a long pause.
"""

from ikev2.budget import elapsed
from ikev2.wire import const

# As ikev2.reasons has them; what makes attempts is imported when there is one, for a wake from sleep needs none (Z3).
AUTHENTICATION_FAILED = const(24)
INTERNAL_ADDRESS_FAILURE = const(36)
FAILED_CP_REQUIRED = const(37)
SILENCE_AUTH = const(-2)

_LIVED_MS = const(3000)  # an SA that lived so long was worth having
_PAUSE_MS = const(1000)
_PAUSE_MAX_MS = const(60000)
_EVENTS = const(16)
_IN_THE_WAY = (AUTHENTICATION_FAILED, INTERNAL_ADDRESS_FAILURE, FAILED_CP_REQUIRED)


class Attempts:
    """What Life inherits: the attempts, and what is told of them."""

    closed = False

    def __init__(self, node, policy, inner, contact):
        self.node = node
        self.policy = policy
        self.inner = inner
        self.changed = None
        self.wanted = True
        self.failures = 0
        self.reason = ""
        self.refused = 0
        self.attempt = None
        self._slot = -1  # of the attempt
        self._ours = {}  # slots of our IKE SAs, and since when we want them deleted, -1: not
        self._contact = contact
        self._silent = False  # the attempt is for silence
        self._born_at = -1  # when the last SA was made, -1: it was lost since
        self._pause = 0  # until the next attempt, from _paused_at on
        self._paused_at = 0
        self._grown = _PAUSE_MS
        self._failed_before = False  # N14: the attempt before ended in AUTHENTICATION_FAILED
        self._events = []

    def event(self):
        """The oldest of (word, text) that nobody has read: up, down, failed, moved; or None."""
        return self._events.pop(0) if self._events else None

    def begin(self, host, now):
        """Make an attempt with the gateway at that address of four octets."""
        from ikev2.initiator import Initiator

        self.wanted = False
        if self.attempt or self.closed:
            return
        address = self.inner.address if self.policy.inside is None and any(self.inner.address) else None
        try:
            self._slot = self.node.table.add_ike(self.node.random, True, host + b"\1\xf4")
        except ValueError as error:
            self._fail(str(error), 0, now)
            return
        contact = self._contact and not self._ours
        self.attempt = Initiator(self.node, self._slot, self.policy, now, contact, address)
        self.node.attach(self._slot, self.attempt)

    def unresolved(self, reason, now):
        """The gateway's name has no address."""
        self.wanted = False
        self._fail(reason, 0, now)

    # What Life uses.

    @property
    def _busy(self):
        """True if an attempt is on its way, or its time is settled."""
        return bool(self.attempt or self.wanted or self._pause)

    def _say(self, word, text):
        if len(self._events) >= _EVENTS:
            self._events.pop(0)
        self._events.append((word, text))

    def _ask(self):
        """An attempt is due: somebody looks the gateway up."""
        if not self.attempt:
            self.wanted = True

    def _want(self, now):
        """There is no tunnel: K4, at once if the last one was worth it, else by the clock of attempts."""
        if self._born_at >= 0 and elapsed(now, self._born_at) >= _LIVED_MS:
            self._grown = _PAUSE_MS
            self._ask()
        else:
            self._wait(self._next_pause(), now)
        self._born_at = -1

    def _next_pause(self):
        pause = self._grown
        self._grown = min(2 * pause, _PAUSE_MAX_MS)
        return pause

    def _wait(self, pause, now):
        """Pause, over a random fraction, and never less than a second."""
        self._paused_at = now
        part = self.node.random(1)[0]
        self._pause = max(_PAUSE_MS, pause - pause * part // 512)

    def _fail(self, reason, refused, now):
        """An attempt has come to nothing."""
        self.failures += 1
        self.reason = reason
        self.refused = refused
        self._say("failed", reason)
        doubtful = self.attempt is not None and self.attempt.doubtful
        proven = self.attempt is not None and self.attempt.authenticating
        self.attempt = None
        self._slot = -1
        rejected = proven and refused == AUTHENTICATION_FAILED
        if proven and self._ours and refused in _IN_THE_WAY:
            self._give_up(now)
        elif rejected and doubtful and not self._failed_before:  # N14
            self._wait(_PAUSE_MS, now)
        elif proven and refused != SILENCE_AUTH:  # N14, N15
            self._wait(_PAUSE_MAX_MS, now)
        else:
            self._wait(self._next_pause(), now)
        self._failed_before = rejected

    def _give_up(self, now):
        """What there is stands in the way of a new one: K5, it is deleted first; K6, or as if it had never been."""
        for slot in list(self._ours):
            if self._silent:
                self._contact = True
                self.node.remove(slot, "given up for a new one")
            else:
                self._delete(slot, now)

    def _end_attempt(self, reason):
        attempt, self.attempt = self.attempt, None
        if self.node.owners[self._slot] is attempt:
            self.node.remove(self._slot, reason)
        self._slot = -1
