"""IPsec for small devices: ESP (RFC 4303, RFC 3948), and UDP sockets inside a tunnel. It stands on ikev2."""

try:
    from .tunnel import Tunnel  # noqa: F401
except ImportError as error:
    if "socket" not in str(error):  # a machine without a network has no tunnel, but ESP all the same
        raise
