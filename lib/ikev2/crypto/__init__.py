"""Primitives: the platform's where it has them, and what has to be made. None of them knows a protocol."""
