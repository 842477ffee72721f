"""How often we may answer octets that anyone could have sent (RFC 7296 sections 2.4, 2.21.4).

A token bucket for the node, and for each of the last few source addresses, whatever its port, a pause after
an answer: one after INVALID_SPI, protected or not, and one after an answer to an IKE message, so that whoever gets
the first and asks gets the second, too. An address is remembered from its answer on. A new one takes a place whose
pauses are over, of which there is always one with the default limits; with looser ones a hand goes round to the next
that makes room, and on when that one asks again: who keeps asking stays remembered. So a flood from one source
silences that source only, and a flood of forged sources gets the node's rate and not an octet of memory more.

Time is a millisecond counter that wraps at 2**30. Within half a period the past is the past; `tick`, called
when `next_timer` says so, forgets all times before they could be mistaken, so limits hold across the wrap.
"""

from array import array

from portable import const, elapsed, micropython, ptr8, ptr32

_WRAP = const(0x3FFFFFFF)
_HALF = const(0x20000000)
_SWEEP_MS = const(0x10000000)  # twice that may pass between two looks at a time

# The words of a budget, none of them negative. Credit is counted in answers times _PRICE.
_CREDIT = const(0)
_FILLED = const(1)  # when _CREDIT was right
_USED = const(2)  # 1 if there is anything to forget
_SWEPT = const(3)  # when `tick` last forgot
_FULL = const(4)
_FILL_MS = const(5)
_RATE = const(6)  # credit a millisecond
_PRICE = const(7)  # credit an answer
_PAUSE = const(8)
_SOURCES = const(9)
_HAND = const(10)  # the source that makes room for the next new one
_UNTIL = const(11)  # when each source may be answered again, of either kind

_len = len  # found sooner than among the builtins
_ENTRY = const(17)  # length of the address or 0, address


@micropython.viper
def _fill(budget, now: int) -> int:
    words = ptr32(budget.words)
    past = (now - words[_FILLED]) & _WRAP
    words[_FILLED] = now
    if not past & _HALF:
        if past > words[_FILL_MS]:
            past = words[_FILL_MS]
        past = past * words[_RATE] + words[_CREDIT]
        words[_CREDIT] = past if past < words[_FULL] else words[_FULL]
    return words[_CREDIT]


class Budget:
    """Answers a second and in a burst for the node, milliseconds between two for a source, sources remembered."""

    def __init__(self, answers_per_s=1, burst=5, per_source_ms=3000, sources=8):
        if answers_per_s < 0 or burst < 0 or not 0 <= per_source_ms < _SWEEP_MS or sources < 1:
            raise ValueError("Budget(%r, %r, %r, %r)" % (answers_per_s, burst, per_source_ms, sources))
        scale = 1 if answers_per_s == int(answers_per_s) else 1000  # thousandths of an answer
        self.words = words = array("I", [0] * (_UNTIL + 2 * sources))
        self.sources = bytearray(_ENTRY * sources)
        words[_RATE] = int(answers_per_s * scale + 0.5)
        words[_PRICE] = 1000 * scale
        words[_FULL] = words[_CREDIT] = min(burst, _HALF // words[_PRICE]) * words[_PRICE]
        words[_FILL_MS] = min(words[_FULL] // words[_RATE] + 1, _HALF) if words[_RATE] else _HALF
        words[_PAUSE] = per_source_ms
        words[_SOURCES] = sources

    @micropython.viper
    def allow(self, source, kind: int, now: int) -> bool:
        """True, once for each answer that may be sent to the endpoint `source` now; False costs nothing.

        kind -- 0: INVALID_SPI, and whatever has no other kind; 1: an answer to an IKE message
        """
        words = ptr32(self.words)
        sources = ptr8(self.sources)
        address = ptr8(source)
        size = int(_len(source)) - 2
        spare = words[_HAND]
        count = words[_SOURCES]
        refused = 0
        mine = count - 1
        while mine >= 0:
            at = mine * _ENTRY
            n = size
            if not sources[at]:  # nor is there anything in those before it
                spare = mine
                mine = -1
                break
            if sources[at] == n:
                while n and sources[at + n] == address[n - 1]:
                    n -= 1
            at = _UNTIL + 2 * mine
            if not n:
                refused = (now - words[at + kind]) & _HALF
                break
            if not (now - words[at] | now - words[at + 1]) & _HALF:
                spare = mine
            mine -= 1
        if not refused:
            if words[_CREDIT] < words[_FULL]:
                _fill(self, now)
            if words[_CREDIT] < words[_PRICE]:
                refused = 1
        if mine < 0:
            if refused:
                return False
            mine = spare
            words[_UNTIL + 2 * mine] = words[_UNTIL + 2 * mine + 1] = now
            at = mine * _ENTRY
            sources[at] = size
            while size:
                sources[at + size] = address[size - 1]
                size -= 1
        if mine == words[_HAND]:
            words[_HAND] = (mine + 1) % count
        if refused:
            return False
        words[_CREDIT] -= words[_PRICE]
        words[_FILLED] = now
        if not words[_USED]:
            words[_USED] = 1
            words[_SWEPT] = now
        words[_UNTIL + 2 * mine + kind] = (now - _WRAP - 1 + words[_PAUSE]) & _WRAP  # no sum is beyond 2**30
        return True

    def next_timer(self, now):
        """Milliseconds until `tick` has something to forget; -1 if nothing is remembered."""
        words = self.words
        if not words[_USED]:
            return -1
        return max(0, min(words[_FILL_MS] + words[_PAUSE], _SWEEP_MS) - elapsed(now, words[_SWEPT]))

    def tick(self, now):
        """Forget what no longer limits anything."""
        if self.next_timer(now):
            return
        words = self.words
        words[_USED] = _fill(self, now) < words[_FULL]
        words[_SWEPT] = now
        sources = self.sources
        for i in range(_UNTIL, len(words)):
            if (now - words[i]) & _HALF and sources[(i - _UNTIL >> 1) * _ENTRY]:
                words[_USED] = 1
            else:
                words[i] = now  # L5
        if not words[_USED]:
            for i in range(0, len(sources), _ENTRY):
                sources[i] = 0
