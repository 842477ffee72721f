"""How often a hub may answer what anyone could have sent, where many peers share an address behind a NAT (rule H4).

No address pauses after an answer, but none has more than half of the bucket, and half of its rate.
"""

from ikev2.budget import Budget
from portable import const, elapsed

_ADDRESSES = const(256)
_HALF_MS = const(1000)  # that half of the bucket costs


class Shares(Budget):
    """A Budget of so many answers a second, and as many at once."""

    def __init__(self, answers_per_s):
        super().__init__(answers_per_s, answers_per_s, 0, 1)
        self._price = 2000 // answers_per_s  # milliseconds that an answer costs its address
        self._debts = {}  # of addresses: (milliseconds, when)

    def allow(self, source, kind, now):
        """As Budget.allow."""
        address = bytes(source[:-2])
        debt = self._debt(address, now) + self._price
        if debt > _HALF_MS or not super().allow(source, kind, now):
            return False
        if len(self._debts) >= _ADDRESSES:
            self._forget(now)  # a debt lasts for a second: fewer are left than two buckets
        self._debts[address] = debt, now
        return True

    def tick(self, now):
        """As Budget.tick."""
        super().tick(now)
        self._forget(now)

    def _debt(self, address, now):
        debt, since = self._debts.get(address, (0, now))
        return max(0, debt - elapsed(now, since))

    def _forget(self, now):
        for address in list(self._debts):
            if not self._debt(address, now):
                del self._debts[address]
