"""make deploy onto stock unix ports on a pty, with littlefs and FAT, cut off everywhere: the old runs, or the new."""

import ast
import os
import re
import socket

import pytest
from commands.readme_blocks import README
from ipsec.tools import probe
from mpremote.transport import TransportExecError

from boards import board_files, deploy, stock

# What deploy of 0.2.0 left in /lib.
_FORMER = """ikev2_config ikev2_json ikev2_main ikev2_network ikev2_sleep ikev2_tunnel ikev2_watchdog ikev2/__init__
ikev2/addresses ikev2/authentication ikev2/budget ikev2/crypto/__init__ ikev2/crypto/aes ikev2/crypto/cbc
ikev2/crypto/gcm ikev2/crypto/hmac ikev2/crypto/known ikev2/crypto/limbs ikev2/crypto/modp2048
ikev2/crypto/octets ikev2/crypto/slices ikev2/crypto/x25519 ikev2/hints ikev2/informational ikev2/initial
ikev2/initiator ikev2/keys ikev2/lookup ikev2/node ikev2/notifier ikev2/owners ikev2/payloads
ikev2/policy ikev2/proposals ikev2/reasons ikev2/rekey ikev2/selectors ikev2/sk ikev2/slots ikev2/sockets
ikev2/spi_table ikev2/udp ikev2/window ikev2/wire ipsec/__init__ ipsec/attempts ipsec/esp ipsec/inner
ipsec/ipv4 ipsec/life ipsec/sleep ipsec/socket ipsec/spd ipsec/traffic ipsec/tunnel""".split()
_MAIN = b"import ikev2_main\nikev2_main.run\nprint('runs %s')\n"
_BOOT = b"print('boot.py runs')"
_GATEWAY = b'{"gateway": "192.0.2.1", "id": "a", "psk": "0123456789abcdef"'
# Each operation of littlefs ends with a write; between two writes of one operation FAT itself is not sound.
_MACHINES = [("unix", "lfs", "write"), ("newest", "lfs", "write"), ("newest", "fat", "operation")]
_NAMES = ("micropython", "system")
SYSTEMS = pytest.mark.parametrize(_NAMES, [given[:2] for given in _MACHINES], indirect=["micropython"])
STEPS = pytest.mark.parametrize((*_NAMES, "counted"), _MACHINES, indirect=["micropython"])
# 1.24.1 has no sockets here, and takes a second to start: it is cut off less often.
_OLDEST = ("oldest", "posix", "operation")
OLDEST_TOO = pytest.mark.parametrize((*_NAMES, "counted"), [*_MACHINES, _OLDEST], indirect=["micropython"])
# A question of RFC 7296 1.5 to the node that was deployed, without sockets.
_ASKED = """from ikev2.node import Node
from ikev2.spi_table import SpiTable
node = Node(SpiTable(1, 1), bytes)
node.receive(%d, b'peer', %r, %d, 0)
size = node.outgoing(0)
print(bytes(node.out[:size]))
"""


def former():
    """{path: octets} of modules that want each other, a configuration and a main.py."""
    wanted = [name.replace("/", ".") for name in _FORMER if "__init__" not in name and name != "ikev2_main"]
    main = "".join(f"import {name}\nassert {name}.version == '0.2.0'\n" for name in wanted) + "def run(): pass\n"
    files = {f"/lib/{name}.mpy": board_files.compiled("a.py", "version = '0.2.0'\n", None) for name in _FORMER}
    files["/lib/ikev2_main.mpy"] = board_files.compiled("a.py", main, None)
    return files | {"/main.py": _MAIN % b"0.2.0", "/boot.py": _BOOT, "/ikev2.json": b'{"log": true}'}


@pytest.fixture
def micropython(request):
    return stock.interpreter(request.param)


@pytest.fixture
def machine(system, micropython, tmp_path):
    return stock.Board(micropython, system, tmp_path / "flash")


def bring(machine, files):
    """Write them."""
    machine.run(f"""
for path, octets in {files!r}.items():
    folder = ''
    for part in path.split('/')[1:-1]:
        folder += '/' + part
        try:
            os.mkdir(folder)
        except OSError:
            pass
    with open(path, 'wb') as file:
        file.write(octets)
""")


def deployed(machine, config, main):
    """Deploy, and return all code that the board was sent."""
    sent = []
    with machine:
        board = deploy.connect(machine.repl_device)
        whole = board.exec
        board.exec = lambda code, **options: (sent.append(code), whole(code, **options))[1]
        try:
            deploy.deploy(board, config, main)
        finally:
            board.close()
    return sent


