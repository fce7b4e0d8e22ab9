"""The conversation with `parser-probe`: blocks with their length in front, as `Probe/ParserProbe.swift` reads and writes them."""

import struct
import subprocess
import threading


def number(value):
    return struct.pack("<I", value)


def block(data):
    return struct.pack("<I", len(data)) + data


class Reply:
    """The fields of an answer, read front to back."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def tag(self):
        self.at += 1
        return self.data[self.at - 1 : self.at]

    def block(self):
        (count,) = struct.unpack_from("<I", self.data, self.at)
        self.at += 4 + count
        return self.data[self.at - count : self.at]


class Probe:
    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1 << 20)

    def ask(self, cases):
        """Sends cases and returns their answers. A thread sends, because both pipes may be full at once."""
        sender = threading.Thread(target=self._send, args=(cases,), daemon=True)
        sender.start()
        answers = [self._answer() for _ in cases]
        sender.join()
        return answers

    def _send(self, cases):
        self.process.stdin.write(b"".join(block(case) for case in cases))
        self.process.stdin.flush()

    def _answer(self):
        head = self.process.stdout.read(4)
        if len(head) < 4:
            raise SystemExit(f"the probe ended with {self.process.wait()}")
        return self.process.stdout.read(struct.unpack("<I", head)[0])

    def close(self):
        self.process.stdin.close()
        self.process.wait()
