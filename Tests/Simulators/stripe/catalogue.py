"""Customers, payment methods, products, prices, portal configurations and webhook endpoints: what is made and read."""

import ipaddress
from urllib.parse import urlsplit

from cards import CARDS
from checking import API_VERSION
from errors import invalid

METADATA_KEYS_MAX = 50


def merged(metadata, changes):
    """An empty value deletes a key, an empty metadata all of them."""
    if changes is None:
        return {}
    result = {name: value for name, value in {**metadata, **changes}.items() if value is not None}
    if len(result) > METADATA_KEYS_MAX:
        raise invalid("You can only have up to 50 metadata keys.", "metadata")
    return result


# Customers


def create_customer(world, parameters):
    customer = {
        "id": world.new_id("cus", 14), "object": "customer", "address": None, "balance": parameters.get("balance", 0),
        "created": world.now(), "currency": None, "customer_account": None, "default_source": None, "delinquent": False,
        "description": parameters.get("description"), "discount": None, "email": parameters.get("email"),
        "invoice_prefix": world.new_id("x", 8)[2:].upper(),
        "invoice_settings": {
            "custom_fields": None, "default_payment_method": None, "footer": None, "rendering_options": None,
        },
        "livemode": False, "metadata": merged({}, parameters.get("metadata", {})), "name": parameters.get("name"),
        "next_invoice_sequence": 1, "phone": parameters.get("phone"), "preferred_locales": [], "shipping": None,
        "tax_exempt": "none", "test_clock": None,
    }
    world.save(customer)
    world.emit("customer.created", customer)
    return customer


def update_customer(world, customer, parameters):
    living(customer)
    changes = {name: parameters[name] for name in ("balance", "description", "email", "name", "phone") if name in parameters}
    if "metadata" in parameters:
        changes["metadata"] = merged(customer["metadata"], parameters["metadata"])
    if "default_payment_method" in parameters.get("invoice_settings", {}):
        method = parameters["invoice_settings"]["default_payment_method"]
        if method is not None:
            attached(world, method, customer["id"], "invoice_settings[default_payment_method]")
        changes["invoice_settings"] = customer["invoice_settings"] | {"default_payment_method": method}
    previous = world.change(customer, **changes)
    if previous:
        world.emit("customer.updated", customer, previous)
    return customer


def living(customer):
    if customer.get("deleted"):
        raise invalid(f"No such customer: '{customer['id']}'", "id", "resource_missing", 404)


def require_customer(world, identifier, param="customer"):
    customer = world.store.require(identifier, "customer", param)
    if customer.get("deleted"):
        raise invalid(f"No such customer: '{identifier}'", param, "resource_missing")
    return customer


def shown_customer(customer):
    """A deleted customer is its id only."""
    return {"id": customer["id"], "object": "customer", "deleted": True} if customer.get("deleted") else customer


# Payment methods


def create_method(world, number, customer=None, name=None, email=None):
    """A card. Its number stays with it, because the number decides what happens to each payment."""
    brand = CARDS[number].brand
    method = {
        "id": world.new_id("pm"), "object": "payment_method", "allow_redisplay": "limited",
        "billing_details": {
            "address": {name: None for name in ("city", "country", "line1", "line2", "postal_code", "state")},
            "email": email, "name": name, "phone": None, "tax_id": None,
        },
        "card": {
            "brand": brand, "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
            "country": "US", "display_brand": brand, "exp_month": 12, "exp_year": 2034, "fingerprint": f"simulated{number[-7:]}",
            "funding": "credit", "generated_from": None, "last4": number[-4:],
            "networks": {"available": [brand], "preferred": None}, "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True}, "wallet": None,
        },
        "created": world.now(), "customer": None, "customer_account": None, "livemode": False, "metadata": {}, "type": "card",
        "_number": number, "_authenticated": False,
    }
    world.save(method)
    if customer:
        attach(world, method, customer)
    return method


def attach(world, method, customer):
    world.change(method, customer=customer)
    world.emit("payment_method.attached", method)


def attached(world, identifier, customer, param):
    method = world.store.require(identifier, "payment_method", param)
    if method["customer"] != customer:
        raise invalid("The customer does not have a payment method with the ID " + identifier + ".", param, "resource_missing")
    return method


