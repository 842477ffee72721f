"""What a firmware with the library frozen runs first. MicroPython would run it in place of a main.py of your own."""

try:
    with open("/main.py") as _file:
        _own = _file.read()
except OSError:
    from ikev2_main import run, sleep, status  # noqa: F401

    run()
else:
    exec(_own)
