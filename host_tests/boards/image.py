"""make image: stock firmware and a file system that already holds everything, one file for `esptool write-flash 0`."""

import re
import struct
import sys
import tempfile
from pathlib import Path

from littlefs import LittleFS
from littlefs.errors import LittleFSError
from mpremote.romfs import VfsRomWriter
from tools import arguments

from boards import board_files
from boards.flash import esptool

_BLOCK = 4096


def partitions(image, offset):
    """{label: (start, size)} of a firmware image that belongs at `offset` in flash."""
    table = image[board_files.PARTITION_TABLE - offset :][:0xC00]
    found = {}
    for at in range(0, len(table) - 31, 32):
        magic, _, _, start, size, label = struct.unpack_from("<HBBII16s", table, at)
        if magic != 0x50AA:
            break
        found[label.rstrip(b"\0").decode(errors="replace")] = start, size
    return found


def file_system(table, image, flash):
    """(start, size) of the file system. From 1.26 on no partition says it: it is the rest of the flash."""
    if "vfs" in table:
        return table["vfs"]
    try:
        size = int(flash.upper().removesuffix("MB")) << 20 if flash else 1 << 20 << (image[3] >> 4)
    except ValueError:
        raise board_files.Refused(f"FLASH={flash}: 4MB, say") from None
    start = max(sum(part) for part in table.values())
    if size <= start:
        raise board_files.Refused(f"FLASH={flash}: the firmware alone needs more")
    print(f"its file system is the rest of a flash of {size >> 20} MB; FLASH=8MB, say, if the board has another")
    return start, size - start


def check_version(image, path):
    """Refuse firmware that does not run what mpy-cross makes."""
    found = re.search(rb"MicroPython v(\d+)\.(\d+)", image)
    if found is None:
        print(f"{path} does not say its version; MicroPython 1.24 or newer is needed")
    elif (int(found[1]), int(found[2])) < (1, 24):
        raise board_files.Refused(f"{path} is {found[0].decode()}; 1.24 or newer is needed")


def littlefs(files, size, block=_BLOCK):
    """A littlefs image as MicroPython's VfsLfs2 makes and mounts it."""
    system = LittleFS(block_size=block, block_count=size // block, read_size=32, prog_size=32, lookahead_size=32,
                      disk_version=0x00020000)  # fmt: skip
    for path, octets in files.items():
        try:
            system.makedirs(path.rpartition("/")[0] or "/", exist_ok=True)
            with system.open(path, "wb") as file:
                file.write(octets)
        except (OSError, LittleFSError) as error:
            raise board_files.Refused(f"the file system of {size} octets cannot hold {path}: {error}") from None
    return bytes(system.context.buffer)


def romfs(files):
    """A ROMFS image of files in /lib, whose bytecode runs in place."""
    writer = VfsRomWriter()

    def fill(tree):
        for name, value in sorted(tree.items()):
            if isinstance(value, dict):
                writer.opendir(name)
                fill(value)
                writer.closedir()
            else:
                writer.mkfile(name, value)

    tree = {}
    for path, octets in files.items():
        *folders, name = path.strip("/").split("/")
        here = tree
        for folder in folders:
            here = here.setdefault(folder, {})
        here[name] = octets
    fill(tree)
    return bytes(writer.finalise())


def pieces(board, firmware, config=None, flash="", everything=False):
    """[(offset in flash, octets)]: firmware, file system, and ROMFS if the partition table has one.

    Modules that the configuration does not ask for only with `everything`.
    """
    chip, _, offset = board_files.chip_of(board)
    image = board_files.firmware_for(board, firmware)
    check_version(image, firmware)
    table = partitions(image, offset)
    unused = () if everything else board_files.unused(config or board_files.TEMPLATE)
    files = board_files.files(chip=chip, unused=unused)
    made = [(offset, image)]
    top = {"/" + board_files.CONFIG: config or board_files.TEMPLATE}
    if "romfs" in table:
        start, size = table["romfs"]
        rom = romfs({path: octets for path, octets in files.items() if path.startswith("/lib/")})
        if len(rom) > size:
            print(
                f"the partition romfs has {size} octets, {len(rom)} are needed: the library goes into the file system"
            )
        else:
            made.append((start, rom))
            files = {"/main.py": files["/main.py"]}
    start, size = file_system(table, image, flash)
    if offset + len(image) > start:
        raise board_files.Refused(f"{firmware} holds a file system already: take the stock image")
    made.append((start, littlefs({**files, **top}, size)))
    return made


def write(board, made, target):
    """Put pieces of flash into one file, for its owner's eyes: psk and password may be in it."""
    target.parent.mkdir(exist_ok=True, parents=True)
    target.touch()
    target.chmod(0o600)
    with tempfile.TemporaryDirectory() as folder:
        parts = []
        for number, (offset, octets) in enumerate(made):
            part = Path(folder) / f"{number}.bin"
            part.write_bytes(octets)
            parts += [hex(offset), part]
        esptool("--chip", board_files.chip_of(board)[0], "merge-bin", "-o", target, *parts)
    print(f"{target.relative_to(board_files.ROOT)}: {target.stat().st_size} octets")


def main():
    given = arguments(sys.argv[1:], BOARD="", FIRMWARE="", CONFIG="", FLASH="", WEAK_PSK="")
    board, config = given["BOARD"], board_files.config_of(given["CONFIG"], given["WEAK_PSK"])
    made = pieces(board, given["FIRMWARE"], config, given["FLASH"])
    target = board_files.ROOT / f"build/{board}.bin"
    write(board, made, target)
    print(
        "it replaces everything on the board: .venv/bin/esptool --port PORT write-flash 0 "
        + str(target.relative_to(board_files.ROOT))
    )
    if config is None:
        print("no CONFIG given: its ikev2.json is empty, and the node alone is in it")


if __name__ == "__main__":
    sys.exit(board_files.command(main))
