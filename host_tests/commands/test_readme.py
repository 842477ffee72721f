"""What README shows: its programs run under the MicroPython unix port as they stand there, and say what it says.

Their gateway is the tests' own over loopback (readme_gateway.Loopback), at other ports than 500 and 4500; nothing else
of them is changed. Its table of reasons has them all.
"""

import asyncio
import contextlib
import io
import json
import re
import signal
import socket
import struct
import subprocess
import sys
import threading

import aiocoap
import aiocoap.resource
import ikev2.sa.reasons
import pytest
from boards.emulator import Board
from boards.udp_proxy import UdpProxy
from ikev2.config.keys import KEYS
from ipsec.tools import decode
from rich.console import Console
from tools import BUILD, README_FILES, ROOT, device_environment, library, micropython

from commands import demo
from commands.readme_blocks import README, masked, program
from commands.readme_gateway import Loopback

_AROUND = """
import asyncio
import ikev2.net.udp
_udp, _run = ikev2.net.udp.Udp, asyncio.run
ikev2.net.udp.Udp = lambda node, **options: _udp(node, local={500: 45600, 4500: 45601}, **options)
asyncio.run = lambda task: _run(asyncio.wait_for(task, 1))
try:
    exec(%r, {"__name__": "__main__"})
except asyncio.TimeoutError:
    print("served")
"""
# Elsewhere: the gateway's name is that of this PC.
_ELSEWHERE = """
import asyncio, sys
from commands.demo_device import Elsewhere
import ipsec.tunnel
async def here(host):
    return bytes((127, 0, 0, 1))
ipsec.tunnel.resolve = here
def made(node, **options):
    options.pop("local", None)
    return Elsewhere(node, PORTS, LOCAL, **options)
ipsec.tunnel.Udp = made
"""
_TRY = """
import ipsec.tools.try_tunnel
from ikev2.config import parse
ipsec.tools.try_tunnel.resolve = here
sys.exit(ipsec.tools.try_tunnel.main(parse(%r, weak_psk=False), ping="10.77.0.1", every=0.05, spare="CONTACT=0"))
"""
_CLOCK = """
exec(%r)
async def main():
    tunnel = ipsec.tunnel.Tunnel("vpn.example.org", "sensor-7", %r)
    await tunnel.up()
    print(await clock(tunnel, "10.77.0.1"))
asyncio.run(main())
"""
_FAKES = """
import sys
sys.path.append(%r)
from boards import fake_esp32
fake_esp32.install()
"""
_SLEEP = """
import ikev2_main, ikev2_sleep
udp = ikev2_main.Udp
ikev2_main.Udp = lambda node, **options: udp(node, local={500: 45600, 4500: 45601}, **options)
def deepsleep(ms):
    print("sleeps for", ms)
    raise KeyboardInterrupt
ikev2_sleep.deepsleep = deepsleep
async def measure():
    ikev2_main.sleep(600000)
ikev2_main.run(measure())
print(len(fake_esp32.Rtc.octets), "octets are kept")
"""
_BOOT = """
import machine
with open("rtc", "rb") as file:
    fake_esp32.Rtc.octets = file.read()
machine.reset_cause = lambda: machine.DEEPSLEEP_RESET
fake_esp32.Station.joins_after = 1
import ikev2_main, ikev2_sleep
ikev2_main.Udp = made
def deepsleep(ms):
    print("sleeps for", ms)
    with open("rtc", "wb") as file:
        file.write(fake_esp32.Rtc.octets)
    raise KeyboardInterrupt
ikev2_sleep.deepsleep = deepsleep
exec(%r, {"__name__": "__main__"})
"""
_HEADERS = 28  # octets of IPv4 and UDP


CONFIG = json.loads(program("vpn.example.org", "json"))
COAP = program("coap: ").replace("10.9.0.254", "10.77.0.1")


