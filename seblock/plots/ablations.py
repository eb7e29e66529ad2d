"""Figures of the paper's ablations, small, in 13_what_came_after."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from seblock.ablations import Difference
from seblock.plots.cifar10 import signed
from seblock.plots.toolkit import BLUE, COARSE, GREEN, ORANGE, PURPLE, RED, SKY, Picture, canvas, styled

COLOURS = {
    "digits": BLUE,
    "digits, bottlenecks": BLUE,
    "photos at 16 × 16": GREEN,
    "CIFAR-10": ORANGE,
    "puzzle, 24 wide": PURPLE,
    "puzzle, 16 wide": SKY,
    "puzzle, 16 wide, faint cue": RED,
    "puzzle, residual": PURPLE,
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
            color=COLOURS[task],
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
