"""The life of a tunnel: attempts, one after the other for ever, traffic, liveness, replacement. No I/O, no asyncio.

Rules K4 to K11 and N2, N11, N14, N15. A `Life` follows a node (node.follower): it reads the node's events,
makes attempts (ikev2.initiator) and lets the newest Child SA carry what goes out, while all of them receive. It needs
one thing from outside: when `wanted`, somebody looks the gateway up and calls `begin` or `unresolved`.

An SA that works is never given up for a suspicion: a new one is made beside it, and whichever proves itself stays.
"""

from ikev2.budget import elapsed
from ikev2.node import sooner
from ikev2.owners import CHILD_GONE, CHILD_NEW, ESTABLISHED, FAILED, GONE, LIFETIME, REPLACED, UNKNOWN_SPI
from ikev2.wire import const

from .attempts import Attempts
from .traffic import Traffic

_UNANSWERED_MS = const(7000)  # K6
_AFTER_SLEEP_MS = const(1000)
_LEAVING_MS = const(10000)  # how long the gateway may take to answer our Delete
_LIFETIME_MAX_MS = const(0x1FFFFFFF)
_LAST_NUMBERS = 0xFFFF0000  # of ESP packets: K5
_LAST_IDS = 0xFFFFFF00
_WRAP = const(0x3FFFFFFF)


