"""What holds for every notebook in notebooks/, and the tool that executes them.

That they run, and show what is stored, is nbval's part of the same pytest run. A new notebook is covered by
being there.
"""

import base64
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

import seblock
from tests.test_handouts import loaded

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *(ROOT / name for name in ("docs/setup.md", "docs/errata.md", "hub/README.md", "benchmarks/README.md")),
]
TOOL = ROOT / "tools" / "notebooks.py"

KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
MACHINE_PATH = re.compile(r"/(?:home|tmp|root|Users|private/var)/|\\Users\\|site-packages|ipykernel_\d")
PROGRESS_BAR = re.compile(r"\d%\|")
REFUSED_TEX = re.compile(
    r"\\(?:operatorname|mbox|[hv]?phantom|smash|bbox|toggle|unicode|mmlToken|href|class|style|cssId|require"
    r"|(?:re)?newcommand|(?:re)?newenvironment|def|gdef|let|DeclareMathOperator|label|ref|eqref)(?![A-Za-z])"
)
"""TeX that MathJax knows, and that GitHub refuses or that needs more than the one formula it stands in."""
UNATTEMPTED = "Not attempted yet"
PREREQUISITES = re.compile(r"\*\*(Prerequisites|Takes for granted):\*\*")
FIGURE = "Figure."
"""The first line of every figure's text; JupyterLab shows the first line of an output that is hidden."""
FOLD = re.compile(r"<details>\s*<summary>(.*?)</summary>(.*?)</details>", re.DOTALL)

Cell = dict[str, Any]
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
LOOKED_UP = [path for path in NOTEBOOKS if path.stem in ("16_source_words", "glossary")]
"""Tables to look things up in: Markdown alone, without guesses or exercises."""
SHOWN = [path for path in NOTEBOOKS if path not in LOOKED_UP]
"""The others show something, and ask for guesses first."""
LESSONS = [path for path in SHOWN if path.stem != "15_what_people_ask"]
"""Those that teach in an order, and so have exercises; 15 answers questions in any."""
every_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
TASK = re.compile(r"^### (\d+)\. (.+) \((●○○|●●○|●●●), (\d+) minutes\)$", re.MULTILINE)
"""An exercise's heading: its number, its name, its weight and its minutes."""


@cache
def read(path: Path) -> dict[str, Any]:
    """The notebook as it is stored, its lists of lines joined, nothing mended."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    return notebook


def cells(path: Path, kind: str) -> list[tuple[int, Cell]]:
    """The cells of one kind, each with its place in the notebook."""
    return [(i, cell) for i, cell in enumerate(read(path)["cells"]) if cell["cell_type"] == kind]


def outputs(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every stored output, with the id of its cell."""
    for _, cell in cells(path, "code"):
        yield from ((cell["id"], output) for output in cell["outputs"])


def texts(output: dict[str, Any]) -> list[str]:
    """What an output says in letters: a stream, or each form of a display that is not an image."""
    forms = {kind: value for kind, value in output.get("data", {}).items() if not kind.startswith("image/")}
    parts = [output.get("text", ""), *forms.values()]
    return ["".join(part) if isinstance(part, list) else str(part) for part in parts]


def prose(source: str) -> str:
    """Markdown without comments and code, fenced or in a line."""
    return re.sub(r"<!--.*?-->|^```.*?^```|`[^`\n]*`", "", source, flags=re.DOTALL | re.MULTILINE)


def links(markdown: str) -> list[str]:
    """Where the links and pictures of some markdown lead, formulas left out."""
    without_formulas = re.sub(r"\$\$.*?\$\$|\$[^$\n]*\$", "", prose(markdown), flags=re.DOTALL)
    return re.findall(r"\]\(<?([^)\s>]+)>?[^)]*\)", without_formulas)


@cache
def anchors(path: Path) -> set[str]:
    """What can stand behind a "#": JupyterLab's anchors for a notebook, GitHub's for another document."""
    notebook = path.suffix == ".ipynb"
    parts = [cell["source"] for _, cell in cells(path, "markdown")] if notebook else [path.read_text("utf-8")]
    fences = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
    headings = [
        h for part in parts for h in re.findall(r"^#{1,6} +(.+?)\s*$", fences.sub("", part), re.MULTILINE)
    ]
    plain = [
        re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).translate({ord(c): None for c in "*`"})
        for heading in headings
    ]
    if notebook:
        return {text.replace(" ", "-") for text in plain}
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in plain}


def broken(markdown: str, page: Path) -> list[str]:
    """The links of some markdown, part of `page`, that lead nowhere in this repository.

    JupyterLab does not find a heading with letters beyond ASCII, such as × or σ, and stays where it is.
    """
    found = []
    for link in links(markdown):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        there = (page.parent / unquote(target)).resolve() if target else page
        heading = unquote(anchor)
        if not there.exists() or (anchor and not (heading.isascii() and heading in anchors(there))):
            found.append(link)
    return found


