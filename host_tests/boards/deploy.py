"""make deploy: library, board files and configuration onto a board with MicroPython 1.24 or newer. PORT, [CONFIG].

Each file is written beside its place, verified by hash and only then renamed, so that a cable pulled out in
between leaves the old one. An old configuration, and a main.py that does not start the node, are kept under other
names. A board whose firmware holds the library gets its configuration only.
"""

import hashlib
import sys
import time

import tools
from mpremote.transport import TransportError, TransportExecError
from mpremote.transport_serial import SerialTransport

from boards import onboard
from boards.onboard import Refused

_WATCH_S = 4
_KEPT_CONFIG = "/ikev2_before.json"


def connect(port):
    """The board in raw REPL mode, main.py interrupted and not begun anew."""
    onboard.port_there(port)
    try:
        board = SerialTransport(port, baudrate=115200, timeout=5)
    except TransportError as error:
        raise Refused(
            f"{error}: is another program (a serial monitor, another mpremote) using {port}? close it"
        ) from None
    except OSError as error:
        raise Refused(f"cannot open {port}: {error.strerror}; has this user the right (group dialout)?") from None
    try:
        board.enter_raw_repl(soft_reset=False, timeout_overall=5)
    except (TransportError, OSError):
        board.close()
        raise Refused(
            f"no MicroPython answers on {port}: flash it first (make flash), press its reset button, or give the port "
            "of another device; a program that catches Ctrl-C keeps a board busy too"
        ) from None
    return board


def check(board):
    """(architecture, whether sources are needed) of a board that is fit for it."""
    board.exec("import sys")
    name, version, mpy = board.eval("(sys.implementation[0],sys.implementation[1][:3],sys.implementation._mpy)")
    if name != "micropython" or version < (1, 24, 0):
        raise Refused(
            f"the board runs {name} {'.'.join(map(str, version))}; MicroPython 1.24 or newer is needed: make flash"
        )
    ours = onboard.mpy_cross_version()
    return tools.architecture(mpy), (mpy & 0xFF, mpy >> 8 & 3) != ours


def holds_library(board):
    """Where the firmware itself has the library, frozen or in ROMFS, and would not look for another; else ''."""
    code = "try:\n import ikev2\n print(ikev2.__file__)\nexcept ImportError:\n print('/lib/')"
    path = board.exec(code).decode().strip()
    return "" if path.startswith("/lib/") else path


def room(board, needed):
    """Refuse a board without a sound file system, or without room in it."""
    try:
        board.exec("import os\nf=open('/ikev2.try','w')\nf.write('try')\nf.close()\nos.remove('/ikev2.try')")
        free = board.eval("(lambda s:s[0]*s[3])(__import__('os').statvfs('/'))")
    except TransportExecError as error:
        what = str(error.error_output).strip().splitlines()[-1:]
        raise Refused(
            f"the board's file system is missing, full or half-written ({' '.join(what)}): nothing was changed. Copy "
            "what can still be read (mpremote cp -r :/ .), then make it anew: mpremote exec "
            '"import vfs; from flashbdev import bdev; vfs.VfsLfs2.mkfs(bdev)", or make image'
        ) from None
    if free < needed:
        raise Refused(f"{needed} octets are needed and {free} are free on the board: nothing was changed")


def digest(board, path):
    """SHA-256 of a file on the board; None if there is none."""
    return board.fs_hashfile(path, "sha256") if board.fs_exists(path) else None


def rename(board, old, new):
    """Rename on the board, over a file that is in the place of `new`; FAT wants that removed first."""
    move = f"os.rename({old!r},{new!r})"
    board.exec(f"import os\ntry:\n {move}\nexcept OSError:\n os.remove({new!r})\n {move}")


def put(board, path, octets, keeping=False):
    """Write a file and verify it; False if it was there already. What it replaces stays under another name, or not."""
    wanted = hashlib.sha256(octets).digest()
    if digest(board, path) == wanted:
        return False
    folder = ""
    for part in path.split("/")[1:-1]:
        folder += "/" + part
        if not board.fs_exists(folder):
            board.fs_mkdir(folder)
    board.fs_writefile(path + ".new", octets)
    if digest(board, path + ".new") != wanted:
        raise Refused(
            f"{path} did not arrive whole; what was there before is untouched: try again, with a shorter cable perhaps"
        )
    if keeping and board.fs_exists(path):
        keep(board, path)
    rename(board, path + ".new", path)
    return True


def keep(board, path):
    """Put a file on the board aside under a name that is free."""
    stem, dot, kind = path.rpartition(".")
    number = 0
    while True:
        name = f"{stem}_before{number or ''}{dot}{kind}"
        if not board.fs_exists(name):
            board.exec(f"import os\nos.rename({path!r},{name!r})")
            print(f"{path} of the board is kept as {name}")
            return
        number += 1


def deploy(board, config=None):
    """Put everything onto a connected board."""
    architecture, source = check(board)
    there = board.fs_exists("/" + onboard.CONFIG)
    if config is None and not there and board.fs_exists(_KEPT_CONFIG):
        raise Refused(
            f"the board has {_KEPT_CONFIG} and no {onboard.CONFIG} any more: fetch the old one (mpremote resume cp "
            f":{_KEPT_CONFIG} {onboard.CONFIG}) and give it as CONFIG={onboard.CONFIG}; nothing was changed"
        )
    held = holds_library(board)
    if held:
        print(f"the library on this board is {held}, part of its firmware: only {onboard.CONFIG} goes onto it")
    elif source:
        print("mpy-cross makes other bytecode than this firmware runs: sources go onto the board")
    files = {} if held else onboard.files(architecture, source=source)
    if config is not None or not there:
        files["/" + onboard.CONFIG] = config or onboard.TEMPLATE
    if not held and board.fs_exists("/main.py") and b"ikev2_main" in board.fs_readfile("/main.py"):
        del files["/main.py"]
        print("/main.py starts the node already: it stays")
    missing = {path: octets for path, octets in files.items() if digest(board, path) != hashlib.sha256(octets).digest()}
    room(board, sum(map(len, missing.values())) + 4096)
    for path, octets in missing.items():
        put(board, path, octets, path in ("/main.py", "/" + onboard.CONFIG))
        print(f"{path}: {len(octets)} octets, verified")
    for path in files:
        # What an earlier deploy left in the other form would be found first, or by mistake.
        other = path[:-3] + "mpy" if path.endswith(".py") else path[:-4] + ".py"
        if path.startswith("/lib/ikev2") and board.fs_exists(other):
            keep(board, other)
    print(f"{len(files) - len(missing)} of {len(files)} files were there already")
    if config is None and not there:
        print("no CONFIG given: ssid and password are empty in the board's ikev2.json")


def watch(board, seconds=_WATCH_S):
    """Reset the board into main.py and show its first lines."""
    board.exit_raw_repl()
    board.serial.write(b"\x04")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        waiting = board.serial.in_waiting
        if waiting:
            print(board.serial.read(waiting).decode(errors="replace"), end="", flush=True)
        else:
            time.sleep(0.05)
    print()


def main():
    given = tools.arguments(sys.argv[1:], PORT="", CONFIG="")
    config = onboard.config_of(given["CONFIG"])
    board = connect(given["PORT"])
    try:
        deploy(board, config)
        watch(board)
    except (TransportError, OSError) as error:
        raise Refused(
            f"the board went away or failed in between ({error}); files already there are whole: try again"
        ) from None
    finally:
        board.close()


if __name__ == "__main__":
    sys.exit(onboard.command(main))
