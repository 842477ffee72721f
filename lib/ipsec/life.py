"""The life of a tunnel: attempts, one after the other for ever, traffic, liveness, replacement. No I/O, no asyncio.

Rules K1 to K11 as far as they are not one SA's. A `Life` follows a node (Owners.follow): it takes the node's
events, makes attempts (attempts.py) and lets one Child SA carry what goes out (traffic.py). It needs one thing from
outside: when `wanted`, somebody looks the gateway up and calls `begin` or `unresolved`.

An SA that works is never given up for a suspicion: a new one is made beside it, and whichever proves itself stays.
"""

from ikev2.owners import CHILD_GONE, CHILD_NEW, ESTABLISHED, FAILED, GONE, LIFETIME, REPLACED, UNKNOWN_SPI
from portable import const, elapsed, sooner

from .attempts import PAUSE_MS, REFUSED_MS, Attempts
from .traffic import Carriers

_LIVED_MS = const(3000)  # an SA that lived so long was worth having
_UNANSWERED_MS = const(7000)  # K6
_AFTER_SLEEP_MS = const(1000)
_LIFETIME_MAX_MS = const(432000000)  # well within half the period of the clock
_LAST_NUMBERS = 0xFFFF0000  # of ESP packets: K5
_LAST_IDS = 0xFFFFFF00


# As ikev2.sa.reasons has them.
_DELETED = const(-21)
_DELETED_BY_PEER = const(-22)
_NO_RESPONSE_AFTER_SLEEP = const(-29)
_CLOSED = const(-32)
_RESPONDED = const(-33)
_NO_CHILD_SA = const(-34)
_CHILD_SA_LOST = const(-35)


def words(code):
    """The sentence of a reason; an attempt follows, which needs them anyway."""
    from ikev2.sa.reasons import reason

    return reason(code)


