"""JupyterLab in a browser: what a reader does, and what a reader would complain of.

Each function that looks for a fault returns what it found, in words, so that a test compares with [] and
`test_lab.py` can also show a notebook in which every one of them finds something.
"""

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from playwright.sync_api import Page, TimeoutError

from integration.browser.watching import ROOT

FIRST_PAGE = "/lab/tree/notebooks/00_start_here.ipynb"
SAVING = "--ContentsManager.pre_save_hook=tools.saving.keep_pictures"
SECOND = 1000
NOTIFICATIONS = "@jupyterlab/apputils-extension/notification.jupyterlab-settings"
NOTEBOOK = ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook"
CURRENT_TAB = "#jp-main-dock-panel .lm-TabBar-tab.lm-mod-current"
LINKS = f"{NOTEBOOK} .jp-RenderedMarkdown a[href]:not(.jp-InternalAnchorLink)"
PROMPTS_ARE = """pattern => {
    const cells = [...document.querySelectorAll('.jp-Notebook .jp-CodeCell .jp-InputArea-prompt')];
    return cells.length && cells.every(cell => RegExp(pattern).test(cell.textContent.trim()));
}"""
STOPPED = """() => document.querySelector(
        '.jp-Notebook :is([data-mime-type$="jupyter.error"], [data-mime-type$="jupyter.stderr"])')
    && ![...document.querySelectorAll('.jp-Notebook .jp-CodeCell .jp-InputArea-prompt')]
        .some(prompt => prompt.textContent.includes('*'))"""
"""Whether an error, which JupyterLab may show as stderr, ended Run All: nothing waits any longer."""
IDLE = "() => document.querySelector('#jp-main-statusbar')?.innerText.includes('| Idle')"
FORMULAS = """all => all.flatMap(cell => {
    const wrong = [...cell.querySelectorAll('mjx-merror, [data-mjx-error]')].map(e => e.outerHTML);
    const text = cell.cloneNode(true);
    text.querySelectorAll('pre, code, mjx-container').forEach(e => e.remove());
    return text.textContent.includes('$') ? [...wrong, text.textContent] : wrong;
})"""
HEADING_IN_VIEW = """anchor => {
    const panel = document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden) .jp-WindowedPanel-outer');
    const {top, bottom} = panel.getBoundingClientRect();
    return [...panel.querySelectorAll('h1, h2, h3, h4, h5, h6')].some(heading => {
        const at = heading.getBoundingClientRect().top;
        const text = heading.textContent.replace('¶', '').trim().replaceAll(' ', '-');
        return text === anchor && top - 5 <= at && at < bottom;
    });
}"""


@dataclass
class Server:
    """A running JupyterLab: where it listens, the password it wants, where it writes what it does."""

    home: str
    token: str
    log: Path

    def url(self, path: str) -> str:
        """An address that a browser without cookies can open."""
        return f"http://{self.home}{path}?token={self.token}&reset"

    def close_all(self, page: Page) -> None:
        """Shut down every kernel, so that the next notebook has the machine to itself."""
        asked = {"Authorization": f"token {self.token}"}
        sessions = f"http://{self.home}/api/sessions"
        for session in page.request.get(sessions, headers=asked).json():
            page.request.delete(f"{sessions}/{session['id']}", headers=asked)


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def server(root: Path, own: Path) -> Iterator[Server]:
    """JupyterLab as `make lab` starts it, showing `root`, with whatever it remembers under `own`."""
    port, token = free_port(), secrets.token_hex()
    settings = own / "settings" / NOTIFICATIONS
    settings.parent.mkdir(parents=True)
    settings.write_text('{"fetchNews": "false", "checkForUpdates": false}', encoding="utf-8")
    places = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    environment = {name: str(own / folder) for name, folder in places.items()} | {"JUPYTER_TOKEN": token}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "jupyterlab", f"--LabApp.default_url={FIRST_PAGE}", SAVING]
    options = ["--no-browser", "--allow-root", "--port", str(port), "--ServerApp.port_retries=0"]
    log = own / "log"
    with log.open("w") as written:
        process = subprocess.Popen(
            [*command, *options], cwd=root, env=os.environ | environment, stdout=written, stderr=written
        )
        try:
            for _ in range(600):
                with socket.socket() as knock:
                    knock.settimeout(1)
                    if knock.connect_ex(("127.0.0.1", port)) == 0:
                        break
                try:
                    process.wait(0.1)
                except subprocess.TimeoutExpired:
                    continue
                raise RuntimeError(f"JupyterLab did not start: {log.read_text()}")
            yield Server(f"127.0.0.1:{port}", token, log)
        finally:
            process.terminate()
            process.wait(20)


