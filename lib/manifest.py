# For MicroPython's manifest tool, and for `require()` of whoever freezes this library into a firmware of their own.
import os

metadata(
    description="An IPsec endpoint for small devices: IKEv2 (RFC 7296) with its section 1.5, and ESP",
    version=open("ikev2/__init__.py").read().split('__version__ = "')[1].split('"')[0],
    license="MIT",
    author="the micropython-ikev2 authors",
)
module("portable.py")
# What is for a PC only is left out: `python -m ipsec`.
for folder in ("ikev2", "inside", "ipsec"):
    found = [os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names]
    found = [name for name in sorted(found) if name.endswith(".py") and name != "__main__.py" and "tools" not in name]
    package(folder, files=found)
