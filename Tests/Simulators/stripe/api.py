"""Stripe's API under /v1: the table of routes, lists and their filters, expansion, keys and idempotency."""

import base64
import json
import re
import threading
import time

import catalogue
import checkout
import payments
import subscriptions
from checking import API_VERSION, check_route, read_form, refuse_unsupported
from errors import StripeError, invalid, missing
from world import expand, list_of, rendered

LIMIT_MAX = 100
KEY_CHARACTERS_MAX = 255
PAGING = ("ending_before", "expand", "limit", "starting_after")


class Route:
    """A row of the table. `supports` are the parameters that the simulator acts on, separated by spaces."""

    def __init__(self, method, path, act, supports=""):
        self.name = f"{method} {path}"
        self.method, self.act = method, act
        self.pattern = re.compile(re.escape(path).replace(r"\{id\}", "([^/]+)"))
        self.supports = set(supports.split()) | {"expand"}


# Lists


def paginate(world, kind, parameters, url, conditions=()):
    """Newest first. `ending_before` returns the objects just before its cursor, in the same order."""
    limit = parameters.get("limit", 10)
    if not 1 <= limit <= LIMIT_MAX:
        raise invalid(f"This value must be {'greater than or equal to 1' if limit < 1 else 'less than or equal to 100'}.", "limit",
            "parameter_invalid_integer")
    if "starting_after" in parameters and "ending_before" in parameters:
        raise invalid("You may only specify one of these parameters: starting_after, ending_before.", "starting_after")
    conditions, is_backwards = list(conditions), "ending_before" in parameters
    for name, sign in (("starting_after", "<"), ("ending_before", ">")):
        if name in parameters:
            if not world.get(parameters[name], kind):
                raise missing(kind, parameters[name], name)
            conditions.append((f"seq {sign} (SELECT seq FROM object WHERE id = ?)", [parameters[name]]))
    found = world.store.select(kind, conditions, newest_first=not is_backwards, limit=limit + 1)
    page = found[:limit]
    return list_of(page[::-1] if is_backwards else page, url, len(found) > limit)


def path_filter(path):
    return lambda value: (f"json_extract(body, '$.{path}') = ?", [value])


def created_filter(value):
    if isinstance(value, int):
        return "created = ?", [value]
    signs = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
    return " AND ".join([f"created {signs[name]} ?" for name in value] or ["1"]), list(value.values())


def one_of(sql):
    return lambda values: (f"{sql} IN ({', '.join('?' * len(values))})", list(values))


def subscription_status(value):
    if value == "all":
        return "1", []
    if value == "ended":
        return "json_extract(body, '$.status') IN ('canceled', 'incomplete_expired')", []
    return path_filter("status")(value)


def payment_filter(value):
    if "payment_intent" not in value:
        return "1", []
    return path_filter("payment.payment_intent")(value["payment_intent"])


def interval_filter(value):
    return path_filter("recurring.interval")(value["interval"]) if "interval" in value else ("1", [])


def item_price_filter(value):
    return "EXISTS (SELECT 1 FROM json_each(body, '$.items.data') WHERE json_extract(value, '$.price.id') = ?)", [value]


