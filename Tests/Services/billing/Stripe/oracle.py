"""What each user should have, worked out from Stripe's objects alone.

    oracle.py ADDRESS     prints {user: {"nano": nano-credits, "plan": id}}

It shares no code with billing: exact fractions, its own calendar, and the whole history at once.
"""

import calendar
import json
import sys
import urllib.parse
import urllib.request
from datetime import datetime, timezone
from fractions import Fraction
from math import ceil

NANO = 10**9
PACKAGES = {500: (50, 0), 900: (100, 5), 2000: (250, 15), 3500: (500, 40), 6000: (1000, 100), 25000: (5000, 750), 1080: (120, 0)}
MONTHLY = {"pro": 500, "enterprise": 5000}
RENEWAL_SECONDS = 3 * 86_400


def fetch(path, **query):
    request = urllib.request.Request(f"{ADDRESS}{path}?{urllib.parse.urlencode(query)}", headers={"Authorization": "Bearer sk_test_oracle"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def listed(path, **query):
    found = []
    while True:
        page = fetch(path, limit=100, **query)
        found += page["data"]
        if not page["has_more"]:
            return found
        query["starting_after"] = page["data"][-1]["id"]


def months_later(at, count):
    start = datetime.fromtimestamp(at, timezone.utc)
    years, month = divmod(start.year * 12 + start.month - 1 + count, 12)
    day = min(start.day, calendar.monthrange(years, month + 1)[1])
    return int(start.replace(year=years, month=month + 1, day=day).timestamp())


def returned(payments, total):
    """The part of a payment that went back."""
    back = 0
    for payment in payments:
        back += sum(refund["amount"] for refund in listed("/v1/refunds", payment_intent=payment) if refund["status"] not in ("failed", "canceled"))
        for dispute in listed("/v1/disputes", payment_intent=payment):
            taken = sum(1 if entry["amount"] < 0 else -1 for entry in dispute["balance_transactions"])
            if taken > 0 and dispute["status"] != "won":
                back += dispute["amount"]
    return min(Fraction(back, max(1, total)), Fraction(1))


def rest(amount, share):
    return amount - ceil(amount * share)


def cycle_start(end, months, anchor):
    count = (datetime.fromtimestamp(end, timezone.utc).year - datetime.fromtimestamp(anchor, timezone.utc).year) * 12
    count += datetime.fromtimestamp(end, timezone.utc).month - datetime.fromtimestamp(anchor, timezone.utc).month
    return months_later(anchor, count - months) if months_later(anchor, count) == end else months_later(end, -months)


def instalments(invoice, lines, anchor):
    """Returns [(due, nano)] of a paid invoice."""
    if invoice["billing_reason"] not in ("subscription_create", "subscription_cycle", "subscription_update"):
        return []
    parts, wholes = [], []
    for line in lines:
        details = (line["parent"] or {}).get("subscription_item_details")
        if details and line["amount"]:
            (parts if details["proration"] else wholes).append((line, PRICES[line["pricing"]["price_details"]["price"]]))
    for line, (plan, interval) in wholes:
        start, count = line["period"]["start"], 12 if interval == "year" else 1
        first = Fraction(MONTHLY[plan])
        for part, (name, each) in parts:
            length, end = 12 if each == "year" else 1, part["period"]["end"]
            begin = cycle_start(end, length, anchor)
            shared = end - max(begin, part["period"]["start"])
            first += (1 if part["amount"] > 0 else -1) * Fraction(MONTHLY[name] * length * shared, end - begin)
        amounts = [max(0, ceil(first)) * NANO] + [MONTHLY[plan] * NANO] * (count - 1)
        return [(months_later(start, number), amounts[number]) for number in range(count)]
    sold = [(line, price) for line, price in parts if line["amount"] > 0]
    if not sold:
        return []
    line, (plan, interval) = sold[0]
    count, end = (12 if interval == "year" else 1), line["period"]["end"]
    first = cycle_start(end, count, anchor)
    found = []
    for number in range(count):
        month = months_later(first, number), end if number == count - 1 else months_later(first, number + 1)
        total = Fraction(0)
        for part, (name, _) in parts:
            shared = min(month[1], part["period"]["end"]) - max(month[0], part["period"]["start"])
            if shared > 0:
                total += (1 if part["amount"] > 0 else -1) * Fraction(MONTHLY[name] * shared, month[1] - month[0])
        if total > 0 and month[1] > line["period"]["start"]:
            found.append((max(month[0], line["period"]["start"]), ceil(total) * NANO))
    return found


def main():
    now = json.load(urllib.request.urlopen(f"{ADDRESS}/simulator/clock"))["now"]
    users = {customer["id"]: customer["metadata"]["user_id"] for customer in listed("/v1/customers")}
    nano, paid = {user: 0 for user in users.values()}, {}
    for session in listed("/v1/checkout/sessions"):
        if session["mode"] == "payment" and session["payment_status"] == "paid":
            credits, bonus = PACKAGES[session["amount_subtotal"]]
            share = returned([session["payment_intent"]], session["amount_total"])
            nano[users[session["customer"]]] += rest(credits * NANO, share) + rest(bonus * NANO, share)
    subscriptions = {subscription["id"]: subscription for subscription in listed("/v1/subscriptions", status="all")}
    for invoice in listed("/v1/invoices", status="paid"):
        subscription = subscriptions[invoice["parent"]["subscription_details"]["subscription"]]
        lines = listed(f"/v1/invoices/{invoice['id']}/lines")
        months = instalments(invoice, lines, subscription["billing_cycle_anchor"])
        payments = [entry["payment"]["payment_intent"] for entry in listed("/v1/invoice_payments", invoice=invoice["id"])]
        share = returned(payments, invoice["total"]) if invoice["total"] > 0 else Fraction(0)
        left = rest(sum(amount for _, amount in months), share)
        for number, (due, amount) in enumerate(months):
            kept = min(amount, left)
            left -= kept
            ended = subscription["ended_at"]
            if due <= now + 300 and (ended is None or due <= ended or number == 0):
                nano[users[invoice["customer"]]] += kept
        if months:
            sold = [line for line in lines if line["amount"] > 0 and (line["parent"] or {}).get("subscription_item_details")][0]
            if share < 1:
                term = (sold["period"]["end"], invoice["status_transitions"]["paid_at"], PRICES[sold["pricing"]["price_details"]["price"]][0])
                is_whole = not sold["parent"]["subscription_item_details"]["proration"]
                paid.setdefault(subscription["id"], []).append((*term, is_whole))
    plans = {user: "free" for user in users.values()}
    for subscription in subscriptions.values():
        if subscription["status"] in ("canceled", "incomplete_expired") or subscription["id"] not in paid:
            continue
        # The rest of a period counts with the period itself.
        terms = [term for term in paid[subscription["id"]] if any(other[3] and other[0] >= term[0] for other in paid[subscription["id"]])]
        if not terms:
            continue
        end, _, plan, _ = max(terms, key=lambda term: (term[0], term[1], MONTHLY[term[2]]))
        stops = subscription["cancel_at_period_end"] or (subscription["cancel_at"] and subscription["cancel_at"] <= end)
        renews = subscription["status"] == "active" and not stops
        if now < end + (RENEWAL_SECONDS if renews else 0):
            plans[users[subscription["customer"]]] = plan
    print(json.dumps({user: {"nano": nano[user], "plan": plans[user]} for user in nano}))


ADDRESS = sys.argv[1]
PRICES = {}
for price in listed("/v1/prices", type="recurring"):
    PRICES[price["id"]] = fetch(f"/v1/products/{price['product']}")["name"].lower(), price["recurring"]["interval"]
main()
