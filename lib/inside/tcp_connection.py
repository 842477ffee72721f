"""One TCP connection (RFC 9293, 5961), both roles. No I/O, no clock.

    got = connection.readinto(buf)              None: nothing yet; 0: the peer has ended; OSError
    taken = connection.write(data)              what there is room for; OSError
    connection.readable, connection.writable    octets, of which at least one if the connection is over
    connection.ready                            called without arguments when one of these changes

Its small numbers are words of one array: attributes would take twice the memory. Of what is sent, places are counted
from una: _NEXT goes out next, _MAX was never sent, at _QUEUED the data ends, and a FIN stands if there is one. One
timer, _WAIT milliseconds from _SINCE, is for retransmission, zero-window probe, keepalive or the end of a state,
whichever the connection is in need of. tcp_receiving takes segments in, tcp_sending makes them.
"""

from array import array
from errno import ECONNABORTED, ECONNREFUSED, ETIMEDOUT

from portable import const, elapsed

from .tcp_segment import get, put
from .tcp_sending import arm, timeout

_MSS = const(0)
_CWND = const(1)
_THRESHOLD = const(2)
_RTO = const(3)
_SRTT = const(4)
_VARIANCE = const(5)
_TIMED = const(6)
_TIMED_AT = const(7)
_RESEND = const(8)
_SACK = const(9)
_SACK_END = const(10)
_PHASE = const(14)
_OUR_FIN = const(15)
_ENDED = const(16)  # the peer has sent all
_PASSIVE = const(17)  # and did so before us
_ORPHAN = const(18)  # nobody reads or writes any more
_RESET = const(19)  # an RST is to be sent
_USABLE = const(20)  # the peer's window
_WIDEST = const(21)  # that it ever was
_TOLD_AT = const(22)  # where the segment stood that told it, from nxt
_SACK_OK = const(23)
_PROBE = const(24)  # a segment whatever the window, or a keepalive
_TRIES = const(25)  # expiries of the timer in a row
_SILENT = const(26)  # and since the peer was heard
_SINCE = const(27)
_WAIT = const(28)
_OWED = const(29)  # an ACK
_OWED_SINCE = const(30)
_FRESH = const(31)  # something was written, the clock does not know
_WROTE_AT = const(32)
_CHALLENGED = const(33)  # when, and 1
_IDLE_MS = const(34)
_SIZE = const(35)  # octets of data in the next segment, as _data found it
_OUT_AT = const(36)
_QUEUED = const(37)
_NEXT = const(38)
_MAX = const(39)
_IN_AT = const(40)
_UNREAD = const(41)
_FIRST = const(42)
_LAST = const(43)
_WINDOW = const(44)  # what the peer may send
_WORDS = const(45)

# Phases; what RFC 9293 calls FIN-WAIT-1 to LAST-ACK is OPEN with _OUR_FIN and _ENDED.
_CLOSED = const(0)
_SYN_SENT = const(1)
_SYN_RECEIVED = const(2)
_OPEN = const(3)
_TIME_WAIT = const(4)

_WANTED = const(1)  # our FIN: to be sent, or sent
_DONE = const(2)  # and acknowledged

_AT_ONCE = const(2)  # of an ACK that is owed

_MSS_DEFAULT = const(536)
_RTO_FIRST = const(1000)
_TRIES_MOST = const(8)
_SYNS = const(4)  # repetitions
_WRAP = const(0x3FFFFFFF)
_EPIPE = const(32)  # MicroPython's errno has none


