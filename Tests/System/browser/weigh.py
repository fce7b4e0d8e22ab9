"""Weighs the pages of a running stack, and measures the answers of their services. Prints a table.

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


def table(header, rows):
    print("| " + " | ".join(header) + " |\n|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)


def weight(connection, path):
    """The size of an answer, plain and compressed, and its text."""
    plain = connection.get(path, **{"accept-encoding": "identity"}).read()
    answer = connection.get(path, **{"accept-encoding": "gzip"})
    packed = answer.read()
    text = gzip.decompress(packed) if answer.headers["content-encoding"] == "gzip" else packed
    return len(plain), len(packed), text.decode()


def weights(cookies, path):
    """The page, plain and compressed, and compressed with the stylesheet, script and icon that the first page loads too."""
    connection = Connection(gateway.edge, cookies)
    plain, packed, text = weight(connection, path)
    assets = [weight(connection, asset)[1] for asset in sorted(set(re.findall(r'="(/assets/[^"]+)"', text)))]
    return [f"{size:,}" for size in (plain, packed, packed + sum(assets))]


def times(service, cookies, path):
    """Medians of the time to the first byte, in turn with /livez: the service, its /livez, the edge, its /livez."""
    row = []
    for url, live in ((gateway.stack["services"][service], gateway.stack["health"][service]), (gateway.edge, gateway.edge)):
        shown, alive = Connection(url, cookies), Connection(live, {})
        pairs = [(shown.milliseconds(path), alive.milliseconds("/livez")) for _ in range(REQUESTS)]
        row += [f"{statistics.median(times):.2f}" for times in zip(*pairs)]
    return row


def cost(service, cookies, path):
    """The CPU time of the service for a page."""
    pid, connection = gateway.stack["pids"][service], Connection(gateway.stack["services"][service], cookies)
    before = cpu(pid)
    for _ in range(REQUESTS):
        connection.get(path).read()
    return f"{(cpu(pid) - before) / REQUESTS:.2f}"


gateway = Gateway(sys.argv[1])
scene = Scene(gateway)
shown = [page for page in PAGES if page.form is None and page.status == 200 and "?done=" not in page.path]
rows = []
for page in shown:
    cookies, path = scene.cookies(page.viewer), scene.path(page)
    rows.append([page.name, *weights(cookies, path), *times(page.service, cookies, path), cost(page.service, cookies, path)])
print(f"Weight in bytes; time to the first byte and CPU time of the service in ms, over {REQUESTS} requests each.\n")
table(["page", "plain", "gzip", "first page", "service", "`/livez`", "edge", "`/livez`", "CPU"], rows)
