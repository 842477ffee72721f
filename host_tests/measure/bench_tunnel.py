"""A tunnel beside others, from one run on the unix port: made, beside a charon as initiator; used, beside no ESP and
beside what the platform's AES and SHA-256 alone take for the same octets; streams beside the kernel's through a charon.
"""

import contextlib
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from peers.device import told
from peers.real_gateways import PSK, Strongswan, config
from peers.router import GATEWAY, INNER, routed_hosts
from peers.services import STREAMS, stream_server
from peers.strongswan import CharonProcess
from tools import device_environment, micropython

_ROUNDS = 9
_OCTETS = 500000
_WAYS = (0, 0), (20, 0), (20, 2), (200, 0)  # round trip in ms, % lost
_ATTEMPTS = """
import asyncio, time
from ipsec import Tunnel
async def main():
    for _ in range(ROUNDS + 1):
        tunnel = Tunnel("GATEWAY", "sensor-7", b"PSK", gateway_id="gateway.example", inside="10.77.0.2",
                        remote=["10.77.0.0/24"], groups=(31,))
        begun = time.ticks_us()
        await tunnel.up()
        print(time.ticks_diff(time.ticks_us(), begun))
        await tunnel.close()
asyncio.run(main())
"""
_CONNECTION = """connections {
    there {
        version = 2
        remote_addrs = GATEWAY
        encap = yes
        mobike = no
        proposals = aes256-sha256-x25519
        local {
            auth = psk
            id = sensor-7
        }
        remote {
            auth = psk
            id = gateway.example
        }
        children {
            tunnel {
                local_ts = 10.77.0.2/32
                remote_ts = 10.77.0.0/24
                esp_proposals = aes256-sha256
            }
        }
    }
}
secrets {
    ike {
        secret = "PSK"
    }
}
"""
_TRAFFIC = """
import hashlib, os, time
from cryptolib import aes
from ipsec.esp import ROOM, ChildSa
from inside.stack import Stack
ALL = b"\\0\\0\\0\\xff\\xff\\0\\0\\0\\0\\xff\\xff\\xff\\xff"
key = bytes(64)
there = ChildSa("aes-cbc-256", key, key, b"abcd", ALL, ALL, os.urandom)
ours, theirs = Stack(bytes((10, 0, 0, 1))), Stack(bytes((10, 0, 0, 2)))
sock = theirs.bind(7)
out = bytearray(1520)
def tunnel(data, n):
    for _ in range(n):
        length = there.seal(out, 0, ours.send(out, ROOM, 7, theirs.address, 7, data))
        assert not there.open(out, 0, length)
        theirs.receive(there.packet, there.size, 0)
        sock.take()
def bare(data, n):
    for _ in range(n):
        size = ours.send(out, 0, 7, theirs.address, 7, data)
        theirs.receive(out, size, 0)
        sock.take()
def platform(data, n):
    octets = bytearray(len(data) + 48)
    view = memoryview(octets)
    sealing, opening = aes(bytes(32), 2, bytes(16)), aes(bytes(32), 2, bytes(16))
    whole = len(octets) // 16 * 16
    for _ in range(n):
        for cipher in (sealing.encrypt, opening.decrypt):
            cipher(view[:whole], view[:whole])
            for part in (view, view[:32]):
                hash = hashlib.sha256(part)
                hash.digest()
for size in (64, 1024):
    times = []
    for loop in (tunnel, bare, platform):
        best = 1 << 29
        for _ in range(5):
            begun = time.ticks_us()
            loop(bytes(size), 500)
            best = min(best, time.ticks_diff(time.ticks_us(), begun))
        times.append(best)
    print(size, *times)
"""


def _attempts():
    code = _ATTEMPTS.replace("ROUNDS", str(_ROUNDS)).replace("GATEWAY", GATEWAY).replace("PSK", PSK)
    return [micropython(), "-c", code]


