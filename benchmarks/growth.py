"""The block's cost as C, H·W, r and the batch grow, one at a time, beside what its formulas say.

Forward + backward of our blocks around (32, 256, 28, 28) with r = 16; parameters and multiply-adds as
`seblock.cost` counts them. The picture, `results/growth.png`, lies beside the table.
"""

from collections.abc import Callable
from functools import partial
from itertools import product
from statistics import median

import torch

from benchmarks.block import both
from benchmarks.blocks import Build, ours
from benchmarks.command import make_parser, read_options, result_name
from benchmarks.measure import Row, bytes_moved, interleave, report, seconds
from seblock import cost
from seblock.blocks import SELayer
from seblock.plots.toolkit import BLUE, GREEN, GREY, ORANGE, RED, Picture, canvas, png, styled

BASE = {"N": 32, "C": 256, "side": 28, "r": 16}
VARIED = {
    "C": [64, 128, 256, 512, 1024],
    "side": [7, 14, 28, 56],
    "r": [2, 4, 8, 16, 32],
    "N": [4, 8, 16, 32, 64],
}
LABELS = {"C": "channels C", "side": "height and width", "r": "reduction r", "N": "images in the batch N"}
FORMULAS = {"bytes": (GREY, "-"), "multiply-adds": (ORANGE, "--"), "parameters": (GREEN, ":")}


def formulas(n: int, c: int, side: int, r: int) -> dict[str, float]:
    """What could set the time: the least bytes of forward + backward, and what notebook 07 counts.

    The multiply-adds are those of both layers, N · 2C²/r; the rescale's grow as the bytes do.
    """
    shape = (n, c, side, side)
    return {
        "bytes": bytes_moved(shape, "forward + backward"),
        "multiply-adds": cost.operations(SELayer(c, r), shape).layers,
        "parameters": cost.parameters(SELayer(c, r)),
    }


def call(build: Build, n: int, c: int, side: int, r: int, device: str) -> Callable[[], float]:
    """What times one forward + backward."""
    torch.manual_seed(0)
    u, g = torch.randn(2, n, c, side, side, device=device)
    return partial(seconds, partial(both, build(c, r).to(device), u.requires_grad_(), g), device)


def measure(rounds: int, device: str) -> list[Row]:
    """A row for each value that is varied and each of our blocks; all of them in the same rounds."""
    sizes = {tuple((BASE | {name: value}).values()) for name, values in VARIED.items() for value in values}
    calls = {(name, *size): call(build, *size, device) for name, build in ours().items() for size in sizes}
    interleave(calls, rounds=3)
    times = interleave(calls, rounds)
    rows = []
    for varied, name in product(VARIED, ours()):
        for size in (BASE | {varied: value} for value in VARIED[varied]):
            n, c, side, r = size.values()
            ms = 1e3 * median(times[name, n, c, side, r])
            rows.append({"varied": varied, **size, "block": name, "ms": ms} | formulas(n, c, side, r))
    return rows


@styled
def picture(rows: list[Row], allocator: str) -> Picture:
    """Dots: the times, a panel for each size that grows. Lines: what the first block's time would be if it
    followed a formula from its value at the base."""
    figure, axes = canvas(2, 2, height=8.5, sharey=True)
    blocks = list(dict.fromkeys(row["block"] for row in rows))
    for ax, (varied, values) in zip(axes.flat, VARIED.items(), strict=True):
        panel = {b: [row for row in rows if (row["varied"], row["block"]) == (varied, b)] for b in blocks}
        base = panel[blocks[0]][values.index(BASE[varied])]
        for formula, (colour, dashes) in FORMULAS.items():
            line = [base["ms"] * row[formula] / base[formula] for row in panel[blocks[0]]]
            ax.plot(values, line, dashes, color=colour, linewidth=3, label=f"if it followed {formula}")
        for block, colour in zip(blocks, (BLUE, RED), strict=False):
            ax.plot(
                values, [row["ms"] for row in panel[block]], "o", color=colour, markersize=11, label=block
            )
        ax.set(xscale="log", yscale="log", xlabel=LABELS[varied], ylabel="ms")
        ax.set_xticks(values, [str(value) for value in values])
        ax.minorticks_off()
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle(f"What the block's time follows (allocator: {allocator})")
    return Picture(
        figure, "Times of forward + backward, beside what they would be if they followed a formula."
    )


def main() -> None:
    options = read_options(make_parser(__doc__, rounds=20))
    rows = measure(options.rounds, options.device)
    name = result_name("growth", options)
    path = report(name, rows, allocator=options.allocator, rounds=options.rounds)
    path.with_suffix(".png").write_bytes(png(picture(rows, options.allocator).figure))


if __name__ == "__main__":
    main()
