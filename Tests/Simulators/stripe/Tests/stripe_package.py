#!/usr/bin/env python3
"""Uses the simulator through the pinned `stripe` package, unchanged, and compares each object with its annotations.

    stripe_package.py [words of test names]

Needs a Python with requirements.txt. Ports are free ones; the last line says how many tests passed.
"""

import calendar
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from datetime import datetime, timezone
from urllib.parse import urlsplit

import shapes
import stripe
from harness import (
    ASKS, CALLED, DEADLINE_SECONDS, DECLINED, FOLDER, PAYS, POOR, Receiver, Simulator, check_list, equal, refused, until)

DAY = 86_400


# Objects


def every_object_has_the_shape_of_the_package(at):
    client, check = at.stripe, shapes.check
    check(client.accounts.retrieve_current())
    customer = check(at.customer())
    check(client.customers.retrieve(customer.id))
    check(client.customers.update(customer.id, {"name": "Ada L.", "metadata": {"x": "1"}}))
    prices = at.prices()
    product = check(client.products.retrieve(prices["pro_monthly"].product))
    check(client.products.create({"name": "Other"}))
    check(client.prices.retrieve(prices["pro_yearly"].id, {"expand": ["product"]}))
    check(client.prices.update(prices["pro_yearly"].id, {"nickname": "yearly"}))
    once = check(client.prices.create({"product": product.id, "currency": "usd", "unit_amount": 500}))
    equal((once.type, once.recurring), ("one_time", None))
    session = check(
        at.session("subscription", customer=customer.id,
            subscription_data={"metadata": {"user_id": "u1"}, "billing_mode": {"type": "flexible"}}))
    at.post(f"checkout/{session.id}/pay", card=PAYS)
    session = check(
        client.checkout.sessions.retrieve(session.id,
            {"expand": ["line_items", "customer", "subscription.latest_invoice", "invoice.payments"]}))
    equal((session.status, session.payment_status), ("complete", "paid"))
    check_list(client.checkout.sessions.line_items.list(session.id))
    subscription = check(client.subscriptions.retrieve(session.subscription.id, {"expand": ["default_payment_method", "customer"]}))
    equal(subscription.metadata["user_id"], "u1")
    equal(subscription.billing_mode.type, "flexible")
    invoice = check(client.invoices.retrieve(session.invoice.id, {"expand": ["payments.data.payment.payment_intent", "customer"]}))
    equal(invoice.parent.subscription_details.subscription, subscription.id)
    equal(invoice.parent.subscription_details.metadata["user_id"], "u1")
    line, = check_list(client.invoices.line_items.list(invoice.id))
    equal(line.pricing.price_details.price, prices["pro_monthly"].id)
    item = subscription["items"].data[0]
    check(client.invoices.create_preview({
        "customer": customer.id, "subscription": subscription.id,
        "subscription_details": {"items": [{"id": item.id, "price": prices["enterprise_monthly"].id}],
            "proration_behavior": "always_invoice"}}))
    intent = invoice.payments.data[0].payment.payment_intent
    check(client.payment_intents.retrieve(intent.id, {"expand": ["latest_charge.balance_transaction", "payment_method"]}))
    charge = check(client.charges.retrieve(intent.latest_charge, {"expand": ["refunds", "balance_transaction"]}))
    check(client.balance_transactions.retrieve(charge.balance_transaction.id))
    check(client.payment_methods.retrieve(subscription.default_payment_method.id))
    refund = check(
        client.refunds.create({"payment_intent": intent.id, "amount": 100, "reason": "requested_by_customer", "metadata": {"a": "b"}}))
    check(client.refunds.retrieve(refund.id, {"expand": ["charge", "balance_transaction"]}))
    with refused(stripe.InvalidRequestError, text="status of succeeded"):
        client.refunds.cancel(refund.id)
    dispute = at.post("disputes", charge=charge.id)["id"]
    at.post(f"disputes/{dispute}/withdraw")
    check(client.disputes.retrieve(dispute, {"expand": ["charge"]}))
    configuration = check(client.billing_portal.configurations.create({
        "features": {"payment_method_update": {"enabled": True}, "invoice_history": {"enabled": True},
            "subscription_cancel": {"enabled": True, "mode": "at_period_end"}}}))
    check(client.billing_portal.configurations.retrieve(configuration.id))
    check(client.billing_portal.configurations.update(configuration.id, {"features": {"invoice_history": {"enabled": False}}}))
    check(client.billing_portal.sessions.create(
            {"customer": customer.id, "configuration": configuration.id, "return_url": "http://127.0.0.1:1/billing"}))
    endpoint = check(client.webhook_endpoints.create({"url": "http://127.0.0.1:1/hook", "enabled_events": ["invoice.paid"]}))
    assert re.fullmatch(r"whsec_[A-Za-z0-9]{32}", endpoint.secret)
    assert "secret" not in check(client.webhook_endpoints.retrieve(endpoint.id))
    equal(check(client.webhook_endpoints.update(endpoint.id, {"disabled": True})).status, "disabled")
    check(client.subscriptions.update(subscription.id, {"cancel_at_period_end": True}))
    at.subscription(customer=at.customer())
    for resource in (
            client.customers, client.products, client.prices, client.checkout.sessions, client.subscriptions, client.invoices,
            client.invoice_payments, client.payment_intents, client.charges, client.payment_methods, client.refunds, client.disputes,
            client.billing_portal.configurations, client.events, client.webhook_endpoints):
        assert check_list(resource.list({"limit": 100})), f"no object of {resource}"
    check_list(client.customers.payment_methods.list(customer.id))
    event = client.events.list({"limit": 1}).data[0]
    check(client.events.retrieve(event.id))
    equal((event.api_version, event.livemode), (stripe.api_version, False))
    check(client.checkout.sessions.expire(at.session().id))
    check(client.subscriptions.cancel(subscription.id, {"invoice_now": False, "prorate": False}))
    client.webhook_endpoints.delete(endpoint.id)
    deleted = client.customers.delete(customer.id)
    equal(deleted.deleted, True)
    equal(client.customers.retrieve(customer.id).deleted, True)
    for event in client.events.list({"limit": 100}).auto_paging_iter():
        subject = stripe.StripeObject.construct_from(event.to_dict(), None)
        shapes.check(stripe.Event.construct_from(event.to_dict(), None))
        if subject.data.object.object not in ("invoiceitem", "radar.early_fraud_warning"):
            shapes.check(event.data.object)


