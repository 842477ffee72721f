"""The small machine is as small as it says: its pool, who takes from it, and what comes back."""

import pytest

from boards import board_files, small

FREE = 143900  # of the pool at reset
RADIO = 48400
FIRST = 57344  # octets that the GC heap begins with
VIPER = "import micropython\n\n\n@micropython.viper\ndef double(n: int) -> int:\n    return n + n\n"


@pytest.fixture
def board():
    code = board_files.compiled("machine_code.py", VIPER, small.ARCHITECTURE)
    with small.Small(files={"/lib/machine_code.mpy": code}) as running:
        yield running


def test_the_network_takes_its_buffers_once(board):
    live, free, largest, lowest = board.memory()
    assert free == lowest == FREE and largest > FREE - 32 and live < 4096
    for _ in range(2):
        board.exec("import link\nlink.up('10.66.0.2', '10.66.0.1')")
        assert 0 <= free - board.memory()[1] - RADIO < 400


def test_without_room_for_them_there_is_no_network(board):
    """ENOMEM, nothing is kept, and there is one once there is room."""
    board.exec("import link\nheld = [bytearray(7000) for _ in range(16)]")
    code = "try:\n link.up('10.66.0.2', '10.66.0.1')\nexcept OSError as error:\n print(error.errno)"
    assert board.exec(code) == "12\r\n"
    board.exec("held = None")
    assert board.memory()[1] == FREE
    assert board.exec(code) == ""


def test_the_heap_doubles_and_then_takes_the_largest_block(board):
    board.exec("held = [bytearray(1000) for _ in range(48)]")
    assert board.memory()[1] == FREE
    board.exec("held += [bytearray(1000) for _ in range(9)]")
    doubled = board.memory()[1]
    assert FIRST <= FREE - doubled < FIRST + 2048
    board.exec("held += [bytearray(1000) for _ in range(54)]")
    assert board.memory()[1] < 64
    board.exec("held = None")
    assert board.memory()[1] >= doubled  # a block without anything in it is given back


def test_machine_code_stays_until_reset(board):
    before = board.memory()[1]
    board.exec("import sys, machine_code\nassert machine_code.double(21) == 42")
    taken = before - board.memory()[1]
    assert 16 < taken < 200
    again = "del sys.modules['machine_code'], machine_code\nimport machine_code\nassert machine_code.double(21) == 42"
    board.exec(again)
    assert before - board.memory()[1] == 2 * taken
    board.repl.exit_raw_repl()
    board.repl.enter_raw_repl(soft_reset=True)
    assert board.memory()[1] == before
