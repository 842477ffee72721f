"""How fast a TCP connection may send, and how long it waits for an answer (RFC 5681, 6582, 5827, 6298; V3).

`words` are those of a Connection: _MSS octets a segment; _CWND, the congestion window; _RTO, the retransmission timer.
Windows and places are octets from una, the first number that is not acknowledged. What the peer has beyond it is from
_SACK to _SACK_END. The first segment is sent again if _RESEND is set.
"""

from portable import const, elapsed

_MSS = const(0)  # as tcp_connection has them
_CWND = const(1)
_THRESHOLD = const(2)
_RTO = const(3)
_SRTT = const(4)  # by 8
_VARIANCE = const(5)  # by 4
_TIMED = const(6)  # what is acknowledged when the round trip is measured; 0: nothing
_TIMED_AT = const(7)
_RESEND = const(8)
_SACK = const(9)
_SACK_END = const(10)
_FAST = const(11)  # fast recovery, until _RECOVER is acknowledged
_DUPLICATES = const(12)
_RECOVER = const(13)
_MAX = const(39)

_RTO_LEAST = const(300)
_RTO_MOST = const(60000)
_MOST = const(0xFFFF)


def begin(w):
    """The connection is open."""
    mss = w[_MSS]
    w[_CWND] = min(4 * mss, max(2 * mss, 4380))
    w[_THRESHOLD] = _MOST


def measured(w, ms):
    """A round trip of so long; 0: only what is known already."""
    if ms:
        srtt = w[_SRTT]
        if srtt:
            off = ms - (srtt >> 3)
            w[_SRTT] = srtt + off
            w[_VARIANCE] += abs(off) - (w[_VARIANCE] >> 2)
        else:
            w[_SRTT] = ms << 3
            w[_VARIANCE] = ms << 1
    w[_RTO] = min(max(_RTO_LEAST, (w[_SRTT] >> 3) + w[_VARIANCE]), _RTO_MOST)


def told(w, left, right):
    """The peer has a SACK block."""
    if 0 < left < right <= w[_MAX]:
        w[_SACK] = left
        w[_SACK_END] = right


def acknowledged(w, ack, now):
    """So much more."""
    mss = w[_MSS]
    w[_DUPLICATES] = 0
    if w[_SACK_END]:
        w[_SACK] = max(0, w[_SACK] - ack)
        w[_SACK_END] = max(0, w[_SACK_END] - ack)
    if w[_TIMED]:
        w[_TIMED] = max(0, w[_TIMED] - ack)
        if not w[_TIMED]:
            measured(w, max(1, elapsed(now, w[_TIMED_AT])))
    cwnd = w[_CWND]
    recover = w[_RECOVER]
    if recover:
        w[_RECOVER] = recover = max(0, recover - ack)
    if not w[_FAST]:
        if cwnd < _MOST:
            cwnd += min(ack, mss) if cwnd < w[_THRESHOLD] else max(1, mss * mss // cwnd)
            w[_CWND] = min(cwnd, _MOST)
    elif recover:
        w[_CWND] = max(mss, cwnd - ack + mss)
        w[_RESEND] = 1
    else:
        w[_CWND] = w[_THRESHOLD]
        w[_FAST] = w[_RESEND] = 0


def duplicate(w, all_sent):
    """The peer seems to miss what begins at una: fast retransmission, but not because of what that causes.

    `all_sent`: no more can be sent.
    """
    mss = w[_MSS]
    sent = w[_MAX]
    w[_DUPLICATES] += 1
    if w[_FAST]:
        w[_CWND] = min(w[_CWND] + mss, _MOST)
    elif not w[_RECOVER]:
        few = all_sent and sent < 4 * mss and w[_SACK_END] and w[_SACK_END] - w[_SACK] >= sent - mss
        if few or w[_DUPLICATES] >= 3:
            _lost(w)
            w[_CWND] = w[_THRESHOLD] + 3 * mss
            w[_FAST] = w[_RESEND] = 1


def timeout(w, first):
    """Nothing of what was sent was acknowledged in time, for the first time or again."""
    if first:
        _lost(w)
    w[_RECOVER] = w[_MAX]
    w[_TIMED] = w[_SACK] = w[_SACK_END] = w[_RESEND] = w[_FAST] = 0
    w[_CWND] = w[_MSS]


def _lost(w):
    sent = w[_MAX]
    w[_THRESHOLD] = max(sent >> 1, 2 * w[_MSS])
    w[_RECOVER] = sent
    w[_TIMED] = 0
