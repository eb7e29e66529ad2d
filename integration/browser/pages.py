"""The built site in a browser: what a reader would complain of, as `lab.py` has it for JupyterLab."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

from playwright.sync_api import Page

from integration.browser.watching import ROOT

AXE = ROOT / "build" / "npm" / "node_modules" / "axe-core" / "axe.min.js"
AUDIT = """async (part) => {
    const levels = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'];
    const {violations} = await axe.run(part, {runOnly: levels, resultTypes: ['violations']});
    return violations.flatMap(v => v.nodes.map(node => `${v.id}: ${node.html.slice(0, 200)}`));
}"""
FORMULAS = """() => ({
    written: document.querySelectorAll('.math.notranslate').length,
    drawn: document.querySelectorAll('.math.notranslate mjx-container').length,
    wrong: [...document.querySelectorAll('mjx-merror, [data-mjx-error]')].map(e => e.outerHTML.slice(0, 200)),
    raw: [...document.querySelectorAll('article p, article li, article td')]
        .map(e => { const c = e.cloneNode(true);
                    c.querySelectorAll('pre, code, mjx-container').forEach(x => x.remove());
                    return c.textContent; })
        .filter(text => text.includes('$')),
})"""
TYPESET = "async () => { if (window.MathJax?.startup) await MathJax.startup.promise; }"


class Quiet(SimpleHTTPRequestHandler):
    """A web server that keeps its log to itself."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A folder as a site on this machine; yields its host and port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def violations(page: Page, part: str = "html") -> list[str]:
    """What axe-core finds against WCAG 2.1, levels A and AA, in a part of the page."""
    page.add_script_tag(path=AXE)
    found: list[str] = page.evaluate(AUDIT, part)
    return found


def formulas_wrong(page: Page) -> list[str]:
    """Formulas that MathJax did not draw, or drew as an error, and dollars that are left in the text."""
    page.evaluate(TYPESET)
    seen = page.evaluate(FORMULAS)
    missing = seen["written"] - seen["drawn"]
    return [f"{missing} formulas not drawn"] * bool(missing) + seen["wrong"] + seen["raw"]


def pictures_wrong(page: Page) -> list[str]:
    """Pictures that are not drawn or have no text."""
    return page.locator("img").evaluate_all(
        "all => all.filter(i => !i.alt || (i.checkVisibility() && !i.naturalWidth)).map(i => i.outerHTML)"
    )


def too_wide(page: Page) -> list[str]:
    """The page's own width, if it can be pushed to the side; what is wide has to scroll by itself."""
    wide, window = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    return [f"{wide} pixels in a window of {window}"] * (wide > window)


@cache
def names(file: Path) -> set[str]:
    """What a link to a page can name behind its "#"."""
    return set(re.findall(r'\bid="([^"]+)"', file.read_text(encoding="utf-8")))


def dead_links(page: Page, folder: Path) -> list[str]:
    """Links of a page that lead to no file of the site, or to no place in it."""
    found = []
    for address in page.locator("a[href]").evaluate_all("all => all.map(a => a.href)"):
        parts = urlsplit(address)
        if parts.netloc != urlsplit(page.url).netloc:
            continue
        file = folder / unquote(parts.path).lstrip("/")
        file = file / "index.html" if file.is_dir() else file
        anchor = unquote(parts.fragment)
        if not file.is_file() or (anchor and file.suffix == ".html" and anchor not in names(file)):
            found.append(address)
    return found
