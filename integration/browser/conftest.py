"""One Chromium for the tests of JupyterLab, of the site and of the hub, and a place for screenshots."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from integration.browser.watching import SCREENSHOTS


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser of this machine. Without one the tests are skipped, but not in CI."""
    found = [
        path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))
    ]
    if not found:
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say("These tests open pages in Chromium, and there is none: install your system's package chromium.")
    with sync_playwright() as playwright:
        quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        browser = playwright.chromium.launch(executable_path=found[0], args=[*quiet, "--disable-quic"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Where pictures of the pages are left to look at; git ignores it."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    return SCREENSHOTS
