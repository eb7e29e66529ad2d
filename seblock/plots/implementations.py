"""Figures of 06_two_implementations."""

from collections.abc import Mapping

from torch import Tensor

from seblock.paper import ABLATION_BASELINE
from seblock.plots.toolkit import BLUE, GREY, RED, Picture, canvas, strokes, styled


@styled
def lost(rows: dict[str, Tensor]) -> Picture:
    """Factors of a block without δ and σ beside gates; `rows` maps a name to numbers of any shape."""
    figure, axes = canvas(1, 1, 4.0)
    ax = axes[0, 0]
    alt = strokes(ax, {name: numbers.detach() for name, numbers in rows.items()})
    ax.axvspan(0, 1, color="#e4e4e4", zorder=0)
    ax.text(0.5, -0.62, "where a gate may be", ha="center", va="bottom", color=GREY)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set(xlabel="what a map is multiplied by: a stroke for each map of each image")
    return Picture(figure, f"Numbers by which the maps are multiplied: {alt}.")


@styled
def table_10(
    table: Mapping[int, tuple[float, float]], millions: Mapping[int, float], plain: float
) -> Picture:
    """Errors of the paper's Table 10 over parameters: `millions`, computed for each r, `plain` without SE."""
    figure, axes = canvas(1, 1, 4.4)
    ax = axes[0, 0]
    dots = [(millions[r], error, f"r = {r}", BLUE) for r, (error, _) in table.items()]
    for x, error, name, colour in [*dots, (plain, ABLATION_BASELINE, "no SE", RED)]:
        ax.plot(x, error, "o", color=colour, markersize=14)
        ax.annotate(name, (x, error), xytext=(0, 14), textcoords="offset points", ha="center", color=colour)
    ax.set(
        xlim=(24, 47),
        ylim=(22.1, 23.6),
        xlabel="millions of parameters of ResNet-50, computed; axes start at 24 and 22.1",
    )
    ax.set_ylabel("top-1 error, %\n(Table 10)")
    told = [f"r = {r}: {error:.2f} % with {millions[r]:.1f}" for r, (error, _) in table.items()]
    best = min(table, key=lambda r: table[r][0])
    return Picture(
        figure,
        f"Error of Table 10 over computed millions of parameters. {'; '.join(told)}. Best r = {best}; "
        f"without SE {ABLATION_BASELINE:.2f} % with {plain:.1f}.",
    )
