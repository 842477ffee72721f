"""What becomes of a datagram: one verdict, and at most one unprotected answer (RFC 7296 section 1.5).

`Notifier.decide` is the decision table, one question after the other; the first that applies gives the
verdict. What is not authenticated is a hint at most: nothing here changes the table of SAs.
The answers cost no more octets than their questions, and each is paid for out of the budget.
"""

from portable import const, copy, equal, micropython, ptr8

from .hints import Hints
from .slots import USED, VARIANT, find
from .wire import answer, blank_answer, blank_invalid_spi

VERDICTS = (
    "invalid-spi", "invalid-ike-spi", "invalid-major-version",
    "invalid-spi-protected", "hint-invalid-spi", "hint-invalid-ike-spi", "hint-invalid-major-version", "deliver-ike",
    "deliver-init", "deliver-esp", "deliver-ah",
    "drop-empty", "drop-source", "drop-keepalive", "drop-malformed", "drop-reserved-spi", "drop-old-version",
    "drop-response", "drop-unencrypted", "drop-amplification", "drop-limited",
)  # fmt: skip

INVALID_SPI = const(0)
INVALID_IKE_SPI = const(1)
INVALID_MAJOR_VERSION = const(2)
INVALID_SPI_PROTECTED = const(3)
_HINT_INVALID_SPI = const(4)
DELIVER_IKE = const(7)
DELIVER_INIT = const(8)
_DELIVER_ESP = const(9)
_DELIVER_AH = const(10)
_DROP_EMPTY = const(11)
_DROP_SOURCE = const(12)
_DROP_KEEPALIVE = const(13)
_DROP_MALFORMED = const(14)
_DROP_RESERVED_SPI = const(15)
_DROP_OLD_VERSION = const(16)
_DROP_RESPONSE = const(17)
_DROP_UNENCRYPTED = const(18)
_DROP_AMPLIFICATION = const(19)
_DROP_LIMITED = const(20)

# As wire.py has them, whose they are: MicroPython folds only the constants of the same file.
_ESP = const(50)
_AH = const(51)
_AH_SPI = const(4)
_ESP_HEADER = const(8)
_PORT = const(500)
_PORT_NAT = const(4500)
_MARKER = const(4)
_SPI_R = const(8)
_NEXT_PAYLOAD = const(16)
_VERSION = const(17)
_EXCHANGE = const(18)
_FLAGS = const(19)
_LENGTH = const(24)
_HEADER = const(28)
_INITIATOR = const(0x08)
_RESPONSE = const(0x20)
_IKE_SA_INIT = const(34)
_INFORMATIONAL = const(37)
_IKE_SESSION_RESUME = const(38)
_NOTIFY = const(41)
_SK = const(46)
_SKF = const(53)
_ANSWER = const(36)
_INVALID_SPI_MESSAGE = const(40)
_TYPE = const(3)  # of the Notify in the answer to an IKE message, less its verdict: 4 and 5

# What an IKE message is, beside its flags.
_ENCRYPTED = const(0x40)
_STARTS = const(0x80)

_UDP_HEADER = const(8)  # bare ESP and AH have none, their answer has
_NO_SPI = bytes(8)


def usable(via, source):
    """False for a source that no answer could reach: port 0 (of UDP), unspecified, multicast, broadcast."""
    size = len(source) - 2
    if via > _AH and not (source[size] or source[size + 1]):
        return False
    first = source[0]
    if first == 0xFF if size == 16 else 224 <= first < 240:
        return False
    while first == source[size - 1]:
        size -= 1
        if not size:
            return 0 < first < 0xFF
    return True


