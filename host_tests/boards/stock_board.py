"""What makes a board of a stock unix port: flash in a file, boot.py and main.py, the raw REPL that this port has not.

Runs under that MicroPython: IMAGE, fat, lfs or posix (a folder of oldest.mjs, whose port has neither), what a step is
(write: to the flash; operation: of the file system, FAT's rename over a file is two), steps until the power is cut (-1:
never), [file with code in place of boot.py].
"""

import os
import sys
from errno import EEXIST, EISDIR, ENOENT

import vfs

_AGAIN = 3  # exit status: a soft reset
_WINDOW = 0x4000
_image, _kind, _counted, _left, *_code = sys.argv[1:]
_left = int(_left)
_powered = True
_BLOCK = 512 if _kind == "fat" else 4096
_ERRORS = {20: EEXIST, 31: EISDIR, 44: ENOENT, 54: 20, 55: 39}


class PowerCut(BaseException):
    """Nothing reaches the flash from here on."""


def _step(what):
    global _left, _powered
    if what == _counted and _left >= 0:
        _powered = _left > 0
        _left -= 1
    if not _powered:
        raise PowerCut


class _Flash:
    def __init__(self):
        self._file = open(_image, "r+b")
        self._blocks = os.stat(_image)[6] // _BLOCK

    def readblocks(self, number, into, offset=0):
        self._file.seek(number * _BLOCK + offset)
        self._file.readinto(into)

    def writeblocks(self, number, octets, offset=0):
        _step("write")
        self._file.seek(number * _BLOCK + offset)
        self._file.write(octets)

    def ioctl(self, request, number):
        if request == 6:
            self.writeblocks(number, b"\xff" * _BLOCK)
        return {4: self._blocks, 5: _BLOCK}.get(request, 0)


class _Errors:
    """A file system of WebAssembly's, with the numbers of errors that boards have."""

    def __init__(self, system):
        self._system = system

    def __getattr__(self, name):
        function = getattr(self._system, name)

        def call(*given):
            try:
                return function(*given)
            except OSError as error:
                raise OSError(_ERRORS.get(error.errno, error.errno)) from None

        return call

    def rename(self, old, new):
        """1.24 makes both paths in one buffer, unless they are relative."""
        self.__getattr__("rename")(old[1:], new[1:])


class _Operations:
    """A file system whose operations are steps."""

    def __init__(self, system):
        self._system = system

    def __getattr__(self, name):
        return getattr(self._system, name)

    def open(self, path, mode):
        if mode[0] != "r":
            _step("operation")
            self._system.open(path, mode).close()
            _step("operation")
        return self._system.open(path, mode)

    def rename(self, old, new):
        folder, _, name = new.rpartition("/")
        if _kind == "fat" and name in [entry[0] for entry in self._system.ilistdir(folder)]:
            self.remove(new)
        _step("operation")
        self._system.rename(old, new)

    def remove(self, path):
        _step("operation")
        self._system.remove(path)

    def mkdir(self, path):
        _step("operation")
        self._system.mkdir(path)

    def rmdir(self, path):
        _step("operation")
        self._system.rmdir(path)


def _mount():
    flash = None if _kind == "posix" else _Flash()
    vfs.umount("/")
    if not flash:
        vfs.mount(_Operations(_Errors(vfs.VfsPosix("/disk"))), "/")
    else:
        system = vfs.VfsFat if _kind == "fat" else vfs.VfsLfs2
        try:
            vfs.mount(_Operations(system(flash)), "/")
        except OSError:
            system.mkfs(flash)
            vfs.mount(_Operations(system(flash)), "/")
    os.chdir("/")
    sys.path[:] = ["", ".frozen", "/lib"]


def _say(octets):
    sys.stdout.buffer.write(octets)


_typed = bytearray(1)


def _read():
    if not sys.stdin.buffer.readinto(_typed):
        raise SystemExit
    return _typed[0]


def _pasted():
    """Code that comes with flow control."""
    _say(b"R\x01" + _WINDOW.to_bytes(2, "little") + b"\x01")
    code = bytearray()
    while True:
        octet = _read()
        if octet == 4:
            _say(b"\x04")
            return code
        if octet == 3:
            return b""
        code.append(octet)
        if not len(code) % _WINDOW:
            _say(b"\x01")


def _run(code, names):
    """The exception that ends it, or None."""
    try:
        exec(code, names)
        return None
    except (Exception, SystemExit) as error:
        return error


def _raw_repl(names):
    _say(b"raw REPL; CTRL-B to exit\r\n>")
    code = bytearray()
    while True:
        octet = _read()
        if octet == 2:
            return
        if octet == 1:
            _say(b"raw REPL; CTRL-B to exit\r\n>")
        elif octet == 3:
            code = bytearray()
        elif octet == 5 and not code:
            if _read() + _read() != ord("A") + 1:
                raise ValueError("raw paste")
            _answer(_pasted(), names)
        elif octet == 4:
            if not code:
                _soft_reset()
            _say(b"OK")
            _answer(code, names)
            code = bytearray()
        else:
            code.append(octet)


def _answer(code, names):
    error = _run(bytes(code).decode(), names)
    _say(b"\x04")
    if error:
        sys.print_exception(error)
    _say(b"\x04>")


def _soft_reset():
    _say(b"\r\nMPY: soft reboot\r\n")
    raise SystemExit(_AGAIN)


def _file(path):
    """Run a file as a board does: what ends it is printed; SystemExit is a soft reset."""
    try:
        with open(path) as file:
            code = file.read()
    except OSError:
        return True
    try:
        exec(code, {"__name__": "__main__"})
        return True
    except SystemExit:
        _soft_reset()
    except Exception as error:
        sys.print_exception(error)
        return False


def _friendly_repl(names):
    _say(b"MicroPython\r\n>>> ")
    while True:
        octet = _read()
        if octet == 1:
            _raw_repl(names)
            _say(b"MicroPython\r\n>>> ")
        elif octet == 4:
            _soft_reset()
        elif octet == 13:
            _say(b"\r\n>>> ")


def _board():
    _say(b"rst\r\n")
    _file("/boot.py") and _file("/main.py")
    _friendly_repl({"__name__": "__main__"})


try:
    _code = [open(path).read() for path in _code]
    _mount()
    if _code:
        exec(_code[0])
    else:
        _board()
except PowerCut:
    print("the power is cut")