def lists_are_newest_first_and_have_pages(at):
    names = [at.customer(name=str(number)).name for number in range(7)]
    first = at.stripe.customers.list({"limit": 3})
    equal(([one.name for one in first.data], first.has_more), (["6", "5", "4"], True))
    second = at.stripe.customers.list({"limit": 3, "starting_after": first.data[-1].id})
    equal(([one.name for one in second.data], second.has_more), (["3", "2", "1"], True))
    back = at.stripe.customers.list({"limit": 2, "ending_before": second.data[0].id})
    equal(([one.name for one in back.data], back.has_more), (["5", "4"], True))
    equal([one.name for one in at.stripe.customers.list({"limit": 2}).auto_paging_iter()], names[::-1])
    now = at.now()
    at.advance(1_000)
    late = at.customer(name="late", email="late@example.com")
    equal([one.id for one in at.stripe.customers.list({"created": {"gt": now + 500}}).data], [late.id])
    equal(len(at.stripe.customers.list({"created": {"lte": now + 500}, "limit": 100}).data), 7)
    equal(at.stripe.customers.list({"created": late.created}).data[0].id, late.id)
    equal([one.name for one in at.stripe.customers.list({"email": "late@example.com"}).data], ["late"])
    with refused(stripe.InvalidRequestError, "resource_missing", "starting_after"):
        at.stripe.customers.list({"starting_after": "cus_none"})
    for limit in (0, 101):
        with refused(stripe.InvalidRequestError, "parameter_invalid_integer", "limit"):
            at.stripe.customers.list({"limit": limit})
    prices = at.prices()
    found = at.stripe.prices.list({"lookup_keys": ["pro_monthly", "pro_yearly"], "expand": ["data.product"]}).data
    equal([(one.lookup_key, one.product.name) for one in found], [("pro_yearly", "Pro"), ("pro_monthly", "Pro")])
    moved = at.stripe.prices.create(
        {"product": prices["pro_monthly"].product, "currency": "usd", "unit_amount": 3_000, "recurring": {"interval": "month"},
            "lookup_key": "pro_monthly", "transfer_lookup_key": True})
    equal([one.id for one in at.stripe.prices.list({"lookup_keys": ["pro_monthly"]}).data], [moved.id])
    with refused(stripe.InvalidRequestError, None, "lookup_key"):
        at.stripe.prices.create({"product": moved.product, "currency": "usd", "unit_amount": 1, "lookup_key": "pro_monthly"})


def wrong_parameters_get_the_errors_of_stripe(at):
    customer = at.customer()
    wrong = [
        ("/v1/customers", "foo=1", "Received unknown parameter: foo", "parameter_unknown", "foo"),
        ("/v1/customers", "foo=1&email=a&bar[x]=2", "Received unknown parameters: foo, bar", "parameter_unknown", "foo"),
        ("/v1/checkout/sessions", "mode=payment&line_items[0][prize]=x", "Received unknown parameter: line_items[0][prize]",
            "parameter_unknown", "line_items[0][prize]"),
        ("/v1/checkout/sessions", "", "Missing required param: mode.", "parameter_missing", "mode"),
        ("/v1/checkout/sessions", "mode=payment&line_items[0][price_data][unit_amount]=5",
            "Missing required param: line_items[0][price_data][currency].", "parameter_missing", "line_items[0][price_data][currency]"),
        ("/v1/checkout/sessions", "mode=paymint", "Invalid mode: must be one of payment, setup, or subscription", None, "mode"),
        ("/v1/checkout/sessions", "mode=payment&expires_at=soon", "Invalid integer: soon", "parameter_invalid_integer", "expires_at"),
        ("/v1/subscriptions/sub_1", "cancel_at_period_end=yes", "Invalid boolean: yes", None, "cancel_at_period_end"),
        ("/v1/subscriptions/sub_1", "proration_behavior=", "You passed an empty string for 'proration_behavior'",
            "parameter_invalid_empty", "proration_behavior"),
        ("/v1/subscriptions/sub_1", "items=x", "Invalid array", None, "items"),
        ("/v1/subscriptions/sub_1", "cancel_at_period_end=true", "No such subscription: 'sub_1'", "resource_missing", "id"),
        ("/v1/refunds", "amount[x]=1&charge=a", "Invalid integer", None, "amount"),
        ("/v1/billing_portal/configurations", "", "Missing required param: features.", "parameter_missing", "features"),
        ("/v1/customers", "expand[]=nothing", "This property cannot be expanded (nothing).", None, "expand"),
        ("/v1/customers", "tax_exempt=reverse", "The simulator does not act on the parameter: tax_exempt", "simulator_unsupported",
            "tax_exempt"),
        ("/v1/webhook_endpoints", "url=https://example.com/&enabled_events[]=*", "Invalid URL", "url_invalid", "url"),
        ("/v1/webhook_endpoints", "url=http://127.0.0.1:1/&enabled_events[]=invoice.payed", "Invalid enabled_events[0]: must be one of",
            None, "enabled_events[0]"),
    ]
    for path, form, message, code, param in wrong:
        status, headers, answer = at.raw("POST", path, form)
        error = answer["error"]
        assert status == (404 if code == "resource_missing" else 400) and error["type"] == "invalid_request_error", (path, form, status,
            error)
        assert message in error["message"], (message, error["message"])
        equal((error.get("code"), error.get("param")), (code, param))
        assert headers["Request-Id"].startswith("req_")
    equal(len(at.stripe.customers.list().data), 1)
    cleared = at.stripe.customers.update(customer.id, {"metadata": {"user_id": "", "b": "2"}})
    equal(cleared.metadata.to_dict(), {"b": "2"})
    for authorization, kind in (("", "did not provide"), ("Bearer", "did not provide"),
        ("Bearer sk_live_12345678901234", "Invalid API Key provided: sk_live_"), ("Bearer pk_test_1", "Invalid API Key")):
        status, _, answer = at.raw("GET", "/v1/account", Authorization=authorization)
        assert status == 401 and kind in answer["error"]["message"], answer
    equal(at.raw("GET", "/v1/account", Authorization="Basic cmtfdGVzdF8xOg==")[0], 200)
    equal(at.raw("GET", "/v1/unknown")[0], 404)
    assert "Invalid Stripe API version" in at.raw("GET", "/v1/account", Stripe_Version="2020-08-27")[2]["error"]["message"]
    equal(at.raw("GET", "/v1/account")[1]["Stripe-Version"], stripe.api_version)


def expiry_of_a_session_has_bounds(at):
    for seconds, text in ((1_700, "at least 30 minutes"), (86_500, "less than 24 hours")):
        with refused(stripe.InvalidRequestError, None, "expires_at", text):
            at.session(expires_at=at.now() + seconds)
    session = at.session(expires_at=at.now() + 1_900)
    at.advance(1_950)
    expired = at.stripe.checkout.sessions.retrieve(session.id)
    equal((expired.status, expired.url), ("expired", None))
    equal(at.types()[-1], "checkout.session.expired")
    with refused(stripe.InvalidRequestError, text="status of `expired`"):
        at.stripe.checkout.sessions.expire(session.id)


# Idempotency and faults


def idempotency_keys_replay_the_first_answer(at):
    options = {"idempotency_key": "cus-u1"}
    first = at.stripe.customers.create({"email": "a@example.com"}, options)
    again = at.stripe.customers.create({"email": "a@example.com"}, options)
    equal((again.id, again.last_response.headers["Idempotent-Replayed"]), (first.id, "true"))
    assert "Idempotent-Replayed" not in first.last_response.headers
    with refused(stripe.IdempotencyError, text="Keys for idempotent requests can only be used with the same parameters"):
        at.stripe.customers.create({"email": "b@example.com"}, options)
    equal(len(at.stripe.customers.list().data), 1)
    with refused(stripe.InvalidRequestError, "parameter_unknown"):
        at.stripe.customers.create({"foo": "1"}, {"idempotency_key": "k2"})
    at.stripe.customers.create({}, {"idempotency_key": "k2"})  # a refused parameter is not stored
    for _ in range(2):  # a refusal of the execution is
        status, headers, _ = at.raw("POST", "/v1/refunds", "charge=ch_none", Idempotency_Key="k3")
        equal(status, 400)
    equal(headers["Idempotent-Replayed"], "true")
    event = at.stripe.events.list({"type": "customer.created"}).data[-1]
    equal((event["request"].idempotency_key, event["request"].id), ("cus-u1", first.last_response.request_id))
    assert at.post("idempotency_keys/prune")["pruned"] == 3
    assert at.stripe.customers.create({"email": "a@example.com"}, options).id != first.id


