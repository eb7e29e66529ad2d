"""Figures of 00_start_here."""

from matplotlib.colors import ListedColormap
from torch import Tensor

from seblock.data import Puzzle
from seblock.plots import BLUE, Picture, canvas, image, styled


@styled
def puzzle(p: Puzzle, rows: tuple[int, int]) -> Picture:
    """Two images of the puzzle, a row each: three input channels and the target."""
    figure, axes = canvas(2, 4, 6.4)
    titles = ["channel 1", "channel 2", "channel 3: the cue", "to be painted"]
    for line, n in zip(axes, rows, strict=True):
        for ax, pixels, title in zip(line, [*p.x[n], p.target[n, 0]], titles, strict=True):
            image(ax, pixels, title)
    cues = ["upright stripes name channel 1", "level stripes name channel 2"]
    named = [cues[int(p.cue[n])] for n in rows]
    return figure, f"Two images of the puzzle, black 0, white 1. Above, {named[0]}; below, {named[1]}."


@styled
def reach(changes: dict[str, Tensor]) -> Picture:
    """Where an output, (20, 20), changes when the cue does, the digits' 13×13 framed."""
    figure, axes = canvas(1, len(changes), 5.0)
    figure.supxlabel("blue: the pixel changes, grey: it does not")
    told = []
    for ax, (name, change) in zip(axes.flat, changes.items(), strict=True):
        changed = change != 0
        image(ax, changed.float(), name, cmap=ListedColormap(["#dddddd", BLUE]))
        ax.plot([-0.5, 12.5, 12.5], [12.5, 12.5, -0.5], color="black", lw=3)
        plate = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8}
        ax.text(6, 0.9, "digits lie here", fontsize=15, ha="center", va="center", bbox=plate)
        told.append(
            f"{name}: {int(changed.sum())} of 400, {int(changed[:13, :13].sum())} of the digits' 169."
        )
    return figure, "Pixels of the output that change with the cue. " + " ".join(told)
