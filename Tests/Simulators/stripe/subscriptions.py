"""Subscriptions: periods, changes of plan with prorations, pending updates, renewals, dunning and ends."""

import calendar
from datetime import datetime, timezone

import invoices
import payments
from catalogue import attached, merged
from errors import invalid

FINALIZATION_SECONDS = 3_600  # a renewal's invoice is a draft for an hour
PENDING_UPDATE_SECONDS = 23 * 3_600
RETRY_SECONDS = tuple(days * 86_400 for days in (3, 5, 7))  # between the attempts to pay a renewal
LIVING = ("active", "past_due", "unpaid", "trialing", "paused", "incomplete")
# What may stand next to payment_behavior=pending_if_incomplete
PENDING_NAMES = {"billing_cycle_anchor", "expand", "items", "metadata", "payment_behavior", "proration_behavior", "proration_date"}


# Periods


def add_months(anchor, months):
    """The same day and time of a later month, or its last day if the month is shorter."""
    start = datetime.fromtimestamp(anchor, timezone.utc)
    month = start.month - 1 + months
    year, month = start.year + month // 12, month % 12 + 1
    day = min(start.day, calendar.monthrange(year, month)[1])
    return int(start.replace(year=year, month=month, day=day).timestamp())


def interval_of(price):
    return price["recurring"]["interval"], price["recurring"]["interval_count"]


def period_end(price, anchor, start):
    """The first boundary after `start` of the cycle that begins at the anchor."""
    interval, count = interval_of(price)
    if interval in ("day", "week"):
        length = count * (86_400 if interval == "day" else 7 * 86_400)
        return start + length - (start - anchor) % length
    months = count * (12 if interval == "year" else 1)
    step = 1
    while add_months(anchor, step * months) <= start:
        step += 1
    return add_months(anchor, step * months)


def make_item(world, subscription, price, quantity, start, end, identifier=None):
    plan = {
        "id": price["id"], "object": "plan", "active": price["active"], "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"], "billing_scheme": "per_unit", "created": price["created"],
        "currency": price["currency"], "interval": price["recurring"]["interval"],
        "interval_count": price["recurring"]["interval_count"], "livemode": False, "metadata": {}, "meter": None, "nickname": None,
        "product": price["product"], "tiers_mode": None, "transform_usage": None, "trial_period_days": None, "usage_type": "licensed",
    }
    return {
        "id": identifier or world.new_id("si", 14), "object": "subscription_item", "billed_until": end, "billing_thresholds": None,
        "created": world.now(),
        "current_period_end": end, "current_period_start": start, "discounts": [], "metadata": {}, "plan": plan, "price": price,
        "quantity": quantity, "subscription": subscription, "tax_rates": [],
    }


def amount_of(item):
    return item["price"]["unit_amount"] * item["quantity"]


def items_of(subscription):
    return subscription["items"]["data"]


def describe(world, item):
    return world.get(item["price"]["product"])["name"]


def period_line(world, subscription, item):
    price = item["price"]
    cost = f"{payments.money(price['unit_amount'], price['currency'])} / {price['recurring']['interval']}"
    label = f"{item['quantity']} × {describe(world, item)} (at {cost})"
    return invoices.line(
        world, item["price"], item["quantity"], amount_of(item), item["current_period_start"], item["current_period_end"],
        subscription["id"], item["id"], False, label)


# Beginning


