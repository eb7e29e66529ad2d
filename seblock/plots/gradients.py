"""Figures of 08_gradients."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from seblock.plots.toolkit import BLUE, RED, SERIES, SIGNED, Picture, canvas, rounded, styled


@styled
def nudged(change: Tensor, channel: int) -> Picture:
    """How far each position of x̃, (C, H, W), moved; the scale is cut so that small moves are seen."""
    figure, axes = canvas(1, len(change), 2.6)
    sizes = change.abs()
    scale = float(torch.cat([sizes[:channel], sizes[channel + 1 :]]).max())
    for c, ax in enumerate(axes.flat):
        drawn = ax.imshow(change[c].numpy(), cmap=SIGNED, vmin=-scale, vmax=scale)
        ax.set(title=f"$\\tilde{{x}}_{c + 1}$", xlabel=f"{float(sizes[c].max()):.2g}", xticks=[], yticks=[])
    figure.supxlabel("largest change of each map")
    figure.colorbar(drawn, ax=axes, label="change", shrink=0.9)
    return Picture(
        figure,
        f"One pixel of channel {channel + 1} was raised, and {int((change != 0).sum())} of {change.numel()} "
        f"numbers of the output change: there by {rounded(sizes.max())}, in other channels by at most "
        f"{rounded(scale)}. Channel {int(sizes.amax((1, 2)).argmin()) + 1} changes least, by at most "
        f"{float(sizes.amax((1, 2)).min()):.4f}.",
    )


@styled
def paths() -> Picture:
    """The block's computation from left to right, and below it the way of the gradient back."""
    figure, axes = canvas(1, 1, 4.2)
    ax = axes[0, 0]
    places = {"u": 0.0, "z": 2.0, "h": 4.0, "s": 6.0, "x̃": 8.6}
    steps = {"z": "mean", "h": "W₁, δ", "s": "W₂, σ", "x̃": "s · u"}
    back = {"z": "1 / (H · W)", "h": "[h > 0], W₁ᵀ", "s": "s (1 − s), W₂ᵀ", "x̃": "Σ g · u"}
    names = list(places)
    for name, x in places.items():
        ax.text(x, 0, name, fontsize=26, ha="center", va="center")
    for left, right in itertools.pairwise(names):
        a, b = places[left] + 0.35, places[right] - 0.35
        ax.annotate("", (b, 0.12), (a, 0.12), arrowprops={"arrowstyle": "->", "color": BLUE, "lw": 2.5})
        ax.text((a + b) / 2, 0.3, steps[right], color=BLUE, ha="center")
        ax.annotate("", (a, -0.12), (b, -0.12), arrowprops={"arrowstyle": "->", "color": RED, "lw": 2.5})
        ax.text((a + b) / 2, -0.5, back[right], color=RED, ha="center")
    curve = {"arrowstyle": "->", "lw": 2.5, "shrinkA": 12, "shrinkB": 12}
    ax.annotate(
        "", (8.5, 0.3), (0.1, 0.3), arrowprops=curve | {"color": BLUE, "connectionstyle": "arc3,rad=-0.28"}
    )
    ax.annotate(
        "", (0.1, -0.3), (8.5, -0.3), arrowprops=curve | {"color": RED, "connectionstyle": "arc3,rad=-0.28"}
    )
    ax.text(4.3, 1.3, "directly", color=BLUE, ha="center")
    ax.text(4.3, -1.55, "directly: s · g", color=RED, ha="center")
    ax.set(xlim=(-0.5, 9.1), ylim=(-2.2, 2.0))
    ax.set_axis_off()
    return Picture(
        figure,
        "Forward, in blue: u goes to x̃ directly and by 4 steps through z, h and s. Backward, in orange, the "
        "gradient takes both ways: directly times s; and by Σ g · u, s (1 − s), W₂ transposed, [h > 0], W₁ "
        "transposed and 1 / (H · W).",
    )


@styled
def two_paths(direct: Tensor, through: Tensor) -> Picture:
    """The two parts of ∂L/∂u and their sum, for one image, (C, H, W) each, on one scale."""
    rows = {"direct": direct, "through z": through, "sum": direct + through}
    scale = float(max(part.abs().max() for part in rows.values()))
    figure, axes = canvas(3, len(direct), 5.6)
    for line, (name, part) in zip(axes, rows.items(), strict=True):
        for c, ax in enumerate(line):
            drawn = ax.imshow(part[c].numpy(), cmap=SIGNED, vmin=-scale, vmax=scale)
            ax.set(xticks=[], yticks=[])
        line[0].set_ylabel(name)
    for c, ax in enumerate(axes[0], start=1):
        ax.set_title(f"$u_{c}$")
    figure.colorbar(drawn, ax=axes, label="gradient", shrink=0.6)
    sizes = [rounded(part.square().mean().sqrt()) for part in rows.values()]
    widest = float((through.amax((1, 2)) - through.amin((1, 2))).max())
    return Picture(
        figure,
        f"Gradient of u for one image, {len(direct)} channels. Root mean square: direct {sizes[0]}, by z "
        f"{sizes[1]}, sum {sizes[2]}. Through z each map has one value: they differ by {rounded(widest)}.",
    )


