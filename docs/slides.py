"""Make slides of the notebooks as they are stored: `make slides`.

python docs/slides.py NODE_MODULES OUT [NOTEBOOKS]    NODE_MODULES holds reveal.js and MathJax

A section's heading stands on its slides. Code and what it shows share a slide, below the sentences that lead
up to it; what is too long for one goes on over the next. A guess is a slide, and its answer comes on the
next. What is left of the prose is for the speaker: the notes (key S). Exercises, solutions and what is
optional are left out.
"""

import argparse
import html
import importlib.util
import re
import shutil
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

import nbformat
from nbconvert import SlidesExporter
from PIL import Image
from traitlets.config import Config

from seblock import live

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
WITHOUT = ("15", "16", "glossary")
"""Notebooks that slides are not made of: they are for looking things up."""
ENDS = ("Exercise",)
"""Headings that begin so: they and what follows are left out."""
DROPPED = ("The map", "For the curious")
"""Sections whose headings begin so are for those who read alone."""
LINKS = "*What people ask about this*"
"""A cell that begins so has links to notebook 15: nothing to look at."""
FOLD = re.compile(r"<details>\s*<summary>(.*?)</summary>\s*(.*?)\s*</details>", re.DOTALL)
CODE, LINE, WIDE, ROOM, HEADING = 27, 37, 86, 690, 76
"""Pixels of a line of code and of text, letters in a line of text, pixels on a slide and of its heading."""
LARGER = 1.33
"""How much more room text takes on a slide that has nothing else: its letters are larger."""
DRAWS = re.compile(r"(?:plots|start)\.\w+\([^\n]*\)$|block\([^\n]*\)$|show\([^\n]*\)$")
"""A cell that draws a picture, and nothing else."""
LEAD, ASKS = 300, 450
"""Letters that may stand above code, and above a guess; of a longer paragraph its last sentences."""

Cell = dict[str, Any]


@dataclass
class Slide:
    """What a slide shows: Markdown, at most one code cell with outputs, and notes."""

    heading: str = ""
    text: list[str] = field(default_factory=list)
    code: str = ""
    outputs: list[Any] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    kind: str = ""


