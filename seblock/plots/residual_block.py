"""Figures of 07_residual_block."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from torch import Tensor

from seblock.networks import PLACEMENTS
from seblock.plots.toolkit import BLUE, ORANGE, RED, Picture, ablation, canvas, rounded, styled

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
        "Four residual blocks. Standard: SE after the branch, before the addition. PRE: before the branch. "
        "POST: after the addition and its ReLU. Identity: on the shortcut, beside the branch.",
    )


def table_14(errors: Mapping[str, float]) -> Picture:
    """Placement: the errors of the paper's Table 14."""
    return ablation(errors, 14, 3.6)


@styled
def survival(shares: dict[str, Sequence[float]]) -> Picture:
    """What is left of a signal on the shortcuts after each block, a line for placements that end alike."""
    figure, axes = canvas(1, 1, 4.0)
    ax = axes[0, 0]
    blocks = len(next(iter(shares.values()))) - 1
    alike: dict[tuple[float, ...], list[str]] = {}
    for place, values in shares.items():
        alike.setdefault(tuple(round(value, 2) for value in values), []).append(place)
    for values, places in alike.items():
        colour = BLUE if values[-1] > 0.5 else RED
        ax.plot(range(blocks + 1), values, "-o", ms=11, lw=3, color=colour)
        place = " and ".join(places)
        ax.annotate(place, (blocks + 0.25, values[-1]), va="center", fontsize=17, color=colour)
    ax.set(xlabel="blocks passed", ylabel="share left", ylim=(-0.08, 1.12), xlim=(-0.3, blocks + 2.4))
    ax.set_xticks(range(blocks + 1))
    told = ", ".join(f"{place} {rounded(values[-1])}" for place, values in shares.items())
    return Picture(figure, f"Share of a signal left after {blocks} blocks whose branches are silent: {told}.")


@styled
def stages(added: Sequence[int], channels: Sequence[int]) -> Picture:
    """Weights that SE adds in each stage."""
    figure, axes = canvas(1, 1, 3.8)
    ax = axes[0, 0]
    ticks = [f"stage {i}\n{c:,} channels" for i, c in enumerate(channels, start=2)]
    drawn = ax.bar(range(len(added)), added, color=[BLUE] * (len(added) - 1) + [RED])
    ax.bar_label(drawn, [f"{n:,}" for n in added])
    ax.set_xticks(range(len(added)), ticks)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.margins(y=0.15)
    ax.set_title("weights that SE adds")
    told = ", ".join(f"stage {i} {n:,}" for i, n in enumerate(added, start=2))
    share = rounded(100 * added[-1] / sum(added))
    return Picture(figure, f"Weights that SE adds: {told}. The last stage has {share} % of them.")


def table_13(errors: Mapping[str, float]) -> Picture:
    """SE in one stage alone or in all: the errors of the paper's Table 13."""
    return ablation(
        {f"{name} alone" if name != "all" else "all four": e for name, e in errors.items()}, 13, 3.6
    )


@styled
def kept(crops: Tensor, same: Tensor, rows: int = 5) -> Picture:
    """Crops of both photos, (N, 3, h, w), where they were cut; whose answer changed is faded and struck out.

    same: (N,), whether a crop's answer is still what it was. rows: how many rows of crops a photo has.
    """
    figure, axes = canvas(1, 2, 4.4)
    columns = len(crops) // (2 * rows)
    for ax, photo, whether in zip(axes[0], crops.chunk(2), same.chunk(2), strict=True):
        for k, (crop, unchanged) in enumerate(zip(photo, whether, strict=True)):
            x, y = k % columns * 1.06, k // columns * 1.06
            pixels = crop if unchanged else 0.75 + 0.25 * crop
            ax.imshow(pixels.permute(1, 2, 0).numpy(), extent=(x, x + 1, y + 1, y))
            if not unchanged:
                ax.plot([x + 0.25, x + 0.75], [y + 0.25, y + 0.75], color=RED, lw=3)
                ax.plot([x + 0.25, x + 0.75], [y + 0.75, y + 0.25], color=RED, lw=3)
        ax.set(xlim=(0, columns * 1.06), ylim=(rows * 1.06, 0), aspect="equal")
        ax.set_title(f"{int(whether.sum())} of {len(whether)} stay")
        ax.set_axis_off()
    figure.suptitle(f"{int(same.sum())} of {len(same)} crops keep their answer")
    told = ", ".join(
        f"{name} {int(part.sum())} of {len(part)}"
        for name, part in zip(("temple", "flower"), same.chunk(2), strict=True)
    )
    return Picture(
        figure,
        f"The photos cut into crops. {int(same.sum())} of {len(same)} keep their answer: {told}. "
        "The others are crossed out.",
    )
