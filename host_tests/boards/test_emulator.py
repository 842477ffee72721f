"""The firmware's life on the emulated board: network, REPL, bad input, and `make board` as a process.

That all vectors pass there, under the heap lock, is in test_vectors.py.
"""

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from golden.live import canary
from peers.namespaces import host
from tools import HERE

from boards.emulator import ADDRESS, TUN, Board, ipv4

UP = b"node on UDP 500, 4500\r\n"
PROMPT = b"\r\n>>> "
# Whoever was answered is not answered again; a source that is new is, at once.
CONFIG = {"answers_per_s": 1000, "burst": 1000, "per_source_ms": 3600000}
CLOCK = b"import machine; print('clock', machine.mem32[0x40028014])\r"  # counts hundredths of a second from reset on
numbers = itertools.count(1)


def new_source():
    number = next(numbers)
    return f"10.77.{number >> 8}.{number & 0xFF}", 40000


def question_and_answer(via):
    """An encrypted request with unknown IKE SPIs, and the answer to it: 36 octets."""
    marker = bytes(4) if via == 4500 else b""
    question = canary(next(numbers))
    answer = question[:16] + bytes.fromhex("29202520") + question[20:24] + bytes.fromhex("000000240000000800000004")
    return marker + question, marker + answer


def check_answers(board, via=500):
    """The board answers the next question, and has said nothing before that.

    A socket of this port has room for one datagram: the question goes once more if there was none.
    """
    source = new_source()
    question, answer = question_and_answer(via)
    for _ in range(60):
        board.send_udp(via, question, source)
        got = board.receive_udp(1)
        if got:
            break
    assert got == (via, source, answer)


def counters(board):
    """{verdict: count} as status() prints them at the REPL."""
    board.type(b"\x03")
    board.console(PROMPT)
    board.type(b"status()\r")
    lines = [line.split() for line in board.console(PROMPT).splitlines()]
    return {line[0]: int(line[1]) for line in lines if len(line) == 2 and line[1].isdigit()}


@pytest.fixture(scope="module")
def machine():
    with Board() as running:
        yield running


@pytest.fixture
def board(machine):
    """The board, serving anew with CONFIG."""
    machine.repl.fs_writefile("ikev2.json", json.dumps(CONFIG).encode())
    machine.start()
    machine.console(UP)
    return machine


def test_from_reset_to_the_first_answer():
    """Powered on and left alone, the board runs main.py and answers within 2 s of its time, a ns an instruction."""
    source = new_source()
    question, answer = question_and_answer(500)
    packet = None
    with Board(icount=True) as board:
        while not packet or packet[9] == 1:  # ICMP: port unreachable, until its sockets are open
            board.send_udp(500, question, source)
            packet = board.receive(0.05)
        board.type(b"\x03" + CLOCK)
        board.console(b"\r\nclock ")
        hundredths = int(board.console(PROMPT).split()[0])
    assert packet[9] == 17 and packet[28:] == answer
    assert (socket.inet_ntoa(packet[16:20]), packet[20:22]) == (source[0], b"\x01\xf4")
    assert hundredths < 200


def test_both_ports_answer(board):
    """F1, F2, S2.4: without a marker on 500, behind one on 4500, to any source port."""
    check_answers(board, 500)
    check_answers(board, 4500)


@pytest.mark.parametrize(("protocol", "spi_at"), [(50, 0), (51, 4)])
def test_raw_esp_and_ah_are_answered_to_port_500(board, protocol, spi_at):
    """S1.2, S1.4, S1.5, S1.7: one INVALID_SPI for an unknown SPI; S1.9: silence for a reserved one."""
    reserved = bytes(spi_at) + b"\0\0\0\xff" + bytes(60)
    unknown = bytes(spi_at) + b"\xc0\xff\xee\1" + bytes(60)
    source, _ = new_source()
    board.send(ipv4(source, ADDRESS, protocol, reserved))
    for _ in range(600):  # a raw socket of this port has room for one packet
        board.send(ipv4(source, ADDRESS, protocol, unknown))
        got = board.receive_udp(0.1)
        if got:
            break
    via, to, message = got
    assert (via, to) == (500, (source, 500))
    assert message[16:] == bytes.fromhex("29202508 00000000 00000028 0000000c 0000000b c0ffee01")
    check_answers(board)


def test_interrupted_and_gone_on(board):
    """L6: Ctrl-C gives the REPL, status() the counters, run() goes on with them, a soft reset starts over."""
    check_answers(board)
    assert counters(board) == {"invalid-ike-spi": 1}
    board.type(b"run()\r")
    board.console(UP)
    check_answers(board, 4500)
    assert counters(board) == {"invalid-ike-spi": 2}
    board.type(b"import machine; machine.soft_reset()\r")
    assert "network up, address 10.66.0.2" in board.console(UP)
    check_answers(board, 4500)
    assert counters(board) == {"invalid-ike-spi": 1}


