"""Figures of 05_rescale."""

from collections.abc import Mapping

import torch
from torch import Tensor

from seblock.photos import RED
from seblock.plots.toolkit import BLUE, ORANGE, Picture, canvas, image, rounded, styled
from seblock.puzzles import Puzzle


@styled
def by_gate(what: str, maps: Mapping[str, Tensor]) -> Picture:
    """What becomes of maps, (H, W), for some settings of a gate; `what` they are begins the text."""
    figure, axes = canvas(1, len(maps), 3.6)
    figure.supxlabel("black 0, white 1 or more", fontsize=15)
    for ax, (name, y) in zip(axes.flat, maps.items(), strict=True):
        image(ax, y, name)
    told = "; ".join(f"{name}: mean {rounded(y.mean())}" for name, y in maps.items())
    return Picture(figure, f"{what}, by its gate. {told}.")


@styled
def patch(x: Tensor, reds: Tensor, s: Tensor) -> Picture:
    """A photo with a patch, (3, H, W), and rescaled "red" without and with it, (2, H, W), gates (2, 6)."""
    figure, axes = canvas(1, 3, 3.6)
    image(axes[0, 0], x, "with the patch")
    for k, name in enumerate(("without", "with")):
        title = f"“red” {name} the patch, $s_4$ = {float(s[k, RED]):.2f}"
        image(axes[0, k + 1], reds[k], title, vmax=0.4)
        axes[0, k + 1].title.set_fontsize(15)
    figure.supxlabel("maps: black 0, white 0.4 or more", fontsize=15)
    box = (slice(60, 130), slice(40, 120))
    means = [float(r[box].mean()) for r in reds]
    return Picture(
        figure,
        f"A photo with a blue patch in the far corner. Without it the gate of red is {float(s[0, RED]):.2f} "
        f"and the temple shows, mean {rounded(means[0])}; with it the gate is {float(s[1, RED]):.2f} and the "
        f"temple's mean {rounded(means[1])}.",
    )


@styled
def switch(s: Tensor) -> Picture:
    """The gates of one block for an image with vertical and one with horizontal stripes, (2, C)."""
    figure, axes = canvas(1, 1, 4.6)
    ax = axes[0, 0]
    difference = s[0] - s[1]
    order = difference.argsort(descending=True)
    places = torch.arange(len(order))
    ax.vlines(places, s.amin(0)[order], s.amax(0)[order], color="#bbbbbb", linewidth=3, zorder=1)
    for k, (name, colour, marker) in enumerate(
        (("vertical stripes", BLUE, "o"), ("horizontal stripes", ORANGE, "s"))
    ):
        ax.plot(places, s[k, order], marker, color=colour, markersize=12, label=name)
    ax.set(ylim=(0, 1), ylabel="gate", xticks=places.tolist(), xticklabels=[int(c) + 1 for c in order])
    ax.set_xlabel("map, sorted by the difference of its two gates")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, handletextpad=0.2)
    first, last = int(order[0]), int(order[-1])
    told = [f"map {c + 1} {float(s[0, c]):.2f} and {float(s[1, c]):.2f}" for c in (first, last)]
    return Picture(
        figure,
        f"The {len(order)} gates of one block, for vertical and for horizontal stripes. Most different: "
        f"{'; '.join(told)}. {int((difference.abs() > 0.2).sum())} differ by more than 0.2.",
    )


@styled
def opened(p: Puzzle, x_tilde: Tensor, s: Tensor, channels: tuple[int, int]) -> Picture:
    """Two images of the puzzle, and two channels of them behind a block: maps (2, C, H, W), gates (2, C)."""
    figure, axes = canvas(2, 5, 5.7)
    white = float(x_tilde[:, list(channels)].max())
    told = []
    for n, line in enumerate(axes):
        inputs = {"channel 1": p.x[n, 0], "channel 2": p.x[n, 1], "cue": p.x[n, 2]}
        for ax, (name, pixels) in zip(line, inputs.items(), strict=False):
            image(ax, pixels, name if n == 0 else "")
        for ax, c in zip(line[3:], channels, strict=True):
            title = f"gate {float(s[n, c]):.2f}"
            image(ax, x_tilde[n, c] / white, f"map {c + 1}, {title}" if n == 0 else title)
            told.append(
                f"map {c + 1} of image {n + 1}, {title}, largest value {rounded(x_tilde[n, c].max())}"
            )
    return Picture(figure, "Two maps after their gates. " + "; ".join(told) + ".")
