"""Figures of 13_what_came_after."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch
from torch import Tensor

from seblock.ablations import Difference, signed
from seblock.plots.context import strip
from seblock.plots.toolkit import (
    BLUE,
    COARSE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    Picture,
    canvas,
    image,
    rounded,
    styled,
)
from seblock.puzzles import Where, distance

QUESTIONS = ("what is squeezed?", "how are gates made?", "what is gated?")
FAMILY = {
    "SE": ("mean of each map", "two layers", "channels"),
    "effective SE": ("mean of each map", "one layer", "channels"),
    "ECA": ("mean of each map", "1-D convolution", "channels"),
    "CBAM, channels": ("mean and maximum", "two layers", "channels"),
    "CBAM, places": ("mean and max. of channels", "7×7 convolution", "positions"),
    "sSE": ("sum over channels", "nothing more", "positions"),
    "scSE": ("SE's and sSE's, both", "SE's and sSE's, both", "channels + positions"),
    "gather-excite": ("mean of a map or area", "nothing more", "channels or areas"),
    "global context": ("weighted mean", "two layers", "nothing: a term is added"),
}
"""What each gate answers to the three questions."""


@styled
def family() -> Picture:
    """The three questions, a line for each gate; what differs from SE's answer is in blue."""
    figure, axes = canvas(1, 1, 6.8)
    ax = axes[0, 0]
    lefts, widths = (19.0, 48.0, 72.0), (28.0, 23.0, 28.0)
    for left, question in zip(lefts, QUESTIONS, strict=True):
        ax.text(left, 0.2, question, fontsize=16, weight="bold", va="center")
    se, changes = FAMILY["SE"], {}
    for y, (name, answers) in enumerate(FAMILY.items(), start=1):
        ax.text(0, y, name, fontsize=17, va="center", weight="bold" if name == "SE" else "normal")
        changes[name] = sum(answer != of_se for answer, of_se in zip(answers, se, strict=True))
        for left, width, answer, of_se in zip(lefts, widths, answers, se, strict=True):
            differs = answer != of_se
            ax.add_patch(
                FancyBboxPatch(
                    (left, y - 0.34),
                    width - 1.5,
                    0.68,
                    boxstyle="round,pad=0,rounding_size=0.3",
                    fc="#cfe3f2" if differs else "#eeeeee",
                    ec=BLUE if differs else "#bbbbbb",
                    lw=2 if differs else 1,
                )
            )
            colour = "black" if differs or name == "SE" else "#666666"
            ax.text(left + 0.8, y, answer, fontsize=16, va="center", color=colour)
    ax.set(xlim=(0, 100), ylim=(len(FAMILY) + 0.5, -0.3))
    ax.set_axis_off()
    told = "; ".join(f"{name} {count}" for name, count in changes.items() if name != "SE")
    return Picture(figure, f"Gates by three questions. Answers that differ from SE's: {told}.")


@styled
def places(p: Where, rows: Sequence[int], outputs: Mapping[str, Tensor] | None = None) -> Picture:
    """Images of the *where* puzzle, one a row: the digits, the bars, what is painted, the target."""
    outputs = outputs or {}
    columns = 3 + len(outputs)
    figure, axes = canvas(len(rows), columns, 0.8 + 9.0 / columns * len(rows))
    for line, n in zip(axes, rows, strict=True):
        maps = {"channel 1": p.x[n, 0], "channel 2: the bars": p.x[n, 1]}
        maps |= {name: output[n, 0] for name, output in outputs.items()} | {"to be painted": p.target[n, 0]}
        for ax, (name, pixels) in zip(line, maps.items(), strict=True):
            image(ax, pixels, name if n == rows[0] else "")
    figure.supxlabel("black 0, white 1", fontsize=15)
    told = []
    for name, output in outputs.items():
        off, other = (float(distance(output, t)[list(rows)].mean().sqrt()) for t in (p.target, p.other))
        told.append(f"{name} is {rounded(off)} from the marked digit and {rounded(other)} from the other")
    sides = [("left", "right")[int(p.marked[n])] for n in rows]
    marked = f"{len(rows)} images; marked is the digit on the {', then on the '.join(sides)}."
    return Picture(figure, f"{marked} {'; '.join(told)}." if told else marked)


@styled
def opponents(runs: Mapping[str, Mapping[str, Sequence[float]]]) -> Picture:
    """Shares painted right, in 0..1: a panel for each way of training, a line a network, a dot a seed."""
    figure, axes = canvas(1, len(runs), 6.4, sharey=True)
    told_ways = []
    for ax, (way, results) in zip(axes.flat, runs.items(), strict=True):
        strip(ax, results)
        ax.set_title(way, pad=26)
        ax.set(xticks=[0, 50, 100])
        counts = []
        for y, (name, values) in enumerate(results.items()):
            solved = sum(value > 0.9 for value in values)
            count = f"{solved} of {len(values)}" if values else "not trained so"
            ax.text(50, y, count, va="center", ha="center", fontsize=15, color=GREY)
            counts.append(f"{name}, {count}")
        ax.text(50, -0.62, "above 90 %", va="bottom", ha="center", fontsize=15, color=GREY)
        told_ways.append(f"{way}: {'; '.join(counts)}.")
    figure.supxlabel("painted right, %: a dot a seed")
    return Picture(figure, f"Runs that paint more than 90 % right. {' '.join(told_ways)}")


