"""IKE_SA_INIT: octets for both roles; as initiator the request in the form that the gateway wants, and its responses.

RFC 7296 sections 1.2, 2.6, 2.7, 2.10, 2.14, 2.23; rules N1, N3 to N10, N17. Nothing here is protected: whatever comes
is a hint at most, until a response looks right, and then a forged one costs an attempt. Public value and shared secret
are made in slices by `step`.
"""

import hashlib
import struct

from portable import const

from .. import wire
from ..crypto import group
from ..sa import reasons
from ..sa.payloads import (
    KE,
    MALFORMED,
    NONCE,
    NOTIFY,
    PROTOCOL_IKE,
    SA,
    UNKNOWN_CRITICAL,
    bodies,
    chained,
    is_error,
    notify,
    uint16,
)
from ..sa.proposals import choose, offer
from ..wire import HEADER

NONCE_SIZE = const(32)
_SECRET = const(32)  # octets, in whatever group
_NONCE_MIN = const(16)
_NONCE_MAX = const(256)
_SHA1 = const(20)
_COOKIE_MAX = const(64)
_COOKIES = const(3)  # rounds of one attempt
_MESSAGE_MAX = const(3000)

NAT_DETECTION_SOURCE_IP = const(16388)
NAT_DETECTION_DESTINATION_IP = const(16389)
COOKIE = const(16390)


def composed(spi_i, spi_r, flags, parts):
    """An IKE_SA_INIT message of payloads [(type, body)]."""
    first, octets = chained(parts)
    header = first, wire.VERSION_2, wire.IKE_SA_INIT, flags, 0, HEADER + len(octets)
    return struct.pack(">8s8sBBBBII", spi_i, spi_r, *header) + octets


def contents(message, at, length):
    """(0, {type: (start, end)} of SA, KE and nonce, [(type, start, end of the data)] of each Notify) of a message.

    Not 0 but UNSUPPORTED_CRITICAL_PAYLOAD (N17) or MALFORMED if it is not to be read.
    """
    found = {}
    notifies = []
    for kind, start, stop in bodies(message[at + wire.NEXT_PAYLOAD], message, at + HEADER, length):
        if kind <= UNKNOWN_CRITICAL:
            return reasons.UNSUPPORTED_CRITICAL_PAYLOAD, found, notifies
        if kind == MALFORMED or kind in found or length - at > _MESSAGE_MAX:
            return reasons.MALFORMED, found, notifies
        if kind == SA or kind == KE or kind == NONCE:
            found[kind] = start, stop
        elif kind == NOTIFY:
            notifies.append((uint16(message, start + 2), start + 4 + message[start + 1], stop))
    return 0, found, notifies


def value_and_nonce(message, found, number, size):
    """(public value of `size` octets in that group, nonce) of the peer; None if one of them has not its size (N8)."""
    value, value_stop = found.get(KE, (0, 0))
    nonce, nonce_stop = found.get(NONCE, (0, 0))
    if (
        value_stop - value != 4 + size
        or uint16(message, value) != number
        or not _NONCE_MIN <= nonce_stop - nonce <= _NONCE_MAX
    ):
        return None
    return bytes(message[value + 4 : value_stop]), bytes(message[nonce:nonce_stop])


def nat_detection(random, spi_i, spi_r, endpoint):
    """Both payloads of NAT detection for the peer at that endpoint (N10): as if we were behind a NAT, and it not."""
    source = random(_SHA1)  # no address has this digest, so the peer always encapsulates
    sha1 = getattr(hashlib, "sha1", None)
    destination = sha1(spi_i + spi_r + endpoint).digest() if sha1 else random(_SHA1)
    return [
        notify(NAT_DETECTION_SOURCE_IP, source),
        notify(NAT_DETECTION_DESTINATION_IP, destination),
    ]


