"""Weighs the pages of a running stack, and measures the answers of auth. Prints tables.

weigh.py STACK.JSON

BENCH_PAGE_REQUESTS  2000: requests for each page and each figure, over one kept connection
"""

import gzip
import http.client
import os
import re
import statistics
import sys
import time
import urllib.parse

from gateway import Gateway
from pages import PAGES, Scene

REQUESTS = int(os.environ.get("BENCH_PAGE_REQUESTS", "2000"))
TICK = os.sysconf("SC_CLK_TCK")


class Connection:
    """A kept connection of a browser."""

    def __init__(self, url, cookies):
        self.http = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=30)
        self.headers = {"cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())} if cookies else {}

    def get(self, path, **headers):
        self.http.request("GET", path, headers=self.headers | headers)
        return self.http.getresponse()

    def milliseconds(self, path):
        """The time to the first byte of the answer."""
        began = time.perf_counter()
        answer = self.get(path)
        took = (time.perf_counter() - began) * 1_000
        answer.read()
        return took


def cpu(pid):
    """User and system time of a process in milliseconds (proc(5))."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1_000 / TICK


def table(title, header, rows):
    widths = [max(len(str(row[column])) for row in [header, *rows]) for column in range(len(header))]
    print(f"\n{title}\n")
    for row in [header, ["-" * width for width in widths], *rows]:
        print("| " + " | ".join(str(cell).ljust(width) for cell, width in zip(row, widths)) + " |", flush=True)


def weight(connection, path):
    """The size of an answer, plain and compressed, and its text."""
    plain = connection.get(path, **{"accept-encoding": "identity"}).read()
    answer = connection.get(path, **{"accept-encoding": "gzip"})
    packed = answer.read()
    text = gzip.decompress(packed) if answer.headers["content-encoding"] == "gzip" else packed
    return len(plain), len(packed), text.decode()


def weights(pages):
    rows = []
    for page, path, cookies in pages:
        connection = Connection(gateway.edge, cookies)
        plain, packed, text = weight(connection, path)
        assets = [weight(connection, asset)[1] for asset in sorted(set(re.findall(r'="(/assets/[^"]+)"', text)))]
        rows.append([page.name, plain, packed, packed + sum(assets)])
    table(
        "Weight in bytes. The first page loads stylesheet, script and icon too.",
        ["page", "plain", "gzip", "gzip with assets"],
        rows,
    )


def times(pages):
    rows = []
    for page, path, cookies in pages:
        row = [page.name]
        for url, live in ((gateway.auth, gateway.stack["health"]["auth"]), (gateway.edge, gateway.edge)):
            shown, alive = Connection(url, cookies), Connection(live, {})
            pairs = [(shown.milliseconds(path), alive.milliseconds("/livez")) for _ in range(REQUESTS)]
            row += [f"{statistics.median(times):.2f}" for times in zip(*pairs)]
        rows.append(row)
    table(
        f"Time to the first byte in ms, the median of {REQUESTS}, in turn with /livez.",
        ["page", "auth", "its /livez", "through the edge", "its /livez"],
        rows,
    )


def costs(pages):
    rows, pid = [], gateway.stack["pids"]["auth"]
    for page, path, cookies in pages:
        connection = Connection(gateway.auth, cookies)
        before = cpu(pid)
        for _ in range(REQUESTS):
            connection.get(path).read()
        rows.append([page.name, f"{(cpu(pid) - before) / REQUESTS:.3f}"])
    table(f"CPU time of auth in ms a page, over {REQUESTS} requests.", ["page", "ms"], rows)


gateway = Gateway(sys.argv[1])
scene = Scene(gateway)
shown = [
    (page, scene.path(page), scene.cookies(page.viewer))
    for page in PAGES
    if page.form is None and page.status == 200
]
weights(shown)
times(shown)
costs(shown)
