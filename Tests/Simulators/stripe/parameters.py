#!/usr/bin/env python3
"""Writes parameters.json: the parameters that Stripe takes on each route of the simulator.

The source is the typed parameters of the package `stripe` that Tests/requirements.txt pins, so run this with
a Python that has it:

    parameters.py            writes parameters.json next to this file
    parameters.py --check    exits with 1 if parameters.json differs

A type is one of these. `?` at its end, or "unset" in its object, means that an empty value unsets it.

    "string" "integer" "number" "boolean" "anything"
    {"enum": [values]}
    {"list": type}
    {"map": type}                               free names, as in metadata
    {"fields": {name: type}, "required": [names]}
    {"any": [types]}                            the first that fits
"""

import importlib
import json
import sys
import typing
from decimal import Decimal
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Dict, List, Literal, Union, get_args, get_origin

import stripe
from stripe._request_options import RequestOptions
from stripe._stripe_object import UntypedStripeObject
from typing_extensions import NotRequired, Required, get_type_hints, is_typeddict

FILE = Path(__file__).with_name("parameters.json")
SCALARS = {str: "string", int: "integer", bool: "boolean", float: "number", Decimal: "number", Any: "anything", object: "anything"}

# Each route and the class of its parameters. The module's name follows from the class.
ROUTES = {
    "GET /v1/account": "AccountRetrieveCurrentParams",
    "POST /v1/customers": "CustomerCreateParams",
    "GET /v1/customers": "CustomerListParams",
    "GET /v1/customers/{id}": "CustomerRetrieveParams",
    "POST /v1/customers/{id}": "CustomerUpdateParams",
    "DELETE /v1/customers/{id}": "CustomerDeleteParams",
    "GET /v1/customers/{id}/payment_methods": "CustomerListPaymentMethodsParams",
    "POST /v1/products": "ProductCreateParams",
    "GET /v1/products": "ProductListParams",
    "GET /v1/products/{id}": "ProductRetrieveParams",
    "POST /v1/prices": "PriceCreateParams",
    "GET /v1/prices": "PriceListParams",
    "GET /v1/prices/{id}": "PriceRetrieveParams",
    "POST /v1/prices/{id}": "PriceUpdateParams",
    "POST /v1/checkout/sessions": "checkout.SessionCreateParams",
    "GET /v1/checkout/sessions": "checkout.SessionListParams",
    "GET /v1/checkout/sessions/{id}": "checkout.SessionRetrieveParams",
    "POST /v1/checkout/sessions/{id}/expire": "checkout.SessionExpireParams",
    "GET /v1/checkout/sessions/{id}/line_items": "checkout.SessionListLineItemsParams",
    "GET /v1/subscriptions": "SubscriptionListParams",
    "GET /v1/subscriptions/{id}": "SubscriptionRetrieveParams",
    "POST /v1/subscriptions/{id}": "SubscriptionUpdateParams",
    "DELETE /v1/subscriptions/{id}": "SubscriptionCancelParams",
    "GET /v1/invoices": "InvoiceListParams",
    "POST /v1/invoices/create_preview": "InvoiceCreatePreviewParams",
    "GET /v1/invoices/{id}": "InvoiceRetrieveParams",
    "GET /v1/invoices/{id}/lines": "InvoiceListLinesParams",
    "GET /v1/invoice_payments": "InvoicePaymentListParams",
    "GET /v1/payment_intents": "PaymentIntentListParams",
    "GET /v1/payment_intents/{id}": "PaymentIntentRetrieveParams",
    "GET /v1/charges": "ChargeListParams",
    "GET /v1/charges/{id}": "ChargeRetrieveParams",
    "GET /v1/payment_methods": "PaymentMethodListParams",
    "GET /v1/payment_methods/{id}": "PaymentMethodRetrieveParams",
    "POST /v1/refunds": "RefundCreateParams",
    "GET /v1/refunds": "RefundListParams",
    "GET /v1/refunds/{id}": "RefundRetrieveParams",
    "POST /v1/refunds/{id}/cancel": "RefundCancelParams",
    "GET /v1/disputes": "DisputeListParams",
    "GET /v1/disputes/{id}": "DisputeRetrieveParams",
    "GET /v1/balance_transactions/{id}": "BalanceTransactionRetrieveParams",
    "POST /v1/billing_portal/sessions": "billing_portal.SessionCreateParams",
    "POST /v1/billing_portal/configurations": "billing_portal.ConfigurationCreateParams",
    "GET /v1/billing_portal/configurations": "billing_portal.ConfigurationListParams",
    "GET /v1/billing_portal/configurations/{id}": "billing_portal.ConfigurationRetrieveParams",
    "POST /v1/billing_portal/configurations/{id}": "billing_portal.ConfigurationUpdateParams",
    "GET /v1/events": "EventListParams",
    "GET /v1/events/{id}": "EventRetrieveParams",
    "POST /v1/webhook_endpoints": "WebhookEndpointCreateParams",
    "GET /v1/webhook_endpoints": "WebhookEndpointListParams",
    "GET /v1/webhook_endpoints/{id}": "WebhookEndpointRetrieveParams",
    "POST /v1/webhook_endpoints/{id}": "WebhookEndpointUpdateParams",
    "DELETE /v1/webhook_endpoints/{id}": "WebhookEndpointDeleteParams",
}


