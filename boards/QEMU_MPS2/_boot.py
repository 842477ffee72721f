"""A file system in the board's second RAM, which stays as it is over a soft reset, as flash would."""

import uctypes
import vfs

_START = 0x21000000
_BLOCK = 512
_BLOCKS = 2048


class _Ram:
    def __init__(self):
        self.octets = memoryview(uctypes.bytearray_at(_START, _BLOCK * _BLOCKS))

    def readblocks(self, number, into, offset=0):
        start = number * _BLOCK + offset
        into[:] = self.octets[start : start + len(into)]

    def writeblocks(self, number, octets, offset=0):
        start = number * _BLOCK + offset
        self.octets[start : start + len(octets)] = octets

    def ioctl(self, request, argument):
        if request == 4:
            return _BLOCKS
        if request == 5:
            return _BLOCK
        return 0


_ram = _Ram()
try:
    vfs.mount(vfs.VfsLfs2(_ram), "/")
except OSError:
    vfs.VfsLfs2.mkfs(_ram)
    vfs.mount(vfs.VfsLfs2(_ram), "/")