def test_the_series_has_a_beginning() -> None:
    assert [path.name for path in NOTEBOOKS][:1] == ["00_start_here.ipynb"]


@every_notebook
def test_notebook_is_valid_nbformat_with_unique_cell_ids(path: Path) -> None:
    notebook = read(path)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    ids = [cell.get("id") for cell in notebook["cells"]]
    assert None not in ids
    assert len(set(ids)) == len(ids)
    nbformat.validate(json.loads(path.read_text(encoding="utf-8")))


@every_notebook
def test_notebook_was_executed_from_top_to_bottom(path: Path) -> None:
    assert not cells(path, "raw")
    counts = [cell["execution_count"] for _, cell in cells(path, "code")]
    assert counts == list(range(1, len(counts) + 1)), "run `make notebooks`"


@every_notebook
def test_notebook_stores_no_error_and_no_stderr(path: Path) -> None:
    bad = [
        (i, o["output_type"])
        for i, o in outputs(path)
        if o["output_type"] == "error" or o.get("name") == "stderr"
    ]
    assert not bad


@every_notebook
def test_notebook_has_at_most_500_kilobytes_and_150_a_picture(path: Path) -> None:
    assert path.stat().st_size <= 500_000
    for cell_id, output in outputs(path):
        for kind, stored in output.get("data", {}).items():
            text = "".join(stored)
            if kind.startswith("image/"):
                size = len(text.encode() if kind == "image/svg+xml" else base64.b64decode(text))
                assert size <= 150_000, (cell_id, kind)
    assert not [cell["id"] for cell in read(path)["cells"] if cell.get("attachments")]


@every_notebook
def test_every_picture_says_in_a_sentence_what_is_to_be_seen(path: Path) -> None:
    for cell_id, output in outputs(path):
        if any(kind.startswith("image/") for kind in output.get("data", {})):
            first, _, alt = "".join(output["data"].get("text/plain", "")).partition("\n")
            assert first == FIGURE, cell_id
            assert len(alt) > 20, cell_id
            assert not alt.startswith("<"), cell_id
            assert output["metadata"].get("image/png", {}).get("alt") == alt, cell_id


@every_notebook
def test_notebook_stores_no_metadata_that_a_run_could_change(path: Path) -> None:
    notebook = read(path)
    assert notebook["metadata"] == KERNEL, "run `make notebooks`"
    for cell in notebook["cells"]:
        hidden = cell["cell_type"] == "code" and "hide-output" in cell["metadata"].get("tags", [])
        folded = "source_hidden" if cell["id"] == "setup" else "outputs_hidden" if hidden else None
        left = {k: v for k, v in cell["metadata"].items() if k != "tags"}
        assert left == ({"jupyter": {folded: True}} if folded else {}), cell["id"]
    assert not [i for i, output in outputs(path) if output.get("metadata", {}).keys() - {"image/png"}]
    assert not [i for i, output in outputs(path) if any("widget" in kind for kind in output.get("data", {}))]


@every_notebook
def test_notebook_names_no_place_on_a_machine(path: Path) -> None:
    written = [(cell["id"], cell["source"]) for cell in read(path)["cells"]]
    shown = [(i, text) for i, output in outputs(path) for text in texts(output)]
    assert not [(i, found[0]) for i, text in written + shown if (found := MACHINE_PATH.search(text))]


@every_notebook
def test_no_progress_bar_is_stored(path: Path) -> None:
    assert not [i for i, output in outputs(path) if any(PROGRESS_BAR.search(text) for text in texts(output))]


@every_notebook
def test_no_cell_hides_its_result_behind_a_semicolon(path: Path) -> None:
    assert not [cell["id"] for _, cell in cells(path, "code") if cell["source"].rstrip().endswith(";")]


@every_notebook
def test_code_lines_have_at_most_88_columns(path: Path) -> None:
    lines = [(cell["id"], line) for _, cell in cells(path, "code") for line in cell["source"].splitlines()]
    assert not [(i, line) for i, line in lines if len(line) > 88]


@every_notebook
def test_every_cell_is_checked_by_nbval_or_by_an_assert_beside_it(path: Path) -> None:
    code = [cell for _, cell in cells(path, "code")]
    for cell, after in zip(code, [*code[1:], {"source": ""}], strict=True):
        tags = cell["metadata"].get("tags", [])
        assert "nbval-skip" not in tags, cell["id"]
        assert "# NBVAL" not in cell["source"], f"{cell['id']}: use tags instead"
        if "nbval-ignore-output" in tags:
            assert "assert " in cell["source"] + after["source"], cell["id"]


