"""make deploy: library, board files and configuration onto a board with MicroPython 1.24 or newer.

PORT, [CONFIG, EXAMPLE, WEAK_PSK=1]. All files are written beside their places and verified by hash; only then are they
renamed, by the board alone, over what is there. Cut off at any moment, by the cable or the power, the board runs the
old or the new as a whole: see exchange(). A main.py that does not start the node, or has to go for an example, is
copied to another name before; so is an old configuration, once and without its secrets. A board whose firmware holds
the library gets its configuration, and the example, only. The exit status is 0 once what is configured is up, and the
example has said so.
"""

import ast
import base64
import hashlib
import json
import re
import sys

import tools
from ikev2.config import ConfigError, parse
from mpremote.transport import TransportError, TransportExecError

from boards import board_files, watch
from boards.board_files import Refused

_KEPT_CONFIG = "/ikev2_before.json"
_MORE_KEPT = "import os\nprint([n for n in os.listdir('/') if n[:12]=='ikev2_before' and n[-5:]=='.json'])"
_SECRETS = ("password", "psk", "ppk")
_CHUNK = 1024
_FOLDERS = 10  # blocks for names, and for a list of them
_START_S = 60  # until the network and the tunnel are up, or a reason is said
# Prints where on sys.path the library is: frozen and ROMFS answer to import alone.
_SEARCH = """import sys,os
def _there(folder):
 if folder!='.frozen' and folder[:4]!='/rom':
  try:
   names=[entry[0] for entry in os.ilistdir(folder or '.')]
   if 'ikev2' not in names and 'ikev2_core.mpy' not in names:
    return False
   return True
  except OSError:
   return False
 path=sys.path[:]
 sys.path[:]=[folder]
 sys.modules.pop('ikev2',None)
 try:
  import ikev2
  return True
 except ImportError:
  return False
 finally:
  sys.path[:]=path
  sys.modules.pop('ikev2',None)
print([(folder,_there(folder)) for folder in sys.path+['/lib']])
"""
# Print what digests() and present() give.
_DIGESTS = """import hashlib
def _digest(path):
 digest=hashlib.sha256()
 try:
  with open(path,'rb') as file:
   part=file.read(512)
   while part:
    digest.update(part)
    part=file.read(512)
 except OSError:
  return None
 return digest.digest()
print('[')
for path in %r:
 print(_digest(path),',')
print(']')
"""
_PRESENT = """import os
def _there(path):
 try:
  os.stat(path)
  return True
 except OSError:
  return False
print([path for path in %r if _there(path)])
"""


# Prints how many files it removes.
_CLEAR = """import os
def _clear(folder,wanted,names):
 number=0
 for name,kind in [entry[:2] for entry in os.ilistdir(folder)]:
  path=folder+'/'+name
  stem=name.split('.')[0]
  if names and stem not in names and stem.split('_')[0] not in ('ikev2','ipsec'):
   continue
  if kind==0x4000:
   number+=_clear(path,wanted,())
   try:
    os.rmdir(path)
   except OSError:
    pass
  elif name[-4:]=='.mpy' and path not in wanted:
   os.remove(path)
   number+=1
 return number
print(_clear('/lib',%r,%r))
"""
_BESIDE, _BEGUN = "/ikev2_take", "/ikev2_main"
# The exchange, which can be begun again wherever it was cut off; the reset is the end of an import of it.
_EXCHANGE = """import os
def _there(path):
 try:
  os.stat(path)
  return True
 except OSError:
  return False
def _take(paths):
 for path in paths:
  if _there(path+'.new'):
   os.rename(path+'.new',path)
_take(%r)
for path,name in %r:
 if _there(path):
  os.rename(path,name)
if _there('/boot.py.new'):
 if _there('/main.py.new'):
  with open('/boot.py','ab') as file:
   file.write(b'\\nimport ikev2_main\\n')
 _take(['/main.py','/boot.py'])
_take(['/main.py'])
os.rename(%r,%r)
raise SystemExit
"""
_FINISH = f"""with open('{_BEGUN}/__init__.py') as file:
 code=file.read()
try:
 exec(code)
except SystemExit:
 pass
"""


def in_firmware(folder):
    """True for an entry of sys.path that is no place in the file system."""
    return folder == ".frozen" or folder.startswith("/rom")


def connect(port):
    """The board in raw REPL mode, main.py interrupted and not begun anew."""
    board = watch.opened(port)
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
    ours = board_files.mpy_cross_version()
    return tools.architecture(mpy), (mpy & 0xFF, mpy >> 8 & 3) != ours


