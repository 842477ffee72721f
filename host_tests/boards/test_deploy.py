"""make deploy against the emulated board, by the real mpremote; ports where no board answers; mpremote mip."""

import hashlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from contextlib import nullcontext

import pytest
import tools
from tools import ROOT

from boards import board_files, deploy, emulator, mip, watch

_AS_STOCK = b"""import sys
sys.path.insert(0, "/lib")
import ikev2_main
print("runs", ikev2_main.__file__)
"""


@pytest.fixture(scope="module")
def machine():
    with emulator.Board() as running:
        yield running


@pytest.fixture(autouse=True)
def few_modules(monkeypatch):
    """Without those of a tunnel it takes a third of the time."""
    wanted = mip.files(*mip.PIECES["udp"], "ikev2.config")
    modules = {name: path for name, path in board_files.modules().items() if "/" not in name or name + ".py" in wanted}
    monkeypatch.setattr(board_files, "modules", lambda: modules)


@pytest.mark.parametrize(("octets", "left_out"), [
    (b"{", set()),
    (board_files.TEMPLATE, {"/lib/ikev2_hub.py", "/lib/ikev2_tunnel.py", "/lib/ikev2/config/ppk.py"}),
    (b'{"id": "a", "accept": {"b": "0123456789abcdef"}}', {"/lib/ikev2/config/ppk.py"}),
    (b'{"id": "a", "accept": {"b": {"psk": "0123456789abcdef"}}}', {"/lib/ikev2/config/ppk.py"}),
    (b'{"id": "a", "accept": {"b": {"psk": "0123456789abcdef", "ppk_id": "c", "ppk": "%s"}}}' % (b"0" * 32), set()),
    (b'{"gateway": "a", "id": "a", "psk": "0123456789abcdef", "ppk_id": "a", "ppk": "%s"}' % (b"0" * 32),
     {"/lib/ikev2_hub.py"}),
])  # fmt: skip
def test_modules_of_a_hub_and_of_a_ppk_are_for_who_has_one(octets, left_out):
    """What is not used takes no room; a file that cannot be read leaves nothing out."""
    everything = set(board_files.files(source=True))
    assert everything - set(board_files.files(source=True, unused=board_files.unused(octets))) == left_out


@pytest.fixture
def board(machine):
    connected = deploy.connect(machine.repl_device)
    yield connected
    connected.close()


def test_a_board_gets_everything_and_loses_nothing(board, capsys, monkeypatch):
    monkeypatch.setattr(deploy, "places", lambda board: ("", []))  # this one's holds it, a stock firmware does not
    board.fs_writefile("/main.py", b"print('somebody else was here')")
    board.fs_writefile("/data.txt", b"precious")
    deploy.deploy(board)
    assert "/main.py of the board is kept as /main_before.py" in capsys.readouterr().out
    assert board.fs_readfile("/main_before.py") == b"print('somebody else was here')"
    assert board.fs_readfile("/data.txt") == b"precious"
    files = board_files.files(deploy.check(board)[0], unused=board_files.unused(board_files.TEMPLATE))
    for path, octets in files.items():
        assert board.fs_hashfile(path, "sha256") == hashlib.sha256(octets).digest()
    assert board.fs_readfile("/ikev2.json") == board_files.TEMPLATE
    # What was compiled runs there.
    board.exec(
        "import sys\nsys.path.insert(0, '/lib')\n"
        "for n in list(sys.modules):\n if n[:5] in ('ikev2', 'porta'): del sys.modules[n]"
    )
    assert b"/lib/ikev2_core.mpy" in board.exec("import ikev2_core\nprint(ikev2_core.__file__, ikev2_core.Node)")
    # The second time there is nothing to do; a new configuration keeps the old one.
    deploy.deploy(board)
    assert f"{len(files) - 1} of {len(files) - 1} files were there already" in capsys.readouterr().out
    # A main.py of the user's own that starts the node stays.
    own = b"import ikev2_main\nikev2_main.run()\n"
    board.fs_writefile("/main.py", own)
    deploy.deploy(board)
    assert board.fs_readfile("/main.py") == own
    # An old configuration is kept once, and without secrets; those of earlier deploys have none any more.
    old = (
        b'{"ssid": "home", "password": "door", "psk": "p1", "ppk": "p2", "id": "a",'
        b' "accept": {"b": "p3", "c": {"ppk": "p4"}}}'
    )
    board.fs_writefile("/ikev2.json", old)
    for name in ("", "1", "12"):
        board.fs_writefile(f"/ikev2_before{name}.json", old)
    plain = json.dumps(
        {**json.loads(old), "password": "", "psk": "", "ppk": "", "accept": {"b": "", "c": ""}}, indent=2
    )
    for config in (None, b'{"log": true}'):
        deploy.deploy(board, config)
        assert board.fs_readfile("/ikev2.json") == (config or old)
        kept = [entry.name for entry in board.fs_listdir("/") if entry.name.startswith("ikev2_before")]
        assert kept == ["ikev2_before.json"] and board.fs_readfile("/ikev2_before.json").decode() == plain + "\n"
    said = capsys.readouterr().out
    assert re.search("files were there already; [0-9]+ octets are free\n", said) and "door" not in said
    assert "/ikev2.json of the board is kept as /ikev2_before.json, without its secrets" in said
    # From there on as if it had no library frozen.
    board.fs_writefile("/main.py", _AS_STOCK + board_files.files()["/main.py"])
    said = deploy.start(board, True)
    assert said == f"network: 10.66.0.2; next: make probe HOST=10.66.0.2, make watch PORT={board.device_name}"
    said = capsys.readouterr().out
    assert "runs /lib/ikev2_main.mpy" in said and "network up" in said and "node on UDP 500, 4500" in said


