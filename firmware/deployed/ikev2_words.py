"""What a deployed library says to people: it lies in flash, in a file beside this one, and is read when it is said."""

_FILE = __file__[: __file__.rfind("/") + 1] + "ikev2_words"


def from_flash(at):
    """The text that begins at this octet of the file; "?" if the file is not there."""
    try:
        with open(_FILE) as words:
            words.seek(at)
            return words.readline()[:-1]
    except OSError:
        return "?"
