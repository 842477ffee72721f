"""The emulated board with the memory of a stock ESP32: what it runs lies as .mpy files in its file system.

A GC heap that begins with 56 KB and grows by blocks of a pool that machine code, sockets and Wi-Fi's buffers share.
"""

import ast
import tempfile

from tools import BUILD

from boards import board_files
from boards.emulator import Board
from boards.image import littlefs

FIRMWARE = BUILD / "QEMU_SMALL/firmware.elf"
ARCHITECTURE = "armv7m"
# The file system of _boot.py: a RAM of its own, which stands for flash.
_START, _BLOCK, _OCTETS = 0x21000000, 512, 2048 * 512
_MEMORY = "import esp32,gc\ngc.collect()\nprint((gc.mem_alloc(),)+esp32.idf_heap_info(esp32.HEAP_DATA)[0][1:])"


class Small(Board):
    """With what `make deploy` brings, other modules and files beside it; main.py only if it is among these."""

    def __init__(self, icount=False, files=None, modules=(), unused=()):
        found = board_files.files(ARCHITECTURE, others=modules, unused=unused)
        del found["/main.py"]
        self._flash = tempfile.NamedTemporaryFile()
        self._flash.write(littlefs({**found, **(files or {})}, _OCTETS, _BLOCK))
        self._flash.flush()
        super().__init__(
            icount, "-device", f"loader,file={self._flash.name},addr={_START:#x},force-raw=on", folder="QEMU_SMALL"
        )

    def __exit__(self, *_):
        super().__exit__()
        self._flash.close()

    def memory(self):
        """(octets of GC heap that live, octets of the pool: free, the largest block, the least that has been free)."""
        return ast.literal_eval(self.exec(_MEMORY))