class Life(Attempts, Carriers):
    """A tunnel with what `policy` says (ikev2.sa.policy.Policy), over `node`; packets from it go to `stack`.

    contact: N11, INITIAL_CONTACT until an attempt has succeeded. `changed` is called without arguments when `wanted`,
    `up` or the events may have changed. `failures` counts attempts without a tunnel, `reason` says why the last one
    failed or the tunnel went down, `refused` is its number in ikev2.sa.reasons.
    """

    def __init__(self, node, policy, stack, contact=True, liveness_ms=10000, keepalive_ms=20000, lifetime_ms=10800000):
        if not 0 < lifetime_ms <= _LIFETIME_MAX_MS:
            raise ValueError("lifetime of %r ms" % lifetime_ms)
        Attempts.__init__(self, node, policy, stack, contact)
        Carriers.__init__(self, keepalive_ms)
        self.ike = -1  # slot of the IKE SA over which we ask
        self.successor = -1  # slot of the one that the gateway has made in its place, until it has proved itself
        self._liveness_ms = liveness_ms
        self._lifetime_ms = lifetime_ms
        self._waits_at = -1  # since when a request of ours waits and nothing has come
        self._was_up = False  # when the events were taken that nobody has attended to
        node.follow(self)

    # For whoever uses the tunnel.

    def verified(self, since, now):
        """True if the gateway has proved since then that the tunnel works."""
        owner = self.node.owners[self.ike] if self.ike >= 0 and self.up else None
        return owner is not None and elapsed(now, owner.verified_at) <= elapsed(now, since)

    def check(self, now):
        """K7: our address has changed, perhaps. A liveness check at once, or the next attempt without a long pause."""
        if self._asking:
            self.node.owners[self.ike].check(now)
        elif not self.up and self._pause < REFUSED_MS and not self.attempt:
            self._hurry()

    def close(self, now):
        """Delete all that there is; `over` once the gateway has answered."""
        self.closed = True
        self.wanted = False
        if self.attempt:
            self._end_attempt(_CLOSED)
        for slot in self.ours:
            self._delete(slot, now)

    @property
    def over(self):
        """True once nothing of a closed tunnel is left."""
        return self.closed and not self.ours

    # What a node asks of its follower.

    def attend(self, now):
        """Something has happened."""
        was_up, self._was_up = self._was_up, False
        if was_up and not self.up:
            self.emit("down", self.reason)
            if self.lived(now) >= _LIVED_MS:  # K4
                self._hurry()
            else:
                self._wait_longer(now)
        self._decide(now)
        if self.changed:
            self.changed()

    def tick(self, now):
        """Let time pass."""
        self.stack.tick(now)
        self.expire(now)
        if self._asking:
            self._look_after(now)
        self.node.attend(now)

    def next_timer(self, now):
        """Milliseconds until `tick` has something to do; -1."""
        wait = sooner(self.stack.next_timer(now), self._timer(now))
        if self.current and self.keepalive_ms:
            wait = sooner(wait, self.current.keepalive_in(now))
        if not self._asking:
            return wait
        if not self.node.owners[self.ike].waiting:
            if self._asked_at >= 0:
                wait = sooner(wait, max(0, self._patience - elapsed(now, self._asked_at)))
        elif self._waits_at < 0:
            return 0
        elif not self._busy:
            wait = sooner(wait, max(0, _UNANSWERED_MS - elapsed(now, self._waits_at)))
        return wait if self._busy else sooner(wait, self.left(now))

    def take(self, kind, slot, detail, now):
        """Hear of an event."""
        self._was_up = self._was_up or self.up
        if kind == ESTABLISHED and slot == self._slot:
            self._establish(slot, detail, now)
        elif kind == FAILED and slot == self._slot:
            self._fail(detail, self.attempt.code, now)
        elif kind == GONE and slot in self.ours:
            self._lose(slot, detail)
        elif kind == CHILD_NEW:
            ike = self.node.table.child_sa(slot)[0]
            if ike in self.ours:
                self._carry(detail, self.ours[ike] >= 0, now)
        elif kind == CHILD_GONE:
            self._drop(slot)
            self.reason = self.reason if self.up else words(_NO_CHILD_SA)
        elif kind == UNKNOWN_SPI and self.up and detail == self.current.child.spi_out:  # K10
            ike, _, spi_in, _ = self.node.table.child_sa(self.current.child.slot)
            self.node.owners[ike].delete_child(spi_in)
            self.reason = words(_CHILD_SA_LOST)
            self._drop(self.current.child.slot)
        elif kind == REPLACED and slot in self.ours:  # K2
            self.ours[detail] = -1
            self.node.alive(detail, now)
            if self.ours[slot] >= 0:  # K9
                self._delete(detail, now)
            elif slot == self.ike or slot == self.successor:
                self.successor = detail
        elif kind == LIFETIME and self.ours.get(slot, 0) < 0:  # K5
            lived = self.lived(now)
            seconds = min(int.from_bytes(detail, "big"), _LIFETIME_MAX_MS // 1000)
            self.life_ms = max(_LIVED_MS, min(self.life_ms, lived + seconds * 800))

    # The rest is private.

    def _establish(self, slot, child, now):
        """An attempt has succeeded: what was there before has had its time (K5, K6, K9)."""
        self._succeed()
        for other in self.ours:
            self._delete(other, now)
        self.ours[slot] = -1
        self.ike = slot
        self.successor = -1
        self.born_at = now
        self.life_ms = max(_LIVED_MS, self._lifetime_ms - self._lifetime_ms * self.node.random(1)[0] // 2560)
        self.after_sleep = False
        self._asked_at = self._waits_at = -1
        address = child.inside[5:9]
        moved = any(self.stack.address) and self.stack.address != address
        if moved or not self.up:
            self.emit("moved" if moved else "up", "%d.%d.%d.%d" % tuple(address))
        self.stack.address = address
        self.stack.servers = child.servers
        self.current = self._carry(child, False, now)

    def _lose(self, slot, why):
        """An IKE SA is gone."""
        del self.ours[slot]
        if why not in (_DELETED, _DELETED_BY_PEER):  # N11: the gateway may have it still
            self.contact = True
        if not self.up:
            self.reason = words(why)
        if slot == self.successor:
            self.successor = -1
        if slot == self.ike:
            left = [other for other in self.ours if self.ours[other] < 0]
            self.ike = self.successor if self.successor >= 0 else left[0] if left else -1
            self.successor = -1
            self._waits_at = -1

    @property
    def _asking(self):
        """True while there is an IKE SA to ask over."""
        return self.ike >= 0 and self.ours[self.ike] < 0 and not self.closed

    @property
    def _patience(self):
        """Milliseconds without an answer until the gateway is asked whether it is there: few after sleep (Z4)."""
        return _AFTER_SLEEP_MS if self.after_sleep else self._liveness_ms

    def _look_after(self, now):
        """Liveness (K6)."""
        owners = self.node.owners
        heard = elapsed(now, owners[self.ike].verified_at)
        if self.successor >= 0:
            heard = min(heard, elapsed(now, owners[self.successor].verified_at))
            if owners[self.successor].message_ids[1]:  # K2: it has proved itself
                self.ike, self.successor = self.successor, -1
        owner = owners[self.ike]
        if self._asked_at >= 0 and heard < elapsed(now, self._asked_at):
            self._asked_at = -1
            self.after_sleep = False
        if not owner.waiting or (self._waits_at >= 0 and heard < elapsed(now, self._waits_at)):
            self._waits_at = -1
            if self._silent and self.up:
                self._silent = self.wanted = False
                if self.attempt and not self.attempt.authenticating:  # K6
                    self._end_attempt(_RESPONDED)
        if owner.waiting and self._waits_at < 0:
            self._waits_at = now
        if self._asked_at >= 0 and elapsed(now, self._asked_at) >= self._patience and not owner.waiting:
            owner.check(now)
        if self._waits_at >= 0 and elapsed(now, self._waits_at) >= _UNANSWERED_MS and not self._busy:
            if self.after_sleep:  # Z4: the gateway has given it up
                self.node.remove(self.ike, _NO_RESPONSE_AFTER_SLEEP)
            else:
                self._silent = True

    def _due(self, now):
        """True if a new IKE SA is to be made: K4, K6, K5."""
        if self.ike >= 0 and self.ours[self.ike] >= 0:
            return False  # K5: the answer to our Delete is awaited
        if self.ike < 0 or not self.up or self._silent or not self.left(now):
            return True
        return self.current.esp.next >= _LAST_NUMBERS or max(self.node.owners[self.ike].message_ids) >= _LAST_IDS

    def _decide(self, now):
        """Is it time for an attempt?"""
        if self._pause and elapsed(now, self._paused_at) >= self._pause:
            self._pause = 0
        if self._busy or self.closed:
            return
        if self._due(now):
            self.wanted = True
            if self.changed:
                self.changed()
        elif self.lived(now) >= _LIVED_MS:
            self._grown = PAUSE_MS
