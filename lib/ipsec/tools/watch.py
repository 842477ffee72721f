"""What goes over the wire while a tunnel is made, in words: messages as a node sends and takes them, and selectors."""

from ikev2 import wire
from ikev2.sa import payloads, policy, proposals, selectors

_EXCHANGES = {34: "IKE_SA_INIT", 35: "IKE_AUTH", 36: "CREATE_CHILD_SA", 37: "INFORMATIONAL"}
_COOKIE = 16390
_INVALID_KE_PAYLOAD = 17
_ERRORS = 16384


def address(octets):
    """An IPv4 address as text."""
    return "%d.%d.%d.%d" % tuple(octets)


def networks(octets):
    """Traffic selectors as text: 10.0.0.0/8, or first-last; protocol and ports where there are any."""
    texts = []
    for at in range(0, len(octets), selectors.SELECTOR):
        first, last = octets[at + 5 : at + 9], octets[at + 9 : at + 13]
        low, high = int.from_bytes(first, "big"), int.from_bytes(last, "big")
        size = high - low + 1
        if size & (size - 1) == 0 and low % size == 0:
            bits = 32
            while size > 1:
                size >>= 1
                bits -= 1
            text = address(first) + ("/%d" % bits if bits < 32 else "")
        else:
            text = address(first) + "-" + address(last)
        if octets[at] or octets[at + 1 : at + 5] != b"\0\0\xff\xff":
            ports = octets[at + 1] << 8 | octets[at + 2], octets[at + 3] << 8 | octets[at + 4]
            text += " protocol %d ports %d-%d" % ((octets[at],) + ports)
        texts.append(text)
    return ", ".join(texts)


def in_clear(octets, at, end):
    """What an IKE_SA_INIT response says, in words."""
    group = 0
    said = []
    found = list(payloads.bodies(octets[at + wire.NEXT_PAYLOAD], octets, at + wire.HEADER, end))
    for kind, start, stop in found:
        if kind == payloads.KE and stop - start > 4:
            group = octets[start] << 8 | octets[start + 1]
        elif kind == payloads.NOTIFY:
            notify = octets[start + 2] << 8 | octets[start + 3]
            if notify == _COOKIE:
                said.append("the gateway is busy and wants its cookie back")
            elif notify == _INVALID_KE_PAYLOAD and stop - start >= 6:
                said.append("it wants group %d" % (octets[stop - 2] << 8 | octets[stop - 1]))
            elif notify < _ERRORS:
                said.append("it refuses, error %d" % notify)
    for kind, start, stop in found:
        if kind == payloads.SA:
            known = tuple(policy.CIPHERS)
            chosen = proposals.choose(octets, start, stop, payloads.PROTOCOL_IKE, 0, known, policy.GROUPS, group)
            said.append("IKE %s, group %d" % (chosen[2] or "of another kind", group))
    return ", ".join(said)


class Watch:
    """Says which IKE messages a node sends and takes, until it is told to be quiet."""

    def __init__(self, node, say):
        self.quiet = False
        self._node = node
        self._print = say
        self._last = b""
        self._receive, self._outgoing = node.receive, node.outgoing
        node.receive, node.outgoing = self._received, self._sent

    def _received(self, via, source, datagram, length, *more):
        at = self._message(via, datagram, length)
        if at >= 0:
            exchange = datagram[at + wire.EXCHANGE]
            says = in_clear(datagram, at, length) if exchange == wire.IKE_SA_INIT else ""
            self._message_line("received", exchange, length - at, ": " + says if says else "")
        return self._receive(via, source, datagram, length, *more)

    def _sent(self, now):
        size = self._outgoing(now)
        out, via = self._node.out, self._node.out_via
        at = self._message(via, out, size)
        if at >= 0:
            message = bytes(out[at:size])
            self._message_line("sent", message[wire.EXCHANGE], size - at, ", retransmission" * (message == self._last))
            self._last = message
        return size

    def _message(self, via, octets, length):
        """Where an IKE message begins that is worth a line; -1."""
        at = 4 if via == wire.PORT_NAT else 0
        if self.quiet or length < at + wire.HEADER or (at and any(octets[:4])):
            return -1
        return at

    def _message_line(self, done, exchange, size, more):
        self._print("%s %s, %d octets%s" % (done, _EXCHANGES.get(exchange, "exchange %d" % exchange), size, more))
