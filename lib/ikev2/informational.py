"""What is said over one established IKE SA after both ends have their keys: INFORMATIONAL exchanges, in both roles.

RFC 7296 sections 1.4, 2.1 to 2.5, 2.21.3, 2.21.4. An `IkeSa` is the owner of an IKE SA that node.py speaks of. As a
requester it has a window of one: one request is on its way, and what else is to be said waits as one bit each,
the INVALID_SPI with the newest SPI, for a hundred wayward packets are not worth a hundred exchanges. A request that
stays unanswered is repeated until its peer must be dead. As a responder it answers each request once and keeps that
answer for when the request is repeated. It makes no Child SAs, and knows of those in the table what Delete needs.

No message is kept: of a request and of a response there are the IV and what was said, and the same octets come out
of them every time. Everything of fixed size lies in one bytearray. Neither counter of Message IDs ever wraps: the
IKE SA is over after the exchange with the last one (section 2.2), as it is after Delete and INVALID_SYNTAX.
"""

import struct

from . import wire
from .budget import elapsed
from .payloads import DELETE, INVALID_SYNTAX, answer_to, chain, notify, says
from .wire import EXCHANGE, FLAGS, INFORMATIONAL, NOTIFY, RESPONSE, const

# What IkeSa.receive says of a message: it proves nothing; it is the peer's and new; the peer's last request again.
IGNORED = const(0)
FRESH = const(1)
REPEATED = const(2)

_FIRST_MS = const(2000)
_LONGEST_MS = const(60000)
_TRIES_AT_MOST = const(12)
_QUIET_MAX = const(0x20000000)
_LAST_ID = 0xFFFFFFFF
_COUNTER_MAX = const(0x3FFFFFFF)

# Where the parts of the state lie in _state.
_SENT_ID = const(0)  # Message ID of our last request
_ANSWERED_ID = const(4)  # of the last request that we answered
_SENT_AT = const(8)
_HEARD_AT = const(12)  # the last proof of life
_QUIET_MS = const(16)
_SPI = const(20)  # what our request says is invalid
_NEXT_SPI = const(24)  # what the next one will
_IV = const(28)  # of our request
_ANSWER_IV = const(44)
_IS = const(60)
_TRIES = const(61)  # how often our request went out; 0: none is waiting
_SLOT = const(62)
_ANSWER_EXCHANGE = const(63)
_STATE = const(64)

# Bits of _IS.
_CHECK_WANTED = const(0x01)
_SPI_WANTED = const(0x02)
_SAYS_SPI = const(0x04)  # our request is INVALID_SPI
_ANSWER_DUE = const(0x08)
_LAST_ANSWER = const(0x10)  # with it the IKE SA is over
_OVER = const(0x20)


