"""What a TCP connection sends next, when, and how fast (RFC 5681, 6582, 5827, 6298; V3, V5, V6, V11).

`w` are the words of a Connection, as tcp_connection has them; _CWND is the congestion window, _RTO the retransmission
timer. Windows and places are octets from una, the first number that is not acknowledged. What the peer has beyond it is
from _SACK to _SACK_END. The first segment is sent again if _RESEND is set.
"""

from portable import const, elapsed, sooner

from .tcp_segment import get, sack, write

_FIN = const(1)  # as tcp_segment has them
_SYN = const(2)
_RST = const(4)
_PSH = const(8)
_ACK = const(16)
_MSS = const(0)  # as tcp_connection has them
_CWND = const(1)
_RTO = const(3)
_THRESHOLD = const(2)
_SRTT = const(4)
_VARIANCE = const(5)
_FAST = const(11)
_DUPLICATES = const(12)
_RECOVER = const(13)
_TIMED = const(6)
_TIMED_AT = const(7)
_RESEND = const(8)
_SACK = const(9)
_SACK_END = const(10)
_PHASE = const(14)
_OUR_FIN = const(15)
_ENDED = const(16)
_ORPHAN = const(18)
_RESET = const(19)
_USABLE = const(20)
_WIDEST = const(21)
_SACK_OK = const(23)
_PROBE = const(24)
_TRIES = const(25)
_SILENT = const(26)
_SINCE = const(27)
_WAIT = const(28)
_OWED = const(29)
_OWED_SINCE = const(30)
_FRESH = const(31)
_WROTE_AT = const(32)
_IDLE_MS = const(34)
_SIZE = const(35)
_OUT_AT = const(36)
_QUEUED = const(37)
_NEXT = const(38)
_MAX = const(39)
_UNREAD = const(41)
_FIRST = const(42)
_LAST = const(43)
_WINDOW = const(44)
_SYN_SENT = const(1)
_OPEN = const(3)
_TIME_WAIT = const(4)
_WANTED = const(1)
_DONE = const(2)
_DELAYED = const(1)
_AT_ONCE = const(2)
_RTO_MOST = const(60000)
_RTO_LEAST = const(300)
_MOST = const(0xFFFF)
_ACK_MS = const(40)
_MORE_MS = const(5)
_PROBE_MS = const(10000)  # between keepalives that are not answered
_LINGER_MS = const(60000)  # TIME-WAIT, and FIN-WAIT-2 without a reader
_HEADERS = const(40)
_SYN_OPTIONS = const(b"\x02\x04\x05\x50\x01\x01\x04\x02")  # V2: 1,360 octets, and SACK is understood


def due(connection, now):
    """Milliseconds until `tick` or `outgoing` has something to do; -1: there is no hurry (V11)."""
    w = connection.words
    phase = w[_PHASE]
    if w[_RESET] or (phase < _OPEN and not w[_NEXT]):
        return 0
    wait = -1
    if phase >= _OPEN:
        if phase == _OPEN:
            wait = _data(w, now)
            if w[_RESEND] or w[_PROBE]:
                wait = 0
        if w[_OWED]:
            wait = sooner(wait, _ack_in(w, now))
    return sooner(wait, -1 if w[_WAIT] < 0 else max(0, w[_WAIT] - elapsed(now, w[_SINCE])))


