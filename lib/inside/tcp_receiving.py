"""What a segment that has come does to its TCP connection (RFC 9293 section 3.10.7, RFC 5961; V2, V4, V7, V8).

`w` are the words of a Connection; tcp_connection says what they mean.
"""

from errno import ECONNRESET

from portable import const, elapsed

from .tcp_segment import add, put
from .tcp_sending import acknowledged, arm, duplicate, measured, told

_FIN = const(1)  # as tcp_segment has them
_SYN = const(2)
_RST = const(4)
_ACK = const(16)
_UNA = const(8)
_NXT = const(12)
_MSS = const(0)  # as tcp_connection has them
_CWND = const(1)
_THRESHOLD = const(2)
_SRTT = const(4)
_TIMED = const(6)
_PHASE = const(14)
_OUR_FIN = const(15)
_ENDED = const(16)
_PASSIVE = const(17)
_ORPHAN = const(18)
_USABLE = const(20)
_WIDEST = const(21)
_TOLD_AT = const(22)
_SACK_OK = const(23)
_TRIES = const(25)
_SILENT = const(26)
_SINCE = const(27)
_FRESH = const(31)
_OWED = const(29)
_OWED_SINCE = const(30)
_CHALLENGED = const(33)
_IDLE_MS = const(34)
_OUT_AT = const(36)
_QUEUED = const(37)
_NEXT = const(38)
_MAX = const(39)
_IN_AT = const(40)
_UNREAD = const(41)
_FIRST = const(42)
_LAST = const(43)
_WINDOW = const(44)
_SYN_SENT = const(1)
_SYN_RECEIVED = const(2)
_OPEN = const(3)
_TIME_WAIT = const(4)
_TIME_WAITS = const(3)
_WANTED = const(1)
_DONE = const(2)
_DELAYED = const(1)
_AT_ONCE = const(2)
_MSS_MOST = const(1360)
_MSS_DEFAULT = const(536)
_MSS_LEAST = const(64)
_CHALLENGE_MS = const(200)
_WRAP = const(0x3FFFFFFF)
_OLDEST = const(-0xFFFF)


def receive(connection, packet, header, seq, ack, found, now):
    """Take in a segment, its numbers from nxt and una, its options in `found`; True: it is answered by an RST."""
    w = connection.words
    phase = w[_PHASE]
    flags = packet[header + 13]
    if phase < _OPEN:
        if phase <= _SYN_SENT:
            return bool(phase) and _answered(connection, packet, header, flags, ack, found, now)
        if flags & (_SYN | _ACK) == _SYN and seq == -1:
            w[_NEXT] = 0  # the SYN-ACK again
            return False
    if flags & _RST:  # V7
        if not seq and phase != _TIME_WAIT:
            connection.end(OSError(ECONNRESET, "reset by the peer"))
        elif 0 < seq < w[_WINDOW]:
            _challenge(w, now)
        return False
    data = header + (packet[header + 12] >> 2 & 60)
    n = (packet[2] << 8 | packet[3]) - data
    length = n + (flags & _FIN)
    if flags & _SYN or not flags & _ACK:
        if flags & _SYN:
            _challenge(w, now)
        return False
    if length and seq < 0 and seq + length <= 0:  # what we have already
        w[_OWED] = _AT_ONCE
        if phase == _TIME_WAIT:
            arm(w, now)
        return False
    if seq >= (w[_WINDOW] or 1) or (seq < 0 and not length):
        _challenge(w, now)
        return False
    if phase == _SYN_RECEIVED:
        if ack != 1:
            return True
        connection.listener.answered(connection, packet, header, now)
        ack = 0
    if not _OLDEST <= ack <= w[_MAX]:  # V7
        _challenge(w, now)
        return False
    w[_SILENT] = 0
    window = packet[header + 14] << 8 | packet[header + 15]
    changed = _acknowledged(connection, ack, seq, window, length, found, now)
    if length and w[_PHASE] == _OPEN and not w[_ENDED]:
        changed = _take(connection, packet, data, n, seq, flags & _FIN, now) or changed
    if w[_IDLE_MS] and w[_PHASE] == _OPEN and connection.sent and not w[_ORPHAN]:
        arm(w, now)
    if changed:
        connection.notify()
    return False


def greet(w, found):
    """What the options of the peer's SYN say that it takes (V2)."""
    w[_MSS] = min(max(found[0] or _MSS_DEFAULT, _MSS_LEAST), _MSS_MOST)
    w[_SACK_OK] = found[1]


def begin(w, window, ms):
    """Open, after a round trip of so long; 0: that of before, or unknown."""
    w[_PHASE] = _OPEN
    w[_NEXT] = w[_MAX] = w[_TRIES] = w[_SILENT] = 0
    w[_USABLE] = w[_WIDEST] = window
    w[_FRESH] = 1
    if ms or w[_SRTT]:
        measured(w, ms)
    mss = w[_MSS]
    w[_CWND] = min(4 * mss, max(2 * mss, 4380))
    w[_THRESHOLD] = 0xFFFF


