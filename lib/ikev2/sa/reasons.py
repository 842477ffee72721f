"""Why an attempt or a tunnel has ended, for a person: the gateway's word first, then what to look at.

Error types of RFC 7296 section 3.10.1 as gateways use them; rules N5, N13 to N16 and N20. What was not authenticated
may be from anyone, and is marked as such.
"""

from portable import const

from .payloads import (
    AUTHENTICATION_FAILED,
    INVALID_KE_PAYLOAD,
    INVALID_SYNTAX,
    NO_ADDITIONAL_SAS,
    NO_PROPOSAL_CHOSEN,
    TEMPORARY_FAILURE,
    TS_UNACCEPTABLE,
    UNSUPPORTED_CRITICAL_PAYLOAD,
)

INTERNAL_ADDRESS_FAILURE = const(36)
FAILED_CP_REQUIRED = const(37)

# Ours: what an attempt did not get, or what was not right.
NO_RESPONSE = const(-1)
NO_RESPONSE_AUTH = const(-2)
MALFORMED = const(-3)
WRONG_ID = const(-4)
WRONG_AUTH = const(-5)
WRONG_SUITE = const(-6)
WRONG_SELECTORS = const(-7)
NO_ADDRESS = const(-8)
NO_ROOM = const(-9)
HINT = const(-10)
NO_KEYS = const(-11)
NO_PPK = const(-12)
IKE_SUITE = const(-14)  # NO_PROPOSAL_CHOSEN in IKE_SA_INIT
# Why an IKE SA is gone, or no longer carries anything.
REMOVED = const(-20)
DELETED = const(-21)
DELETED_BY_PEER = const(-22)
DEAD_PEER = const(-23)
NO_MESSAGE_ID = const(-24)
SYNTAX_SENT = const(-25)
SYNTAX_RECEIVED = const(-26)
SUPERSEDED = const(-27)
NO_RESPONSE_DELETE = const(-28)
NO_RESPONSE_AFTER_SLEEP = const(-29)
NOT_KEPT = const(-30)
NOT_BEGUN = const(-31)
CLOSED = const(-32)
RESPONDED = const(-33)
NO_CHILD_SA = const(-34)
CHILD_SA_LOST = const(-35)

_WORDS = {
    UNSUPPORTED_CRITICAL_PAYLOAD: "UNSUPPORTED_CRITICAL_PAYLOAD: one end wants what the other cannot do",
    5: "INVALID_MAJOR_VERSION: the gateway does not speak IKEv2",
    INVALID_SYNTAX: "INVALID_SYNTAX: the gateway can make nothing of our message; a wrong psk looks like this, too",
    NO_PROPOSAL_CHOSEN: "NO_PROPOSAL_CHOSEN: the gateway takes none of our ESP suites; look at ciphers, and at its ESP "
    "proposals (HMAC-SHA-256, no ESN)",
    INVALID_KE_PAYLOAD: "INVALID_KE_PAYLOAD: the gateway wants another group; look at groups, and at its IKE proposals",
    AUTHENTICATION_FAILED: "AUTHENTICATION_FAILED: the gateway knows no such id, or has another psk or ppk for it, "
    "or has another id itself; look at id, psk, ppk and gateway_id",
    34: "SINGLE_PAIR_REQUIRED: the gateway wants narrower selectors; look at remote and inside",
    NO_ADDITIONAL_SAS: "NO_ADDITIONAL_SAS: the gateway takes no more Child SAs",
    INTERNAL_ADDRESS_FAILURE: "INTERNAL_ADDRESS_FAILURE: the gateway has no address for us; look at its pool, or set "
    "inside",
    FAILED_CP_REQUIRED: "FAILED_CP_REQUIRED: the gateway gives addresses itself; leave inside empty",
    TS_UNACCEPTABLE: "TS_UNACCEPTABLE: the gateway has no tunnel for our selectors; look at remote and inside",
    TEMPORARY_FAILURE: "TEMPORARY_FAILURE: the gateway is busy",
    NO_RESPONSE: "no response to IKE_SA_INIT: look at gateway, and at UDP port 500 on the way to it",
    NO_RESPONSE_AUTH: "no response to IKE_AUTH: look at UDP port 4500 on the way to the gateway, and at its log",
    MALFORMED: "malformed response from the gateway: look at its log, and at who else answers for it",
    WRONG_ID: "another IDr: the gateway has another id than gateway_id",
    WRONG_AUTH: "wrong AUTH: the gateway does not know our psk; look at psk, and at who answers for the gateway",
    WRONG_SUITE: "wrong ESP suite: the gateway chose what we did not offer",
    WRONG_SELECTORS: "wrong selectors: the gateway wants more than remote and inside say, or more than we keep",
    NO_ADDRESS: "no address from the gateway: look at its pool, or set inside",
    NO_ROOM: "no room for the SA in the table",
    NO_KEYS: "no keys could be made",
    NO_PPK: "no PPK: the gateway uses none with us; look at ppk",
    HINT: "the gateway seems to refuse: look at its log",
    IKE_SUITE: "NO_PROPOSAL_CHOSEN: the gateway takes none of our IKE suites, or knows no connection from here; look "
    "at ciphers and groups, and at its IKE proposals (PRF and integrity HMAC-SHA-256)",
    REMOVED: "removed from the table",
    DELETED: "deleted",
    DELETED_BY_PEER: "deleted by the peer",
    DEAD_PEER: "no response: the peer is dead",
    NO_MESSAGE_ID: "no Message ID left",
    SYNTAX_SENT: "INVALID_SYNTAX: the peer's message was malformed",
    SYNTAX_RECEIVED: "INVALID_SYNTAX: the peer could not read our message",
    SUPERSEDED: "given up for a new one",
    NO_RESPONSE_DELETE: "no response to our Delete",
    NO_RESPONSE_AFTER_SLEEP: "no response after sleep",
    NOT_KEPT: "not kept over sleep",
    NOT_BEGUN: "the attempt could not begin",
    CLOSED: "closed",
    RESPONDED: "the gateway has responded",
    NO_CHILD_SA: "no Child SA is left",
    CHILD_SA_LOST: "the gateway has lost the Child SA",
}  # fmt: skip


def reason(kind, clear=False):
    """A sentence for a notify type or one of the constants above; `clear`: it was not authenticated."""
    text = _WORDS.get(kind) or "error %d: look at the gateway's log" % kind
    return text + " (unauthenticated, perhaps not from the gateway)" if clear else text
