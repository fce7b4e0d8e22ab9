"""Deliveries of events to webhook endpoints: signed, retried, and disturbed on request."""

import hashlib
import heapq
import hmac
import http.client
import json
import random
import select
import threading
import time
from collections import deque
from contextlib import suppress
from urllib.parse import urlsplit

from world import rendered

WORKERS = 4
ATTEMPTS_MAX = 16
RETRY_SECONDS_MAX = 3_600
ANSWER_SECONDS_MAX = 10
ATTEMPTS_KEPT = 20_000
AUTOMATIC = {"mode": "automatic", "copies": 1, "shuffle": False, "loss": 0.0, "delay": 0.0, "seed": None}


def signature(secret, body, at):
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


class Courier:
    """Takes due deliveries with a few threads. Each keeps a connection to each endpoint open.

    Retries follow the machine's clock, because the receiver compares the time of a signature with its own.
    """

    def __init__(self, world, first_retry):
        self.world, self.store, self.first_retry = world, world.store, first_retry
        self.settings, self.random = dict(AUTOMATIC), random.Random()
        self.condition = threading.Condition()
        self.later, self.ready, self.queued, self.running = [], deque(), set(), 0
        self.attempts = deque(maxlen=ATTEMPTS_KEPT)
        self.stopped = False

    def start(self):
        self.queue(self.store.rows("SELECT id, due FROM delivery ORDER BY id"))
        for number in range(WORKERS):
            threading.Thread(target=self.work, name=f"deliveries-{number}", daemon=True).start()

    def set_mode(self, settings):
        """Changes how later events are delivered. From held to automatic, what waits is sent."""
        with self.condition:
            self.settings = dict(AUTOMATIC) | settings
            self.random = random.Random(self.settings["seed"])
        if self.settings["mode"] == "automatic":
            self.queue(self.store.rows("SELECT id, due FROM delivery ORDER BY id"))

    # Deliveries

    def record(self, events):
        """Writes the deliveries of events in the running transaction. Returns [(id, due)]."""
        settings, deliveries = self.settings, []
        for identifier in events:
            for endpoint in self.world.get(identifier)["_endpoints"]:
                for _ in range(settings["copies"]):
                    if self.random.random() < settings["loss"]:
                        continue
                    deliveries.append(self.add(identifier, endpoint, time.time() + self.random.uniform(0, settings["delay"])))
        return deliveries

    def add(self, event, endpoint, due):
        cursor = self.store.execute("INSERT INTO delivery (event, endpoint, attempts, due) VALUES (?, ?, 0, ?)", event, endpoint, due)
        return cursor.lastrowid, due

    def queue(self, deliveries):
        with self.condition:
            if self.settings["mode"] == "held":
                return
            for identifier, due in deliveries:
                if identifier not in self.queued:
                    self.queued.add(identifier)
                    heapq.heappush(self.later, (due, identifier))
            self.condition.notify_all()

    def take(self):
        """Waits for the next due delivery. Returns None at the end."""
        with self.condition:
            while not self.stopped:
                while self.later and self.later[0][0] <= time.time():
                    self.ready.append(heapq.heappop(self.later)[1])
                if self.settings["mode"] == "automatic" and self.ready:
                    if self.settings["shuffle"]:
                        self.ready.rotate(-self.random.randrange(len(self.ready)))
                    identifier = self.ready.popleft()
                    self.queued.discard(identifier)
                    self.running += 1
                    return identifier
                self.condition.wait(max(0.001, self.later[0][0] - time.time()) if self.later else None)
        return None

    def work(self):
        connections = {}
        while (identifier := self.take()) is not None:
            try:
                self.attempt(identifier, connections)
            finally:
                with self.condition:
                    self.running -= 1
                    self.condition.notify_all()

    def stop(self):
        with self.condition:
            self.stopped = True
            self.condition.notify_all()

    def is_idle(self):
        with self.condition:
            return not (self.ready or self.later or self.running)

    # Attempts

    def attempt(self, identifier, connections):
        """Sends a delivery once. Returns the status, 0 for none, or None if it is no longer pending."""
        row = self.store.rows("SELECT event, endpoint, attempts FROM delivery WHERE id = ?", identifier)
        if not row:
            return None
        event, endpoint = self.world.get(row[0][0], "event"), self.world.get(row[0][1], "webhook_endpoint")
        if not event or not endpoint or endpoint["status"] != "enabled":
            self.store.execute("DELETE FROM delivery WHERE id = ?", identifier)
            return None
        status = self.send(event, endpoint, connections)
        attempts = row[0][2] + 1
        self.attempts.append({
            "delivery": identifier, "event": event["id"], "type": event["type"], "endpoint": endpoint["id"], "attempt": attempts,
            "status": status, "at": round(time.time(), 3),
        })
        if 200 <= status < 300 or attempts >= ATTEMPTS_MAX:
            self.store.execute("DELETE FROM delivery WHERE id = ?", identifier)
            return status
        due = time.time() + min(RETRY_SECONDS_MAX, self.first_retry * 2 ** (attempts - 1))
        self.store.execute("UPDATE delivery SET attempts = ?, due = ? WHERE id = ?", attempts, due, identifier)
        self.queue([(identifier, due)])
        return status

    def send(self, event, endpoint, connections):
        body = json.dumps(rendered(event), indent=2, ensure_ascii=False).encode()
        parts = urlsplit(endpoint["url"])
        headers = {
            "Content-Type": "application/json; charset=utf-8", "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Accept": "*/*; q=0.5, application/xml",
            "Stripe-Signature": signature(endpoint["_secret"], body, int(time.time())),
        }
        place = parts.hostname, parts.port or 80
        connection = connections.get(place)
        if connection is None or connection.sock is None or select.select([connection.sock], [], [], 0)[0]:
            if connection:
                connection.close()
            connection = connections[place] = http.client.HTTPConnection(*place, timeout=ANSWER_SECONDS_MAX)
        try:
            connection.request("POST", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), body, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            with suppress(OSError):
                connection.close()
            del connections[place]
            return 0

    # Control

    def pending(self):
        rows = self.store.rows("SELECT id, event, endpoint, attempts, due FROM delivery ORDER BY id")
        found = []
        for identifier, event, endpoint, attempts, due in rows:
            kind = (self.world.get(event) or {}).get("type")
            found.append({"id": identifier, "event": event, "type": kind, "endpoint": endpoint, "attempts": attempts, "due": round(due, 3)})
        return found

    def deliver(self, identifiers):
        """Sends these now, one after the other, in this order. Returns what each came to."""
        connections, results = {}, []
        for identifier in identifiers:
            results.append({"id": identifier, "status": self.attempt(identifier, connections)})
        for connection in connections.values():
            connection.close()
        return results

    def send_again(self, event):
        """Adds deliveries of an event to its endpoints, as Stripe's Resend does. Returns [(id, due)]."""
        return [self.add(event["id"], endpoint, time.time()) for endpoint in event["_endpoints"]]

    def drop(self, identifiers):
        for identifier in identifiers:
            self.store.execute("DELETE FROM delivery WHERE id = ?", identifier)

    def clear(self):
        with self.condition:
            self.later, self.ready, self.queued = [], deque(), set()
            self.settings, self.random = dict(AUTOMATIC), random.Random()
            self.attempts.clear()
