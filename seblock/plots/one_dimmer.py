"""Figures of 12_one_dimmer."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from seblock.gates import ByClass
from seblock.plots.toolkit import (
    BLUE,
    GREY,
    ORANGE,
    RED,
    SERIES,
    SIGNED,
    Picture,
    canvas,
    image,
    rounded,
    styled,
)

Interval = tuple[float, float, float]
"""A mean and the two ends of its confidence interval."""


@styled
def together(deviations: Mapping[str, Tensor]) -> Picture:
    """How far each gate is from its channel's mean, (images, C) a block, in the order that is given."""
    figure, axes = canvas(1, len(deviations), 3.9)
    told = []
    for ax, (name, off) in zip(axes.flat, deviations.items(), strict=True):
        largest = float(off.abs().quantile(0.99))
        drawn = ax.imshow(
            off[:: max(1, len(off) // 60)].numpy(), cmap=SIGNED, vmin=-largest, vmax=largest, aspect="auto"
        )
        ax.set(title=f"block {name}", xlabel="channels", xticks=[], yticks=[])
        figure.colorbar(drawn, ax=ax, label="gate less its channel's mean")
        told.append(f"block {name}, ±{rounded(largest)}")
    axes[0, 0].set_ylabel("images, by their setting")
    return Picture(figure, f"Gates less their channel's mean, images by channels: {'; '.join(told)}.")


@styled
def by_block(
    groups: Mapping[str, Tensor],
    ticks: Sequence[str],
    label: str,
    dashed: tuple[str, float] | None = None,
    ends: tuple[float, float | None] = (0, None),
) -> Picture:
    """A dot for each seed and block, (seeds, blocks) a group; the group's mean as a short line."""
    figure, axes = canvas(1, 1, 4.3)
    ax = axes[0, 0]
    width = 0.75 / len(groups)
    unit = " %" if label.endswith("%") else ""
    told = []
    for k, ((name, values), colour) in enumerate(zip(groups.items(), SERIES, strict=False)):
        middle = (k - (len(groups) - 1) / 2) * width
        for block, seeds in enumerate(values.T):
            x = block + middle + np.linspace(-0.3, 0.3, len(seeds)) * width * (len(seeds) > 1)
            ax.plot(x, seeds, "o", color=colour, markersize=7, label=name if not block else None)
            ax.hlines(float(seeds.mean()), block + middle - 0.42 * width, block + middle + 0.42 * width,
                      color=colour, linewidth=3)  # fmt: skip
        told.append(f"{name}, means {', '.join(rounded(v) + unit for v in values.mean(0))}")
    if dashed:
        ax.axhline(dashed[1], color=RED, linestyle="--", label=dashed[0])
    for block in range(1, len(ticks)):
        ax.axvline(block - 0.5, color="#dddddd" if block % 3 else GREY, linewidth=1)
    ax.set_xticks(range(len(ticks)), ticks)
    ax.set(ylabel=label, xlabel="block", ylim=ends, xlim=(-0.5, len(ticks) - 0.5))
    figure.legend(loc="outside upper center", ncols=len(groups) + bool(dashed))
    return Picture(figure, f"{label[0].upper()}{label[1:]}, by block. {'; '.join(told)}.")


@styled
def dimmers(axes_: Mapping[str, Tensor], scores: Mapping[str, Tensor], classes: Sequence[str]) -> Picture:
    """What a block's first component moves, (C,), a dot a channel; each class's mean score, (classes,)."""
    figure, axes = canvas(2, len(axes_), 6.6, height_ratios=(1, 1.6))
    told = []
    for column, (name, of_channel) in enumerate(axes_.items()):
        ax = axes[0, column]
        order = of_channel.argsort().tolist()
        ax.plot(range(len(order)), of_channel[order], "o", color=BLUE, markersize=7)
        ax.axhline(0, color="black", linewidth=0.8)
        ax.set(title=f"block {name}", xlabel="channels, in order", xticks=[])
        ax = axes[1, column]
        by_score = scores[name].argsort().tolist()
        ax.plot(scores[name][by_score], range(len(by_score)), "o", color=ORANGE, markersize=10)
        ax.axvline(0, color="black", linewidth=0.8)
        ax.set_yticks(range(len(by_score)), [classes[k] for k in by_score], fontsize=14)
        ax.set_xlabel("class's mean setting")
        up = int((of_channel > 0).sum())
        told.append(
            f"block {name}, {up} of {len(order)} gates up, from {classes[by_score[0]]} "
            f"{rounded(scores[name].min())} to {classes[by_score[-1]]} {rounded(scores[name].max())}"
        )
    axes[0, 0].set_ylabel("change of gate")
    return Picture(figure, f"First components: {'; '.join(told)}.")


@styled
def intervals(
    differences: Mapping[str, Tensor], found: Mapping[str, Interval], label: str, colour: str = BLUE
) -> Picture:
    """A line for each name: every seed as a small dot, their mean and its interval; zero is marked."""
    figure, axes = canvas(1, 1, 1.4 + 0.42 * len(found))
    ax = axes[0, 0]
    for y, (name, (mean, low, high)) in enumerate(found.items()):
        ax.plot(differences[name], [y + 0.22] * len(differences[name]), "o", color=GREY, markersize=5)
        ax.plot([low, high], [y - 0.08] * 2, color=colour, linewidth=4, alpha=0.45)
        ax.plot(mean, y - 0.08, "o", color=colour, markersize=11)
    ax.axvline(0, color=RED, linestyle="--")
    ax.set_yticks(range(len(found)), list(found))
    ax.set(ylim=(len(found) - 0.4, -0.6), xlabel=label)
    ax.grid(axis="x", color="#dddddd")
    told = [
        f"{name} {rounded(mean)} ({rounded(low)} to {rounded(high)})"
        for name, (mean, low, high) in found.items()
    ]
    return Picture(figure, f"{label[0].upper()}{label[1:]}: {'; '.join(told)}.")


@styled
def read_out(rows: Mapping[str, Sequence[Tensor]], label: str, kinds: Sequence[str]) -> Picture:
    """A line for each name, a colour for each kind, a dot for each seed, (seeds,); means in numbers."""
    figure, axes = canvas(1, 1, 1.5 + 0.42 * len(rows))
    ax = axes[0, 0]
    told = []
    for y, (name, of_kinds) in enumerate(rows.items()):
        for kind, values, colour, up in zip(kinds, of_kinds, SERIES, (-0.17, 0.17), strict=False):
            ax.plot(
                values, [y + up] * len(values), "o", color=colour, markersize=8, label=None if y else kind
            )
        told.append(f"{name} {' and '.join(f'{float(values.mean()):.0f} %' for values in of_kinds)}")
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set(ylim=(len(rows) - 0.5, -0.5), xlabel=label, xlim=(0, 100))
    ax.grid(axis="x", color="#dddddd")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return Picture(
        figure, f"{label[0].upper()}{label[1:]}, {' and '.join(kinds)}, means over seeds: {'; '.join(told)}."
    )


def channels(ax: Axes, count: int) -> None:
    """The axis of channels, which have no order."""
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set_xlim(0, count + 1)


@styled
def by_class(means: Mapping[str, Tensor], classes: Mapping[str, int]) -> Picture:
    """How far each class's mean gate, (classes, C) a block, lies from that of all: the paper's Fig. 6."""
    figure, axes = canvas(len(means), 1, 6.4)
    told = []
    for ax, (name, mean) in zip(axes.flat, means.items(), strict=True):
        off = mean - mean.mean(0)
        for colour, marker, (label, k) in zip(SERIES, "osD^", classes.items(), strict=False):
            ax.plot(range(1, off.shape[1] + 1), off[k], marker, color=colour, markersize=7, label=label)
        channels(ax, off.shape[1])
        ax.set_title(f"block {name}")
        apart = (off.amax(0) - off.amin(0)).max()
        told.append(f"block {name}, classes at most {rounded(apart)} apart")
    axes[-1, 0].set_xlabel("channel")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=len(classes))
    figure.supylabel("class's mean gate less all classes' mean", fontsize=16)
    return Picture(figure, f"Mean gates by class. {'; '.join(told)}.")


@styled
def within_classes(statistics: Mapping[str, ByClass], classes: Mapping[str, int]) -> Picture:
    """Mean and standard deviation over one class's images, less all classes' mean: the paper's Fig. 7."""
    figure, axes = canvas(len(statistics), 1, 1.5 + 2.2 * len(statistics))
    told = []
    for ax, (name, s) in zip(axes.flat, statistics.items(), strict=True):
        x = np.arange(1, s.mean.shape[1] + 1)
        for place, colour, (label, k) in zip((-0.17, 0.17), (BLUE, ORANGE), classes.items(), strict=True):
            off = s.mean[k] - s.mean.mean(0)
            ax.errorbar(
                x + place, off.numpy(), s.spread[k].numpy(), fmt="o", color=colour, markersize=5, label=label
            )
            told.append(f"block {name}, {label}, {rounded(s.spread[k].mean())}")
        channels(ax, len(x))
        ax.set_title(f"block {name}")
    axes[-1, 0].set_xlabel("channel")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=len(classes))
    figure.supylabel("gate less all classes' mean", fontsize=16)
    return Picture(figure, f"Standard deviation within a class, mean of the channels: {'; '.join(told)}.")