def replace_card(world, customer, number):
    """Makes a card the default of a customer and of its subscriptions, as the portal does."""
    method = create_method(world, number, customer["id"], customer["name"], customer["email"])
    method["_authenticated"] = True
    world.save(method)
    update_customer(world, customer, {"invoice_settings": {"default_payment_method": method["id"]}})
    for subscription in reversed(world.store.find("subscription", customer=customer["id"])):
        if subscription["status"] != "canceled":
            previous = world.change(subscription, default_payment_method=method["id"])
            world.emit("customer.subscription.updated", subscription, previous)
    return method


# Products and prices


def create_product(world, parameters):
    product = {
        "id": parameters.get("id") or world.new_id("prod", 14), "object": "product", "active": parameters.get("active", True),
        "created": world.now(), "default_price": None, "description": parameters.get("description"), "images": [], "livemode": False,
        "marketing_features": [], "metadata": merged({}, parameters.get("metadata", {})), "name": parameters["name"],
        "package_dimensions": None, "shippable": None, "statement_descriptor": None, "tax_code": parameters.get("tax_code"),
        "type": "service", "unit_label": None, "updated": world.now(), "url": None,
    }
    if world.get(product["id"]):
        raise invalid(f"Product already exists with ID: {product['id']}", "id", "resource_already_exists")
    world.save(product)
    world.emit("product.created", product)
    return product


def create_price(world, parameters):
    if ("product" in parameters) == ("product_data" in parameters):
        raise invalid("You must specify either `product` or `product_data` when creating a price.", "product", "parameter_missing")
    if "unit_amount" not in parameters:
        raise invalid("Prices require an `unit_amount` or `unit_amount_decimal` parameter to be set.", "unit_amount", "parameter_missing")
    if parameters["unit_amount"] < 0:
        raise invalid("This value must be greater than or equal to 0.", "unit_amount", "parameter_invalid_integer")
    if "product_data" in parameters:
        product = create_product(world, parameters["product_data"])
    else:
        product = world.store.require(parameters["product"], "product", "product")
    recurring = parameters.get("recurring")
    amount = parameters["unit_amount"]
    price = {
        "id": world.new_id("price"), "object": "price", "active": parameters.get("active", True), "billing_scheme": "per_unit",
        "created": world.now(), "currency": parameters["currency"].lower(), "custom_unit_amount": None, "livemode": False,
        "lookup_key": None, "metadata": merged({}, parameters.get("metadata", {})), "nickname": parameters.get("nickname"),
        "product": product["id"],
        "recurring": recurring and {
            "interval": recurring["interval"], "interval_count": recurring.get("interval_count", 1), "meter": None,
            "trial_period_days": None, "usage_type": "licensed",
        },
        "tax_behavior": parameters.get("tax_behavior", "unspecified"), "tiers_mode": None, "transform_quantity": None,
        "type": "recurring" if recurring else "one_time", "unit_amount": amount, "unit_amount_decimal": str(amount),
    }
    take_lookup_key(world, price, parameters)
    world.save(price)
    world.emit("price.created", price)
    return price


def take_lookup_key(world, price, parameters):
    if "lookup_key" not in parameters:
        return
    key = parameters["lookup_key"]
    for holder in world.store.find("price", lookup_key=key) if key else []:
        if holder["id"] == price["id"]:
            continue
        if not parameters.get("transfer_lookup_key"):
            raise invalid(f"A price (`{holder['id']}`) already uses that lookup key.", "lookup_key")
        world.emit("price.updated", holder, world.change(holder, lookup_key=None))
    price["lookup_key"] = key


def update_price(world, price, parameters):
    before = dict(price)
    take_lookup_key(world, price, parameters)
    changes = {name: parameters[name] for name in ("active", "nickname", "tax_behavior") if name in parameters}
    if "metadata" in parameters:
        changes["metadata"] = merged(price["metadata"], parameters["metadata"])
    world.change(price, **changes)
    previous = {name: value for name, value in before.items() if price[name] != value}
    if previous:
        world.emit("price.updated", price, previous)
    return price


# The portal's configurations


