"""The window of one over an established IKE SA (RFC 7296 sections 2.1 to 2.3): a request of ours, a response of ours.

A request without a response is retransmitted until its peer must be dead. A request of the peer's is answered once, and
the response kept for retransmissions of it. What is in them is its handler's: informational.IkeSa.

No message is kept: of a request and of a response there are the IV and the payloads, and the same octets come out of
them every time. Everything of fixed size lies in one bytearray. Neither counter of Message IDs ever wraps: the IKE SA
is over after the exchange with the last one (section 2.2).
"""

import struct

from portable import const, copy, elapsed

from .. import wire
from ..wire import EXCHANGE, FLAGS, INFORMATIONAL, RESPONSE
from .payloads import chain

# What Window.receive makes of a message: it proves nothing; it is the peer's and new; the peer's last request again.
IGNORED = const(0)
FRESH = const(1)
RETRANSMITTED = const(2)

_FIRST_MS = const(2000)
_LONGEST_MS = const(60000)
_TRIES_AT_MOST = const(12)
_HEARD_MS = const(30000)
_QUIET_MAX = const(0x20000000)
_LAST_ID = 0xFFFFFFFF
_COUNTER_MAX = const(0x3FFFFFFF)
_WRAP = const(0x3FFFFFFF)

# As reasons.py has them; its words are loaded by whoever needs them.
_DELETED_BY_PEER = const(-22)
_DEAD_PEER = const(-23)
_NO_MESSAGE_ID = const(-24)
_SYNTAX_SENT = const(-25)

# Where the parts of the state lie in _state.
_SENT_ID = const(0)  # Message ID of our last request
_ANSWERED_ID = const(4)  # of the last request that we answered
_SENT_AT = const(8)
_VERIFIED_AT = const(12)  # the last proof of life
_QUIET_MS = const(16)
_IV = const(20)  # of our request
_ANSWER_IV = const(36)
_STATUS = const(52)
_TRIES = const(53)  # how often our request went out; 0: none is waiting
_ANSWER_EXCHANGE = const(54)
_ANSWER_FIRST = const(55)  # type of its first payload
_STATE = const(56)

# Bits of _STATUS.
_ANSWER_DUE = const(0x01)
_LAST_ANSWER = const(0x02)  # with it the IKE SA is over
_OVER = const(0x04)
_MAKING = const(0x08)  # the answer takes its time
_TIMED = const(0x10)  # silence has begun
_DUE = const(0x20)  # a request must go out
_CURIOUS = const(0x40)  # or when quiet_ms have passed


def left(octets, at, ms, now):
    """Milliseconds until `ms` have passed since the time in octets[at:at+4]; no heap, as unpack would need."""
    return max(0, ms - elapsed(now, octets[at] << 24 | octets[at + 1] << 16 | octets[at + 2] << 8 | octets[at + 3]))