def said(text, folder, status=0):
    """What that program prints."""
    path = folder / "program.py"
    path.write_text(text)
    done = subprocess.run(
        [micropython(), path], capture_output=True, text=True, env=device_environment(), timeout=60, cwd=folder
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def elsewhere(text):
    """That program with its gateway at Loopback's ports."""
    head = _ELSEWHERE.replace("PORTS", repr(Loopback.ports)).replace("LOCAL", repr(Loopback.local))
    return head + text


@pytest.fixture
def gateway():
    made = Loopback(CONFIG["psk"])
    yield made
    made.close()


class Attic(aiocoap.resource.Resource):
    """What is POSTed is kept in `readings`."""

    def __init__(self, readings):
        super().__init__()
        self._readings = readings

    async def render_post(self, request):
        """aiocoap's name for it."""
        self._readings.append(request.payload.decode())
        return aiocoap.Message(code=aiocoap.CHANGED)


@pytest.fixture
def coap():
    """(what aiocoap's server has been told, a function for Loopback.serve)."""
    readings = []
    port = 45683
    loop = asyncio.new_event_loop()
    site = aiocoap.resource.Site()
    site.add_resource(["attic"], Attic(readings))
    server = loop.run_until_complete(aiocoap.Context.create_server_context(site, bind=("127.0.0.1", port)))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def serve(octets, to):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(5)
            sock.sendto(octets, ("127.0.0.1", port))
            return sock.recv(1500)

    yield readings, serve
    asyncio.run_coroutine_threadsafe(server.shutdown(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_the_program_by_udp(gateway, tmp_path):
    """Ten lines and their tunnel."""
    text = program("await tunnel.close()")
    assert len([line for line in text.splitlines() if line]) <= 11
    assert said(elsewhere(f"exec({text!r})"), tmp_path) == "(b'21.5', ('10.77.0.1', 7))\n"
    assert gateway.heard == [(b"21.5", ("10.77.0.2", 49152))]
    assert gateway.news()[-1] == "deleted by the peer"


def test_mqtt_is_the_first_program_and_udp_the_second():
    """And both ways to begin stand before them, and the picture of both."""
    page = (ROOT / "README.md").read_text()
    wanted = ("─▶ a hub", "─▶ a gateway", "Two ways to begin", "## Begin with a hub", "MQTTClient(",
              "## Begin with the gateway", "await sock.sendto(")  # fmt: skip
    places = [page.index(text) for text in wanted]
    assert places == sorted(places) and page[: places[3]].count("\n") < 30
    assert re.findall("^```python\n(.*)", page, re.MULTILINE) == ["import sys", "import asyncio"]


def test_a_configuration_tried(gateway, tmp_path):
    """`make try` says what README shows, the numbers apart."""
    config = program("vpn.example.org", "json").encode()
    printed = said(elsewhere(_TRY % config), tmp_path)
    assert masked(program("Ends the tunnel", "")) == masked(printed)


def test_a_hub_and_a_device_are_two_files_and_two_commands(tmp_path):
    """As they stand there, but for pip."""
    (tmp_path / "hub.json").write_text(program('{"sensor-7": {"psk": "what make psk prints"}}', "json"))
    (tmp_path / "ikev2.json").write_text(program("127.0.0.1:14500", "json"))
    _, _, *commands = program("pip install . cryptography\n", "").splitlines()
    assert [command.split()[:3] for command in commands] == [[".venv/bin/python", "-m", "ipsec"]] * 2
    serve, tries = ([sys.executable, *command.split()[1:]] for command in commands)
    where = {"cwd": tmp_path, "env": device_environment(), "text": True}
    with subprocess.Popen(serve, stdout=subprocess.PIPE, **where) as hub:
        assert hub.stdout.readline() == "hub.example, inside 10.9.0.254: waiting for 1 peers\n"
        tried = subprocess.run(tries, capture_output=True, timeout=120, **where)
        came = hub.stdout.readline()
        hub.send_signal(signal.SIGINT)
        rest = hub.stdout.read()
    shown = re.findall("`(sensor-7 up, inside .*)`, the other `([^`]*)`", README)[0]
    assert masked(came).strip() == masked(shown[0]) and shown[1] in tried.stdout, (came, tried)
    assert "deleted" in rest and hub.returncode == 0


def test_from_a_clone_to_published_in_six_commands_at_most(tmp_path):
    """README's words alone: two files, and each command as it stands there, but for pip and the port of a board."""
    begin, _, rest = README.partition("\n## Begin with a hub on a PC\n")[2].partition("\n## ")[0].partition("```\npy")
    hub, device = re.findall(r"^```json\n(.*?)^```$", begin, re.DOTALL | re.MULTILINE)
    (tmp_path / "hub.json").write_text(hub)
    config = tmp_path / "ikev2.json"
    config.write_text(json.dumps({"ssid": "attic", "password": "…", **json.loads(device)}))
    commands = [line for block in re.findall(r"^```\n(.*?)^```$", "```\npy" + rest, re.DOTALL | re.MULTILINE)
                for line in block.splitlines()]  # fmt: skip
    assert len(commands) <= 6
    venv, pip, serve, tries, broker, deploys = commands
    assert (venv, pip) == ("python3 -m venv .venv", ".venv/bin/pip install . cryptography")
    python = [sys.executable]
    with (
        Board() as board,
        UdpProxy(board),
        typed(python + serve.split()[1:], tmp_path) as hub,
        typed(broker.split(), tmp_path) as mosquitto,
    ):
        assert hub.stdout.readline().endswith("waiting for 1 peers\n")
        with typed(python + tries.split()[1:], tmp_path) as trying:
            assert trying.stdout.read().endswith("3 of 3 echoes answered\n")
        board.bring("/umqtt/simple.py", (BUILD / "programs/umqtt/simple.py").read_bytes())  # an ESP32's firmware has it
        words = deploys.replace("/dev/ttyUSB0", board.repl_device).replace("ikev2.json", str(config)).split()
        board_says, broker_says = re.search("The board says `([^`]*)`, the broker `([^`]*)`", rest).groups()
        with typed([words[0], "-s", *words[1:]], ROOT) as deploying:
            said = deploying.stdout.read()
            assert deploying.wait() == 0 and board_says in said, said
        mosquitto.kill()
        assert f"{broker_says} from sensor-7" in mosquitto.stdout.read()


@contextlib.contextmanager
def typed(command, folder):
    """A command's process, whose output is one text."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder,
                          env=device_environment()) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def test_a_clock(gateway, tmp_path):
    """An NTP server's transmit timestamp, in seconds since 1970 here."""
    now = 1700000000
    gateway.serve = lambda octets, port: (
        struct.pack(">B39sII", 0x24, b"", now + 2208988800, 0) if (port, octets[0]) == (123, 0x23) else None
    )
    text = _CLOCK % (program("NTP server behind"), CONFIG["psk"].encode())
    assert said(elsewhere(text), tmp_path) == f"{now}\n"


def octets_of(packets):
    """How many octets of IPv4 these are."""
    return sum(_HEADERS + len(packet.octets) for packet in packets)


def test_a_sensor_that_sleeps(gateway, coap, tmp_path):
    """Z3: a wake is two datagrams, and README's table says what each kind of wake costs."""
    readings, gateway.serve = coap
    config = {**CONFIG, "keep_keys": True, "watchdog_s": 0}
    (tmp_path / "ikev2.json").write_text(json.dumps(config))
    (tmp_path / "rtc").write_bytes(b"")
    text = elsewhere(_FAKES % str(ROOT / "firmware") + _BOOT % COAP)
    costs = []
    for _ in range(2):
        before = len(gateway.packets)
        printed = said(text, tmp_path)
        assert "acknowledged" in printed and "sleeps for 600000" in printed
        costs.append(gateway.packets[before:])
    assert readings == ["21.5", "21.5"]
    handshake, kept = costs
    assert [decode.name(packet.via, packet.octets)[:3] for packet in kept] == ["ESP", "ESP"]
    rows = {"with kept keys": kept, "with a handshake (X25519)": handshake}
    for name, packets in rows.items():
        assert f"| {name} | {len(packets)} | {octets_of(packets)} |" in README
    asked, answered = (len(inner) for inner in gateway.inner[-2:])
    data = sum(_HEADERS + 32 + size + -size % 16 for size in (asked, answered))
    assert f"| WireGuard, by its specification | 4 | {2 * _HEADERS + 148 + 92 + data} |" in README


def test_a_sensor_whose_gateway_forgot(gateway, coap, tmp_path):
    """The reading is not lost: a new tunnel, and it is sent again."""
    readings, gateway.serve = coap
    (tmp_path / "ikev2.json").write_text(json.dumps({**CONFIG, "keep_keys": True, "watchdog_s": 0}))
    (tmp_path / "rtc").write_bytes(b"")
    text = elsewhere(_FAKES % str(ROOT / "firmware") + _BOOT % COAP)
    said(text, tmp_path)
    gateway.kill()
    gateway.start()
    assert "acknowledged" in said(text, tmp_path)
    assert readings == ["21.5", "21.5"]


def test_program_runs_under_the_unix_port(tmp_path):
    text = program("ikev2.net.udp")
    assert len(text.splitlines()) < 25
    # Ports that need no root, and an end; nothing else is changed.
    assert "served" in said(_AROUND % text, tmp_path)


def test_the_table_through_sleep(tmp_path):
    """Without a tunnel, by ikev2_main.sleep; README says how many octets that takes."""
    printed = said(_FAKES % str(ROOT / "firmware") + _SLEEP, tmp_path)
    kept = re.search("([0-9]+) octets are kept", printed)[1]
    assert "sleeps for 600000" in printed and f"16 + 32 SAs are {kept} octets" in README


def test_decoding_needs_wire_only(tmp_path):
    assert said(program("header_fits"), tmp_path).split() == ["1111222233334444", "True", "4"]


def test_packets_without_an_sa_are_shown_as_they_are():
    console = Console(width=120, record=True, file=io.StringIO())
    assert demo.without_sa(console, False) == 0
    shown = console.export_text().splitlines()
    assert set(program("drop-unencrypted: silence", "").splitlines()) <= set(shown)


def test_every_reason_is_in_the_table():
    """By the words that it begins with."""
    for text in ikev2.sa.reasons._WORDS.values():
        assert f"`{text.partition(':')[0]}`" in README, text


def test_every_message_of_the_table_is_somebodys():
    """Each stands in a source, the names and numbers in it apart."""
    rows = re.findall(r"^\| (`[^|]*) \|[^|]*\|[^|]*\|$", README.partition("| it says |")[2].partition("\n\n")[0], re.M)
    assert len(rows) > 20
    sources = [*library().values(), *(ROOT / "firmware").glob("*.py")]
    text = "\n".join(path.read_text() for path in sources).replace("%r", "'psk'").replace("%d octets", "16 octets")
    text += "no module named 'ikev2_tunnel'"  # MicroPython's
    for message in (message for row in rows for message in re.findall("`([^`]+)`", row)):
        message = re.sub(r"[0-9]+ octets", "16 octets", message)
        assert re.sub(r" ('vpn.*|[0-9.]+)$", "", message) in text, message


def test_the_first_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_links_lead_somewhere():
    """To files, and to headings in them."""
    pages = [ROOT / "CHANGES.md", ROOT / "SECURITY.md", *ROOT.glob("*/README.md"), *README_FILES]
    links = [(page, *re.fullmatch("([^#]*)#?(.*)", link).groups())
             for page in pages for link in re.findall(r"\]\(([^):]+)\)", page.read_text())]  # fmt: skip
    assert len(links) > 20
    for page, path, heading in links:
        target = page.parent / path if path else page
        assert target.exists(), (page, path)
        lines = re.findall("^#+ (.*)", target.read_text(), re.MULTILINE) if heading else [""]
        assert heading in [re.sub("[^a-z0-9 -]", "", line.lower()).replace(" ", "-") for line in lines], (page, heading)


def test_every_key_has_its_row_and_its_default():
    rows = README.partition("| key | meaning | default |\n|---|---|---|\n")[2].partition("\n\n")[0].splitlines()
    told = dict(re.fullmatch(r"\| `(.*?)` \| .* \| `(.*)` \|", row).groups() for row in rows)
    assert told == {key: json.dumps(default) for key, default in KEYS.items()}
