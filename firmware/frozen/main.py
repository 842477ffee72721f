"""What a firmware with the library frozen runs first. MicroPython would run it in place of a main.py of your own."""

import sys

sys.path.remove(".frozen")  # a look at the file system costs a wake 100,000 instructions a module
sys.path.insert(0, ".frozen")
try:
    with open("/main.py") as _file:
        _own = _file.read()
except OSError:
    from ikev2_main import run, sleep, status  # noqa: F401

    run()
else:
    exec(_own)
