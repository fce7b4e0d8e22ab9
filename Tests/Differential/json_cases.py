"""JSON texts that are valid, changed, and hostile."""

SPACES = ["", "", "", "", " ", "\n", "\t", "\r\n", "  "]
PIECES = (
    ["a", "B", "key", "0", " ", "/", "é", "e\u0301", "ก", "😀", "\u212a", "\x7f", "\u2028", "\ufeff", "{", "]", ",", ":", "\U0010ffff"]
    + [r"\n", r"\"", r"\\", r"\/", r"\b", r"\f", r"\r", r"\t", r"\u0041", r"\u00e9", r"\u0E01", r"\u0000", r"\uFFFF", r"\ud83d\ude00"]
    + [r"\u212a", r"e\u0301", "longer text of many letters"]
)
HOSTILE_PIECES = [r"\ud800", r"\udc00", r"\uD83D\u0041", r"\ud83d\\ude00", r"\x", r"\u12", r"\u12G4", r"\u+123", "\x00", "\x1f", "\n", '"', "\\"]
NAMES = ["model", "Model", "MODEL", r"mod\u0065l", "usage", "stream", "max_tokens", "a", "b", "A", "", "K", "\u212a", "é", "e\u0301", r"\u00e9"]
INTEGERS = ["0", "-0", "1", "-7", "42", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809"]
NUMBERS = INTEGERS + ["1.0", "1e3", "1E+400", "-1.5e-7", "0.10", "123456789012345678901234567890", "1e99999", "-0.0", "9" * 500]
HOSTILE_NUMBERS = ["00", "01", "-01", "+1", "1.", "-", ".5", "1e", "1e+", "NaN", "Infinity", "-Infinity", "0x1", "１", "1_0", "--1", "1.e1"]
LITERALS = ["true", "false", "null"]
HOSTILE_LITERALS = ["True", "nul", "nulll", "undefined", "'a'", "/* */1", "", ","]
# The first and the last of the sequences that UTF-8 does not have, and neighbours that it has.
NO_UTF8 = [b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf0\x80\x80\x80"]
NO_UTF8 += [b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xff", b"\xe2\x82", b"\xf0\x9f\x98", b"\x80", b"\xc3("]
UTF8 = [b"\xc2\x80", b"\xe0\xa0\x80", b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xf0\x90\x80\x80", b"\xf4\x8f\xbf\xbf", b"\xc2\xa0"]
JUNK = NO_UTF8 + UTF8 + [b"\xef\xbb\xbf", b"\x00", b"//", b"#"]
TOKENS = [b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\\u", b" ", b"\n", b"0", b"-", b"e", b".", b"1", b"null", b"true"]


class Texts:
    def __init__(self, random):
        self.random = random
        self.hostile = 0.0
        # The names of the last outermost object, as they are written.
        self.names = []

    def object(self):
        """Returns an object, mostly a valid one."""
        self.hostile = 0.05 if self.random.random() < 0.1 else 0.0
        return self._space() + self._object(0) + self._space()

    def value(self):
        """Returns a valid value."""
        self.hostile = 0.0
        return self._value(2)

    def any(self):
        """Returns the bytes of a text of any kind."""
        random = self.random
        draw = random.random()
        if draw < 0.004:
            return self._extreme()
        self.hostile = 0.05 if draw < 0.3 else 0.0
        data = (self._space() + (self._object(0) if draw < 0.9 else self._value(0)) + self._space()).encode()
        if draw > 0.55:
            return data
        data = bytearray(data)
        for _ in range(random.choice([1, 1, 1, 2, 4])):
            self._change(data)
        return bytes(data)

    def name(self):
        return self.random.choice(NAMES) if self.random.random() < 0.7 else self._text()

    def _choose(self, valid, hostile):
        return self.random.choice(hostile if self.random.random() < self.hostile else valid)

    def _space(self):
        return self.random.choice(SPACES)

    def _text(self):
        return "".join(self._choose(PIECES, HOSTILE_PIECES) for _ in range(self.random.choice([0, 1, 1, 2, 3, 6])))

    def _value(self, depth):
        draw = self.random.random()
        if depth < 5 and draw < 0.18:
            return self._object(depth)
        if depth < 5 and draw < 0.33:
            count = self.random.choice([0, 1, 2, 3])
            return "[" + ",".join(self._space() + self._value(depth + 1) + self._space() for _ in range(count)) + "]"
        if draw < 0.6:
            return '"' + self._text() + '"'
        if draw < 0.85:
            return self._choose(NUMBERS, HOSTILE_NUMBERS)
        return self._choose(LITERALS, HOSTILE_LITERALS)

    def _object(self, depth):
        members = []
        names = set()
        for _ in range(self.random.choice([0, 1, 2, 2, 3, 4, 6])):
            name = self.name()
            # Only few duplicates are meant to be.
            if name in names and self.random.random() < 0.95:
                continue
            names.add(name)
            space = self._space
            members.append(f'{space()}"{name}"{space()}:{space()}{self._value(depth + 1)}{space()}')
        self.names = list(names)
        return "{" + (",".join(members) or self._space()) + "}"

    def _change(self, data):
        random = self.random
        at = random.randrange(len(data) + 1)
        draw = random.random()
        if draw < 0.25:
            del data[at : at + random.choice([1, 1, 2, 5])]
        elif draw < 0.5:
            data[at:at] = random.choice(TOKENS)
        elif draw < 0.7:
            data[at:at] = random.choice(JUNK)
        elif draw < 0.8:
            data[at : at + 1] = bytes([random.randrange(256)])
        elif draw < 0.9:
            del data[at:]
        else:
            start = random.randrange(len(data) + 1)
            data[at:at] = data[start : start + random.randrange(12)]

    def _extreme(self):
        """Returns a text at a bound, just beyond it, or far beyond it."""
        random = self.random
        kind = random.randrange(5)
        if kind == 0:
            depth = random.choice([62, 63, 64, 65, 900, 100_000])
            opening, closing = random.choice([("[", "]"), ('{"a":', "}")])
            inner = opening * depth + ("1" if opening != "[" else "") + closing * random.choice([depth, depth, depth - 1])
            return (inner if random.random() < 0.5 else '{"deep":' + inner + "}").encode()
        if kind == 1:
            members = ",".join(f'"k{index}":1' for index in range(random.choice([255, 256, 257, 1_000])))
            return random.choice(["{%s}", '{"inner":{%s}}', '[{"a":1},{%s}]']).replace("%s", members).encode()
        if kind == 2:
            name = random.choice(["n", "ก", r"\u0e01", r"\n", "😀"])
            name = name * (random.choice([255, 256, 257, 258]) // len(name.encode())) + "n" * random.randrange(4)
            return random.choice(['{"%s":1}', '{"inner":{"%s":1}}', '{"a":[{"%s":1}]}']).replace("%s", name).encode()
        if kind == 3:
            return ('{"n":' + random.choice(["-", ""]) + "9" * 5_000 + random.choice(["", ".5", "e9"]) + "}").encode()
        return (b" " * random.randrange(3_000)) + b'{"text":"' + (random.choice(PIECES) * 800).encode() + b'"}'
