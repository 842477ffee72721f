"""Two that call each other: which of two tunnels between them stays (rule H5).

A `Crossing` follows the node of a Life that calls a peer and of Members that accept the same one. An attempt of ours
ends when the peer's is accepted before our IKE_AUTH. If both are up, the IKE SA stays whose initiator has the lower id,
and the initiator of the other deletes it. While the peer's stands and is not denied, the Life makes none.
"""


class Crossing:
    """Of the tunnel `life` and the peer that is accepted with `id`."""

    def __init__(self, life, members, id):
        self._life = life
        self._members = members
        self._id = id
        life.node.follow(self)

    # What a node asks of its follower.

    def take(self, kind, slot, detail, now):
        """Events are news."""

    def attend(self, now):
        """Look at what both have."""
        life = self._life
        member = self._members.members.get(self._id)
        yields = False
        if member and member.current and not life.node.owners[member.ike].denied:
            yields = not life.up or self._id.encode() < life.policy.id.encode()
        if yields:
            for owner in life.has.sas:
                life.has.delete(owner, now)
        if yields != life.stands_back:
            life.stands_back = yields
            life.attend(now)

    def tick(self, now):
        """Nothing is due by time alone."""

    def next_timer(self, now):
        """The same."""
        return -1