def test_an_octet_lost_on_the_way_leaves_the_old_file(board, monkeypatch):
    board.fs_writefile("/old.py", b"old")
    whole = deploy.send
    monkeypatch.setattr(deploy, "send", lambda board, path, octets: whole(board, path, octets[:-1]))
    with pytest.raises(board_files.Refused, match="did not arrive whole"):
        deploy.put(board, "/old.py", b"the new one")
    assert board.fs_readfile("/old.py") == b"old"


def test_a_cable_pulled_out_leaves_the_old_configuration(board, monkeypatch):
    board.fs_writefile("/ikev2.json", b'{"ssid": "home"}')
    monkeypatch.setattr(deploy, "send", lambda *_: (_ for _ in ()).throw(OSError("gone")))
    with pytest.raises(OSError, match="gone"):
        deploy.deploy(board, b'{"ssid": "other"}')
    assert board.fs_readfile("/ikev2.json") == b'{"ssid": "home"}'


def test_library_in_the_root_is_not_taken_for_frozen(board, monkeypatch, capsys):
    """Nor is one left there, where it would be found first; the ikev2.json beside it stays."""
    board.exec("import os,sys\nos.mkdir('/ikev2')\nsys.path[:] = ['', '.frozen']")
    board.fs_writefile("/ikev2/__init__.py", b"raise ImportError")
    board.fs_writefile("/ikev2_main.py", b"old")
    board.fs_writefile("/ikev2.json", b"{}")
    assert deploy.places(board) == (".frozen", [""])
    deploy.deploy(board)
    said = capsys.readouterr().out
    assert "/ikev2 would be found first: it is kept as /ikev2_before" in said and "/ikev2_main_before.py" in said
    assert deploy.places(board) == (".frozen", [])
    assert board.fs_readfile("/ikev2_before/__init__.py") == b"raise ImportError"
    board.exec("os.remove('/ikev2_before/__init__.py');os.rmdir('/ikev2_before')")
    assert board.fs_readfile("/ikev2.json") == b"{}"


def test_bytecode_of_another_version_is_replaced(board, monkeypatch):
    """A library that cannot be imported after a firmware upgrade is no board that went away."""
    path = "/lib/ikev2_core.mpy"
    search = deploy._SEARCH.replace("folder!='.frozen'", "folder").replace("in sys.path+", "in ")
    monkeypatch.setattr(deploy, "_SEARCH", search)  # as if nothing were frozen
    deploy.put(board, path, b"M\5\0\x1fold")
    assert deploy.places(board) == ("", [])
    deploy.deploy(board)
    unused = board_files.unused(bytes(board.fs_readfile("/ikev2.json")))
    assert board.fs_readfile(path) == board_files.files(deploy.check(board)[0], unused=unused)[path]


