"""Reads the JSON object that configures a board: one verdict on the PC and on the board, whatever their `json` takes.

RFC 8259, as far as a configuration has it: an object of strings, numbers, true, false, null, and lists and objects of
these.
MicroPython's own parser overlooks missing commas and much else, says no line, and makes of a surrogate pair other
octets than CPython's. Refused as well: a key that stands twice, half a surrogate pair, what is no UTF-8.

It reads octets: short texts, and characters taken out of one, are names in MicroPython, kept for ever.
"""

_SPACE = b" \t\r\n"
_ESCAPES = {b'"': b'"', b"\\": b"\\", b"/": b"/", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_WORDS = ((b"true", True), (b"false", False), (b"null", None))
_DIGITS = b"0123456789"
_NO_JSON = 'no valid JSON object: { "key": value, ... }'


def text_of(octets):
    """UTF-8 octets without a byte order mark; UnicodeError if they are none. MicroPython takes some that are none."""
    text = octets.decode()
    if len(text) == len(octets):
        return octets
    for character in text:
        if 0xD800 <= ord(character) < 0xE000 or ord(character) > 0x10FFFF:
            raise UnicodeError
    if "".join([chr(ord(character)) for character in text]).encode() != octets:
        raise UnicodeError
    return octets[3:] if octets[:3] == b"\xef\xbb\xbf" else octets


class Reader:
    """Reads one text of UTF-8 octets. fail(line, what) is called with what is wrong, and must raise."""

    def __init__(self, text, fail):
        self._text = text
        self._fail = fail
        self._at = 0
        self._line = 1

    def read(self):
        """({key: value}, {key: line}) of the object that the text is."""
        found = self._object(2)
        if self._next():
            self._wrong()
        return found

    def _wrong(self, what=_NO_JSON):
        self._fail(self._line, what)

    def _object(self, depth):
        """Its values and their lines; `depth`: of the objects that may be in it. Lists are in the outermost only."""
        values = {}
        lines = {}
        self._take(b"{")
        closing = self._next() == b"}"
        if closing:
            self._take(b"}")
        while not closing:
            if self._next() != b'"':
                self._wrong()
            line = self._line
            key = self._string()
            if key in values:
                self._fail(line, "a key that stands in line %d already" % lines[key])
            self._take(b":")
            values[key] = self._value(depth)
            lines[key] = line
            closing = self._take(b",}") == b"}"
        return values, lines

    def _next(self):
        """The next character that is no space, where it stands; '' at the end."""
        while True:
            character = self._text[self._at : self._at + 1]
            if not character or character not in _SPACE:
                return character
            self._line += character == b"\n"
            self._at += 1

    def _take(self, expected):
        character = self._next()
        if not character or character not in expected:
            self._wrong()
        self._at += 1
        return character

    def _value(self, depth):
        character = self._next()
        if character == b'"':
            return self._string()
        if character and character in b"-" + _DIGITS:
            return self._number()
        if character == b"[" and depth == 2:
            return self._list()
        if character == b"{" and depth:
            return self._object(depth - 1)[0]
        for word, value in _WORDS:
            if self._text[self._at : self._at + len(word)] == word:
                self._at += len(word)
                return value
        self._wrong()

    def _list(self):
        values = []
        self._take(b"[")
        if self._next() == b"]":
            self._take(b"]")
            return values
        while True:
            values.append(self._value(0))
            if self._take(b",]") == b"]":
                return values

    def _digits(self):
        start = self._at
        while self._text[self._at : self._at + 1] in _DIGITS and self._at < len(self._text):
            self._at += 1
        if self._at == start:
            self._wrong("a number without digits")
        return self._text[start : self._at]

    def _number(self):
        start = self._at
        self._at += self._text[start : start + 1] == b"-"
        digits = self._digits()
        if digits.startswith(b"0") and len(digits) > 1:
            self._wrong("a number with a zero in front")
        whole = True
        if self._text[self._at : self._at + 1] == b".":
            whole = False
            self._at += 1
            self._digits()
        if self._text[self._at : self._at + 1] in (b"e", b"E"):
            whole = False
            self._at += 1
            self._at += self._text[self._at : self._at + 1] in (b"+", b"-")
            self._digits()
        if not whole:
            return 0.5  # whatever it is, it is no whole number
        return int(self._text[start : min(self._at, start + 12)])  # more digits than that are too many as well

    def _string(self):
        text = self._text
        self._at += 1
        octets = b""
        while True:
            at = self._at
            end = text.find(b'"', at)
            escape = text.find(b"\\", at, end if end >= 0 else len(text))
            run = text[at:] if end < 0 else text[at : escape if escape >= 0 else end]
            if run and min(run) < 0x20:
                self._wrong('a string ends with " in its line; in it \\n is a new line, \\t a tab')
            if end < 0:
                self._wrong()
            octets += run
            if escape < 0:
                self._at = end + 1
                return octets.decode()
            self._at = escape + 1
            octets += self._escaped()

    def _escaped(self):
        character = self._text[self._at : self._at + 1]
        self._at += 1
        if character in _ESCAPES:
            return _ESCAPES[character]
        if character != b"u":
            self._wrong('\\ in a string stands before one of " \\ / b f n r t u')
        code = self._hex()
        if 0xD800 <= code < 0xDC00 and self._text[self._at : self._at + 2] == b"\\u":
            self._at += 2
            low = self._hex()
            if 0xDC00 <= low < 0xE000:
                return chr(0x10000 + ((code - 0xD800) << 10 | (low - 0xDC00))).encode()
        if 0xD800 <= code < 0xE000:
            self._wrong("half a surrogate pair: write the character itself, or both halves")
        return chr(code).encode()

    def _hex(self):
        digits = self._text[self._at : self._at + 4].lower()
        self._at += 4
        for digit in digits:
            if digit not in b"0123456789abcdef":
                digits = b""
        if len(digits) != 4:
            self._wrong("\\u wants four hexadecimal digits")
        return int(digits, 16)
