"""Every page of the built site, in Chromium: what a reader would trip over. `make site` builds it.

`make whole` looks at each page in both themes, `make browser` in the dark one.
"""

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from integration.browser import pages
from integration.browser.watching import NOTEBOOKS, ROOT, WHOLE, Watched, grouped, watched

SITE = ROOT / "build" / "site"
PAGES = sorted(str(path.relative_to(SITE)) for path in SITE.rglob("*.html") if "_static" not in path.parts)
PHONE, PROJECTOR = {"width": 375, "height": 812}, {"width": 1280, "height": 720}

FAULTY = """<!doctype html><html><head><title>Faulty</title></head><body>
<img src="not_there.png"><p style="width: 2000px; color: #eee; background: #fff">pale and wide</p>
<script src="https://example.org/elsewhere.js"></script>
<article><p>A formula, $x_c$, and <span class="math notranslate">x</span></p></article>
<a href="not_there.html">a page</a> <a href="#nowhere">a place</a>
</body></html>"""


@pytest.fixture(scope="session")
def home() -> Iterator[str]:
    """Where the site is served."""
    assert len(PAGES) > len(NOTEBOOKS), "make site"
    with pages.served(SITE) as address:
        yield address


def shown(chromium: Browser, home: str, path: str) -> Iterator[Watched]:
    """A page in a window of a projector's size."""
    context = chromium.new_context(viewport=PROJECTOR, color_scheme="light")
    seen = watched(context, home)
    seen.page.goto(f"http://{home}/{path}", wait_until="load")
    yield seen
    context.close()


@pytest.fixture(scope="module", params=grouped(PAGES))
def path(request: pytest.FixtureRequest) -> str:
    """Where a page lies in the site."""
    return str(request.param)


@pytest.fixture(scope="module")
def seen(chromium: Browser, home: str, path: str) -> Iterator[Watched]:
    """That page, open."""
    yield from shown(chromium, home, path)


@pytest.fixture
def first(chromium: Browser, home: str) -> Iterator[Page]:
    """The first page, open and not yet touched."""
    for seen in shown(chromium, home, "index.html"):
        yield seen.page


def choose_theme(page: Page, name: str) -> None:
    """The theme of that name, from the menu of the page."""
    page.locator(".theme-switch-button:visible").click()
    page.locator(f".theme-change-button[data-mode={name}]:visible").click()
    page.wait_for_selector(f"html[data-theme={name}]", state="attached")
    page.mouse.move(0, 0)
    page.wait_for_timeout(300)  # colours fade


def test_formulas_are_drawn(seen: Watched) -> None:
    assert pages.formulas_wrong(seen.page) == []


def test_pictures_are_drawn_and_have_a_text(seen: Watched) -> None:
    assert pages.pictures_wrong(seen.page) == []


def test_links_lead_somewhere(seen: Watched) -> None:
    assert pages.dead_links(seen.page, SITE) == []


@pytest.mark.parametrize("name", ["dark", "light"] if WHOLE else ["dark"])
def test_axe_finds_no_violation(seen: Watched, path: str, name: str, screenshots: Path) -> None:
    choose_theme(seen.page, name)
    assert pages.violations(seen.page) == []
    seen.page.screenshot(path=screenshots / f"site {path.replace('/', ' ')} {name}.png", full_page=True)


