"""The life of a sensor with a tunnel, shown: it comes up, sends, is cut off, comes back, sleeps, wakes with one packet.

The sensor is demo_device.py under MicroPython; what is at the other end is demo_gateway.py's to say. Everything that
crosses the wire is printed as it was seen at the gateway, with milliseconds since the step began.
"""

import contextlib
import json
import subprocess
import tempfile
import time
from pathlib import Path

from ipsec.tools import decode
from tools import HERE, device_environment, micropython

from commands.demo_device import MQTT
from commands.demo_gateway import SERVER, SERVER_PORT, OurHub, demo_gateway

_SLEPT_MS = 600000
_ESP = "ESP"
_PER_LINE = 32
_CUT_S = 1
_QUIET_S = 2  # R5: a word that is not older than 1.5 s would make it doubt what it is told
_MEANINGS = {
    "INVALID_SPI, unprotected INFORMATIONAL request": "no such Child SA: anyone can say so",
    "INFORMATIONAL request": "are you there? Over the IKE SA, so that the answer proves it",
    "INVALID_IKE_SPI, unprotected INFORMATIONAL response": "no such IKE SA either: one is made beside it",
}


class _Died(RuntimeError):
    """The device has ended by itself."""


class Device:
    """demo_device.py as a process, and the file that is its RTC memory."""

    def __init__(self, gateway, given, rtc):
        self.rtc = rtc
        command = [*gateway.prefix, micropython(), HERE / "commands/demo_device.py", given, rtc]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=device_environment(),
        )  # fmt: skip
        self.said = self._until("started")

    def _until(self, *words):
        lines = []
        while not (line := self._process.stdout.readline()).startswith(words):
            if not line:
                raise _Died("\n".join(["the device has ended:", *lines]))
            lines.append(line.strip())
        return [*lines, *([line.strip()] if line.startswith("failed") else [])]

    def ask(self, what):
        """What it says to a line."""
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        return self._until("done", "failed")

    def off(self):
        """No power."""
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


