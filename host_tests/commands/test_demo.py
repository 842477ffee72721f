"""The demo's tunnel with each of its gateways, and its capture, which tshark opens with the keys beside it."""

import pytest
from ipsec.tools import decode
from packets import tshark

from commands import capture, demo_broker, demo_tunnel
from commands.readme_blocks import masked, program

READINGS = ["21.5", "21.6", "21.7"]
GATEWAYS = {"charon": "", "loopback": "the test says so"}


@pytest.fixture(scope="module", params=GATEWAYS)
def played(request):
    """(the story, what was shown)."""
    shown = []
    return demo_tunnel.play(GATEWAYS[request.param], octets=True, keys=True, say=shown.append), "\n".join(shown)


def test_the_story_is_told(played):
    """Z3: after sleep there is ESP before any message of IKE, and each reading is answered."""
    story, shown = played
    assert story.wrong == []
    steps = shown.split("\n\n")
    assert len(steps) == 7
    woken = [line for line in steps[5].splitlines() if " > " in line]
    assert "device > gateway  ESP, number 2" in woken[0] and "gateway > device  ESP" in woken[1]
    assert not any("IKE" in line or "INFORMATIONAL" in line for line in woken)
    assert all(f"server:  {reading} from " in shown for reading in READINGS)
    assert "with new SAs" in steps[3] and story.packets[0].octets[:8].hex(" ", 4).replace(" ", " ") in shown


@pytest.fixture(scope="module", params={"mosquitto": demo_broker._PATH, "no mosquitto": "/nowhere"}.items())
def published(request):
    """(the story, what was shown, the broker's name)."""
    shown = []
    name, path = request.param
    with demo_broker.broker(path) as broker:
        return demo_tunnel.publish(broker, keys=True, say=shown.append), "\n".join(shown), name


def test_readings_are_published(published):
    """V14: the PUBLISH is what a waking sends first. S2: a hub without its SAs says so, and the reading is not lost."""
    story, shown, name = published
    assert story.wrong == []
    head, *steps = shown.split("\n\n")
    assert head.endswith("behind it mosquitto.") == (name == "mosquitto")
    assert len(steps) == 7
    wires = [[line.split(" ms  ")[1] for line in step.splitlines() if " > " in line] for step in steps]
    assert not any("SYN" in line or "CONNECT" in line for wire in wires[2:5] for line in wire)
    assert "ESP, number" in wires[4][0] and "with PUBLISH inside" in wires[4][0]
    assert not any("IKE" in line or "INFORMATIONAL" in line for line in wires[4])
    first_seen = dict.fromkeys(line.split(",")[0] for line in wires[5])  # a slow hub sees retransmissions in between
    assert list(first_seen)[:8] == [
        "device > gateway  ESP", "gateway > device  INVALID_SPI", "device > gateway  INFORMATIONAL request",
        "gateway > device  INVALID_IKE_SPI", "device > gateway  IKE_SA_INIT request",
        "gateway > device  IKE_SA_INIT response", "device > gateway  IKE_AUTH request",
        "gateway > device  IKE_AUTH response",
    ], wires[5]  # fmt: skip
    assert "the connection to the broker is no more" in steps[5] and "connected to the broker" in steps[5]
    for step, reading in zip((1, 2, 4, 5), ("21.5", "21.6", "21.7", "21.8"), strict=True):
        assert f"device:  {reading} published and acknowledged" in steps[step]
        assert steps[step].count("broker:  Received PUBLISH") == 1


def test_tshark_finds_the_publish_that_a_waking_begins_with(published, tmp_path):
    """What the demo says of the inside is what is there."""
    story, _, _ = published
    path, keys = tmp_path / "demo.pcap", tmp_path / "keys"
    capture.save([story], (), path, keys)
    first = tshark.dissected(path, keys)[story.woken]
    assert inside(first, "mqtt.topic") == ["Topic: attic/temperature"]
    assert bytes.fromhex(first.find(".//field[@name='mqtt.msg']").get("value")) == b"21.7"


@pytest.fixture
def forgetful(monkeypatch):
    """Devices that keep nothing while they sleep."""
    off = demo_tunnel.Device.off

    def forgets(device):
        off(device)
        device.rtc.write_bytes(b"")

    monkeypatch.setattr(demo_tunnel.Device, "off", forgets)


def test_a_sleep_that_forgets_the_connection_is_said_to(forgetful):
    """A device that forgets its tunnel: the broker has the reading, but not by the first packet."""
    with demo_broker.broker() as broker:
        story = demo_tunnel.publish(broker, say=lambda line: None)
    assert any("inside the first packet after sleep was None" in line for line in story.wrong), story.wrong


def test_readme_shows_a_wake_as_it_is(played):
    """The numbers apart."""
    _, shown = played
    assert set(masked(program("5. It wakes.", "")).splitlines()) <= set(masked(shown).splitlines())


def test_a_story_that_goes_wrong_is_said_to(forgetful):
    """A device that forgets while it sleeps: no tunnel, and the server misses a reading. Nobody asks for keys here."""
    shown = []
    story = demo_tunnel.play(GATEWAYS["loopback"], say=shown.append)
    assert any("no tunnel" in line for line in story.wrong) and any("the server heard" in line for line in story.wrong)
    assert "WRONG: " in shown[-1] and story.keys == []


def inside(element, name):
    """Values of a field of a packet, in tshark's words."""
    return [field.get("showname") or field.get("show") for field in element.iter("field") if field.get("name") == name]


def test_tshark_looks_inside(played, tmp_path):
    story, _ = played
    path, keys = tmp_path / "demo.pcap", tmp_path / "keys"
    assert capture.save([story], (), path, keys) == len(story.packets)
    packets = tshark.dissected(path, keys)
    assert not any(tshark.complaints(packet) for packet in packets)
    names = [decode.name(packet.via, packet.octets) for packet in story.packets]
    for name, packet in zip(names, packets, strict=True):
        if name == "IKE_AUTH request":
            assert inside(packet, "isakmp.id.data.fqdn") == ["ID_FQDN: sensor-7"]
        elif name.startswith("ESP"):
            assert bytes.fromhex(packet.find(".//field[@name='echo.data']").get("value")).decode() in READINGS
    assert names.count("IKE_AUTH request") == 2
    closed = tshark.dissected(path)
    assert not any(inside(packet, "isakmp.id.data.fqdn") or inside(packet, "echo.data") for packet in closed)


def test_keys_are_written_for_the_owner_only(played, tmp_path):
    story, _ = played
    capture.save([story], (), tmp_path / "demo.pcap", tmp_path / "keys")
    assert (tmp_path / "keys").stat().st_mode & 0o077 == 0


def test_the_command_says_how_to_open_it(played, tmp_path, monkeypatch, capsys):
    """make capture, with a story that is there already."""
    story, _ = played
    path, keys = tmp_path / "demo.pcap", tmp_path / "keys"
    monkeypatch.setattr(capture, "DEMO", path)
    monkeypatch.setattr(capture, "KEYS", keys)
    monkeypatch.setattr(capture.demo_tunnel, "play", lambda **_: story)
    monkeypatch.setattr(capture.demo_tunnel, "publish", lambda *_, **__: story)
    monkeypatch.setattr(capture, "without_sa", lambda: [(bytes.fromhex("45"), 1.5)])
    assert capture.main() == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"WIRESHARK_CONFIG_DIR={keys} wireshark {path}"
    assert path.exists() and (keys / "esp_sa").exists()