def test_live_figures_start_as_the_notebook_says_in_the_room_kept_for_them(seen: Watched, path: str) -> None:
    """A figure that is higher or lower than its room would move what the reader is looking at."""
    pictures = seen.page.locator("img.live-figure")
    if not pictures.count():
        pytest.skip("nothing on this page is live")
    starts = []
    if path.startswith("notebooks/"):
        stored = json.loads((ROOT / path).with_suffix(".ipynb").read_text(encoding="utf-8"))
        shown = [
            o.get("metadata", {}).get("image/png", {}) for c in stored["cells"] for o in c.get("outputs", [])
        ]
        starts = [picture.get("start", {}) for picture in shown if "live" in picture]
        assert len(starts) == pictures.count()
    for number in range(pictures.count()):
        picture = pictures.nth(number)
        picture.evaluate("picture => (picture.closest('a') ?? picture).parentElement.scrollIntoView()")
        figure = seen.page.locator(".live").nth(number)
        figure.wait_for()
        assert figure.locator("xpath=ancestor::a").count() == 0  # a click on a map would leave the page
        if starts:
            state = figure.evaluate("figure => figure.state")
            assert state == state | starts[number]
        for window in (PROJECTOR, PHONE):
            seen.page.set_viewport_size(window)
            room = picture.evaluate("picture => parseFloat(getComputedStyle(picture).height)")
            box = figure.locator("xpath=..").bounding_box()
            assert box
            assert abs(box["height"] - room) < 10 + 0.04 * room, (path, window)
        seen.page.set_viewport_size(PROJECTOR)


def test_page_can_be_read_on_a_phone(seen: Watched, path: str, screenshots: Path) -> None:
    seen.page.set_viewport_size(PHONE)
    found = pages.too_wide(seen.page)
    seen.page.screenshot(path=screenshots / f"site {path.replace('/', ' ')} phone.png", full_page=True)
    seen.page.set_viewport_size(PROJECTOR)
    assert found == []


def test_print_shows_the_text_without_navigation(seen: Watched) -> None:
    seen.page.emulate_media(media="print")
    visible = seen.page.locator(".bd-sidebar-primary, .bd-header-article").locator("visible=true").count()
    article = seen.page.locator("main").is_visible()
    seen.page.emulate_media(media="screen")
    assert (visible, article) == (0, True)


def test_console_shows_no_error_and_nobody_else_is_asked(seen: Watched) -> None:
    """Last of a page's tests: it speaks for all that the others did."""
    assert seen.problems() == []


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_pictures_have_the_texts_that_the_notebook_stores(notebook: Path) -> None:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    stored = [o["metadata"]["image/png"]["alt"] for o in outputs if "image/png" in o.get("data", {})]
    page = (SITE / "notebooks" / f"{notebook.stem}.html").read_text(encoding="utf-8")
    shown = [
        html.unescape(alt) for alt in re.findall(r'<img alt="([^"]*)"[^>]* src="../_images/[^"]*png"', page)
    ]
    assert shown == stored


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_answers_are_behind_a_button_that_the_keyboard_opens(
    notebook: Path, chromium: Browser, home: str
) -> None:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    answers = sum("hide-output" in cell["metadata"].get("tags", []) for cell in cells)
    if not answers:
        pytest.skip("no answer of this notebook is hidden")
    for seen in shown(chromium, home, f"notebooks/{notebook.stem}.html"):
        buttons = seen.page.locator("details.hide.below-input > summary")
        assert buttons.count() == answers
        for button in buttons.all():
            outputs = button.locator("xpath=..").locator(".cell_output")
            assert not outputs.first.is_visible()
            button.focus()
            seen.page.keyboard.press("Enter")
            assert outputs.first.is_visible()


HEIGHTS = "all => all.map(bar => Math.round(bar.getBoundingClientRect().height))"


def test_the_film_of_12_moves_when_it_is_switched_on_and_stops_when_it_is_switched_off(
    chromium: Browser, home: str
) -> None:
    for seen in shown(chromium, home, "notebooks/12_one_dimmer.html"):
        bars, switch = seen.page.locator(".film .bar"), seen.page.get_by_label("Play the film")
        start = bars.evaluate_all(HEIGHTS)
        seen.page.wait_for_timeout(1000)
        assert bars.evaluate_all(HEIGHTS) == start
        switch.focus()
        seen.page.keyboard.press("Space")
        seen.page.wait_for_timeout(3000)
        seen.page.keyboard.press("Space")
        seen.page.wait_for_timeout(1000)  # a busy machine shows the frame that it is at before it stops
        stopped = bars.evaluate_all(HEIGHTS)
        assert stopped != start
        seen.page.wait_for_timeout(1000)
        assert bars.evaluate_all(HEIGHTS) == stopped
        seen.page.emulate_media(reduced_motion="reduce")
        assert not switch.is_visible()
        end = bars.evaluate_all(HEIGHTS)
        assert end not in (start, stopped)
        assert seen.problems() == []