def create(world, customer, priced, method, metadata, discount=None):
    """Begins a subscription for [(price, quantity)]. Returns it and its first invoice, which is open, or paid if it costs nothing."""
    now, identifier = world.now(), world.new_id("sub")
    end = period_end(priced[0][0], now, now)
    subscription = {
        "id": identifier, "object": "subscription", "application": None, "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None}, "billing_cycle_anchor": now,
        "billing_cycle_anchor_config": None,
        "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible", "updated_at": now},
        "billing_schedules": [], "billing_thresholds": None, "cancel_at": None, "cancel_at_period_end": False, "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "feedback_option": None, "reason": None},
        "collection_method": "charge_automatically", "created": now, "currency": priced[0][0]["currency"], "customer": customer["id"],
        "customer_account": None, "days_until_due": None, "default_payment_method": method and method["id"], "default_source": None,
        "default_tax_rates": [], "description": None, "discounts": [discount["id"]] if discount else [], "ended_at": None,
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": {
            "object": "list", "data": [make_item(world, identifier, price, quantity, now, end) for price, quantity in priced],
            "has_more": False, "total_count": len(priced), "url": f"/v1/subscription_items?subscription={identifier}",
        },
        "latest_invoice": None, "livemode": False, "metadata": metadata, "next_pending_invoice_item_invoice": None, "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {"payment_method_options": None, "payment_method_types": None, "save_default_payment_method": "off"},
        "pending_invoice_item_interval": None, "pending_setup_intent": None, "pending_update": None, "schedule": None, "start_date": now,
        "status": "active", "test_clock": None, "transfer_data": None, "trial_end": None,
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}}, "trial_start": None,
        "_pending_lines": [], "_pending": None, "_discount": discount and discount["id"],
    }
    lines = [period_line(world, subscription, item) for item in items_of(subscription)]
    invoice = invoices.make(world, customer, subscription, lines, "subscription_create", now, now, discount)
    subscription["latest_invoice"] = invoice["id"]
    remember_lines(subscription, invoice)
    world.save(subscription)
    world.emit("customer.subscription.created", subscription)
    invoices.create(world, invoice)
    invoices.finalize(world, invoice)
    world.store.schedule(end, "renew", identifier)
    return subscription, invoice


def remember_lines(subscription, invoice):
    """Notes which line charged each item last, because a later credit names it."""
    for one in invoice["_lines"]:
        for item in items_of(subscription):
            if one["parent"]["subscription_item_details"]["subscription_item"] == item["id"] and one["amount"] > 0:
                item["_charged"] = {"invoice": invoice["id"], "invoice_line_items": [one["id"]]}


def discount_of(world, subscription):
    return subscription["_discount"] and world.get(subscription["_discount"])


def paying_method(world, subscription):
    customer = world.get(subscription["customer"])
    identifier = subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
    return world.get(identifier) if identifier else None


# Change


class Change:
    """New items, the lines that the change costs, and whether a new period begins."""

    def __init__(self, items, lines, begins_period):
        self.items, self.lines, self.begins_period = items, lines, begins_period


def asked_items(world, subscription, asked):
    """Returns the items after a request: with its id an item is changed, without one it is added."""
    old = {item["id"]: item for item in items_of(subscription)}
    new = {identifier: dict(item) for identifier, item in old.items()}
    start, end = period_of(subscription)
    for index, wish in enumerate(asked):
        param = f"items[{index}]"
        known = old.get(wish.get("id"))
        if "id" in wish and not known:
            raise invalid(f"No such subscription item: '{wish['id']}'", f"{param}[id]", "resource_missing")
        if wish.get("deleted"):
            if not known:
                raise invalid("You must pass the id of the subscription item to delete.", f"{param}[id]", "parameter_missing")
            del new[known["id"]]
            continue
        if not known and "price" not in wish:
            raise invalid(f"Missing required param: {param}[price].", f"{param}[price]", "parameter_missing")
        price = recurring_price(world, wish["price"], f"{param}[price]") if "price" in wish else known["price"]
        if not known and any(item["price"]["id"] == price["id"] for item in old.values()):
            raise invalid(f"Price {price['id']} is already used by another subscription item.", f"{param}[price]")
        item = make_item(world, subscription["id"], price, wish.get("quantity", known["quantity"] if known else 1), start, end,
            known and known["id"])
        if known:
            item |= {"created": known["created"], "_charged": known.get("_charged")}
        new[item["id"]] = item
    if not new:
        raise invalid("A subscription must have at least one active item.", "items")
    if len({interval_of(item["price"]) for item in new.values()}) > 1:
        raise invalid("The simulator does not mix billing intervals in one subscription.", "items", "simulator_unsupported")
    if len({item["price"]["currency"] for item in new.values()} | {subscription["currency"]}) > 1:
        raise invalid("All items of a subscription must have the same currency.", "items")
    return list(new.values())


