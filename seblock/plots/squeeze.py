"""Figures of 03_squeeze."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from torch import Tensor

from seblock.photos import BRIGHT, VERTICAL
from seblock.plots.toolkit import (
    DOTS_PER_INCH,
    WIDTH,
    Picture,
    bars,
    canvas,
    channel_ticks,
    image,
    listed,
    styled,
)


@styled
def photos(x: Mapping[str, Tensor]) -> Picture:
    """Photos (3, H, W) side by side, by name."""
    figure, axes = canvas(1, len(x), 4.4)
    for ax, (name, photo) in zip(axes.flat, x.items(), strict=True):
        image(ax, photo, name)
    return Picture(figure, f"The photos, side by side: {', '.join(x)}.")


@styled
def bright(u: Mapping[str, Tensor]) -> Picture:
    """The first of the six maps, (6, H, W), for each name: black is 0, white 1 or more."""
    figure, axes = canvas(1, len(u), 4.4)
    for ax, (name, maps) in zip(axes.flat, u.items(), strict=True):
        image(ax, maps[BRIGHT], f"$\\mathbf{{u}}_1$ bright, {name}")
    return Picture(figure, f"The maps of bright, black 0, white 1 or more: {', '.join(u)}.")


PART = (slice(None), slice(20, 100), slice(30, 150))
"""The part of a photo that is shown enlarged, so that single pixels can be seen."""


@styled
def beside(x: Mapping[str, Tensor], u: Mapping[str, Tensor], z: Mapping[str, Sequence[float]]) -> Picture:
    """For each of two names a photo (3, H, W) and its vertical edges from (6, H, W); below, z (6,) as bars.

    Of the photos and the edges a part is shown, enlarged.
    """
    figure = Figure(figsize=(WIDTH, 6.6), dpi=DOTS_PER_INCH, layout="constrained")
    grid = figure.add_gridspec(2, 4, height_ratios=(2.4, 4.2))
    for k, name in enumerate(x):
        image(figure.add_subplot(grid[0, 2 * k]), x[name][PART], f"{name} (part)")
        image(figure.add_subplot(grid[0, 2 * k + 1]), u[name][PART][VERTICAL], "its vertical edges")
    bars(figure.add_subplot(grid[1, :]), dict(z), channel_ticks("z"))
    means = " ".join(f"{name}: {listed(values)}." for name, values in z.items())
    return Picture(figure, f"Each photo, its vertical edges, and its six means. {means}")


@styled
def z(rows: dict[str, Sequence[float]]) -> Picture:
    """A group of bars for each named channel; `rows` maps a label to six numbers."""
    figure, axes = canvas(1, 1, 4.2)
    bars(axes[0, 0], rows, channel_ticks("z"))
    return Picture(figure, " ".join(f"{label}: {listed(values)}." for label, values in rows.items()))


@styled
def fields(x: Tensor, of_u: Tensor, of_z: Tensor) -> Picture:
    """Which pixels of a photo (3, H, W) two numbers depend on, (H, W) each: one of u₁, enlarged, and z₁.

    Those that do not count are dimmed.
    """
    figure, axes = canvas(1, 2, 4.4)
    (top, left), size = (of_u != 0).nonzero().amin(0).tolist(), 10
    near = slice(top - size, top + 3 + size), slice(left - 15, left + 3 + 15)
    counts = [int((used != 0).sum()) for used in (of_u, of_z)]
    seen = [
        (
            x[:, near[0], near[1]],
            of_u[near],
            f"one number of $\\mathbf{{u}}_1$: {counts[0]} pixels (enlarged)",
        ),
        (x, of_z, f"$z_1$: {counts[1]:,} pixels"),
    ]
    for ax, (photo, used, title) in zip(axes.flat, seen, strict=True):
        image(ax, photo * (0.25 + 0.75 * (used != 0)), title)
    return Picture(
        figure,
        "A part of the photo, where all pixels but those that count for one number of the first map are "
        f"dimmed: {counts[0]} are left. And the whole photo for z: all {counts[1]:,} are.",
    )
