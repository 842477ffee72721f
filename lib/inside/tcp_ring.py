"""The rings of a TCP connection: what is sent until it is acknowledged, what is received until it is read (V3, V4).

`words` are those of a Connection. Places are counted from nxt, the first number that is not in order: of what comes
out of order one range, from _FIRST to _LAST, waits in the ring where it belongs.
"""

from portable import const

_IN_AT = const(40)  # as tcp_connection has them
_UNREAD = const(41)
_FIRST = const(42)
_LAST = const(43)
_WINDOW = const(44)


def put(ring, at, data, n):
    """ring[at:at+n] is data[:n], around its end."""
    part = len(ring) - at
    if part < n:
        ring[at:] = data[:part]
        ring[: n - part] = data[part:n]
    else:
        ring[at : at + n] = data[:n]


def get(out, start, ring, at, n):
    """out[start:start+n] is ring[at:at+n], around its end."""
    part = min(n, len(ring) - at)
    ring = memoryview(ring)
    out[start : start + part] = ring[at : at + part]
    if part < n:
        out[start + part : start + n] = ring[: n - part]


def take(words, ring, data, start, end):
    """Data to the places from start to end; how much more is in order then, -1: no range is left for it (V4)."""
    w = words
    first = w[_FIRST]
    last = w[_LAST]
    if start and last and (start > last or end < first):
        return -1
    put(ring, (w[_IN_AT] + w[_UNREAD] + start) % len(ring), data, end - start)
    if start:
        w[_FIRST] = min(first, start) if last else start
        w[_LAST] = max(last, end)
        return 0
    if last:
        if end >= first:  # the hole is closed
            end = max(end, last)
            w[_LAST] = 0
        else:
            w[_FIRST] = first - end
            w[_LAST] = last - end
    w[_UNREAD] += end
    w[_WINDOW] -= end
    return end
