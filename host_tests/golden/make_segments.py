"""Makes the vectors of segments/: what a TCP has to answer, by hand, octets by scapy, the initial number by hashlib.

Nothing of the library is in here: `python -m golden.make_segments` writes the files anew from the scripts below.
"""

import hashlib
import json
import struct

from scapy.layers.inet import IP, TCP
from scapy.packet import Raw

from golden.segment_files import FOLDER

OURS, THEIRS = "10.77.0.2", "10.77.0.9"
PORT, OWN = 50000, 5683  # ours, the peer's
BUFFER = 2720
ISN = 0xFFFFFFF0  # the peer's: numbers wrap soon
SECRET = bytes(range(16))
SACK = [("MSS", 1360), ("NOP", None), ("NOP", None), ("SAckOK", b"")]
MSS = [("MSS", 1360)]


def pattern(n, start=0):
    """Octets of data."""
    return bytes((start + i) & 0xFF for i in range(n))


class Script:
    """A case in the making: what happens, and what ours has to send then. Number 0 is each side's SYN."""

    def __init__(self, name, *rules, begins=0, buffer=BUFFER, port=PORT, own=OWN):
        self.case = {"name": name, "rules": list(rules), "address": OURS, "begins": begins, "buffer": buffer,
                     "random": SECRET.hex(), "steps": [], "left": 0}  # fmt: skip
        self.ports = port, own
        self.window = buffer
        self.sent = 0  # packets
        self.state = None
        self.start = None  # our initial number

    def begin_at(self, at_ms):
        """RFC 6528 with a clock of 1/256 ms."""
        four = bytes(map(int, THEIRS.split("."))) + struct.pack("!HH", *self.ports)
        self.start = (int.from_bytes(hashlib.sha256(SECRET + four).digest()[:4], "big") + at_ms * 256) % 2**32

    def ours(self, flags, seq=0, ack=0, data=b"", window=None, options=(), start=None):
        """The octets of a segment that ours sends."""
        self.sent += 1
        window = self.window if window is None else window
        start = self.start if start is None else start
        acked = (ISN + ack) % 2**32 if "A" in flags else 0
        blocks = [(name, tuple((ISN + at) % 2**32 for at in value) if name == "SAck" else value)
                  for name, value in options]  # fmt: skip
        return bytes(IP(src=OURS, dst=THEIRS, id=self.sent, ttl=64) / TCP(
            sport=self.ports[0], dport=self.ports[1], seq=(start + seq) % 2**32, ack=acked, flags=flags, window=window,
            options=blocks) / Raw(data)).hex()  # fmt: skip

    def peer(self, flags, seq=0, ack=0, data=b"", window=8000, options=(), start=None, **fields):
        """The octets of a segment that the peer sends."""
        start = self.start if start is None else start
        acked = (start + ack) % 2**32 if "A" in flags else 0
        blocks = [(name, tuple((start + at) % 2**32 for at in value) if name == "SAck" else value)
                  for name, value in options]  # fmt: skip
        return bytes(IP(src=THEIRS, dst=OURS, id=7) / TCP(
            sport=self.ports[1], dport=self.ports[0], seq=(ISN + seq) % 2**32, ack=acked, flags=flags, window=window,
            options=blocks, **fields) / Raw(data)).hex()  # fmt: skip

    def _step(self, at_ms, expected, state, got=None, **what):
        self.state = self.state if state is None else state
        step = {"at_ms": self.case["begins"] + at_ms, **what, "segments": [self.ours(*one[:-1], **one[-1])
                if isinstance(one[-1], dict) else self.ours(*one) for one in expected]}  # fmt: skip
        if got is not None:
            step["got"] = got.hex() if isinstance(got, bytes) else got
        self.case["steps"].append({**step, "state": self.state})
        return self

    def does(self, at_ms, do, *expected, state=None, got=None):
        """A user does something; ours sends what is expected."""
        return self._step(at_ms, expected, state, got, do=do)

    def hears(self, at_ms, *segment, gives=(), state=None, **fields):
        """A segment of the peer comes."""
        return self._step(at_ms, gives, state, segment=self.peer(*segment, **fields))

    def waits(self, at_ms, *expected, state=None):
        """Time passes."""
        return self._step(at_ms, expected, state)

    def left(self, n):
        self.case["left"] = n
        return self.case

    def connects(self, options=MSS, window=8000, at=0):
        """Ours has connected, 10 ms later."""
        self.begin_at(self.case["begins"] + at)
        self.does(at, ["connect", THEIRS, self.ports[1], self.ports[0]], ("S", {"options": SACK}), state="SYN-SENT")
        return self.hears(at + 10, "SA", 0, 1, options=options, window=window, gives=[("A", 1, 1)], state="ESTABLISHED")


