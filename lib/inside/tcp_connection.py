"""One TCP connection (RFC 9293, 5961), both roles. No I/O, no clock.

    got = connection.readinto(buf)              None: nothing yet; 0: the peer has ended; OSError
    taken = connection.write(data)              what there is room for; OSError
    connection.readable, connection.writable    octets, of which at least one if the connection is over
    connection.ready                            called without arguments when one of these changes

tcp_ring has the data of both directions, tcp_pace how fast and how often it is sent; here is when a segment goes, and
what one that has come means. One timer, of _wait milliseconds from _since, is for retransmission, zero-window probe,
keepalive or the end of a state, whichever the connection is in need of.
"""

from errno import ECONNABORTED, ECONNREFUSED, ECONNRESET, ETIMEDOUT

from portable import const, elapsed, sooner

from .tcp_pace import Pace
from .tcp_ring import Received, Sent
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
_NUMBERS = const(16)


class Connection:
    """Made by Tcp.connect, or by a Listener. `error` is what it ended with, if it was not ended by both."""

    error = None
    ready = None
    _fin = 0
    _ended = False  # the peer has sent all
    _passive = False  # and did so before us
    _orphan = False  # nobody reads or writes any more
    _reset = False  # an RST is to be sent
    _usable = _widest = _told_at = 0  # the peer's window, its widest, and where the segment stood that told it
    _sack_ok = False
    _probe = False  # a segment whatever the window, or a keepalive
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
        self.listener = listener
        self._phase = _SYN_RECEIVED if listener else _SYN_SENT
        self._in = Received(tcp.buffer)
        self._out = Sent()
        self._pace = Pace()

    def take_buffers(self):
        """Both rings; MemoryError."""
        self._in.ring = bytearray(self._in.size)
        self._out.ring = bytearray(self._in.size)

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
    def mss(self):
        """Octets of data that a segment to the peer has at most."""
        return self._pace.mss

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
        return not (self._out.queued or self._out.max or self._fin == _WANTED)

    @property
    def readable(self):
        return self._in.unread or int(self._ended or self._phase == _CLOSED)

    @property
    def writable(self):
        ring = self._out.ring
        return 1 if self._fin or not ring else len(ring) - self._out.queued

    def readinto(self, buf):
        """How much was put into buf; None if nothing has come yet, 0 if nothing will; OSError."""
        got = self._in
        n = min(len(buf), got.unread)
        if n:
            got.read(buf, n)
            if self._phase != _OPEN:
                self._release()
            elif got.opens and not self._ended:  # V5
                self._ack = _AT_ONCE
                self.tcp.poke()
        elif not (got.unread or self._ended):
            if self._phase:
                return None
            raise OSError(*(self.error or OSError(ECONNABORTED, "the connection is over")).args)
        return n

    def write(self, data):
        """How many octets of data there was room for; OSError."""
        out = self._out
        if self._fin or not out.ring:
            raise OSError(*(self.error or OSError(_EPIPE, "the connection is over")).args)
        if out.queued <= out.next:
            self._fresh = True
        n = out.write(data)
        if n:
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
        got = self._in
        if self._phase == _TIME_WAIT:
            got.unread = 0
            self._release()
        elif self._phase < _OPEN or got.unread or got.last:
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
            sent = self._out.max
            self.end(OSError(ECONNABORTED, "aborted"), reset)
            self._out.max = sent  # what the peer expects
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
        owed = self._in.unread or self._in.last or self._ack or self._ended or self._fin
        return self._phase == _OPEN and self.sent and not owed

    def kept(self):
        """24 octets of an idle connection, from which `restored` makes it again."""
        pace = self._pace
        facts = (pace.mss, self._usable, min(pace.srtt, 0xFFFF), min(pace.variance, 0xFFFF))
        return bytes(self.numbers) + b"".join([bytes((fact >> 8, fact & 0xFF)) for fact in facts])

    def restored(self, octets):
        """Make it that of `kept`, its buffers taken."""
        pace = self._pace
        facts = [octets[i] << 8 | octets[i + 1] for i in range(_NUMBERS, _NUMBERS + 8, 2)]
        pace.mss, self._usable, pace.srtt, pace.variance = facts
        self._begin(self._usable, 0)

    def end(self, error, keep=False):
        """It is over; `error` is why, None if both sides have ended. It leaves Tcp's table unless it is to be kept."""
        self._phase = _CLOSED
        self.error = error
        if self.listener:
            self.listener.forget(self)
        self._out.queued = self._fin = 0
        self._release()
        if not keep:
            self.tcp.remove(self)
        self._notify()

    def due(self, now):
        """Milliseconds until `tick` or `outgoing` has something to do; -1: there is no hurry (V11)."""
        if self._reset or (self._phase < _OPEN and not self._out.next):
            return 0
        wait = -1
        if self._phase == _OPEN:
            wait = self._data(now)
            if self._pace.resend or self._probe:
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
        out = self._out
        limit = (_SYNS, 1)[self._phase - 1] if self._phase < _OPEN else _TRIES  # V2, V9
        waits = out.max and (self._usable or self._phase < _OPEN)
        if (self._tries if waits else self._silent) >= limit:  # V3; V6: a peer that answers may keep its window shut
            self.end(OSError(ETIMEDOUT, "the peer does not answer"))
            return
        self._tries = min(self._tries + 1, _TRIES)
        self._silent += 1
        if out.max:
            out.next = 0
            if self._tries > 2 and out.max >= self._pace.mss > _MSS_DEFAULT:  # V2
                self._pace.mss = _MSS_DEFAULT
            self._pace.timeout(out.max, self._tries == 1)
        else:
            self._probe = True
        self._arm(now)

    def unreachable(self, code, place):
        """ICMP says so of our segment at that place from una (V2)."""
        out = self._out
        if not 0 <= place <= out.max:
            return
        if code == 3 and self._phase == _SYN_SENT:
            self.end(OSError(ECONNREFUSED, "nobody listens there"))
        elif code == 4 and self._phase == _OPEN and self._pace.mss > _MSS_DEFAULT:
            self._pace.mss = _MSS_DEFAULT
            out.next = self._pace.timed = 0

    def outgoing(self, out, at, room, now):
        """Length of the IPv4 packet that is to be sent now, written to out[at:]; 0 if there is none."""
        sent = self._out
        flags, place, n, optional = ACK, sent.max, 0, 0
        if self._reset:
            flags = RST | ACK
            self.tcp.remove(self)
        elif self._phase < _OPEN:
            if sent.next:
                return 0
            flags = SYN if self._phase == _SYN_SENT else SYN | ACK
            optional = 8 if self._sack_ok or flags == SYN else 4
            out[at + _HEADERS : at + _HEADERS + optional] = SYN_OPTIONS[:optional]
            if not place:
                self._arm(now)  # a repeated SYN does not put it off
            place = 0
            sent.next = sent.max = 1
        else:
            again = self._pace.resend
            data = self._phase == _OPEN and (again or not self._data(now))
            if not data and not self._probe and (not self._ack or self._ack_in(now)):
                return 0
            if self._in.last and self._sack_ok:
                optional = 12
                sack(out, at + _HEADERS, self.numbers, self._in.first, self._in.last)
            if data:
                place = 0 if again else sent.next
                n = min(sent.queued, sent.max, self._pace.sack or sent.max) if again else self._size
                n = min(n, min(room - _HEADERS, self._pace.mss) - optional)
                flags |= self._send(out, at + _HEADERS + optional, place, n, now)
            elif self._probe:
                place = -1  # a keepalive
            self._probe = False
        self._ack = 0
        self.tcp.asks = bool(n or flags & (SYN | FIN))  # V12
        return self.tcp.write(out, at, self.numbers, place, flags, self._announced(), optional, n)

    def receive(self, packet, header, seq, ack, found, now):
        """Take in a segment, its numbers from nxt and una, its options in `found`; True: it is answered by an RST."""
        flags = packet[header + 13]
        window = packet[header + 14] << 8 | packet[header + 15]
        if self._phase <= _SYN_SENT:
            return bool(self._phase) and self._answered(packet, header, flags, ack, window, found, now)
        if self._phase == _SYN_RECEIVED and flags & (SYN | ACK) == SYN and seq == -1:
            self._out.next = 0  # the SYN-ACK again
            return False
        got = self._in
        if flags & RST:  # V7
            if not seq and self._phase != _TIME_WAIT:
                self.end(OSError(ECONNRESET, "reset by the peer"))
            elif 0 < seq < got.window:
                self._challenge(now)
            return False
        data = header + (packet[header + 12] >> 2 & 60)
        n = (packet[2] << 8 | packet[3]) - data
        length = n + (flags & FIN)
        if not flags & (ACK | SYN):
            return False
        if not flags & SYN and length and seq < 0 and seq + length <= 0:  # what we have already
            self._ack = _AT_ONCE
            if self._phase == _TIME_WAIT:
                self._arm(now)
            return False
        if flags & SYN or not (seq < max(got.window, 1) and (seq >= 0 or length)):
            self._challenge(now)
            return False
        if self._phase == _SYN_RECEIVED:
            if ack != 1:
                return True
            self.take_buffers()
            self._establish(window, now)
            ack = 0
            self.listener.arrived(self)
        if not _OLDEST <= ack <= self._out.max:  # V7
            self._challenge(now)
            return False
        self._silent = 0
        changed = self._acknowledged(ack, seq, window, length, found, now)
        if self._phase == _OPEN and length and not self._ended:
            changed = self._take(memoryview(packet)[data : data + n], seq, flags & FIN, now) or changed
        if self._idle_ms and self._phase == _OPEN and self.sent and not self._orphan:
            self._arm(now)
        if changed:
            self._notify()
        return False

    def greet(self, found):
        """What the options of the peer's SYN say that it takes (V2)."""
        self._pace.mss = min(max(found[0] or _MSS_DEFAULT, _MSS_LEAST), _MSS)
        self._sack_ok = bool(found[1])

    # The rest is private.

    def _notify(self):
        if self.ready:
            self.ready()

    def _release(self):
        """Give back the buffers that are not needed any more (V8)."""
        self._out.ring = None
        self._out.max = 0
        if not self._in.unread:
            self._in.ring = None

    def _challenge(self, now):
        if self._challenged_at < 0 or (now - self._challenged_at) & _WRAP >= _CHALLENGE_MS:  # V7
            self._challenged_at = now
            self._ack = _AT_ONCE

    def _ack_in(self, now):
        return 0 if self._ack == _AT_ONCE else max(0, _ACK_MS - elapsed(now, self._ack_at))  # V5

    def _announced(self):
        got = self._in
        if self._phase == _OPEN and not self._ended and got.opens:
            got.window = got.size - got.unread
        return got.window

    def _arm(self, now):
        """Start the timer for what the connection is in need of."""
        self._since = now
        if self._phase == _TIME_WAIT or (self._orphan and self._fin == _DONE):
            self._wait = _LINGER_MS
        elif self._out.max or self._out.queued or self._phase < _OPEN:
            self._wait = min(self._pace.rto << self._tries, _RTO_MOST)
        elif self._idle_ms:
            self._wait = min(self._idle_ms, _PROBE_MS) if self._silent else self._idle_ms
        else:
            self._wait = -1

    def _begin(self, window, ms):
        """Open, after a round trip of so long; 0: that of before, or unknown."""
        self._phase = _OPEN
        self._out.next = self._out.max = self._tries = self._silent = 0
        self._usable = self._widest = window
        self._fresh = True
        if ms or self._pace.srtt:
            self._pace.measured(ms)
        self._pace.begin()

    def _establish(self, window, now):
        """Our SYN is acknowledged."""
        add(self.numbers, UNA, 1, 4)
        self._begin(window, 0 if self._tries else max(1, elapsed(now, self._since)))

    def _answered(self, packet, header, flags, ack, window, found, now):
        """An answer to our SYN; True if it is one to something else."""
        if flags & ACK and ack != 1:
            return not flags & RST
        if flags & RST:
            if flags & ACK:
                self.end(OSError(ECONNREFUSED, "nobody listens there"))  # V2
        elif flags & SYN and flags & ACK:
            self.numbers[NXT : NXT + 4] = packet[header + 4 : header + 8]
            add(self.numbers, NXT, 1, 4)
            self.greet(found)
            self._establish(window, now)
            self._ack = _AT_ONCE
            self._notify()
        return False

    def _acknowledged(self, ack, seq, window, length, found, now):
        """What a segment acknowledges; True if there is room for more data, or all of it has been received."""
        out = self._out
        same = window == self._usable
        if ack >= 0 and seq >= self._told_at:
            if window and not self._usable:  # V6
                self._tries = out.next = self._pace.timed = 0
            self._usable = window
            self._widest = max(self._widest, window)
            self._told_at = seq
        if ack <= 0:
            if not ack:
                self._pace.told(found[2], found[3], out.max)
                if out.max and same and not length:
                    self._pace.duplicate(out.max, out.max >= min(out.queued, window))
            return False
        add(self.numbers, UNA, ack, 4)
        if ack > out.queued:
            self._fin = _DONE
        out.acknowledge(ack)
        self._pace.acknowledged(ack, now)
        self._pace.told(found[2] - ack, found[3] - ack, out.max)
        self._tries = 0
        self._arm(now)
        if self._fin == _DONE and self._ended:
            if self._passive:
                self.end(None)
            else:
                self._time_wait(now)
        return True

    def _data(self, now):
        """Milliseconds until a segment with data or a FIN can go, with _size octets; -1: there is none (V6)."""
        out = self._out
        pace = self._pace
        if self._fresh:
            self._fresh = False
            self._wrote_at = now
            if not out.max:
                self._arm(now)
        again = out.next < out.max
        if again and pace.sack <= out.next < pace.sack_end:
            out.next = pace.sack_end
        place = out.next
        left = out.queued - place
        if left < 0:
            return -1
        n = min(self._usable, pace.window) - place
        if again and not place:
            n = max(n, min(out.max, pace.mss))
        elif self._probe:
            n = max(n, 1)
        if place < pace.sack:
            n = min(n, pace.sack - place)
        self._size = n = max(0, min(n, left, pace.mss))
        if n == left and self._fin == _WANTED:
            return 0
        if not n:
            return -1
        if n == pace.mss or again or self._probe:
            return 0
        if n == left:
            return max(0, _MORE_MS - elapsed(now, self._wrote_at))
        return -1 if n < self._widest >> 1 else 0

    def _send(self, out, at, place, n, now):
        """Put data from that place to out[at:], and note that it leaves; the flags that go with it."""
        sent = self._out
        if n:
            sent.copy(out, at, place, n)
        end = place + n
        flags = 0
        if end >= sent.queued:
            flags = (PSH if n else 0) | (FIN if self._fin == _WANTED else 0)
            end += flags & FIN
        first = not sent.max
        if end > sent.max:
            if place >= sent.max:
                self._pace.sent(end, now)
            sent.max = end
        if self._pace.resend:
            self._pace.resend = False
            sent.next = max(sent.next, end)
        else:
            sent.next = end
        if first:
            self._arm(now)
        return flags

    def _take(self, data, seq, fin, now):
        """Data and FIN of a segment from seq on; True if something can be read, or has ended."""
        got = self._in
        end = seq + len(data)
        if end > got.window:
            end = got.window
            fin = 0
            self._ack = _AT_ONCE
        start = max(seq, 0)
        more = 0
        if end > start:
            if self._orphan:  # V8
                self.abort(now)
                return True
            hole = got.last
            more = got.take(data[start - seq : end - seq], start, end)
            if more <= 0 or hole:
                self._ack = _AT_ONCE  # V5
        if start:
            self._ack = _AT_ONCE
            return False
        if more > 0:
            add(self.numbers, NXT, more, 4)
            self._told_at -= more
            if self._ack:
                self._ack = _AT_ONCE
            else:
                self._ack = _DELAYED
                self._ack_at = now
        if fin and more == max(end, 0):
            self._end_of_data(now)
        elif more <= 0:
            self._ack = _AT_ONCE  # nothing that we do not have, or have room for
            return False
        return True

    def _end_of_data(self, now):
        """Their FIN (V8)."""
        add(self.numbers, NXT, 1, 4)
        self._told_at -= 1
        self._ended = True
        self._passive = not self._fin or (self._fin == _WANTED and self._out.max <= self._out.queued)
        self._ack = _AT_ONCE
        if self._fin == _DONE:
            self._time_wait(now)

    def _time_wait(self, now):
        self._phase = _TIME_WAIT
        self._release()
        self._arm(now)
        self.tcp.waits(self)