@styled
def pairs(one: Mapping[str, Sequence[float]], ends: tuple[float, float], label: str) -> Picture:
    """Two networks over the same seeds, in 0..1, a line for each pair, and the mean difference's interval."""
    figure, axes = canvas(1, 2, 4.4, width_ratios=(3, 2))
    left, right = axes[0]
    (a, first), (b, second) = one.items()
    for x, y in zip(first, second, strict=True):
        left.plot([0, 1], [100 * x, 100 * y], "o-", color=BLUE, markersize=9, alpha=0.6)
    left.set_xticks([0, 1], [a, b])
    left.set(xlim=(-0.3, 1.3), ylabel=label, xlabel="a line per seed")
    left.set_yscale("log")
    left.set_yticks([1, 10, 100], ["1", "10", "100"])
    left.minorticks_off()
    differences = 100 * (np.asarray(second) - np.asarray(first))
    middle, low, high = differences.mean(), 100 * ends[0], 100 * ends[1]
    right.plot(np.linspace(-0.15, 0.15, len(differences)), differences, "o", color=BLUE, ms=9, alpha=0.6)
    bar = [[middle - low], [high - middle]]
    right.errorbar(0.4, middle, bar, fmt="s", color=ORANGE, ms=10, lw=3, capsize=8)
    right.axhline(0, color=RED, linestyle="--")
    right.set(xlim=(-0.3, 0.6), xticks=[0, 0.4], ylabel="difference, points")
    right.set_xticklabels(["seeds", "mean, 95 %"])
    return Picture(
        figure,
        f"{len(first)} pairs, {label}. {b} less {a}: {middle:+.1f} points in the mean, "
        f"95 % interval {low:+.1f} to {high:+.1f}.",
    )


TASK_COLOURS = {
    "digits": BLUE,
    "digits, bottlenecks": GREY,
    "photos at 16 × 16": GREEN,
    "CIFAR-10": ORANGE,
    "puzzle, 24 wide": PURPLE,
    "puzzle, 16 wide": SKY,
    "puzzle, residual": RED,
}
"""Of each task, in every figure."""


@styled
def differences(found: Sequence[Difference]) -> Picture:
    """Variants less SE: accuracy beside the paper's diamonds, and shares of runs that solve a puzzle."""
    variants = list(dict.fromkeys(d.variant for d in found))
    panels = {
        "accuracy above SE's, points": [d for d in found if not d.task.startswith("puzzle")],
        "runs that solve it above SE's, points": [d for d in found if d.task.startswith("puzzle")],
    }
    panels = {name: inside for name, inside in panels.items() if inside}
    figure, axes = canvas(1, len(panels), 2.2 + 1.1 * len(variants), dots=COARSE, sharey=True)
    for ax, (name, inside) in zip(axes[0], panels.items(), strict=True):
        _panel(ax, inside, variants, diamonds=not inside[0].task.startswith("puzzle"))
        ax.set_xlabel(name)
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, handletextpad=0.4, columnspacing=1)
    axes[0, 0].set_yticks(range(len(variants)), variants)
    axes[0, 0].set_ylim(len(variants) - 0.45, -0.55)
    published = {d.variant: d.paper for d in found if d.paper is not None}
    told = [
        f"{d.variant}, {d.task}: {signed(d.mean, 1)}, from {signed(d.low, 1)} to {signed(d.high, 1)}"
        for d in found
    ]
    told += [f"{variant}, the paper: {signed(value)}" for variant, value in published.items()]
    return Picture(figure, f"Variants less SE, in points, with 95 % intervals. {'; '.join(told)}.")


def _panel(ax: Axes, found: Sequence[Difference], variants: Sequence[str], diamonds: bool) -> None:
    """A line of whiskers for each variant, a colour a task, and the paper's number above them."""
    tasks = list(dict.fromkeys(d.task for d in found))
    lines = len(tasks) + diamonds
    for line, task in enumerate(tasks, start=int(diamonds)):
        these = [d for d in found if d.task == task]
        heights = [variants.index(d.variant) + 0.7 * ((line + 0.5) / lines - 0.5) for d in these]
        ends = [[d.mean - d.low for d in these], [d.high - d.mean for d in these]]
        means = [d.mean for d in these]
        ax.errorbar(
            means,
            heights,
            xerr=ends,
            fmt="o",
            color=TASK_COLOURS[task],
            label=task,
            markersize=8,
            lw=3,
            capsize=5,
            capthick=2,
        )
    if diamonds:
        published = {variants.index(d.variant): d.paper for d in found if d.paper is not None}
        heights = [y + 0.7 * (0.5 / lines - 0.5) for y in published]
        ax.plot(list(published.values()), heights, "D", color="black", markersize=9, label="the paper")
    ax.axvline(0, color="black", linewidth=1)
    for y in range(1, len(variants)):
        ax.axhline(y - 0.5, color="#dddddd", linewidth=1)
    ax.grid(axis="x", color="#eeeeee")