def recurring_price(world, identifier, param):
    price = world.store.require(identifier, "price", param)
    if not price["recurring"]:
        raise invalid("The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.", param)
    if not price["active"]:
        raise invalid("The price specified is inactive. This field only accepts active prices.", param, "price_inactive")
    return price


def period_of(subscription):
    item = items_of(subscription)[0]
    return item["current_period_start"], item["current_period_end"]


def change_of(world, subscription, asked, behavior, proration_date=None, anchor=None):
    """Decides what a change of items costs. Saves nothing."""
    start, end = period_of(subscription)
    now = world.now()
    date = now if proration_date is None else proration_date
    if not start <= date <= end:
        raise invalid("The `proration_date` must be within the current billing period.", "proration_date")
    old, new = items_of(subscription), asked_items(world, subscription, asked)
    begins_period = anchor == "now" or interval_of(old[0]["price"]) != interval_of(new[0]["price"])
    kept = [] if begins_period else [item for item in old if any(same(item, other) for other in new)]
    lines = []
    if behavior != "none":
        for item in old:
            if not any(item is other for other in kept):
                amount = -invoices.share(amount_of(item), end - date, end - start)
                lines.append(invoices.line(
                    world, item["price"], item["quantity"], amount, date, end, subscription["id"], item["id"], True,
                    f"Unused time on {describe(world, item)}", item.get("_charged")))
    if begins_period:
        for item in new:
            item |= {"current_period_start": now, "current_period_end": period_end(item["price"], now, now)}
            item["billed_until"] = item["current_period_end"]
            lines.append(period_line(world, subscription, item))
    elif behavior != "none":
        for item in new:
            if not any(same(item, other) for other in kept):
                amount = invoices.share(amount_of(item), end - date, end - start)
                lines.append(invoices.line(
                    world, item["price"], item["quantity"], amount, date, end, subscription["id"], item["id"], True,
                    f"Remaining time on {describe(world, item)}"))
    return Change(new, lines, begins_period)


def same(item, other):
    return all(item[name] == other[name] for name in ("id", "quantity")) and item["price"]["id"] == other["price"]["id"]


def apply(world, subscription, change):
    subscription["items"] |= {"data": change.items, "total_count": len(change.items)}
    if change.begins_period:
        subscription["billing_cycle_anchor"] = change.items[0]["current_period_start"]
        world.store.schedule(change.items[0]["current_period_end"], "renew", subscription["id"])


def update(world, subscription, parameters):
    if subscription["status"] == "canceled" and set(parameters) - {"cancellation_details", "expand", "metadata"}:
        raise invalid("A canceled subscription can only update its cancellation_details and metadata.")
    if parameters.get("payment_behavior") == "pending_if_incomplete" and set(parameters) - PENDING_NAMES:
        names = ", ".join(sorted(set(parameters) - PENDING_NAMES))
        raise invalid(f"When `payment_behavior` is set to `pending_if_incomplete`, you can't pass: {names}.", "payment_behavior")
    before = world.get(subscription["id"])
    set_members(world, subscription, parameters)
    if "items" not in parameters and parameters.get("billing_cycle_anchor") != "now":
        return announce(world, subscription, before)
    behavior = parameters.get("proration_behavior", "create_prorations")
    change = change_of(
        world, subscription, parameters.get("items", []), behavior, parameters.get("proration_date"),
        parameters.get("billing_cycle_anchor"))
    drop_pending_update(world, subscription)
    for one in change.lines:
        if one["parent"]["subscription_item_details"]["proration"]:
            emit_invoice_item(world, subscription, one)
    if not change.begins_period and behavior != "always_invoice":
        subscription["_pending_lines"] += change.lines
        apply(world, subscription, change)
        return announce(world, subscription, before)
    lines = subscription["_pending_lines"] + change.lines
    if not lines:
        apply(world, subscription, change)
        return announce(world, subscription, before)
    subscription["_pending_lines"] = []
    return invoice_change(world, subscription, before, change, lines, parameters.get("payment_behavior", "allow_incomplete"))


