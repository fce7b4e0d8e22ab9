"""The strict readers and the scanner, next to the `json` module of Python.

Where Python is more lenient than RFC 8259 and RFC 3629, or where the gateway has a bound, the rule stands here:

| text | rule |
|---|---|
| NaN, Infinity, -Infinity | refused |
| a lone surrogate, as an escape | refused |
| bytes that are no UTF-8, a byte order mark | refused, as Python refuses them in a decoded text |
| more than 64 containers in each other | refused |
| an object with a name twice, byte for byte once decoded | refused when the object is read |
| an object of more than 256 members, or with a written name of more than 256 bytes | refused when the object is read |
"""

import json
import re
from json.decoder import scanstring

from json_cases import Texts
from wire import block, number

DEPTH_MAX = 64
MEMBERS_MAX = 256
NAME_BYTES_MAX = 256
SPACE = " \t\n\r"
ESCAPE = re.compile(r"\\u[dD][89abAB]..\\u....|\\u....|\\.")
STRING_OR_BRACE = re.compile(r'("(?:[^"\\]|\\.)*")[ \t\n\r]*(:?)|[{}]', re.DOTALL)
INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)


class Refused(Exception):
    """A text that the reference refuses."""


class Number(str):
    pass


class Members(list):
    """The members of an object as pairs. `flaws` are the letters of the rules that it breaks."""

    __slots__ = ("flaws",)

    def __init__(self, pairs):
        super().__init__(pairs)
        self.flaws = ""
        if len({name for name, _ in pairs}) < len(pairs):
            self.flaws += "k"
        if len(pairs) > MEMBERS_MAX:
            self.flaws += "m"


def refuse(_):
    raise Refused


def decoder(hook):
    return json.JSONDecoder(object_pairs_hook=hook, parse_int=Number, parse_float=Number, parse_constant=refuse)


PLAIN = decoder(Members)


def parse(data):
    """Returns a text and its value. Raises `Refused`, also for a text that is nested too deeply for Python."""
    try:
        text = data.decode()
        if len(data) <= NAME_BYTES_MAX:
            return text, PLAIN.decode(text)
        objects = []

        def hook(pairs):
            objects.append(Members(pairs))
            return objects[-1]

        value = decoder(hook).decode(text)
    except (ValueError, RecursionError) as error:
        raise Refused from error
    for members, is_long in zip(objects, long_names(text), strict=True):
        if is_long:
            members.flaws += "n"
    return text, value


def long_names(text):
    """Returns whether each object of a valid text has a name that is too long, in the order in which objects end."""
    ended, open_objects = [], []
    for match in STRING_OR_BRACE.finditer(text):
        if match[0] == "{":
            open_objects.append(False)
        elif match[0] == "}":
            ended.append(open_objects.pop())
        elif match[2] and len(match[1].encode()) - 2 > NAME_BYTES_MAX:
            open_objects[-1] = True
    return ended


def depth(value):
    if isinstance(value, Members):
        return 1 + max((depth(inner) for _, inner in value), default=0)
    if isinstance(value, list):
        return 1 + max((depth(inner) for inner in value), default=0)
    return 0


def split(text):
    """Returns the members of an object: decoded name, value, and the places of the name, the value and their ends."""

    def skip(at):
        while text[at] in SPACE:
            at += 1
        return at

    members = []
    at = skip(skip(0) + 1)
    while text[at] != "}":
        start = at
        name, at = scanstring(text, at + 1)
        value_start = skip(skip(at) + 1)
        value, end = PLAIN.raw_decode(text, value_start)
        members.append((name, value, start, value_start, end))
        at = skip(end)
        if text[at] == ",":
            at = skip(at + 1)
    return members


def integer(text):
    if INTEGER.fullmatch(text) and -(1 << 63) <= int(text) < 1 << 63:
        return b"i" + block(str(int(text)).encode())
    return b"-"


def write(value, out, reads_objects):
    """Writes a value as the probe does. With `reads_objects`, an object that breaks a rule is refused where it is read."""
    if isinstance(value, Members):
        if reads_objects and value.flaws:
            raise Refused
        out.append(b"{" + number(len(value)))
        for name, inner in value:
            out.append(block(name.encode()))
            if not reads_objects:
                write(inner, out, False)
                continue
            part = []
            try:
                write(inner, part, True)
                out += part
            except Refused:
                out.append(b"!")
    elif isinstance(value, list):
        out.append(b"[" + number(len(value)))
        for inner in value:
            write(inner, out, reads_objects)
    elif isinstance(value, Number):
        out.append(b"n" + block(value.encode()) + integer(value))
    elif isinstance(value, str):
        out.append(b"s" + block(value.encode()))
    else:
        out.append(b"t" if value is True else b"f" if value is False else b"0")


def kind(value):
    if isinstance(value, Members):
        return b"{"
    if isinstance(value, list):
        return b"["
    if isinstance(value, Number):
        return b"n"
    return b"s" if isinstance(value, str) else b"t" if value is True else b"f" if value is False else b"0"


def decoded_count(text, data):
    if "\\" not in text:
        return len(data)
    return len(data) - sum(len(found) - len(json.loads(f'"{found}"').encode()) for found in ESCAPE.findall(text))


def object_answer(text, data):
    members = split(text)
    parts = [b"{" + number(decoded_count(text, data)) + number(len(members))]
    for name, value, start, value_start, end in members:
        parts.append(block(name.encode()) + kind(value) + block(text[start:end].encode()) + block(text[value_start:end].encode()))
        if isinstance(value, Number):
            parts.append(integer(value))
    return b"".join(parts)


def refusal(flaws):
    return [b"!" + flaw.encode() for flaw in flaws]


def expected(data):
    """Returns the right answers of the reader of objects, and those of the reader of values with the scanner.

    A text that breaks several rules may be refused by each of them. Raises `Refused` for a text that both readers must refuse.
    """
    text, value = parse(data)
    try:
        scanned = []
        write(value, scanned, False)
        if depth(value) > DEPTH_MAX:
            raise Refused
    except (UnicodeEncodeError, RecursionError) as error:  # a lone surrogate, or far too many containers
        raise Refused from error
    if not isinstance(value, Members):
        of_object = [b"!o"]
    elif value.flaws:
        of_object = refusal(value.flaws)
    else:
        of_object = [object_answer(text, data)]
    try:
        read = []
        write(value, read, True)
        of_value = [b"".join(read + scanned)]
    except Refused:
        of_value = refusal("kmn")
    return of_object, of_value


def case(random):
    data = Texts(random).any()
    return b"j" + data, data


def check(data, answer):
    """Returns how the answer differs from the reference; None if it does not."""
    try:
        of_object, of_value = expected(data)
    except Refused:
        is_refused = len(answer) == 4 and answer[0:1] == answer[2:3] == b"!" and b"?" not in answer
        return None if is_refused else f"only the gateway accepts it: {answer!r}"
    if any(answer == first + second for first in of_object for second in of_value):
        return None
    return f"read as {answer!r}, not as {(of_object, of_value)!r}"