LISTS = {
    "/v1/customers": ("customer", {"email": path_filter("email"), "created": created_filter}),
    "/v1/products": ("product", {"active": path_filter("active"), "ids": one_of("id"), "created": created_filter}),
    "/v1/prices": ("price", {
        "active": path_filter("active"), "currency": path_filter("currency"), "product": path_filter("product"),
        "type": path_filter("type"),
        "lookup_keys": one_of("json_extract(body, '$.lookup_key')"), "recurring": interval_filter, "created": created_filter}),
    "/v1/checkout/sessions": ("checkout.session", {
        "customer": path_filter("customer"), "payment_intent": path_filter("payment_intent"), "subscription": path_filter("subscription"),
        "status": path_filter("status"), "customer_details": lambda value: path_filter("customer_details.email")(value["email"]),
        "created": created_filter}),
    "/v1/subscriptions": ("subscription", {
        "customer": path_filter("customer"), "price": item_price_filter, "status": subscription_status,
        "collection_method": path_filter("collection_method"), "created": created_filter}),
    "/v1/invoices": ("invoice", {
        "customer": path_filter("customer"), "status": path_filter("status"), "collection_method": path_filter("collection_method"),
        "subscription": path_filter("parent.subscription_details.subscription"), "created": created_filter}),
    "/v1/invoice_payments": ("invoice_payment", {
        "invoice": path_filter("invoice"), "payment": payment_filter, "status": path_filter("status"), "created": created_filter}),
    "/v1/payment_intents": ("payment_intent", {"customer": path_filter("customer"), "created": created_filter}),
    "/v1/charges": ("charge",
        {"customer": path_filter("customer"), "payment_intent": path_filter("payment_intent"), "created": created_filter}),
    "/v1/payment_methods": ("payment_method", {"customer": path_filter("customer"), "type": path_filter("type")}),
    "/v1/refunds": ("refund",
        {"charge": path_filter("charge"), "payment_intent": path_filter("payment_intent"), "created": created_filter}),
    "/v1/disputes": ("dispute",
        {"charge": path_filter("charge"), "payment_intent": path_filter("payment_intent"), "created": created_filter}),
    "/v1/billing_portal/configurations": ("billing_portal.configuration",
        {"active": path_filter("active"), "is_default": path_filter("is_default")}),
    "/v1/events": ("event",
        {"type": lambda value: ("json_extract(body, '$.type') GLOB ?", [value]), "types": one_of("json_extract(body, '$.type')"),
            "created": created_filter}),
    "/v1/webhook_endpoints": ("webhook_endpoint", {}),
}


def list_route(path):
    kind, filters = LISTS[path]

    def act(world, parameters):
        if path == "/v1/events" and len(parameters.get("types", [])) > 20:
            raise invalid("You may only specify up to 20 types.", "types")
        conditions = [filters[name](parameters[name]) for name in filters if parameters.get(name) is not None]
        if path == "/v1/subscriptions" and "status" not in parameters:
            conditions.append(("json_extract(body, '$.status') <> 'canceled'", []))
        if path == "/v1/customers":
            conditions.append(("json_extract(body, '$.deleted') IS NULL", []))
        return paginate(world, kind, parameters, path, conditions)

    return Route("GET", path, act, " ".join([*PAGING, *filters]))


def read_route(path, kind, shown=lambda subject: subject):
    return Route("GET", path, lambda world, identifier, parameters: shown(world.store.require(identifier, kind)))


def of(kind, act):
    """An action on one object, which the path names."""
    return lambda world, identifier, parameters: act(world, world.store.require(identifier, kind), parameters)


# Actions that are more than one call


def methods_of_customer(world, identifier, parameters):
    customer = world.store.require(identifier, "customer")
    catalogue.living(customer)
    kind, filters = LISTS["/v1/payment_methods"]
    conditions = [filters["customer"](identifier)] + ([filters["type"](parameters["type"])] if "type" in parameters else [])
    return paginate(world, kind, parameters, f"/v1/customers/{identifier}/payment_methods", conditions)


def sublist(data, parameters, url):
    """A page of what an object holds itself, oldest first."""
    limit = parameters.get("limit", 10)
    if not 1 <= limit <= LIMIT_MAX:
        raise invalid("This value must be between 1 and 100.", "limit", "parameter_invalid_integer")
    identifiers = [one["id"] for one in data]
    start, end = 0, len(data)
    for name in ("starting_after", "ending_before"):
        if name in parameters and parameters[name] not in identifiers:
            raise missing("line item", parameters[name], name)
    if "starting_after" in parameters:
        start = identifiers.index(parameters["starting_after"]) + 1
    if "ending_before" in parameters:
        end = identifiers.index(parameters["ending_before"])
        start = max(0, end - limit)
        return list_of(data[start:end], url, start > 0)
    return list_of(data[start:start + limit], url, start + limit < end)


def cancel_subscription(world, subscription, parameters):
    if subscription["status"] == "canceled":
        raise missing("subscription", subscription["id"])
    return subscriptions.cancel(
        world, subscription, "cancellation_requested", parameters.get("cancellation_details"), parameters.get("prorate", False),
        parameters.get("invoice_now", False))


def delete_customer(world, customer, parameters):
    catalogue.living(customer)
    return subscriptions.delete_customer(world, customer)


def account(world, parameters):
    return {
        "id": "acct_simulator", "object": "account",
        "business_profile": {"mcc": None, "name": "Simulator", "product_description": None, "support_address": None,
            "support_email": None, "support_phone": None, "support_url": None, "url": None},
        "business_type": "company", "capabilities": {"card_payments": "active", "transfers": "active"}, "charges_enabled": True,
        "country": "US",
        "created": 1_700_000_000, "default_currency": "usd", "details_submitted": True, "email": "simulator@example.com", "metadata": {},
        "payouts_enabled": True, "settings": None, "type": "standard",
    }


