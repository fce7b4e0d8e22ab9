"""The account of a test: what the ledger took for a call, next to what the call's answer says."""

import json
import os
import time
import urllib.request
from decimal import ROUND_UP, Decimal

EDGE = os.environ["EDGE"]
KEY = os.environ["API_KEY"]
NANO = Decimal("0.000000001")


def _balance():
    request = urllib.request.Request(EDGE + "/v1/credits", headers={"authorization": "Bearer " + KEY})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer, parse_float=Decimal, parse_int=Decimal)


class Account:
    def __init__(self):
        self.balance = _balance()["balance"]

    def charged(self):
        """Waits until no call is held, and returns the credits that the ledger took since the last time."""
        while (now := _balance())["held"] != 0:
            time.sleep(0.01)
        before, self.balance = self.balance, now["balance"]
        return before - self.balance

    def expect(self, prompt, completion, dollars=(1, 4)):
        """Checks the charge of one call by the tokens that its answer names, at 25 credits a dollar and 15 % on top.

        `dollars` is the price of a million tokens of the prompt and of the completion.
        """
        assert prompt > 0, prompt
        cost = (Decimal(prompt) * dollars[0] + Decimal(completion) * dollars[1]) / 1_000_000
        price = (cost * 25 * Decimal("1.15")).quantize(NANO, rounding=ROUND_UP)
        charged = self.charged()
        assert charged == price, f"{charged} charged, {price} is the price of {prompt} and {completion} tokens"

    def expect_nothing(self):
        charged = self.charged()
        assert charged == 0, f"{charged} charged"
