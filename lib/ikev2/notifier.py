"""What becomes of a datagram: one verdict, and at most one unprotected answer (RFC 7296 section 1.5).

`Notifier.decide` is the decision table, one question after the other; the first that applies gives the
verdict. What is not authenticated is a hint at most: nothing here changes the table of SAs.
The answers cost no more octets than their questions, and each is paid for out of the budget.
"""

from portable import const, copy, equal, micropython, ptr8

from .hints import Hints
from .slots import USED, VARIANT, find
from .wire import answer, blank_answer, blank_invalid_spi, header_fits

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
_TYPES = bytes((11, 4, 5))  # of the Notify in the answer, by verdict

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
            if length >= _MARKER and not (octets[0] or octets[1] or octets[2] or octets[3]):
                protocol = 0
                at = _MARKER

        # ESP and AH: RFC 4303 and 4302 sections 2.1 and 2.4; section 1.5 case 1.
        if protocol:
            if protocol == _AH:
                at = _AH_SPI
            if length < at + _ESP_HEADER:
                return _DROP_MALFORMED  # F4
            if not (octets[at] or octets[at + 1] or octets[at + 2]):
                return _DROP_RESERVED_SPI  # S1.9
            slot = int(find(self._child, USED | VARIANT if protocol == _AH else USED, datagram, at))
            if slot >= 0:
                self.slot = slot
                return _DELIVER_AH if protocol == _AH else _DELIVER_ESP
            slot = int(self._find_peer(source))
            self.slot = slot
            verdict = INVALID_SPI_PROTECTED if slot >= 0 else INVALID_SPI  # S1.1, S1.4
            size = int(self.protected_lengths[slot]) if slot >= 0 else _INVALID_SPI_MESSAGE
            if via <= _AH:
                length -= _UDP_HEADER
            elif slot < 0:
                size += _MARKER

        # IKE: whose version, then whose SA, then cases 2 and 3.
        else:
            if not header_fits(datagram, at, length):
                return _DROP_MALFORMED  # F4
            size = at + _ANSWER
            flags = octets[at + _FLAGS]
            verdict = INVALID_MAJOR_VERSION  # S3.1
            if octets[at + _VERSION] < 0x20:
                return _DROP_OLD_VERSION  # S3.5
            if octets[at + _VERSION] < 0x30:  # S3.4
                if flags & _RESPONSE and self.hints.outstanding:
                    hint = int(self.hints.of_response(source, datagram, at, length))
                    if hint:
                        self.slot = self.hints.slot
                        return hint
                first = octets[at + _NEXT_PAYLOAD]
                encrypted = first == _SK or first == _SKF
                exchange = octets[at + _EXCHANGE]
                starts = exchange == _IKE_SA_INIT or exchange == _IKE_SESSION_RESUME
                notifies = exchange == _INFORMATIONAL and first == _NOTIFY and flags & _INITIATOR
                if not (encrypted or starts or notifies or flags & _RESPONSE):
                    return _DROP_UNENCRYPTED  # S2.2, whoever sent it
                if flags & _INITIATOR:  # S2.9
                    slot = int(find(self._ike, USED, datagram, at + _SPI_R))
                else:
                    slot = int(find(self._ike, USED | VARIANT, datagram, at))
                if slot >= 0:
                    verdict = DELIVER_IKE
                    if starts and flags & (_RESPONSE | _INITIATOR) == _RESPONSE:
                        if self._awaits_init(slot, datagram, at, source):
                            verdict = DELIVER_INIT
                    if not encrypted and verdict == DELIVER_IKE:
                        return _DROP_UNENCRYPTED
                    self.slot = slot
                    return verdict
                if not flags & _RESPONSE:
                    if starts:
                        return DELIVER_INIT  # S2.1
                    if not encrypted:  # R1, R8
                        if int(self.hints.of_invalid_spi(source, datagram, at, length)):
                            self.slot = self.hints.slot
                            return _HINT_INVALID_SPI
                        return _DROP_UNENCRYPTED
                    if not octets[at] and equal(datagram, at, _NO_SPI, 0, 8):
                        return _DROP_MALFORMED
                verdict = INVALID_IKE_SPI
            if flags & _RESPONSE:
                return _DROP_RESPONSE  # S2.3, S3.3, L3

        # An answer: small enough, and within the budget?
        if length < size:
            return _DROP_AMPLIFICATION  # L2
        if not self._allow(source, verdict == INVALID_IKE_SPI or verdict == INVALID_MAJOR_VERSION, now):
            return _DROP_LIMITED  # L1
        if verdict == INVALID_SPI_PROTECTED:
            return verdict
        self.via = via  # S2.4
        self.to = source  # F3
        if verdict == INVALID_SPI:
            out = self.invalid_spi_templates[via]
            self.template_to_renew = out
            copy(out, size - 4, datagram, at, 4)  # S1.2
            if via <= _AH:
                self._to_500(source)
        else:
            out = self.answers[at]
            answer(out, datagram, at, _TYPES[verdict])
        self.out = out
        return verdict

    def _to_500(self, source):
        to = self._to[len(source)]
        copy(to, 0, source, 0, len(to) - 2)
        self.to = to
        self.via = _PORT  # S1.5