@every_notebook
def test_links_lead_to_files_and_headings_that_exist(path: Path) -> None:
    dead = [
        (cell["id"], found) for _, cell in cells(path, "markdown") if (found := broken(cell["source"], path))
    ]
    assert not dead


@every_notebook
def test_formulas_keep_to_the_tex_that_github_jupyterlab_and_the_page_all_draw(path: Path) -> None:
    """Inline formulas touch their dollars, and no letter or digit touches these: else some show dollars."""
    for _, cell in cells(path, "markdown"):
        text = re.sub(r"\$\$.*?\$\$", "", prose(cell["source"]), flags=re.DOTALL)
        formulas = re.findall(r"(\w?)\$([^$]*)\$(\w?)", text)
        assert text.count("$") == 2 * len(formulas), cell["id"]
        for before, formula, after in formulas:
            assert formula.strip() == formula != "", (cell["id"], formula)
            assert not before + after, (cell["id"], formula)
        displayed = re.findall(r"\$\$(.*?)\$\$", prose(cell["source"]), re.DOTALL)
        for formula in [*displayed, *(formula for _, formula, _ in formulas)]:
            assert not REFUSED_TEX.search(formula), (cell["id"], formula)
            assert "<" not in formula, f"{cell['id']}: write \\lt, a browser may take {formula} for a tag"


@every_notebook
def test_notebook_begins_with_a_title_the_minutes_and_what_it_takes_for_granted(path: Path) -> None:
    first = read(path)["cells"][0]
    assert first["cell_type"] == "markdown"
    assert first["source"].startswith("# ")
    assert re.search(r"\d+ minutes", first["source"])
    assert PREREQUISITES.search(first["source"])


@pytest.mark.parametrize("path", LOOKED_UP, ids=lambda path: path.stem)
def test_what_is_looked_up_has_no_code_but_the_setup_cell(path: Path) -> None:
    assert [cell["id"] for _, cell in cells(path, "code")] == ["setup"]


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: path.stem)
def test_notebook_asks_for_two_guesses_each_answered_by_the_next_cell(path: Path) -> None:
    guesses = [(i, cell) for i, cell in cells(path, "markdown") if "**Guess" in cell["source"]]
    assert len(guesses) >= 2
    everything = read(path)["cells"]
    for i, cell in guesses:
        assert {"(a)", "(b)"} <= set(re.findall(r"\([a-z]\)", cell["source"])), cell["id"]
        assert i + 1 < len(everything), cell["id"]
        assert everything[i + 1]["cell_type"] == "code", cell["id"]


