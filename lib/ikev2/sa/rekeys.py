"""What an IKE SA has to keep for the answer to a CREATE_CHILD_SA request; rekey.py, which makes it, comes with one.

While a shared secret is made that is the key exchange and plain values; rekey.py can be dropped meanwhile.
"""

from portable import const

from .informational import refuse
from .payloads import TEMPORARY_FAILURE

_LONGEST = const(728)  # octets of a response with MODP-2048 and eight selectors each way


class Rekeys:
    """Answers for one IKE SA with the suites of `policy`, whose SK_d that is."""

    longest = _LONGEST

    def __init__(self, policy, sk_d):
        self.policy = policy
        self.sk_d = sk_d
        self.rekeying = None  # while a shared secret is made: the key exchange, public values, what is agreed to

    def begin(self, ike, found, octets):
        """(type of the first payload, payloads, True if the IKE SA is over) in answer to a CREATE_CHILD_SA request.

        `ike` is the IkeSa, `found` the payloads' chain in `octets`. None if it takes longer: then ask `step`.
        """
        from .rekey import Rekeying

        return Rekeying(self).begin(ike, found, octets)

    def start(self, dh, peer_value, agreed):
        """The answer to what is `agreed` to takes a secret that is shared with the peer of that public value."""
        dh.begin()
        self.rekeying = dh, peer_value, b"", agreed

    def step(self, ike):
        """A slice of what takes long; then the same as `begin`."""
        rekeying, self.rekeying = self.rekeying, None  # K14: what fails now is over
        try:
            dh, peer_value, our_value, agreed = rekeying
            if dh.step():
                value = dh.value
                if our_value:
                    dh = rekeying = None  # what has made it takes room
                    from .rekey import Rekeying

                    return Rekeying(self).finish(ike, agreed, value, our_value)
                dh.begin(peer_value)
                rekeying = dh, None, value, agreed
            self.rekeying = rekeying
            return None
        except Exception:  # a wrong known answer is one
            return refuse(TEMPORARY_FAILURE)
