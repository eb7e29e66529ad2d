"""Figures of 01_convolution."""

from collections.abc import Iterable

import torch
from matplotlib.axes import Axes
from torch import Tensor

from seblock.photos import CHANNELS
from seblock.plots.toolkit import SIGNED, Picture, canvas, image, listed, styled

Spots = dict[str, tuple[int, int]]
"""Places in a photo by name: row and column."""

COLOURS = ("red", "green", "blue")
WHOLE = (160, 240)
TOP, BOTTOM, LEFT, RIGHT = 8, 122, 28, 199
"""The part of a whole photo that most figures show: the temple and the mist, without the trees around."""
MARKS = ("s", "o")
SIGNS = ("□", "○")
"""A square for the first place, a ring for the second: as a marker and in a text."""


def _part(t: Tensor, spots: Spots | None = None) -> tuple[Tensor, Spots]:
    """That part of whole maps, (..., H, W), and where the places are in it; other sizes stay as they are."""
    spots = spots or {}
    if t.shape[-2:] != WHOLE:
        return t, spots
    return t[..., TOP:BOTTOM, LEFT:RIGHT], {name: (i - TOP, j - LEFT) for name, (i, j) in spots.items()}


def _mark(ax: Axes, spots: Spots) -> None:
    """Mark each place with a shape of its own, black with a white rim: seen on light and on dark."""
    for mark, (i, j) in zip(MARKS, spots.values(), strict=False):
        for width, colour in ((6, "white"), (3, "black")):
            ax.plot(j, i, mark, ms=15, mfc="none", mec=colour, mew=width)


def _values(ax: Axes, values: dict[str, str]) -> None:
    """A line for each place below a picture: its mark, its name and what is to be read there."""
    lines = [f"{sign} {name} {value}" for sign, (name, value) in zip(SIGNS, values.items(), strict=False)]
    ax.set_axis_on()
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(visible=True, color="#999999")
    ax.set_xlabel("\n".join(lines), fontsize=19, linespacing=1.3)


def _signed(number: float | Tensor) -> str:
    """A number with its sign and two decimals, with a minus as wide as the plus; no sign for 0.00."""
    text = f"{float(number):+.2f}".replace("-", "−")
    return "0.00" if text[1:] == "0.00" else text


def _told(numbers: Iterable[float] | Tensor) -> str:
    return ", ".join(_signed(n) for n in numbers)


@styled
def photo(x: Tensor, spots: Spots) -> Picture:
    """A photo, (3, H, W), with its places marked and named."""
    figure, axes = canvas(1, 1, 4.2)
    ax = axes[0, 0]
    image(ax, x, "")
    _mark(ax, spots)
    plate = {"facecolor": "white", "edgecolor": "none", "pad": 3}
    for name, (i, j) in spots.items():
        ax.text(j + 9, i, name, fontsize=20, va="center", bbox=plate)
    places = ", ".join(f"{name} at row {i}, column {j}" for name, (i, j) in spots.items())
    return Picture(figure, f"A temple with red woodwork before misty water. Marked: {places}.")


@styled
def channels(x: Tensor, spots: Spots, means: dict[str, Tensor]) -> Picture:
    """The three channels of a photo, (3, H, W), in grey; `means` has three numbers, (3,), for each place."""
    x, spots = _part(x, spots)
    figure, axes = canvas(1, 3, 4.2)
    for s, (ax, colour) in enumerate(zip(axes.flat, COLOURS, strict=True)):
        image(ax, x[s], f"$\\mathbf{{x}}^{s + 1}$ {colour}")
        _mark(ax, spots)
        _values(ax, {name: f"{float(mean[s]):.2f}" for name, mean in means.items()})
    told = " ".join(f"{name}: {listed(mean, COLOURS)}." for name, mean in means.items())
    return Picture(figure, f"The channels of the photo, black 0, white 1. {told}")


