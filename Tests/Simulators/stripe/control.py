"""The control API under /simulator: the clock, faults, deliveries, and what happens outside of Stripe's API."""

import itertools
import json
import random
import threading
from collections import deque

import catalogue
import checkout
import clockwork
import invoices
import payments
import subscriptions
from cards import CARDS
from world import rendered

FAULTS_MAX = 1_000
REQUESTS_KEPT = 10_000
DELAY_SECONDS_MAX = 60
CLOCK_SECONDS_MAX = 10 * 366 * 86_400


class Wrong(Exception):
    """A request to the control API that cannot be done: 400 with the reason."""


def member(value, name, kind, default=None, least=None, most=None):
    """Returns a member of a JSON object, checked. Without a default it is required."""
    found = value.get(name, default)
    if found is None:
        if default is None and name not in value:
            raise Wrong(f"`{name}` is missing")
        return None
    is_right = isinstance(found, kind) and (kind is bool or not isinstance(found, bool))
    if not is_right or (least is not None and found < least) or (most is not None and found > most):
        bounds = f" from {least} to {most}" if most is not None else ""
        raise Wrong(f"`{name}` must be a {getattr(kind, '__name__', 'number')}{bounds}")
    return found


def choice(value, name, choices, default=None):
    found = member(value, name, str, default)
    if found not in choices:
        raise Wrong(f"`{name}` must be one of {', '.join(choices)}")
    return found


class Faults:
    """What goes wrong with the next requests. A fault is used up after `times` requests."""

    def __init__(self):
        self.lock, self.numbers, self.faults = threading.Lock(), itertools.count(1), []

    def add(self, value):
        kind = choice(value, "kind", ("status", "rate_limit", "replayed_500", "cut_after_effect", "delay"))
        fault = {
            "id": next(self.numbers), "kind": kind, "method": choice(value, "method", ("GET", "POST", "DELETE", "*"), "*"),
            "path": member(value, "path", str, "/v1/"), "times": member(value, "times", int, 1, 1, 1_000_000),
        }
        if kind == "status":
            fault["code"] = member(value, "code", int, 500, 400, 599)
        if kind in ("status", "rate_limit") and "stripe_should_retry" in value:
            fault["stripe_should_retry"] = member(value, "stripe_should_retry", bool)
        if kind == "rate_limit" and "retry_after" in value:
            fault["retry_after"] = member(value, "retry_after", int, None, 0, 3_600)
        if kind == "replayed_500":
            fault["effect"] = member(value, "effect", bool)
        if kind == "delay":
            fault["seconds"] = member(value, "seconds", (int, float), None, 0, DELAY_SECONDS_MAX)
        with self.lock:
            if len(self.faults) >= FAULTS_MAX:
                raise Wrong(f"there are {FAULTS_MAX} faults already")
            self.faults.append(fault)
        return fault

    def take(self, method, path):
        with self.lock:
            for fault in self.faults:
                if fault["method"] in ("*", method) and path.startswith(fault["path"]):
                    fault["times"] -= 1
                    if not fault["times"]:
                        self.faults.remove(fault)
                    return fault
        return None

    def refusal(self, fault):
        """Returns status, body and headers of a refusal before the request has an effect."""
        headers = {}
        if "stripe_should_retry" in fault:
            headers["Stripe-Should-Retry"] = "true" if fault["stripe_should_retry"] else "false"
        if "retry_after" in fault:
            headers["Retry-After"] = str(fault["retry_after"])
        if fault["kind"] == "rate_limit":
            headers["Stripe-Rate-Limited-Reason"] = "global-rate"
            error = {"code": "rate_limit",
                "message": "Request rate limit exceeded. You can learn more about rate limits here https://stripe.com/docs/rate-limits.",
                "type": "invalid_request_error"}
            return 429, json.dumps({"error": error}, indent=2), headers
        kind = "api_error" if fault["code"] >= 500 else "invalid_request_error"
        return fault["code"], json.dumps({"error": {"message": "The simulator was asked to fail.", "type": kind}}, indent=2), headers

    def listed(self):
        with self.lock:
            return [dict(fault) for fault in self.faults]

    def clear(self):
        with self.lock:
            self.faults.clear()


def outcome(result, **more):
    return {"outcome": result} | more


