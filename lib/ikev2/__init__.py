"""The part of IKEv2 (RFC 7296) that a small device needs; start at `node.Node` and `udp.Udp`."""

__version__ = "0.3.0"