def set_members(world, subscription, parameters):
    if "cancel_at_period_end" in parameters and "cancel_at" in parameters:
        raise invalid("You may only specify one of these parameters: cancel_at, cancel_at_period_end.", "cancel_at")
    if "metadata" in parameters:
        subscription["metadata"] = merged(subscription["metadata"], parameters["metadata"])
    if "description" in parameters:
        subscription["description"] = parameters["description"]
    if "default_payment_method" in parameters:
        method = parameters["default_payment_method"]
        subscription["default_payment_method"] = method and attached(world, method, subscription["customer"], "default_payment_method")[
            "id"]
    if "cancellation_details" in parameters:
        subscription["cancellation_details"] |= parameters["cancellation_details"]
    if parameters.get("cancel_at_period_end") is True:
        schedule_end(world, subscription, period_of(subscription)[1])
        subscription["cancel_at_period_end"] = True
    elif parameters.get("cancel_at_period_end") is False and subscription["cancel_at_period_end"]:
        unschedule_end(subscription)
    if "cancel_at" in parameters:
        at = parameters["cancel_at"]
        if at is None:
            unschedule_end(subscription)
        else:
            at = period_of(subscription)[1] if isinstance(at, str) else at
            if at <= world.now():
                raise invalid("The `cancel_at` timestamp must be in the future.", "cancel_at")
            schedule_end(world, subscription, at)
            subscription["cancel_at_period_end"] = False


def schedule_end(world, subscription, at):
    subscription |= {"cancel_at": at, "canceled_at": world.now()}
    subscription["cancellation_details"]["reason"] = "cancellation_requested"
    world.store.schedule(at, "cancel_at", subscription["id"])


def unschedule_end(subscription):
    subscription |= {"cancel_at": None, "cancel_at_period_end": False, "canceled_at": None}
    subscription["cancellation_details"] = {name: None for name in subscription["cancellation_details"]}


def announce(world, subscription, before):
    """Saves, and reports what changed."""
    world.save(subscription)
    previous = {name: value for name, value in before.items() if not name.startswith("_") and subscription[name] != value}
    if previous:
        world.emit("customer.subscription.updated", subscription, previous)
    return subscription


def emit_invoice_item(world, subscription, one):
    details = one["parent"]["subscription_item_details"]
    world.emit("invoiceitem.created", {
        "id": details["invoice_item"], "object": "invoiceitem", "amount": one["amount"], "currency": one["currency"],
        "customer": subscription["customer"], "date": world.now(), "description": one["description"], "discountable": False,
        "discounts": [],
        "invoice": None, "livemode": False, "metadata": {}, "net_amount": one["amount"],
        "parent": {
            "subscription_details": {"subscription": subscription["id"], "subscription_item": details["subscription_item"]},
            "type": "subscription_details",
        },
        "period": one["period"], "pricing": one["pricing"], "proration": True, "quantity": one["quantity"], "tax_rates": [],
        "test_clock": None,
    })