def menu(page: Page, *names: str) -> None:
    """Choose from the menu bar: the menu, perhaps a menu inside it, the item."""
    page.locator("#jp-MainMenu .lm-MenuBar-item", has_text=names[0]).first.click()
    for name in names[1:]:
        page.locator(".lm-Menu .lm-Menu-item", has=page.get_by_text(name, exact=True)).last.click()


def wait_until_idle(page: Page) -> None:
    """Until a kernel is there and has nothing to do; before that, Run All does nothing and says nothing."""
    page.wait_for_function(IDLE, timeout=120 * SECOND)


def start_all(page: Page) -> None:
    """What the menu does. Stored outputs are cleared first: what is seen afterwards was shown now."""
    wait_until_idle(page)
    menu(page, "Edit", "Clear Outputs of All Cells")
    page.wait_for_function(PROMPTS_ARE, arg=r"^\[ \]:$")
    menu(page, "Run", "Run All Cells")


def wait_until_run(page: Page, seconds: int) -> None:
    """Until every cell has its number, or one has failed, and the kernel has nothing to do."""
    ended = f"numbered => ({PROMPTS_ARE})(numbered) || ({STOPPED})()"
    page.wait_for_function(ended, arg=r"^\[\d+\]:$", timeout=seconds * SECOND)
    wait_until_idle(page)


def run_all(page: Page, seconds: int) -> None:
    """Run All, to the end."""
    start_all(page)
    wait_until_run(page, seconds)


def outcries(page: Page) -> list[str]:
    """Errors and stderr among the outputs."""
    kinds = ("error", "stderr")
    found = ",".join(
        f"{NOTEBOOK} .jp-OutputArea-output[data-mime-type='application/vnd.jupyter.{kind}']" for kind in kinds
    )
    return page.locator(found).all_text_contents()  # also of cells that are out of sight


def pictures_missing(page: Page, expected: int) -> list[str]:
    """Pictures that were not drawn, and whether there are fewer than expected."""
    pictures: list[dict[str, Any]] = page.locator(f"{NOTEBOOK} img").evaluate_all(
        "all => all.map(i => ({drawn: i.complete && i.naturalWidth > 0, alt: i.alt}))"
    )
    found = [f"not drawn: {p['alt']}" for p in pictures if not p["drawn"]]
    missing = expected - len(pictures)
    return found + [f"{missing} of {expected} pictures are missing"] * (missing > 0)


def formulas_wrong(page: Page) -> list[str]:
    """Formulas that were drawn as an error, and texts that a dollar is left in."""
    found: list[str] = page.locator(f"{NOTEBOOK} .jp-RenderedMarkdown").evaluate_all(FORMULAS)
    return found


def figures_stuck(page: Page, expected: int) -> list[str]:
    """Live figures that are missing, or say nothing new when an arrow key moves their first control."""
    figures = page.locator(f"{NOTEBOOK} .live")
    found = [f"{figures.count()} live figures, expected {expected}"] * (figures.count() < expected)
    for figure in figures.all():
        slider = figure.locator("input[type=range], input[type=radio]:checked").locator("visible=true").first
        words = figure.locator(".live-status")
        slider.scroll_into_view_if_needed()
        before, value = words.inner_text(), slider.input_value()
        slider.press("ArrowLeft" if value == slider.get_attribute("max") else "ArrowRight")
        for _ in range(50):
            if words.inner_text() != before:
                break
            page.wait_for_timeout(100)
        else:
            found.append(
                f"a slider went from {value} to {slider.input_value()}, and its figure says: {before}"
            )
    return found


