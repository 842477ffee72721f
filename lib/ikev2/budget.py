"""How often we may speak because of octets that anyone could have sent (RFC 7296 sections 2.4, 2.21.4).

A token bucket for the node, and for each of the last few source addresses, whatever its port, a pause after
an answer. An address is remembered from its answer on; while it keeps asking it stays remembered, and the
one that has been quiet for longest makes room for a new one. So a flood from one source silences that source
only, and a flood of forged sources gets the node's rate and not an octet of memory more.

Time is a millisecond counter that wraps at 2**30. Within half a period the past is the past; `tick`, called
when `next_timer` says so, forgets all times before they could be mistaken, so limits hold across the wrap.
"""

from array import array

from .wire import const, equal

_WRAP = const(0x3FFFFFFF)
_HALF = const(0x20000000)
_ENTRY = const(17)  # length of the address, address


def elapsed(now, then):
    """Milliseconds from `then` to `now`; 0 if the clock went backwards."""
    past = (now - then) & _WRAP
    return past if past < _HALF else 0


class Budget:
    """Answers a second and in a burst for the node, milliseconds between two for a source, sources remembered."""

    def __init__(self, answers_per_s=1, burst=5, per_source_ms=3000, sources=8):
        if answers_per_s < 0 or burst < 1 or not 0 <= per_source_ms < _HALF or sources < 1:
            raise ValueError("Budget(%r, %r, %r, %r)" % (answers_per_s, burst, per_source_ms, sources))
        scale = 1 if answers_per_s == int(answers_per_s) else 1000
        self._rate = int(answers_per_s * scale)  # credit a millisecond
        self._price = 1000 * scale  # credit an answer
        self._full = self._credit = min(burst, _WRAP // self._price) * self._price
        self._fill_ms = min(self._full // self._rate + 1, _HALF - 1) if self._rate else _HALF - 1
        self._filled = 0
        self._pause = per_source_ms
        self._horizon = min(self._fill_ms + self._pause, _HALF - 1)
        self._sources = bytearray(_ENTRY * sources)
        self._answered = array("I", [0] * sources)
        self._asked = array("I", [0] * sources)
        self._swept = -1  # when `tick` last forgot; -1: nothing to forget

    def allow(self, source, now):
        """True, once for each answer that may be sent to the endpoint `source` now; False costs nothing."""
        size = len(source) - 2
        mine = self._find(source, size) if self._pause else -1
        if mine >= 0:
            self._asked[mine] = now
            if elapsed(now, self._answered[mine]) < self._pause:
                return False
        self._fill(now)
        if self._credit < self._price:
            return False
        self._credit -= self._price
        if self._swept < 0:
            self._swept = now
        if self._pause:
            if mine < 0:
                mine = self._quietest(now)
                at = mine * _ENTRY
                self._sources[at] = size
                while size:
                    self._sources[at + size] = source[size - 1]
                    size -= 1
            self._answered[mine] = self._asked[mine] = now
        return True

    def next_timer(self, now):
        """Milliseconds until `tick` has something to forget; -1 if nothing is remembered."""
        return -1 if self._swept < 0 else max(0, self._horizon - elapsed(now, self._swept))

    def tick(self, now):
        """Forget what no longer limits anything."""
        if self.next_timer(now):
            return
        self._fill(now)
        self._swept = -1 if self._credit == self._full else now
        for i in range(len(self._answered)):
            if elapsed(now, self._answered[i]) >= self._pause:
                self._sources[i * _ENTRY] = 0
            elif self._sources[i * _ENTRY]:
                self._swept = now

    def _fill(self, now):
        past = elapsed(now, self._filled)
        self._filled = now
        if self._rate:
            self._credit = self._full if past >= self._fill_ms else min(self._full, self._credit + past * self._rate)

    def _find(self, source, size):
        sources = self._sources
        for i in range(len(self._answered)):
            at = i * _ENTRY
            if sources[at] == size and equal(sources, at + 1, source, 0, size):
                return i
        return -1

    def _quietest(self, now):
        quietest = longest = -1
        for i in range(len(self._asked)):
            if not self._sources[i * _ENTRY]:
                return i
            quiet = elapsed(now, self._asked[i])
            if quiet > longest:
                quietest = i
                longest = quiet
        return quietest
