"""make image: the file system in it is mounted and read back under the MicroPython unix port."""

import hashlib
import json
import subprocess

import pytest
from tools import HERE, ROOT, micropython

from boards import board_files, image
from boards.esp32_image import SMALL_ROMFS, WITH_ROMFS, WITHOUT_VFS, stock
from boards.flash import esptool

CONFIG = b'{"ssid": "home", "password": "secret", "gateway": "a", "id": "a", "psk": "0123456789abcdef"}'


def mounted(kind, octets, folder):
    """{path: sha256} as MicroPython reads that image, and whether it can be written."""
    path = folder / "disk.bin"
    path.write_bytes(octets)
    done = subprocess.run(
        [micropython(), "-X", "heapsize=64m", HERE / "boards/mount_image.py", kind, path],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    if kind == "littlefs":
        assert lines.pop() == ["written", "pass"]
    return dict(lines)


def digests(files):
    return {path: hashlib.sha256(octets).hexdigest() for path, octets in files.items()}


@pytest.mark.parametrize("board", sorted(board_files.chips()))
def test_image_holds_everything(board, tmp_path, monkeypatch, capsys):
    firmware = tmp_path / "stock.bin"
    firmware.write_bytes(stock(board))
    (tmp_path / "ikev2.json").write_bytes(CONFIG)
    given = [f"BOARD={board}", f"FIRMWARE={firmware}", f"CONFIG={tmp_path / 'ikev2.json'}"]
    monkeypatch.setattr(image.sys, "argv", ["image", *given])
    (ROOT / f"build/{board}.bin").unlink(missing_ok=True)
    image.main()
    assert (ROOT / f"build/{board}.bin").stat().st_mode & 0o777 == 0o600
    whole = (ROOT / f"build/{board}.bin").read_bytes()
    chip, number, offset = board_files.chip_of(board)
    assert whole[offset + 12] == number and whole[0x8000:0x8002] == b"\xaa\x50"
    assert whole[offset : offset + 2] == b"\xe9\x01" and len(whole) == 0x400000
    found = mounted("littlefs", whole[0x200000:0x400000], tmp_path)
    assert found == digests({**board_files.files(chip=chip, unused=board_files.unused(CONFIG)), "/ikev2.json": CONFIG})
    assert "write-flash 0" in capsys.readouterr().out


def test_esptool_takes_the_stock_image(tmp_path):
    path = tmp_path / "stock.bin"
    path.write_bytes(stock("ESP32_GENERIC_C3"))
    assert "ESP32-C3" in esptool("--chip", "esp32c3", "image-info", path)


def test_library_goes_into_romfs_where_there_is_one(tmp_path):
    path = tmp_path / "stock.bin"
    path.write_bytes(stock("ESP32_GENERIC", WITH_ROMFS))
    (_, _), (start, rom), (at, disk) = image.pieces("ESP32_GENERIC", path, CONFIG)
    assert (start, at) == (0x1C0000, 0x200000) and rom[:3] == b"\xd2\xcd\x31"
    files = board_files.files(chip="esp32", unused=board_files.unused(CONFIG))
    assert mounted("romfs", rom, tmp_path) == digests(
        {path_there: octets for path_there, octets in files.items() if path_there.startswith("/lib/")}
    )
    assert set(mounted("littlefs", disk, tmp_path)) == {"/main.py", "/ikev2.json"}


def test_a_library_that_romfs_has_no_room_for_goes_into_the_file_system(tmp_path, capsys):
    path = tmp_path / "stock.bin"
    path.write_bytes(stock("ESP32_GENERIC", SMALL_ROMFS))
    (_, _), (at, disk) = image.pieces("ESP32_GENERIC", path, CONFIG)
    assert at == 0x200000 and "the library goes into the file system" in capsys.readouterr().out
    assert set(mounted("littlefs", disk, tmp_path)) == {
        *board_files.files(chip="esp32", unused=board_files.unused(CONFIG)),
        "/ikev2.json",
    }


@pytest.mark.parametrize(("flash", "size"), [("", 4), ("8mb", 8)])
def test_the_file_system_is_the_rest_of_the_flash(flash, size, tmp_path, capsys):
    path = tmp_path / "stock.bin"
    path.write_bytes(stock("ESP32_GENERIC_S3", WITHOUT_VFS))
    _, (at, disk) = image.pieces("ESP32_GENERIC_S3", path, CONFIG, flash)
    assert at == 0x200000 and len(disk) == (size << 20) - at
    assert f"a flash of {size} MB" in capsys.readouterr().out
    assert mounted("littlefs", disk, tmp_path) == digests(
        {**board_files.files(chip="esp32s3", unused=board_files.unused(CONFIG)), "/ikev2.json": CONFIG}
    )
    for wrong in ("many", "1MB"):
        with pytest.raises(board_files.Refused, match=f"FLASH={wrong}"):
            image.pieces("ESP32_GENERIC_S3", path, CONFIG, wrong)


def test_refusals(tmp_path):
    path = tmp_path / "stock.bin"
    for octets, word in (
        (stock("ESP32_GENERIC_C3"), "is for esp32c3"),
        (b"MZ" * 100, "no ESP32 image"),
        (b"", "no ESP32 image"),
        (stock("ESP32_GENERIC", ()), "no partition table"),
        (stock("ESP32_GENERIC")[:0x3000], "no partition table"),
        (stock("ESP32_GENERIC").replace(b"v1.26.1", b"v1.23.0"), r"v1.23; 1.24 or newer"),
        (stock("ESP32_GENERIC").ljust(0x210000, b"\xff"), "file system already"),
        (stock("ESP32_GENERIC", (("vfs", 1, 0x81, 0x200000, 0x8000),)), "cannot hold"),
    ):
        path.write_bytes(octets)
        with pytest.raises(board_files.Refused, match=word):
            image.pieces("ESP32_GENERIC", path, CONFIG)
    with pytest.raises(board_files.Refused, match="known are ESP32_GENERIC"):
        image.pieces("ESP8266", path)
    with pytest.raises(board_files.Refused, match="FIRMWARE is missing"):
        image.pieces("ESP32_GENERIC", "")
    with pytest.raises(board_files.Refused, match="cannot read"):
        image.pieces("ESP32_GENERIC", tmp_path / "none.bin")
    wrong = tmp_path / "ikev2.json"
    wrong.write_text(json.dumps({"ssdi": "home"}))
    with pytest.raises(board_files.Refused, match="line 1: an unknown key"):
        board_files.config_of(wrong)
