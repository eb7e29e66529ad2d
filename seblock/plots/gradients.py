"""Figures of 08_gradients."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from seblock.plots.toolkit import BLUE, ORANGE, RED, SIGNED, Picture, bars, canvas, listed, rounded, styled


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
        f"One pixel of channel {channel + 1} was raised. The output changes there by {rounded(sizes.max())}, "
        f"in other channels by at most {rounded(scale)}.",
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
        "Forward, in blue: u goes to x̃ directly and by 4 steps through z, h and s. Backward, in red, the "
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
    ax.plot(a, s, color=BLUE, label="the gate, s = σ(a₂)")
    ax.plot(a, s * (1 - s), color=ORANGE, lw=3, label="what it lets back, s (1 − s)")
    told = []
    for at, (gate, back) in points.items():
        ax.plot(at, back, "o", color=RED)
        ax.annotate(rounded(back), (at, back), xytext=(6, 10), textcoords="offset points")
        told.append(f"{rounded(back)} at {at:g}, where the gate is {rounded(gate)}")
    ax.set(xlabel="$a_2$", ylim=(0, 1.02), xlim=(-8, 8))
    ax.legend(loc="upper left")
    return Picture(figure, f"s (1 − s) over a₂ from -8 to 8: {'; '.join(told)}.")


@styled
def shares(rows: Mapping[str, Sequence[float]], ticks: Sequence[str], label: str) -> Picture:
    """Bars for each gate; `rows` maps a network to a share for each gate."""
    figure, axes = canvas(1, 1, 4.2)
    bars(axes[0, 0], {name: list(values) for name, values in rows.items()}, ticks, "%.2g")
    axes[0, 0].set_ylabel(label)
    return Picture(
        figure, f"{label}: " + "; ".join(f"{name}: {listed(v, ticks)}" for name, v in rows.items()) + "."
    )


@styled
def times(seconds: Mapping[str, Sequence[float]]) -> Picture:
    """A dot for every call, in milliseconds, and a line at the median; a row for each block.

    Calls that took more than thrice the larger median are counted, not drawn.
    """
    figure, axes = canvas(1, 1, 1.6 + 0.8 * len(seconds))
    ax = axes[0, 0]
    told = []
    calls = 1000 * np.concatenate([np.asarray(values) for values in seconds.values()])
    shown = calls <= 3000 * max(float(np.median(values)) for values in seconds.values())
    for y, (name, values) in enumerate(seconds.items()):
        milliseconds = 1000 * np.asarray(values)
        middle = float(np.median(milliseconds))
        ax.plot(milliseconds, np.full(len(values), y), "o", color=BLUE, alpha=0.4)
        ax.plot([middle, middle], [y - 0.3, y + 0.3], color=RED, lw=3)
        told.append(f"{name} {rounded(middle)}")
    ax.set_yticks(range(len(seconds)), list(seconds))
    left_out = "" if shown.all() else f"; slower calls, not drawn: {(~shown).sum()}"
    ax.set(
        ylim=(len(seconds) - 0.5, -0.5),
        xlim=(0, 1.05 * calls[shown].max()),
        xlabel=f"milliseconds a call, red: median{left_out}",
    )
    return Picture(figure, f"Median milliseconds of {len(values)} calls: {', '.join(told)}.")