def flaws(guess: Cell, answer: Cell) -> list[str]:
    """How a guess departs from its form: folds to choose from, above a cell whose output is hidden.

    A fold is opened to choose it, so what stands on it must not say whether it is right. Of a hidden output
    JupyterLab shows the first line that is not empty: that of a figure, or one that leads up to the rest.
    """
    source, found = guess["source"], []
    folds = FOLD.findall(source)
    if [summary[:4] for summary, _ in folds] not in (["(a) ", "(b) "], ["(a) ", "(b) ", "(c) "]):
        found.append("not two or three folds (a), (b), (c)")
    if source.count("<details") != len(folds) or re.search(r"<details[^>]*\bopen\b", source):
        found.append("a fold that is open, or is not closed")
    if any(not summary[4:].strip() for summary, _ in folds):
        found.append("a fold without an answer on it")
    if any(re.search(r"\b(right|wrong|correct|answer|true|false)\b", s, re.IGNORECASE) for s, _ in folds):
        found.append("a fold that says on its outside whether it is right")
    if any(not re.match(r"\s*?\n\n\S.*\S\n\n$", text, re.DOTALL) for _, text in folds):
        found.append("a fold without a text in it, or without an empty line on either side of it")
    outside = re.sub(r"`[^`]+`", "", FOLD.sub("", source)).replace("**Guess.**", "", 1)
    if re.search(r"\([a-z]\)|\*\*Guess", outside):
        found.append("an answer, or a second guess, outside the folds")
    if answer["cell_type"] != "code" or "hide-output" not in answer["metadata"].get("tags", []):
        return [*found, "not right above a code cell with the tag hide-output"]
    said = [text for output in answer["outputs"][:1] for text in texts(output) if text]
    lines = [line for text in said[:1] for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        found.append("a hidden output whose first line is all that it says")
    elif lines[0] != FIGURE and (re.search(r"\d", lines[0]) or not lines[0].endswith(":")):
        found.append(
            "a hidden output whose first line, which can be seen, does not end in a colon or has a digit"
        )
    return found


@every_notebook
def test_a_guess_that_can_be_folded_away_is_one(path: Path) -> None:
    everything = read(path)["cells"]
    for cell, after in zip(everything, [*everything[1:], {"cell_type": ""}], strict=True):
        if "**Guess.**" in cell["source"] and cell["cell_type"] == "markdown":
            assert not flaws(cell, after), cell["id"]


@every_notebook
def test_the_first_cell_links_to_the_glossary(path: Path) -> None:
    if path.stem != "glossary":
        assert "](glossary.ipynb)" in read(path)["cells"][0]["source"]


@every_notebook
def test_only_what_answers_a_guess_is_hidden(path: Path) -> None:
    asked = False  # since the last heading
    for cell in read(path)["cells"]:
        if cell["cell_type"] == "markdown":
            asked = "**Guess.**" in cell["source"] or (asked and not re.search(r"^## ", cell["source"], re.M))
        if "hide-output" in cell["metadata"].get("tags", []):
            assert asked, cell["id"]


GUESS = """**Guess.** In how many pixels can the output change?

<details><summary>(a) none</summary>

Right. Three layers see three pixels.

</details>
<details><summary>(b) the few nearest</summary>

How far does one layer see?

</details>"""
PRINTED = {"output_type": "stream", "name": "stdout", "text": ["Pixels that change:\n", "plain 0\n"]}
DRAWN = {"output_type": "execute_result", "data": {"image/png": "", "text/plain": ["Figure.\n", "0 of 169."]}}


def flaws_of(source: str = GUESS, *outputs: dict[str, Any], tags: tuple[str, ...] = ("hide-output",)) -> str:
    """The flaws of that guess above a code cell with these outputs."""
    answer = {"cell_type": "code", "metadata": {"tags": list(tags)}, "outputs": list(outputs or (PRINTED,))}
    return "; ".join(flaws({"cell_type": "markdown", "source": source}, answer))


def test_a_guess_in_its_form_has_no_flaw() -> None:
    assert flaws_of() == ""
    assert flaws_of(GUESS, DRAWN) == ""
    assert flaws_of(f"{GUESS}\n<details><summary>(c) all</summary>\n\nNo.\n\n</details>") == ""


@pytest.mark.parametrize(
    ("was", "becomes", "flaw"),
    [
        ("(b) the few", "(c) the few", "not two or three folds"),
        ("<summary>(a) none", "<summary>none", "not two or three folds"),
        ("(b) the few nearest</summary>", "(b) the few nearest (wrong)</summary>", "whether it is right"),
        ("(a) none</summary>", "(a) Right: none</summary>", "whether it is right"),
        ("<details><summary>(b)", "<details open><summary>(b)", "open, or is not closed"),
        ("How far does one layer see?\n\n</details>", "How far does one layer see?", "not closed"),
        ("How far does one layer see?", "", "without a text in it"),
        ("</summary>\n\nHow", "</summary>\nHow", "without an empty line"),
        ("can the output change?", "can the output change? Not (b).", "outside the folds"),
    ],
)
def test_a_guess_that_gives_itself_away_or_cannot_be_opened_is_refused(
    was: str, becomes: str, flaw: str
) -> None:
    assert GUESS.count(was) == 1
    assert flaw in flaws_of(GUESS.replace(was, becomes))


@pytest.mark.parametrize(
    "text", ["0 pixels:\nplain\n", "plain\nwider field\n", "Pixels that change:\n", "\n0\nPixels:\n", ""]
)
def test_a_hidden_output_that_gives_the_answer_away_is_refused(text: str) -> None:
    assert "first line" in flaws_of(GUESS, {**PRINTED, "text": text.splitlines(keepends=True)})
    assert "first line" in flaws_of(GUESS, {**DRAWN, "data": {"image/png": "", "text/plain": text}})


def test_an_answer_that_is_not_hidden_is_refused() -> None:
    assert "hide-output" in flaws_of(tags=("nbval-ignore-output",))


def exercises_of(path: Path) -> list[Cell]:
    """The cells of a notebook from the heading of its exercises to the next one of that level."""
    everything = read(path)["cells"]
    (start,) = [i for i, cell in enumerate(everything) if cell["source"].startswith("## Exercises\n")]
    later = [i for i in range(start + 1, len(everything)) if everything[i]["source"].startswith("## ")]
    return everything[start : min(later, default=len(everything))]


@every_lesson
def test_a_notebook_has_three_to_five_exercises_of_rising_weight_and_a_project(path: Path) -> None:
    text = "\n\n".join(c["source"] for c in exercises_of(path) if c["cell_type"] == "markdown")
    tasks = TASK.findall(text)
    headings = re.findall(r"^### .+$", text, re.MULTILINE)
    assert [int(number) for number, *_ in tasks] == list(range(1, len(headings))), headings
    assert 3 <= len(tasks) <= 5
    weights = [weight.count("●") for _, _, weight, _ in tasks]
    assert weights == sorted(weights)
    assert weights[0] < weights[-1]
    head = read(path)["cells"][0]["source"]
    assert f"taught; exercises {sum(int(minutes) for *_, minutes in tasks)}." in head

    project = text.partition(headings[-1])[2]
    assert re.fullmatch(r"### A project \(.+\)", headings[-1])
    ((summary, holds),) = FOLD.findall(project)
    assert summary == "What a good answer holds"
    assert holds.count("\n- ") >= 3


@every_lesson
def test_an_exercise_is_left_open_with_a_hint_and_a_solution_folded_below(path: Path) -> None:
    everything = exercises_of(path)
    code = [(i, c) for i, c in enumerate(everything) if "exercises.check_" in c["source"]]
    tasks = [number for c in everything for number, *_ in TASK.findall(c["source"])]
    assert len(code) == len(tasks)
    for i, cell in code:
        assert cell["cell_type"] == "code", cell["id"]
        said = [text for output in cell["outputs"] for text in texts(output) if text]
        assert said, cell["id"]
        assert said[0].startswith(UNATTEMPTED), cell["id"]
        assert i + 1 < len(everything), cell["id"]
        below = everything[i + 1]
        assert below["cell_type"] == "markdown", cell["id"]
        assert "solution" in below["metadata"].get("tags", []), below["id"]
        folds = FOLD.findall(below["source"])
        assert [summary for summary, _ in folds] == ["Hint", "Solution"], below["id"]
        assert not FOLD.sub("", below["source"]).strip(), f"{below['id']}: something outside the folds"
        hint, solution = (inside for _, inside in folds)
        assert len(hint.split()) >= 10, below["id"]
        assert "```" not in hint, below["id"]
        assert re.search(r"^```python\n.*^```", solution, re.DOTALL | re.MULTILINE), below["id"]


@every_lesson
def test_no_exercise_can_be_copied_from_the_cells_above_it(path: Path) -> None:
    """By the lines of its solution that do something: one at least stands nowhere further up."""
    above = ""
    for cell in read(path)["cells"]:
        if "solution" in cell["metadata"].get("tags", []):
            (code,) = re.findall(r"^```python\n(.*?)^```", cell["source"], re.DOTALL | re.MULTILINE)
            lines = [line.partition("  #")[0].strip() for line in code.splitlines()]
            done = [
                line.removeprefix("return ") for line in lines if not line.startswith(("def ", "import "))
            ]
            assert [line for line in done if len(line) > 4 and line not in above], cell["id"]
        elif cell["cell_type"] == "code":
            above += cell["source"] + "\n"


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", ROOT / "notebooks" / "00_start_here.ipynb"], ids=lambda page: page.stem
)
def test_page_links_to_every_notebook(page: Path) -> None:
    if page.suffix == ".ipynb":
        markdown = "\n\n".join(cell["source"] for _, cell in cells(page, "markdown"))
    else:
        markdown = page.read_text(encoding="utf-8")
    linked = {(page.parent / unquote(link.partition("#")[0])).resolve() for link in links(markdown)}
    assert not [path.name for path in NOTEBOOKS if path.resolve() not in linked | {page.resolve()}]


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_of_the_documents_lead_somewhere(page: Path) -> None:
    assert not broken(page.read_text(encoding="utf-8"), page)


