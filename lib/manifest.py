# For MicroPython's manifest tool, and for `require()` of whoever freezes this library into a firmware of their own.
import os

metadata(
    description="An IPsec endpoint for small devices: IKEv2 (RFC 7296) with its section 1.5, and ESP",
    version=open("ikev2/__init__.py").read().split('__version__ = "')[1].split('"')[0],
    license="MIT",
    author="the micropython-ikev2 authors",
)
# A board looks a frozen module up by going through all names, three times: what a wake imports comes first.
_WAKE = {
    "ikev2": """__init__ wire slots spi_table budget hints notifier owners node net/__init__ net/memory net/addresses
        net/sockets net/udp config/__init__ config/keys config/reader crypto/__init__ crypto/octets crypto/hmac
        crypto/aes crypto/cbc sa/__init__ sa/selectors sa/policy sa/payloads
        sa/sk sa/window sa/informational sa/rekeys""",
    "inside": "__init__ ipv4 stack udp",
    "ipsec": "__init__ tunnel sleep traffic esp spd life holdings attempts",
}
_wake = {folder: [name + ".py" for name in _WAKE[folder].split()] for folder in _WAKE}
module("portable.py")
for folder in _wake:
    package(folder, files=_wake[folder])
# What is for a PC only is left out: `python -m ipsec`.
for folder in _wake:
    found = [os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names]
    left_out = _wake[folder] + ["__main__.py"]
    rest = [name for name in sorted(found) if name.endswith(".py") and name not in left_out and "tools" not in name]
    package(folder, files=rest)
