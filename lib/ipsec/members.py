"""Who is there: the SAs of the peers that we have accepted, and which of them carries (rules A9, A11, H1 to H3).

`Members` follows a node. What a peer has is what the table and its owners say whenever it is looked at, which is after
each event and each second: the IKE SAs whose policy it is, the Child SAs that belong to them. Each Acceptance begins a
generation of IKE SAs, which rekeys continue (owner.rank). No I/O. Nothing is renewed here, and nobody is asked whether
it lives: the caller does (H2, H3).
"""

from errno import ECONNABORTED

from ikev2.initial.acceptor import Acceptor
from ikev2.owners import GONE
from ikev2.sa.policy import Child
from ikev2.sa.reasons import reason
from ikev2.sa.selectors import cut, host
from portable import const, elapsed, sooner

from .traffic import Traffic

# As ikev2.sa.reasons has them.
_NO_ROOM = const(-9)
_SUPERSEDED = const(-27)
_NO_RESPONSE_DELETE = const(-28)
_NO_CHILD_SA = const(-34)

_GENERATIONS = const(2)  # of one id (A9)
_LOOK_MS = const(10000)
_UNTOLD_MS = const(1000)
_CHILDLESS_MS = const(30000)  # A11
_LIFETIME_MS = const(86400000)  # H3
_AFTER_MS = const(3600000)
_HOUR_MS = const(3600000)
_LAST_NUMBERS = 0xFFFFFF00  # of ESP packets, and Message IDs
_TIMES = const(3)  # what is sent to an unproved address at most, of what came from there (H1)
_LEAST = const(80)  # octets of the shortest IKE message
_EVENTS = const(64)
_SHOWN = const(64)  # octets of an id that nobody has proved


class _Carried(Traffic):
    """A Traffic that tells who sent it from where, and asks how much may go there."""

    highest = 0

    def receive(self, packet, at, length, now):
        good = super().receive(packet, at, length, now)
        if good and self.esp.seen != self.highest:
            self.highest = self.esp.seen
            self.carrier.heard(self, length - at)
        return good

    def outgoing(self, out, at, now):
        length = super().outgoing(out, at, now)
        return length if self.carrier.affords(length) else 0


class Member:
    """A peer that is there, as a carrier of Traffics (traffic.py); `policy` is its Peer.

    To them it is their stack as well: of the one that all share, of TCP the connections to it.
    """

    asks = False  # nobody is asked whether it lives (H3)
    keepalive_ms = 0  # A4: none to sleepers
    current = None  # the Traffic of the Child SA that carries what goes to it
    generation = 0  # of its IKE SAs, one more with each that it has begun itself
    place = None  # the endpoint where it is
    is_up = False  # and somebody has been told
    refused = ""  # why `seal` did not
    _numbers = 0  # of Traffics
    _unproved = False  # nothing has come a second time from the address that it has moved to
    _credit = 0  # octets that may be sent there until then
    _moved_by = None  # the owner of the IKE SA, and the Message ID that it awaited when it had moved

    def __init__(self, node, peer, stack):
        self.node = node
        self.policy = peer
        self._stack = stack

    @property
    def stack(self):
        return self

    @property
    def tcp(self):
        return self if self._stack.tcp else None

    def receive(self, packet, size, now):
        return self._stack.receive(packet, size, now)

    def outgoing(self, out, at, room, now):
        return self._stack.tcp.outgoing(out, at, room, now, self.reaches)

    def reaches(self, address):
        """True if that address inside, four octets, is its own, or behind it."""
        return self.current is not None and len(cut(host(address), self.current.child.remote)) > 0

    @property
    def ike(self):
        """Slot of the IKE SA of what carries."""
        return self.node.table.owner_of(self.current.child.slot)

    def prove(self, traffic):
        """Something verified has come on it: K1, what is newer than what we send on takes its place."""
        if not self.current or traffic.number > self.current.number:
            self.current = traffic

    def heard(self, traffic, size):
        """A packet of `size` octets with a new highest number has come (H1)."""
        node = self.node
        if traffic is self.current:
            if node.table.is_at(self.ike, node.source, node.via):
                self._unproved = False
            else:
                node.table.update_ike(self.ike, peer=node.source, via=node.via)
                self._move(node.source, size)

    def settle(self):
        """See what there is to send on, and whether an IKE message has moved it, or proved where it is."""
        owners = self.node.child_owners
        if self.current and owners.get(self.current.child.slot) is not self.current:
            left = [owner for owner in owners.values() if isinstance(owner, _Carried) and owner.carrier is self]
            left.sort(key=_number)
            self.current = left[-1] if left else None
        if self.current:
            place = self.node.table.ike_sa(self.ike)[3]
            if place != self.place:
                self._move(place, _LEAST)
            elif self._unproved:
                owner, awaited = self._awaits()
                if owner is self._moved_by[0] and awaited != self._moved_by[1]:
                    self._unproved = False
                self._moved_by = owner, awaited

    def carry(self, child, now):
        """Send and receive on that Child SA, too."""
        self._numbers += 1
        traffic = _Carried(self, child, now, number=self._numbers)
        traffic.install()
        self.current = self.current or traffic

    def seal(self, out, size, now):
        """Length of the datagram for it in `out` around the inner packet that stands from esp.ROOM on; 0: refused."""
        traffic = self.current
        length = traffic.esp.seal(out, 0, size)
        self.refused = "" if length else traffic.esp.refused
        if not self.affords(length):
            self.refused = "its new address is not proved"
            return 0
        return length

    def affords(self, length):
        """False if so many octets are more than may go to where it is, it seems (H1)."""
        if self._unproved:
            if length > self._credit:
                return False
            self._credit -= length
        return True

    def _awaits(self):
        owner = self.node.owners[self.ike]
        return owner, owner and owner.message_ids[1]

    def _move(self, to, size):
        """It is there, it seems, from where so many octets have come (H1)."""
        if self.place and self.place[:-2] != to[:-2]:
            self._moved_by = self._awaits()
            self._unproved = True
            self._credit = _TIMES * size
        self.place = bytes(to)


