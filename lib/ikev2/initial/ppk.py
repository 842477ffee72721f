"""A PPK, a preshared key that is mixed into the keys of an IKE SA: RFC 8784, rules Q1 to Q4. Imported by who has one.

Who records everything and breaks the key exchange later has not got SK_d, of which the keys of Child SAs and of rekeyed
IKE SAs are made. ppk_accept.py is what only the responder needs.
"""

from portable import const

from ..sa.payloads import chain, has_notify, notify

USE_PPK = const(16435)
PPK_IDENTITY = const(16436)


class Ppk:
    """The PPK `octets` beside that psk, which both ends know by the text `id`; ValueError says what cannot be.

    asked -- the payload of IKE_SA_INIT that asks for it, or agrees; named -- that of our IKE_AUTH request
    """

    def __init__(self, psk, id, octets):
        from ..config.ppk import check

        check(psk, id, octets)
        self.id = id
        self.octets = bytes(octets)
        self.asked = notify(USE_PPK)
        self.named = notify(PPK_IDENTITY, b"\2" + id.encode())  # PPK_ID_FIXED

    def is_asked(self, notifies):
        """True if the Notify payloads of IKE_SA_INIT, as sa_init.contents has them, ask for a PPK, or agree."""
        for kind, _, _ in notifies:
            if kind == USE_PPK:
                return True
        return False

    def is_used(self, first, octets):
        """True if the payloads of an IKE_AUTH response say that the keys are mixed."""
        return has_notify(chain(first, octets) or (), octets, PPK_IDENTITY)

    def mix(self, proof):
        """Q2: the keys of a Proof, from now on."""
        from ..sa.keys import prf

        def mixed(key):
            return prf(self.octets, key, b"\1")  # prf+ of one block

        proof.sk_d = mixed(proof.sk_d)
        proof.ours = proof.ours[:2] + (mixed(proof.ours[2]),)
        proof.theirs = proof.theirs[:2] + (mixed(proof.theirs[2]),)
