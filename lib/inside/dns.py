"""Names inside a tunnel: one question for an IPv4 address (RFC 1035), and what may be believed of an answer (W5).

    names = Names(stack, random, send, known)           send(port of ours, octets, server) sends a datagram, or OSError
    lookup = names.lookup(name, servers, now, seconds)
    while not lookup.address:                           4 octets; what is known already, or numeric, asks nothing
        ... wait until lookup.ready is called, or for lookup.left(now) milliseconds ...
        lookup.step(now, seconds)                       OSError: there is no address
    lookup.close()

A question leaves from a random port with a random id, three times with 2 s for an answer, then the next server is
asked. An answer counts if server, port, id and question are those that were sent. `known` is a list, where a few names
are remembered; `seconds` is any clock of whole seconds for how long: if it jumps they are asked for anew. Nothing is
asked outside of the tunnel.
"""

from errno import EADDRINUSE, EHOSTUNREACH, ETIMEDOUT

from portable import const, elapsed

from .udp import is_name, octets_of

_PORT = const(53)
_TRIES = const(3)
_TRY_MS = const(2000)
_KEPT = const(4)  # names
_TTL_MAX = const(86400)
_HOPS = const(8)  # CNAMEs, and pointers in a name

_HEADER = const(12)
_LABEL = const(63)
_NAME = const(254)  # octets of labels with their lengths
_POINTER = const(0xC0)
_RECORD = const(10)  # type, class, TTL, length
_A_IN = b"\0\1\0\1"
_CNAME_IN = b"\0\5\0\1"
_RESPONSE = const(0xFA)  # QR, opcode and TC of the third octet; AA and RD do not matter
_QR = const(0x80)
_TC = const(0x02)
_NO_SUCH_NAME = const(3)

_FOREIGN = const(0)  # what an answer can be beside an address: none to our question
_OTHER_SERVER = const(1)  # this one cannot tell
_NO_ADDRESS = const(2)


def labels(text):
    """A name as in a question, in lower case; OSError if it cannot be asked for."""
    name = b""
    for label in (text[:-1] if text[-1:] == "." else text).lower().split("."):
        octets = label.encode()
        if not 0 < len(octets) <= _LABEL or max(octets) > 126 or min(octets) < 33:
            raise OSError(EHOSTUNREACH, "%r is no name" % text)
        name += bytes((len(octets),)) + octets
    if len(name) > _NAME or name.endswith(b"\5local"):
        raise OSError(EHOSTUNREACH, "%r is no name to ask a server for" % text)
    return name + b"\0"


def _name(octets, at):
    """(labels in lower case, where what follows begins) of a name in octets[at:]; ValueError. Pointers go backwards."""
    name = b""
    end = hops = 0
    while True:
        size = octets[at]  # IndexError is the caller's ValueError
        if size >= _POINTER:
            to = (size & 0x3F) << 8 | octets[at + 1]
            end = end or at + 2
            hops += 1
            if to >= at or hops > _HOPS:
                raise ValueError
            at = to
            continue
        if size > _LABEL or at + size >= len(octets) or len(name) > _NAME:
            raise ValueError
        at += 1 + size
        name += octets[at - 1 - size : at]
        if not size:
            return name.lower(), end or at


def read(octets, question):
    """(4 octets, seconds that they are good for), or why there are none, of what has come for that question."""
    try:
        return _read(octets, question)
    except (ValueError, IndexError):
        return _FOREIGN


def _read(octets, question):
    end = len(question)
    if (
        octets[:2] != question[:2]
        or octets[2] & (_RESPONSE ^ _TC) != _QR
        or octets[4:6] != b"\0\1"
        or octets[_HEADER:end].lower() != question[_HEADER:]
    ):
        return _FOREIGN
    code = octets[3] & 15
    if code == _NO_SUCH_NAME:
        return _NO_ADDRESS
    if code or octets[2] & _TC:
        return _OTHER_SERVER
    records = []
    for _ in range(octets[6] << 8 | octets[7]):
        owner, at = _name(octets, end)
        kind = octets[at : at + 4]
        end = at + _RECORD + (octets[at + 8] << 8 | octets[at + 9])
        if end > len(octets):
            raise ValueError
        if kind == _A_IN or kind == _CNAME_IN:
            records.append((owner, kind, at + 4, end))
    wanted = question[_HEADER:-4]
    ttl = _TTL_MAX
    for _ in range(_HOPS):
        found = [record for record in records if record[0] == wanted]
        if not found:
            return _NO_ADDRESS
        _, kind, at, end = found[0]
        ttl = min(ttl, int.from_bytes(octets[at : at + 4], "big"))
        if kind == _A_IN:
            address = octets[at + 6 : end]
            usable = len(address) == 4 and 0 < address[0] < 224 and address[0] != 127  # T5
            return (address, ttl) if usable else _NO_ADDRESS
        wanted = _name(octets, at + 6)[0]
    return _NO_ADDRESS


