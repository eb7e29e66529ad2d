"""Figures of 09_context_decides."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from seblock.plots.toolkit import BLUE, GREY, ORANGE, RED, Picture, canvas, rounded, styled


@styled
def learning(losses: Sequence[float], grey: float) -> Picture:
    """The loss of each step of training, and what painting both digits in grey would cost."""
    figure, axes = canvas(1, 1, 4.6)
    ax = axes[0, 0]
    smooth = np.convolve(losses, np.ones(9) / 9, mode="valid")
    ax.plot(np.arange(len(smooth)) + 5, smooth, color=BLUE, linewidth=2.5)
    ax.axhline(grey, color=RED, linestyle="--")
    ax.text(len(losses), 1.06 * grey, "both digits, in grey", color=RED, ha="right", fontsize=16)
    ax.set(xlabel="step of training", ylabel="loss, mean of nine steps", ylim=(0, 3 * grey))
    return Picture(
        figure,
        f"The loss over {len(losses)} steps of training, in the end {rounded(smooth[-1])}. "
        f"Both digits in grey would cost {rounded(grey)}.",
    )


def strip(ax: Axes, results: Mapping[str, Sequence[float]]) -> None:
    """A line for each network, a dot on it for each seed, results in 0..1 drawn as per cent."""
    for y, values in enumerate(results.values()):
        shift = 0.4 * (np.arange(len(values)) / max(len(values) - 1, 1) - 0.5)
        ax.plot([100 * v for v in values], y + shift, "o", color=BLUE, markersize=9, alpha=0.7)
    ax.set_yticks(range(len(results)), list(results))
    ax.set(xlim=(-4, 104), ylim=(len(results) - 0.5, -0.5))
    ax.grid(axis="x", color="#dddddd")


def told(results: Mapping[str, Sequence[float]]) -> str:
    """The same in words: seeds, and the lowest, the middle and the highest of each network."""
    return "; ".join(
        f"{name}, {len(values)} seeds, {min(values):.0%} to {max(values):.0%}, median {np.median(values):.0%}"
        for name, values in results.items()
        if values
    )


@styled
def contest(runs: Mapping[str, Mapping[str, Sequence[float]]]) -> Picture:
    """Shares painted right, in 0..1: a panel for each way of training, a line a network, a dot a seed."""
    figure, axes = canvas(1, len(runs), 4.4, sharey=True)
    told_ways = []
    for ax, (way, results) in zip(axes.flat, runs.items(), strict=True):
        strip(ax, results)
        ax.axvline(50, color=RED, linestyle="--")
        ax.set_title(way, pad=34)  # room for the counts' own title
        ax.set(xticks=[0, 50, 100])
        counts = []
        for y, (name, values) in enumerate(results.items()):
            solved = sum(value > 0.9 for value in values)
            count = f"{solved} of {len(values)}" if values else "no run yet"
            ax.text(0, y, count, va="center", fontsize=15)
            counts.append(f"{name}, {count}")
        ax.text(0, -0.62, "above 90 %", va="bottom", fontsize=15, color=GREY)
        told_ways.append(f"{way}: {'; '.join(counts)}.")
    figure.supxlabel("painted right, %: a dot a seed; dashed: blind to the cue")
    return Picture(figure, f"Runs that paint more than 90 % right. {' '.join(told_ways)}")


@styled
def over_seeds(results: Mapping[str, Sequence[float]], label: str, levels: Mapping[str, float]) -> Picture:
    """A dot for each seed, a line for each network, and dashed levels to compare with; all in 0..1."""
    figure, axes = canvas(1, 1, 1.9 + 0.7 * len(results))
    ax = axes[0, 0]
    strip(ax, results)
    ax.set_xlabel(label)
    for name, level in levels.items():
        ax.axvline(100 * level, color=RED, linestyle="--")
        ax.text(100 * level, -0.6, f"{name}: {level:.0%}", color=RED, ha="center", va="bottom", fontsize=15)
    said = "; ".join(f"{level:.0%}, {name}" for name, level in levels.items())
    return Picture(
        figure, f"{label[0].upper()}{label[1:]}. {told(results)}. Dashed: {said}.".replace("\n", " ")
    )


@styled
def clouds(z: Mapping[str, Tensor], cue: Tensor) -> Picture:
    """One map's mean, (images,), for each size of image: a dot an image, coloured by its cue, (images,)."""
    figure, axes = canvas(len(z), 1, 4.6, sharex=True)
    words = []
    for ax, (size, values) in zip(axes.flat, z.items(), strict=True):
        middles = []
        for which, (name, colour) in enumerate([("vertical", BLUE), ("horizontal", ORANGE)]):
            these = values[cue == which]
            height = np.linspace(-1, 1, len(these))
            ax.plot(these, height, "o", color=colour, markersize=6, alpha=0.4, markeredgewidth=0)
            middles.append(float(these.mean()))
            ax.text(middles[-1], 1.35, name, color="black", ha="center", fontsize=15)
        ax.set(ylim=(-1.3, 2.3), yticks=[], ylabel=size)
        ax.yaxis.label.set(rotation=0, ha="right", va="center")
        ax.axvline(0, color=GREY, linewidth=1)
        spread = rounded(values[cue == 0].float().std())
        words.append(f"{size}, {rounded(middles[0])} and {rounded(middles[1])}, each spread by {spread}")
    axes[-1, 0].set_xlabel("mean of one map of the first layer: a dot an image")
    return Picture(figure, f"A map's mean for vertical and horizontal stripes: {'; '.join(words)}.")
