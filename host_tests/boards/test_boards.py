"""The board folders: MicroPython's manifest tool evaluates each manifest; the pieces that mip installs are whole."""

import ast
import importlib.util
import re
import subprocess

import ikev2
import pytest
from tools import BUILD, ROOT, library

from boards.board_files import chip_of, chips

BOARDS = [*chips(), "QEMU_MPS2", "QEMU_VIRT_RV32"]
SOURCE = BUILD / "micropython"


def manifest_of(board):
    """A board's manifest, executed."""
    assert SOURCE.exists(), "no source of MicroPython: host_tests/setup.sh firmware"
    spec = importlib.util.spec_from_file_location("manifestfile", SOURCE / "tools/manifestfile.py")
    manifestfile = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(manifestfile)
    folder = ROOT / "boards" / board
    port = SOURCE / "ports" / ("esp32" if board in chips() else "qemu")
    variables = {
        "MPY_DIR": str(SOURCE),
        "PORT_DIR": str(port),
        "BOARD_DIR": str(folder),
        "MPY_LIB_DIR": str(SOURCE / "lib/micropython-lib"),
    }
    manifest = manifestfile.ManifestFile(manifestfile.MODE_FREEZE, variables)
    manifest.execute(str((ROOT / "boards/esp32_common" if board in chips() else folder) / "manifest.py"))
    return manifest


def frozen(board):
    """{path as frozen: source} of a board's manifest."""
    return {file.target_path: file.full_path for file in manifest_of(board).files()}


def imported(path):
    """Names of the modules at the top level that a file imports outside of any `try` and function."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = path.resolve().relative_to(ROOT / "lib").parts[: -node.level] if node.level else ()
            base = ".".join(package)
            inside = ".".join(filter(None, (base, node.module)))
            yield inside
            if inside == "ikev2":
                yield from (f"ikev2.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("board", BOARDS)
def test_manifest_freezes_everything(board):
    files = frozen(board)
    wanted = set(library())
    wanted |= {"main.py", "ikev2_main.py", "ikev2_network.py", "ikev2_tunnel.py", "asyncio/core.py"}
    if board in chips():
        wanted |= {path.name for path in (ROOT / "firmware").glob("ikev2_*.py")} | {"_boot.py", "flashbdev.py"}
    there = set(files) | {path.replace("/__init__.py", ".py") for path in files}
    assert wanted <= there, wanted - there
    for target, source in files.items():
        if target.startswith(("ikev2", "inside", "ipsec")) or target == "main.py":
            for name in imported(ROOT / source):
                if name.startswith(("ikev2", "inside", "ipsec", "portable")):
                    path = name.replace(".", "/")
                    assert {f"{path}.py", f"{path}/__init__.py"} & set(files), f"{target} imports {name}"


@pytest.mark.parametrize("board", chips())
def test_board_folder_is_what_differs(board):
    chip, _, _ = chip_of(board)
    folder = ROOT / "boards" / board
    common = ROOT / "boards/esp32_common"
    cmake = (folder / "mpconfigboard.cmake").read_text()
    assert f"set(IDF_TARGET {chip})" in cmake and "/../esp32_common/common.cmake)" in cmake
    header = (folder / "mpconfigboard.h").read_text()
    for name in re.findall(r'#include "(.*)"', header):
        assert (folder / name).exists(), name
    for where, text in ((folder, cmake), (common, (common / "common.cmake").read_text())):
        for name in re.findall(r"\$\{CMAKE_CURRENT_LIST_DIR\}(/[\w./]+)", text):
            assert (where / name[1:]).exists(), name
        for name in re.findall(r"(?<!/)boards/[\w./]+", text):
            assert (SOURCE / "ports/esp32" / name).exists(), name
    for other in chips():
        for path in folder.iterdir():
            twin = ROOT / "boards" / other / path.name
            assert other == board or not twin.exists() or twin.read_text() != path.read_text(), path


@pytest.mark.parametrize(
    ("board", "says"),
    [("ESP32_GENERIC", "idf.py is not on PATH: install ESP-IDF 5.2 or newer"), ("ESP32_NONE", "no board ESP32_NONE")],
)
def test_firmware_of_an_esp32_says_what_is_missing(board, says):
    made = subprocess.run(["make", "firmware", f"BOARD={board}"], cwd=ROOT, capture_output=True, text=True)
    assert made.returncode == 2 and says in made.stderr


def test_the_library_has_metadata_for_the_manifest_tool():
    manifestfile = type(manifest_of("QEMU_MPS2")).__init__.__globals__
    manifest = manifestfile["ManifestFile"](manifestfile["MODE_COMPILE"], {"MPY_LIB_DIR": None})
    manifest.execute(str(ROOT / "lib/manifest.py"))
    assert manifest.metadata().version == ikev2.__version__ and manifest.metadata().description
    assert {file.target_path for file in manifest.files()} == set(library())
