"""The two sheets of paper: what stands on them is true, can be read, fits the page, and is what is stored."""

import re
import runpy
from pathlib import Path

import matplotlib
import pytest
import torch
import torch.nn.functional as F
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from torch import nn

from seblock import cost, networks
from seblock.blocks import SELayer, SqEx
from seblock.functional import excite, rescale, squeeze
from seblock.plots import sheet

ROOT = Path(__file__).parents[1]
REQUIREMENTS = (ROOT / "requirements.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module", params=list(sheet.SHEETS))
def figure(request: pytest.FixtureRequest) -> Figure:
    """A sheet, laid out."""
    drawn = sheet.SHEETS[request.param]().figure
    FigureCanvasAgg(drawn).draw()
    return drawn


def words(figure: Figure) -> list[Text]:
    """All texts of a figure that are shown."""
    return [text for ax in figure.axes for text in ax.texts]


def test_no_letter_is_smaller_than_8_points(figure: Figure) -> None:
    for text in words(figure):
        index = 0.7 if "_" in text.get_text() and "$" in text.get_text() else 1  # mathtext's, of an index
        assert text.get_fontsize() * index >= 8, text.get_text()


def test_all_text_lies_within_the_margins_of_a_printer(figure: Figure) -> None:
    width, height = figure.get_size_inches() * figure.dpi
    edge = 5 / 25.4 * figure.dpi
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in words(figure)]
    assert len(boxes) > 10
    assert not [
        text
        for text, box in boxes
        if box.x0 < edge or box.x1 > width - edge or box.y0 < edge or box.y1 > height - edge
    ]


def test_no_text_lies_on_another(figure: Figure) -> None:
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in words(figure)]
    pairs = [(a, b) for i, (a, x) in enumerate(boxes) for b, y in boxes[:i] if x.overlaps(y)]
    assert not pairs


def test_the_code_on_the_sheet_is_the_block() -> None:
    given = {"nn": nn, "F": F, "torch": torch}
    exec(sheet.CODE, given)
    torch.manual_seed(0)
    ours, theirs = SqEx(32), given["Block"](32)  # type: ignore[operator]
    theirs.load_state_dict(ours.state_dict())
    u = torch.randn(2, 32, 5, 3)
    torch.testing.assert_close(theirs(u), ours(u))


@pytest.mark.parametrize(("channels", "side", "reduction"), [(64, 7, 16), (32, 5, 4), (256, 56, 16)])
def test_the_formulas_of_the_costs_are_those_of_the_package(channels: int, side: int, reduction: int) -> None:
    by_formula = {
        "weights": 2 * channels**2 // reduction,
        "biases": channels // reduction + channels,
        "multiply-adds": 2 * channels**2 // reduction,
        "rescale": channels * side * side,
    }
    assert sheet.costs(channels, side, reduction) == by_formula
    assert [step[3:5] for step in sheet.STEPS] == [
        ("weights: none", "C·H·W additions"),
        ("weights: 2C²/r", "2C²/r multiply-adds"),
        ("weights: none", "C·H·W multiplications"),
    ]


def test_the_costs_on_the_sheet_are_counted() -> None:
    said = " ".join(text.get_text() for text in words(sheet.sheet().figure))
    with torch.device("meta"):
        plain, with_se = networks.imagenet_resnet(50), networks.imagenet_resnet(50, gate=SqEx)
        gates = [m for m in with_se.modules() if isinstance(m, SqEx)]
        layers = [SELayer(gate.n_features) for gate in gates]
    weights = sum(cost.parameters(layer) for layer in layers)
    growth = cost.parameters(with_se) / cost.parameters(plain) - 1
    assert 0.09 < growth < 0.11  # "about a tenth", says docs/teaching.md
    assert 0.0015 < sheet.of_resnet()[2] < 0.0025  # "a fifth of a per cent"
    assert f"its {len(gates)} branches: {weights:,} weights more" in said
    assert f"{100 * growth:.1f} % of its parameters" in said
    for number in ("8,192 weights and 272 biases", "802,816", "22.28 %", "22.78 %", "23.30 %", "3.86 → 3.87"):
        assert number in said


def test_the_unplugged_lesson_can_be_computed_in_the_head_and_is_the_block() -> None:
    """The answers that docs/teaching.md gives."""
    played = []
    for blue in (sheet.BLUE_MAP, sheet.BLUE_MAP + sheet.LAMP):
        u = torch.stack([sheet.RED_MAP, blue])[None]
        z = squeeze(u)
        s = sheet.gate_of_red(*z[0].tolist())
        played.append((u.sum(dim=(2, 3))[0].tolist(), z[0].tolist(), s))
        red = rescale(u, torch.tensor([[s, 0.5]]))[0, 0]
        assert torch.equal(red, s * sheet.RED_MAP)
    assert played == [([24, 16], [1.5, 1.0], 0.5), ([24, 32], [1.5, 2.0], 0.25)]


def test_the_gate_that_the_class_plays_falls_as_the_excitation_does() -> None:
    w1, w2 = torch.tensor([[-1.0, 1]]), torch.tensor([[-2.0], [0]])
    apart = torch.linspace(-1, 1, 9)
    z = torch.stack([torch.ones(9), 1 + apart], dim=1)
    real = excite(z, w1, w2)[:, 0]
    played = torch.tensor([sheet.gate_of_red(*pair) for pair in z.tolist()])
    assert torch.equal(real.diff() < 0, played.diff() < 0)
    assert real[0] == played[0] == 0.5


def test_no_pixel_of_the_wall_sees_the_lamp() -> None:
    wall = (sheet.RED_MAP == 4).nonzero()
    lamp = sheet.LAMP.nonzero()
    steps = (wall[:, None] - lamp[None]).abs().amax(dim=2)
    assert len(wall) == 4
    assert int(steps.min()) == 2  # a 3 × 3 window reaches 1


def drawn(svg: str) -> str:
    """An SVG without its photos, whose bytes another processor may round otherwise."""
    return re.sub(r'xlink:href="data:image/png;base64,[^"]*"', "", svg)


@pytest.mark.skipif(
    f"matplotlib=={matplotlib.__version__}\n" not in REQUIREMENTS, reason="another matplotlib drew them"
)
def test_the_stored_sheets_are_what_the_command_draws(tmp_path: Path) -> None:
    sheet.store(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(f"{name}.{kind}" for name in sheet.SHEETS for kind in ("pdf", "svg"))
    for name in names:
        stored = ROOT / "docs" / name
        assert stored.stat().st_size < 400_000
        if name.endswith(".svg"):
            old, new = (drawn(path.read_text(encoding="utf-8")) for path in (stored, tmp_path / name))
            assert old == new, "make sheet"
    fonts = re.findall(rb"/FontFile2", (ROOT / "docs" / "sheet.pdf").read_bytes())
    assert len(fonts) >= 4


def test_the_command_stores_them_where_the_site_finds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    stored: list[Path] = []
    monkeypatch.setattr(sheet, "store", stored.append)
    runpy.run_path(str(ROOT / "docs" / "sheets.py"), run_name="__main__")
    assert stored == [ROOT / "docs"]
