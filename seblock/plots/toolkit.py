"""What every figure shares: the style, the canvas, the picture that shows itself, and the usual parts.

A drawing function, decorated with `@styled`, returns a `Picture`: the figure, and in words and rounded
numbers what is to be seen on it. Strict nbval compares the words, and they are what is left where a picture
cannot be shown.
"""

import functools
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, ParamSpec

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from seblock.paper import ABLATION_BASELINE
from seblock.photos import CHANNELS

P = ParamSpec("P")

# Okabe and Ito's colours, told apart with any kind of colour vision.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, GREY = "#CC79A7", "#56B4E9", "#767676"
SERIES = (BLUE, ORANGE, GREEN, PURPLE)
GREYS = ("#4d4d4d", "#b8b8b8", "#8a8a8a", "#dedede")
"""For bars above names of colours, which a colour of their own would contradict."""
SIGNED = "PuOr_r"
"""The diverging colour map: purple below zero, white at zero, orange above."""

# 12.8 × 7.2 inches at 100 dots an inch are 1280×720: no text is smaller than 14 points there.
WIDTH, HEIGHT = 12.8, 7.2
DOTS_PER_INCH = 150
COARSE = 100
"""Dots an inch of a figure full of detail: 1280 pixels, as many as a projector has, and a smaller file."""
SHOWN_WIDTH = 960
"""How wide a picture is shown, in a browser's pixels: half its own, so that a projector has some to spare."""
MOST_BYTES = 150_000
"""What a stored picture may take; a notebook has to stay small."""
UNSEEN = 0.25
"""How far colours, from 0 to 255, may be off in the mean for the sake of a smaller file."""
STYLE: dict[Any, Any] = {
    "font.size": 16,
    "axes.titlesize": 17,
    "axes.labelsize": 16,
    "xtick.labelsize": 15,
    "ytick.labelsize": 15,
    "legend.fontsize": 15,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "image.interpolation": "nearest",  # a square is a position; smoothing adds colours, and so bytes
    "mathtext.fontset": "dejavusans",
}


class Picture(NamedTuple):
    """A figure and its alt text; the last line of a cell shows it."""

    figure: Figure
    alt: str

    def __repr__(self) -> str:
        """The alt text below a line that gives nothing away: JupyterLab shows a folded output's first."""
        return f"Figure.\n{self.alt}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], Any]:
        """Text and picture for IPython, and what the page needs to know of the picture."""
        bundle = {"text/plain": repr(self), "image/png": png(self.figure)}
        width = round(SHOWN_WIDTH * self.figure.get_figwidth() / WIDTH)
        return bundle, {"image/png": {"alt": self.alt, "width": width}}


def styled(draw: Callable[P, Picture]) -> Callable[P, Picture]:
    """Let a drawing function use the series' style, whatever the reader's is; their own figures keep it."""

    @functools.wraps(draw)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> Picture:
        with matplotlib.style.context(["default", STYLE]):
            return draw(*args, **kwargs)

    return in_style


