"""Figures of 03_squeeze."""

from collections.abc import Sequence

from matplotlib.colors import ListedColormap
from torch import Tensor

from seblock.paper import TABLE_11
from seblock.photos import CHANNELS
from seblock.plots.toolkit import (
    BLUE,
    SERIES,
    Picture,
    ablation,
    bars,
    canvas,
    channel_ticks,
    image,
    listed,
    rounded,
    styled,
)


@styled
def maps(x: Tensor, u: Tensor) -> Picture:
    """A photo (3, H, W) and its six maps (6, H, W), on one scale: white is 1 or more."""
    figure, axes = canvas(2, 4, 4.4)
    image(axes[0, 0], x, "the photo")
    axes[1, 0].text(0, 0.4, "black: 0\nwhite: 1 or more")
    axes[1, 0].set_axis_off()
    for c, ax in enumerate(axes[:, 1:].flat):
        image(ax, u[c], f"$\\mathbf{{u}}_{c + 1}$ {CHANNELS[c]}")
    return Picture(figure, f"A photo and its six maps. Largest values: {listed(u.amax((1, 2)))}.")


@styled
def z(rows: dict[str, Sequence[float]]) -> Picture:
    """A group of bars for each named channel; `rows` maps a label to six numbers."""
    figure, axes = canvas(1, 1, 4.2)
    bars(axes[0, 0], rows, channel_ticks("z"))
    return Picture(figure, " ".join(f"{label}: {listed(values)}." for label, values in rows.items()))


@styled
def fields(of_u: Tensor, of_z: Tensor) -> Picture:
    """Which pixels a number depends on, (H, W) each: one number of u, enlarged, and z."""
    figure, axes = canvas(1, 2, 4.0)
    titles = ["one number of $\\mathbf{u}_1$ (enlarged)", "$z_1$ (the whole photo)"]
    for ax, used, title in zip(axes.flat, (of_u, of_z), titles, strict=True):
        image(ax, (used != 0).float(), title, cmap=ListedColormap(["#dddddd", BLUE]))
        count = f"{int((used != 0).sum()):,} pixels"
        ax.text(
            0.5, 0.2, count, transform=ax.transAxes, ha="center", fontsize=22, bbox={"facecolor": "white"}
        )
    counts = [int((used != 0).sum()) for used in (of_u, of_z)]
    return Picture(
        figure,
        f"Blue are the pixels that count: {counts[0]} for one number of the first map, "
        f"all {counts[1]} for z.",
    )


def table_11() -> Picture:
    """Squeeze by max or mean: the paper's Table 11."""
    return ablation(TABLE_11, 11, 2.9)


@styled
def running_sum(sums: dict[str, Tensor], true_mean: float) -> Picture:
    """Running means of one map's values, (positions,) each, by how they were added."""
    figure, axes = canvas(1, 1, 4.0)
    ax = axes[0, 0]
    for (name, values), style, colour in zip(sums.items(), ("-", "--"), SERIES[:2], strict=True):
        ax.plot(values.numpy(), style, color=colour, linewidth=3, label=f"{name}: {float(values[-1]):,.0f}")
    ax.set_xlabel("values added so far")
    ax.set_ylabel("running sum")
    ax.legend()
    ends = ", ".join(f"{name} ends at {float(values[-1]):,.0f}" for name, values in sums.items())
    return Picture(
        figure, f"Adding one map's values one by one: {ends}. The mean should be {rounded(true_mean)}."
    )
