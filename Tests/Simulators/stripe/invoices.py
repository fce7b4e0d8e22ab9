"""Invoices: their lines, their way from draft to paid or void, and the records of their payments."""

import payments
from errors import invalid
from world import list_of

LINES_SHOWN = 10
NO_METHOD = "no_payment_method"


def line(world, price, quantity, amount, start, end, subscription, item, is_proration, description, credited=None):
    """One line of a subscription's invoice. A proration comes from an invoice item, and a credit names what it credits."""
    return {
        "id": world.new_id("il"), "object": "line_item", "amount": amount, "currency": price["currency"], "description": description,
        "discount_amounts": [], "discountable": not is_proration, "discounts": [], "invoice": None, "livemode": False, "metadata": {},
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": world.new_id("ii") if is_proration else None, "proration": is_proration,
                "proration_details": {"credited_items": credited}, "subscription": subscription, "subscription_item": item,
            },
            "type": "subscription_item_details",
        },
        "period": {"end": end, "start": start}, "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]}, "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": quantity, "quantity_decimal": str(quantity), "subscription": subscription, "subtotal": amount, "taxes": [],
    }


def make(world, customer, subscription, lines, billing_reason, period_start, period_end, discount=None):
    """Returns a draft that is not saved: a preview stays this."""
    identifier = world.new_id("in")
    for one in lines:
        one["invoice"] = identifier
        if discount and one["discountable"]:
            off = share(one["amount"], discount["_percent_off"], 100)
            one |= {"discounts": [discount["id"]], "discount_amounts": [{"amount": off, "discount": discount["id"]}]}
    subtotal = sum(one["amount"] for one in lines)
    taken = [amount for one in lines for amount in one["discount_amounts"]]
    off = sum(amount["amount"] for amount in taken)
    total = subtotal - off
    due = max(0, total + min(0, customer["balance"]))
    invoice = {
        "id": identifier, "object": "invoice", "account_country": "US", "account_name": "Simulator", "account_tax_ids": None,
        "amount_due": due, "amount_overpaid": 0, "amount_paid": 0, "amount_remaining": due, "amount_shipping": 0, "application": None,
        "attempt_count": 0, "attempted": False, "auto_advance": True,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None, "provider": None, "status": None},
        "automatically_finalizes_at": None, "billing_reason": billing_reason, "collection_method": "charge_automatically",
        "created": world.now(), "currency": lines[0]["currency"], "custom_fields": None, "customer": customer["id"],
        "customer_account": None, "customer_address": None, "customer_email": customer["email"], "customer_name": customer["name"],
        "customer_phone": customer["phone"], "customer_shipping": None, "customer_tax_exempt": "none", "customer_tax_ids": [],
        "default_payment_method": None, "default_source": None, "default_tax_rates": [], "description": None,
        "discounts": [discount["id"]] if discount else [], "due_date": None, "effective_at": None, "ending_balance": None, "footer": None,
        "from_invoice": None, "hosted_invoice_url": None, "invoice_pdf": None, "issuer": {"type": "self"},
        "last_finalization_error": None, "latest_revision": None,
        "lines": list_of(lines[:LINES_SHOWN], f"/v1/invoices/{identifier}/lines", len(lines) > LINES_SHOWN, total_count=len(lines)),
        "livemode": False, "metadata": {}, "next_payment_attempt": None, "number": None, "on_behalf_of": None,
        "parent": {
            "quote_details": None,
            "subscription_details": {"metadata": subscription["metadata"], "subscription": subscription["id"]},
            "type": "subscription_details",
        },
        "payment_settings": {"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
        "period_end": period_end, "period_start": period_start, "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0, "receipt_number": None, "rendering": None, "shipping_cost": None, "shipping_details": None,
        "starting_balance": customer["balance"], "statement_descriptor": None, "status": "draft",
        "status_transitions": {"finalized_at": None, "marked_uncollectible_at": None, "paid_at": None, "voided_at": None},
        "subtotal": subtotal, "subtotal_excluding_tax": subtotal, "test_clock": None, "total": total,
        "total_discount_amounts": [{"amount": off, "discount": discount["id"]}] if discount else [], "total_excluding_tax": total,
        "total_pretax_credit_amounts": [], "total_taxes": [], "webhooks_delivered_at": world.now(),
        "_lines": lines, "_intent": None,
    }
    return invoice


def share(amount, part, whole):
    """Returns amount * part / whole, rounded half up."""
    return (2 * amount * part + whole) // (2 * whole)


def create(world, invoice, finalizes_at=None):
    if finalizes_at:
        invoice["automatically_finalizes_at"] = finalizes_at
    world.save(invoice)
    world.emit("invoice.created", invoice)
    return invoice


def move(world, invoice, status, transition, **members):
    transitions = invoice["status_transitions"] | {transition: world.now()}
    return world.change(invoice, status=status, status_transitions=transitions, **members)


