"""Money in and out: payment intents, charges, refunds, disputes, and the balance transactions that they leave."""

from cards import CARDS, DECLINES, outcome
from catalogue import merged
from errors import StripeError, invalid

DISPUTE_FEE = 1_500
EVIDENCE_SECONDS = 9 * 86_400
REFUND_DELAY_SECONDS = 600  # until a pending or a failing refund of a test card ends
SETTLED_REFUNDS = ("succeeded", "pending", "requires_action")


def money(amount, currency):
    return f"${amount / 100:,.2f}" if currency == "usd" else f"{amount / 100:,.2f} {currency.upper()}"


# Payment intents and charges


def create_intent(world, customer, amount, currency, metadata=None, description=None, setup_future_usage=None, **own):
    identifier = world.new_id("pi")
    intent = {
        "id": identifier, "object": "payment_intent", "amount": amount, "amount_capturable": 0, "amount_details": {"tip": {}},
        "amount_received": 0, "application": None, "application_fee_amount": None, "automatic_payment_methods": None,
        "canceled_at": None, "cancellation_reason": None, "capture_method": "automatic_async",
        "client_secret": f"{identifier}_secret_{world.new_id('x')[2:]}", "confirmation_method": "automatic", "created": world.now(),
        "currency": currency, "customer": customer, "customer_account": None, "description": description,
        "excluded_payment_method_types": None, "last_payment_error": None, "latest_charge": None, "livemode": False,
        "metadata": metadata or {}, "next_action": None, "on_behalf_of": None, "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {"installments": None, "mandate_options": None, "network": None, "request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"], "processing": None, "receipt_email": None, "review": None,
        "setup_future_usage": setup_future_usage, "shipping": None, "source": None, "statement_descriptor": None,
        "statement_descriptor_suffix": None, "status": "requires_payment_method", "transfer_data": None, "transfer_group": None,
    } | own
    world.save(intent)
    world.emit("payment_intent.created", intent)
    return intent


def confirm(world, intent, method):
    """Tries to pay. Returns `succeeds`, `authentication` or the decline code."""
    result = outcome(method["_number"], method["_authenticated"])
    world.change(intent, payment_method=method["id"], last_payment_error=None)
    if result == "succeeds":
        succeed(world, intent, method)
    elif result == "authentication":
        action = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
        world.change(intent, status="requires_action", next_action=action)
        world.emit("payment_intent.requires_action", intent)
    else:
        decline(world, intent, method, result)
    return result


def authenticate(world, intent, is_complete):
    """Ends the authentication of a payment. Returns `succeeds` or the decline code."""
    method = world.get(intent["payment_method"])
    if not is_complete:
        decline(world, intent, method, "authentication_failed")
        return "authentication_failed"
    world.change(method, _authenticated=True)
    succeed(world, intent, method)
    return "succeeds"


def succeed(world, intent, method):
    charge = create_charge(world, intent, method, "succeeded")
    take_money(world, charge)
    world.change(
        intent, status="succeeded", amount_received=intent["amount"], latest_charge=charge["id"], next_action=None,
        last_payment_error=None, processing=None)
    world.emit("charge.succeeded", charge)
    world.emit("payment_intent.succeeded", intent)
    later = CARDS[method["_number"]].later if method else None
    if later in ("dispute", "inquiry"):
        world.store.schedule(world.now(), f"card_{later}", charge["id"])
    return charge


def decline(world, intent, method, code):
    charge = create_charge(world, intent, method, "failed")
    kind, message = DECLINES[code]
    charge |= {"failure_code": kind, "failure_message": message}
    charge["outcome"] |= {"network_status": "declined_by_network", "reason": code, "seller_message": "The bank declined the payment.",
        "type": "issuer_declined"}
    world.save(charge)
    world.change(
        intent, status="requires_payment_method", latest_charge=charge["id"], next_action=None, processing=None,
        last_payment_error=card_error(intent, method, charge, code).error)
    world.emit("charge.failed", charge)
    world.emit("payment_intent.payment_failed", intent)


def card_error(intent, method, charge, code):
    """The answer 402 of Stripe about a card."""
    kind, message = DECLINES[code]
    details = {"charge": charge["id"]} if charge else {}
    if kind == "card_declined":
        details["decline_code"] = code
    if method:
        details["payment_method"] = {name: value for name, value in method.items() if not name.startswith("_")}
    return StripeError(402, "card_error", message, kind, **details)


