"""The window of one over an established IKE SA (RFC 7296 sections 2.1 to 2.3): a request of ours, a response of ours.

A request without a response is retransmitted until its peer must be dead. A request of the peer's is answered once, and
the response kept for retransmissions of it. What is in them is its handler's: informational.IkeSa.

No message is kept: of a request and of a response there are the IV and the payloads, and the same octets come out of
them every time. Everything of fixed size lies in one bytearray. Neither counter of Message IDs ever wraps: the IKE SA
is over after the exchange with the last one (section 2.2).
"""

import struct

from portable import const, copy, elapsed, equal

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


def _number(octets, at):
    """That in octets[at:at+4]; below 2**30 without heap, as unpack would need."""
    return octets[at] << 24 | octets[at + 1] << 16 | octets[at + 2] << 8 | octets[at + 3]


def left(octets, at, ms, now):
    """Milliseconds until `ms` have passed since the time in octets[at:at+4]; no heap."""
    wait = ms - elapsed(now, _number(octets, at))
    return wait if wait > 0 else 0


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
        return self._next(_SENT_ID), self._next(_ANSWERED_ID)

    @property
    def verified_at(self):
        """When the peer last proved its life."""
        return _number(self._state, _VERIFIED_AT)

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

    def receive(self, message, at, length):
        """IGNORED, FRESH or RETRANSMITTED: the IKE message message[at:length], whole (wire.header_fits)."""
        verdict = self._expected(message, at)
        octets = self._handler.sa.open(message, at, length) if verdict else None
        if octets is None:  # P5
            if self.dropped < _COUNTER_MAX:
                self.dropped += 1
            return IGNORED
        if verdict == RETRANSMITTED:
            self._state[_STATUS] |= _ANSWER_DUE
        else:
            self._take(message, at, octets)
        return verdict

    def outgoing(self, out, at, now):
        """Length of the IKE message to send now, written to out[at:], with room for `longest`; 0 if there is none."""
        status = self._state[_STATUS]
        if status & _OVER:
            return 0
        if status & _ANSWER_DUE:
            self._state[_STATUS] = status & ~_ANSWER_DUE | (_OVER if status & _LAST_ANSWER else 0)
        elif self._state[_TRIES]:
            if self._rests(now) or self._left(now):
                return 0
            if self._state[_TRIES] == _TRIES_AT_MOST:
                if not (self._handler.policy and self._handler.policy.patient):  # P3
                    self.end(_DEAD_PEER)
                    return 0
                self._state[_TRIES] -= 1
        elif status & _MAKING or self.next_timer(now):
            return 0
        status &= _ANSWER_DUE
        return self._send(out, at, now, status)

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
        return self.fresh(_number(self._state, _QUIET_MS), now)

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

    def _next(self, at):
        """The Message ID that follows."""
        following = _number(self._state, at) + 1
        return following if following <= _LAST_ID else 0

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
        message_id = self._next(_SENT_ID)
        iv = self._iv(False, message_id)
        # From here on nothing can fail: a Message ID that is skipped would be the end of the IKE SA.
        self._put(_SENT_ID, message_id)
        copy(self._state, _IV, iv, 0, len(iv))

    def _send(self, out, at, now, answer):
        """Our answer, or our request: the first time, or again."""
        state = self._state
        handler = self._handler
        if answer:
            exchange, flags, message_id, iv = state[_ANSWER_EXCHANGE], RESPONSE, _ANSWERED_ID, _ANSWER_IV
            first, payloads = state[_ANSWER_FIRST], self._answer
        else:
            again = state[_TRIES] != 0
            if not again:
                self._begin()
            state[_TRIES] += 1
            self._put(_SENT_AT, now)
            exchange, flags, message_id, iv = INFORMATIONAL, 0, _SENT_ID, _IV  # P1
            first, payloads = handler.request(again)
        if handler.node.table.write_spis(handler.slot, out, at):
            flags |= wire.INITIATOR
        struct.pack_into(">BBBB", out, at + wire.NEXT_PAYLOAD, wire.SK, wire.VERSION_2, exchange, flags)
        copy(out, at + wire.MESSAGE_ID, state, message_id, 4)
        return handler.sa.seal(out, at, first, payloads, state[iv : iv + handler.sa.iv_size])

    def _expected(self, message, at):
        """What the message is, if it is the peer's: what is outside of the window is ignored anyway (section 2.3)."""
        state = self._state
        if state[_STATUS] & (_LAST_ANSWER | _OVER):
            return IGNORED
        if message[at + FLAGS] & RESPONSE:
            if state[_TRIES] and message[at + EXCHANGE] == INFORMATIONAL:  # P4
                return FRESH if equal(message, at + wire.MESSAGE_ID, state, _SENT_ID, 4) else IGNORED
            return IGNORED
        if state[_STATUS] & _MAKING:
            return IGNORED
        if self._answer is not None and equal(message, at + wire.MESSAGE_ID, state, _ANSWERED_ID, 4):
            return RETRANSMITTED
        return FRESH if _number(message, at + wire.MESSAGE_ID) == self._next(_ANSWERED_ID) else IGNORED  # P4

    def _take(self, message, at, octets):
        """These are the payloads of the message, which is new."""
        found = chain(message[at + wire.HEADER], octets)
        if message[at + FLAGS] & RESPONSE:
            self._handler.response(found, octets)
            self._state[_TRIES] = 0  # K14: if that failed, the response is awaited still
            if _number(self._state, _SENT_ID) == _LAST_ID:
                self.end(_NO_MESSAGE_ID)
            return
        message_id = self._next(_ANSWERED_ID)
        iv = self._iv(True, message_id)
        exchange = message[at + EXCHANGE]
        self.respond(exchange, message_id, iv, self._handler.answer(exchange, found, octets))

    def _finish(self, made):
        """Take the answer, if it is made."""
        if made is None:
            return
        state = self._state
        state[_ANSWER_FIRST], self._answer, over = made
        state[_STATUS] = state[_STATUS] & ~_MAKING | _ANSWER_DUE
        last = _number(self._state, _ANSWERED_ID) == _LAST_ID
        if over or last:
            state[_STATUS] |= _LAST_ANSWER
            self.code = _NO_MESSAGE_ID if last else _SYNTAX_SENT if self._answer else _DELETED_BY_PEER
