"""Checkout sessions: made by the API, paid on the hosted page, completed, failed or expired."""

import catalogue
import invoices
import payments
import subscriptions
from errors import invalid, unsupported

SECONDS_MIN, SECONDS_MAX = 1_800, 86_400
EXPANSION = "{CHECKOUT_SESSION_ID}"


def create(world, parameters):
    for name in ("mode", "line_items", "success_url"):
        if name not in parameters:
            raise invalid(f"Missing required param: {name}.", name, "parameter_missing")
    mode, now = parameters["mode"], world.now()
    if mode == "setup":
        raise invalid("The simulator has no Checkout Session in `setup` mode.", "mode", "simulator_unsupported")
    customer = catalogue.require_customer(world, parameters["customer"]) if "customer" in parameters else None
    if customer and "customer_email" in parameters:
        raise invalid("You may only specify one of these parameters: customer, customer_email.", "customer_email")
    for name, other in (("subscription_data", "payment"), ("payment_intent_data", "subscription")):
        if mode == other and name in parameters:
            raise invalid(f"You can not pass `{name}` in `{mode}` mode.", name)
    if parameters.get("subscription_data", {}).get("billing_mode", {}).get("type") == "classic":
        raise unsupported("subscription_data[billing_mode][type]")
    expires = parameters.get("expires_at", now + SECONDS_MAX)
    if expires < now + SECONDS_MIN:
        raise invalid("The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.", "expires_at")
    if expires > now + SECONDS_MAX:
        raise invalid("The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.", "expires_at")
    discount = discount_wish(world, parameters)
    items = [line_item(world, mode, wish, f"line_items[{index}]", discount) for index, wish in enumerate(parameters["line_items"])]
    if mode == "subscription":
        check_recurring(items)
    if len({item["currency"] for item in items}) != 1:
        raise invalid("You must provide line items in one currency.", "line_items")
    identifier = "cs_test_" + world.new_id("x", 58)[2:]
    subtotal, total = (sum(item[name] for item in items) for name in ("amount_subtotal", "amount_total"))
    email = customer["email"] if customer else parameters.get("customer_email")
    is_taxed = parameters.get("automatic_tax", {}).get("enabled", False)
    session = {
        "id": identifier, "object": "checkout.session", "adaptive_pricing": {"enabled": False}, "after_expiration": None,
        "allow_promotion_codes": None, "amount_subtotal": subtotal, "amount_total": total,
        "automatic_tax": {"enabled": is_taxed, "liability": {"type": "self"} if is_taxed else None,
            "provider": "stripe" if is_taxed else None, "status": "complete" if is_taxed else None},
        "billing_address_collection": None, "cancel_url": parameters.get("cancel_url"),
        "client_reference_id": parameters.get("client_reference_id"), "client_secret": None, "collected_information": None, "consent": None,
        "consent_collection": None, "created": now, "currency": items[0]["currency"], "currency_conversion": None, "custom_fields": [],
        "custom_text": {name: None for name in ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")},
        "customer": customer and customer["id"], "customer_account": None,
        "customer_creation": None if customer else "always" if mode == "subscription" else "if_required",
        "customer_details": {"address": None, "business_name": None, "email": email, "individual_name": None,
            "name": customer and customer["name"], "phone": None, "tax_exempt": "none", "tax_ids": None} if email else None,
        "customer_email": parameters.get("customer_email"),
        "discounts": [{"coupon": discount["id"], "promotion_code": None}] if discount else [], "expires_at": expires, "invoice": None,
        "invoice_creation": None if mode == "subscription" else {
            "enabled": False,
            "invoice_data": {
                name: None for name in ("account_tax_ids", "custom_fields", "description", "footer", "issuer", "rendering_options")} | {
                "metadata": {}},
        },
        "livemode": False, "locale": parameters.get("locale"), "metadata": catalogue.merged({}, parameters.get("metadata", {})),
        "mode": mode,
        "origin_context": None, "payment_intent": None, "payment_link": None,
        "payment_method_collection": "always" if mode == "subscription" else "if_required",
        "payment_method_configuration_details": None, "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"], "payment_status": "unpaid", "permissions": None, "phone_number_collection": {"enabled": False},
        "recovered_from": None, "saved_payment_method_options": None, "setup_intent": None, "shipping_address_collection": None,
        "shipping_cost": None, "shipping_options": [], "status": "open", "submit_type": None, "subscription": None,
        "success_url": parameters["success_url"],
        "total_details": {"amount_discount": subtotal - total, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page", "url": f"{world.base_url}/c/pay/{identifier}", "wallet_options": None,
        "_line_items": items, "_intent": None, "_percent_off": discount["percent_off"] if discount else None,
        "_subscription_metadata": catalogue.merged({}, parameters.get("subscription_data", {}).get("metadata", {})),
        "_intent_data": parameters.get("payment_intent_data", {}),
    }
    world.save(session)
    world.store.schedule(expires, "session_expires", identifier)
    return session


def check_recurring(items):
    recurring = [item for item in items if item["price"]["recurring"]]
    if not recurring:
        raise invalid("You must provide at least one recurring price in `subscription` mode when using prices.", "line_items")
    if len(recurring) < len(items):
        raise invalid("The simulator bills recurring prices only in `subscription` mode.", "line_items", "simulator_unsupported")
    if len({subscriptions.interval_of(item["price"]) for item in recurring}) != 1:
        raise invalid("Checkout does not support multiple prices with different billing intervals.", "line_items")


def discount_wish(world, parameters):
    discounts = parameters.get("discounts") or []
    if len(discounts) > 1:
        raise invalid("You can apply at most one discount.", "discounts")
    return world.store.require(discounts[0]["coupon"], "coupon", "discounts[0][coupon]") if discounts else None


def line_item(world, mode, wish, param, discount):
    if ("price" in wish) == ("price_data" in wish):
        raise invalid("You must specify either `price` or `price_data` when using prices.", param)
    if "price" in wish:
        price = world.store.require(wish["price"], "price", f"{param}[price]")
    else:
        data = wish["price_data"]
        price = catalogue.create_price(world, data)
        world.change(price, active=False)
    if mode == "payment" and price["recurring"]:
        raise invalid(
            "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or use only one-time "
            "prices.", param)
    if "price" in wish and not price["active"]:
        raise invalid("The price specified is inactive. This field only accepts active prices.", f"{param}[price]", "price_inactive")
    if "quantity" not in wish:
        raise invalid("Quantity is required. Add `quantity` to `" + param + "`.", f"{param}[quantity]", "parameter_missing")
    quantity = wish["quantity"]
    if quantity < 1:
        raise invalid("This value must be greater than or equal to 1.", f"{param}[quantity]", "parameter_invalid_integer")
    subtotal = price["unit_amount"] * quantity
    off = invoices.share(subtotal, discount["percent_off"], 100) if discount else 0
    return {
        "id": world.new_id("li"), "object": "item", "adjustable_quantity": None, "amount_discount": off, "amount_subtotal": subtotal,
        "amount_tax": 0,
        "amount_total": subtotal - off, "currency": price["currency"], "description": world.get(price["product"])["name"], "metadata": {},
        "price": price, "quantity": quantity,
    }


def require_open(session):
    if session["status"] != "open":
        raise invalid(f"This Checkout Session is {session['status']}, not open.")


# Payment


def success_url(session):
    return session["success_url"].replace(EXPANSION, session["id"])


def pay(world, session, number, email=None, name=None):
    """Pays with a card. Returns `succeeds`, `authentication` or the decline code."""
    require_open(session)
    note_customer(session, email, name)
    if session["amount_total"] == 0:
        method = catalogue.create_method(world, number, None, name, email) if session["mode"] == "subscription" else None
        complete(world, session, method, None)
        return "succeeds"
    method = catalogue.create_method(world, number, None, name, email)
    result = payments.confirm(world, intent_of(world, session), method)
    if result == "succeeds":
        complete(world, session, method, world.get(session["_intent"]))
    return result


def note_customer(session, email, name):
    details = session["customer_details"] or {"address": None, "phone": None, "tax_exempt": "none", "tax_ids": None, "email": None,
        "name": None, "business_name": None, "individual_name": None}
    session["customer_details"] = details | {"email": email or details["email"], "name": name or details["name"]}


def intent_of(world, session):
    """Returns the payment intent of a session, which Stripe makes with the first attempt to pay."""
    if session["_intent"]:
        return world.get(session["_intent"])
    is_payment = session["mode"] == "payment"
    data = session["_intent_data"]
    intent = payments.create_intent(
        world, session["customer"], session["amount_total"], session["currency"],
        catalogue.merged({}, data.get("metadata", {})), data.get("description") if is_payment else "Subscription creation",
        data.get("setup_future_usage") if is_payment else "off_session")
    world.change(session, _intent=intent["id"], payment_intent=intent["id"] if is_payment else None)
    return intent


def authenticated(world, session, is_complete):
    """Ends the authentication. Returns `succeeds` or the decline code."""
    require_open(session)
    intent = intent_of(world, session)
    if intent["status"] != "requires_action":
        raise invalid("This payment does not wait for an authentication.")
    result = payments.authenticate(world, intent, is_complete)
    if result == "succeeds":
        complete(world, session, world.get(intent["payment_method"]), intent)
    return result


def complete(world, session, method, intent, is_paid=True):
    """Ends a session whose payment succeeded, or whose bank debit has begun."""
    customer = world.get(session["customer"]) if session["customer"] else None
    if customer is None and session["mode"] == "subscription":
        details = session["customer_details"] or {}
        customer = catalogue.create_customer(world, {"email": details.get("email"), "name": details.get("name")})
        session["customer"] = customer["id"]
        if intent:
            world.change(intent, customer=customer["id"])
            world.change(world.get(intent["latest_charge"]), customer=customer["id"])
    is_saved = session["mode"] == "subscription" or (intent and intent["setup_future_usage"])
    if method and customer and is_saved:
        catalogue.attach(world, method, customer["id"])
    if session["mode"] == "subscription":
        begin_subscription(world, session, customer, method, intent, is_paid)
    status = "no_payment_required" if session["amount_total"] == 0 else "paid" if is_paid else "unpaid"
    world.change(session, status="complete", payment_status=status, url=None)
    world.emit("checkout.session.completed", session)


def begin_subscription(world, session, customer, method, intent, is_paid):
    discount = None
    if session["_percent_off"]:
        coupon = session["discounts"][0]["coupon"]
        discount = {
            "id": world.new_id("di"), "object": "discount", "checkout_session": session["id"], "customer": customer["id"],
            "customer_account": None, "end": None, "invoice": None, "invoice_item": None, "promotion_code": None,
            "source": {"coupon": coupon, "type": "coupon"}, "start": world.now(), "subscription": None, "subscription_item": None,
            "_percent_off": session["_percent_off"],
        }
        world.save(discount)
    priced = [(item["price"], item["quantity"]) for item in session["_line_items"]]
    subscription, invoice = subscriptions.create(world, customer, priced, method, session["_subscription_metadata"], discount)
    session |= {"subscription": subscription["id"], "invoice": invoice["id"]}
    if intent and invoice["status"] == "open":
        world.change(intent, _invoice=invoice["id"])
        invoices.payment_record(world, invoice, intent)
        world.change(invoice, attempted=True, attempt_count=1)
        if is_paid:
            invoices.mark_paid(world, invoice)


# Bank debits, which are paid later


def pay_later(world, session):
    """Completes a session with a bank debit that has not been paid yet."""
    require_open(session)
    intent = intent_of(world, session)
    payments.start_debit(world, intent)
    complete(world, session, None, intent, is_paid=False)


def finish_later(world, session, is_paid):
    if session["status"] != "complete" or session["payment_status"] != "unpaid":
        raise invalid("This Checkout Session does not wait for a bank debit.")
    intent = world.get(session["_intent"])
    payments.finish_debit(world, intent, is_paid)
    invoice = session["invoice"] and world.get(session["invoice"])
    if is_paid:
        session["payment_status"] = "paid"
    world.save(session)
    if invoice:
        finish_invoice(world, invoice, is_paid)
    world.emit(f"checkout.session.async_payment_{'succeeded' if is_paid else 'failed'}", session)


def finish_invoice(world, invoice, is_paid):
    subscription = subscriptions.subscription_of(world, invoice)
    if is_paid:
        invoices.mark_paid(world, invoice)
    else:
        world.emit("invoice.payment_failed", invoice)
    subscriptions.after_attempt(world, subscription, invoice, "succeeds" if is_paid else "bank_debit_failed")


def expire(world, session):
    if session["status"] != "open":
        raise invalid(
            "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a status of "
            f"`{session['status']}`.")
    intent = session["_intent"] and world.get(session["_intent"])
    if intent and intent["status"] != "canceled":
        world.change(intent, status="canceled", canceled_at=world.now(), cancellation_reason="expired", next_action=None)
        world.emit("payment_intent.canceled", intent)
    world.change(session, status="expired", url=None)
    world.emit("checkout.session.expired", session)
    return session
