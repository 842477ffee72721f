"""The Child SAs of a tunnel: ESP outside, sockets inside, keepalives (RFC 3948 4). All receive, one of them sends.

A `Traffic` is the owner of one, as the node sees it. `Carriers` is what a Life has of them (K1).
"""

from portable import const, elapsed

from .esp import REASONS, ROOM, ChildSa

_LONGEST = const(1480)  # octets of a datagram, and what seal needs behind it
_KEEPALIVE = const(0xFF)
_UNVERIFIED = [REASONS.index(reason) for reason in ("replay", "integrity", "malformed")]


class Traffic:
    """`child` as an attempt or a rekey made it (ikev2.sa.policy.Child), in the tunnel of a Life."""

    longest = _LONGEST

    def __init__(self, life, child, now, next=1, seen=0):
        self.child = child
        self.sent_at = now
        self.esp = ChildSa(
            child.cipher, child.key_in, child.key_out, child.spi_out, child.inside, child.remote, life.node.random,
            next, seen,
        )  # fmt: skip
        if not life.policy.keep_keys:
            child.key_in = child.key_out = None
        self._life = life
        self._answer = 0  # length of the packet in esp.packet that goes back

    def receive(self, packet, at, length, now):
        """True if the packet is the gateway's; what is inside goes to its socket."""
        esp = self.esp
        reason = esp.open(packet, at, length)
        if reason in _UNVERIFIED:
            return False  # E6
        self._life.prove(self)
        if not reason:
            self._answer = self._life.stack.receive(esp.packet, esp.size, now)  # T6
        return True

    def outgoing(self, out, at, now):
        """Length of an ESP packet or a keepalive for the gateway, in out[at:]; 0."""
        life = self._life
        size, self._answer = self._answer, 0
        if size:
            out[at + ROOM : at + ROOM + size] = memoryview(self.esp.packet)[:size]
            carrier = life.current or self
            length = carrier.esp.seal(out, at, size)
            if length:
                carrier.sent_at = now
                return length
        if self is life.current and life.keepalive_ms and not self.keepalive_in(now):  # K8
            self.sent_at = now
            out[at] = _KEEPALIVE
            return 1
        return 0

    def keepalive_in(self, now):
        """Milliseconds until the NAT between must hear from us."""
        return max(0, self._life.keepalive_ms - elapsed(now, self.sent_at))


class Carriers:
    """What Life inherits: its Traffics, of which `current` carries what goes out; None: the tunnel is down."""

    def __init__(self, keepalive_ms):
        self.keepalive_ms = keepalive_ms
        self.current = None
        self.traffics = []  # the newest last
        self.after_sleep = False  # from sleep, and nothing has come since
        self._asked_at = -1  # when something was sent inside to which nothing has come yet

    @property
    def up(self):
        """True while there is a Child SA to send on."""
        return self.current is not None

    def seal(self, out, size, now):
        """Length of the datagram in `out` around the inner packet that stands from esp.ROOM on; 0, see refused."""
        length = self.current.esp.seal(out, 0, size)
        if length:
            self.current.sent_at = now
            if self._asked_at < 0:  # K6: it should be answered
                self._asked_at = now
        return length

    def endpoint(self):
        """Where the gateway is."""
        table = self.node.table
        return table.ike_sa(table.child_sa(self.current.child.slot)[0])[3]

    def prove(self, traffic):
        """Something verified has come on it: K1, what is newer than what we send on takes its place."""
        self._asked_at = -1
        self.after_sleep = False
        if self.current is not traffic and traffic in self.traffics:
            if not self.current or self.traffics.index(traffic) > self.traffics.index(self.current):
                self.current = traffic

    # What Life uses.

    def _carry(self, child, leaving, now):
        """A Child SA of ours has come into being: it receives from now on. `leaving`: its IKE SA is being deleted."""
        traffic = Traffic(self, child, now)
        self.traffics.insert(0 if leaving else len(self.traffics), traffic)
        self.node.attach_child(child.slot, traffic)
        return traffic

    def _drop(self, slot):
        """A Child SA is gone; the newest of the others carries on (K1)."""
        self.traffics = [traffic for traffic in self.traffics if traffic.child.slot != slot]
        if self.current and self.current.child.slot == slot:
            self.current = self.traffics[-1] if self.traffics else None
