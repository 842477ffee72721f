"""make run: run_node.py under the MicroPython unix port, or words where its ports cannot be had."""

import errno
import os
import socket
import sys

from peers.run_node import LIMITS
from tools import HERE, arguments, device_environment, micropython


def why_not(host, port):
    """What is in the way of that UDP port, and what to do; None if nothing is."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((host, port))
        except PermissionError:
            return f"UDP {port} is root's: sudo make run, or make run UDP_PORT=15500 UDP_PORT_NAT=14500"
        except OSError as error:
            hint = ": is an IKE daemon running? HOST=address takes one address only" * (error.errno == errno.EADDRINUSE)
            return f"UDP {port} of {host}: {error.strerror}{hint}"


def options(given):
    """The arguments of run_node.py."""
    names = {"UDP_PORT": "port", "UDP_PORT_NAT": "port_nat"}
    return [f"{names.get(name, name.lower())}={value}" for name, value in given.items() if value is not None]


def main(given):
    for port in (given["UDP_PORT"], given["UDP_PORT_NAT"]):
        why = why_not(given["HOST"], port)
        if why:
            return why
    os.execve(micropython(), ["micropython", str(HERE / "peers/run_node.py"), *options(given)], device_environment())


if __name__ == "__main__":
    limits = {name.upper(): "" for name in LIMITS}
    given = arguments(sys.argv[1:], HOST="0.0.0.0", UDP_PORT=500, UDP_PORT_NAT=4500, RAW="50,51", QUIET="", **limits)
    sys.exit(main({name: value for name, value in given.items() if value or name not in limits}))
