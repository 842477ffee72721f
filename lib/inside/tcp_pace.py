"""How fast a TCP connection may send, and how long it waits for an answer (RFC 5681, 6582, 5827, 6298; V3).

Windows and places are octets from una, the first that is not acknowledged.
"""

from portable import const, elapsed

_MSS_DEFAULT = const(536)
_RTO = const(1000)
_RTO_LEAST = const(300)
_RTO_MOST = const(60000)
_MOST = const(0xFFFF)


class Pace:
    """`mss` octets a segment; `window` is the congestion window; `rto` the retransmission timer.

    What the peer has beyond una is from `sack` to `sack_end`. The first segment is sent again if `resend` is set.
    """

    def __init__(self):
        self.mss = _MSS_DEFAULT
        self.window = self._threshold = _MOST
        self.rto = _RTO
        self.srtt = self.variance = 0  # by 8 and by 4
        self.timed = 0  # what is acknowledged when the round trip is measured; 0: nothing
        self.resend = False
        self.sack = self.sack_end = 0
        self._timed_at = 0
        self._fast = False  # fast recovery, until _recover is acknowledged
        self._duplicates = self._recover = 0

    def begin(self):
        self.window = min(4 * self.mss, max(2 * self.mss, 4380))

    def measured(self, ms):
        """A round trip of so long; 0: only what is known already."""
        if self.srtt and ms:
            off = ms - (self.srtt >> 3)
            self.srtt += off
            self.variance += abs(off) - (self.variance >> 2)
        elif ms:
            self.srtt = ms << 3
            self.variance = ms << 1
        self.rto = min(max(_RTO_LEAST, (self.srtt >> 3) + self.variance), _RTO_MOST)

    def sent(self, end, now):
        """What goes up to that place was sent for the first time."""
        if not self.timed:
            self.timed = end
            self._timed_at = now

    def told(self, left, right, last):
        """The peer has a SACK block, of `last` octets that were sent."""
        if 0 < left < right <= last:
            self.sack = left
            self.sack_end = right

    def acknowledged(self, ack, now):
        """So much more."""
        mss = self.mss
        self._duplicates = 0
        self.sack = max(0, self.sack - ack)
        self.sack_end = max(0, self.sack_end - ack)
        if self.timed:
            self.timed = max(0, self.timed - ack)
            if not self.timed:
                self.measured(max(1, elapsed(now, self._timed_at)))
        self._recover = max(0, self._recover - ack)
        if not self._fast:
            more = min(ack, mss) if self.window < self._threshold else max(1, mss * mss // self.window)
            self.window = min(self.window + more, _MOST)
        elif self._recover:
            self.window = max(mss, self.window - ack + mss)
            self.resend = True
        else:
            self.window = self._threshold
            self._fast = self.resend = False

    def duplicate(self, last, all_sent):
        """The peer seems to miss what begins at una: fast retransmission, but not because of what that causes.

        `last` octets were sent; `all_sent`: no more can be.
        """
        self._duplicates += 1
        few = all_sent and last < 4 * self.mss and self.sack_end and self.sack_end - self.sack >= last - self.mss
        if self._fast:
            self.window = min(self.window + self.mss, _MOST)
        elif not self._recover and (self._duplicates >= 3 or few):
            self._lost(last)
            self.window = self._threshold + 3 * self.mss
            self._fast = self.resend = True

    def timeout(self, last, first):
        """Nothing of the `last` octets that were sent was acknowledged in time, for the first time or again."""
        if first:
            self._lost(last)
        self._recover = last
        self.timed = self.sack = self.sack_end = 0
        self.resend = self._fast = False
        self.window = self.mss

    def _lost(self, last):
        self._threshold = max(last >> 1, 2 * self.mss)
        self._recover = last
        self.timed = 0