def _challenge(w, now):
    if not w[_CHALLENGED] or (now - (w[_CHALLENGED] >> 1)) & (_WRAP >> 1) >= _CHALLENGE_MS:  # V7
        w[_CHALLENGED] = (now & (_WRAP >> 1)) << 1 | 1
        w[_OWED] = _AT_ONCE


def establish(connection, packet, header, now):
    """Our SYN is acknowledged."""
    w = connection.words
    add(connection.numbers, _UNA, 1, 4)
    window = packet[header + 14] << 8 | packet[header + 15]
    begin(w, window, 0 if w[_TRIES] else max(1, elapsed(now, w[_SINCE])))


def _answered(connection, packet, header, flags, ack, found, now):
    """An answer to our SYN; True if it is one to something else."""
    if flags & _ACK and ack != 1:
        return not flags & _RST
    if flags & _RST:
        if flags & _ACK:
            connection.refused()  # V2
    elif flags & _SYN and flags & _ACK:
        connection.numbers[_NXT : _NXT + 4] = packet[header + 4 : header + 8]
        add(connection.numbers, _NXT, 1, 4)
        greet(connection.words, found)
        establish(connection, packet, header, now)
        connection.words[_OWED] = _AT_ONCE
        connection.notify()
    return False


def _acknowledged(connection, ack, seq, window, length, found, now):
    """What a segment acknowledges; True if there is room for more data, or all of it has been received."""
    w = connection.words
    usable = w[_USABLE]
    if ack >= 0 and seq >= w[_TOLD_AT]:
        if window != usable:
            if not usable:  # V6
                w[_TRIES] = w[_NEXT] = w[_TIMED] = 0
                arm(w, now)
            w[_USABLE] = window
            w[_WIDEST] = max(w[_WIDEST], window)
        w[_TOLD_AT] = seq
    if ack <= 0:
        if not ack and w[_MAX]:
            told(w, found[2], found[3])
            if window == usable and not length:
                duplicate(w, w[_MAX] >= min(w[_QUEUED], window))
        return False
    queued = w[_QUEUED]
    add(connection.numbers, _UNA, ack, 4)
    if ack > queued:
        w[_OUR_FIN] = _DONE
    n = min(ack, queued)
    if n:
        w[_OUT_AT] = (w[_OUT_AT] + n) % len(connection.ring_out)
        w[_QUEUED] = queued - n
    w[_MAX] -= ack
    w[_NEXT] = max(0, w[_NEXT] - ack)
    w[_TRIES] = 0
    acknowledged(w, ack, now)
    if found[3]:
        told(w, found[2] - ack, found[3] - ack)
    arm(w, now)
    if w[_ENDED] and w[_OUR_FIN] == _DONE:
        if w[_PASSIVE]:
            connection.end(None)
        else:
            _time_wait(connection, now)
    return True


def _take(connection, packet, data, n, seq, fin, now):
    """Data and FIN of a segment from seq on; True if something can be read, or has ended."""
    w = connection.words
    end = seq + n
    if end > w[_WINDOW]:
        end = w[_WINDOW]
        fin = 0
        w[_OWED] = _AT_ONCE
    start = max(seq, 0)
    more = 0
    if end > start:
        if w[_ORPHAN]:  # V8
            connection.abort(now)
            return True
        if w[_LAST]:
            w[_OWED] = _AT_ONCE  # V5
        more = _keep(w, connection.ring_in, memoryview(packet)[data + start - seq : data + end - seq], start, end)
    if more > 0:
        add(connection.numbers, _NXT, more, 4)
        w[_TOLD_AT] -= more
        if w[_OWED]:
            w[_OWED] = _AT_ONCE
        else:
            w[_OWED] = _DELAYED
            w[_OWED_SINCE] = now
    else:
        w[_OWED] = _AT_ONCE  # a hole, or nothing that we do not have, or have room for
    if fin and not start and more == max(end, 0):
        add(connection.numbers, _NXT, 1, 4)  # V8
        w[_TOLD_AT] -= 1
        w[_ENDED] = 1
        w[_PASSIVE] = w[_OUR_FIN] == 0 or (w[_OUR_FIN] == _WANTED and w[_MAX] <= w[_QUEUED])
        w[_OWED] = _AT_ONCE
        if w[_OUR_FIN] == _DONE:
            _time_wait(connection, now)
        return True
    return more > 0


def _keep(w, ring, data, start, end):
    """Data to the places from start to end, from nxt; how much more is in order then, -1: no range is left for it (V4).

    Of what comes out of order one range, from _FIRST to _LAST, waits in the ring where it belongs.
    """
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


def _time_wait(connection, now):
    w = connection.words
    w[_PHASE] = _TIME_WAIT
    connection.release()
    arm(w, now)
    connections = connection.tcp.connections
    connections.remove(connection)
    waiting = [one for one in connections if one.words[_PHASE] == _TIME_WAIT]
    if len(waiting) >= _TIME_WAITS:  # V8: the oldest is over
        waiting[0].end(None)
    connections.append(connection)
