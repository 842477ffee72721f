"""make flash: what is refused before esptool is called, and the real esptool on a port where no chip answers."""

import os
import pty

import pytest

from boards import board_files, flash
from boards.esp32_image import boot_image, stock


@pytest.fixture
def given(tmp_path):
    path = tmp_path / "stock.bin"
    path.write_bytes(stock("ESP32_GENERIC"))
    ours, theirs = pty.openpty()
    yield {"BOARD": "ESP32_GENERIC", "FIRMWARE": str(path), "PORT": os.ttyname(theirs)}
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize(
    ("board", "offset"), [("ESP32_GENERIC", "0x1000"), ("ESP32_GENERIC_C3", "0x0"), ("ESP32_GENERIC_S3", "0x0")]
)
def test_each_chip_has_its_offset(given, board, offset, tmp_path):
    path = tmp_path / "other.bin"
    path.write_bytes(stock(board))
    arguments = flash.esptool_arguments({**given, "BOARD": board, "FIRMWARE": str(path)})
    assert arguments[-3:] == ["write-flash", offset, str(path)]
    assert arguments[:2] == ["--chip", board_files.chip_of(board)[0]]
    assert not [word for word in arguments if "erase" in word]  # the files on the board stay


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"PORT": ""}, "PORT is missing"),
        ({"PORT": "/dev/null"}, "/dev/null is no serial port"),
        ({"PORT": "/dev/ttyNOTHING"}, "no port /dev/ttyNOTHING"),
        ({"BOARD": "ESP32_GENERIC_S3"}, "is for esp32, BOARD=ESP32_GENERIC_S3 has esp32s3: nothing was written"),
        ({"BOARD": "ESP32"}, "known are"),
        ({"BOARD": ""}, "BOARD is missing: ESP32_GENERIC, "),
        ({"FIRMWARE": ""}, "FIRMWARE is missing"),
        ({"FIRMWARE": "/dev/null"}, "no ESP32 image"),
    ],
)
def test_refusals(given, change, word):
    with pytest.raises(board_files.Refused, match=word):
        flash.esptool_arguments({**given, **change})


def test_no_part_of_an_image_is_written(given, tmp_path):
    """An .app-bin begins as a whole image does; so does one that did not arrive whole, or not as it was."""
    for octets in (boot_image("esp32"), stock("ESP32_GENERIC")[:0x6000]):
        path = tmp_path / "part.bin"
        path.write_bytes(octets)
        with pytest.raises(board_files.Refused, match=r"no partition table: a whole image is needed, no .app-bin"):
            flash.esptool_arguments({**given, "FIRMWARE": str(path)})
    image = bytearray(stock("ESP32_GENERIC"))
    image[40] ^= 1
    path.write_bytes(image)
    with pytest.raises(board_files.Refused, match="did not arrive whole, its check sum is wrong"):
        flash.esptool_arguments({**given, "FIRMWARE": str(path)})


def test_no_right_to_the_port(given, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(board_files.Refused, match="dialout"):
        flash.esptool_arguments(given)


def test_no_chip_answers():
    ours, theirs = pty.openpty()
    try:
        with pytest.raises(board_files.Refused) as refused:
            flash.esptool("--chip", "esp32", "--port", os.ttyname(theirs), "--connect-attempts", "1", "chip-id")
        assert str(refused.value)
    finally:
        os.close(ours)
        os.close(theirs)
