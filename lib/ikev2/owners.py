"""The owners of a node's SAs, and what became of them: events.

An SA lives and dies in one place: `attach` gives an IKE SA of the table its owner, `remove` takes it away with its
Child SAs, its owner and what waits for a response; so does whoever removes it from the table itself. Without an owner
nothing can be sent over it, and it is not established (S1.1). Whoever wants to know reads `event`.

The owner of an IKE SA has, as informational.IkeSa has them:
report_unknown_spi(datagram, at) -- tell the peer; allocates nothing
hint(now, denied) -- the peer may be gone, `denied`: it has denied the IKE SA; true if that makes a liveness check
alive(now) -- the peer is there
receive(message, at, length, now) -- 1 if the message is the peer's and new, 2 if it is a request retransmitted, else 0
outgoing(out, at, now) -- length of the message to send now, in out[at:]; 0
next_timer(now) -- milliseconds until `outgoing` or `work` has something to do; -1
work(now) -- a slice of what takes long; true if there is more to do, and nothing to be sent because of this one
invalid_spi_length, longest -- octets of an INVALID_SPI request, and of its longest message
waiting -- a request of its own has no response yet
failed, code -- the IKE SA is over, and why: a code of sa/reasons.py
policy -- what the IKE SA was made by, None: nothing; a follower knows its own by it
established -- False for an attempt to make one
follows -- the peer is where its newest message came from (P6)

The owner of a Child SA is the policy.Child that was negotiated, until a follower has made of it what opens packets. It
has receive(packet, at, length, now), true if the packet is the peer's, outgoing(out, at, now), the length of an ESP
packet, longest, disowned, True from when the peer has said that it has no such SA (K10), and child, that policy.Child.

A follower has take(kind, slot, detail, now), called for each event, attend(now), called when something has happened and
after its events, and tick(now), which may be `work` too, and next_timer(now) as a node has them. Without a follower
events wait for `event`.
Events are news, the table is the truth: a follower that has missed one finds out all the same.
"""

from portable import const

from .wire import MARKER

# Kinds of events: (kind, slot, detail).
ESTABLISHED = const(0)  # an IKE SA, with what else came of the attempt
FAILED = const(1)  # an attempt, and why
HINT = const(2)  # about an IKE SA; the verdict
GONE = const(3)  # an IKE SA, and why: a code of sa/reasons.py
CHILD_NEW = const(4)  # a Child SA, and what it is made of
CHILD_GONE = const(5)  # a Child SA, and the IKE SA that it belonged to
UNKNOWN_SPI = const(6)  # the peer of an IKE SA has sent INVALID_SPI over it; the SPI
REPLACED = const(7)  # an IKE SA, and the slot of the one that its peer has made in its place
LIFETIME = const(8)  # the peer of an IKE SA wants a new one within that time; seconds, four octets (RFC 4478)

_EVENTS = const(16)
_SATURATED = const(0x3FFFFFFF)
_OUT = const(256)
_REMOVED = const(-20)  # as sa/reasons.py has it


class Owners:
    """The owners of the SAs in an SpiTable; `lengths` and `hints` are what a Notifier needs to know of them.

    lengths -- array of the lengths of an INVALID_SPI datagram over each IKE SA, 0: it has no owner
    buffer -- what an owner sends is made here; also for who sends at once and leaves nothing in it
    """

    def __init__(self, table, lengths, hints):
        if table.watcher:
            raise ValueError("a node has this table already: %r" % table.watcher)
        table.watcher = self
        self.table = table
        self.lengths = lengths
        self.hints = hints
        self.owners = [None] * table.size[0]
        self.child_owners = {}
        self.missed = 0  # events that nobody has read in time
        self.owned = []  # slots that have an owner; who was asked last stands last
        self.buffer = bytearray(_OUT)
        self._events = []
        self._followers = ()
        self._unattended = False  # something has happened since the followers last looked
        self._why = None  # the IKE SA goes that is being removed

    def attach(self, slot, owner):
        """Make `owner` the owner of IKE SA `slot`."""
        self.table.ike_sa(slot)
        length = owner.invalid_spi_length + MARKER  # the peer may move to 4500
        self._make_room(owner.longest + MARKER)
        if slot not in self.owned:
            self.owned.append(slot)
        self.owners[slot] = owner  # K14: whole or not at all
        self.lengths[slot] = length

    def attach_child(self, slot, owner):
        """Give Child SA `slot` the one who opens its packets."""
        self.table.child_sa(slot)
        self._make_room(owner.longest)
        self.child_owners[slot] = owner

    def _make_room(self, size):
        if len(self.buffer) < size:
            self.buffer = bytearray(size)

    def detach(self, slot):
        """IKE SA `slot` has no owner any longer: S1.1, it is not established."""
        self.table.update_ike(slot, established=False)
        self._forget(slot)

    def remove(self, slot, reason):
        """P7: IKE SA `slot` goes from the table with its Child SAs, its owner and what waits for a response."""
        self._why = reason
        try:
            self.table.remove_ike(slot)
        finally:
            self._why = None

    def _forget(self, slot):
        self.owners[slot] = None
        if slot in self.owned:
            self.owned.remove(slot)
        self.lengths[slot] = 0
        self._unattended = True
        self.answered(slot)

    def ike_gone(self, slot):
        """The table has no IKE SA `slot` any longer."""
        self._forget(slot)
        self.emit(GONE, slot, self._why or _REMOVED)

    def child_gone(self, slot, ike):
        """The table has no Child SA `slot` any longer; it belonged to IKE SA `ike`."""
        self.child_owners.pop(slot, None)
        self.emit(CHILD_GONE, slot, ike)

    def emit(self, kind, slot, detail=None):
        """Enter an event; the oldest makes room, and one for which there is no room at all is missed (K12)."""
        self._unattended = True
        try:
            if len(self._events) >= _EVENTS:
                self._events.pop(0)
                self.missed = min(self.missed + 1, _SATURATED)
            self._events.append((kind, slot, detail))
        except MemoryError:
            self.missed = min(self.missed + 1, _SATURATED)

    def event(self):
        """The oldest event, (kind, slot, detail), or None."""
        return self._events.pop(0) if self._events else None

    def follow(self, follower):
        """Tell it of what happens from now on."""
        self._followers = self._followers + (follower,)

    def unfollow(self, follower):
        """Tell it nothing any more."""
        self._followers = tuple([other for other in self._followers if other is not follower])

    def attend(self, now):
        """Let the followers know. What one of them raises stops no other."""
        error = None
        while self._events:
            kind, slot, detail = self._events.pop(0)
            for follower in self._followers:
                try:
                    follower.take(kind, slot, detail, now)
                except Exception as raised:
                    error = raised
        self._unattended = False
        for follower in self._followers:
            try:
                follower.attend(now)
            except Exception as raised:
                error = raised
        if error:
            raise error

    def expect(self, slot, exchange, message_id):
        """A request of ours over IKE SA `slot` is on its way: exchange type, Message ID in four octets."""
        self.hints.expect(slot, exchange, message_id)

    def answered(self, slot):
        """No request over IKE SA `slot` waits any longer."""
        self.hints.answered(slot)
