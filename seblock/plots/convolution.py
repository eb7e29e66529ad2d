"""Figures of 01_convolution."""

import torch
from torch import Tensor

from seblock.photos import CHANNELS
from seblock.plots.toolkit import SIGNED, Picture, canvas, image, listed, styled


@styled
def maps(x: Tensor, u: Tensor) -> Picture:
    """A photo (3, H, W) and its six signed maps (6, H, W) on one scale."""
    figure, axes = canvas(2, 4, 4.6)
    image(axes[0, 0], x, "$\\mathbf{X}$, the photo")
    axes[1, 0].set_axis_off()
    for c, ax in enumerate(axes[:, 1:].flat):
        drawn = image(ax, u[c], f"$\\mathbf{{u}}_{c + 1}$ {CHANNELS[c]}", cmap=SIGNED, vmin=-1, vmax=1)
    bar = figure.colorbar(drawn, ax=axes, location="right", fraction=0.02, ticks=[-1, 0, 1])
    bar.ax.set_yticklabels(["−1 or less", "0", "1 or more"])
    alt = (
        "A photo of a temple and its six maps, purple below zero, orange above. "
        f"Largest values: {listed(u.amax((1, 2)))}. Smallest: {listed(u.amin((1, 2)))}."
    )
    return Picture(figure, alt)


@styled
def terms(t: Tensor, spots: dict[str, tuple[int, int]]) -> Picture:
    """The three terms of "red", (3, H, W), and their sum; `spots` names positions to be read."""
    titles = ["$\\mathbf{v}_4^1 * \\mathbf{x}^1$\n2 × red", "$\\mathbf{v}_4^2 * \\mathbf{x}^2$\n−1 × green"]
    titles += ["$\\mathbf{v}_4^3 * \\mathbf{x}^3$\n−1 × blue", "$\\mathbf{u}_4$\ntheir sum"]
    figure, axes = canvas(1, 4, 3.0)
    summed = [*t, t.sum(0)]
    plate = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
    for ax, term, title in zip(axes.flat, summed, titles, strict=True):
        drawn = image(ax, term, title, cmap=SIGNED, vmin=-2, vmax=2)
        for name, (i, j) in spots.items():
            ax.plot(j, i, "s", markersize=11, markerfacecolor="none", markeredgecolor="black")
            value = f"{name} {float(term[i, j]):+.2f}"
            ax.annotate(
                value, (j, i), (0, -18), textcoords="offset points", ha="center", va="center", bbox=plate
            )
    figure.colorbar(drawn, ax=axes, location="right", fraction=0.02, ticks=[-2, 0, 2])

    def told(values: Tensor) -> str:
        return ", ".join(f"{float(v):.3f}" for v in values)

    alt = 'The three terms of "red" and their sum, purple below zero, orange above. ' + " ".join(
        f"At {name}: {told(t[:, place[0], place[1]])}, sum {float(t[:, place[0], place[1]].sum()):.3f}."
        for name, place in spots.items()
    )
    return Picture(figure, alt)


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
