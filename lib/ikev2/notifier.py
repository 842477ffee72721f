"""What becomes of a datagram: one verdict, and at most one unprotected answer (RFC 7296 section 1.5).

`Notifier.decide` is the decision table, one question after the other; the first that applies gives the
verdict. Whatever others tell us without proof is a hint at most: nothing here changes the table of SAs.
The answers cost no more octets than their questions, and each is paid for out of the budget.
"""

from . import wire
from .wire import ESP, const

VERDICTS = (
    "invalid-spi", "invalid-spi-protected", "invalid-ike-spi", "invalid-major-version",
    "hint-invalid-spi", "hint-invalid-ike-spi", "hint-invalid-major-version",
    "deliver-ike", "deliver-init", "deliver-esp", "deliver-ah",
    "drop-empty", "drop-source", "drop-keepalive", "drop-malformed", "drop-reserved-spi", "drop-old-version",
    "drop-response", "drop-unencrypted", "drop-amplification", "drop-limited",
)  # fmt: skip

INVALID_SPI = const(0)
INVALID_SPI_PROTECTED = const(1)
INVALID_IKE_SPI = const(2)
INVALID_MAJOR_VERSION = const(3)
HINT_INVALID_SPI = const(4)
HINT_INVALID_IKE_SPI = const(5)
HINT_INVALID_MAJOR_VERSION = const(6)
DELIVER_IKE = const(7)
DELIVER_INIT = const(8)
DELIVER_ESP = const(9)
DELIVER_AH = const(10)
DROP_EMPTY = const(11)
DROP_SOURCE = const(12)
DROP_KEEPALIVE = const(13)
DROP_MALFORMED = const(14)
DROP_RESERVED_SPI = const(15)
DROP_OLD_VERSION = const(16)
DROP_RESPONSE = const(17)
DROP_UNENCRYPTED = const(18)
DROP_AMPLIFICATION = const(19)
DROP_LIMITED = const(20)

# As wire.py has them, whose they are: MicroPython folds only the constants of the same file.
_PORT = const(500)
_PORT_NAT = const(4500)
_MARKER = const(4)
_NEXT_PAYLOAD = const(16)
_VERSION = const(17)
_EXCHANGE = const(18)
_FLAGS = const(19)
_MESSAGE_ID = const(20)
_INITIATOR = const(0x08)
_RESPONSE = const(0x20)
_IKE_SA_INIT = const(34)
_INFORMATIONAL = const(37)
_IKE_SESSION_RESUME = const(38)
_NOTIFY = const(41)
_SK = const(46)
_SKF = const(53)

_UDP_HEADER = const(8)
_REQUEST = const(6)  # an outstanding request: slot, exchange type, Message ID


def usable(via, source):
    """False for a source that no answer could reach: port 0, unspecified, multicast, broadcast, reserved."""
    size = len(source) - 2
    if not (source[size] or source[size + 1]) and (via == _PORT or via == _PORT_NAT):
        return False
    first = source[0]
    if first:
        return first < 224 if size == 4 else first < 0xFF
    while size:
        size -= 1
        if source[size]:
            return True
    return False


