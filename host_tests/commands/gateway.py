"""make gateway: what `python -m ipsec gateway` prints. FOR=strongswan, libreswan, opnsense or mikrotik."""

import sys

from boards.board_files import Refused, command
from ipsec.tools import gateway
from ipsec.tools.cli import configuration
from tools import arguments


def main(given):
    kind = given["FOR"].lower()
    if kind not in gateway.GATEWAYS:
        raise Refused(f"FOR={kind}: known are {', '.join(gateway.GATEWAYS)}")
    if not given["CONFIG"]:
        raise Refused("CONFIG is missing: CONFIG=ikev2.json, the file that configures the device")
    print("\n".join(gateway.lines(configuration(given["CONFIG"]), kind)))


if __name__ == "__main__":
    given = arguments(sys.argv[1:], CONFIG="", FOR="")
    sys.exit(command(lambda: main(given)))
