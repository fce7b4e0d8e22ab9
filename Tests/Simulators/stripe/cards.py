"""The numbers of Stripe's test cards, and what each does."""

from typing import NamedTuple


class Card(NamedTuple):
    brand: str
    outcome: str  # succeeds, authentication, or the decline code
    later: str | None = None  # what happens to a payment that succeeded
    hint: str | None = None  # what the pages say about it
    attaches: bool = True  # whether the customer can save it without a payment
    always_asks: bool = False  # whether it asks for authentication on later payments too


CARDS = {
    "4242424242424242": Card("visa", "succeeds", hint="pays"),
    "5555555555554444": Card("mastercard", "succeeds"),
    "378282246310005": Card("amex", "succeeds"),
    "4000000000000002": Card("visa", "generic_decline", hint="is declined", attaches=False),
    "4000000000009995": Card("visa", "insufficient_funds", hint="has insufficient funds", attaches=False),
    "4000000000000069": Card("visa", "expired_card", attaches=False),
    "4000000000000127": Card("visa", "incorrect_cvc", attaches=False),
    "4000000000000119": Card("visa", "processing_error", attaches=False),
    "4000000000000341": Card("visa", "generic_decline"),
    "4000002500003155": Card("visa", "authentication", hint="asks for authentication"),
    "4000002760003184": Card("visa", "authentication", always_asks=True),
    "4000000000000259": Card("visa", "succeeds", later="dispute"),
    "4000000000002685": Card("visa", "succeeds", later="inquiry"),
    "4000000000007726": Card("visa", "succeeds", later="pending_refund"),
    "4000000000005126": Card("visa", "succeeds", later="failing_refund"),
}

# Decline code: the error's code and its sentence.
DECLINES = {
    "generic_decline": ("card_declined", "Your card was declined."),
    "insufficient_funds": ("card_declined", "Your card has insufficient funds."),
    "expired_card": ("expired_card", "Your card has expired."),
    "incorrect_cvc": ("incorrect_cvc", "Your card's security code is incorrect."),
    "processing_error": ("processing_error", "An error occurred while processing your card. Try again in a little bit."),
    "authentication_failed": (
        "payment_intent_authentication_failure",
        "We are unable to authenticate your payment method. Please choose a different payment method and try again."),
    "bank_debit_failed": ("payment_method_provider_decline", "The bank refused the debit."),
}


def outcome(number, authenticated):
    """Returns `succeeds`, `authentication` or a decline code. A card that was authenticated once is not asked again."""
    card = CARDS[number]
    if card.outcome == "authentication" and authenticated and not card.always_asks:
        return "succeeds"
    return card.outcome
