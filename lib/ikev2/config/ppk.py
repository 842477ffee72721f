"""What a PPK must be (RFC 8784; rule Q3). Imported by who has one."""

_PPK_OCTETS = 32
_ID_OCTETS = 200


def check(psk, id, octets):
    """Raise ValueError, which shows no secret, if that cannot be a PPK beside that psk: PPK_ID as text, octets."""
    if not isinstance(id, str) or not 0 < len(id.encode()) <= _ID_OCTETS:
        raise ValueError("'ppk_id' must be a string of at least 1 octet and at most %d" % _ID_OCTETS)
    if not isinstance(octets, (bytes, bytearray)) or len(octets) < _PPK_OCTETS:
        raise ValueError("'ppk' must be at least %d octets; make psk prints a good one" % _PPK_OCTETS)
    if octets == psk:
        raise ValueError("'ppk' must be another secret than 'psk'")