def test_what_the_board_refuses_is_said(machine, monkeypatch, capsys):
    def refused(board, config, example):
        board.exec("raise ValueError('incompatible .mpy file')")

    monkeypatch.setattr(deploy, "deploy", refused)
    monkeypatch.setattr(sys, "argv", ["deploy", f"PORT={machine.repl_device}"])
    assert board_files.command(deploy.main) == 1
    assert "the board refuses (ValueError: incompatible .mpy file)" in capsys.readouterr().err


UP = "print('network up, address 192.0.2.7')\nprint('node on UDP 500')\n"
GATEWAY = '{"gateway": "gw", "id": "me", "psk": "0123456789abcdef"}'
FOR_EVER = "import time\nwhile True: time.sleep(1)\n"


@pytest.mark.parametrize(
    ("config", "main", "up", "says"),
    [
        ('{"ssdi": ""}', "import ikev2_main\nikev2_main.run()\n", False, "the program has ended"),
        ("{}", "print('somebody else')\n", False, "the program has ended"),
        ("{}", FOR_EVER, False, "no node has started within 1 s: is it in main.py?"),
        ("{}", UP + FOR_EVER, True, "network: 192.0.2.7; next: make probe HOST=192.0.2.7, make watch PORT=/dev/pts/"),
        ("{}", UP[UP.index("\n") :] + FOR_EVER, False, "no network within 1 s; next: make watch PORT=/dev/pts/"),
        (
            "{}",
            "print('node on UDP')\nprint('no network: put ssid')\n" + FOR_EVER,
            True,
            r"next: make deploy PORT=/dev/pts/\d+ CONFIG=ikev2.json, with ssid and password in it",
        ),
        (
            GATEWAY,
            UP + "print('tunnel up, 10.9.0.7 inside')\n" + FOR_EVER,
            True,
            "network: 192.0.2.7; tunnel up, 10.9.0.7 inside; next: make watch PORT=/dev/pts/",
        ),
        (
            GATEWAY,
            UP + "print('no tunnel: TS_UNACCEPTABLE: x')\n" + FOR_EVER,
            False,
            "network: 192.0.2.7; no tunnel: TS_UNACCEPTABLE: x; next: make watch PORT=/dev/pts/",
        ),
        (
            GATEWAY,
            UP + "print('no tunnel: no room, 548 octets free; tried again when there is more')\n" + FOR_EVER,
            False,
            "network: 192.0.2.7; no tunnel: no room, 548 octets free; tried again when there is more; next: make w",
        ),
        (GATEWAY, UP + FOR_EVER, False, "network: 192.0.2.7; no tunnel yet; next: make watch PORT=/dev/pts/"),
    ],
)
def test_deploy_ends_with_what_is_and_what_is_next(board, config, main, up, says):
    """It watches until network and tunnel are up, or says why they are not, with exit status 1."""
    board.fs_writefile("/main.py", main.encode())
    board.fs_writefile("/ikev2.json", config.encode())
    with nullcontext() if up else pytest.raises(board_files.Refused, match=f"^{says}"):
        said = deploy.start(board, True, 1 if "within" in says or "yet" in says else 20)
        assert re.match(says, said), said


def test_watch_shows_what_changes(machine):
    """The log and the counters, while the node goes on."""
    machine.repl.fs_writefile("/ikev2.json", b"{}")
    machine.repl.fs_writefile("/main.py", b"from ikev2_main import run\nrun()\n")
    machine.start()
    machine.console(b"node on UDP 500, 4500")
    command = [sys.executable, "-m", "boards.watch", f"PORT={machine.repl_device}"]
    machine._transport.close()
    machine._transport = None
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=tools.device_environment()) as process:
        try:
            for count in ("drop-empty 1\n", "drop-empty 2 (+1)\n"):
                machine.send_udp(500, b"")
                assert next(line for line in process.stdout if "drop-empty" in line).endswith(count)
        finally:
            process.send_signal(signal.SIGINT)
    assert process.returncode == 0


def test_watch_knows_the_repl(board):
    board.exit_raw_repl()
    board.serial.write(b"\r")
    with pytest.raises(board_files.Refused, match="at its REPL"):
        watch.watch(board, 10)