def start_debit(world, intent):
    """Begins a bank debit, which succeeds or fails later."""
    charge = create_charge(world, intent, None, "pending")
    world.change(intent, status="processing", latest_charge=charge["id"], payment_method_types=["us_bank_account"])
    world.emit("charge.pending", charge)
    world.emit("payment_intent.processing", intent)


def finish_debit(world, intent, is_paid):
    charge = world.get(intent["latest_charge"])
    if is_paid:
        charge |= {"status": "succeeded", "paid": True, "captured": True, "amount_captured": charge["amount"]}
        take_money(world, charge)
        world.change(intent, status="succeeded", amount_received=intent["amount"], processing=None)
        world.emit("charge.succeeded", charge)
        world.emit("payment_intent.succeeded", intent)
    else:
        kind, message = DECLINES["bank_debit_failed"]
        world.change(charge, status="failed", failure_code=kind, failure_message=message)
        error = StripeError(402, "card_error", message, kind, charge=charge["id"]).error
        world.change(intent, status="requires_payment_method", last_payment_error=error)
        world.emit("charge.failed", charge)
        world.emit("payment_intent.payment_failed", intent)


def create_charge(world, intent, method, status):
    is_paid = status == "succeeded"
    identifier = world.new_id("ch")
    card = method and {
        "amount_authorized": intent["amount"], "authorization_code": None, "brand": method["card"]["brand"],
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"}, "country": "US",
        "exp_month": method["card"]["exp_month"], "exp_year": method["card"]["exp_year"], "fingerprint": method["card"]["fingerprint"],
        "funding": "credit", "installments": None, "last4": method["card"]["last4"], "mandate": None,
        "network": method["card"]["brand"], "network_token": {"used": False}, "network_transaction_id": None,
        "regulated_status": "unregulated", "three_d_secure": None, "wallet": None,
    }
    bank = {
        "account_holder_type": "individual", "account_type": "checking", "bank_name": "TEST BANK", "fingerprint": "simulatedbank",
        "last4": "6789", "mandate": None, "payment_reference": None, "routing_number": "110000000",
    }
    details = {"card": card, "type": "card"} if card else {"us_bank_account": bank, "type": "us_bank_account"}
    no_address = {name: None for name in ("city", "country", "line1", "line2", "postal_code", "state")}
    charge = {
        "id": identifier, "object": "charge", "amount": intent["amount"], "amount_captured": intent["amount"] if is_paid else 0,
        "amount_refunded": 0, "application": None, "application_fee": None, "application_fee_amount": None, "balance_transaction": None,
        "billing_details": method["billing_details"] if method else {"address": no_address, "email": None, "name": None, "phone": None,
            "tax_id": None},
        "calculated_statement_descriptor": "SIMULATOR", "captured": is_paid, "created": world.now(), "currency": intent["currency"],
        "customer": intent["customer"], "description": intent["description"], "disputed": False, "failure_balance_transaction": None,
        "failure_code": None, "failure_message": None, "fraud_details": {}, "livemode": False, "metadata": intent["metadata"],
        "on_behalf_of": None,
        "outcome": {
            "advice_code": None, "network_advice_code": None, "network_decline_code": None, "network_status": "approved_by_network",
            "reason": None, "risk_level": "normal", "seller_message": "Payment complete.", "type": "authorized",
        },
        "paid": is_paid, "payment_intent": intent["id"], "payment_method": method["id"] if method else None,
        "payment_method_details": details, "radar_options": {}, "receipt_email": None, "receipt_number": None,
        "receipt_url": None, "refunded": False, "review": None, "shipping": None, "source": None,
        "source_transfer": None, "statement_descriptor": None, "statement_descriptor_suffix": None, "status": status,
        "transfer_data": None, "transfer_group": None,
    }
    world.save(charge)
    return charge


def take_money(world, charge):
    fee = 30 + round(charge["amount"] * 0.029)
    entry = create_balance_transaction(world, charge["amount"], "charge", "charge", charge["id"], charge["currency"], fee)
    world.change(charge, balance_transaction=entry["id"])


