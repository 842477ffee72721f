"""IPsec for small devices: ESP (RFC 4303, RFC 3948), and UDP sockets inside a tunnel. It stands on ikev2."""

from .tunnel import Tunnel  # noqa: F401
