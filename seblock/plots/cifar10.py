"""Figures of 10_cifar10."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from seblock.ablations import signed
from seblock.plots.toolkit import BLUE, GREEN, GREY, ORANGE, PURPLE, Picture, canvas, image, styled

COLOURS = (BLUE, ORANGE, GREEN)
DARK_ORANGE = "#9A6A00"
TEXT_COLOURS = (BLUE, DARK_ORANGE, GREEN)


@styled
def augmented(photo: Tensor, variants: Tensor, mirrored: Tensor) -> Picture:
    """A small photo (3, H, W) and what training makes of it, (N, 3, H, W), in 0..1; mirrored: (N,), bool."""
    figure, axes = canvas(1, 1 + len(variants), 2.0)
    titles = ["as it is", *("mirrored" if turned else "shifted" for turned in mirrored)]
    for ax, pixels, title in zip(axes.flat, [photo, *variants], titles, strict=True):
        image(ax, pixels, title)
    return Picture(
        figure,
        f"A photo of {photo.shape[-1]} × {photo.shape[-1]} and {len(variants)} variants of it "
        f"with black margins, {int(mirrored.sum())} of them mirrored.",
    )


@styled
def by_seed(differences: Tensor) -> Picture:
    """Differences in points, (n,), a bar a seed from zero to the side of the network that is ahead."""
    values = [float(d) for d in differences]
    figure, axes = canvas(1, 1, 5.0)
    ax = axes[0, 0]
    ax.barh(range(len(values)), values, 0.7, color=[ORANGE if v > 0 else BLUE for v in values])
    for y, value in enumerate(values):
        right = value >= 0
        ax.annotate(
            signed(value),
            (value, y),
            xytext=(5 if right else -5, 0),
            textcoords="offset points",
            ha="left" if right else "right",
            va="center",
            fontsize=14,
        )
    ax.axvline(0, color="black", linewidth=1)
    ax.set_yticks(range(len(values)), [f"seed {seed}" for seed in range(len(values))])
    ax.set(ylim=(len(values) - 0.4, -1.6), xlabel="SE's test accuracy less the plain network's, points")
    largest = max(abs(v) for v in values)
    ax.set_xlim(-1.25 * largest, 1.25 * largest)
    ax.text(-0.05 * largest, -1.1, "plain ahead", ha="right", va="center", color=BLUE, weight="bold")
    ax.text(0.05 * largest, -1.1, "SE ahead", ha="left", va="center", color=DARK_ORANGE, weight="bold")
    ahead = sum(v > 0 for v in values)
    told = ", ".join(signed(v) for v in values)
    return Picture(
        figure,
        f"SE's test accuracy less the plain network's, in points, seed by seed: {told}. "
        f"SE is ahead in {ahead} of {len(values)}.",
    )


Interval = tuple[float, float]
"""A mean, and half the width of its confidence interval."""


def whisker(ax: Axes, y: float, interval: Interval, colour: str) -> None:
    """A mean with its interval, on the height `y`."""
    mean, half = interval
    ax.errorbar(mean, y, xerr=half, fmt="o", color=colour, markersize=11, lw=4, capsize=8, capthick=3)


@styled
def comparisons(differences: Mapping[str, Tensor], intervals: Mapping[str, Interval]) -> Picture:
    """For each pair of networks its differences, a dot a seed, and below them their mean and interval."""
    figure, axes = canvas(1, 1, 5.0)
    ax = axes[0, 0]
    told = []
    for y, (name, values) in enumerate(differences.items()):
        mean, half = intervals[name]
        ax.plot(values, np.full(len(values), y - 0.2), "o", color=GREY, markersize=9, alpha=0.7)
        whisker(ax, y + 0.12, (mean, half), BLUE)
        said = f"{signed(mean, 3)} ± {half:.3f}"
        backing = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        ax.text(mean, y + 0.38, said, ha="center", va="center", color=BLUE, bbox=backing)
        low, high = float(values.min()), float(values.max())
        told.append(
            f"{name}: {said}, from {signed(mean - half)} to {signed(mean + half)}; "
            f"single seeds from {signed(low)} to {signed(high)}"
        )
    ax.axvline(0, color="black", linewidth=1)
    ax.set_yticks(range(len(differences)), list(differences))
    ax.set(
        ylim=(len(differences) - 0.4, -0.5),
        xlabel="difference in test accuracy, points: a dot a seed, below them mean and 95 % interval",
    )
    ax.grid(axis="x", color="#dddddd")
    return Picture(figure, f"Differences in points, mean and 95 % interval. {'. '.join(told)}.")


@styled
def power(curves: Mapping[float, Mapping[int, float]], seeds: int) -> Picture:
    """Shares in 0..1 of experiments that notice a gain, by number of seeds, a curve for each true gain.

    seeds: the number of seeds that is marked.
    """
    figure, axes = canvas(1, 1, 5.2)
    ax = axes[0, 0]
    told = []
    for (gain, curve), colour in zip(curves.items(), (GREEN, BLUE, PURPLE), strict=False):
        sizes, percent = list(curve), [100 * share for share in curve.values()]
        ax.plot(sizes, percent, "-o", color=colour, lw=3, markersize=8)
        middle = min(range(len(sizes)), key=lambda i: abs(percent[i] - 58))
        ax.annotate(
            f"true gain {gain:.3g}",
            (sizes[middle], percent[middle]),
            xytext=(-14, 10) if middle else (14, -8),
            textcoords="offset points",
            ha="right" if middle else "left",
            va="center",
            color=colour,
        )
        ax.annotate(
            f"{100 * curve[seeds]:.0f} %",
            (seeds, 100 * curve[seeds]),
            xytext=(-8, 10),
            textcoords="offset points",
            ha="right",
            color=colour,
            weight="bold",
        )
        each = ", ".join(f"{n} seeds {100 * share:.0f} %" for n, share in curve.items())
        told.append(f"With a true gain of {gain:.3g} points: {each}")
    ax.axvline(seeds, color=GREY, linestyle="--", zorder=0)
    ax.set_xscale("log")
    ticks = list(next(iter(curves.values())))
    ax.set_xticks(ticks, [str(n) for n in ticks])
    ax.minorticks_off()
    ax.set(
        ylim=(0, 112),
        xlim=(ticks[0] * 0.9, ticks[-1] * 1.4),
        yticks=range(0, 101, 20),
        xlabel="seeds of each network (logarithmic); gains are in points",
        ylabel="experiments that notice it, %",
    )
    ax.grid(axis="y", color="#dddddd")
    return Picture(figure, f"Experiments whose interval lies wholly above zero. {'. '.join(told)}.")


@styled
def curves(runs: Mapping[str, Mapping[int, Sequence[float]]], ends: Mapping[str, Sequence[float]]) -> Picture:
    """Test errors in per cent: of each network and seed epoch by epoch, and the last ones magnified."""
    figure, axes = canvas(1, 2, 5.4, width_ratios=(3, 2))
    whole, last = axes[0]
    told = []
    for (name, seeds), colour in zip(runs.items(), COLOURS, strict=False):
        for errors in seeds.values():
            whole.plot(range(1, len(errors) + 1), errors, "-", color=colour, lw=1.5, alpha=0.8)
        errors = ends[name]
        x = list(runs).index(name)
        last.plot(np.full(len(errors), x), errors, "o", color=colour, markersize=11, alpha=0.7)
        mean = float(np.mean(errors))
        last.plot([x - 0.28, x + 0.28], [mean, mean], color="black", lw=3)
        last.annotate(
            f"{mean:.2f}",
            (x + 0.28, mean),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=14,
        )
        told.append(
            f"{name}: {len(errors)} seeds from {min(errors):.2f} to {max(errors):.2f}, mean {mean:.2f}"
        )
    first = next(len(e) for seeds in runs.values() for e in seeds.values())
    whole.set(xlabel="epochs", ylabel="test images wrong, % (logarithmic)", yscale="log", xlim=(0, first + 1))
    whole.set_yticks((15, 20, 30, 50, 80), ("15", "20", "30", "50", "80"))
    whole.minorticks_off()
    whole.set_title("every run whose log was kept")
    last.set_title("after the last epoch, magnified")
    last.set_xticks(range(len(runs)), list(runs), weight="bold")
    for label, colour in zip(last.get_xticklabels(), TEXT_COLOURS, strict=False):
        label.set_color(colour)
    last.set_xlim(-0.5, len(runs) - 0.2)
    whole.grid(axis="y", color="#dddddd")
    last.grid(axis="y", color="#dddddd")
    return Picture(
        figure,
        f"Test errors in per cent over {first} epochs, and after the last one. {'; '.join(told)}.",
    )


@styled
def beside(ours: Mapping[str, Interval], others: Mapping[str, float]) -> Picture:
    """Gains in points: ours with their intervals, below them published ones, of which no spread is known."""
    figure, axes = canvas(1, 1, 5.0)
    ax = axes[0, 0]
    told = []
    for y, (name, interval) in enumerate(ours.items()):
        whisker(ax, y, interval, BLUE)
        told.append(f"{name} {signed(interval[0], 3)} ± {interval[1]:.3f}")
    for y, (name, gain) in enumerate(others.items(), start=len(ours)):
        ax.plot(gain, y, "D", color=ORANGE, markersize=12)
        ax.annotate(signed(gain), (gain, y), xytext=(12, 0), textcoords="offset points", va="center")
        told.append(f"{name} {signed(gain)}")
    ax.axhline(len(ours) - 0.5, color="#dddddd")
    ax.axvline(0, color="black", linewidth=1)
    ax.set_yticks(range(len(ours) + len(others)), [*ours, *others])
    ax.set(
        ylim=(len(ours) + len(others) - 0.5, -0.5),
        xlim=(-0.35, 1.4),
        xlabel="gained by SE, points of test accuracy; a diamond: published without an interval",
    )
    ax.grid(axis="x", color="#eeeeee")
    return Picture(figure, f"What SE gained on CIFAR-10, in points. {'; '.join(told)}.")