def runs(machine):
    """What main.py says at a start in which boot.py has run as well."""
    last = machine.boot().split("rst\n")[-1]
    found = re.fullmatch(r"boot.py runs\nruns (.*)\nMicroPython\n>>> ", last)
    assert found, last
    return found[1]


def named(machine, folder):
    return set(ast.literal_eval(machine.run(f"print(os.listdir({folder!r}))")))


def replayed(machine, sent, counted, steps):
    """What was sent is done once more, until the power is cut behind so many steps: True if it was."""
    code = f"for code in {sent!r}:\n try:\n  exec(code, globals())\n except Exception:\n  pass\n"
    return stock.CUT in machine.run(code, counted, steps)


def cut(machine, sent, counted, every=1):
    """[what runs] when the power was cut behind each step (of the file system, or of its flash) of what was sent."""
    begin = machine.image.read_bytes()
    found = []
    powered = False
    while not powered:
        machine.image.write_bytes(begin)
        powered = not replayed(machine, sent, counted, every * len(found))
        found.append(runs(machine))
    return found


def old_until(found, old, new):
    """True if it is the old up to some step, and the new from there on."""
    return found == [old] * found.count(old) + [new] * found.count(new) and old in found and new in found


@SYSTEMS
@pytest.mark.parametrize("source", [False, True])
def test_from_nothing_the_node_answers(machine, capsys, monkeypatch, source):
    """RFC 7296 1.5, on a board that has MicroPython only; how many octets are left is said."""
    _, _, via, question, _ = probe.QUESTIONS[0]
    if source:  # as for bytecode of another version
        monkeypatch.setattr(board_files, "mpy_cross_version", lambda: (0, 0))
    with machine:
        board = deploy.connect(machine.repl_device)
        deploy.deploy(board)
        said = capsys.readouterr().out
        assert int(re.search("; ([0-9]+) octets are free\n", said)[1]) == deploy.octets_free(board)
        assert "with ssid and password in it" in deploy.start(board, True)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.settimeout(60)
            peer.connect(("127.0.0.1", via))
            peer.send(question)
            assert peer.recv(100) == probe.right_answer(via, question)
        board.close()


@pytest.mark.parametrize(_NAMES, [("unix", "lfs")], indirect=["micropython"])
def test_a_board_has_what_its_configuration_uses(machine):
    """TCP, a tunnel, the node alone; each runs, and what is not used any more is gone."""
    bring(machine, {"/boot.py": _BOOT})
    told = re.search('([0-9]+) KB of flash for a tunnel, ([0-9]+) with `"conn.*, ([0-9]+) for the', README).groups()
    room, octets = [], []
    for config, has in (
        (_GATEWAY + b"}", ["ipsec_tcp", "ipsec"]),
        (_GATEWAY + b', "connections": 0}', ["ipsec"]),
        (b"{}", []),
    ):
        main = "\n".join(f"import {name}" for name in ["ikev2_main", *has])
        deployed(machine, config, f"{main}\nprint('runs it')\n".encode())
        assert runs(machine) == "it"
        names = {name.partition(".")[0] for name in named(machine, "/lib")}
        of_tcp = ["inside_tls", "ipsec_tcp"] if "ipsec_tcp" in has else []
        assert names & {"ipsec_tcp", "inside_tls", "ipsec", "ikev2_hub"} == {*of_tcp, *has[-1:]}
        room.append(int(machine.run("print(os.statvfs('/')[3])")))
        octets.append(sum(map(len, board_files.files("x64", unused=board_files.unused(config)).values())))
    assert room == sorted(set(room))
    assert octets == pytest.approx([int(number) * 1000 for number in told], rel=0.04)  # other machine code


@pytest.mark.parametrize(_NAMES, [_OLDEST[:2]], indirect=["micropython"])
def test_sources_answer_under_the_oldest_micropython(machine, monkeypatch):
    """1.24.1, RFC 7296 1.5; bytecode is loaded there in the next test, its names are not these."""
    monkeypatch.setattr(board_files, "mpy_cross_version", lambda: (0, 0))
    _, _, via, question, _ = probe.QUESTIONS[0]
    bring(machine, {"/boot.py": _BOOT})
    deployed(machine, b"{}", b"import ikev2_main\nimport sys\nprint('runs', sys.version.split()[2])\n")
    assert runs(machine) == "v1.24.1"
    asked = _ASKED % (via, question, len(question))
    assert ast.literal_eval(machine.run(asked)) == probe.right_answer(via, question)