def lines_of(text: str) -> int:
    """How many lines Markdown takes on a slide, about."""
    if text.startswith("$$"):
        return 3 if re.search(r"\\(sum|frac)", text) else 2
    if text.startswith("|"):
        rows = text.splitlines()
        return sum(1 + max(len(part) for part in row.split("|")) // (WIDE // 2) for row in rows)
    plain = re.sub(r"\]\([^)]*\)|[*$`]", "", text)
    return sum(1 + len(line) // WIDE for line in (plain.split("\n") if text.startswith("- ") else [plain]))


def picture(output: Any) -> tuple[str, int] | None:
    """The image of an output as HTML, and its height when it is 1280 wide or as much as it has."""
    data = output.get("data", {}).get("image/png")
    if not data:
        return None
    about = output["metadata"].get("image/png", {})
    width, height = Image.open(BytesIO(b64decode(data))).size
    name = about.get("live")
    shown = round(about["width"] * 1280 / 960) if "width" in about else round(width / 1.5)
    classes = f"picture {live.classes(name, about.get('start', {}))}" if name else "picture"
    alt = html.escape(about.get("alt", ""), quote=True)
    source = f"data:image/png;base64,{''.join(data.split())}"
    return f'<img class="{classes}" width="{shown}" alt="{alt}" src="{source}">', round(
        height * shown / width
    )


def sentences(text: str) -> list[str]:
    """The sentences of a paragraph."""
    return re.split(r"(?<=[.?!:])\s+(?=[A-Z\"*$`(])", " ".join(text.split()))


def lead(text: str, letters: int = LEAD) -> str:
    """A paragraph, or as many of its last sentences as may stand above code."""
    kept: list[str] = []
    for sentence in reversed(sentences(text)):
        if kept and len(" ".join([sentence, *kept])) > letters:
            break
        kept.insert(0, sentence)
    return " ".join(kept)


def blocks(source: str) -> list[str]:
    """The paragraphs, formulas, tables, lists and quotes of some Markdown."""
    parts = re.split(r"(```.*?```|\$\$.*?\$\$)", source, flags=re.DOTALL)
    split = [[p] if p.startswith(("```", "$$")) else re.split(r"\n\s*\n", p) for p in parts]
    return [text.strip() for part in split for text in part if text.strip()]


def is_seen(text: str) -> bool:
    """Whether a block is to be seen in any case: a formula, a table, a list, a quote, a sentence in bold."""
    return text.startswith(("$$", "|", "- ", ">", "```", "1. ")) or bool(re.match(r"\*\*[A-Z]", text))


def points(text: str) -> list[str]:
    """A list's points, or the text as it is."""
    return re.split(r"\n(?=- )", text) if text.startswith("- ") else [text]


def pack(slide: Slide, shown: list[str]) -> Iterator[Slide]:
    """Slides of text, as many as it takes."""
    page = Slide(slide.heading, kind="text")
    for text in chain(*(points(text) for text in shown)):
        if page.text and LARGER * height_of([*page.text, text]) > ROOM - HEADING:
            yield page
            page = Slide(slide.heading, kind="text")
        page.text.append(text)
    page.notes = slide.notes
    yield page


def before_code(heading: str, prose: list[str], letters: int = LEAD) -> tuple[list[Slide], str]:
    """What the prose above a code cell becomes: slides of what has to be seen, and the lead of the code."""
    last = max((i for i, text in enumerate(prose) if is_seen(text)), default=-1)
    shown = []
    for i, text in enumerate(prose[: last + 1]):
        if is_seen(text):
            shown.append(text)
        elif is_seen(prose[i + 1]):
            shown.append(lead(text))
    rest = prose[last + 1 :]
    slides = list(pack(Slide(heading, notes=prose[: last + 1]), shown)) if shown else []
    return slides, lead(rest[-1], letters) if rest else ""


def height_of(texts: list[str]) -> int:
    """Pixels of Markdown on a slide, about."""
    return sum(LINE * lines_of(text) + 12 for text in texts)


def said(output: Any) -> str:
    """The text of an output."""
    return "".join(output.get("text", "") or output.get("data", {}).get("text/plain", ""))


def code_height(source: str) -> int:
    """Pixels of a listing."""
    return CODE * (source.count("\n") + 1) + 30


def outputs_height(outputs: list[Any]) -> int:
    """Pixels of outputs that are text."""
    return sum(CODE * sum(1 + len(line) // 98 for line in said(o).splitlines()) + 10 for o in outputs)


def cut(source: str, room: int) -> Iterator[str]:
    """A listing in parts of so many pixels, cut at blank lines or where a statement begins."""
    lines = source.split("\n")
    while code_height("\n".join(lines)) > room:
        fit = (room - code_height("")) // CODE
        starts = [i for i in range(1, fit + 2) if lines[i] and not lines[i].startswith((" ", ")", "]", "}"))]
        blank = [i for i in starts if not lines[i - 1] and i > fit // 2]
        at = (blank or starts or [fit])[-1]
        yield "\n".join(lines[:at]).strip("\n")
        lines = lines[at:]
    yield "\n".join(lines)


def over(
    heading: str, above: list[str], source: str, outputs: list[Any], notes: list[str]
) -> Iterator[Slide]:
    """Slides of code and of the text that it shows: one if the sentences above are cut short, or more."""
    short = [text if text.startswith("<") else sentences(text)[-1] for text in above]
    room = 720 - HEADING
    for texts in (above, short):
        if height_of(texts) + code_height(source) + outputs_height(outputs) <= room:
            yield Slide(heading, texts, source, outputs, notes)
            return
    first, *parts = cut(source, room - height_of(short))
    notes = [*notes, f"```python\n{source}\n```"] if parts else notes
    fits = height_of(above) + code_height(first) <= room
    slides = [Slide(heading, above if fits else short, first, notes=notes)]
    slides += [Slide(heading, code=part) for part in parts]
    if outputs_height(outputs) + code_height(slides[-1].code) + height_of(slides[-1].text) <= room:
        slides[-1].outputs = outputs
    else:
        shown = "\n".join(said(output).strip("\n") for output in outputs)
        slides.append(Slide(heading, [f'<pre class="said">{html.escape(shown)}</pre>']))
    yield from slides


def with_code(heading: str, above: list[str], cell: Cell, notes: list[str]) -> Iterator[Slide]:
    """A slide of code and outputs; two if both do not fit on one.

    A picture is shown at its full width, so that its letters can be read. Where nothing fits above it, it is
    alone, and a single line of code that draws it is left out.
    """
    pictures = [found for output in cell["outputs"] if (found := picture(output))]
    texts = [output for output in cell["outputs"] if not picture(output)]
    code = code_height(cell["source"]) + outputs_height(texts)
    room = 720 - sum(tall for _, tall in pictures)
    moves = any("live-figure" in image for image, _ in pictures)
    images: list[Any] = [image for image, _ in pictures]
    if pictures and (moves or room < HEADING + height_of(above) + code):
        if DRAWS.match(cell["source"]) or moves:
            notes = [*notes, f"```python\n{cell['source']}\n```"]
            short = above if room >= height_of(above) else [sentences(text)[-1] for text in above]
            fits = not moves and room >= height_of(short)
            if above and not fits:
                yield Slide(heading, above, notes=notes)
            yield Slide(
                "", short if fits else [], outputs=images, notes=notes, kind="moves" if moves else "bare"
            )
        else:
            yield from over(heading, above, cell["source"], texts, notes)
            yield Slide("", outputs=images, notes=notes, kind="bare")
    elif not pictures and HEADING + height_of(above) + code > 720:
        yield from over(heading, above, cell["source"], texts, notes)
    else:
        yield Slide(heading, above, cell["source"], [*texts, *images], notes)


def title(source: str) -> Slide:
    """The first slide: the question of the notebook, and what it begins with."""
    parts = [text for text in blocks(FOLD.sub("", source)) if not text.startswith("[![")]
    return Slide("", [parts[0], *parts[2:3]], notes=parts[3:])


def recall(source: str) -> Iterator[Slide]:
    """The question from memory, and its answer on the next slide."""
    for asked, answer in FOLD.findall(source):
        if asked.startswith("From memory"):
            yield Slide(
                "From memory",
                [asked.partition(": ")[2][:1].upper() + asked.partition(": ")[2][1:]],
                kind="asked",
            )
            yield from pack(Slide("From memory"), blocks(answer))


def slides_of(cells: list[Cell]) -> list[Slide]:
    """All slides of a notebook's cells."""
    made = [title(cells[0]["source"]), *recall(cells[0]["source"])]
    heading, prose, answer, skip = "", [], "", False
    for cell in cells[1:]:
        source, tags = cell["source"], cell["metadata"].get("tags", [])
        if source.startswith(LINKS):
            continue
        if cell["cell_type"] == "code":
            drawn = any(picture(output) for output in cell["outputs"])
            imports = source.startswith(("import ", "from ")) and not drawn
            if skip or imports or "remove-cell" in tags:
                continue
            before, above = before_code(heading, prose)
            right = [f'<p class="right">{answer}</p>'] if answer else [above] if above else []
            made += [*before, *with_code(heading, right, cell, prose)]
            prose, answer = [], ""
            continue
        question, _, choice = source.partition("**Guess.**")
        for block in blocks(FOLD.sub("", question)):
            if found := re.match(r"##+ (.*)", block):
                made += [] if skip else list(pack(Slide(heading), prose)) if prose else []
                heading, prose = found[1], []
                if heading.startswith(ENDS):
                    return made
                skip = heading.startswith(DROPPED)
                block = block.partition("\n")[2].strip()
            if block:
                prose.append(block)
        folded = [f"{summary}\n\n{text}" for summary, text in FOLD.findall(question)]
        if made and folded:
            made[-1].notes = [*made[-1].notes, *folded]
        if choice and not skip:
            before, above = before_code(heading, prose, ASKS)
            options = FOLD.findall(choice)
            asked = " ".join(FOLD.split(choice)[0].split())
            listed = "".join(f"<li>{summary}</li>" for summary, _ in options)
            shown = [above] if above else []
            made += before
            made.append(
                Slide(
                    heading, [*shown, asked, f'<ul class="options">{listed}</ul>'], notes=prose, kind="asked"
                )
            )
            made[-1].notes = [*prose, *(f"{summary}\n\n{text}" for summary, text in options)]
            answer = next((summary for summary, text in options if text.startswith("Right")), "")
            prose = []
    return [*made, *(pack(Slide(heading), prose) if prose else [])]


def notebook(slides: list[Slide], name: str) -> nbformat.NotebookNode:
    """The slides as a notebook whose cells say where a slide begins."""
    cells = []
    for slide in slides:
        images = [output for output in slide.outputs if isinstance(output, str)]
        texts = [output for output in slide.outputs if not isinstance(output, str)]
        parts = [f'<div class="{slide.kind}"></div>'] if slide.kind else []
        parts += [f"## {slide.heading}"] if slide.heading else []
        parts += [*slide.text, *([] if slide.code else images)]
        begins = {"slideshow": {"slide_type": "slide"}}
        cells.append(nbformat.v4.new_markdown_cell("\n\n".join(parts), metadata=begins))
        if slide.code:
            shown = [nbformat.v4.new_output("display_data", {"text/html": image}) for image in images]
            cells.append(nbformat.v4.new_code_cell(slide.code, outputs=[*texts, *shown]))
        if slide.notes:
            spoken = {"slideshow": {"slide_type": "notes"}}
            cells.append(nbformat.v4.new_markdown_cell("\n\n".join(slide.notes), metadata=spoken))
    for i, cell in enumerate(cells):
        cell.id = f"slide-{i}"
    found: nbformat.NotebookNode = nbformat.v4.new_notebook(cells=cells, metadata={"title": name})
    return found


def with_deck() -> list[Path]:
    """The notebooks that have a deck."""
    return [
        path for path in sorted((ROOT / "notebooks").glob("*.ipynb")) if not path.stem.startswith(WITHOUT)
    ]


def export(path: Path) -> str:
    """The deck of a notebook, as a page."""
    raw = nbformat.read(path, as_version=4)
    cells = [cell for cell in raw.cells if "solution" not in cell.metadata.get("tags", [])]
    name = cells[0].source.partition("\n")[0].removeprefix("# ")
    options = Config()
    options.SlidesExporter.extra_template_basedirs = [str(HERE)]
    options.SlidesExporter.template_name = "slides"
    exporter = SlidesExporter(config=options, exclude_input_prompt=True, exclude_output_prompt=True)
    page, _ = exporter.from_notebook_node(notebook(slides_of(cells), name))
    page = re.sub(
        r'(<section *)>((?:(?!<section).)*?)<div class="(\w+)"></div>',
        r'\1 class="\3">\2',
        page,
        flags=re.DOTALL,
    )
    # Links between notebooks lead from deck to deck; what has no deck has no link.
    decks = "|".join(path.stem for path in with_deck())
    page = re.sub(rf'href="({decks})\.ipynb(?:#[^"]*)?"', r'href="\1.html"', page)
    return re.sub(r'<a href="[^"]*\.ipynb[^"]*">(.*?)</a>', r"\1", page, flags=re.DOTALL)


def mathjax() -> dict[str, str]:
    """What a page needs of MathJax, as docs/build.py has it."""
    spec = importlib.util.spec_from_file_location("docs_build", HERE / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    files: dict[str, str] = module.MATHJAX
    return files


def main() -> None:
    """Write the decks, an index, and what they load."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("node_modules", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("notebooks", type=Path, nargs="*")
    told = parser.parse_args()
    paths = told.notebooks or with_deck()
    shutil.rmtree(told.out, ignore_errors=True)
    assets = told.out / "assets"
    live.write(assets / "live")
    shutil.copy(HERE / "slides" / "slides.css", assets)
    reveal = told.node_modules / "reveal.js" / "dist"
    (assets / "reveal").mkdir()
    for name in ("reveal.css", "reveal.js", "plugin/notes.js"):
        shutil.copy(reveal / name, assets / "reveal")
    for packed, laid in mathjax().items():
        there, here = told.node_modules / packed, assets / laid
        here.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if there.is_dir() else shutil.copy)(there, here)
    listed = []
    for path in paths:
        page = export(path)
        (told.out / f"{path.stem}.html").write_text(page, encoding="utf-8")
        name = re.search(r"<title>(.*?)</title>", page)
        listed.append(f'<li><a href="{path.stem}.html">{name[1] if name else path.stem}</a></li>')
    index = (HERE / "slides" / "index.html").read_text(encoding="utf-8")
    (told.out / "index.html").write_text(index.replace("<!-- decks -->", "\n".join(listed)), encoding="utf-8")


if __name__ == "__main__":
    main()
