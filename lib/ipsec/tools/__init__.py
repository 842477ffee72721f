"""What `python -m ipsec` and `make try` do. A device imports none of it."""
