"""Figures of 11_learned_gates."""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from seblock.gates import ByClass
from seblock.plots.toolkit import BLUE, ORANGE, RED, SERIES, SIGNED, Picture, canvas, rounded, styled


@styled
def by_class(means: Mapping[str, Tensor], classes: Mapping[str, int]) -> Picture:
    """Each channel's mean gate, (classes, C) a block, for some classes and for all: the paper's Fig. 6."""
    figure, axes = canvas(len(means), 1, 7.0)
    told = []
    for ax, (name, mean) in zip(axes.flat, means.items(), strict=True):
        channels = np.arange(1, mean.shape[1] + 1)
        for colour, (label, k) in zip(SERIES, classes.items(), strict=True):
            ax.plot(channels, mean[k], color=colour, label=label)
        ax.plot(channels, mean.mean(0), color="black", lw=2.5, label="all classes")
        ax.set(title=name, ylim=(0, 1), yticks=[0, 0.5, 1], xlim=(1, len(channels)))
        told.append(f"{name}: mean {rounded(mean.mean())}")
    axes[0, 0].legend(ncols=len(classes) + 1, loc="lower center", fontsize=14)
    axes[-1, 0].set_xlabel("channel")
    figure.supylabel("mean gate")
    return Picture(figure, f"Mean gates by class, {len(means)} blocks. {'; '.join(told)}.")


@styled
def within_classes(statistics: Mapping[str, ByClass], classes: Mapping[str, int]) -> Picture:
    """Mean and standard deviation over one class's images, a panel a class and block: the paper's Fig. 7."""
    figure, axes = canvas(len(statistics), len(classes), 6.0, sharey=True)
    told = []
    for line, (name, s) in zip(axes, statistics.items(), strict=True):
        for ax, (label, k), colour in zip(line, classes.items(), SERIES, strict=False):
            channels = np.arange(1, s.mean.shape[1] + 1)
            mean, spread = s.mean[k].numpy(), s.spread[k].numpy()
            ax.plot(channels, mean, color=colour)
            ax.fill_between(channels, mean - spread, mean + spread, color=colour, alpha=0.3, lw=0)
            ax.set(title=f"{name}, {label}", ylim=(0, 1), xlim=(1, len(channels)))
            told.append(f"{name}, {label}: {rounded(spread.mean())}")
    for ax in axes[-1]:
        ax.set_xlabel("channel")
    figure.supylabel("gate: mean ± standard deviation")
    return Picture(
        figure, f"Standard deviation over a class's images, mean of the channels. {'; '.join(told)}."
    )


@styled
def over_blocks(
    rows: Mapping[str, Sequence[float]],
    ticks: Sequence[str],
    label: str,
    dashed: tuple[str, float] | None = None,
) -> Picture:
    """A number for each block, a line for each row, from zero up; `dashed`, a level to compare with."""
    figure, axes = canvas(1, 1, 4.6)
    ax = axes[0, 0]
    markers = "osD^v"
    for (name, values), colour, marker in zip(rows.items(), SERIES, markers, strict=False):
        ax.plot(range(len(ticks)), values, f"-{marker}", color=colour, label=name, markersize=9)
    if dashed:
        ax.axhline(dashed[1], color=RED, linestyle="--", label=f"{dashed[0]}, {rounded(dashed[1])}")
    ax.set_xticks(range(len(ticks)), ticks)
    ax.set(ylabel=label, ylim=(0, None))
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    told = [f"{name}: {', '.join(rounded(v) for v in values)}" for name, values in rows.items()]
    return Picture(
        figure, f"{label[0].upper()}{label[1:]}, from block {ticks[0]} to {ticks[-1]}. {'; '.join(told)}."
    )


@styled
def clustered(off: Mapping[str, Tensor], classes: Sequence[str]) -> Picture:
    """How far each class's mean gate is from the mean over classes, (classes, C) a block, in order."""
    figure, axes = canvas(3, 3, 7.2)
    told = []
    for ax, (name, of_block) in zip(axes.flat, off.items(), strict=True):
        largest = float(of_block.abs().max())
        ax.imshow(of_block.numpy(), cmap=SIGNED, vmin=-largest, vmax=largest, aspect="auto")
        ax.set_title(f"{name}: ±{rounded(largest)}", fontsize=14)
        ax.set_xticks([])
        ax.set_yticks([])
        told.append(f"{name} ±{rounded(largest)}")
    for ax in axes[:, 0]:
        ax.set_yticks(range(len(classes)), classes, fontsize=14)
    figure.supxlabel("channels, like ones side by side; purple below the channel's mean, orange above")
    return Picture(
        figure, f"{len(classes)} classes by channel, each block on its own scale: {'; '.join(told)}."
    )


@styled
def worth(accuracies: Mapping[str, float], label: str) -> Picture:
    """Accuracies in 0..1, a dot a line, the first one, of the untouched network, as a dashed line."""
    figure, axes = canvas(1, 1, 1.4 + 0.6 * len(accuracies))
    ax = axes[0, 0]
    percent = {name: 100 * a for name, a in accuracies.items()}
    for y, value in enumerate(percent.values()):
        ax.plot(value, y, "o", color=BLUE, markersize=13)
        ax.annotate(
            f"{value:.1f}", (value, y), xytext=(-12, 0), textcoords="offset points", ha="right", va="center"
        )
    ax.axvline(next(iter(percent.values())), color=RED, linestyle="--")
    ax.set_yticks(range(len(percent)), list(percent))
    ax.set(xlim=(-4, 104), ylim=(len(percent) - 0.5, -0.5), xlabel=label)
    ax.grid(axis="x", color="#dddddd")
    told = [f"{name} {value:.1f}" for name, value in percent.items()]
    return Picture(figure, f"{label[0].upper()}{label[1:]}: {'; '.join(told)}.")


@styled
def strength(z: Mapping[str, Tensor], s: Mapping[str, Tensor], correlations: Mapping[str, float]) -> Picture:
    """Mean gate over mean activation, a dot a channel, (C,) each, for some blocks, and their correlations."""
    figure, axes = canvas(1, len(z), 4.6)
    for ax, name in zip(axes.flat, z, strict=True):
        ax.plot(z[name], s[name], "o", color=ORANGE, markersize=9, alpha=0.8)
        ax.set(title=f"{name}\ncorrelation {correlations[name]:.2f}", ylim=(0, 1))
    axes[0, 0].set_ylabel("mean gate")
    figure.supxlabel("mean of $\\mathbf{u}_c$ over places and images, a dot a channel", fontsize=16)
    told = "; ".join(f"{name}: correlation {rounded(r)}" for name, r in correlations.items())
    return Picture(figure, f"Mean gate beside mean activation, {len(z)} blocks. {told}.")
