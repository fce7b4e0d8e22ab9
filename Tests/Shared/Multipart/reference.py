"""Reads forms with python-multipart, which Starlette and FastAPI use.

A line of the file that is named has the content type and the body in hexadecimal digits. A line of the output
is `refused`, or `form` and a word for each part: name, file name, type and content, each in
hexadecimal digits or `-`, with commas between them.
"""

import logging
import sys

from python_multipart.multipart import MultipartParser, parse_options_header

logging.disable(logging.CRITICAL)


class Refused(Exception):
    pass


class Form:
    def __init__(self):
        self.parts, self.field, self.value, self.ended = [], b"", b"", False

    def part_begin(self):
        self.parts.append({"headers": {}, "content": b""})

    def part_data(self, data, start, end):
        self.parts[-1]["content"] += data[start:end]

    def header_field(self, data, start, end):
        self.field += data[start:end]

    def header_value(self, data, start, end):
        self.value += data[start:end]

    def header_end(self):
        self.parts[-1]["headers"][self.field.lower()] = self.value
        self.field, self.value = b"", b""

    def end(self):
        self.ended = True


def read(content_type, body):
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise Refused
    form = Form()
    names = ["part_begin", "part_data", "header_field", "header_value", "header_end", "end"]
    parser = MultipartParser(options[b"boundary"], {"on_" + name: getattr(form, name) for name in names})
    parser.write(body)
    parser.finalize()
    if not form.ended:
        raise Refused
    words = []
    for part in form.parts:
        _, disposition = parse_options_header(part["headers"].get(b"content-disposition"))
        if b"name" not in disposition:
            raise Refused
        values = [disposition[b"name"], disposition.get(b"filename"), part["headers"].get(b"content-type"), part["content"]]
        words.append(",".join("-" if value is None else value.hex() for value in values))
    return " ".join(["form", *words])


for line in open(sys.argv[1], encoding="ascii"):
    content_type, body = (bytes.fromhex(word) for word in line.rstrip("\n").split(" "))
    try:
        print(read(content_type, body))
    except Exception:
        print("refused")
