"""make deploy against the emulated board, by the real mpremote; ports where no board answers; mpremote mip."""

import hashlib
import os
import pty
import subprocess
import sys

import pytest
from tools import HERE, ROOT

from boards import board as emulated
from boards import deploy, onboard

_AS_STOCK = b"""import sys
sys.path.insert(0, "/lib")
import ikev2_main
print("runs", ikev2_main.__file__)
"""


@pytest.fixture(scope="module")
def machine():
    subprocess.run([HERE / "setup.sh", "firmware"], check=True)
    with emulated.Board() as running:
        yield running


@pytest.fixture
def board(machine):
    connected = deploy.connect(machine.repl_device)
    yield connected
    connected.close()


def test_a_board_gets_everything_and_loses_nothing(board, capsys, monkeypatch):
    monkeypatch.setattr(deploy, "holds_library", lambda board: "")  # this one's does, a stock firmware does not
    board.fs_writefile("/main.py", b"print('somebody else was here')")
    board.fs_writefile("/data.txt", b"precious")
    deploy.deploy(board)
    assert "/main.py of the board is kept as /main_before.py" in capsys.readouterr().out
    assert board.fs_readfile("/main_before.py") == b"print('somebody else was here')"
    assert board.fs_readfile("/data.txt") == b"precious"
    files = onboard.files(deploy.check(board)[0])
    for path, octets in files.items():
        assert board.fs_hashfile(path, "sha256") == hashlib.sha256(octets).digest()
    assert board.fs_readfile("/ikev2.json") == onboard.TEMPLATE
    # What was compiled runs there.
    board.exec(
        "import sys\nsys.path.insert(0, '/lib')\nfor n in list(sys.modules):\n if n[:5]=='ikev2': del sys.modules[n]"
    )
    assert b"/lib/ikev2/node.mpy" in board.exec("import ikev2.node\nprint(ikev2.node.__file__)")
    # The second time there is nothing to do; a new configuration keeps the old one.
    deploy.deploy(board)
    assert f"{len(files) - 1} of {len(files) - 1} files were there already" in capsys.readouterr().out
    # A main.py of the user's own that starts the node stays.
    own = b"import ikev2_main\nikev2_main.run()\n"
    board.fs_writefile("/main.py", own)
    deploy.deploy(board)
    assert board.fs_readfile("/main.py") == own
    deploy.deploy(board, b'{"log": true}')
    assert board.fs_readfile("/ikev2.json") == b'{"log": true}'
    assert board.fs_readfile("/ikev2_before.json") == onboard.TEMPLATE
    # From there on as if it had no library frozen.
    board.fs_writefile("/main.py", _AS_STOCK + onboard.files()["/main.py"])
    deploy.watch(board)
    said = capsys.readouterr().out
    assert "runs /lib/ikev2_main.mpy" in said and "network up" in said and "node on UDP 500, 4500" in said


def test_an_octet_lost_on_the_way_leaves_the_old_file(board, monkeypatch):
    board.fs_writefile("/old.py", b"old")
    whole = board.fs_writefile
    monkeypatch.setattr(board, "fs_writefile", lambda path, octets: whole(path, octets[:-1]))
    with pytest.raises(onboard.Refused, match="did not arrive whole"):
        deploy.put(board, "/old.py", b"the new one")
    assert board.fs_readfile("/old.py") == b"old"


def test_a_cable_pulled_out_leaves_the_old_configuration(board, monkeypatch):
    board.fs_writefile("/ikev2.json", b'{"ssid": "home"}')
    monkeypatch.setattr(board, "fs_writefile", lambda path, octets: (_ for _ in ()).throw(OSError("gone")))
    with pytest.raises(OSError, match="gone"):
        deploy.deploy(board, b'{"ssid": "other"}')
    assert board.fs_readfile("/ikev2.json") == b'{"ssid": "home"}'


def test_no_template_in_place_of_a_configuration_that_was_put_aside(board):
    board.exec("import os\nfor n in os.listdir('/'):\n if n[:5]=='ikev2' and n[-5:]=='.json': os.remove('/'+n)")
    board.fs_writefile("/ikev2_before.json", b'{"ssid": "home"}')
    with pytest.raises(onboard.Refused, match="nothing was changed"):
        deploy.deploy(board)
    assert not board.fs_exists("/ikev2.json")
    board.exec("import os\nos.remove('/ikev2_before.json')")


def test_firmware_that_holds_the_library_gets_its_configuration(board, capsys):
    board.exec("import sys\nwhile '/lib' in sys.path: sys.path.remove('/lib')")
    board.exec("for n in list(sys.modules):\n if n[:5]=='ikev2': del sys.modules[n]")
    deploy.deploy(board, b'{"log": true}')
    said = capsys.readouterr().out
    assert "the library on this board is ikev2/__init__.py, part of its firmware" in said
    assert "/ikev2.json: 13 octets" in said and "node" not in said


def test_no_room(board):
    with pytest.raises(onboard.Refused, match="are free on the board: nothing was changed"):
        deploy.room(board, 1 << 24)


def test_half_written_file_system(board):
    board.exec("import vfs\nvfs.umount('/')")
    with pytest.raises(onboard.Refused, match="file system is missing, full or half-written"):
        deploy.room(board, 1)
    board.exec("import _boot\nvfs.mount(vfs.VfsLfs2(_boot._ram), '/')")


def test_busy_port(board, machine):
    with pytest.raises(onboard.Refused, match=r"is another program .* using"):
        deploy.connect(machine.repl_device)


def test_ports_without_a_board():
    with pytest.raises(onboard.Refused, match="PORT is missing"):
        deploy.connect("")
    with pytest.raises(onboard.Refused, match="no port /dev/ttyNOTHING"):
        deploy.connect("/dev/ttyNOTHING")
    ours, theirs = pty.openpty()
    try:
        with pytest.raises(onboard.Refused, match="no MicroPython answers"):
            deploy.connect(os.ttyname(theirs))
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(
    ("package", "extra"),
    [("core.json", set()), ("udp.json", {"udp.py"}), ("package.json", {"udp.py", "sk.py", "informational.py"})],
)
def test_mip_installs_the_local_package(machine, package, extra):
    target = f"/{package[:4]}"
    command = [sys.executable, "-m", "mpremote", "connect", machine.repl_device, "resume", "mip", "install", "--no-mpy",
               "--target", target, str(ROOT / "lib" / package)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    connected = deploy.connect(machine.repl_device)
    try:
        there = {entry.name for entry in connected.fs_listdir(f"{target}/ikev2")}
        assert {"node.py", "wire.py"} <= there
        assert there & {"udp.py", "sk.py", "informational.py"} == extra
    finally:
        connected.close()
