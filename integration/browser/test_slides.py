"""Every slide of `make slides`, in Chromium at a projector's size: it fits, and can be read."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from integration.browser import pages
from integration.browser.watching import NOTEBOOKS, ROOT, WHOLE, Watched, grouped, watched

SLIDES = ROOT / "build" / "slides"
DECKS = sorted(path.name for path in SLIDES.glob("[0-9]*.html"))
OPENED = [name for name in DECKS if WHOLE or name[:2] in ("00", "05")]
"""These two have a figure that moves, tables, and the longest listings of the short path."""
PROJECTOR = {"width": 1280, "height": 720}
READY = "() => window.MathJax?.startup?.promise && window.Reveal?.isReady()"
SEEN = """() => {
    const slide = Reveal.getCurrentSlide();
    const all = [...slide.querySelectorAll('*')].filter(e => !e.closest('aside, mjx-container, option'));
    const says = e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    const shown = all.filter(e => e.checkVisibility());
    const bottom = Math.max(...shown.map(e => e.getBoundingClientRect().bottom));
    const right = Math.max(...shown.map(e => e.getBoundingClientRect().right));
    return {
        bottom: Math.max(bottom, slide.scrollHeight), right,
        small: shown.filter(e => says(e) && parseFloat(getComputedStyle(e).fontSize) < 20)
            .map(e => e.outerHTML.slice(0, 100)),
        cut: all.filter(e => e.scrollWidth > e.clientWidth + 1 && e.matches('pre, table, p, li'))
            .map(e => e.outerHTML.slice(0, 100)),
        dead: [...slide.querySelectorAll('img')].filter(i => !i.naturalWidth || !i.alt).length,
        live: slide.querySelectorAll('.live').length, moves: slide.matches('.moves'),
        dollars: all.filter(e => says(e) && !e.closest('pre, code') && /\\$/.test(e.innerText)).length,
    };
}"""


@pytest.fixture(scope="module", params=grouped(OPENED))
def deck(request: pytest.FixtureRequest, chromium: Browser) -> Iterator[tuple[str, Watched]]:
    """A deck, open."""
    with pages.served(SLIDES) as home:
        context = chromium.new_context(viewport=PROJECTOR)
        seen = watched(context, home)
        seen.page.goto(f"http://{home}/{request.param}", wait_until="load")
        seen.page.wait_for_function(READY)
        seen.page.evaluate("() => MathJax.startup.promise.then(() => 0)")
        yield request.param, seen
        context.close()


def test_there_are_slides() -> None:
    assert DECKS == [f"{path.stem}.html" for path in NOTEBOOKS if path.stem[:2] not in ("15", "16", "gl")], (
        "make slides"
    )


def test_every_slide_fits_and_can_be_read_from_the_back(deck: tuple[str, Watched]) -> None:
    name, seen = deck
    faults = []
    for i in range(seen.page.evaluate("Reveal.getTotalSlides()")):
        seen.page.evaluate(f"Reveal.slide({i})")
        if seen.page.evaluate("Reveal.getCurrentSlide().matches('.moves')"):
            seen.page.wait_for_selector(".present .live :is(canvas, table)")
        found = seen.page.evaluate(SEEN)
        fits = found["bottom"] <= 720 and found["right"] <= 1280
        whole = not (found["small"] or found["cut"] or found["dead"] or found["dollars"])
        if not fits or not whole or found["live"] != found["moves"]:
            faults.append((name, i + 1, found))
    assert not faults
    assert seen.problems() == []


def test_a_figure_that_moves_keeps_its_keys(deck: tuple[str, Watched]) -> None:
    _, seen = deck
    if not seen.page.locator("section.moves").count():
        pytest.skip("nothing moves in this deck")
    there = seen.page.evaluate("() => Reveal.getSlides().findIndex(slide => slide.matches('.moves'))")
    seen.page.evaluate(f"Reveal.slide({there})")
    seen.page.wait_for_selector(".present .live")
    settings = "() => [...document.querySelectorAll('.present .live input')].map(e => [e.value, e.checked])"
    seen.page.locator(".present .live :is(input[type=range], input[type=radio]:checked):visible").last.focus()
    before = seen.page.evaluate(settings)
    seen.page.keyboard.press("ArrowLeft")
    assert seen.page.evaluate(settings) != before
    assert seen.page.evaluate("Reveal.getIndices().h") == there