# The tool. One call executes all of its notebooks, side by side, as `make notebooks` does.

SLIDER = """
import ipywidgets

knob = ipywidgets.FloatSlider(0.5, min=0, max=1)
picture = ipywidgets.Image(value=b"", format="png")
knob.observe(print, names="value")
print("one")
print("two", flush=True)
ipywidgets.VBox([knob, picture])
"""


def write(path: Path, *sources: str, tags: tuple[str, ...] = ("kept",), **metadata: Any) -> Path:
    """A notebook as an editor might leave it: no ids, noise in the metadata, nothing executed."""
    code = {
        "cell_type": "code",
        "metadata": {"collapsed": False, "tags": list(tags), **metadata},
        "execution_count": None,
        "outputs": [],
    }
    notebook = {
        "cells": [{**code, "source": source} for source in sources],
        "metadata": {"widgets": {}, "language_info": {"name": "python", "version": "3.0"}},
        "nbformat": 4,
        "nbformat_minor": 4,
    }
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def execute(*paths: Path) -> subprocess.CompletedProcess[str]:
    """Run the tool on some notebooks."""
    command = [sys.executable, TOOL, "execute", *paths]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A folder in which these five were executed together, and what the tool said."""
    folder = tmp_path_factory.mktemp("with a space")
    files = [
        write(folder / "slider.ipynb", SLIDER.strip(), "1 + 1"),
        write(folder / "error.ipynb", "1", "1 / 0"),
        write(folder / "stderr.ipynb", "import warnings\n\nwarnings.warn('heard')"),
        write(folder / "hidden.ipynb", "1", tags=("hide-output",)),
        write(folder / "opened.ipynb", "1", jupyter={"outputs_hidden": True}),
    ]
    return folder, execute(*files)


def test_executing_again_leaves_every_byte(executed: tuple[Path, Any], tmp_path: Path) -> None:
    again = shutil.copy(executed[0] / "slider.ipynb", tmp_path)
    result = execute(again)
    assert result.returncode == 0, result.stderr
    assert Path(again).read_bytes() == (executed[0] / "slider.ipynb").read_bytes()


def test_executing_stores_what_is_shown_and_no_more(executed: tuple[Path, Any]) -> None:
    notebook = read(executed[0] / "slider.ipynb")
    first, second = notebook["cells"]
    assert notebook["metadata"] == KERNEL
    assert [(c["id"], c["metadata"]) for c in (first, second)] == [
        ("cell-00", {"tags": ["kept"]}),
        ("cell-01", {"tags": ["kept"]}),
    ]
    assert first["outputs"][0]["text"] == ["one\n", "two\n"]
    assert list(first["outputs"][1]["data"]) == ["text/plain"]
    assert second["outputs"][0]["data"] == {"text/plain": ["2"]}


def test_the_tag_hides_an_output_and_nothing_else_does(executed: tuple[Path, Any]) -> None:
    """So that a reader who folds an output away, and saves, has not hidden it for all."""
    (hidden,), (opened,) = (read(executed[0] / f"{name}.ipynb")["cells"] for name in ("hidden", "opened"))
    assert hidden["metadata"] == {"jupyter": {"outputs_hidden": True}, "tags": ["hide-output"]}
    assert opened["metadata"] == {"tags": ["kept"]}


def test_an_error_names_its_cell_and_the_file_stays(
    executed: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, result = executed
    assert result.returncode == 1
    assert "error.ipynb: cell 2 (cell-01) raised ZeroDivisionError" in result.stderr
    assert 'nbformat_minor": 4' in (folder / "error.ipynb").read_text(encoding="utf-8")


def test_output_on_stderr_is_refused(executed: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    assert "stderr.ipynb: cell 1 (cell-00) wrote to stderr" in executed[1].stderr
    assert "heard" in executed[1].stderr


@pytest.fixture
def tool() -> ModuleType:
    """What `make notebooks` and `make address` run."""
    return loaded(TOOL)


def test_a_cell_without_an_id_gets_one_that_no_other_has(tool: ModuleType, tmp_path: Path) -> None:
    path = write(tmp_path / "a.ipynb", "1", "2", "3")
    notebook = read(path)
    notebook["cells"][1]["id"] = "cell-00"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    assert [cell.id for cell in tool.read(path).cells] == ["cell-01", "cell-00", "cell-02"]


def test_only_what_has_outputs_hides_them_and_what_has_not_changed_is_not_written(
    tool: ModuleType, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.ipynb", "1", tags=("hide-output",))
    nb = tool.read(path)
    nb.cells.append(nbformat.v4.new_markdown_cell("2", metadata={"tags": ["hide-output"]}))
    tool.clean(nb)
    hidden = {"jupyter": {"outputs_hidden": True}, "tags": ["hide-output"]}
    assert [cell.metadata for cell in nb.cells] == [hidden, {"tags": ["hide-output"]}]
    tool.store(nb, path)
    path.chmod(0o600)
    os.utime(path, (0, 0))
    tool.store(nb, path)
    assert path.stat().st_mtime == 0


@pytest.mark.parametrize("end", ["", "/", ".git", ".git/"])
def test_an_address_may_end_as_one_copies_it(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    text = f'[project.urls]\nRepository = "https://github.com/a/b{end}"\n'
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    assert tool.address() == "https://github.com/a/b"
    assert "(https://colab.research.google.com/github/a/b/blob/main/notebooks/x.ipynb)" in tool.badge(
        "x.ipynb", "p"
    )


def test_what_executes_keeps_no_progress_and_joins_what_is_printed(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    class Client:
        def __init__(self, nb: Any, **options: Any) -> None:
            asked.update(options, progress=os.environ["SEBLOCK_PROGRESS"])

        def execute(self) -> None:
            pass

    monkeypatch.setenv("SEBLOCK_PROGRESS", "kept")
    monkeypatch.setattr(tool, "NotebookClient", Client)
    assert tool.execute(write(tmp_path / "a.ipynb", "1")) is None
    assert (asked["progress"], asked["coalesce_streams"]) == ("off", True)
    assert asked["resources"] == {"metadata": {"path": str(tmp_path)}}


# The address, in a copy of what it is written into.


@pytest.fixture
def fork(tmp_path: Path) -> Path:
    """The notebooks, the README, the errata, pyproject.toml and the tool, alone."""
    names = ["README.md", "pyproject.toml", "docs/errata.md", "tools/notebooks.py"]
    names += [f"notebooks/{path.name}" for path in NOTEBOOKS]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def give(fork: Path, address: str | None = None) -> dict[str, str]:
    """Call `make address`, after writing an address if one is given; the text of each file."""
    project = fork / "pyproject.toml"
    if address:
        text = project.read_text(encoding="utf-8")
        project.write_text(re.sub(r"(?m)^(Repository = ).*$", rf'\1"{address}"', text), encoding="utf-8")
    subprocess.run([sys.executable, fork / "tools" / "notebooks.py", "address"], check=True)
    return {p.name: p.read_text(encoding="utf-8") for p in (fork / "README.md", *fork.glob("notebooks/*"))}


def test_every_notebook_and_the_readme_have_the_address_of_pyproject(fork: Path) -> None:
    written = give(fork)
    files = [ROOT / "README.md", *NOTEBOOKS]
    assert not [p.name for p in files if p.read_text(encoding="utf-8") != written[p.name]], "make address"
    assert len({read(path)["cells"][1]["source"] for path in NOTEBOOKS}) == 1
    assert not [path.name for path in NOTEBOOKS if read(path)["cells"][1]["outputs"]]


def test_a_fork_writes_its_address_once(fork: Path) -> None:
    before = give(fork, "https://github.com/OWNER/seblock")
    assert not any("mybinder" in text or "[![Open" in text for text in before.values())
    after = give(fork, "https://github.com/a-fork/of.it")
    readme = after.pop("README.md")
    for name, text in after.items():
        first, second = read(fork / "notebooks" / name)["cells"][:2]
        opens = f"https://colab.research.google.com/github/a-fork/of.it/blob/main/notebooks/{name}"
        title, badge, rest = first["source"].split("\n\n", 2)
        assert (title[:2], badge) == ("# ", f"[![Open in Colab](colab.svg)]({opens})"), name
        assert PREREQUISITES.search(rest), name
        assert second["source"].count('source = "git+https://github.com/a-fork/of.it"') == 1
        assert "OWNER" not in text, name
    assert (ROOT / "notebooks" / "colab.svg").is_file()
    assert "(https://mybinder.org/v2/gh/a-fork/of.it/main?labpath=notebooks%2F00_start_here.ipynb)" in readme
    assert "a-fork/of.it/blob/main/notebooks/00_start_here.ipynb)" in readme
    assert give(fork) == after | {"README.md": readme}
    assert give(fork, "https://github.com/OWNER/seblock") == before


@pytest.mark.parametrize(
    ("there", "colab", "address", "said"),
    [
        (True, False, "", []),
        (True, True, "https://github.com/a-fork/of.it", []),
        (False, True, "", "the package seblock. Its address is not known yet"),
        (False, False, "", "the package seblock. Its address is not known yet"),
        (
            False,
            False,
            "https://github.com/a-fork/of.it",
            "%pip install --upgrade git+https://github.com/a-fork/of.it",
        ),
        (False, True, "https://github.com/a-fork/of.it", ["anywidget psygnal", "--upgrade {source}"]),
    ],
)
def test_the_setup_cell_says_in_a_sentence_what_is_missing_or_fetches_it(
    fork: Path,
    monkeypatch: pytest.MonkeyPatch,
    there: bool,
    colab: bool,
    address: str,
    said: str | list[str],
) -> None:
    """Run as a kernel runs it, but pip, which is asked in words alone."""
    if address:
        give(fork, address)
    source = read(fork / "notebooks" / "03_squeeze.ipynb")["cells"][1]["source"]
    monkeypatch.delenv("COLAB_RELEASE_TAG", raising=False)
    if colab:
        monkeypatch.setenv("COLAB_RELEASE_TAG", "tried")
    found = importlib.util.find_spec("seblock")
    asked: list[str] = []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found if there or asked else None)
    monkeypatch.setitem(sys.modules, "seblock", seblock)  # the cell imports it anew

    class Shell:
        def run_line_magic(self, name: str, line: str) -> None:
            assert name == "pip"
            asked.append(line.removeprefix("install --quiet --no-deps "))

    code = TransformerManager().transform_cell(source)
    if isinstance(said, list):
        exec(code, {"get_ipython": Shell})
        assert asked == said
        return
    with pytest.raises(ModuleNotFoundError) as caught:
        exec(code, {"get_ipython": Shell, "__name__": "__main__"})
    (line,) = caught.value._render_traceback_()  # type: ignore[attr-defined]
    assert said in line
    assert "\n" not in line
    assert not asked


PARTS = ("exercises", "live", "plots", "trained")
OWN = "print('my exercises')"
OLD = "__version__ = '0.1.0'"
PLACES = {
    "a file of one's own": {"seblock.py": OWN},
    "a file with a version": {"seblock.py": "__version__ = 'unknown'"},
    "a folder of one's own": {"seblock/__init__.py": OWN},
    "an older one": {"seblock/__init__.py": OLD, **{f"seblock/{part}/__init__.py": "" for part in PARTS}},
    "a part": {"seblock/__init__.py": f"__version__ = {seblock.__version__!r}"},
}
FAKE = """
import pathlib
class Shell:
    def run_line_magic(self, name, line):
        print(name, line)