def parameter_class(name):
    """Returns the class that a name of ROUTES means."""
    package, _, name = name.rpartition(".")
    snake = "".join("_" + letter.lower() if letter.isupper() else letter for letter in name)
    return getattr(importlib.import_module(".".join(part for part in ("stripe.params", package, snake) if part)), name)


def unsettable(kind):
    if isinstance(kind, str):
        return kind.rstrip("?") + "?"
    return kind | {"unset": True}


def union_type(members):
    """A literal next to `str` is an enumeration that may grow; an empty literal unsets the parameter."""
    members = [member for member in members if member is not NoneType]
    literals = [value for member in members if get_origin(member) is Literal for value in get_args(member)]
    others = [member for member in members if get_origin(member) is not Literal]
    values = [value for value in literals if value != ""]
    kinds = []
    if values:
        kinds.append({"enum": values})
        others = [member for member in others if member is not str]
    for member in others:
        kind = type_of(member)
        if kind not in kinds:
            kinds.append(kind)
    kind = kinds[0] if len(kinds) == 1 else {"any": kinds}
    return unsettable(kind) if "" in literals else kind


def type_of(annotation):
    if annotation in SCALARS:
        return SCALARS[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (NotRequired, Required):
        return type_of(arguments[0])
    if origin in (Union, UnionType, Literal):
        return union_type([annotation] if origin is Literal else arguments)
    if origin in (list, List):
        return {"list": type_of(arguments[0])}
    if origin in (dict, Dict):
        return {"map": type_of(arguments[1])}
    if origin is UntypedStripeObject:
        return {"map": type_of(arguments[0])}
    if is_typeddict(annotation):
        return fields_of(annotation)
    raise TypeError(f"parameters.py knows no type {annotation!r}")


def fields_of(parameters):
    # The first names are those of RequestOptions, which every class inherits.
    names = vars(typing) | {"StripeContext": object} | vars(importlib.import_module(parameters.__module__))
    hints = get_type_hints(parameters, names, include_extras=True)
    own = {name: kind for name, kind in hints.items() if name not in RequestOptions.__annotations__}
    fields = {name: type_of(kind) for name, kind in sorted(own.items())}
    required = sorted(name for name, kind in own.items() if get_origin(kind) is not NotRequired)
    return {"fields": fields} | ({"required": required} if required else {})


def document():
    routes = {route: fields_of(parameter_class(name)) for route, name in ROUTES.items()}
    head = {"api_version": stripe.api_version, "package": f"stripe {stripe.VERSION}"}
    lines = [f"  {json.dumps(route)}: {json.dumps(kind, separators=(',', ':'), sort_keys=True)}" for route, kind in routes.items()]
    return "{\n" + json.dumps(head)[1:-1] + ',\n"routes": {\n' + ",\n".join(lines) + "\n}}\n"


def main():
    if sys.argv[1:] == ["--check"]:
        if FILE.read_text() != document():
            sys.exit(f"{FILE.name} is not what {Path(__file__).name} makes of stripe {stripe.VERSION}")
    elif not sys.argv[1:]:
        FILE.write_text(document())
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