def outgoing(connection, out, at, room, now):
    """Length of the IPv4 packet that is to be sent now, written to out[at:]; 0 if there is none."""
    w = connection.words
    phase = w[_PHASE]
    place = w[_MAX]
    flags = _ACK
    n = optional = 0
    if phase >= _OPEN:
        again = w[_RESEND]
        data = phase == _OPEN and (again or not _data(w, now))
        owed = w[_OWED]
        if not (data or owed == _AT_ONCE or w[_PROBE] or (owed and not _ack_in(w, now))):
            return 0
        if w[_LAST] and w[_SACK_OK]:
            optional = 12
            sack(out, at + _HEADERS, connection.numbers, w[_FIRST], w[_LAST])
        if data:
            place = 0 if again else w[_NEXT]
            n = min(w[_QUEUED], w[_SACK] or w[_MAX]) if again else w[_SIZE]
            n = min(n, min(room - _HEADERS, w[_MSS]) - optional)
            flags |= _send(connection, out, at + _HEADERS + optional, place, n, now)
        elif w[_PROBE]:
            place = -1  # a keepalive
        w[_PROBE] = 0
    elif w[_RESET]:
        flags = _RST | _ACK
        connection.tcp.remove(connection)
    elif w[_NEXT]:
        return 0
    else:
        flags = _SYN if phase == _SYN_SENT else _SYN | _ACK
        optional = 8 if w[_SACK_OK] or flags == _SYN else 4
        out[at + _HEADERS : at + _HEADERS + optional] = _SYN_OPTIONS[:optional]
        if not place:
            arm(w, now)  # a repeated SYN does not put it off
        place = 0
        w[_NEXT] = w[_MAX] = 1
    w[_OWED] = 0
    tcp = connection.tcp
    tcp.asks = bool(n or flags & (_SYN | _FIN))  # V12
    room = tcp.buffer - w[_UNREAD]
    if room - w[_WINDOW] >= tcp.step and phase == _OPEN and not w[_ENDED]:  # V6
        if w[_WINDOW] < tcp.step:  # V5: told once more, for the peer would wait for it
            w[_OWED] = _DELAYED
            w[_OWED_SINCE] = now
        w[_WINDOW] = room
    tcp.number = (tcp.number + 1) & 0xFFFF
    write(out, at, tcp.number, tcp.stack.address, connection.numbers, place, flags, w[_WINDOW], optional, n)
    return _HEADERS + optional + n


def arm(w, now):
    """Start the timer for what the connection is in need of."""
    w[_SINCE] = now
    if w[_PHASE] == _TIME_WAIT or (w[_ORPHAN] and w[_OUR_FIN] == _DONE):
        w[_WAIT] = _LINGER_MS
    elif w[_MAX] or w[_QUEUED] or w[_PHASE] < _OPEN:
        w[_WAIT] = min(w[_RTO] << w[_TRIES], _RTO_MOST)
    elif w[_IDLE_MS]:
        w[_WAIT] = min(w[_IDLE_MS], _PROBE_MS) if w[_SILENT] else w[_IDLE_MS]
    else:
        w[_WAIT] = -1


def _ack_in(w, now):
    return 0 if w[_OWED] == _AT_ONCE else max(0, _ACK_MS - elapsed(now, w[_OWED_SINCE]))  # V5


def _data(w, now):
    """Milliseconds until a segment with data or a FIN can go, with _SIZE octets; -1: there is none (V6)."""
    if w[_FRESH]:
        w[_FRESH] = 0
        w[_WROTE_AT] = now
        if not w[_MAX]:
            arm(w, now)
    place = w[_NEXT]
    if w[_QUEUED] == place and not w[_OUR_FIN]:
        return -1
    again = place < w[_MAX]
    sacked = w[_SACK]
    if again and sacked <= place < w[_SACK_END]:
        w[_NEXT] = place = w[_SACK_END]
    left = w[_QUEUED] - place
    if left < 0:
        return -1
    mss = w[_MSS]
    n = min(w[_USABLE], w[_CWND]) - place
    if again and not place:
        n = max(n, min(w[_MAX], mss))
    elif w[_PROBE]:
        n = max(n, 1)
    if place < sacked:
        n = min(n, sacked - place)
    w[_SIZE] = n = max(0, min(n, left, mss))
    if n == left and w[_OUR_FIN] == _WANTED:
        return 0
    if not n:
        return -1
    if n == mss or again or w[_PROBE]:
        return 0
    if n == left:
        return max(0, _MORE_MS - elapsed(now, w[_WROTE_AT]))
    return -1 if n < w[_WIDEST] >> 1 else 0


def _send(connection, out, at, place, n, now):
    """Put data from that place to out[at:], and note that it leaves; the flags that go with it."""
    w = connection.words
    end = place + n
    flags = 0
    if n:
        get(out, at, connection.ring_out, (w[_OUT_AT] + place) % len(connection.ring_out), n)
        flags = _PSH if end == w[_QUEUED] else 0
    if end == w[_QUEUED] and w[_OUR_FIN] == _WANTED:
        flags |= _FIN
        end += 1
    sent = w[_MAX]
    if end > sent:
        if place >= sent and not w[_TIMED]:
            w[_TIMED] = end
            w[_TIMED_AT] = now
        w[_MAX] = end
    w[_NEXT] = max(w[_NEXT], end) if w[_RESEND] else end
    w[_RESEND] = 0
    if not sent:
        arm(w, now)
    return flags


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
