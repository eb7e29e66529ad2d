"""Figures of 00_start_here; 05_rescale and 09_context_decides show `painted` too."""

from collections.abc import Mapping, Sequence

from matplotlib.colors import ListedColormap
from torch import Tensor

from seblock.plots.toolkit import BLUE, HEIGHT, Picture, canvas, image, rounded, styled
from seblock.puzzles import Puzzle, distance


@styled
def puzzle(p: Puzzle, rows: tuple[int, int]) -> Picture:
    """Two images of the puzzle, a row each: three input channels and the target."""
    figure, axes = canvas(2, 4, 6.4)
    titles = ["channel 1", "channel 2", "channel 3: the cue", "to be painted"]
    for line, n in zip(axes, rows, strict=True):
        for ax, pixels, title in zip(line, [*p.x[n], p.target[n, 0]], titles, strict=True):
            image(ax, pixels, title)
    cues = ["vertical stripes name channel 1", "horizontal stripes name channel 2"]
    named = [cues[int(p.cue[n])] for n in rows]
    return Picture(
        figure, f"Two images of the puzzle, black 0, white 1. Above, {named[0]}; below, {named[1]}."
    )


@styled
def painted(p: Puzzle, rows: Sequence[int], outputs: Mapping[str, Tensor]) -> Picture:
    """Images of the puzzle, one a row: the three channels, what each network painted, the target."""
    columns = 4 + len(outputs)
    figure, axes = canvas(len(rows), columns, min(HEIGHT, 0.7 + 12.5 / columns * len(rows)))
    for line, n in zip(axes, rows, strict=True):
        maps = {"channel 1": p.x[n, 0], "channel 2": p.x[n, 1], "cue": p.x[n, 2]}
        maps |= {name: output[n, 0] for name, output in outputs.items()} | {"target": p.target[n, 0]}
        for ax, (name, pixels) in zip(line, maps.items(), strict=True):
            image(ax, pixels, name if n == rows[0] else "")
    figure.supxlabel("black 0, white 1", fontsize=15)
    told = []
    for name, output in outputs.items():
        off, of_other = (float(distance(output, t)[list(rows)].mean().sqrt()) for t in (p.target, p.other))
        told.append(f"{name} is {rounded(off)} from the named digit, {rounded(of_other)} from the other")
    return Picture(figure, f"{len(rows)} images. In the mean over pixels and images, {'; '.join(told)}.")


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
    return Picture(figure, "Pixels of the output that change with the cue. " + " ".join(told))