def invoice_change(world, subscription, before, change, lines, payment_behavior):
    start, end = period_of(subscription)
    invoice = invoices.make(world, world.get(subscription["customer"]), subscription, lines, "subscription_update", start, world.now())
    subscription["latest_invoice"] = invoice["id"]
    if payment_behavior == "pending_if_incomplete":
        world.save(subscription)
        invoices.create(world, invoice)
        invoices.finalize(world, invoice)
        if invoice["status"] == "open" and try_to_pay(world, subscription, invoice, "Subscription update") != "succeeds":
            hold_update(world, subscription, change, invoice)
            return announce(world, subscription, before)
        apply(world, subscription, change)
        remember_lines(subscription, invoice)
        return announce(world, subscription, before)
    apply(world, subscription, change)
    remember_lines(subscription, invoice)
    announce(world, subscription, before)
    invoices.create(world, invoice)
    invoices.finalize(world, invoice)
    if invoice["status"] == "open":
        result = try_to_pay(world, subscription, invoice, "Subscription update")
        if result != "succeeds" and payment_behavior == "error_if_incomplete":
            raise_refusal(world, invoice, result)  # rolls the whole change back
        after_attempt(world, subscription, invoice, result)
    return world.get(subscription["id"])


def raise_refusal(world, invoice, result):
    if result == invoices.NO_METHOD:
        raise invalid("This customer has no attached payment source or default payment method.", code="resource_missing")
    intent = world.get(invoice["_intent"])
    method = world.get(intent["payment_method"])
    if result == "authentication":
        raise payments.StripeError(
            402, "card_error", "Your card was declined. This transaction requires authentication.",
            "subscription_payment_intent_requires_action",
            payment_method={name: value for name, value in method.items() if not name.startswith("_")})
    raise payments.card_error(intent, method, world.get(intent["latest_charge"]), result)


def hold_update(world, subscription, change, invoice):
    """Keeps a change back until its invoice is paid."""
    expires = world.now() + PENDING_UPDATE_SECONDS
    subscription["pending_update"] = {
        "billing_cycle_anchor": change.items[0]["current_period_start"] if change.begins_period else None, "discounts": None,
        "expires_at": expires,
        "metadata": None, "subscription_items": change.items, "trial_end": None, "trial_from_plan": None,
    }
    subscription["_pending"] = {"invoice": invoice["id"], "begins_period": change.begins_period}
    world.store.schedule(expires, "pending_update", subscription["id"])
    world.change(invoice, auto_advance=False)


def drop_pending_update(world, subscription):
    """Voids the invoice of a change that is held back. Returns whether there was one."""
    held = subscription["_pending"]
    if not held:
        return False
    invoice = world.get(held["invoice"])
    if invoice["status"] == "open":
        invoices.void(world, invoice)
    subscription |= {"pending_update": None, "_pending": None}
    return True


def expire_pending_update(world, subscription):
    before = world.get(subscription["id"])
    if drop_pending_update(world, subscription):
        world.save(subscription)
        world.emit("customer.subscription.pending_update_expired", subscription, {"pending_update": before["pending_update"]})
        announce(world, subscription, before)


# Payment of invoices


def try_to_pay(world, subscription, invoice, description):
    """Tries with the card that the subscription has, and reports a failure."""
    result = invoices.attempt(world, invoice, paying_method(world, subscription), description)
    if result != "succeeds":
        if result == "authentication":
            world.emit("invoice.payment_action_required", invoice)
        world.emit("invoice.payment_failed", invoice)
    return result


def after_attempt(world, subscription, invoice, result):
    """Sets the subscription's status after an attempt, and plans the next one or the end."""
    if result == "succeeds":
        return paid(world, subscription, invoice)
    before = world.get(subscription["id"])
    if invoice["attempt_count"] <= len(RETRY_SECONDS):
        at = world.now() + RETRY_SECONDS[invoice["attempt_count"] - 1]
        world.emit("invoice.updated", invoice, world.change(invoice, next_payment_attempt=at))
        world.store.schedule(at, "retry", invoice["id"])
        if subscription["status"] == "active":
            subscription["status"] = "past_due"
        return announce(world, subscription, before)
    world.emit("invoice.updated", invoice, world.change(invoice, next_payment_attempt=None, auto_advance=False))
    end = world.store.setting("dunning", "canceled")
    if end == "canceled":
        return cancel(world, subscription, "payment_failed")
    subscription["status"] = end
    return announce(world, subscription, before)