def shown_event(world, identifier, parameters):
    return with_pending(world, world.store.require(identifier, "event"))


def with_pending(world, event):
    rows = world.store.rows("SELECT count(DISTINCT endpoint) FROM delivery WHERE event = ?", event["id"])
    return event | {"pending_webhooks": rows[0][0]}


def list_events(world, parameters):
    page = EVENTS.act(world, parameters)
    return page | {"data": [with_pending(world, event) for event in page["data"]]}


EVENTS = list_route("/v1/events")
SESSION_NAMES = """automatic_tax.enabled billing_address_collection cancel_url client_reference_id customer customer_email customer_update
    discounts.coupon expires_at line_items.price line_items.quantity line_items.price_data.currency line_items.price_data.product
    line_items.price_data.product_data.name line_items.price_data.product_data.description line_items.price_data.product_data.metadata
    line_items.price_data.recurring line_items.price_data.unit_amount line_items.price_data.tax_behavior locale metadata mode
    payment_intent_data.metadata payment_intent_data.description payment_intent_data.setup_future_usage
    subscription_data.metadata subscription_data.billing_mode success_url"""
PREVIEW_NAMES = """customer subscription subscription_details.items.id subscription_details.items.price subscription_details.items.quantity
    subscription_details.items.deleted subscription_details.proration_behavior subscription_details.proration_date
    subscription_details.billing_cycle_anchor"""
UPDATE_NAMES = """billing_cycle_anchor cancel_at cancel_at_period_end cancellation_details default_payment_method description
    items.id items.price
    items.quantity items.deleted metadata payment_behavior proration_behavior proration_date"""
CUSTOMER_NAMES = "balance description email invoice_settings.default_payment_method metadata name phone"
CONFIGURATION_NAMES = "business_profile default_return_url features metadata name"
PRICE_NAMES = "active lookup_key metadata nickname tax_behavior transfer_lookup_key"