class IkeSa:
    """The IKE SA in `slot` of an SpiTable, its keys in `sa` (sk.protection), random(n) -> n random octets.

    `send_id` and `receive_id` are the Message IDs of the next request of ours and of the peer's. If nothing was
    heard for `quiet_ms` milliseconds since `now`, the peer is asked whether it lives; 0: never.
    """

    dropped = 0  # messages that were not the peer's, or not in the window

    def __init__(self, table, slot, sa, random, send_id, receive_id, quiet_ms=0, now=0):
        table.ike_sa(slot)
        if not (0 <= send_id <= _LAST_ID and 0 <= receive_id <= _LAST_ID and 0 <= quiet_ms < _QUIET_MAX):
            raise ValueError("IkeSa(..., %r, %r, %r)" % (send_id, receive_id, quiet_ms))
        self._table = table
        self._sa = sa
        self._random = random
        self._answer = None  # its payloads
        self._state = bytearray(_STATE)
        self._state[_SLOT] = slot
        self._put(_SENT_ID, send_id - 1 & _LAST_ID)
        self._put(_ANSWERED_ID, receive_id - 1 & _LAST_ID)
        self._put(_QUIET_MS, quiet_ms)
        self._put(_HEARD_AT, now)

    @property
    def failed(self):
        """True once the IKE SA is over: deleted, its peer dead, out of Message IDs, or at odds with it."""
        return self._state[_IS] & _OVER != 0

    @property
    def waiting(self):
        """True while a request of ours waits for its response."""
        return self._state[_TRIES] != 0 and not self.failed

    @property
    def invalid_spi_length(self):
        """Octets of an INVALID_SPI request."""
        return self._sa.length(12)

    def wayward(self, packet, at):
        """Tell the peer that packet[at:at+4] is no SPI of ours (section 1.5). Allocates nothing."""
        state = self._state
        for i in range(4):
            state[_NEXT_SPI + i] = packet[at + i]
        state[_IS] |= _SPI_WANTED

    def hint(self, now):
        """Check whether the peer lives; a request that waits already is such a check (section 2.4)."""
        if not self._state[_TRIES]:
            self._state[_IS] |= _CHECK_WANTED

    def alive(self, now):
        """The peer has proved its life otherwise, by ESP or AH: silence begins anew."""
        self._put(_HEARD_AT, now)

    def receive(self, message, at, length, now):
        """IGNORED, FRESH or REPEATED: the IKE message message[at:length], whole by its header (wire.header_fits)."""
        heard = self._receive(message, at, length)
        if heard == FRESH:
            self.alive(now)
        elif heard == IGNORED and self.dropped < _COUNTER_MAX:
            self.dropped += 1
        return heard

    def outgoing(self, out, at, now):
        """Length of the IKE message to send now, written to out[at:]; 0 if there is none. `out` needs 160 octets."""
        state = self._state
        now_is = state[_IS]
        if now_is & _OVER:
            return 0
        if now_is & _ANSWER_DUE:
            state[_IS] = now_is & ~_ANSWER_DUE | (_OVER if now_is & _LAST_ANSWER else 0)
            answer = self._answer
            # Protocol ID of a Delete payload; in our Notify payloads it is 0.
            first = (DELETE if answer[4] else NOTIFY) if answer else 0
            message_id = self._get(_ANSWERED_ID)
            return self._seal(out, at, state[_ANSWER_EXCHANGE], RESPONSE, message_id, first, answer, _ANSWER_IV)
        if not state[_TRIES]:
            if not self._begin(now):
                return 0
        elif self._left(now):
            return 0
        elif state[_TRIES] == _TRIES_AT_MOST:
            state[_IS] |= _OVER
            return 0
        state[_TRIES] += 1
        self._put(_SENT_AT, now)
        first, payloads = 0, b""
        if state[_IS] & _SAYS_SPI:
            first, payloads = NOTIFY, notify(wire.INVALID_SPI, bytes(state[_SPI:_NEXT_SPI]))
        return self._seal(out, at, INFORMATIONAL, 0, self._get(_SENT_ID), first, payloads, _IV)

    def next_timer(self, now):
        """Milliseconds until `outgoing` has something to send, or something fails; -1 if that depends on others."""
        state = self._state
        if state[_IS] & (_ANSWER_DUE | _OVER):
            return 0
        if state[_TRIES]:
            return self._left(now)
        if state[_IS] & (_CHECK_WANTED | _SPI_WANTED):
            return 0
        quiet_ms = self._get(_QUIET_MS)
        return max(0, quiet_ms - elapsed(now, self._get(_HEARD_AT))) if quiet_ms else -1

    # The rest is private.

    def _get(self, at):
        return struct.unpack_from(">I", self._state, at)[0]

    def _put(self, at, value):
        struct.pack_into(">I", self._state, at, value)

    def _left(self, now):
        """Milliseconds until our request is due again."""
        wait = min(_FIRST_MS << self._state[_TRIES] - 1, _LONGEST_MS)
        return max(0, wait - elapsed(now, self._get(_SENT_AT)))

    def _begin(self, now):
        """Make up our next request; False if there is nothing to say."""
        state = self._state
        if self.next_timer(now):
            return False
        message_id = self._get(_SENT_ID) + 1 & _LAST_ID
        iv = self._sa.iv(self._random, False, message_id)
        # From here on nothing can fail: a Message ID that is skipped would be the end of the IKE SA.
        self._put(_SENT_ID, message_id)
        for i in range(len(iv)):
            state[_IV + i] = iv[i]
        for i in range(4):
            state[_SPI + i] = state[_NEXT_SPI + i]
        what = _SAYS_SPI if state[_IS] & _SPI_WANTED else 0
        state[_IS] = state[_IS] & ~(_CHECK_WANTED | _SPI_WANTED | _SAYS_SPI) | what
        return True

    def _seal(self, out, at, exchange, flags, message_id, first, payloads, iv):
        spi_i, spi_r, initiator, _, _ = self._table.ike_sa(self._state[_SLOT])
        flags |= wire.INITIATOR if initiator else 0
        struct.pack_into(">8s8sBBBBI", out, at, spi_i, spi_r, wire.SK, wire.VERSION_2, exchange, flags, message_id)
        return self._sa.seal(out, at, first, payloads, self._state[iv : iv + self._sa.iv_size])

    def _receive(self, message, at, length):
        """Window first: what is outside of it is ignored anyway (section 2.3), and costs no decryption."""
        state = self._state
        if state[_IS] & (_LAST_ANSWER | _OVER):
            return IGNORED
        message_id = struct.unpack_from(">I", message, at + wire.MESSAGE_ID)[0]
        exchange = message[at + EXCHANGE]
        response = message[at + FLAGS] & RESPONSE
        repeated = False
        if response:
            if not state[_TRIES] or message_id != self._get(_SENT_ID) or exchange != INFORMATIONAL:
                return IGNORED
        else:
            last = self._get(_ANSWERED_ID)
            repeated = message_id == last and self._answer is not None
            if not repeated and message_id != (last + 1 & _LAST_ID):
                return IGNORED
        octets = self._sa.open(message, at, length)
        if octets is None:
            return IGNORED
        if response:
            state[_TRIES] = 0
            if message_id == _LAST_ID or says(chain(message[at + wire.HEADER], octets) or (), octets, INVALID_SYNTAX):
                state[_IS] |= _OVER
            return FRESH
        if not repeated:
            first = message[at + wire.HEADER]
            iv = self._sa.iv(self._random, True, message_id)
            answer, over = answer_to(self._table, state[_SLOT], exchange, first, octets)
            # From here on nothing can fail: an old answer must never go out under a new Message ID, with its old IV.
            self._answer = answer
            self._put(_ANSWERED_ID, message_id)
            for i in range(len(iv)):
                state[_ANSWER_IV + i] = iv[i]
            state[_ANSWER_EXCHANGE] = exchange
            if over or message_id == _LAST_ID:
                state[_IS] |= _LAST_ANSWER
        state[_IS] |= _ANSWER_DUE
        return REPEATED if repeated else FRESH
