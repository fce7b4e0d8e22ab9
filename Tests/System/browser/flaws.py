"""Pages with one flaw each, to prove that the checks find it."""

import checks
from chromium import Person
from pages import Page

FRAME = '<!doctype html><html lang="en"><title>A · SmartSpec</title><main><h1>A</h1>{}</main></html>'

# (content of the page, words of the flaw)
PAGES = [
    ("<h1>B</h1>", "there is not one h1"),
    ("<p>ภาษาไทย</p>", "not in en"),
    ('<p title="ภาษาไทย">A</p>', "not in en"),
    ('<p style="width: 2000px">A</p>', "the page is"),
    ('<button style="height: 30px">A</button>', "is smaller than its target"),
    ('<button style="height: 44px; outline: none">A</button>', "shows no focus"),
    ('<div style="overflow: auto"><button style="height: 44px; outline: 2px solid">A</button></div>', "cuts"),
    ('<a href="/" style="position: fixed; top: 0; height: 44px; outline: 2px solid">A</a>', "leaves the window"),
    ('<button tabindex="-1" style="height: 44px">A</button>', "the Tab key does not reach"),
    ('<p style="color: #aaa">Too pale to read</p>', "axe color-contrast"),
    ("<input>", "axe label"),
    ('<p><a href="/">A</a><a href="/b" style="font-size: 8px; display: inline-block">B</a></p>', "axe target-size"),
    ("<h3>B</h3>", "axe heading-order"),
]

MARKUP = ['<p style="color: red">', "<style>", "<script>1</script>", '<p onclick="1">', '<a href=" javascript:1">']


def run(gateway, browser, report):
    person = Person(browser, gateway.edge)
    for content, words in PAGES:
        with report.case(f"the checks find that {words}: {content}"):
            person.page.set_content(FRAME.format(content))
            flaws = checks.look(person.page, "en")
            assert any(words in flaw for flaw in flaws), flaws
    with report.case("the checks find no flaw where there is none"):
        person.page.set_content(FRAME.format('<button style="margin: 9px; height: 44px; outline: 2px solid">A</button>'))
        flaws = checks.look(person.page, "en")
        assert not flaws, flaws
    with report.case("the checks find a Latin word on a Thai page, and no product name"):
        person.page.set_content(FRAME.format("<p>SmartSpec API</p><p>Wait ที่นี่</p>").replace("en", "th", 1))
        flaws = person.page.evaluate_handle(checks.SCRIPT).evaluate("(checks, allowed) => checks.texts('th', allowed)", checks.ALLOWED)
        assert flaws == ['not in th: "Wait ที่นี่"'], flaws
    for text in MARKUP:
        with report.case(f"the checks find the markup {text}"):
            assert checks.Markup(text).flaws
    with report.case("the checks find an answer without the headers of a page"):
        flaws = checks.answer(Page("livez", "/livez"), person.open("/livez"))
        assert len(flaws) == 6, flaws
    with report.case("the console shows a violation of the content security policy"):
        person.open("/login")
        person.page.evaluate("document.body.setAttribute('style', 'color: red')")
        assert any("Content Security Policy" in text for _, text in person.console.lines), person.console.lines
