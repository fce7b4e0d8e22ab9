#!/usr/bin/env python3
"""Stripe for tests and for the local stack: its API, hosted pages, signed webhooks and faults on demand.

It listens on a loopback address only. When it does, it prints one line that names its address. README.md next to
this file describes the control API.
"""

import argparse
import ipaddress
import itertools
import json
import signal
import sys
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

from api import API, Cut
from clockwork import prune, run_due
from control import Control, Wrong
from errors import StripeError
from pages import Pages
from store import Store
from webhooks import Courier
from world import World

BODY_BYTES_MAX = 1 << 20
CONNECTIONS_MAX = 256
SECONDS_MAX = 120  # for a client that sends nothing
TICK_SECONDS = 0.25
PRUNE_TICKS = 240


class Request(BaseHTTPRequestHandler):
    """One HTTP request, which is for the API, the control API or a page."""

    protocol_version = "HTTP/1.1"
    timeout = SECONDS_MAX
    wbufsize = -1  # head and body leave together
    api = control = pages = None

    def handle_method(self):
        body = self.body()
        if body is None:
            return
        path, _, query = self.path.partition("?")
        try:
            if path.startswith("/v1/"):
                self.answer_api(path, query, body)
            elif path.startswith("/simulator/"):
                self.answer_control(path, query, body)
            elif path == "/livez" and self.command == "GET":
                self.answer_json(200, {"status": "ok"})
            else:
                self.answer(*self.pages.answer(self.command, path, query, body))
        except Cut:
            self.close_connection = True
        except ConnectionError:
            raise
        except Exception:  # a fault of the simulator: tests must see it, and the process lives on
            traceback.print_exc()
            self.close_connection = True
            self.answer_json(500, {"error": {"message": "the simulator failed; its standard error has the reason", "type": "api_error"}})

    do_GET = do_POST = do_DELETE = handle_method

    def body(self):
        """Returns the body as text, or None after an answer to a body that cannot be read."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdigit():
            self.close_connection = True
            return self.answer_json(411, {"error": {"message": "send a Content-Length", "type": "invalid_request_error"}})
        if int(length) > BODY_BYTES_MAX:
            self.close_connection = True
            return self.answer_json(413, {"error": {"message": "the body is too large", "type": "invalid_request_error"}})
        return self.rfile.read(int(length)).decode("utf-8", "replace")

    def answer_api(self, path, query, body):
        answer = self.api.answer(self.command, path, query, body, self.headers)
        self.answer(answer.status, answer.headers | {"Content-Type": "application/json"}, answer.body)

    def answer_control(self, path, query, body):
        try:
            value = self.control.answer(self.command, path, dict(parse_qsl(query)), body)
        except Wrong as error:
            return self.answer_json(400, {"error": str(error)})
        except StripeError as error:
            return self.answer_json(error.status, {"error": error.error["message"]})
        if value is None:
            return self.answer_json(404, {"error": "README.md of the simulator lists the paths under /simulator/"})
        self.answer_json(200, value)

    def answer_json(self, status, value):
        self.answer(status, {"Content-Type": "application/json"}, json.dumps(value))

    def answer(self, status, headers, text):
        data = text.encode("utf-8", "replace") if isinstance(text, str) else text
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def send_error(self, code, message=None, explain=None):
        """Answers a request that the library refuses, in the same shape."""
        self.close_connection = True
        self.answer_json(code, {"error": {"message": message or self.responses[code][0], "type": "invalid_request_error"}})

    def log_message(self, format, *arguments):
        """Logs nothing; GET /simulator/requests lists the calls."""


class Server(ThreadingHTTPServer):
    """A thread for each connection. A connection too many waits."""

    request_queue_size = 256
    daemon_threads = True

    def __init__(self, *arguments):
        self.free = threading.BoundedSemaphore(CONNECTIONS_MAX)
        super().__init__(*arguments)

    def process_request(self, request, client_address):
        self.free.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.free.release()

    def handle_error(self, request, client_address):
        """Ignores a client that hung up, and reports everything else."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


def arguments():
    parser = argparse.ArgumentParser(description="Stripe for tests and for the local stack.")
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--data", help="a file that keeps the state; without it the state ends with the process")
    parser.add_argument("--first-retry", type=float, default=5.0,
        help="seconds until a failed delivery is repeated; each next wait doubles")
    given = parser.parse_args()
    try:
        is_own = ipaddress.ip_address(given.host).is_loopback
    except ValueError:
        is_own = False
    if not is_own:
        parser.error("--host must be a loopback address, as 127.0.0.1")
    if not 0 <= given.port <= 65_535:
        parser.error("--port must be from 0 to 65535")
    if not 0 < given.first_retry <= 3_600:
        parser.error("--first-retry must be above 0 and at most 3600")
    return given


def tick(world, stopped):
    """Does what falls due as the machine's clock moves."""
    for number in itertools.count(1):
        if stopped.wait(TICK_SECONDS):
            return
        try:
            run_due(world)
            world.store.persist()
            if number % PRUNE_TICKS == 0:
                prune(world)
        except Exception:  # a fault of the simulator: the next work goes on
            traceback.print_exc()


def serve(given):
    stopped, ends = threading.Event(), {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # in every thread: no handler can interrupt one that holds a lock
    server = Server((given.host, given.port), Request)
    address = f"http://{given.host}:{server.server_port}"
    world = World(Store(given.data), address)
    world.courier = Courier(world, given.first_retry)
    control = Control(world, world.courier)
    Request.api, Request.control, Request.pages = API(world, control.faults, control.requests), control, Pages(world)
    world.courier.start()
    threading.Thread(target=tick, args=(world, stopped), daemon=True).start()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"stripe simulator: {address}", flush=True)
    signal.sigwait(ends)
    stopped.set()
    server.shutdown()
    world.courier.stop()
    with world.store.lock:  # ends after the running transaction
        world.store.persist()
        world.store.database.close()


def main():
    try:
        serve(arguments())
    except OSError as error:
        sys.exit(f"stripe simulator: {error.strerror or error}")


if __name__ == "__main__":
    main()