def a_key_in_use_is_409(at):
    at.post("faults", kind="delay", seconds=2, path="/v1/customers")
    answers = []
    slow = threading.Thread(target=lambda: answers.append(at.raw("POST", "/v1/customers", "", Idempotency_Key="k")[0]))
    slow.start()
    until(lambda: any(request["idempotency_key"] == "k" for request in at.control("GET", "requests")["requests"]) and not at.control(
            "GET", "faults")["faults"])
    status, _, answer = at.raw("POST", "/v1/customers", "", Idempotency_Key="k")
    equal((status, answer["error"]["code"]), (409, "idempotency_key_in_use"))
    slow.join()
    equal(answers, [200])
    equal(at.raw("POST", "/v1/customers", "", Idempotency_Key="k")[1]["Idempotent-Replayed"], "true")


def faults_come_as_asked(at):
    at.post("faults", kind="status", code=503, method="POST", path="/v1/customers", times=2, stripe_should_retry=False)
    for _ in range(2):
        status, headers, _ = at.raw("POST", "/v1/customers", "", Idempotency_Key="k1")
        equal((status, headers["Stripe-Should-Retry"]), (503, "false"))
    equal(at.raw("POST", "/v1/customers", "", Idempotency_Key="k1")[0], 200)  # before the effect: not stored
    at.post("faults", kind="rate_limit", retry_after=3)
    status, headers, answer = at.raw("GET", "/v1/customers")
    equal((status, headers["Retry-After"], answer["error"]["code"]), (429, "3", "rate_limit"))
    for effect in (True, False):
        before = len(at.stripe.customers.list({"limit": 100}).data)
        at.post("faults", kind="replayed_500", effect=effect, path="/v1/customers")
        for replayed in (None, "true"):
            status, headers, _ = at.raw("POST", "/v1/customers", "", Idempotency_Key=f"k500{effect}")
            equal((status, headers["Idempotent-Replayed"]), (500, replayed))
        equal(len(at.stripe.customers.list({"limit": 100}).data) - before, 1 if effect else 0)
    at.post("faults", kind="cut_after_effect", path="/v1/customers")
    before = len(at.stripe.customers.list({"limit": 100}).data) if not at.control("GET", "faults")["faults"] else None
    equal(before, None)
    at.control("DELETE", "faults")
    at.post("faults", kind="cut_after_effect", path="/v1/customers", method="POST")
    with refused(stripe.APIConnectionError):
        at.stripe.customers.create({"email": "cut@example.com"}, {"idempotency_key": "cut"})
    again = at.stripe.customers.create({"email": "cut@example.com"}, {"idempotency_key": "cut"})
    equal([one.id for one in at.stripe.customers.list({"email": "cut@example.com"}).data], [again.id])
    calls = at.control("GET", "requests?method=POST&path=/v1/customers&last=2")["requests"]
    equal([(call["status"], call["idempotency_key"], call["parameters"]) for call in calls],
        [("cut", "cut", {"email": "cut@example.com"}), (200, "cut", {"email": "cut@example.com"})])


# Checkout


def cards_have_their_outcomes(at):
    session = at.session(customer=at.customer().id, payment_intent_data={"metadata": {"purchase_id": "p1"}})
    for card, code in ((DECLINED, "generic_decline"), (POOR, "insufficient_funds"), ("4000000000000069", "expired_card")):
        equal(at.post(f"checkout/{session.id}/pay", card=card)["outcome"], code)
    intent = at.stripe.payment_intents.retrieve(at.stripe.checkout.sessions.retrieve(session.id).payment_intent)
    equal((intent.status, intent.last_payment_error.code, intent.metadata["purchase_id"]),
        ("requires_payment_method", "expired_card", "p1"))
    equal(at.post(f"checkout/{session.id}/pay", card=ASKS)["outcome"], "authentication")
    equal(at.post(f"checkout/{session.id}/pay", card=ASKS, authenticate=False)["outcome"], "authentication_failed")
    equal(at.post(f"checkout/{session.id}/pay", card=ASKS, authenticate=True)["outcome"], "succeeds")
    equal(at.stripe.checkout.sessions.retrieve(session.id).payment_status, "paid")
    equal([charge.status for charge in at.stripe.charges.list({"payment_intent": intent.id}).data], ["succeeded"] + ["failed"] * 4)
    kinds = [kind for kind in at.types() if kind.startswith(("payment_intent", "checkout"))]
    equal(kinds[:2] + kinds[-2:],
        ["payment_intent.created", "payment_intent.payment_failed", "payment_intent.succeeded", "checkout.session.completed"])


def a_subscription_begins_after_its_payment_with_stripe_s_events(at):
    customer = at.customer()
    session = at.session("subscription", customer=customer.id)
    equal(at.post(f"checkout/{session.id}/pay", card=DECLINED)["outcome"], "generic_decline")
    equal(at.stripe.subscriptions.list({"customer": customer.id, "status": "all"}).data, [])
    before = len(at.types())
    at.post(f"checkout/{session.id}/pay", card=PAYS)
    equal(at.types()[before:], [
        "charge.succeeded", "payment_intent.succeeded", "payment_method.attached", "customer.subscription.created", "invoice.created",
        "invoice.finalized", "invoice.paid", "invoice.payment_succeeded", "invoice_payment.paid", "checkout.session.completed"])
    subscription, = at.stripe.subscriptions.list({"customer": customer.id}).data
    invoice = at.stripe.invoices.retrieve(subscription.latest_invoice)
    equal((invoice.billing_reason, invoice.status, invoice.amount_paid), ("subscription_create", "paid", 2_900))
    item = subscription["items"].data[0]
    start = datetime.fromtimestamp(item.current_period_start, timezone.utc)
    end = datetime.fromtimestamp(item.current_period_end, timezone.utc)
    equal((end.month - start.month) % 12, 1)
    equal(at.stripe.payment_methods.list({"customer": customer.id}).data[0].id, subscription.default_payment_method)
    intent, = at.stripe.invoice_payments.list({"invoice": invoice.id}).data
    found = at.stripe.invoice_payments.list({"payment": {"type": "payment_intent", "payment_intent": intent.payment.payment_intent}}).data
    equal([one.invoice for one in found], [invoice.id])


def a_bank_debit_is_paid_later_or_fails(at):
    for verb, status, kind in (("succeed_async", "paid", "succeeded"), ("fail_async", "unpaid", "failed")):
        session = at.session(customer=at.customer().id)
        at.post(f"checkout/{session.id}/pay_later")
        session = at.stripe.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
        equal((session.status, session.payment_status, session.payment_intent.status), ("complete", "unpaid", "processing"))
        at.post(f"checkout/{session.id}/{verb}")
        equal(at.stripe.checkout.sessions.retrieve(session.id).payment_status, status)
        equal(at.types()[-1], f"checkout.session.async_payment_{kind}")
    session = at.session("subscription", customer=at.customer().id)
    at.post(f"checkout/{session.id}/pay_later")
    subscription = at.stripe.subscriptions.list().data[0]
    equal(at.stripe.invoices.retrieve(subscription.latest_invoice).status, "open")
    at.post(f"checkout/{session.id}/succeed_async")
    equal(at.stripe.invoices.retrieve(subscription.latest_invoice).status, "paid")