ROUTES = [
    Route("GET", "/v1/account", account),
    Route("POST", "/v1/customers", catalogue.create_customer, CUSTOMER_NAMES.replace("invoice_settings.default_payment_method", "")),
    list_route("/v1/customers"),
    read_route("/v1/customers/{id}", "customer", catalogue.shown_customer),
    Route("POST", "/v1/customers/{id}", of("customer", catalogue.update_customer), CUSTOMER_NAMES),
    Route("DELETE", "/v1/customers/{id}", of("customer", delete_customer)),
    Route("GET", "/v1/customers/{id}/payment_methods", methods_of_customer, " ".join([*PAGING, "type"])),
    Route("POST", "/v1/products", catalogue.create_product, "active description id metadata name tax_code"),
    list_route("/v1/products"),
    read_route("/v1/products/{id}", "product"),
    Route("POST", "/v1/prices", catalogue.create_price, PRICE_NAMES + " currency product product_data recurring unit_amount"),
    list_route("/v1/prices"),
    read_route("/v1/prices/{id}", "price"),
    Route("POST", "/v1/prices/{id}", of("price", catalogue.update_price), PRICE_NAMES),
    Route("POST", "/v1/checkout/sessions", checkout.create, SESSION_NAMES),
    list_route("/v1/checkout/sessions"),
    read_route("/v1/checkout/sessions/{id}", "checkout.session"),
    Route("POST", "/v1/checkout/sessions/{id}/expire",
        of("checkout.session", lambda world, session, parameters: checkout.expire(world, session))),
    Route(
        "GET", "/v1/checkout/sessions/{id}/line_items",
        of("checkout.session", lambda world, session, parameters: sublist(
            session["_line_items"], parameters, f"/v1/checkout/sessions/{session['id']}/line_items")), " ".join(PAGING)),
    list_route("/v1/subscriptions"),
    read_route("/v1/subscriptions/{id}", "subscription"),
    Route("POST", "/v1/subscriptions/{id}", of("subscription", subscriptions.update), UPDATE_NAMES),
    Route("DELETE", "/v1/subscriptions/{id}", of("subscription", cancel_subscription), "cancellation_details invoice_now prorate"),
    list_route("/v1/invoices"),
    Route("POST", "/v1/invoices/create_preview", subscriptions.preview, PREVIEW_NAMES),
    read_route("/v1/invoices/{id}", "invoice"),
    Route(
        "GET", "/v1/invoices/{id}/lines",
        of("invoice", lambda world, invoice, parameters: sublist(invoice["_lines"], parameters, f"/v1/invoices/{invoice['id']}/lines")),
        " ".join(PAGING)),
    list_route("/v1/invoice_payments"),
    list_route("/v1/payment_intents"),
    read_route("/v1/payment_intents/{id}", "payment_intent"),
    list_route("/v1/charges"),
    read_route("/v1/charges/{id}", "charge"),
    list_route("/v1/payment_methods"),
    read_route("/v1/payment_methods/{id}", "payment_method"),
    Route("POST", "/v1/refunds", payments.create_refund, "amount charge metadata payment_intent reason"),
    list_route("/v1/refunds"),
    read_route("/v1/refunds/{id}", "refund"),
    Route("POST", "/v1/refunds/{id}/cancel", of("refund", lambda world, refund, parameters: payments.cancel_refund(world, refund))),
    list_route("/v1/disputes"),
    read_route("/v1/disputes/{id}", "dispute"),
    read_route("/v1/balance_transactions/{id}", "balance_transaction"),
    Route("POST", "/v1/billing_portal/sessions", catalogue.create_portal_session, "configuration customer locale return_url"),
    Route("POST", "/v1/billing_portal/configurations", catalogue.create_configuration, CONFIGURATION_NAMES),
    list_route("/v1/billing_portal/configurations"),
    read_route("/v1/billing_portal/configurations/{id}", "billing_portal.configuration"),
    Route(
        "POST", "/v1/billing_portal/configurations/{id}", of("billing_portal.configuration", catalogue.update_configuration),
        CONFIGURATION_NAMES + " active"),
    Route("GET", "/v1/events", list_events, " ".join(EVENTS.supports)),
    Route("GET", "/v1/events/{id}", shown_event),
    Route("POST", "/v1/webhook_endpoints", catalogue.create_endpoint, "api_version description enabled_events metadata url"),
    list_route("/v1/webhook_endpoints"),
    read_route("/v1/webhook_endpoints/{id}", "webhook_endpoint"),
    Route("POST", "/v1/webhook_endpoints/{id}", of("webhook_endpoint", catalogue.update_endpoint),
        "description disabled enabled_events metadata url"),
    Route("DELETE", "/v1/webhook_endpoints/{id}",
        of("webhook_endpoint", lambda world, endpoint, parameters: catalogue.delete_endpoint(world, endpoint))),
]


# Requests


class Cut(Exception):
    """The connection is closed without an answer."""


class Answer:
    def __init__(self, status, body, headers):
        self.status, self.body, self.headers = status, body, headers


def route_of(method, path):
    """Returns the route and the id in the path. A fixed path stands before the one with an id in the table."""
    for route in ROUTES:
        match = route.pattern.fullmatch(path)
        if match and route.method == method:
            return route, match.groups()
    raise invalid(
        f"Unrecognized request URL ({method}: {path[:200]}). Please see https://stripe.com/docs or we can help at "
        "https://support.stripe.com/.", status=404)


def check_key(header):
    scheme, _, credentials = (header or "").partition(" ")
    key = credentials.strip()
    if scheme.lower() == "basic":
        try:
            key = base64.b64decode(key, validate=True).decode("ascii").partition(":")[0]
        except ValueError:
            key = ""
    elif scheme.lower() != "bearer":
        key = ""
    if not key:
        raise StripeError(
            401, "invalid_request_error",
            "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth (e.g. "
            "'Authorization: Bearer YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for details, or we can help at "
            "https://support.stripe.com/.")
    if not re.fullmatch(r"(sk|rk)_test_[A-Za-z0-9_]+", key):
        shown = key[:8] + "*" * max(0, len(key) - 12) + key[-4:] if len(key) > 12 else "*" * len(key)
        raise StripeError(401, "invalid_request_error", f"Invalid API Key provided: {shown}")


