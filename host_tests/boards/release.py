"""make release: what a version is published as, in build/release: the wheel, the tree for mip, an image of a board."""

import hashlib
import shutil
import subprocess
import sys

from ipsec.tools import Refused
from tools import BUILD, ROOT, arguments, library

from boards import board_files, image, mip

_TARGET = BUILD / "release"


def wheel():
    """The wheel, built with what .venv has."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", _TARGET, ROOT], check=True)


def for_mip():
    """The library as it lies below the address that is given to `mip install`."""
    for path in [*library(), *(f"{name}.json" for name in mip.PIECES)]:
        target = _TARGET / "mip" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / "lib" / path, target)


def hashes():
    """{path below the target: SHA-256} of everything there."""
    files = [path for path in _TARGET.rglob("*") if path.is_file()]
    return {str(path.relative_to(_TARGET)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)}


def main():
    given = arguments(sys.argv[1:], BOARD="", FIRMWARE="")
    version = mip.version()
    if f"\n## {version}\n" not in (ROOT / "CHANGES.md").read_text():
        raise Refused(f"CHANGES.md says nothing of {version}, the version of lib/ikev2/__init__.py")
    for name in mip.PIECES:
        if (ROOT / f"lib/{name}.json").read_text() != mip.piece(name):
            raise Refused(f"lib/{name}.json is out of date: make mip")
    shutil.rmtree(_TARGET, ignore_errors=True)
    wheel()
    for_mip()
    if given["BOARD"]:
        pieces = image.pieces(given["BOARD"], given["FIRMWARE"], everything=True)
        image.write(given["BOARD"], pieces, _TARGET / f"{given['BOARD']}-{version}.bin")
    found = hashes()
    (_TARGET / "SHA256SUMS").write_text("".join(f"{hash}  {path}\n" for path, hash in found.items()))
    print(f"build/release: {len(found)} files of {version}, their hashes in SHA256SUMS")


if __name__ == "__main__":
    sys.exit(board_files.command(main))