def opening():
    """V1, V2, V9: handshakes, repetitions, options, refusals."""
    yield Script("connect", "V1", "V2").connects(SACK).left(1)
    yield Script("connect-as-the-clock-wraps", "V1", begins=2**30 - 5).connects().left(1)
    script = Script("syn-is-repeated-five-times", "V2")
    script.begin_at(0)
    syn = ("S", {"options": SACK})
    script.does(0, ["connect", THEIRS, OWN, PORT], syn, state="SYN-SENT")
    script.waits(14999, syn, syn, syn).waits(15000, syn).waits(30999).waits(31000, state="CLOSED")
    yield script.does(31000, ["read", 1], got="ETIMEDOUT").left(0)
    script = Script("refused", "V2", "V7")
    script.begin_at(0)
    script.does(0, ["connect", THEIRS, OWN, PORT], syn, state="SYN-SENT")
    script.hears(1, "R", 0).hears(2, "RA", 0, 2).hears(3, "A", 5, 9, gives=[("R", 9, {"window": 0})])
    yield script.hears(4, "RA", 0, 1, state="CLOSED").does(5, ["read", 1], got="ECONNREFUSED").left(0)
    for name, options, mss in (
        ("none", [], 536), ("64", [("MSS", 64)], 64), ("1", [("MSS", 1)], 64), ("9000", [("MSS", 9000)], 1360),
        ("behind-others", [("NOP", None), ("WScale", 7), ("SAckOK", b""), ("Timestamp", (1, 0)), ("MSS", 600)], 600),
    ):  # fmt: skip
        script = Script(f"mss-{name}", "V2", buffer=1400).connects(options, window=1400)
        initial = min(1400, min(4 * mss, max(2 * mss, 4380)))  # RFC 5681
        segments = [("A", 1 + at, 1, pattern(1400)[at : at + mss]) for at in range(0, initial, mss)]
        rest = [segments.pop()] if len(segments[-1][3]) < mss else []
        script.does(20, ["write", pattern(1400).hex()], *segments)
        yield script.waits(25, *[("PA", *one[1:]) for one in rest]).left(1)
    yield accepted("accept", SACK).does(30, ["accept", 80], state="ESTABLISHED").left(1)
    yield accepted("accept-without-sack", MSS).does(30, ["accept", 80], state="ESTABLISHED").left(1)
    script = Script("half-open", "V9", port=80)
    script.begin_at(10)
    script.does(0, ["listen", 80])
    answer = ("SA", 0, 1, {"options": MSS})
    script.hears(10, "S", 0, options=MSS, gives=[answer]).hears(500, "S", 0, options=MSS, gives=[answer])
    yield (
        script.waits(1010, answer)
        .waits(3009)
        .waits(3010)
        .hears(3011, "A", 1, 1, gives=[("R", 1, {"window": 0})])
        .left(0)
    )
    script = Script("no-socket", "V7", port=81)
    script.start = 0
    script.hears(0, "S", 0, gives=[("RA", 0, 1, {"window": 0, "start": 0})])
    script.hears(1, "FA", 5, 77, data=b"xyz", gives=[("R", 77, {"window": 0})])
    yield script.hears(2, "R", 5).hears(3, "RA", 5, 6).left(0)


