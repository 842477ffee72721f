"""Stock firmware to test with: an image that esptool accepts, a partition table, and nothing in it."""

import struct

from esptool import bin_image

from boards.board_files import chip_of

PARTITIONS = (("nvs", 1, 2, 0x9000, 0x6000), ("phy_init", 1, 1, 0xF000, 0x1000), ("factory", 0, 0, 0x10000, 0x1F0000),
              ("vfs", 1, 0x81, 0x200000, 0x200000))  # fmt: skip
WITH_ROMFS = (
    *PARTITIONS[:2],
    ("factory", 0, 0, 0x10000, 0x1B0000),
    ("romfs", 1, 0x8F, 0x1C0000, 0x40000),
    PARTITIONS[3],
)

SMALL_ROMFS = (*WITH_ROMFS[:3], ("romfs", 1, 0x8F, 0x1C0000, 0x10000), WITH_ROMFS[4])
WITHOUT_VFS = PARTITIONS[:3]  # as from 1.26 on
_RAM = {"esp32": 0x3FFF0000, "esp32c3": 0x3FC80000, "esp32s3": 0x3FC90000}
VERSION = b"MicroPython v1.26.1 on 2025-09-11"


def boot_image(chip):
    """An image of one segment of 16 octets, for a flash of 4 MB."""
    image = getattr(bin_image, f"{chip.upper()}FirmwareImage")()
    image.flash_size_freq = 0x20
    image.segments = [bin_image.ELFSection(b".data", _RAM[chip], bytes(range(16)), 0)]
    return image.save(None)


def stock(board, partitions=PARTITIONS):
    """A whole stock image for a board: what stands in front of the file system."""
    chip, _, offset = chip_of(board)
    image = bytearray(b"\xff" * (0x12000 - offset))
    boot = boot_image(chip)
    image[: len(boot)] = boot
    at = 0x11000 - offset
    image[at : at + len(VERSION)] = VERSION
    at = 0x8000 - offset
    for label, kind, subtype, start, size in partitions:
        image[at : at + 32] = struct.pack("<HBBII16sI", 0x50AA, kind, subtype, start, size, label.encode(), 0)
        at += 32
    return bytes(image)
