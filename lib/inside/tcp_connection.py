"""One TCP connection (RFC 9293, 5961), both roles. No I/O, no clock.

    got = connection.readinto(buf)              None: nothing yet; 0: the peer has ended; OSError
    taken = connection.write(data)              what there is room for; OSError
    connection.readable, connection.writable    octets, of which at least one if the connection is over
    connection.ready                            called without arguments when one of these changes

Its small numbers are words of one array: attributes would take twice the memory. Of what is sent, places are counted
from una: _NEXT goes out next, _MAX was never sent, at _QUEUED the data ends, and a FIN stands if there is one. One
timer, _WAIT milliseconds from _SINCE, is for retransmission, zero-window probe, keepalive or the end of a state,
whichever the connection is in need of. tcp_ring moves the data of both directions, tcp_pace says how fast and how often
it is sent.
"""

from array import array
from errno import ECONNABORTED, ECONNREFUSED, ECONNRESET, ETIMEDOUT

from portable import const, elapsed, sooner

from . import tcp_pace as pace
from .tcp_ring import get, put, take
from .tcp_segment import SYN_OPTIONS, add, sack, write

_FIN = const(1)  # as tcp_segment has them
_SYN = const(2)
_RST = const(4)
_PSH = const(8)
_ACK = const(16)
_UNA = const(8)
_NXT = const(12)

_MSS = const(0)
_CWND = const(1)
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

_DELAYED = const(1)  # an ACK
_AT_ONCE = const(2)