@contextlib.contextmanager
def _initiator(host, folder):
    """A charon in the device's place."""
    charon = CharonProcess(folder)
    plugins = (
        "random nonce aes sha1 sha2 hmac kdf gmp curve25519 openssl kernel-libipsec kernel-netlink socket-default vici"
    )
    (folder / "strongswan.conf").write_text(
        f"charon {{\n load = {plugins}\n plugins {{\n vici {{\n socket = unix://{folder}/vici\n }}\n"
        " kernel-libipsec {\n load = yes\n }\n }\n}\n"
    )
    (folder / "swanctl.conf").write_text(_CONNECTION.replace("GATEWAY", GATEWAY).replace("PSK", PSK))
    with charon:
        charon.run_in(host, "ip addr replace 10.77.0.2 dev lo")
        yield charon


def _up(charon):
    """Seconds until its tunnel is up."""
    begun = time.monotonic()
    charon.swanctl("--initiate", "--child", "tunnel")
    return time.monotonic() - begun


def _down(charon):
    charon.swanctl("--terminate", "--ike", "there")


def made():
    """(seconds of ours, of charon as the initiator), medians, from start to tunnel with the same gateway."""
    with routed_hosts() as hosts, tempfile.TemporaryDirectory() as folder:
        gateway = Strongswan(hosts.gateway, Path(folder) / "gateway", config())
        try:
            command = [*hosts.device.prefix, *_attempts()]
            ran = subprocess.run(command, check=True, capture_output=True, text=True, env=device_environment())
            ours = [int(line) / 1e6 for line in ran.stdout.split()][1:]
            with _initiator(hosts.device, Path(folder) / "initiator") as charon:
                theirs = []
                for _ in range(_ROUNDS + 1):
                    theirs.append(_up(charon))
                    _down(charon)
                del theirs[0]
        finally:
            gateway.kill()
    return statistics.median(ours), statistics.median(theirs)


def used():
    """{octets of a datagram: (a tunnel's time, to the same without ESP, to AES and SHA-256 alone)}."""
    ran = subprocess.run(
        [micropython(), "-c", _TRAFFIC], check=True, capture_output=True, text=True, env=device_environment()
    )
    found = {}
    for line in ran.stdout.splitlines():
        size, tunnel, bare, platform = map(int, line.split())
        found[size] = tunnel / bare, tunnel / platform
    return found


def streams():
    """{(round trip in ms, % lost): [[down, up] of ours in kB/s, [down, up] of the kernel's TCP through charon]}."""
    found = {way: [] for way in _WAYS}
    with routed_hosts() as hosts, tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def measure(machine, settings):
            task = {"tunnel": settings, "to": INNER, "port": STREAMS, "streams": [(_OCTETS, 0), (0, _OCTETS)]}
            for way, rates in found.items():
                hosts.router.round_trip_ms, hosts.router.loss = way[0], way[1] / 100
                made = told(machine, hosts.device, "stream_client", task, folder)
                assert all(one["down"] and one["up"] for one in made), made
                rates.append([_OCTETS / one["ms"] for one in made])

        with stream_server(hosts.gateway), Strongswan(hosts.gateway, folder / "gateway", config()):
            measure("unix", config())
            hosts.router.round_trip_ms = hosts.router.loss = 0
            with _initiator(hosts.device, folder / "initiator") as charon:
                _up(charon)
                measure("cpython", None)
    return found


def speed():
    """Prints the ratios."""
    if os.geteuid():
        print("a tunnel made, beside charon: needs root, for namespaces")
    else:
        ours, theirs = made()
        print(f"a tunnel made  {1000 * ours:6.1f} ms, to charon as the initiator {ours / theirs:5.2f}")
        for (ms, loss), rates in streams().items():
            (down, up), (kernel_down, kernel_up) = rates
            print(f"a stream, {ms:3} ms, {loss} % lost: {down:6.0f} kB/s down, {up:6.0f} up; "
                  f"the kernel's TCP through charon {kernel_down:6.0f} and {kernel_up:6.0f}", flush=True)  # fmt: skip
    for size, (bare, platform) in used().items():
        print(f"{size:5} octets through a tunnel and out, to the same without ESP {bare:5.2f}, "
              f"to AES and SHA-256 alone {platform:5.2f}")  # fmt: skip


if __name__ == "__main__":
    speed()
