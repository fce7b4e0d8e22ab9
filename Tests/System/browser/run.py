"""Runs a part of the browser tests against a running stack, and prints a line for each case.

run.py PART, a key of PARTS

STACK           the stack.json of the stack
PROVIDER        the issuer of an OpenID provider that auth knows as Mock: the package oidc-provider-mock
PICTURES        none; a folder for a picture of each page in each variant
UPDATE_GOLDENS  none; with it, the part `pictures` renews docs/pages
"""

import os
import sys
from contextlib import contextmanager
from functools import partial

import flaws
import flows
import gallery
import pictures
from chromium import chromium
from gateway import Gateway

PARTS = {
    "flaws": flaws.run,
    "flows": flows.run,
    "flows-without-scripts": partial(flows.run, scripts=False),
    "first-day": partial(flows.run, flows=[flows.the_first_day]),
    "pages-in-english": partial(gallery.run, language="en"),
    "pages-in-thai": partial(gallery.run, language="th"),
    "pictures": pictures.run,
}


class Report:
    """Prints `passed CASE` or `failed CASE: REASON`, each in one line."""

    has_failed = False

    @contextmanager
    def case(self, name):
        try:
            yield
            print(f"passed {name}", flush=True)
        except Exception as error:
            self.has_failed = True
            print(f"failed {name}: {type(error).__name__}: {' '.join(str(error).split())}", flush=True)


report = Report()
with chromium() as browser:
    PARTS[sys.argv[1]](Gateway(os.environ["STACK"], os.environ["PROVIDER"]), browser, report)
sys.exit(report.has_failed)
