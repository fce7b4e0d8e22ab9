"""The parser of event streams, next to `httpx-sse` from PyPI.

Where `httpx-sse` 0.4.3 differs from the WHATWG text (HTML, 9.2.6), or the gateway does, the rule stands here:

| stream | WHATWG | `httpx-sse` | gateway |
|---|---|---|---|
| a byte order mark at the start | ignored | part of the first name | ignored; so it is cut off before `httpx-sse` reads |
| an event without `data` | dropped | given out after an `event`, `id` or `retry` | passed on without data; so only events with a `data` line are compared |
| an event at the end without an empty line | dropped | dropped | an event, because some servers leave the last line end out; so `httpx-sse` gets an empty line |
| bytes that are no UTF-8 | U+FFFD | left to the caller | passed on; so they are decoded here, as WHATWG says |
"""

from httpx_sse._decoders import SSEDecoder, SSELineDecoder
from wire import Reply, number

PIECES = (
    [b"data", b"data:", b"data: ", b"data:  x", b"data: text", b"event", b"event:", b"event: delta", b"event:ping", b"id: 1", b"id: a\0b", b"id"]
    + [b"retry: 10", b"retry: x", b":", b": comment", b":data: x", b"Data: x", b" data: x", b"data : x", b"data:a:b", b"unknown: x", b"x"]
    + [b"[DONE]", b'{"a":1}', b"\t", b" ", b"\0", b"\x0b", b"\x0c", b"\x85", b"\xe2\x80\xa8", b"\xc2\x85", b"\xef\xbb\xbf", b"\xff", b"\xe2\x82"]
    + ["ก".encode(), "😀".encode(), b"data: " + b"y" * 60]
)
ENDS = [b"\n", b"\n", b"\n", b"\r\n", b"\r\n", b"\r", b"\n\n", b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r", b"\n\r\n", b"\r\n\n", b"\r\r\n"]
BOM = b"\xef\xbb\xbf"


def case(random):
    style = ENDS if random.random() < 0.5 else random.choice([[b"\n", b"\n\n"], [b"\r\n", b"\r\n\r\n"], [b"\r", b"\r\r"]])
    stream = BOM if random.random() < 0.1 else b""
    for _ in range(random.choice([1, 2, 4, 8, 16])):
        stream += random.choice(PIECES)
        if random.random() < 0.85:
            stream += random.choice(style)
    if random.random() < 0.2:
        at = random.randrange(len(stream) + 1)
        stream = stream[:at] + bytes([random.randrange(256)]) + stream[at + random.randrange(2) :]
    # Cuts between CR and LF, after each byte, and in two at one place.
    cuts = sorted(random.randrange(len(stream) + 1) for _ in range(random.choice([0, 1, 2, 5, len(stream)])))
    longest = random.choice([8, 16, 32, 64, 1 << 20])
    head = b"s" + number(longest) + number(len(cuts)) + b"".join(number(cut) for cut in cuts)
    return head + stream, (stream, cuts, longest)


def reference(stream, cuts):
    """Returns name and data of each event that has data."""
    text = (stream[3:] if stream.startswith(BOM) else stream).decode(errors="replace")
    lines, decoder, events = SSELineDecoder(), SSEDecoder(), []

    def take(line):
        if not line and decoder._data:
            events.append((decoder._event, "\n".join(decoder._data)))
        decoder.decode(line)

    # Cut as the gateway's stream is, though at characters: it must not matter for this parser either.
    at = 0
    for cut in [cut for cut in cuts if cut < len(text)] + [len(text)]:
        if cut > at:
            for line in lines.decode(text[at:cut]):
                take(line)
        at = max(at, cut)
    for line in lines.flush():
        take(line)
    take("")
    return events


def read(reply):
    events = []
    while (tag := reply.tag()) not in (b"b", b"e"):
        events.append((tag, reply.block(), reply.block(), reply.block()))
    return events, tag == b"b"


def check(made, answer):
    stream, cuts, longest = made
    reply = Reply(answer)
    events, is_broken = read(reply)
    if is_broken or b"".join(raw for _, _, _, raw in events) != stream:
        return "the events are not all of the bytes"
    got = [(name.decode(errors="replace"), data.decode(errors="replace")) for tag, name, data, _ in events if tag == b"d"]
    wanted = reference(stream, cuts)
    if got != wanted:
        return f"read as {got!r}, not as {wanted!r}"
    bounded, is_broken = read(reply)
    fitting = next((index for index, event in enumerate(events) if len(event[3]) > longest), len(events))
    if bounded != events[:fitting] or is_broken != (fitting < len(events)):
        return f"with events of at most {longest} bytes read as {bounded!r}"
    return None
