"""Figures of 09_context_decides."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from seblock.plots.toolkit import BLUE, RED, Picture, canvas, rounded, styled


@styled
def by_cue(means: Mapping[str, Tensor]) -> Picture:
    """Mean gates of each block for both cues, (2, C) each, channels sorted by the difference."""
    figure, axes = canvas(len(means), 1, 6.6)
    told = []
    for ax, (name, mean) in zip(axes.flat, means.items(), strict=True):
        difference = mean[1] - mean[0]
        order = difference.argsort()
        drawn = ax.imshow(mean[:, order].numpy(), vmin=0, vmax=1, cmap="viridis", aspect="auto")
        ax.set(title=name, xticks=[], yticks=[0, 1], yticklabels=["vertical", "horizontal"])
        told.append(f"{name}, {rounded(difference.min())} to {rounded(difference.max())}")
    axes[-1, 0].set_xlabel("channels, sorted by how much more they open for horizontal stripes")
    figure.colorbar(drawn, ax=list(axes.flat), label="mean gate", ticks=[0, 0.5, 1])
    return Picture(
        figure,
        f"Mean gates of {len(means)} blocks for both cues. How much more they open for horizontal stripes: "
        f"{'; '.join(told)}.",
    )


@styled
def over_seeds(results: Mapping[str, Sequence[float]], label: str, chance: float) -> Picture:
    """A dot for each seed, a line for each network; results in 0..1."""
    figure, axes = canvas(1, 1, 1.2 + 0.75 * len(results))
    ax = axes[0, 0]
    for y, values in enumerate(results.values()):
        shift = 0.28 * (np.arange(len(values)) / max(len(values) - 1, 1) - 0.5)
        ax.plot([100 * v for v in values], y + shift, "o", color=BLUE, markersize=10, alpha=0.7)
    ax.axvline(100 * chance, color=RED, linestyle="--", label=f"chance, {100 * chance:.0f} %")
    ax.set_yticks(range(len(results)), list(results))
    ax.set(xlim=(-3, 103), ylim=(len(results) - 0.5, -0.5), xlabel=label)
    ax.grid(axis="x", color="#dddddd")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    told = [
        f"{name}, median {100 * float(torch.tensor(values).median()):.0f} %, "
        f"{min(values):.0%} to {max(values):.0%}"
        for name, values in results.items()
    ]
    return Picture(figure, f"{label[0].upper()}{label[1:]}. {'; '.join(told)}.")
