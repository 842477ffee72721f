"""What `python -m ipsec` and `make try` do. A device imports none of it."""


class Refused(Exception):
    """Says what is wrong and what to do."""