def set_height(page: Page, pixels: int) -> None:
    """Make the window so high; JupyterLab puts only cells that are in sight on the page."""
    page.set_viewport_size({"width": 1280, "height": pixels})
    page.wait_for_timeout(SECOND)


def hidden_outputs(page: Page) -> list[str]:
    """What can be read of the outputs that are folded: one line of each, once no more of them appear."""
    folded, before = page.locator(f"{NOTEBOOK} .jp-OutputPlaceholder"), -1
    while folded.count() != before:
        before = folded.count()
        page.wait_for_timeout(3 * SECOND)
    return [text.strip() for text in folded.all_inner_texts()]


def folds_stuck(page: Page) -> list[str]:
    """Folds in sight that the space bar does not open, or does not close again."""
    found = []
    for summary in page.locator(f"{NOTEBOOK} details > summary").all():
        for opened in (True, False):
            summary.focus()
            page.keyboard.press("Space")
            if summary.evaluate("fold => fold.parentElement.open") is not opened:
                found.append(summary.inner_text())
    return found


def links(page: Page) -> list[str]:
    """Where each link of the open notebook leads, as "05_rescale.ipynb#The-formula"; "" if out of the series.

    JupyterLab writes a path of its server and a query in between; a link to a file that is not there too.
    """
    found = []
    for address in page.locator(LINKS).evaluate_all("all => all.map(a => a.href)"):
        parts = urlsplit(address)
        name = parts.path.rpartition("/")[2] + ("#" + parts.fragment if parts.fragment else "")
        found.append(unquote(name) if parts.netloc == urlsplit(page.url).netloc else "")
    return found


def dead_end(page: Page, number: int, leads_to: str) -> str | None:
    """Click the link of that number: None if the notebook opens, and at the heading that is named.

    JupyterLab 4.6 opens a notebook at its top, whatever heading the link names, and goes to the heading when
    the link is clicked once more.
    """
    name, _, anchor = leads_to.partition("#")
    here = page.locator(CURRENT_TAB).inner_text()
    for _ in range(4):
        # No mouse: a cell's own buttons may lie over its first line.
        page.locator(LINKS).nth(number).dispatch_event("click")
        try:
            page.locator(CURRENT_TAB, has_text=name).wait_for(timeout=8 * SECOND)
            page.locator(f"{NOTEBOOK} .jp-Cell").first.wait_for(timeout=8 * SECOND)
        except TimeoutError:
            return f"{leads_to} did not open"
        try:
            if anchor:
                page.wait_for_function(HEADING_IN_VIEW, arg=anchor, timeout=4 * SECOND)
            return None
        except TimeoutError:
            go_to(page, here)
    return f"{leads_to} opened, its heading is not in view"


def go_to(page: Page, name: str) -> None:
    """Bring the tab of that name to the front again."""
    page.locator("#jp-main-dock-panel .lm-TabBar-tab", has_text=name).first.click()
    page.locator(CURRENT_TAB, has_text=name).wait_for()


def choose_theme(page: Page, name: str) -> None:
    """JupyterLab's theme of that name, as the menu sets it."""
    menu(page, "Settings", "Theme", name)
    light = "true" if "Light" in name else "false"
    page.wait_for_selector(f"body[data-jp-theme-light='{light}']", state="attached")


def picture_of_all(page: Page, file: Path) -> None:
    """A screenshot of the whole notebook, in a window as high as it is."""
    size = page.viewport_size
    panel = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-WindowedPanel-outer")
    for _ in range(2):  # once more, as cells that were out of sight have their height only now
        height = panel.evaluate("panel => { panel.scrollTop = 0; return panel.scrollHeight; }")
        page.set_viewport_size({"width": 1280, "height": min(height + 200, 16_000)})
        page.wait_for_timeout(500)
    page.screenshot(path=file)
    if size:
        page.set_viewport_size(size)
