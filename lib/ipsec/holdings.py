"""What a tunnel has, as the node's table and its owners say whenever they are looked at (K12), and what of it goes.

No event has to be heard for it, so none can be missed:
- Its IKE SAs are those made by its policy (owner.policy). An attempt is alive as long as its slot has it as owner.
- The newest generation of IKE SAs is the last attempt's; those of older ones are deleted (K5, K6, K9). Within one, the
  gateway's rekeys count (owner.rank); we ask over the newest that has proved itself (K2).
- The Child SA that carries is the newest that has proved itself, else the newest (K1). Its predecessor is stale once it
  is deleted: back in the table for two seconds, for packets on their way (K11).
"""

from ikev2.wire import ESP
from portable import const, elapsed

from .traffic import Traffic

# As ikev2.sa.reasons has them.
_REMOVED = const(-20)
_SUPERSEDED = const(-27)
_NO_RESPONSE_DELETE = const(-28)
_NO_CHILD_SA = const(-34)
_CHILD_SA_LOST = const(-35)

_LEAVING_MS = const(10000)  # how long the gateway may take to answer our Delete
_LEFTOVER_MS = const(60000)  # K12: how long it may take to delete what it has replaced
_STALE_MS = const(2000)  # K11


class Holdings:
    """Of the tunnel `life`, in its node's table."""

    pairs = 0  # Child SAs that carry or could
    _others = ()  # Traffics beside the one that carried when it was last looked for
    _numbers = 0  # of Traffics
    _more_at = -1  # since when there is more than one IKE SA or Child SA

    def __init__(self, life):
        self.sas = []  # owners of our established IKE SAs, the newest last
        self.asked = None  # the owner of the one over which we ask
        self.attempt = None  # the owner of the one in the making
        self.chosen = None  # the Traffic that carried when it was last looked for
        self._life = life

    @property
    def ours(self):
        """Slots of our IKE SAs in the table, an attempt's included."""
        owners = self._life.node.owners
        return [slot for slot in self._life.node.owned if owners[slot].policy is self._life.policy]

    def find(self):
        """Look for our IKE SAs, the newest last, and the attempt; the IKE SAs that there were before."""
        sas = []
        attempt = None
        for owner in self._life.node.owned:
            owner = self._life.node.owners[owner]
            if owner.policy is self._life.policy and not owner.failed:
                if owner.established:
                    sas.append(owner)
                else:
                    attempt = owner
        if len(sas) > 1:
            sas.sort(key=lambda owner: owner.rank)
        if sas and not sas[0].rank:
            sas.append(sas.pop(0))
        self.attempt = attempt
        self.sas, sas = sas, self.sas
        return sas

    def choose(self, now):
        """The IKE SA over which we ask, and the Child SA that carries; the reason, if there is none."""
        self.asked = None
        for owner in self.sas:
            if owner.attended_at < 0:
                owner.alive(now)
                owner.attended_at = now
            if not owner.deleting and (self.asked is None or _has_proved(owner)):  # K2
                self.asked = owner
        best = None
        others = ()
        self.pairs = 0
        for slot in tuple(self._life.node.child_owners):
            traffic = self._traffic(slot, now)
            if traffic and not traffic.unwanted:
                self.pairs += 1
                if best is None or self._fitness(traffic) > self._fitness(best):
                    best, traffic = traffic, best
            if traffic:
                others += (traffic,)
        if best and best.disowned:  # K10
            self._delete_child(best)
            self.choose(now)
            return _CHILD_SA_LOST
        before, self._others, last, self.chosen = self._others, others, self.chosen, best
        if best and (best is not last or before):
            for traffic in before + (last,):
                self._retire(traffic, now)
        return _NO_CHILD_SA

    def _retire(self, traffic, now):
        """K11: a pair that is gone from the table, while another carries, receives for a while."""
        node = self._life.node
        if traffic is None or traffic.stale_at >= 0 or node.child_owners.get(traffic.child.slot) is traffic:
            return
        traffic.retire(now)
        self._life.look_within(_STALE_MS, now)
        child = traffic.child
        slot = -1
        try:  # no SPI of its own to send to: no Delete, no rekey, no hint can mean it
            ike = node.table.owner_of(self.chosen.child.slot)
            child.slot = slot = node.table.adopt_child(ike, ESP, child.spi_in, child.spi_in)
            node.attach_child(slot, traffic)
        except (ValueError, MemoryError):  # no room
            if slot >= 0:
                node.table.remove_child(slot)

    def drop_stale(self):
        """Nothing on its way is waited for any longer."""
        for slot, traffic in list(self._life.node.child_owners.items()):
            if isinstance(traffic, Traffic) and traffic.carrier is self._life and traffic.stale_at >= 0:
                self._life.node.table.remove_child(slot)

    def _traffic(self, slot, now):
        """The Traffic of Child SA `slot`, if that is ours and not stale; else None."""
        traffic = self._owner(slot)
        if traffic is not None and type(traffic) is not Traffic:
            traffic = self._made(traffic, now)
        if traffic is not None and traffic.stale_at >= 0:
            left = _STALE_MS - elapsed(now, traffic.stale_at)
            if left > 0:
                self._life.look_within(left, now)
            else:
                self._life.node.table.remove_child(slot)
            return None
        return traffic

    def _owner(self, slot):
        """The owner of Child SA `slot`, if that is ours; else None."""
        node = self._life.node
        traffic = node.child_owners[slot]
        ike = node.table.owner_of(slot)
        owner = node.owners[ike]
        if owner is not None and owner.policy is self._life.policy:
            return traffic
        if owner is None and type(traffic) is Traffic and traffic.carrier is self._life:
            node.remove(ike, _REMOVED)  # K12: nobody speaks for it
        return None

    def _made(self, child, now):
        """The Traffic of a Child SA that was negotiated."""
        traffic = Traffic(self._life, child, now, number=self._numbers + 1)
        if child.replaces < 0:
            traffic.verified = True
            self._life.inside(child)
        self._numbers += 1
        traffic.install()  # K14: the last thing, so what failed is done again
        return traffic

    def _fitness(self, traffic):
        """K1: the newest that has proved itself, else the newest; over an IKE SA that stays before one that goes."""
        owner = self._life.node.owners[self._life.node.table.owner_of(traffic.child.slot)]
        return not owner.deleting, traffic.verified, traffic.number

    def _delete_child(self, traffic):
        table = self._life.node.table
        ike, _, spi_in, _ = table.child_sa(traffic.child.slot)
        self._life.node.owners[ike].delete_child(spi_in)
        traffic.unwanted = True

    def spent(self, numbers, ids):
        """True if the numbers of ESP packets, or Message IDs, are used up to there."""
        traffic, asked = self._life.current, self.asked
        if traffic and traffic.esp.next >= numbers:
            return True
        return asked is not None and max(asked.message_ids) >= ids

    def delete(self, owner, now):
        """Delete an IKE SA."""
        if not owner.deleting:
            owner.deleted_at = now
            owner.delete()

    def expire(self, now, patience_ms=_LEAVING_MS):
        """What is being deleted, and has not been answered for that long, goes without."""
        i = len(self.sas)
        while i:
            i -= 1
            owner = self.sas[i]
            if owner.deleting:
                left = patience_ms - elapsed(now, owner.deleted_at)
                if left > 0:
                    self._life.look_within(left, now)
                else:
                    self._life.node.remove(owner.slot, _NO_RESPONSE_DELETE)

    def tidy(self, now):
        """K12: what nobody needs any longer does not stay: a Delete without answer, what the gateway has replaced."""
        self.expire(now)
        more = self.pairs > 1
        if not more and len(self.sas) > 1:
            more = len([owner for owner in self.sas if not owner.deleting]) > 1
        if not more:
            self._more_at = -1
        elif self._more_at < 0:
            self._more_at = now
        if more:
            left = _LEFTOVER_MS - elapsed(now, self._more_at)
            if left <= 0:
                self._more_at = now
                self.settle(now)
            self._life.look_within(left if left > 0 else _LEFTOVER_MS, now)

    def settle(self, now):
        """Have what the gateway has replaced deleted, or ask over it (K12)."""
        for owner in self.sas:
            if self.asked and owner is not self.asked and not owner.deleting:
                if owner.rank < self.asked.rank:
                    self.delete(owner, now)
                else:
                    owner.check(now)
        current = self._life.current
        if current and current.verified:
            for slot in list(self._life.node.child_owners):
                traffic = self._traffic(slot, now)
                if traffic and not traffic.unwanted and traffic.number < current.number:
                    self._delete_child(traffic)

    def slot(self, endpoint):
        """A slot for an attempt; if there is none, one is made."""
        node = self._life.node
        for last in (False, True):
            try:
                node.table.child.choose(node.random)
                return node.table.add_ike(node.random, True, endpoint)
            except ValueError:
                if last:
                    raise
                self._make_room()

    def _make_room(self):
        """K12: what nobody can speak over goes, and of ours what has been replaced."""
        node = self._life.node
        for slot in node.table.ike_sas():
            if node.owners[slot] is None:
                node.remove(slot, _REMOVED)
        for owner in self.sas:
            if owner is not self.asked:
                node.remove(owner.slot, _SUPERSEDED)
        for slot in tuple(node.child_owners):
            traffic = node.child_owners[slot]
            if isinstance(traffic, Traffic) and traffic.carrier is self._life and traffic is not self._life.current:
                node.table.remove_child(slot)


def _has_proved(owner):
    """True if something verified has come over an IKE SA: one that an attempt made has proved itself (K2)."""
    if not owner.rank & 0xFFFF:
        return True
    ours, theirs = owner.message_ids
    return theirs > 0 or ours > owner.waiting
