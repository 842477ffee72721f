"""Unauthenticated notifies (RFC 7296 sections 1.5, 2.21.4): a hint, if one fits what we have sent ourselves.

INVALID_SPI counts if it names an SPI that we send to, the other two if they look like the response to a request of ours
that is outstanding. Nothing here changes an SA.
"""

from portable import const, equal

from .wire import lone_notify, notify_data

# Indices into notifier.VERDICTS.
HINT_INVALID_SPI = const(4)
_HINT_INVALID_IKE_SPI = const(5)
_HINT_INVALID_MAJOR_VERSION = const(6)

# As wire.py has them, whose they are: MicroPython folds only the constants of the same file.
_EXCHANGE = const(18)
_MESSAGE_ID = const(20)
_INVALID_IKE_SPI = const(4)
_INVALID_MAJOR_VERSION = const(5)
_INVALID_SPI = const(11)

_REQUEST = const(6)  # an outstanding request: slot, exchange type, Message ID


class Hints:
    """Recognises hints about the IKE SAs of a table; `slot` is the IKE SA that the last one is about."""

    def __init__(self, table):
        self.slot = -1
        self.outstanding = bytearray()
        self._table = table

    def of_response(self, source, response, at, length):
        """The verdict over a response to an outstanding request; 0 if it is no hint."""
        notify = lone_notify(response, at, length)
        if notify == _INVALID_IKE_SPI:
            verdict = _HINT_INVALID_IKE_SPI
        elif notify == _INVALID_MAJOR_VERSION:
            verdict = _HINT_INVALID_MAJOR_VERSION
        else:
            return 0
        outstanding = self.outstanding
        for i in range(0, len(outstanding), _REQUEST):
            if (  # R7
                outstanding[i + 1] == response[at + _EXCHANGE]
                and equal(outstanding, i + 2, response, at + _MESSAGE_ID, 4)
                and self._table.matches(outstanding[i], response, at, source)
            ):
                self.slot = outstanding[i]
                return verdict
        return 0

    def of_invalid_spi(self, source, message, at, length):
        """HINT_INVALID_SPI for a one-way message that names an SPI which we send to; else 0."""
        if lone_notify(message, at, length) == _INVALID_SPI:  # R8, R9
            data = notify_data(message, at)
            if length - data == 4:
                self.slot = self._table.find_outbound(source, message, data)
                if self.slot >= 0:  # R6
                    return HINT_INVALID_SPI
        return 0

    def expect(self, slot, exchange, message_id):
        """Enter a request of ours over IKE SA `slot` that waits for its response: exchange type, Message ID octets."""
        self._table.ike_sa(slot)
        if len(message_id) != 4:
            raise ValueError("Message ID %r" % message_id)
        self.outstanding.extend(bytes((slot, exchange)) + message_id)

    def answered(self, slot):
        """Forget the requests over IKE SA `slot`."""
        rest = bytearray()
        for i in range(0, len(self.outstanding), _REQUEST):
            if self.outstanding[i] != slot:
                rest.extend(self.outstanding[i : i + _REQUEST])
        self.outstanding = rest
