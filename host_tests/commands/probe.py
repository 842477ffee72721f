"""make probe: what `python -m ipsec probe` does."""

import sys

from boards.board_files import Refused, command
from ipsec.tools import probe
from tools import arguments


def main(given):
    if not given["HOST"]:
        raise Refused("HOST is missing: HOST=address [UDP_PORT=500 UDP_PORT_NAT=4500]")
    return probe.main(given["HOST"], {500: given["UDP_PORT"], 4500: given["UDP_PORT_NAT"]})


if __name__ == "__main__":
    given = arguments(sys.argv[1:], HOST="", UDP_PORT=500, UDP_PORT_NAT=4500)
    sys.exit(command(lambda: main(given)))