def a_whole_coupon_needs_no_payment(at):
    at.post("coupons", id="FREE", percent_off=100)
    at.post("coupons", id="HALF", percent_off=50)
    session = at.session(discounts=[{"coupon": "FREE"}])
    equal(at.post(f"checkout/{session.id}/pay", card=PAYS)["session"]["payment_status"], "no_payment_required")
    subscription = at.subscription(discounts=[{"coupon": "HALF"}])
    invoice = at.stripe.invoices.retrieve(subscription.latest_invoice)
    equal((invoice.subtotal, invoice.total, invoice.amount_paid), (2_900, 1_450, 1_450))
    free = at.subscription(discounts=[{"coupon": "FREE"}])
    invoice = shapes.check(at.stripe.invoices.retrieve(free.latest_invoice))
    equal((invoice.status, invoice.total, invoice.lines.data[0].amount), ("paid", 0, 2_900))


# Changes of plan


def half_way(at, subscription):
    """Advances to the middle of the period."""
    item = subscription["items"].data[0]
    middle = (item.current_period_start + item.current_period_end) // 2
    at.advance(middle - at.now())
    return item, middle


def change(at, subscription, key, **more):
    item = subscription["items"].data[0]
    return at.stripe.subscriptions.update(
        subscription.id, {"items": [{"id": item.id, "price": at.prices()[key].id}], "expand": ["latest_invoice"]} | more)


def an_upgrade_half_way_costs_85_dollars(at):
    subscription = at.subscription()
    item, middle = half_way(at, subscription)
    wish = {"items": [{"id": item.id, "price": at.prices()["enterprise_monthly"].id}], "proration_behavior": "always_invoice",
        "proration_date": middle}
    preview = at.stripe.invoices.create_preview({"subscription": subscription.id, "subscription_details": wish})
    before = len(at.types())
    changed = change(at, subscription, "enterprise_monthly", proration_behavior="always_invoice", proration_date=middle,
        payment_behavior="pending_if_incomplete")
    # (19,900 - 2,900) / 2 cents: the halves are exact, because the period has an even number of seconds.
    for invoice in (preview, changed.latest_invoice):
        equal([(line.amount, line.parent.subscription_item_details.proration) for line in invoice.lines.data],
            [(-1_450, True), (9_950, True)])
        equal((invoice.total, invoice.billing_reason), (8_500, "subscription_update"))
        equal([(line.period.start, line.period.end) for line in invoice.lines.data], [(middle, item.current_period_end)] * 2)
    credited = changed.latest_invoice.lines.data[0].parent.subscription_item_details.proration_details.credited_items
    equal(credited.invoice, subscription.latest_invoice)
    equal((changed.latest_invoice.status, changed.pending_update), ("paid", None))
    equal(changed["items"].data[0].price.lookup_key, "enterprise_monthly")
    equal(changed["items"].data[0].current_period_end, item.current_period_end)
    equal(len(changed["items"].data), 1)
    equal([kind for kind in at.types()[before:] if kind.startswith(("invoice.", "customer"))], [
        "invoice.created", "invoice.finalized", "invoice.paid", "invoice.payment_succeeded", "customer.subscription.updated"])
    equal(len(at.stripe.invoices.list({"subscription": subscription.id}).data), 2)


def a_downgrade_without_proration_costs_nothing_until_the_renewal(at):
    subscription = at.subscription()
    change(at, subscription, "enterprise_monthly", proration_behavior="none")
    changed = at.stripe.subscriptions.retrieve(subscription.id)
    equal((changed.latest_invoice, changed["items"].data[0].price.lookup_key), (subscription.latest_invoice, "enterprise_monthly"))
    at.advance(32 * DAY)
    renewed = at.stripe.subscriptions.retrieve(subscription.id, {"expand": ["latest_invoice"]})
    equal((renewed.latest_invoice.billing_reason, renewed.latest_invoice.total, renewed.latest_invoice.status),
        ("subscription_cycle", 19_900, "paid"))
    equal(renewed["items"].data[0].current_period_start, subscription["items"].data[0].current_period_end)


def pending_prorations_are_on_the_next_invoice(at):
    subscription = at.subscription()
    half_way(at, subscription)
    change(at, subscription, "enterprise_monthly", proration_behavior="create_prorations")
    equal(at.stripe.subscriptions.retrieve(subscription.id).latest_invoice, subscription.latest_invoice)
    preview = at.stripe.invoices.create_preview({"subscription": subscription.id})
    at.advance(17 * DAY)
    invoice = at.stripe.invoices.retrieve(at.stripe.subscriptions.retrieve(subscription.id).latest_invoice)
    amounts = [line.amount for line in invoice.lines.data]
    equal(amounts[2:], [19_900])
    assert abs(amounts[0] + 1_450) <= 1 and abs(amounts[1] - 9_950) <= 1, amounts
    equal([line.amount for line in preview.lines.data], amounts)


def a_change_to_yearly_begins_a_new_period(at):
    subscription = at.subscription()
    item, middle = half_way(at, subscription)
    changed = change(at, subscription, "pro_yearly", proration_behavior="always_invoice", proration_date=middle)
    lines = changed.latest_invoice.lines.data
    equal([(line.amount, line.parent.subscription_item_details.proration) for line in lines], [(-1_450, True), (31_320, False)])
    equal(changed.latest_invoice.amount_paid, 29_870)
    new = changed["items"].data[0]
    assert 0 <= new.current_period_start - middle <= DEADLINE_SECONDS
    start = datetime.fromtimestamp(new.current_period_start, timezone.utc)
    day = min(start.day, calendar.monthrange(start.year + 1, start.month)[1])
    equal(new.current_period_end, int(start.replace(year=start.year + 1, day=day).timestamp()))
    equal(changed.billing_cycle_anchor, new.current_period_start)


def a_credit_goes_to_the_customer_s_balance_and_pays_the_renewal(at):
    customer = at.customer()
    subscription = at.subscription(customer=customer)
    change(at, subscription, "enterprise_monthly", proration_behavior="none")
    item, middle = half_way(at, subscription)
    changed = change(at, subscription, "pro_monthly", proration_behavior="always_invoice", proration_date=middle)
    equal((changed.latest_invoice.total, changed.latest_invoice.amount_due, changed.latest_invoice.status), (-8_500, 0, "paid"))
    equal(at.stripe.customers.retrieve(customer.id).balance, -8_500)
    at.advance(17 * DAY)
    renewal = at.stripe.invoices.retrieve(at.stripe.subscriptions.retrieve(subscription.id).latest_invoice)
    equal((renewal.total, renewal.amount_due, renewal.status, renewal.starting_balance, renewal.ending_balance),
        (2_900, 0, "paid", -8_500, -5_600))
    equal(at.stripe.invoice_payments.list({"invoice": renewal.id}).data, [])