def test_no_template_in_place_of_a_configuration_that_was_put_aside(board):
    board.exec("import os\nfor n in os.listdir('/'):\n if n[:5]=='ikev2' and n[-5:]=='.json': os.remove('/'+n)")
    board.fs_writefile("/ikev2_before.json", b'{"ssid": "home"}')
    with pytest.raises(board_files.Refused, match="nothing was changed"):
        deploy.deploy(board)
    assert not board.fs_exists("/ikev2.json")
    board.exec("import os\nos.remove('/ikev2_before.json')")


def test_firmware_that_holds_the_library_gets_its_configuration(board, capsys):
    board.exec("import sys\nwhile '/lib' in sys.path: sys.path.remove('/lib')")
    deploy.deploy(board, b'{"log": true}')
    said = capsys.readouterr().out
    assert "the library on this board is part of its firmware (.frozen)" in said
    assert "/ikev2.json: 13 octets" in said and "node" not in said


def test_no_room(board):
    with pytest.raises(board_files.Refused, match="are free on the board: nothing was changed"):
        deploy.room(board, [1 << 24])


def test_half_written_file_system(board):
    board.exec("import vfs\nvfs.umount('/')")
    with pytest.raises(board_files.Refused, match="file system is missing, full or half-written"):
        deploy.room(board, [1])
    board.exec("import _boot\nvfs.mount(vfs.VfsLfs2(_boot._ram), '/')")


def test_busy_port(board, machine):
    with pytest.raises(board_files.Refused, match=r"is another program .* using"):
        deploy.connect(machine.repl_device)


def test_ports_without_a_board():
    with pytest.raises(board_files.Refused, match="PORT is missing"):
        deploy.connect("")
    with pytest.raises(board_files.Refused, match="no port /dev/ttyNOTHING"):
        deploy.connect("/dev/ttyNOTHING")
    with pytest.raises(board_files.Refused, match="/dev/null is no serial port"):
        deploy.connect("/dev/null")
    ours, theirs = pty.openpty()
    try:
        with pytest.raises(board_files.Refused, match="no MicroPython answers"):
            deploy.connect(os.ttyname(theirs))
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(
    ("package", "extra"),
    [("core.json", set()), ("udp.json", {"net"})],
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
        assert there & {"net", "sa", "crypto"} == extra
    finally:
        connected.close()


def test_a_weak_psk_goes_onto_a_board_by_name_only(tmp_path):
    """N21, and whose line it is; the file's own name, and not the psk, is said."""
    path = tmp_path / "mine.json"
    path.write_text('{"gateway": "vpn.example.org",\n"id": "me",\n"psk": "0123456789abcde"}')
    says = rf"{path}, line 3: 'psk' has under 16 octets.*make psk prints a good one, WEAK_PSK=1"
    with pytest.raises(board_files.Refused, match=says) as refused:
        board_files.config_of(path, "")
    assert "0123456789abcde" not in str(refused.value)
    assert board_files.config_of(path, "1") == path.read_bytes()
    said = subprocess.run(["make", "-s", "psk"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    psk = json.loads("{%s}" % said.strip().rstrip(","))["psk"]
    path.write_text(path.read_text().replace("0123456789abcde", psk))
    assert len(psk) == 32 and board_files.config_of(path, "") == path.read_bytes()


def test_watch_shows_each_change_of_a_tunnel():
    """Up, down, up: the value is all behind the name. So are ESP packets by their reasons; what is gone is said."""
    status = watch.Status()

    def told(*shown):
        lines = ["counters:", *(f"{name:<27}  {value}" for name, value in shown), "last: drop-empty, invalid-spi"]
        known, news = zip(*map(status.feed, lines), strict=True)
        assert all(known)
        return [new for new in news if new]

    up = ("tunnel", "up, 10.9.0.7 inside, aes-cbc-256")
    down = ("tunnel", "down: no response: the peer is dead")
    stream = ("stream 10.9.0.1:1883", "ESTABLISHED")
    dropped = ("ESP dropped: integrity", "1"), ("ESP dropped: replayed, or much too old", "3")
    assert told(up, *dropped, stream) == [" ".join(one) for one in (up, *dropped, stream)]
    assert told(up, *dropped, stream) == []
    assert told(down, *dropped) == [" ".join(down), "stream 10.9.0.1:1883: gone"]
    assert told(up, dropped[0], (dropped[1][0], "5")) == [" ".join(up), " ".join(dropped[1])[:-1] + "5 (+2)"]
    assert status.feed("network lost") == (False, None)