def create_configuration(world, parameters):
    asked = parameters["features"]

    def feature(name, **members):
        return {"enabled": False} | members | asked.get(name, {})

    business = parameters.get("business_profile", {})
    configuration = {
        "id": world.new_id("bpc"), "object": "billing_portal.configuration", "active": True, "application": None,
        "business_profile": {name: business.get(name) for name in ("headline", "privacy_policy_url", "terms_of_service_url")},
        "created": world.now(), "default_return_url": parameters.get("default_return_url"),
        "features": {
            "customer_update": feature("customer_update", allowed_updates=[]),
            "invoice_history": feature("invoice_history"),
            "payment_method_update": feature("payment_method_update", payment_method_configuration=None),
            "subscription_cancel": feature(
                "subscription_cancel", cancellation_reason={"enabled": False, "feedback_options": None, "options": []},
                mode="at_period_end", proration_behavior="none"),
            "subscription_update": feature(
                "subscription_update", billing_cycle_anchor=None, default_allowed_updates=[], products=None, proration_behavior="none",
                schedule_at_period_end={"conditions": []}, trial_update_behavior="end_trial"),
        },
        "is_default": False, "livemode": False, "login_page": {"enabled": False, "url": None},
        "metadata": merged({}, parameters.get("metadata", {})), "name": parameters.get("name"), "updated": world.now(),
    }
    world.save(configuration)
    world.emit("billing_portal.configuration.created", configuration)
    return configuration


def update_configuration(world, configuration, parameters):
    changes = {name: parameters[name] for name in ("active", "default_return_url", "name") if name in parameters}
    if "metadata" in parameters:
        changes["metadata"] = merged(configuration["metadata"], parameters["metadata"])
    if "business_profile" in parameters:
        changes["business_profile"] = configuration["business_profile"] | parameters["business_profile"]
    if "features" in parameters:
        changes["features"] = {name: value | parameters["features"].get(name, {}) for name, value in configuration["features"].items()}
    world.emit("billing_portal.configuration.updated", configuration, world.change(configuration, updated=world.now(), **changes))
    return configuration


def create_portal_session(world, parameters):
    customer = require_customer(world, parameters["customer"]) if "customer" in parameters else None
    if customer is None:
        raise invalid("Missing required param: customer.", "customer", "parameter_missing")
    if "configuration" not in parameters:
        raise invalid(
            "You can’t create a portal session in test mode until you save your customer portal settings in test mode at "
            "https://dashboard.stripe.com/test/settings/billing/portal.")
    configuration = world.store.require(parameters["configuration"], "billing_portal.configuration", "configuration")
    identifier = world.new_id("bps")
    session = {
        "id": identifier, "object": "billing_portal.session", "configuration": configuration["id"], "created": world.now(),
        "customer": customer["id"], "customer_account": None, "flow": None, "livemode": False, "locale": parameters.get("locale"),
        "on_behalf_of": None, "return_url": parameters.get("return_url") or configuration["default_return_url"],
        "url": f"{world.base_url}/p/session/{identifier}",
    }
    world.save(session)
    world.emit("billing_portal.session.created", session)
    return session


# Webhook endpoints


def check_url(url):
    """The simulator sends to this machine only."""
    try:
        parts = urlsplit(url)
        is_own = parts.hostname == "localhost" or ipaddress.ip_address(parts.hostname or "").is_loopback
        if parts.scheme == "http" and is_own and parts.port != 0:
            return url
    except ValueError:
        pass
    raise invalid("Invalid URL: the simulator delivers to http:// on this machine's loopback addresses only.", "url", "url_invalid")


def create_endpoint(world, parameters):
    if parameters.get("api_version", API_VERSION) != API_VERSION:
        raise invalid(f"Invalid api_version: the simulator renders {API_VERSION} only", "api_version")
    endpoint = {
        "id": world.new_id("we"), "object": "webhook_endpoint", "api_version": parameters.get("api_version"), "application": None,
        "created": world.now(), "description": parameters.get("description"), "enabled_events": parameters["enabled_events"],
        "livemode": False, "metadata": merged({}, parameters.get("metadata", {})), "status": "enabled",
        "url": check_url(parameters["url"]), "_secret": world.new_id("whsec", 32),
    }
    world.save(endpoint)
    return endpoint | {"secret": endpoint["_secret"]}


def update_endpoint(world, endpoint, parameters):
    changes = {name: parameters[name] for name in ("description", "enabled_events") if name in parameters}
    if "url" in parameters:
        changes["url"] = check_url(parameters["url"])
    if "metadata" in parameters:
        changes["metadata"] = merged(endpoint["metadata"], parameters["metadata"])
    if "disabled" in parameters:
        changes["status"] = "disabled" if parameters["disabled"] else "enabled"
    world.change(endpoint, **changes)
    return endpoint


def delete_endpoint(world, endpoint):
    world.store.delete(endpoint["id"])
    world.store.execute("DELETE FROM delivery WHERE endpoint = ?", endpoint["id"])
    return {"id": endpoint["id"], "object": "webhook_endpoint", "deleted": True}