class InitialExchange:
    """What is offered under SPIi to the gateway at `endpoint`, as `policy` says; random(n) -> n octets.

    busy -- `step` has something to do; message -- the request as it is to be sent, once not busy
    accepted -- the response in octets, b"" before; then cipher, nonce, nonce_of_peer, and secret once not busy
    hinted -- what may be the reason if nothing comes of it; doubtful -- an attacker may have interfered (N14)
    """

    message = b""
    accepted = b""
    secret = b""
    hinted = 0
    doubtful = False

    def __init__(self, policy, random, spi_i, endpoint):
        self.nonce = random(NONCE_SIZE)
        self._policy = policy
        self._random = random
        self._spi_i = spi_i
        self._notifies = nat_detection(random, spi_i, bytes(8), endpoint)
        if policy.ppk:  # Q1
            self._notifies.append(policy.ppk.asked)
        self._cookie = b""
        self._values = {}  # group: (our secret, our public value)
        self._named = []  # groups that an INVALID_KE_PAYLOAD has named
        self._rounds = 0
        self._stale = 0  # answers to earlier repetitions that may still come (N3)
        self._take(policy.groups[0])

    def step(self):
        """A slice of the key exchange; True with the last one."""
        if not self._dh.step():
            return False
        made, self._dh = self._dh.value, None
        self.busy = False
        if not self.accepted:
            self._values[self._number] = self._values[self._number][0], made
            self._compose()
        elif made is None:  # N8: that was no response, and another one may come
            start, stop = contents(self.message, 0, len(self.message))[1][KE]
            self._values[self._number] = self._values[self._number][0], self.message[start + 4 : stop]
            self.accepted = b""
            self.hint(reasons.MALFORMED)
        else:
            self.secret = made
            self._values = None
        return True

    def hint(self, kind):
        """N5: perhaps the reason why nothing will come of it."""
        self.doubtful = True
        if not self.hinted or kind not in (reasons.MALFORMED, reasons.HINT):
            self.hinted = kind

    def receive(self, message, at, length, sent):
        """A response message[at:length] to IKE_SA_INIT, Message ID 0, after `sent` repetitions of the present form.

        True if the request is to be sent in another form from now on.
        """
        fault, found, notifies = contents(message, at, length)
        if fault:
            return self.hint(fault)
        notified = 0
        data = b""
        for kind, start, stop in notifies:
            if kind == COOKIE or is_error(kind):
                notified = kind
                data = bytes(message[start : min(stop, start + 256)])
                break
        if SA in found:
            if self._policy.ppk and not self._policy.ppk.is_asked(notifies):  # Q1
                return self.hint(reasons.NO_PPK)
            return self._accept(message, at, length, found)
        if notified == COOKIE and 1 <= len(data) <= _COOKIE_MAX:
            return self._add_cookie(data, sent)
        if notified == reasons.INVALID_KE_PAYLOAD and len(data) == 2:
            return self._change_group(uint16(data, 0), sent)
        if notified == reasons.NO_PROPOSAL_CHOSEN:
            notified = reasons.IKE_SUITE
        return self.hint(reasons.MALFORMED if notified == COOKIE else notified or reasons.MALFORMED)

    # The rest is private.

    def _take(self, number):
        """Go on with that group, with the same value if it had its turn before (N4)."""
        before = self._values.get(number)
        if before:
            self._number = number
            self._compose()
        else:
            self._begin(number, self._random(_SECRET))

    def _begin(self, number, secret, peer=None):
        """Make our public value of a group, or what is shared with the peer; what makes it is there until then."""
        self._dh = group(number, lambda _: secret)
        self._number = number
        self._values[number] = self._values.get(number) or (secret, b"")
        self._dh.begin(peer)
        self.busy = True

    def _compose(self):
        parts = [
            (SA, offer(PROTOCOL_IKE, b"", self._policy.ciphers, self._policy.groups)),
            (KE, struct.pack(">HH", self._number, 0) + self._values[self._number][1]),
            (NONCE, self.nonce),
        ]
        if self._cookie:
            parts.insert(0, notify(COOKIE, self._cookie))
        self.message = composed(self._spi_i, b"", wire.INITIATOR, parts + self._notifies)

    def _is_stale(self):
        """N3: True for the answer to a repetition of the form before this one."""
        self.doubtful = True
        if not self._stale:
            return False
        self._stale -= 1
        return True

    def _add_cookie(self, cookie, sent):
        if self._is_stale() or cookie == self._cookie:
            return False
        if self._rounds == _COOKIES:
            return self.hint(reasons.MALFORMED)
        self._rounds += 1
        self._stale = sent - 1
        self._cookie = cookie
        self._compose()
        return True

    def _change_group(self, number, sent):
        if self._is_stale():
            return False
        if number not in self._policy.groups or number == self._number or number in self._named:
            return self.hint(reasons.INVALID_KE_PAYLOAD)
        self._named.append(number)
        try:
            self._take(number)
        except NotImplementedError:  # this machine has it not
            return self.hint(reasons.INVALID_KE_PAYLOAD)
        self._stale = sent - 1
        return True

    def _accept(self, message, at, length, found):
        """N6 to N8: make the shared secret, if what the gateway chose is one of ours."""
        policy = self._policy
        refusal, _, cipher, number, _ = choose(
            message, *found[SA], PROTOCOL_IKE, 0, policy.ciphers, policy.groups, exact=True
        )
        secret, ours = self._values[self._number]
        theirs = value_and_nonce(message, found, self._number, len(ours))
        if (
            refusal
            or number != self._number
            or not any(message[at + wire.SPI_R : at + wire.NEXT_PAYLOAD])
            or theirs is None
        ):
            return self.hint(reasons.MALFORMED)
        self.cipher = cipher
        self.accepted = bytes(message[at:length])
        value, self.nonce_of_peer = theirs
        self._values[self._number] = secret, b""  # ours is in the message, and takes room
        self._begin(self._number, secret, value)
        return False
