"""What the Diffie-Hellman groups have in common: long work in slices, and known answers before the first of it."""


class Slices:
    """A group with a secret of random(n). A subclass has number, size, name and

    _ANSWERS: (secret, public value of a peer or None, the beginning of what comes of them), ...
    _slices(secret, peer): a generator that ends after it has put the result into `value`, if there is one
    """

    value = None
    _known = False  # of a subclass: its answers were right
    _work = ()

    def __init__(self, random):
        self._secret = random(32)

    def begin(self, peer=None):
        """Start on our public value, or on the secret shared with the peer whose public value that is."""
        self.value = None
        self._work = () if peer is not None and len(peer) != self.size else self._checked(peer)

    def step(self):
        """One slice; True when there is nothing more to do."""
        for _ in self._work:
            return False
        return True

    def _checked(self, peer):
        group = type(self)
        if not group._known:
            for secret, other, answer in group._ANSWERS:
                yield from self._slices(secret, other)
                made, self.value = self.value, None
                if made is None or made[: len(answer)] != answer:
                    raise NotImplementedError("%s: wrong answers on this machine" % group.name)
            group._known = True
        yield from self._slices(self._secret, peer)