class Notifier:
    """Decides over datagrams. After `decide`:

    length, out, to, via -- octets of the answer, 0 for silence, the buffer, its endpoint and port of ours
    slot -- the IKE SA (Child SA for deliver-esp and deliver-ah) that the verdict is about
    at -- where the IKE message, or the offending SPI, begins in the datagram
    """

    def __init__(self, table, budget, out, protected_lengths):
        self.table = table
        self.budget = budget
        self.out = out
        self.spis = bytearray(16)  # random, renewed by the node once they are spent
        self.spent = False
        self.protected_lengths = protected_lengths
        self.requests = bytearray()
        self.length = 0
        self.to = None
        self.via = _PORT
        self.slot = -1
        self.at = 0
        self._to = {6: bytearray(6), 18: bytearray(18)}

    def decide(self, via, source, datagram, length, now):
        """Verdict over datagram[:length] (bytes or bytearray) from endpoint `source` by `via`: 500, 4500, 50 or 51."""
        self.length = 0
        if not length:
            return DROP_EMPTY
        if not ((0 < source[0] < 224 and (source[-1] or source[-2])) or usable(via, source)):
            return DROP_SOURCE
        at = 0
        if via != _PORT:
            if via != _PORT_NAT:
                return self._esp_or_ah(via, via, source, datagram, length, now)
            if length == 1 and datagram[0] == 0xFF:
                return DROP_KEEPALIVE
            if length < _MARKER or datagram[0] or datagram[1] or datagram[2] or datagram[3]:
                return self._esp_or_ah(ESP, via, source, datagram, length, now)
            at = _MARKER

        if not wire.header_fits(datagram, at, length):
            return DROP_MALFORMED
        version = datagram[at + _VERSION]
        flags = datagram[at + _FLAGS]
        if version < 0x20:
            return DROP_OLD_VERSION
        if version >= 0x30:
            if flags & _RESPONSE:
                return DROP_RESPONSE
            return self._answer(
                INVALID_MAJOR_VERSION, wire.INVALID_MAJOR_VERSION, via, source, datagram, at, length, now
            )
        if flags & _RESPONSE and self.requests:
            hint = self._hint(source, datagram, at, length)
            if hint:
                return hint
        first = datagram[at + _NEXT_PAYLOAD]
        encrypted = first == _SK or first == _SKF
        self.at = at
        self.slot = self.table.find_ike(datagram, at if not flags & _INITIATOR else at + 8, not flags & _INITIATOR)
        if self.slot >= 0:
            return DELIVER_IKE if encrypted else DROP_UNENCRYPTED
        if flags & _RESPONSE:
            return DROP_RESPONSE
        exchange = datagram[at + _EXCHANGE]
        if exchange == _IKE_SA_INIT or exchange == _IKE_SESSION_RESUME:
            return DELIVER_INIT
        if not encrypted:
            if exchange == _INFORMATIONAL and first == _NOTIFY and flags & _INITIATOR:
                return self._invalid_spi(source, datagram, at, length)
            return DROP_UNENCRYPTED
        octet = at + 8
        while octet > at:
            octet -= 1
            if datagram[octet]:
                return self._answer(INVALID_IKE_SPI, wire.INVALID_IKE_SPI, via, source, datagram, at, length, now)
        return DROP_MALFORMED

    def _esp_or_ah(self, protocol, via, source, packet, length, now):
        """Section 1.5 case 1; RFC 4303 and 4302 section 2.1 and 2.4 for the reserved SPIs."""
        at = wire.spi_offset(protocol, length)
        if at < 0:
            return DROP_MALFORMED
        if not (packet[at] or packet[at + 1] or packet[at + 2]):
            return DROP_RESERVED_SPI
        self.at = at
        self.slot = self.table.find_child(protocol, packet, at)
        if self.slot >= 0:
            return DELIVER_ESP if protocol == ESP else DELIVER_AH
        self.slot = self.table.find_peer(source)
        marker = _MARKER if via == _PORT_NAT else 0
        answer = self.protected_lengths[self.slot] if self.slot >= 0 else wire.INVALID_SPI_MESSAGE + marker
        if length < (answer if marker else answer + _UDP_HEADER):
            return DROP_AMPLIFICATION
        if not self.budget.allow(source, now):
            return DROP_LIMITED
        if self.slot >= 0:
            return INVALID_SPI_PROTECTED
        self.spent = True
        self.length = wire.invalid_spi(self.out, marker, self.spis, packet, at)
        if marker:
            self.via = via
            self.to = source
        else:
            self.via = _PORT
            self.to = self._port_500(source)
        return INVALID_SPI

    def _answer(self, verdict, notify, via, source, request, at, length, now):
        if length < at + wire.ANSWER:
            return DROP_AMPLIFICATION
        if not self.budget.allow(source, now):
            return DROP_LIMITED
        self.length = wire.answer(self.out, request, at, notify)
        self.via = via
        self.to = source
        return verdict

    def _hint(self, source, response, at, length):
        """The hint in a response to one of our outstanding requests; 0 if it is none."""
        notify = wire.lone_notify(response, at, length)
        if notify == wire.INVALID_IKE_SPI:
            verdict = HINT_INVALID_IKE_SPI
        elif notify == wire.INVALID_MAJOR_VERSION:
            verdict = HINT_INVALID_MAJOR_VERSION
        else:
            return 0
        requests = self.requests
        for i in range(0, len(requests), _REQUEST):
            if (
                requests[i + 1] == response[at + _EXCHANGE]
                and wire.equal(requests, i + 2, response, at + _MESSAGE_ID, 4)
                and self.table.matches(requests[i], response, at, source)
            ):
                self.slot = requests[i]
                return verdict
        return 0

    def _invalid_spi(self, source, message, at, length):
        """A one-way message that says INVALID_SPI: a hint if it names an SPI that we send to."""
        if wire.lone_notify(message, at, length) == wire.INVALID_SPI:
            data = wire.notify_data(message, at)
            if length - data == 4:
                self.slot = self.table.find_outbound(source, message, data)
                if self.slot >= 0:
                    return HINT_INVALID_SPI
        return DROP_UNENCRYPTED

    def _port_500(self, source):
        to = self._to[len(source)]
        for i in range(len(to) - 2):
            to[i] = source[i]
        to[len(to) - 2] = _PORT >> 8
        to[len(to) - 1] = _PORT & 0xFF
        return to

    def expect(self, slot, exchange, message_id):
        """Enter a request of ours over IKE SA `slot` that waits for its response: exchange type, Message ID octets."""
        self.table.ike_sa(slot)
        self.requests.extend(bytes((slot, exchange)) + message_id)

    def answered(self, slot):
        """Forget the requests over IKE SA `slot`."""
        rest = bytearray()
        for i in range(0, len(self.requests), _REQUEST):
            if self.requests[i] != slot:
                rest.extend(self.requests[i : i + _REQUEST])
        self.requests = rest
