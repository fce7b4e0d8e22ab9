"""The hosted pages: checkout at /c/pay, the billing portal at /p/session, invoices at /i.

Each works without a script. A form posts to its own page, which shows it again with its errors or leads on by 303.
"""

import re
from contextlib import suppress
from datetime import datetime, timezone
from html import escape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import catalogue
import checkout
import subscriptions
from cards import CARDS, DECLINES
from errors import StripeError
from payments import money

STYLE = __loader__.get_data(str(Path(__file__).with_name("page.css")))  # also out of a zip archive
PORTAL_SECONDS = 3_600
INVOICES_SHOWN = 24
DECLINED_FIELDS = {"expired_card": "expiry", "incorrect_cvc": "cvc"}


class Gone(Exception):
    """There is no such page: 404."""


# Parts


def day(at):
    return datetime.fromtimestamp(at, timezone.utc).strftime("%-d %b %Y")


def layout(title, content, is_wide=False):
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="stylesheet" href="/assets/page.css"><link rel="icon" href="data:,"></head><body>'
        f'<header class="banner">Test mode: no money moves</header><main{" class=two" if is_wide else ""}>{content}</main></body></html>')


def field(name, label, value, errors, autocomplete, inputmode="numeric", kind="text", hint=""):
    error = errors.get(name)
    state = f' aria-invalid="true" aria-describedby="{name}-error"' if error else ""
    return (
        f'<div class="field"><label for="{name}">{label}</label><input id="{name}" name="{name}" type="{kind}" value="{escape(value)}" '
        f'autocomplete="{autocomplete}" inputmode="{inputmode}" placeholder="{hint}"{state}>'
        + (f'<p class="error" id="{name}-error">{escape(error)}</p>' if error else "") + "</div>")


def summary(errors):
    if not errors:
        return ""
    lines = "".join(f"<div>{escape(error)}</div>" for error in dict.fromkeys(errors.values()))
    return f'<div class="summary" role="alert" tabindex="-1" autofocus>{lines}</div>'


def card_form(button, form, errors, with_email=False, action=""):
    hints = "".join(f"<tr><td><code>{grouped(number)}</code></td><td>{card.hint}</td></tr>" for number, card in CARDS.items() if card.hint)
    email = field("email", "Email", form.get("email", ""), errors, "email", "email", "email") if with_email else ""
    return (
        f'<form class="panel" method="post" action="{action}" novalidate>{summary(errors)}<h2>Pay with a card</h2>{email}'
        + field("number", "Card number", form.get("number", ""), errors, "cc-number", hint="1234 1234 1234 1234")
        + '<div class="pair">' + field("expiry", "Expiry", form.get("expiry", ""), errors, "cc-exp", hint="MM / YY")
        + field("cvc", "CVC", form.get("cvc", ""), errors, "cc-csc", hint="123") + f"</div><button>{button}</button>"
        '<details open><summary>Test cards</summary><table><thead><tr><th scope="col">Number</th>'
        '<th scope="col">What it does</th></tr></thead>'
        f'<tbody>{hints}</tbody></table><p class="muted">Any later expiry and any three digits do.</p></details></form>')


def grouped(number):
    return " ".join(number[start:start + 4] for start in range(0, len(number), 4))


def checked_card(form, now):
    """Returns the number and the errors of a card form, by field."""
    errors, number = {}, re.sub(r"[\s-]", "", form.get("number", ""))
    if not number:
        errors["number"] = "Your card number is incomplete."
    elif not re.fullmatch(r"[0-9]{12,19}", number):
        errors["number"] = "Your card number is invalid."
    elif number not in CARDS:
        errors["number"] = "Your card was declined. Your request was in test mode, but used a non test card."
    match = re.fullmatch(r"\s*([0-9]{1,2})\s*/?\s*(?:20)?([0-9]{2})\s*", form.get("expiry", ""))
    today = datetime.fromtimestamp(now, timezone.utc)
    if not match or not 1 <= int(match[1]) <= 12:
        errors["expiry"] = "Your card's expiration date is incomplete."
    elif (2000 + int(match[2]), int(match[1])) < (today.year, today.month):
        errors["expiry"] = "Your card's expiration date is in the past."
    if not re.fullmatch(r"[0-9]{3,4}", form.get("cvc", "").strip()):
        errors["cvc"] = "Your card's security code is incomplete."
    return number, errors


