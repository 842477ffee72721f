"""How soon a sensor's readings go on when its hub has lost power: real processes over loopback, measured and printed.

What is asserted is what happened, not how long it took: how many attempts, how many readings were lost.
"""

import asyncio
import contextlib
import re
import subprocess
import threading
import time
from types import SimpleNamespace

import pytest
from ipsec import Tunnel
from tools import HERE, device_environment, micropython

from peers.callers import HubProcess
from peers.namespaces import until

PSK = "of no value, but long enough"
HERE_ALONE = SimpleNamespace(prefix=[])
SENSORS = 20


def now():
    """Milliseconds, as a Sensor says them."""
    return time.time_ns() // 1000000


class Sensor:
    """library/recovering.py under MicroPython; `said` is (word, ms, what is behind it) of each line."""

    def __init__(self, folder, port, *what):
        command = [micropython(), HERE / "library/recovering.py", str(port), folder / "rtc", *map(str, what)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                         env=device_environment())  # fmt: skip
        self.said = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for line in self._process.stdout:
            found = re.match(r"([a-z ]+) (\d{13})\s?(.*)", line)
            self.said.append((found[1], int(found[2]), found[3]) if found else (line, 0, ""))

    def times(self, word, since=0):
        """When it has said that, from then on."""
        return [when for its, when, _ in self.said if its == word and when >= since]

    def says(self, word, since=0, times=1):
        """Wait until it has said that so often since then; the last of these times."""

        def enough():
            return len(self.times(word, since)) >= times

        until(lambda: enough() or self._process.poll() is not None, f"a sensor's {word}", 120)
        assert enough(), self.said[-20:]
        return self.times(word, since)[times - 1]

    def ended(self):
        """Wait for its end."""
        self._process.wait(120)
        self._thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self.ended()
        self._process.stdout.close()


def hub(folder, port, *ids):
    return HubProcess(HERE_ALONE, folder, port=port, peers={id: {"psk": PSK} for id in ids or ["sensor-7"]})


@pytest.mark.parametrize(("every", "port"), [(500, 14511), (3000, 14512)])
def test_readings_go_on_when_the_hub_is_back_r5_r10_l1(tmp_path, every, port):
    """It loses power for two readings, or between two of them."""
    with hub(tmp_path, port) as there, Sensor(tmp_path, port, "stay", every) as sensor:
        before = sensor.says("answered", times=2)
        there.kill()
        lost = sensor.says("sent", before + 1, 2) if every == 500 else before
        there.start()
        back = now()
        first = sensor.says("sent", back)
        again = sensor.says("answered", back)
        sensor.says("answered", back, 3)
        begun = sensor.times("replacing", before) + sensor.times("attempting", before)
        (made,) = sensor.times("replaced", before)
        assert len(begun) == 1 and lost < again, sensor.said
        print(f"a reading each {every} ms: after the hub's return a packet leaves in {first - back} ms, new SAs are "
              f"there in {made - back} ms, a reading is delivered in {again - back} ms")  # fmt: skip


def test_a_sensor_that_wakes_with_kept_keys_reports_r10_z3_z4(tmp_path):
    with hub(tmp_path, 14513) as there:
        with Sensor(tmp_path, 14513, "sleep") as sensor:
            sensor.says("asleep")
            sensor.ended()
        there.kill()
        there.start()
        with Sensor(tmp_path, 14513, "wake") as sensor:
            sensor.ended()
        said = [word for word, _, _ in sensor.said]
        assert said == ["begun", "sent", "up", "replacing", "replaced", "sent", "answered"], sensor.said
        began, sent, made, again = (sensor.times(word)[0] for word in ("begun", "sent", "replaced", "answered"))
        print(f"after waking the reading leaves in {sent - began} ms, new SAs are there in {made - began} ms, it is "
              f"delivered in {again - began} ms")  # fmt: skip


def test_twenty_sensors_behind_one_address_h4(tmp_path):
    """All of them send each half second; one attempt brings each back."""
    ids = [f"sensor-{number}" for number in range(1, SENSORS + 1)]
    begun = dict.fromkeys(ids, 0)

    async def sense(id):
        tunnel = Tunnel("127.0.0.1:14514", id, PSK.encode(), "hub.example")
        tunnel.start()
        sock = tunnel.socket()
        while True:
            with contextlib.suppress(OSError):
                await sock.sendto(id.encode(), ("10.9.0.254", 5683))
            await asyncio.sleep(0.5)
            while event := tunnel.event():
                begun[id] += event[0] in ("attempting", "replacing")

    async def heard(there):
        """Until the hub has printed a reading of each."""
        before = len(there.lines)
        while not set(ids) <= {line.split(",")[0] for line in there.lines[before:] if ": b'" in line}:
            await asyncio.sleep(0.02)

    async def main(there):
        sensing = [asyncio.create_task(sense(id)) for id in ids]
        await asyncio.wait_for(heard(there), 120)
        before = dict(begun)
        there.kill()
        await asyncio.sleep(1)
        await asyncio.to_thread(there.start)
        back = now()
        await asyncio.wait_for(heard(there), 120)
        for task in sensing:
            task.cancel()
        return now() - back, [begun[id] - before[id] for id in ids]

    with hub(tmp_path, 14514, *ids) as there:
        took, attempts = asyncio.run(main(there))
    assert set(attempts) <= {1, 2}, attempts
    print(f"{SENSORS} sensors behind one address: all have delivered {took} ms after the hub's return, {sum(attempts)} "
          "attempts")  # fmt: skip


def test_forty_devices_at_once_a5_a6_h4(tmp_path):
    """One attempt each."""
    ids = [f"sensor-{number}" for number in range(1, 41)]

    async def main():
        tunnels = [Tunnel("127.0.0.1:14515", id, PSK.encode(), "hub.example") for id in ids]
        began = now()
        await asyncio.wait_for(asyncio.gather(*(tunnel.up() for tunnel in tunnels)), 120)
        took = now() - began
        events = [event for tunnel in tunnels for event in iter(tunnel.event, None)]
        await asyncio.gather(*(tunnel.close() for tunnel in tunnels))
        return took, [word for word, _ in events].count("attempting")

    with hub(tmp_path, 14515, *ids):
        took, attempts = asyncio.run(main())
    assert attempts == 40
    print(f"40 devices at once: all have a tunnel after {took} ms")