class Connection:
    """Made by Tcp.connect, or by a Listener. `error` is what it ended with, if it was not ended by both."""

    def __init__(self, tcp, numbers, listener=None):
        self.numbers = numbers  # as tcp_segment has them
        self.error = self.ready = None
        self.user = None  # whose `idle` is False while something of the connection is there (V14)
        self.listener = listener
        self.tcp = tcp
        self.ring_in = self.ring_out = None
        self.words = w = array("i", bytes(4 * _WORDS))
        w[_PHASE] = _SYN_RECEIVED if listener else _SYN_SENT
        w[_MSS] = _MSS_DEFAULT
        w[_RTO] = _RTO_FIRST
        w[_WAIT] = -1
        w[_WINDOW] = tcp.buffer

    def take_buffers(self):
        """Both rings; MemoryError."""
        self.ring_in = bytearray(self.tcp.buffer)
        self.ring_out = bytearray(self.tcp.buffer)

    # For who uses it.

    @property
    def host(self):
        return bytes(self.numbers[:4])

    @property
    def port(self):
        return self.numbers[6] << 8 | self.numbers[7]

    @property
    def local_port(self):
        return self.numbers[4] << 8 | self.numbers[5]

    @property
    def state(self):
        """Its name in RFC 9293."""
        w = self.words
        fin = w[_OUR_FIN]
        if w[_PHASE] != _OPEN:
            return ("CLOSED", "SYN-SENT", "SYN-RECEIVED", "", "TIME-WAIT")[w[_PHASE]]
        if w[_ENDED]:
            return ("LAST-ACK" if w[_PASSIVE] else "CLOSING") if fin else "CLOSE-WAIT"
        return ("ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2")[fin]

    @property
    def established(self):
        return self.words[_PHASE] >= _OPEN

    @property
    def sent(self):
        """True if nothing is unacknowledged."""
        w = self.words
        return not (w[_QUEUED] or w[_MAX] or w[_OUR_FIN] == _WANTED)

    @property
    def readable(self):
        w = self.words
        return w[_UNREAD] or int(w[_ENDED] or not w[_PHASE])

    @property
    def writable(self):
        ring = self.ring_out
        return 1 if self.words[_OUR_FIN] or not ring else len(ring) - self.words[_QUEUED]

    def readinto(self, buf):
        """How much was put into buf; None if nothing has come yet, 0 if nothing will; OSError."""
        w = self.words
        n = min(len(buf), w[_UNREAD])
        if n:
            get(buf, 0, self.ring_in, w[_IN_AT], n)
            w[_IN_AT] = (w[_IN_AT] + n) % len(self.ring_in)
            w[_UNREAD] -= n
            if w[_PHASE] != _OPEN:
                self.release()
            elif self.tcp.buffer - w[_UNREAD] - w[_WINDOW] >= self.tcp.step and not w[_ENDED]:  # V5
                w[_OWED] = _AT_ONCE
                self.tcp.poke()
        elif not (w[_UNREAD] or w[_ENDED]):
            if w[_PHASE]:
                return None
            self._is_over(ECONNABORTED)
        return n

    def write(self, data):
        """How many octets of data there was room for; OSError."""
        w = self.words
        ring = self.ring_out
        if w[_OUR_FIN] or not ring:
            self._is_over(_EPIPE)
        queued = w[_QUEUED]
        n = min(len(data), len(ring) - queued)
        if n:
            put(ring, (w[_OUT_AT] + queued) % len(ring), memoryview(data), n)
            if queued <= w[_NEXT]:
                w[_FRESH] = 1
            w[_QUEUED] = queued + n
            self.tcp.poke()
        return n

    def shutdown(self, now):
        """No more is written: FIN behind all data (V8)."""
        w = self.words
        if w[_PHASE] and not w[_OUR_FIN]:
            w[_OUR_FIN] = _WANTED
            self.tcp.poke()

    def close(self, now):
        """Neither read nor written any more; what was written is still sent, unless there is unread data (V8)."""
        w = self.words
        self.ready = None
        if w[_PHASE] == _TIME_WAIT:
            w[_UNREAD] = 0
            self.release()
        elif w[_PHASE] < _OPEN or w[_UNREAD] or w[_LAST]:
            self.abort(now)
        else:
            w[_ORPHAN] = 1
            self.shutdown(now)
            if w[_OUR_FIN] == _DONE:
                arm(w, now)

    def abort(self, now):
        """End it by an RST."""
        w = self.words
        if w[_PHASE]:
            reset = w[_PHASE] in (_SYN_RECEIVED, _OPEN)
            sent = w[_MAX]
            self.end(OSError(ECONNABORTED, "aborted"), reset)
            w[_MAX] = sent  # what the peer expects
            w[_RESET] = reset
            self.tcp.poke()

    def keepalive(self, ms):
        """Ask a peer that was silent for so long whether it is there; 0: never (V8)."""
        if not 0 <= ms <= _WRAP >> 2:
            raise ValueError("keepalive(%r)" % ms)
        w = self.words
        w[_IDLE_MS] = ms
        w[_FRESH] = 1
        self.tcp.poke()

    # For Tcp.

    @property
    def idle(self):
        """True if nothing is unacknowledged, unread or owed, and neither side has ended (V14)."""
        if self.user and not self.user.idle:
            return False
        w = self.words
        owed = w[_UNREAD] or w[_LAST] or w[_OWED] or w[_ENDED] or w[_OUR_FIN]
        return w[_PHASE] == _OPEN and self.sent and not owed

    def end(self, error, keep=False):
        """It is over; `error` is why, None if both sides have ended. It leaves Tcp's table unless it is to be kept."""
        w = self.words
        w[_PHASE] = _CLOSED
        self.error = error
        if self.listener and self in self.listener.waiting:
            self.listener.waiting.remove(self)
        w[_QUEUED] = w[_OUR_FIN] = 0
        self.release()
        if not keep:
            self.tcp.remove(self)
        self.notify()

    def tick(self, now):
        """Let time pass; then ask `outgoing`."""
        w = self.words
        phase = w[_PHASE]
        if w[_WAIT] < 0 or elapsed(now, w[_SINCE]) < w[_WAIT]:
            return
        if phase == _TIME_WAIT or (w[_ORPHAN] and w[_OUR_FIN] == _DONE):
            self.end(None)
            return
        limit = (_SYNS, 1)[phase - 1] if phase < _OPEN else _TRIES_MOST  # V2, V9
        waits = w[_MAX] and (w[_USABLE] or phase < _OPEN)
        if (w[_TRIES] if waits else w[_SILENT]) >= limit:  # V3; V6: a peer that answers may keep its window shut
            self.end(OSError(ETIMEDOUT, "no answer"))
            return
        w[_TRIES] = min(w[_TRIES] + 1, _TRIES_MOST)
        w[_SILENT] += 1
        if w[_MAX]:
            w[_NEXT] = 0
            if w[_TRIES] > 2 and w[_MAX] >= w[_MSS] > _MSS_DEFAULT:  # V2
                w[_MSS] = _MSS_DEFAULT
            timeout(w, w[_TRIES] == 1)
        else:
            w[_PROBE] = 1
        arm(w, now)

    # For tcp_receiving.

    def refused(self):
        self.end(OSError(ECONNREFUSED, "nobody listens there"))

    def notify(self):
        if self.ready:
            self.ready()

    def release(self):
        """Give back the buffers that are not needed any more (V8)."""
        self.ring_out = None
        self.words[_MAX] = 0
        if not self.words[_UNREAD]:
            self.ring_in = None

    # The rest is private.

    def _is_over(self, number):
        raise OSError(*(self.error or OSError(number, "the connection is over")).args)
