"""The simulated account: what every part of it needs to know, make and report."""

import secrets
import string
from contextlib import contextmanager

from checking import API_VERSION
from errors import invalid

ALPHABET = string.ascii_letters + string.digits
# Members that hold the id of another object and are replaced by it on request.
EXPANDABLE = {
    "balance_transaction", "charge", "configuration", "customer", "default_payment_method", "default_price", "failure_balance_transaction",
    "invoice", "latest_charge", "latest_invoice", "payment_intent", "payment_method", "price", "product", "source", "subscription",
}
EXPANSION_DEPTH_MAX = 4


class World:
    def __init__(self, store, base_url):
        self.store, self.base_url = store, base_url
        self.courier = None  # who delivers events, set by the simulator
        self.request = {"id": None, "idempotency_key": None}
        self.emitted = []  # ids of the events of the running transaction

    def now(self):
        return self.store.now()

    def new_id(self, prefix, length=24):
        return f"{prefix}_" + "".join(secrets.choice(ALPHABET) for _ in range(length))

    def save(self, *objects):
        self.store.save(*objects)

    def get(self, identifier, kind=None):
        return self.store.get(identifier, kind)

    @contextmanager
    def acting(self, request_id=None, idempotency_key=None):
        """One transaction, and the request that the events of it name. Without one Stripe acted by itself."""
        with self.store.lock:
            self.request, self.emitted = {"id": request_id, "idempotency_key": idempotency_key}, []
            with self.store.transaction():
                yield
                deliveries = self.courier.record(self.emitted)
            self.courier.queue(deliveries)

    def emit(self, kind, subject, previous=None):
        """Records an event with the object as it is now, for the endpoints that asked for it."""
        event = {
            "id": self.new_id("evt"), "object": "event", "api_version": API_VERSION, "created": self.now(),
            "data": {"object": rendered(subject)} | ({"previous_attributes": previous} if previous is not None else {}),
            "livemode": False, "pending_webhooks": 0, "request": dict(self.request), "type": kind,
        }
        endpoints = [
            endpoint for endpoint in self.store.find("webhook_endpoint", status="enabled")
            if "*" in endpoint["enabled_events"] or kind in endpoint["enabled_events"]
        ]
        event["pending_webhooks"] = len(endpoints)
        event["_endpoints"] = [endpoint["id"] for endpoint in reversed(endpoints)]
        self.save(event)
        self.emitted.append(event["id"])

    def change(self, subject, **members):
        """Sets members of an object, saves it and returns what they were: the previous attributes of the event."""
        previous = {name: subject.get(name) for name, value in members.items() if not name.startswith("_") and subject.get(name) != value}
        subject.update(members)
        self.save(subject)
        return previous


def rendered(subject):
    """Returns a copy as a client sees it, without the simulator's own members, whose names start with `_`."""
    if isinstance(subject, dict):
        return {name: rendered(value) for name, value in subject.items() if not name.startswith("_")}
    if isinstance(subject, list):
        return [rendered(value) for value in subject]
    return subject


def list_of(data, url, has_more=False, **members):
    return {"object": "list", "data": data, "has_more": has_more, "url": url} | members


def included(world, subject, step):
    """Returns what an object has only if it is expanded, or None."""
    kind, identifier = subject.get("object"), subject.get("id")
    if (kind, step) == ("checkout.session", "line_items"):
        return list_of(subject["_line_items"], f"/v1/checkout/sessions/{identifier}/line_items")
    if (kind, step) == ("invoice", "payments"):
        return list_of(world.store.find("invoice_payment", invoice=identifier), "/v1/invoice_payments")
    if (kind, step) == ("charge", "refunds"):
        return list_of(world.store.find("refund", charge=identifier), f"/v1/charges/{identifier}/refunds")
    if (kind, step) == ("customer", "subscriptions"):
        living = [one for one in world.store.find("subscription", customer=identifier) if one["status"] != "canceled"]
        return list_of(living, f"/v1/customers/{identifier}/subscriptions")
    return None


def expand(world, subject, paths):
    """Replaces ids by objects at each path, as `data.customer` or `latest_invoice.payments`."""
    for path in paths:
        steps = path.split(".")
        if len([step for step in steps if step != "data"]) > EXPANSION_DEPTH_MAX:
            raise invalid("You cannot expand more than 4 levels of a property.", "expand")
        expand_path(world, subject, steps, path)
    return subject


def expand_path(world, subject, steps, path):
    if isinstance(subject, list):
        for element in subject:
            expand_path(world, element, steps, path)
        return
    if not steps or not isinstance(subject, dict):
        return
    step = steps[0]
    if step not in subject or subject[step] is None:
        extra = included(world, subject, step)
        if extra is None and step not in subject:
            raise invalid(f"This property cannot be expanded ({path}).", "expand")
        subject[step] = extra
    if isinstance(subject[step], str):
        found = world.get(subject[step]) if step in EXPANDABLE else None
        if found is None:
            raise invalid(f"This property cannot be expanded ({path}).", "expand")
        subject[step] = found
    expand_path(world, subject[step], steps[1:], path)
