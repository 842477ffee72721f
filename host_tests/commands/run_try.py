"""A try under MicroPython's unix port, which hears Ctrl-C only while it runs a file: configuration, options as JSON."""

import json
import sys

from ikev2.config import read
from ipsec.tools.try_tunnel import main

sys.exit(main(read(sys.argv[1]), **json.loads(sys.argv[2])))