def places(board):
    """(where the firmware itself has the library, '' if nowhere; folders with another that would be found before)."""
    path = ast.literal_eval(board.exec(_SEARCH).decode())
    held = next((folder for folder, there in path if there and in_firmware(folder)), "")
    first = [folder for folder, _ in path].index(held or "/lib")
    return held, [folder for folder, there in path[:first] if there]


def octets_free(board):
    """Of the board's file system."""
    return board.eval("(lambda s:s[0]*s[3])(__import__('os').statvfs('/'))")


def room(board, sizes):
    """Refuse a board without a sound file system, or without room in it for files of so many octets."""
    try:
        board.exec("import os\nf=open('/ikev2.try','w')\nf.write('try')\nf.close()\nos.remove('/ikev2.try')")
        block = board.eval("os.statvfs('/')[0]")
        free = octets_free(board)
    except TransportExecError as error:
        what = str(error.error_output).strip().splitlines()[-1:]
        raise Refused(
            f"the board's file system is missing, full or half-written ({' '.join(what)}): nothing was changed. Copy "
            "what can still be read (mpremote cp -r :/ .), then make it anew: mpremote exec "
            '"import vfs; from flashbdev import bdev; vfs.VfsLfs2.mkfs(bdev)", or make image'
        ) from None
    needed = sum(-(-size // block) for size in sizes) * block + _FOLDERS * block
    if free < needed:
        raise Refused(f"{needed} octets are needed and {free} are free on the board: nothing was changed")


def digest(board, path):
    """SHA-256 of a file on the board; None if there is none."""
    return board.fs_hashfile(path, "sha256") if board.fs_exists(path) else None


def digests(board, paths):
    """{path: SHA-256, or None} of files on the board, all at once."""
    return dict(zip(paths, ast.literal_eval(board.exec(_DIGESTS % list(paths)).decode()), strict=True))


def present(board, paths):
    """Those of the paths that there are on the board."""
    return ast.literal_eval(board.exec(_PRESENT % list(paths)).decode())


def put(board, path, octets, keep=None):
    """Write a file and verify it; False if it was there already. keep(board, path), before it takes its place."""
    if digest(board, path) == hashlib.sha256(octets).digest():
        return False
    stage(board, path, octets, keep)
    board.exec(f"import os\nos.rename({path + '.new'!r},{path!r})")
    return True


def stage(board, path, octets, keep=None):
    """Write a file beside its place and verify it; keep(board, path) copies what is there."""
    folder = ""
    for part in path.split("/")[1:-1]:
        folder += "/" + part
        if not board.fs_exists(folder):
            board.fs_mkdir(folder)
    write(board, path + ".new", octets)
    if keep and board.fs_exists(path):
        keep(board, path)


def exchange(board, paths, aside):
    """What is beside its place goes there, and `aside`, (path, name), out of the way: all of it, or none.

    From one rename on, what main.py imports is a package that does the rest, however often it is cut off, and resets
    the board. FAT removes a file before another is renamed to it: for main.py, the end of boot.py imports the package.
    """
    if present(board, ["/main.py"]) and present(board, ["/MAIN.PY.NEW"]):  # FAT: names have no case
        there = present(board, ["/boot.py"])
        stage(board, "/boot.py", bytes(board.fs_readfile("/boot.py")) if there else b"")
    code = _EXCHANGE % ([path for path in paths if path != "/main.py"], list(aside), _BEGUN, _BESIDE)
    put(board, f"{_BESIDE}/__init__.py", code.encode())
    board.exec(f"import os\nos.rename('{_BESIDE}','{_BEGUN}')")
    finish(board)


def finish(board):
    """What an exchange has begun is done, here or at a start of the board before."""
    if board.fs_exists(f"{_BEGUN}/__init__.py"):
        board.exec(_FINISH)
    for path in present(board, [f"{_BESIDE}/__init__.py.new", f"{_BESIDE}/__init__.py"]):
        board.fs_rmfile(path)
    if board.fs_exists(_BESIDE):
        board.fs_rmdir(_BESIDE)


def clear(board, files):
    """Bytecode of ours in /lib that is not of `files` is gone: of other versions, and what is not used any more."""
    names = [name[:-3].replace("/", "_") for name in tools.library() if name.startswith("inside/")]
    number = int(board.exec(_CLEAR % (list(files), ["inside", "inside_before", *names])))
    if number:
        print(f"{number} files of deploys before this one are gone")


def keep_program(board, path):
    """Copy it to a name that is free, unless it is under one already."""
    program = bytes(board.fs_readfile(path))
    name = free_name(board, path, hashlib.sha256(program).digest())
    if not board.fs_exists(name):
        write(board, name, program)
    print(f"{path} of the board is kept as {name}")


def keep_config(board, path):
    """Copy it in the place of the one before it, without its secrets."""
    plain = without_secrets(bytes(board.fs_readfile(path)))
    if plain is None:
        print(f"{path} of the board is no JSON: it is replaced, and not kept")
        return
    put(board, _KEPT_CONFIG, plain)
    print(f"{path} of the board is kept as {_KEPT_CONFIG}, without its secrets")


def without_secrets(octets):
    """A configuration whose secrets are empty; None if it cannot be read."""
    try:
        config = json.loads(octets)
        emptied = {name: "" for name in _SECRETS if name in config}
        if "accept" in config:
            emptied["accept"] = dict.fromkeys(config["accept"], "")
        return json.dumps({**config, **emptied}, indent=2).encode() + b"\n"
    except (ValueError, TypeError):
        return None


def empty_kept(board):
    """What deploys before this one have left of configurations: one, without secrets."""
    for name in ast.literal_eval(board.exec(_MORE_KEPT).decode()):
        plain = without_secrets(bytes(board.fs_readfile("/" + name))) if "/" + name == _KEPT_CONFIG else None
        if plain is None:
            board.fs_rmfile("/" + name)
            print(f"/{name} had secrets: it is gone")
        elif put(board, _KEPT_CONFIG, plain):
            print(f"/{name} had secrets: they are gone")


def send(board, path, octets):
    """Write a file: in base64, half of what mpremote would send for bytecode."""
    board.exec(f"from binascii import a2b_base64 as _octets\n_file=open({path!r},'wb')")
    for at in range(0, len(octets), _CHUNK):
        board.exec(f"_file.write(_octets({base64.b64encode(octets[at : at + _CHUNK])!r}))")
    board.exec("_file.close()")


def write(board, path, octets):
    """Write a file and read it back by its hash."""
    send(board, path, octets)
    if digest(board, path) != hashlib.sha256(octets).digest():
        raise Refused(
            f"{path} did not arrive whole; what was there before is untouched: try again, with a shorter cable perhaps"
        )


def free_name(board, path, copy=None):
    """A name for what is at `path` that nothing has yet, or that has the `copy` with this digest."""
    stem, dot, kind = path.rpartition(".") if "." in path.rpartition("/")[2] else (path, "", "")
    number = 0
    while True:
        name = f"{stem}_before{number or ''}{dot}{kind}"
        if digest(board, name) in (None, copy):
            return name
        number += 1


def swapped(path):
    """The path of a module's other form, which would be found first, or by mistake."""
    return path[:-3] + ".mpy" if path.endswith(".py") else path[:-4] + ".py"


def deploy(board, config=None, example=None):
    """Put everything onto a connected board; `example`: octets of its main.py."""
    architecture, source = check(board)
    finish(board)
    there = board.fs_exists("/" + board_files.CONFIG)
    if config is None and not there and board.fs_exists(_KEPT_CONFIG):
        raise Refused(
            f"the board has {_KEPT_CONFIG} and no {board_files.CONFIG} any more: fetch the old one (mpremote resume cp "
            f":{_KEPT_CONFIG} {board_files.CONFIG}) and give it as CONFIG={board_files.CONFIG}; nothing was changed"
        )
    held, before = places(board)
    if held:
        print(f"the library on this board is part of its firmware ({held}): only {board_files.CONFIG} goes onto it")
    elif source:
        print("mpy-cross makes other bytecode than this firmware runs: sources go onto the board")
    if config is not None or not there:
        unused = board_files.unused(config or board_files.TEMPLATE)
    else:
        unused = board_files.unused(bytes(board.fs_readfile("/" + board_files.CONFIG)))
    files = {} if held else board_files.files(architecture, source=source, unused=unused)
    if config is not None or not there:
        files["/" + board_files.CONFIG] = config or board_files.TEMPLATE
    if example:
        files["/main.py"] = example
    elif not held and board.fs_exists("/main.py") and b"ikev2_main" in board.fs_readfile("/main.py"):
        del files["/main.py"]
        print("/main.py starts the node already: it stays")
    found = digests(board, files)
    missing = {path: octets for path, octets in files.items() if found[path] != hashlib.sha256(octets).digest()}
    for path in present(board, [path + ".new" for path in [*files, "/boot.py"]]):
        board.fs_rmfile(path)  # of a deploy that was cut off
    room(board, map(len, missing.values()))
    for path, octets in missing.items():
        stage(board, path, octets, {"/main.py": keep_program, "/" + board_files.CONFIG: keep_config}.get(path))
        print(f"{path}: {len(octets)} octets, verified")
    modules = [path for path in files if path.startswith("/lib/") and path.endswith((".py", ".mpy"))]
    in_the_way = [swapped(path) for path in modules]
    # A folder is found before a file of its name, and a module of a folder before what is joined.
    in_the_way += [path.rpartition(".")[0] for path in modules if path.count("/") == 2]
    names = sorted({name.split("/")[0] for name in board_files.modules()})
    in_the_way += [f"{folder}/{name}{kind}" for folder in before for name in names for kind in ("", ".py", ".mpy")]
    aside = [(path, free_name(board, path)) for path in present(board, in_the_way)]
    exchange(board, missing, aside)
    if not held:
        clear(board, files)
    kept = present(board, [name for _, name in aside])
    for path, name in aside:
        if name in kept:
            print(f"{path} would be found first: it is kept as {name}")
    empty_kept(board)
    there_already = f"{len(files) - len(missing)} of {len(files)} files were there already"
    print(f"{there_already}; {octets_free(board)} octets are free")
    if config is None and not there:
        print("no CONFIG given: its ikev2.json is empty, and the node alone is on it")


def start(board, config_changed, seconds=_START_S, example=""):
    """Reset the board into main.py and show its lines until all is up, and say what is next. Refused: why not.

    Where there is a gateway an example is up once it has said something, which begins with its name.
    """
    try:
        gateway = parse(bytes(board.fs_readfile("/" + board_files.CONFIG)))["gateway"]
    except ConfigError:
        gateway = ""  # the board says what is wrong with it
    if config_changed:  # the station stays joined through a soft reset, by the old password too
        board.exec("try:\n import network\n network.WLAN(network.STA_IF).disconnect()\nexcept Exception:\n pass")
    board.exit_raw_repl()
    board.serial.write(b"\x04")
    address = tunnel = ""
    wanted = example or "tunnel"
    serving = began = wanting = False
    for line in watch.lines(board, seconds):
        if line is None:
            continue
        began |= "soft reboot" in line
        if began and line.startswith(">>> "):
            raise Refused("the program has ended; the lines above say why")
        print(line, flush=True)
        address = (re.match("network up, address (.*)", line) or ["", address])[1]
        tunnel = (re.match(f"({wanted}(?: up|:).*|no tunnel.*)", line) or ["", tunnel])[1]
        serving |= line.startswith("node on ")
        if example and line.startswith("a task failed: "):
            raise Refused(f"{example}.py has failed: the line above says why")
        wanting |= line.startswith("no network: put") or "boot.py must bring it up" in line
        if serving and wanting:
            return (
                f"next: make deploy PORT={board.device_name} CONFIG={board_files.CONFIG}, with ssid and password in it"
            )
        if serving and address and (tunnel or not gateway):
            break
    if not serving:
        raise Refused(f"no node has started within {seconds} s: is it in main.py? from ikev2_main import run; run()")
    watching = f"make watch PORT={board.device_name}"
    if not address:
        raise Refused(f"no network within {seconds} s; next: {watching}")
    if not gateway:
        return f"network: {address}; next: make probe HOST={address}, {watching}"
    said = f"network: {address}; {tunnel or f'no {wanted} yet'}; next: {watching}"
    if tunnel.startswith(wanted):
        return said
    raise Refused(said)


def main():
    given = tools.arguments(sys.argv[1:], PORT="", CONFIG="", EXAMPLE="", WEAK_PSK="")
    config = board_files.config_of(given["CONFIG"], given["WEAK_PSK"])
    example = board_files.example(given["EXAMPLE"])
    board = connect(given["PORT"])
    try:
        deploy(board, config, example)
        print(start(board, config is not None, example=given["EXAMPLE"]))
    except TransportExecError as error:
        what = str(error.error_output).strip().splitlines()[-1:]
        raise Refused(f"the board refuses ({' '.join(what)}); files already there are whole") from None
    except (TransportError, OSError) as error:
        raise Refused(
            f"the board went away or failed in between ({error}); files already there are whole: try again"
        ) from None
    finally:
        board.close()


if __name__ == "__main__":
    sys.exit(board_files.command(main))
