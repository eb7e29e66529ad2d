"""Figures of 07_residual_block."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from seblock.networks import PLACEMENTS
from seblock.plots.toolkit import BLUE, ORANGE, RED, SERIES, Picture, ablation, bars, canvas, rounded, styled

# Where the boxes of a residual block lie, (x, y), from top to bottom.
ENTER, BRANCH, ADD, LEAVE = (0.35, 9.4), (0.35, 6.0), (0.35, 2.4), (0.35, -0.3)
GATE_AT = {"standard": (0.35, 4.0), "PRE": (0.35, 7.7), "POST": (0.35, 0.9), "Identity": (1.75, 5.2)}


def _box(ax: Axes, place: tuple[float, float], text: str, colour: str) -> None:
    style = {"boxstyle": "round,pad=0.35", "facecolor": colour, "edgecolor": "black"}
    ax.text(*place, text, ha="center", va="center", fontsize=15, bbox=style, zorder=3)


@styled
def placements() -> Picture:
    """A residual block with its gate at each of the four places."""
    figure, axes = canvas(1, 4, 4.9)
    for ax, place in zip(axes.flat, PLACEMENTS, strict=True):
        ax.annotate("", LEAVE, ENTER, arrowprops={"arrowstyle": "->", "lw": 2})
        ax.plot([0.35, 1.75, 1.75, 0.35], [8.8, 8.8, ADD[1], ADD[1]], color="black", lw=2)
        ax.annotate("", (0.95, ADD[1]), (1.75, ADD[1]), arrowprops={"arrowstyle": "->", "lw": 2})
        ax.text(*ENTER, "x", ha="center", va="bottom", fontsize=17)
        _box(ax, BRANCH, "branch", "white")
        _box(ax, ADD, "+, ReLU", "white")
        _box(ax, GATE_AT[place], "SE", ORANGE)
        ax.set(title=place, xlim=(-0.6, 2.3), ylim=(-0.6, 10.2))
        ax.set_axis_off()
    return Picture(
        figure,
        "Four residual blocks. Standard: SE behind the branch, before the addition. PRE: before the branch. "
        "POST: behind the addition and its ReLU. Identity: on the shortcut, beside the branch.",
    )


def table_14(errors: Mapping[str, float]) -> Picture:
    """Placement: the errors of the paper's Table 14."""
    return ablation(errors, 14, 3.6)


@styled
def survival(shares: dict[str, Sequence[float]]) -> Picture:
    """What is left of a signal on the shortcuts after each block, one line for each placement."""
    figure, axes = canvas(1, 1, 4.0)
    markers = ("o", "s", "^", "D")
    for (place, values), colour, marker in zip(shares.items(), SERIES, markers, strict=True):
        size = 16 if marker in "oD" else 8
        axes[0, 0].plot(
            range(len(values)), values, marker=marker, ms=size, mfc="none", mew=2, color=colour, label=place
        )
    axes[0, 0].set(xlabel="blocks passed", ylabel="share left", ylim=(-0.05, 1.15))
    axes[0, 0].legend(loc="center right")
    told = ", ".join(f"{place} {rounded(values[-1])}" for place, values in shares.items())
    blocks = len(next(iter(shares.values()))) - 1
    return Picture(figure, f"Share of a signal left after {blocks} blocks whose branches are silent: {told}.")


@styled
def cost(growth: dict[str, Sequence[float]], depths: Sequence[int]) -> Picture:
    """By how many per cent SE makes a ResNet grow; `growth` maps what is counted to a number a depth."""
    figure, axes = canvas(1, 1, 3.8)
    bars(axes[0, 0], dict(growth), [f"ResNet-{depth}" for depth in depths], fmt="%.2f %%")
    axes[0, 0].set_ylabel("more than\nwithout SE, %")
    axes[0, 0].legend(loc="upper left", bbox_to_anchor=(0.0, 1.3), ncols=2)
    told = [f"{what}: " + ", ".join(f"{rounded(v)} %" for v in values) for what, values in growth.items()]
    return Picture(figure, f"What SE adds to ResNet-{', -'.join(map(str, depths))}. {'; '.join(told)}.")


@styled
def stages(added: Sequence[int], channels: Sequence[int]) -> Picture:
    """Parameters that SE adds in each stage."""
    figure, axes = canvas(1, 1, 3.4)
    ticks = [f"stage {i}\n{c} channels" for i, c in enumerate(channels, start=2)]
    drawn = axes[0, 0].bar(range(len(added)), added, color=[BLUE] * (len(added) - 1) + [RED])
    axes[0, 0].bar_label(drawn, [f"{n:,}" for n in added], fontsize=15)
    axes[0, 0].set_xticks(range(len(added)), ticks)
    axes[0, 0].set_yticks([])
    axes[0, 0].spines["left"].set_visible(False)
    axes[0, 0].margins(y=0.15)
    share = added[-1] / sum(added)
    told = ", ".join(f"stage {i} {n:,}" for i, n in enumerate(added, start=2))
    return Picture(
        figure, f"Parameters that SE adds: {told}. The last stage has {rounded(100 * share)} % of them."
    )
