"""`python -m ipsec` for MicroPython's unix port, which hears Ctrl-C only while it runs a file."""

import sys

from ipsec.__main__ import run

sys.exit(run(sys.argv[1:]))