def declined(result):
    return {DECLINED_FIELDS.get(result, "number"): DECLINES[result][1]}


def amounts_table(rows, total, currency, label="Total"):
    lines = "".join(f'<tr><td>{escape(name)}</td><td class="figure">{figure(amount, currency)}</td></tr>' for name, amount in rows)
    return (
        f'<table><thead><tr><th scope="col">What</th><th scope="col" class="figure">Amount</th></tr></thead><tbody>{lines}</tbody>'
        f'<tfoot><tr><th scope="row">{label}</th><td class="figure">{figure(total, currency)}</td></tr></tfoot></table>')


def figure(amount, currency):
    return ("−" if amount < 0 else "") + money(abs(amount), currency)


def authentication(amount, currency):
    return layout("Confirm your payment", (
        f'<div class="panel"><h1>Confirm your payment</h1><p>Your bank asks whether you make this payment.</p>'
        f'<p class="amount">{figure(amount, currency)}</p><p class="muted">This page stands in for the page of a bank.</p>'
        '<form method="post" class="actions"><button name="answer" value="complete">Complete</button>'
        '<button name="answer" value="fail" class="danger">Fail</button></form></div>'))


def link(url, text):
    return f'<a class="back" href="{escape(url)}">{escape(text)}</a>' if url and urlsplit(url).scheme in ("http", "https") else ""


def notice(title, text, url=None, label="Continue"):
    return layout(title, f'<div class="panel"><h1>{escape(title)}</h1><p>{escape(text)}</p>{link(url, label)}</div>')


def origins(*urls):
    """Returns the origins that a form of this page may lead to, for the content security policy."""
    found = {f"{parts.scheme}://{parts.netloc}" for parts in map(urlsplit, filter(None, urls)) if re.fullmatch(r"[A-Za-z0-9.:\-\[\]]+",
            parts.netloc)}
    return " ".join(["'self'", *sorted(found)])