def a_declined_upgrade_waits_for_its_hosted_page(at):
    subscription = at.subscription()
    at.post(f"customers/{subscription.customer}/card", number=DECLINED)
    pending = change(at, subscription, "enterprise_monthly", proration_behavior="always_invoice", payment_behavior="pending_if_incomplete")
    shapes.check(pending)
    equal(pending["items"].data[0].price.lookup_key, "pro_monthly")
    equal((pending.status, pending.latest_invoice.status), ("active", "open"))
    assert 0 <= at.now() + 23 * 3_600 - pending.pending_update.expires_at <= DEADLINE_SECONDS
    equal(pending.pending_update.subscription_items[0].price.lookup_key, "enterprise_monthly")
    path = urlsplit(pending.latest_invoice.hosted_invoice_url).path
    card = {"expiry": "12/34", "cvc": "123"}
    equal(at.page(path, number=ASKS, **card)[:2], (303, path + "/authenticate"))
    equal(at.page(path + "/authenticate", answer="complete")[:2], (303, path))
    applied = at.stripe.subscriptions.retrieve(subscription.id)
    equal((applied.pending_update, applied["items"].data[0].price.lookup_key), (None, "enterprise_monthly"))
    equal(at.types()[-2:], ["customer.subscription.pending_update_applied", "customer.subscription.updated"])
    # A second one expires.
    pending = change(at, applied, "pro_yearly", proration_behavior="always_invoice", payment_behavior="pending_if_incomplete")
    invoice = pending.latest_invoice.id
    at.advance(23 * 3_600 + 60)
    equal(at.stripe.subscriptions.retrieve(subscription.id).pending_update, None)
    equal(at.stripe.invoices.retrieve(invoice).status, "void")
    assert "customer.subscription.pending_update_expired" in at.types()


def error_if_incomplete_is_402_and_changes_nothing(at):
    subscription = at.subscription()
    at.post(f"customers/{subscription.customer}/card", number=POOR)
    before = len(at.types())
    with refused(stripe.CardError, "card_declined", text="insufficient funds"):
        change(at, subscription, "enterprise_monthly", proration_behavior="always_invoice", payment_behavior="error_if_incomplete")
    same = at.stripe.subscriptions.retrieve(subscription.id)
    equal((same["items"].data[0].price.lookup_key, same.latest_invoice, len(at.types())),
        ("pro_monthly", subscription.latest_invoice, before))
    with refused(stripe.InvalidRequestError, None, "proration_date"):
        change(at, subscription, "enterprise_monthly", proration_date=at.now() - 100 * DAY)
    with refused(stripe.InvalidRequestError, None, "payment_behavior"):
        change(at, subscription, "enterprise_monthly", payment_behavior="pending_if_incomplete", description="x")
    added = at.stripe.subscriptions.update(subscription.id,
        {"items": [{"price": at.prices()["enterprise_monthly"].id}], "proration_behavior": "none"})
    equal(len(added["items"].data), 2)  # without the item's id a second one is added


# Renewals and ends


def a_subscription_renews_every_month(at):
    subscription = at.subscription()
    end = subscription["items"].data[0].current_period_end
    at.advance(end - at.now() + 60)
    renewed = at.stripe.subscriptions.retrieve(subscription.id, {"expand": ["latest_invoice"]})
    equal((renewed.latest_invoice.status, renewed.latest_invoice.automatically_finalizes_at), ("draft", end + 3_600))
    at.advance(3_600)
    equal(at.stripe.invoices.retrieve(renewed.latest_invoice.id).status, "paid")
    at.advance(365 * DAY)
    invoices = at.stripe.invoices.list({"subscription": subscription.id, "limit": 100}).data
    starts = [invoice.lines.data[0].period.start for invoice in invoices]
    ends = [invoice.lines.data[0].period.end for invoice in invoices]
    assert len(invoices) in (13, 14), len(invoices)
    equal(starts[:-1], ends[1:])


def a_declined_renewal_is_past_due_then_canceled(at):
    for end in ("canceled", "unpaid"):
        at.post("dunning", end=end)
        subscription = at.subscription()
        at.post(f"customers/{subscription.customer}/card", number=DECLINED)
        at.advance(subscription["items"].data[0].current_period_end - at.now() + 3_700)
        late = at.stripe.subscriptions.retrieve(subscription.id, {"expand": ["latest_invoice"]})
        equal((late.status, late.latest_invoice.status, late.latest_invoice.attempt_count), ("past_due", "open", 1))
        equal([kind for kind in at.types() if kind.startswith("invoice.pay")][-1], "invoice.payment_failed")
        if end == "canceled":
            other = at.subscription()
            at.post(f"customers/{other.customer}/card", number=DECLINED)
            at.advance(other["items"].data[0].current_period_end - at.now() + 3_700)
            bill = at.stripe.subscriptions.retrieve(other.id, {"expand": ["latest_invoice"]}).latest_invoice
            equal(at.post(f"invoices/{bill.id}/pay", card=PAYS)["outcome"], "succeeds")
            equal(at.stripe.subscriptions.retrieve(other.id).status, "active")
            at.post(f"customers/{other.customer}/card", number=PAYS)
        at.advance(15 * DAY + 60)
        over = at.stripe.subscriptions.retrieve(subscription.id, {"expand": ["latest_invoice"]})
        equal((over.status, over.latest_invoice.attempt_count), (end, 4))


def a_retry_with_a_new_card_pays(at):
    subscription = at.subscription()
    at.post(f"customers/{subscription.customer}/card", number=DECLINED)
    at.advance(subscription["items"].data[0].current_period_end - at.now() + 3_700)
    at.post(f"customers/{subscription.customer}/card", number=PAYS)
    at.advance(3 * DAY + 60)
    paid = at.stripe.subscriptions.retrieve(subscription.id, {"expand": ["latest_invoice"]})
    equal((paid.status, paid.latest_invoice.status, paid.latest_invoice.attempt_count), ("active", "paid", 2))


def a_card_that_always_asks_needs_its_customer_at_the_renewal(at):
    subscription = at.subscription(card="4000002760003184")
    at.advance(subscription["items"].data[0].current_period_end - at.now() + 3_700)
    late = at.stripe.subscriptions.retrieve(subscription.id)
    equal(late.status, "past_due")
    assert "invoice.payment_action_required" in at.types()
    set_up = at.subscription(card=ASKS)
    at.advance(set_up["items"].data[0].current_period_end - at.now() + 3_700)
    equal(at.stripe.subscriptions.retrieve(set_up.id).status, "active")


def cancellation_at_the_period_s_end_and_back(at):
    subscription = at.subscription()
    end = subscription["items"].data[0].current_period_end
    canceled = at.stripe.subscriptions.update(subscription.id,
        {"cancel_at_period_end": True, "cancellation_details": {"comment": "too dear"}})
    equal((canceled.cancel_at_period_end, canceled.cancel_at, canceled.status, canceled.cancellation_details.comment),
        (True, end, "active", "too dear"))
    resumed = at.stripe.subscriptions.update(subscription.id, {"cancel_at_period_end": False})
    equal((resumed.cancel_at_period_end, resumed.cancel_at, resumed.canceled_at), (False, None, None))
    at.stripe.subscriptions.update(subscription.id, {"cancel_at": end})
    equal(at.stripe.subscriptions.update(subscription.id, {"cancel_at_period_end": False}).cancel_at, end)
    equal(at.stripe.subscriptions.update(subscription.id, {"cancel_at": ""}).cancel_at, None)
    at.stripe.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    at.advance(end - at.now() + 10)
    ended = at.stripe.subscriptions.retrieve(subscription.id)
    equal((ended.status, ended.cancellation_details.reason, ended.ended_at), ("canceled", "cancellation_requested", end))
    equal(at.types()[-1], "customer.subscription.deleted")
    equal(len(at.stripe.invoices.list({"subscription": subscription.id}).data), 1)
    equal(at.stripe.subscriptions.list({"customer": subscription.customer}).data, [])
    equal(len(at.stripe.subscriptions.list({"customer": subscription.customer, "status": "all"}).data), 1)
    with refused(stripe.InvalidRequestError, "resource_missing"):
        at.stripe.subscriptions.cancel(subscription.id)
    with refused(stripe.InvalidRequestError, text="A canceled subscription"):
        at.stripe.subscriptions.update(subscription.id, {"cancel_at_period_end": True})


