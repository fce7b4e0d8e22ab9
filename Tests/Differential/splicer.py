"""The splicer, next to the same change made by Python.

The result must parse to the members with the changes made, and have every byte of the original outside of them: white space, the
spelling of names and values, the commas between members that stay. A removed member takes the comma in front of it, or the one
behind it if it is the first.
"""

import json

from json_cases import Texts
from scanner import Refused, depth, expected, parse, split
from wire import Reply, block, number


def case(random):
    texts = Texts(random)
    text = texts.object()
    names = texts.names
    changes = []
    for _ in range(random.choice([0, 1, 1, 2, 3, 5])):
        name = random.choice(names) if names and random.random() < 0.5 else texts.name()
        try:
            name = json.loads(f'"{name}"')
            name.encode()
        except ValueError:
            continue
        changes.append((name, None if random.random() < 0.3 else texts.value()))
    parts = [b"e", block(text.encode()), number(len(changes))]
    for name, raw in changes:
        parts.append((b"-" if raw is None else b"+") + block(name.encode()) + (b"" if raw is None else block(raw.encode())))
    return b"".join(parts), (text.encode(), changes)


def spliced(text, changes):
    last = dict(changes)
    if not last:
        return text
    members = split(text)
    head = text[: members[0][2]] if members else text[: text.index("{") + 1]
    tail = text[members[-1][4] :] if members else text[text.index("{") + 1 :]
    result = ""
    before = None
    for name, _, start, _, end in members:
        separator, before = (None if before is None else text[before:start]), end
        if name in last and last[name] is None:
            del last[name]
            continue
        result += (separator or ",") if result else ""
        result += plain(name, last.pop(name)) if name in last else text[start:end]
    for name, raw in last.items():
        if raw is not None:
            result += ("," if result else "") + plain(name, raw)
    return head + result + tail


def plain(name, raw):
    return json.dumps(name, ensure_ascii=False) + ":" + raw


def edited(pairs, changes):
    """The members after the changes, as values."""
    last = {name: raw for name, raw in changes}
    result = []
    for name, value in pairs:
        if name not in last:
            result.append((name, value))
        elif last[name] is not None:
            result.append((name, parse(last[name].encode())[1]))
        last.pop(name, None)
    return result + [(name, parse(raw.encode())[1]) for name, raw in last.items() if raw is not None]


def check(made, answer):
    data, changes = made
    try:
        of_object, _ = expected(data)
        if of_object[0].startswith(b"!"):
            raise Refused
    except Refused:
        return None if answer == b"!" else "only the gateway accepts it"
    reply = Reply(answer)
    if reply.tag() != b"=":
        return "only the gateway refuses it"
    got = reply.block()
    text, pairs = parse(data)
    wanted = spliced(text, changes).encode()
    if got != wanted:
        return f"spliced to {got!r}, not to {wanted!r}"
    if parse(got)[1] != edited(pairs, changes):
        return f"spliced to other members: {got!r}"
    return None
