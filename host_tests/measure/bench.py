"""Ratios from one run: the node against a bare echo loop in the same interpreter, a drop against an answer."""

import statistics
import subprocess
import sys
from contextlib import contextmanager

from golden import vector_files
from peers import rate as beside_charon
from peers.node_process import UNLIMITED, node_process
from tools import arguments, device_environment, micropython

from measure import bench_protected, bench_tunnel, size

_ROUNDS = 15
_ECHO = """
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(socket.getaddrinfo("127.0.0.1", %d)[0][-1])
print("ready")
while True:
    data, address = sock.recvfrom(2048)
    sock.sendto(data, address)
"""
_COST = """
import os, time
from binascii import unhexlify
from ikev2.node import Node
from ikev2.spi_table import SpiTable
node = Node(SpiTable(), os.urandom, answers_per_s=1000000, burst=1000000, per_source_ms=0)
source = bytearray(b"\\x7f\\0\\0\\1\\x01\\xf4")
def cost(octets, via):
    length = len(octets)
    start = time.ticks_us()
    for _ in range(50000):
        node.receive(via, source, octets, length, 0)
    return time.ticks_diff(time.ticks_us(), start)
for via, octets in %r:
    print(min(cost(unhexlify(octets), via) for _ in range(3)) / 50000)
"""


@contextmanager
def echo(port):
    process = subprocess.Popen([micropython(), "-c", _ECHO % port], stdout=subprocess.PIPE, env=device_environment())
    try:
        process.stdout.readline()
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def main():
    cases = {case["name"]: case for case in vector_files.all_cases()}

    def question(name):
        return cases[name]["steps"][0][1], cases[name]["steps"][0][3]

    request = bytes.fromhex(question("informational-with-unknown-spis-on-500")[1])
    local = {500: 15500, 4500: 14500}
    with echo(15501), node_process(local, *UNLIMITED, "quiet=1"):
        for window in (1, 64):
            print(f"{window} outstanding ...", flush=True)
            clients = [beside_charon.Client(request, window, port) for port in (15501, local[500])]
            rounds = [[client.rate() for client in clients] for _ in range(_ROUNDS)]
            bare, node = (statistics.median(column) for column in zip(*rounds, strict=True))
            print(f"    echo loop {bare:8.0f}/s   node {node:8.0f}/s   ratio {node / bare:.2f}")
    names = (
        "informational-with-unknown-spis-on-500",
        "unencrypted-informational",
        "27-octets",
        "length-field-one-long",
    )
    code = _COST % [question(name) for name in names]
    run = subprocess.run(
        [micropython(), "-c", code], check=True, capture_output=True, text=True, env=device_environment()
    )
    costs = [float(line) for line in run.stdout.split()]
    for name, cost in zip(names, costs, strict=True):
        print(f"decision {name:42} {cost:6.2f} us   {cost / costs[0]:.2f} of an answer")
    answered = size.instructions()
    for verdict in ("drop-malformed", "drop-unencrypted", "drop-limited"):
        ratio = answered[verdict] / answered["invalid-ike-spi"]
        print(f"on the board: {verdict} {answered[verdict]} instructions, {ratio:.2f} of an answer")
    bench_protected.speed()
    bench_tunnel.speed()
    beside_charon.main()


if __name__ == "__main__":
    arguments(sys.argv[1:])
    main()