def get_ipython():
    return Shell()
try:
    code = pathlib.Path("cell.py").read_text(encoding="utf-8")
    exec(code, {"get_ipython": get_ipython, "__name__": "__main__"})
    print("there")
except ModuleNotFoundError as error:
    print(*error._render_traceback_())
"""


@pytest.mark.parametrize("address", ["", "https://github.com/a-fork/of.it"])
@pytest.mark.parametrize("colab", [False, True])
@pytest.mark.parametrize("place", [*PLACES, "a clone"])
def test_what_is_named_as_the_package_and_is_not_it_is_named(
    fork: Path, tmp_path: Path, place: str, colab: bool, address: str
) -> None:
    if address:
        give(fork, address)
    files = PLACES.get(place, {"seblock/seblock/__init__.py": ""})
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    source = read(fork / "notebooks" / "03_squeeze.ipynb")["cells"][1]["source"]
    (tmp_path / "cell.py").write_text(TransformerManager().transform_cell(source), encoding="utf-8")
    environment = {"COLAB_RELEASE_TAG": "tried"} if colab else {}
    said = subprocess.run(
        [sys.executable, "-S", "-c", FAKE],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if place == "a clone":  # Python prefers the package
        assert said == "there\n"
        return
    last = said.splitlines()[-1]
    assert f"What is in {tmp_path / next(iter(files))} is another one" in last
    if not address:
        assert "Its address is not known yet" in last
    elif colab:
        assert "could not be fetched" in last
    else:
        assert f"%pip install --upgrade git+{address}" in last


def test_the_errata_say_where_to_report(fork: Path) -> None:
    errata, told = fork / "docs" / "errata.md", {}
    give(fork)
    ours = (ROOT / "docs" / "errata.md").read_text(encoding="utf-8")
    assert errata.read_text(encoding="utf-8") == ours, "make address"
    for address in ("https://github.com/a-fork/of.it", "https://git.example.org/it.git", ""):
        give(fork, address or "https://github.com/OWNER/seblock")
        text = told[address] = errata.read_text(encoding="utf-8")
        assert "OWNER" not in text
        assert text.count("\n## ") == told["https://github.com/a-fork/of.it"].count("\n## ")
    assert "make address" in told[""]
    github, elsewhere, _ = told.values()
    assert "(https://github.com/a-fork/of.it/issues/new/choose)" in github
    assert "(https://git.example.org/it)" in elsewhere
    assert "issues/new" not in elsewhere
    assert "make address" not in github + elsewhere


def test_an_address_that_colab_cannot_open_gets_no_badge(fork: Path) -> None:
    written = give(fork, "https://git.example.org/it.git")
    assert not any("[![Open" in text for text in written.values())
    assert written["03_squeeze.ipynb"].count("git+https://git.example.org/it") == 1


def pins(name: str) -> dict[str, str]:
    """What a file pins, by package."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w-]+)==(\S+)$", text, re.MULTILINE))


def test_colab_s_versions_are_the_floors() -> None:
    """torch's stand in the Makefile: the tested one for `make colab`, the floor for `make versions`."""
    colab = pins("integration/colab/requirements.txt")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    floors = dict(each.split(">=") for each in project["dependencies"])
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    torches = re.findall(r"^\w+: .venv-colab/installed-torch-([\d.]+)", makefile, re.MULTILINE)
    assert torches == [pins("requirements.txt")["torch"], floors.pop("torch") + ".0"]
    assert not [name for name, floor in floors.items() if not f"{colab[name]}.".startswith(f"{floor}.")]


def test_nothing_is_pinned_twice_for_one_environment() -> None:
    beside = ["docs/requirements.txt", "hub/requirements.txt", "integration/browser/requirements.txt"]
    found = [name for file in ("requirements.txt", *beside) for name in pins(file)]
    assert len(set(found)) == len(found)