def finalize(world, invoice):
    """Opens a draft. The customer's balance pays first, and takes what a negative total gives back."""
    customer = world.get(invoice["customer"])
    balance, total = customer["balance"], invoice["total"]
    due = max(0, total + balance)
    after = balance + total - due
    if customer.get("deleted"):
        due, after = max(0, total), balance
    elif after != balance:
        world.emit("customer.updated", customer, world.change(customer, balance=after))
    url = f"{world.base_url}/i/{invoice['id']}"
    number = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04}"
    world.change(customer, next_invoice_sequence=customer["next_invoice_sequence"] + 1)
    previous = move(
        world, invoice, "open", "finalized_at", amount_due=due, amount_remaining=due, starting_balance=balance, ending_balance=after,
        effective_at=world.now(), number=number, hosted_invoice_url=url, invoice_pdf=f"{url}/pdf", automatically_finalizes_at=None)
    world.emit("invoice.finalized", invoice, previous)
    if due == 0:
        mark_paid(world, invoice)


def payment_record(world, invoice, intent):
    for record in world.store.find("invoice_payment", invoice=invoice["id"]):
        return record
    record = {
        "id": world.new_id("inpay"), "object": "invoice_payment", "amount_paid": None, "amount_requested": invoice["amount_due"],
        "created": world.now(), "currency": invoice["currency"], "invoice": invoice["id"], "is_default": True, "livemode": False,
        "payment": {"payment_intent": intent["id"], "type": "payment_intent"}, "status": "open",
        "status_transitions": {"canceled_at": None, "paid_at": None},
    }
    world.save(record)
    world.change(invoice, _intent=intent["id"])
    return record


def attempt(world, invoice, method, description):
    """Tries to pay an open invoice. Returns `succeeds`, `authentication`, a decline code or NO_METHOD."""
    intent = invoice["_intent"] and world.get(invoice["_intent"])
    if not intent:
        intent = payments.create_intent(
            world, invoice["customer"], invoice["amount_due"], invoice["currency"], description=description, _invoice=invoice["id"])
        payment_record(world, invoice, intent)
    world.change(invoice, attempted=True, attempt_count=invoice["attempt_count"] + 1)
    if method is None:
        return NO_METHOD
    result = payments.confirm(world, intent, method)
    if result == "succeeds":
        mark_paid(world, invoice)
    return result


def mark_paid(world, invoice):
    previous = move(
        world, invoice, "paid", "paid_at", amount_paid=invoice["amount_due"], amount_remaining=0, attempted=True, auto_advance=False,
        next_payment_attempt=None)
    world.emit("invoice.paid", invoice, previous)
    world.emit("invoice.payment_succeeded", invoice, previous)
    if invoice["_intent"]:
        record = payment_record(world, invoice, world.get(invoice["_intent"]))
        transitions = record["status_transitions"] | {"paid_at": world.now()}
        world.change(record, status="paid", amount_paid=invoice["amount_paid"], status_transitions=transitions)
        world.emit("invoice_payment.paid", record)


def void(world, invoice):
    require_open(invoice)
    stop_payment(world, invoice)
    previous = move(world, invoice, "void", "voided_at", auto_advance=False, next_payment_attempt=None)
    world.emit("invoice.voided", invoice, previous)
    return invoice


def mark_uncollectible(world, invoice):
    require_open(invoice)
    previous = move(world, invoice, "uncollectible", "marked_uncollectible_at", auto_advance=False, next_payment_attempt=None)
    world.emit("invoice.marked_uncollectible", invoice, previous)
    return invoice


def fail_finalization(world, invoice):
    """Leaves a draft that Stripe cannot open, because an address for its taxes is missing."""
    if invoice["status"] != "draft":
        raise invalid(f"Invoice {invoice['id']} is {invoice['status']}, not draft.")
    error = {
        "type": "invalid_request_error", "code": "customer_tax_location_invalid",
        "message": "The customer's location isn't recognized. Set a valid customer address in order to automatically calculate tax.",
    }
    world.emit("invoice.finalization_failed", invoice, world.change(invoice, last_finalization_error=error, auto_advance=False))
    return invoice


def require_open(invoice):
    if invoice["status"] != "open":
        raise invalid(f"Invoice {invoice['id']} is {invoice['status']}, not open.")


def stop_payment(world, invoice):
    intent = invoice["_intent"] and world.get(invoice["_intent"])
    if intent and intent["status"] not in ("succeeded", "canceled"):
        world.change(intent, status="canceled", canceled_at=world.now(), cancellation_reason="void_invoice", next_action=None)
        world.emit("payment_intent.canceled", intent)
        for record in world.store.find("invoice_payment", invoice=invoice["id"]):
            transitions = record["status_transitions"] | {"canceled_at": world.now()}
            world.change(record, status="canceled", status_transitions=transitions)
