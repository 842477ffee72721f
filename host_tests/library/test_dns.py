"""Names inside a tunnel, against scapy's DNS (W5): what is asked, whom, how often, and which answers count."""

import errno
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inside import dns
from inside.stack import Stack
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import IP, UDP

OURS = "10.77.0.2"
ONE, TWO = bytes((10, 77, 0, 53)), bytes((10, 78, 0, 53))


class Asking:
    """A Names with a stack of its own, whose datagrams end here; time and seconds are plain numbers."""

    def __init__(self, refuse=()):
        self.dice = random.Random(1)
        self.stack = Stack(bytes((10, 77, 0, 2)))
        self.names = dns.Names(self.stack, self.dice.randbytes, self.send, [])
        self.sent = []
        self.now = (1 << 30) - 1000
        self.seconds = 1000
        self.refuse = refuse  # servers outside of the traffic selectors
        self.lookup = None

    def send(self, port, octets, server):
        if server in self.refuse:
            raise OSError(errno.EHOSTUNREACH, "no route")
        self.sent.append((port, octets, server))

    def ask(self, name="broker.lan", servers=ONE + TWO):
        self.lookup = self.names.lookup(name, servers, self.now % (1 << 30), self.seconds)
        return self.lookup

    def known(self, seconds, servers=ONE + TWO):
        return self.names.known(dns.labels("broker.lan"), servers, seconds)

    def step(self):
        self.lookup.step(self.now % (1 << 30), self.seconds)

    def wait(self):
        """Until there is something to do."""
        self.now += self.lookup.left(self.now % (1 << 30))
        self.step()

    def arrive(self, octets, source=ONE, port=53, to=None):
        packet = IP(src=".".join(map(str, source)), dst=OURS) / UDP(sport=port, dport=to or self.sent[-1][0]) / octets
        buffer = bytearray(bytes(packet))
        assert self.stack.receive(buffer, len(buffer), self.now % (1 << 30)) == 0

    def answers(self, *records, source=ONE, port=53, to=None, **fields):
        """What scapy makes of an answer with these records to the last question arrives, and is looked at."""
        asked = DNS(self.sent[-1][1])
        fields = {"id": asked.id, "qr": 1, "ra": 1, "qd": asked.qd, **fields}
        self.arrive(bytes(DNS(an=list(records), **fields)), source, port, to)
        self.step()


def a(name="broker.lan.", address="10.77.0.9", ttl=60):
    return DNSRR(rrname=name, type="A", rdata=address, ttl=ttl)


def cname(name, to, ttl=60):
    return DNSRR(rrname=name, type="CNAME", rdata=to, ttl=ttl)


def refused(number, what, *arguments):
    with pytest.raises(OSError) as raised:
        what(*arguments)
    assert raised.value.errno == number, raised.value
    return raised.value.args[-1]


def test_the_question_as_scapy_reads_it():
    asking = Asking()
    asking.ask("Broker.LAN.")
    _, octets, server = asking.sent[0]
    asked = DNS(octets)
    assert (asked.qr, asked.rd, asked.qdcount, asked.ancount, server) == (0, 1, 1, 0, ONE)
    assert (asked.qd[0].qname, asked.qd[0].qtype, asked.qd[0].qclass) == (b"broker.lan.", 1, 1)
    assert bytes(DNS(id=asked.id, rd=1, qd=DNSQR(qname="broker.lan"))) == octets
    ports, ids = set(), set()
    for _ in range(50):
        asking.ask(f"{len(ports)}.lan")
        ports.add(asking.sent[-1][0])
        ids.add(asking.sent[-1][1][:2])
        asking.lookup.close()
    assert len(ports) > 45 and len(ids) > 45 and min(ports) >= 0xC000


def test_an_answer():
    asking = Asking()
    lookup = asking.ask()
    rung = []
    lookup.ready = lambda: rung.append(1)
    asking.answers(a())
    assert lookup.address == bytes((10, 77, 0, 9)) and rung
    port = asking.sent[0][0]
    lookup.close()
    asking.stack.close(asking.stack.bind(port))  # it is free


@pytest.mark.parametrize("what", ["id", "question", "class", "source", "port", "query", "opcode", "two", "to"])
def test_an_answer_to_something_else_is_none(what):
    """Off the path nobody knows id and port; on it an answer must still be one to this question."""
    asking = Asking()
    lookup = asking.ask()
    asked = DNS(asking.sent[0][1])
    other = {
        "id": {"id": asked.id ^ 1}, "question": {"qd": DNSQR(qname="broken.lan")},
        "class": {"qd": DNSQR(qname="broker.lan", qclass=3)}, "source": {"source": TWO}, "port": {"port": 5353},
        "query": {"qr": 0}, "opcode": {"opcode": 4}, "two": {"qd": [asked.qd[0], asked.qd[0]]},
        "to": {"to": asking.sent[0][0] ^ 1},
    }[what]  # fmt: skip
    asking.answers(a(), **other)
    assert lookup.address is None
    asking.answers(a())
    assert lookup.address


