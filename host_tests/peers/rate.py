"""Answered packets a second: our node under the unix port beside charon, whose INVALID_MAJOR_VERSION is the only
answer of this kind that it gives. Each alone in a namespace, asked over its loopback by the same client in turns; the
node has no limits, neither of them writes a log.

The client reads what there is and sends as many questions in one system call each, for it must not be what limits
the rate.
"""

import contextlib
import ctypes
import os
import shutil
import socket
import statistics
import struct
import tempfile
import time
from pathlib import Path

from golden import vector_files

from peers.namespaces import host
from peers.node_process import UNLIMITED, node_process
from peers.strongswan import CHARON, Charon, version

_LOCAL = "127.0.0.1"
_PORTS = {500: 500, 4500: 4500}
_ROUNDS = 15
_SECONDS = 0.15
_MSG_WAITFORONE = 0x10000
WINDOWS = (1, 64)
_libc = ctypes.CDLL(None, use_errno=True)


class _Part(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Message(ctypes.Structure):  # struct mmsghdr
    _fields_ = (
        ("name", ctypes.c_void_p), ("name_length", ctypes.c_uint), ("parts", ctypes.c_void_p),
        ("count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_long), ("length", ctypes.c_ulong),  # both int, with what fills them up
    )  # fmt: skip


class _Batch:
    """`count` messages in the one buffer."""

    def __init__(self, octets, count):
        self._buffer = ctypes.create_string_buffer(octets, len(octets))
        self._part = _Part(ctypes.addressof(self._buffer), len(octets))
        self.messages = (_Message * count)()
        for message in self.messages:
            message.parts, message.count = ctypes.addressof(self._part), 1


class Client:
    """Keeps `window` questions to a UDP port of loopback on their way."""

    def __init__(self, question, window, port=500):
        self._window = window
        self._port = port
        self._questions = _Batch(question, window)
        self._answers = _Batch(bytes(256), window)

    def rate(self):
        """Answers a second."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect((_LOCAL, self._port))
            self._limit(sock)
            fd = sock.fileno()
            count, answers, start = self._window, 0, time.perf_counter()
            while True:
                if _libc.sendmmsg(fd, self._questions.messages, count, 0) != count:
                    raise OSError(ctypes.get_errno(), "sendmmsg")
                count = _libc.recvmmsg(fd, self._answers.messages, self._window, _MSG_WAITFORONE, None)
                if count < 1:
                    raise OSError(ctypes.get_errno(), "recvmmsg")
                answers += count
                passed = time.perf_counter() - start
                if passed > _SECONDS:
                    return answers / passed

    @staticmethod
    def _limit(sock):
        """An answer that never comes is an error after a while."""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 5, 0))


def why_not():
    """Why this cannot be measured here; None if it can."""
    if os.geteuid():
        return "needs root"
    missing = [name for name in (CHARON, "swanctl", "unshare", "nsenter", "setpriv") if not shutil.which(name)]
    return f"needs {', '.join(missing)}: host_tests/setup.sh peers" if missing else None


def question(name):
    """Octets of a vector."""
    return next(bytes.fromhex(case["steps"][0][3]) for case in vector_files.all_cases() if case["name"] == name)


def measure(rounds=_ROUNDS, say=print):
    """{window: ratio of our rate to charon's for the same question}; `say` gets the figures, line by line."""
    newer, unknown = question("major-3-ike-sa-init-on-500"), question("informational-with-unknown-spis-on-500")
    ratios = {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        theirs, ours = stack.enter_context(host()), stack.enter_context(host())
        charon = Charon(theirs, folder / "charon", _LOCAL, _LOCAL, {}, level=-1)
        stack.callback(charon.kill)
        stack.enter_context(node_process(_PORTS, *UNLIMITED, "quiet=1", host=_LOCAL, prefix=ours.prefix))
        for window in WINDOWS:
            turns = []
            for _ in range(rounds):
                rates = []
                for where, asked in ((theirs, newer), (ours, newer), (ours, unknown)):
                    with where.inside():
                        rates.append(Client(asked, window).rate())
                turns.append(rates)
            charon_s, node_s, other_s = (statistics.median(column) for column in zip(*turns, strict=True))
            # Of each turn by itself: whatever else this machine does meanwhile slows both.
            ratios[window] = statistics.median(ours / theirs for theirs, ours, _ in turns)
            other = statistics.median(ours / theirs for theirs, _, ours in turns)
            say(f"{window} outstanding, beside charon {version()} with {charon_s:.0f} INVALID_MAJOR_VERSION/s ...")
            say(f"    the node as many: {node_s:8.0f}/s   ratio {ratios[window]:.2f}")
            say(f"    INVALID_IKE_SPI:  {other_s:8.0f}/s   ratio {other:.2f}")
    return ratios


def main():
    """Measure if that can be done here, else say why not."""
    why = why_not()
    if why:
        print(f"beside charon: not measured, {why}")
    else:
        measure()


if __name__ == "__main__":
    main()