@styled
def slope(points: Mapping[float, tuple[float, float]]) -> Picture:
    """σ and its derivative s (1 − s) over what goes into σ; `points` maps some of that to s and s (1 − s)."""
    a = np.linspace(-8, 8, 161)
    s = 1 / (1 + np.exp(-a))
    figure, axes = canvas(1, 1, 4.2)
    ax = axes[0, 0]
    ax.plot(a, s, color=BLUE)
    ax.plot(a, s * (1 - s), color=RED, lw=3)
    ax.text(2.1, 0.75, "the gate, s = σ(a₂)", color=BLUE)
    ax.text(-2.3, 0.22, "what it lets back, s (1 − s)", color=RED, ha="right")
    told = []
    for at, (gate, back) in points.items():
        ax.plot(at, back, "o", color=RED, markersize=10)
        ax.annotate(f"{back:.2g}", (at, back), xytext=(6, 10), textcoords="offset points", color=RED)
        told.append(f"{back:.2g} at {at:g}, where the gate is {gate:.3g}")
    ax.set(xlabel="$a_2$", ylim=(0, 1.02), xlim=(-8, 8))
    return Picture(figure, f"s (1 − s) over a₂ from -8 to 8: {'; '.join(told)}.")


@styled
def counts(rows: Mapping[str, Sequence[int]], label: str) -> Picture:
    """A dot for each network over a whole number, equal ones stacked; `rows` maps a kind to its networks."""
    figure, axes = canvas(len(rows), 1, 1.2 + 1.5 * len(rows), sharex=True, sharey=True)
    told = []
    for (name, values), ax, colour in zip(rows.items(), axes.flat, SERIES, strict=False):
        for value, times in Counter(values).items():
            ax.plot([value] * times, np.arange(times) + 0.5, "o", color=colour, markersize=13)
        ax.set_ylabel(name, rotation=0, ha="right", va="center")
        ax.set(yticks=[], xlim=(-0.5, 18.5), xticks=range(0, 19, 2))
        ax.spines["left"].set_visible(False)
        told.append(f"{name} {min(values)} to {max(values)}, mean {sum(values) / len(values):.1f}")
    most = max(max(Counter(values).values()) for values in rows.values())
    axes[0, 0].set_ylim(0, most + 0.3)
    axes[-1, 0].set_xlabel(label)
    return Picture(figure, f"{label}, {len(values)} networks each: {'; '.join(told)}.")


NOTHING = 0.001
"""Where a scale of powers shows what is 0, or nearly."""


@styled
def spread(rows: Mapping[str, Sequence[Sequence[float]]], label: str) -> Picture:
    """A dot for each network and block, on a scale of powers with 0 at its left end.

    `rows` maps a kind to (networks, blocks).
    """
    figure, axes = canvas(1, 1, 4.6)
    ax, told = axes[0, 0], []
    for k, ((name, values), colour) in enumerate(zip(rows.items(), SERIES, strict=False)):
        for block, shares in enumerate(zip(*values, strict=True)):
            y = block + 0.3 * (k - (len(rows) - 1) / 2)
            places = np.maximum(shares, NOTHING)
            ax.plot(places, np.full(len(shares), y), "o", color=colour, markersize=11, alpha=0.55)
            if block == 0:
                ax.annotate(
                    name,
                    (max(shares), y),
                    xytext=(12, 0),
                    textcoords="offset points",
                    color=colour,
                    va="center",
                )
        sizes = list(itertools.chain(*values))
        told.append(
            f"{name}, {len(values)} networks: {min(sizes):.3f} to {max(sizes):.3f}, medians "
            + ", ".join(f"{np.median(shares):.3f}" for shares in zip(*values, strict=True))
        )
    ax.set(xscale="log", xlim=(0.8 * NOTHING, 1.8), ylim=(len(values[0]) - 0.5, -0.5), xlabel=label)
    ax.set_xticks([NOTHING, 0.01, 0.1, 1], ["0", "1 %", "10 %", "100 %"])
    ax.minorticks_off()
    ax.set_yticks(range(len(values[0])), [f"block {b + 1}" for b in range(len(values[0]))])
    ax.grid(axis="x", color="#dddddd")
    return Picture(figure, f"{label}, for {len(values[0])} blocks. {'; '.join(told)}.")
