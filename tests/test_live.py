"""The live figures, as far as Python goes. What they do in a browser: integration/browser/test_live.py."""

import base64
import gzip
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load

from seblock import gates, lines, live, photos, scanner
from seblock.live import figures
from tools.saving import keep_pictures

KILO = 1000
WIDGET = "application/vnd.jupyter.widget-view+json"
SOURCES = [*sorted(live.HERE.glob("*.js")), live.STYLE]


@pytest.fixture
def without_anywidget(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An environment in which it is not installed."""
    monkeypatch.setitem(sys.modules, "anywidget", None)
    live.widget.cache_clear()
    yield
    live.widget.cache_clear()


def shown(figure: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What IPython makes of the last line of a cell."""
    shell = InteractiveShell.instance()
    data, about = shell.display_formatter.format(figure)
    InteractiveShell.clear_instance()
    return data, about


@pytest.mark.parametrize("name", live.FIGURES)
def test_shown_are_words_a_picture_and_the_widget(name: str) -> None:
    """On ipywidgets 7 as well, whose own way to display would leave out all but the widget."""
    picture = live.FIGURES[name][1]()
    data, about = shown(live.live(name, picture))
    assert data.keys() == {"text/plain", "image/png", WIDGET}
    assert data["text/plain"] == repr(picture)
    assert about["image/png"]["alt"] == picture.alt
    assert about["image/png"]["live"] == name
    assert about["image/png"]["width"] > 0


@pytest.mark.usefixtures("without_anywidget")
def test_without_anywidget_the_picture_is_left() -> None:
    picture = figures.block_picture()
    data, about = shown(live.live("block", picture))
    assert data.keys() == {"text/plain", "image/png"}
    assert about["image/png"]["live"] == "block"


def test_state_starts_as_told_and_can_be_read() -> None:
    figure = live.live("block", figures.block_picture(), tint=0.2)
    assert figure.value["tint"] == 0.2
    assert figure.value["photo"] == "temple"
    with pytest.raises(TypeError, match="block has no tnit; it has photo, tint"):
        live.live("block", figures.block_picture(), tnit=0.2)
    with pytest.raises(KeyError, match="no live figure 'blok'"):
        live.live("blok", figures.block_picture())


def test_a_start_that_differs_travels_to_the_page() -> None:
    """As classes that survive Sphinx, which makes small letters of all and drops other signs."""
    _, about = shown(live.live("painter", gates=False))
    start = about["image/png"]["start"]
    assert start == {"gates": False}
    assert "start" not in shown(live.live("painter"))[1]["image/png"]
    kind, name, coded, brief = live.classes("painter", start).split()
    assert (kind, name, brief) == ("live-figure", "live-is-painter", "live-brief")
    assert re.fullmatch(r"live-start-[0-9a-f]+", coded)
    assert json.loads(bytes.fromhex(coded.rpartition("-")[2])) == start
    assert live.classes("block", {"patch": True}).split()[2:] == ["live-start-" + b'{"patch": true}'.hex()]
    assert live.classes("block", {}) == "live-figure live-is-block"


def test_what_is_saved_of_a_live_figure_is_its_picture() -> None:
    data, about = shown(live.live("cost"))
    figure = {"output_type": "execute_result", "data": data, "metadata": about}
    other = {"output_type": "display_data", "data": {WIDGET: {}, "text/plain": "a slider"}, "metadata": {}}
    text = {"output_type": "stream", "text": "printed"}
    cells = [{"cell_type": "code", "outputs": [figure, other, text]}, {"cell_type": "markdown"}]
    keep_pictures(model={"type": "notebook", "content": {"cells": cells}}, path="a.ipynb")
    assert figure["data"].keys() == {"text/plain", "image/png"}
    assert other["data"].keys() == {WIDGET, "text/plain"}
    for model in ({"type": "notebook", "content": None}, {"type": "file", "content": "text"}):
        keep_pictures(model=model, path="elsewhere")


def test_module_and_style_are_small() -> None:
    assert len(gzip.compress((live.module() + live.STYLE.read_text()).encode())) <= 20 * KILO


@pytest.mark.parametrize("name", live.FIGURES)
def test_data_are_small(name: str) -> None:
    assert len(live.pack(name)) <= 110 * KILO


def test_page_gets_the_same_bytes_as_the_notebook(tmp_path: Path) -> None:
    live.write(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {
        *("page.js", "live.js", "live.css"),
        *(f"{name}.js" for name in live.FIGURES),
    }
    for name in live.FIGURES:
        text = (tmp_path / f"{name}.js").read_text()
        assert text.startswith(f'{live.DATA}["{name}"] = ')
        assert base64.b64decode(text.split('"')[3]) == live.pack(name)


def test_a_change_gives_the_page_a_new_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(folder: str) -> str:
        live.write(tmp_path / folder)
        (found,) = re.findall(r'VERSION = "(\w+)"', (tmp_path / folder / "page.js").read_text())
        return found

    before = version("before")
    assert version("again") == before != "0"
    monkeypatch.setattr("seblock.live.EXPORTED", "{ render }")
    assert version("after") != before


def test_nobody_else_is_named_and_nothing_is_imported() -> None:
    for file in SOURCES:
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"https?://|^import |\bimport\(|\bfetch\(|@import|url\(", text, re.M), file.name


def test_photos_come_out_of_their_files_as_they_went_in() -> None:
    given = load(live.pack("block"))
    for name, photo in zip(("temple", "flower"), photos.load()):
        file = io.BytesIO(given[name].numpy().tobytes())
        pixels = torch.from_numpy(np.asarray(Image.open(file)).copy()).permute(2, 0, 1)
        assert torch.equal(pixels, (photo * 255).round().to(torch.uint8))


def test_settings_travel_with_the_tensors(tmp_path: Path) -> None:
    (tmp_path / "block").write_bytes(live.pack("block"))
    with safe_open(tmp_path / "block", "pt") as file:
        settings = json.loads(file.metadata()["settings"])
    assert settings["figure"] == "block"
    assert settings["names"] == list(photos.CHANNELS)


def test_scanner_s_gates_are_the_network_s() -> None:
    """In hundredths; and the distances those of notebook 11."""
    given, names = load(live.pack("scanner")), scanner.gate_names()
    network = scanner.load()
    by_line = [figures.line_changes(line) for line in figures.PLAIN_LINES]
    images = [lines.draw(changed[name]) for name in by_line[0] for changed in by_line]
    x = scanner.pack(images + [lines.turn(image) for image in images])
    assert len(x) == 60
    torch.testing.assert_close(given["answers"], scanner.answer(network, x), atol=1e-5, rtol=0)
    recorded = gates.record(network, [x], names)
    s = torch.cat([recorded.s[name].float() for name in names], dim=1)
    assert float((given["gates"] / 100 - s).abs().max()) <= 0.0051
    own = recorded.s[names[4]][:3].float()
    another = torch.stack([(own[i] - own[j]).square().mean().sqrt() for i, j in ((0, 1), (1, 2), (2, 0))])
    for n in (0, 5, 31, 59):
        far = (recorded.s[names[4]][n].float() - own[n % 3]).square().mean().sqrt() / another.mean()
        torch.testing.assert_close(given["moved"][n, 4], 100 * far, atol=1e-5, rtol=1e-5)


def test_scanner_s_lines_lose_only_steps_of_brightness() -> None:
    file = io.BytesIO(load(live.pack("scanner"))["lines"].numpy().tobytes())
    sheet = torch.from_numpy(np.asarray(Image.open(file)).copy()).permute(2, 0, 1) / 255
    images = figures.record_scanner().images[:30]
    for shown, image in zip(sheet.split(lines.HEIGHT, dim=1), images, strict=True):
        step = float(image.max() - image.min()) / figures.STEPS
        assert float((shown - image).abs().max()) <= step / 2 + 1 / 255


def test_scanner_s_lines_tell_the_story_of_notebook_11() -> None:
    """Contrast in blocks 1 and 2, the letters in the middle, the direction last; and a line that is hard."""
    recorded, names = figures.record_scanner(), list(figures.line_changes(figures.PLAIN_LINES[0]))
    moved = recorded.moved.view(2, len(names), 3, 9).mean(2)
    most = {name: int(moved[0, i].argmax()) + 1 for i, name in enumerate(names)}
    assert most["half the contrast"] <= 2
    assert most["a fifth of the contrast"] == 2
    assert most["italic"] == 3
    assert most["twice the text"] == 7
    assert int(moved[1, 0].argmax()) + 1 == 9
    wrong = (recorded.answers.view(2, -1, 3) > 0.5) != torch.tensor([False, True])[:, None, None]
    assert wrong.sum() == 4
    assert wrong.nonzero()[:, [0, 2]].unique(dim=0).tolist() == [[1, 2]]  # "push or pull", turned
    block_1 = recorded.s[scanner.gate_names()[0]].view(2, len(names), 3, -1).mean(2)
    steps = block_1[:, [names.index(n) for n in ("as it is", "half the contrast", "a fifth of the contrast")]]
    assert bool(((steps.diff(dim=1) > 0).all(1) | (steps.diff(dim=1) < 0).all(1)).all())  # every gate follows