class Members:
    """The accepted peers of a node, by the ids of `peers` (ikev2.initial.peers.Peers); packets from them go to `stack`.

    most -- ids that may be there at once; `limits` are those of Acceptor
    changed -- called without arguments when there are events, (word, id, text): up, down, refused
    """

    changed = None

    def __init__(self, node, peers, stack, most, **limits):
        self.node = node
        self.peers = peers
        self.stack = stack
        self.members = {}  # by id, those that are there
        self.acceptor = Acceptor(node, peers, self._admit, self._refuse, **limits)
        self.closed = False
        self._most = most
        self._why = {}  # of the IKE SAs that have gone, by slot: the code
        self._events = []
        self._looked_at = self._hour_at = -1
        self._told = False  # of something that has happened since
        node.acceptor = self.acceptor
        node.follow(self.acceptor)
        node.follow(self)

    # For whoever uses them.

    def event(self):
        """The oldest of (word, id, text) that nobody has read; None."""
        return self._events.pop(0) if self._events else None

    def at(self, address):
        """The Member that has that address inside, four octets; None."""
        for member in self.members.values():
            if member.reaches(address):
                return member
        return None

    def close(self, now):
        """Delete all that there is, and accept nobody any more; `over` once that is answered."""
        self.closed = True
        self.node.acceptor = None
        for owner in self._owners():
            owner.delete()

    @property
    def over(self):
        """True once nothing is left."""
        return not self._owners()

    def leave(self):
        """What is left goes without an answer, and the node is somebody else's."""
        for owner in self._owners():
            self.node.remove(owner.slot, _NO_RESPONSE_DELETE)
        self.node.unfollow(self.acceptor)
        self.node.unfollow(self)

    # What a node asks of its follower.

    def take(self, kind, slot, detail, now):
        """Events are news: that there are any, and why an SA has gone, is all that they are read for."""
        self._told = True
        if kind == GONE:
            self._why[slot] = detail

    def attend(self, now):
        """Look at what there is, if that can have changed; where everybody is, always."""
        if self._told or not 0 <= now - self._looked_at < _UNTOLD_MS:
            self._look(now)
        else:
            for member in self.members.values():
                member.settle()

    def tick(self, now):
        """Let time pass."""
        self.stack.tick(now)
        if self._looked_at < 0 or elapsed(now, self._looked_at) >= _LOOK_MS:
            self._look(now)

    def next_timer(self, now):
        """Milliseconds until `tick` is due."""
        look = max(0, _LOOK_MS - elapsed(now, self._looked_at)) if self._looked_at >= 0 else 0
        return sooner(self.stack.next_timer(now), look)

    # The rest is private.

    def _look(self, now):
        self._looked_at = now
        if self._hour_at < 0 or elapsed(now, self._hour_at) >= _HOUR_MS:
            self._hour_at = now
            self.peers.tick(now)
        node = self.node
        found = {}
        for owner in self._owners():
            found.setdefault(owner.policy.id, []).append(owner)
        for id in found:
            if id not in self.members:
                self._enter(found[id][0].policy)
        for slot in list(node.child_owners):
            child = node.child_owners[slot]
            owner = node.owners[node.table.owner_of(slot)]
            if isinstance(child, Child) and owner and owner.policy in self.peers.peers.values():
                self.members[owner.policy.id].carry(child, now)
        for id in list(self.members):
            member = self.members[id]
            member.settle()
            self._tell(member, found.get(id, ()))
            if id in found:
                self._look_after(member, found[id], now)
            else:
                del self.members[id]
                self.peers.left(member.policy, now)
        self._why.clear()
        self._told = False

    def _owners(self):
        """Owners of the IKE SAs of ours that are established."""
        peers = self.peers.peers.values()
        owners = self.node.owners
        return [owners[slot] for slot in self.node.owned if owners[slot].policy in peers and not owners[slot].failed]

    def _enter(self, peer):
        """A Member for a Peer that comes."""
        self.members[peer.id] = member = Member(self.node, peer, self.stack)
        return member

    def _admit(self, slot, accepted, now):
        """An IKE SA is established."""
        peer = accepted.peer
        owners = [owner for owner in self._owners() if owner.policy is peer and owner.slot != slot]
        for owner in owners if accepted.contact else ():  # A9
            self.node.remove(owner.slot, _SUPERSEDED)
        member = self.members.get(peer.id)
        if not member:
            if len(self.members) >= self._most:
                self._make_room(now)
            member = self._enter(peer)
        member.generation += 1
        self.node.owners[slot].rank = member.generation << 16

    def _make_room(self, now):
        """H2: who was silent for longest makes room for another."""
        silent = {}
        for owner in self._owners():
            id = owner.policy.id
            if id in self.members:
                ms = elapsed(now, owner.verified_at)
                silent[id] = min(silent.get(id, ms), ms)
        quiet = max(silent, key=silent.get) if silent else None
        for owner in self._owners():
            if owner.policy.id == quiet:
                self.node.remove(owner.slot, _NO_ROOM)

    def _refuse(self, source, id):
        who = repr(id[4 : 4 + _SHOWN])[2:-1] if id[:1] in b"\x02\x03" else repr(id[: 4 + _SHOWN])  # anyone's octets
        self._emit("refused", who, "from %s" % ".".join([str(octet) for octet in source[:-2]]))

    def _look_after(self, member, owners, now):
        """A9, A11, H3: what has had its time."""
        remove = self.node.remove
        generations = sorted({owner.rank >> 16 for owner in owners})
        for owner in owners:
            if owner.rank >> 16 not in generations[-_GENERATIONS:]:
                remove(owner.slot, _SUPERSEDED)
                continue
            if owner.attended_at < 0:
                owner.attended_at = now
                owner.childless_at = -1  # since when it has no Child SA
            if self.node.table.children(owner.slot):
                owner.childless_at = -1
            elif owner.childless_at < 0:
                owner.childless_at = now
            alone = elapsed(now, owner.childless_at) if owner.childless_at >= 0 else 0
            age = elapsed(now, owner.attended_at)
            if age >= _LIFETIME_MS + _AFTER_MS or alone >= 2 * _CHILDLESS_MS:
                remove(owner.slot, _NO_CHILD_SA if alone else _NO_RESPONSE_DELETE)
            elif max(owner.message_ids) >= _LAST_NUMBERS:
                remove(owner.slot, _NO_RESPONSE_DELETE)
            elif (age >= _LIFETIME_MS or alone >= _CHILDLESS_MS) and not owner.deleting:
                owner.delete()
        if member.current and member.current.esp.next >= _LAST_NUMBERS:
            remove(member.ike, _NO_RESPONSE_DELETE)

    def _tell(self, member, owners):
        up = member.current is not None
        if up and not member.is_up:
            self._emit("up", member.policy.id, "inside %d.%d.%d.%d" % tuple(member.current.child.remote[5:9]))
        elif member.is_up and not up:
            codes = [self._why[slot] for slot in self._why] if not owners else [_NO_CHILD_SA]
            self._emit("down", member.policy.id, reason(codes[-1]) if codes else "")
            for connection in list(self.stack.tcp.connections) if self.stack.tcp else ():
                if not self.at(connection.host):
                    connection.end(OSError(ECONNABORTED, "%s is gone" % member.policy.id))
        member.is_up = up

    def _emit(self, *event):
        if len(self._events) >= _EVENTS:
            self._events.pop(0)
        self._events.append(event)
        if self.changed:
            self.changed()


def _number(traffic):
    return traffic.number
