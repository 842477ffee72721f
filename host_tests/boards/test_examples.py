"""firmware/examples: as README shows them, on the unix port and deployed to the emulated board, through real hubs."""

import contextlib
import http.server
import json
import subprocess
import threading
import types

import pytest
from commands.readme_blocks import blocks
from peers.callers import HubProcess
from tools import BUILD, ROOT, device_environment, micropython

from boards import board_files
from boards.emulator import Board
from boards.udp_proxy import UdpProxy
from boards.wire import Wire

EXAMPLES = {path.stem: path for path in sorted((ROOT / "firmware/examples").glob("*.py"))}
PSK = "of no value, but long enough"
HERE_ALONE = types.SimpleNamespace(prefix=())
HUB_PORT, MQTT_PORT, HTTP_PORT = 14520, 14521, 14522
CALLS = {"id": "sensor-7", "psk": PSK, "raw": [], "ssid": "attic", "watchdog_s": 0}
ACCEPTS = {"id": "board", "accept": {"sensor-7": PSK}, "raw": [], "ssid": "attic", "watchdog_s": 0}
# What an ESP32 has is made up; the ports of a tunnel need root.
UNIX = """
import sys
from boards import fake_esp32
fake_esp32.install()
fake_esp32.Station.joins_after = 1
import ikev2_main
made, first = ikev2_main.Udp, int(sys.argv[2])
ikev2_main.Udp = lambda node, **options: made(node, local={500: first, 4500: first and first + 1}, **options)
with open(sys.argv[1]) as file:
    exec(file.read(), {"__name__": "__main__"})
"""
PAIRS = {
    "coap": ("hub", "coap: acknowledged", "hub: sensor-7 b'21.5'"),
    "two_boards": ("two_boards", "two_boards: b'21.5'", "two_boards: b'how warm is it?'"),
}


def test_examples_are_what_readme_shows():
    """And short."""
    assert list(EXAMPLES) == ["coap", "http", "hub", "mqtt", "two_boards"]
    for name, path in EXAMPLES.items():
        text = path.read_text()
        assert text in blocks("python") and len(text.splitlines()) < 30, name


def test_an_example_that_is_none():
    with pytest.raises(board_files.Refused, match="EXAMPLE=mqt: known are coap, http, hub, mqtt, two_boards"):
        board_files.example("mqt")


def wait_for(text, lines):
    """Until it is in one of them."""
    said = []
    for line in lines:
        said.append(line)
        if text in line:
            return
    raise AssertionError("".join(said))


class Running:
    """An example on the unix port, as a board would run it."""

    def __init__(self, name, config, folder, port=0):
        folder.mkdir()
        (folder / "ikev2.json").write_text(json.dumps(config))
        (folder / "unix.py").write_text(UNIX)
        environment = device_environment()
        environment["MICROPYPATH"] = f"{ROOT / 'firmware'}:{BUILD / 'programs'}:{environment['MICROPYPATH']}"
        self._process = subprocess.Popen(
            [micropython(), "unix.py", EXAMPLES[name], str(port)], cwd=folder, env=environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def says(self, text):
        """Wait for that line."""
        wait_for(text, self._process.stdout)


def deployed(board, name, config, folder):
    """What `make deploy` says, which brings a configuration and an example."""
    folder.mkdir()
    (folder / "ikev2.json").write_text(json.dumps(config))
    command = ["make", "-s", "deploy", f"PORT={board.repl_device}", f"CONFIG={folder / 'ikev2.json'}"]
    ran = subprocess.run([*command, f"EXAMPLE={name}"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


class Readings(http.server.BaseHTTPRequestHandler):
    """A web server with one page."""

    def do_GET(self):
        """http.server's name for it."""
        body = b"[21.5]" if (self.path, self.headers["Host"]) == ("/readings", "10.9.0.254") else b"?"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Nothing."""


@contextlib.contextmanager
def web():
    """It, on HTTP_PORT."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", HTTP_PORT), Readings) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def broker(folder):
    """mosquitto, and a function that waits for a line of what it logs."""
    (folder / "mosquitto.conf").write_text(f"listener {MQTT_PORT} 127.0.0.1\nallow_anonymous true\n")
    command = ["/usr/sbin/mosquitto", "-v", "-c", folder / "mosquitto.conf"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            wait_for(" running", process.stdout)
            yield lambda text: wait_for(text, process.stdout)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    """A hub on this PC, and what it forwards to; what the broker says."""
    folder = tmp_path_factory.mktemp("behind")
    forward = {"1883": f"127.0.0.1:{MQTT_PORT}", "80": f"127.0.0.1:{HTTP_PORT}"}
    config = {"port": HUB_PORT, "peers": {"sensor-7": {"psk": PSK}}, "forward": forward}
    with web(), broker(folder) as says, HubProcess(HERE_ALONE, folder, **config):
        yield says


def test_on_the_unix_port_through_a_hub(behind, tmp_path):
    config = {**CALLS, "gateway": f"127.0.0.1:{HUB_PORT}"}
    with Running("http", config, tmp_path / "http") as running:
        running.says("http: b'[21.5]'")
    with Running("mqtt", config, tmp_path / "mqtt") as running:
        running.says("mqtt: published")
        behind("attic/temperature")


def test_on_a_board_through_a_hub(behind, tmp_path):
    """Deployed, each in the place of the one before."""
    config = {**CALLS, "gateway": f"127.0.0.1:{HUB_PORT}"}
    with Board() as board, UdpProxy(board):
        board.bring("/umqtt/simple.py", (BUILD / "programs/umqtt/simple.py").read_bytes())
        said = deployed(board, "http", config, tmp_path / "http")
        assert "; http: b'[21.5]'; next: make watch" in said and "/main.py of the board" not in said
        said = deployed(board, "mqtt", config, tmp_path / "mqtt")
        assert "; mqtt: published; next: make watch" in said and "/main.py of the board is kept as" in said
        behind("attic/temperature")


@pytest.mark.parametrize("name", PAIRS)
def test_on_two_unix_ports(name, tmp_path):
    other, says, heard = PAIRS[name]
    with Running(other, ACCEPTS, tmp_path / "accepts", 45620) as accepts:
        accepts.says("node on UDP")
        with Running(name, {**CALLS, "gateway": "127.0.0.1:45621"}, tmp_path / "calls") as calls:
            calls.says(says)
            accepts.says(heard)


@pytest.mark.parametrize("name", PAIRS)
def test_on_two_boards(name, tmp_path):
    other, says, heard = PAIRS[name]
    with Board() as hub, Board() as sensor, Wire(hub, sensor) as wire:
        deployed(hub, other, {**ACCEPTS, **wire.config(0)}, tmp_path / "accepts")
        calls = {**CALLS, "gateway": "10.66.0.2", **wire.config(1)}
        assert f"; {says}; next: make watch" in deployed(sensor, name, calls, tmp_path / "calls")
        hub.console(heard.encode())


def test_an_example_that_fails_says_so(tmp_path):
    """Without umqtt.simple; the exit status is deploy's."""
    with Board() as board, HubProcess(HERE_ALONE, tmp_path, port=14523, peers={"sensor-7": {"psk": PSK}}):
        with UdpProxy(board), pytest.raises(AssertionError, match=r"ImportError.*\n.*mqtt.py has failed"):
            deployed(board, "mqtt", {**CALLS, "gateway": "127.0.0.1:14523"}, tmp_path / "mqtt")
