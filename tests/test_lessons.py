"""What the notebooks define, draw, ask and quote: their cells run here, in this process.

nbval runs them as well, each in a kernel of its own, and compares what they show. Here it is the names they
leave behind and the figures themselves that count.
"""

import ast
import base64
import importlib.util
import io
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import matplotlib.style
import nbformat
import numpy as np
import pytest
import torch
from IPython.core.formatters import DisplayFormatter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from scipy import stats

from seblock import (
    blocks,
    cost,
    exercises,
    functional,
    live,
    networks,
    paper,
    photos,
    plots,
    puzzles,
    trained,
)
from seblock.plots.toolkit import with_palette

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@dataclass
class Lesson:
    """A notebook that was run: the names it left, and the figures it showed with their alt texts.

    The pictures are made at once, as in a notebook: drawn a second time, a layout may settle elsewhere. None
    stands for one that hangs on the machine, because a network was trained in its cell or before.
    """

    names: dict[str, Any]
    figures: list[tuple[Figure, str]]
    pictures: list[bytes | None]


@cache
def lesson(path: Path) -> Lesson:
    """Run all code cells of a notebook, collecting figures instead of showing them."""
    ran = Lesson({}, [], [])

    def collect(figure: Figure, alt: str) -> None:
        ran.figures.append((figure, alt))
        ran.pictures.append(plots.png(figure) if repeats else None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "show", collect)
        for cell in nbformat.read(path, 4).cells:
            if cell.cell_type == "code" and cell.id != "setup":  # not Python alone
                repeats = "nbval-ignore-output" not in cell.metadata.get("tags", [])
                last = run(cell.source, path.name, ran.names)
                last = getattr(last, "still", last)  # a live figure's picture
                if isinstance(last, live.Still):
                    ran.figures.append(tuple(last.picture))
                    ran.pictures.append(last._repr_mimebundle_()[0]["image/png"])
                if isinstance(last, plots.Picture):
                    collect(*last)
    return ran


def run(source: str, name: str, names: dict[str, Any]) -> Any:
    """Run a cell's source; returns what its last line is worth, None if that is no expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), names)
    return eval(compile(ast.Expression(last.value), name, "eval"), names) if last else None


def named(stem: str) -> dict[str, Any]:
    """The names that a notebook left behind."""
    return lesson(next(path for path in NOTEBOOKS if path.stem == stem)).names


@every_notebook
def test_figures_are_opaque_white_and_fit_1280_by_720(path: Path) -> None:
    for figure, alt in lesson(path).figures:
        width, height = figure.get_size_inches()
        assert width <= plots.WIDTH, alt
        assert height <= plots.HEIGHT, alt
        assert figure.get_facecolor() == (1, 1, 1, 1), alt


def undrawn(figure: Figure) -> set[Text]:
    """Tick labels that matplotlib keeps but does not draw: beyond the limits, or of a hidden axis."""
    hidden: set[Text] = set()
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
            drawn = {axis.label} | {tick.label1 for tick in ticks} | {tick.label2 for tick in ticks}
            hidden |= set(axis.findobj(Text)) - (drawn if ax.axison else set())
    return hidden


@every_notebook
def test_every_word_on_a_figure_has_14_points_and_lies_on_the_canvas(path: Path) -> None:
    for figure, alt in lesson(path).figures:
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        words = {t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible()}
        assert words, alt
        for word in words - undrawn(figure):
            assert word.get_fontsize() >= 14, (word.get_text(), alt)
            box = word.get_window_extent(canvas.get_renderer())
            inside = figure.bbox.padded(1)
            assert inside.x0 <= box.x0 <= box.x1 <= inside.x1, (word.get_text(), alt)
            assert inside.y0 <= box.y0 <= box.y1 <= inside.y1, (word.get_text(), alt)


WITHOUT_NUMBERS = ("The block.", "The photos, side by side", "The maps ", "Four residual blocks")
"""How the words of figures begin that show things, not values."""


@every_notebook
def test_every_figure_comes_with_a_sentence_that_holds_a_number(path: Path) -> None:
    for _, alt in lesson(path).figures:
        assert alt.endswith("."), alt
        assert "$" not in alt, alt
        assert re.search(r"\d", alt) or alt.startswith(WITHOUT_NUMBERS), alt


def shrunk(picture: bytes) -> np.ndarray:
    """A picture in 96 × 48 averages: what is left when letters and edges are washed out."""
    small = Image.open(io.BytesIO(picture)).convert("RGB").resize((96, 48), Image.Resampling.BOX)
    return np.asarray(small).astype(float)


PINNED = re.findall(
    r"^matplotlib==(\S+)$", (NOTEBOOKS[0].parents[1] / "requirements.txt").read_text("utf-8"), re.M
)


@pytest.mark.skipif(
    [matplotlib.__version__] != PINNED, reason=f"pictures were drawn with matplotlib {PINNED}"
)
@every_notebook
def test_the_stored_pictures_are_what_the_figures_draw(path: Path) -> None:
    stored = [
        base64.b64decode(output.data["image/png"])
        for cell in nbformat.read(path, 4).cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    ran = lesson(path)
    for (_, alt), drawn, kept in zip(ran.figures, ran.pictures, stored, strict=True):
        assert drawn is None or float(abs(shrunk(drawn) - shrunk(kept)).max()) < 40, alt


def test_a_figure_looks_the_same_whatever_the_reader_s_style() -> None:
    from seblock.plots import squeeze

    def drawn() -> bytes:
        return plots.png(squeeze.z({"temple": torch.arange(6) / 10}).figure)

    plain = drawn()
    with matplotlib.style.context("dark_background"):
        assert drawn() == plain
    with matplotlib.rc_context({"text.usetex": True, "axes.grid": True, "font.size": 30}):
        assert drawn() == plain


def test_a_number_that_changes_changes_the_alt_text() -> None:
    from seblock.plots import squeeze

    z = torch.tensor([0.56, 0.081, 0.079, 0.077, 0.036, 0.063])
    before = squeeze.z({"temple": z}).alt
    z[3] += 0.004
    assert squeeze.z({"temple": z}).alt != before


def square() -> plots.Picture:
    """A picture of hardly anything."""
    figure, _ = plots.canvas(1, 1, 2.0)
    return plots.Picture(figure, "A square of 2.")


def test_a_picture_shows_itself_as_text_and_as_png() -> None:
    """By what IPython asks when a cell ends in one; the first line of the text gives nothing away."""
    bundle, metadata = DisplayFormatter().format(square())
    assert bundle.keys() == {"text/plain", "image/png"}
    assert bundle["text/plain"] == repr(square()) == "Figure.\nA square of 2."
    assert bundle["image/png"].startswith(b"\x89PNG")
    assert metadata == {"image/png": {"alt": "A square of 2.", "width": 960}}
    figure, alt = square()
    assert (type(figure), alt) == (Figure, "A square of 2.")


def test_show_shows_what_the_picture_itself_would(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[plots.Picture] = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    picture = square()
    plots.show(*picture)
    assert shown == [picture]


def decoded(picture: bytes) -> np.ndarray:
    """A PNG's pixels, (H, W, 3)."""
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)


