"""The owner of a Child SA of a tunnel: ESP outside, sockets inside, keepalives (RFC 3948 4).

All of a tunnel's Child SAs receive, one of them sends: `carrier.current`. The carrier is a Life, or whoever else has
node, policy, stack, keepalive_ms, and prove(traffic), called for each packet that proves a Child SA; for connections
of TCP whose `asks` is true it has a Liveness, too.
"""

from portable import const, elapsed

from .esp import REASONS, ROOM, ChildSa

_LONGEST = const(1480)  # octets of a datagram, and what seal needs behind it
_KEEPALIVE = const(0xFF)
_UNVERIFIED = [REASONS.index(reason) for reason in ("replay", "integrity", "malformed")]


class Traffic:
    """`child` as an attempt or a rekey made it (ikev2.sa.policy.Child); the higher `number`, the newer."""

    longest = _LONGEST
    disowned = False  # the gateway has said that it has no such SA (K10)
    unwanted = False  # it is to be deleted
    verified = False  # something verified has come on it
    stale_at = -1  # since when it only receives (K11)

    def __init__(self, carrier, child, now, next=1, seen=0, number=0):
        self.child = child
        self.carrier = carrier
        self.number = number
        self.sent_at = now
        self.esp = ChildSa(
            child.cipher, child.key_in, child.key_out, child.spi_out, child.inside, child.remote, carrier.node.random,
            next, seen,
        )  # fmt: skip
        self._answer = 0  # length of the packet in esp.packet that goes back

    def install(self):
        """Be the owner of its Child SA, whose keys nobody needs from then on but who keeps them for sleep (Z5).

        The table has the SPIs.
        """
        child = self.child
        self.carrier.node.attach_child(child.slot, self)
        if not self.carrier.policy.keep_keys:
            child.key_in = child.key_out = child.spi_out = None

    def retire(self, now):
        """Only receive from now on; the keys of the other direction go (K11)."""
        self.stale_at = now
        self.unwanted = True
        self.esp.end()
        self.child.key_in = self.child.key_out = None

    def receive(self, packet, at, length, now):
        """True if the packet is the gateway's; what is inside goes to its socket."""
        esp = self.esp
        reason = esp.open(packet, at, length)
        if reason in _UNVERIFIED:
            return False  # E6
        self.verified = True
        self.carrier.prove(self)
        if not reason:
            self._answer = self.carrier.stack.receive(esp.packet, esp.size, now)  # T6
        return True

    def outgoing(self, out, at, now):
        """Length of an ESP packet or a keepalive for the gateway, in out[at:]; 0."""
        carrier = self.carrier
        if self._answer or carrier.stack.tcp:
            length = self._send(out, at, now)
            if length:
                return length
        if carrier.keepalive_ms and not self.keepalive_in(now) and self is carrier.current:  # K8
            self.sent_at = now
            out[at] = _KEEPALIVE
            return 1
        return 0

    def _send(self, out, at, now):
        """What goes back, or what TCP has to say."""
        carrier = self.carrier
        size, self._answer = self._answer, 0
        tcp = None
        if size:
            out[at + ROOM : at + ROOM + size] = memoryview(self.esp.packet)[:size]
        elif self is carrier.current:
            tcp = carrier.stack.tcp
            size = tcp.outgoing(out, at + ROOM, self.esp.room(), now)
        if size:
            sender = carrier.current or self
            length = sender.esp.seal(out, at, size)
            if length:
                sender.sent_at = now
                if tcp and tcp.asks:  # V12
                    carrier.liveness.expect(now)
                return length
        return 0

    def keepalive_in(self, now):
        """Milliseconds until the NAT between must hear from us."""
        return max(0, self.carrier.keepalive_ms - elapsed(now, self.sent_at))
