"""The rules by which `make slides` cuts notebooks into slides. How they look: integration/browser."""

import base64
import html
import io
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest
from PIL import Image

from tests.test_handouts import loaded
from tests.test_site import leave_sphinx_out

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """What `make slides` runs."""
    return loaded(ROOT / "docs" / "slides.py")


def cells_of(path: Path) -> list[Any]:
    """A notebook's cells."""
    return list(nbformat.read(path, as_version=4).cells)


NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
DECKS = [path for path in NOTEBOOKS if not path.stem.startswith(("15", "16", "glossary"))]


@pytest.fixture(scope="module", params=DECKS, ids=lambda path: path.stem)
def deck(request: pytest.FixtureRequest, tool: ModuleType) -> tuple[list[Any], list[Any]]:
    """A notebook's cells, and its slides."""
    cells = cells_of(request.param)
    return cells, tool.slides_of([c for c in cells if "solution" not in c.metadata.get("tags", [])])


def part_of_deck(cells: list[Any]) -> list[Any]:
    """The cells before the exercises, without the sections that are for the curious."""
    part, skip = [], False
    for cell in cells:
        if "\n## Exercises" in f"\n{cell.source}":
            break
        headings = re.findall(r"^##+ (.*)", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else []
        skip = headings[-1].startswith("For the curious") if headings else skip
        if not skip:
            part.append(cell)
    return part


def is_left_out(tool: ModuleType, cell: Any) -> bool:
    """Whether a code cell only imports."""
    return cell.source.startswith(("import ", "from ")) and not any(map(tool.picture, cell.outputs))


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
    code = [cell for cell in code if not is_left_out(tool, cell)]
    spoken = [slide.code for slide in slides] + [note for slide in slides for note in slide.notes]
    for cell in code:
        assert any(cell.source in text for text in spoken), cell.id
    pictures = [found[0] for cell in code for o in cell.outputs if (found := tool.picture(o))]
    shown = [output for slide in slides for output in slide.outputs if isinstance(output, str)]
    assert shown == pictures
    texts = [tool.said(o).strip("\n") for cell in code for o in cell.outputs if not tool.picture(o)]
    seen = [tool.said(o) for slide in slides for o in slide.outputs if not isinstance(o, str)]
    seen += [html.unescape(text) for slide in slides for text in slide.text]
    assert not [text for text in texts if not any(text in each for each in seen)]
    everything = "\n".join([*spoken, *(text for slide in slides for text in slide.text)])
    assert "exercises.check_" not in everything
    assert "What people ask" not in everything
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


def test_a_long_list_is_cut_between_its_points(tool: ModuleType) -> None:
    pages = list(tool.pack(tool.Slide("H"), ["These:", "\n".join(["- " + "word " * 60] * 6)]))
    assert len(pages) > 1
    assert pages[0].text[0] == "These:"
    assert all(text.startswith("- ") for page in pages for text in page.text[1:])
    assert sum(len(page.text) for page in pages) == 7


def test_a_long_listing_is_cut_where_a_statement_begins(tool: ModuleType) -> None:
    source = "\n".join(["f(", *["    a,"] * 14, ")", "", *["with b:", "    c()"] * 8])
    parts = list(tool.cut(source, 640))
    assert "\n".join(parts).replace("\n\n", "\n") == source.replace("\n\n", "\n")
    assert len(parts) == 2
    assert all(tool.code_height(part) <= 640 for part in parts)
    assert parts[1].startswith("with b:")


def test_what_does_not_fit_below_code_has_a_slide_of_its_own(tool: ModuleType) -> None:
    shown = [{"output_type": "stream", "text": "1 < 2\n" * 12}]
    long, short = "First this. " + "Then that, " * 20 + "so: Look:", "Look:"
    fits = list(tool.over("H", [long], "a = 1\n" * 7 + "a", shown, []))
    assert [(slide.text, slide.outputs) for slide in fits] == [([short], shown)]
    code, below = tool.over("H", [long], "a = 1\n" * 16 + "a", shown, [])
    assert (code.outputs, below.code) == ([], "")
    assert "1 &lt; 2" in below.text[0]
    answer = f'<p class="right">(a) {"One sentence. " * 30}</p>'
    assert next(tool.over("H", [answer], "a = 1\n" * 7 + "a", shown, [])).text == [answer]


def test_what_is_for_the_curious_is_left_out_where_it_comes(tool: ModuleType) -> None:
    def cell(kind: str, source: str) -> dict[str, Any]:
        return {"cell_type": kind, "source": source, "metadata": {}, "outputs": []}

    told = ["# T\n\nWhy?", "## A\n\nFirst.", "### For the curious: b\n\nAside.", "c = 1", "## D\n\nLast."]
    kinds = ["markdown", "markdown", "markdown", "code", "markdown"]
    slides = tool.slides_of([cell(*each) for each in zip(kinds, told)])
    assert [slide.heading for slide in slides] == ["", "A", "D"]
    assert not [slide for slide in slides if slide.code]


def markdown(source: str, **metadata: Any) -> dict[str, Any]:
    """A cell of Markdown."""
    return {"cell_type": "markdown", "source": source, "metadata": metadata, "outputs": []}


def fold(summary: str, text: str) -> str:
    """What opens when it is clicked."""
    return f"<details><summary>{summary}</summary>\n\n{text}\n\n</details>"


def test_a_deck_begins_with_its_question_and_what_is_to_be_remembered_and_the_rest_is_said(
    tool: ModuleType,
) -> None:
    first = "# Why?\n\n[![badge](b)](c)\n\n★ 9 minutes.\n\nA question.\n\nMore of it.\n\nAnd more."
    recalled = fold("From memory: what was it?", "It was that.")
    guess = f"**Guess.** Which?\n\n{fold('(a) this', 'No: b.')}\n{fold('(b) that', 'Right. So.')}"
    told = [
        markdown(f"{first}\n\n{recalled}"),
        markdown("## The map\n\nOf all notebooks."),
        markdown(f"## Next\n\nWhat comes before.\n\n{guess}"),
        markdown("*What people ask about this*: [a question](15.ipynb)."),
        {**markdown("b()"), "cell_type": "code"},
        markdown(f"Because.\n\n{fold('When you have run it: why?', 'So it is.')}"),
    ]
    question, memory, answer, which, that, because = tool.slides_of(told)
    assert (question.text, question.notes) == (["# Why?", "A question."], ["More of it.", "And more."])
    assert (memory.heading, memory.text, memory.kind) == ("From memory", ["What was it?"], "asked")
    assert (answer.heading, answer.text) == ("From memory", ["It was that."])
    assert which.text[:2] == ["What comes before.", "Which?"]
    assert which.notes == ["What comes before.", "(a) this\n\nNo: b.", "(b) that\n\nRight. So."]
    assert (that.code, that.text) == ("b()", ['<p class="right">(b) that</p>'])
    assert that.notes == ["When you have run it: why?\n\nSo it is."]
    assert because.text == ["Because."]


def test_prose_above_what_has_to_be_seen_is_seen_in_part_and_said_as_a_whole(tool: ModuleType) -> None:
    long = "Some words. " * 40 + "So it is:"
    slides, above = tool.before_code("H", ["Not seen.", long, "$$x$$", "First.", "Above the code."])
    assert [(slide.text, slide.notes) for slide in slides] == [
        ([tool.lead(long), "$$x$$"], ["Not seen.", long, "$$x$$"])
    ]
    assert tool.lead(long) != long
    assert above == "Above the code."


def test_a_picture_is_as_wide_on_the_slide_as_it_is_on_a_page_of_960(tool: ModuleType) -> None:
    file = io.BytesIO()
    Image.new("RGB", (300, 120)).save(file, "png")
    data = {"image/png": base64.b64encode(file.getvalue()).decode()}
    image, height = tool.picture({"data": data, "metadata": {"image/png": {"width": 480, "alt": '2 < "3"'}}})
    assert ' width="640" alt="2 &lt; &quot;3&quot;"' in image
    assert height == 256
    assert tool.picture({"data": data, "metadata": {}})[1] == 80
    assert tool.picture({"data": {"text/plain": "3"}, "metadata": {}}) is None


def test_decks_link_to_decks_speak_their_notes_and_leave_solutions_out(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_sphinx_out(monkeypatch)
    assert tool.with_deck() == DECKS
    links = "[a](01_convolution.ipynb#Here) [b](16_notes.ipynb) [c](glossary.ipynb#z) [d](https://e.org/f)"
    cells = [
        markdown("# What is <it>?\n\n★ 9 minutes.\n\nA question."),
        markdown(f"## Part\n\n{links}"),
        markdown(fold("Solution", "42"), tags=["solution"]),
        markdown(f"Said.\n\n**Guess.** So?\n\n{fold('(a) yes', 'Right. It is.')}"),
    ]
    path, packages, out = tmp_path / "01_convolution.ipynb", tmp_path / "packages", tmp_path / "decks"
    for cell in cells:
        del cell["outputs"]
    made = [nbformat.from_dict({**cell, "id": f"c{i}"}) for i, cell in enumerate(cells)]
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)
    names = [
        *tool.mathjax(),
        *(f"reveal.js/dist/{n}" for n in ("reveal.css", "reveal.js", "plugin/notes.js")),
    ]
    for name in names:
        file = packages / name if Path(name).suffix else packages / name / "part.js"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    monkeypatch.setattr(sys, "argv", ["slides.py", str(packages), str(out), str(path)])
    (out / "of_yesterday").mkdir(parents=True)
    tool.main()
    page = (out / "01_convolution.html").read_text(encoding="utf-8")
    part = page[page.index("Part") :]
    assert re.findall(r'<a[^>]* href="([^"#]*)"[^>]*>([^<]*)</a>', part) == [
        ("01_convolution.html", "a"),
        ("https://e.org/f", "d"),
    ]
    assert re.search(r"\bb\b.*\bc\b", part)
    assert "42" not in re.sub(r"<(style|script).*?</\1>", "", page, flags=re.DOTALL)
    (asked,) = re.findall(r'<section *class="asked">(.*?)</section>', page, re.DOTALL)
    seen, _, said = asked.partition('<aside class="notes">')
    assert "(a) yes" in seen
    assert "It is." not in seen
    assert "It is." in said
    index = (out / "index.html").read_text(encoding="utf-8")
    assert '<li><a href="01_convolution.html">What is &lt;it&gt;?' in index
    assert {path.name for path in out.iterdir()} == {"01_convolution.html", "index.html", "assets"}
    assert (out / "assets" / "reveal" / "notes.js").read_text() == "reveal.js/dist/plugin/notes.js"
    for packed, laid in tool.mathjax().items():
        assert (out / "assets" / laid).exists(), packed
    assert (out / "assets" / "live" / "live.js").is_file()
    assert (out / "assets" / "slides.css").is_file()