def test_a_picture_has_1920_pixels_width_and_the_same_bytes_every_time() -> None:
    first, second = (plots.png(square().figure) for _ in range(2))
    assert first == second
    assert decoded(first).shape == (300, 1920, 3)


def test_a_palette_keeps_white_and_common_colours_exact_and_rare_ones_close() -> None:
    """On a photo that fills most of a picture, beside a patch and a few dark strokes."""
    pixels = np.full((400, 500, 3), 255, np.uint8)
    photo = (255 * photos.load()[1]).byte().permute(1, 2, 0).numpy()
    pixels[:320, :480] = photo.repeat(2, 0).repeat(2, 1)
    pixels[330:390, 10:400] = (0, 114, 178)
    pixels[330:390, 410:412] = (45, 0, 75)
    kept = np.asarray(with_palette(pixels, 64)[0].convert("RGB")).astype(int)
    off = np.abs(kept - pixels.astype(int))
    assert len(np.unique(kept.reshape(-1, 3), axis=0)) <= 64
    assert off[395:].max() == 0
    assert off[330:390, 10:400].max() <= 2
    assert off[330:390, 410:412].max() < 50
    assert off.mean() < 6


def test_few_colours_are_kept_to_within_the_rounding() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 40, 3), np.uint8).repeat(9, 0)
    assert np.abs(np.asarray(with_palette(pixels, 64)[0].convert("RGB")).astype(int) - pixels).max() <= 2


def test_a_picture_too_large_for_its_file_gets_fewer_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    def noise() -> Figure:
        figure, axes = plots.canvas(1, 1, 2.0)
        axes[0, 0].imshow(np.random.default_rng(0).random((50, 320)))
        return figure

    plain = plots.png(noise())
    monkeypatch.setattr("seblock.plots.toolkit.MOST_BYTES", len(plain) - 1)
    assert len(plots.png(noise())) < len(plain)


def test_other_figures_keep_their_own_style() -> None:
    before = dict(matplotlib.rcParams)
    from seblock.plots import squeeze

    squeeze.z({"temple": torch.rand(6)})
    assert dict(matplotlib.rcParams) == before


def test_rounded_keeps_two_significant_digits() -> None:
    assert [plots.rounded(v) for v in (0.0769, 0.5635, 2.91, 38400, 0, -0.0341, 2.6e-4)] == [
        "0.077",
        "0.56",
        "2.9",
        "38000",
        "0",
        "-0.034",
        "nearly 0",
    ]


# What a notebook builds by hand, and what the package has under the same name.

MAPS = torch.randn(2, 8, 5, 3, generator=torch.Generator().manual_seed(0))