def test_next_and_previous_go_through_the_series(first: Page) -> None:
    for notebook in NOTEBOOKS:
        first.locator(".prev-next-footer .right-next").click()
        first.wait_for_url(f"**/{notebook.stem}.html")
    for notebook in reversed(NOTEBOOKS[:-1]):
        first.locator(".prev-next-footer .left-prev").click()
        first.wait_for_url(f"**/{notebook.stem}.html")


def test_search_finds_a_notebook_and_a_function(first: Page) -> None:
    for word, leads_to in {"sigmoid": "04_excitation", "channel_terms": "seblock.functional"}.items():
        first.goto(first.url.partition("search.html")[0].replace("index.html", "") + f"search.html?q={word}")
        first.locator(f"#search-results a[href*='{leads_to}']").first.wait_for()


def test_reference_shows_signatures_and_shapes(first: Page) -> None:
    first.goto(first.url.replace("index.html", "reference/seblock.functional.html"))
    entry = first.locator("dl", has=first.locator("[id='seblock.functional.squeeze']")).inner_text()
    assert re.search(r"squeeze\(\s*u: Tensor\s*\)\s*→\s*Tensor", entry)
    assert "(N, C, H, W) -> (N, C)" in entry


@pytest.mark.parametrize("path", ["index.html", "play.html"])
def test_live_figures_run_from_a_folder(chromium: Browser, path: str) -> None:
    """Copied to a machine without a network, and opened there without a server."""
    context = chromium.new_context(viewport=PROJECTOR, offline=True)
    page = context.new_page()
    page.goto((SITE / path).as_uri())
    pictures = page.locator("img.live-figure")
    for number in range(pictures.count()):
        pictures.nth(number).evaluate("picture => picture.parentElement.scrollIntoView()")
        status = page.locator(".live-status").nth(number)
        status.wait_for()
        assert status.inner_text()
    assert page.locator(".live").count() == pictures.count() > 0
    context.close()


def test_first_page_shows_the_block_at_work(first: Page) -> None:
    """On a projector the photo, the maps, their means and the gates are on the first screen."""
    figure = first.locator(".live-block")
    figure.locator(".live-status").wait_for()
    gate = figure.get_by_role("slider", name="gate of blue").bounding_box()
    assert gate
    assert gate["y"] + gate["height"] < PROJECTOR["height"]


def test_first_page_is_light_and_quick(first: Page) -> None:
    """What is loaded without a cache, from this machine; measured with a server that compresses nothing."""
    entries = "['navigation', 'resource'].flatMap(kind => performance.getEntriesByType(kind))"
    weight = first.evaluate(f"{entries}.reduce((sum, entry) => sum + entry.transferSize, 0)")
    seconds = first.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd / 1000")
    painted = first.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime / 1000")
    print(f"\nfirst page: {weight / 1e6:.2f} MB, painted after {painted:.1f} s, loaded after {seconds:.1f} s")
    assert weight < 3e6
    assert seconds < 10


def test_each_fault_is_found(chromium: Browser, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(FAULTY, encoding="utf-8")
    with pages.served(tmp_path) as home:
        for seen in shown(chromium, home, "index.html"):
            page = seen.page
            assert pages.formulas_wrong(page) == ["1 formulas not drawn", "A formula, $x_c$, and x"]
            assert len(pages.pictures_wrong(page)) == 1
            assert pages.too_wide(page) == ["2008 pixels in a window of 1280"]
            assert [link.rpartition("/")[2] for link in pages.dead_links(page, tmp_path)] == [
                "not_there.html",
                "index.html#nowhere",
            ]
            rules = {text.partition(":")[0] for text in pages.violations(page)}
            assert {"color-contrast", "image-alt", "html-has-lang"} <= rules
            assert any(text == "foreign: https://example.org/elsewhere.js" for text in seen.problems())
            assert any("404" in text and "not_there.png" in text for text in seen.problems())
