"""Checks of one page: its answer, and how it looks in a browser."""


import gzip
from html.parser import HTMLParser
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe

from chromium import TABS_MAX

# The first page of a browser, with its assets, as the edge compresses them.
FIRST_PAGE_BYTES_MAX = 20_000
ASSETS = [path for path in (Path(__file__).parents[3] / "Shared/Web/Assets").iterdir() if path.suffix != ".swift"]

SCRIPT = (Path(__file__).parent / "checks.js").read_text(encoding="utf-8")

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'self'{}; frame-ancestors 'none'"
)
POLICY_OF_EDGE = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

# Parts of a text that stand on a Thai page as they are: addresses, codes, names of products and of people.
ALLOWED = [
    r"https?://\S+",
    r"\S+@[\w.-]+",
    "WDJB-MJH7",
    "SmartSpec( command line)?",
    "API",
    "CSV",
    "Mock",
    "Mozilla/.*",
    "smartspec-cli.*",
    "Firefox|Chrome|Windows|Linux",
    "Somchai( Jaidee|'s laptop)?",
    "website",
    '"><script>.*',
    "“none”",
    "Stripe",
    # Names of plans and packages are the operator's. An invoice has a number of Stripe's.
    r"\b(Free|Pro|Enterprise|Starter|Basic|Standard|Business)\b",
    r"\b[A-Z0-9]{8}-\d{4}\b",
    "PDF",
    "^(free|English · UTC)$",
]


class Markup(HTMLParser):
    """Notes what the content security policy forbids in the markup itself."""

    def __init__(self, text):
        super().__init__()
        self.flaws = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "style" or name.startswith("on") or (value or "").strip().lower().startswith("javascript:"):
                self.flaws.append(f"<{tag}> has {name}={value!r}")
        if tag == "style" or (tag == "script" and "src" not in dict(attributes)):
            self.flaws.append(f"<{tag}> stands in the page")


def answer(page, response, payments=""):
    """Checks the headers and the markup of an answer. The forms of billing may lead to the origin `payments`."""
    policy = POLICY.format(f" {payments}" if page.service == "billing" else "")
    headers = response.all_headers()
    expected = {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": POLICY_OF_EDGE if page.of_edge else policy,
        "referrer-policy": "no-referrer" if page.secret else "same-origin",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "cache-control": "no-store",
    }
    flaws = [f"{name} is {headers.get(name)!r}" for name, value in expected.items() if headers.get(name) != value]
    weight = sum(len(gzip.compress(part)) for part in [response.body(), *(path.read_bytes() for path in ASSETS)])
    if weight > FIRST_PAGE_BYTES_MAX:
        flaws.append(f"the first page has {weight} bytes")
    if response.status != page.status:
        flaws.append(f"the status is {response.status}")
    return flaws + Markup(response.text()).flaws


def look(view, language):
    """Checks a page that a browser shows."""
    checks = view.evaluate_handle(SCRIPT)
    flaws = checks.evaluate("(checks, language) => checks.head(language)", language)
    flaws += checks.evaluate("checks => checks.width()")
    flaws += checks.evaluate("checks => checks.targets()")
    flaws += checks.evaluate("(checks, [language, allowed]) => checks.texts(language, allowed)", [language, ALLOWED])
    flaws += axe(view)
    return flaws + focus(view, checks)


def axe(view):
    if not view.evaluate("'axe' in window"):
        view.evaluate(Axe().axe_script)
    options = {"resultTypes": ["violations"], "runOnly": AXE_TAGS, "rules": {"target-size": {"enabled": True}}}
    found = view.evaluate("options => axe.run(options)", options)["violations"]
    return [f"axe {rule['id']}: {node['html']}: {node['failureSummary']}" for rule in found for node in rule["nodes"]]


def focus(view, checks):
    """Goes through the page by the Tab key, and expects every stop, with an outline that is seen."""
    count = checks.evaluate("checks => checks.stops().length")
    seen, flaws = set(), []
    for _ in range(TABS_MAX):
        view.keyboard.press("Tab")
        stop = checks.evaluate("checks => checks.focus()")
        if stop["index"] in seen and len(seen) == count:
            break
        if stop["index"] >= 0:
            seen.add(stop["index"])
        flaws += stop["flaws"]
    missed = sorted(set(range(count)) - seen)
    if missed:
        names = checks.evaluate("(checks, missed) => missed.map(index => checks.describe(checks.stops()[index]))", missed)
        flaws.append(f"the Tab key does not reach {names}")
    return list(dict.fromkeys(flaws))