def test_the_loops_of_01_are_the_package_s_convolution() -> None:
    v = torch.randn(4, 8, 3, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(named("01_convolution")["convolve"](MAPS, v), functional.convolve(MAPS, v))


def test_squeeze_excite_and_rescale_are_the_package_s() -> None:
    z, w1, w2 = exercises.exercise.seeded((2, 8), (3, 8), (8, 3))
    s = functional.excite(z, w1, w2)
    torch.testing.assert_close(named("03_squeeze")["squeeze"](MAPS), functional.squeeze(MAPS))
    torch.testing.assert_close(named("04_excitation")["excite"](z, w1, w2), s)
    torch.testing.assert_close(named("05_rescale")["rescale"](MAPS, s), functional.rescale(MAPS, s))


def test_the_eight_lines_of_05_are_the_package_s_block() -> None:
    built, packaged = named("05_rescale")["Block"](8), blocks.SqEx(8, reduction=4)
    built.load_state_dict(packaged.state_dict(), strict=True)
    torch.testing.assert_close(built(MAPS), packaged(MAPS))


@pytest.mark.parametrize("name", ["SELayer", "SqEx"])
def test_the_blocks_of_06_are_the_package_s(name: str) -> None:
    built, packaged = named("06_two_implementations")[name](8, 2), getattr(blocks, name)(8, 2)
    built.load_state_dict(packaged.state_dict(), strict=True)
    torch.testing.assert_close(built(MAPS), packaged(MAPS))


def test_06_counts_its_differences_right() -> None:
    differences = section("06_two_implementations.ipynb", "Four-differences")
    assert re.findall(r"\*\*(\d)\. ", differences) == ["1", "2", "3", "4"]


LISTINGS = {
    ("06_two_implementations", "SELayer-line-by-line"): (
        "class SELayer(nn.Module)",
        "channel, reduction=16",
        "super(SELayer, self)",
        "nn.AdaptiveAvgPool2d(1)",
        "self.fc = nn.Sequential(",
        "nn.Linear(channel, channel // reduction, bias=False),",
        "nn.Linear(channel // reduction, channel, bias=False),",
        "def forward(self, x)",
        "b, c, _, _ = x.size()",
        "self.avg_pool(x).view(b, c) #对应Squeeze操作",
        "self.fc(y).view(b, c, 1, 1) #对应Excitation操作",
        "return x * y.expand_as(x)",
    ),
    ("06_two_implementations", "SqEx-line-by-line"): (
        "import torch",
        "import torch.nn as nn",
        "import torch.nn.functional as F",
        "# Squeeze and Excitation module",
        "class SqEx(nn.Module)",
        "n_features, reduction=16",
        "super(SqEx, self)",
        "if n_features % reduction != 0:",
        "raise ValueError",
        "self.linear1",
        "nn.ReLU(inplace=True)",
        "self.linear2",
        "nn.Sigmoid()",
        "bias=True",
        "def forward(self, x)",
        "F.avg_pool2d(x, kernel_size=x.size()[2:4])",
        "y.permute(0, 2, 3, 1)",
        "self.nonlin1(self.linear1(y))",
        "self.nonlin2(self.linear2(y))",
        "y.permute(0, 3, 1, 2)",
        "y = x * y",
        "return y",
    ),
    ("07_residual_block", "A-residual-block-with-SE"): (
        "self.norm1",
        "self.relu1",
        "self.conv1",
        "kernel_size=3, stride=1, padding=1",
        "bias=False",
        "nn.ReLU(inplace=True)",
        "self.norm2",
        "self.relu2",
        "self.conv2",
        "self.sqex = SqEx(n_features)",
        "y = torch.add(x, y)",
        "# Residual block using Squeeze and Excitation",
        "# convolutions",
        "# squeeze and excitation",
        "# add residuals",
        "class ResBlockSqEx(nn.Module)",
        "n_features",
        "super(ResBlockSqEx, self)",
        "nn.Conv2d(n_features, n_features,",
        "def forward(self, x)",
        "y = self.conv1(self.relu1(self.norm1(x)))",
        "y = self.conv2(self.relu2(self.norm2(y)))",
        "y = self.sqex(y)",
        "return y",
    ),
}
"""What the sections that read the note's listings have to explain, line by line."""


@pytest.mark.parametrize(("stem", "anchor"), LISTINGS)
def test_each_line_of_a_listing_is_quoted_where_it_is_explained(stem: str, anchor: str) -> None:
    explained = section(f"{stem}.ipynb", anchor)
    for line in LISTINGS[stem, anchor]:
        assert f'"`{line}`"' in explained, line


@pytest.mark.parametrize("place", networks.PLACEMENTS)
def test_the_residual_block_of_07_is_the_package_s(place: networks.Placement) -> None:
    branch, gate = torch.nn.Conv2d(8, 8, 3, padding=1), blocks.SELayer(8, 2)
    built = named("07_residual_block")["ResidualBlock"](branch, torch.nn.Identity(), 8, lambda _: gate, place)
    packaged = networks.ResidualBlock(branch, torch.nn.Identity(), (8, 8), lambda _: gate, place)
    torch.testing.assert_close(built(MAPS), packaged(MAPS))


def learned(learn: Any, **options: float) -> dict[str, torch.Tensor]:
    """The weights of a small painter after `learn`."""
    puzzle = puzzles.painting_puzzle(128, seed=3)
    torch.manual_seed(1)
    network = puzzles.painter(lambda channels: blocks.SqEx(channels, 4), width=8)
    learn(network, puzzle.x, puzzle.target, torch.nn.functional.mse_loss, seed=5, epochs=2, **options)
    assert not network.training
    return network.state_dict()


def tool() -> Any:
    """What trained the shipped weights, tools/trained.py, as a module."""
    path = NOTEBOOKS[0].parents[1] / "tools" / "trained.py"
    spec = importlib.util.spec_from_file_location("tools_trained", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_block_with_one_path_of_08_is_the_one_that_was_trained() -> None:
    answers = []
    for build in (named("08_gradients")["OnePath"], tool().OnePath):
        torch.manual_seed(4)
        block, x = build(8, reduction=2), MAPS.clone().requires_grad_()
        y = block(x)
        answers.append([y, *torch.autograd.grad((y**3).sum(), [x, *block.parameters()])])
    torch.testing.assert_close(*answers)


def test_what_08_counts_and_measures_is_what_the_table_of_trained_painters_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(NOTEBOOKS[0].parents[1] / "tools")
    from gradients import look_at_gates

    ours = named("08_gradients")
    torch.manual_seed(7)
    painter = puzzles.painter(ours["SE"])
    with torch.no_grad():
        silent = ours["count_silent"](painter)
    row = look_at_gates(painter, ours["test"])
    assert sum(silent) == row["silent"] > 0
    assert ours["find_shares"](painter)[0] == pytest.approx([row[f"share {k}"] for k in (1, 2, 3)], abs=2e-5)
    first, second = painter[3].linear1, painter[3].linear2
    z = functional.squeeze(painter[:3](ours["test"].x))
    s = functional.excite(z, first.weight, second.weight, first.bias, second.bias)
    assert row["slope 1"] == pytest.approx(float((s * (1 - s)).mean().detach()), abs=2e-5)


def test_the_maker_of_the_tables_leaves_out_what_they_have() -> None:
    rows = [{"network": "SE", "seed": "0"}, {"network": "plain", "seed": "2"}]
    assert tool().missing(rows, ["plain", "SE"], 2) == [("plain", 0), ("plain", 1), ("SE", 1)]


@pytest.mark.parametrize(("table", "names"), [("painting", "PAINTERS"), ("sides", "SIDES")])
def test_the_tables_say_how_the_maker_trains(table: str, names: str) -> None:
    for row in trained.table(table):
        candidate = getattr(tool(), names)[row["network"]]
        assert (row["epochs"], row["peak"]) == (candidate.epochs, candidate.peak)


def test_09_learns_as_the_shipped_painters_did() -> None:
    ours, theirs = learned(named("09_context_decides")["learn"]), learned(tool().learn, peak=2e-2)
    assert all(torch.equal(weight, theirs[name]) for name, weight in ours.items())


def test_what_09_says_of_the_tables_holds_for_every_row_that_they_have() -> None:
    painting, reading = trained.table("painting"), trained.table("reading")
    by_network = trained.group(painting, "network", "right")
    gated = [row for row in painting if row["at its cue's mean"] > 0 and row["right"] > 0.9]
    assert max(row["right"] - row["at its cue's mean"] for row in gated) < 0.02
    blocks_ = [[row[f"block {k} at the other cue's mean"] for k in (1, 2, 3)] for row in gated]
    kept = [shares for shares in blocks_ if shares[0] >= 0]
    assert all(any(shares[k] < 0.2 for shares in kept) for k in range(3))
    assert any(min(shares) >= 0.2 for shares in kept)
    backed_up = [
        row[f"block {k} at the mean of all"] > 0.9
        for row in gated
        for k in (1, 2, 3)
        if row[f"block {k} at the other cue's mean"] < 0.2
    ]
    assert 1 < sum(backed_up) < len(backed_up) - 1
    assert all(0.45 < row["at the mean of all"] < 0.55 for row in gated)
    looked_at = [row for row in gated if row["block 1 at the other cue's mean"] >= 0]
    assert {row["peak"] for row in looked_at} == {0.005}
    assert {row["epochs"] for row in looked_at} == {12, 36}
    same_start = {
        row["network"]: [k for k in (1, 2, 3) if row[f"block {k} at the other cue's mean"] < 0.2]
        for row in looked_at
        if row["seed"] == 0 and "16" not in row["network"]
    }
    assert same_start == {"SE, lower rate": [2], "SE, longer": [3]}
    for blind in ("plain", "constant gates"):
        assert all(0.45 < right < 0.55 for right in by_network[blind])
    assert any(right < 0.6 for right in by_network["SE, lower rate"])
    for name in ("SE", "SE, 16 wide", "wider field"):
        assert min(by_network[f"{name}, longer"]) > 0.9
    for name in tool().CONTENDERS:
        trials = [by_network.get(name + end, [0]) for end in ("", ", lower rate", ", longer")]
        assert any(sum(right > 0.9 for right in t) > 0.6 * len(t) >= 6 for t in trials), name
    solved = [row["right"] > 0.9 for row in trained.table("gradients")]
    assert (sum(solved[:10]), sum(solved[10:]), len(solved)) == (10, 7, 20)
    sides = trained.group(trained.table("sides"), "network", "right")
    assert max(sides["SE, side 40"]) < 0.6 < 0.9 < min(sides["SE, side 40, four times z"])

    read = trained.group(reading, "network", "right")
    assert all(0.35 < right < 0.45 for right in read["plain"])
    assert min(read["SE"]) < 0.45 < 0.75 < max(read["SE"]) < max(read["plain, larger head"]) + 0.01
    assert min(read["plain, larger head"]) > 0.75
    assert 1 < sum(right > 0.6 for right in read["SE"]) < len(read["SE"]) / 2
    interval = stats.ttest_ind(read["SE, larger head"], read["plain, larger head"]).confidence_interval()
    assert interval.low < 0.01
    assert interval.high < 0.06


def test_what_13_says_of_the_tables_holds_for_every_row_that_they_have() -> None:
    where, after = (trained.group(trained.table(name), "network") for name in ("where", "after"))
    right = {name: [row["right"] for row in rows] for name, rows in (where | after).items()}
    for name in ("plain", "SE", "SE, lower rate", "SE, longer", "SE, 24 wide", "sSE", "scSE"):
        assert max(row["right"] for row in where[name]) == 0, name
        assert max(row["apart"] for row in where[name]) < 1e-5
    for name in ("SE, coordinates", "SE, coordinates, lower rate"):
        assert max(right[name]) < 0.1, name
    for name in ("CBAM's spatial part", "wider field", "wider field, lower rate", "added map, longer"):
        assert min(right[name]) > 0.9, name
    for name in ("SE, coordinates, longer", "added map"):
        assert min(right[name]) < 0.9 < max(right[name]), name
    assert where["SE, coordinates, longer"][0]["epochs"] == 3 * where["SE"][0]["epochs"]
    assert where["wider field"][0]["parameters"] == where["plain"][0]["parameters"]
    assert where["added map"][0]["parameters"] == where["CBAM's spatial part"][0]["parameters"]
    errors = [[row["error"] for row in after[name]] for name in ("ECA, neighbours drawn", "ECA")]
    interval = stats.ttest_rel(*errors).confidence_interval()
    assert interval.low < 0 < interval.high
    assert interval.high - interval.low < 0.01
    stuck = [
        [row["seed"] for row in after[name] if row["right"] < 0.9]
        for name in ("ECA", "ECA, neighbours drawn")
    ]
    assert stuck == [[9], [9]]
    assert sum(share > 0.9 for share in right["gather-excite"]) == 6
    orders = [row["channels shuffled afterwards"] for row in after["ECA"] if row["right"] > 0.9]
    assert max(orders) < 1
    assert sum(share < 0.9 for share in orders) > len(orders) / 2


def test_a_window_with_gaps_cannot_tell_the_stripes_apart_everywhere() -> None:
    """The numbers of 09: what a pixel sees along rows and columns, by steps that stay in the image."""
    place = torch.arange(20)

    def seen(dilations: tuple[int, ...]) -> int:
        sees = torch.eye(20)
        for d in dilations:
            step = (place[:, None] - place).abs()
            sees = ((step == 0) | (step == d)).float() @ sees
        reach = sees[:13, 16:] > 0
        differ = (torch.arange(4)[:, None] + torch.arange(4)) % 2 == 1
        meets = reach[:, None, :, None] & reach[None, :, None, :] & differ
        return int(meets.flatten(2).any(dim=2).sum())

    assert (seen((1, 1, 1)), seen((3, 6, 9)), seen((11, 5, 1))) == (0, 128, 169)


def test_the_seventh_filter_of_02_cannot_be_taken_apart() -> None:
    sizes = torch.linalg.svdvals(named("02_entanglement")["blue_above_red"].flatten(1))
    assert [round(float(size), 2) for size in sizes] == [0.87, 0.50, 0.0]


def test_painting_a_corner_changes_nothing_at_the_temple_until_a_gate_comes_in_between() -> None:
    x = photos.load()[:1]
    painted = x.clone()
    painted[:, :, -40:, -60:] = torch.tensor([0.0, 0, 1])[:, None, None]
    temple = (slice(None), photos.RED, slice(40, 118), slice(30, 130))
    u, u_painted = photos.features(x), photos.features(painted)
    assert torch.equal(u[temple], u_painted[temple])
    s, s_painted = (
        functional.excite(functional.squeeze(maps), *photos.hand_set_gate())[0, photos.RED]
        for maps in (u, u_painted)
    )
    assert round(float(s), 2) == 0.50
    assert round(float(s_painted), 2) == 0.00


# The exercises, as the notebooks hold them.


def exercises_of(path: Path) -> Iterator[tuple[str, str, str]]:
    """Name of the check, name of the function it is given, and the folded solution below the call."""
    for cell, below in itertools.pairwise(nbformat.read(path, 4).cells):
        if call := re.search(r"exercises\.(check_\w+)\((\w+)\)", cell.source):
            (code,) = re.findall(r"^```python\n(.*?)^```", below.source, re.DOTALL | re.MULTILINE)
            yield call[1], call[2], code


EXERCISES = [(path, *exercise) for path in NOTEBOOKS for exercise in exercises_of(path)]


@pytest.mark.parametrize(("path", "check", "function", "code"), EXERCISES, ids=[e[1] for e in EXERCISES])
def test_a_folded_solution_is_right_and_its_stub_is_not_attempted(
    path: Path, check: str, function: str, code: str
) -> None:
    names = dict(lesson(path).names)
    assert getattr(exercises, check).verdict(names[function]).kind == "not attempted"
    exec(code, names)
    verdict = getattr(exercises, check).verdict(names[function])
    assert verdict.kind == "right", verdict.text
    for call, told in re.findall(r"^(my_.+?)  # (.+)$", code, re.MULTILINE):
        result = torch.as_tensor(eval(call, names), dtype=torch.double).flatten().tolist()
        said = re.findall(r"-?\d+(?:\.(\d+))?", told)
        values = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", told.replace(",", ""))]
        assert len(values) == len(result) == len(said), call
        for value, number, decimals in zip(result, values, said):
            assert round(value, len(decimals)) == number, (call, value)


def test_every_check_is_called_by_a_notebook() -> None:
    offered = {name for name, check in vars(exercises).items() if isinstance(check, exercises.Exercise)}
    assert offered == {check for _, check, _, _ in EXERCISES}


# The table in 16 from the source's words to the sections that explain them.

SOURCE = (
    "Squeeze-and-Excitation Blocks, CVPR 2018",
    r"\mathbf{V} = [\mathbf{v}_1, \mathbf{v}_2, \ldots, \mathbf{v}_C]",
    "the learned set of filter kernels",
    "the parameters of the $c$-th filter",
    r"the outputs of $\mathbf{F}_{tr}$ as",
    r"\mathbf{U} = [\mathbf{u}_1, \mathbf{u}_2, \ldots, \mathbf{u}_C]",
    r"\mathbf{u}_c = \mathbf{v}_c * \mathbf{X} = \sum_{s=1}^{C'} \mathbf{v}_c^s * \mathbf{x}^s",
    "Here $*$ denotes convolution",
    r"\mathbf{v}_c = [\mathbf{v}_c^1, \ldots, \mathbf{v}_c^{C'}]",
    r"\mathbf{X} = [\mathbf{x}^1, \ldots, \mathbf{x}^{C'}]",
    "to simplify the notation, bias terms are omitted",
    r"\mathbf{v}_c^s",
    "is a 2D spatial kernel",
    r"represents a single channel of $\mathbf{v}_c$ which acts on the corresponding channel of $\mathbf{X}$",
    "就是说正常的卷积网络,通道输出是和空间的卷积核挂钩的",
    "一个通道的结果是不同通道卷积后相加",
    "即通道依赖关系与过滤器捕获的空间相关性纠缠在一起",
    "作者的目标是",
    "Our goal is to ensure that the network is able to",
    "increase its sensitivity to informative features so that they can be exploited by subsequent "
    "transformations, and to suppress less useful ones",
    "explicitly modelling channel interdependencies",
    "to recalibrate filter responses",
    "in two steps, squeeze and excitation",
    "before they are fed into next transformation",
    "Squeeze: Global Information Embedding",
    r"a statistic $\mathbf{z} \in \mathbb{R}^C$ is generated by shrinking $\mathbf{U}$ through spatial "
    r"dimensions $H \times W$",
    r"z_c = \mathbf{F}_{sq}(\mathbf{u}_c) = \frac{1}{H \times W} \sum_{i=1}^{H} \sum_{j=1}^{W} u_c(i, j)",
    "Excitation: Adaptive Recalibration",
    "为了利用在挤压操作中聚合的信息,我们在它之后进行第二个操作",
    "目的是",
    "to fully capture channel-wise dependencies",
    r"The final output of the block is obtained by rescaling the transformation output $\mathbf{U}$ with the "
    "activations",
    r"\tilde{\mathbf{x}}_c = \mathbf{F}_{scale}(\mathbf{u}_c, s_c) = s_c \cdot \mathbf{u}_c",
    r"\tilde{\mathbf{X}} = [\tilde{\mathbf{x}}_1, \ldots, \tilde{\mathbf{x}}_C]",
    r"\mathbf{F}_{scale}(\mathbf{u}_c, s_c)",
    "refers to channel-wise multiplication",
    "between the feature map",
    r"\mathbf{u}_c \in \mathbb{R}^{H \times W}",
    "and the scalar $s_c$",
    "第一种",
    "class SELayer",
    "reduction=16",
    "nn.AdaptiveAvgPool2d(1)",
    "nn.Sequential",
    "channel // reduction",
    "bias=False",
    "x.size()",
    "对应Squeeze操作",
    "对应Excitation操作",
    "y.expand_as(x)",
    "第二种",
    "import",
    "Squeeze and Excitation module",
    "class SqEx",
    "n_features % reduction",
    "raise ValueError",
    "self.linear1",
    "self.linear2",
    "bias=True",
    "self.nonlin1",
    "self.nonlin2",
    "F.avg_pool2d",
    "permute(0, 2, 3, 1)",
    "permute(0, 3, 1, 2)",
    "y = x * y",
    "Residual block using Squeeze and Excitation",
    "class ResBlockSqEx",
    "self.norm1",
    "self.relu1",
    "self.conv1",
    "kernel_size=3, stride=1, padding=1",
    "self.norm2",
    "self.relu2",
    "self.conv2",
    "self.sqex",
    "add residuals",
    "torch.add(x, y)",
)
"""Every sentence, formula, remark and line of the note that the series grew from, in its order."""

FOUND_THERE = {
    "bias terms are omitted": "bias terms are omitted",
    r"outputs of $\mathbf{F}_{tr}$": r"\mathbf{F}_{tr}",
    r"\mathbf{v}_c * \mathbf{X}": r"\mathbf{v}_c^s * \mathbf{x}^s",
    "increase its sensitivity": "so that they can be exploited by subsequent transformations",
    "explicitly modelling": "explicitly modelling channel interdependencies",
    "z_c = ": r"z_c = \mathbf{F}_{sq}(\mathbf{u}_c)",
    "to fully capture": "to fully capture channel-wise dependencies",
    r"\tilde{\mathbf{x}}_c = ": r"\tilde{\mathbf{x}}_c = \mathbf{F}_{scale}(\mathbf{u}_c, s_c)",
    "一个通道的结果是": "一个通道的结果是不同通道卷积后相加",
    "即通道依赖关系": "通道依赖关系与过滤器捕获的空间相关性纠缠在一起",
    "对应Squeeze操作": "对应Squeeze操作",
    "对应Excitation操作": "对应Excitation操作",
    "class SELayer": "class SELayer",
    "class SqEx": "class SqEx",
    "class ResBlockSqEx": "ResBlockSqEx",
}
"""What the section shows that a row leads to: words of the row, and words of the section."""


def rows_of_the_table() -> list[tuple[str, str, str]]:
    """The source's words, and the file and the heading that the table sends them to."""
    path = next(path for path in NOTEBOOKS if path.stem == "16_source_words")
    (table,) = [cell.source for cell in nbformat.read(path, 4).cells if "| in the note |" in cell.source]
    rows = re.findall(r"^\| (.+) \| .+ \| \[.+\]\((.+?)(?:#(.+?))?\) \|$", table, re.MULTILINE)
    assert len(rows) == sum(line.startswith("|") for line in table.splitlines()) - 2
    return [(words, file, unquote(anchor)) for words, file, anchor in rows]


def section(file: str, anchor: str) -> str:
    """The sources of a notebook from a heading to the next one, in one line."""
    cells = nbformat.read(NOTEBOOKS[0].parent / file, 4).cells
    text = "\n".join(cell.source for cell in cells)
    (found,) = re.findall(
        rf"^## {re.escape(anchor.replace('-', ' '))}$(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE
    )
    return " ".join(found.split())


def test_the_table_holds_all_of_the_source_in_its_order() -> None:
    rest = "\n".join(words for words, _, _ in rows_of_the_table())
    for words in SOURCE:
        _, found, rest = rest.partition(words)
        assert found, f"missing, or not in its place: {words}"


@pytest.mark.parametrize(("row", "words"), FOUND_THERE.items())
def test_the_section_shows_what_the_table_promises(row: str, words: str) -> None:
    ((file, anchor),) = [(file, anchor) for held, file, anchor in rows_of_the_table() if row in held]
    assert words in section(file, anchor)


# What the prose says of a guess and of the paper, kept twice on purpose: a slip in one of them is seen.

ANSWERS = {
    "00_start_here": "bca",
    "01_convolution": "bab",
    "02_entanglement": "cbab",
    "03_squeeze": "bc",
    "04_excitation": "bac",
    "05_rescale": "cbac",
    "06_two_implementations": "bacab",
    "07_residual_block": "bcac",
    "08_gradients": "cacc",
    "09_context_decides": "cabbc",
    "10_cifar10": "cb",
    "11_text_scanner": "bacc",
    "12_one_dimmer": "bcba",
    "13_what_came_after": "cbbcc",
    "14_speed": "abca",
    "15_what_people_ask": "cbbc",
}


def chosen_right(source: str) -> str:
    """The letters of a guess's folds whose text begins with "Right": there should be one."""
    folds = re.findall(r"<summary>\(([a-c])\).*?</summary>\s*(.*?)</details>", source, re.DOTALL)
    return "".join(letter for letter, text in folds if text.startswith("Right"))


@every_notebook
def test_each_guess_is_answered_and_each_wrong_one_understood(path: Path) -> None:
    cells = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown"]
    right = ""
    for i, cell in enumerate(cells):
        if "**Guess.**" in cell.source:
            assert len(chosen_right(cell.source)) == 1, cell.source
            right += chosen_right(cell.source)
        elif "**Guess:**" in cell.source:
            options = set(re.findall(r"^- \(([a-c])\)", cell.source, re.MULTILINE))
            answer = next(cell.source for cell in cells[i + 1 :] if re.search(r"\([a-c]\)", cell.source))
            named = re.findall(r"\(([a-c])\)", answer.split("**Guess:**")[0])
            right += named[0]
            assert named[0] in options, cell.source
            assert "who " in answer.lower(), cell.source
    if path.stem in ANSWERS:
        assert right == ANSWERS[path.stem]


@pytest.mark.parametrize(
    ("stem", "words"),
    [
        ("03_squeeze", f"ahead by {paper.TABLE_11['max'] - paper.TABLE_11['mean']:.2f} points"),
        ("06_two_implementations", "From r = 2 to r = 16 all errors lie between 22.25 % and 22.29 %"),
        ("06_two_implementations", "from 45.7 to 28.1 million"),
        ("07_residual_block", "Standard, PRE and Identity are within 0.08 points"),
        ("07_residual_block", "a fifth of a per cent more operations"),
    ],
)
def test_a_number_in_the_prose_is_the_table_s(stem: str, words: str) -> None:
    cells = nbformat.read(next(path for path in NOTEBOOKS if path.stem == stem), 4).cells
    text = " ".join(" ".join(cell.source for cell in cells if cell.cell_type == "markdown").split())
    assert words in text


def test_the_paper_s_numbers_are_these() -> None:
    errors = [error for error, _ in paper.TABLE_10.values()]
    assert errors == [22.29, 22.25, 22.26, 22.28, 22.72]
    assert round(max(errors[:4]) - min(errors[:4]), 2) == 0.04
    assert {r: millions for r, (_, millions) in paper.TABLE_10.items()} == {
        2: 45.7,
        4: 35.7,
        8: 30.7,
        16: 28.1,
        32: 26.9,
    }
    assert paper.TABLE_4 == {
        "ResNet-110": (6.37, 5.21),
        "ResNet-164": (5.46, 4.39),
        "WRN-16-8": (4.27, 3.88),
        "Shake-Shake": (2.56, 2.12),
    }
    assert paper.TABLE_5 == {
        "ResNet-110": (26.88, 23.85),
        "ResNet-164": (24.33, 21.31),
        "WRN-16-8": (20.43, 19.14),
        "Shake-Even": (15.85, 15.41),
    }
    assert paper.TABLE_11 == {"max": 22.57, "mean": 22.28}
    assert paper.TABLE_12 == {"ReLU": 23.47, "tanh": 23.00, "sigmoid": 22.28}
    assert paper.TABLE_13 == {"stage 2": 23.03, "stage 3": 23.04, "stage 4": 22.68, "all": 22.28}
    assert paper.TABLE_15 == {"end of the branch": (22.28, 28.1), "after the 3×3": (22.48, 25.8)}
    assert paper.TABLE_14 == {"standard": 22.28, "PRE": 22.23, "POST": 22.78, "Identity": 22.20}
    near = [paper.TABLE_14[place] for place in ("standard", "PRE", "Identity")]
    assert round(max(near) - min(near), 2) == 0.08
    assert paper.TABLE_2_GFLOPS == {50: (3.86, 3.87), 101: (7.58, 7.60), 152: (11.30, 11.32)}
    assert paper.ABLATION_BASELINE == 23.30


def test_the_parameters_of_table_10_are_counted_within_a_tenth_of_a_million() -> None:
    with torch.device("meta"):
        plain = cost.parameters(networks.imagenet_resnet(50))
    stages = list(zip(networks.IMAGENET_BLOCKS[50], networks.IMAGENET_CHANNELS, strict=True))
    for r, (_, millions) in paper.TABLE_10.items():
        counted = round((plain + cost.se_parameters(stages, r)) / 1e6, 1)
        assert round(abs(counted - millions), 1) <= 0.1