def a_deletion_ends_at_once_and_may_give_back(at):
    subscription = at.subscription()
    half_way(at, subscription)
    ended = at.stripe.subscriptions.cancel(subscription.id, {"prorate": True, "invoice_now": True})
    equal(ended.status, "canceled")
    balance = at.stripe.customers.retrieve(subscription.customer).balance
    assert -1_451 <= balance <= -1_449, balance
    customer = at.customer()
    other = at.subscription(customer=customer)
    at.stripe.customers.delete(customer.id)
    equal(at.stripe.subscriptions.retrieve(other.id).status, "canceled")
    equal(at.types()[-1], "customer.deleted")
    with refused(stripe.InvalidRequestError, "resource_missing", "customer"):
        at.session(customer=customer.id)


# Refunds and disputes


def refunds_add_up_and_can_fail(at):
    intent = at.purchase()
    first = at.stripe.refunds.create({"payment_intent": intent.id, "amount": 300})
    equal([kind for kind in at.types()[-2:]], ["refund.created", "charge.refunded"])
    at.stripe.refunds.create({"charge": intent.latest_charge, "amount": 200})
    charge = at.stripe.charges.retrieve(intent.latest_charge)
    equal((charge.amount_refunded, charge.refunded), (500, False))
    with refused(stripe.InvalidRequestError, None, "amount", "Refund amount ($5.00) is greater than unrefunded amount on charge ($4.00)"):
        at.stripe.refunds.create({"payment_intent": intent.id, "amount": 500})
    at.post(f"refunds/{first.id}/fail")
    failed = shapes.check(at.stripe.refunds.retrieve(first.id))
    equal((failed.status, failed.failure_reason), ("failed", "lost_or_stolen_card"))
    equal(at.stripe.charges.retrieve(intent.latest_charge).amount_refunded, 200)
    assert {"refund.failed", "refund.updated", "charge.refund.updated"} <= set(at.types())
    at.stripe.refunds.create({"payment_intent": intent.id})
    charge = at.stripe.charges.retrieve(intent.latest_charge)
    equal((charge.amount_refunded, charge.refunded), (900, True))
    with refused(stripe.InvalidRequestError, "charge_already_refunded"):
        at.stripe.refunds.create({"payment_intent": intent.id})
    equal(len(at.stripe.refunds.list({"payment_intent": intent.id}).data), 3)
    pending = at.stripe.refunds.create({"payment_intent": at.purchase("4000000000007726").id})
    equal(pending.status, "pending")
    at.advance(700)
    equal(at.stripe.refunds.retrieve(pending.id).status, "succeeded")
    failing = at.stripe.refunds.create({"payment_intent": at.purchase("4000000000005126").id})
    equal(failing.status, "succeeded")
    at.advance(700)
    equal(at.stripe.refunds.retrieve(failing.id).status, "failed")


def disputes_take_money_and_give_it_back(at):
    intent = at.purchase()
    dispute = at.post("disputes", payment_intent=intent.id, amount=500)
    equal((dispute["status"], dispute["balance_transactions"]), ("needs_response", []))
    equal(at.stripe.charges.retrieve(intent.latest_charge).disputed, True)
    at.post(f"disputes/{dispute['id']}/withdraw")
    with refused(stripe.InvalidRequestError, "charge_disputed"):
        at.stripe.refunds.create({"payment_intent": intent.id})
    at.post(f"disputes/{dispute['id']}/win")
    won, = at.stripe.disputes.list({"payment_intent": intent.id}).data
    shapes.check(won)
    equal((won.status, [entry.amount for entry in won.balance_transactions]), ("won", [-500, 500]))
    equal([kind for kind in at.types() if "dispute" in kind], [
        "charge.dispute.created", "charge.dispute.funds_withdrawn", "charge.dispute.closed", "charge.dispute.funds_reinstated"])
    lost = at.post("disputes", payment_intent=at.purchase().id)["id"]
    at.post(f"disputes/{lost}/lose")
    equal((at.stripe.disputes.retrieve(lost).status, len(at.stripe.disputes.retrieve(lost).balance_transactions)), ("lost", 1))
    at.post("settlement", currency="eur", rate=0.9)
    converted = at.post("disputes", payment_intent=at.purchase().id, amount=500)["id"]
    at.post(f"disputes/{converted}/withdraw")
    at.post("settlement", currency="eur", rate=0.8)
    at.post(f"disputes/{converted}/win")
    dispute = at.stripe.disputes.retrieve(converted)
    shapes.check(dispute)
    equal([(entry.amount, entry.currency, entry.exchange_rate) for entry in dispute.balance_transactions], [
        (-450, "eur", 0.9), (400, "eur", 0.8)])
    inquiry = at.post("disputes", payment_intent=at.purchase().id, status="warning_needs_response")["id"]
    at.post(f"disputes/{inquiry}/lose")
    equal((at.stripe.disputes.retrieve(inquiry).status, at.stripe.disputes.retrieve(inquiry).balance_transactions), ("warning_closed", []))
    at.purchase("4000000000000259")
    until(lambda: len(at.stripe.disputes.list().data) == 5)
    at.post("early_fraud_warnings", payment_intent=at.purchase().id)
    equal(at.types()[-1], "radar.early_fraud_warning.created")


# Webhooks


def deliveries_are_signed_and_retried(at):
    receiver = Receiver()
    endpoint = at.endpoint(receiver)
    receiver.statuses = [500, 302]
    customer = at.customer()
    requests = receiver.wait(3)
    equal([status for _, _, status in requests], [500, 302, 200])
    events = receiver.events(endpoint.secret)
    equal({event.id for event in events}, {events[0].id})
    equal((events[0].type, events[0].data.object.id, events[0].pending_webhooks), ("customer.created", customer.id, 1))
    shapes.check(events[0])
    for header, body, _ in requests:
        assert re.fullmatch(r"t=[0-9]+,v1=[0-9a-f]{64}", header)
        try:
            stripe.Webhook.construct_event(body, header, "whsec_other")
        except stripe.SignatureVerificationError:
            pass
        else:
            raise AssertionError("a wrong secret verifies")
    until(lambda: at.control("GET", "webhooks")["pending"] == 0 and at.control("GET", "webhooks")["idle"])
    equal(at.stripe.events.retrieve(events[0].id).pending_webhooks, 0)
    equal([attempt["status"] for attempt in at.control("GET", "webhooks/attempts")["attempts"]], [500, 302, 200])
    at.advance(40 * DAY)  # a signature has the machine's time, not the simulator's
    at.customer()
    receiver.wait(4)
    receiver.events(endpoint.secret)


def an_endpoint_gets_what_it_asked_for(at):
    receiver = Receiver()
    at.endpoint(receiver, ["customer.updated"])
    other = at.endpoint(Receiver(), ["customer.created"])
    at.stripe.webhook_endpoints.update(other.id, {"disabled": True})
    customer = at.customer()
    at.stripe.customers.update(customer.id, {"name": "B"})
    (_, body, _), = receiver.wait(1)
    event = json.loads(body)
    equal((event["type"], event["data"]["previous_attributes"]), ("customer.updated", {"name": "Ada"}))
    equal(len(at.control("GET", "webhooks/attempts")["attempts"]), 1)