class Story:
    """Steps one after the other; `packets`, `keys` (what demo_device.py says of them) and `wrong` (in words)."""

    def __init__(self, gateway, folder, octets=False, keys=False, say=print):
        self._gateway = gateway
        self._octets = octets
        self._asks_keys = keys
        self.say = say
        self._given, self._rtc = folder / "device.json", folder / "rtc"
        given = {"tunnel": gateway.tunnel, "ports": gateway.ports, "local": gateway.local, "to": [SERVER, SERVER_PORT],
                 "slept_ms": _SLEPT_MS}  # fmt: skip
        self._given.write_text(json.dumps(given))
        self._rtc.write_bytes(b"")
        self._device = None
        self._number = self._shown = self._served = self._logged = 0
        self._broker = None
        self.woken = None  # which of `packets` came first after sleep
        self.keys = []
        self.wrong = []

    def _on(self):
        self._device = Device(self._gateway, self._given, self._rtc)
        return self._device.said

    def _keep_keys(self):
        if self._asks_keys:
            self.keys.append(json.loads(self._device.ask("keys")[0]))

    def _step(self, title, *does, since=None):
        """Do that, each of which gives lines of the device's, and show what has happened."""
        began = time.time()
        said = [line for one in does for line in (self._device.ask(one) if isinstance(one, str) else one()) or ()]
        self.wrong += [line for line in said if line.startswith("failed")]
        self._gateway.caught_up()
        took = (time.time() - (since or began)) * 1000
        self._number += 1
        self.say(f"\n{self._number}. {title} ({took:.0f} ms)")
        new = self.packets[self._shown :]
        denied = any("INVALID_SPI" in decode.name(packet.via, packet.octets) for packet in new)
        inside = self._gateway.inside if self._broker else {}
        for index, packet in enumerate(new, self._shown):
            arrow = "device > gateway" if packet.sent else "gateway > device"
            name = decode.name(packet.via, packet.octets)
            within = f" with {inside[index]} inside" if inside.get(index) else ""
            self.say(f"{(packet.when - (since or began)) * 1000:8.0f} ms  {arrow}  {name}{within}, "
                      f"{len(packet.octets)} octets by UDP {packet.via}"
                      + (f" ({_MEANINGS[name]})" if denied and name in _MEANINGS else ""))  # fmt: skip
            if self._octets:
                text = packet.octets.hex()
                for i in range(0, len(text), 2 * _PER_LINE):
                    words = (text[i : i + 2 * _PER_LINE][j : j + 8] for j in range(0, 2 * _PER_LINE, 8))
                    self.say(" " * 13 + " ".join(words).rstrip())
        self._shown += len(new)
        heard = self._gateway.heard[self._served :]
        self._served += len(heard)
        log = self._broker.log()[self._logged :] if self._broker else []
        self._logged += len(log)
        told = [
            *(("device", line) for line in said),
            *(("gateway", line) for line in self._gateway.news()),
            *(("server", f"{octets.decode()} from {source[0]}") for octets, source in heard),
            *(("broker", line) for line in log),
        ]
        for who, line in told:
            self.say(f"    {who + ':':9}{line}")
        return new

    @property
    def packets(self):
        """All UDP at the gateway's end."""
        return self._gateway.packets

    def play(self):
        """Readings by UDP."""
        self.say(f"\nA sensor under MicroPython, and {self._gateway.name}.")
        with self._switched_on():
            self._step("It sends a reading, and the server behind the gateway answers.", "send 21.5")
            self._lose_power("report 21.6")
            self._keep_keys()
            self._sleep("The first packet is the reading: no handshake.", "send 21.7")
            self._step("It says goodbye.", "end")
        heard = [octets.decode() for octets, _ in self._gateway.heard]
        self._judge("the server", heard, ["21.5", "21.6", "21.7"])
        return self

    def publish(self, broker):
        """Readings by MQTT, through a hub to that broker (demo_broker)."""
        self.say(f"A sensor under MicroPython, {self._gateway.name}, and behind it {broker.name}.")
        self._broker = broker
        with self._switched_on():
            self._step("It connects to the broker and publishes a reading.", "publish 21.5")
            self._gateway.cut(_CUT_S)
            self._step("It is cut off for a second; the reading gets through afterwards.", "publish 21.6")
            self._sleep("The first packet is the PUBLISH: no handshake, of IKE or of TCP.", "publish 21.7")
            self._lose_power("publish 21.8")
            self._keep_keys()
            self._step("It says goodbye.", "end")
        first = self._gateway.inside.get(self.woken)
        if first != "PUBLISH":
            self.wrong.append(f"inside the first packet after sleep was {first}")
        self._judge("the broker", f"{len(broker.log())} readings", "4 readings")
        return self

    @contextlib.contextmanager
    def _switched_on(self):
        try:
            self._on()
            self._step("It comes up.", "up")
            self._keep_keys()
            yield
        finally:
            if self._device:
                self._device.off()

    def _sleep(self, title, does):
        self._step("It sleeps: what it needs of the tunnel goes into RTC memory, here a file.", "sleep")
        self._device.off()
        self.woken = self._shown
        began = time.time()
        woken = self._on()
        self._step(f"It wakes. {title}", lambda: woken, does, since=began)

    def _lose_power(self, does):
        self._gateway.kill()
        self._gateway.start()
        time.sleep(_QUIET_S)
        title = "The other end has lost power, and is back with all SAs forgotten. The sensor's next reading:"
        new = self._step(f"{title} it finds out, makes new ones, and the reading is sent again.", does)
        names = [decode.name(packet.via, packet.octets) for packet in new]
        if isinstance(self._gateway, OurHub) and [name for name in _MEANINGS if name not in names]:
            self.wrong.append(f"the hub has not said what it has forgotten: {names}")

    def _judge(self, who, heard, expected):
        packets = self.packets[self.woken :] if self.woken else []
        first = decode.name(packets[0].via, packets[0].octets) if packets else "none"
        if not first.startswith(_ESP):
            self.wrong.append(f"the first packet after sleep was {first}")
        if heard != expected:
            self.wrong.append(f"{who} heard {heard}")
        for line in self.wrong:
            self.say(f"WRONG: {line}")


def play(why=None, **options):
    """A Story of readings by UDP that has been played; `why` as demo_gateway has it, options are Story's."""
    with tempfile.TemporaryDirectory() as folder, demo_gateway(folder, why) as gateway:
        return Story(gateway, Path(folder), **options).play()


def publish(broker, **options):
    """One of readings by MQTT to that broker, through a hub."""
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(OurHub({MQTT: broker.port})) as hub,
    ):
        return Story(hub, Path(folder), **options).publish(broker)
