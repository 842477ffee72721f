"""`python -m ipsec`, and `micropython-ikev2` where pip has installed it: what a PC does for a device, under CPython.

try brings the device's tunnel up from here, gateway prints the other end of its configuration, hub is that other end,
psk prints good secrets, and probe asks any address what it does with the packets of section 1.5. Each takes `--help`.
"""

import argparse
import contextlib
import secrets
import signal
import sys
import threading
from pathlib import Path

from ikev2.config import ConfigError, WeakPsk, parse

from . import Refused, gateway, hub, probe, try_tunnel

_QUIET_S = 2


def psk():
    """A good psk: 128 random bits as text (N21)."""
    return secrets.token_hex(16)


def ppk():
    """A good PPK: 256 random bits as text (Q3)."""
    return secrets.token_hex(32)


def configuration(path, weak_psk=True):
    """What a device's configuration file says; Refused."""
    try:
        return parse(Path(path).read_bytes(), path, weak_psk)
    except OSError as error:
        raise Refused(f"cannot read {path}: {error.strerror}") from None
    except WeakPsk as error:
        raise Refused(f"{error}; --weak-psk takes it all the same. A good one, just made: {psk()}") from None
    except ConfigError as error:
        raise Refused(str(error)) from None


@contextlib.contextmanager
def progress():
    """A print function; stderr says of each two seconds in which it prints nothing that they pass, whatever blocks."""
    news = threading.Event()
    over = False

    def watch():
        quiet = 0
        while not over:
            if news.wait(_QUIET_S):
                news.clear()
                quiet = 0
            else:
                quiet += _QUIET_S
                print(f"nothing new for {quiet} s; Ctrl-C ends it", file=sys.stderr, flush=True)

    def say(line):
        print(line)
        news.set()

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield say
    finally:
        over = True
        news.set()
        watching.join()


def _try(given):
    config = configuration(given.config, given.weak_psk)
    options = {name: getattr(given, name) for name in ("ping", "count", "every", "contact")}
    with progress() as say:
        return try_tunnel.main(config, say, **options)


def _gateway(given):
    print("\n".join(gateway.lines(configuration(given.config), given.kind)))
    return 0


def _hub(given):
    try:
        made = hub.made(Path(given.config).read_text(), given.weak_psk)
    except (ValueError, OSError) as error:
        raise Refused(f"{given.config}: {error.args[-1] if error.args else error}") from None
    return hub.serve(*made)


def _psk(given):
    print(f'"psk": "{psk()}",\n"ppk": "{ppk()}",')
    return 0


def _probe(given):
    return probe.main(given.host, {500: given.port, 4500: given.port_nat})


def parser():
    """What it takes."""
    name = Path(sys.argv[0]).name
    made = argparse.ArgumentParser(
        prog="python -m ipsec" if name == "__main__.py" else name,
        description="An IPsec endpoint for small devices: what a PC does for one.",
    )
    commands = made.add_subparsers(required=True, metavar="command")
    config = {"metavar": "ikev2.json", "help": "the file that configures the device"}

    one = commands.add_parser("try", help="bring the device's tunnel up from here, and say what happens")
    one.add_argument("config", **config)
    one.add_argument("--ping", default="", metavar="HOST", help="address behind the gateway that gets echoes")
    one.add_argument("--count", type=int, default=3, help="how many echoes (3)")
    one.add_argument("--every", type=float, default=0.5, metavar="SECONDS", help="time between them (0.5)")
    one.add_argument(
        "--no-contact", dest="contact", action="store_false", help="leave alone a tunnel that the device may have"
    )
    one.add_argument("--weak-psk", action="store_true", help="take a psk that can be guessed, too")
    one.set_defaults(command=_try)

    one = commands.add_parser("gateway", help="print what to paste into the gateway")
    one.add_argument("config", **config)
    one.add_argument("--for", dest="kind", required=True, choices=gateway.GATEWAYS, help="what the gateway is")
    one.set_defaults(command=_gateway)

    one = commands.add_parser("hub", help="be the other end: accept devices, and say who is there and what they send")
    one.add_argument("config", metavar="hub.json", help="the file with its id, addresses and peers")
    one.add_argument("--weak-psk", action="store_true", help="take a psk that can be guessed, too")
    one.set_defaults(command=_hub)

    one = commands.add_parser("psk", help="print a good psk, 128 random bits, and a good ppk, 256")
    one.set_defaults(command=_psk)

    one = commands.add_parser("probe", help="ask any address the questions of RFC 7296 section 1.5")
    one.add_argument("host", metavar="HOST", help="a board, a gateway, an IKE daemon: name or address")
    one.add_argument("--port", type=int, default=500, help="its UDP port 500 (500)")
    one.add_argument("--port-nat", type=int, default=4500, help="its UDP port 4500 (4500)")
    one.set_defaults(command=_probe)
    return made


def _terminated(*_):
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a script's job in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)


def polite():
    """Lines come as they are made, and SIGTERM is as good as Ctrl-C."""
    sys.stdout.reconfigure(line_buffering=True)
    signal.signal(signal.SIGTERM, _terminated)


def main(arguments=None):
    """The exit status: 0 for good, 1 and a reason in words, 2 for arguments that cannot be, 130 for Ctrl-C."""
    given = parser().parse_args(arguments)
    polite()
    try:
        return given.command(given)
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
