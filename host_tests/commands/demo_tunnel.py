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

from commands.demo_gateway import SERVER, SERVER_PORT, OurHub, demo_gateway

_SLEPT_MS = 600000
_ESP = "ESP"
_PER_LINE = 32
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
        self._number = self._shown = self._served = 0
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
        took = (time.time() - (since or began)) * 1000
        self._number += 1
        self.say(f"\n{self._number}. {title} ({took:.0f} ms)")
        new = self.packets[self._shown :]
        denied = any("INVALID_SPI" in decode.name(packet.via, packet.octets) for packet in new)
        self._shown += len(new)
        for packet in new:
            arrow = "device > gateway" if packet.sent else "gateway > device"
            name = decode.name(packet.via, packet.octets)
            self.say(f"{(packet.when - (since or began)) * 1000:8.0f} ms  {arrow}  {name}, "
                      f"{len(packet.octets)} octets by UDP {packet.via}"
                      + (f" ({_MEANINGS[name]})" if denied and name in _MEANINGS else ""))  # fmt: skip
            if self._octets:
                text = packet.octets.hex()
                for i in range(0, len(text), 2 * _PER_LINE):
                    words = (text[i : i + 2 * _PER_LINE][j : j + 8] for j in range(0, 2 * _PER_LINE, 8))
                    self.say(" " * 13 + " ".join(words).rstrip())
        heard = self._gateway.heard[self._served :]
        self._served += len(heard)
        told = [
            *(("device", line) for line in said),
            *(("gateway", line) for line in self._gateway.news()),
            *(("server", f"{octets.decode()} from {source[0]}") for octets, source in heard),
        ]
        for who, line in told:
            self.say(f"    {who + ':':9}{line}")
        return new

    @property
    def packets(self):
        """All UDP at the gateway's end."""
        return self._gateway.packets

    def play(self):
        """The whole of it."""
        self.say(f"A sensor under MicroPython, and {self._gateway.name}.")
        try:
            self._on()
            self._step("It comes up.", "up")
            self._keep_keys()
            self._step("It sends a reading, and the server behind the gateway answers.", "send 21.5")
            self._lose_power("21.6")
            self._keep_keys()
            self._step("It sleeps: what it needs of the tunnel goes into RTC memory, here a file.", "sleep")
            self._device.off()
            before = self._shown
            began = time.time()
            woken = self._on()
            self._step("It wakes. The first packet is the reading: no handshake.", lambda: woken, "send 21.7",
                       since=began)  # fmt: skip
            self._step("It says goodbye.", "end")
        finally:
            if self._device:
                self._device.off()
        self._judge(before)
        return self

    def recover(self):
        """With a hub: how it tells a sensor that it has lost power, and how long that takes."""
        self.say(f"\nThe same sensor, and {self._gateway.name}, which says what it has forgotten (section 1.5).")
        try:
            self._on()
            self._step("It comes up.", "up")
            self._step("It sends a reading.", "send 21.5")
            self._lose_power("21.6")
            self._step("It says goodbye.", "end")
        finally:
            if self._device:
                self._device.off()
        return self

    def _lose_power(self, reading):
        self._gateway.kill()
        self._gateway.start()
        time.sleep(_QUIET_S)
        title = "The other end has lost power, and is back with all SAs forgotten. The sensor's next reading:"
        new = self._step(f"{title} it finds out, makes new ones, and the reading is sent again.", f"report {reading}")
        names = [decode.name(packet.via, packet.octets) for packet in new]
        if isinstance(self._gateway, OurHub) and [name for name in _MEANINGS if name not in names]:
            self.wrong.append(f"the hub has not said what it has forgotten: {names}")

    def _judge(self, woken):
        packets = self.packets[woken:]
        first = decode.name(packets[0].via, packets[0].octets) if packets else "none"
        if not first.startswith(_ESP):
            self.wrong.append(f"the first packet after sleep was {first}")
        heard = [octets.decode() for octets, _ in self._gateway.heard]
        if heard != ["21.5", "21.6", "21.7"]:
            self.wrong.append(f"the server heard {heard}")
        for line in self.wrong:
            self.say(f"WRONG: {line}")


def play(why=None, **options):
    """A Story that has been played; `why` as demo_gateway has it, options are Story's.

    Where the gateway is no hub, one shows how it loses power, too.
    """
    with tempfile.TemporaryDirectory() as folder, demo_gateway(folder, why) as gateway:
        story = Story(gateway, Path(folder), **options).play()
    if not isinstance(gateway, OurHub):
        with tempfile.TemporaryDirectory() as folder, contextlib.closing(OurHub()) as hub:
            story.wrong += Story(hub, Path(folder), say=story.say).recover().wrong
    return story
