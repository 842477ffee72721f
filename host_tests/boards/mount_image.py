"""Mount a file system image under the MicroPython unix port; print path and SHA-256 of each file.

Arguments: littlefs or romfs, the image.
"""

import hashlib
import os
import sys

import vfs


class _Flash:
    def __init__(self, octets):
        self.octets = bytearray(octets)

    def readblocks(self, number, into, offset=0):
        start = number * 4096 + offset
        into[:] = self.octets[start : start + len(into)]

    def writeblocks(self, number, octets, offset=0):
        start = number * 4096 + offset
        self.octets[start : start + len(octets)] = octets

    def ioctl(self, request, argument):
        return {4: len(self.octets) // 4096, 5: 4096}.get(request, 0)


def walk(folder):
    for entry in os.ilistdir(folder):
        path = folder + "/" + entry[0]
        if entry[1] == 0x4000:
            walk(path)
        else:
            with open(path, "rb") as file:
                digest = hashlib.sha256(file.read()).digest()
            print(path[5:], "".join(["%02x" % octet for octet in digest]))


with open(sys.argv[2], "rb") as file:
    octets = file.read()
if sys.argv[1] == "romfs":
    vfs.mount(vfs.VfsRom(octets), "/disk")
else:
    vfs.mount(vfs.VfsLfs2(_Flash(octets), readsize=32, progsize=32, lookahead=32), "/disk")
walk("/disk")
if sys.argv[1] == "littlefs":
    with open("/disk/boot.py", "w") as file:  # as a board would
        file.write("pass")
    with open("/disk/boot.py") as file:
        print("written", file.read())