def paid(world, subscription, invoice):
    """Applies what waited for a payment: a held change, or the return from past_due."""
    before = world.get(subscription["id"])
    held = subscription["_pending"]
    if held and held["invoice"] == invoice["id"]:
        pending = subscription["pending_update"]
        apply(world, subscription, Change(pending["subscription_items"], [], held["begins_period"]))
        subscription |= {"pending_update": None, "_pending": None}
        remember_lines(subscription, invoice)
        world.save(subscription)
        world.emit("customer.subscription.pending_update_applied", subscription, {"pending_update": pending})
    open_ones = [one for one in invoices_of(world, subscription) if one["status"] == "open" and one["attempted"]]
    if subscription["status"] in ("past_due", "unpaid") and not open_ones:
        subscription["status"] = "active"
    return announce(world, subscription, before)


def invoices_of(world, subscription):
    return world.store.find("invoice", parent__subscription_details__subscription=subscription["id"])


def subscription_of(world, invoice):
    return world.get(invoice["parent"]["subscription_details"]["subscription"])


def pay_open_invoice(world, invoice, method):
    """Pays on the hosted page. Returns `succeeds`, `authentication` or the decline code."""
    invoices.require_open(invoice)
    result = invoices.attempt(world, invoice, method, "Invoice payment")
    subscription = subscription_of(world, invoice)
    if result == "succeeds":
        paid(world, subscription, invoice)
    elif result != "authentication":
        world.emit("invoice.payment_failed", invoice)
    return result


def authenticated(world, invoice, is_complete):
    """Ends the authentication of an invoice's payment on its page. Returns `succeeds` or the decline code."""
    result = payments.authenticate(world, world.get(invoice["_intent"]), is_complete)
    if result == "succeeds":
        invoices.mark_paid(world, invoice)
        paid(world, subscription_of(world, invoice), invoice)
    else:
        world.emit("invoice.payment_failed", invoice)
    return result


# Renewal and end


def renew(world, subscription, at):
    if subscription["status"] == "canceled" or period_of(subscription)[1] != at:
        return
    if subscription["cancel_at"] is not None and subscription["cancel_at"] <= at:
        return cancel(world, subscription, "cancellation_requested")
    expire_pending_update(world, subscription)
    before = world.get(subscription["id"])
    start, end = period_of(subscription)
    for item in items_of(subscription):
        following = period_end(item["price"], subscription["billing_cycle_anchor"], end)
        item |= {"current_period_start": end, "current_period_end": following, "billed_until": following}
    lines = subscription["_pending_lines"] + [period_line(world, subscription, item) for item in items_of(subscription)]
    customer = world.get(subscription["customer"])
    invoice = invoices.make(world, customer, subscription, lines, "subscription_cycle", start, end, discount_of(world, subscription))
    subscription |= {"latest_invoice": invoice["id"], "_pending_lines": []}
    remember_lines(subscription, invoice)
    announce(world, subscription, before)
    if subscription["status"] == "unpaid":
        invoice["auto_advance"] = False
        invoices.create(world, invoice)
    else:
        invoices.create(world, invoice, world.now() + FINALIZATION_SECONDS)
        world.store.schedule(world.now() + FINALIZATION_SECONDS, "finalize", invoice["id"])
    world.store.schedule(period_of(subscription)[1], "renew", subscription["id"])


def finalize_renewal(world, invoice):
    if invoice["status"] != "draft" or not invoice["auto_advance"]:
        return
    invoices.finalize(world, invoice)
    subscription = subscription_of(world, invoice)
    if invoice["status"] == "open":
        after_attempt(world, subscription, invoice, try_to_pay(world, subscription, invoice, "Subscription update"))
    else:
        paid(world, subscription, invoice)


def retry_invoice(world, invoice):
    subscription = subscription_of(world, invoice)
    if invoice["status"] != "open" or not invoice["auto_advance"] or invoice["next_payment_attempt"] is None:
        return
    if subscription["status"] != "canceled":
        after_attempt(world, subscription, invoice, try_to_pay(world, subscription, invoice, "Subscription update"))


