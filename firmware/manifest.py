# What every board freezes: the library, and what a board runs, joined into a few files in build/frozen.
import os
import sys

sys.path.insert(0, os.path.abspath("../host_tests"))
from boards import freeze

sys.path.pop(0)
module("main.py", base_path="frozen")
for path in freeze.write():
    if path not in ("ikev2_sleep.py", "ikev2_watchdog.py"):  # of some chips: the manifests of their boards add them
        module(path, base_path=str(freeze.FOLDER))