class Window:
    """The window of an IKE SA, which is its handler's: that in `slot` of the table of `node`, its keys in `sa`.

    request(again) -- (type of the first payload, payloads) of our next request, or `again` of the one that waits; what
        a next one is, is decided before anything can fail
    response(found, octets) -- the response to it has come: its chain, None if malformed, and payloads
    answer(exchange, found, octets) -- (type of the first payload, payloads, True if the IKE SA is over with it) in
        answer to a request; None if that takes longer: then the same without arguments, a slice later
    """

    _random = None  # the node's, if not given
    _answer = None  # payloads of our answer
    dropped = 0  # messages that were not the peer's, or not in the window
    code = 0  # a number of reasons.py, once failed

    def __init__(self, handler, send_id, receive_id, quiet_ms, random):
        handler.node.table.ike_sa(handler.slot)
        if not (0 <= send_id <= _LAST_ID and 0 <= receive_id <= _LAST_ID and 0 <= quiet_ms < _QUIET_MAX):
            raise ValueError("IkeSa(..., %r, %r, %r)" % (send_id, receive_id, quiet_ms))
        self._handler = handler
        if random:
            self._random = random
        self._state = bytearray(_STATE)
        self._put(_SENT_ID, send_id - 1 & _LAST_ID)
        self._put(_ANSWERED_ID, receive_id - 1 & _LAST_ID)
        self._put(_QUIET_MS, quiet_ms)
        self._state[_STATUS] = _CURIOUS if quiet_ms else 0

    @property
    def failed(self):
        """True once the IKE SA is over: deleted, its peer dead, out of Message IDs, or at odds with it."""
        return self._state[_STATUS] & _OVER != 0

    @property
    def waiting(self):
        """True while a request of ours waits for its response."""
        return self._state[_TRIES] != 0 and not self.failed

    @property
    def message_ids(self):
        """Message IDs of the next request of ours and of the peer's."""
        return self._get(_SENT_ID) + 1 & _LAST_ID, self._get(_ANSWERED_ID) + 1 & _LAST_ID

    @property
    def verified_at(self):
        """When the peer last proved its life."""
        return self._get(_VERIFIED_AT)

    def due(self, due):
        """A request must go out as soon as none waits, or there is none to be sent."""
        self._state[_STATUS] = self._state[_STATUS] & ~_DUE | (_DUE if due else 0)

    def alive(self, now):
        """The peer has proved its life: silence begins anew."""
        self._state[_STATUS] |= _TIMED
        self._put(_VERIFIED_AT, now)

    def fresh(self, ms, now):
        """Milliseconds until the last proof of life is `ms` old; 0 if it is, or there was none."""
        return left(self._state, _VERIFIED_AT, ms, now) if self._state[_STATUS] & _TIMED else 0

    def retransmit(self, now):
        """Send the request that waits at once, and then as if for the first time."""
        self._state[_TRIES] = 1
        self._put(_SENT_AT, now - _FIRST_MS & _WRAP)

    def receive(self, message, at, length, now):
        """IGNORED, FRESH or RETRANSMITTED: the IKE message message[at:length], whole (wire.header_fits)."""
        verdict = self._receive(message, at, length)
        if verdict == IGNORED and self.dropped < _COUNTER_MAX:
            self.dropped += 1
        return verdict

    def outgoing(self, out, at, now):
        """Length of the IKE message to send now, written to out[at:], with room for `longest`; 0 if there is none."""
        state = self._state
        status = state[_STATUS]
        again = True
        if status & _OVER:
            return 0
        if status & _ANSWER_DUE:
            state[_STATUS] = status & ~_ANSWER_DUE | (_OVER if status & _LAST_ANSWER else 0)
            first, exchange = state[_ANSWER_FIRST], state[_ANSWER_EXCHANGE]
            return self._seal(out, at, exchange, RESPONSE, self._get(_ANSWERED_ID), first, self._answer, _ANSWER_IV)
        if not state[_TRIES]:
            if status & _MAKING or self.next_timer(now):
                return 0
            again = False
            self._begin()
        elif self._rests(now) or self._left(now):
            return 0
        elif state[_TRIES] == _TRIES_AT_MOST:
            policy = self._handler.policy
            if not (policy and policy.patient):  # P3
                self.end(_DEAD_PEER)
                return 0
            state[_TRIES] -= 1
        state[_TRIES] += 1
        self._put(_SENT_AT, now)
        first, payloads = self._handler.request(again)
        return self._seal(out, at, INFORMATIONAL, 0, self._get(_SENT_ID), first, payloads, _IV)  # P1

    def next_timer(self, now):
        """Milliseconds until `outgoing` or `work` has something to do; -1 if that depends on others."""
        state = self._state
        if state[_STATUS] & (_ANSWER_DUE | _OVER | _MAKING):
            return 0
        if state[_TRIES] or state[_STATUS] & _DUE:
            return -1 if self._rests(now) else self._left(now) if state[_TRIES] else 0
        if not state[_STATUS] & _CURIOUS:
            return -1
        if not state[_STATUS] & _TIMED:
            self.alive(now)
        return self.fresh(self._get(_QUIET_MS), now)

    def work(self, now):
        """A slice of an answer that takes long; true if there is more of it to do."""
        if self._state[_STATUS] & _MAKING:
            self._finish(self._handler.answer())
        return self._state[_STATUS] & _MAKING

    def end(self, code):
        """The IKE SA is over."""
        self._state[_STATUS] |= _OVER
        self.code = code

    def respond(self, exchange, message_id, iv, made):
        """Answer that request, which may be older than this window, with what `answer` gives, and this IV."""
        # Nothing can fail: an old answer must never go out under a new Message ID, with its old IV.
        self._answer = None
        self._put(_ANSWERED_ID, message_id)
        copy(self._state, _ANSWER_IV, iv, 0, len(iv))
        self._state[_ANSWER_EXCHANGE] = exchange
        self._state[_STATUS] |= _MAKING
        self._finish(made)

    # The rest is private.

    def _get(self, at):
        return struct.unpack_from(">I", self._state, at)[0]

    def _put(self, at, value):
        struct.pack_into(">I", self._state, at, value)

    def _left(self, now):
        """Milliseconds until our request is due again."""
        wait = min(_FIRST_MS << self._state[_TRIES] - 1, _LONGEST_MS)
        return left(self._state, _SENT_AT, wait, now)

    def _iv(self, response, message_id):
        return self._handler.sa.iv(self._random or self._handler.node.random, response, message_id)

    def _rests(self, now):
        """H2: nothing is said to who was not heard for a while."""
        policy = self._handler.policy
        return policy and policy.patient and not self.fresh(_HEARD_MS, now)

    def _begin(self):
        """Make up our next request."""
        message_id = self._get(_SENT_ID) + 1 & _LAST_ID
        iv = self._iv(False, message_id)
        # From here on nothing can fail: a Message ID that is skipped would be the end of the IKE SA.
        self._put(_SENT_ID, message_id)
        copy(self._state, _IV, iv, 0, len(iv))

    def _seal(self, out, at, exchange, flags, message_id, first, payloads, iv):
        if self._handler.node.table.write_spis(self._handler.slot, out, at):
            flags |= wire.INITIATOR
        struct.pack_into(">BBBBI", out, at + wire.NEXT_PAYLOAD, wire.SK, wire.VERSION_2, exchange, flags, message_id)
        return self._handler.sa.seal(out, at, first, payloads, self._state[iv : iv + self._handler.sa.iv_size])

    def _receive(self, message, at, length):
        """Window first: what is outside of it is ignored anyway (section 2.3), and costs no decryption."""
        state = self._state
        if state[_STATUS] & (_LAST_ANSWER | _OVER):
            return IGNORED
        message_id = struct.unpack_from(">I", message, at + wire.MESSAGE_ID)[0]
        exchange = message[at + EXCHANGE]
        response = message[at + FLAGS] & RESPONSE
        retransmitted = False
        if response:
            if not state[_TRIES] or message_id != self._get(_SENT_ID) or exchange != INFORMATIONAL:  # P4
                return IGNORED
        else:
            last = self._get(_ANSWERED_ID)
            retransmitted = message_id == last and self._answer is not None
            if state[_STATUS] & _MAKING or (not retransmitted and message_id != (last + 1 & _LAST_ID)):  # P4
                return IGNORED
        octets = self._handler.sa.open(message, at, length)
        if octets is None:  # P5
            return IGNORED
        if retransmitted:
            state[_STATUS] |= _ANSWER_DUE
            return RETRANSMITTED
        found = chain(message[at + wire.HEADER], octets)
        if response:
            self._handler.response(found, octets)
            state[_TRIES] = 0  # K14: if that failed, the response is awaited still
            if message_id == _LAST_ID:
                self.end(_NO_MESSAGE_ID)
            return FRESH
        iv = self._iv(True, message_id)
        self.respond(exchange, message_id, iv, self._handler.answer(exchange, found, octets))
        return FRESH

    def _finish(self, made):
        """Take the answer, if it is made."""
        if made is None:
            return
        state = self._state
        state[_ANSWER_FIRST], self._answer, over = made
        state[_STATUS] = state[_STATUS] & ~_MAKING | _ANSWER_DUE
        last = self._get(_ANSWERED_ID) == _LAST_ID
        if over or last:
            state[_STATUS] |= _LAST_ANSWER
            self.code = _NO_MESSAGE_ID if last else _SYNTAX_SENT if self._answer else _DELETED_BY_PEER
