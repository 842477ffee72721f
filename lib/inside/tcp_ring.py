"""What is received on a TCP connection until it is read, and what is sent until it is acknowledged: two rings (V3, V4).

Places are counted from the first number that is not in order, nxt, and from the first that is not acknowledged, una.
"""

from portable import const

_MSS = const(1360)


def put(ring, at, data, n):
    """ring[at:at+n] is data[:n], around its end."""
    part = min(n, len(ring) - at)
    ring[at : at + part] = data[:part]
    if part < n:
        ring[: n - part] = data[part:n]


def get(out, start, ring, at, n):
    """out[start:start+n] is ring[at:at+n], around its end."""
    ring = memoryview(ring)
    part = min(n, len(ring) - at)
    out[start : start + part] = ring[at : at + part]
    if part < n:
        out[start + part : start + n] = ring[: n - part]


class Received:
    """`unread` octets are in order; of what is not, one range from `first` to `last` waits where it belongs.

    The peer may send `window` octets more.
    """

    def __init__(self, size):
        self.ring = None
        self.size = self.window = size
        self.unread = self.first = self.last = 0
        self._at = 0

    def read(self, buf, n):
        """Move n octets to buf."""
        get(buf, 0, self.ring, self._at, n)
        self._at = (self._at + n) % self.size
        self.unread -= n

    @property
    def opens(self):
        """True if the window can be opened by so much that the peer is to know (V6)."""
        return self.size - self.unread - self.window >= min(_MSS, self.size >> 1)

    def take(self, data, start, end):
        """Data to the places from start to end; how much more is in order then, -1: no range is left for it (V4)."""
        if start and self.last and (start > self.last or end < self.first):
            return -1
        put(self.ring, (self._at + self.unread + start) % self.size, data, end - start)
        if start:
            self.first = min(self.first, start) if self.last else start
            self.last = max(self.last, end)
            return 0
        if self.last and end >= self.first:  # the hole is closed
            end = max(end, self.last)
            self.last = 0
        self.unread += end
        self.window -= end
        if self.last:
            self.first -= end
            self.last -= end
        return end


class Sent:
    """Up to `queued` there is data; up to `max` it was sent once, and `next` is sent next, or again."""

    def __init__(self):
        self.ring = None
        self.queued = self.next = self.max = 0
        self._at = 0

    def write(self, data):
        """How many octets there was room for."""
        n = min(len(data), len(self.ring) - self.queued)
        put(self.ring, (self._at + self.queued) % len(self.ring), memoryview(data), n)
        self.queued += n
        return n

    def copy(self, out, start, place, n):
        """n octets from that place to out[start:]."""
        get(out, start, self.ring, (self._at + place) % len(self.ring), n)

    def acknowledge(self, ack):
        """So much is not needed any more, a FIN perhaps."""
        n = min(ack, self.queued)
        if n:
            self._at = (self._at + n) % len(self.ring)
        self.queued -= n
        self.max -= ack
        self.next = max(0, self.next - ack)
