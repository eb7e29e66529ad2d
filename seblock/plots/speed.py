"""Figures of 14_speed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seblock.plots.toolkit import BLUE, ORANGE, RED, Picture, canvas, rounded, styled

MARKS = ((BLUE, "o"), (ORANGE, "s"))


@styled
def compare(rows: Sequence[Mapping[str, Any]], kinds: Sequence[str], label: str, one: str) -> Picture:
    """Shares of time of one kind or two: rows of the table "speed"; `one` is what 1 stands for.

    A panel for each layout, a line for each size; a bar shows where the noise leaves a share, if known.
    """
    rows = [row for row in rows if row["kind"] in kinds]
    layouts = list(dict.fromkeys(row["layout"] for row in rows))
    sizes = list(dict.fromkeys(row["maps"] for row in rows))
    figure, axes = canvas(1, len(layouts), 1.9 + 0.62 * len(sizes), sharex=True, sharey=True)
    told = []
    for ax, layout in zip(axes.flat, layouts, strict=True):
        ax.axvline(1, color="#999999", linewidth=2)
        for k, (kind, (colour, mark)) in enumerate(zip(kinds, MARKS, strict=False)):
            found = [row for row in rows if (row["layout"], row["kind"]) == (layout, kind)]
            y = [sizes.index(row["maps"]) + 0.26 * (k - (len(kinds) - 1) / 2) for row in found]
            shares = [row["share"] for row in found]
            ax.hlines(y, [row["from"] for row in found], [row["up to"] for row in found], color=colour, lw=3)
            ax.plot(shares, y, mark, color=colour, markersize=12, label=kind)
            least, most = f"{min(shares):.2f}", f"{max(shares):.2f}"
            told.append(f"{layout}, {kind}: {least} to {most}")
        ax.set_title(layout)
        ax.grid(axis="x", color="#dddddd")
    first = axes[0, 0]
    first.set(yticks=range(len(sizes)), yticklabels=sizes, ylim=(len(sizes) - 0.5, -0.5))
    if max(row["share"] for row in rows) > 2:
        first.set(xscale="log", xlim=(0.3, 6))
        first.set_xticks([0.5, 1, 2, 4], ["0.5", "1", "2", "4"])
        first.minorticks_off()
    if len(kinds) > 1:
        handles, names = first.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper left", ncols=len(kinds), handletextpad=0.2)
    figure.supxlabel(f"{label}; 1 is {one}", fontsize=16)
    return Picture(figure, f"{label}, {len(sizes)} sizes; 1 is {one}. {'; '.join(told)}.")


@styled
def times(seconds: Mapping[str, Sequence[float]]) -> Picture:
    """A dot for every call, in milliseconds, and a line at the median; a row for each block.

    Calls that took more than thrice the largest median are counted, not drawn.
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
        xlabel=f"milliseconds a call, orange line: median{left_out}",
    )
    return Picture(figure, f"Median milliseconds of {len(values)} calls: {', '.join(told)}.")
