"""Exchanges over an IKE SA once both ends have its keys, in both roles (RFC 7296 sections 1.3 and 1.4)."""
