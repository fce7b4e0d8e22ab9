"""The pictures in docs/pages, and the page that shows them."""

import io
import os
from pathlib import Path

from PIL import Image

from chromium import LOCALES
from gallery import Gallery, show
from pages import PAGES

FOLDER = Path(__file__).parents[3] / "docs/pages"

USUAL = (1280, "light", "en")
# Pages that are shown once more.
FURTHER = [
    ("login-refused", 390, "dark", "th"),
    ("device", 390, "light", "th"),
    ("settings", 390, "dark", "th"),
    ("keys", 390, "light", "en"),
    ("sessions", 1280, "dark", "en"),
    ("admin-users", 390, "light", "th"),
    ("pricing", 390, "light", "en"),
    ("pricing", 390, "dark", "th"),
    ("pricing", 1280, "dark", "en"),
]

HEAD = """# Pages

`make pages` renews these pictures, and this page. `Tests/System/browser/pages.py` lists the pages. The browser tests see each of
them in two widths, light and dark, in English and Thai.

| page | path | picture |
|---|---|---|
"""


def shots():
    """Returns (page, width, scheme, language) of each picture."""
    pages = {page.name: page for page in PAGES}
    return [(page, *USUAL) for page in PAGES] + [(pages[name], *variant) for name, *variant in FURTHER]


def file_name(page, width, scheme, language):
    return f"{page.name}.png" if (width, scheme, language) == USUAL else f"{page.name}-{width}-{scheme}-{language}.png"


def document():
    rows = [f"| {shot[0].name} | `{shot[0].path}` | ![{shot[0].name}]({file_name(*shot)}) |\n" for shot in shots()]
    return HEAD + "".join(rows)


def run(gateway, browser, report):
    """With UPDATE_GOLDENS set, renews the pictures first."""
    if "UPDATE_GOLDENS" in os.environ:
        renew(gateway, browser)
    with report.case("docs/pages shows each page, and nothing else"):
        assert (FOLDER / "README.md").read_text(encoding="utf-8") == document(), "README.md is old: run `make pages`"
        expected = {file_name(*shot) for shot in shots()} | {"README.md"}
        assert {path.name for path in FOLDER.iterdir()} == expected, "pictures are missing or left over: run `make pages`"
        size = sum(path.stat().st_size for path in FOLDER.iterdir())
        assert size <= 3_000_000, f"the folder has {size} bytes"


def renew(gateway, browser):
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.iterdir():
        path.unlink()
    galleries = {language: Gallery(gateway, browser, language) for language in LOCALES}
    for page, width, scheme, language in shots():
        with galleries[language].context(page.viewer) as context:
            view = context.new_page()
            show(view, width, scheme)
            galleries[language].visit(page, view)
            save(view.screenshot(full_page=True), FOLDER / file_name(page, width, scheme, language))
    (FOLDER / "README.md").write_text(document(), encoding="utf-8")


def save(picture, path):
    """Keeps 64 colours, which makes a third of the size."""
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)
