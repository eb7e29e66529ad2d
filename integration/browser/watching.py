"""What a page does while it is open: its console, its requests, and whom it asks."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, Route

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SCREENSHOTS = ROOT / "build" / "screenshots"
WHOLE = bool(os.environ.get("WHOLE"))
"""Whether everything is looked at, as `make whole` does, or a part that would notice a break."""


@dataclass
class Watched:
    """A page, and what nobody should see it do."""

    page: Page
    home: str
    """The one address that may be asked, such as "127.0.0.1:8000"."""
    logged: list[str] = field(default_factory=list)
    """Errors on the console, exceptions of scripts."""
    failed: list[str] = field(default_factory=list)
    """Requests without an answer, and answers from 400 on."""
    foreign: set[str] = field(default_factory=set)
    """Requests to anybody else. They are stopped before they leave."""

    def problems(self) -> list[str]:
        """All of it, each with its kind."""
        return [
            *(f"console: {text}" for text in self.logged),
            *(f"failed: {url}" for url in self.failed),
            *(f"foreign: {url}" for url in sorted(self.foreign)),
        ]

    def guard(self, route: Route) -> None:
        """Let a request pass if it stays at home."""
        if urlsplit(route.request.url).netloc == self.home:
            route.continue_()
        else:
            self.foreign.add(route.request.url)
            route.abort()


def watched(context: BrowserContext, home: str) -> Watched:
    """A new page of the context; its network reaches `home` and nobody else."""
    page = context.new_page()
    seen = Watched(page, home)
    page.on("console", lambda m: seen.logged.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: seen.logged.append(str(error)))
    page.on("response", lambda r: seen.failed.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    page.on("requestfailed", lambda r: seen.failed.append(f"{r.failure} {r.url}"))
    page.on("websocket", lambda s: seen.foreign.add(s.url) if urlsplit(s.url).netloc != home else None)
    context.route(lambda url: urlsplit(url).scheme in ("http", "https"), seen.guard)
    return seen


def grouped(names: list[str]) -> list[object]:
    """A parameter for each notebook or page; pytest's workers take all tests of one, as one browser does."""
    return [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in names]