class Names:
    """Looks names up; what a few of them have lately been is remembered."""

    def __init__(self, stack, random, send, known):
        self.stack = stack
        self.random = random
        self.send = send
        self._known = known  # (name, address, since when, for how many seconds, servers), the newest last

    def known(self, name, servers, seconds):
        """The address of a name that was looked up lately at these servers; None."""
        for known, address, since, ttl, its in self._known:
            if known == name and 0 <= seconds - since < ttl and its == servers:
                return address
        return None

    def keep(self, name, address, ttl, servers, seconds):
        """Remember an address for so long."""
        self._known[:] = [entry for entry in self._known if entry[0] != name][1 - _KEPT :]
        if ttl:
            self._known.append((name, address, seconds, ttl, servers))

    def lookup(self, text, servers, now, seconds):
        """A Lookup of that name at these servers, four octets each; OSError if it cannot be looked up."""
        return Lookup(self, text, servers, now, seconds)


class Lookup:
    """A name that is being looked up: its `address`, four octets, once it is there."""

    def __init__(self, names, text, servers, now, seconds):
        self._text = text
        self._socket = None
        self._names = names
        self.address = None
        if not is_name(text):
            self.address = octets_of(text)
            return
        self._name = labels(text)
        self.address = names.known(self._name, servers, seconds)
        if self.address:
            return
        if not servers:
            raise OSError(EHOSTUNREACH, "no address for %r: the tunnel has no name server" % text)
        self._all = servers
        self._servers = [servers[i : i + 4] for i in range(0, len(servers), 4)]
        self._tries = 0
        self._asked_at = now
        self._why = EHOSTUNREACH, "no server could tell"
        self._question = names.random(2) + b"\1\0\0\1\0\0\0\0\0\0" + self._name + _A_IN
        self._socket = self._bind()
        try:
            self._ask(now)
        except OSError:
            self.close()
            raise

    @property
    def ready(self):
        """Called without arguments when something has come."""
        return self._socket.ready

    @ready.setter
    def ready(self, callback):
        self._socket.ready = callback

    def left(self, now):
        """Milliseconds until `step` has something to do though nothing has come."""
        return max(0, _TRY_MS - elapsed(now, self._asked_at))

    def step(self, now, seconds):
        """Look at what has come, ask again if it is time; OSError once it is in vain."""
        got = self._socket.take()
        while got and not self.address:
            octets, host, port = got
            if port == _PORT and bytes(host) == self._servers[0]:
                self._judge(read(bytes(octets), self._question), now, seconds)
            got = self._socket.take()
        if not self.address and not self.left(now):
            self._why = ETIMEDOUT, "no server answers"
            self._ask(now)

    def close(self):
        """Give the port back."""
        if self._socket:
            self._names.stack.close(self._socket)
            self._socket = None

    # The rest is private.

    def _bind(self):
        while True:
            octets = self._names.random(2)
            try:
                return self._names.stack.bind((octets[0] | 0xC0) << 8 | octets[1])
            except OSError as error:
                if error.errno != EADDRINUSE:
                    raise

    def _judge(self, found, now, seconds):
        if found == _OTHER_SERVER:
            self._next_server()
            self._ask(now)
        elif found == _NO_ADDRESS:
            raise OSError(EHOSTUNREACH, "no address for %r" % self._text)
        elif found != _FOREIGN:
            self.address, ttl = found
            self._names.keep(self._name, self.address, ttl, self._all, seconds)

    def _next_server(self):
        self._servers.pop(0)
        self._tries = 0

    def _ask(self, now):
        """Send the question; servers to which it cannot go are passed over."""
        if self._tries == _TRIES:
            self._next_server()
        while self._servers:
            try:
                self._names.send(self._socket.port, self._question, self._servers[0])
                self._tries += 1
                self._asked_at = now
                return
            except OSError as error:
                if error.errno != EHOSTUNREACH:
                    raise
                self._next_server()
        raise OSError(self._why[0], "no address for %r: %s" % (self._text, self._why[1]))
