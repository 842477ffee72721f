"""Other people's programs for MQTT and HTTP, unmodified, through a tunnel to charon and what is behind it: mosquitto,
web servers, a name server that the gateway gives; TLS inside with a verified name. README's programs, too.
"""

import itertools
import json
import re
import subprocess
import sys

import pytest
from commands.readme_blocks import README, program
from tools import BUILD, device_environment, micropython

from peers.real_gateways import Strongswan, config
from peers.router import INNER, routed_hosts
from peers.services import NAME, services
from peers.test_gateway_examples import MAIN

_CONFIG = config(inside="")
_BEGIN = """
import asyncio, sys
import ikev2_main
async def main():
    tunnel = await ikev2_main.up()
    print("address", tunnel.address)
%s
    await tunnel.close()
asyncio.run(main())
"""
_CONTEXT = """
    try:
        import ssl
    except ImportError:
        import tls as ssl
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_mode = ssl.CERT_REQUIRED
    with open("ca.der", "rb") as file:
        authority = file.read()
    if sys.implementation.name == "micropython":
        context.load_verify_locations(authority)
    else:
        context.load_verify_locations(cadata=authority)
"""


def in_tunnel(text, head=""):
    """A program whose lines are these, where `tunnel` is up."""
    body = head + "".join(f"    {line}\n" for line in text.strip("\n").splitlines())
    return _BEGIN % body


# Octets of the PUBLISH in README, and of a segment without data, in TCP, IPv4, ESP, UDP and IPv4.
_PUBLISH, _NO_DATA = 132, 116
# What a board does: what outlives sleep lies in a file, and the program is run again.
_BOARD = """
import asyncio, json, os
from ikev2.net.udp import Udp
from ikev2.node import Node
from ikev2.spi_table import SpiTable
from ipsec import Tunnel
tunnel = None
def _sleep(ms, octets):
    table = tunnel.node.table.snapshot()
    with open("rtc", "wb") as file:
        file.write(len(table).to_bytes(2, "big") + table + octets)
async def up():
    global tunnel
    with open("settings.json") as file:
        settings = json.load(file)
    table = SpiTable(4, 8)
    kept = b""
    try:
        with open("rtc", "rb") as file:
            kept = file.read()
        os.remove("rtc")
    except OSError:
        pass
    size = int.from_bytes(kept[:2], "big")
    assert not kept or table.restore(kept[2 : 2 + size])
    settings["psk"] = settings["psk"].encode()
    udp = Udp(Node(table, os.urandom), raw=(), local={500: 40500, 4500: 44500})
    settings["keep_keys"] = True
    tunnel = Tunnel(udp=udp, **settings)
    tunnel.sleeper = _sleep
    print("woken:", bool(kept) and tunnel.wake(kept[2 + size :], 600000))
    asyncio.create_task(udp.run())
    await tunnel.up()
    return tunnel
def run(task):
    asyncio.run(task)
"""


class Behind:
    """A gateway, the hosts, and all that is behind it."""

    def __init__(self, hosts, folder, broker, asked):
        self.hosts, self.folder, self.broker, self.asked = hosts, folder, broker, asked


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streams")
    (folder / "gateway").mkdir()
    with routed_hosts() as hosts, Strongswan(hosts.gateway, folder / "gateway" / "charon", _CONFIG, servers=[INNER]):
        with services(hosts.gateway, folder) as (broker, asked):
            yield Behind(hosts, folder, broker, asked)


class Device:
    """Runs programs in the device's host."""

    def __init__(self, interpreter, behind, folder):
        self.interpreter, self.behind, self.folder = interpreter, behind, folder
        (folder / "settings.json").write_text(json.dumps(_CONFIG))
        (folder / "ikev2_main.py").write_text(MAIN)
        (folder / "ca.der").write_bytes((behind.folder / "ca.der").read_bytes())
        # What a board has and aiomqttc asks for its log.
        (folder / "machine.py").write_text(
            "class RTC:\n    def datetime(self):\n        return (2000, 1, 1, 0, 0, 0, 0, 0)\n"
        )

    def start(self, text):
        (self.folder / "program.py").write_text(text)
        interpreter = micropython() if self.interpreter == "unix" else sys.executable
        environment = device_environment()
        for name in ("MICROPYPATH", "PYTHONPATH"):
            environment[name] = f"{self.folder}:{BUILD / 'programs'}:{environment[name]}"
        command = [*self.behind.hosts.device.prefix, interpreter, self.folder / "program.py"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.folder,
                                env=environment)  # fmt: skip

    def run(self, text):
        """Lines of what it prints, but for aiomqttc's log and the address."""
        with self.start(text) as process:
            try:
                out, error = process.communicate(timeout=60)
            finally:
                process.kill()
        assert process.returncode == 0, out + error
        return [line for line in out.splitlines() if not re.match(r"address |\d{4}-\d\d-\d\d ", line)]