@OLDEST_TOO
def test_power_cut_on_the_way_from_0_2_0(machine, counted):
    """Its files are gone afterwards. EVERY=1: at each step."""
    bring(machine, former())
    begin = machine.image.read_bytes()
    sent = deployed(machine, None, _MAIN % b"0.3.0")
    assert runs(machine) == "0.3.0"
    assert named(machine, "/") == {"lib", "boot.py", "main.py", "main_before.py", "ikev2.json"}
    unused = board_files.unused(former()["/ikev2.json"])
    files = board_files.files("x64", unused=unused)
    assert {f"/lib/{name}" for name in named(machine, "/lib")} == set(files) - {"/main.py"}
    machine.image.write_bytes(begin)
    every = 1 if os.environ.get("EVERY") else {"operation": 19, "write": 199}[counted]
    assert old_until(cut(machine, sent, counted, every), "0.2.0", "0.3.0")


def modules(version):
    """{path: octets} of a library that works with all of one version only."""
    main = f"import one,two\nassert one.version==two.version=={version}\ndef run():\n pass\n"
    return {
        "/lib/one.py": b"version=%d\n" % version,
        "/lib/two.py": b"version=%d\n" % version + b"#" * 9000,
        "/lib/ikev2_main.py": main.encode(),
        "/main.py": _MAIN % b"%d" % version,
    }


@pytest.fixture
def second(machine, monkeypatch):
    """A function that deploys the second version."""
    bring(machine, modules(1) | {"/boot.py": _BOOT, "/ikev2.json": b'{"log": false}'})
    monkeypatch.setattr(board_files, "files", lambda *_, **__: modules(2))
    return lambda: deployed(machine, b'{"log": true}', modules(2)["/main.py"])


@STEPS
@pytest.mark.parametrize("main", [_MAIN % b"1", b"print('runs 1')"])
def test_power_cut_at_each_step(machine, second, counted, main):
    """Over a main.py that starts a node, and over one that knows nothing of us."""
    bring(machine, {"/main.py": main})
    begin = machine.image.read_bytes()
    sent = second()
    machine.image.write_bytes(begin)
    assert old_until(cut(machine, sent, counted), "1", "2")


def clean(machine):
    """True if there is nothing but the second version and what is kept of the first."""
    kept = {"lib", "boot.py", "main.py", "ikev2.json", "main_before.py", "ikev2_before.json"}
    return named(machine, "/") == kept and named(machine, "/lib") == {"one.py", "two.py", "ikev2_main.py"}


@STEPS
def test_the_next_deploy_finishes_what_was_cut_off(machine, second, counted):
    """And needs no more room for what was left."""
    begin = machine.image.read_bytes()
    sent = second()
    assert clean(machine)
    steps = 0
    machine.image.write_bytes(begin)
    while replayed(machine, sent, counted, steps):
        second()
        assert runs(machine) == "2" and clean(machine)
        machine.image.write_bytes(begin)
        steps += 9


@SYSTEMS
def test_a_full_file_system_leaves_the_old(machine, system, second, monkeypatch, capsys):
    """Refused; where files take more blocks than was thought, given up on the way: nothing is begun without room."""
    most = {"lfs": 14, "fat": 28}[system]
    begin = machine.image.read_bytes()
    fill = (
        "s=os.statvfs('/')\nf=open('/full','wb')\nf.write(bytes(s[0]*(s[3]-%d)))\nf.close()\n"
        "while os.statvfs('/')[3]>%d:\n f=open('/full','ab')\n f.write(bytes(s[0]))\n f.close()"
    )
    machine.run(fill % (most + 3, most))
    with pytest.raises(board_files.Refused, match="are free on the board: nothing was changed"):
        second()
    assert runs(machine) == "1" and "verified" not in capsys.readouterr().out
    monkeypatch.setattr(deploy, "room", lambda *_: None)
    found = []
    for blocks in range(0, most + most // 4, most // 7):
        machine.image.write_bytes(begin)
        machine.run(fill % (blocks + 3, blocks))
        try:
            second()
            found.append("2")
        except (TransportExecError, OSError) as error:
            assert re.search("28|ENOSPC", str(error))
            found.append("1")
        assert runs(machine) == found[-1]
    assert old_until(found, "1", "2")
    machine.image.write_bytes(begin)
    machine.run(fill % (3, 0))
    with pytest.raises((TransportExecError, OSError)):
        second()
    machine.run("os.remove('/full')")
    second()
    assert runs(machine) == "2" and clean(machine)
