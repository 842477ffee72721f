"""One Child SA of a tunnel, as the node sees it: its owner. ESP outside, sockets inside, keepalives (RFC 3948 4)."""

from ikev2.budget import elapsed
from ikev2.wire import const

from .esp import REASONS, ROOM, ChildSa

_LONGEST = const(1480)  # octets of a datagram, and what seal needs behind it
_KEEPALIVE = const(0xFF)
_UNPROVEN = [REASONS.index(reason) for reason in ("replay", "integrity", "malformed")]


class Traffic:
    """`child` as an attempt or a rekey made it (ikev2.proposals.Child), in the tunnel of a Life."""

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
        if reason in _UNPROVEN:
            return False  # E6
        if not reason:
            self._answer = self._life.inner.receive(esp.packet, esp.size, now)  # T6
        self._life.prove(self)
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