@pytest.fixture(params=["unix", "cpython"])
def device(request, behind, tmp_path):
    return Device(request.param, behind, tmp_path)


@pytest.fixture
def unix(behind, tmp_path):
    """For programs that MicroPython alone runs."""
    return Device("unix", behind, tmp_path)


def test_readmes_mqtt_program(unix):
    """W4, W5."""
    lines = unix.run(program("umqtt.simple").replace("10.9.0.254", NAME))
    assert lines == ["mqtt: published"]
    assert "attic/temperature" in unix.behind.broker.log() and NAME + "." in unix.behind.asked


def test_readmes_http_program(device):
    """W1, W5."""
    text = program("GET /readings")
    assert device.run(text.replace("10.9.0.254", NAME)) == ["http: b'hello from /readings'"]


def test_umqtt_simple(unix):
    """W4: QoS 0 and 1, retained, what was subscribed, a last will."""
    lines = unix.run(in_tunnel(f"""
sys.modules["socket"] = sys.modules["usocket"] = tunnel.sockets()
from umqtt.simple import MQTTClient
one = MQTTClient("one", "{NAME}")
one.set_last_will(b"will", b"one is gone", qos=1)
one.connect()
one.publish(b"kept", b"retained", retain=True, qos=1)
two = MQTTClient("two", "{NAME}")
two.set_callback(lambda topic, message: print(topic, message))
two.connect()
two.subscribe(b"#", qos=1)
two.wait_msg()
print("nothing:", two.check_msg())
one.publish(b"attic", b"21.5")
two.wait_msg()
one.publish(b"long", b"x" * 20000, qos=1)
two.cb = lambda topic, message: print(topic, len(message))
two.wait_msg()
two.cb = lambda topic, message: print(topic, message)
one.sock.close()
two.wait_msg()
two.publish(b"kept", b"", retain=True, qos=1)
two.disconnect()
"""))  # fmt: skip
    assert lines == [
        "b'kept' b'retained'", "nothing: None", "b'attic' b'21.5'", "b'long' 20000", "b'will' b'one is gone'",
        "b'kept' b''",
    ]  # fmt: skip


def test_umqtt_robust(unix):
    """W4: it connects anew when its socket has failed."""
    lines = unix.run(in_tunnel(f"""
sys.modules["socket"] = sys.modules["usocket"] = tunnel.sockets()
from umqtt.robust import MQTTClient
client = MQTTClient("robust", "{NAME}")
client.connect()
client.sock.close()
print("published:", client.publish(b"robust", b"once more", qos=1))
client.disconnect()
"""))  # fmt: skip
    assert lines == ["published: None"]
    assert "'robust'" in unix.behind.broker.log()


def test_requests(unix):
    """W3, W4: blocking HTTP and HTTPS."""
    lines = unix.run(in_tunnel(f"""
sys.modules["socket"] = tunnel.sockets()
import requests
got = requests.get("http://{NAME}/hello", timeout=20)
print(got.status_code, got.text)
print(requests.post("http://{NAME}/", json={{"attic": 21.5}}).json())
print(requests.get("https://{NAME}/secret").text)
"""))  # fmt: skip
    assert lines == ["200 hello from /hello", "{'attic': 21.5}", "hello from /secret"]


@pytest.mark.parametrize("secured", [False, True])
def test_aiomqttc(device, secured):
    """W1, W3: asyncio's open_connection replaced by the tunnel's; the broker's name verified."""
    port, ssl = (8883, "context") if secured else (1883, "False")
    lines = device.run(in_tunnel(f"""
asyncio.open_connection = tunnel.open_connection
import aiomqttc
come = asyncio.Event()
async def on_message(client, topic, message, retain):
    print(topic, message)
    come.set()
client = aiomqttc.MQTTClient("aio", "{NAME}", {port}, ssl={ssl})
client.on_message = on_message
print("connected:", await client.connect())
await client.subscribe("aio/#", qos=1)
print("published:", await client.publish("aio/attic", "21.5", qos=1))
await asyncio.wait_for(come.wait(), 20)
await client.disconnect()
""", _CONTEXT))  # fmt: skip
    assert lines[0] == "connected: True" and "published: True" in lines and len(lines) == 3
    assert "21.5" in "".join(lines)


def test_tls_with_the_wrong_name(device):
    """W3."""
    lines = device.run(in_tunnel(f"""
try:
    reader, writer = await tunnel.open_connection("{INNER}", 443, ssl=context, server_hostname="other.lan")
    writer.write(b"GET / HTTP/1.0\\r\\n\\r\\n")
    print(await reader.read())
except OSError as error:
    print("refused")
reader, writer = await tunnel.open_connection("{NAME}", 443, ssl=context)
writer.write(b"GET /name HTTP/1.0\\r\\n\\r\\n")
print((await reader.read())[-16:])
await writer.aclose()
""", _CONTEXT))  # fmt: skip
    assert lines == ["refused", "b'hello from /name'"[:2] + "hello from /name'"]


