"""What one tunnel is to be, and what comes of it: suites, identities, selectors, keys; no octets of a message.

Section numbers are those of RFC 7296.
"""

from .selectors import ALL, SELECTOR, SELECTORS_MAX, identity

# ENCR transforms, each followed by others (sections 3.3.2, 3.3.5, RFC 5282). CBC comes with HMAC-SHA-256-128.
CIPHERS = {
    "aes-cbc-128": b"\3\0\0\x0c\1\0\0\x0c\x80\x0e\0\x80",
    "aes-cbc-256": b"\3\0\0\x0c\1\0\0\x0c\x80\x0e\1\0",
    "aes-gcm-16-128": b"\3\0\0\x0c\1\0\0\x14\x80\x0e\0\x80",
    "aes-gcm-16-256": b"\3\0\0\x0c\1\0\0\x14\x80\x0e\1\0",
}
OFFERED = ("aes-cbc-256", "aes-cbc-128")
GROUPS = (31, 14)  # X25519 (RFC 8031), MODP-2048 (RFC 3526)


def suites(groups, ciphers):
    """Groups and ciphers as tuples; ValueError if one is unknown."""
    if not groups or [group for group in groups if group not in GROUPS]:
        raise ValueError("groups %r" % (groups,))
    if not ciphers or [name for name in ciphers if name not in CIPHERS]:
        raise ValueError("ciphers %r" % (ciphers,))
    return tuple(groups), tuple(ciphers)


class Policy:
    """What one tunnel is to be. `id` and `gateway_id` are texts as `identity` takes them, "" is any gateway.

    psk -- octets; inside -- our four octets inside, None: the gateway says; remote -- traffic selectors
    groups, ciphers -- those offered, for IKE and ESP alike, the best first. ValueError names what cannot be.
    keep_keys -- they stay beside their ciphers, so that the SAs can outlive sleep (Z5)
    patient -- the peer may be asleep: requests of ours wait until it is heard, for ever (H2);
        who is, has `offers`, too (A11)
    ppk -- None, or what every IKE SA must have mixed into its keys (Q1), a Ppk of initial/ppk.py
    """

    keep_keys = patient = False
    ppk = None

    def __init__(self, id, psk, gateway_id="", inside=None, remote=ALL, groups=GROUPS, ciphers=OFFERED):
        identity(id)
        if gateway_id:
            identity(gateway_id)
        if not isinstance(psk, (bytes, bytearray)) or not psk:
            raise ValueError("psk: not octets")
        if inside is not None and len(inside) != 4:
            raise ValueError("inside %r" % inside)
        if not remote or len(remote) % SELECTOR or len(remote) > SELECTORS_MAX * SELECTOR:
            raise ValueError("remote %r" % remote)
        self.id = id
        self.psk = psk
        self.gateway_id = gateway_id
        self.inside = inside
        self.remote = remote
        self.groups, self.ciphers = suites(groups, ciphers)


class Child:
    """A Child SA that was negotiated: suite, SPIs, keys as crypto.cipher takes them, traffic selectors, its slot.

    `replaces` is the slot of the Child SA that the gateway has made it for, -1: none. `servers` are the name servers
    that the gateway has given with the address inside, four octets each. It is the SA's owner (owners.py) until what
    opens packets has been made of it.
    """

    replaces = -1
    servers = b""
    longest = 0
    disowned = False

    def __init__(self, cipher, spi_in, spi_out, key_in, key_out, inside, remote, slot=None):
        self.cipher = cipher
        self.spi_in = spi_in
        self.spi_out = spi_out
        self.key_in = key_in
        self.key_out = key_out
        self.inside = inside
        self.remote = remote
        self.slot = slot

    def receive(self, packet, at, length, now):
        """Nobody opens it yet."""
        return False

    def outgoing(self, out, at, now):
        """Nor has anything to send."""
        return 0
