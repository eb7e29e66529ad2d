"""What people ask, notebook 15, and where they can ask: the errata's page and the forms for issues."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import torch

from seblock import trained
from tests.test_lessons import tool
from tests.test_notebooks import NOTEBOOKS, anchors, links, read

ROOT = Path(__file__).parents[1]
(ASKED,) = [path for path in NOTEBOOKS if path.stem.startswith("15")]
LINE = "*What people ask about this*"
LEADING = [path for path in NOTEBOOKS if path.stem[:2] < "15"]
ERRATA = (ROOT / "docs" / "errata.md").read_text(encoding="utf-8")
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def anchor(heading: str) -> str:
    """What leads to a heading in JupyterLab."""
    return heading.replace(" ", "-")


def questions() -> dict[str, list[dict[str, Any]]]:
    """By question its cells, the first with nothing before the heading and none with the next question."""
    found: dict[str, list[dict[str, Any]]] = {}
    for cell in read(ASKED)["cells"]:
        parts = re.split(r"^(#{2,3} .+)$", cell["source"], flags=re.MULTILINE)
        if cell["cell_type"] == "code":
            parts = [cell["source"]]
        if found and parts[0].strip():
            list(found.values())[-1].append({**cell, "source": parts[0]})
        for heading, text in zip(parts[1::2], parts[2::2]):
            if heading.startswith("### "):
                found[heading[4:]] = [{**cell, "source": text}]
    return found


def listed() -> list[str]:
    """Where the links of the list lead, in its order."""
    (cell,) = [c for c in read(ASKED)["cells"] if c["source"].startswith("## The questions\n")]
    return [unquote(link).removeprefix("#") for link in links(cell["source"])]


def test_there_are_forty_questions_or_more_and_the_list_has_them_in_their_order() -> None:
    assert len(questions()) >= 40
    assert listed() == [anchor(question) for question in questions()]


@pytest.mark.parametrize("question", questions())
def test_a_question_names_where_it_was_asked_and_its_answer_shows_something(question: str) -> None:
    cells = questions()[question]
    text = "\n\n".join(cell["source"] for cell in cells if cell["cell_type"] == "markdown")
    first = next(part for part in text.split("\n\n") if part.strip())
    assert first.strip().startswith("*Asked at")
    assert re.search(r"\]\(https://\S+\)", first)
    shown = [cell for cell in cells if cell["cell_type"] == "code"]
    elsewhere = [link for link in links(text) if re.match(r"\d\d_\w+\.ipynb#", link)]
    assert shown or elsewhere
    assert all(len(cell["source"].splitlines()) <= 30 for cell in shown), "a few lines"


@pytest.mark.parametrize("path", LEADING, ids=lambda path: path.stem)
def test_a_notebook_links_the_questions_that_belong_to_it(path: Path) -> None:
    everything = [cell["source"] for cell in read(path)["cells"]]
    (place,) = [i for i, source in enumerate(everything) if source.startswith(LINE)]
    assert "## Summary" in everything[place - 1]
    found = [unquote(link).partition("#")[2] for link in links(everything[place])]
    assert len([each for each in found if each in map(anchor, questions())]) >= 2


def test_no_question_is_left_without_a_notebook_that_leads_to_it() -> None:
    everything = [cell["source"] for path in LEADING for cell in read(path)["cells"]]
    lines = [source for source in everything if source.startswith(LINE)]
    linked = {unquote(link).partition("#")[2] for line in lines for link in links(line)}
    assert not [question for question in questions() if anchor(question) not in linked]


def test_the_painters_that_were_trained_for_an_answer_have_their_seeds() -> None:
    rows = trained.group(trained.table("asked"), "network")
    assert list(rows) == list(tool().ASKED)
    for name, of in rows.items():
        candidate = tool().ASKED[name]
        assert [row["seed"] for row in of] == list(range(10))
        assert {(row["epochs"], row["peak"]) for row in of} == {(candidate.epochs, candidate.peak)}


def test_the_u_nets_have_their_seeds_at_both_rates_and_differ_in_their_gates_alone() -> None:
    rows = trained.group(trained.table("unet"), "network")
    assert list(rows) == list(tool().UNETS)
    for name, of in rows.items():
        candidate = tool().UNETS[name]
        assert [row["seed"] for row in of] == list(range(10))
        assert {(row["epochs"], row["peak"]) for row in of} == {(candidate.epochs, candidate.peak)}
        assert {row["parameters"] for row in of} == {sum(p.numel() for p in candidate.build().parameters())}
    most = max(of[0]["parameters"] for name, of in rows.items() if "wider" not in name)
    assert rows["none"][0]["parameters"] < most < rows["none, wider"][0]["parameters"]


def test_the_changed_blocks_of_the_answers_are_what_they_are_called() -> None:
    u = torch.rand(3, 8, 5, 4)
    added, twice = tool().AddedGate(8), tool().TwoSigmoids(8)
    z = u.mean((2, 3))
    for block, factor in ((added, lambda a: 1 + a.sigmoid()), (twice, lambda a: a.sigmoid().sigmoid())):
        a = block.linear2(block.linear1(z).relu())
        torch.testing.assert_close(block(u), u * factor(a)[:, :, None, None])


def test_a_gate_before_the_relu_stands_there_and_has_the_weights_of_one_behind_it() -> None:
    before, behind = tool().put_before_relu(), tool().PAINTERS["SE"].build()
    assert [type(layer).__name__ for layer in before[:4]] == ["Conv2d", "BatchNorm2d", "SqEx", "ReLU"]
    assert sorted(w.shape for w in before.parameters()) == sorted(w.shape for w in behind.parameters())


def test_the_errata_name_only_notebooks_that_exist_each_once_and_in_their_order() -> None:
    corrected = ERRATA.partition("\n## Corrected since 0.1\n")[2]
    named = re.findall(r"^### \[.+\]\(\.\./notebooks/(.+)\.ipynb\)$", corrected, re.MULTILINE)
    assert len(named) == corrected.count("\n### ") >= 5
    assert named == [path.stem for path in NOTEBOOKS if path.stem in named]
    assert all(part.lstrip().startswith("- ") for part in re.split(r"^### .+$", corrected, flags=re.M)[1:])


def test_the_page_is_reached_from_the_readme_and_from_the_first_page_of_the_site() -> None:
    assert "](docs/errata.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert "](errata.md)" in index
    assert "\nerrata\n" in index
    assert anchors(ROOT / "docs" / "errata.md") >= {"how-to-report", "corrected-since-01"}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_is_one_that_github_shows_and_asks_for_the_notebook(path: Path) -> None:
    yaml = pytest.importorskip("yaml", reason="comes with JupyterLab, not with Colab's versions")
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert form.keys() == {"name", "description", "title", "labels", "body"}
    assert f"| {form['name'].lower()} |" in ERRATA
    ids = [field["id"] for field in form["body"]]
    assert len(set(ids)) == len(ids)
    for field in form["body"]:
        assert field["type"] in ("dropdown", "input", "textarea")
        assert field["attributes"]["label"]
    (notebook,) = [field for field in form["body"] if field["type"] == "dropdown"]
    assert notebook["attributes"]["options"][:-1] == [path.stem for path in NOTEBOOKS]
    assert notebook["validations"]["required"] is True


def test_there_are_three_forms() -> None:
    assert [path.stem for path in FORMS] == ["broken_cell", "question", "wrong_statement"]