def test_microdot(device):
    """W1: a web server on the device, asked from behind the gateway."""
    text = in_tunnel("""
asyncio.start_server = tunnel.start_server
from microdot import Microdot
app = Microdot()
@app.get("/attic")
async def attic(request):
    return {"attic": 21.5, "you": request.client_addr[0]}
@app.post("/end")
async def end(request):
    app.shutdown()
    return request.body
print("serving")
await app.start_server(port=80)
while [one for one in tunnel.stack.tcp.connections if one.state != "TIME-WAIT"]:
    await asyncio.sleep(0.05)
""")
    with device.start(text) as process:
        try:
            address = process.stdout.readline().split()[1]
            assert process.stdout.readline() == "serving\n"
            ask = ("import sys, urllib.request as r\n"
                   "print(r.urlopen(sys.argv[1] + '/attic').read().decode())\n"
                   "print(len(r.urlopen(sys.argv[1] + '/end', data=b'x' * 9000).read()))")  # fmt: skip
            said = device.behind.hosts.gateway.run(sys.executable, "-c", ask, f"http://{address}")
            assert process.wait(60) == 0, process.stderr.read()
        finally:
            process.kill()
    got, size = said.splitlines()
    assert json.loads(got) == {"attic": 21.5, "you": INNER} and size == "9000"


def cost(packets):
    """(datagrams, octets, round trips) of them."""
    said = [packet.sent for packet in packets]
    trips = sum(before and not after for before, after in itertools.pairwise(said))
    return len(packets), sum(len(packet.ip) for packet in packets), trips


def test_a_reading_after_sleep_by_a_kept_connection(device):
    """V14, Z3: the PUBLISH is the first datagram after waking, of three; README has what all three ways cost.

    Round trips are how often the device has said something and waits: what the radio is on for beside joining.
    """
    (device.folder / "ikev2_main.py").write_text(_BOARD)
    wire = device.behind.hosts.router
    text = program("measure_and_publish").replace("broker.lan", INNER)
    costs = []
    for what, changed in (
        ("all anew", text),
        ("all kept", text),
        ("tunnel kept", text.replace("tunnel.connections", "()")),
    ):
        since = len(wire.packets)
        assert device.run(changed) == [f"woken: {what != 'all anew'}", "acknowledged"]
        packets = wire.packets[since:]
        while not packets[0].sent:  # what the gateway said to who was asleep
            packets.pop(0)
        ends = {packet.source for packet in packets if packet.sent}
        packets = [packet for packet in packets if packet.source in ends or packet.to in ends]
        costs.append((what, *cost(packets), *cost([packet for packet in packets if len(packet.ip) != _NO_DATA])))
        if what == "all kept":
            assert not any(packet.octets[:4] == bytes(4) for packet in packets)
            sent = [len(packet.ip) for packet in packets if packet.sent]
            assert sent in ([_PUBLISH], [_PUBLISH, _NO_DATA])  # it may sleep before its ACK is due
            assert len(packets) <= len(sent) + 2  # and the gateway's may come before the PUBACK
    assert costs[0][2] > costs[2][2] > costs[1][2], costs
    assert f"| all kept | 3 | {_PUBLISH + 2 * _NO_DATA} | 1 |" in README
    per_trip = int(re.search(r"for (\d+) ms each at 100 mA", README)[1]) // 10  # mAs
    for what, *found in costs:  # ACKs go alone or with data, as time has it
        said = re.search(rf"\| {what} \| (\d+) \| (\d+) \| (\d+) \| (\d+) mAs \|", README)
        datagrams, octets, trips, charge = map(int, said.groups())
        assert found[3] <= datagrams <= found[0] + 2 and found[4] <= octets <= found[1] + 250, costs
        assert found[5] <= trips <= found[2] + 1 and charge == trips * per_trip, costs


def test_the_broker_has_restarted_meanwhile(device):
    """V7, V14: a kept connection ends by an RST, or the old broker's FIN, and the reading goes by a new one."""
    (device.folder / "ikev2_main.py").write_text(_BOARD)
    broker = device.behind.broker
    text = program("measure_and_publish").replace("broker.lan", INNER)
    text = text.replace(
        "TimeoutError):\n            stream",
        "TimeoutError) as error:\n            print(type(error).__name__)\n            stream",
    )
    assert device.run(text) == ["woken: False", "acknowledged"]
    broker.restart()
    since = len(broker.log())
    woken, over, acknowledged = device.run(text)
    assert (woken, acknowledged) == ("woken: True", "acknowledged") and over != "TimeoutError"
    assert broker.log()[since:].count("Received PUBLISH") == 1
    assert device.run(text) == ["woken: True", "acknowledged"]
