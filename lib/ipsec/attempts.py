"""One attempt after the other to make a tunnel, for ever, by one clock (RULES.md N2, N11, N14, N15, K4 to K6).

A first attempt after an SA that was worth having is at once; then pauses grow to a minute, each longer by a random
part, so that a thousand devices do not come back in step. Only what was said under a key makes a long pause, and only
what the gateway has signed can cost an SA that works.
"""

from portable import const, elapsed, sooner

# As ikev2.sa.reasons has them; what makes attempts is imported when there is one: a wake from sleep needs none (Z3).
AUTHENTICATION_FAILED = const(24)
INTERNAL_ADDRESS_FAILURE = const(36)
FAILED_CP_REQUIRED = const(37)
NO_RESPONSE_AUTH = const(-2)
NO_ROOM = const(-9)
_SUPERSEDED = const(-27)
_NO_RESPONSE_DELETE = const(-28)
_NOT_BEGUN = const(-31)

PAUSE_MS = const(1000)  # between two attempts, from beginning to beginning, at least
_ALONE_MS = const(15001)  # the same until the gateway has answered: N2, no third one in 30 s
_GROWN_MAX_MS = const(40000)  # half as long again at most
REFUSED_MS = const(60000)  # N14, N15
_LEAVING_MS = const(10000)  # how long the gateway may take to answer our Delete
_EVENTS = const(16)
_NO_ADDRESS = (INTERNAL_ADDRESS_FAILURE, FAILED_CP_REQUIRED)  # a pool of one, perhaps


class Attempts:
    """What Life inherits: the attempts, and what is told of them."""

    closed = False

    def __init__(self, node, policy, stack, contact):
        self.node = node
        self.policy = policy
        self.stack = stack
        self.changed = None
        self.wanted = True
        self.failures = 0
        self.reason = ""
        self.refused = 0
        self.attempt = None
        self.ours = {}  # slots of our IKE SAs, and since when we want them deleted, -1: not
        self.born_at = 0  # when the last attempt succeeded
        self.life_ms = 0  # how long that is good for
        self.contact = contact  # the gateway may have SAs of ours that we have not (N11)
        self._slot = -1  # of the attempt
        self._silent = False  # the gateway does not answer, so an attempt is due, or under way
        self._pause = 0  # no attempt begins so long from _paused_at on
        self._paused_at = 0
        self._grown = PAUSE_MS
        self._failed_before = False  # N14: the attempt before ended in AUTHENTICATION_FAILED
        self._events = []

    def event(self):
        """The oldest of (word, text) that nobody has read: up, down, failed, moved; or None."""
        return self._events.pop(0) if self._events else None

    def begin(self, host, now):
        """Make an attempt with the gateway at that address of four octets, if one is still wanted."""
        from ikev2.initial.initiator import Initiator

        if not self.wanted:
            return
        self.wanted = False
        self._rest(_ALONE_MS, now)
        address = self.stack.address if self.policy.inside is None and any(self.stack.address) else None
        try:
            self._slot = self.node.table.add_ike(self.node.random, True, host + b"\1\xf4")
        except ValueError as error:
            self._fail(str(error), NO_ROOM, now)
            return
        contact = self.contact and not self.ours  # N11
        try:
            self.attempt = Initiator(self.node, self._slot, self.policy, now, contact, address)
            self.node.attach(self._slot, self.attempt)
        except (NotImplementedError, MemoryError) as error:
            self.attempt = None
            self.node.remove(self._slot, _NOT_BEGUN)
            self._fail(str(error) or "no room in the heap", 0, now)

    def unresolved(self, reason, now):
        """The gateway's name has no address."""
        if self.wanted:
            self.wanted = False
            self._fail(reason, 0, now)

    def lived(self, now):
        """Milliseconds since the last attempt succeeded."""
        return elapsed(now, self.born_at)

    def left(self, now):
        """Milliseconds until what came of it must be replaced (K5)."""
        return max(0, self.life_ms - self.lived(now))

    # What Life uses.

    @property
    def _busy(self):
        """True if an attempt is on its way, or its time is settled."""
        return bool(self.attempt or self.wanted or self._pause)

    def emit(self, word, text):
        """Enter an event; the oldest makes room."""
        if len(self._events) >= _EVENTS:
            self._events.pop(0)
        self._events.append((word, text))

    def _rest(self, pause, now):
        self._pause = pause
        self._paused_at = now

    def _wait(self, pause, now):
        self._rest(pause + pause * self.node.random(1)[0] // 512, now)

    def _wait_longer(self, now):
        """The next pause of the clock of attempts."""
        self._wait(self._grown, now)
        self._grown = min(2 * self._grown, _GROWN_MAX_MS)

    def _hurry(self):
        """There is a new ground for hope, and the next attempt comes as soon as it may."""
        self._grown = PAUSE_MS
        self._pause = min(self._pause, PAUSE_MS)

    def _succeed(self):
        self.attempt = None
        self._slot = -1
        self._pause = min(self._pause, PAUSE_MS)
        self.reason = ""
        self.contact = False
        self._failed_before = False
        self._silent = False

    def _fail(self, reason, refused, now):
        """An attempt has come to nothing."""
        self.failures += 1
        self.reason = reason
        self.refused = refused
        self.emit("failed", reason)
        attempt, self.attempt, self._slot = self.attempt, None, -1
        answered = attempt is not None and attempt.authenticating and refused != NO_RESPONSE_AUTH
        rejected = answered and refused == AUTHENTICATION_FAILED
        if self.ours and self._due(now) and self._in_the_way(attempt, refused):
            self._give_up(now)
            self._pause = min(self._pause, PAUSE_MS)
        elif rejected and attempt.doubtful and not self._failed_before:  # N14
            self._pause = min(self._pause, PAUSE_MS)
        elif answered:  # N14, N15
            self._wait(REFUSED_MS, now)
        else:
            self._wait_longer(now)
        self._failed_before = rejected

    def _in_the_way(self, attempt, refused):
        """True if what there is may be why the gateway takes nothing new: `unique = keep`, a pool of one; no room."""
        if self._silent:  # K6
            return refused in _NO_ADDRESS or refused in (AUTHENTICATION_FAILED, NO_ROOM)
        return refused == NO_ROOM or (refused in _NO_ADDRESS and attempt.authenticated)  # K5

    def _give_up(self, now):
        """K5: what there is is deleted before the next attempt; K6: or as if it had never been."""
        for slot in list(self.ours):
            if self._silent:
                self.node.remove(slot, _SUPERSEDED)
            else:
                self._delete(slot, now)

    def _delete(self, slot, now):
        owner = self.node.owners[slot]
        if owner and self.ours[slot] < 0:
            owner.delete()
            self.ours[slot] = now

    def expire(self, now, patience_ms=_LEAVING_MS):
        """SAs whose Delete has not been answered for that long go without."""
        for slot in list(self.ours):
            if self.ours[slot] >= 0 and elapsed(now, self.ours[slot]) >= patience_ms:
                self.node.remove(slot, _NO_RESPONSE_DELETE)

    def _timer(self, now):
        """Milliseconds until a pause is over, or somebody's time; -1."""
        wait = max(0, self._pause - elapsed(now, self._paused_at)) if self._pause else -1
        for slot in self.ours:
            if self.ours[slot] >= 0:
                wait = sooner(wait, max(0, _LEAVING_MS - elapsed(now, self.ours[slot])))
        return wait

    def _end_attempt(self, reason):
        attempt, self.attempt = self.attempt, None
        if self.node.owners[self._slot] is attempt:
            self.node.remove(self._slot, reason)
        self._slot = -1