class Pages:
    def __init__(self, world):
        self.world = world
        self.rows = [
            ("/c/pay/([^/]+)", self.checkout), ("/c/pay/([^/]+)/authenticate", self.checkout_authentication),
            ("/p/session/([^/]+)", self.portal), ("/p/session/([^/]+)/card", self.portal_card),
            ("/p/session/([^/]+)/(cancel|resume)/([^/]+)", self.portal_subscription),
            ("/i/([^/]+)", self.invoice), ("/i/([^/]+)/authenticate", self.invoice_authentication), ("/i/([^/]+)/pdf", self.invoice_pdf),
        ]

    def answer(self, method, path, query, body):
        """Returns status, headers and body of a page."""
        if path == "/assets/page.css" and method == "GET":
            return 200, {"Content-Type": "text/css; charset=utf-8"}, STYLE
        form = None
        if method == "POST":
            form = {name: values[-1][:500] for name, values in parse_qs(body, keep_blank_values=True).items()}
        elif method != "GET":
            return self.page(405, notice("This page cannot do that", "It can be read, and its forms can be sent."))
        for pattern, act in self.rows:
            match = re.fullmatch(pattern, path)
            if match:
                with suppress(Gone):
                    return act(form, *match.groups())
        return self.page(404, notice("There is no such page", "The link may be incomplete, or what it names was deleted."))

    def page(self, status, text, may_lead_to="'self'", **headers):
        return status, {
            "Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy":
                "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; "
                f"form-action {may_lead_to}; frame-ancestors 'none'",
        } | headers, text

    def lead(self, url):
        return 303, {"Location": url, "Cache-Control": "no-store", "Content-Type": "text/plain"}, ""

    def subject(self, identifier, kind):
        found = self.world.get(identifier, kind)
        if not found:
            raise Gone
        return found

    # Checkout

    def checkout(self, form, identifier):
        session = self.subject(identifier, "checkout.session")
        if session["status"] == "complete" and form is not None:
            return self.lead(checkout.success_url(session))
        if session["status"] == "complete":
            return self.page(200, notice("This is paid", "There is nothing left to do here.", checkout.success_url(session)))
        if session["status"] == "expired":
            return self.page(200,
                notice("This checkout has expired", "Nothing was charged. Start again on the page that you came from.",
                    session["cancel_url"], "Back"))
        errors = {}
        if form is not None:
            number, errors = checked_card(form, self.world.now())
            if session["customer"] is None and not re.fullmatch(r"[^@\s]+@[^@\s]+",
                form.get("email", "") or session["customer_email"] or ""):
                errors["email"] = "Enter an email address, as name@example.com."
            if not errors:
                with self.world.acting():
                    session = self.world.get(identifier)
                    result = checkout.pay(self.world, session, number, form.get("email")) if session["status"] == "open" else "succeeds"
                if result == "succeeds":
                    return self.lead(checkout.success_url(session))
                if result == "authentication":
                    return self.lead(f"/c/pay/{identifier}/authenticate")
                errors = declined(result)
        return self.page(422 if errors else 200, self.checkout_page(session, form or {}, errors), origins(session["success_url"]))

    def checkout_page(self, session, form, errors):
        items, currency = session["_line_items"], session["currency"]
        recurring = items[0]["price"]["recurring"]
        period = f' <span class="muted">per {recurring["interval"]}</span>' if recurring else ""
        rows = [(f"{item['description']}" + (f" × {item['quantity']}" if item["quantity"] > 1 else ""),
                item["amount_subtotal"]) for item in items]
        off = session["total_details"]["amount_discount"]
        if off:
            rows.append(("Discount", -off))
        verb = "Subscribe to" if recurring else "Pay for"
        button = "Subscribe" if recurring else f"Pay {figure(session['amount_total'], currency)}"
        email = session["customer_details"]["email"] if session["customer_details"] else None
        payer = f'<p class="muted">{escape(email)}</p>' if email else ""
        return layout(f"{verb} {items[0]['description']}", (
            link(session["cancel_url"], "← Back") + f'<section><h1>{verb} {escape(items[0]["description"])}</h1>'
            f'<p class="amount">{figure(session["amount_total"], currency)}{period}</p>{payer}'
            + amounts_table(rows, session["amount_total"], currency, "Due today") + "</section>"
            + card_form(button, form, errors, with_email=session["customer"] is None and not session["customer_email"])), True)

    def checkout_authentication(self, form, identifier):
        session = self.subject(identifier, "checkout.session")
        if form is None or session["status"] != "open":
            if session["status"] != "open":
                return self.lead(f"/c/pay/{identifier}")
            return self.page(200, authentication(session["amount_total"], session["currency"]), origins(session["success_url"]))
        try:
            with self.world.acting():
                result = checkout.authenticated(self.world, self.world.get(identifier), form.get("answer") == "complete")
        except StripeError:
            return self.lead(f"/c/pay/{identifier}")
        if result == "succeeds":
            return self.lead(checkout.success_url(session))
        return self.page(422, self.checkout_page(session, {}, declined(result)).replace('action=""', f'action="/c/pay/{identifier}"'),
            origins(session["success_url"]))

    # Invoices

    def invoice(self, form, identifier):
        invoice = self.subject(identifier, "invoice")
        errors = {}
        if form is not None and invoice["status"] == "open":
            number, errors = checked_card(form, self.world.now())
            if not errors:
                result = "succeeds"
                with self.world.acting():
                    invoice = self.world.get(identifier)
                    if invoice["status"] == "open":
                        method = catalogue.create_method(self.world, number)
                        result = subscriptions.pay_open_invoice(self.world, invoice, method)
                if result == "authentication":
                    return self.lead(f"/i/{identifier}/authenticate")
                if result == "succeeds":
                    return self.lead(f"/i/{identifier}")
                errors = declined(result)
        return self.page(422 if errors else 200, self.invoice_page(invoice, form or {}, errors))

    def invoice_page(self, invoice, form, errors):
        currency = invoice["currency"]
        rows = [(one["description"], one["amount"]) for one in invoice["_lines"]]
        applied = invoice["total"] - invoice["amount_due"]
        if applied and invoice["status"] != "draft":
            rows.append(("From your balance" if applied > 0 else "To your balance", -applied))
        states = {"open": "is due", "paid": "is paid", "void": "is void", "uncollectible": "is written off", "draft": "is not final yet"}
        title = f"Invoice {invoice['number'] or ''} {states[invoice['status']]}"
        facts = (
            f'<section><h1>{escape(title)}</h1><p class="amount">{figure(invoice["amount_due"], currency)}</p>'
            f'<p class="muted">{escape(invoice["customer_email"] or "")} · {day(invoice["created"])}</p>'
            + amounts_table(rows, invoice["amount_due"], currency, "Amount due")
            + (link(invoice["invoice_pdf"], "Download as PDF") if invoice["number"] else "") + "</section>")
        if invoice["status"] != "open":
            return layout(title, facts)
        return layout(title, facts + card_form(f"Pay {figure(invoice['amount_due'], currency)}", form, errors), True)

    def invoice_authentication(self, form, identifier):
        invoice = self.subject(identifier, "invoice")
        intent = invoice["_intent"] and self.world.get(invoice["_intent"])
        if invoice["status"] != "open" or not intent or intent["status"] != "requires_action":
            return self.lead(f"/i/{identifier}")
        if form is None:
            return self.page(200, authentication(invoice["amount_due"], invoice["currency"]))
        with self.world.acting():
            result = subscriptions.authenticated(self.world, self.world.get(identifier), form.get("answer") == "complete")
        if result == "succeeds":
            return self.lead(f"/i/{identifier}")
        return self.page(422, self.invoice_page(invoice, {}, declined(result)).replace('action=""', f'action="/i/{identifier}"'))

    def invoice_pdf(self, form, identifier):
        invoice = self.subject(identifier, "invoice")
        lines = [f"Invoice {invoice['number']}", f"{day(invoice['created'])} - {invoice['status']}", "Test mode: no money moves", ""]
        lines += [f"{one['description']}: {money(one['amount'], invoice['currency'])}" for one in invoice["_lines"]]
        lines += ["", f"Amount due: {money(invoice['amount_due'], invoice['currency'])}"]
        return 200, {"Content-Type": "application/pdf", "Content-Disposition": f'inline; filename="{identifier}.pdf"'}, pdf(lines)

    # The portal

    def portal_parts(self, identifier):
        session = self.subject(identifier, "billing_portal.session")
        customer = self.world.get(session["customer"])
        if customer.get("deleted") or session["created"] + PORTAL_SECONDS < self.world.now():
            raise Gone
        return session, customer, self.world.get(session["configuration"])["features"]

    def portal(self, form, identifier):
        session, customer, features = self.portal_parts(identifier)
        base = f"/p/session/{identifier}"
        living = [one for one in self.world.store.find("subscription", customer=customer["id"]) if one["status"] != "canceled"]
        plans = "".join(self.plan(base, one, features) for one in living) or "<p>You have no plan.</p>"
        content = link(session["return_url"], "← Back") + f'<h1>Your billing</h1><section class="panel"><h2>Plan</h2>{plans}</section>'
        if features["payment_method_update"]["enabled"]:
            method = self.paying_method(customer, living)
            text = f"{method['card']['brand'].capitalize()} ending in {method['card']['last4']}" if method else "You have no card."
            content += f'<section class="panel"><h2>Card</h2><p>{text}</p><a href="{base}/card">Change the card</a></section>'
        if features["invoice_history"]["enabled"]:
            content += f'<section class="panel"><h2>Invoices</h2>{self.invoice_table(customer)}</section>'
        return self.page(200, layout("Your billing", content))

    def paying_method(self, customer, living):
        identifier = customer["invoice_settings"]["default_payment_method"] or (living[0]["default_payment_method"] if living else None)
        return identifier and self.world.get(identifier)

    def plan(self, base, subscription, features):
        item = subscriptions.items_of(subscription)[0]
        price = item["price"]
        end = day(subscription["cancel_at"] or item["current_period_end"])
        ends = subscription["cancel_at"] is not None
        text = (
            f"<p><strong>{escape(subscriptions.describe(self.world, item))}</strong>, "
            f"{figure(subscriptions.amount_of(item), price['currency'])} "
            f"per {price['recurring']['interval']}</p><p class=muted>{'Ends' if ends else 'Renews'} on {end}."
            + (" A payment is due." if subscription["status"] in ("past_due", "unpaid") else "") + "</p>")
        if ends:
            return text + f'<form method="post" action="{base}/resume/{subscription["id"]}"><button>Keep the plan</button></form>'
        if features["subscription_cancel"]["enabled"]:
            return text + f'<a href="{base}/cancel/{subscription["id"]}">Cancel the plan</a>'
        return text

    def invoice_table(self, customer):
        invoices = [one for one in self.world.store.find("invoice", customer=customer["id"]) if one["number"]][:INVOICES_SHOWN]
        if not invoices:
            return "<p>There are no invoices yet.</p>"
        rows = "".join(
            f'<tr><td>{day(one["created"])}</td><td><a href="/i/{one["id"]}">{one["number"]}</a></td><td>{one["status"].capitalize()}</td>'
            f'<td class="figure">{figure(one["total"], one["currency"])}</td></tr>' for one in invoices)
        head = "".join(f'<th scope="col"{extra}>{name}</th>' for name,
            extra in (("Date", ""), ("Number", ""), ("State", ""), ("Amount", " class=figure")))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"

    def portal_card(self, form, identifier):
        _, customer, features = self.portal_parts(identifier)
        if not features["payment_method_update"]["enabled"]:
            raise Gone
        errors = {}
        if form is not None:
            number, errors = checked_card(form, self.world.now())
            if not errors and not CARDS[number].attaches:
                errors = declined(CARDS[number].outcome)
            if not errors:
                with self.world.acting():
                    catalogue.replace_card(self.world, self.world.get(customer["id"]), number)
                return self.lead(f"/p/session/{identifier}")
        content = link(f"{self.world.base_url}/p/session/{identifier}", "← Back to your billing") + "<h1>Change the card</h1>"
        form_part = card_form("Save the card", form or {}, errors).replace("<h2>Pay with a card</h2>", "")
        return self.page(422 if errors else 200, layout("Change the card", content + form_part))

    def portal_subscription(self, form, identifier, verb, subscription_id):
        _, customer, features = self.portal_parts(identifier)
        subscription = self.subject(subscription_id, "subscription")
        if subscription["customer"] != customer["id"] or not features["subscription_cancel"]["enabled"]:
            raise Gone
        base = f"/p/session/{identifier}"
        immediately = features["subscription_cancel"]["mode"] == "immediately"
        if form is None:
            if verb == "resume":
                return self.lead(base)
            item = subscriptions.items_of(subscription)[0]
            when = "It ends at once." if immediately else f"You keep it until {day(item['current_period_end'])}. Nothing more is charged."
            return self.page(200, layout("Cancel the plan?", (
                f'<div class="panel"><h1>Cancel the plan {escape(subscriptions.describe(self.world, item))}?</h1><p>{when}</p>'
                f'<form method="post" class="actions"><button class="danger">Cancel the plan</button></form>'
                f'<a href="{base}">Keep the plan</a></div>')))
        with self.world.acting():
            subscription = self.world.get(subscription_id)
            if subscription["status"] == "canceled":
                pass
            elif verb == "cancel" and immediately:
                subscriptions.cancel(self.world, subscription, "cancellation_requested")
            elif verb == "cancel":
                # A portal sets the date on a flexible subscription, not the flag.
                subscriptions.update(self.world, subscription, {"cancel_at": subscriptions.period_of(subscription)[1]})
            elif subscription["cancel_at_period_end"]:
                subscriptions.update(self.world, subscription, {"cancel_at_period_end": False})
            else:
                subscriptions.update(self.world, subscription, {"cancel_at": None})
        return self.lead(base)


def pdf(lines):
    """Returns one page of plain lines as a PDF file."""
    shown = [line.encode("latin-1", "replace").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)") for line in lines]
    content = b"BT /F1 12 Tf 72 770 Td 18 TL " + b" ".join(b"(" + line + b") Tj T*" for line in shown) + b" ET"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content), b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    data, places = b"%PDF-1.4\n", []
    for number, value in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, value)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return data + b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(places) + 1, table, len(places) + 1, len(data))