def test_deep_sleep_ends_in_a_reset_with_what_was_kept(board):
    """Z1, Z2: the table is back for one waking, RTC memory is empty, the clock has gone on; a reset keeps nothing."""

    def typed(code):
        board.type(b"\x03")
        board.console(PROMPT)
        board.type(b"import os, time, machine, ikev2_main; " + code + b"\r")

    def state():
        typed(b"print('state', machine.reset_cause(), len(machine.RTC().memory()), time.time())")
        board.console(b"\r\nstate ")
        return [int(number) for number in board.console(b"\r\n").split()]

    typed(b"ikev2_main.node.table.add_ike(os.urandom, True, bytes((192, 0, 2, 9, 1, 244)), bytes(8), True); run()")
    board.console(UP)
    before = state()[2]
    typed(b"sleep(600000)")
    assert "1 IKE SAs are back after deep sleep" in board.console(UP)
    cause, kept, clock = state()
    assert (cause, kept) == (4, 0) and 600 <= clock - before < 660
    typed(b"machine.reset()")
    assert "are back" not in board.console(UP)
    assert state()[0] == 2
    typed(b"run()")
    board.console(UP)
    check_answers(board)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{\n "log": true,\n "colour": "red"\n}', "not started: ikev2.json, line 3: an unknown key"),
        ('{\n "burst": "many"\n}', "not started: ikev2.json, line 2: 'burst' must be a whole number"),
        ('{\n "log": true,\n "burst"\n}', "not started: ikev2.json, line 4: no valid JSON"),
    ],
)
def test_broken_configuration_is_named_and_the_repl_stays(board, text, said):
    board.repl.fs_writefile("ikev2.json", text.encode())
    board.start()
    board.console(b"soft reboot")
    assert said in board.console(PROMPT)
    board.type(b"print(6 * 7)\r")
    assert "\r\n42\r\n" in board.console(PROMPT)
    board.type(b"import os; os.remove('ikev2.json'); run()\r")
    board.console(UP)
    check_answers(board)


def test_empty_datagrams_do_not_wedge_a_port(board):
    """F5"""
    for via in (500, 4500):
        for _ in range(20):
            board.send_udp(via, b"", new_source())
            check_answers(board, via)
    assert counters(board)["drop-empty"] == 40


def test_flood(board):
    """L1, L5: hundreds of questions in one burst are worth one answer to their source, and others are answered."""
    source = new_source()
    for i in range(500):
        question, answer = question_and_answer(500)
        board.send_udp(500, question if i % 2 else question[:27], source)
    via, to, message = board.receive_udp()
    assert (via, to) == (500, source) and message[16:20] == answer[16:20]
    check_answers(board, 500)
    check_answers(board, 4500)
    counted = counters(board)
    assert counted["invalid-ike-spi"] == 3 and counted["drop-limited"] > 0 and counted["drop-malformed"] > 0


ROOT = os.geteuid() == 0


@pytest.fixture
def inside():
    """Command prefix for, and context manager of, a network namespace; without root our own."""
    if not ROOT:
        yield [], contextlib.nullcontext
        return
    with host() as own:
        yield own.prefix, own.inside


@contextlib.contextmanager
def make_board(prefix):
    """`make board` without make: (its process, what it said up to the end of its instructions, QEMU's process id)."""
    command = [*prefix, sys.executable, str(HERE / "boards/emulator.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            said = list(itertools.takewhile(lambda line: "Ctrl-C" not in line, process.stdout))
            with open(f"/proc/{process.pid}/task/{process.pid}/children") as children:
                (qemu,) = map(int, children.read().split())
            yield process, "".join(said), qemu
        finally:
            process.kill()


def runs(process):
    """True if a process is there and no zombie."""
    with contextlib.suppress(FileNotFoundError), open(f"/proc/{process}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_make_board_leaves_nothing_behind(inside, number):
    prefix, enter = inside
    with make_board(prefix) as (process, said, qemu):
        assert "mpremote connect /dev/pts/" in said and runs(qemu)
        with enter():
            assert (TUN in dict(map(reversed, socket.if_nameindex()))) == ROOT
        process.send_signal(number)
        rest = process.stdout.read()
        process.wait()
        assert rest == ("" if number == signal.SIGKILL else "the board has ended\n")
        assert process.returncode == (-number if number == signal.SIGKILL else 0)
        while runs(qemu):  # the kernel may take a moment
            time.sleep(0.01)
        with enter():
            assert TUN not in dict(map(reversed, socket.if_nameindex()))


def test_through_the_tun_device(inside):
    """F3, S1.5, L1: plain sockets in a namespace of their own; default limits. Without root make board says so."""
    prefix, enter = inside
    with make_board(prefix) as (_, said, _):
        if not ROOT:
            assert "network: none without the TUN device" in said
            return
        assert f"network: {ADDRESS}, through the TUN device" in said
        with enter(), contextlib.ExitStack() as stack:

            def opened(address, port=0):
                subprocess.run(f"ip addr replace {address} dev {TUN}".split(), check=True)
                sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                sock.bind((address, port))
                sock.settimeout(60)
                return sock

            for via, address in ((500, "10.77.255.1"), (4500, "10.77.255.2")):
                sock = opened(address)
                question, answer = question_and_answer(via)
                for _ in range(3):
                    sock.sendto(question, (ADDRESS, via))
                assert sock.recvfrom(2048) == (answer, (ADDRESS, via))
            for protocol, address in ((socket.IPPROTO_ESP, "10.77.255.3"), (socket.IPPROTO_AH, "10.77.255.4")):
                sock = opened(address, 500)
                with socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol) as raw:
                    raw.bind((address, 0))
                    raw.sendto(b"\xc0\xff\xee\1" * 2 + bytes(60), (ADDRESS, 0))
                message, source = sock.recvfrom(2048)
                assert source == (ADDRESS, 500) and message[-5:] == b"\x0b\xc0\xff\xee\1"