def accepted(name, options):
    """Ours listens on port 80, and the peer has connected."""
    script = Script(name, "V2", "V9", port=80)
    script.begin_at(10)
    script.does(0, ["listen", 80])
    script.hears(10, "S", 0, options=options, gives=[("SA", 0, 1, {"options": SACK if options is SACK else MSS})])
    return script.hears(20, "A", 1, 1)


def data():
    """V3 to V6: data both ways, holes, retransmission, windows."""
    script = Script("question-and-answer", "V4", "V5", "V6").connects()
    script.does(20, ["write", b"GET ".hex()]).does(22, ["write", b"/".hex()]).waits(25, ("PA", 1, 1, b"GET /"))
    script.hears(40, "PA", 1, 6, data=b"hello").does(41, ["read", 99], got=b"hello")
    yield script.waits(79).waits(80, ("A", 6, 6, {"window": BUFFER - 5})).left(1)
    script = Script("every-second-segment", "V5").connects()
    script.hears(20, "A", 1, 1, data=b"a").hears(21, "A", 2, 1, data=b"b", gives=[("A", 1, 3, b"", BUFFER - 2)])
    yield script.hears(30, "A", 3, 1, data=b"c").waits(70, ("A", 1, 4, b"", BUFFER - 3)).left(1)
    script = Script("two-holes", "V4", "V5").connects(SACK)
    block = {"options": [("NOP", None), ("NOP", None), ("SAck", (5, 7))]}
    script.hears(20, "A", 5, 1, data=b"ef", gives=[("A", 1, 1, block)])
    script.hears(21, "A", 9, 1, data=b"zz", gives=[("A", 1, 1, block)])
    script.hears(22, "A", 1, 1, data=b"abXd", gives=[("A", 1, 7, b"", BUFFER - 6)])
    script.hears(23, "A", 1, 1, data=b"nothing is rewritten", gives=[])
    yield script.does(24, ["read", 99], got=b"abXdef" + b"nothing is rewritten"[6:]).left(1)
    script = Script("beyond-the-window", "V4", "V5", "V6", buffer=1000).connects()
    script.hears(20, "A", 1, 1, data=pattern(600)).hears(
        21, "A", 601, 1, data=pattern(600), gives=[("A", 1, 1001, b"", 0)]
    )
    script.hears(22, "A", 1001, 1, data=b"x", gives=[("A", 1, 1001, b"", 0)])
    script.does(23, ["read", 400], got=pattern(400)).does(
        24, ["read", 100], ("A", 1, 1001, b"", 500), got=pattern(100, 400)
    )
    yield script.waits(63).waits(64, ("A", 1, 1001, b"", 500)).waits(999).left(1)
    script = Script("retransmission", "V3").connects()
    script.does(20, ["write", b"data".hex()]).waits(25, ("PA", 1, 1, b"data"))
    again = ("PA", 1, 1, b"data")
    script.waits(324).waits(325, again).waits(925, again).waits(2125, again).hears(2200, "A", 1, 5)
    script.does(2300, ["write", b"more".hex()]).waits(2305, ("PA", 5, 1, b"more")).waits(2604).waits(
        2605, ("PA", 5, 1, b"more")
    )
    yield script.left(1)
    script = Script("given-up", "V3").connects().does(20, ["write", b"data".hex()])
    script.waits(25, again).waits(76824, *[again] * 8).waits(115224).waits(136825, state="CLOSED")
    yield script.does(136826, ["write", "00"], got="ETIMEDOUT").left(0)
    first, second = ("A", 1, 1, pattern(1360)), ("PA", 1361, 1, pattern(2720)[1360:])
    script = Script("pure-ack-while-sending-again", "V5").connects()
    script.does(20, ["write", pattern(2720).hex()], first, second).waits(320, first)
    yield script.hears(321, "A", 3, 1, data=b"x", gives=[("A", 2721, 1)]).left(1)
    script = Script("sack-of-the-second-of-two", "V3").connects(SACK)
    script.does(20, ["write", pattern(2720).hex()], first, second)
    block = [("NOP", None), ("NOP", None), ("SAck", (1361, 2721))]
    script.hears(40, "A", 1, 1, options=block, gives=[first]).hears(41, "A", 1, 1, options=block)
    yield script.hears(60, "A", 1, 2721).waits(900).left(1)
    script = Script("third-duplicate", "V3").connects()
    script.does(20, ["write", pattern(2720).hex()], first, second)
    script.hears(40, "A", 1, 1).hears(41, "A", 1, 1).hears(42, "A", 1, 1, gives=[first])
    yield script.hears(43, "A", 1, 1).hears(44, "A", 1, 1).hears(60, "A", 1, 2721).left(1)
    script = Script("zero-window", "V6").connects(window=0).does(20, ["write", b"data".hex()])
    probe = ("A", 1, 1, b"d")
    script.waits(320, probe).hears(330, "A", 1, 1, window=0).waits(920, probe).hears(930, "A", 1, 1, window=0)
    script.waits(2120, probe)
    yield script.hears(2130, "A", 1, 1, window=100, gives=[("PA", 1, 1, b"data")]).hears(2140, "A", 1, 5).left(1)
    script = (
        Script("silly-window", "V6")
        .connects(window=1000)
        .does(20, ["write", pattern(1400).hex()], ("A", 1, 1, pattern(1000)))
    )
    script.hears(30, "A", 1, 1001, window=399).waits(329)
    yield script.waits(330, ("A", 1001, 1, pattern(1400)[1000:1399])).left(1)


