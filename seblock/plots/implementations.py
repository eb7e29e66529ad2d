"""Figures of 06_two_implementations."""

from collections.abc import Mapping

from torch import Tensor

from seblock.paper import ABLATION_BASELINE
from seblock.plots.toolkit import BLUE, RED, Picture, canvas, strokes, styled


@styled
def lost(rows: dict[str, Tensor]) -> Picture:
    """What the listing calls gates beside gates; `rows` maps a name to numbers of any shape."""
    figure, axes = canvas(1, 1, 3.2)
    alt = strokes(axes[0, 0], rows)
    axes[0, 0].axvspan(0, 1, color="#eeeeee", zorder=0)
    axes[0, 0].set(
        xlim=(-0.6, 1.05), xlabel="a stroke for each channel and image; grey: where a gate may be, 0 to 1"
    )
    return Picture(figure, f"Numbers by which the channels are multiplied: {alt}.")


@styled
def table_10(table: Mapping[int, tuple[float, float]], millions: Mapping[int, float]) -> Picture:
    """Errors of the paper's Table 10 over parameters, `millions`, computed for each reduction."""
    figure, axes = canvas(1, 1, 4.4)
    ax = axes[0, 0]
    for r, (error, _) in table.items():
        ax.plot(millions[r], error, "o", color=BLUE, markersize=14)
        ax.annotate(f"r = {r}", (millions[r], error), xytext=(0, 14), textcoords="offset points", ha="center")
    ax.axhline(ABLATION_BASELINE, color=RED, ls="--")
    ax.text(max(millions.values()), ABLATION_BASELINE - 0.08, "no SE", color=RED, ha="right")
    ax.set(ylim=(22, 23.5), xlabel="parameters of SE-ResNet-50, millions (computed)")
    ax.set_ylabel("top-1 error, %\n(Table 10)")
    told = [f"r = {r}: {error:.2f} % with {millions[r]:.1f}" for r, (error, _) in table.items()]
    best = min(table, key=lambda r: table[r][0])
    return Picture(
        figure,
        f"Error of Table 10 over computed millions of parameters. {'; '.join(told)}. Best r = {best}; "
        f"without SE {ABLATION_BASELINE:.2f} %.",
    )