def cancel_at_time(world, subscription, at):
    if subscription["status"] != "canceled" and subscription["cancel_at"] == at:
        cancel(world, subscription, "cancellation_requested")


def cancel(world, subscription, reason, details=None, prorates=False, invoices_now=False):
    drop_pending_update(world, subscription)
    lines = subscription["_pending_lines"]
    if prorates:
        start, end = period_of(subscription)
        for item in items_of(subscription):
            amount = -invoices.share(amount_of(item), end - world.now(), end - start)
            lines.append(invoices.line(
                world, item["price"], item["quantity"], amount, world.now(), end, subscription["id"], item["id"], True,
                f"Unused time on {describe(world, item)}", item.get("_charged")))
    now = world.now()
    subscription |= {
        "status": "canceled", "canceled_at": subscription["canceled_at"] or now, "ended_at": now, "_pending_lines": [],
        "cancellation_details": subscription["cancellation_details"] | (details or {}) | {"reason": reason},
    }
    if invoices_now and lines:
        invoice = invoices.make(world, world.get(subscription["customer"]), subscription, lines, "subscription_update", now, now)
        subscription["latest_invoice"] = invoice["id"]
        invoices.create(world, invoice)
        invoices.finalize(world, invoice)
    for invoice in invoices_of(world, subscription):
        if invoice["status"] in ("draft", "open") and invoice["auto_advance"]:
            world.change(invoice, auto_advance=False, next_payment_attempt=None)
    world.save(subscription)
    world.emit("customer.subscription.deleted", subscription)
    return subscription


def delete_customer(world, customer):
    """Cancels the subscriptions and detaches the cards. The id stays, as deleted."""
    for subscription in reversed(world.store.find("subscription", customer=customer["id"])):
        if subscription["status"] in LIVING:
            cancel(world, subscription, "cancellation_requested")
    for method in world.store.find("payment_method", customer=customer["id"]):
        world.emit("payment_method.detached", method, world.change(method, customer=None))
    world.emit("customer.deleted", customer)
    world.change(customer, deleted=True)
    return {"id": customer["id"], "object": "customer", "deleted": True}


# Preview


def preview(world, parameters):
    """Returns the invoice that a change would make, or with no change or no immediate invoice the next renewal's."""
    if "subscription" not in parameters:
        raise invalid("Missing required param: subscription.", "subscription", "parameter_missing")
    subscription = world.store.require(parameters["subscription"], "subscription", "subscription")
    if parameters.get("customer", subscription["customer"]) != subscription["customer"]:
        raise invalid("The subscription does not belong to the customer.", "customer")
    if subscription["status"] == "canceled":
        raise invalid("No upcoming invoices for customer: " + subscription["customer"], "customer", "invoice_upcoming_none", 404)
    details = parameters.get("subscription_details", {})
    behavior = details.get("proration_behavior", "create_prorations")
    anchor = details.get("billing_cycle_anchor")
    change = change_of(world, subscription, details.get("items", []), behavior, details.get("proration_date"), anchor)
    start, end = period_of(subscription)
    lines, reason = subscription["_pending_lines"] + change.lines, "subscription_update"
    discount = None
    if not change.begins_period and (behavior != "always_invoice" or not lines):
        reason, discount = "upcoming", discount_of(world, subscription)
        for item in change.items:
            following = period_end(item["price"], subscription["billing_cycle_anchor"], end)
            lines.append(period_line(world, subscription, item | {"current_period_start": end, "current_period_end": following}))
    customer = world.get(subscription["customer"])
    invoice = invoices.make(world, customer, subscription, lines, reason, start, end if reason == "upcoming" else world.now(), discount)
    return invoice | {"id": "upcoming_" + invoice["id"], "ending_balance": customer["balance"] + invoice["total"] - invoice["amount_due"]}