def create_balance_transaction(world, amount, kind, category, source, currency, fee=0):
    settlement = world.store.setting("settlement", None)
    rate = None
    if settlement and settlement["currency"] != currency:
        currency, rate = settlement["currency"], settlement["rate"]
        amount, fee = round(amount * rate), round(fee * rate)
    entry = {
        "id": world.new_id("txn"), "object": "balance_transaction", "amount": amount, "available_on": world.now() + 2 * 86_400,
        "balance_type": "payments", "created": world.now(), "currency": currency, "description": None, "exchange_rate": rate,
        "fee": fee,
        "fee_details": [
            {"amount": fee, "application": None, "currency": currency, "description": "Stripe processing fees",
                "type": "stripe_fee"}] if fee else [],
        "net": amount - fee, "reporting_category": category, "source": source, "status": "pending", "type": kind,
    }
    world.save(entry)
    return entry


# Refunds


def create_refund(world, parameters):
    charge = refunded_charge(world, parameters)
    left = charge["amount"] - charge["amount_refunded"]
    amount = parameters.get("amount", left)
    if not charge["paid"]:
        raise invalid(f"Charge {charge['id']} has not been paid and cannot be refunded.", "charge")
    if left == 0:
        raise invalid(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    # A dispute that was won has two transactions: the money came back.
    if charge["disputed"] and any(len(dispute["balance_transactions"]) == 1 for dispute in world.store.find("dispute", charge=charge["id"])):
        raise invalid(f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed")
    if amount < 1:
        raise invalid("This value must be greater than or equal to 1.", "amount", "parameter_invalid_integer")
    if amount > left:
        raise invalid(
            f"Refund amount ({money(amount, charge['currency'])}) is greater than unrefunded amount on charge "
            f"({money(left, charge['currency'])})", "amount")
    method = world.get(charge["payment_method"]) if charge["payment_method"] else None
    later = CARDS[method["_number"]].later if method else None
    identifier = world.new_id("re")
    entry = create_balance_transaction(world, -amount, "refund", "refund", identifier, charge["currency"])
    refund = {
        "id": identifier, "object": "refund", "amount": amount, "balance_transaction": entry["id"], "charge": charge["id"],
        "created": world.now(), "currency": charge["currency"], "customer": charge["customer"], "customer_account": None,
        "destination_details": {"card": {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"},
            "type": "card"},
        "metadata": merged({}, parameters.get("metadata", {})), "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"], "reason": parameters.get("reason"), "receipt_number": None,
        "source_transfer_reversal": None, "status": "pending" if later == "pending_refund" else "succeeded", "transfer_reversal": None,
    }
    world.save(refund)
    world.emit("refund.created", refund)
    previous = count_refunds(world, charge)
    world.emit("charge.refunded", charge, previous)
    if later in ("pending_refund", "failing_refund"):
        world.store.schedule(world.now() + REFUND_DELAY_SECONDS, later, identifier)
    return refund


def refunded_charge(world, parameters):
    if "charge" in parameters:
        return world.store.require(parameters["charge"], "charge", "charge")
    if "payment_intent" not in parameters:
        raise invalid("One of the following params should be provided for this request: payment_intent or charge.")
    intent = world.store.require(parameters["payment_intent"], "payment_intent", "payment_intent")
    if intent["status"] != "succeeded":
        raise invalid(f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.", "payment_intent")
    return world.get(intent["latest_charge"])


def count_refunds(world, charge):
    refunds = world.store.find("refund", charge=charge["id"])
    amount = sum(refund["amount"] for refund in refunds if refund["status"] in SETTLED_REFUNDS)
    return world.change(charge, amount_refunded=amount, refunded=amount == charge["amount"])


def finish_refund(world, refund, is_paid):
    """Ends a pending refund, or fails one that counted as succeeded: the bank sent the money back."""
    if refund["status"] not in ("pending", "requires_action") and (is_paid or refund["status"] != "succeeded"):
        raise invalid(f"Refund {refund['id']} is {refund['status']}.")
    if is_paid:
        world.emit("refund.updated", refund, world.change(refund, status="succeeded"))
        return refund
    entry = create_balance_transaction(world, refund["amount"], "refund_failure", "refund_failure", refund["id"], refund["currency"])
    previous = world.change(refund, status="failed", failure_balance_transaction=entry["id"], failure_reason="lost_or_stolen_card")
    charge = world.get(refund["charge"])
    changed = count_refunds(world, charge)
    world.emit("refund.failed", refund)
    world.emit("refund.updated", refund, previous)
    world.emit("charge.refund.updated", refund, previous)
    world.emit("charge.updated", charge, changed)
    return refund


def cancel_refund(world, refund):
    if refund["status"] != "requires_action":
        raise invalid(f"Refund {refund['id']} has a status of {refund['status']}; only a refund that requires an action can be canceled.")
    world.emit("refund.updated", refund, world.change(refund, status="canceled"))
    count_refunds(world, world.get(refund["charge"]))
    return refund


# Disputes


def create_dispute(world, charge, amount=None, status="needs_response", reason="fraudulent"):
    identifier = world.new_id("du")
    evidence = (
        "access_activity_log", "billing_address", "cancellation_policy", "cancellation_policy_disclosure", "cancellation_rebuttal",
        "customer_communication", "customer_email_address", "customer_name", "customer_purchase_ip", "customer_signature",
        "duplicate_charge_documentation", "duplicate_charge_explanation", "duplicate_charge_id", "product_description", "receipt",
        "refund_policy", "refund_policy_disclosure", "refund_refusal_explanation", "service_date", "service_documentation",
        "shipping_address", "shipping_carrier", "shipping_date", "shipping_documentation", "shipping_tracking_number",
        "uncategorized_file", "uncategorized_text")
    dispute = {
        "id": identifier, "object": "dispute", "amount": amount or charge["amount"], "balance_transactions": [], "charge": charge["id"],
        "created": world.now(), "currency": charge["currency"], "enhanced_eligibility_types": [],
        "evidence": {name: None for name in evidence} | {"enhanced_evidence": {}},
        "evidence_details": {
            "due_by": world.now() + EVIDENCE_SECONDS, "enhanced_eligibility": {}, "has_evidence": False, "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": status.startswith("warning"), "livemode": False, "metadata": {}, "network_reason_code": "10.4",
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {"card": {"brand": "visa", "case_type": "chargeback", "network": "visa", "network_reason_code": "10.4"},
            "type": "card"},
        "reason": reason, "status": status, "_customer": charge["customer"],
    }
    world.save(dispute)
    world.change(charge, disputed=True)
    world.emit("charge.dispute.created", dispute)
    return dispute


def withdraw(world, dispute):
    """Takes the disputed amount and the fee. An inquiry becomes a dispute."""
    if dispute["balance_transactions"]:
        raise invalid(f"The funds of dispute {dispute['id']} are withdrawn already.")
    entry = create_balance_transaction(
        world, -dispute["amount"], "adjustment", "dispute", dispute["id"], dispute["currency"], DISPUTE_FEE)
    changes = {"balance_transactions": [entry], "is_charge_refundable": False}
    if dispute["status"].startswith("warning"):
        changes["status"] = "needs_response"
    previous = world.change(dispute, **changes)
    world.emit("charge.dispute.funds_withdrawn", dispute, previous)
    if "status" in previous:
        world.emit("charge.dispute.updated", dispute, {"status": previous["status"]})
    return dispute


def close_dispute(world, dispute, is_won):
    """Ends a dispute. The funds come back with a win, and an inquiry ends without money either way."""
    if dispute["status"] in ("won", "lost", "warning_closed"):
        raise invalid(f"Dispute {dispute['id']} is closed: {dispute['status']}.")
    if dispute["status"].startswith("warning"):
        status = "warning_closed"
    else:
        if not is_won and not dispute["balance_transactions"]:
            withdraw(world, dispute)
        status = "won" if is_won else "lost"
    previous = world.change(dispute, status=status)
    world.emit("charge.dispute.closed", dispute, previous)
    if status == "won" and dispute["balance_transactions"]:
        entry = create_balance_transaction(
            world, dispute["amount"], "adjustment", "dispute_reversal", dispute["id"], dispute["currency"], -DISPUTE_FEE)
        previous = world.change(dispute, balance_transactions=dispute["balance_transactions"] + [entry])
        world.emit("charge.dispute.funds_reinstated", dispute, previous)
    return dispute


def warn_of_fraud(world, charge):
    warning = {
        "id": world.new_id("issfr"), "object": "radar.early_fraud_warning", "actionable": True, "charge": charge["id"],
        "created": world.now(), "fraud_type": "made_with_stolen_card", "livemode": False, "payment_intent": charge["payment_intent"],
    }
    world.save(warning)
    world.emit("radar.early_fraud_warning.created", warning)
    return warning