@styled
def film(frames: Mapping[int, Tensor], ticks: Sequence[str]) -> Picture:
    """The gates' spread by block, (seeds, blocks, 2): all of it, and along the first component; by epoch."""
    seeds = len(next(iter(frames.values())))
    figure, axes = canvas(seeds, len(frames), 5.6, sharex=True, sharey=True)
    for column, (epoch, of_seed) in enumerate(frames.items()):
        for ax, values in zip(axes[:, column], of_seed.numpy(), strict=True):
            ax.bar(range(len(ticks)), values[:, 0], color="#cccccc", width=0.85, label="all of it")
            ax.bar(range(len(ticks)), values[:, 1], color=BLUE, width=0.85, label="along one direction")
            ax.set_xticks([0, 3, 6], [ticks[k] for k in (0, 3, 6)], fontsize=14)
        axes[0, column].set_title(f"epoch {epoch}")
    for number, ax in enumerate(axes[:, 0]):
        ax.set_ylabel(f"seed {number}")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    told = [f"epoch {epoch}, {rounded(v[..., 0].mean())}" for epoch, v in frames.items()]
    return Picture(
        figure, f"Spread of the gates between images, mean of blocks and seeds: {'; '.join(told)}."
    )


@styled
def acted(u: Tensor, gate: Tensor, own: Tensor, swapped: Tensor) -> Picture:
    """A channel's map of both photos, (2, H, W), gated by its own and by the other photo's gate, (2,).

    own, swapped: the channel behind the block, (2, H, W), with either gate. All maps are on one scale.
    """
    figure, axes = canvas(2, 5, 4.2)
    scale = float(u.abs().quantile(0.98))
    told = []
    for k, name in enumerate(("temple", "flower")):
        maps = {
            "before the gate": u[k],
            f"own gate, {float(gate[k]):.2f}": gate[k] * u[k],
            f"other's, {float(gate[1 - k]):.2f}": gate[1 - k] * u[k],
            "behind, own": own[k],
            "behind, other's": swapped[k],
        }
        for ax, (title, of) in zip(axes[k], maps.items(), strict=True):
            steps = (of / scale * 6).round() / 6  # few shades, for a small file
            image(ax, steps, title, cmap=SIGNED, vmin=-1, vmax=1)
        told.append(
            f"{name}, {', '.join(f'{title} {rounded(of.abs().mean())}' for title, of in maps.items())}"
        )
    return Picture(figure, f"One channel's maps, all on one scale; mean sizes: {'; '.join(told)}.")