def test_tries_then_the_next_server():
    asking = Asking()
    asking.ask()
    for _ in range(5):
        asking.wait()
    assert [server for _, _, server in asking.sent] == [ONE] * 3 + [TWO] * 3
    assert len({(port, octets) for port, octets, _ in asking.sent}) == 1
    assert asking.now - ((1 << 30) - 1000) == 10000
    asking.answers(a(), source=ONE)  # too late: it is not the one that is asked
    assert asking.lookup.address is None
    said = refused(errno.ETIMEDOUT, asking.wait)
    assert said == "no address for 'broker.lan': no server answers"


@pytest.mark.parametrize("fields", [{"rcode": 2}, {"rcode": 5}, {"rcode": 1}, {"tc": 1}])
def test_a_server_that_cannot_tell(fields):
    asking = Asking()
    asking.ask()
    asking.answers(a(), **fields)
    assert [server for _, _, server in asking.sent] == [ONE, TWO] and asking.lookup.address is None
    said = refused(errno.EHOSTUNREACH, lambda: asking.answers(a(), source=TWO, **fields))
    assert said == "no address for 'broker.lan': no server could tell"


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255"])
def test_addresses_that_are_none(address):
    asking = Asking()
    asking.ask()
    refused(errno.EHOSTUNREACH, lambda: asking.answers(a(address=address)))


def test_there_is_no_such_name():
    asking = Asking()
    asking.ask()
    assert refused(errno.EHOSTUNREACH, lambda: asking.answers(rcode=3)) == "no address for 'broker.lan'"
    asking.ask()
    refused(errno.EHOSTUNREACH, lambda: asking.answers(a("else.lan.")))
    assert len(asking.sent) == 2


def test_cnames_are_followed_in_the_answer():
    asking = Asking()
    asking.ask()
    asking.answers(cname("broker.lan.", "a.lan.", 50), a("b.lan.", ttl=90), cname("A.lan.", "b.LAN.", 70))
    assert asking.lookup.address == bytes((10, 77, 0, 9))
    assert asking.known(1049) and not asking.known(1050)
    for records in ([cname("x.lan.", "x.lan.")], [cname("x.lan.", "y.lan."), cname("y.lan.", "x.lan.")],
                    [cname("x.lan.", "y.lan.")]):  # fmt: skip
        asking.ask("x.lan")
        refused(errno.EHOSTUNREACH, lambda records=records: asking.answers(*records))


def test_what_was_looked_up_lately_is_not_asked_again():
    asking = Asking()
    for number in range(5):
        asking.ask(f"{number}.lan")
        asking.answers(a(f"{number}.lan.", f"10.77.0.{number}"))
        asking.lookup.close()
    assert asking.ask("4.LAN.").address == bytes((10, 77, 0, 4)) and len(asking.sent) == 5
    asking.lookup.close()
    assert asking.ask("1.lan").address and len(asking.sent) == 5
    assert asking.ask("0.lan").address is None and len(asking.sent) == 6  # four are kept
    for seconds in (1060, 999):  # its time is over, or the clock was set back
        asking.seconds = seconds
        assert asking.ask("3.lan").address is None
        asking.lookup.close()
    asking.seconds = 1000
    assert asking.ask("4.lan").address and asking.ask("4.lan", TWO).address is None  # others may know it by another


def test_a_lifetime_of_zero_is_for_once():
    asking = Asking()
    asking.ask()
    asking.answers(a(ttl=0))
    assert asking.lookup.address and asking.ask().address is None


def test_numbers_ask_nothing():
    asking = Asking()
    assert asking.ask("10.77.0.1").address == bytes((10, 77, 0, 1)) and not asking.sent
    asking.lookup.close()
    for text in ("10.77.0", "10.77.0.300", "broker.7"):
        refused(errno.EINVAL, asking.ask, text)


@pytest.mark.parametrize(
    "name",
    ["", ".", "a..lan", "printer.local", "Printer.LOCAL.", "x" * 64 + ".lan", "a." * 127 + "lan", "ä.lan", "a b"],
)
def test_names_that_are_not_asked_for(name):
    asking = Asking()
    refused(errno.EHOSTUNREACH, asking.ask, name)
    assert not asking.sent and not asking.stack._sockets


def test_the_longest_names():
    asking = Asking()
    asking.ask("x" * 63 + ".lan")
    asking.ask("a." * 125 + "lan")
    assert len(DNS(asking.sent[1][1]).qd[0].qname) == 254


def test_without_a_server():
    asking = Asking()
    said = refused(errno.EHOSTUNREACH, asking.ask, "broker.lan", b"")
    assert said == "no address for 'broker.lan': the tunnel has no name server"