def canvas(
    rows: int, columns: int, height: float, dots: int = DOTS_PER_INCH, **options: Any
) -> tuple[Figure, Any]:
    """A white figure of the full width, `height` inches high, and its array of axes, (rows, columns).

    dots: how many an inch.
    """
    figure = Figure(figsize=(WIDTH, height), dpi=dots, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def palette_of(found: np.ndarray, counts: np.ndarray, colours: int) -> np.ndarray:
    """At most so many colours, (colours, 3), for pixels of the colours `found`, (n, 3), each `counts` times.

    The eight commonest ones, white among them, stay exactly as they are. Of the others each weighs as
    the root of how often it occurs: by plain counts a few strokes would get the colour of a larger area.
    """
    if len(found) <= colours:
        return found
    order = np.argsort(-counts, kind="stable")
    common, rest = order[:8], order[8:]
    sample = np.repeat(found[rest], np.ceil(np.sqrt(counts[rest])).astype(int), axis=0)
    cut = Image.fromarray(sample[None]).quantize(colours - len(common)).getpalette()
    return np.concatenate([found[common], np.array(cut, dtype=np.uint8).reshape(-1, 3)])


def with_palette(pixels: np.ndarray, colours: int) -> tuple[Image.Image, float]:
    """Pixels (H, W, 3), rounded to steps of 4, as an image of at most so many colours of its own.

    Beside it how far a pixel's red, green or blue is off by that, in the mean.
    """
    levels = (pixels.astype(np.int32) + 2) // 4
    codes = (levels[..., 0] * 65 + levels[..., 1]) * 65 + levels[..., 2]
    counts = np.bincount(codes.ravel(), minlength=65**3)
    used = counts.nonzero()[0]
    found = (np.stack(np.unravel_index(used, (65, 65, 65)), axis=1) * 4).clip(max=255).astype(np.uint8)
    palette = palette_of(found, counts[used], colours).astype(int)
    # |found − palette|², less |found|², which is the same for the whole palette
    nearest = (np.square(palette).sum(1) - 2 * found.astype(int) @ palette.T).argmin(1)
    off = np.abs(palette[nearest] - found).mean(1)
    place = np.zeros(65**3, np.uint8)
    place[used] = nearest
    image = Image.fromarray(place[codes])
    image.putpalette(palette.astype(np.uint8).tobytes())
    return image, float(np.average(off, weights=counts[used]))


def png(figure: Figure) -> bytes:
    """The figure as a PNG, 1920 or 1280 pixels wide: 256 colours, fewer where not seen or too large."""
    with matplotlib.style.context(["default", STYLE]):
        agg = FigureCanvasAgg(figure)
        agg.draw()
    pixels = np.asarray(agg.buffer_rgba())[..., :3]
    for colours in (64, 128, 256):
        image, off = with_palette(pixels, colours)
        if off <= UNSEEN:
            break
    while True:
        buffer = io.BytesIO()
        image.save(buffer, format="PNG", optimize=True)
        if buffer.tell() <= MOST_BYTES or colours < 32:
            return buffer.getvalue()
        colours = colours * 7 // 8
        image, _ = with_palette(pixels, colours)


def show(figure: Figure, alt: str) -> None:
    """Display a picture that does not end its cell: `show(*plots.z(rows))`."""
    from IPython.display import display

    display(Picture(figure, alt))


def image(ax: Axes, pixels: Any, title: str, **options: Any) -> Any:
    """One map (H, W) in grey from 0 to 1, or one photo (3, H, W), without axes."""
    pixels = pixels.detach()
    if pixels.ndim == 3:
        drawn = ax.imshow(pixels.permute(1, 2, 0).clamp(0, 1).numpy())
    else:
        drawn = ax.imshow(pixels.numpy(), **{"cmap": "gray", "vmin": 0, "vmax": 1, **options})
    ax.set_title(title)
    ax.set_axis_off()
    return drawn


def bars(ax: Axes, rows: dict[str, Sequence[float]], ticks: Sequence[str], fmt: str = "%.2f") -> None:
    """A group of grey bars for each tick; `rows` maps a label to as many numbers as there are ticks."""
    if len(rows) > len(GREYS):
        raise ValueError(f"at most {len(GREYS)} rows, got {len(rows)}")
    width = 0.84 / len(rows)
    for k, ((label, values), colour) in enumerate(zip(rows.items(), GREYS, strict=False)):
        places = [i + (k - (len(rows) - 1) / 2) * width for i in range(len(ticks))]
        drawn = ax.bar(places, [float(v) for v in values], width, label=label, color=colour)
        ax.bar_label(drawn, fmt=fmt, fontsize=14)
    ax.set_xticks(range(len(ticks)), ticks)
    ax.axhline(0, color="black", linewidth=0.8)
    ax.margins(y=0.12)
    if len(rows) > 1:
        ax.legend()


def dots(ax: Axes, values: Mapping[str, float], baseline: float | None = None, label: str = "") -> None:
    """A dot for each name on a line of its own, for numbers of which no zero is near."""
    for y, value in enumerate(values.values()):
        ax.plot(value, y, "o", color=BLUE, markersize=14)
        ax.annotate(f"{value:.2f}", (value, y), xytext=(0, 12), textcoords="offset points", ha="center")
    ax.set_yticks(range(len(values)), list(values))
    ax.set_ylim(len(values) - 0.5, -0.7)
    ax.grid(axis="x", color="#dddddd")
    if baseline is not None:
        ax.axvline(baseline, color=RED, linestyle="--", label=f"{label} {baseline:.2f}")
        ax.legend(loc="upper left", bbox_to_anchor=(1, 1))


@styled
def ablation(values: Mapping[str, float], table: int, height: float) -> Picture:
    """Top-1 errors of one of the paper's ablations, a name a line, beside the network without SE."""
    figure, axes = canvas(1, 1, height)
    dots(axes[0, 0], values, ABLATION_BASELINE, "no SE:")
    axes[0, 0].set(
        xlim=(22.0, 23.6), xlabel=f"top-1 error on ImageNet, % (Table {table}): left is better; axis from 22"
    )
    return Picture(figure, ablation_alt(values, table))


def ablation_alt(values: Mapping[str, float], table: int) -> str:
    """What a picture of an ablation shows, in words."""
    told = ", ".join(f"{name} {error:.2f} %" for name, error in values.items())
    best, worst = min(values, key=lambda name: values[name]), max(values, key=lambda name: values[name])
    return (
        f"Top-1 error of SE-ResNet-50, Table {table}: {told}; without SE {ABLATION_BASELINE:.2f} %. "
        f"Best: {best}; worst: {worst}."
    )


def strokes(ax: Axes, rows: dict[str, Tensor]) -> str:
    """A row of strokes for each tensor of any shape; returns their ranges in words."""
    for y, values in enumerate(rows.values()):
        ax.plot(
            values.flatten(), np.full(values.numel(), y), "|", color=BLUE, markersize=24, markeredgewidth=2
        )
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set_ylim(len(rows) - 0.5, -0.5)
    return "; ".join(f"{name}, from {float(v.min()):.2f} to {float(v.max()):.2f}" for name, v in rows.items())


def channel_ticks(letter: str) -> list[str]:
    """Axis labels such as "z₄ red" on two lines, one for each named channel."""
    return [f"${letter}_{c}$\n{name}" for c, name in enumerate(CHANNELS, start=1)]


def rounded(value: float | Tensor) -> str:
    """A number with two significant digits, so that another processor gives the same text."""
    text = f"{float(value):.2g}"
    if 0 < abs(float(text)) < 1e-3:
        return "nearly 0"
    return f"{float(text):g}"


def listed(values: Iterable[float] | Tensor, names: Sequence[str] = CHANNELS) -> str:
    """Names with their numbers, for an alt text: "bright 0.56, horizontal edges 0.081, …"."""
    return ", ".join(f"{name} {rounded(v)}" for name, v in zip(names, values, strict=True))