class API:
    def __init__(self, world, faults, requests):
        self.world, self.faults, self.requests = world, faults, requests
        self.running, self.lock = set(), threading.Lock()

    def answer(self, method, path, query, body, headers):
        """Answers one request, or raises Cut."""
        request_id = self.world.new_id("req", 14)
        key = headers.get("Idempotency-Key")
        noted = {"method": method, "path": path, "parameters": None, "idempotency_key": key, "request_id": request_id, "status": 0}
        self.requests.append(noted)
        given = {"Request-Id": request_id, "Stripe-Version": API_VERSION} | ({"Idempotency-Key": key} if key else {})
        try:
            form = read_form("&".join(part for part in (query, body) if part))
            noted["parameters"] = form
            status, text, more = self.execute(method, path, form, headers, key if method == "POST" else None, request_id)
        except StripeError as error:
            status, text, more = error.status, json.dumps(error.body(), indent=2), {}
        except Cut:
            noted["status"] = "cut"
            raise
        noted["status"] = status
        return Answer(status, text, given | more)

    def execute(self, method, path, form, headers, key, request_id):
        check_key(headers.get("Authorization"))
        if headers.get("Stripe-Version", API_VERSION) != API_VERSION:
            raise invalid(f"Invalid Stripe API version: {headers['Stripe-Version'][:40]}. The simulator speaks {API_VERSION} only.")
        if key is not None and not 0 < len(key) <= KEY_CHARACTERS_MAX:
            raise invalid(f"Invalid idempotency key: it must have 1 to {KEY_CHARACTERS_MAX} characters.")
        fault = self.faults.take(method, path)
        if fault and fault["kind"] in ("status", "rate_limit"):
            return self.faults.refusal(fault)
        request = json.dumps([method, path, form], sort_keys=True)
        if key is None:
            return self.run(method, path, form, key, request, request_id, fault)
        with self.lock:
            if key in self.running:
                raise invalid(
                    "There is currently another in-progress request using this Idempotent Key (that probably means you "
                    f"submitted twice, and the other request is still going through): {key}. Please try again later.",
                    code="idempotency_key_in_use", status=409)
            stored = self.world.store.answer(key)
            if stored is None:
                self.running.add(key)
        if stored:
            return self.disturb(fault, lambda: self.replay(key, request, stored))
        try:
            return self.run(method, path, form, key, request, request_id, fault)
        finally:
            with self.lock:
                self.running.discard(key)

    def replay(self, key, request, stored):
        first, status, text, request_id = stored
        if first != request:
            raise StripeError(
                400, "idempotency_error",
                "Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other "
                f"than '{key}' if you meant to execute a different request.")
        return status, text, {"Idempotent-Replayed": "true", "Original-Request": request_id}

    def run(self, method, path, form, key, request, request_id, fault):
        """Checks a request, then executes it. A refusal of the check is not stored, as execution did not begin."""
        route, identifiers = route_of(method, path)
        parameters = check_route(route.name, form)
        refuse_unsupported(parameters, route.supports)
        if fault and fault["kind"] == "replayed_500":
            return *self.fail(route, identifiers, parameters, key, request, request_id, fault["effect"]), {}
        return self.disturb(fault, lambda: (*self.act(route, identifiers, parameters, key, request, request_id), {}))

    def disturb(self, fault, answer):
        """Waits before the effect, or closes the connection after it."""
        if fault and fault["kind"] == "delay":
            time.sleep(fault["seconds"])
        answered = answer()
        if fault and fault["kind"] == "cut_after_effect":
            raise Cut
        return answered

    def act(self, route, identifiers, parameters, key, request, request_id):
        store = self.world.store
        try:
            with self.world.acting(request_id, key):
                subject = route.act(self.world, *identifiers, parameters)
                text = json.dumps(rendered(expand(self.world, subject, parameters.get("expand", []))), indent=2, ensure_ascii=False)
                if key is not None:
                    store.store_answer(key, request, 200, text, request_id)
            return 200, text
        except StripeError as error:
            text = json.dumps(error.body(), indent=2, ensure_ascii=False)
            if key is not None:
                with store.transaction():
                    store.store_answer(key, request, error.status, text, request_id)
            return error.status, text

    def fail(self, route, identifiers, parameters, key, request, request_id, has_effect):
        """Answers 500 after the effect, or without one. The answer is stored under the key, so every repetition gets it."""
        text = json.dumps({"error": {"message": "An unknown error occurred", "type": "api_error"}}, indent=2)
        with self.world.acting(request_id, key):
            if has_effect:
                route.act(self.world, *identifiers, parameters)
            if key is not None:
                self.world.store.store_answer(key, request, 500, text, request_id)
        return 500, text