def held_deliveries_come_in_any_order_or_not_at_all(at):
    receiver = Receiver()
    endpoint = at.endpoint(receiver, ["customer.created", "customer.updated", "invoice.paid"])
    at.post("webhooks", mode="held", copies=2)
    customer = at.customer()
    at.stripe.customers.update(customer.id, {"name": "B"})
    pending = at.control("GET", "webhooks/pending")["pending"]
    equal([one["type"] for one in pending], ["customer.created"] * 2 + ["customer.updated"] * 2)
    at.post("webhooks/drop", ids=[pending[0]["id"]])
    receiver.statuses = [500]
    results = at.post("webhooks/deliver", types=["customer.updated", "customer.created"])["delivered"]
    equal([result["status"] for result in results], [500, 200, 200])
    equal([event.type for event in receiver.events(endpoint.secret)], ["customer.updated", "customer.updated", "customer.created"])
    equal(len(at.control("GET", "webhooks/pending")["pending"]), 1)
    equal([one["status"] for one in at.post("webhooks/deliver", order="newest")["delivered"]], [200])
    event = at.stripe.events.list({"type": "customer.created"}).data[0]
    again = at.post("webhooks/resend", event=event.id)["pending"]
    equal(at.post("webhooks/deliver", ids=again)["delivered"], [{"id": again[0], "status": 200}])
    at.post("webhooks", mode="automatic", loss=1)
    at.customer()
    equal(at.control("GET", "webhooks/pending")["pending"], [])
    at.post("events", type="invoice.finalization_failed", object={"id": "in_1", "object": "invoice"})
    equal(at.types()[-1], "invoice.finalization_failed")


def ten_thousand_deliveries_go_over_few_connections(at):
    receiver = Receiver()
    endpoint = at.endpoint(receiver, ["customer.created"])
    at.post("webhooks", mode="automatic", copies=3, shuffle=True, delay=2, seed=7)
    for number in range(3_334):
        at.customer(name=str(number))
    requests = receiver.wait(10_002)
    equal(len(requests), 10_002)
    assert receiver.connections <= 8, receiver.connections
    names = [event.data.object.name for event in receiver.events(endpoint.secret)]
    equal(sorted(names, key=int), sorted([str(number) for number in range(3_334)] * 3, key=int))
    assert names != sorted(names, key=int)


# Events


def events_are_listed_by_type_and_time_for_thirty_days(at):
    subscription = at.subscription()
    wanted = ["invoice.paid", "customer.subscription.created"]
    found = at.stripe.events.list({"types": wanted, "created": {"gte": at.now() - 3_600}, "limit": 100}).data
    equal([event.type for event in found], wanted)
    equal(found[0].data.object.parent.subscription_details.subscription, subscription.id)
    equal([event.type for event in at.stripe.events.list({"type": "checkout.session.*"}).data], ["checkout.session.completed"])
    with refused(stripe.InvalidRequestError, None, "types"):
        at.raw_types = at.stripe.events.list({"types": ["invoice.paid"] * 21})
    at.advance(31 * DAY)
    equal([event.type for event in at.stripe.events.list({"types": wanted}).data], ["invoice.paid"])  # the renewal's
    with refused(stripe.InvalidRequestError, "resource_missing"):
        at.stripe.events.retrieve(found[0].id)


# Pages


def a_person_pays_on_the_checkout_page(at):
    session = at.session(customer=at.customer().id)
    path = urlsplit(session.url).path
    status, _, text = at.page(path)
    assert status == 200 and "Test mode: no money moves" in text and "$9.00" in text and "100 credits" in text
    card = {"expiry": "12 / 34", "cvc": "123"}
    for number, message in ((DECLINED, "Your card was declined."), (POOR, "Your card has insufficient funds."),
        ("4111111111111111", "used a non test card"), ("", "incomplete")):
        status, _, text = at.page(path, number=number, **card)
        assert status == 422 and message in text, (number, status)
    status, _, text = at.page(path, number=PAYS, expiry="01/20", cvc="1")
    assert status == 422 and "is in the past" in text and "security code is incomplete" in text
    equal(at.page(path, number=ASKS, **card)[:2], (303, path + "/authenticate"))
    status, _, text = at.page(path + "/authenticate")
    assert "Complete" in text and "Fail" in text
    status, _, text = at.page(path + "/authenticate", answer="fail")
    assert status == 422 and "unable to authenticate" in text
    at.page(path, number=ASKS, **card)
    done = f"http://127.0.0.1:1/done?session_id={session.id}"
    equal(at.page(path + "/authenticate", answer="complete")[:2], (303, done))
    assert done in at.page(path)[2]
    equal(at.page(path, number=PAYS, **card)[:2], (303, done))  # a second click pays nothing
    equal(len(at.stripe.charges.list().data), 4)
    equal(at.page("/c/pay/cs_test_none")[0], 404)
    stranger = at.session("subscription")
    status, _, text = at.page(urlsplit(stranger.url).path, number=PAYS, **card)
    assert status == 422 and "Enter an email address" in text
    at.page(urlsplit(stranger.url).path, number=PAYS, email="new@example.com", **card)
    equal(at.stripe.customers.list({"limit": 1}).data[0].email, "new@example.com")


def a_person_uses_the_portal(at):
    subscription = at.subscription()
    with refused(stripe.InvalidRequestError, text="portal settings"):
        at.stripe.billing_portal.sessions.create({"customer": subscription.customer})
    features = {"payment_method_update": {"enabled": True}, "invoice_history": {"enabled": True},
        "subscription_cancel": {"enabled": True}, "subscription_update": {"enabled": False}}
    configuration = at.stripe.billing_portal.configurations.create({"features": features})
    session = at.stripe.billing_portal.sessions.create(
        {"customer": subscription.customer, "configuration": configuration.id, "return_url": "http://127.0.0.1:1/billing"})
    path = urlsplit(session.url).path
    text = at.page(path)[2]
    assert "Pro" in text and "ending in 4242" in text and "http://127.0.0.1:1/billing" in text and "/i/in_" in text
    assert "Cancel the plan Pro?" in at.page(f"{path}/cancel/{subscription.id}")[2]
    equal(at.page(f"{path}/cancel/{subscription.id}", x="")[:2], (303, path))
    canceled = at.stripe.subscriptions.retrieve(subscription.id)
    equal((canceled.cancel_at_period_end, canceled.cancel_at), (False, subscription["items"].data[0].current_period_end))
    at.page(f"{path}/resume/{subscription.id}", x="")
    equal(at.stripe.subscriptions.retrieve(subscription.id).cancel_at, None)
    card = {"expiry": "12/34", "cvc": "123"}
    assert "declined" in at.page(path + "/card", number=DECLINED, **card)[2]
    equal(at.page(path + "/card", number="5555555555554444", **card)[:2], (303, path))
    method = at.stripe.payment_methods.retrieve(at.stripe.subscriptions.retrieve(subscription.id).default_payment_method)
    equal(method.card.last4, "4444")
    equal(at.stripe.customers.retrieve(subscription.customer).invoice_settings.default_payment_method, method.id)
    other = at.subscription()
    equal(at.page(f"{path}/cancel/{other.id}", x="")[0], 404)
    invoice = at.stripe.invoices.retrieve(subscription.latest_invoice)
    assert "is paid" in at.page(invoice.hosted_invoice_url)[2]
    assert at.page(invoice.invoice_pdf)[2].startswith("%PDF-1.4")
    at.advance(3_700)
    equal(at.page(path)[0], 404)


# The process


