"""What the Diffie-Hellman groups have in common: long work in slices, and known answers before the first of it."""


class Slices:
    """A group with a secret of random(n). A subclass has number, size, name, base and

    _answers(): (secret, public value of a peer or None, the beginning of what comes of them), ...
    _number(peer): the number that a public value in octets stands for
    _slices(secret, base): a generator that ends after it has put the result into `value`, if there is one; base: such
        a number, or that of the group
    """

    value = None
    _known = False  # of a subclass: its answers were right
    _work = ()

    def __init__(self, random):
        self._secret = random(32)

    def begin(self, peer=None):
        """Start on our public value, or on the secret shared with the peer whose public value that is."""
        self.value = None
        base = self.base if peer is None else self._number(peer)  # whose octets take room
        self._work = () if peer is not None and len(peer) != self.size else self._checked(base)

    def step(self):
        """One slice; True when there is nothing more to do."""
        for _ in self._work:
            return False
        return True

    def _checked(self, base):
        group = type(self)
        if not group._known:
            yield from self._check()
            group._known = True
        yield from self._slices(self._secret, base)

    def _check(self):
        for secret, other, answer in self._answers():
            yield from self._slices(secret, self._number(other) if other else self.base)
            made, self.value = self.value, None
            if made is None or made[: len(answer)] != answer:
                raise NotImplementedError("%s: wrong answers on this machine" % self.name)
