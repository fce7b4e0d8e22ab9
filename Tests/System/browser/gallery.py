"""Every page in every width, scheme and language."""

import contextlib
import itertools
import os

import checks
from chromium import LOCALES, Console
from pages import PAGES, VIEWERS, VISITOR, Scene

WIDTHS = {1280: 800, 390: 844}
SCHEMES = ["light", "dark"]


class Gallery:
    def __init__(self, gateway, browser, language):
        self.gateway, self.browser, self.language = gateway, browser, language
        self.scene = Scene(gateway)

    def context(self, viewer):
        # Without motion, a change of the scheme shows at once.
        context = self.browser.new_context(
            base_url=self.gateway.edge, locale=LOCALES[self.language], timezone_id="Asia/Bangkok", reduced_motion="reduce"
        )
        if viewer != VISITOR:
            # The account of a user has a language of its own; the choice of the browser comes first.
            cookies = self.scene.cookies(viewer) | {"language": self.language}
            context.add_cookies([{"name": name, "value": value, "url": self.gateway.edge} for name, value in cookies.items()])
        return contextlib.closing(context)

    def visit(self, page, view):
        """Opens a page, and sends its form where it has one. Returns the last answer."""
        response = view.goto(self.scene.path(page))
        if page.form is None:
            return response
        for name, value in self.scene.form(page).items():
            view.locator(f"main [name={name}]").first.evaluate("(field, value) => { field.value = value }", value)
        with view.expect_navigation() as navigation:
            view.locator("main form button").first.press("Enter")
        return navigation.value


def show(view, width, scheme):
    view.set_viewport_size({"width": width, "height": WIDTHS[width]})
    view.emulate_media(color_scheme=scheme)


def run(gateway, browser, report, language):
    """PICTURES names a folder for a picture of each."""
    gallery = Gallery(gateway, browser, language)
    for viewer in VIEWERS:
        with gallery.context(viewer) as context:
            for page in PAGES:
                # The pages of the edge have both languages, and `lang` is that of the first.
                if page.viewer == viewer and not (page.of_edge and language != "en"):
                    inspect(gallery, page, context.new_page(), report)


def inspect(gallery, page, view, report):
    console, name, variants = Console(view, gallery.gateway.edge), f"{page.name} {gallery.language}", list(itertools.product(WIDTHS, SCHEMES))
    with report.case(f"the answer of {name}"):
        response = gallery.visit(page, view)
        if "PICTURES" in os.environ:
            for width, scheme in variants:
                show(view, width, scheme)
                view.screenshot(path=f"{os.environ['PICTURES']}/{page.name}-{width}-{scheme}-{gallery.language}.png", full_page=True)
        flaws = checks.answer(page, response, gallery.gateway.payments)
        assert not flaws, "; ".join(flaws)
    for width, scheme in variants:
        with report.case(f"{name} {width} {scheme}"):
            show(view, width, scheme)
            flaws = checks.look(view, gallery.language)
            assert not flaws, "; ".join(flaws)
    with report.case(f"the console of {name}"):
        console.expect_silence()
    view.close()
