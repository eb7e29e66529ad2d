"""What `make site` lays out for Sphinx, which is not asked. How the pages look: integration/browser."""

import json
import pkgutil
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import seblock
from seblock import live, train, trained
from tests.test_handouts import NOTEBOOKS, ROOT, loaded


def leave_sphinx_out(patch: pytest.MonkeyPatch) -> None:
    """Let docs/build.py be imported: `make test` does not install Sphinx."""
    module = ModuleType("sphinx.cmd.build")
    patch.setattr(module, "build_main", None, raising=False)
    patch.setitem(sys.modules, module.__name__, module)


@pytest.fixture(scope="module")
def build() -> ModuleType:
    """What `make site` runs."""
    with pytest.MonkeyPatch.context() as patch:
        leave_sphinx_out(patch)
        return loaded(ROOT / "docs" / "build.py")


@pytest.fixture(scope="module")
def conf() -> ModuleType:
    """Sphinx's settings."""
    return loaded(ROOT / "docs" / "conf.py")


@pytest.fixture(scope="module")
def packages(build: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What npm brings, each file holding its own name."""
    folder = tmp_path_factory.mktemp("node_modules")
    for name in build.MATHJAX:
        path = folder / name if name.endswith(".js") else folder / name / "part.js"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


@pytest.fixture(scope="module")
def pages(build: ModuleType, packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Sphinx would read, laid out over what an earlier build left."""
    folder = tmp_path_factory.mktemp("site") / "pages"
    (folder / "notebooks").mkdir(parents=True)
    (folder / "notebooks" / "of_yesterday.ipynb").touch()
    build.lay_out(folder, packages)
    return folder


def cells_of(path: Path) -> list[dict[str, Any]]:
    """A notebook's cells."""
    cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return cells


def test_all_notebooks_are_laid_out_and_nothing_that_is_no_page(pages: Path) -> None:
    names = {path.name for path in (pages / "notebooks").iterdir()}
    assert names == {*(path.name for path in NOTEBOOKS), "colab.svg"}
    assert [path.name for path in pages.rglob("*.py")] == ["conf.py"]
    assert not [*pages.rglob("*.txt"), *pages.rglob("slides")]
    assert (pages / "README.md").read_bytes() == (ROOT / "README.md").read_bytes()
    assert (pages / "docs" / "picture.png").read_bytes() == (ROOT / "docs" / "picture.png").read_bytes()


def test_links_from_the_pages_lead_to_the_notebooks_below_them(pages: Path) -> None:
    links = [
        link
        for page in pages.glob("*.md")
        for link in re.findall(r"\]\(([^)#]*\.ipynb)", page.read_text("utf-8"))
    ]
    assert links
    assert not [link for link in links if not (pages / link).is_file()]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_page_is_the_notebook_as_it_is_stored_with_the_words_of_its_pictures(
    pages: Path, path: Path
) -> None:
    for stored, laid in zip(cells_of(path), cells_of(pages / "notebooks" / path.name), strict=True):
        told = laid["metadata"].pop("mystnb", {}).get("image", {})
        if "<!-- film -->" not in (source := "".join(stored["source"])):
            assert laid == stored
            assert source == "".join(laid["source"])
        outputs = [
            output["metadata"]["image/png"]
            for output in stored.get("outputs", [])
            if "image/png" in output.get("data", {})
        ]
        assert told.get("alt", "") == " ".join(about["alt"] for about in outputs)
        figures = [about for about in outputs if "live" in about]
        assert told.get("classes", "") == "".join(
            live.classes(about["live"], about.get("start", {})) for about in figures
        )
        if outputs:
            assert told["width"] == f"{max(about['width'] for about in outputs)}px"


def test_of_two_pictures_in_a_cell_the_words_are_joined_and_the_wider_one_counts(build: ModuleType) -> None:
    shown = [{"metadata": {"image/png": {"alt": alt, "width": w}}} for alt, w in (("A.", 9), ("B.", 7))]
    told = json.loads(build.with_alt_texts(json.dumps({"cells": [{"outputs": shown, "metadata": {}}]})))
    assert told["cells"][0]["metadata"]["mystnb"] == {"image": {"alt": "A. B.", "width": "9px"}}


def test_the_film_stands_where_its_notebook_wants_it(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = (path for path in NOTEBOOKS if build.FILM in path.read_text("utf-8"))
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(
        build.one_dimmer, "moving_film", lambda *given: asked.append(given) or "<div>moves</div>"
    )
    stored, laid = (
        json.loads(text)["cells"]
        for text in (path.read_text("utf-8"), build.with_film(path.read_text("utf-8")))
    )
    changed = [
        ("".join(a["source"]), "".join(b["source"])) for a, b in zip(stored, laid, strict=True) if a != b
    ]
    assert [b for _, b in changed] == [a.replace(build.FILM, "<div>moves</div>") for a, _ in changed]
    ((frames, blocks, parts),) = asked
    assert list(frames) == list(range(1, 25))
    assert all(torch.equal(of, trained.spreads(epoch)) for epoch, of in frames.items())
    assert blocks == [str(row["block"]) for row in trained.select("components", epochs=24, seed=0)]
    recipe = train.Settings(epochs=24, sizes=(16, 24, 32))
    sides = [train.recipe.choose_side(recipe, epoch) for epoch in range(24)]
    last = {side: epoch for epoch, side in enumerate(sides, start=1)}
    assert {int(part.split()[-1]): epoch for part, epoch in parts.items()} == last


def test_every_live_figure_has_its_picture_on_a_page_until_it_comes_alive(pages: Path) -> None:
    play, index = ((pages / name).read_text("utf-8") for name in ("play.md", "index.md"))
    image = r"```{image} (\S+)\n:alt: (.+)\n:class: (.+)\n```"
    found = re.findall(image, play)
    assert sorted(about for *_, about in found) == sorted(live.classes(name, {}) for name in live.FIGURES)
    for place, alt, about in found:
        assert live.classes(Path(place).stem, {}) == about
        assert (pages / place).read_bytes().startswith(b"\x89PNG")
        assert alt == live.FIGURES[Path(place).stem][1]().alt
    ((place, alt, about),) = re.findall(image, index)
    assert f"![{alt}]({place})" in (ROOT / "README.md").read_text("utf-8")
    assert (pages / place).is_file()
    assert about == live.classes("block", {})
    assert "<!-- live" not in play + index


def test_every_file_of_the_package_stands_once_in_the_reference(pages: Path) -> None:
    told = {
        path.stem: re.findall(r"automodule:: (\S+)", path.read_text("utf-8"))
        for path in (pages / "reference").iterdir()
    }
    files = {module.name for module in pkgutil.walk_packages(seblock.__path__, "seblock.")}
    former = {"seblock.data", "seblock.moved", "seblock.train.__main__"}
    assert sorted(name for names in told.values() for name in names) == sorted(files - former)
    assert all(name == page or name.startswith(f"{page}.") for page, names in told.items() for name in names)
    text = (pages / "reference" / "seblock.plots.rst").read_text("utf-8")
    (left,) = re.findall(r"automodule:: seblock\.plots\n   :members:\n   :exclude-members: (.*)\n", text)
    assert left.split(", ") == [name.rpartition(".")[2] for name in told["seblock.plots"][1:]]


def test_the_static_files_are_the_figures_and_the_parts_of_mathjax_where_the_settings_look(
    build: ModuleType, conf: ModuleType, pages: Path, tmp_path: Path
) -> None:
    static = pages / "static"
    live.write(tmp_path)
    for path in tmp_path.iterdir():
        assert (static / "live" / path.name).read_bytes() == path.read_bytes()
    for name in [*conf.html_css_files, *(name for name, _ in conf.html_js_files), conf.mathjax_path]:
        assert (static / name).is_file(), name
    home = Path(conf.mathjax_path).parent
    for part in conf.mathjax4_config["loader"]["load"]:
        file = home / f"{part}.js"
        assert {str(place) for place in (file, *file.parents)} & set(build.MATHJAX.values()), part
    fonts = conf.mathjax4_config["output"]["fontPath"].replace("[mathjax]", str(static / home))
    font = Path(fonts.replace("%%FONT%%", "mathjax-newcm"))
    for packed, laid in build.MATHJAX.items():
        there = static / laid if laid.endswith(".js") else static / laid / "part.js"
        assert there.read_text() == packed
        assert packed.endswith(
            laid.removeprefix("mathjax/").removeprefix("mathjax-fonts/mathjax-newcm-font/")
        )
    assert (font / "chtml.js").is_file()
    assert (font / "chtml").is_dir()


def test_a_warning_is_an_error_and_a_button_is_called_what_it_says(
    build: ModuleType, packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, asked = tmp_path / "site", []

    def sphinx(arguments: list[str]) -> int:
        asked.append(arguments)
        assert not out.exists()  # what an earlier build left
        (out / "notebooks").mkdir(parents=True)
        button = '<summary aria-label="Toggle hidden content">Show</summary>'
        (out / "notebooks" / "a.html").write_text(button)
        return 1

    monkeypatch.setattr(build, "build_main", sphinx)
    monkeypatch.setattr(build, "lay_out", lambda pages, packages: asked.append((pages, packages)))
    monkeypatch.setattr(sys, "argv", ["build.py", str(packages), str(out)])
    out.mkdir()
    assert build.main() == 1
    assert asked[0] == (tmp_path / "pages", packages)
    assert {"-W", "--keep-going", "-E"} < set(asked[1])
    assert asked[1][-2:] == [str(tmp_path / "pages"), str(out)]
    assert (out / "notebooks" / "a.html").read_text() == "<summary>Show</summary>"


def test_a_mark_that_a_page_has_lost_ends_the_build(build: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "play.md").write_text("<!-- live: block -->")
    with pytest.raises(AssertionError, match=r"play\.md has no place for cost"):
        build.put_figure(tmp_path / "play.md", "cost", "cost.png", "")


def test_a_docstring_s_signs_mean_themselves_and_types_have_their_last_name(conf: ModuleType) -> None:
    lines = [r"a_b * c | d, `e_f`, ``g_h * i`` \ and *this*:", "", "- n * m"]
    conf.plain(None, "", "", None, None, lines)
    assert lines == [r"a\_b \* c \| d, `e_f`, ``g_h * i`` \\ and *this*:", "", r"- n \* m"]
    given = "(x: ~torch.Tensor = <factory>)", "~torch.nn.Module"
    assert conf.short(None, "", "", None, None, *given) == ("(x: Tensor = <factory>)", "~torch.nn.Module")
    assert conf.short(None, "", "", None, None, "(x: ~torch.Tensor)", None) == ("(x: ~torch.Tensor)", None)
    connected: dict[str, Any] = {}
    conf.setup(type("App", (), {"connect": staticmethod(connected.__setitem__)}))
    assert list(connected.values()) == [conf.plain, conf.short]
    assert conf.myst_heading_slug_func("The map of it") == "The-map-of-it"
