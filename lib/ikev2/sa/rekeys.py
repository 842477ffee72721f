"""What an IKE SA has to keep for the answer to a CREATE_CHILD_SA request; rekey.py, which makes it, comes with one."""

from portable import const

_LONGEST = const(728)  # octets of a response with MODP-2048 and eight selectors each way


class Rekeys:
    """Answers for one IKE SA with the suites of `policy`, whose SK_d that is."""

    longest = _LONGEST

    def __init__(self, policy, sk_d):
        self.policy = policy
        self.sk_d = sk_d
        self.rekeying = None  # what is being answered

    def begin(self, ike, found, octets):
        """(type of the first payload, payloads, True if the IKE SA is over) in answer to a CREATE_CHILD_SA request.

        `ike` is the IkeSa, `found` the payloads' chain in `octets`. None if it takes longer: then ask `step`.
        """
        from .rekey import Rekeying

        self.rekeying = Rekeying(self)
        return self._answered(self.rekeying.begin(ike, found, octets))

    def step(self, ike):
        """A slice of what takes long; then the same as `begin`."""
        return self._answered(self.rekeying.step(ike))

    def _answered(self, answer):
        if answer is not None:
            self.rekeying = None
        return answer