class Life(Attempts):
    """A tunnel with what `policy` says (ikev2.proposals.Policy), over `node`; packets from it go to `inner`.

    contact: N11, INITIAL_CONTACT until an attempt has succeeded. `changed` is called without arguments when `wanted`,
    `up` or the events may have changed. `failures` counts attempts without a tunnel, `reason` says why the last one
    failed or the tunnel went down, `refused` is its number in ikev2.reasons.
    """

    def __init__(self, node, policy, inner, contact=True, liveness_ms=10000, keepalive_ms=20000, lifetime_ms=10800000):
        if not 0 < lifetime_ms <= _LIFETIME_MAX_MS:
            raise ValueError("lifetime of %r ms" % lifetime_ms)
        super().__init__(node, policy, inner, contact)
        self.keepalive_ms = keepalive_ms
        self.current = None  # the Traffic that carries what goes out
        self.traffics = []  # all there are, the newest last
        self.ike = -1  # slot of the IKE SA over which we ask
        self.closed = False
        self.woken = False  # from sleep, and nothing has come since
        self._heir = -1  # slot of the IKE SA that the gateway has made in place of `ike`, until it has proved itself
        self._liveness_ms = liveness_ms
        self._lifetime_ms = lifetime_ms
        self._life_ms = 0  # of the SA that there is
        self._asked_at = -1  # when something was sent inside to which nothing has come yet
        self._waits_at = -1  # since when a request of ours waits
        node.follower = self

    # For whoever uses the tunnel.

    @property
    def up(self):
        """True while there is a Child SA to send on."""
        return self.current is not None

    def seal(self, out, size, now):
        """Length of the datagram in `out` around the inner packet that stands from esp.ROOM on; 0, see refused."""
        length = self.current.esp.seal(out, 0, size)
        if length:
            self.sent(now)
        return length

    def sent(self, now):
        """Something has left through the tunnel: it should be answered (K6)."""
        self.current.sent_at = now
        if self._asked_at < 0:
            self._asked_at = now

    def endpoint(self):
        """Where the gateway is."""
        return self.node.table.ike_sa(self.node.table.child_sa(self.current.child.slot)[0])[3]

    def proven(self, since, now):
        """True if the gateway has proved since then that the tunnel works."""
        owner = self.node.owners[self.ike] if self.ike >= 0 and self.up else None
        return owner is not None and elapsed(now, owner.heard_at) < elapsed(now, since)

    def check(self, now):
        """One liveness check at once: our address has changed, perhaps (K7)."""
        if self.ike >= 0 and self.node.owners[self.ike]:
            self.node.owners[self.ike].hint(now)

    def close(self, now):
        """Delete all that there is; `over` once the gateway has answered."""
        self.closed = True
        self.wanted = False
        if self.attempt:
            self._end_attempt("closed")
        for slot in self._ours:
            self._delete(slot, now)

    @property
    def over(self):
        """True once nothing of a closed tunnel is left."""
        return self.closed and not self._ours

    # What sleep.py needs.

    @property
    def settled(self):
        """True with one IKE SA, one Child SA and nothing half made (Z6)."""
        return self.up and len(self.traffics) == len(self._ours) == 1 and self._heir < 0 and not self.attempt

    def lived(self, now):
        """Milliseconds since the SA was made; `left`, until it must be replaced."""
        return elapsed(now, self._born_at)

    def left(self, now):
        """See `lived`."""
        return max(0, self._life_ms - self.lived(now))

    def let_go(self, now, patience_ms=_LEAVING_MS):
        """SAs whose Delete has not been answered for that long go without."""
        for slot in list(self._ours):
            if self._ours[slot] >= 0 and elapsed(now, self._ours[slot]) >= patience_ms:
                self.node.remove(slot, "no answer to our Delete")

    def slots(self):
        """Slots of our IKE SAs."""
        return list(self._ours)

    def mute(self):
        """Nobody speaks for the SAs any longer, and nothing leaves through the tunnel."""
        self.closed = True
        self.current = None
        for traffic in self.traffics:
            self.node.child_owners.pop(traffic.child.slot, None)
        for slot in self._ours:
            self.node.detach(slot)

    def resume(self, slot, traffic, address, left, lived, now):
        """Go on with the SAs that have outlived sleep."""
        self.wanted = False
        self.woken = True
        self.ike = slot
        self.current = traffic
        self.traffics = [traffic]
        self.inner.address = address
        self.node.attach_child(traffic.child.slot, traffic)
        self.node.owners[slot].alive((now - 1) & _WRAP)
        self._ours = {slot: -1}
        self._contact = False
        self._born_at = (now - lived) & _WRAP
        self._life_ms = lived + left
        self._say("up", "%d.%d.%d.%d" % tuple(address))

    # What a node asks of its follower.

    def attend(self, now):
        """Read what has happened."""
        event = self.node.event()
        while event:
            self._take(event, now)
            event = self.node.event()
        if not (self.current or self._busy or self.closed):
            self._want(now)
        if self.changed:
            self.changed()

    def tick(self, now):
        """Let time pass."""
        self.attend(now)
        self.inner.tick(now)
        self.let_go(now)
        if self._pause and elapsed(now, self._paused_at) >= self._pause:
            self._pause = 0
            if not self.closed:
                self._ask()
        if self.ike >= 0 and not self.closed:
            self._look_after(now)

    def next_timer(self, now):
        """Milliseconds until `tick` has something to do; -1."""
        wait = self.inner.next_timer(now)
        for slot in self._ours:
            if self._ours[slot] >= 0:
                wait = sooner(wait, max(0, _LEAVING_MS - elapsed(now, self._ours[slot])))
        if self._pause:
            wait = sooner(wait, max(0, self._pause - elapsed(now, self._paused_at)))
        if self.current and self.keepalive_ms:
            wait = sooner(wait, self.current.keepalive_in(now))
        if self.ike < 0 or self.closed:
            return wait
        if not self.node.owners[self.ike].waiting:
            if self._asked_at >= 0:
                wait = sooner(wait, max(0, self._patience - elapsed(now, self._asked_at)))
        elif self._waits_at < 0:
            return 0
        elif not self._busy:
            wait = sooner(wait, max(0, _UNANSWERED_MS - elapsed(now, self._waits_at)))
        return wait if self._busy else sooner(wait, max(0, self._life_ms - elapsed(now, self._born_at)))

    # The rest is private.

    def _delete(self, slot, now):
        owner = self.node.owners[slot]
        if owner and self._ours[slot] < 0:
            owner.delete()
            self._ours[slot] = now

    def _take(self, event, now):
        kind, slot, detail = event
        if kind == ESTABLISHED and slot == self._slot:
            self._establish(slot, detail, now)
        elif kind == FAILED and slot == self._slot:
            self._fail(detail, self.attempt.refused, now)
        elif kind == GONE:
            self._lose(slot, detail)
        elif kind == CHILD_NEW:
            self._carry(detail, now)
        elif kind == CHILD_GONE:
            self._drop(slot)
        elif kind == UNKNOWN_SPI and self.current and detail == self.current.child.spi_out:  # K10
            ike, _, spi_in, _ = self.node.table.child_sa(self.current.child.slot)
            self.node.owners[ike].delete_child(spi_in)
            self.reason = "the gateway has lost the Child SA"
            self._drop(self.current.child.slot)
        elif kind == REPLACED and slot in self._ours:  # K2
            self._ours[detail] = -1
            if slot == self.ike or slot == self._heir:
                self._heir = detail
        elif kind == LIFETIME and slot == self.ike:  # K5
            seconds = min(int.from_bytes(detail, "big"), _LIFETIME_MAX_MS // 1000)
            self._life_ms = min(self._life_ms, elapsed(now, self._born_at) + seconds * 800)

    def _establish(self, slot, child, now):
        """An attempt has succeeded: what was there before has had its time (K5, K6, K9)."""
        self.attempt = None
        self._slot = -1
        for other in self._ours:
            self._delete(other, now)
        self._ours[slot] = -1
        self.ike = slot
        self._heir = -1
        self._contact = False
        self._failed_before = False
        self._silent = False
        self._pause = 0
        self._born_at = now
        self._asked_at = self._waits_at = -1
        part = self.node.random(1)[0]
        self._life_ms = self._lifetime_ms - self._lifetime_ms * part // 2560  # a tenth at most
        address = child.inside[5:9]
        moved = any(self.inner.address) and self.inner.address != address
        self.inner.address = address
        self._carry(child, now)
        self.current = self.traffics[-1]
        text = "%d.%d.%d.%d" % tuple(address)
        self._say("moved" if moved else "up", text)

    def _carry(self, child, now):
        """A Child SA of ours has come into being: it receives from now on."""
        traffic = Traffic(self, child, now)
        self.traffics.append(traffic)
        self.node.attach_child(child.slot, traffic)
        if self.current is None:
            self.current = traffic

    def prove(self, traffic):
        """Something verified has come on it: K1, what is newer than what we send on takes its place."""
        if traffic in self.traffics[self.traffics.index(self.current) + 1 if self.current else 0 :]:
            self.current = traffic

    def _drop(self, slot):
        """A Child SA is gone; the newest of the others carries on."""
        self.traffics = [traffic for traffic in self.traffics if traffic.child.slot != slot]
        if self.current and self.current.child.slot == slot:
            self.current = self.traffics[-1] if self.traffics else None
            if not self.current:
                self._say("down", self.reason)

    def _lose(self, slot, why):
        """An IKE SA is gone."""
        if slot not in self._ours:
            return
        if self._ours.pop(slot) < 0:
            self.reason = why
            if why.startswith("no answer"):
                self._contact = True
        if slot == self._heir:
            self._heir = -1
        if slot == self.ike:
            self.ike, self._heir = self._heir, -1
            self._asked_at = self._waits_at = -1

    @property
    def _patience(self):
        """Milliseconds without an answer until the gateway is asked whether it is there: few after sleep (Z4)."""
        return _AFTER_SLEEP_MS if self.woken else self._liveness_ms

    def _look_after(self, now):
        """Liveness (K6), and what does not last (K5)."""
        node = self.node
        if self._heir >= 0 and node.owners[self._heir].message_ids[1]:  # K2: it has proved itself
            self.ike, self._heir = self._heir, -1
        owner = node.owners[self.ike]
        heard = elapsed(now, owner.heard_at)
        if self._asked_at >= 0 and heard <= elapsed(now, self._asked_at):
            self._asked_at = -1
            self.woken = False
        if not owner.waiting or (self._waits_at >= 0 and heard < elapsed(now, self._waits_at)):
            self._waits_at = -1
            if self._silent and self.attempt and not self.attempt.authenticating:  # K6
                self._end_attempt("the gateway answers after all")
            self._silent = False
        if owner.waiting and self._waits_at < 0:
            self._waits_at = now
        if self._asked_at >= 0 and elapsed(now, self._asked_at) >= self._patience:
            owner.hint(now)
        if self._busy:
            return
        if self._waits_at >= 0 and elapsed(now, self._waits_at) >= _UNANSWERED_MS:
            if self.woken:  # Z4: the gateway has given it up
                self._contact = True
                node.remove(self.ike, "no answer after sleep")
            else:
                self._silent = True
                self._ask()
        elif (
            elapsed(now, self._born_at) >= self._life_ms
            or (self.current and self.current.esp.next >= _LAST_NUMBERS)
            or max(owner.message_ids) >= _LAST_IDS
        ):
            self._ask()
