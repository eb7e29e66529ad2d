"""The rules by which `make slides` cuts notebooks into slides. How they look: integration/browser."""

from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest

from tests.test_handouts import loaded

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """What `make slides` runs."""
    return loaded(ROOT / "docs" / "slides.py")


def cells_of(path: Path) -> list[Any]:
    """A notebook's cells."""
    return list(nbformat.read(path, as_version=4).cells)


DECKS = [path for path in sorted((ROOT / "notebooks").glob("*.ipynb")) if path.stem[:2] <= "05"]


@pytest.fixture(scope="module", params=DECKS, ids=lambda path: path.stem)
def deck(request: pytest.FixtureRequest, tool: ModuleType) -> tuple[list[Any], list[Any]]:
    """A notebook's cells, and its slides."""
    cells = cells_of(request.param)
    return cells, tool.slides_of([c for c in cells if "solution" not in c.metadata.get("tags", [])])


def part_of_deck(cells: list[Any]) -> list[Any]:
    """The cells before the exercises, or all of them."""
    ends = [i for i, cell in enumerate(cells) if "\n## Exercises" in f"\n{cell.source}"]
    return cells[: ends[0]] if ends else cells


def test_a_guess_is_a_slide_and_its_answer_comes_on_the_next(
    tool: ModuleType, deck: tuple[list[Any], list[Any]]
) -> None:
    cells, slides = deck
    guesses = [cell.source for cell in part_of_deck(cells) if "**Guess.**" in cell.source]
    asked = [i for i, slide in enumerate(slides) if 'class="options"' in "".join(slide.text)]
    assert len(asked) == len(guesses) >= 2
    for i, source in zip(asked, guesses):
        seen = " ".join([slides[i].heading, *slides[i].text])
        options = tool.FOLD.findall(source)
        right = [summary for summary, text in options if text.startswith("Right")]
        assert all(summary in seen for summary, _ in options)
        assert not [text for _, text in options if text[:40] in seen]
        assert "✓" not in seen
        assert not slides[i].outputs
        assert right[0] in " ".join(slides[i + 1].text)


def test_code_and_its_outputs_are_all_there_and_exercises_are_not(
    tool: ModuleType, deck: tuple[list[Any], list[Any]]
) -> None:
    cells, slides = deck
    code = [cell for cell in part_of_deck(cells) if cell.cell_type == "code" and cell.id != "setup"]
    spoken = [slide.code for slide in slides] + [note for slide in slides for note in slide.notes]
    for cell in code:
        if not cell.source.startswith(("import ", "from ")):
            assert any(cell.source in text for text in spoken), cell.id
    pictures = [found[0] for cell in code for o in cell.outputs if (found := tool.picture(o))]
    shown = [output for slide in slides for output in slide.outputs if isinstance(output, str)]
    assert shown == pictures
    everything = "\n".join([*spoken, *(text for slide in slides for text in slide.text)])
    assert "exercises.check_" not in everything
    assert "on_colab" not in everything


def test_text_shares_a_slide_with_what_follows_if_there_is_room(tool: ModuleType) -> None:
    code = {"cell_type": "code", "source": "a = 1\nplots.z(a)", "outputs": []}
    assert len(list(tool.with_code("H", ["A sentence."], code, []))) == 1
    drawn = cells_of(DECKS[0])
    tall = max(
        (c for c in drawn if c.cell_type == "code" and any(tool.picture(o) for o in c.outputs)),
        key=lambda c: tool.picture(c.outputs[-1])[1],
    )
    first, *rest = tool.with_code("H", ["A sentence."], {**tall, "source": "a = 1\n" * 6 + "plots.z(a)"}, [])
    assert (first.heading, first.outputs, [slide.kind for slide in rest]) == ("H", [], ["bare"])


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("One. Two.", "One. Two."),
        ("A" * 200 + ". " + "B" * 200 + ".", "B" * 200 + "."),
        ("In e.g. 3.5 cases. Then `x.y` is 2.", "In e.g. 3.5 cases. Then `x.y` is 2."),
    ],
)
def test_of_a_long_paragraph_the_last_sentences_stay(tool: ModuleType, text: str, kept: str) -> None:
    assert tool.lead(text) == kept


def test_long_text_is_spread_over_slides(tool: ModuleType) -> None:
    pages = list(tool.pack(tool.Slide("H"), ["word " * 60] * 6))
    assert len(pages) > 1
    assert sum(len(page.text) for page in pages) == 6
    assert {page.heading for page in pages} == {"H"}
