"""What mip, pip and MicroPython's manifest tool make of lib: whole, of one version, nothing left behind."""

import importlib.metadata
import json
import re
import subprocess
import sys

import ikev2
import pytest
from ipsec.tools import Refused
from tools import BUILD, ROOT, library

from boards import mip, release
from boards.esp32_image import stock


@pytest.mark.parametrize("name", mip.PIECES)
def test_piece_is_up_to_date(name):
    assert (ROOT / f"lib/{name}.json").read_text() == mip.piece(name), "make mip"
    listed = json.loads(mip.piece(name))
    assert listed["version"] == ikev2.__version__
    assert all(target == source and (ROOT / "lib" / source).exists() for target, source in listed["urls"])


def test_pieces_grow_from_the_core_to_everything():
    core, udp, sa, tunnel, everything = (set(mip.files(*roots)) for roots in mip.PIECES.values())
    assert core < udp < sa < tunnel < everything == set(library())
    assert not any("udp" in path or "crypto" in path or "ipsec" in path for path in core)
    assert not any("crypto" in path or "ipsec" in path for path in udp)
    assert not any("initiator" in path or "ipsec" in path for path in sa)
    assert everything - tunnel == set(mip.files("ipsec.hub", "ipsec.crossing")) - tunnel
    assert not any("accept" in path or "hub" in path or "responder" in path for path in tunnel)


@pytest.mark.parametrize("name", mip.PIECES)
def test_piece_runs_alone(name, tmp_path):
    for path in mip.files(*mip.PIECES[name]):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes((ROOT / "lib" / path).read_bytes())
    code = "import " + ", ".join(mip.PIECES[name])
    subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"], check=True
    )


def tree():
    """Everything in the repository's folder and in lib, but caches."""
    found = [*ROOT.iterdir(), *(ROOT / "lib").rglob("*")]
    return {path for path in found if not re.search("cache|hypothesis", str(path))}


def test_pip_installs_everything_and_leaves_nothing_behind(tmp_path):
    before = tree()
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*command, "--no-compile", "--target", tmp_path, "."], cwd=ROOT, check=True)
    assert tree() == before
    found = [*tmp_path.glob("i*/**/*"), *tmp_path.glob("portable.py")]
    installed = {str(path.relative_to(tmp_path)) for path in found if path.is_file()}
    lib = ROOT / "lib"
    typing = {str(path.relative_to(lib)) for kind in ("*.pyi", "py.typed") for path in lib.rglob(kind)}
    assert len(typing) > 8 and installed == {*library(desk=True), *typing}
    (distribution,) = importlib.metadata.distributions(path=[str(tmp_path)])
    assert [(script.name, script.value) for script in distribution.entry_points] == [
        ("micropython-ikev2", "ipsec.tools.cli:main")
    ]
    alone = subprocess.run([tmp_path / "bin/micropython-ikev2", "psk"], env={"PYTHONPATH": str(tmp_path)},
                           capture_output=True, text=True)  # fmt: skip
    assert re.match('"psk": "[0-9a-f]{32}",\n', alone.stdout), alone.stderr
    about = distribution.metadata
    assert (about["Name"], about["Version"]) == ("micropython-ikev2", ikev2.__version__)
    assert about["Summary"] and about["License-Expression"] == "MIT" and about.get_all("Project-URL")
    assert "Programming Language :: Python :: Implementation :: MicroPython" in about.get_all("Classifier")
    assert about.get_payload().startswith("# micropython-ikev2")


def test_the_version_stands_once():
    """Beside the pieces, which a command makes."""
    for path in ("pyproject.toml", "lib/manifest.py", "firmware/manifest.py"):
        assert ikev2.__version__ not in (ROOT / path).read_text()


def test_a_release_is_made_by_one_command(monkeypatch, tmp_path):
    """The wheel, what mip takes, an image, and a hash of each file; not of a version that CHANGES.md does not have."""
    firmware = tmp_path / "stock.bin"
    firmware.write_bytes(stock("ESP32_GENERIC"))
    monkeypatch.setattr(sys, "argv", ["release", "BOARD=ESP32_GENERIC", f"FIRMWARE={firmware}"])
    release.main()
    folder = BUILD / "release"
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
    sums = {line.split("  ")[1] for line in (folder / "SHA256SUMS").read_text().splitlines()}
    assert sums == {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {"SHA256SUMS"}
    wheel = f"micropython_ikev2-{ikev2.__version__}-py3-none-any.whl"
    pieces = {f"mip/{name}.json" for name in mip.PIECES}
    image = f"ESP32_GENERIC-{ikev2.__version__}.bin"
    assert sums == {wheel, image, *pieces, *(f"mip/{path}" for path in library())}
    monkeypatch.setattr(mip, "version", lambda: "9.9.9")
    with pytest.raises(Refused, match="says nothing of 9"):
        release.main()
