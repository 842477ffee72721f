"""One TCP connection (RFC 9293; 2018, 5681, 5961, 6298, 6582), both roles. No I/O, no clock.

    got = connection.readinto(buf)              None: nothing yet; 0: the peer has ended; OSError
    taken = connection.write(data)              what the ring has room for; OSError
    connection.readable, connection.writable    octets, of which at least one if the connection is over
    connection.ready                            called without arguments when one of these changes

What is sent lies in a ring until it is acknowledged, and places in it are counted from una: _next goes out next, _max
was never sent, _queued is the end of the data, where a FIN stands if there is one. What is received lies in a ring
until it is read; places beyond that are counted from nxt: of what comes out of order one range, from _first to _last,
waits where it belongs; _window is how much the peer may send. One timer, of _wait milliseconds from _since, is for
retransmission, zero-window probe, keepalive or the end of a state, whichever the connection is in need of.
"""

from errno import ECONNABORTED, ECONNREFUSED, ECONNRESET, ETIMEDOUT

from portable import const, elapsed, sooner

from .tcp_segment import ACK, FIN, NXT, PSH, RST, SYN, SYN_OPTIONS, UNA, add, sack

# Phases; what RFC 9293 calls FIN-WAIT-1 to LAST-ACK is OPEN with _fin and _ended.
_CLOSED = const(0)
_SYN_SENT = const(1)
_SYN_RECEIVED = const(2)
_OPEN = const(3)
_TIME_WAIT = const(4)

_WANTED = const(1)  # our FIN: to be sent, or sent
_DONE = const(2)  # and acknowledged

_DELAYED = const(1)  # an ACK is owed
_AT_ONCE = const(2)

_MSS = const(1360)
_MSS_DEFAULT = const(536)
_MSS_LEAST = const(64)
_RTO = const(1000)
_RTO_LEAST = const(300)
_RTO_MOST = const(60000)
_TRIES = const(8)
_SYNS = const(4)  # repetitions
_ACK_MS = const(40)
_MORE_MS = const(5)
_CHALLENGE_MS = const(200)
_PROBE_MS = const(10000)  # between keepalives that are not answered
_LINGER_MS = const(60000)  # TIME-WAIT, and FIN-WAIT-2 without a reader
_WRAP = const(0x3FFFFFFF)
_OLDEST = const(-0xFFFF)
_EPIPE = const(32)  # MicroPython's errno has none
_HEADERS = const(40)