def test_servers_outside_of_the_selectors_are_skipped():
    asking = Asking(refuse=(ONE,))
    asking.ask()
    assert [server for _, _, server in asking.sent] == [TWO]
    asking = Asking(refuse=(ONE, TWO))
    refused(errno.EHOSTUNREACH, asking.ask)
    assert not asking.stack._sockets


def test_a_port_in_use_is_not_taken():
    asking = Asking()
    octets = random.Random(1).randbytes(4)[2:]  # what would be the port, behind the id
    asking.stack.bind((octets[0] | 0xC0) << 8 | octets[1])
    asking.ask()
    assert asking.sent[0][0] != (octets[0] | 0xC0) << 8 | octets[1]


def question():
    return Asking().ask()._question


@settings(max_examples=500, deadline=None)
@given(data=st.data())
def test_nothing_that_comes_raises(data):
    """An answer changed anywhere, cut anywhere, or with anything behind its question."""
    asked = question()
    reply = bytearray(
        bytes(DNS(id=DNS(asked).id, qr=1, qd=DNS(asked).qd, an=[cname("broker.lan.", "a.lan."), a("a.lan.")]))
    )
    if data.draw(st.booleans()):
        reply[len(asked) :] = data.draw(st.binary(max_size=80))
    for _ in range(data.draw(st.integers(0, 6))):
        reply[data.draw(st.integers(0, len(reply) - 1))] = data.draw(st.integers(0, 255))
    found = dns.read(bytes(reply[: data.draw(st.integers(0, len(reply)))]), asked)
    assert found in (0, 1, 2) or (len(found[0]) == 4 and 0 <= found[1] <= 86400)


@pytest.mark.parametrize("cut", range(12, 75))
def test_truncated_answers(cut):
    asked = question()
    reply = bytes(DNS(id=DNS(asked).id, qr=1, qd=DNS(asked).qd, an=[cname("broker.lan.", "a.lan."), a("a.lan.")]))
    assert dns.read(reply, asked) == (bytes((10, 77, 0, 9)), 60) and len(reply) > cut
    assert dns.read(reply[:cut], asked) == 0


@pytest.mark.parametrize(
    "owner", [b"\xc0\x1c", b"\xc0\xff", b"\xff\xff", b"\xc0", b"\x40abc\0", b"\x80", b"\x3f" + b"x" * 20,
              (b"\x3f" + b"x" * 63) * 4 + b"\0"],
)  # fmt: skip
def test_names_that_lead_nowhere(owner):
    """A pointer to itself, forwards, beyond the end; lengths that are none; a name that is too long."""
    asked = question()
    reply = asked[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + asked[12:] + owner + b"\0\1\0\1\0\0\0\x3c\0\4\x0a\x4d\0\x09"
    assert dns.read(reply, asked) == 0


@pytest.mark.parametrize("count", [2, 0x0101])
def test_records_that_are_not_there(count):
    asked = question()
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x0a\x4d\0\x09"
    for says, found in ((1, (bytes((10, 77, 0, 9)), 60)), (count, 0)):
        head = asked[:2] + b"\x81\x80\0\1" + says.to_bytes(2, "big") + bytes(4)
        assert dns.read(head + asked[12:] + record, asked) == found


def test_a_pointer_beyond_the_first_256_octets():
    asked = question()
    text = b"\0\0\x10\0\1\0\0\0\0\1\x2c" + bytes(300)  # a TXT record of the root
    reply = asked[:2] + b"\x81\x80\0\1\0\3\0\0\0\0" + asked[12:] + text
    at = len(reply) + 12  # of the name that the alias stands for
    assert 256 < at < 512
    reply += b"\xc0\x0c\0\5\0\1\0\0\0\x3c\0\7\5other\0" + bytes((0xC0 | at >> 8, at & 0xFF))
    assert dns.read(reply + b"\0\1\0\1\0\0\0\x3c\0\4\x0a\x4d\0\x09", asked) == (bytes((10, 77, 0, 9)), 60)


def test_pointers_that_lead_back_and_back_are_counted():
    asked = question()
    at = len(asked)
    octets = asked[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + asked[12:]
    octets += b"\0\x10\0\1\0\0\0\0\0\x28"  # a TXT record of the root with pointers in it
    octets = octets[:at] + b"\0" + octets[at:]
    inside = len(octets)
    octets += b"\xc0\x0c" + b"".join(bytes((0xC0, inside + 2 * i)) for i in range(19))
    for hops, found in ((6, (bytes((10, 77, 0, 9)), 60)), (10, 0)):
        pointer = bytes((0xC0, inside + 2 * hops))
        reply = octets[:7] + b"\2" + octets[8:] + pointer + b"\0\1\0\1\0\0\0\x3c\0\4\x0a\x4d\0\x09"
        assert dns.read(reply, asked) == found
