"""The life of a tunnel: attempts, one after the other for ever, traffic, liveness, replacement. No I/O, no asyncio.

What a tunnel has is looked up in the node's table and its owners, after everything that happens, whenever a timer of
its own has run out, and each second (holdings.py); no event counts.

A Life is in one of these states, and changes it where it is looked at, in _enter, which makes an event of it:

state       what there is                      what may happen, and what follows
down        no Child SA, no attempt            an attempt is due, by its clock (K4, N2): attempting
attempting  no Child SA, an attempt            it succeeds: up; it fails: down (N14, N15)
up          a Child SA carries                 a new IKE SA is due, see below: replacing; no Child SA left, the IKE SA
                                               deleted or at its end (K4, K10, K11, P3): down
replacing   a Child SA carries, an attempt     it succeeds: up, the old IKE SAs are deleted; it fails: up, or yielding
                                               (K5, K6); due no longer before IKE_AUTH (K6, R10): up
yielding    what there was is being deleted    the gateway has answered, or 10 s: down
leaving     closed, a Delete without answer    the gateway has answered, or 10 s: closed (K11)
closed      nothing, for ever                  nothing

In whatever state: rekeys by the gateway are answered (K1 to K3), keepalives leave (K8), a new address is told (K7).
Why an attempt is due stands in `causes`: there is no Child SA, or no IKE SA to ask over (K4); lifetime or numbers are
at their end (K5); the gateway does not answer (K6); it says that it has no such IKE SA (R10). An SA that works is never
given up for a suspicion: a new one is made beside it, and whichever proves itself stays.
"""

from ikev2.net.memory import in_words
from inside.udp import text_of
from portable import const, elapsed, sooner

from .attempts import NO_ROOM, Clock, no_address, taken
from .holdings import Holdings
from .liveness import DENIED, SILENT, Liveness

# As ikev2.sa.reasons has them.
_REMOVED = const(-20)
_DELETED = const(-21)
_DELETED_BY_PEER = const(-22)
_SUPERSEDED = const(-27)
_NOT_BEGUN = const(-31)
_RESPONDED = const(-33)

LOST = const(1)  # causes of an attempt
AGED = const(2)

DOWN = const(0)
ATTEMPTING = const(1)
UP = const(2)
REPLACING = const(3)
YIELDING = const(4)
LEAVING = const(5)
CLOSED = const(6)
_STATES = (  # its name, as an event has it, and the causes for which an attempt begins in it
    ("down", LOST), ("attempting", 0), ("up", AGED | SILENT | DENIED), ("replacing", 0), ("yielding", 0),
    ("leaving", 0), ("closed", 0),
)  # fmt: skip
_WHY = ((LOST, ""), (AGED, "new keys are due"), (SILENT, "the gateway does not answer"), (DENIED, "it is denied"))

_LIVED_MS = const(60000)  # K4: an SA that lived so long was worth having
_LIFETIME_MAX_MS = const(432000000)  # well within half the period of the clock
_AGE_MAX_MS = const(0x1FFFFFFF)
_SHORTEST_MS = const(3000)
_LAST_NUMBERS = 0xFFFF0000  # of ESP packets: K5
_LAST_IDS = 0xFFFFFF00
_NUMBERS = 1 << 32
_AGAIN_MS = const(1000)
_UNTOLD_MS = const(1000)
_ATTEMPT_MS = const(240000)  # K12: how long an attempt may take: N2 and N3 allow half of it
_EVENTS = const(16)