class Connection:
    """Made by Tcp.connect, or by a Listener. `error` is what it ended with, if it was not ended by both."""

    error = None
    ready = None
    listener = None
    mss = _MSS_DEFAULT
    _in = _out = None
    _fin = 0
    _ended = False  # the peer has sent all
    _passive = False  # and did so before us
    _orphan = False  # nobody reads or writes any more
    _reset = False  # an RST is to be sent
    _out_at = _queued = _next = _max = 0
    _in_at = _unread = _first = _last = 0
    _usable = _widest = _updated = 0  # the peer's window, its widest, and where the segment stood that told it
    _sack_ok = False
    _sack = _sack_end = 0  # what the peer has beyond una
    _cwnd = _ssthresh = 0xFFFF
    _duplicates = _recover = 0
    _fast = False  # fast recovery, until _recover is acknowledged
    _resend = False  # the first segment again
    _probe = False  # a segment whatever the window, or a keepalive
    _srtt = _variance = 0  # by 8 and by 4
    _rto = _RTO
    _timed = _timed_at = 0
    _tries = _silent = 0  # expiries of the timer in a row, and since the peer was heard
    _since = 0
    _wait = -1
    _ack = _ack_at = 0
    _fresh = False  # something was written, the clock does not know
    _wrote_at = 0
    _challenged_at = -1
    _idle_ms = 0
    _size = 0  # octets of data in the next segment, as _data found it

    def __init__(self, tcp, numbers, listener=None):
        self.tcp = tcp
        self.numbers = numbers  # as tcp_segment has them
        self.host = bytes(numbers[:4])
        self.port = numbers[4] << 8 | numbers[5]
        self.local_port = numbers[6] << 8 | numbers[7]
        self.listener = listener
        self._phase = _SYN_RECEIVED if listener else _SYN_SENT
        self._window = tcp.buffer

    def take_buffers(self):
        """Both rings; MemoryError."""
        self._in = bytearray(self.tcp.buffer)
        self._out = bytearray(self.tcp.buffer)

    # For who uses it.

    @property
    def state(self):
        """Its name in RFC 9293."""
        if self._phase != _OPEN:
            return ("CLOSED", "SYN-SENT", "SYN-RECEIVED", "", "TIME-WAIT")[self._phase]
        if self._ended:
            return ("LAST-ACK" if self._passive else "CLOSING") if self._fin else "CLOSE-WAIT"
        return ("ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2")[self._fin]

    @property
    def established(self):
        return self._phase >= _OPEN

    @property
    def sent(self):
        """True if nothing is unacknowledged."""
        return not (self._queued or self._max or self._fin == _WANTED)

    @property
    def readable(self):
        return self._unread or int(self._ended or self._phase == _CLOSED)

    @property
    def writable(self):
        return 1 if self._fin or not self._out else len(self._out) - self._queued

    def readinto(self, buf):
        """How much was put into buf; None if nothing has come yet, 0 if nothing will; OSError."""
        n = min(len(buf), self._unread)
        if not n:
            if self._unread or self._ended:
                return 0
            if self._phase == _CLOSED:
                raise OSError(*(self.error or OSError(ECONNABORTED)).args)
            return None
        ring = memoryview(self._in)
        at = self._in_at
        part = min(n, len(ring) - at)
        buf[:part] = ring[at : at + part]
        if part < n:
            buf[part:n] = ring[: n - part]
        self._in_at = (at + n) % len(ring)
        self._unread -= n
        if self._phase != _OPEN:
            self._release()
        elif self._opened() and not self._ended:  # V5
            self._ack = _AT_ONCE
            self.tcp.poke()
        return n

    def write(self, data):
        """How many octets of data the ring had room for; OSError."""
        if self._fin or not self._out:
            raise OSError(*(self.error or OSError(_EPIPE)).args)
        size = len(self._out)
        n = min(len(data), size - self._queued)
        if n:
            data = memoryview(data)
            at = (self._out_at + self._queued) % size
            part = min(n, size - at)
            self._out[at : at + part] = data[:part]
            if part < n:
                self._out[: n - part] = data[part:n]
            if self._queued <= self._next:
                self._fresh = True
            self._queued += n
            self.tcp.poke()
        return n

    def shutdown(self, now):
        """No more is written: FIN behind all data (V8)."""
        if not self._fin and self._phase:
            self._fin = _WANTED
            self.tcp.poke()

    def close(self, now):
        """Neither read nor written any more; what was written is still sent, unless there is unread data (V8)."""
        self.ready = None
        if self._phase == _TIME_WAIT:
            self._unread = 0
            self._release()
        elif self._phase < _OPEN or self._unread or self._last:
            self.abort(now)
        else:
            self._orphan = True
            self.shutdown(now)
            if self._fin == _DONE:
                self._arm(now)

    def abort(self, now):
        """End it by an RST."""
        reset = self._phase in (_SYN_RECEIVED, _OPEN)
        if self._phase:
            sent = self._max
            self.end(OSError(ECONNABORTED), keep=reset)
            self._max = sent  # what the peer expects
            self._reset = reset
            self.tcp.poke()

    def keepalive(self, ms):
        """Ask a peer that was silent for so long whether it is there; 0: never (V8)."""
        if not 0 <= ms <= _WRAP >> 2:
            raise ValueError("keepalive(%r)" % ms)
        self._idle_ms = ms
        self._fresh = True
        self.tcp.poke()

    # For Tcp.

    @property
    def idle(self):
        """True if nothing is unacknowledged, unread or owed, and neither side has ended (V14)."""
        owed = self._unread or self._last or self._ack or self._ended or self._fin
        return self._phase == _OPEN and self.sent and not owed

    def kept(self):
        """24 octets of an idle connection, from which `restored` makes it again."""
        facts = bytearray(8)
        for i, value in enumerate((self.mss, self._usable, min(self._srtt, 0xFFFF), min(self._variance, 0xFFFF))):
            facts[2 * i] = value >> 8
            facts[2 * i + 1] = value & 0xFF
        return bytes(self.numbers + facts)

    def restored(self, octets, now):
        """Make it that of `kept`, its buffers taken."""
        self.mss, self._usable, self._srtt, self._variance = [octets[i] << 8 | octets[i + 1] for i in range(16, 24, 2)]
        self._widest = self._usable
        self._set_rto()
        self._begin()

    def end(self, error, keep=False):
        """It is over; `error` is why, None if both sides have ended. It leaves Tcp's table unless it is to be kept."""
        self._phase = _CLOSED
        self.error = error
        if self.listener:
            self.listener.forget(self)
        self._queued = self._next = self._fin = 0
        self._release()
        if not keep:
            self.tcp.remove(self)
        self._notify()

    def due(self, now):
        """Milliseconds until `tick` or `outgoing` has something to do; -1: there is no hurry (V11)."""
        if self._reset:
            return 0
        if self._phase < _OPEN and not self._next:
            return 0
        wait = -1
        if self._phase == _OPEN:
            wait = self._data(now)
            if self._resend or self._probe:
                wait = 0
        if self._ack and self._phase >= _OPEN:
            wait = sooner(wait, self._ack_in(now))
        return sooner(wait, -1 if self._wait < 0 else max(0, self._wait - elapsed(now, self._since)))

    def tick(self, now):
        """Let time pass; then ask `outgoing`."""
        if self._wait < 0 or elapsed(now, self._since) < self._wait:
            return
        if self._phase == _TIME_WAIT or (self._orphan and self._fin == _DONE):
            self.end(None)
            return
        limit = (_SYNS, 1)[self._phase - 1] if self._phase < _OPEN else _TRIES  # V2, V9
        waits = self._max and (self._usable or self._phase < _OPEN)
        if (self._tries if waits else self._silent) >= limit:  # V3; V6: a peer that answers may keep its window shut
            self.end(OSError(ETIMEDOUT))
            return
        self._tries = min(self._tries + 1, _TRIES)
        self._silent += 1
        if self._max:
            self._timeout()
        else:
            self._probe = True
        self._arm(now)

    def unreachable(self, code, place):
        """ICMP says so of our segment at that place from una (V2)."""
        if not 0 <= place <= self._max:
            return
        if code == 3 and self._phase == _SYN_SENT:
            self.end(OSError(ECONNREFUSED))
        elif code == 4 and self._phase == _OPEN and self.mss > _MSS_DEFAULT:
            self.mss = _MSS_DEFAULT
            self._next = self._timed = 0

    def outgoing(self, out, at, room, now):
        """Length of the IPv4 packet that is to be sent now, written to out[at:]; 0 if there is none."""
        flags, place, n, options = ACK, self._max, 0, 0
        if self._reset:
            flags = RST | ACK
        elif self._phase < _OPEN:
            if self._next:
                return 0
            flags = SYN if self._phase == _SYN_SENT else SYN | ACK
            options = len(SYN_OPTIONS) if self._sack_ok or flags == SYN else 4
            out[at + _HEADERS : at + _HEADERS + options] = SYN_OPTIONS[:options]
            place = 0
            if not self._max:
                self._arm(now)  # a repeated SYN does not put it off
            self._next = self._max = 1
        else:
            if self._last and self._sack_ok:
                options = 12
            data = self._phase == _OPEN and (self._resend or not self._data(now))
            if data:
                place = 0 if self._resend else self._next
                n = min(self._again() if self._resend else self._size, min(room - _HEADERS, self.mss) - options)
                flags |= self._copy(out, at + _HEADERS + options, place, n)
            elif self._probe:
                place = -1  # a keepalive
            elif not self._ack or self._ack_in(now):
                return 0
            if options:
                sack(out, at + _HEADERS, self.numbers, self._first, self._last)
            if data:
                self._gone(place, place + n + (flags & FIN), now)
            self._probe = False
        self._ack = 0
        self.tcp.asks = bool(n or flags & (SYN | FIN))  # V12
        self.tcp.write(out, at, self.numbers, place, flags, self._announced(), options, n)
        if self._reset:
            self.tcp.remove(self)
        return _HEADERS + options + n

    def receive(self, packet, header, found, now):
        """Take in a segment as `tcp_segment.read` found it; True if it is to be answered by an RST."""
        seq, ack, flags, window, data, n, _, _, left, right = found
        if self._phase <= _SYN_SENT:
            return bool(self._phase) and self._answered(packet, header, found, now)
        if self._phase == _SYN_RECEIVED and flags & (SYN | ACK) == SYN and seq == -1:
            self._next = 0  # the SYN-ACK again
            return False
        if flags & RST:  # V7
            if not seq and self._phase != _TIME_WAIT:
                self.end(OSError(ECONNRESET))
            elif 0 < seq < self._window:
                self._challenge(now)
            return False
        length = n + (flags & FIN)
        if flags & SYN or not flags & ACK:
            if flags & SYN:
                self._challenge(now)
            return False
        if not (0 <= seq < max(self._window, 1) or seq < 0 < seq + length):
            if length and seq < 0:
                self._ack = _AT_ONCE
                if self._phase == _TIME_WAIT:
                    self._arm(now)
            else:
                self._challenge(now)
            return False
        if self._phase == _SYN_RECEIVED:
            if ack != 1:
                return True
            self.take_buffers()
            self._establish(window, now)
            ack = 0
            self.listener.arrived(self)
        if not _OLDEST <= ack <= self._max:  # V7
            self._challenge(now)
            return False
        self._silent = 0
        changed = self._acknowledged(ack, seq, window, n or flags & FIN, left, right, now)
        if self._phase == _OPEN and length and not self._ended:
            changed = self._take(packet, seq, data, n, flags & FIN, now) or changed
        if self._idle_ms and self.sent and self._phase == _OPEN and not self._orphan:
            self._arm(now)
        if changed:
            self._notify()
        return False

    def greet(self, mss, sack_ok):
        """What the peer's SYN says of what it takes (V2)."""
        self.mss = min(max(mss or _MSS_DEFAULT, _MSS_LEAST), _MSS)
        self._sack_ok = bool(sack_ok)

    # The rest is private.

    def _notify(self):
        if self.ready:
            self.ready()

    def _release(self):
        """Give back the buffers that are not needed any more (V8)."""
        self._out = None
        self._max = 0
        if not self._unread:
            self._in = None

    def _challenge(self, now):
        if self._challenged_at < 0 or (now - self._challenged_at) & _WRAP >= _CHALLENGE_MS:  # V7
            self._challenged_at = now
            self._ack = _AT_ONCE

    def _ack_in(self, now):
        return 0 if self._ack == _AT_ONCE else max(0, _ACK_MS - elapsed(now, self._ack_at))  # V5

    def _opened(self):
        """True if the window can be opened by so much that the peer is to know."""
        size = self.tcp.buffer
        return size - self._unread - self._window >= min(_MSS, size >> 1)  # V6

    def _announced(self):
        if self._phase == _OPEN and not self._ended and self._opened():
            self._window = self.tcp.buffer - self._unread
        return self._window

    def _arm(self, now):
        """Start the timer for what the connection is in need of."""
        self._since = now
        if self._phase == _TIME_WAIT or (self._orphan and self._fin == _DONE):
            self._wait = _LINGER_MS
        elif self._max or self._queued or self._phase < _OPEN:
            self._wait = min(self._rto << self._tries, _RTO_MOST)
        elif self._idle_ms:
            self._wait = min(self._idle_ms, _PROBE_MS) if self._silent else self._idle_ms
        else:
            self._wait = -1

    def _timeout(self):
        """The first of what was sent is still not acknowledged: all of it again, as the window of one allows (V3)."""
        self._timed = self._sack = self._sack_end = self._next = 0
        self._resend = self._fast = False
        if self._phase < _OPEN:
            return
        if self._tries > 2 and self._max >= self.mss > _MSS_DEFAULT:  # V2
            self.mss = _MSS_DEFAULT
        if self._tries == 1:
            self._ssthresh = max(self._max >> 1, 2 * self.mss)
        self._cwnd = self.mss
        self._recover = self._max

    def _measured(self, ms):
        """RFC 6298 section 2."""
        ms = max(1, ms)
        if self._srtt:
            off = ms - (self._srtt >> 3)
            self._srtt += off
            self._variance += abs(off) - (self._variance >> 2)
        else:
            self._srtt = ms << 3
            self._variance = ms << 1
        self._set_rto()

    def _set_rto(self):
        self._rto = min(max(_RTO_LEAST, (self._srtt >> 3) + self._variance), _RTO_MOST)

    def _begin(self):
        self._phase = _OPEN
        self._next = self._max = self._tries = self._silent = 0
        self._cwnd = min(4 * self.mss, max(2 * self.mss, 4380))  # RFC 5681

    def _establish(self, window, now):
        """Our SYN is acknowledged."""
        add(self.numbers, UNA, 1, 4)
        if not self._tries:
            self._measured(elapsed(now, self._since))
        self._usable = self._widest = window
        self._begin()
        self._fresh = True

    def _answered(self, packet, header, found, now):
        """An answer to our SYN; True if it is one to something else."""
        _, ack, flags, window, _, _, mss, sack_ok, _, _ = found
        if flags & ACK and ack != 1:
            return not flags & RST
        if flags & RST:
            if flags & ACK:
                self.end(OSError(ECONNREFUSED))  # V2
        elif flags & SYN and flags & ACK:
            self.numbers[NXT : NXT + 4] = packet[header + 4 : header + 8]
            add(self.numbers, NXT, 1, 4)
            self.greet(mss, sack_ok)
            self._establish(window, now)
            self._ack = _AT_ONCE
            self._arm(now)
            self._notify()
        return False

    def _acknowledged(self, ack, seq, window, more, left, right, now):
        """What a segment acknowledges; True if there is room for more data, or all of it has been received."""
        shut = not self._usable
        same = window == self._usable
        if ack >= 0 and seq >= self._updated:
            self._usable = window
            self._widest = max(self._widest, window)
            self._updated = seq
            if shut and window:  # V6
                self._tries = self._next = self._timed = 0
        if left < right <= self._max and left > max(ack, 0):
            self._sack, self._sack_end = left, right
        if not ack:
            if self._max and same and not more:
                self._duplicate()
            return False
        if ack < 0:
            return False
        add(self.numbers, UNA, ack, 4)
        if ack > self._queued:
            self._fin = _DONE
        n = min(ack, self._queued)
        if n:
            self._out_at = (self._out_at + n) % len(self._out)
        self._queued -= n
        self._max -= ack
        self._next = max(0, self._next - ack)
        self._sack_end = max(0, self._sack_end - ack)
        self._sack = max(0, self._sack - ack)
        if self._timed:
            self._timed -= ack
            if self._timed <= 0:
                self._timed = 0
                self._measured(elapsed(now, self._timed_at))
        self._tries = self._duplicates = 0
        self._grow(ack)
        self._arm(now)
        if self._fin == _DONE and self._ended:
            if self._passive:
                self.end(None)
            else:
                self._time_wait(now)
        return True

    def _grow(self, ack):
        """The congestion window after that much was acknowledged (RFC 5681, 6582)."""
        mss = self.mss
        self._recover = max(0, self._recover - ack)
        if not self._fast:
            self._cwnd += min(ack, mss) if self._cwnd < self._ssthresh else max(1, mss * mss // self._cwnd)
            self._cwnd = min(self._cwnd, 0xFFFF)
        elif self._recover:
            self._cwnd = max(mss, self._cwnd - ack + mss)
            self._resend = True
        else:
            self._cwnd = self._ssthresh
            self._fast = self._resend = False

    def _duplicate(self):
        """The peer seems to miss what begins at una (V3): fast retransmission, but not because of what that causes."""
        self._duplicates += 1
        few = self._sack_end and self._max < 4 * self.mss and self._max >= min(self._queued, self._usable)  # RFC 5827
        if self._fast:
            self._cwnd = min(self._cwnd + self.mss, 0xFFFF)
        elif not self._recover and (
            self._duplicates >= 3 or (few and self._sack_end - self._sack >= self._max - self.mss)
        ):
            self._ssthresh = max(self._max >> 1, 2 * self.mss)
            self._cwnd = self._ssthresh + 3 * self.mss
            self._recover = self._max
            self._fast = self._resend = True
            self._timed = 0

    def _data(self, now):
        """Milliseconds until a segment with data or a FIN can go, with _size octets; -1: there is none (V6)."""
        if self._fresh:
            self._fresh = False
            self._wrote_at = now
            if not self._max:
                self._arm(now)
        place = self._next
        again = place < self._max
        if again and self._sack <= place < self._sack_end:
            self._next = place = self._sack_end
        left = self._queued - place
        if left < 0:
            return -1
        n = min(self._usable, self._cwnd) - place
        if again and not place:
            n = max(n, min(self._max, self.mss))
        elif self._probe:
            n = max(n, 1)
        if place < self._sack:
            n = min(n, self._sack - place)
        self._size = n = max(0, min(n, left, self.mss))
        if n == left and self._fin == _WANTED:
            return 0
        if not n:
            return -1
        if n == self.mss or again or self._probe:
            return 0
        if n == left:
            return max(0, _MORE_MS - elapsed(now, self._wrote_at))
        return -1 if n < self._widest >> 1 else 0

    def _again(self):
        """Octets of the first segment, to be sent again."""
        return min(self._queued, self._max, self._sack or self._max)

    def _copy(self, out, at, place, n):
        """Data from that place to out[at:]; returns the flags that go with it."""
        if n:
            ring = memoryview(self._out)
            start = (self._out_at + place) % len(ring)
            part = min(n, len(ring) - start)
            out[at : at + part] = ring[start : start + part]
            if part < n:
                out[at + part : at + n] = ring[: n - part]
        if place + n < self._queued:
            return 0
        return (PSH if n else 0) | (FIN if self._fin == _WANTED else 0)

    def _gone(self, place, end, now):
        """A segment with data or FIN has left."""
        first = not self._max
        if end > self._max:
            if not self._timed and place >= self._max:
                self._timed = end
                self._timed_at = now
            self._max = end
        if self._resend:
            self._resend = False
            self._next = max(self._next, end)
        else:
            self._next = end
        if first:
            self._arm(now)

    def _take(self, packet, seq, data, n, fin, now):
        """Data and FIN of a segment from seq on; True if something can be read, or has ended."""
        end = seq + n
        if end > self._window:
            end = self._window
            fin = 0
            self._ack = _AT_ONCE
        start = max(seq, 0)
        if end > start:
            if self._orphan:  # V8
                self.abort(now)
                return True
            if start and self._last and (start > self._last or end < self._first):
                self._ack = _AT_ONCE
                return False  # V4: one range
            self._store(packet, data + start - seq, start, end - start)
        if start:
            if end > start:
                self._first = min(self._first, start) if self._last else start
                self._last = max(self._last, end)
            self._ack = _AT_ONCE
            return False
        last = end
        if self._last and end >= self._first:  # the hole is closed
            last = max(end, self._last)
            self._first = self._last = 0
            self._ack = _AT_ONCE
        if last > 0:
            self._advance(last)
            if self._ack or self._last:
                self._ack = _AT_ONCE
            else:
                self._ack = _DELAYED
                self._ack_at = now
        if fin and last == end:
            self._end_of_data(now)
        elif last <= 0:
            self._ack = _AT_ONCE  # nothing that we do not have, or have room for
            return False
        return True

    def _store(self, packet, start, place, n):
        ring = self._in
        octets = memoryview(packet)
        at = (self._in_at + self._unread + place) % len(ring)
        part = min(n, len(ring) - at)
        ring[at : at + part] = octets[start : start + part]
        if part < n:
            ring[: n - part] = octets[start + part : start + n]

    def _advance(self, n):
        """That much more is in order (V4)."""
        add(self.numbers, NXT, n, 4)
        self._unread += n
        self._window -= n
        self._updated -= n
        self._first = max(0, self._first - n)
        self._last = max(0, self._last - n)

    def _end_of_data(self, now):
        """Their FIN (V8)."""
        add(self.numbers, NXT, 1, 4)
        self._updated -= 1
        self._ended = True
        self._passive = not self._fin or self._max <= self._queued
        self._ack = _AT_ONCE
        if self._fin == _DONE:
            self._passive = False
            self._time_wait(now)

    def _time_wait(self, now):
        self._phase = _TIME_WAIT
        self._release()
        self._arm(now)
        self.tcp.waits(self)
