"""Figures of 11_text_scanner."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.axes import Axes
from torch import Tensor

from seblock.gates import Record, by_class
from seblock.lines import HEIGHT, WIDTH
from seblock.plots.toolkit import (
    BLUE,
    COARSE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    Picture,
    canvas,
    image,
    rounded,
    styled,
)

PAGE = 0.88
"""The grey of what is no line in a figure: the white of the page would look like paper."""
LEVELS = 4


def show_line(ax: Axes, line: Tensor, title: str = "", levels: int = LEVELS) -> None:
    """A line's image, (3, 48, w), at the left of the space that the widest would take.

    In so many steps from its darkest to its lightest value: the eye sees no more, and the file stays small.
    """
    low, high = line.min(), line.max()
    line = low + (high - low) * ((line - low) / (high - low) * levels).round() / levels
    whole = torch.full((3, HEIGHT, WIDTH), PAGE)
    whole[:, :, : line.shape[2]] = line
    image(ax, whole, title)


@styled
def asked(images: Sequence[Tensor], turned: Sequence[float], truly_turned: Sequence[bool]) -> Picture:
    """Lines, two in a row, each with the network's answer; wrong ones in orange.

    images: (3, 48, w) each; turned: the probability that the network gives; truly_turned: the truth.
    """
    rows = len(images) // 2
    figure, axes = canvas(rows, 2, 0.2 + 1.75 * rows)
    told = []
    for n, (ax, line) in enumerate(zip(axes.flat, images, strict=True)):
        p = float(turned[n])
        says = f"“turned”, {100 * p:.0f} %" if p > 0.5 else f"“upright”, {100 * (1 - p):.0f} %"
        right = (p > 0.5) == truly_turned[n]
        show_line(ax, line)
        ax.set_title(f"{says}{'' if right else ', wrong'}", color=GREEN if right else RED)
        told.append(f"{says}{'' if right else ', wrong'}")
    return Picture(figure, f"{len(images)} lines, with what the network says: {'; '.join(told)}.")


@styled
def gate_rows(images: Sequence[Tensor], s: Mapping[str, Tensor]) -> Picture:
    """All gates of two lines, (2, C) a block: a strip for each block and line, a cell for each channel."""
    figure, axes = canvas(len(s) + 1, 2, 7.0, height_ratios=[2.4] + [1] * len(s))
    for n in (0, 1):
        show_line(axes[0, n], images[n])
        for k, gates in enumerate(s.values()):
            ax = axes[k + 1, n]
            drawn = ax.imshow(gates[n : n + 1].float().numpy(), cmap="cividis", vmin=0, vmax=1, aspect="auto")
            ax.set_yticks([0] if n == 0 else [], [f"{k + 1}"] if n == 0 else [])
            ax.set_xticks([])
            for spine in ax.spines.values():
                spine.set_visible(False)
    axes[len(s) // 2 + 1, 0].set_ylabel("SE block")
    figure.colorbar(drawn, ax=axes[:, :].ravel().tolist(), label="gate", shrink=0.7, aspect=30)
    apart = ", ".join(rounded((g[0].float() - g[1].float()).abs().mean()) for g in s.values())
    return Picture(
        figure,
        f"The gates of {len(s)} blocks for two lines, {sum(g.shape[1] for g in s.values())} for each. Mean "
        f"difference between the two lines, block by block: {apart}.",
    )


@styled
def moves(images: Mapping[str, Tensor], moved: Mapping[str, Sequence[float]]) -> Picture:
    """How far each change of the line, a row, moves the gates of each block, a column, in per cent."""
    blocks = len(next(iter(moved.values())))
    figure = canvas(1, 1, 7.2, dots=COARSE)[0]
    figure.clear()
    grid = figure.add_gridspec(len(moved), 2, width_ratios=[1, 3.9])
    for n, name in enumerate(moved):
        show_line(figure.add_subplot(grid[n, 0]), images[name], levels=3)  # they are small
    ax = figure.add_subplot(grid[:, 1])
    values = torch.tensor([list(row) for row in moved.values()])
    ax.imshow(values.numpy(), cmap="Blues", vmin=0, vmax=150, aspect="auto")
    for i, row in enumerate(values.tolist()):
        for k, value in enumerate(row):
            colour = "white" if value > 85 else "black"
            ax.text(k, i, f"{value:.0f}", ha="center", va="center", color=colour)
    ax.set_xticks(range(blocks), [str(k + 1) for k in range(blocks)])
    ax.set_yticks(range(len(moved)), list(moved))
    ax.set(xlabel="SE block")
    ax.set_title("how far the gates move; 100: as far as to another line's gates")
    ax.tick_params(length=0)
    told = "; ".join(f"{name}: {', '.join(f'{v:.0f}' for v in row)}" for name, row in moved.items())
    return Picture(
        figure, f"How far each change moves the gates of blocks 1 to {blocks}, in per cent: {told}."
    )


@styled
def extremes(images: Sequence[Tensor], gates: Mapping[str, Tensor], each: int = 3) -> Picture:
    """For some single gates, a column each, the lines for which they are open widest and least.

    gates: by the gate's name its value for every line, (N,).
    """
    figure, axes = canvas(2 * each, len(gates), 6.6, dots=COARSE)
    told = []
    for j, (name, s) in enumerate(gates.items()):
        order = s.float().argsort(descending=True, stable=True)
        rows = [*order[:each].tolist(), *order[-each:].tolist()]
        for i, n in enumerate(rows):
            show_line(axes[i, j], images[n])
            side, colour = ("widest", BLUE) if i < each else ("least", RED)
            heading = f"{name}\n" if i == 0 else ""
            axes[i, j].set_title(f"{heading}{side}: {float(s[n]):.2f}", color=colour, pad=3)
        told.append(f"{name}, from {float(s[rows[-1]]):.2f} to {float(s[rows[0]]):.2f}")
    return Picture(
        figure,
        "Above, the lines for which a gate is open widest; below, those for which it is open least. "
        f"{'; '.join(told)}.",
    )


@styled
def by_change(gates: Mapping[str, Tensor], changes: Sequence[str]) -> Picture:
    """Some single gates, a panel each: their values for lines that were changed, a row for each change.

    gates: by the gate's name its values, (2, changes, lines), for upright lines and then for the same turned.
    """
    figure, axes = canvas(1, len(gates), 1.6 + 0.4 * len(changes), sharey=True)
    told = []
    for ax, (name, s) in zip(axes[0], gates.items(), strict=True):
        for values, colour, shift in ((s[0], BLUE, -0.2), (s[1], RED, 0.2)):
            for y, row in enumerate(values.tolist()):
                ax.plot(row, [y + shift] * len(row), "|", color=colour, markersize=11, markeredgewidth=3)
        ax.set(xlim=(-0.05, 1.05), title=name)
        ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        means = zip(changes, s[0].mean(1), s[1].mean(1), strict=True)
        each = (f"{change} {rounded(one)}, turned {rounded(other)}" for change, one, other in means)
        told.append(f"{name}: {'; '.join(each)}")
    axes[0, 0].set_yticks(range(len(changes)), changes)
    axes[0, 0].set_ylim(len(changes) - 0.5, -0.5)
    figure.supxlabel("gate; blue: upright lines, orange: the same turned", fontsize=16)
    return Picture(
        figure, f"{len(gates)} gates and what moves them, in the mean of some lines. {'. '.join(told)}."
    )


@styled
def exposure(
    images: Mapping[float, Tensor], gate: Sequence[float], before: Sequence[float], after: Sequence[float]
) -> Picture:
    """Against the contrast of the lines, `images` by contrast: the mean gate, and the maps' spread."""
    contrasts = list(images)
    figure, _ = canvas(1, 1, 4.6)
    figure.clear()
    shown = [contrasts[0], contrasts[len(contrasts) // 2], contrasts[-1]]
    grid = figure.add_gridspec(len(shown), 3, width_ratios=[1, 1.3, 1.3])
    for n, contrast in enumerate(shown):
        show_line(figure.add_subplot(grid[n, 0]), images[contrast], f"contrast {contrast:g}")
    ax = figure.add_subplot(grid[:, 1])
    ax.plot(contrasts, gate, "o-", color=PURPLE, markersize=9)
    ax.set(ylim=(0, 1), title="the gates")
    ax.set_ylabel("mean gate of SE block 2")
    ax_maps = figure.add_subplot(grid[:, 2])
    for name, values, colour in (("u, before the gate", before, GREY), ("x̃, after it", after, PURPLE)):
        ax_maps.plot(contrasts, values, "o-", color=colour, markersize=9)
        ax_maps.annotate(
            name,
            (contrasts[-1], values[-1]),
            xytext=(0, 12 if colour == GREY else -26),
            textcoords="offset points",
            ha="right",
            color=colour,
        )
    ax_maps.set(ylim=(0, 1.1), title="the maps")
    ax_maps.set_ylabel("spread over the positions")
    for each in (ax, ax_maps):
        each.set_xscale("log")
        each.set_xticks([0.05, 0.1, 0.2, 0.4, 0.8], ["0.05", "0.1", "0.2", "0.4", "0.8"])
        each.minorticks_off()
        each.set_xlabel("contrast of the line")
    first, last = contrasts[0], contrasts[-1]
    return Picture(
        figure,
        f"From contrast {first:g} to {last:g} the mean gate goes from {rounded(gate[0])} to "
        f"{rounded(gate[-1])}; the spread of u from {rounded(before[0])} to {rounded(before[-1])}, that of x̃ "
        f"from {rounded(after[0])} to {rounded(after[-1])}.",
    )


@styled
def by_contrast(own: Sequence[Mapping[str, Any]], frozen: Sequence[Mapping[str, Any]]) -> Picture:
    """The share of directions found against their contrast: rows of scanner.csv with own and frozen gates."""
    rows = {"own gates": own, "blocks 1 and 2 frozen": frozen}
    figure, axes = canvas(1, 1, 5.2)
    ax = axes[0, 0]
    told = []
    for (name, found), colour in zip(rows.items(), (PURPLE, ORANGE), strict=True):
        x, y = [row["contrast"] for row in found], [row["right"] for row in found]
        half = [row["half of right"] for row in found]
        ax.errorbar(x, y, half, color=colour, marker="o", markersize=9, capsize=5, linewidth=2)
        ax.annotate(
            name,
            (x[-1], y[-1]),
            xytext=(12, -5),
            textcoords="offset points",
            color=colour,
        )
        told.append(f"{name}: " + ", ".join(f"{b:.1f} % at {a:g}" for a, b in zip(x, y, strict=True)))
    ax.axhline(50, color=GREY, linestyle=":")
    ax.annotate("chance", (0.7, 50), xytext=(0, 6), textcoords="offset points", color=GREY)
    ax.set_xscale("log")
    ax.invert_xaxis()
    ax.set_xticks([0.7, 0.35, 0.2, 0.12, 0.08, 0.05], ["0.7", "0.35", "0.2", "0.12", "0.08", "0.05"])
    ax.minorticks_off()
    ax.set(ylim=(40, 103), xlabel="contrast of the line", ylabel="direction found, %")
    ax.set_xlim(0.8, 0.03)
    return Picture(figure, f"Directions found. {'; '.join(told)}.")


@styled
def changes(groups: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Picture:
    """Differences to the own gates with their 95 % intervals, in groups that have a heading each.

    groups: by its heading, for each name a row of scanner.csv.
    """
    count = sum(len(rows) + 1 for rows in groups.values())
    figure, axes = canvas(1, 1, 1.0 + 0.43 * count)
    ax = axes[0, 0]
    names: dict[int, str] = {}
    told, y, ends = [], 0, []
    for heading, rows in groups.items():
        ax.annotate(
            heading, (0.01, y), xycoords=("axes fraction", "data"), va="center", color=GREY, fontweight="bold"
        )
        for name, row in rows.items():
            y += 1
            names[y] = name
            middle, half = row["difference"], row["half of difference"]
            ends += [middle - half, middle + half]
            colour = RED if middle + half < -5 else BLUE
            ax.errorbar(middle, y, xerr=half, fmt="o", color=colour, markersize=11, capsize=5)
            ax.annotate(
                f"{middle:+.1f}".replace("-", "−"),
                (middle - half, y),
                xytext=(-8, 0),
                textcoords="offset points",
                ha="right",
                va="center",
            )
            told.append(f"{name} {middle:+.1f} ± {half:.1f}")
        y += 1
    ax.axvline(0, color="black", linewidth=1)
    ax.set_yticks(list(names), list(names.values()))
    ax.set_ylim(y - 0.4, -0.6)
    lowest, highest = min(ends), max(ends)
    ax.set_xlim(lowest - 0.14 * (highest - lowest) - 0.5, highest + 0.5)
    ax.set_xlabel("change in directions found, in points (0: own gates)")
    return Picture(figure, f"In points, with 95 % intervals: {'; '.join(told)}.")


@styled
def maps(images: Mapping[str, Tensor], columns: Mapping[str, Tensor]) -> Picture:
    """One map before and after its gate, for lines in rows; `columns`: (lines, H, W) each, on one scale."""
    figure, axes = canvas(len(images), len(columns) + 1, 0.9 + 1.25 * len(images))
    # a map's border may be far stronger than its letters
    largest = max(float(values.abs().quantile(0.99)) for values in columns.values())
    for i, (name, line) in enumerate(images.items()):
        show_line(axes[i, 0], line, name)
        for ax, (title, values) in zip(axes[i, 1:], columns.items(), strict=True):
            ax.imshow(values[i].detach().numpy(), cmap="PuOr_r", vmin=-largest, vmax=largest, aspect="auto")
            ax.set_axis_off()
            ax.set_title(f"{title if i == 0 else ''}\nspread {float(values[i].std()):.2f}".strip())
    told = "; ".join(
        f"{name}: " + ", ".join(f"{title} {float(v[i].std()):.2f}" for title, v in columns.items())
        for i, name in enumerate(images)
    )
    return Picture(figure, f"A map and what its gate makes of it, on one scale. Spread: {told}.")


@styled
def classes(recorded: Record, names: Sequence[str], most: int = 50) -> Picture:
    """The mean gate of each class in four blocks, as in the paper's Fig. 6: the channels that differ most.

    recorded: gates with labels that count the classes' names, as `pretrained.record_photos` returns them.
    """
    if recorded.labels is None:
        raise ValueError("the recorded gates have no labels")
    s = {name: by_class(gates, recorded.labels).mean for name, gates in recorded.s.items()}
    shown = list(s)[:: max(1, (len(s) - 1) // 3)][:4]
    figure, axes = canvas(2, 2, 7.2)
    for ax, block in zip(axes.flat, shown, strict=False):
        spread = s[block].std(0).nan_to_num() if len(names) > 1 else s[block][0]
        chosen = spread.argsort(descending=True)[:most].sort().values
        for k, name in enumerate(names):
            ax.plot(s[block][k, chosen].numpy(), "o", markersize=7, label=name, alpha=0.8)
        ax.set(title=block, ylabel="mean gate", xticks=[])
        ax.set_xlabel("channels, the most different ones")
    axes.flat[0].legend()
    told = "; ".join(f"{block} {rounded(s[block].std(0).nan_to_num().mean())}" for block in shown)
    return Picture(figure, f"Mean gates of {len(names)} classes. Mean spread between classes: {told}.")
