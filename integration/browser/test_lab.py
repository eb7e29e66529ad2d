"""The notebooks in JupyterLab, in Chromium, as `make lab` shows them: what a reader would trip over.

`make whole` opens every notebook in both themes, and a new one by being there; `make browser` opens three, in
the dark theme. They are copies in a folder with a space in its name, so that nothing in the checkout changes.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from integration.browser import lab
from integration.browser.watching import NOTEBOOKS, ROOT, SCREENSHOTS, WHOLE, Watched, grouped, watched

MINUTES = 10
HIGH = 16_000
"""Pixels, in which a whole notebook is in sight."""
THREE = ["02_entanglement", "04_excitation", "07_residual_block"]
"""What is opened if not all: with pictures, formulas, a live figure, exercises, links to headings."""
OPENED = [path.stem for path in NOTEBOOKS] if WHOLE else THREE
THEMES = ["JupyterLab Dark", "JupyterLab Light"] if WHOLE else ["JupyterLab Dark"]
HIDDEN: dict[str, list[str]] = {}
"""What could be read of the folded outputs of a notebook when it was opened."""
FOLLOWED: set[str] = set()
"""Links that were tried, whichever notebook they stood in: they lie in one folder."""

FAULTY_TEXT = "# Faulty\n\n[a link](not_there.ipynb), $\\frac{1}$, and half a $formula"
FAULTS = {
    "stderr": "import sys\n\nprint('heard', file=sys.stderr)",
    "picture": 'from IPython.display import HTML\n\nHTML(\'<img src="not_there.png" alt="a map">\')',
    "foreign": 'HTML(\'<img src="https://example.org/map.png" alt="from elsewhere">\')',
    "live": ('HTML(\'<div class="live"><input type="range"><p class="live-status">as before</p></div>\')'),
    "error": "1 / 0",  # ends Run All
    "never run": "'not shown'",
}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lab.Server]:
    """One JupyterLab for all notebooks, with copies of them and one that has every fault."""
    root, own = tmp_path_factory.mktemp("a class"), tmp_path_factory.mktemp("own")
    (root / "notebooks").mkdir()
    for path in [*NOTEBOOKS, ROOT / "notebooks" / "colab.svg"]:
        shutil.copy(path, root / "notebooks")
    code = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}
    text = {"cell_type": "markdown", "metadata": {}, "source": FAULTY_TEXT}
    faulty = [text, *({**code, "source": [FAULTS[name]]} for name in FAULTS)]
    for number, cell in enumerate(faulty):
        cell["id"] = f"cell-{number:02}"
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    notebook = {"cells": faulty, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (root / "notebooks" / "faulty.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    with lab.server(root, own) as running:
        yield running


def open_and_run(chromium: Browser, server: lab.Server, name: str) -> Iterator[Watched]:
    """A page that shows the notebook of that name, all its cells run; everything is shut down afterwards."""
    context = chromium.new_context(viewport={"width": 1280, "height": 720})
    seen = watched(context, server.home)
    try:
        seen.page.goto(server.url(f"/lab/tree/notebooks/{name}"))
        lab.wait_until_idle(seen.page)
        lab.set_height(seen.page, HIGH)
        HIDDEN[name] = lab.hidden_outputs(seen.page)
        lab.set_height(seen.page, 720)
        lab.run_all(seen.page, seconds=MINUTES * 60)
        yield seen
    except lab.TimeoutError as error:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        seen.page.screenshot(path=SCREENSHOTS / f"{name} timed out.png")
        error.add_note("\n".join([*seen.problems(), server.log.read_text()[-3000:]]))
        raise
    finally:
        server.close_all(seen.page)
        context.close()


@pytest.fixture(scope="module", params=grouped(OPENED))
def notebook(request: pytest.FixtureRequest) -> Path:
    """One of the notebooks, as it is stored."""
    return ROOT / "notebooks" / f"{request.param}.ipynb"


@pytest.fixture(scope="module")
def seen(chromium: Browser, server: lab.Server, notebook: Path) -> Iterator[Watched]:
    """That notebook, open in JupyterLab and run."""
    yield from open_and_run(chromium, server, notebook.name)


@pytest.fixture(scope="module")
def faulty(chromium: Browser, server: lab.Server) -> Iterator[Watched]:
    """The notebook that has every fault."""
    yield from open_and_run(chromium, server, "faulty.ipynb")


def code_cells(notebook: Path) -> list[dict]:
    """Its code cells, as stored."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_no_cell_ends_in_an_error_or_writes_to_stderr(seen: Watched) -> None:
    assert lab.outcries(seen.page) == []