class Notifier:
    """Decides over datagrams. After `decide`:

    out, to, via -- the answer, None for silence; the endpoint that it is for, the port of ours that it leaves from
    slot -- the IKE SA (Child SA for deliver-esp and deliver-ah) that the verdict is about
    """

    def __init__(self, table, budget, protected_lengths):
        self.out = None
        self.answers = {at: blank_answer(at) for at in (0, _MARKER)}
        bare = blank_invalid_spi(0)  # the node enters random IKE SPIs
        self.invalid_spi_templates = {_ESP: bare, _AH: bare, _PORT_NAT: blank_invalid_spi(_MARKER)}
        self.template_to_renew = None  # the one of them that the last INVALID_SPI used
        self.protected_lengths = protected_lengths
        self.hints = Hints(table)
        self.to = None
        self.via = _PORT
        self.slot = -1
        self._allow = budget.allow
        self._find_peer = table.find_peer
        self._awaits_init = table.awaits_init
        self._ike = table.ike
        self._child = table.child
        self._to = {6: bytearray(b"\0\0\0\0\1\xf4"), 18: bytearray(16) + b"\1\xf4"}  # endpoints with port 500

    @micropython.viper
    def decide(self, via: int, source, datagram, length: int, now: int) -> int:
        """Verdict over datagram[:length] (bytes or bytearray) from endpoint `source` by `via`: 500, 4500, 50 or 51."""
        self.out = None
        self.slot = -1

        # Anything there, and an address to answer to?
        if not length:
            return _DROP_EMPTY  # F5
        octets = ptr8(datagram)
        first = int(source[0])
        if not (0 < first < 224 and (via <= _AH or source[-1] or source[-2])) and not usable(via, source):
            return _DROP_SOURCE  # F6
        at = 0
        protocol = via
        if via == _PORT:  # F1
            protocol = 0
        elif via == _PORT_NAT:
            if length == 1 and octets[0] == 0xFF:
                return _DROP_KEEPALIVE  # F1, S1.9
            protocol = _ESP
            if length >= _MARKER and not octets[0] | octets[1] | octets[2] | octets[3]:
                protocol = 0
                at = _MARKER

        # ESP and AH: RFC 4303 and 4302 sections 2.1 and 2.4; section 1.5 case 1.
        if protocol:
            key = int(USED)
            if protocol == _AH:
                key = int(USED | VARIANT)
                at = _AH_SPI
            if length < at + _ESP_HEADER:
                return _DROP_MALFORMED  # F4
            if not octets[at] | octets[at + 1] | octets[at + 2]:
                return _DROP_RESERVED_SPI  # S1.9
            slot = int(find(self._child, key, datagram, at))
            if slot >= 0:
                self.slot = slot
                return _DELIVER_AH if protocol == _AH else _DELIVER_ESP
            slot = int(self._find_peer(source))
            verdict = INVALID_SPI  # S1.1, S1.4
            size = int(_INVALID_SPI_MESSAGE)
            if slot >= 0:
                self.slot = slot
                verdict = INVALID_SPI_PROTECTED
                size = int(self.protected_lengths[slot])
            if via <= _AH:
                length -= _UDP_HEADER
            elif slot < 0:
                size += _MARKER

        # IKE: whose version, then whose SA, then cases 2 and 3.
        else:
            size = length - at  # wire.header_fits, without the call
            if size < _HEADER or octets[at + _LENGTH] | octets[at + _LENGTH + 1]:
                return _DROP_MALFORMED  # F4
            if (octets[at + _LENGTH + 2] << 8) | octets[at + _LENGTH + 3] != size:
                return _DROP_MALFORMED  # F4
            size = at + _ANSWER
            flags = octets[at + _FLAGS]
            verdict = INVALID_MAJOR_VERSION  # S3.1
            major = octets[at + _VERSION] >> 4
            if major < 2:
                return _DROP_OLD_VERSION  # S3.5
            if major == 2:  # S3.4
                first = octets[at + _NEXT_PAYLOAD]
                exchange = octets[at + _EXCHANGE]
                kind = 0
                if first == _SK or first == _SKF:
                    kind = _ENCRYPTED
                if exchange == _IKE_SA_INIT or exchange == _IKE_SESSION_RESUME:
                    kind |= _STARTS
                if not (kind or flags & _RESPONSE):
                    if exchange != _INFORMATIONAL or first != _NOTIFY or not flags & _INITIATOR:
                        return _DROP_UNENCRYPTED  # S2.2, whoever sent it
                spi = at
                key = int(USED | VARIANT)
                if flags & _INITIATOR:  # S2.9
                    spi += _SPI_R
                    key = int(USED)
                slot = int(find(self._ike, key, datagram, spi))
                if slot >= 0 or kind != _ENCRYPTED or flags & _RESPONSE:
                    self.slot = slot
                    return int(self._decide(kind | flags, source, datagram, at, length))
                if not octets[at] and equal(datagram, at, _NO_SPI, 0, 8):
                    return _DROP_MALFORMED
                verdict = INVALID_IKE_SPI
            elif flags & _RESPONSE:
                return _DROP_RESPONSE  # S3.3, L3

        # An answer: small enough, and within the budget?
        if length < size:
            return _DROP_AMPLIFICATION  # L2
        if not self._allow(source, protocol == 0, now):
            return _DROP_LIMITED  # L1
        if verdict != INVALID_SPI_PROTECTED:
            self.via = via  # S2.4
            self.to = source  # F3
            self._answer(verdict, datagram, at)
        return verdict

    def _decide(self, kind, source, message, at, length):
        """Verdict over an IKE message that is not of case 2: it has an SA, `slot`, is a response or unencrypted."""
        if kind & _RESPONSE and self.hints.outstanding:
            hint = self.hints.of_response(source, message, at, length)
            if hint:
                self.slot = self.hints.slot
                return hint
        if self.slot >= 0:
            if kind & (_STARTS | _RESPONSE | _INITIATOR) == _STARTS | _RESPONSE:
                if self._awaits_init(self.slot, message, at, source):
                    return DELIVER_INIT
            if kind & _ENCRYPTED:
                return DELIVER_IKE
            self.slot = -1
            return _DROP_UNENCRYPTED
        if kind & _RESPONSE:
            return _DROP_RESPONSE  # S2.3, L3
        if kind & _STARTS:
            return DELIVER_INIT  # S2.1
        if self.hints.of_invalid_spi(source, message, at, length):  # R1, R8
            self.slot = self.hints.slot
            return _HINT_INVALID_SPI
        return _DROP_UNENCRYPTED

    def _answer(self, verdict, datagram, at):
        """Compose the answer."""
        if verdict == INVALID_SPI:
            self.template_to_renew = out = self.invalid_spi_templates[self.via]
            copy(out, len(out) - 4, datagram, at, 4)  # S1.2
            if self.via <= _AH:
                self.via = _PORT  # S1.5
                self._to_500(self.to)
        else:
            out = self.answers[at]
            answer(out, datagram, at, verdict + _TYPE)
        self.out = out

    def _to_500(self, source):
        self.to = to = self._to[len(source)]
        copy(to, 0, source, 0, len(to) - 2)