class Control:
    def __init__(self, world, courier):
        self.world, self.courier = world, courier
        self.faults, self.requests = Faults(), deque(maxlen=REQUESTS_KEPT)

    def answer(self, method, path, query, body):
        """Returns what one request comes to, or None if the path is unknown."""
        try:
            value = json.loads(body) if body else {}
        except (ValueError, RecursionError):
            raise Wrong("the body must be JSON") from None
        if not isinstance(value, dict):
            raise Wrong("the body must be a JSON object")
        steps = path.strip("/").split("/")[1:]
        fixed = getattr(self, f"{method.lower()}_{'_'.join(steps)}", None) if all(step.isidentifier() for step in steps) else None
        if fixed:
            return fixed(value, query)
        if method == "POST" and len(steps) == 3:
            subject = getattr(self, f"act_on_{steps[0]}", None)
            if subject:
                with self.world.acting():
                    return rendered(subject(steps[1], steps[2], value))
        return None

    # The clock

    def get_clock(self, value, query):
        return {"now": self.world.now(), "offset": self.world.store.offset}

    def post_clock(self, value, query):
        clockwork.advance(self.world, member(value, "advance", int, None, 0, CLOCK_SECONDS_MAX))
        return self.get_clock(value, query)

    # Faults and requests

    def post_faults(self, value, query):
        return self.faults.add(value)

    def get_faults(self, value, query):
        return {"faults": self.faults.listed()}

    def delete_faults(self, value, query):
        self.faults.clear()
        return {}

    def get_requests(self, value, query):
        last = query.get("last", str(REQUESTS_KEPT))
        if not last.isdigit() or set(query) - {"last", "path", "method"}:
            raise Wrong("the query may have `last`, a number, `method` and `path`, a prefix")
        chosen = [
            request for request in list(self.requests)
            if request["path"].startswith(query.get("path", "")) and query.get("method", request["method"]) == request["method"]
        ]
        return {"requests": chosen[max(0, len(chosen) - int(last)):]}

    def delete_requests(self, value, query):
        self.requests.clear()
        return {}

    def post_idempotency_keys_prune(self, value, query):
        with self.world.store.transaction():
            return {"pruned": self.world.store.prune_answers()}

    def post_reset(self, value, query):
        with self.world.store.lock:
            self.world.store.clear()
            self.courier.clear()
        self.faults.clear()
        self.requests.clear()
        return {}

    def post_dunning(self, value, query):
        with self.world.store.transaction():
            self.world.store.set("dunning", choice(value, "end", ("canceled", "unpaid", "past_due")))
        return {}

    def post_settlement(self, value, query):
        settlement = {"currency": member(value, "currency", str), "rate": member(value, "rate", (int, float), None, 0.0001, 10_000)}
        with self.world.store.transaction():
            self.world.store.set("settlement", settlement)
        return settlement

    # Deliveries

    def get_webhooks(self, value, query):
        return self.courier.settings | {"pending": len(self.courier.pending()), "idle": self.courier.is_idle()}

    def post_webhooks(self, value, query):
        mode = {
            "mode": choice(value, "mode", ("automatic", "held")), "copies": member(value, "copies", int, 1, 1, 3),
            "shuffle": member(value, "shuffle", bool, False), "loss": member(value, "loss", (int, float), 0, 0, 1),
            "delay": member(value, "delay", (int, float), 0, 0, 3_600), "seed": value.get("seed"),
        }
        if mode["seed"] is not None:
            member(value, "seed", int)
        self.courier.set_mode(mode)
        return self.get_webhooks(value, query)

    def get_webhooks_pending(self, value, query):
        return {"pending": self.courier.pending()}

    def get_webhooks_attempts(self, value, query):
        return {"attempts": list(self.courier.attempts)}

    def post_webhooks_deliver(self, value, query):
        return {"delivered": self.courier.deliver(self.chosen(value))}

    def post_webhooks_drop(self, value, query):
        chosen = self.chosen(value)
        with self.world.store.transaction():
            self.courier.drop(chosen)
        return {"dropped": len(chosen)}

    def post_webhooks_resend(self, value, query):
        with self.world.store.transaction():
            event = self.world.store.require(member(value, "event", str), "event")
            deliveries = self.courier.send_again(event)
        self.courier.queue(deliveries)
        return {"pending": [identifier for identifier, _ in deliveries]}

    def chosen(self, value):
        """Deliveries by `ids`, by `events` or by `types`, in that order, or all in an `order`."""
        pending = self.courier.pending()
        for name, key in (("ids", "id"), ("events", "event"), ("types", "type")):
            if name in value:
                wanted = member(value, name, list)
                return [delivery["id"] for one in wanted for delivery in pending if delivery[key] == one]
        identifiers = [delivery["id"] for delivery in pending]
        order = choice(value, "order", ("oldest", "newest", "random"), "oldest")
        if order == "random":
            random.Random(value.get("seed")).shuffle(identifiers)
        return identifiers[::-1] if order == "newest" else identifiers

    # What customers and banks do

    def card(self, value, name="card"):
        number = member(value, name, str).replace(" ", "")
        if number not in CARDS:
            raise Wrong(f"`{name}` must be the number of a test card: {', '.join(CARDS)}")
        return number

    def act_on_checkout(self, identifier, verb, value):
        world = self.world
        session = world.store.require(identifier, "checkout.session")
        if verb == "pay":
            result = checkout.pay(world, session, self.card(value), value.get("email"), value.get("name"))
            if result == "authentication" and value.get("authenticate") is not None:
                result = checkout.authenticated(world, session, member(value, "authenticate", bool))
            return outcome(result, session=world.get(identifier))
        if verb == "pay_later":
            checkout.pay_later(world, session)
        elif verb in ("succeed_async", "fail_async"):
            checkout.finish_later(world, session, verb == "succeed_async")
        elif verb == "expire":
            checkout.expire(world, session)
        else:
            return None
        return world.get(identifier)

    def act_on_customers(self, identifier, verb, value):
        if verb != "card":
            return None
        customer = catalogue.require_customer(self.world, identifier)
        return catalogue.replace_card(self.world, customer, self.card(value, "number"))

    def act_on_invoices(self, identifier, verb, value):
        world = self.world
        invoice = world.store.require(identifier, "invoice")
        if verb == "pay":
            method = catalogue.create_method(world, self.card(value))
            result = subscriptions.pay_open_invoice(world, invoice, method)
            if result == "authentication" and value.get("authenticate") is not None:
                result = subscriptions.authenticated(world, world.get(identifier), member(value, "authenticate", bool))
            return outcome(result, invoice=world.get(identifier))
        act = {"void": invoices.void, "mark_uncollectible": invoices.mark_uncollectible,
            "fail_finalization": invoices.fail_finalization}.get(verb)
        return act and act(world, invoice)

    def act_on_refunds(self, identifier, verb, value):
        refund = self.world.store.require(identifier, "refund")
        return payments.finish_refund(self.world, refund, verb == "succeed") if verb in ("fail", "succeed") else None

    def act_on_disputes(self, identifier, verb, value):
        dispute = self.world.store.require(identifier, "dispute")
        if verb == "withdraw":
            return payments.withdraw(self.world, dispute)
        return payments.close_dispute(self.world, dispute, verb == "win") if verb in ("win", "lose") else None

    def charge(self, value):
        if "payment_intent" in value:
            intent = self.world.store.require(member(value, "payment_intent", str), "payment_intent")
            return self.world.store.require(intent["latest_charge"], "charge")
        return self.world.store.require(member(value, "charge", str), "charge")

    def post_disputes(self, value, query):
        statuses = ("needs_response", "under_review", "warning_needs_response", "warning_under_review", "prevented")
        with self.world.acting():
            charge = self.charge(value)
            amount = member(value, "amount", int, charge["amount"], 1, charge["amount"])
            return rendered(payments.create_dispute(
                self.world, charge, amount, choice(value, "status", statuses, "needs_response"),
                member(value, "reason", str, "fraudulent")))

    def post_early_fraud_warnings(self, value, query):
        with self.world.acting():
            return rendered(payments.warn_of_fraud(self.world, self.charge(value)))

    def post_coupons(self, value, query):
        with self.world.acting():
            coupon = {
                "id": member(value, "id", str, self.world.new_id("coupon", 8)), "object": "coupon", "amount_off": None,
                "created": self.world.now(), "currency": None, "duration": "forever", "duration_in_months": None, "livemode": False,
                "max_redemptions": None, "metadata": {}, "name": None, "percent_off": member(value, "percent_off", int, None, 1, 100),
                "redeem_by": None, "times_redeemed": 0, "valid": True,
            }
            self.world.save(coupon)
            return coupon

    def post_events(self, value, query):
        """Reports an event of any type about an object that exists, or about any JSON."""
        with self.world.acting():
            subject = value.get("object")
            if isinstance(subject, str):
                subject = self.world.get(subject)
            if not isinstance(subject, dict):
                raise Wrong("`object` must be the id of an object, or a JSON object")
            self.world.emit(member(value, "type", str), subject)
            return {"event": self.world.emitted[-1]}