def test_every_picture_is_drawn(seen: Watched, notebook: Path) -> None:
    outputs = [output for cell in code_cells(notebook) for output in cell["outputs"]]
    shown = [output["metadata"]["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    stored = sum("live" not in picture for picture in shown)  # a live figure is no picture here
    assert lab.pictures_missing(seen.page, stored) == []


def test_answers_are_hidden_until_they_are_run_and_give_nothing_away(seen: Watched, notebook: Path) -> None:
    answers = [c for c in code_cells(notebook) if "hide-output" in c["metadata"].get("tags", [])]
    assert len(HIDDEN[notebook.name]) == len(answers)
    assert all(line == "Figure." or line.endswith(":") for line in HIDDEN[notebook.name])
    lab.set_height(seen.page, HIGH)
    left = lab.hidden_outputs(seen.page)
    lab.set_height(seen.page, 720)
    assert left == []


def test_folds_open_and_close_by_the_keyboard(seen: Watched) -> None:
    lab.set_height(seen.page, HIGH)
    found = lab.folds_stuck(seen.page)
    lab.set_height(seen.page, 720)
    assert found == []


def test_formulas_are_drawn(seen: Watched) -> None:
    assert lab.formulas_wrong(seen.page) == []


def test_every_live_figure_answers_the_keyboard(seen: Watched, notebook: Path) -> None:
    calls = [cell for cell in code_cells(notebook) if re.search(r"^live\(", "".join(cell["source"]), re.M)]
    assert lab.figures_stuck(seen.page, len(calls)) == []


@pytest.mark.parametrize("theme", THEMES)
def test_themes_leave_a_picture_to_look_at(
    seen: Watched, notebook: Path, theme: str, screenshots: Path
) -> None:
    lab.choose_theme(seen.page, theme)
    lab.picture_of_all(seen.page, screenshots / f"{notebook.stem} {theme}.png")
    assert lab.pictures_missing(seen.page, 0) == []


def test_links_to_other_notebooks_open(seen: Watched, notebook: Path) -> None:
    found = lab.links(seen.page)
    assert any(found)
    for number, leads_to in enumerate(found):
        if leads_to and leads_to not in FOLLOWED:
            FOLLOWED.add(leads_to)
            assert lab.dead_end(seen.page, number, leads_to) is None
            lab.go_to(seen.page, notebook.name)


def test_console_shows_no_error_and_nobody_else_is_asked(seen: Watched) -> None:
    """Last of a notebook's tests: it speaks for all that the others did."""
    assert seen.problems() == []


@pytest.mark.xdist_group("faulty")
@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="There is one worker only.")
def test_a_group_of_tests_goes_to_one_worker(request: pytest.FixtureRequest) -> None:
    """Else each worker opens and runs each notebook, and no test is the last of a notebook's."""
    assert request.node.nodeid.endswith("@faulty")


@pytest.mark.xdist_group("faulty")
def test_each_fault_is_found(faulty: Watched) -> None:
    page = faulty.page
    outcries = " ".join(lab.outcries(page))
    assert "ZeroDivisionError" in outcries
    assert "heard" in outcries
    assert page.locator(f"{lab.NOTEBOOK} .jp-InputArea-prompt").last.text_content() == "[ ]:"
    assert lab.pictures_missing(page, 2)[0] == "not drawn: a map"
    assert lab.pictures_missing(page, 3)[-1] == "1 of 3 pictures are missing"
    formulas = lab.formulas_wrong(page)
    assert "Missing argument" in formulas[0]
    assert "half a $formula" in formulas[-1]
    assert "its figure says: as before" in lab.figures_stuck(page, 1)[0]
    assert "expected 2" in lab.figures_stuck(page, 2)[0]
    assert lab.dead_end(page, 0, lab.links(page)[0]) == "not_there.ipynb did not open"
    assert any(text.startswith("foreign: https://example.org") for text in faulty.problems())
    assert any("not_there.png" in text for text in faulty.problems())
    assert any(text.startswith("console:") for text in faulty.problems())