_MSS_MOST = const(1360)
_MSS_DEFAULT = const(536)
_MSS_LEAST = const(64)
_RTO_FIRST = const(1000)
_RTO_MOST = const(60000)
_TRIES_MOST = const(8)
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

    def __init__(self, tcp, numbers, listener=None):
        self.numbers = numbers  # as tcp_segment has them
        self.error = self.ready = None
        self.listener = listener
        self._tcp = tcp
        self._in = self._out = None  # rings
        self._words = w = array("i", bytes(4 * _WORDS))
        w[_PHASE] = _SYN_RECEIVED if listener else _SYN_SENT
        w[_MSS] = _MSS_DEFAULT
        w[_RTO] = _RTO_FIRST
        w[_WAIT] = -1
        w[_WINDOW] = tcp.buffer

    def take_buffers(self):
        """Both rings; MemoryError."""
        self._in = bytearray(self._tcp.buffer)
        self._out = bytearray(self._tcp.buffer)

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
        return self._words[_MSS]

    @property
    def state(self):
        """Its name in RFC 9293."""
        w = self._words
        fin = w[_OUR_FIN]
        if w[_PHASE] != _OPEN:
            return ("CLOSED", "SYN-SENT", "SYN-RECEIVED", "", "TIME-WAIT")[w[_PHASE]]
        if w[_ENDED]:
            return ("LAST-ACK" if w[_PASSIVE] else "CLOSING") if fin else "CLOSE-WAIT"
        return ("ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2")[fin]

    @property
    def established(self):
        return self._words[_PHASE] >= _OPEN

    @property
    def sent(self):
        """True if nothing is unacknowledged."""
        w = self._words
        return not (w[_QUEUED] or w[_MAX] or w[_OUR_FIN] == _WANTED)

    @property
    def readable(self):
        w = self._words
        return w[_UNREAD] or int(w[_ENDED] or not w[_PHASE])

    @property
    def writable(self):
        ring = self._out
        return 1 if self._words[_OUR_FIN] or not ring else len(ring) - self._words[_QUEUED]

    def readinto(self, buf):
        """How much was put into buf; None if nothing has come yet, 0 if nothing will; OSError."""
        w = self._words
        n = min(len(buf), w[_UNREAD])
        if n:
            get(buf, 0, self._in, w[_IN_AT], n)
            w[_IN_AT] = (w[_IN_AT] + n) % len(self._in)
            w[_UNREAD] -= n
            if w[_PHASE] != _OPEN:
                self._release()
            elif self._tcp.buffer - w[_UNREAD] - w[_WINDOW] >= self._tcp.step and not w[_ENDED]:  # V5
                w[_OWED] = _AT_ONCE
                self._tcp.poke()
        elif not (w[_UNREAD] or w[_ENDED]):
            if w[_PHASE]:
                return None
            raise OSError(*(self.error or OSError(ECONNABORTED, "the connection is over")).args)
        return n

    def write(self, data):
        """How many octets of data there was room for; OSError."""
        w = self._words
        ring = self._out
        if w[_OUR_FIN] or not ring:
            raise OSError(*(self.error or OSError(_EPIPE, "the connection is over")).args)
        queued = w[_QUEUED]
        n = min(len(data), len(ring) - queued)
        if n:
            put(ring, (w[_OUT_AT] + queued) % len(ring), memoryview(data), n)
            if queued <= w[_NEXT]:
                w[_FRESH] = 1
            w[_QUEUED] = queued + n
            self._tcp.poke()
        return n

    def shutdown(self, now):
        """No more is written: FIN behind all data (V8)."""
        w = self._words
        if w[_PHASE] and not w[_OUR_FIN]:
            w[_OUR_FIN] = _WANTED
            self._tcp.poke()

    def close(self, now):
        """Neither read nor written any more; what was written is still sent, unless there is unread data (V8)."""
        w = self._words
        self.ready = None
        if w[_PHASE] == _TIME_WAIT:
            w[_UNREAD] = 0
            self._release()
        elif w[_PHASE] < _OPEN or w[_UNREAD] or w[_LAST]:
            self.abort(now)
        else:
            w[_ORPHAN] = 1
            self.shutdown(now)
            if w[_OUR_FIN] == _DONE:
                self._arm(now)

    def abort(self, now):
        """End it by an RST."""
        w = self._words
        if w[_PHASE]:
            reset = w[_PHASE] in (_SYN_RECEIVED, _OPEN)
            sent = w[_MAX]
            self.end(OSError(ECONNABORTED, "aborted"), reset)
            w[_MAX] = sent  # what the peer expects
            w[_RESET] = reset
            self._tcp.poke()

    def keepalive(self, ms):
        """Ask a peer that was silent for so long whether it is there; 0: never (V8)."""
        if not 0 <= ms <= _WRAP >> 2:
            raise ValueError("keepalive(%r)" % ms)
        w = self._words
        w[_IDLE_MS] = ms
        w[_FRESH] = 1
        self._tcp.poke()

    # For Tcp.

    @property
    def idle(self):
        """True if nothing is unacknowledged, unread or owed, and neither side has ended (V14)."""
        w = self._words
        owed = w[_UNREAD] or w[_LAST] or w[_OWED] or w[_ENDED] or w[_OUR_FIN]
        return w[_PHASE] == _OPEN and self.sent and not owed

    def kept(self):
        """24 octets of an idle connection, from which `restored` makes it again."""
        w = self._words
        octets = bytes(self.numbers)
        for i in (_MSS, _USABLE, _SRTT, _VARIANCE):
            value = min(w[i], 0xFFFF)
            octets += bytes((value >> 8, value & 0xFF))
        return octets

    def restored(self, octets):
        """Make it that of `kept`, its buffers taken."""
        w = self._words
        at = _NUMBERS
        for i in (_MSS, _USABLE, _SRTT, _VARIANCE):
            w[i] = octets[at] << 8 | octets[at + 1]
            at += 2
        self._begin(w[_USABLE], 0)

    def end(self, error, keep=False):
        """It is over; `error` is why, None if both sides have ended. It leaves Tcp's table unless it is to be kept."""
        w = self._words
        w[_PHASE] = _CLOSED
        self.error = error
        if self.listener:
            self.listener.forget(self)
        w[_QUEUED] = w[_OUR_FIN] = 0
        self._release()
        if not keep:
            self._tcp.remove(self)
        self._notify()

    def due(self, now):
        """Milliseconds until `tick` or `outgoing` has something to do; -1: there is no hurry (V11)."""
        w = self._words
        phase = w[_PHASE]
        if w[_RESET] or (phase < _OPEN and not w[_NEXT]):
            return 0
        wait = -1
        if phase >= _OPEN:
            if phase == _OPEN:
                wait = self._data(now)
                if w[_RESEND] or w[_PROBE]:
                    wait = 0
            if w[_OWED]:
                wait = sooner(wait, self._ack_in(now))
        return sooner(wait, -1 if w[_WAIT] < 0 else max(0, w[_WAIT] - elapsed(now, w[_SINCE])))

    def tick(self, now):
        """Let time pass; then ask `outgoing`."""
        w = self._words
        phase = w[_PHASE]
        if w[_WAIT] < 0 or elapsed(now, w[_SINCE]) < w[_WAIT]:
            return
        if phase == _TIME_WAIT or (w[_ORPHAN] and w[_OUR_FIN] == _DONE):
            self.end(None)
            return
        limit = (_SYNS, 1)[phase - 1] if phase < _OPEN else _TRIES_MOST  # V2, V9
        waits = w[_MAX] and (w[_USABLE] or phase < _OPEN)
        if (w[_TRIES] if waits else w[_SILENT]) >= limit:  # V3; V6: a peer that answers may keep its window shut
            self.end(OSError(ETIMEDOUT, "the peer does not answer"))
            return
        w[_TRIES] = min(w[_TRIES] + 1, _TRIES_MOST)
        w[_SILENT] += 1
        if w[_MAX]:
            w[_NEXT] = 0
            if w[_TRIES] > 2 and w[_MAX] >= w[_MSS] > _MSS_DEFAULT:  # V2
                w[_MSS] = _MSS_DEFAULT
            pace.timeout(w, w[_TRIES] == 1)
        else:
            w[_PROBE] = 1
        self._arm(now)

    def unreachable(self, code, place):
        """ICMP says so of our segment at that place from una (V2)."""
        w = self._words
        if 0 <= place <= w[_MAX]:
            if code == 3 and w[_PHASE] == _SYN_SENT:
                self.end(OSError(ECONNREFUSED, "nobody listens there"))
            elif code == 4 and w[_PHASE] == _OPEN and w[_MSS] > _MSS_DEFAULT:
                w[_MSS] = _MSS_DEFAULT
                w[_NEXT] = w[_TIMED] = 0

    def outgoing(self, out, at, room, now):
        """Length of the IPv4 packet that is to be sent now, written to out[at:]; 0 if there is none."""
        w = self._words
        phase = w[_PHASE]
        place = w[_MAX]
        flags = _ACK
        n = optional = 0
        if phase >= _OPEN:
            again = w[_RESEND]
            data = phase == _OPEN and (again or not self._data(now))
            owed = w[_OWED]
            if not (data or owed == _AT_ONCE or w[_PROBE] or (owed and not self._ack_in(now))):
                return 0
            if w[_LAST] and w[_SACK_OK]:
                optional = 12
                sack(out, at + _HEADERS, self.numbers, w[_FIRST], w[_LAST])
            if data:
                place = 0 if again else w[_NEXT]
                n = min(w[_QUEUED], w[_SACK] or w[_MAX]) if again else w[_SIZE]
                n = min(n, min(room - _HEADERS, w[_MSS]) - optional)
                flags |= self._send(out, at + _HEADERS + optional, place, n, now)
            elif w[_PROBE]:
                place = -1  # a keepalive
            w[_PROBE] = 0
        elif w[_RESET]:
            flags = _RST | _ACK
            self._tcp.remove(self)
        elif w[_NEXT]:
            return 0
        else:
            flags = _SYN if phase == _SYN_SENT else _SYN | _ACK
            optional = 8 if w[_SACK_OK] or flags == _SYN else 4
            out[at + _HEADERS : at + _HEADERS + optional] = SYN_OPTIONS[:optional]
            if not place:
                self._arm(now)  # a repeated SYN does not put it off
            place = 0
            w[_NEXT] = w[_MAX] = 1
        w[_OWED] = 0
        tcp = self._tcp
        tcp.asks = bool(n or flags & (_SYN | _FIN))  # V12
        room = tcp.buffer - w[_UNREAD]
        if room - w[_WINDOW] >= tcp.step and phase == _OPEN and not w[_ENDED]:  # V6
            if w[_WINDOW] < tcp.step:  # V5: told once more, for the peer would wait for it
                w[_OWED] = _DELAYED
                w[_OWED_SINCE] = now
            w[_WINDOW] = room
        tcp.number = (tcp.number + 1) & 0xFFFF
        write(out, at, tcp.number, tcp.stack.address, self.numbers, place, flags, w[_WINDOW], optional, n)
        return _HEADERS + optional + n

    def receive(self, packet, header, seq, ack, found, now):
        """Take in a segment, its numbers from nxt and una, its options in `found`; True: it is answered by an RST."""
        w = self._words
        phase = w[_PHASE]
        flags = packet[header + 13]
        if phase < _OPEN:
            if phase <= _SYN_SENT:
                return bool(phase) and self._answered(packet, header, flags, ack, found, now)
            if flags & (_SYN | _ACK) == _SYN and seq == -1:
                w[_NEXT] = 0  # the SYN-ACK again
                return False
        if flags & _RST:  # V7
            if not seq and phase != _TIME_WAIT:
                self.end(OSError(ECONNRESET, "reset by the peer"))
            elif 0 < seq < w[_WINDOW]:
                self._challenge(now)
            return False
        data = header + (packet[header + 12] >> 2 & 60)
        n = (packet[2] << 8 | packet[3]) - data
        length = n + (flags & _FIN)
        if flags & _SYN or not flags & _ACK:
            if flags & _SYN:
                self._challenge(now)
            return False
        if length and seq < 0 and seq + length <= 0:  # what we have already
            w[_OWED] = _AT_ONCE
            if phase == _TIME_WAIT:
                self._arm(now)
            return False
        if seq >= (w[_WINDOW] or 1) or (seq < 0 and not length):
            self._challenge(now)
            return False
        if phase == _SYN_RECEIVED:
            if ack != 1:
                return True
            self.take_buffers()
            self._establish(packet, header, now)
            ack = 0
            self.listener.arrived(self)
        if not _OLDEST <= ack <= w[_MAX]:  # V7
            self._challenge(now)
            return False
        w[_SILENT] = 0
        window = packet[header + 14] << 8 | packet[header + 15]
        changed = self._acknowledged(ack, seq, window, length, found, now)
        if length and w[_PHASE] == _OPEN and not w[_ENDED]:
            changed = self._take(packet, data, n, seq, flags & _FIN, now) or changed
        if w[_IDLE_MS] and w[_PHASE] == _OPEN and self.sent and not w[_ORPHAN]:
            self._arm(now)
        if changed:
            self._notify()
        return False

    def greet(self, found):
        """What the options of the peer's SYN say that it takes (V2)."""
        w = self._words
        w[_MSS] = min(max(found[0] or _MSS_DEFAULT, _MSS_LEAST), _MSS_MOST)
        w[_SACK_OK] = found[1]

    # The rest is private.

    def _notify(self):
        if self.ready:
            self.ready()

    def _release(self):
        """Give back the buffers that are not needed any more (V8)."""
        self._out = None
        self._words[_MAX] = 0
        if not self._words[_UNREAD]:
            self._in = None

    def _challenge(self, now):
        w = self._words
        if not w[_CHALLENGED] or (now - (w[_CHALLENGED] >> 1)) & (_WRAP >> 1) >= _CHALLENGE_MS:  # V7
            w[_CHALLENGED] = (now & (_WRAP >> 1)) << 1 | 1
            w[_OWED] = _AT_ONCE

    def _ack_in(self, now):
        w = self._words
        return 0 if w[_OWED] == _AT_ONCE else max(0, _ACK_MS - elapsed(now, w[_OWED_SINCE]))  # V5

    def _arm(self, now):
        """Start the timer for what the connection is in need of."""
        w = self._words
        w[_SINCE] = now
        if w[_PHASE] == _TIME_WAIT or (w[_ORPHAN] and w[_OUR_FIN] == _DONE):
            w[_WAIT] = _LINGER_MS
        elif w[_MAX] or w[_QUEUED] or w[_PHASE] < _OPEN:
            w[_WAIT] = min(w[_RTO] << w[_TRIES], _RTO_MOST)
        elif w[_IDLE_MS]:
            w[_WAIT] = min(w[_IDLE_MS], _PROBE_MS) if w[_SILENT] else w[_IDLE_MS]
        else:
            w[_WAIT] = -1

    def _begin(self, window, ms):
        """Open, after a round trip of so long; 0: that of before, or unknown."""
        w = self._words
        w[_PHASE] = _OPEN
        w[_NEXT] = w[_MAX] = w[_TRIES] = w[_SILENT] = 0
        w[_USABLE] = w[_WIDEST] = window
        w[_FRESH] = 1
        if ms or w[_SRTT]:
            pace.measured(w, ms)
        pace.begin(w)

    def _establish(self, packet, header, now):
        """Our SYN is acknowledged."""
        w = self._words
        add(self.numbers, _UNA, 1, 4)
        window = packet[header + 14] << 8 | packet[header + 15]
        self._begin(window, 0 if w[_TRIES] else max(1, elapsed(now, w[_SINCE])))

    def _answered(self, packet, header, flags, ack, found, now):
        """An answer to our SYN; True if it is one to something else."""
        if flags & _ACK and ack != 1:
            return not flags & _RST
        if flags & _RST:
            if flags & _ACK:
                self.end(OSError(ECONNREFUSED, "nobody listens there"))  # V2
        elif flags & _SYN and flags & _ACK:
            self.numbers[_NXT : _NXT + 4] = packet[header + 4 : header + 8]
            add(self.numbers, _NXT, 1, 4)
            self.greet(found)
            self._establish(packet, header, now)
            self._words[_OWED] = _AT_ONCE
            self._notify()
        return False

    def _acknowledged(self, ack, seq, window, length, found, now):
        """What a segment acknowledges; True if there is room for more data, or all of it has been received."""
        w = self._words
        usable = w[_USABLE]
        if ack >= 0 and seq >= w[_TOLD_AT]:
            if window != usable:
                if not usable:  # V6
                    w[_TRIES] = w[_NEXT] = w[_TIMED] = 0
                w[_USABLE] = window
                w[_WIDEST] = max(w[_WIDEST], window)
            w[_TOLD_AT] = seq
        if ack <= 0:
            if not ack and w[_MAX]:
                pace.told(w, found[2], found[3])
                if window == usable and not length:
                    pace.duplicate(w, w[_MAX] >= min(w[_QUEUED], window))
            return False
        queued = w[_QUEUED]
        add(self.numbers, _UNA, ack, 4)
        if ack > queued:
            w[_OUR_FIN] = _DONE
        n = min(ack, queued)
        if n:
            w[_OUT_AT] = (w[_OUT_AT] + n) % len(self._out)
            w[_QUEUED] = queued - n
        w[_MAX] -= ack
        w[_NEXT] = max(0, w[_NEXT] - ack)
        w[_TRIES] = 0
        pace.acknowledged(w, ack, now)
        if found[3]:
            pace.told(w, found[2] - ack, found[3] - ack)
        self._arm(now)
        if w[_ENDED] and w[_OUR_FIN] == _DONE:
            if w[_PASSIVE]:
                self.end(None)
            else:
                self._time_wait(now)
        return True

    def _data(self, now):
        """Milliseconds until a segment with data or a FIN can go, with _SIZE octets; -1: there is none (V6)."""
        w = self._words
        if w[_FRESH]:
            w[_FRESH] = 0
            w[_WROTE_AT] = now
            if not w[_MAX]:
                self._arm(now)
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

    def _send(self, out, at, place, n, now):
        """Put data from that place to out[at:], and note that it leaves; the flags that go with it."""
        w = self._words
        end = place + n
        flags = 0
        if n:
            get(out, at, self._out, (w[_OUT_AT] + place) % len(self._out), n)
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
            self._arm(now)
        return flags

    def _take(self, packet, data, n, seq, fin, now):
        """Data and FIN of a segment from seq on; True if something can be read, or has ended."""
        w = self._words
        end = seq + n
        if end > w[_WINDOW]:
            end = w[_WINDOW]
            fin = 0
            w[_OWED] = _AT_ONCE
        start = max(seq, 0)
        more = 0
        if end > start:
            if w[_ORPHAN]:  # V8
                self.abort(now)
                return True
            if w[_LAST]:
                w[_OWED] = _AT_ONCE  # V5
            more = take(w, self._in, memoryview(packet)[data + start - seq : data + end - seq], start, end)
        if more > 0:
            add(self.numbers, _NXT, more, 4)
            w[_TOLD_AT] -= more
            if w[_OWED]:
                w[_OWED] = _AT_ONCE
            else:
                w[_OWED] = _DELAYED
                w[_OWED_SINCE] = now
        else:
            w[_OWED] = _AT_ONCE  # a hole, or nothing that we do not have, or have room for
        if fin and not start and more == max(end, 0):
            self._end_of_data(now)
            return True
        return more > 0

    def _end_of_data(self, now):
        """Their FIN (V8)."""
        w = self._words
        add(self.numbers, _NXT, 1, 4)
        w[_TOLD_AT] -= 1
        w[_ENDED] = 1
        w[_PASSIVE] = w[_OUR_FIN] == 0 or (w[_OUR_FIN] == _WANTED and w[_MAX] <= w[_QUEUED])
        w[_OWED] = _AT_ONCE
        if w[_OUR_FIN] == _DONE:
            self._time_wait(now)

    def _time_wait(self, now):
        self._words[_PHASE] = _TIME_WAIT
        self._release()
        self._arm(now)
        self._tcp.waits(self)