@styled
def terms(t: Tensor, c: int, spots: Spots, scale: int = 2, x: Tensor | None = None) -> Picture:
    """The three terms of map c (from 0), (3, H, W), and their sum, on a scale from -scale to scale.

    They are read at `spots`; `x` is the photo, (3, H, W), where it is to stand beside them.
    """
    t, spots = _part(t, spots)
    first = 0 if x is None else 1
    figure, axes = canvas(1, first + 4, (2.9 if first else 3.2) + 0.35 * (len(spots) - 1))
    row = list(axes.flat)
    if x is not None:
        image(row[0], x, "$\\mathbf{X}$")
    for s, (ax, term) in enumerate(zip(row[first:], [*t, t.sum(0)], strict=True)):
        name = f"\\mathbf{{v}}_{c + 1}^{s + 1} * \\mathbf{{x}}^{s + 1}"
        title = f"${name}$\n{COLOURS[s]}" if s < 3 else f"$\\mathbf{{u}}_{c + 1}$\n{CHANNELS[c]}"
        drawn = image(ax, term, title, cmap=SIGNED, vmin=-scale, vmax=scale)
        _mark(ax, spots)
        _values(ax, {name: _signed(term[place]) for name, place in spots.items()})
        if s > 0:
            sign = "=" if s == 3 else "+"
            ax.text(-0.06, 0.5, sign, fontsize=30, ha="center", va="center", transform=ax.transAxes)
    bar = figure.colorbar(drawn, ax=axes, location="right", fraction=0.02, ticks=[-scale, 0, scale])
    bar.ax.set_yticklabels([f"−{scale}\nor less", "0", f"{scale}\nor more"])
    told = " ".join(
        f"At {name}: {_told(t[:, i, j])}, sum {_signed(t[:, i, j].sum())}." for name, (i, j) in spots.items()
    )
    return Picture(
        figure, f'The three terms of "{CHANNELS[c]}" and their sum, purple below zero, orange above. {told}'
    )


@styled
def maps(u: Tensor) -> Picture:
    """The six signed maps of a photo, (6, H, W), on one scale."""
    part, _ = _part(u)
    part = (40 * part).round() / 40  # steps that nobody sees: a third less to store
    figure, axes = canvas(2, 3, 5.6)
    for c, ax in enumerate(axes.flat):
        drawn = image(ax, part[c], f"$\\mathbf{{u}}_{c + 1}$ {CHANNELS[c]}", cmap=SIGNED, vmin=-1, vmax=1)
    bar = figure.colorbar(drawn, ax=axes, location="right", fraction=0.02, ticks=[-1, 0, 1])
    bar.ax.set_yticklabels(["−1 or less", "0", "1 or more"])
    return Picture(
        figure,
        "The six maps of the temple, purple below zero, orange above. "
        f"Largest values: {listed(u.amax((1, 2)))}. Smallest: {listed(u.amin((1, 2)))}.",
    )


@styled
def flip(spot: Tensor, kernel: Tensor, correlated: Tensor, convolved: Tensor) -> Picture:
    """One bright pixel (5, 5), a kernel (3, 3), and the cross-correlation and convolution of both, (3, 3)."""
    figure, axes = canvas(1, 4, 3.8)
    image(axes[0, 0], spot, "the input")
    titles = ["the kernel", "by F.conv2d", "by convolution"]
    for ax, grid, title in zip(axes[0, 1:], (kernel, correlated, convolved), titles, strict=True):
        image(ax, torch.as_tensor(grid), title, cmap="Blues", vmin=0, vmax=14)
        for i in range(3):
            for j in range(3):
                ax.text(j, i, f"{float(grid[i, j]):g}", ha="center", va="center", fontsize=24)
    rows = [
        " / ".join(" ".join(f"{float(n):g}" for n in row) for row in grid) for grid in (correlated, convolved)
    ]
    return Picture(
        figure, f"One bright pixel becomes, row by row: {rows[0]} by F.conv2d, {rows[1]} by convolution."
    )