class Life:
    """A tunnel with what `policy` says (ikev2.sa.policy.Policy), over `node`; packets from it go to `stack`.

    contact: N11, INITIAL_CONTACT until an attempt has succeeded. gateway: its name, for Z2. `changed` is called without
    arguments after everything that has happened; `wanted` is true while somebody should look the gateway up and call
    `begin` or `unresolved`. `failures` counts attempts without a tunnel, `reason` says why the last one failed or the
    tunnel went down, `refused` is its number in ikev2.sa.reasons.
    """

    closed = False
    changed = None
    state = DOWN
    wanted = False
    connections = b""  # of TCP, that have outlived sleep (V14)
    failures = 0
    _why = 0  # code of ikev2.sa.reasons, or a sentence
    refused = 0
    causes = 0
    stands_back = False  # H5: the peer has a tunnel to us
    left_ms = -1  # milliseconds from _looked_at on until there is something to do; -1
    _looked_at = 0
    _age = 0  # milliseconds that the last attempt's SAs have lived
    life_ms = 0  # how long they are good for
    limit_ms = 0  # K5: and when they have to go
    _renews = False  # K5: a new IKE SA is being made for an old one
    _kept_out = False  # K5: the gateway takes no new one beside the old one
    _begun_at = 0  # the attempt
    _carrying = False

    def __init__(self, node, policy, stack, contact=True, liveness_ms=10000, keepalive_ms=20000, lifetime_ms=10800000,
                 gateway=""):  # fmt: skip
        if not 0 < lifetime_ms <= _LIFETIME_MAX_MS:
            raise ValueError("lifetime of %r ms" % lifetime_ms)
        self.node = node
        self.policy = policy
        self.stack = stack
        self.contact = contact  # the gateway may have SAs of ours that we have not (N11)
        self.settings = gateway, liveness_ms, keepalive_ms, lifetime_ms
        self.keepalive_ms = keepalive_ms
        self.clock = Clock(node.random)
        self.has = Holdings(self)
        self.liveness = Liveness(self)
        self._events = []
        node.follow(self)
        self.left_ms = -1
        self.causes = LOST
        self.wanted = True

    # For whoever uses the tunnel.

    @property
    def reason(self):
        """Why the last attempt failed or the tunnel went down, in words; "" for no reason."""
        if self._why and not isinstance(self._why, str):
            from ikev2.sa.reasons import reason

            self._why = reason(self._why)
        return self._why or ""

    @property
    def word(self):
        """Its state, by name."""
        return _STATES[self.state][0]

    @property
    def because(self):
        """Why another IKE SA is being made beside the one that there is, in words; "" for no reason."""
        return "".join([why for cause, why in _WHY if self.causes & cause])

    @property
    def current(self):
        """The Traffic of the Child SA that carries what goes out; None: there is none."""
        traffic = self.has.chosen
        if traffic and not self.closed and self.node.child_owners.get(traffic.child.slot) is traffic:
            return traffic
        return None

    @property
    def up(self):
        """True while there is a Child SA to send on."""
        return self.current is not None

    @property
    def renewing(self):
        """True while a new tunnel is being made for one whose time is over (K5), or that has not answered (K6)."""
        doubted = self.has.asked is not None and self.liveness.doubted()
        return self._renews or doubted or (self.wanted and self.causes != LOST)

    @property
    def over(self):
        """True once nothing of a closed tunnel is left."""
        return self.closed and not self.has.ours

    def event(self):
        """The oldest of (word, text) that nobody has read, or None: the states, moved, replaced, failed, answered."""
        return self._events.pop(0) if self._events else None

    def lived(self, now):
        """Milliseconds since the last attempt succeeded."""
        return min(self._age + elapsed(now, self._looked_at), _AGE_MAX_MS)

    def overdue(self, now):
        """True if what there is has to go, whether or not there is anything in its place (K5)."""
        return self.lived(now) >= self.limit_ms or self.has.spent(_NUMBERS, _NUMBERS - 16)

    def verified(self, since, now):
        """True if the gateway has proved since then that the tunnel works."""
        asked = self.has.asked
        return self.up and asked is not None and elapsed(now, asked.verified_at) <= elapsed(now, since)

    def seal(self, out, size, now):
        """Length of the datagram in `out` around the inner packet that stands from esp.ROOM on; 0, see refused."""
        traffic = self.current
        length = traffic.esp.seal(out, 0, size)
        if length:
            traffic.sent_at = now
            self.liveness.expect(now)
        return length

    def endpoint(self):
        """Where the gateway is."""
        table = self.node.table
        return table.ike_sa(table.owner_of(self.current.child.slot))[3]

    def prove(self, traffic):
        """Something verified has come on it: K1, what is newer than what we send on takes its place."""
        self.liveness.proved()
        current = self.current
        if not current or (current.number < traffic.number and not traffic.unwanted):
            self.has.chosen = traffic

    def settle(self, now):
        """Before sleep (Z6): ask whether the gateway is there, if what was sent has not been answered; tidy up."""
        self.liveness.settle(now)
        self.has.settle(now)

    def check(self, now):
        """K7: our address has changed, perhaps. A liveness check at once, or the next attempt without a long pause."""
        if self.has.asked:
            self.has.asked.check(now)
        elif not self.has.attempt and not self.clock.refused:
            self.clock.lived()
            self.clock.hasten()
        self.look_within(0, now)

    def close(self, now):
        """Delete all that there is; `over` once the gateway has answered."""
        self.closed = True
        self.attend(now)

    def begin(self, endpoint, now):
        """Make an attempt with the gateway at that endpoint, if one is still wanted."""
        if not self.wanted:
            return
        self.wanted = False
        self.clock.begun(now)
        self._begun_at = now
        if self.causes & DENIED:
            self.liveness.denied_at = now
        self._renews = self._renews or self.causes & AGED != 0
        slot = -1
        try:
            from ikev2.initial.initiator import Initiator

            slot = self.has.slot(endpoint)
            contact = self.contact and not self.has.sas  # N11
            address = self.stack.address if self.policy.inside is None and any(self.stack.address) else None
            self.node.attach(slot, Initiator(self.node, slot, self.policy, now, contact, address))
        except Exception as error:  # a wrong known answer, a full heap: the clock goes on
            if slot >= 0:
                self.node.remove(slot, _NOT_BEGUN)
            room = isinstance(error, ValueError)
            self._fail(None, in_words(error), NO_ROOM if room else 0, now)
        self.attend(now)

    def unresolved(self, reason, now):
        """The gateway's name has no address."""
        if self.wanted:
            self.wanted = False
            self._fail(None, reason, 0, now)
            self.attend(now)

    def resume(self, owner, lived_ms, life_ms, limit_ms, now):
        """Go on with SAs that have outlived sleep."""
        owner.rank = 1 << 16
        self.liveness.after_sleep = True
        self.contact = False
        self._age, self._looked_at = lived_ms, now
        self.life_ms, self.limit_ms = life_ms, limit_ms
        self.attend(now)

    # What a node asks of its follower.

    def take(self, kind, slot, detail, now):
        """Events are news, and nothing here depends on them."""

    def attend(self, now):
        """Look at what there is, and do what is due (see above); what fails is looked at again (K12)."""
        try:
            self._attend(now)
        except Exception:
            self.left_ms = _AGAIN_MS
            raise

    def _attend(self, now):
        self._age = self.lived(now)
        self._looked_at = now
        self.left_ms = -1
        carried = self._find(now)
        carries = self.up
        if carried and not carries:
            self._go_down(now)
        elif carries and self._age >= _LIVED_MS:
            self.clock.lived()
        self.causes = self._due(carries, self.liveness.look(now), now)
        self._judge(now)
        self.has.tidy(now)
        self._enter(carries, now)
        if self.changed:
            self.changed()

    def tick(self, now):
        """Let time pass. What nobody has told of is seen after a second (K12)."""
        self.stack.tick(now)
        waited = now - self._looked_at
        if not 0 <= waited < _UNTOLD_MS or 0 <= self.left_ms <= waited:
            self.attend(now)

    def next_timer(self, now):
        """Milliseconds until `tick` has something to do; -1."""
        wait = self.stack.next_timer(now) if self.current else -1
        if self.left_ms >= 0:
            wait = sooner(wait, max(0, self.left_ms - elapsed(now, self._looked_at)))
        current = self.current
        if current and self.keepalive_ms:
            wait = sooner(wait, current.keepalive_in(now))  # K8
        return wait

    # The rest is private.

    def look_within(self, wait, now):
        """Look again within so many milliseconds, but never twice in the same one."""
        self.left_ms = sooner(self.left_ms, max(1, wait) + elapsed(now, self._looked_at))

    def _find(self, now):
        """What there is; what has become of the attempt that there was, and of IKE SAs that are gone."""
        attempt = self.has.attempt
        carried = self.has.chosen is not None
        for owner in self.has.find():
            if owner not in self.has.sas:
                self.contact = self.contact or owner.code not in (_DELETED, _DELETED_BY_PEER)  # N11
                self._why = owner.code or _REMOVED
        if self.has.sas and not self.has.sas[-1].rank:
            self._establish(self.has.sas[-1], carried, now)
        for owner in self.has.sas:
            if owner.lifetime:  # K5
                seconds = min(int.from_bytes(owner.lifetime, "big"), _LIFETIME_MAX_MS // 1000)
                self.life_ms = max(_SHORTEST_MS, min(self.life_ms, self._age + seconds * 800))
                self.limit_ms = max(_SHORTEST_MS, min(self.limit_ms, self._age + seconds * 900))
                owner.lifetime = b""
        if attempt and attempt is not self.has.attempt and not attempt.successor and not self.closed:
            self._fail(attempt, attempt.reason or _REMOVED, attempt.code, now)
        why = self.has.choose(now)
        if carried and not self.has.chosen and not self._why:
            self._why = why
        return carried

    def _establish(self, owner, carried, now):
        """An attempt has succeeded: what was there before has had its time. Done again if it is not done to its end."""
        self.clock.succeeded()
        self.contact = self._renews = self._kept_out = False
        self._why = 0
        self.liveness = Liveness(self)
        lifetime_ms = self.settings[3]
        self._age = 0
        self.life_ms = max(_SHORTEST_MS, lifetime_ms - lifetime_ms * self.node.random(1)[0] // 2560)
        self.limit_ms = lifetime_ms + lifetime_ms // 10
        old = self.has.sas[-2] if len(self.has.sas) > 1 else None
        if carried:
            since = elapsed(now, old.verified_at) // 1000 if old and self.causes & SILENT else 0
            self._emit("replaced", "the gateway has not answered for %d s" % since if since else self.because)
        owner.rank = ((old.rank if old else 0) >> 16) + 1 << 16

    def inside(self, child):
        """What the gateway has given with a first Child SA: our address in the tunnel, name servers."""
        address = child.inside[5:9]
        self.stack.servers = child.servers
        if self.stack.address != address:
            if any(self.stack.address):
                self._emit("moved", text_of(address))
                if self.stack.tcp:
                    self.stack.tcp.address_changed()  # V10
            self.stack.address = address

    def _go_down(self, now):
        """Nothing carries any longer: K4, at once if it was worth having, or was given up for a new one."""
        if self._age >= _LIVED_MS or self._renews:
            self.clock.lived()
            self.clock.hasten()
        else:
            self.clock.longer(now)

    def _due(self, carries, doubts, now):
        """Why an attempt is due: the causes, 0 for none."""
        if self.closed or self.stands_back:
            return 0
        if not carries or not self.has.asked:
            return LOST  # K4
        left = self.life_ms - self._age
        if left <= 0 or self.has.spent(_LAST_NUMBERS, _LAST_IDS):
            return doubts | AGED  # K5
        self.look_within(left, now)
        return doubts

    def _judge(self, now):
        """What has had its time goes: IKE SAs, or the attempt."""
        attempt = self.has.attempt
        for owner in self.has.sas:
            if self.closed or owner.rank >> 16 != self.has.sas[-1].rank >> 16:  # K9, K11
                self.has.delete(owner, now)
        if not attempt:
            if self.causes & AGED and self._kept_out and self.overdue(now):  # K5
                self._yield(now)
        elif self.closed or not (self.causes or attempt.authenticating):
            self.liveness.answered(self._begun_at)
            self._end_attempt(_RESPONDED)
            if not self.closed:
                self._emit("answered", "")
        elif elapsed(now, self._begun_at) >= _ATTEMPT_MS:  # K12
            self._end_attempt(_REMOVED)
            self._fail(attempt, _REMOVED, 0, now)
        else:
            self.look_within(_ATTEMPT_MS - elapsed(now, self._begun_at), now)

    def _end_attempt(self, why):
        attempt, self.has.attempt = self.has.attempt, None
        self.node.remove(attempt.slot, why)

    def _fail(self, attempt, reason, refused, now):
        """An attempt has come to nothing."""
        self.failures += 1
        self._why = reason
        self.refused = refused
        self._renews = False
        self.clock.failed(attempt, refused, self.up, now)
        self._kept_out = self.up and attempt is not None and attempt.authenticating and taken(refused)
        if self._kept_out and self.causes & SILENT:  # K6
            sas, self.has.sas = self.has.sas, []
            for owner in sas:
                self.node.remove(owner.slot, _SUPERSEDED)
            self.contact = self._renews = True
        elif self._kept_out and self.causes & AGED and no_address(refused) and attempt.authenticated:  # K5
            self._yield(now)
        self._emit("failed", self.reason)

    def _yield(self, now):
        """K5: the old one has to go before there can be a new one."""
        self._renews = True
        self.clock.hasten()
        for owner in self.has.sas:
            self.has.delete(owner, now)
        self.has.asked = None

    def _enter(self, carries, now):
        """The state that follows."""
        if self.closed:
            state = LEAVING if self.has.ours else CLOSED
        elif self.has.attempt:
            state = REPLACING if carries else ATTEMPTING
        elif self.has.sas and not self.has.asked:
            state = YIELDING
        else:
            state = UP if carries else DOWN
        self.wanted = False
        if _STATES[state][1] & self.causes:
            left = self.clock.left(now)
            self.wanted = not left
            if left:
                self.look_within(left, now)
        if state != self.state:
            carried = self._carrying
            self._carrying = carries
            self.state = state
            if carried and not carries and not self.closed:
                self._emit("down", self.reason)
            elif carries and not carried:
                self._emit("up", text_of(self.stack.address))
            if state != UP and state != DOWN:
                self._emit(self.word, self.because)
        if state == CLOSED:
            self.node.unfollow(self)

    def _emit(self, word, text):
        """Enter an event; the oldest makes room."""
        if len(self._events) >= _EVENTS:
            self._events.pop(0)
        self._events.append((word, text))
