"""Debian's chromium, and a person at its keyboard."""

import copy
import tempfile
from contextlib import contextmanager

from playwright.sync_api import expect, sync_playwright

PROGRAM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",  # a test may run as root
    "--disable-dev-shm-usage",  # /dev/shm of a container is small
    "--disable-breakpad",
    "--font-render-hinting=none",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no request leaves the machine
]
TABS_MAX = 80
LOCALES = {"en": "en-GB", "th": "th-TH"}

expect.set_options(timeout=30_000)


@contextmanager
def chromium():
    """Runs the browser with a home of its own, so that it neither needs nor leaves files elsewhere."""
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        places = {name: home for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")}
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=ARGUMENTS, env=places | {"LANG": "C.UTF-8"})
        try:
            yield browser
        finally:
            browser.close()


class Console:
    """The errors and warnings of a browser's console about the gateway, also those of the content security policy."""

    def __init__(self, page, origin):
        self.origin, self.lines, self.pages = origin, [], set()
        page.on("console", self.note)
        page.on("pageerror", lambda error: self.lines.append(("", f"script failed: {error}")))
        page.on("requestfailed", self.note_failure)
        page.on("response", self.note_page)

    def note(self, message):
        if message.type in ("error", "warning"):
            self.lines.append((message.location["url"], message.text))

    def note_failure(self, request):
        # A navigation aborts what the page before it still loads.
        if request.failure != "net::ERR_ABORTED":
            self.lines.append((request.url, request.failure))

    def note_page(self, response):
        if response.request.is_navigation_request():
            self.pages.add(response.url)

    def expect_silence(self):
        """A page that refuses a form has a status that the browser also reports, which is as it should be."""
        lines = [
            f"{url}: {text}"
            for url, text in self.lines
            if url.startswith(self.origin) or not url  # the pages of the OpenID provider have faults of their own
            if not (url in self.pages and text.startswith("Failed to load resource: the server responded with a status"))
        ]
        assert not lines, f"the console shows: {lines}"


class Person:
    """A person who uses a page by keyboard only."""

    def __init__(self, browser, base_url, language="en", scripts=True):
        self.context = browser.new_context(
            base_url=base_url, locale=LOCALES[language], viewport={"width": 1280, "height": 800}, java_script_enabled=scripts
        )
        self.origin, self.scripts = base_url, scripts
        self.use(self.context.new_page())

    def use(self, page):
        self.page, self.console = page, Console(page, self.origin)

    def another_tab(self):
        other = copy.copy(self)
        other.use(self.context.new_page())
        return other

    def open(self, address):
        return self.page.goto(address)

    def tab_to(self, target):
        """Presses Tab until the element has the focus."""
        for _ in range(TABS_MAX):
            self.page.keyboard.press("Tab")
            if target.evaluate("element => element === document.activeElement"):
                return
        raise AssertionError(f"the Tab key does not reach {target}")

    def press(self, role, name, key="Enter"):
        """Presses a button or follows a link."""
        self.tab_to(self.page.get_by_role(role, name=name, exact=True))
        self.page.keyboard.press(key)

    def fill(self, label, text):
        """Writes into a field, in place of what it holds: Tab selects that."""
        self.tab_to(self.page.get_by_label(label, exact=True))
        self.page.keyboard.type(text)

    def choose(self, label, option):
        """Chooses an option by its first letters."""
        field = self.page.get_by_label(label, exact=True)
        self.tab_to(field)
        self.page.keyboard.type(option)
        expect(field.locator("option:checked")).to_have_text(option)

    def tick(self, label):
        self.tab_to(self.page.get_by_label(label, exact=True))
        self.page.keyboard.press("Space")

    def enter(self):
        self.page.keyboard.press("Enter")

    def sees(self, title):
        """Waits for a page by its heading."""
        expect(self.page.get_by_role("heading", level=1)).to_have_text(title)

    def reads(self, text):
        expect(self.page.get_by_text(text, exact=True)).to_be_visible()
