"""Build the web page: the notebooks as they are stored, and the package's reference from its docstrings.

python docs/build.py NODE_MODULES OUT    NODE_MODULES holds MathJax; the page lies in OUT afterwards
"""

import argparse
import json
import pkgutil
import re
import shutil
import sys
from pathlib import Path

from sphinx.cmd.build import build_main

import seblock
from seblock import live, trained
from seblock.plots import one_dimmer, png

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
MATHJAX = {
    "mathjax/startup.js": "mathjax/startup.js",
    "mathjax/core.js": "mathjax/core.js",
    "mathjax/input": "mathjax/input",
    "mathjax/output/chtml.js": "mathjax/output/chtml.js",
    "mathjax/a11y/assistive-mml.js": "mathjax/a11y/assistive-mml.js",
    "@mathjax/mathjax-newcm-font/chtml.js": "mathjax-fonts/mathjax-newcm-font/chtml.js",
    "@mathjax/mathjax-newcm-font/chtml": "mathjax-fonts/mathjax-newcm-font/chtml",
}
"""What the page needs of MathJax's two npm packages, and where it lies among the static files."""
FILM = "<!-- film -->"
"""Where a notebook's page has the film."""


def with_alt_texts(notebook: str) -> str:
    """The notebook's text, in its cells' metadata what myst-nb needs to know of their pictures."""
    raw = json.loads(notebook)
    for cell in raw["cells"]:
        shown = [output.get("metadata", {}).get("image/png", {}) for output in cell.get("outputs", [])]
        alt = " ".join(metadata["alt"] for metadata in shown if "alt" in metadata)
        if alt:
            widths = [metadata["width"] for metadata in shown if "width" in metadata]
            image = {"alt": alt, "width": f"{max(widths)}px"}
            for metadata in shown:
                if "live" in metadata:
                    image["classes"] = live.classes(metadata["live"], metadata.get("start", {}))
            cell["metadata"]["mystnb"] = {"image": image}
    return json.dumps(raw)


def with_film(notebook: str) -> str:
    """The notebook's text, at its mark the film of the gates over 24 epochs, of which it has a strip itself.

    The mark is a comment, which JupyterLab, Colab and GitHub leave out.
    """
    raw = json.loads(notebook)
    for cell in raw["cells"]:
        if cell["cell_type"] == "markdown" and FILM in (source := "".join(cell["source"])):
            frames = {epoch: trained.spreads(epoch) for epoch in range(1, 25)}
            blocks = [f"{stage}.{block}" for stage in (1, 2, 3) for block in (1, 2, 3)]
            sizes = {"images of 16 × 16": 8, "24 × 24": 16, "32 × 32": 24}
            cell["source"] = source.replace(FILM, one_dimmer.moving_film(frames, blocks, sizes))
    return json.dumps(raw)


def put_figure(page: Path, name: str, picture: str, alt: str) -> None:
    """A picture in whose place a live figure comes alive, where the page has a mark for it."""
    text, mark = page.read_text(encoding="utf-8"), f"<!-- live: {name} -->"
    assert mark in text, f"{page.name} has no place for {name}"
    image = f"```{{image}} {picture}\n:alt: {alt}\n:class: {live.classes(name, {})}\n```"
    page.write_text(text.replace(mark, image), encoding="utf-8")


def put_figures(pages: Path) -> None:
    """All figures on the page Play, and on the first page the block, in the place of the README's picture."""
    (pages / "play").mkdir()
    for name, (_, draw) in live.FIGURES.items():
        figure, alt = draw()
        (pages / "play" / f"{name}.png").write_bytes(png(figure))
        put_figure(pages / "play.md", name, f"play/{name}.png", alt)
    found = re.search(r"!\[(.*?)\]\((docs/picture\.png)\)", (pages / "README.md").read_text(encoding="utf-8"))
    assert found, "README.md has no picture"
    put_figure(pages / "index.md", "block", found[2], found[1])


def reference(folder: Path) -> None:
    """A page for each file of the package, and one for each folder, from their docstrings."""
    folder.mkdir()
    pages: dict[str, list[str]] = {}
    former = ("seblock.data", "seblock.moved", "seblock.train.__main__")
    for module in pkgutil.walk_packages(seblock.__path__, "seblock."):
        if module.name in former:  # which hand on former names, or only start what stands elsewhere
            continue
        pages.setdefault(".".join(module.name.split(".")[:2]), []).append(module.name)
    for page, modules in pages.items():
        text = ""
        for name in modules:
            line = ("=" if name == page else "-") * len(name)
            text += f"{name}\n{line}\n\n.. automodule:: {name}\n   :members:\n"
            inside = [each.rpartition(".")[2] for each in modules if each.rpartition(".")[0] == name]
            if inside:  # a function may have the name of its file, which has its own part of the page
                text += f"   :exclude-members: {', '.join(inside)}\n"
            text += "\n"
        (folder / f"{page}.rst").write_text(text, encoding="utf-8")


def lay_out(pages: Path, node_modules: Path) -> None:
    """Everything that Sphinx reads, in a folder of its own, so that nothing in the checkout changes."""
    shutil.rmtree(pages, ignore_errors=True)
    shutil.copytree(HERE, pages, ignore=shutil.ignore_patterns("*.py", "*.txt", "slides", "__pycache__"))
    shutil.copy(HERE / "conf.py", pages)
    for page in pages.glob("*.md"):  # in the repository the notebooks lie beside docs, here below it
        text = page.read_text(encoding="utf-8")
        page.write_text(text.replace("](../notebooks/", "](notebooks/"), encoding="utf-8")
    (pages / "docs").mkdir()
    (pages / "picture.png").rename(pages / "docs" / "picture.png")  # as README.md names it
    shutil.copy(ROOT / "README.md", pages)
    (pages / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks" / "colab.svg", pages / "notebooks")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        text = with_film(with_alt_texts(path.read_text(encoding="utf-8")))
        (pages / "notebooks" / path.name).write_text(text, encoding="utf-8")
    reference(pages / "reference")
    put_figures(pages)
    live.write(pages / "static" / "live")
    for packed, laid in MATHJAX.items():
        there, here = node_modules / packed, pages / "static" / laid
        here.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if there.is_dir() else shutil.copy)(there, here)


def name_buttons(site: Path) -> None:
    """Let the button above a hidden output be called what it says: myst-nb gives it another name besides."""
    for page in (site / "notebooks").glob("*.html"):
        text = page.read_text(encoding="utf-8")
        page.write_text(text.replace(' aria-label="Toggle hidden content"', ""), encoding="utf-8")


def main() -> int:
    """Build; 1 if Sphinx warned, of a link that leads nowhere, say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("node_modules", type=Path)
    parser.add_argument("out", type=Path)
    places = parser.parse_args()
    pages = places.out.with_name("pages")
    lay_out(pages, places.node_modules)
    shutil.rmtree(places.out, ignore_errors=True)
    status = build_main(
        ["-q", "-W", "--keep-going", "-E", "-d", str(pages / ".doctrees"), str(pages), str(places.out)]
    )
    name_buttons(places.out)
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
