"""A simulator as a process, the pinned package as its client, and a webhook endpoint that remembers."""

import json
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener, urlopen

import shapes
import stripe

FOLDER = Path(__file__).parents[1]
DEADLINE_SECONDS = 120
PAYS, DECLINED, POOR, ASKS = "4242424242424242", "4000000000000002", "4000000000009995", "4000002500003155"
CALLED = set()  # every (method, path) of the API that a test has used


class Receiver:
    """A webhook endpoint that keeps what it gets, and answers with the statuses it is given, then 200."""

    def __init__(self):
        self.changed, self.requests, self.statuses, self.connections = threading.Condition(), [], [], 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                with receiver.changed:
                    receiver.connections += 1
                super().setup()

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with receiver.changed:
                    status = receiver.statuses.pop(0) if receiver.statuses else 200
                    receiver.requests.append((self.headers["Stripe-Signature"], body, status))
                    receiver.changed.notify_all()
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size, daemon_threads = 64, True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/api/webhooks/stripe"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.requests) >= count,
                DEADLINE_SECONDS), f"{len(self.requests)} of {count} deliveries"
            return list(self.requests)

    def events(self, secret):
        """Returns the delivered events after the package has verified each."""
        with self.changed:
            requests = list(self.requests)
        return [stripe.Webhook.construct_event(body, header, secret) for header, body, _ in requests]


class Simulator:
    def __init__(self, *options):
        command = [sys.executable, str(FOLDER / "stripe_simulator.py"), "--port", "0", "--first-retry", "0.05", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert re.fullmatch(r"stripe simulator: http://127\.0\.0\.1:[0-9]+\n", line), line
        self.address = line.split()[-1]
        self.stripe = self.client()

    def client(self, key="sk_test_simulator", **options):
        return stripe.StripeClient(key, base_addresses={"api": self.address}, max_network_retries=0, **options).v1

    def stop(self):
        for request in self.control("GET", "requests")["requests"]:
            CALLED.add((request["method"], request["path"]))
        self.process.terminate()
        assert self.process.wait(DEADLINE_SECONDS) == 0

    def control(self, method, path, /, **value):
        request = Request(f"{self.address}/simulator/{path}", json.dumps(value).encode() if value else None, method=method)
        try:
            with urlopen(request) as answer:
                return json.load(answer)
        except HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from None

    def post(self, path, /, **value):
        return self.control("POST", path, **value)

    def advance(self, seconds):
        return self.post("clock", advance=seconds)["now"]

    def now(self):
        return self.control("GET", "clock")["now"]

    def raw(self, method, path, body="", **headers):
        """Returns status, headers and JSON of a request without the package."""
        place = urlsplit(self.address)
        connection = HTTPConnection(place.hostname, place.port, timeout=DEADLINE_SECONDS)
        given = {"Authorization": "Bearer sk_test_simulator", "Content-Type": "application/x-www-form-urlencoded"}
        connection.request(method, path, body, given | {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, answer.headers, json.loads(data) if data else None

    def page(self, path, /, **form):
        """Returns status, place and text of a page, without following it."""
        opener = build_opener(NoRedirect)
        data = urlencode(form).encode() if form else None
        try:
            answer = opener.open(Request(path if path.startswith("http") else self.address + path, data))
        except HTTPError as error:
            answer = error
        return answer.status, answer.headers.get("Location"), answer.read().decode("utf-8", "replace")

    # What most tests begin with

    def customer(self, **more):
        return self.stripe.customers.create({"email": "a@example.com", "name": "Ada", "metadata": {"user_id": "u1"}} | more)

    def prices(self):
        found = {price.lookup_key: price for price in self.stripe.prices.list({"limit": 100}).data}
        if "pro_monthly" not in found:
            pro, enterprise = (self.stripe.products.create({"name": name}) for name in ("Pro", "Enterprise"))
            for product, key, amount, interval in (
                    (pro, "pro_monthly", 2_900, "month"), (enterprise, "enterprise_monthly", 19_900, "month"),
                    (pro, "pro_yearly", 31_320, "year")):
                found[key] = self.stripe.prices.create({
                    "product": product.id, "currency": "usd", "unit_amount": amount, "recurring": {"interval": interval},
                    "lookup_key": key})
        return found

    def session(self, mode="payment", **more):
        item = {"price": self.prices()["pro_monthly"].id, "quantity": 1} if mode == "subscription" else {
            "price_data": {"currency": "usd", "unit_amount": 900, "product_data": {"name": "100 credits"}}, "quantity": 1}
        return self.stripe.checkout.sessions.create({
            "mode": mode, "line_items": [item], "success_url": "http://127.0.0.1:1/done?session_id={CHECKOUT_SESSION_ID}",
            "cancel_url": "http://127.0.0.1:1/plans", "metadata": {"purchase_id": "p1"}} | more)

    def subscription(self, card=PAYS, customer=None, **more):
        session = self.session("subscription", customer=(customer or self.customer()).id, **more)
        paid = self.post(f"checkout/{session.id}/pay", card=card, authenticate=True)
        assert paid["outcome"] == "succeeds", paid
        return self.stripe.subscriptions.retrieve(paid["session"]["subscription"])

    def purchase(self, card=PAYS, **more):
        """Returns the payment intent of a paid one-time session."""
        session = self.session(customer=self.customer().id, **more)
        return self.stripe.payment_intents.retrieve(self.post(f"checkout/{session.id}/pay", card=card)["session"]["payment_intent"])

    def types(self):
        """The types of all events, oldest first."""
        return [event.type for event in reversed(list(self.stripe.events.list({"limit": 100}).auto_paging_iter()))]

    def endpoint(self, receiver, events=("*",)):
        return self.stripe.webhook_endpoints.create(
            {"url": receiver.url, "enabled_events": list(events), "api_version": stripe.api_version})


class NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *arguments):
        return None


@contextmanager
def refused(kind, code=None, param=None, text=""):
    """Expects an error of the package."""
    try:
        yield
    except kind as error:
        assert code is None or error.code == code, f"code {error.code}"
        assert param is None or error.param == param, f"param {error.param}"
        assert text in str(error), str(error)
    else:
        raise AssertionError(f"{kind.__name__} did not come")


def equal(found, wanted):
    assert found == wanted, f"\nfound  {found}\nwanted {wanted}"


def check_list(objects):
    shapes.check(objects)
    for one in objects.data:
        shapes.check(one)
    return objects.data


def until(condition):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.01)