def ending():
    """V7, V8, V12, V14: FIN in every state, RST, challenges, sleep."""
    script = Script("we-close-first", "V8").connects().does(20, ["write", b"bye".hex()])
    script.does(21, ["close"], ("FPA", 1, 1, b"bye"), state="FIN-WAIT-1").hears(30, "A", 1, 5, state="FIN-WAIT-2")
    script.hears(40, "FA", 1, 5, gives=[("A", 5, 2)], state="TIME-WAIT").hears(50, "FA", 1, 5, gives=[("A", 5, 2)])
    yield script.waits(60049).waits(60050, state="CLOSED").left(0)
    script = Script("fin-and-ack-in-one", "V8").connects().does(20, ["close"], ("FA", 1, 1), state="FIN-WAIT-1")
    yield script.hears(30, "FA", 1, 2, gives=[("A", 2, 2)], state="TIME-WAIT").waits(60030, state="CLOSED").left(0)
    script = Script("both-close-at-once", "V8").connects().does(20, ["close"], ("FA", 1, 1), state="FIN-WAIT-1")
    script.hears(30, "FA", 1, 1, gives=[("A", 2, 2)], state="CLOSING")
    yield script.hears(40, "A", 2, 2, state="TIME-WAIT").waits(60040, state="CLOSED").left(0)
    script = Script("peer-closes-first", "V8").connects()
    script.hears(20, "FPA", 1, 1, data=b"end", gives=[("A", 1, 5, b"", BUFFER - 3)], state="CLOSE-WAIT")
    script.does(21, ["read", 9], got=b"end").does(22, ["read", 9], got=b"").does(23, ["write", b"last".hex()])
    script.does(24, ["close"], ("FPA", 1, 5, b"last", BUFFER - 3), state="LAST-ACK")
    yield script.hears(40, "A", 5, 6, state="CLOSED").left(0)
    script = Script("half-closed", "V8").connects().does(20, ["shutdown"], ("FA", 1, 1), state="FIN-WAIT-1")
    script.hears(30, "A", 1, 2, state="FIN-WAIT-2").hears(5000, "A", 1, 2, data=b"still here")
    script.does(5001, ["read", 99], got=b"still here").does(5002, ["write", "00"], got="EPIPE")
    yield script.waits(5040, ("A", 2, 11, b"", BUFFER - 10)).left(1)
    script = Script("fin-is-repeated", "V3", "V8").connects().does(20, ["close"], ("FA", 1, 1), state="FIN-WAIT-1")
    yield script.waits(320, ("FA", 1, 1)).hears(330, "A", 1, 2, state="FIN-WAIT-2").waits(60330, state="CLOSED").left(0)
    script = Script("reader-goes-while-data-is-unread", "V8").connects().hears(20, "A", 1, 1, data=b"data")
    yield script.does(21, ["close"], ("RA", 1, 5, b"", BUFFER - 4), state="CLOSED").left(0)
    script = Script("data-after-the-reader-went", "V8").connects().does(20, ["close"], ("FA", 1, 1), state="FIN-WAIT-1")
    yield script.hears(30, "A", 1, 2, data=b"data", gives=[("RA", 2, 1)], state="CLOSED").left(0)
    script = Script("abort", "V8").connects().does(20, ["abort"], ("RA", 1, 1), state="CLOSED")
    yield script.does(21, ["read", 1], got="ECONNABORTED").left(0)
    script = Script("reset", "V7").connects().hears(20, "A", 1, 1, data=b"bye").hears(21, "R", 4, state="CLOSED")
    yield script.does(22, ["read", 9], got=b"bye").does(23, ["read", 9], got="ECONNRESET").left(0)
    script = Script("blind-reset", "V7").connects().hears(20, "R", 2, gives=[("A", 1, 1)]).hears(21, "R", 1 + BUFFER)
    script.hears(22, "R", 0).hears(23, "R", 100).hears(219, "R", 100).hears(220, "R", 100, gives=[("A", 1, 1)])
    yield script.left(1)
    script = Script("blind-syn", "V7").connects().hears(20, "S", 1, gives=[("A", 1, 1)]).hears(21, "S", 9)
    yield script.hears(220, "S", 99999, gives=[("A", 1, 1)]).left(1)
    script = Script("blind-data", "V7").connects().hears(20, "A", 1, 2, data=b"evil", gives=[("A", 1, 1)])
    script.hears(220, "A", 1, -70000, data=b"evil", gives=[("A", 1, 1)]).hears(421, "", 1, data=b"evil")
    yield script.does(422, ["read", 9]).left(1)
    script = Script("keepalive", "V8", "V12").connects().does(20, ["keepalive", 60000]).waits(60020, ("A", 0, 1))
    yield script.hears(60030, "A", 1, 1).waits(120029).waits(120030, ("A", 0, 1)).left(1)
    script = Script("kept-over-sleep", "V14").connects()
    numbers = [(script.start + 1) % 2**32, (ISN + 1) % 2**32]
    facts = 1360, 8000, 10 << 3, 10 << 1  # MSS, window, round trip of 10 ms by 8, its variance by 4
    kept = struct.pack("!4sHHIIHHHH", bytes(map(int, THEIRS.split("."))), PORT, OWN, *numbers, *facts)
    yield script.does(20, ["keep"], got=kept).left(1)
    script = Script("waking-with-data", "V14")
    script.begin_at(0)
    script.does(0, ["restore", kept.hex()], state="ESTABLISHED").does(1, ["write", b"reading".hex()])
    script.waits(6, ("PA", 1, 1, b"reading")).hears(20, "PA", 1, 8, data=b"ack")
    yield script.does(21, ["read", 9], got=b"ack").left(1)


def files():
    """{name of a file: its cases}"""
    return {"opening": list(opening()), "data": list(data()), "ending": list(ending())}


def text(cases):
    """A file's text: a line a step."""
    lines = []
    for case in cases:
        head = json.dumps({key: value for key, value in case.items() if key != "steps"})[:-1]
        steps = ",\n  ".join(json.dumps(step) for step in case["steps"])
        lines.append(f'{head},\n "steps": [\n  {steps}]}}')
    return "[" + ",\n".join(lines) + "]\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, cases in files().items():
        (FOLDER / f"{name}.json").write_text(text(cases))
