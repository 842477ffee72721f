"""python -m ipsec try ikev2.json [PING=address COUNT=3 EVERY=0.5 CONTACT=1 WEAK_PSK=0]: a configuration, tried.

Runs under CPython, from a checkout or installed, and under MicroPython's unix port.
"""

import os
import sys
from binascii import hexlify

from ikev2.config import parse
from portable import ipv4

from .tools.try_tunnel import OPTIONS, main

_USAGE = "usage: python -m ipsec try ikev2.json [PING=address COUNT=3 EVERY=0.5 CONTACT=1 WEAK_PSK=0]"


def options(given):
    """{name: value} of arguments NAME=value; ValueError says which is wrong."""
    found = dict(OPTIONS)
    found["WEAK_PSK"] = 0
    for argument in given:
        name, _, value = argument.partition("=")
        if name not in found:
            raise ValueError("%s: known are %s" % (argument, " ".join(sorted(found))))
        try:
            found[name] = type(found[name])(value)
        except ValueError:
            raise ValueError("%s: that is no number" % argument) from None
    if found["COUNT"] < 1 or not 0 < found["EVERY"] <= 3600:
        raise ValueError("COUNT is 1 at least, EVERY more than 0 seconds and 3600 at most")
    if found["PING"] and ipv4(found["PING"]) is None:
        raise ValueError("PING=%s: that is no IPv4 address, of something behind the gateway" % found["PING"])
    return found


def run(arguments):
    """The exit status of the command with these arguments."""
    if len(arguments) < 2 or arguments[0] != "try":
        print(_USAGE)
        return 2
    path = arguments[1]
    try:
        found = options(arguments[2:])
        with open(path, "rb") as file:
            octets = file.read()
        config = parse(octets, path, weak_psk=bool(found.pop("WEAK_PSK")))
    except OSError as error:
        print("cannot read %s: %s" % (path, error))
        return 1
    except ValueError as error:
        if "psk" in str(error):
            print("A good psk, just made: %s. WEAK_PSK=1 takes the one there is." % hexlify(os.urandom(16)).decode())
        print(str(error))
        return 1
    return main(config, **found)


def polite():
    """Under CPython lines come as they are made, and SIGTERM is as good as Ctrl-C."""
    import signal

    sys.stdout.reconfigure(line_buffering=True)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


if __name__ == "__main__":
    if sys.implementation.name != "micropython":
        polite()
    sys.exit(run(sys.argv[1:]))