def the_state_survives_a_restart(at):
    with tempfile.TemporaryDirectory() as folder:
        options = ("--data", f"{folder}/stripe.sqlite")
        first, receiver = Simulator(*options), Receiver()
        endpoint = first.endpoint(receiver, ["customer.created"])
        first.post("webhooks", mode="held")
        now = first.advance(10 * DAY)
        customer = first.stripe.customers.create({"email": "a@example.com"}, {"idempotency_key": "k"})
        subscription = first.subscription(customer=customer)
        first.stop()
        second = Simulator(*options)
        assert second.now() >= now
        equal(second.stripe.customers.create({"email": "a@example.com"}, {"idempotency_key": "k"}).id, customer.id)
        equal(receiver.wait(1)[0][2], 200)  # what waited is sent
        receiver.events(endpoint.secret)
        second.advance(32 * DAY)
        equal(len(second.stripe.invoices.list({"subscription": subscription.id}).data), 2)
        second.post("reset")
        equal(second.stripe.customers.list().data, [])
        second.stop()


def signals_in_a_row_end_it_once(at):
    other = Simulator()
    for _ in range(200):
        other.process.terminate()
    try:
        equal(other.process.wait(DEADLINE_SECONDS), 0)
    finally:
        other.process.kill()


def the_setup_script_makes_what_is_absent(at):
    script, receiver = FOLDER.parents[2] / "deploy/stripe/setup.sh", Receiver()
    variables = os.environ | {"STRIPE_API_BASE": at.address, "STRIPE_SECRET_KEY": "sk_test_setup"}

    def set_up(*arguments):
        run = subprocess.run(["bash", str(script), receiver.url, *arguments], env=variables, capture_output=True, text=True)
        equal(run.returncode, 0)
        return dict(line.split("=") for line in run.stdout.splitlines())

    first = set_up("enterprise_yearly=200000")
    second = set_up()
    changed = [name for name in first if first[name] != second[name]]
    equal(changed, ["STRIPE_WEBHOOK_SECRET"])
    amounts = {}
    for name in ("PRO_MONTHLY", "PRO_YEARLY", "ENTERPRISE_MONTHLY", "ENTERPRISE_YEARLY"):
        price = at.stripe.prices.retrieve(first[f"STRIPE_PRICE_{name}"])
        amounts[name] = (price.unit_amount, price.recurring.interval, price.lookup_key)
    equal(amounts, {
        "PRO_MONTHLY": (2_900, "month", "pro_monthly"), "PRO_YEARLY": (31_320, "year", "pro_yearly"),
        "ENTERPRISE_MONTHLY": (19_900, "month", "enterprise_monthly"), "ENTERPRISE_YEARLY": (200_000, "year", "enterprise_yearly")})
    endpoint, = at.stripe.webhook_endpoints.list().data
    equal((endpoint.api_version, len(endpoint.enabled_events), len(set(endpoint.enabled_events))), (stripe.api_version, 30, 30))
    configuration, = at.stripe.billing_portal.configurations.list().data
    equal(configuration.id, first["STRIPE_PORTAL_CONFIGURATION"])
    features = configuration.features
    equal((features.subscription_cancel.mode, features.subscription_update.enabled), ("at_period_end", False))
    at.subscription()
    receiver.wait(1)
    receiver.events(second["STRIPE_WEBHOOK_SECRET"])


def wrong_control_requests_are_400(at):
    for method, path, body, status in (
            ("POST", "faults", {"kind": "flood"}, 400), ("POST", "faults", {"kind": "delay"}, 400), ("POST", "clock", {"advance": -1}, 400),
            ("POST", "clock", {"advance": "1"}, 400), ("POST", "webhooks", {"mode": "automatic", "copies": 4}, 400),
            ("POST", "checkout/cs_none/pay", {"card": PAYS}, 404), ("POST", "nothing", {}, 404), ("GET", "faults/1/2/3", None, 404),
            ("POST", "disputes", {"charge": "ch_none"}, 404), ("DELETE", "clock", None, 404), ("POST", "__init__", {}, 404)):
        found, _, answer = at.raw(method, f"/simulator/{path}", json.dumps(body) if body is not None else "")
        assert found == status and answer["error"], (path, found, answer)
    equal(at.raw("POST", "/simulator/clock", "{")[0], 400)
    equal(at.raw("POST", "/v1/customers", Content_Length=str((1 << 20) + 1))[0], 413)


def the_parameters_are_those_of_the_package(at):
    run = subprocess.run([sys.executable, str(FOLDER / "parameters.py"), "--check"], capture_output=True, text=True)
    equal((run.returncode, run.stderr), (0, ""))
    document = json.loads((FOLDER / "parameters.json").read_text())
    equal(document["api_version"], stripe.api_version)


def every_route_was_called(at):
    """Comes last: the tests before it have called the package."""
    routes = json.loads((FOLDER / "parameters.json").read_text())["routes"]
    patterns = {route: re.compile(re.escape(route.split()[1]).replace(r"\{id\}", "[^/]+")) for route in routes}
    missing = [
        route for route, pattern in patterns.items()
        if not any(method == route.split()[0] and pattern.fullmatch(path) for method, path in CALLED)]
    equal(missing, [])


TESTS = [
    every_object_has_the_shape_of_the_package, lists_are_newest_first_and_have_pages, wrong_parameters_get_the_errors_of_stripe,
    expiry_of_a_session_has_bounds, idempotency_keys_replay_the_first_answer, a_key_in_use_is_409, faults_come_as_asked,
    cards_have_their_outcomes,
    a_subscription_begins_after_its_payment_with_stripe_s_events, a_bank_debit_is_paid_later_or_fails, a_whole_coupon_needs_no_payment,
    an_upgrade_half_way_costs_85_dollars, a_downgrade_without_proration_costs_nothing_until_the_renewal,
    pending_prorations_are_on_the_next_invoice, a_change_to_yearly_begins_a_new_period,
    a_credit_goes_to_the_customer_s_balance_and_pays_the_renewal, a_declined_upgrade_waits_for_its_hosted_page,
    error_if_incomplete_is_402_and_changes_nothing, a_subscription_renews_every_month, a_declined_renewal_is_past_due_then_canceled,
    a_retry_with_a_new_card_pays, a_card_that_always_asks_needs_its_customer_at_the_renewal, cancellation_at_the_period_s_end_and_back,
    a_deletion_ends_at_once_and_may_give_back, refunds_add_up_and_can_fail, disputes_take_money_and_give_it_back,
    deliveries_are_signed_and_retried, an_endpoint_gets_what_it_asked_for, held_deliveries_come_in_any_order_or_not_at_all,
    ten_thousand_deliveries_go_over_few_connections, events_are_listed_by_type_and_time_for_thirty_days, a_person_pays_on_the_checkout_page,
    a_person_uses_the_portal, the_state_survives_a_restart, signals_in_a_row_end_it_once,
    the_setup_script_makes_what_is_absent, wrong_control_requests_are_400,
    the_parameters_are_those_of_the_package,
]


def main():
    chosen = [test for test in TESTS if not sys.argv[1:] or any(word in test.__name__ for word in sys.argv[1:])]
    failed = 0
    for test in chosen + ([] if sys.argv[1:] else [every_route_was_called]):
        simulator = Simulator()
        began = time.monotonic()
        try:
            test(simulator)
        except Exception:
            failed += 1
            print(f"FAILED {test.__name__}\n{traceback.format_exc()}", flush=True)
        else:
            print(f"passed {test.__name__} ({time.monotonic() - began:.1f} s)", flush=True)
        finally:
            simulator.stop()
    print(f"the stripe package is content: {len(chosen)} tests" if not failed else f"{failed} tests failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
